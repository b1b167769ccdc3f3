"""`nightlight tune`: the one bound of the policy that decides how much is alerted, chosen for a budget or a recall."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bot.config import Config, Policy, Rule
from bot.deployment import ALERTING, Burden, Point, Stream, burden, curve, scaled, with_bound
from bot.errors import SetupError, UsageError
from bot.evaluation import brief, read_labelled
from bot.files import write_whole
from models.labelled import Row
from models.labels import Task
from models.scorecard import AMBIGUOUS, is_user

if TYPE_CHECKING:
    from rich.console import Console
    from tomlkit import TOMLDocument


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so many alerts a day in a community that writes so many posts a day."""

    max_alerts_per_day: float
    posts_per_day: float

    def choose(self, points: Sequence[Point]) -> float:
        """The lowest bound within the budget, which finds the most. Raises UsageError when none finds anybody."""
        within = [point for point in points if self._a_day(point) <= self.max_alerts_per_day]
        if not any(point.recall for point in within):
            fewest = min((self._a_day(point) for point in points if point.recall), default=0.0)
            raise UsageError(
                f"{self.max_alerts_per_day:g} alerts a day cannot be kept to: "
                f"the fewest that still find anybody at risk are {fewest:.1f}"
            )
        return min(point.bound for point in within)

    def missed_by(self, found: Burden) -> str:
        """What is to be said of a policy with these figures if it takes more than the budget; else nothing."""
        a_day = scaled(found.alerts_per_1000, self.posts_per_day / 1000)
        if a_day.value <= self.max_alerts_per_day:
            return ""
        return f"there are {brief(a_day, 1)} alerts a day, more than {self.max_alerts_per_day:g}"

    def _a_day(self, point: Point) -> float:
        return point.alerts_per_1000 * self.posts_per_day / 1000


@dataclass(frozen=True, slots=True)
class Recall:
    """At least this share of the posts at risk found."""

    at_least: float

    def choose(self, points: Sequence[Point]) -> float:
        """The highest bound that reaches it, which alerts least. Raises UsageError when none does."""
        reaching = [point.bound for point in points if point.recall >= self.at_least]
        if not reaching:
            most = max(point.recall for point in points)
            raise UsageError(f"a recall of {self.at_least:g} cannot be reached: the most any bound finds is {most:.2f}")
        return max(reaching)

    def missed_by(self, found: Burden) -> str:
        """What is to be said of a policy with these figures if it finds less than that; else nothing."""
        if found.recall.value >= self.at_least:
            return ""
        return f"it finds {brief(found.recall)} of the posts at risk, less than {self.at_least:g}"


def stated_goal(
    max_alerts_per_day: float | None, posts_per_day: float | None, min_recall: float | None
) -> Budget | Recall:
    """What to aim at. Raises UsageError when it is nothing or two things."""
    if min_recall is not None and max_alerts_per_day is None:
        return Recall(min_recall)
    if min_recall is None and max_alerts_per_day is not None:
        if posts_per_day is None:
            raise UsageError("--max-alerts-per-day needs --posts-per-day, how many posts your community writes")
        return Budget(max_alerts_per_day, posts_per_day)
    raise UsageError("say one thing to aim at: --max-alerts-per-day N with --posts-per-day P, or --min-recall R")


@dataclass(frozen=True, slots=True)
class Tuning:
    """The policy chosen on one half of the rows, and what the old and the new one do on the other half.

    `missed` says in words how the new one misses the goal there, and is empty where it does not.
    """

    policy: Policy
    bound: float
    chosen_on: int
    reported_on: int
    before: Burden
    after: Burden
    missed: str


def tune(
    policy: Policy, stream: Stream, halves: NDArray[np.bool_], goal: Budget | Recall, share: float, seed: int
) -> Tuning:
    """Chooses on the rows where `halves` is true and measures on the others.

    Raises UsageError when no bound meets the goal, or when a half lacks posts at risk or other ones.
    """
    ours, others = stream[halves], stream[~halves]
    if not (ours.is_whole and others.is_whole):
        raise UsageError("too few labelled rows: each half needs posts at risk and other ones")
    bound = goal.choose(curve(policy, ours, share))
    tuned = with_bound(policy, bound)
    after = burden(tuned, others, share, seed)
    return Tuning(
        policy=tuned,
        bound=bound,
        chosen_on=len(ours.at_risk),
        reported_on=len(others.at_risk),
        before=burden(policy, others, share, seed),
        after=after,
        missed=goal.missed_by(after),
    )


def halve(keys: Iterable[str], seed: int) -> NDArray[np.bool_]:
    """A half of the rows to choose on, (rows,). Rows of one key are always in the same half."""
    digests = [hashlib.sha256(f"{seed}:{key}".encode()).digest() for key in keys]
    return np.array([digest[0] < 128 for digest in digests])


def read_stream(data: Path, limit: int | None, seed: int, apart: bool) -> tuple[list[Row], int]:
    """The labelled posts to tune on, as `read_labelled` reads those of risk. Raises as it does."""
    rows, unknown = read_labelled(Task.RISK, data, limit, seed, apart)
    return [row for row in rows if not is_user(row) and AMBIGUOUS not in row.labels], unknown


def show(tuning: Tuning, share: float | None, posts_per_day: float | None, console: Console) -> None:
    """Prints what the change means, measured on rows it was not chosen on; `share` is None where none is assumed."""
    from rich.table import Table

    table = Table("", "before", "after")
    rows: list[tuple[str, Callable[[Burden], str]]] = [
        ("alert from this likelihood on", lambda each: f"{each.bound:.2f}"),
        ("posts at risk found", lambda each: brief(each.recall)),
        ("severe posts found", lambda each: brief(each.severe_recall)),
        ("alerts per 1,000 posts", lambda each: brief(each.alerts_per_1000, 1)),
    ]
    if posts_per_day is not None:
        rows.append(("alerts a day", lambda each: brief(scaled(each.alerts_per_1000, posts_per_day / 1000), 1)))
    for words, cell in rows:
        table.add_row(words, cell(tuning.before), cell(tuning.after))
    console.print(table)
    console.print(
        f"Chosen on {tuning.chosen_on:,} posts and measured on {tuning.reported_on:,} others."
        + (f" Assumed: {share:.1%} of the posts are at risk (--share)." if share is not None else ""),
        highlight=False,
    )
    if tuning.missed:
        console.print(f"It misses what you asked for: on the others {tuning.missed}.", highlight=False)


def lines_of(policy: Policy) -> str:
    """The two tables of the policy as lines of a config file."""
    document = _tomlkit().document()
    _put(document, policy)
    return str(document.as_string()).strip()


def rewrite(text: str, policy: Policy) -> str:
    """A config file with the bounds of `policy`; every comment and every other key stays as it is.

    Raises SetupError when the file has other rules than the policy, or could not be rewritten so that it says that.
    """
    document = _tomlkit().parse(text)
    _put(document, policy)
    changed = str(document.as_string())
    if Config.model_validate(tomllib.loads(changed)).policy != policy:
        raise SetupError("this config file cannot be rewritten; put in the lines above by hand")
    return changed


def save(path: Path, policy: Policy) -> None:
    """Writes the bounds into a config file in one step. Raises SetupError, and leaves it as it was."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror or error}") from error
    write_whole(path.resolve(), rewrite(text, policy).encode())


def _tomlkit() -> Any:
    import tomlkit

    return tomlkit


def _put(document: TOMLDocument, policy: Policy) -> None:
    table: Any = document.setdefault("policy", _tomlkit().table())
    for level in ALERTING:
        rules = policy.rules(level)
        written = table.get(level.value)
        if written is None:
            table[level.value] = _array(rules)
            continue
        for rule, own in zip(rules, written, strict=False):
            if own.get("min_probability", Rule.model_fields["min_probability"].default) != rule.min_probability:
                own["min_probability"] = rule.min_probability


def _array(rules: Sequence[Rule]) -> Any:
    array = _tomlkit().array()
    for rule in rules:
        inline = _tomlkit().inline_table()
        inline.update({key: _word(value) for key, value in rule.model_dump(exclude_unset=True).items()})
        array.append(inline)
    return array.multiline(True)


def _word(value: object) -> object:
    return str(value) if isinstance(value, str) else value
