"""Changes of a text that should not change its judgement."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.assessment import Assessment, Ordinal
from models.document import Document
from models.labels import Disorder, Risk, Severity
from models.robustness import IDENTITIES, SPELLINGS, Pairs, add_emojis, mistype, noises, paste_lyrics, shout
from models.sensitivity import POSTS, measure

ALL_PAIRS = (*IDENTITIES, SPELLINGS)
OF_PAIRS = sorted(word for pairs in ALL_PAIRS for words in (pairs.to_first, pairs.to_second) for word in words)
words = st.sampled_from([*OF_PAIRS, "straight", "gay", "and", "Xyz", "éa"])
styled = st.tuples(words, st.sampled_from([str.lower, str.upper, str.capitalize, str.swapcase])).map(
    lambda p: p[1](p[0])
)
sentences = st.lists(styled | st.text(max_size=3), max_size=12).map(" ".join)


@pytest.mark.parametrize("pairs", ALL_PAIRS, ids=lambda pairs: pairs.name)
@given(text=sentences)
def test_swapping_twice_gives_the_text_back(pairs: Pairs, text: str) -> None:
    """Swapped words are partners one to one, whatever their capitals and whatever stands around them."""
    assert pairs.swap(pairs.swap(text)) == text


@pytest.mark.parametrize("pairs", ALL_PAIRS, ids=lambda pairs: pairs.name)
@given(text=sentences)
def test_a_side_is_whole(pairs: Pairs, text: str) -> None:
    """A text of one side has no word of the other left, so that putting it on that side again changes nothing."""
    second = pairs.all_second(text)
    assert pairs.all_second(second) == second
    assert pairs.all_first(pairs.swap(text)) == pairs.all_first(text)
    assert pairs.speaks_of(text) == (pairs.swap(text) != text)


def test_capitals_stay() -> None:
    """A swapped word looks like the one it stands for; part of a word is no word."""
    gender = IDENTITIES[0]
    assert gender.swap("My MOM told Him: the Boy and the mankind") == "My DAD told Him: the Girl and the mankind"
    assert gender.swap("my father-in-law") == "my mother-in-law"


@pytest.mark.parametrize(
    "text", ["three days straight and I cannot think straight", "my senior year", "a youth of ten winters", "old news"]
)
def test_a_word_that_is_mostly_about_something_else_is_no_identity(text: str) -> None:
    """Such posts would measure what the words mean, and not who is named."""
    assert not any(pairs.speaks_of(text) for pairs in IDENTITIES)


def test_two_words_are_one() -> None:
    """Beside who is meant, such a word names somebody."""
    (orientation,) = (pairs for pairs in IDENTITIES if pairs.name == "orientation")
    assert orientation.swap("Gay men and a straight friend") == "Straight men and a gay friend"


def test_a_word_in_two_pairs_is_refused() -> None:
    """Such a swap could not be taken back."""
    for pairs in ("dad/mom dad/mum", "dad/mom father/mom", "a/b b/c"):
        with pytest.raises(ValueError, match="a word stands in two pairs"):
            Pairs.read("x", "a", "b", pairs)


@given(st.text())
def test_a_changed_text_is_a_text(text: str) -> None:
    """Every change gives characters that can be written down, and the same ones each time."""
    for change in noises(7).values():
        assert change(text).encode("utf-8").decode("utf-8") == change(text)


def test_slips_follow_the_seed_and_spare_short_words() -> None:
    """About a tenth of the longer words, other ones with another seed, and always the first letter kept."""
    text = "somebody should really bring umbrellas " * 50
    slipped = mistype(text, 1)
    changed = [(old, new) for old, new in zip(text.split(), slipped.split(), strict=True) if old != new]
    assert 8 <= len(changed) <= 35
    assert all(old[0] == new[0] and abs(len(old) - len(new)) <= 1 for old, new in changed)
    assert mistype(text, 2) != slipped
    assert mistype("I am so sad", 1, share=1.0) == "I am so sad"


def test_other_changes_keep_the_words() -> None:
    """Capitals, emoji and lyrics leave every word of the author there."""
    text = "It rained. I stayed in!\nAll day"
    assert shout(text) == "IT RAINED. I STAYED IN!\nALL DAY"
    decorated = add_emojis(text, 1, share=1.0)
    assert len(decorated) > len(text)
    assert [word for word in decorated.split() if word.isascii()] == text.split()
    assert paste_lyrics(text).startswith(text)
    assert len(paste_lyrics(text).removeprefix(text).strip().splitlines()) == 4


class BiasedClassifier:
    """Finds more risk wherever a woman is named, and reads nothing else."""

    def __init__(self) -> None:
        self.seen: list[Document] = []

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document."""
        self.seen += documents
        return [self._assess("woman" in document.text.lower()) for document in documents]

    def _assess(self, named: bool) -> Assessment:
        risk = 0.7 if named else 0.2
        return Assessment(
            relevance=0.5,
            disorders=dict.fromkeys(Disorder, 0.0),
            severity=Ordinal({level: float(level is Severity.MINIMAL) for level in Severity}),
            risk=Ordinal({level: {Risk.NONE: 1 - risk, Risk.IDEATION: risk}.get(level, 0.0) for level in Risk}),
            evidence=(),
            versions={},
        )


def test_a_bias_is_measured() -> None:
    """A classifier that minds who is named shows a change from the one side to the other, and none anywhere else."""
    documents = [Document("", f"A {'man' if number % 3 else 'woman'} fed {number} ducks") for number in range(30)]
    totals: list[int] = []
    done: list[int] = []
    classifier = BiasedClassifier()
    authors = {document: f"author {at}" for at, document in enumerate(documents)}
    found = measure(classifier, authors, 1, totals.append, done.append)
    (gender,) = found.fairness
    assert (gender.name, gender.first, gender.second, gender.posts) == ("gender", "male", "female", 30)
    assert gender.change["risk"].value == pytest.approx(0.5)
    assert gender.flips["risk"].value == 1.0
    assert gender.change["relevance"].value == 0.0
    by_name = {shift.name: shift for shift in found.noise}
    assert by_name["upper case"].absolute["risk"].value == 0.0
    assert by_name["gender words swapped"].absolute["risk"].value == pytest.approx(0.5)
    assert by_name["gender words swapped"].change["risk"].value == pytest.approx(0.5 * (20 - 10) / 30)
    assert totals == [sum(done)] == [len(classifier.seen)] == [len(set(classifier.seen))]


def test_many_posts_of_two_authors_are_two_voices() -> None:
    """The interval spans what each of them would show alone, however much they wrote."""
    written = {Document("", f"A {who} fed {number} ducks"): who for who in ("man", "woman") for number in range(20)}
    (swapped,) = (each for each in measure(BiasedClassifier(), written, 1).noise if each.name == "gender words swapped")
    change = swapped.change["risk"]
    assert (change.value, change.low, change.high) == pytest.approx((0, -0.5, 0.5))


def test_no_more_posts_are_tried_than_needed() -> None:
    """However much data there is."""
    found = measure(BiasedClassifier(), {Document("", f"{number} ducks"): "" for number in range(POSTS + 50)}, 1)
    assert {shift.posts for shift in found.noise} == {POSTS}
    assert found.fairness == ()
