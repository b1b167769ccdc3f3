"""The dictionary annotator. Every sentence in this file was made up for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.document import Document
from models.labels import Disorder, Relevance, Risk, Severity
from models.rules import FILES, Reading, Rules

RULES = Rules.load()
ALL_LABELS = frozenset(map(str, [*Relevance, *Disorder, *Severity, *Risk]))


def read(text: str, title: str = "") -> Reading:
    return RULES.annotate(Document(title, text))


def reasons(reading: Reading) -> set[str]:
    return {span.note for span in reading.set_aside}


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (Risk.IDEATION, "I want to die."),
        (Risk.IDEATION, "I just really want to die and I cannot tell anyone."),
        (Risk.IDEATION, "I don't want to be alive anymore"),
        (Risk.IDEATION, "I dont want to be here anymore, everything hurts"),
        (Risk.IDEATION, "honestly everyone would be better off without me"),
        (Risk.IDEATION, "I keep thinking about killing myself."),
        (Risk.IDEATION, "I've been feeling so suicidal since March"),
        (Risk.IDEATION, "I want to unalive myself"),
        (Risk.IDEATION, "been thinking about sewerslide a lot"),
        (Risk.IDEATION, "I just want to end it all"),
        (Risk.IDEATION, "I wish I could go to sleep and never wake up"),
        (Risk.IDEATION, "I see no point in living"),
        (Risk.IDEATION, "i want to kms and nobody would even notice"),
        (Risk.BEHAVIOR, "I am going to kill myself tonight."),
        (Risk.BEHAVIOR, "I wrote my goodbye letters this morning"),
        (Risk.BEHAVIOR, "I have been giving away all my things"),
        (Risk.BEHAVIOR, "I bought a rope yesterday to hang myself"),
        (Risk.BEHAVIOR, "I have a plan to kill myself"),
        (Risk.BEHAVIOR, "I started cutting myself again"),
        (Risk.ATTEMPT, "I tried to kill myself last night"),
        (Risk.ATTEMPT, "I took a whole bottle of pills and I am scared"),
        (Risk.ATTEMPT, "Since my suicide attempt nobody talks to me"),
    ],
)
def test_plain_statements(level: Risk, text: str) -> None:
    """What an author states of themselves and of now is read at its level."""
    reading = read(text)
    assert (reading.explicit_risk, reading.risk) == (level, level), reading
    assert reading.relevant


@pytest.mark.parametrize(
    "text",
    [
        "I want to dіe".replace("і", "i"),
        "I WANT TO DIE",
        "i wanna die",
        "I don’t want to live anymore",
        "I dont want to live anymore",
        "I do not want to live any more, i want to die",
        "I want to ki\u200bll mys\u200delf",
        "Ｉ ｗａｎｔ ｔｏ ｄｉｅ",
        "𝐈 𝐰𝐚𝐧𝐭 𝐭𝐨 𝐝𝐢𝐞",
        "i want to k1ll myself",
        "I want to k*ll myself",
        "I want to kill my self",
        "i have been thinking about sucide",
        "im sucidal",
        "I **want** to _die_",
    ],
)
def test_spelling_does_not_hide_a_statement(text: str) -> None:
    """Case, apostrophes, characters of no width, wide letters, digits and common slips change nothing."""
    assert read(text).explicit_risk is Risk.IDEATION


@pytest.mark.parametrize(
    "text",
    [
        "ya no puedo mas, quiero morirme",
        "no quiero vivir más",
        "Ich will nicht mehr leben.",
        "Ich möchte sterben",
        "je veux mourir",
        "j'ai envie de me suicider",
        "eu quero me matar",
        "não quero mais viver",
        "chcę umrzeć",
        "Nie chcę żyć",
    ],
)
def test_other_languages(text: str) -> None:
    """A few phrases that leave no doubt are known in Spanish, German, French, Portuguese and Polish."""
    assert read(text).explicit_risk >= Risk.IDEATION


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("negated", "I don't want to die, I only want to sleep"),
        ("negated", "I am not suicidal"),
        ("negated", "I would never kill myself"),
        ("negated", "no suicidal thoughts since the new meds"),
        ("a what-if", "if I ever wanted to kill myself my dog would stop me"),
        ("a what-if", "If they cancel that show I will kill myself"),
        ("said of somebody else", "My friend wants to die and I have no idea what to say"),
        ("said of somebody else", "my sister keeps saying that they want to die"),
        ("said of somebody else", "My uncle killed himself in spring"),
        ("a figure of speech", "kms lol"),
        ("a figure of speech", "this homework makes me want to die lmao"),
        ("a figure of speech", "I want to die of embarrassment"),
        ("a figure of speech", "I kill myself with the grenade every time in that level"),
        ("quoted", "> I want to die\n\nWhat does one say to that?"),
        ("quoted", "&gt; I want to kill myself\n\nSomebody wrote this under my video."),
        ("quoted", 'The girl in the film whispers "I want to die" and leaves.'),
        ("quoted", "She texted “I want to die” and went offline"),
        ("quoted", "♪ I want to die in your arms ♪"),
        ("long past", "I tried to kill myself ten years ago."),
        ("long past", "I used to be suicidal, life is good these days"),
        ("long past", "When I was 15 I tried to kill myself"),
        ("offered to others", "If you are thinking of ending it all please call somebody"),
        ("offered to others", "To anyone who wants to hear it: if you feel suicidal, reach out"),
    ],
)
def test_context_sets_a_hit_aside(reason: str, text: str) -> None:
    """Words whose context takes their meaning away are no statement of the author; the reason is given."""
    reading = read(text)
    assert reading.explicit_risk < Risk.IDEATION, reading
    assert reason in reasons(reading)
    assert all(span.note != reason for span in reading.evidence)


@pytest.mark.parametrize(
    "text",
    [
        "this exam is killing me",
        "I was dying of laughter the whole evening",
        "I could kill for a pizza",
        "you are not alone, I've been there",
        "New PB on the suicide squeeze drill, our coach was dead on his feet",
        "Best way to sharpen a kitchen knife?",
        "The battery died and the screen is dead.",
        "",
        "   \n\n  ",
    ],
)
def test_ordinary_posts_carry_no_risk(text: str) -> None:
    """Figures of speech, support and everyday words are not read as ideation."""
    assert read(text).risk < Risk.IDEATION


@pytest.mark.parametrize(
    "text",
    [
        "I don't know why but I want to die",
        "not gonna lie, I want to die",
        "I can't stop thinking about killing myself",
        'I told her "I want to die" and I meant it',
        "My friend says I should get help, but I want to kill myself",
        "I tried to kill myself ten years ago and now I want to die again",
        "I used to love life. Now I want to die.",
        "Everyone tells me I am not alone. I still want to die.",
        "Does anyone else feel like this? I want to kill myself.",
        "The song stopped. I want to die.",
    ],
)
def test_context_does_not_reach_too_far(text: str) -> None:
    """A negation, a friend or a quotation beside a plain statement does not silence it."""
    assert read(text).explicit_risk is Risk.IDEATION


def test_somebody_else_in_danger_is_an_indicator() -> None:
    """A friend's danger is not the author's own, yet a moderator hears of it and reads whose it is."""
    reading = read("my friend just texted me that he's going to kill himself tonight")
    assert (reading.explicit_risk, reading.risk) == (Risk.NONE, Risk.INDICATOR)
    assert "said of somebody else" in reasons(reading)
    (evidence,) = [span for span in reading.evidence if span.label == Risk.INDICATOR]
    assert "somebody else" in evidence.note


def test_a_past_attempt_is_an_indicator() -> None:
    """An attempt of long ago is no crisis, but it is not nothing."""
    assert read("I tried to kill myself ten years ago.").risk is Risk.INDICATOR


@pytest.mark.parametrize(
    ("disorder", "text"),
    [
        (Disorder.DEPRESSION, "My depression is back and I am numb"),
        (Disorder.DEPRESSION, "no motivation, crying every night, I just lay in bed all day"),
        (Disorder.ANXIETY, "panic attacks on every bus"),
        (Disorder.BIPOLAR, "is lithium worth it for bipolar 2"),
        (Disorder.PTSD, "nightmares and flashbacks ever since the assault"),
        (Disorder.OCD, "I check the door is locked again and again, these intrusive thoughts never end"),
        (Disorder.ADHD, "first week on Vyvanse"),
        (Disorder.ADHD, "I get distracted, lose track of every task and cannot sit still"),
        (Disorder.AUTISM, "late diagnosed autistic, stimming at work"),
        (Disorder.SCHIZOPHRENIA, "I hear voices in my head and I am paranoid"),
        (Disorder.EATING_DISORDER, "in recovery from anorexia"),
        (Disorder.EATING_DISORDER, "I binged and then made myself throw up"),
    ],
)
def test_disorders(disorder: Disorder, text: str) -> None:
    """A name, a medicine or two different signs show a condition."""
    reading = read(text)
    assert disorder in reading.disorders
    assert reading.relevant


def test_one_sign_repeated_is_one_sign() -> None:
    """Saying the same weak word again does not make a condition of it."""
    assert read("shy. shy. shy. shy.").disorders == frozenset()


def test_severity_follows_the_signs() -> None:
    """Severity rises from everyday strain to not being able to carry on."""
    texts = [
        "We won the cup final yesterday!",
        "A bit stressed and worried about the move.",
        "I am lonely and I keep crying.",
        "I can't go on, I haven't slept in days, I am falling apart.",
    ]
    assert [read(text).severity for text in texts] == list(Severity)


def test_explicit_risk_is_severe() -> None:
    """Whoever states a plan is severely unwell, whatever else the post says."""
    assert read("I am going to kill myself tonight.").severity is Severity.SEVERE


def test_offsets_are_code_points_of_the_whole_text() -> None:
    """Evidence marks exactly the words, across title and body, emoji and characters of no width."""
    document = Document("😂 help", "🙂 I wa\u200bnt to DIE, İ said")
    (span,) = [span for span in RULES.annotate(document).evidence if span.label == Risk.IDEATION]
    assert document.text[span.start : span.end] == "I wa\u200bnt to DIE"
    assert (span.source, span.note) == ("rules", "says they want to die")


def test_of_one_label_eight_spans_are_listed() -> None:
    """A post that repeats itself does not flood the moderator, and is still judged whole."""
    reading = read("It is just my depression. " * 100 + "I want to die.")
    assert sum(span.label == Disorder.DEPRESSION for span in reading.evidence) == 8
    assert reading.explicit_risk is Risk.IDEATION


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_read(title: str, body: str) -> None:
    """No text breaks the annotator; spans lie inside it and carry known labels."""
    document = Document(title, body)
    reading = RULES.annotate(document)
    for span in (*reading.evidence, *reading.set_aside):
        assert 0 <= span.start < span.end <= len(document.text)
        assert span.label in ALL_LABELS
    assert reading.explicit_risk <= reading.risk


def hostile(size: int) -> Iterator[str]:
    """Texts meant to make a matcher go back and forth."""
    for seed in (
        "i want to ",
        "want so really just ",
        "i tried to kill myself ",
        "my friend who said that ",
        "a",
        "'",
        '"a',
        "> ",
        "a*",
        "a\u200b",
        "(((",
        "if i ever if i ever ",
        "not never dont ",
        "♪",
        "“",
        "\n \n",
        "kms lol ",
        "you i he she they i ",
        "i took ",
    ):
        yield (seed * (size // len(seed) + 1))[:size]


def test_hostile_texts_take_linear_time() -> None:
    """40,000 characters made to provoke backtracking are read in a time of the order of any other text's."""
    for text in hostile(40_000):
        start = time.process_time()
        read(text)
        assert time.process_time() - start < 3, text[:40]


def test_assess_spells_out_every_label() -> None:
    """The rules alone serve as an annotator: full, fixed probabilities that decide as the reading does."""
    documents = [Document("", "I want to die, my depression is back"), Document("Pancakes", "Mix and fry.")]
    unwell, ordinary = RULES.assess(documents)
    assert (unwell.risk.level, ordinary.risk.level) == (Risk.IDEATION, Risk.NONE)
    assert (unwell.relevance, ordinary.relevance) == (0.9, 0.1)
    assert set(unwell.disorders) == set(Disorder)
    assert unwell.disorders[Disorder.DEPRESSION] == 0.9
    assert set(unwell.severity.probs) == set(Severity)
    for assessment in (unwell, ordinary):
        assert sum(assessment.risk.probs.values()) == pytest.approx(1)
        assert sum(assessment.severity.probs.values()) == pytest.approx(1)
        assert assessment.versions == {"rules": RULES.version}


def lexicon() -> dict[str, str]:
    folder = resources.files("models") / "lexicon"
    return {name: (folder / f"{name}.toml").read_text(encoding="utf-8") for name in FILES}


def test_version_follows_the_lexicon() -> None:
    """Any change of the lexicon, and nothing else, changes the version."""
    assert Rules(lexicon()).version == RULES.version
    assert Rules(lexicon() | {"words": lexicon()["words"] + "\n# a note\n"}).version != RULES.version


@pytest.mark.parametrize(
    "pattern", ["", "..3 die", "(want|wish) to?) die", "(want to die", "<nowhere> die", "die~", "want?", "|die"]
)
def test_a_pattern_that_cannot_be_read_is_named(pattern: str) -> None:
    """A slip in the lexicon is an error that quotes the pattern, never a term that matches anything."""
    term = f'[[term]]\nlabel = "ideation"\nnote = "a note"\npatterns = ["{pattern}"]\n'
    with pytest.raises(ValueError, match=r"term|pattern") as caught:
        Rules(lexicon() | {"risk": term})
    assert repr(pattern) in str(caught.value)


def test_a_label_that_does_not_exist_is_an_error() -> None:
    """The lexicon can only use the project's vocabulary."""
    with pytest.raises(ValueError, match="sadness"):
        Rules(lexicon() | {"risk": '[[term]]\nlabel = "sadness"\nnote = ""\npatterns = ["sad"]\n'})
