"""The skim: what it passes over, what it never does, and how its threshold is placed. Every post here is made up."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.document import Document
from models.encoder import HEADS_FILE, Encoder, Manifest, base_folder, shipped_folder
from models.errors import ModelError
from models.heads import OUTPUTS, Bag
from models.hybrid import Hybrid
from models.labelled import Row
from models.labels import Risk, Severity
from models.onnx_export import sha256_of
from models.rules import Rules
from models.skim import SKIM_FILE, Shares, Skim, Terms, neighbours
from models.train.data import Example
from models.train.skim import Pool, add_skim, fit_skim, measure
from models.windows import Tokens, Windows

ORDINARY, HEAVY, LIGHT = 10, 11, 12
PLAIN = "The loaf came out flat again, so the starter may be too young, or it was the cold kitchen on that morning."
SHARES = Shares(relevance=0.01, severity=0.002, risk=0.001)


ORDINARY_PAIR = int(neighbours(np.array([HEAVY, LIGHT]))[0])


def skim(threshold: float = 0.0) -> Skim:
    """Of two words, one ordinary and one heavy, and of a pair in which the heavy one means nothing."""
    return Skim(
        terms=Terms(
            Bag(np.array([ORDINARY, HEAVY]), np.ones(2, dtype=np.float32)),
            Bag(np.array([ORDINARY_PAIR]), np.ones(1, dtype=np.float32)),
        ),
        weights=np.array([-1, 3, -4], dtype=np.float32),
        bias=0.0,
        threshold=threshold,
        shares=SHARES,
    )


def post(*words: int, stretches: int = 1) -> list[Tokens]:
    """Twelve tokens or more: the words, and ordinary ones before them."""
    return np.array_split(np.array([ORDINARY] * 12 * stretches + list(words)), stretches)


def test_what_is_plainly_ordinary_is_skimmed() -> None:
    """A post of ordinary words is, one with a heavy word is not, unless the word after it takes its weight away."""
    assert skim().skims(post())
    assert not skim().skims(post(HEAVY, HEAVY))
    assert skim().skims(post(HEAVY, LIGHT))
    assert not skim().skims(post(LIGHT, HEAVY, HEAVY))


def test_a_few_heavy_words_in_a_long_post_are_not_lost() -> None:
    """The whole post would be taken for ordinary; the stretch they stand in is not."""
    long = post(HEAVY, HEAVY, HEAVY, stretches=40)
    assert skim().score([np.concatenate(long)]) < 0 < skim().score(long)


@pytest.mark.parametrize("tokens", [[], [ORDINARY] * 9, [ORDINARY] * 9 + [500] * 10])
def test_short_and_strange_posts_are_always_read(tokens: Sequence[int]) -> None:
    """Nothing is plain in eight words, or in a language whose words the skim does not know."""
    assert not skim(threshold=99).skims([np.array(tokens, dtype=np.int64)])


def test_a_skim_survives_the_file(tmp_path: Path) -> None:
    """What is saved is what is read; no file is no skim; a damaged one is an error that names it."""
    file = tmp_path / "skim.safetensors"
    assert Skim.read(file) is None
    skim().save(file)
    read = Skim.read(file)
    assert read is not None
    assert read.version == skim().version != skim(threshold=0.5).version
    assert read.score(post(HEAVY)) == skim().score(post(HEAVY))
    assert read.shares.relevance == pytest.approx(SHARES.relevance)
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ModelError, match=r"skim\.safetensors"):
        Skim.read(file)
    replace(skim(), weights=np.ones(2, dtype=np.float32)).save(file)
    with pytest.raises(ModelError, match="one weight a term"):
        Skim.read(file)


class Everything(Skim):
    """A skim that takes every post for ordinary."""

    def skims(self, post: Sequence[Tokens]) -> bool:
        return True


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """The model in the box, prepared on first use."""
    return Encoder.load()


def test_the_rules_raise_what_is_skimmed(encoder: Encoder) -> None:
    """Words about risk, said outright or set aside, and words enough about mental health put the encoder to work; the
    rest gets the fixed calm judgement."""
    everything = Everything(skim().terms, skim().weights, 0.0, 99.0, SHARES)
    documents = [
        Document("", PLAIN),
        Document("", f"{PLAIN} I want to kill myself."),
        Document("", f"{PLAIN} My friend wants to kill herself."),
        Document("", f"{PLAIN} This homework makes me want to die, lol."),
        Document("", f"{PLAIN} I was diagnosed with OCD and my therapist left."),
    ]
    plain, *others = Hybrid(Rules.load(), encoder, everything).assess(documents)
    assert set(plain.versions) == {"rules", "skim"}
    assert plain.relevance == SHARES.relevance
    assert (plain.severity.level, plain.risk.level, plain.disputed) == (Severity.MINIMAL, Risk.NONE, False)
    assert plain.risk.at_least(Risk.INDICATOR) == pytest.approx(SHARES.risk)
    assert sum(plain.severity.probs.values()) == pytest.approx(1)
    assert all(set(each.versions) == {"rules", "skim", "encoder"} for each in others)
    read = Hybrid(Rules.load(), encoder).assess(documents)[1:]
    assert [replace(each, versions={}) for each in others] == [replace(each, versions={}) for each in read]


@pytest.fixture(scope="module")
def windows() -> Windows:
    """The tokenizer in the box."""
    return Windows(base_folder() / "tokenizer.json", 128, 32)


def pool(windows: Windows, seed: int = 1) -> Pool:
    """Posts about bread and posts of need; of the latter, one in ten reads like bread and is of no high risk."""
    rng = np.random.default_rng(seed)
    bread = "bread flour oven crust water salt yeast dough morning kitchen table butter warm loaf"
    need = "alone tired hopeless cannot sleep crying nobody empty pain scared night worthless numb"
    both = "the and was with then when some very much again today about"
    kinds = rng.integers(0, 2, 1200)
    hidden = (rng.random(1200) < 0.1) & (kinds == 1)
    texts = [
        " ".join(
            rng.permutation(
                [*rng.choice((need if kind and not plain else bread).split(), 8), *rng.choice(both.split(), 8)]
            )
        )
        for kind, plain in zip(kinds, hidden, strict=True)
    ]
    return Pool(
        posts=windows.cut(texts),
        ordinary=kinds == 0,
        relevant=kinds == 1,
        high_risk=(kinds == 1) & ~hidden,
        spared=np.zeros(1200, dtype=np.bool_),
        folds=rng.integers(0, 5, 1200),
    )


def test_a_fitted_skim_passes_over_ordinary_posts_alone(windows: Windows) -> None:
    """Most ordinary posts go, none of high risk and hardly one of those it never saw; and the fit repeats."""
    fitted, measured = fit_skim(pool(windows), windows)
    assert measured.ordinary.skimmed > 0.9 * measured.ordinary.posts
    assert measured.high_risk.skimmed == 0
    unseen = measure(fitted, pool(windows, seed=2))
    assert unseen.ordinary.skimmed > 0.9 * unseen.ordinary.posts
    assert unseen.high_risk.skimmed < 0.005 * unseen.high_risk.posts
    assert unseen.relevant.skimmed > 0, "those that read like bread are counted, and not hidden"
    assert fit_skim(pool(windows), windows)[0].version == fitted.version


def test_what_is_said_of_a_skimmed_post_is_how_often_it_holds(windows: Windows) -> None:
    """By the posts that are told from ordinary ones: rows beside them have no say in how many are relevant."""
    posts = pool(windows)
    beside = replace(posts, relevant=posts.relevant & (np.arange(1200) % 3 == 0))
    for each in (posts, beside):
        fitted, measured = fit_skim(each, windows)
        skimmed = measured.ordinary.skimmed + measured.relevant.skimmed + 2
        assert fitted.shares.relevance == pytest.approx((measured.relevant.skimmed + 1) / skimmed)
        assert fitted.shares.risk == fitted.shares.severity == pytest.approx(1 / skimmed)
    assert measured.relevant.skimmed > 0


def test_what_the_rules_spare_is_never_counted_as_skimmed(windows: Windows) -> None:
    """A post with words about risk is read whatever it scores, so it does not lower the threshold either."""
    spared = replace(pool(windows), spared=np.ones(1200, dtype=np.bool_))
    assert fit_skim(spared, windows)[1].ordinary.skimmed == 0


def test_a_lesson_without_high_risk_teaches_no_skim(windows: Windows) -> None:
    """Without posts that must not be lost there is no place for a threshold."""
    with pytest.raises(ModelError, match="high risk"):
        fit_skim(replace(pool(windows), high_risk=np.zeros(1200, dtype=np.bool_)), windows)


def example(set_name: str, label: str, body: str, fold: int | None) -> Example:
    """A labelled row of one post."""
    nothing = np.full(OUTPUTS, np.nan, dtype=np.float32)
    document = Document("", body)
    return Example(Row(body, set_name, "made up", document, (label,)), (document,), nothing, nothing, fold)


def test_a_model_folder_is_given_its_skim(tmp_path: Path) -> None:
    """Labelled rows make a skim beside the heads, and whatever serves the folder then passes over what is ordinary.

    Neither that skim altered nor one that the manifest does not name is served.
    """
    for file in shipped_folder().iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    unskimmed = replace(Manifest.read(tmp_path), heads_sha256=sha256_of(tmp_path / HEADS_FILE))
    unskimmed.write(tmp_path)
    days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    rows = [
        example(
            name, label, f"{text} It was on a {days[number % 7]} in week {number}.", None if number < 5 else number % 5
        )
        for number in range(60)
        for name, label, text in (
            ("relevance", "not_mh", PLAIN),
            (
                "severity4",
                "severe",
                "I feel hopeless and depressed, I cry every night and nobody would miss me.",
            ),
            ("relevance", "mh", "My anxiety is bad and my therapist says these panic attacks will pass."),
            ("relevance_ambiguous", "ordinary_with_mh_terms", "My OCD kicks in when I clean the grill."),
        )
    ]
    unseen, apart = add_skim(tmp_path, rows)
    assert (unseen.ordinary.posts, unseen.relevant.posts, unseen.high_risk.posts) == (55, 55, 55)
    assert unseen.high_risk.skimmed == 0
    assert apart.ordinary.skimmed == apart.ordinary.posts == 5
    plain, heavy = Hybrid.load(tmp_path).assess([rows[0].row.document, rows[1].row.document])
    assert "encoder" not in plain.versions
    assert "encoder" in heavy.versions
    skim().save(tmp_path / SKIM_FILE)
    for manifest in (Manifest.read(tmp_path), unskimmed):
        manifest.write(tmp_path)
        with pytest.raises(ModelError, match=r"skim\.safetensors is not the file"):
            Hybrid.load(tmp_path)
