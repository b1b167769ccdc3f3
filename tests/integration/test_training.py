"""Training from made-up posts to a model folder, its card and its record, in this process and with a tiny encoder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from typer.testing import CliRunner

from bot.cli import app
from bot.errors import UsageError
from models.document import Document
from models.encoder import Manifest
from models.errors import DataError, ModelError
from models.heads import TASKS, Heads
from models.hybrid import Hybrid
from models.onnx_export import sha256_of
from models.soft import SoftLabels
from models.train.card import digest
from models.train.data import Opinion
from models.train.training import Course, cross_validate, train
from tests.tiny import tiny_encoder

SEA, BREAD = "the waves and the tide and the harbour", "the flour and the crust and the oven"
Rows = Sequence[Mapping[str, Any]]


def rows(count: int, **labels: tuple[object, object]) -> Rows:
    """Made-up posts, the first about bread and every other one about the sea; `labels` has a value for each kind."""
    return [
        {"text": f"{SEA if at % 2 else BREAD} number {at}", **{key: values[at % 2] for key, values in labels.items()}}
        for at in range(count)
    ]


def write(folder: Path, **files: Rows) -> Path:
    """The data files that are given, and no others."""
    folder.mkdir(exist_ok=True)
    for name, lines in files.items():
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of one narrow layer at its random start, with the tokenizer in the box."""
    return tiny_encoder(tmp_path_factory.mktemp("base"))


@pytest.fixture
def course(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    """A run of a few steps; its data are to be written."""
    monkeypatch.setenv("NIGHTLIGHT_CACHE_DIR", str(tmp_path / "cache"))
    return Course(tmp_path / "data", tmp_path / "mine", tmp_path / "run", base, depth=1, passes=0.1)


def learn(course: Course) -> list[str]:
    """Trains, and what it said of it."""
    said: list[str] = []
    train(course, said.append, lambda *_: None)
    return said


def test_one_file_is_enough(course: Course) -> None:
    """Every other file may be missing: the model is made, measured on what there is, and serves.

    Another run is refused in its folder, and leaves the record of how the checkpoint beside it was made.
    """
    write(course.data, disorder=rows(60, labels=(["none"], ["ocd", "ptsd"])))
    (course.data / "relevance.jsonl.zst").write_bytes(b"of no kind that is read")
    assert learn(course)[0] == "Read labelled posts: disorder 60, invented 429"
    assert list(json.loads((course.run / "config.json").read_text())["data"]) == ["disorder.jsonl"]
    assert Hybrid.load(course.out).assess([]) == []
    before = (course.run / "config.json").read_bytes()
    for other in (replace(course, passes=0.2), replace(course, frozen=True)):
        with pytest.raises(ModelError, match="other data or settings"):
            learn(other)
    assert (course.run / "config.json").read_bytes() == before


def test_too_few_rows_are_refused_before_anything_is_learned(course: Course) -> None:
    """By what is missing: rows to measure or to calibrate on, files at all, or what a skim needs."""
    write(course.data, stress=rows(2, label=("no_stress", "stress")))
    with pytest.raises(DataError, match="of so few rows none is left to"):
        learn(course)
    with pytest.raises(DataError, match="of so few rows none is left to"):
        cross_validate(course, 5, lambda line: None, lambda *_: None)
    write(course.data, relevance=rows(60, label=("not_mh", "mh")))
    with pytest.raises(ModelError, match="a skim needs ordinary posts, and others of high risk"):
        learn(replace(course, skim=True))
    with pytest.raises(DataError, match="has no labelled posts"):
        learn(replace(course, data=write(course.data.with_name("empty"), stress=[])))
    assert not (course.run / "checkpoint.safetensors").exists()


def test_the_card_is_of_this_model_and_no_other(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what the model was made from, by its hashes, and what is known of the research data of those alone."""
    lines = rows(60, label=("supportive", "ideation"))
    write(course.data, risk_cssrs=lines, severity4=rows(60, label=("mild", "severe")))
    learn(course)
    alone = (course.out / "card.md").read_text(encoding="utf-8")
    assert "No other model taught it. No row is labelled by a model." in alone
    assert "60 users in all" in alone
    assert "`mild` has 30 of 60 rows" in alone
    figures = next(line for line in alone.splitlines() if line.startswith("| C-SSRS, five levels, by user |"))
    head = next(line for line in alone.splitlines() if line.startswith("| task | rows"))
    filled = dict(zip(*([cell.strip() for cell in line.split("|")] for line in (head, figures)), strict=True))
    assert all(filled[name] for name in ("weighted F1", "average precision", "mean ordinal error"))
    made = json.loads((course.run / "config.json").read_text())
    monkeypatch.setattr("models.train.card.RESEARCH_DATA", digest(made["data"]))
    pupil = replace(course, out=course.out.with_name("pupil"), run=course.run.with_name("two"), teacher=course.out)
    opinion = Opinion("majority", Document("", f"{SEA} once more"), SoftLabels(relevance=0.75))
    train(pupil, lambda line: None, lambda *_: None, [opinion])
    taught = (pupil.out / "card.md").read_text(encoding="utf-8")
    assert "of what was learned of a post, 50% was its word" in " ".join(taught.split())
    assert "The 1 rows of the set `opinions` are labels of annotators" in taught
    for file in (course.out / "nightlight.json", course.out / "heads.safetensors", course.data / "risk_cssrs.jsonl"):
        assert f"| {file.name} | `{sha256_of(file)}` |" in taught
    for words in ("public research sets", "Published figures", "Reddit, 2008 to 2024", "labelled by psychiatrists"):
        assert words in taught
        assert words not in alone


def lessons_of(run: Path) -> str:
    """The hash of what the network in a run's checkpoint learned from."""
    with safe_open(run / "checkpoint.safetensors", framework="np") as stored:
        lessons: str = json.loads(stored.metadata()["plan"])["lessons"]
    return lessons


def test_a_whole_model_learns_once_more_and_owns_up_to_it(course: Course) -> None:
    """The figures are those of the model without the rows kept apart, number for number; what is served is another one,
    which `--apart` refuses to measure."""
    write(
        course.data,
        stress=rows(80, label=("no_stress", "stress")),
        risk_cssrs=rows(60, label=("supportive", "attempt")),
    )
    learn(course)
    whole = replace(course, out=course.out.with_name("whole"), run=course.run.with_name("whole-run"), whole=True)
    learn(whole)
    assert (whole.run / "metrics.json").read_bytes() == (course.run / "metrics.json").read_bytes()
    assert lessons_of(whole.run) == lessons_of(course.run) != lessons_of(whole.run / "whole")
    assert sha256_of(whole.out / "layers.safetensors") != sha256_of(course.out / "layers.safetensors")
    assert "figures are those of a twin" in (whole.out / "card.md").read_text(encoding="utf-8")
    assert "twin" not in (course.out / "card.md").read_text(encoding="utf-8")
    config = whole.out / "config.toml"
    config.write_text(f"[model]\npath = {json.dumps(str(whole.out))}\n", encoding="utf-8")
    asked = ["evaluate", str(course.data), "--task", "stress", "--annotator", "encoder", "--apart", "--model"]
    tune = ["tune", str(course.data), "--min-recall", "0.9", "--apart", "--config", str(config)]
    for command in ([*asked, str(whole.out)], tune):
        refused = CliRunner().invoke(app, command).exception
        assert isinstance(refused, UsageError)
        assert "learned from those rows too" in str(refused)
    assert CliRunner().invoke(app, [*asked, str(course.out)]).exit_code == 0


def test_layers_are_taken_as_they_are(course: Course) -> None:
    """Heads that rows were read too often for stay what they were, all others follow the rows of today; the card says
    where the layers come from."""
    write(
        course.data,
        stress=rows(80, label=("no_stress", "stress")),
        severity4=rows(80, label=("minimal", "severe"), source=("depsign_2022", "depsign_2022")),
    )
    learn(course)
    write(course.data, relevance=rows(80, label=("not_mh", "mh")))
    anew = replace(course, layers=course.out, out=course.out.with_name("anew"), run=course.run.with_name("again"))
    learn(anew)
    assert (anew.out / "layers.safetensors").read_bytes() == (course.out / "layers.safetensors").read_bytes()
    before, after = (Heads.read(out / "heads.safetensors") for out in (course.out, anew.out))
    for task in ("stress", "whole_severity"):
        assert (before.words[:, TASKS[task]] == after.words[:, TASKS[task]]).all()
        assert before.dense[:, TASKS[task]] == pytest.approx(after.dense[:, TASKS[task]])
    assert (before.dense[:, TASKS["relevance"]] != after.dense[:, TASKS["relevance"]]).any()
    sea = [Document("", SEA)]
    assert Hybrid.load(anew.out).stress(sea) == pytest.approx(Hybrid.load(course.out).stress(sea), abs=1e-4)
    card = (anew.out / "card.md").read_text(encoding="utf-8")
    assert "are taken as they are" in card
    assert f"| layers.safetensors | `{sha256_of(course.out / 'layers.safetensors')}` |" in card


def test_layers_that_may_not_be_taken_are_refused(course: Course) -> None:
    """Those of another base, those that saw what is to be measured on, and none at all, before anything is written."""
    write(course.data, stress=rows(80, label=("no_stress", "stress")))
    learn(course)
    anew = replace(course, layers=course.out, out=course.out.with_name("anew"), run=course.run.with_name("again"))
    manifest = Manifest.read(course.out)
    for refused, known, words in (
        (replace(anew, out=course.out), manifest, "folder of the layers"),
        (replace(anew, base=None), manifest, "layers of another base"),
        (anew, replace(manifest, whole=True), "learned from the rows that are kept apart"),
        (anew, replace(manifest, layers_sha256=""), "no layers of its own"),
    ):
        known.write(course.out)
        with pytest.raises(ModelError, match=words):
            learn(refused)
    assert not (anew.run / "config.json").exists()


def no_number(name: str) -> None:
    """What `json` calls for NaN and the infinities, which are no JSON."""
    raise AssertionError(name)


def test_the_record_is_json_and_no_fold_keeps_a_model(course: Course) -> None:
    """Numbers, lists and nulls alone, of every fold, with stress among the figures; no weights but the checkpoint's."""
    write(
        course.data,
        stress=rows(40, label=("no_stress", "stress")),
        risk_cssrs=rows(60, label=("supportive", "attempt")),
    )
    cross_validate(course, 2, lambda line: None, lambda *_: None)
    folds = json.loads((course.run / "folds.json").read_text(), parse_constant=no_number)
    for name in ("stress: macro_f1", "C-SSRS, five levels, by user: macro_f1"):
        assert len(folds[name]["folds"]) == 2
        assert folds[name]["mean"] == pytest.approx(sum(folds[name]["folds"]) / 2, abs=1e-5)
    for fold in (course.run / "fold-1", course.run / "fold-2"):
        measured = json.loads((fold / "metrics.json").read_text(), parse_constant=no_number)
        (part,) = next(card["parts"] for card in measured["encoder"] if card["task"] == "stress")
        assert isinstance(part["slices"][0]["confusion"]["rows"], list)
        assert {file.name for file in fold.rglob("*.safetensors")} == {"checkpoint.safetensors"}
    assert not course.out.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--frozen", "--teacher", "large"], "--frozen learns no layers"),
        (["--frozen", "--depth", "2"], "--frozen learns no layers"),
        (["--frozen", "--rate", "0.001"], "--frozen learns no layers"),
        (["--frozen", "--passes", "2"], "--frozen learns no layers"),
        (["--frozen", "--layers", "large"], "--frozen learns no layers"),
        (["--layers", "large", "--depth", "2"], "--layers learns no others"),
        (["--layers", "large", "--teacher", "large"], "--layers learns no others"),
        (["--folds", "2", "--layers", "large"], "that the layers learned from"),
        (["--folds", "2", "--skim"], "--folds makes no model"),
        (["--folds", "2", "--whole"], "--folds makes no model"),
        (["--folds", "2", "--teacher", "large"], "that the teacher may have learned from"),
        (["--seed", "-1"], "equal to 0"),
    ],
)
def test_no_option_is_left_out_of_account(tmp_path: Path, options: list[str], words: str) -> None:
    """What has no part in the run that is asked for is refused, and nothing is written."""
    asked = CliRunner().invoke(app, ["train", "--data", str(tmp_path), "--out", str(tmp_path / "mine"), *options])
    assert asked.exit_code
    assert words in f"{asked.output} {asked.exception}"
    assert list(tmp_path.iterdir()) == []
