"""The rules that every word to an author keeps."""

from __future__ import annotations

import html
import re
import tomllib
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import pytest
import textstat
from hypothesis import given
from hypothesis import strategies as st

from bot.config import Replies, Team
from bot.replies import compose_reply
from bot.resources import Catalogue
from bot.safe_messaging import LONGEST_REPLY, Rule, lint, lint_words, prose
from bot.types import Decision, Post
from bot.wording import LANGUAGES, wording
from models.labels import Level

CATALOGUE = Catalogue.load()
TODAY = date(2026, 11, 24)
GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "replies").glob("*.md"))
POST = Post("abc", "testsub", "someone", "a title", "a body", 0.0, "")


OPT_OUT = "https://example.org/no-thanks"
DIRECTORY = "https://findahelpline.com"


def reply(language: str = "en") -> str:
    """A reply that names no line, so that all of it is the wording's own."""
    team = Team(replies=Replies(opt_out_url=OPT_OUT))
    return compose_reply(POST, Decision(Level.CRISIS, (), ()), team, CATALOGUE, TODAY, language)


def breaches(text: str, language: str = "en", lines: Sequence[str] = ()) -> list[Rule]:
    return [breach.rule for breach in lint(text, language, lines, DIRECTORY, OPT_OUT)]


BAD = [
    ("This sounds like depression.", Rule.DIAGNOSIS),
    ("You may have de*press*ion.", Rule.DIAGNOSIS),
    ("You may have dep\u200bression.", Rule.DIAGNOSIS),
    ("You may have &#100;epression.", Rule.DIAGNOSIS),
    ("You are suicidal.", Rule.CLAIM),
    ("You're not well.", Rule.CLAIM),
    ("You are broken inside.", Rule.CLAIM),
    ("You sound exhausted.", Rule.CLAIM),
    ("It gets better.", Rule.PROMISE),
    ("You’ll be okay.", Rule.PROMISE),
    ("We will keep you safe.", Rule.PROMISE),
    ("You will get through this.", Rule.PROMISE),
    ("Think of your family.", Rule.GUILT),
    ("You have to call someone.", Rule.GUILT),
    ("Be strong.", Rule.GUILT),
    ("Others have it worse than you.", Rule.GUILT),
    ("Think of how they would feel, the people who love you.", Rule.GUILT),
    ("Please put the pills away.", Rule.METHOD),
    ("Please do not hurt yourself.", Rule.METHOD),
    ("Give someone your belt.", Rule.METHOD),
    ("I know how you feel.", Rule.PERSON),
    ("I’m sorry.", Rule.PERSON),
    ("I am here for you.", Rule.PERSON),
    ("I’ve been there.", Rule.PERSON),
    ("How are you?", Rule.QUESTION),
    ("See https://bit.ly/abc for more.", Rule.LINK),
    ("See https://shorturl.at/abc for more.", Rule.LINK),
    ("See http://example.org for more.", Rule.LINK),
    ("See [this](javascript:alert) for more.", Rule.LINK),
    ("Hello u/someone.", Rule.USER),
    ("Hello /u/someone.", Rule.USER),
    ("Call 0800 123 456.", Rule.NUMBER),
    ("A \u202eword.", Rule.HIDDEN),
    ("A wo\u3164rd.", Rule.HIDDEN),
    ("You may feel suicid\u0430l.", Rule.HIDDEN),
    ("Put the p\u0456lls away.", Rule.HIDDEN),
    ("You may have d\u03b5pression.", Rule.HIDDEN),
    ("See https://ex\u0430mple.org for more.", Rule.HIDDEN),
    ("word " * 300, Rule.LENGTH),
    ("Notwithstanding institutional impediments, comprehensive assistance remains available. " * 6, Rule.READING),
]


@pytest.mark.parametrize(("sentence", "rule"), BAD)
def test_lint_names_what_must_not_be_said(sentence: str, rule: Rule) -> None:
    """One forbidden sentence added to a good reply is found under its rule."""
    assert rule in breaches(f"{sentence}\n\n{reply()}")


FULL_WIDTH = str.maketrans({chr(code): chr(code + 0xFEE0) for code in (*range(65, 91), *range(97, 123))})
DISGUISES: dict[str, Callable[[str], str]] = {
    "newline": lambda text: text.replace(" ", "\n"),
    "quoted lines": lambda text: "> " + text.replace(" ", "\n> "),
    "two spaces": lambda text: text.replace(" ", "  "),
    "tab": lambda text: text.replace(" ", "\t"),
    "space that does not break": lambda text: text.replace(" ", "\u00a0"),
    "links": lambda text: re.sub(r"\S+", r"[\g<0>](https://example.org/a_(b))", text),
    "references": lambda text: re.sub(r"\S+", r"[\g<0>][1]", text),
    "emphasis": lambda text: re.sub(r"\S+", r"*\g<0>*", text),
    "strong": lambda text: text.replace(" ", "** **"),
    "list": lambda text: "1. " + text.replace(" ", "\n2. "),
    "brackets": lambda text: text.replace(" ", " ("),
    "dots": lambda text: text.replace(" ", "..."),
    "spoilers": lambda text: re.sub(r"\S+", r">!\g<0>!<", text),
    "superscript": lambda text: text.replace(" ", " ^"),
    "typographic quotes": lambda text: text.replace("'", "’"),
    "quoted words": lambda text: re.sub(r"\S+", r"“\g<0>”", text),
    "zero width": lambda text: "\u200b".join(text),
    "circles": lambda text: re.sub(r"[a-z]", "\\g<0>\u20dd", text),
    "struck through": lambda text: re.sub(r"[a-z]", "\\g<0>\u0336", text),
    "full width": lambda text: text.translate(FULL_WIDTH),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_no_disguise_hides_what_is_said(disguise: str) -> None:
    """What a reader sees is what is checked, however a sentence is broken, spaced, linked, marked or written."""
    for sentence, rule in BAD:
        # Of an address it is the letters themselves that count, and a list of short items is easier to read.
        if rule not in (Rule.LINK, Rule.LENGTH, Rule.READING):
            text = f"{DISGUISES[disguise](html.unescape(sentence))}\n\n{reply()}"
            assert rule in breaches(text), sentence


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("988. Call this number now.", Rule.NUMBER),
        ("Call\n988. ok", Rule.NUMBER),
        ("116123) is the line", Rule.NUMBER),
        ("[Call][988 116]", Rule.NUMBER),
        ("[98][81]", Rule.NUMBER),
        ("call](https://example.org 988 116123 now)", Rule.NUMBER),
        ('[line](https://example.org "call 988 555")', Rule.NUMBER),
        ("[line](https://example.org 'You have depression')", Rule.DIAGNOSIS),
        ("[It gets][better]", Rule.PROMISE),
        ("It](https://example.org gets better)", Rule.PROMISE),
    ],
)
def test_what_only_looks_like_markdown_is_read_too(words: str, rule: Rule) -> None:
    """Titles, links to nothing and the number that a list begins with are shown to the author."""
    assert [breach.rule for breach in lint_words(words)] == [rule]


@pytest.mark.parametrize(
    "words",
    [
        "1. Open 24 hours.\n2. Open 10 hours.",
        "[Our list](https://example.org/988-116123_(suicide)) is open 24 hours.",
        "[Our list][1] is open 24 hours.\n\n[1]: https://example.org/988",
        "[Our list](https://example.org 'open 24 hours').",
    ],
)
def test_what_markdown_hides_is_no_breach(words: str) -> None:
    """Where a link goes, and which place in a list something has."""
    assert lint_words(words) == []


def test_a_breach_is_named_in_the_words_that_a_reader_sees() -> None:
    """Whatever keeps the words apart is left out of what is shown to the team."""
    assert [str(breach) for breach in lint_words("It [gets](https://example.org)\n*better*.")] == [
        "breaks the rule “no promise”: “gets better”"
    ]


NOT_TO_BE_SAID = [
    (Rule.DIAGNOSIS, "tienes depresión", "du hast Depressionen", "une dépression", "você tem depressão"),
    (Rule.DIAGNOSIS, "un trastorno", "eine Störung", "un trouble", "um transtorno"),
    (Rule.CLAIM, "estás en riesgo", "du bist suizidgefährdet", "tu es suicidaire", "você está em risco"),
    (Rule.CLAIM, "eres débil", "du bist schwach", "tu es fragile", "você é fraco"),
    (Rule.PROMISE, "todo va a mejorar", "alles wird gut", "ça va aller mieux", "vai ficar tudo bem"),
    (Rule.GUILT, "piensa en tu familia", "denk an deine Familie", "pense à ta famille", "pense em sua família"),
    (Rule.GUILT, "no seas egoísta", "sei nicht egoistisch", "ne sois pas égoïste", "não seja egoísta"),
    (Rule.METHOD, "guarda las pastillas", "leg die Tabletten weg", "range les médicaments", "guarde os remédios"),
    (Rule.PERSON, "te entiendo", "ich verstehe dich", "je comprends", "sinto muito"),
    (Rule.QUESTION, "¿Qué pasa?", "Was ist los?", "Ça va ?", "Tudo bem?"),
]


@pytest.mark.parametrize(
    ("language", "words", "rule"),
    [
        (language, words, rule)
        for rule, *translations in NOT_TO_BE_SAID
        for language, words in zip(LANGUAGES[1:], translations, strict=True)
    ],
)
def test_the_rules_hold_in_every_language(language: str, words: str, rule: Rule) -> None:
    """What must not be said in English must not be said in Spanish, German, French or Portuguese either."""
    assert [breach.rule for breach in lint_words(words, language)] == [rule]
    assert breaches(reply(language), language) == []


SENTENCES = tomllib.loads((Path(__file__).parents[1] / "sentences.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_plain_breaches_are_found(language: str) -> None:
    """Common ways to say what must not be said, each under the rule that it breaks."""
    for rule, sentences in SENTENCES["refused"][language].items():
        for words in sentences:
            assert Rule[rule.upper()] in {breach.rule for breach in lint_words(words, language)}, words


@pytest.mark.parametrize("language", LANGUAGES)
def test_english_breaks_a_rule_in_every_language(language: str) -> None:
    """A template in another language is held to the English rules as well, since its readers know English."""
    assert [breach.rule for breach in lint_words("It gets better.", language)] == [Rule.PROMISE]


@pytest.mark.parametrize("language", LANGUAGES)
def test_harmless_words_of_a_team_may_be_said(language: str) -> None:
    """A rule that refuses everything would be turned off: what a team may well add is let through."""
    for words in SENTENCES["allowed"][language]:
        assert [str(breach) for breach in lint_words(words, language)] == [], words


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            "You are not alone. You are welcome here, wherever it is that you are. If you are new, read the sidebar.",
        ),
        ("de", "Du bist nicht allein. Wenn du woanders bist, du bist hier willkommen."),
        ("fr", "Tu es là, et tu es ici chez toi. Si tu es ailleurs, tu n'es pas sans aide."),
        ("es", "Eres bienvenida aquí."),
        ("pt", "Você é bem-vinda aqui. Se você é de outro lugar, também."),
    ],
)
def test_kind_words_may_be_said(language: str, words: str) -> None:
    """What welcomes somebody and claims nothing about them is no breach."""
    assert lint_words(words, language) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_lint_names_what_is_missing(language: str) -> None:
    """A good reply without one of its necessary parts is found out."""
    good, needed = reply(language), wording(language).needed
    assert breaches(good, language) == []
    for words, rule in ((needed.bot, Rule.BOT), (needed.emergency, Rule.EMERGENCY), (needed.opt_out, Rule.OPT_OUT)):
        assert words in good
        assert breaches(good.replace(words, "…"), language) == [rule]
    for address, rule in ((DIRECTORY, Rule.HELP), (OPT_OUT, Rule.OPT_OUT)):
        assert breaches(good.replace(address, "https://example.org/shop"), language) == [rule]


HIDDEN = {
    "spoiler": ">!{}!<",
    "struck out": "~~{}~~",
    "code": "`{}`",
    "block of code": "\n\n    {}\n\n",
    "fence": "\n\n```\n{}\n```\n\n",
    "comment": "<!-- {} -->",
    "definition": '\n\n[x]: https://example.org "{}"\n\n',
    "definition in two lines": "\n\n[x]: https://example.org\n'{}'\n\n",
    "title": "[here](https://example.org '{}')",
}


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_needed_counts_only_where_it_is_seen(language: str, hidden: str) -> None:
    """No spoiler, no code and no definition of a link tells a reader who writes, whom to call or how to opt out."""
    good, needed = reply(language), wording(language).needed
    link = re.search(rf"\[[^\]]*{needed.opt_out}[^\]]*\]\([^)]*\)", good)
    assert link
    for words, rule in ((needed.bot, Rule.BOT), (needed.emergency, Rule.EMERGENCY), (link[0], Rule.OPT_OUT)):
        assert rule in breaches(good.replace(words, HIDDEN[hidden].format(words)), language)


@pytest.mark.parametrize(
    ("language", "there", "instead"),
    [
        ("en", "please call your", "please do not call your"),
        ("en", "please call your", "never call your"),
        ("en", "please call your", "there is no need to call your"),
        ("en", "You can [opt", "You cannot [opt"),
        ("de", "ruf bitte jetzt den Notruf deines Landes an", "ruf den Notruf deines Landes nicht an"),
        ("de", "ruf bitte jetzt den Notruf", "ruf niemals den Notruf"),
        ("es", "llama ahora al", "no llames al"),
        ("fr", "appelle maintenant le", "n'appelle pas le"),
        ("pt", "ligue agora para", "não ligue para"),
    ],
)
def test_what_is_needed_may_not_be_turned_round(language: str, there: str, instead: str) -> None:
    """The words alone do not count: what comes before them in the clause may not take them back."""
    good = reply(language)
    assert there in good
    assert set(breaches(good.replace(there, instead), language)) & {Rule.EMERGENCY, Rule.OPT_OUT}


def test_a_line_of_the_catalogue_is_vetted_there() -> None:
    """The numbers and the name of a crisis line may stand in a reply; the same words anywhere else may not."""
    line = "**Anti-suicide pills line**: call 116 123."
    text = reply().replace("You can also", f"- {line}\n\nYou can also")
    assert breaches(text, lines=[line]) == []
    assert set(breaches(text)) == {Rule.METHOD, Rule.NUMBER}
    assert breaches(text.replace(DIRECTORY, "https://example.org"), lines=[line]) == []
    assert breaches(text.replace(DIRECTORY, "https://example.org").replace(line, f">!{line}!<"), lines=[line]) == [
        Rule.HELP
    ]


# A school grade of 6 is an age of 11 to 12. Those of textstat's measures that need no download, each with its bound.
EASY_TO_READ: dict[str, Callable[[str], bool]] = {
    # Both are school grades, reckoned from letters (Senter and Smith 1967; Coleman and Liau 1975).
    "en": lambda text: textstat.automated_readability_index(text) <= 6 and textstat.coleman_liau_index(text) <= 6,
    # Years at school (Crawford), and Flesch's ease made for Spanish (Fernández Huerta 1959): 80 is grade 6.
    "es": lambda text: textstat.crawford(text) <= 6 and textstat.fernandez_huerta(text) >= 80,
    # School grades of Austria (Bamberger and Vanecek 1984), by each of its variants.
    "de": lambda text: max(textstat.wiener_sachtextformel(text, variant) for variant in (1, 2, 3, 4)) <= 6,
    # Flesch's ease made for French (Kandel and Moles 1958): 80 is grade 6.
    "fr": lambda text: textstat.flesch_reading_ease(text) >= 80,
    # None was made for Portuguese. This one counts sentences and long words, and 40 is easy fiction (Björnsson 1968).
    "pt": lambda text: textstat.lix(text) <= 40,
}
HARD_TO_READ = {
    "en": "Notwithstanding considerable impediments, comprehensive assistance remains continuously available.",
    "es": "Independientemente de las circunstancias socioeconómicas, los establecimientos especializados proporcionan "
    "acompañamiento profesional ininterrumpido.",
    "de": "Ungeachtet beträchtlicher Schwierigkeiten gewährleisten spezialisierte Unterstützungseinrichtungen eine "
    "ununterbrochene Inanspruchnahme professioneller Begleitung.",
    "fr": "Indépendamment des circonstances socioéconomiques, les établissements spécialisés garantissent "
    "inconditionnellement un accompagnement professionnel ininterrompu.",
    "pt": "Independentemente das circunstâncias socioeconômicas, os estabelecimentos especializados proporcionam "
    "ininterruptamente acompanhamento profissional qualificado.",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_golden_reply_is_easy_to_read_at_twelve(language: str) -> None:
    """By a measure made for its language where textstat has one, of all sentences outside the list of lines."""
    easy = EASY_TO_READ[language]
    textstat.set_lang(language)
    bodies = [path.read_text(encoding="utf-8").partition("\nreply: ")[2].partition("\n")[2] for path in GOLDEN]
    replies = [body for body in bodies if wording(language).needed.bot in body]
    assert len(replies) >= 7
    assert [body for body in replies if not easy(prose(body))] == []
    assert not easy(HARD_TO_READ[language])


def test_the_grade_of_a_hard_text() -> None:
    """The index is computed as the reference implementation computes it."""
    hard = "Notwithstanding institutional impediments, comprehensive assistance remains available.\n" * 3
    (grade,) = [breach.found for breach in lint(hard) if breach.rule is Rule.READING]
    assert float(grade.removeprefix("school grade ")) == pytest.approx(
        textstat.automated_readability_index(hard), abs=0.1
    )


@given(st.text(max_size=2 * LONGEST_REPLY), st.sampled_from(LANGUAGES))
def test_any_text_can_be_checked(text: str, language: str) -> None:
    """Whatever somebody writes, the check ends with an answer, and a text that is no reply is never fine."""
    assert breaches(text, language) != []
