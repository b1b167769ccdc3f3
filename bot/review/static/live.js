// Keeps the counts at the top up to date, says when there is something new, and says what the slider of the numbers stands
// for while it is moved. The page works without it.
"use strict";

const shown = document.querySelector("[data-live]");
if (shown && "EventSource" in window) {
  const changed = document.querySelector("[data-changed]");
  let before = null;
  const events = new EventSource("/events");
  events.addEventListener("waiting", (event) => {
    const { count, levels } = JSON.parse(event.data);
    for (const place of shown.querySelectorAll("[data-level]")) {
      const words = levels[place.dataset.level];
      if (words !== undefined && place.textContent !== words) place.textContent = words;
    }
    if (before !== null && count > before) changed.hidden = false;
    before = count;
  });
  // A page that is left must not keep its connection: a browser has few for one host.
  addEventListener("pagehide", () => events.close());
}

const slider = document.querySelector("[data-curve]");
if (slider) {
  const told = document.querySelector("[data-tried]");
  const alerts = JSON.parse(slider.dataset.curve);
  slider.addEventListener("input", () => {
    const bound = Number(slider.value).toFixed(2);
    told.textContent = told.dataset.words.replace("{bound}", bound).replace("{a_day}", alerts[bound]);
  });
}
