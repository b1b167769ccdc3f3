"""Posts in languages the model was not trained on: found, marked, and brought before a person."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import Team
from bot.demo import samples
from bot.policy import decide
from bot.types import DeliveryKind, DeliveryState, Post
from models.assessment import Assessment
from models.crisis_terms import CrisisTerms
from models.document import Document
from models.labels import Level
from models.languages import NAMES, Languages
from models.multilingual import Multilingual
from models.rules import Rules

LANGUAGES = Languages()
TERMS = CrisisTerms.load()
JUDGE = Multilingual(Rules.load(), LANGUAGES, TERMS)
POST = Post("abc", "testsub", "someone", "", "a body", 0.0, "")

CALM = {
    "en": "My sister and I have been baking bread every weekend and the kitchen smells wonderful.",
    "es": "Mi hermana y yo hacemos pan todos los fines de semana y la cocina huele de maravilla.",
    "de": "Meine Schwester und ich backen jedes Wochenende Brot, und die Küche duftet wunderbar.",
    "fr": "Ma sœur et moi faisons du pain chaque week-end et la cuisine sent merveilleusement bon.",
    "pt": "A minha irmã e eu fazemos pão todo fim de semana e a cozinha cheira muito bem.",
    "it": "Io e mia sorella facciamo il pane ogni fine settimana e la cucina profuma di buono.",
    "nl": "Mijn zus en ik bakken elk weekend brood en de keuken ruikt heerlijk.",
    "pl": "Razem z siostrą pieczemy chleb w każdy weekend i w kuchni pięknie pachnie.",
    "sv": "Min syster och jag bakar bröd varje helg och köket doftar underbart.",
    "ru": "Мы с сестрой каждые выходные печём хлеб, и на кухне чудесно пахнет.",
    "ja": "妹と私は毎週末にパンを焼いていて、台所はとてもいい匂いがします。夕方には散歩にも出かけます。",
}

IN_DANGER = {
    "es": [
        "Ya no puedo más, quiero morir.",
        "Me quiero matar esta noche",
        "No quiero seguir viviendo así",
        "ayer intenté suicidarme",
        "quiero dejar de vivir",
        "me tomé todas las pastillas",
    ],
    "de": [
        "Ich will einfach nur sterben.",
        "Ich möchte nicht mehr leben",
        "ich habe Suizidgedanken",
        "heute bringe ich mich um",
        "ich bring mich um",
        "ich wünschte, ich wäre tot",
        "ich hab keine Lust mehr zu leben",
        "ich nehme mir das Leben",
    ],
    "fr": [
        "J’ai envie de mourir",
        "Je veux plus vivre",
        "je pense souvent à me suicider",
        "je vais me tuer ce soir",
        "je veux pas vivre",
        "j'ai pas envie de vivre",
        "envie d'en finir",
        "j'ai avalé des cachets",
    ],
    "pt": [
        "Eu só quero morrer",
        "não aguento mais viver",
        "penso em me matar todo dia",
        "tentei me matar ontem",
        "quero tirar minha própria vida",
        "vontade de sumir do mundo",
        "tomei todos os remédios",
    ],
    "it": ["Voglio solo morire", "non voglio più vivere", "ho deciso di farla finita", "penso spesso di uccidermi"],
    "nl": ["Ik wil gewoon dood", "ik wil niet meer leven", "ik denk vaak aan zelfmoord", "ik ga zelfmoord plegen"],
    "pl": ["Chcę umrzeć", "nie chcę już żyć", "mam myśli samobójcze", "wczoraj próbowałam się zabić"],
}

NOT_IN_DANGER = {
    "es": ["No quiero morir", "me quiero morir de risa", "La película «quiero morir» es malísima"],
    "de": [
        "Ich will nicht sterben",
        "ich will sterben vor Lachen",
        "ich habe keine Suizidgedanken",
        "Die Katze",
        "damit ich mich um meine Familie kümmern kann",
        "kann ich mich um den Garten kümmern",
        "weil ich mich um meine Mutter kümmere",
    ],
    "fr": [
        "Je ne veux pas mourir",
        "je veux mourir de rire",
        "je n'ai pas envie de mourir",
        "Je vais me tuer à la tâche",
    ],
    "pt": ["não quero morrer", "quero morrer de rir", "nunca pensei em me matar kkkk"],
    "it": ["Non voglio morire", "voglio morire dal ridere", "mi taglio i capelli"],
    "nl": ["Ik wil niet dood", "ik wil dood van schaamte", "ik heb geen zelfmoordgedachten"],
    "pl": ["Nie chcę umrzeć", "chcę umrzeć ze śmiechu", "nie mam myśli samobójczych"],
}


def pairs(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Each text with its language."""
    return [(language, text) for language, texts in table.items() for text in texts]


def judged(text: str) -> Assessment:
    """What is made of a text without a title."""
    (assessment,) = JUDGE.assess([Document("", text)])
    return assessment


@pytest.mark.parametrize(("language", "text"), CALM.items())
def test_a_long_enough_text_shows_its_language(language: str, text: str) -> None:
    """A sentence or two are enough, whatever the script."""
    assert LANGUAGES.of(text) == language
    assert language in NAMES


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("もう生きていたくない。", "ja"), ("我不想活了,每天都很痛苦", "zh"), ("죽고 싶어요", "ko"),
        ("أريد أن أموت", "ar"), ("Θέλω να πεθάνω", "el"), ("хочу умереть", "uk"),
        ("Tokyo 東京 is a nice place", None), ("μ = 3", None),
    ],
)  # fmt: skip
def test_other_letters_are_another_language_however_few(text: str, language: str | None) -> None:
    """A few words in letters that are not Latin are no English post: somebody is to know that nobody read them."""
    assert LANGUAGES.of(text) == language


@pytest.mark.parametrize(
    "text", ["", "Help", "lol same", "i wanna kms", "Depression", "quero morrer", "🙃" * 80, "42 " * 60]
)
def test_a_short_text_is_not_certain(text: str) -> None:
    """A few words could be anything, and a guess would answer somebody in the wrong language."""
    assert LANGUAGES.of(text) is None


def test_a_term_of_a_language_speaks_for_it() -> None:
    """Two signs that agree are enough for a short text; two that do not are not."""
    assert LANGUAGES.of("quero morrer", {"pt"}) == LANGUAGES.of("Quero morrer", {"pt"}) == "pt"
    assert LANGUAGES.of("quero morrer", {"pl"}) is None


def test_addresses_and_names_say_nothing_of_the_language() -> None:
    """A link to a German page does not make a German post."""
    links = " https://www.beispiel.example/eine-seite-ueber-das-backen-von-brot r/ichbineinunterforum" * 5
    assert LANGUAGES.of(CALM["en"] + links) == "en"


@pytest.mark.parametrize(("language", "text"), pairs(IN_DANGER))
def test_a_crisis_term_brings_a_post_before_a_person(language: str, text: str) -> None:
    """However short it is and whatever the model makes of it: at least urgent, with the reason, the reply held."""
    assessment = judged(text)
    assert {TERMS.language_of(e) for e in assessment.evidence if e.source == "terms"} == {language}
    decision = decide(POST, assessment, Team.model_validate({"replies": {"auto": ["crisis", "urgent", "watch"]}}))
    assert decision.level >= Level.URGENT
    assert "Crisis term in a language the model does not know" in [reason.words for reason in decision.reasons]
    states = {planned.kind: planned.state for planned in decision.deliveries}
    assert states[DeliveryKind.REPLY] is DeliveryState.HELD
    assert DeliveryKind.ALERT in states
    # A longer post in that language, with the same words in it, is known for what it is.
    assert judged(f"{CALM[language]} {text}").language == language


@pytest.mark.parametrize(("language", "text"), pairs(NOT_IN_DANGER))
def test_what_is_denied_quoted_or_a_figure_of_speech_is_no_crisis_term(language: str, text: str) -> None:
    """The same words with the opposite meaning alarm nobody."""
    assert TERMS.find(Document("", text)) == ()


def test_no_english_sample_has_a_crisis_term_of_another_language() -> None:
    """The terms meet no English words: of the sample posts none is touched, and none is taken for another language."""
    english = [s for s in samples() if judged(f"{s.title}\n\n{s.selftext}").language == "en"]
    assert len(english) > 200
    for sample in english:
        assert TERMS.find(Document(sample.title, sample.selftext)) == ()


@pytest.mark.parametrize("language", [each for each in CALM if each != "en"])
def test_a_calm_post_in_another_language_is_marked_and_left_alone(language: str) -> None:
    """Its reason names the language; nobody is called for it."""
    decision = decide(POST, judged(CALM[language]), Team())
    assert decision.level is Level.NONE
    assert decision.deliveries == ()
    assert decision.reasons[-1].words == f"The post is in {NAMES[language]}, which the model was not trained on"


def test_any_rule_brings_a_post_in_another_language_before_a_person() -> None:
    """A word of the English dictionary: to watch; one about risk: urgent. In English the table alone says."""
    around = CALM["sv"] + " "
    assert decide(POST, judged(around + "Jag har panic attacks."), Team()).level >= Level.WATCH
    assert decide(POST, judged(around + "I want to kill myself."), Team()).level >= Level.URGENT
    english = judged(CALM["en"] + " I was stressed before.")
    assert english.evidence != ()
    assert decide(POST, english, Team()).level is Level.NONE


@given(st.text(), st.sampled_from([text for texts in IN_DANGER.values() for text in texts]))
def test_any_text_can_be_judged(noise: str, danger: str) -> None:
    """No text is an error, evidence lies within it, and a stranger's noise on another line hides no crisis term."""
    assessment = judged(f"{noise}\n\n{danger}")
    text = Document("", f"{noise}\n\n{danger}").text
    assert all(0 <= each.start < each.end <= len(text) for each in assessment.evidence)


class Silent:
    """A classifier that has nothing to say."""

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """Whatever the rules make of an empty text."""
        return Rules.load().assess([Document("", "") for _ in documents])


def test_nothing_the_classifier_says_is_changed() -> None:
    """Probabilities and evidence pass through; the language, the terms and their version are added."""
    (plain,), (more,) = (
        Silent().assess([Document("", "")]),
        Multilingual(Silent(), LANGUAGES, TERMS).assess([Document("", "je veux mourir")]),
    )
    assert (more.risk, more.severity, more.relevance) == (plain.risk, plain.severity, plain.relevance)
    assert more.versions == {**plain.versions, "terms": TERMS.rules.version}
