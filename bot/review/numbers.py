"""What the bot and its moderators did lately, in numbers and pictures."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from bot.clock import Clock
from bot.config import Policy
from bot.deployment import BOUNDS, alerts, bound_of, with_bound
from bot.errors import UsageError
from bot.review.desk import LEVELS
from bot.review.marks import Judged, judged, read_judged
from bot.review.words import Words
from bot.store import Store
from models.labels import Level, Risk

if TYPE_CHECKING:
    from matplotlib.axes import Axes

say = Words.load()

DAYS, WEEKS = 28, 8
_DAY, _WEEK = 86_400.0, 604_800.0
# Enough posts for a share that is right within a percent; more would keep the store from the live loop.
_SAMPLED, _SAMPLED_A_WEEK, _LOOKED_AT = 5_000, 500, 10_000
_HATCHES = {Level.CRISIS: "", Level.URGENT: "////", Level.UNASSESSED: "--", Level.WATCH: "xx"}
_SHADES = {Level.CRISIS: 0.9, Level.URGENT: 0.5, Level.UNASSESSED: 0.25, Level.WATCH: 0.1}
_BLUE = "#3b86ab"


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `whole`, and where the true share lies in 95 of 100 cases like this (Wilson's interval)."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.part / self.whole if self.whole else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high. From 0 to 1 when nothing was counted."""
        if not self.whole:
            return 0.0, 1.0
        z, n, p = 1.959964, self.whole, self.value
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        scale = 1 + z * z / n
        return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


@dataclass(frozen=True, slots=True)
class Deserved:
    """Of the cases of a level that moderators marked, how many they found rightly there, as grave or graver."""

    level: Level
    share: Share


@dataclass(frozen=True, slots=True)
class Looks:
    """How long cases of a level waited for the first act of a moderator, in seconds; None when none was looked at."""

    level: Level
    looked: int
    unlooked: int
    half_within: float | None
    most_within: float | None


@dataclass(frozen=True, slots=True)
class Week:
    """Likelihoods of thoughts of dying in the posts of a week, at quartiles and the 95th percentile."""

    start_utc: float
    posts: int
    quantiles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class What:
    """What a bound would have done: alerts a day, and how many of the posts that moderators found grave it alerts."""

    bound: float
    a_day: float
    found: Share


@dataclass(frozen=True, slots=True)
class Numbers:
    """The figures of the last four weeks (eight for `weeks`); `sample` are the newest posts of `sampled_days` days."""

    days: Sequence[tuple[datetime, Mapping[Level, int]]]
    deserved: Sequence[Deserved]
    looks: Sequence[Looks]
    weeks: Sequence[Week]
    sample: Judged | None
    sampled_days: float
    policy: Policy
    curve: Sequence[What] = field(default=())

    def what_if(self, bound: float) -> What | None:
        """What alerting from this likelihood of thoughts of dying on would have done; None without posts or a bound."""
        return _what_if(self.policy, bound, self.sample, self.sampled_days)

    @property
    def now(self) -> What | None:
        """What the bound in force does."""
        try:
            return self.what_if(bound_of(self.policy))
        except UsageError:
            return None


@dataclass(frozen=True, slots=True)
class Rows:
    """What the store says, to be counted elsewhere than in the event loop."""

    now: float
    by_day: Sequence[sqlite3.Row]
    marked: Sequence[sqlite3.Row]
    looks: Sequence[sqlite3.Row]
    sample: Sequence[sqlite3.Row]
    weeks: Sequence[tuple[float, Sequence[sqlite3.Row]]]


async def read_rows(store: Store, clock: Clock, subreddits: Collection[str]) -> Rows:
    """The rows behind the numbers of some subreddits."""
    now, among = clock.now(), json.dumps(sorted(subreddits))
    lately = {"subreddits": among, "after_utc": now - DAYS * _DAY}
    weeks = []
    for back in range(WEEKS, 0, -1):
        start = now - back * _WEEK
        weeks.append((start, await read_judged(store, subreddits, start, start + _WEEK, _SAMPLED_A_WEEK)))
    return Rows(
        now,
        await store.fetch("judged_by_day", lately),
        await store.fetch("marked_posts", lately),
        await store.fetch("first_looks", {**lately, "limit": _LOOKED_AT}),
        await read_judged(store, subreddits, now - DAYS * _DAY, now, _SAMPLED),
        weeks,
    )


def count(rows: Rows, policy: Policy) -> Numbers:
    """The numbers of these rows, under a policy whose bound is moved to see what would happen."""
    sample = judged(rows.sample)
    # Fewer rows than asked for are all that there are, however few days they fill.
    oldest = float(sample.judged_utc[-1]) if sample is not None else rows.now
    days = max(1.0, (rows.now - oldest) / _DAY)
    curve = [what for bound in BOUNDS if (what := _what_if(policy, bound, sample, days)) is not None]
    return Numbers(
        days=_days(rows),
        deserved=[_deserved(level, rows.marked) for level in (Level.CRISIS, Level.URGENT, Level.WATCH)],
        looks=[_looks(level, rows.looks) for level in LEVELS],
        weeks=[week for start, own in rows.weeks if (week := _week(start, own)) is not None],
        sample=sample,
        sampled_days=days,
        policy=policy,
        curve=curve,
    )


def _days(rows: Rows) -> list[tuple[datetime, dict[Level, int]]]:
    today = int(rows.now // _DAY)
    counts: dict[int, dict[Level, int]] = {day: {} for day in range(today - DAYS + 1, today + 1)}
    for row in rows.by_day:
        counts.get(row["day"], {})[Level(row["level"])] = row["n"]
    return [(datetime.fromtimestamp(day * _DAY, UTC), levels) for day, levels in counts.items()]


def _deserved(level: Level, marked: Sequence[sqlite3.Row]) -> Deserved:
    # Whether a grave post is called crisis or urgent is a matter of taste; that it alerts is not.
    least = Level.URGENT if level >= Level.URGENT else level
    own = [Level(row["said"]) for row in marked if row["level"] == level]
    return Deserved(level, Share(sum(said >= least for said in own), len(own)))


def _looks(level: Level, rows: Sequence[sqlite3.Row]) -> Looks:
    own = [row["seconds"] for row in rows if row["level"] == level]
    looked = sorted(max(0.0, seconds) for seconds in own if seconds is not None)
    half, most = (float(np.quantile(looked, at)) if looked else None for at in (0.5, 0.9))
    return Looks(level, len(looked), len(own) - len(looked), half, most)


def _week(start: float, rows: Sequence[sqlite3.Row]) -> Week | None:
    found = judged(rows)
    if found is None:
        return None
    likely = found.scores.risk[:, Risk.IDEATION.rank]
    return Week(start, len(found.ids), tuple(float(each) for each in np.quantile(likely, (0.25, 0.5, 0.75, 0.95))))


def _what_if(policy: Policy, bound: float, sample: Judged | None, days: float) -> What | None:
    if sample is None:
        return None
    try:
        alerted = alerts(with_bound(policy, bound), sample.scores)
    except UsageError:
        return None
    return What(
        bound, float(alerted.sum()) / days, Share(int(alerted[sample.at_risk].sum()), int(sample.at_risk.sum()))
    )


# Pictures, readable without colour: levels differ in their hatching, lines in their dashes and words


def draw_days(numbers: Numbers, axes: Axes) -> None:
    """Cases a day, stacked by level."""
    positions = np.arange(len(numbers.days))
    below = np.zeros(len(numbers.days))
    drawn = []
    for level in _HATCHES:
        heights = np.array([levels.get(level, 0) for _, levels in numbers.days], dtype=float)
        some = heights > 0 if heights.any() else positions == 0  # one bar of nothing, for the legend
        where, tall, foot = positions[some], heights[some], below[some]
        # The hatching lies on top: in one bar it would be as pale as the shade.
        shade = axes.bar(where, tall, 0.85, foot, facecolor=(*_rgb(_BLUE), _SHADES[level]), linewidth=0)
        lines = axes.bar(
            where, tall, 0.85, foot, facecolor="none", hatch=_HATCHES[level], edgecolor="#7d8590", linewidth=0.4
        )
        drawn.append((shade.patches[0], lines.patches[0]))
        below += heights
    shown = positions[::-7][::-1]
    axes.set_xticks(shown, [f"{numbers.days[at][0]:%d %b}" for at in shown])
    axes.set_ylim(0, max(1.0, float(below.max()) * 1.1))
    axes.locator_params(axis="y", integer=True, nbins=5)
    names = [say(f"level.{level}") for level in _HATCHES]
    axes.legend(drawn, names, frameon=False, fontsize="small", ncols=2, loc="lower left", bbox_to_anchor=(0, 1))


def draw_curve(numbers: Numbers, axes: Axes, chosen: float | None = None) -> None:
    """Alerts a day for every bound, with the one in force and one that is tried."""
    axes.plot([what.bound for what in numbers.curve], [what.a_day for what in numbers.curve], color=_BLUE, linewidth=2)
    looks: dict[str, Any] = {
        "color": "#7d8590",
        "ms": 9,
        "mfc": "none",
        "mew": 2,
        "linestyle": "none",
        "clip_on": False,
    }
    for what, marker, key in ((numbers.now, "o", "now"), (numbers.what_if(chosen) if chosen else None, "D", "tried")):
        if what is not None:
            axes.plot(what.bound, what.a_day, marker=marker, label=say(f"numbers.curve.{key}"), **looks)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    # Beside the points the words would lie on each other, as two bounds may be close.
    axes.legend(frameon=False, fontsize="small", ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    axes.set_xlabel(say("numbers.curve.bound"))
    axes.set_ylabel(say("numbers.curve.a_day"))


def draw_drift(numbers: Numbers, axes: Axes) -> None:
    """How likelihoods of thoughts of dying lie week by week."""
    positions = range(len(numbers.weeks))
    for at, (style, key) in enumerate(((":", "quarter"), ("-", "half"), ("--", "most"), ("-.", "nearly"))):
        label, heights = say(f"numbers.drift.{key}"), [week.quantiles[at] for week in numbers.weeks]
        axes.plot(positions, heights, style, color=_BLUE, marker="o", markersize=3, label=label)
    shown = positions[::-3]
    starts = [datetime.fromtimestamp(numbers.weeks[at].start_utc, UTC) for at in shown]
    axes.set_xticks(list(shown), [f"{start:%d %b}" for start in starts])
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize="small", ncols=2, loc="lower left", bbox_to_anchor=(0, 1), handlelength=3)


def _rgb(color: str) -> tuple[float, float, float]:
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue
