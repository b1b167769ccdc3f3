from __future__ import annotations

import dataclasses
import re
from collections import Counter

import pytest

from bot.demo import Sample, samples
from models.labels import Disorder, Level, Risk, Severity

SAMPLES = samples()

KINDS = {
    "abuse",
    "deleted",
    "disorder",
    "emoji",
    "empty",
    "exam",
    "friend",
    "grief",
    "hostile",
    "hyperbole",
    "hypothetical",
    "instruction",
    "language",
    "lgbtq",
    "long",
    "lyrics",
    "medication",
    "news",
    "ordinary",
    "parent",
    "past",
    "quoted",
    "risk",
    "slang",
    "support",
    "veteran",
}

NAMED = {
    Disorder.DEPRESSION: r"\bdepress",
    Disorder.ANXIETY: r"\banxi",
    Disorder.BIPOLAR: r"\bbipolar",
    Disorder.PTSD: r"\bc?-?ptsd",
    Disorder.OCD: r"\bocd\b",
    Disorder.ADHD: r"\badhd\b",
    Disorder.AUTISM: r"\bautis",
    Disorder.SCHIZOPHRENIA: r"\bschizo",
    Disorder.EATING_DISORDER: r"\b(anorexi|bulimi|eating disorder)",
}


def of_kind(kind: str) -> list[Sample]:
    return [sample for sample in SAMPLES if sample.kind == kind]


def words(sample: Sample) -> str:
    return f"{sample.title}\n{sample.selftext}"


def test_there_are_enough_of_them() -> None:
    """A demo and the tests have at least 150 posts to work with, 35 of them ordinary."""
    assert len(SAMPLES) >= 150
    assert len(of_kind("ordinary")) >= 35


def test_ids_authors_and_texts_are_unique() -> None:
    """No two samples can be taken for the same submission."""
    assert len({sample.id for sample in SAMPLES}) == len(SAMPLES)
    assert len({words(sample) for sample in SAMPLES}) == len(SAMPLES)
    authors = [sample.author for sample in SAMPLES if sample.author != "[deleted]"]
    assert len(set(authors)) == len(authors)


def test_samples_are_frozen() -> None:
    """A test that uses a sample cannot change it for the next one."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        SAMPLES[0].title = "changed"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        SAMPLES[0].expect.risk = Risk.NONE  # type: ignore[misc]


def test_every_label_of_every_scale_occurs() -> None:
    """Nothing that the models can say is missing; `unassessed` is a failure, so no reader would expect it."""
    assert {sample.expect.relevance for sample in SAMPLES} == {True, False}
    assert {sample.expect.severity for sample in SAMPLES} == set(Severity)
    assert {sample.expect.level for sample in SAMPLES} == set(Level) - {Level.UNASSESSED}
    risks = Counter(sample.expect.risk for sample in SAMPLES)
    assert all(risks[risk] >= 8 for risk in Risk), risks


@pytest.mark.parametrize("disorder", Disorder)
def test_every_disorder_occurs_named_and_unnamed(disorder: Disorder) -> None:
    """Each disorder has five posts, some that say its name and some that only describe it."""
    posts = [sample for sample in SAMPLES if disorder in sample.expect.disorders]
    named = [bool(re.search(NAMED[disorder], words(sample), re.IGNORECASE)) for sample in posts]
    assert len(posts) >= 5
    assert set(named) == {True, False}


def test_every_kind_occurs_and_no_other() -> None:
    """A tag that is missing or misspelled is noticed."""
    assert {sample.kind for sample in SAMPLES} == KINDS


@pytest.mark.parametrize("subreddit", ["testsub", "quietcorner"])
def test_both_subreddits_hold_every_level(subreddit: str) -> None:
    """A bot that watches one of the two subreddits still meets everything."""
    levels = {sample.expect.level for sample in SAMPLES if sample.subreddit == subreddit}
    assert levels == set(Level) - {Level.UNASSESSED}


def test_there_is_no_third_subreddit() -> None:
    """Whoever serves the samples knows both subreddits by name."""
    assert {sample.subreddit for sample in SAMPLES} == {"testsub", "quietcorner"}


@pytest.mark.parametrize("kind", ["deleted", "emoji", "hostile", "instruction", "language", "long", "lyrics", "slang"])
def test_a_shape_of_text_says_nothing_of_need(kind: str) -> None:
    """Whatever a post looks like, some of its kind need nobody and some need a person soon."""
    levels = {sample.expect.level for sample in of_kind(kind)}
    assert Level.NONE in levels
    assert levels & {Level.URGENT, Level.CRISIS}


def test_the_longest_post_is_as_long_as_reddit_allows() -> None:
    """One text is 40,000 characters, and none goes beyond Reddit's limits."""
    assert max(len(sample.selftext) for sample in SAMPLES) == 40_000
    assert all(1 <= len(sample.title) <= 300 for sample in SAMPLES)


def test_a_long_post_may_say_it_at_the_very_end() -> None:
    """Something in the last hundredth of a long post decides its level: cutting the text off would lose it."""
    tails = [s.selftext[-len(s.selftext) // 100 :] for s in of_kind("long") if s.expect.level is Level.CRISIS]
    assert any("kill myself" in tail and len(tail) > 250 for tail in tails)


def test_deleted_and_empty_posts_look_as_they_do_on_reddit() -> None:
    """Deleted posts carry Reddit's placeholders, empty ones have a title alone, and nothing else has either."""
    placeholders = {"[deleted]", "[removed]"}
    assert {sample.selftext for sample in of_kind("deleted")} == placeholders
    assert {sample.selftext for sample in of_kind("empty")} == {""}
    others = [sample for sample in SAMPLES if sample.kind not in {"deleted", "empty"}]
    assert not [s.id for s in others if s.selftext in placeholders or not s.selftext or s.author == "[deleted]"]


def test_author_names_are_possible_on_reddit() -> None:
    """A name is one that Reddit would take, so the client and the store meet nothing unreal."""
    for sample in SAMPLES:
        assert sample.author == "[deleted]" or re.fullmatch(r"[A-Za-z0-9_-]{3,20}", sample.author), sample.id


def test_several_languages_occur() -> None:
    """Posts come in eight languages and four scripts, from people in need and from others."""
    posts = of_kind("language")
    for letters in ("[ąćęłńóśźż]", "[ぁ-ん]", "[ऀ-ॿ]", "[؀-ۿ]", "[äöüß]", "[ãõ]", "[¿ñ]", "[àèêû]"):
        assert any(re.search(letters, words(sample)) for sample in posts), letters
    assert {sample.expect.level > Level.NONE for sample in posts} == {True, False}


def test_expectations_agree_with_themselves() -> None:
    """The judgements follow one rule: what is not relevant is nothing, and suicidal thoughts are a crisis."""
    for sample in SAMPLES:
        expect = sample.expect
        assert (expect.level is Level.CRISIS) == (expect.risk >= Risk.IDEATION), sample.id
        if not expect.relevance:
            assert not expect.disorders, sample.id
            assert (expect.severity, expect.risk, expect.level) == (Severity.MINIMAL, Risk.NONE, Level.NONE), sample.id
        if expect.severity is Severity.SEVERE:
            assert expect.level >= Level.URGENT, sample.id


def test_support_and_recovery_raise_no_alarm() -> None:
    """Help offered to others is no risk, and an attempt long ago is at most something to watch."""
    assert {(s.expect.risk, s.expect.level) for s in of_kind("support")} == {(Risk.NONE, Level.NONE)}
    assert all(s.expect.risk <= Risk.INDICATOR and s.expect.level <= Level.WATCH for s in of_kind("past"))


def test_nothing_points_at_a_real_person_or_place_on_the_web() -> None:
    """No e-mail address, phone number or web address occurs, save those of example.com."""
    for sample in SAMPLES:
        text = words(sample).replace("https://example.com/", "")
        assert not re.search(r"\w@\w", text), sample.id
        assert not re.search(r"\+?\d(?:[\s().-]?\d){6,}", text), sample.id
        assert not re.search(
            r"(?i)https?:|www\.|\b[\w-]+\.(?:com|org|net|edu|gov|info|io|me|app|dev|co|uk|de)\b", text
        ), sample.id


def test_nothing_tells_how() -> None:
    """No dose and no count of tablets stands anywhere: the samples keep to safe messaging themselves."""
    dose = re.compile(r"(?i)\b\d+\s?(?:mg|milligrams?|ml|pills|tablets|capsules)\b")
    assert not [sample.id for sample in SAMPLES if dose.search(words(sample))]
