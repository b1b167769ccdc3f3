"""What a policy would mean for a team: whom its alerts find, and what they cost, in a stream like theirs.

Labelled rows stand for the stream. Those of people at risk, of which there are far more among labelled rows than in any
community, are weighed as the stated share of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.config import Policy, Rule
from bot.errors import UsageError
from models.evaluate import Asked, Figure, alerts_per_1000, bootstrap, figures, flagged, net_benefit, recall
from models.judged import Floats, Scores
from models.labelled import Row
from models.labels import Level, Risk, Severity
from models.scorecard import AMBIGUOUS, NOT_RELEVANT, NOT_SUICIDE, SUICIDE

ALERTING = (Level.CRISIS, Level.URGENT)
# The bounds that a policy is tried with, and those that are shown with intervals.
BOUNDS = tuple(round(0.01 * step, 2) for step in range(1, 100))
_SHOWN = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Probabilities from which a moderator might want to act, for the net benefit.
_THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Stream:
    """Labelled posts as a stream: `scores` has a row for each, and `kinds` its label and source.

    Rows with one of `keys` belong together, as those of one author do.
    `at_risk` are posts of people at ideation or above, `ordinary` all the others that make the stream up; `severe` are
    posts of severe distress and `ambiguous` ordinary posts with words of mental health, both looked at by themselves.
    `unknown` are posts of the stream of which nobody said what they are: among the alerts where a policy alerts, and
    neither found nor a false alarm.
    """

    scores: Scores
    keys: NDArray[np.str_]
    kinds: NDArray[np.str_]
    at_risk: Mask
    ordinary: Mask
    severe: Mask
    ambiguous: Mask
    unknown: Mask

    @classmethod
    def of(cls, rows: Sequence[Row], scores: Scores) -> Stream:
        """The rows of the task `risk` but those of users, which are no single posts."""
        labels = np.array([row.labels[0] for row in rows])
        return cls(
            scores=scores,
            keys=np.array([row.key for row in rows]),
            kinds=np.array([f"{row.labels[0]}, {row.source}" for row in rows]),
            at_risk=labels == SUICIDE,
            ordinary=np.isin(labels, [NOT_SUICIDE, NOT_RELEVANT]),
            severe=labels == Severity.SEVERE,
            ambiguous=labels == AMBIGUOUS,
            unknown=np.zeros(len(rows), dtype=bool),
        )

    def __getitem__(self, chosen: Mask | NDArray[np.int64]) -> Stream:
        return Stream(
            self.scores[chosen],
            self.keys[chosen],
            self.kinds[chosen],
            self.at_risk[chosen],
            self.ordinary[chosen],
            self.severe[chosen],
            self.ambiguous[chosen],
            self.unknown[chosen],
        )

    @property
    def is_whole(self) -> bool:
        """Whether there are both posts of people at risk and others."""
        return bool(self.at_risk.any() and self.ordinary.any())


def alerts(policy: Policy, scores: Scores) -> Mask:
    """Which rows reach a level of `ALERTING`, as `bot.policy.decide` would say, (rows,)."""
    found = np.zeros(len(scores.relevance), dtype=bool)
    for rule in (rule for level in ALERTING for rule in policy.rules(level)):
        matches = scores.relevance >= rule.min_relevance
        if rule.risk is not None:
            matches &= scores.risk[:, rule.risk.rank] >= rule.min_probability
        if rule.severity is not None:
            matches &= scores.severity[:, rule.severity.rank] >= rule.min_probability
        found |= matches
    return found


def bound_of(policy: Policy) -> float:
    """How likely thoughts of dying must be for an alert: the bound of the first urgent rule on ideation.

    Raises UsageError when the policy has no such rule.
    """
    return policy.urgent[_knob(policy)].min_probability


def with_bound(policy: Policy, bound: float) -> Policy:
    """The policy that alerts from that likelihood of ideation on, and never on less likely signs.

    The bound of the first urgent rule on ideation becomes `bound`; any other crisis or urgent rule with a lower one is
    raised to it. The higher the bound, the fewer alerts. Raises UsageError as `bound_of` does.
    """
    knob = _knob(policy)

    def moved(rule: Rule, is_knob: bool) -> Rule:
        states_likelihood = rule.risk is not None or rule.severity is not None
        if is_knob or (states_likelihood and rule.min_probability < bound):
            return rule.model_copy(update={"min_probability": bound})
        return rule

    return policy.model_copy(
        update={
            "crisis": tuple(moved(rule, False) for rule in policy.crisis),
            "urgent": tuple(moved(rule, at == knob) for at, rule in enumerate(policy.urgent)),
        }
    )


def _knob(policy: Policy) -> int:
    for at, rule in enumerate(policy.urgent):
        if rule.risk is Risk.IDEATION and rule.severity is None:
            return at
    raise UsageError("the policy has no urgent rule on ideation alone, whose bound could be moved")


@dataclass(frozen=True, slots=True)
class Burden:
    """What a policy finds and costs: shares of the posts at risk and of severe distress alerted, alerts per 1,000."""

    bound: float
    recall: Figure
    severe_recall: Figure | None
    alerts_per_1000: Figure


def burden(policy: Policy, stream: Stream, share: float, seed: int = 0) -> Burden:
    """The figures of a policy on a whole stream, of which `share` is at risk."""
    truth, alerted, keys = _truth(stream, alerts(policy, stream.scores), stream.unknown)
    measured = figures(
        {"recall": (recall, truth, alerted), "alerts": (alerts_per_1000(share), truth, alerted)}, groups=keys, seed=seed
    )
    severe = _alerted(policy, stream[stream.severe], seed) if stream.severe.any() else None
    return Burden(bound_of(policy), measured["recall"], severe, measured["alerts"])


@dataclass(frozen=True, slots=True)
class Point:
    """One bound on the curve, in plain figures without intervals."""

    bound: float
    recall: float
    alerts_per_1000: float


def curve(policy: Policy, stream: Stream, share: float) -> list[Point]:
    """Recall against alerts for every bound of `BOUNDS`, with fewer and fewer alerts."""
    points = []
    for bound in BOUNDS:
        truth, alerted, _ = _truth(stream, alerts(with_bound(policy, bound), stream.scores), stream.unknown)
        points.append(Point(bound, recall(truth, alerted), alerts_per_1000(share)(truth, alerted)))
    return points


@dataclass(frozen=True, slots=True)
class Benefit:
    """Net benefit per 1,000 posts at one threshold: of acting on P(ideation or more), on every post, on the policy.

    The threshold is a probability in the stream; the model's, which is one among the labelled rows, is held against it
    as what it would be there.
    """

    threshold: float
    model: Figure
    everything: Figure
    policy: Figure


@dataclass(frozen=True, slots=True)
class Deployment:
    """The whole view; `false_alarms` is the share of each kind of other posts that alert."""

    share: float
    at_risk: int
    ordinary: int
    now: Burden
    bounds: tuple[Burden, ...]
    curve: tuple[Point, ...]
    benefits: tuple[Benefit, ...]
    false_alarms: Mapping[str, Figure]


def view(policy: Policy, stream: Stream, share: float, seed: int = 0) -> Deployment:
    """What the policy, and others that differ from it in the bound alone, would mean on a whole stream."""
    others = stream.ordinary | stream.ambiguous
    return Deployment(
        share=share,
        at_risk=int(stream.at_risk.sum()),
        ordinary=int(stream.ordinary.sum()),
        now=burden(policy, stream, share, seed),
        bounds=tuple(burden(with_bound(policy, bound), stream, share, seed) for bound in _SHOWN),
        curve=tuple(curve(policy, stream, share)),
        benefits=tuple(_benefits(policy, stream, share, seed)),
        false_alarms={
            str(kind): _alerted(policy, stream[others & (stream.kinds == kind)], seed)
            for kind in np.unique(stream.kinds[others])
        },
    )


def _benefits(policy: Policy, stream: Stream, share: float, seed: int) -> list[Benefit]:
    truth, likely, keys = _truth(stream, stream.scores.risk[:, Risk.IDEATION.rank])
    _, alerted, _ = _truth(stream, alerts(policy, stream.scores))
    asked: dict[tuple[str, float], Asked] = {}
    for threshold in _THRESHOLDS:
        acted = likely >= _among_labelled(threshold, share, truth.mean())
        decided = {"model": acted, "everything": np.ones(len(truth)), "policy": alerted}
        asked |= {(of, threshold): (net_benefit(share, threshold), truth, each) for of, each in decided.items()}
    measured = figures(asked, groups=keys, seed=seed)
    return [
        Benefit(at, *(scaled(measured[of, at], 1000) for of in ("model", "everything", "policy"))) for at in _THRESHOLDS
    ]


def _among_labelled(threshold: float, share: float, labelled: float) -> float:
    """The probability among labelled rows, of which the share `labelled` is at risk, that is `threshold` in the stream.

    A post of either kind reads alike in both, so that odds differ by those of the two shares alone.
    Source: Saerens, Latinne and Decaestecker 2002, Neural Computation 14(1), 21-41.
    """
    odds = _odds(threshold) * _odds(labelled) / _odds(share)
    return odds / (1 + odds)


def _odds(probability: float) -> float:
    return probability / (1 - probability)


def _alerted(policy: Policy, stream: Stream, seed: int) -> Figure:
    """The share of these rows that the policy alerts to."""
    alerted = alerts(policy, stream.scores)
    return bootstrap(flagged, alerted, alerted, groups=stream.keys.tolist(), seed=seed)


def scaled(figure: Figure, factor: float) -> Figure:
    """The figure and its interval in another unit."""
    return Figure(factor * figure.value, factor * figure.low, factor * figure.high, figure.rows)


def _truth(
    stream: Stream, answer: Floats | Mask, besides: Mask | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    """Which rows of the stream are at risk, of those that are known and those `besides`, the answer and key of each."""
    own = stream.at_risk | stream.ordinary | (False if besides is None else besides)
    return stream.at_risk[own].astype(np.int64), answer[own].astype(np.float64), stream.keys[own].tolist()
