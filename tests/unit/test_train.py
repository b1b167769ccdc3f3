"""Training: what the rows teach, the split, the network, the calibration. Every post here is made up."""

from __future__ import annotations

import gzip
import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import DistilBertConfig, DistilBertModel, ElectraConfig, ElectraModel

from models.assessment import Assessment, Band
from models.decision import distribution
from models.document import Document
from models.encoder import base_folder
from models.errors import DataError, ModelError
from models.heads import OUTPUTS, TASKS, Bag, Encoded, Floats, ordinal, sigmoid
from models.labelled import Row
from models.labels import Disorder, Risk, Severity
from models.onnx_export import Blueprint, load_encoder, onnx_file
from models.rules import Rules
from models.soft import SoftLabels
from models.torch_reader import TorchReader
from models.train import record
from models.train.calibrate import (
    Sheet,
    band_of_doubt,
    best_threshold,
    best_weights,
    calibrate,
    fit_line,
    level_weights,
    worth_of_risk,
)
from models.train.data import FILES, INVENTED, OPINIONS, Example, Opinion, folds, load
from models.train.fit import Recipe, count_words, fit, fit_heads, uncalibrated, with_tasks_of
from models.train.lessons import Lesson, lessons_of
from models.train.network import Batch, Rarity, level_misfit, misfit
from models.train.training import Course, measured_doubt, rule_precision, taught, train
from models.train.tuning import Plan, Shape, Tuned, encoder_of, priors_of, reading_order, times_read, tune
from models.windows import Windows
from tests.tiny import tiny_encoder

LONG = "the kettle sang and the rain went on over the roofs of the town " * 6


def write(folder: Path, **files: Sequence[Mapping[str, Any]]) -> None:
    """The data files, empty where no rows are given."""
    for name in FILES:
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as out:
            out.writelines(f"{json.dumps({'source': 'made_up', **row})}\n" for row in files.get(name, ()))


def labelled(folder: Path, seed: int = 1) -> list[Example]:
    """The rows of the data files, in the order of the files."""
    return [example for example in load(folder, seed) if example.set_name != INVENTED]


def test_one_author_and_one_text_stay_on_one_side(tmp_path: Path) -> None:
    """Rows joined by an author, by a text in another file, or by a longer copy of it share a fold."""
    chain = [
        {"text": "first of ann", "author_hash": "ann", "label": "mh"},
        {"text": LONG, "author_hash": "ann", "label": "mh"},
    ]
    copies = [{"text": LONG + "and a line of its own", "label": "moderate"}]
    for seed in range(20):
        write(tmp_path, relevance=chain, severity4=copies)
        assert len({row.fold for row in labelled(tmp_path, seed)}) == 1


def test_a_users_posts_stay_with_their_copies(tmp_path: Path) -> None:
    """A post in the middle of a user's, and the same one in another file, share a fold; a few words join nobody."""
    post = "the kettle sang and the rain went on over the roofs"
    user = {"text": f"the first of all\n\n{post}\n\nthank you", "label": "ideation"}
    other = {"text": "by somebody else\n\nthank you", "label": "supportive"}
    found = []
    for seed in range(20):
        write(tmp_path, risk_cssrs=[user, other], risk_binary=[{"text": post, "label": "suicide"}])
        found.append([row.fold for row in labelled(tmp_path, seed)])
    assert all(of_user == of_copy for of_user, _, of_copy in found)
    assert any(of_user != of_other for of_user, of_other, _ in found)


def test_the_split_depends_on_content_alone(tmp_path: Path) -> None:
    """The order of rows does not move any of them, and about 15 % are kept apart."""
    rows = [{"text": f"made-up post number {number}", "label": "not_mh"} for number in range(400)]
    write(tmp_path, relevance=rows)
    folds = {row.row.document.body: row.fold for row in labelled(tmp_path, 1)}
    write(tmp_path, relevance=rows[::-1])
    assert folds == {row.row.document.body: row.fold for row in labelled(tmp_path, 1)}
    assert 0.08 < sum(fold is None for fold in folds.values()) / len(folds) < 0.22


def test_what_is_kept_apart_has_five_folds_of_its_own(tmp_path: Path) -> None:
    """An experiment on the rows that training keeps apart, with the same seed, is no experiment on one fold."""
    write(tmp_path, relevance=[{"text": f"made-up post number {number}", "label": "not_mh"} for number in range(800)])
    apart = [example.row.document for example in labelled(tmp_path, 20) if example.fold is None]
    counts = np.bincount(folds(apart, [""] * len(apart), 20), minlength=5)
    assert counts.min() > len(apart) / 12


def test_a_row_teaches_only_what_it_says(tmp_path: Path) -> None:
    """Support for others is no risk; a subreddit about something else denies ideation, nothing milder and no disorder.

    Only that of depression, however it is spelled, is known to be about mental health.
    """
    write(
        tmp_path,
        risk_cssrs=[{"text": "a", "label": "supportive"}, {"text": "b", "label": "behavior"}],
        risk_binary=[
            {"text": f"in {name}", "label": "non_suicide", "subreddit": name}
            for name in ("depression", "Depression", "Anxiety", "")
        ],
    )
    supportive, behavior, *others = (row.targets for row in labelled(tmp_path, 1))
    assert supportive[TASKS["risk"]].tolist() == [0, 0, 0, 0]
    assert behavior[TASKS["risk"]].tolist() == [1, 1, 1, 0]
    for targets in others:
        assert np.flatnonzero(targets == 0).tolist() == [*range(OUTPUTS)][TASKS["risk"]][1:]
    assert [targets[0] == 1 for targets in others] == [True, True, False, False]


def test_the_two_schemes_of_severity_are_learned_apart(tmp_path: Path) -> None:
    """A whole post's label says nothing of the scheme with mild, and an excerpt's nothing of the one without."""
    write(
        tmp_path,
        severity4=[
            {"text": "a", "label": "moderate", "source": "depsign_2022"},
            {"text": "b", "label": "mild", "source": "naseem_severity"},
        ],
    )
    whole, excerpt = labelled(tmp_path)
    assert np.isnan(whole.targets[TASKS["severity"]]).all()
    assert whole.targets[TASKS["whole_severity"]].tolist() == [1, 0]
    assert excerpt.targets[TASKS["severity"]].tolist() == [1, 0, 0]
    assert np.isnan(excerpt.targets[TASKS["whole_severity"]]).all()
    assert [each.targets[TASKS["scheme"].start] for each in (whole, excerpt)] == [1, 0]


def test_an_opinion_teaches_with_its_doubt_and_stays_with_its_copies(tmp_path: Path) -> None:
    """Soft labels become targets between 0 and 1, and a post that is kept apart elsewhere is kept apart here too."""
    soft = SoftLabels(
        relevance=0.75,
        risk={Risk.NONE: 0.5, Risk.INDICATOR: 0.25, Risk.IDEATION: 0.25, Risk.BEHAVIOR: 0, Risk.ATTEMPT: 0},
    )
    opinion = Opinion("majority", Document("", LONG), soft)
    for seed in range(20):
        write(tmp_path, relevance=[{"text": LONG, "label": "mh"}])
        copy, taught = (example for example in load(tmp_path, seed, [opinion]) if example.set_name != INVENTED)
        assert copy.fold == taught.fold
    assert (taught.set_name, taught.row.source) == (OPINIONS, "majority")
    assert taught.targets[0] == 0.75
    assert np.isnan(taught.targets[1:13]).all()
    assert taught.targets[TASKS["risk"]].tolist() == [0.5, 0.25, 0, 0]


def test_a_target_in_between_counts_by_its_parts() -> None:
    """Rows at 0.25 are calibrated as the same rows, a quarter of them 1 and the rest 0."""
    scores = np.linspace(-2, 2, 200, dtype=np.float32)
    assert fit_line(scores, sigmoid(2 * scores - 0.5)) == pytest.approx((2, -0.5), abs=0.05)
    hard = np.repeat([1, 0, 0, 0], 50).astype(np.float32)
    same = np.tile(np.linspace(-2, 2, 50, dtype=np.float32), 4)
    assert fit_line(same, np.full(200, 0.25, np.float32)) == pytest.approx(fit_line(same, hard), abs=1e-3)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("relevance", ["MH"]),
        ("relevance", ["mh", "not_mh"]),
        ("relevance_ambiguous", ["mh"]),
        ("risk_binary", ["Suicide"]),
        ("risk_cssrs", ["none"]),
        ("severity4", ["extreme"]),
        ("stress", ["Stress"]),
        ("disorder", ["Depression"]),
        ("disorder", ["none", "ocd"]),
    ],
)
def test_a_label_that_is_not_known_is_an_error(tmp_path: Path, name: str, labels: list[str]) -> None:
    """It never passes for a no: a capital letter would make an ordinary post of a cry for help."""
    write(tmp_path, **{name: [{"id": "r7", "text": "a made-up post", "labels": labels}]})
    with pytest.raises(DataError, match=f"{name}: the label of row 'r7' is not"):
        load(tmp_path, 1)


def test_one_text_is_one_lesson_with_all_that_is_said_of_it(tmp_path: Path, windows: Windows) -> None:
    """A text of two files is read once, with both labels; a user's posts stay windows of their own."""
    write(
        tmp_path,
        severity4=[{"text": "the same words", "label": "mild"}],
        stress=[{"text": "the same words", "label": "stress"}],
        risk_cssrs=[{"text": "first post\n\nsecond post", "label": "attempt"}],
    )
    user, text = sorted(lessons_of(labelled(tmp_path), windows), key=lambda lesson: not lesson.of_user)
    assert len(user.windows) == 2
    assert text.targets[TASKS["severity"]].tolist() == [1, 0, 0]
    assert text.targets[TASKS["stress"]].tolist() == [1]


@pytest.mark.parametrize("disorder", Disorder)
def test_a_post_can_be_read_without_the_name_of_its_disorder(
    tmp_path: Path, windows: Windows, disorder: Disorder
) -> None:
    """The name goes from the second reading of the post, and a post that names another disorder keeps it."""
    named = f"My {disorder.replace('_', ' ')} kept me up."
    other = Disorder.OCD if disorder is not Disorder.OCD else Disorder.PTSD
    write(tmp_path, disorder=[{"text": named, "labels": [disorder]}, {"text": f"{named} A.", "labels": [other]}])
    own, others = lessons_of(labelled(tmp_path), windows)
    assert own.masked is not None
    assert own.masked[0].tolist() != own.windows[0].tolist()
    assert others.masked is None


def test_a_name_is_hidden_whichever_file_comes_first(tmp_path: Path, windows: Windows) -> None:
    """A post that two files hold, the first without its disorders, is read without the names of all of them."""
    named = "My PTSD and my OCD kept me up."
    rows = [{"text": named, "labels": [Disorder.PTSD]}, {"text": named, "labels": [Disorder.OCD]}]
    write(tmp_path, relevance=[{"text": named, "label": "mh"}], disorder=rows)
    (lesson,) = lessons_of(labelled(tmp_path), windows)
    assert lesson.masked is not None
    (hidden,) = windows.cut(["My [MASK] and my [MASK] kept me up."])
    assert [part.tolist() for part in lesson.masked] == [part.tolist() for part in hidden]


@pytest.mark.parametrize("mask", ["[MASK]", "<mask>", ""])
def test_a_name_is_hidden_behind_the_bases_own_mask(tmp_path: Path, mask: str) -> None:
    """As one token that its encoder knows, or as nothing where it knows none: else the letters would be the cue."""
    vocabulary = {"[UNK]": 0, "my": 1, "kept": 2, "me": 3, "up": 4, "a": 5}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens(["[UNK]", *([mask] if mask else [])])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    write(tmp_path, disorder=[{"text": "my PTSD kept me up", "labels": [Disorder.PTSD]}])
    (lesson,) = lessons_of(labelled(tmp_path), Windows(tmp_path / "tokenizer.json", 16, 1))
    assert lesson.masked is not None
    assert lesson.masked[0].tolist() == [1, *([6] if mask else []), 2, 3, 4]


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
    bag = count_words(posts)
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
    slope, offset = fit_line((2 * odds).astype(np.float32), truth)
    assert slope == pytest.approx(0.5, abs=0.03)
    assert offset == pytest.approx(0, abs=0.06)


def test_a_line_through_one_kind_of_row_changes_nothing() -> None:
    """Where every known target is the same there is nothing to fit."""
    assert fit_line(np.ones(3, np.float32), np.array([1, 1, np.nan], np.float32)) == (1.0, 0.0)


def test_the_best_threshold_is_the_middle_of_all_that_are_as_good() -> None:
    """Between 0.2 and 0.6 nothing changes, so 0.4 is taken."""
    assert best_threshold(lambda at: float(0.2 <= at <= 0.6)) == pytest.approx(0.4, abs=0.03)


def test_doubt_begins_where_few_are_missed_and_ends_where_most_are_right() -> None:
    """At most one grave row in twenty lies below it, and from its end on four of five rows are grave."""
    calm, grave = np.linspace(0, 0.8, 41), np.linspace(0.2, 1, 41)
    likely, truth = np.concatenate([calm, grave]), np.repeat([False, True], 41)
    none = np.array([])
    band = band_of_doubt(likely, truth, none)
    assert band is not None
    assert (grave < band.start).sum() == 2
    assert truth[likely >= band.end].mean() >= 0.8 > truth[likely >= band.end - 0.05].mean()
    assert band_of_doubt(likely, truth[::-1], none) == Band(0.04, 1.0)  # nothing makes it certain
    assert band_of_doubt(likely, np.ones(82, dtype=bool), none) is None
    assert band_of_doubt(likely, np.zeros(82, dtype=bool), none) is None
    single = np.linspace(0.1, 1, 100)
    assert band_of_doubt(likely, truth, single) == Band(math.floor(single[5] * 1000) / 1000, band.end)


def test_a_rare_level_gets_the_weight_that_it_needs() -> None:
    """A level that is never the likeliest is decided all the same where that is worth more."""
    probabilities = np.array([[0.8, 0.2]] * 10 + [[0.6, 0.4]] * 10, dtype=np.float32)
    truth = np.repeat([0, 1], 10)
    weights = best_weights(probabilities, lambda decided: float(np.mean(decided == truth)))
    assert (np.argmax(probabilities * weights, axis=1) == truth).all()


def test_a_lesson_is_read_as_often_as_its_appetite_says() -> None:
    """Whole numbers to the letter, fractions on average; readings of one lesson are spread over the run."""
    plan = Plan("base", "lessons", seed=3, posts_per_step=8)
    appetites = [3.0] * 40 + [0.5] * 400
    steps = reading_order(appetites, plan, [10] * 440)
    counts = np.bincount(np.concatenate(steps), minlength=440)
    assert (counts[:40] == 3).all()
    assert 150 < counts[40:].sum() < 250
    first, last = np.concatenate(steps[: len(steps) // 3]), np.concatenate(steps[-len(steps) // 3 :])
    assert 25 < len(set(first.tolist()) & set(range(40))) <= 40
    assert 25 < len(set(last.tolist()) & set(range(40))) <= 40
    assert all(
        (one == other).all() for one, other in zip(steps, reading_order(appetites, plan, [10] * 440), strict=True)
    )


def test_what_nobody_knows_teaches_nothing() -> None:
    """The gradient of an unknown target is zero, whatever its weight."""
    scores = torch.zeros(2, OUTPUTS, requires_grad=True)
    targets = torch.full((2, OUTPUTS), torch.nan)
    targets[0, 4] = 1
    targets[1, TASKS["severity"]] = torch.tensor([1.0, 0.0, 0.0])
    levels = {"severity": torch.ones(4), "whole_severity": torch.ones(3)}
    misfit(scores, targets, torch.ones(2, OUTPUTS), Rarity(torch.ones(OUTPUTS), levels)).backward()
    assert scores.grad is not None
    assert scores.grad[0, 4] < 0
    assert scores.grad[1, TASKS["severity"].start] < 0
    assert scores.grad.count_nonzero() == 1 + 3


def test_levels_are_learned_as_classes() -> None:
    """The loss of a scale is the cross entropy of its levels, each at its weight; half and half counts by halves."""
    steps = torch.tensor([[0.4, -1.0, 2.0], [0.1, 0.2, 0.3]])
    likely = torch.log_softmax(torch.cat([torch.zeros(2, 1), steps.cumsum(1)], dim=1), dim=1)
    reached = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.5]])
    found = level_misfit(steps, reached, torch.tensor([1.0, 3.0, 1.0, 1.0]))
    assert found.tolist() == pytest.approx([-3 * likely[0, 1].item(), -(likely[1, 2] + likely[1, 3]).item() / 2])


@pytest.fixture(scope="module")
def windows() -> Windows:
    """The tokenizer in the box, with short windows."""
    return Windows(base_folder() / "tokenizer.json", 16, 8)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Blueprint:
    """An encoder of one narrow layer with the tokenizer in the box, at its random start."""
    return Blueprint(tiny_encoder(tmp_path_factory.mktemp("tiny")), "tiny", ("mean 1",))


def lessons(windows: Windows) -> list[Lesson]:
    """Sixty posts about the sea, which are relevant, and sixty about bread, which are not; all of the same form."""
    found = []
    for number in range(120):
        words = "the sea and its waves" if number % 2 else "the bread and its crust"
        targets = np.full(OUTPUTS, np.nan, dtype=np.float32)
        targets[0] = number % 2
        parts = windows.cut([f"{words}, said number {number}"])[0]
        ones = np.ones(OUTPUTS, dtype=np.float32)
        found.append(Lesson(parts, None, targets, ones, np.full_like(targets, np.nan), 2.0, of_user=False))
    return found


def run(
    folder: Path,
    tiny: Blueprint,
    windows: Windows,
    until: int | None = None,
    taught: Sequence[Lesson] | None = None,
    **changes: Any,
) -> Tuned:
    """A short run on the lessons; `until` stops it at that step as a signal would."""
    plan = Plan("base", "lessons", seed=1, depth=1, posts_per_step=4, encoder_rate=0.003, head_rate=0.1, **changes)

    def on_step(done: int, total: int, loss: float) -> None:
        if done == until:
            raise KeyboardInterrupt

    return tune(plan, taught or lessons(windows), tiny, windows, folder, on_step)


def test_what_a_teacher_says_is_learned_beside_the_labels(tmp_path: Path, tiny: Blueprint, windows: Windows) -> None:
    """Posts with one label between them are told apart as the teacher tells them apart, half as far as it says."""
    taught = [
        replace(lesson, soft=lesson.targets, targets=np.maximum(lesson.targets, 1)) for lesson in lessons(windows)
    ]
    assert {float(lesson.targets[0]) for lesson in taught} == {1.0}
    network = run(tmp_path, tiny, windows, taught=taught, passes=3.0).network
    posts = windows.cut(["the sea and its waves, said number 7", "the bread and its crust, said number 8"])
    with torch.no_grad():
        sea, bread = torch.sigmoid(network(Batch.of(posts, [[0], [0]], windows), False)[:, 0]).tolist()
    assert sea > 0.8
    assert 0.3 < bread < 0.7


def test_a_teacher_is_asked_about_what_is_read(windows: Windows) -> None:
    """Not about posts that no step reads, nor about users; and it is heard only where a label speaks."""
    of_user, *single = lessons(windows)[:4]
    given = [replace(of_user, of_user=True), *single]
    row = Row("", "", "", Document("", ""), ("",))
    documents = [
        (Document("a", "user"), Document("of two", "posts")),
        *((Document("post", str(n)),) for n in (1, 2, 3)),
    ]
    examples = [Example(row, of, each.targets, each.weights, 1) for of, each in zip(documents, given, strict=True)]
    asked: list[Document] = []

    def ask(posts: Sequence[Document]) -> Floats:
        asked.extend(posts)
        return np.full((len(posts), OUTPUTS), 0.25, dtype=np.float32)

    found = taught(given, examples, np.array([True, True, False, True]), ask)
    assert asked == [Document("post", "1"), Document("post", "3")]
    heard = [np.flatnonzero(~np.isnan(lesson.soft)).tolist() for lesson in found]
    assert heard == [[], [0], [], [0]]


def test_what_is_read_is_known_before_it_is_read() -> None:
    """The lessons that a teacher is asked about are those of the run."""
    plan = Plan("base", "lessons", seed=5)
    hunger = [0.3] * 300
    read = np.concatenate(reading_order(hunger, plan, [10] * 300))
    assert np.flatnonzero(times_read(hunger, np.random.default_rng(5))).tolist() == sorted(read)


def test_a_wide_encoder_learns_more_slowly(tmp_path: Path) -> None:
    """Without a rate of its own each base gets one that suits its width; a folder without an encoder is refused."""
    rates = []
    for width in (384, 768, 1024):
        (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": 12, "hidden_size": width}))
        rates.append(Shape.of(tmp_path).rate)
    assert rates[0] == Plan("", "", seed=1).encoder_rate
    assert rates == sorted(set(rates), reverse=True)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="no encoder"):
        Shape.of(tmp_path)


def weights(tuned: Tuned) -> list[float]:
    """Every learned number."""
    return [float(value) for tensor in tuned.network.state_dict().values() for value in tensor.flatten()[:50]]


def test_a_level_counts_as_much_as_it_is_rare() -> None:
    """By the power asked for, over the rows that tell; a scale with a level that nobody has is left as it is."""
    reached = np.array([[0, 0]] * 8 + [[1, 0]] * 2 + [[1, 1]] * 1 + [[np.nan, np.nan]] * 5, dtype=np.float32)
    assert level_weights(reached, 1).tolist() == [1, 4, 8]
    assert level_weights(reached, 0.5).tolist() == pytest.approx([1, 2, 8**0.5])
    assert level_weights(reached[:10], 1).tolist() == [1, 1, 1]


def test_a_network_begins_with_what_is_common() -> None:
    """Outputs that fit all readings best while nothing is known of a post: the loss pulls them neither way."""
    severities, relevances, appetites = [0, 0, 0, 2, 0, 1, 3, 3], [1, 0, 0, 0, 0, 0, 0, 0], [200, 200, 100, 50] * 2
    lessons = []
    for level, relevance, appetite in zip(severities, relevances, appetites, strict=True):
        targets = np.full(OUTPUTS, np.nan, dtype=np.float32)
        targets[TASKS["relevance"]] = relevance
        targets[TASKS["severity"]] = [level >= at for at in (1, 2, 3)]
        ones = np.ones(OUTPUTS, dtype=np.float32)
        lessons.append(Lesson([], None, targets, ones, np.full_like(targets, np.nan), appetite, of_user=False))
    rarity, priors = priors_of(lessons, most_rise=4)
    readings = torch.from_numpy(np.repeat([lesson.targets for lesson in lessons], appetites, axis=0))
    outputs = torch.from_numpy(priors).requires_grad_()
    misfit(outputs.expand(len(readings), -1), readings, torch.ones(len(readings), OUTPUTS), rarity).backward()
    assert outputs.grad is not None
    assert outputs.grad.tolist() == pytest.approx([0.0] * OUTPUTS, abs=0.01)
    assert priors[TASKS["relevance"]] < -0.5
    assert rarity.yes[TASKS["relevance"]] > 2
    assert rarity.levels["severity"].argmax() == 2, "the rarest level counts most"


def test_the_networks_own_heads_are_added_to_those_of_the_tasks_they_are_for() -> None:
    """The named tasks score as the network's own heads and the fitted ones together, all others as the fitted ones."""
    bag = Bag(np.array([5]), np.ones(1, dtype=np.float32))
    fitted, own = (
        uncalibrated(
            dense=np.full((2, OUTPUTS), value, dtype=np.float32),
            words=np.full((1, OUTPUTS), value, dtype=np.float32),
            bias=np.full(OUTPUTS, value, dtype=np.float32),
            bag=bag,
            sharpness=np.full(OUTPUTS, sharpness, dtype=np.float32),
        )
        for value, sharpness in ((1, 0), (2, 8))
    )
    post = Encoded(np.array([[1, 2]], dtype=np.float32), [np.array([5])])
    both = with_tasks_of(fitted, own, ["relevance", "stress"])
    together, of_fitted, of_own = (heads.scores([post])[0] for heads in (both, fitted, own))
    for task, columns in TASKS.items():
        added = task in ("relevance", "stress")
        assert together[columns] == pytest.approx((of_fitted + of_own if added else of_fitted)[columns])
        assert (both.sharpness[columns] == (8 if added else 0)).all()


def test_what_words_tell_by_themselves_rests_on_no_vector() -> None:
    """A task by words alone is learned from the words, however well the vectors tell it."""
    posts = [
        Encoded(np.full((1, 4), side * 9 + at % 3, dtype=np.float32), [np.array([5 + side, 7])])
        for at in range(60)
        for side in (0, 1)
    ]
    targets = np.full((len(posts), OUTPUTS), np.nan, dtype=np.float32)
    targets[:, TASKS["whole_severity"]] = targets[:, TASKS["stress"]] = np.array([0, 1] * 60)[:, np.newaxis]
    heads = fit_heads(posts, targets, np.ones_like(targets), None, ("whole_severity", "stress"), ("whole_severity",))
    assert not heads.dense[:, TASKS["whole_severity"]].any()
    assert heads.dense[:, TASKS["stress"]].any()
    one, other = heads.scores(posts[:2])[:, TASKS["whole_severity"].start]
    assert one < -0.5, "without the word"
    assert other > 0.5, "with it"


def test_the_loss_falls(tmp_path: Path, tiny: Blueprint, windows: Windows) -> None:
    """What can be learned is learned, and every step's loss is recorded."""
    losses = run(tmp_path, tiny, windows).losses
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])


def test_a_run_that_was_stopped_ends_with_the_same_weights(
    tmp_path: Path, tiny: Blueprint, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between two checkpoints and begun again, it takes the very same steps."""
    monkeypatch.setattr("models.train.tuning._STEPS_PER_CHECKPOINT", 10)
    whole = run(tmp_path / "whole", tiny, windows)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", tiny, windows, until=37)
    again = run(tmp_path / "stopped", tiny, windows)
    assert again.losses == whole.losses
    assert weights(again) == weights(whole)


def test_a_run_of_other_settings_is_not_continued(tmp_path: Path, tiny: Blueprint, windows: Windows) -> None:
    """A folder that holds another run is refused rather than mixed with it."""
    run(tmp_path, tiny, windows)
    with pytest.raises(ModelError, match="other data or settings"):
        run(tmp_path, tiny, windows, passes=2.0)


def test_a_damaged_checkpoint_is_named(tmp_path: Path, tiny: Blueprint, windows: Windows) -> None:
    """A file that was cut off is an error in one line, and not a traceback."""
    run(tmp_path, tiny, windows, passes=0.1)
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"checkpoint\.safetensors is damaged"):
        run(tmp_path, tiny, windows, passes=0.1)


def copy_of(tiny: Blueprint, folder: Path) -> Blueprint:
    """The tiny encoder in a folder of its own, to be damaged."""
    return replace(tiny, base=Path(shutil.copytree(tiny.base, folder / "base")))


def test_an_encoder_that_lacks_something_is_refused(
    tmp_path: Path, tiny: Blueprint, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers that a base does not have are never made up, and a file that was cut off is named."""
    monkeypatch.setenv("NIGHTLIGHT_CACHE_DIR", str(tmp_path / "cache"))
    deep = replace(tiny, features=("mean 2",))
    short = copy_of(tiny, tmp_path)
    weights = short.base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    for blueprint, words in ((deep, "has 1 layers, and 2 are asked for"), (short, "base: ")):
        for read in (encoder_of, onnx_file, lambda each: TorchReader(windows, each)):
            with pytest.raises(ModelError, match=words):
                read(blueprint)


def test_a_hash_that_is_no_text_makes_the_file_anew(
    tmp_path: Path, tiny: Blueprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage beside the prepared model is a damaged cache like any other."""
    monkeypatch.setenv("NIGHTLIGHT_CACHE_DIR", str(tmp_path))
    told: list[str] = []
    onnx_file(tiny)
    (hash_file,) = tmp_path.rglob("*sha256")
    hash_file.write_bytes(b"\xff\xfe")
    onnx_file(tiny, told.append)
    assert len(told) == 1


def test_an_encoder_of_another_layout_is_refused(tmp_path: Path) -> None:
    """At once, in words: neither by its config, nor by the parts that it has."""
    DistilBertModel(DistilBertConfig(vocab_size=50, dim=16, hidden_dim=32, n_layers=1, n_heads=2)).save_pretrained(
        tmp_path
    )
    for read in (Shape.of, lambda base: encoder_of(Blueprint(base, "", ("mean 1",)))):
        with pytest.raises(ModelError, match="not laid out like BERT"):
            read(tmp_path)


def test_what_cannot_end_well_does_not_begin(tmp_path: Path, tiny: Blueprint) -> None:
    """A model in the folder of its base, folders that cannot be written and layers that are not there are refused
    before a row is read."""
    (tmp_path / "file").touch()
    asked = Course(tmp_path / "nothing", tmp_path / "out", tmp_path / "run", tiny.base, depth=1)
    for course, words in (
        (replace(asked, out=tiny.base), "the folder of the base"),
        (replace(asked, out=tmp_path / "file" / "out"), "cannot write into .*out"),
        (replace(asked, run=tmp_path / "file" / "run"), "cannot write into .*run"),
        (replace(asked, depth=2), "has 1 layers"),
    ):
        with pytest.raises(ModelError, match=words):
            train(course, lambda line: None, lambda *_: None)


def test_what_no_model_folder_holds_is_not_learned(tmp_path: Path, windows: Windows) -> None:
    """ELECTRA's projection of its embeddings is no layer, so it stays as it is in the base."""
    torch.manual_seed(0)
    config = ElectraConfig(
        vocab_size=30522,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    ElectraModel(config).save_pretrained(tmp_path / "base")
    blueprint = Blueprint(tmp_path / "base", "electra", ("mean 1",))
    before, after = load_encoder(blueprint), run(tmp_path / "run", blueprint, windows).network.encoder
    changed = {name for name, each in after.state_dict().items() if not torch.equal(each, before.state_dict()[name])}
    assert changed
    assert all(name.startswith("encoder.") for name in changed)


def test_a_run_of_no_step_has_a_record(tmp_path: Path) -> None:
    """No losses, no curve, and no traceback."""
    record.losses(tmp_path, [])
    assert (tmp_path / "loss.csv").read_text().splitlines() == ["step,loss"]


def test_the_record_names_every_input(tmp_path: Path) -> None:
    """Each by the hash of its bytes, with the revision of this repository and of no other that it may lie in."""
    (tmp_path / "one.jsonl").write_bytes(b"{}")
    nothing: Mapping[str, Sequence[Path]] = dict.fromkeys(record.INPUTS, ())
    record.begin(tmp_path, {"seed": 1, "data": tmp_path}, None, {**nothing, "data": [tmp_path / "one.jsonl"]})
    said = record.read(tmp_path)
    assert said["asked"] == {"seed": 1, "data": str(tmp_path)}
    assert said["data"] == {"one.jsonl": sha256(b"{}").hexdigest()}
    assert said["teacher"] == {}
    assert re.fullmatch("unknown|[0-9a-f]{40}(-dirty)?", said["revision"])


def sheet_of(examples: Sequence[Example], scores: Mapping[str, float]) -> Sheet:
    """The rows with one score for every output of each post, by its body."""
    posts = [document.body for example in examples for document in example.documents]
    of_posts = np.array([[scores[body]] * OUTPUTS for body in posts], dtype=np.float32)
    return Sheet(examples, of_posts, np.cumsum([0, *(len(each.documents) for each in examples[:-1])]))


PLAIN_HEADS = uncalibrated(
    dense=np.zeros((1, OUTPUTS), dtype=np.float32),
    words=np.zeros((1, OUTPUTS), dtype=np.float32),
    bias=np.zeros(OUTPUTS, dtype=np.float32),
    bag=Bag(np.array([5]), np.ones(1, dtype=np.float32)),
    sharpness=np.zeros(OUTPUTS, dtype=np.float32),
)


def test_relevance_is_decided_so_that_few_ambiguous_posts_are(tmp_path: Path) -> None:
    """The threshold tells posts apart as well as it can where at most 11 % of the false friends are called relevant."""
    about, other, friends = (
        {f"{name} {at}": float(score) for at, score in enumerate(np.linspace(*span, 40))}
        for name, span in (("about", (0, 4)), ("other", (-4, -2)), ("friend", (-3, 2)))
    )
    write(
        tmp_path,
        relevance=[{"text": each, "label": "mh"} for each in about]
        + [{"text": each, "label": "not_mh"} for each in other],
        relevance_ambiguous=[{"text": each, "label": "ordinary_with_mh_terms"} for each in friends],
    )
    heads = calibrate(PLAIN_HEADS, sheet_of(labelled(tmp_path), {**about, **other, **friends}))

    def called(texts: Mapping[str, float]) -> float:
        scores = np.tile(np.array([*texts.values()], dtype=np.float32)[:, np.newaxis], OUTPUTS)
        return float(np.mean(heads.probabilities(scores)[:, 0] >= heads.threshold[0]))

    assert 0 < called(friends) <= 0.11
    assert called(other) == 0
    assert called(about) > 0.5


def test_ordinary_posts_do_not_move_the_line_of_severity(tmp_path: Path) -> None:
    """Severity is calibrated on the rows that people labelled for it, whatever else says that a post is ordinary."""
    rng = np.random.default_rng(4)
    severe = {f"post {at}": float(rng.normal(at % 2)) for at in range(200)}
    ordinary = {f"bread {at}": -20.0 for at in range(200)}
    rows = [{"text": each, "label": "severe" if at % 2 else "minimal"} for at, each in enumerate(severe)]
    write(tmp_path, severity4=rows, relevance=[{"text": each, "label": "not_mh"} for each in ordinary])
    examples = labelled(tmp_path)
    both = calibrate(PLAIN_HEADS, sheet_of(examples, {**severe, **ordinary}))
    alone = calibrate(PLAIN_HEADS, sheet_of([e for e in examples if e.set_name == "severity4"], severe))
    columns = TASKS["severity"]
    assert both.slope[columns] == pytest.approx(alone.slope[columns])
    assert both.offset[columns] == pytest.approx(alone.offset[columns])


def test_a_scale_of_classes_is_calibrated_as_classes(tmp_path: Path) -> None:
    """Levels that the network takes for each other are told by their steps, and each is as likely as it is frequent;
    the heads that are kept say the same of a post as those that were looked at."""
    rng = np.random.default_rng(5)
    names = ("minimal", "mild", "moderate", "severe")
    true = rng.choice(4, size=600, p=(0.5, 0.1, 0.25, 0.15))
    write(tmp_path, severity4=[{"text": f"post {at}", "label": names[level]} for at, level in enumerate(true)])
    examples = labelled(tmp_path)
    mistaken = np.array([0, 3, 2, 1])[true]  # mild looks severe, and severe mild
    vectors = (np.eye(4)[mistaken] * 3 + rng.normal(size=(600, 4))).astype(np.float32)
    dense = np.zeros((4, OUTPUTS), dtype=np.float32)
    dense[:, TASKS["severity"]] = np.diff(np.eye(4), axis=1)
    heads = replace(PLAIN_HEADS, dense=dense)
    posts = [Encoded(vector[np.newaxis], [np.array([5])]) for vector in vectors]
    calibrated = calibrate(heads, Sheet(examples, heads.scores(posts), np.arange(600)))
    reached = calibrated.probabilities(calibrated.scores(posts))[:, TASKS["severity"]]
    likely = distribution(reached)
    assert likely.mean(axis=0) == pytest.approx(np.bincount(true) / 600, abs=0.01)
    assert np.mean(likely.argmax(axis=1) == true) > 0.8


def test_risk_is_worth_what_users_and_single_posts_say(tmp_path: Path) -> None:
    """A user counts by the gravest post, wherever it stands; an ordinary post that shows any risk costs its share."""
    users = [{"text": "calm\n\ngrave", "label": "attempt"}, {"text": "calm\n\ncalm too", "label": "supportive"}]
    weak = [{"text": "lost", "label": "suicide", "source": "sdcnl"}]
    calm = {"text": "well", "label": "non_suicide", "source": "sdcnl", "subreddit": "depression"}
    write(tmp_path, risk_cssrs=users, risk_binary=[*weak, calm], relevance=[{"text": "bread", "label": "not_mh"}])
    worth = worth_of_risk(
        sheet_of(labelled(tmp_path), dict.fromkeys(("calm", "grave", "calm too", "lost", "well", "bread"), 0.0))
    )
    assert worth(np.array([0, 4, 0, 0, 2, 1, 0])) == worth(np.array([4, 1, 0, 0, 3, 0, 0])) == 3
    assert worth(np.array([0, 4, 0, 0, 2, 1, 1])) == 2
    assert worth(np.array([0, 0, 0, 0, 2, 1, 0])) == 2.5
    assert worth(np.array([0, 4, 0, 0, 1, 1, 0])) == 2.5


def test_a_statement_is_worth_the_share_of_rows_that_bear_it_out(tmp_path: Path) -> None:
    """By Laplace's rule of succession, of rows that people labelled; and of no risk above what it states."""
    said = "I want to kill myself."
    write(
        tmp_path,
        risk_cssrs=[
            {"text": f"{said} {at}", "label": label} for at, label in enumerate(["ideation"] * 2 + ["indicator"])
        ],
        severity4=[{"text": f"{said} {at}.", "label": "severe"} for at in range(2)],
        risk_binary=[{"text": f"{said} By a subreddit.", "label": "non_suicide"}],
    )
    found = rule_precision(labelled(tmp_path), Rules.load())
    assert found["ideation"] == {"indicator": 0.8, "ideation": 0.6, "mild": 0.75, "moderate": 0.75, "severe": 0.75}
    assert found["attempt"]["attempt"] == 0.5


@dataclass(frozen=True)
class Certain:
    """A judge that says of every post how likely ideation is: the number that it begins with."""

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document."""
        likely = [float(document.body.split()[0]) for document in documents]
        return [
            Assessment(
                0.5, dict.fromkeys(Disorder, 0.0), ordinal(Severity, [0] * 3), ordinal(Risk, [p, p, 0, 0]), (), {}
            )
            for p in likely
        ]


def test_doubt_is_measured_on_users_and_on_posts_about_suicide(tmp_path: Path) -> None:
    """Users count by the gravest of their posts, single posts for what is missed; without users there is no band."""
    users = [{"text": f"0.1 a {at}\n\n0.7 b {at}", "label": "ideation"} for at in range(40)]
    users += [{"text": f"0.2 c {at}\n\n0.1 d {at}", "label": "supportive"} for at in range(40)]
    posts = [{"text": f"0.3 e {at}", "label": "suicide"} for at in range(40)]
    calm = [{"text": f"0.05 f {at}", "label": "non_suicide"} for at in range(40)]
    write(tmp_path, risk_cssrs=users)
    assert measured_doubt(Certain(), labelled(tmp_path)) == Band(0.7, 0.7)
    write(tmp_path, risk_cssrs=users, risk_binary=posts + calm)
    assert measured_doubt(Certain(), labelled(tmp_path)) == Band(0.3, 0.7)
    write(tmp_path, risk_binary=posts)
    assert measured_doubt(Certain(), labelled(tmp_path)) is None
