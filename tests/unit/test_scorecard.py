"""Scores against labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from models.document import Document
from models.errors import DataError, ModelError
from models.judged import Scores, judge_stress
from models.labelled import Row
from models.labels import Disorder, Risk, Severity, Task
from models.scorecard import Scorecard, judge_rows, read, score, score_stress
from tests.conftest import KeywordClassifier


def rows(*labels: str | tuple[str, ...], source: str = "s", claimed: tuple[str, ...] = ()) -> list[Row]:
    """A row for each label."""
    several = [each if isinstance(each, tuple) else (each,) for each in labels]
    return [Row(str(at), "x", source, Document("", f"text {at}"), of, "", claimed) for at, of in enumerate(several)]


def scores(count: int, **given: ArrayLike) -> Scores:
    """Scores of nothing at all, but for what is given."""
    nothing = Scores(
        relevance=np.zeros(count),
        disorders=np.zeros((count, len(Disorder))),
        severity=np.tile([1.0, 0, 0, 0], (count, 1)),
        risk=np.tile([1.0, 0, 0, 0, 0], (count, 1)),
    )
    return replace(nothing, **{name: np.array(value, dtype=float) for name, value in given.items()})


def test_relevance_is_decided_at_one_half() -> None:
    """The ambiguous are no part of it, and are counted as false alarms."""
    labelled = rows("mh", "not_mh", "mh", "ordinary_with_mh_terms", "ordinary_with_mh_terms")
    card = score(Task.RELEVANCE, labelled, scores(5, relevance=[0.5, 0.1, 0.4, 0.9, 0.2]))
    (part,) = card.parts
    everything = part.slices[0]
    assert everything.rows == 3
    assert everything.confusion.rows.tolist() == [[1, 0], [1, 1]]
    assert everything.labels["mh"]["recall"].value == 0.5
    assert card.others["ambiguous posts called relevant"].value == 0.5


def test_severity_is_scored_source_by_source_over_the_levels_it_knows() -> None:
    """A source without `mild` has no figure for it, and a decision for it is wrong."""
    three = rows("minimal", "moderate", "severe", source="depsign_2022")
    four = rows("minimal", "mild", "moderate", "severe", source="naseem_severity")
    reached = [[1, 0.2, 0, 0], [1, 0.9, 0.2, 0], [1, 1, 1, 0.7], *np.tri(4).tolist()]
    first, second = score(Task.SEVERITY, three + four, scores(7, severity=reached)).parts
    assert first.name == "severity, depsign_2022"
    assert list(first.slices[0].labels) == ["minimal", "moderate", "severe"]
    assert first.slices[0].confusion.rows.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert first.slices[0].overall["balanced_accuracy"].value == pytest.approx(2 / 3)
    assert first.slices[0].overall["mean_ordinal_error"].value == pytest.approx(1 / 3)
    assert second.slices[0].overall["balanced_accuracy"].value == 1.0
    assert [list(part.slices[0].reliability) for part in (first, second)] == [
        ["moderate", "severe"],
        ["mild", "moderate", "severe"],
    ]


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        (Task.RELEVANCE, ("mh", "not_mh", "ordinary_with_mh_terms")),
        (Task.DISORDERS, ("adhd", "ocd", "none")),
        (Task.SEVERITY, ("minimal", "severe", "mild")),
        (Task.RISK, ("suicide", "non_suicide", "ordinary_with_mh_terms", "ideation")),
        (Task.STRESS, ("stress", "no_stress")),
    ],
)
def test_rows_of_one_author_count_as_one(task: Task, labels: tuple[str, ...]) -> None:
    """Who wrote five posts alike makes no figure surer than who wrote one."""
    written = rows(*labels * 6)
    given = np.random.default_rng(1).random((len(written), 5))
    reached = np.minimum.accumulate(np.hstack([np.ones((len(written), 1)), given[:, 1:]]), axis=1)

    def card(times: int) -> Scorecard:
        many = [row for row in written for _ in range(times)]
        sure, steps = np.repeat(given, times, axis=0), np.repeat(reached, times, axis=0)
        if task is Task.STRESS:
            return score_stress(many, sure[:, 0])
        disorders = np.repeat(sure[:, :1], len(Disorder), axis=1)
        judged = scores(len(many), relevance=sure[:, 0], disorders=disorders, severity=steps[:, :4], risk=steps)
        return score(task, many, judged)

    def intervals(found: Scorecard) -> list[float]:
        slices = [piece for part in found.parts for piece in part.slices]
        measured = [*found.others.values(), *(figure for piece in slices for figure in piece.overall.values())]
        return [end for figure in measured for end in (figure.low, figure.high)]

    assert intervals(card(5)) == pytest.approx(intervals(card(1)), nan_ok=True)


def test_suicide_is_ideation_or_more() -> None:
    """Indicators alone are not."""
    reached = [[1, 1, 0.5, 0, 0], [1, 1, 0.4, 0.4, 0.4]]
    (part,) = score(Task.RISK, rows("suicide", "non_suicide"), scores(2, risk=reached)).parts
    assert part.slices[0].overall["balanced_accuracy"].value == 1.0


def test_a_user_stands_where_the_gravest_post_stands() -> None:
    """Five levels by user; `supportive` is none."""
    texts = {
        "attempt": "fine today\n\nattempt",
        "supportive": "you can do it\n\nstay",
        "ideation": "ideation\n\nindicator",
    }
    users = [Row(label, "risk_cssrs", "s", Document("", text), (label,)) for label, text in texts.items()]
    (part,) = score(Task.RISK, users, judge_rows(KeywordClassifier(), users)).parts
    everything = part.slices[0]
    assert everything.overall["macro_f1"].value == 1.0
    assert list(everything.labels) == ["supportive", "ideation", "attempt"]
    assert everything.confusion.decisions == ("supportive", *(level.value for level in list(Risk)[1:]))


def test_what_an_author_claims_is_unknown() -> None:
    """A disorder that the author says they have, and the row is not labelled with, is neither right nor wrong."""
    p = np.zeros((2, len(Disorder)))
    p[:, 0], p[:, 1] = 0.9, 0.9  # depression and anxiety
    labelled = rows("depression", source="a", claimed=("anxiety",)) + rows("depression", source="a")
    everything = score(Task.DISORDERS, labelled, scores(2, disorders=p)).parts[0].slices[0]
    assert everything.labels["depression"]["f1"].value == 1.0
    assert everything.labels["anxiety"]["precision"].value == 0.0
    assert [(each.rows, each.happened) for each in everything.reliability["depression"]] == [(2, 1.0)]
    assert [(each.rows, each.happened) for each in everything.reliability["anxiety"]] == [(1, 0.0)]
    only_claimed = score(Task.DISORDERS, labelled[:1], scores(1, disorders=p[:1])).parts[0].slices[0]
    assert only_claimed.overall["expected_calibration_error"].value == pytest.approx(0.1 / 8)


def test_rows_that_name_their_label_are_apart() -> None:
    """All, without them, with them, and then each source."""
    labelled = [
        Row("1", "x", "a", Document("", "I have adhd"), ("adhd",), names_label=True),
        Row("2", "x", "b", Document("", "I forget"), ("adhd",), names_label=False),
    ]
    slices = score(Task.DISORDERS, labelled, scores(2)).parts[0].slices
    names = [(each.name, each.rows) for each in slices]
    assert names[:3] == [("all rows", 2), ("label not named in the text", 1), ("label named in the text", 1)]
    assert names[3:] == [("source a", 1), ("source b", 1)]


def test_stress_needs_a_classifier_that_judges_it() -> None:
    """One that does is scored like any yes or no; of another the error says so."""

    class Stressed(KeywordClassifier):
        def stress(self, documents: Sequence[Document]) -> list[float]:
            return [0.9 for _ in documents]

    labelled = rows("stress", "no_stress")
    documents = [row.document for row in labelled]
    (part,) = score_stress(labelled, judge_stress(Stressed(), documents)).parts
    assert part.slices[0].labels["stress"]["recall"].value == 1.0
    with pytest.raises(ModelError, match="does not judge stress"):
        judge_stress(KeywordClassifier(), documents)


def test_rows_are_read_for_the_task(tmp_path: Path) -> None:
    """Of a folder the files of the task, and of them what is of use; of one file the rows with labels of the task."""
    lines: dict[str, list[str]] = {
        "severity4": [Severity.SEVERE, Severity.MILD],
        "risk_binary": ["suicide", "non_suicide"],
        "relevance": ["mh", "not_mh"],
    }
    for name, labels in lines.items():
        text = "\n".join(json.dumps({"text": f"{name} {label}", "label": label}) for label in labels)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    assert [row.labels[0] for row in read(Task.RISK, tmp_path)] == ["suicide", "non_suicide", "severe", "not_mh"]
    assert len(read(Task.RISK, tmp_path, limit=1)) == 3
    assert read(Task.RISK, tmp_path, limit=1, seed=4) == read(Task.RISK, tmp_path, limit=1, seed=4)
    assert len(read(Task.SEVERITY, tmp_path / "severity4.jsonl")) == 2
    counts: list[int] = []
    read(Task.RISK, tmp_path, on_unknown=counts.append)
    (tmp_path / "risk_binary.jsonl").write_text('{"text": "a", "label": "none"}\n{"text": "b", "label": "suicide"}')
    read(Task.RISK, tmp_path, on_unknown=counts.append)
    assert counts == [0, 1]
    with pytest.raises(DataError, match="no row is labelled for risk"):
        read(Task.RISK, tmp_path / "severity4.jsonl")
    for data in (tmp_path, tmp_path / "relevance.jsonl"):
        with pytest.raises(DataError, match="no row is labelled for stress"):
            read(Task.STRESS, data)
