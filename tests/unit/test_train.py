"""Training: the split, the fit, the calibration. Every post here is made up."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.document import Document
from models.errors import ModelError
from models.heads import Bag, Encoded, sigmoid
from models.labels import Risk
from models.soft import SoftLabels
from models.train.calibrate import find_shifts, fit_line
from models.train.data import FILES, Lesson, folds, load
from models.train.fit import Recipe, count_words, fit

LONG = "the kettle sang and the rain went on over the roofs of the town " * 6


def write(folder: Path, **files: Sequence[Mapping[str, Any]]) -> None:
    """The data files, empty where no rows are given."""
    for name in FILES:
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as out:
            out.writelines(f"{json.dumps({'source': 'made_up', **row})}\n" for row in files.get(name, ()))


def test_one_author_and_one_text_stay_on_one_side(tmp_path: Path) -> None:
    """Rows joined by an author, by a text in another file, or by a longer copy of it share a fold."""
    chain = [
        {"text": "first of ann", "author_hash": "ann", "label": "mh"},
        {"text": LONG, "author_hash": "ann", "label": "mh"},
    ]
    copies = [{"text": LONG + "and a line of its own", "label": "moderate"}]
    for seed in range(20):
        write(tmp_path, relevance=chain, severity4=copies)
        assert len({row.fold for row in load(tmp_path, seed)}) == 1


def test_the_split_depends_on_content_alone(tmp_path: Path) -> None:
    """The order of rows does not move any of them, and about 15 % are kept apart."""
    rows = [{"text": f"made-up post number {number}", "label": "not_mh"} for number in range(400)]
    write(tmp_path, relevance=rows)
    folds = {row.document.body: row.fold for row in load(tmp_path, 1)}
    write(tmp_path, relevance=rows[::-1])
    assert folds == {row.document.body: row.fold for row in load(tmp_path, 1)}
    assert 0.08 < sum(fold is None for fold in folds.values()) / len(folds) < 0.22


def test_what_is_kept_apart_has_five_folds_of_its_own(tmp_path: Path) -> None:
    """An experiment on the rows that training keeps apart, with the same seed, is no experiment on one fold."""
    write(tmp_path, relevance=[{"text": f"made-up post number {number}", "label": "not_mh"} for number in range(800)])
    apart = [row.document for row in load(tmp_path, 20) if row.fold is None]
    counts = np.bincount(folds(apart, [""] * len(apart), 20), minlength=5)
    assert counts.min() > len(apart) / 12


def test_a_row_teaches_only_what_it_says(tmp_path: Path) -> None:
    """Support for others is no risk; a subreddit about depression denies ideation and nothing milder."""
    write(
        tmp_path,
        risk_cssrs=[{"text": "a", "label": "supportive"}, {"text": "b", "label": "behavior"}],
        risk_binary=[{"text": "c", "label": "non_suicide", "subreddit": "depression"}],
    )
    supportive, behavior, depression = (row.targets[13:17] for row in load(tmp_path, 1))
    assert supportive.tolist() == [0, 0, 0, 0]
    assert behavior.tolist() == [1, 1, 1, 0]
    assert np.isnan(depression[0])
    assert depression[1:].tolist() == [0, 0, 0]


def test_a_lesson_teaches_with_its_doubt_and_stays_with_its_copies(tmp_path: Path) -> None:
    """Soft labels become targets between 0 and 1, and a post that is kept apart elsewhere is kept apart here too."""
    soft = SoftLabels(
        relevance=0.75,
        risk={Risk.NONE: 0.5, Risk.INDICATOR: 0.25, Risk.IDEATION: 0.25, Risk.BEHAVIOR: 0, Risk.ATTEMPT: 0},
    )
    lesson = Lesson("majority", Document("", LONG), soft)
    for seed in range(20):
        write(tmp_path, relevance=[{"text": LONG, "label": "mh"}])
        copy, taught = load(tmp_path, seed, [lesson])
        assert copy.fold == taught.fold
    assert (taught.set_name, taught.source) == ("lessons", "majority")
    assert taught.targets[0] == 0.75
    assert np.isnan(taught.targets[1:13]).all()
    assert taught.targets[13:17].tolist() == [0.5, 0.25, 0, 0]


def test_a_target_in_between_counts_by_its_parts() -> None:
    """Rows at 0.25 are calibrated as the same rows, a quarter of them 1 and the rest 0."""
    scores = np.linspace(-2, 2, 200, dtype=np.float32)
    targets = sigmoid(2 * scores - 0.5)
    weights = np.ones(200, dtype=np.float32)
    assert fit_line(scores, targets, weights) == pytest.approx((2, -0.5), abs=0.05)
    hard = np.repeat([1, 0, 0, 0], 50).astype(np.float32)
    soft = np.full(200, 0.25, dtype=np.float32)
    same = np.tile(np.linspace(-2, 2, 50, dtype=np.float32), 4)
    assert fit_line(same, soft, weights) == pytest.approx(fit_line(same, hard, weights), abs=1e-3)


def test_unreadable_data_is_an_error_with_its_name(tmp_path: Path) -> None:
    """A missing file and a broken line are one clear message."""
    with pytest.raises(ModelError, match=r"severity4\.jsonl\.gz"):
        load(tmp_path, 1)


def posts_of(rng: np.random.Generator, count: int) -> tuple[list[Encoded], np.ndarray[Any, np.dtype[np.float32]]]:
    """Posts of three windows; one window of a positive post holds token 5 and leans along the first axis."""
    truth = rng.integers(0, 2, count)
    posts = []
    for positive in truth:
        vectors = rng.normal(size=(3, 4)).astype(np.float32)
        tokens = [rng.integers(10, 30, 8) for _ in range(3)]
        if positive:
            vectors[1, 0] += 4
            tokens[1][0] = 5
        posts.append(Encoded(vectors, tokens))
    return posts, truth[:, None].astype(np.float32)


@pytest.mark.parametrize("sharpness", [0.0, 8.0])
def test_a_fit_finds_the_signal_and_repeats(sharpness: float) -> None:
    """Weights for raw inputs come out, the same every time, and an unknown target teaches nothing."""
    posts, truth = posts_of(np.random.default_rng(0), 200)
    bag = count_words(posts, at_least=5)
    assert bag.ids.tolist() == sorted(bag.ids.tolist())
    recipe = Recipe(sharpness=sharpness, dense_penalty=0.1, word_penalty=0.1, steps=60)
    first = fit(posts, truth, np.ones_like(truth), bag, recipe)
    assert first.dense[0, 0] > np.abs(first.dense[1:, 0]).max()
    assert first.words[np.searchsorted(bag.ids, 5), 0] == first.words[:, 0].max()
    assert np.array_equal(first.dense, fit(posts, truth, np.ones_like(truth), bag, recipe).dense)
    unknown = fit(posts, np.full_like(truth, np.nan), np.ones_like(truth), bag, recipe)
    assert np.allclose(unknown.dense, 0)


def test_a_bag_weighs_rare_words_more() -> None:
    """The vector of a text has length 1, and a rarer word has the greater part of it."""
    positions, values = Bag(np.array([2, 9]), np.array([1.0, 3.0], dtype=np.float32)).weigh(np.array([9, 2, 4]))
    assert positions.tolist() == [0, 1]
    assert values[1] > values[0]
    assert np.linalg.norm(values) == pytest.approx(1)


def test_a_line_makes_scores_true() -> None:
    """Scores twice too sure come back as honest probabilities; unknown targets are left out."""
    rng = np.random.default_rng(2)
    odds = rng.normal(size=20_000)
    truth = (rng.random(20_000) < sigmoid(odds)).astype(np.float32)
    truth[:100] = np.nan
    slope, offset = fit_line((2 * odds).astype(np.float32), truth, np.ones(20_000, dtype=np.float32))
    assert slope == pytest.approx(0.5, abs=0.03)
    assert offset == pytest.approx(0, abs=0.06)


def test_a_shift_moves_the_best_threshold_to_one_half() -> None:
    """When 0.2 is the place to decide, the shift takes 0.2 to 0.5."""
    probabilities = np.linspace(0.01, 0.99, 99, dtype=np.float32)[:, None]
    wanted = probabilities[:, 0] >= 0.2
    shifts = find_shifts(probabilities, lambda p: float(np.mean((p[:, 0] >= 0.5) == wanted)))
    assert shifts[0] == pytest.approx(np.log(0.8 / 0.2), abs=0.1)
