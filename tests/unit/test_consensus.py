"""Merging votes: what holds for any votes, and what Dawid and Skene's method is for."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.label_lines import Labelled
from models.agreement import MISSING, Ints
from models.annotation import Annotation, Status
from models.consensus import Method, decide, merge
from models.heads import TASKS
from models.labels import Disorder, Relevance, Risk, Severity
from models.soft import SoftLabels

LEVELS = 4
ONE_VOTE = st.one_of(st.just(MISSING), st.integers(0, LEVELS - 1))
VOTES = st.integers(1, 4).flatmap(
    lambda annotators: st.lists(st.lists(ONE_VOTE, min_size=annotators, max_size=annotators), min_size=1, max_size=12)
)
METHODS = pytest.mark.parametrize("method", list(Method))


def votes_of(rows: Sequence[Sequence[int]]) -> Ints:
    """Votes of (posts, annotators)."""
    return np.array(rows, dtype=np.int64)


@METHODS
@given(rows=VOTES)
@settings(max_examples=40)
def test_probabilities_are_probabilities_and_silence_is_none(method: Method, rows: list[list[int]]) -> None:
    """A post with a vote has values that add up to 1; a post without has none, and never a no."""
    votes = votes_of(rows)
    merged = merge(votes, LEVELS, method)
    silent = (votes == MISSING).all(axis=1)
    assert np.isnan(merged[silent]).all()
    assert (decide(merged)[silent] == MISSING).all()
    assert ((merged[~silent] >= 0) & (merged[~silent] <= 1)).all()
    assert merged[~silent].sum(axis=1) == pytest.approx(1)


@METHODS
@given(rows=VOTES, rng=st.randoms())
@settings(max_examples=40)
def test_nobody_comes_first(method: Method, rows: list[list[int]], rng: st.DataObject) -> None:
    """The order of posts and of annotators, and somebody who never says anything, change nothing."""
    votes = votes_of(rows)
    posts, annotators = np.arange(votes.shape[0]), np.arange(votes.shape[1])
    rng.shuffle(posts)  # type: ignore[attr-defined]
    rng.shuffle(annotators)  # type: ignore[attr-defined]
    silent = np.full((len(votes), 1), MISSING)
    shuffled = np.hstack([votes[posts][:, annotators], silent])
    expected = merge(votes, LEVELS, method)[posts]
    assert merge(shuffled, LEVELS, method) == pytest.approx(expected, abs=1e-6, nan_ok=True)


@given(rows=VOTES)
@settings(max_examples=60)
def test_a_majority_is_the_share_of_its_votes(rows: list[list[int]]) -> None:
    """Each vote counts alike; more than half of the votes decide."""
    merged = merge(votes_of(rows), LEVELS, Method.MAJORITY)
    for row, likely, decided in zip(rows, merged, decide(merged), strict=True):
        given_ = [vote for vote in row if vote != MISSING]
        for level in range(LEVELS) if given_ else ():
            assert likely[level] == pytest.approx(given_.count(level) / len(given_))
            if given_.count(level) > len(given_) / 2:
                assert decided == level


@pytest.mark.parametrize(
    ("row", "decided"), [([0, 1], 1), ([0, 3], 3), ([0, 0, 3, 3], 3), ([0, 1, 3], 1), ([0, 0, 1, 2, 2, 3], 2)]
)
def test_of_two_halves_the_higher_one_holds(row: list[int], decided: int) -> None:
    """A tie goes to what needs a person more, and three who part meet in the middle."""
    assert decide(merge(votes_of([row]), LEVELS, Method.MAJORITY))[0] == decided


def test_whoever_errs_less_counts_more() -> None:
    """Two who guess cannot outvote one who knows, once there are posts enough to see it."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 2000)
    right = (0.97, 0.60, 0.60, 0.60)
    votes = np.stack([np.where(rng.random(2000) < share, truth, 1 - truth) for share in right], axis=1)
    accuracy = {method: float(np.mean(decide(merge(votes, 2, method)) == truth)) for method in Method}
    assert accuracy[Method.DAWID_SKENE] > 0.95 > accuracy[Method.MAJORITY] + 0.1


def test_one_annotator_alone_is_repeated() -> None:
    """With a single vote a post, either method says what that vote says."""
    votes = votes_of([[0], [3], [2], [0]])
    for method in Method:
        assert decide(merge(votes, LEVELS, method)).tolist() == [0, 3, 2, 0]


SHARE = st.floats(0, 1).map(lambda p: round(p, 4))


def scale(size: int) -> st.SearchStrategy[list[float]]:
    """Probabilities that add up to 1."""
    return st.lists(st.integers(0, 50), min_size=size, max_size=size).map(
        lambda weights: [(weight + 1e-9) / (sum(weights) + size * 1e-9) for weight in weights]
    )


@given(SHARE, st.lists(SHARE, min_size=9, max_size=9), scale(4), scale(5))
def test_soft_labels_survive_their_file(
    relevance: float, disorders: list[float], severity: list[float], risk: list[float]
) -> None:
    """What is written comes back, to six digits, and the same to learn from; along a scale it never rises."""
    soft = SoftLabels(
        relevance,
        dict(zip(Disorder, disorders, strict=True)),
        dict(zip(Severity, severity, strict=True)),
        dict(zip(Risk, risk, strict=True)),
    )
    line = Labelled("p1", "majority", Annotation(Status.OK), 0.0, soft, {Status.OK: 2})
    read = Labelled.of_line(line.to_line())
    assert read.votes == {Status.OK: 2}
    assert read.soft_labels.targets() == pytest.approx(soft.targets(), abs=1e-5, nan_ok=True)
    for task in ("severity", "risk"):
        assert (np.diff(soft.targets()[TASKS[task]]) <= 1e-6).all()


def test_one_annotator_is_sure_and_what_was_not_said_is_unknown() -> None:
    """Labels become zeros and ones, a scale one a level above its lowest, and None becomes no number."""
    annotation = Annotation(
        Status.OK, Relevance.MENTAL_HEALTH, frozenset({Disorder.PTSD}), severity=Severity.MODERATE, risk=None
    )
    targets = SoftLabels.of(annotation).targets()
    assert targets[TASKS["relevance"]].tolist() == [1]
    assert targets[TASKS["disorders"]].tolist() == [float(label is Disorder.PTSD) for label in Disorder]
    assert targets[TASKS["severity"]].tolist() == [1, 1, 0]
    assert np.isnan(targets[TASKS["risk"]]).all()


@pytest.mark.parametrize(
    "soft",
    [
        {"relevance": 1.2},
        {"disorders": {"ocd": 1.0}},
        {"severity": {"minimal": 0.5, "mild": 0.5, "moderate": 0.5, "severe": 0.5}},
        {"risk": {"none": 1.0}},
        {"risk": {"none": 1.0, "crisis": 0.0}},
    ],
)
def test_probabilities_that_cannot_be_are_no_labels(soft: dict[str, object]) -> None:
    """A file is not believed when its numbers are none."""
    with pytest.raises(ValueError, match=r".+"):
        Labelled.of_line(json.dumps({"id": "x", "status": "ok", "soft": soft}).encode())
