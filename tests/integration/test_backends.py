"""The same model, run by torch and by ONNX Runtime, in float32 and in int8. Every post here is made up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.cli.base import Annotator, classifier_of, settings_of
from bot.demo import samples
from models.document import Document
from models.encoder import Encoder, Manifest, Reader, shipped_folder
from models.heads import Encoded
from models.judged import judge_stress
from models.labelled import Row
from models.labels import Disorder, Task
from models.onnx_export import export_float32
from models.scorecard import Scorecard, judge_rows, read, score, score_stress
from models.torch_reader import TorchReader
from models.windows import Windows

DATA = os.environ.get("NIGHTLIGHT_LABELLED_POSTS")
LONG = "The kettle sang and the rain went on, and I cannot stop thinking that nobody would miss me. " * 60
DOCUMENTS = [*(Document(post.title, post.selftext) for post in samples()), Document("", LONG), Document("", "")]
FEW = [*DOCUMENTS[:-2:6], *DOCUMENTS[-2:]]  # torch in float32 takes its time


@pytest.fixture(scope="module")
def float32(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """The network in the box as ONNX, not quantised."""
    folder = shipped_folder()
    manifest = Manifest.read(folder)
    blueprint = manifest.blueprint(folder)
    file = tmp_path_factory.mktemp("float32") / "float32.onnx"
    export_float32(blueprint, file)
    return Reader(Windows(blueprint.base / "tokenizer.json", manifest.window_tokens, manifest.windows), file)


@pytest.fixture(scope="module")
def torch_encoder() -> Encoder:
    """The model in the box, run by torch."""
    return Encoder.load(backend="torch")


def test_the_option_chooses_what_runs_the_network() -> None:
    """`--backend torch` takes the place of the configured backend, and torch it is that reads."""
    assert settings_of(None).model.backend == "onnx"
    encoder = classifier_of(settings_of(None, "torch"), Annotator.ENCODER)
    assert isinstance(encoder, Encoder)
    assert isinstance(encoder.reader, TorchReader)


def test_torch_judges_as_float32_does(torch_encoder: Encoder, float32: Reader) -> None:
    """No probability of any post moves by more than 0.001, be it long, short or empty."""
    exact = torch_encoder.reading_with(float32).probabilities(FEW)
    assert np.abs(torch_encoder.probabilities(FEW) - exact).max() < 1e-3


def test_torch_gives_a_post_its_own_numbers_among_others(torch_encoder: Encoder) -> None:
    """What is read beside it, and the padding that takes, move nothing that anybody could see."""
    alone = np.concatenate([torch_encoder.probabilities([document]) for document in FEW[-6:]])
    assert np.abs(torch_encoder.probabilities(FEW)[-6:] - alone).max() < 1e-4


def test_torch_cuts_a_text_as_onnx_does(torch_encoder: Encoder, float32: Reader) -> None:
    """The same windows, in the same order, one vector each."""
    read: list[Encoded] = list(torch_encoder.reader.read([LONG, "", "a word"]))
    for post, windows in zip(read, float32.tokens([LONG, "", "a word"]), strict=True):
        assert [part.tolist() for part in post.tokens] == [part.tolist() for part in windows]
        assert len(post.vectors) == len(windows)


def drops(float32: Encoder, int8: Encoder, data: Path, limit: int | None) -> dict[str, float]:
    """By head: how much less macro-F1 int8 has than float32 on the labelled rows of a folder."""
    found = {}
    for task in Task:
        rows = read(task, data, limit)
        for part, other in zip(*(card(encoder, task, rows).parts for encoder in (float32, int8)), strict=True):
            exact, quick = (each.slices[0].overall["macro_f1"].value for each in (part, other))
            found[part.name] = exact - quick
    return found


def card(encoder: Encoder, task: Task, rows: Sequence[Row]) -> Scorecard:
    """What an encoder gets right of rows labelled for a task."""
    if task is Task.STRESS:
        return score_stress(rows, judge_stress(encoder, [row.document for row in rows]))
    return score(task, rows, judge_rows(encoder, rows))


def test_int8_decides_as_float32_does_on_invented_posts(float32: Reader) -> None:
    """No head decides otherwise about more than 5 % of the invented posts; labelled ones show what that costs.

    Most of it is severity, where a rare level counts several times as much as its probability.
    """
    served = Encoder.load()

    def decisions(encoder: Encoder) -> dict[str, NDArray[np.int64]]:
        said = encoder.assess(DOCUMENTS)
        return {
            "relevance": np.array([each.relevance >= 0.5 for each in said]).astype(np.int64),
            "disorders": np.array([[each.disorders[one] >= 0.5 for one in Disorder] for each in said]).astype(np.int64),
            "severity": np.array([each.severity.level.rank for each in said]),
            "risk": np.array([each.risk.level.rank for each in said]),
        }

    exact, quick = decisions(served.reading_with(float32)), decisions(served)
    assert {head: share for head in exact if (share := float(np.mean(exact[head] != quick[head]))) > 0.05} == {}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not DATA, reason="needs NIGHTLIGHT_LABELLED_POSTS, a folder of labelled posts")
def test_int8_loses_nothing_on_labelled_posts(float32: Reader) -> None:
    """Macro-F1 of no head drops by more than 0.01 on real rows: a few hundred of each file, drawn at random."""
    served = Encoder.load()
    found = drops(served.reading_with(float32), served, Path(str(DATA)), limit=600)
    assert {head: round(drop, 4) for head, drop in found.items() if drop > 0.01} == {}
