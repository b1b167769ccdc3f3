"""What a replay amounts to, counted in flat memory, and the page that shows it."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from bot.pictures import NARROW, WIDE, picture
from bot.policy import RISK_WORDS, SEVERITY_WORDS
from bot.record import Record, nightlight_version
from bot.sources.archive import BadLine
from bot.templates import pages
from bot.types import DeliveryKind, DeliveryState
from models.labels import Disorder, Level, Risk, Severity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LISTED = 1_000  # posts named one by one in the report

_BINS = 20
_VERSIONS = 20  # more would be archives of many models, and memory is to stay flat
_BAD_LISTED = 20
_IDEATION_OR_MORE = frozenset(risk for risk in Risk if risk >= Risk.IDEATION)
_MODERATE_OR_MORE = frozenset(severity for severity in Severity if severity >= Severity.MODERATE)
Scale = TypeVar("Scale", Severity, Risk, Level)


class Score(StrEnum):
    """The probabilities whose distribution the report shows."""

    RISK = "Thoughts of dying or of self-harm, or more (risk)"
    SEVERITY = "Marked distress or more (severity)"
    RELEVANCE = "About mental health (relevance)"


@dataclass(frozen=True, slots=True)
class Alerted:
    """A post that moderators would have been alerted to, as the report lists it."""

    id: str
    subreddit: str
    created_utc: float | None
    level: Level
    reasons: tuple[str, ...]

    @property
    def time(self) -> str:
        if self.created_utc is None:
            return "no time"
        return f"{datetime.fromtimestamp(self.created_utc, UTC):%Y-%m-%d %H:%M}"

    @property
    def url(self) -> str:
        """Where Reddit shows the post; empty when the id is none of Reddit's."""
        return f"https://www.reddit.com/comments/{self.id}/" if re.fullmatch(r"[0-9a-z]{1,13}", self.id) else ""


@dataclass(slots=True)
class Tally:
    """Counts over decision records. What it holds does not grow with the number of posts."""

    posts: int = 0
    levels: Counter[Level] = field(default_factory=Counter)
    deliveries: Counter[tuple[DeliveryKind, DeliveryState]] = field(default_factory=Counter)
    severities: Counter[Severity] = field(default_factory=Counter)
    risks: Counter[Risk] = field(default_factory=Counter)
    disorders: Counter[Disorder] = field(default_factory=Counter)
    scores: dict[Score, list[int]] = field(default_factory=lambda: {score: [0] * _BINS for score in Score})
    days: dict[int, Counter[Level]] = field(
        default_factory=dict
    )  # alerts by day since the epoch, every day with a post
    alerts: int = 0
    undated: int = 0
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)
    _listed: list[tuple[int, float, int, Alerted]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)

    def add(self, record: Record) -> None:
        """Counts one record."""
        self.posts += 1
        level = Level(record["level"])
        self.levels[level] += 1
        for delivery in record["deliveries"]:
            self.deliveries[DeliveryKind(delivery["kind"]), DeliveryState(delivery["state"])] += 1
        for version in record["versions"].items():
            if version in self.versions or len(self.versions) < _VERSIONS:
                self.versions[version] += 1
        alerts = any(delivery["kind"] == DeliveryKind.ALERT for delivery in record["deliveries"])
        self._count_day(record["created_utc"], level, alerts)
        self._count_scores(record)
        if alerts:
            self.alerts += 1
            self._list(record, level)

    def alerted(self) -> list[Alerted]:
        """At most `LISTED` of the posts that would have alerted: the highest level first, then the newest."""
        return [entry[-1] for entry in sorted(self._listed, reverse=True)]

    def alerts_a_day(self) -> tuple[float, int, str]:
        """Mean over all days from the first post to the last, and the most on one day with its date (UTC).

        (0, 0, "") when no post has a time.
        """
        if not self.days:
            return 0.0, 0, ""
        per_day = {day: levels.total() for day, levels in self.days.items()}
        busiest = max(per_day, key=lambda day: (per_day[day], -day))
        return sum(per_day.values()) / self.day_span(), per_day[busiest], _date(busiest)

    def day_span(self) -> int:
        """Days from the first post to the last, both included."""
        return max(self.days) - min(self.days) + 1 if self.days else 0

    def _count_day(self, created_utc: float | None, level: Level, alerts: bool) -> None:
        if created_utc is None:
            self.undated += 1
            return
        day = self.days.setdefault(int(created_utc // 86_400), Counter())
        if alerts:
            day[level] += 1

    def _count_scores(self, record: Record) -> None:
        severity, risk = record["severity"], record["risk"]
        if severity is None or risk is None:
            return
        self.severities[Severity(severity["level"])] += 1
        self.risks[Risk(risk["level"])] += 1
        for disorder, probability in (record["disorders"] or {}).items():
            if probability >= 0.5:
                self.disorders[Disorder(disorder)] += 1
        self._score(Score.RISK, _sum(risk["probs"], _IDEATION_OR_MORE))
        self._score(Score.SEVERITY, _sum(severity["probs"], _MODERATE_OR_MORE))
        self._score(Score.RELEVANCE, record["relevance"] or 0.0)

    def _score(self, score: Score, probability: float) -> None:
        self.scores[score][min(int(probability * _BINS), _BINS - 1)] += 1

    def _list(self, record: Record, level: Level) -> None:
        created = record["created_utc"]
        post = Alerted(record["id"], record["subreddit"], created, level, tuple(record["reasons"]))
        entry = (level.rank, -1.0 if created is None else created, next(self._order), post)
        if len(self._listed) < LISTED:
            heapq.heappush(self._listed, entry)
        else:
            heapq.heappushpop(self._listed, entry)


@dataclass(slots=True)
class Run:
    """What else is to be said of a run than its decisions."""

    archives: tuple[str, ...]
    setting: str = "Nothing was sent: this is a rehearsal on an archive."
    judged: int = 0  # in this run; an earlier one that it resumes is not counted
    already: int = 0  # judged by that earlier run
    duplicates: int = 0
    left_out: int = 0  # outside --since, --until or --subreddit
    bad_lines: int = 0
    first_bad: list[BadLine] = field(default_factory=list)
    cut_off: list[BadLine] = field(default_factory=list)
    stopped: bool = False
    seconds: float = 0.0

    def add_bad(self, bad: BadLine) -> None:
        """Counts a bad line and remembers the first few."""
        self.bad_lines += 1
        if len(self.first_bad) < _BAD_LISTED:
            self.first_bad.append(bad)
        if bad.cut_off:
            self.cut_off.append(bad)

    @property
    def posts_a_second(self) -> float:
        return self.judged / self.seconds if self.seconds else 0.0


def render(tally: Tally, run: Run) -> str:
    """The report: one HTML page that holds everything it shows, and no text, title or author of any post."""
    page = pages()
    page.filters["share"] = lambda part: f"{part / tally.posts:.1%}" if tally.posts else ""
    template = page.get_template("report.html.j2")
    replies = {state: tally.deliveries[DeliveryKind.REPLY, state] for state in DeliveryState}
    return template.render(
        tally=tally,
        run=run,
        alerts=tally.alerts,
        digest=sum(number for (kind, _), number in tally.deliveries.items() if kind is DeliveryKind.DIGEST),
        held=replies[DeliveryState.HELD],
        auto=replies[DeliveryState.PENDING],
        mean=tally.alerts_a_day()[0],
        most=tally.alerts_a_day()[1],
        busiest=tally.alerts_a_day()[2],
        first_day=_date(min(tally.days)) if tally.days else "",
        last_day=_date(max(tally.days)) if tally.days else "",
        alerted=tally.alerted(),
        periods={width: _periods(tally.days, bars) for width, bars in _BARS.items()},
        day_chart={width: _day_chart(tally.days, width) for width in _BARS} if any(tally.days.values()) else {},
        score_charts={score: _score_chart(score, counts) for score, counts in tally.scores.items() if any(counts)},
        levels=_from_top(Level),
        risks=[(risk, RISK_WORDS[risk]) for risk in _from_top(Risk)],
        topics=[(_name(disorder), number) for disorder, number in tally.disorders.most_common()],
        severities=[(severity, SEVERITY_WORDS[severity]) for severity in _from_top(Severity)],
        version=nightlight_version(),
    )


# Pictures

_BARS = {WIDE: 93, NARROW: 45}  # at most so many bars fit
_PERIODS = (1, 7, 28, 91, 364, 3640)  # days a bar can stand for
# Each level has its own hatch, so that it can be told from the others without its colour.
_LEVEL_LOOKS = {
    Level.CRISIS: ("#c0392b", "xxx"),
    Level.URGENT: ("#c97a1e", "///"),
    Level.UNASSESSED: ("#7d6bb0", "..."),
    Level.WATCH: ("#3b86ab", ""),
    Level.NONE: ("#7b8794", "---"),
}


@dataclass(frozen=True, slots=True)
class Period:
    """The alerts of `days` days from `start` on (days since the epoch)."""

    start: int
    days: int
    levels: Counter[Level]

    @property
    def date(self) -> str:
        return _date(self.start)


def _periods(days: Mapping[int, Counter[Level]], most: int) -> list[Period]:
    """Alerts in at most `most` periods of equal length, without a gap (but for a time of centuries)."""
    if not days:
        return []
    first, last = min(days), max(days)
    length = next((each for each in _PERIODS if (last - first) // each < most), _PERIODS[-1])
    periods = [Period(start, length, Counter()) for start in range(first, last + 1, length)]
    for day, levels in days.items():
        periods[(day - first) // length].levels.update(levels)
    return periods


def _day_chart(days: Mapping[int, Counter[Level]], width: int) -> str:
    periods = _periods(days, _BARS[width])

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        bottom = [0] * len(periods)
        for level in _from_top(Level):
            heights = [period.levels[level] for period in periods]
            if any(heights):
                colour, hatch = _LEVEL_LOOKS[level]
                look: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0.4}
                axes.bar(range(len(periods)), heights, 0.85, bottom, label=level.value, **look)
                bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        step = -(-len(periods) // (width // 90))
        axes.set_xticks(range(0, len(periods), step), [period.date for period in periods[::step]])
        axes.set_xlim(-0.6, max(len(periods), 7) - 0.4)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        length = periods[0].days
        axes.set_ylabel("alerts a day" if length == 1 else f"alerts in {length} days")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, borderaxespad=0.2)

    return picture(draw, width, 190)


def _score_chart(score: Score, counts: Sequence[int]) -> str:
    def draw(axes: Axes) -> None:
        axes.bar([(i + 0.5) / _BINS for i in range(_BINS)], counts, 0.9 / _BINS, color="#3b86ab")
        axes.set_yscale("log")
        axes.set_ylim(0.7, max(10, *counts) * 1.5)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.minorticks_off()
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.set_xlim(0, 1)
        axes.set_ylabel("posts")
        axes.set_xlabel("probability")

    return picture(draw, NARROW, 160)


def _from_top(scale: type[Scale]) -> list[Scale]:
    return sorted(scale, reverse=True)


def _sum(probs: Mapping[Scale, float], levels: Collection[Scale]) -> float:
    return sum(probability for level, probability in probs.items() if level in levels)


def _name(disorder: Disorder) -> str:
    return disorder.upper() if len(disorder) <= 4 else disorder.replace("_", " ")


def _date(day: int) -> str:
    return f"{datetime.fromtimestamp(day * 86_400, UTC):%Y-%m-%d}"
