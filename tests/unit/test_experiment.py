"""The parts of an experiment: settings, posts, learners, the second reader, and the figures."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import BaseModel

from bot.errors import ConfigError, UsageError
from bot.experiment.readers import raised
from bot.experiment.sample import draw
from bot.experiment.settings import AnnotatorSettings, Experiment, ModelSettings, People, load
from bot.experiment.study import Study
from bot.experiment.table import f1
from bot.label_lines import Labelled
from models.annotation import Annotation, Status
from models.document import Document
from models.heads import OUTPUTS, TASKS, Floats
from models.labels import Disorder, Relevance, Risk, Severity, Task
from models.soft import SoftLabels
from models.train.data import FOLDS
from models.train.learners import LEARNERS, balanced

DOCS = Path(__file__).parents[2] / "docs"
SECTIONS: Mapping[str, type[BaseModel]] = {
    "": Experiment,
    "annotators": AnnotatorSettings,
    "models": ModelSettings,
    "people": People,
}


def test_the_example_shows_every_key_and_the_page_explains_it() -> None:
    """docs/experiment.toml can be read as it is, names every key, and docs/experiment.md lists each."""
    example = (DOCS / "experiment.toml").read_text(encoding="utf-8")
    page = (DOCS / "experiment.md").read_text(encoding="utf-8")
    assert load(DOCS / "experiment.toml").limit == 1000
    for name, section in SECTIONS.items():
        for key in section.model_fields:
            if key not in SECTIONS:
                assert re.search(rf"^(# )?{key} = ", example, re.MULTILINE), f"{name}.{key}"
            assert re.search(rf"`\[*{key}\]*`", page), f"{name}.{key}"


RULES = '[[annotators]]\nname = "rules"\nkind = "rules"\n'


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("", "annotators"),
        (RULES + RULES, "the name rules is there twice"),
        ('[[annotators]]\nname = "people"\nkind = "rules"\n', "people is there twice"),
        ('[[annotators]]\nname = "../rules"\nkind = "rules"\n', "annotators.0.name"),
        ('[[annotators]]\nname = "a--b"\nkind = "rules"\n', "annotators.0.name"),
        ('[[annotators]]\nname = "a"\nkind = "llm"\n', "a needs base_url and model"),
        (RULES + 'second = "x"\n', "rules is no hybrid"),
        ('[[annotators]]\nname = "h"\nkind = "hybrid"\nsecond = "x"\n', "there is no llm annotator x"),
        ('[[annotators]]\nname = "a"\nkind = "rules"\nkey_from = "AWS_SECRET_ACCESS_KEY"\n', "key_from"),
        ('consensus = ["majority"]\n' + RULES, "a consensus takes two"),
        (RULES + '[[models]]\nname = "m"\nlearner = "oracle"\n', "models.0.learner"),
        (RULES + "sed = 1\n", "unknown key annotators.0.sed"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path: Path, more: str, words: str) -> None:
    """A wrong file names the key; a name never leaves its folder, and no other secret goes to a server."""
    file = tmp_path / "e.toml"
    file.write_text(f'posts = "p.jsonl"\nout = "o"\n{more}', encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        load(file)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def experiment(folder: Path, **changes: object) -> Experiment:
    """An experiment with the dictionary alone."""
    fields = {"posts": folder / "p.jsonl", "out": folder / "o", "annotators": [{"name": "rules", "kind": "rules"}]}
    return Experiment.model_validate({**fields, **changes})


def test_the_seed_draws_posts_and_people_come_first(tmp_path: Path) -> None:
    """Which posts are drawn depends on their ids alone; those that people labelled come before all others."""
    rows = [{"id": f"p{number}", "title": "", "selftext": f"text {number}"} for number in range(200)]
    write(tmp_path / "p.jsonl", rows)
    write(tmp_path / "h.jsonl", [{"id": f"p{number}", "status": "ok", "risk": "none"} for number in range(0, 200, 20)])
    people = {"file": tmp_path / "h.jsonl"}
    chosen = set(draw(experiment(tmp_path, limit=50, people=people)).ids)
    assert len(chosen) == 50
    assert {f"p{number}" for number in range(0, 200, 20)} <= chosen
    write(tmp_path / "p.jsonl", rows[::-1])
    assert set(draw(experiment(tmp_path, limit=50, people=people)).ids) == chosen
    assert set(draw(experiment(tmp_path, limit=50, people=people, seed=21)).ids) != chosen


def test_one_author_and_one_text_are_in_one_fold(tmp_path: Path) -> None:
    """No model is asked about the author, or the text, that it learnt from; all five folds are used."""
    rows = [
        {"id": f"p{number}", "author": f"a{number % 40}", "title": "", "selftext": f"words {number // 2}"}
        for number in range(0, 400, 3)
    ]
    write(tmp_path / "p.jsonl", rows)
    sample = draw(experiment(tmp_path))
    folds: dict[object, set[int]] = {}
    by_id = dict(zip(sample.ids, sample.folds, strict=True))
    for row in rows:
        for key in (row["author"], row["selftext"]):
            folds.setdefault(key, set()).add(by_id[str(row["id"])])
    assert {len(found) for found in folds.values()} == {1}


def test_rows_that_people_labelled_are_labels(tmp_path: Path) -> None:
    """Labelled rows of one source become what people say; too few posts, or none in common, is an error."""
    rows = [
        {"id": f"p{number}", "source": "ab"[number % 2], "text": f"text {number}", "label": "severe"}
        for number in range(20)
    ]
    write(tmp_path / "severity4.jsonl", rows)
    people = {"file": tmp_path / "severity4.jsonl", "task": "severity", "source": "a"}
    sample = draw(experiment(tmp_path, posts=tmp_path / "severity4.jsonl", people=people))
    assert set(sample.people) == {f"p{number}" for number in range(0, 20, 2)}
    assert {line.annotation.severity for line in sample.people.values()} == {Severity.SEVERE}
    write(tmp_path / "p.jsonl", [{"id": f"q{number}", "title": "other"} for number in range(20)])
    with pytest.raises(UsageError, match="no labels for any post"):
        draw(experiment(tmp_path, people=people))
    write(tmp_path / "p.jsonl", [{"id": "p1", "title": "one"}])
    with pytest.raises(UsageError, match="has 1 posts"):
        draw(experiment(tmp_path))


def test_labels_of_another_dictionary_are_made_anew_and_those_of_another_model_are_not(tmp_path: Path) -> None:
    """After an upgrade a local annotator labels anew, its files beside; what may have cost money is left and told."""
    rows = [{"id": f"p{number}", "title": f"text {number}"} for number in range(20)]
    write(tmp_path / "p.jsonl", rows)
    settings = experiment(tmp_path)
    study = Study(settings, draw(settings))
    study.begin()
    file = study.labels_file("rules")
    before, model = {"rules": "1", "encoder": "2"}, {"llm": "qwen", "prompt": "zero_shot 1"}
    lines = [
        Labelled("p1", "rules", Annotation(Status.FAILED, versions={"rules": "0"}), 0.0),
        Labelled("p2", "rules", Annotation(Status.OK, versions={**before, **model}), 0.0),
    ]
    file.write_bytes(b"".join(line.to_line() for line in lines))
    assert not study.set_aside("rules", {**before, **model})
    with pytest.raises(UsageError, match=r"zero_shot 1, and rules is now .* Move that file away to label anew"):
        study.set_aside("rules", {**before, **model, "prompt": "zero_shot 2"})
    assert file.exists()
    written = file.read_bytes()
    for name in ("before", "before-2", "before-3"):
        assert study.set_aside("rules", {**model, "rules": "3", "encoder": "2"})
        assert not file.exists()
        assert file.with_name(f"rules.jsonl.{name}").read_bytes() == written
        assert not study.set_aside("rules", {"rules": "3"})
        written += lines[1].to_line()
        file.write_bytes(written)


ANNOTATIONS = st.builds(
    Annotation,
    st.sampled_from(list(Status)),
    relevance=st.sampled_from(list(Relevance)),
    disorders=st.frozensets(st.sampled_from(list(Disorder))),
    severity=st.sampled_from(list(Severity)),
    risk=st.sampled_from(list(Risk)),
    prompt_tokens=st.integers(0, 9),
    cached=st.booleans(),
)


@given(ANNOTATIONS, ANNOTATIONS.filter(lambda each: each.status is not Status.FAILED))
def test_a_second_reader_takes_nothing_away(local: Annotation, reading: Annotation) -> None:
    """Levels only rise, disorders are only added, and whatever is no answer changes no label."""
    local = replace(local, status=Status.OK)
    both = raised(local, reading)
    assert (both.status, both.cached) == (Status.OK, reading.cached)
    assert both.risk is not None and local.risk is not None and both.risk >= local.risk
    assert both.severity is not None and local.severity is not None and both.severity >= local.severity
    assert (both.disorders or frozenset()) >= (local.disorders or frozenset())
    assert Relevance.MENTAL_HEALTH in (both.relevance, Relevance.MENTAL_HEALTH)
    assert (local.relevance is Relevance.MENTAL_HEALTH) <= (both.relevance is Relevance.MENTAL_HEALTH)
    assert both.prompt_tokens == local.prompt_tokens + reading.prompt_tokens
    if reading.status is not Status.OK:
        assert SoftLabels.of(both) == SoftLabels.of(local)


def test_a_second_reader_that_is_away_leaves_the_post_for_later() -> None:
    """An outage is no finished reading: the post counts as failed, is tried again, and shows what it cost so far."""
    local = Annotation(Status.OK, Relevance.OTHER, frozenset(), Severity.MINIMAL, Risk.NONE, seconds=1.0)
    away = Annotation(Status.FAILED, prompt_tokens=9, seconds=2.0, error="InternalServerError 503")
    assert raised(local, away) == replace(away, seconds=3.0)


@given(
    arrays.arrays(np.float32, (12, OUTPUTS), elements=st.sampled_from([0.0, 0.25, 1.0, float("nan")]))  # type: ignore[arg-type]
)
def test_yes_weighs_as_much_as_no(targets: Floats) -> None:
    """For every output both sides weigh the same, unless one is so rare that its rows would count ten times."""
    weights = balanced(targets)
    assert (weights[np.isnan(targets)] == 0).all()
    assert (weights <= 10.01).all()
    for column in range(OUTPUTS):
        known = ~np.isnan(targets[:, column])
        yes, no = targets[known, column].sum(), (1 - targets[known, column]).sum()
        if yes > 0 and no > 0:
            rows = known.sum()
            assert rows / (2 * yes) * yes == pytest.approx(rows / (2 * no) * no)
            of_yes, of_no = min(rows / (2 * yes), 10), min(rows / (2 * no), 10)
            expected = targets[known, column] * of_yes + (1 - targets[known, column]) * of_no
            assert weights[known, column] == pytest.approx(expected, rel=1e-4)


def hard(levels: Sequence[Severity | None]) -> Floats:
    """Severity alone, as arrays."""
    return np.stack([SoftLabels.of(Annotation(Status.OK, severity=level)).targets() for level in levels])


def test_no_answer_is_a_miss_and_an_unknown_truth_is_left_out() -> None:
    """Silence never counts as right, not even on a harmless post, and only posts with a known truth count."""
    truth = hard([Severity.MINIMAL, Severity.MINIMAL, Severity.SEVERE, Severity.SEVERE, None])
    same = f1(Task.SEVERITY, truth, truth, 1)
    assert same is not None
    assert (same.value, same.rows) == (1.0, 4)
    silent = f1(Task.SEVERITY, truth, hard([None, None, Severity.SEVERE, Severity.SEVERE, Severity.MILD]), 1)
    assert silent is not None
    assert silent.value == pytest.approx(0.5)
    half = f1(Task.SEVERITY, truth, hard([Severity.MINIMAL, None, Severity.SEVERE, None, None]), 1)
    assert half is not None
    assert half.value == pytest.approx(2 / 3)
    assert f1(Task.RISK, truth, truth, 1) is None
    assert f1(Task.RISK, None, truth, 1) is None


HEAVY = ("I cannot get out of bed and cry", "crying every night, nothing helps, so heavy", "I cry and sleep all day")
LIGHT = ("the kettle is broken, which one to buy", "my bicycle chain slips", "a broken bicycle and a kettle to buy")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind == "fine-tuned")) for kind in sorted(LEARNERS)]
)
def test_a_learner_learns_and_repeats(kind: str) -> None:
    """It tells apart what its annotator told apart, never rises along a scale, and does the same every time."""
    documents = [Document("", f"{text} {number}") for number in range(6) for text in (*HEAVY, *LIGHT)]
    heavy = np.array([text in HEAVY for _ in range(6) for text in (*HEAVY, *LIGHT)])
    targets = np.full((len(documents), OUTPUTS), np.nan, dtype=np.float32)
    targets[:, TASKS["severity"]] = np.where(heavy, 0.9, 0.1)[:, None]
    targets[:, TASKS["relevance"]] = 1
    learner = LEARNERS[kind]("it", None)
    asked = [Document("", HEAVY[0]), Document("", LIGHT[0])]
    first, again = (learner.fit(documents, targets, balanced(targets), 1).assess(asked) for _ in range(2))
    assert first == again
    crying, kettle = (each.severity.at_least(Severity.SEVERE) for each in first)
    assert crying > 0.5 > kettle
    assert all(probability >= 0 for each in first for probability in each.severity.probs.values())
    assert all(each.relevance > 0.5 for each in first)


def test_the_file_knows_the_learners_there_are() -> None:
    """Every learner can be named, and nothing else; and the five folds of the report are five."""
    assert set(get_args(ModelSettings.model_fields["learner"].annotation)) == set(LEARNERS)
    assert FOLDS == 5
