// Keeps the counts at the top up to date, says when there is something new or when it no longer knows, and says what the
// slider of the numbers stands for while it is moved. The page works without it.
"use strict";

// The server ends each stream after a minute, and the browser begins the next a few seconds later.
const SILENCE_MS = 90_000;

const shown = document.querySelector("[data-live]");
if (shown && "EventSource" in window) {
  const changed = document.querySelector("[data-changed]");
  const lost = document.querySelector("[data-lost]");
  let before = null;
  let events = null;
  let silence = 0;

  const alive = (isAlive) => {
    clearTimeout(silence);
    lost.hidden = isAlive;
    if (isAlive) silence = setTimeout(alive, SILENCE_MS, false);
  };
  const tell = (levels) => {
    for (const place of shown.querySelectorAll("[data-level]")) {
      const level = levels[place.dataset.level];
      if (level && place.textContent !== level.words) place.textContent = level.words;
    }
    // Level by level: a crisis is news although a case of another level was closed meanwhile.
    const isNews = (level) => levels[level].count > before[level].count || levels[level].newest > before[level].newest;
    if (before && Object.keys(levels).some(isNews)) changed.hidden = false;
    before = levels;
  };
  const close = () => {
    clearTimeout(silence);
    events?.close();
    events = null;
  };
  const listen = () => {
    if (events || document.hidden) return;
    events = new EventSource("/events");
    events.addEventListener("open", () => alive(true));
    events.addEventListener("waiting", (event) => tell(JSON.parse(event.data)));
    events.addEventListener("error", ({ target }) => {
      // After an answer that is none (nobody is signed in any more, Reddit is silent) a browser does not ask again.
      if (target.readyState === EventSource.CLOSED) {
        close();
        alive(false);
      }
    });
    silence = setTimeout(alive, SILENCE_MS, false);
  };

  // A page that nobody looks at must not keep its connection: a browser has six for one host.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : listen()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", listen);
  lost.querySelector("a").addEventListener("click", (event) => {
    event.preventDefault();
    location.reload();
  });
  listen();
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
