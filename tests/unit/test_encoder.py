"""The heads over encoded posts, and the manifest of a model folder."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.assessment import Band
from models.decision import distribution
from models.encoder import UNMEASURED, Manifest
from models.errors import ModelError
from models.heads import (
    ADJACENT,
    ORDINAL,
    OUTPUTS,
    TASKS,
    Bag,
    Encoded,
    Floats,
    Heads,
    log_mean_exp,
    log_odds,
    sigmoid,
    steps_of,
    to_assessment,
)
from models.labels import Risk

RISK = TASKS["risk"]


def heads(sharpness: float = 8.0) -> Heads:
    """Heads of two dimensions: the first says risk, the second relevance; token 7 says risk too."""
    dense = np.zeros((2, OUTPUTS), dtype=np.float32)
    dense[0, RISK], dense[1, 0] = 4, 4
    words = np.zeros((2, OUTPUTS), dtype=np.float32)
    words[1, RISK] = 6
    sharp = np.zeros(OUTPUTS, dtype=np.float32)
    sharp[RISK] = sharpness
    return Heads(
        dense=dense,
        words=words,
        bias=np.full(OUTPUTS, -2, dtype=np.float32),
        bag=Bag(np.array([3, 7]), np.ones(2, dtype=np.float32)),
        sharpness=sharp,
        slope=np.ones(OUTPUTS, dtype=np.float32),
        offset=np.zeros(OUTPUTS, dtype=np.float32),
        threshold=np.full(OUTPUTS, 0.5, dtype=np.float32),
        weights={task: np.ones(len(known), dtype=np.float32) for task, known in ORDINAL.items()},
    )


def post(*windows: tuple[float, float], tokens: tuple[int, ...] = (3,)) -> Encoded:
    """A post of these window vectors, the last window holding `tokens`."""
    stretches = [np.array([3])] * (len(windows) - 1) + [np.array(tokens, dtype=np.int64)]
    return Encoded(np.array(windows, dtype=np.float32), stretches)


def test_one_window_of_many_is_enough_for_risk() -> None:
    """A risk in the last of twenty windows counts; a whole-post output there is spread thin."""
    quiet, loud = [(0.0, 0.0)] * 19, (1.0, 1.0)
    scores = heads().scores([post(*quiet, loud), post(*quiet, (0.0, 0.0)), post(loud)])
    assert scores[0, RISK.start] > 1.5 > scores[1, RISK.start]
    assert scores[0, 0] < -1.5 < scores[2, 0]


def test_known_words_count_and_unknown_ones_do_not() -> None:
    """A token of the bag moves the score; one outside it, however high its id, is passed over."""
    plain, worded, unknown = heads().scores([post((0, 0)), post((0, 0), tokens=(7,)), post((0, 0), tokens=(9999,))])
    assert worded[RISK.start] - unknown[RISK.start] == pytest.approx(6, abs=1e-4)
    assert plain[RISK.start] == pytest.approx(unknown[RISK.start])


def test_a_post_without_tokens_is_judged() -> None:
    """An empty text has one empty window and a number for every output."""
    empty = Encoded(np.zeros((1, 2), dtype=np.float32), [np.array([], dtype=np.int64)])
    assert np.isfinite(heads().scores([empty])).all()


def test_log_mean_exp_lies_between_mean_and_maximum() -> None:
    """The sharper, the nearer to the maximum; numbers of any size do not overflow."""
    windows = np.array([[0.0], [1.0], [500.0]], dtype=np.float32)
    mild, sharp = (float(log_mean_exp(windows, np.array([s], dtype=np.float32))[0]) for s in (0.1, 8.0))
    assert windows.mean() < mild < sharp < 500


def test_scales_are_distributions() -> None:
    """Even when a higher level scores above a lower one, its probability does not."""
    crossed = np.zeros((1, OUTPUTS), dtype=np.float32)
    crossed[0, RISK] = [-1, 3, 1, 2]
    judged = to_assessment(heads().probabilities(crossed)[0], {"encoder": "test 0"})
    assert math.isclose(sum(judged.risk.probs.values()), 1, abs_tol=1e-6)
    assert min(judged.risk.probs.values()) >= 0
    assert judged.risk.level == Risk.NONE
    assert len(judged.disorders) == 9


@pytest.mark.parametrize("task", ADJACENT)
def test_steps_between_levels_are_a_softmax(task: str) -> None:
    """The log-odds of each level beside the one below it give every level its share, and back; other outputs stay."""
    columns = TASKS[task]
    shares = np.array([0.5, 0.05, 0.3, 0.15][: columns.stop - columns.start + 1])
    shares /= shares.sum()
    outputs = np.full((1, OUTPUTS), 0.3, dtype=np.float32)
    outputs[0, columns] = np.log(shares[1:] / shares[:-1])
    odds = log_odds(outputs)
    assert sigmoid(odds)[0, columns] == pytest.approx([shares[at:].sum() for at in range(1, len(shares))], abs=1e-5)
    assert steps_of(odds[:, columns]) == pytest.approx(outputs[:, columns], abs=1e-4)
    assert odds[0, TASKS["risk"]] == pytest.approx([0.3] * 4)


def test_severity_is_published_by_the_scheme_that_suits() -> None:
    """What looks like a whole post is judged as whole posts were, without mild; anything else by all four levels."""
    probabilities = np.full((2, OUTPUTS), 0.1, dtype=np.float32)
    probabilities[:, TASKS["severity"]] = [0.9, 0.2, 0.1]
    probabilities[:, TASKS["whole_severity"]] = [0.8, 0.3]
    probabilities[:, TASKS["scheme"]] = [[0.55], [0.6]]
    threshold = np.full(OUTPUTS, 0.5, dtype=np.float32)
    threshold[TASKS["scheme"]] = 0.6
    judge = replace(heads(), threshold=threshold)
    published = judge.decided(probabilities)[:, TASKS["severity"]]
    assert (published >= 0.5).sum(axis=1).tolist() == [1, 2]
    assert published[1] == pytest.approx([0.8, 0.8, 0.3])
    graver = replace(judge, weights={**judge.weights, "whole_severity": np.array([1, 1, 5], dtype=np.float32)})
    decided = graver.decided(probabilities)[:, TASKS["severity"]]
    assert distribution(decided).argmax(axis=1).tolist() == [1, 3]


def test_what_is_no_number_is_an_error() -> None:
    """A NaN out of the encoder must never pass for a calm post."""
    with pytest.raises(ModelError, match="no number"):
        heads().scores([post((math.nan, 0.0))])


def test_heads_survive_the_file(tmp_path: Path) -> None:
    """What is saved is what is read, in half precision."""
    heads().save(tmp_path / "heads.safetensors")
    read = Heads.read(tmp_path / "heads.safetensors")
    posts = [post((0.5, 0.25), tokens=(7,))]
    assert np.allclose(read.scores(posts), heads().scores(posts))


def test_damaged_heads_are_refused(tmp_path: Path) -> None:
    """A truncated file is an error that names the file."""
    file = tmp_path / "heads.safetensors"
    heads().save(file)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ModelError, match="heads"):
        Heads.read(file)


def numbers(*shape: int, value: float = 0.5) -> Floats:
    """An array of one number."""
    return np.full(shape, value, dtype=np.float32)


BAG = heads().bag


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"dense": numbers(2, 3)}, "shape"),
        ({"dense": numbers(0, OUTPUTS)}, "shape"),
        ({"words": numbers(3, OUTPUTS)}, "shape"),
        ({"bias": numbers(1)}, "shape"),
        ({"bias": numbers(OUTPUTS - 1)}, "shape"),
        ({"bag": Bag(BAG.ids, numbers(1))}, "shape"),
        ({"bag": Bag(BAG.ids[:0], numbers(0)), "words": numbers(0, OUTPUTS)}, "shape"),
        ({"weights": {"risk": numbers(4)}}, "shape"),
        ({"bag": Bag(BAG.ids[::-1].copy(), BAG.idf)}, "numbers"),
        ({"slope": numbers(OUTPUTS, value=0)}, "numbers"),
        ({"slope": numbers(OUTPUTS, value=math.nan)}, "numbers"),
        ({"threshold": numbers(OUTPUTS, value=math.nan)}, "numbers"),
        ({"threshold": numbers(OUTPUTS, value=0.99)}, "numbers"),
        ({"sharpness": numbers(OUTPUTS, value=-1)}, "numbers"),
        ({"weights": {"risk": numbers(5, value=math.nan)}}, "numbers"),
        ({"weights": {"risk": numbers(5, value=0)}}, "numbers"),
    ],
)
def test_heads_that_no_training_makes_are_refused(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    """Another shape, or a number that would decide in silence, is an error when they are read and not at a post."""
    replace(heads(), **changed).save(tmp_path / "heads.safetensors")
    with pytest.raises(ModelError, match=words):
        Heads.read(tmp_path / "heads.safetensors")


MANIFEST = Manifest("test", "some_package", "00", "11", "22", ("mean 3",), 128, 1, {"ideation": {"ideation": 0.7}})


def test_a_manifest_survives_the_file(tmp_path: Path) -> None:
    """What is written is what is read, with and without a package, a skim, and the hashes that older ones lack."""
    hashed = replace(MANIFEST, unsure=Band(0.3, 0.8), heads_sha256="33")
    for manifest in (MANIFEST, replace(MANIFEST, package=None), hashed, replace(hashed, skim_sha256="44")):
        manifest.write(tmp_path)
        assert Manifest.read(tmp_path) == manifest


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "name": "x"}'])
def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever else nightlight.json holds, the message names the folder."""
    (tmp_path / "nightlight.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=tmp_path.name):
        Manifest.read(tmp_path)


def test_a_manifest_of_before_the_band_was_measured_is_read(tmp_path: Path) -> None:
    """Models made earlier go on; a band that is none is refused."""
    raw = MANIFEST.as_json()
    for unsure in ([0.3, 0.2], [0.3, 1.5], [0.3, "nan"], [0.3], "no", None):
        (tmp_path / "nightlight.json").write_text(json.dumps({**raw, "unsure": unsure}), encoding="utf-8")
        with pytest.raises(ModelError, match=tmp_path.name):
            Manifest.read(tmp_path)
    del raw["unsure"]
    (tmp_path / "nightlight.json").write_text(json.dumps(raw), encoding="utf-8")
    assert Manifest.read(tmp_path).unsure == UNMEASURED


@pytest.mark.parametrize(
    "changed",
    [
        {"windows": "1"},
        {"windows": 0},
        {"windows": True},
        {"window_tokens": 2},
        {"features": []},
        {"features": ["median 3"]},
        {"features": [3]},
        {"rule_precision": []},
        {"rule_precision": {"ideation": []}},
        {"rule_precision": {"ideation": {"ideation": 7}}},
        {"rule_precision": {"ideation": {"ideation": "x"}}},
        {"whole": "no"},
        {"rule_precision": {"grief": {"ideation": 0.5}}},
        {"rule_precision": {"ideation": {"grief": 0.5}}},
    ],
)
def test_a_manifest_out_of_range_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Whoever wrote it, it is an error of the folder and not one at the first post."""
    (tmp_path / "nightlight.json").write_text(json.dumps({**MANIFEST.as_json(), **changed}), encoding="utf-8")
    with pytest.raises(ModelError, match=tmp_path.name):
        Manifest.read(tmp_path)


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    """The user is told what to install."""
    with pytest.raises(ModelError, match="some-package is not installed"):
        MANIFEST.blueprint(tmp_path)
