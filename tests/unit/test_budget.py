"""The budget of calls: never more than allowed, deliveries first, and what Reddit says is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.budget import Budget
from tests.conftest import HandClock


class WatchedClock(HandClock):
    """Waits until the hands are moved by somebody else, as a real clock does."""

    async def sleep(self, seconds: float) -> None:
        """Lets other tasks run until the time has come."""
        due = self.monotonic() + seconds
        while self.monotonic() < due:  # noqa: ASYNC110 - the hands have no event
            await asyncio.sleep(0)


async def settle() -> None:
    """Lets every task run as far as it gets."""
    for _ in range(200):
        await asyncio.sleep(0)


async def begun_at(budget: Budget, clock: HandClock, urgent: bool) -> float:
    """When a call that is asked for now may begin."""
    await budget.take(urgent=urgent)
    return clock.monotonic()


async def test_150_calls_at_once_stay_within_100_a_minute(clock: HandClock) -> None:
    """No 60 seconds hold more than 100 beginnings, and none waits longer than it must."""
    budget = Budget(clock, 100, reserved=0)
    begun = sorted(await asyncio.gather(*[begun_at(budget, clock, urgent=True) for _ in range(150)]))
    assert min(later - earlier for earlier, later in zip(begun, begun[100:], strict=False)) >= 60
    assert begun[99] == 0.0
    assert begun[149] < 61


async def test_the_window_slides(clock: HandClock) -> None:
    """A call is free again exactly a minute after it began, not at the turn of some minute."""
    budget = Budget(clock, 3, reserved=0)
    begun = []
    for _ in range(3):
        begun.append(await begun_at(budget, clock, urgent=False))
        clock.advance(10)
    for _ in range(2):
        begun.append(await begun_at(budget, clock, urgent=False))
    assert begun == pytest.approx([0, 10, 20, 60, 70])


async def test_readers_leave_the_reserve() -> None:
    """90 of 100 readers begin; a tenth of the minute stays for deliveries, and they get it."""
    clock = WatchedClock()
    budget = Budget(clock, 100)
    readers = [asyncio.create_task(budget.take(urgent=False)) for _ in range(100)]
    await settle()
    assert budget.standing().used == 90
    for _ in range(10):
        await asyncio.wait_for(budget.take(urgent=True), 1)
    assert budget.standing().used == 100
    clock.advance(60)
    await asyncio.gather(*readers)


async def test_a_flood_of_alerts_leaves_reading_its_share() -> None:
    """While 500 urgent calls wait, a tenth of every minute goes to reading, at once, and alerts get all the rest."""
    clock = WatchedClock()
    budget = Budget(clock, 100)
    begun = {True: 0, False: 0}

    async def call(urgent: bool) -> None:
        await budget.take(urgent=urgent)
        begun[urgent] += 1

    calls = [asyncio.create_task(call(urgent)) for urgent in (True, False) for _ in range(500)]
    for minute in range(1, 4):
        await settle()
        assert begun == {True: 90 * minute, False: 10 * minute}
        clock.advance(60)
    for each in calls:
        each.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_an_urgent_call_passes_50_waiting_readers() -> None:
    """With nothing left at all, the first call of the next minute is the urgent one, though it asked last."""
    clock = WatchedClock()
    budget = Budget(clock, 20, reserved=0)
    for _ in range(20):
        await budget.take(urgent=True)
    order: list[str] = []

    async def call(name: str, urgent: bool) -> None:
        await budget.take(urgent=urgent)
        order.append(name)

    calls = [asyncio.create_task(call(f"reader {number}", False)) for number in range(50)]
    await settle()
    calls.append(asyncio.create_task(call("alert", True)))
    await settle()
    assert order == []
    while len(order) < 51:
        clock.advance(1)
        await settle()
    assert order == ["alert"] + [f"reader {number}" for number in range(50)]
    await asyncio.gather(*calls)


async def test_a_cancelled_wait_counts_nothing() -> None:
    """Callers that gave up hold up nobody and use nothing, whether they stood first in line or further back."""
    clock = WatchedClock()
    budget = Budget(clock, 3, reserved=0)
    for _ in range(3):
        await budget.take(urgent=False)
    calls = [asyncio.create_task(budget.take(urgent=urgent)) for urgent in (True, True, False, False)]
    await settle()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    clock.advance(60)
    assert budget.standing().used == 0
    assert budget.standing().resumes_in_seconds == 0.0
    await asyncio.wait_for(budget.take(urgent=False), 1)


@pytest.mark.parametrize(
    ("remaining", "ordinary", "urgent"),
    [("11.0", 0, 0), ("10.0", 240, 0), ("1", 240, 0), ("0.5", 240, 240), ("0", 240, 240)],
)
async def test_what_reddit_says_is_left_is_obeyed(
    clock: HandClock, remaining: str, ordinary: float, urgent: float
) -> None:
    """At the reserve reading waits for the reset; with nothing left everything does."""
    headers = {"x-ratelimit-remaining": remaining, "x-ratelimit-reset": "240"}
    for is_urgent, wait in ((False, ordinary), (True, urgent)):
        budget, start = Budget(clock, 100), clock.monotonic()
        budget.heard(200, headers)
        assert await begun_at(budget, clock, is_urgent) - start == pytest.approx(wait, abs=0.01)


async def test_calls_under_way_count_before_reddit_says_so() -> None:
    """Of 50 urgent calls made together when Reddit has three left, three begin before the reset."""
    clock = WatchedClock()
    budget = Budget(clock, 100)
    budget.heard(200, {"x-ratelimit-remaining": "3.0", "x-ratelimit-reset": "100"})
    calls = [asyncio.create_task(budget.take(urgent=True)) for _ in range(50)]
    await settle()
    assert (budget.standing().used, budget.standing().remaining) == (3, 0.0)
    clock.advance(100)
    await asyncio.gather(*calls)
    assert budget.standing().remaining is None


async def test_better_news_ends_a_wait(clock: HandClock) -> None:
    """A later answer that has calls left opens what an earlier one closed."""
    budget = Budget(clock, 100)
    budget.heard(200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "500"})
    budget.heard(200, {"x-ratelimit-remaining": "996", "x-ratelimit-reset": "600"})
    assert await begun_at(budget, clock, urgent=False) == 0.0


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({}, 5),
        ({"retry-after": "7"}, 7),
        ({"Retry-After": "7.5"}, 7.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "x-ratelimit-reset": "42.5"}, 42.5),
        ({"retry-after": "soon"}, 5),
        ({"retry-after": "-1"}, 5),
        ({"x-ratelimit-reset": "9999"}, 600),
        ({"retry-after": "1e9"}, 3600),
    ],
)
async def test_429_pauses_everything(clock: HandClock, headers: Mapping[str, str], pause: float) -> None:
    """As long as Reddit asks for; without a number until the reset, else 5 seconds; never over an hour."""
    budget = Budget(clock, 100)
    budget.heard(429, headers)
    assert budget.standing().resumes_in_seconds == pause
    assert await begun_at(budget, clock, urgent=True) == pytest.approx(pause, abs=0.01)


async def test_a_later_answer_does_not_end_a_pause(clock: HandClock) -> None:
    """Answers to calls that were under way, and a shorter 429, leave the longer pause as it is."""
    budget = Budget(clock, 100)
    budget.heard(429, {"retry-after": "60"})
    budget.heard(429, {"retry-after": "1"})
    budget.heard(200, {"x-ratelimit-remaining": "900", "x-ratelimit-reset": "300"})
    assert budget.standing().resumes_in_seconds == 60


@pytest.mark.parametrize("garbage", ["", "many", "nan", "inf", "-inf", "-5", "1e999", "12,5", "0x10", "\u00bd", "1 0"])
async def test_headers_that_are_no_numbers_are_harmless(clock: HandClock, garbage: str) -> None:
    """They change nothing and raise nothing, in either header."""
    budget = Budget(clock, 100)
    budget.heard(200, {"x-ratelimit-remaining": garbage, "x-ratelimit-reset": "300"})
    budget.heard(200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": garbage})
    budget.heard(200, {"x-ratelimit-remaining": "0"})
    budget.heard(200, {"x-ratelimit-used": garbage})
    assert budget.standing().remaining is None
    assert await begun_at(budget, clock, urgent=False) == 0.0


async def test_a_reset_far_away_is_not_believed(clock: HandClock) -> None:
    """Reddit's window is ten minutes: no wait for it is longer."""
    budget = Budget(clock, 100)
    budget.heard(200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1e12"})
    assert await begun_at(budget, clock, urgent=True) == pytest.approx(600, abs=0.01)


async def test_the_standing_tells_how_things_are(clock: HandClock) -> None:
    """Calls of the last minute alone, what Reddit said less what was begun since, and when reading goes on."""
    budget = Budget(clock, 20)
    assert (budget.standing().per_minute, budget.standing().used, budget.standing().remaining) == (20, 0, None)
    budget.heard(200, {"x-ratelimit-remaining": "500.0", "x-ratelimit-reset": "300"})
    for _ in range(18):
        await budget.take(urgent=False)
    standing = budget.standing()
    assert (standing.used, standing.remaining, standing.resumes_in_seconds) == (18, 482.0, 60.0)
    clock.advance(60)
    assert (budget.standing().used, budget.standing().resumes_in_seconds) == (0, 0.0)


@pytest.mark.parametrize(("per_minute", "reserved"), [(20, 2), (100, 10), (600, 60), (10, 2)])
def test_a_tenth_is_reserved(clock: HandClock, per_minute: int, reserved: int) -> None:
    """A tenth of the minute, two at least."""
    assert Budget(clock, per_minute).reserved == reserved


async def test_an_urgent_call_that_gives_up_frees_the_readers() -> None:
    """Readers stand back while an urgent call waits, and no longer than that."""
    clock = WatchedClock()
    budget = Budget(clock, 3, reserved=0)
    for _ in range(3):
        await budget.take(urgent=True)
    alerts = [asyncio.create_task(budget.take(urgent=True)) for _ in range(2)]
    reader = asyncio.create_task(budget.take(urgent=False))
    await settle()
    for alert in alerts:
        alert.cancel()
    await asyncio.gather(*alerts, return_exceptions=True)
    clock.advance(60)
    await asyncio.wait_for(reader, 1)
    assert budget.standing().used == 1


_HEADER = st.one_of(st.floats(width=32).map(str), st.integers(-5, 1000).map(str), st.sampled_from(["", "soon"]))
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.booleans(), st.integers(1, 30)),
        st.tuples(st.just("advance"), st.floats(0, 90)),
        st.tuples(
            st.just("heard"),
            st.sampled_from([200, 429, 503]),
            st.dictionaries(
                st.sampled_from(["x-ratelimit-remaining", "X-Ratelimit-Reset", "x-ratelimit-used", "retry-after"]),
                _HEADER,
            ),
        ),
    ),
    max_size=20,
)


@settings(max_examples=60)
@given(steps=_STEPS)
def test_no_minute_ever_holds_too_many(steps: list[tuple[Any, ...]]) -> None:
    """Whatever is asked and heard, and whenever: no 60 seconds hold more than is allowed, and nobody waits for ever."""
    allowed = 20

    async def live() -> list[float]:
        clock = HandClock()
        budget, begun = Budget(clock, allowed), []
        for step in steps:
            match step:
                case ("take", urgent, count):
                    begun += await asyncio.gather(*[begun_at(budget, clock, urgent) for _ in range(count)])
                case ("advance", seconds):
                    clock.advance(seconds)
                case ("heard", status, headers):
                    budget.heard(status, headers)
        return sorted(begun)

    begun = asyncio.run(live())
    for earlier, later in zip(begun, begun[allowed:], strict=False):
        assert later >= earlier + 60
