"""(document, assessment) -> what may help: ids of the vetted catalogue, each with its reason and its place in the post.

Pure. It knows one post and nothing of its author; country and audience count only when the post itself states them.
`docs/recommendations.md` says in a table what fits when.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

from bot.circumstances import circumstances
from bot.policy import RISK_WORDS, SEVERITY_WORDS
from bot.resources import Advice, Audience, Card, Catalogue, Circumstance, Cued, Directory, Help, Line, Situation, Step
from bot.statements import Ask, Span, Statements, statements
from models.assessment import Assessment
from models.crisis_terms import SOURCE
from models.document import LONGEST_TEXT, Document
from models.labels import Disorder, Level, Risk, Severity
from models.languages import NAMES, TRAINED

MOST = 3
OFFERED = 8  # of which a language model may choose

_LIKELY = 0.5
_POSSIBLE = 0.3

# More cues of one record say nothing new.
_CUES_COUNTED = 3

# What a post asks for, and the steps that answer it.
_ANSWERS: Mapping[Ask, tuple[str, ...]] = {
    Ask.HELPER: ("listen-first", "helper-rests-too"),
    Ask.MEDICATION: ("ask-before-changing",),
    Ask.THERAPIST: ("first-call-for-therapy",),
    Ask.VENTING: ("put-it-into-words",),
}
_ASK_WORDS: Mapping[Ask, str] = {
    Ask.HELPER: "The post asks how to help somebody else.",
    Ask.MEDICATION: "The post asks about a medicine.",
    Ask.THERAPIST: "The post asks about finding a therapist.",
    Ask.VENTING: "The post wants to be heard and asks for no advice.",
}
# Whom a post says it is from, and the step that comes first for them.
_FIRST_FOR: Mapping[Audience, str] = {
    Audience.DOMESTIC_VIOLENCE: "safe-at-home",
    Audience.YOUNG_PEOPLE: "tell-a-grown-up",
}
_AUDIENCE_WORDS: Mapping[Audience, str] = {
    Audience.DOMESTIC_VIOLENCE: "The post speaks of being hurt or controlled.",
    Audience.YOUNG_PEOPLE: "The post says that it is from somebody under 18.",
}

# Where staying safe is the task. One of them is named beside the line.
_FOR_SAFETY = ("make-it-safer", "plan-for-hard-hours", "tell-one-person")
_THERAPIES_FOR_SAFETY = ("safety-planning", "self-harm-therapy", "dbt-skills")

# For nights without sleep, whatever the topic; but who is in a high may hardly need any.
_THERAPY_FOR_SLEEP = "cbt-insomnia"
_SLEEPS_LITTLE = Disorder.BIPOLAR

# Where nothing in a post points anywhere.
_FOR_ANYBODY = (
    "tell-one-person",
    "sleep-rhythm",
    "meet-others",
    "be-a-friend-to-self",
    "one-small-thing",
    "move-a-little",
    "good-things-on-purpose",
)

_UNREAD = "What it says: the bot could not read this post, and it may be about a crisis."


class Kind(StrEnum):
    """What is recommended: a line to a person now, a step to take, a professional to see, a therapy to know of."""

    LINE = "line"
    STEP = "step"
    PROFESSIONAL = "professional"
    THERAPY = "therapy"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One record of the catalogue, why it was chosen, and the characters of `Document.text` that led there.

    `evidence` is the whole text when no single place did. `reason` quotes neither the post nor a model.
    """

    id: str
    kind: Kind
    reason: str
    evidence: Span


@dataclass(frozen=True, slots=True)
class Counsel:
    """What the moderators of one post are told: recommendations, the best first, a guidance card, and doubts in words.

    There are at most three recommendations, or as many as were asked for where a model is to choose among them.
    `chosen_by` names the language model that put the recommendations in this order, with its reasons by id; both are
    empty when none did.
    """

    recommendations: tuple[Recommendation, ...] = ()
    card: Card | None = None
    doubts: tuple[str, ...] = ()
    chosen_by: str = ""
    model_reasons: Mapping[str, str] = field(default_factory=dict)


def counsel(
    document: Document,
    assessment: Assessment | None,
    level: Level,
    catalogue: Catalogue,
    today: date,
    most: int = MOST,
) -> Counsel:
    """What helps with a post that was judged so. Pure; never raises for what is in a post.

    With a larger `most` more follow after the same first ones. At the level `none` and without an assessment nothing
    is recommended. In a crisis the first is a line or, where the post names no country that has one, a directory of
    lines. Nothing that may not be printed today is named.
    """
    if assessment is None or level is Level.UNASSESSED:
        return Counsel(card=catalogue.card_for(Situation.UNREAD, today), doubts=(_UNREAD,))
    if level is Level.NONE:
        return Counsel()
    post = _Reading(document, assessment, level, catalogue, today)
    return Counsel(post.recommendations(most), catalogue.card_for(post.situation(), today), tuple(_doubts(post))[:MOST])


def general_counsel(level: Level, catalogue: Catalogue, today: date) -> Counsel:
    """What helps with any post of a level: for where nothing may be told that follows from the words of one."""
    if level is Level.NONE:
        return Counsel()
    fits = {Level.CRISIS: Situation.CRISIS, Level.URGENT: Situation.HEAVY, Level.UNASSESSED: Situation.UNREAD}
    card = catalogue.card_for(fits.get(level, Situation.CALM), today)
    if level is not Level.CRISIS:
        return Counsel(card=card)
    why = "A person who answers now comes first."
    first = [Recommendation(each.id, Kind.LINE, why, Span(0, 0)) for each in catalogue.directories(today)[:1]]
    steps = [step for step in catalogue.steps(today) if step.id in _FOR_SAFETY]
    then = [
        Recommendation(step.id, Kind.STEP, "Staying safe comes first.", Span(0, 0))
        for step in sorted(steps, key=lambda step: _FOR_SAFETY.index(step.id))
        if Circumstance.EMERGENCY not in step.not_with
    ]
    return Counsel(tuple([*first, *then][:MOST]), card)


def reordered(offer: Counsel, ids: Sequence[str], reasons: Mapping[str, str], model: str) -> Counsel:
    """The offer in the order that a model named, without what it left out; at most three.

    Lines stay, and stay first. Ids that are not on offer, one that comes twice, or none at all: then it is the ranker's
    own choice, as if no model had been asked.
    """
    lines = [each for each in offer.recommendations if each.kind is Kind.LINE]
    by_id = {each.id: each for each in offer.recommendations if each.kind is not Kind.LINE}
    if not ids or len(set(ids)) != len(ids) or not by_id.keys() >= set(ids):
        return replace(offer, recommendations=offer.recommendations[:MOST])
    chosen = (*lines, *(by_id[each] for each in ids))[:MOST]
    said = {each.id: reasons[each.id] for each in chosen if each.id in reasons and each.kind is not Kind.LINE}
    return replace(offer, recommendations=chosen, chosen_by=model, model_reasons=said)


class _Reading:
    """One post, its assessment, and all that the choice looks at."""

    def __init__(
        self, document: Document, assessment: Assessment, level: Level, catalogue: Catalogue, today: date
    ) -> None:
        self.text = document.text
        self.assessment = assessment
        self.level = level
        self.stated: Statements = statements(self.text)
        self.risk = _risk(assessment)
        # Only the entries for severe distress name care for today, which whoever may not be safe needs.
        self.severity = Severity.SEVERE if self.is_crisis else assessment.severity.level
        self.topics = _topics(assessment)
        self._catalogue = catalogue
        self._today = today
        self.circumstances = frozenset(self._circumstances())
        helps = (self._help_for(topic, catalogue) for topic in self.topics)
        self._helps = tuple(help_ for help_ in helps if help_.printable(today))
        self._cues = {
            record: [Span(*place) for place in places.values()]
            for record, places in catalogue.cues_in(self.text[:LONGEST_TEXT]).items()
        }

    def _circumstances(self) -> Iterator[Circumstance]:
        possible = [each for each, chance in self.assessment.disorders.items() if chance >= _POSSIBLE]
        yield from circumstances(self.text[:LONGEST_TEXT], self.stated, possible)
        if self.in_danger:
            yield Circumstance.DANGER
        if self.is_emergency:
            yield Circumstance.EMERGENCY

    def _help_for(self, topic: Disorder, catalogue: Catalogue) -> Help:
        """The entry for the topic at its severity, or at the next one that is for such circumstances; else the last."""
        entries = [catalogue.help_for(topic, severity) for severity in Severity if severity >= self.severity]
        return next((each for each in entries if self._is_for_this(each)), entries[-1])

    def _is_for_this(self, advice: Advice) -> bool:
        return self.circumstances.isdisjoint(advice.not_with)

    @property
    def is_crisis(self) -> bool:
        """Whether reaching a person comes before anything else, for the author or for whom the post is about."""
        asks = self.stated.asks
        friend_in_danger = Ask.HELPER in asks and self.risk > Risk.NONE
        danger = self.level is Level.URGENT and (Ask.DANGER in asks or friend_in_danger)
        return self.level is Level.CRISIS or self.risk >= Risk.IDEATION or danger

    @property
    def is_emergency(self) -> bool:
        """Whether it is too late for what is best done on a calm day: a plan, an attempt, a crisis of unknown kind."""
        is_unknown = self.level is Level.CRISIS and self.risk < Risk.IDEATION
        return self.is_crisis and (self.risk >= Risk.BEHAVIOR or Ask.DANGER in self.stated.asks or is_unknown)

    @property
    def in_danger(self) -> bool:
        """Whether there is any sign that somebody may not be safe."""
        return self.is_crisis or self.risk > Risk.NONE

    def situation(self) -> Situation:
        """The situation whose card fits, the most pressing one."""
        asks, topics = self.stated.asks, self.topics
        fitting = {
            Situation.CRISIS: self.level is Level.CRISIS,
            Situation.VIOLENCE: Audience.DOMESTIC_VIOLENCE in self.stated.audiences,
            Situation.HELPER: Ask.HELPER in asks,
            Situation.YOUNG: Audience.YOUNG_PEOPLE in self.stated.audiences,
            Situation.VOICES: Disorder.SCHIZOPHRENIA in topics,
            Situation.EATING: Disorder.EATING_DISORDER in topics,
            Situation.MEDICATION: Ask.MEDICATION in asks,
            Situation.THERAPIST: Ask.THERAPIST in asks,
            Situation.VENTING: Ask.VENTING in asks,
            Situation.HEAVY: self.level is Level.URGENT,
        }
        return next((situation for situation, fits in fitting.items() if fits), Situation.CALM)

    def recommendations(self, most: int) -> tuple[Recommendation, ...]:
        """The choice, the first one first."""
        if self.is_crisis:
            lines = [*self._lines()[:1], *self._lines_for_audience()[:1]]
            first_aid = self._steps(self._first_aid())
            chosen = [*lines, *first_aid[:1], *self._care_and(first_aid[1:]), *self._steps()]
        else:
            steps = self._steps()
            lines = [*self._lines_for_audience()[:1], *self._lines_for_care()[:1]]
            chosen = [*steps[:1], *lines, *self._care_and(steps[1:])]
        unique = {each.id: each for each in chosen}
        return tuple(unique.values())[:most]

    def _lines(self) -> list[Recommendation]:
        """The lines of the country that the post states, or else the directories of lines everywhere."""
        country = self.stated.country
        where = f"The post says that it is from {country}" if country else "The post names no country"
        lines: list[Line | Directory] = list(self._catalogue.crisis_lines(country, self._today))
        # Whoever speaks another language is told first of a line that speaks it as well.
        lines.sort(key=lambda line: self.stated.language not in getattr(line, "language", ()))
        if not lines:
            lines = list(self._catalogue.directories(self._today))
            where += ", so this lists lines everywhere"
        what = f"The post speaks of {RISK_WORDS[self.risk]}, or may: a" if self.risk > Risk.NONE else "A"
        why = f"{what} person who answers now comes first. {where}."
        return [Recommendation(line.id, Kind.LINE, why, self.stated.country_at or self._riskiest()) for line in lines]

    def _lines_for_audience(self) -> list[Recommendation]:
        """The lines for whom the post says that it is from, in the country that it states."""
        audiences = self.stated.audiences
        why = "The post says where it is from, and that it is from somebody whom this line is for."
        return [
            Recommendation(line.id, Kind.LINE, why, audiences[line.audience])
            for line in self._catalogue.crisis_lines(self.stated.country, self._today, audiences)
            if line.audience is not None
        ]

    def _lines_for_care(self) -> list[Recommendation]:
        """The lines that help to find what the post asks for, in the country that it states."""
        if Ask.THERAPIST not in self.stated.asks:
            return []
        why, place = f"{_ASK_WORDS[Ask.THERAPIST]} This line helps to find one.", self.stated.asks[Ask.THERAPIST]
        lines = self._catalogue.care_lines(self.stated.country, self._today)
        return [Recommendation(line.id, Kind.LINE, why, place) for line in lines]

    def _first_aid(self) -> Collection[str]:
        if Ask.HELPER in self.stated.asks:
            return _ANSWERS[Ask.HELPER]
        return (*_FOR_SAFETY, *self._for_audience())

    def _for_audience(self) -> dict[str, Audience]:
        return {step: audience for audience, step in _FIRST_FOR.items() if audience in self.stated.audiences}

    def _care_and(self, steps: Sequence[Recommendation]) -> list[Recommendation]:
        """Care before further steps; in danger without a topic no care is nearer than a step, and they take turns."""
        both = [*self._care(), *steps]
        if self._helps or not self.in_danger:
            return both
        return sorted(both, key=lambda each: (self._weight(each.id), self._turn(each.id)), reverse=True)

    def _care(self) -> Iterator[Recommendation]:
        """Whom to see, and which therapy to know of, for the topics of the post."""
        seen = [self._professional(help_) for help_ in self._helps[:1]]
        therapy = self._therapies()[:1]
        wanted = self.severity >= Severity.MODERATE and Ask.THERAPIST not in self.stated.asks
        yield from (*seen, *therapy) if wanted else (*therapy, *seen)

    def _professional(self, help_: Help) -> Recommendation:
        judged = self.assessment.severity.level
        reason = f"The post seems to be about {self._topic(help_)}, with {SEVERITY_WORDS[judged]}."
        if help_.severity > judged:
            reason += f" To be on the safe side, this is for {SEVERITY_WORDS[help_.severity]}."
        if Ask.HELPER in self.stated.asks:
            reason += " This is for whom it is about."
        return Recommendation(help_.id, Kind.PROFESSIONAL, reason, self._place_of(help_.disorder))

    def _therapies(self) -> list[Recommendation]:
        """The therapies that may be named, the best one first."""
        why = dict(self._whys())
        fitting = [therapy for therapy in why if self._may_be_named(therapy)]
        about = self._place_of(self._helps[0].disorder) if self._helps else self._whole

        of_another = " This is for whom it is about." if Ask.HELPER in self.stated.asks else ""

        def named(therapy: str) -> Recommendation:
            if cues := self._cues.get(therapy):
                reason = f"{why[therapy]}, and the post touches on what it is for.{of_another}"
                return Recommendation(therapy, Kind.THERAPY, reason, cues[0])
            others = len(fitting) - 1
            more = f"; {others} more fit as well, and they take turns from post to post" if others else ""
            place = self._riskiest() if therapy in _THERAPIES_FOR_SAFETY else about
            return Recommendation(therapy, Kind.THERAPY, f"{why[therapy]}{more}.{of_another}", place)

        def fit(therapy: str) -> tuple[bool, int, bytes]:
            is_first = self.is_crisis and therapy in _THERAPIES_FOR_SAFETY
            return (is_first, self._weight(therapy), self._turn(therapy))

        return [named(therapy) for therapy in sorted(fitting, key=fit, reverse=True)]

    def _whys(self) -> Iterator[tuple[str, str]]:
        """Every therapy that fits the post, with the reason."""
        for help_ in self._helps[:1]:
            yield from ((each, f"A guideline recommends it for {self._topic(help_)}") for each in help_.therapies)
        if self.in_danger and Ask.HELPER not in self.stated.asks:
            yield from ((each, "It is made for times when staying safe is hard") for each in _THERAPIES_FOR_SAFETY)
        if _SLEEPS_LITTLE not in self.topics:
            yield _THERAPY_FOR_SLEEP, "It is made for nights without sleep"

    def _steps(self, among: Collection[str] = ()) -> list[Recommendation]:
        """The steps that fit, the best one first; of those given, or of all."""
        listed = {step: help_ for help_ in reversed(self._helps) for step in help_.self_help}
        answers = {step: ask for ask in _ANSWERS if ask in self.stated.asks for step in _ANSWERS[ask]}
        for_audience = self._for_audience()
        if Ask.HELPER in self.stated.asks:
            listed = {}  # those would be for the other person
        fitting = self._nameable(among or {*listed, *self._pointed_at(listed), *answers, *for_audience})
        fitting = fitting or self._nameable(() if among else _FOR_SAFETY if self.in_danger else _FOR_ANYBODY)

        def fit(step: str) -> tuple[bool, int, bytes]:
            weight = min(len(self._cues.get(step, ())), _CUES_COUNTED) + (step in listed)
            return (step in answers or step in for_audience, weight, self._turn(step))

        def named(step: str) -> Recommendation:
            cues = self._cues.get(step, ())
            if step in answers:
                return Recommendation(step, Kind.STEP, _ASK_WORDS[answers[step]], self.stated.asks[answers[step]])
            if audience := for_audience.get(step):
                return Recommendation(step, Kind.STEP, _AUDIENCE_WORDS[audience], self.stated.audiences[audience])
            if step in listed:
                help_ = listed[step]
                fits = f"It fits {self._topic(help_)} with {SEVERITY_WORDS[help_.severity]}"
                if cues:
                    return Recommendation(step, Kind.STEP, f"{fits}, and the post touches on it.", cues[0])
                reason = f"{fits}, as others do; they take turns from post to post."
                return Recommendation(step, Kind.STEP, reason, self._place_of(help_.disorder))
            if cues:
                return Recommendation(step, Kind.STEP, "The post touches on it.", cues[0])
            if among or self.in_danger:
                return Recommendation(step, Kind.STEP, "Staying safe comes first.", self._riskiest())
            return Recommendation(step, Kind.STEP, "Nothing in the post points to anything more exact.", self._whole)

        return [named(step) for step in sorted(fitting, key=fit, reverse=True)]

    def _pointed_at(self, listed: Collection[str]) -> Iterator[str]:
        """The steps that words of the post point to; a single word is too little for one that belongs to a topic."""
        of_topics = {step for help_ in self._catalogue.help for step in help_.self_help} - {*listed}
        only_asked_for = {step for steps in _ANSWERS.values() for step in steps}
        for record, places in self._cues.items():
            enough = record not in of_topics or len(places) > 1
            if enough and record not in only_asked_for and isinstance(self._catalogue.find(record), Step):
                yield record

    def _nameable(self, cued: Collection[str]) -> set[str]:
        return {each for each in cued if self._may_be_named(each)}

    def _may_be_named(self, cued: str) -> bool:
        """Whether this step or therapy may be printed today, is right here, and needs no cue or has one in the post."""
        record = self._catalogue.find(cued)
        if not isinstance(record, Cued) or not record.printable(self._today) or not self._is_for_this(record):
            return False
        return not record.needs_cue or cued in self._cues

    def _weight(self, record: str) -> int:
        return min(len(self._cues.get(record, ())), _CUES_COUNTED)

    def _turn(self, record: str) -> bytes:
        """Whose turn it is among equals: the same for the same post, and different from post to post."""
        return hashlib.sha256(f"{record}\0{self.text}".encode("utf-8", "surrogatepass")).digest()

    def _topic(self, help_: Help) -> str:
        return self._catalogue.topic[help_.disorder]

    @property
    def _whole(self) -> Span:
        return Span(0, len(self.text))

    def _place_of(self, label: str) -> Span:
        places = [each for each in self.assessment.evidence if each.label == label]
        return self._within(places[0].start, places[0].end) if places else self._whole

    def _riskiest(self) -> Span:
        risky = [each for each in self.assessment.evidence if each.label in list(Risk)[1:]]
        if not risky:
            return self._whole
        gravest = max(risky, key=lambda each: Risk(each.label).rank)
        return self._within(gravest.start, gravest.end)

    def _within(self, start: int, end: int) -> Span:
        start = max(0, min(start, len(self.text)))
        return Span(start, max(start, min(end, len(self.text))))


def _risk(assessment: Assessment) -> Risk:
    """The decided one, or what a crisis term says where that is graver: in its language the model decides nothing."""
    of_terms = (Risk(each.label) for each in assessment.evidence if each.source == SOURCE and each.label in list(Risk))
    return max(assessment.risk.level, *of_terms, Risk.NONE)


def _topics(assessment: Assessment) -> tuple[Disorder, ...]:
    """What the post is likely about, the likeliest first; or the one thing it may be about."""
    by_chance = sorted(assessment.disorders, key=lambda each: assessment.disorders[each], reverse=True)
    likely = [each for each in by_chance if assessment.disorders[each] >= _LIKELY]
    return tuple(likely[:2] or [each for each in by_chance[:1] if assessment.disorders[each] >= _POSSIBLE])


def _doubts(post: _Reading) -> Iterator[str]:
    """What a moderator should know that the bot does not, the weightiest first: more than three are not told."""
    assessment = post.assessment
    if assessment.language not in (None, TRAINED):
        name = NAMES.get(assessment.language or "", "another language")
        yield f"What it says: it is in {name}, which the model was not trained on."
    if Ask.HELPER in post.stated.asks:
        yield "Whom it is about: it may be somebody else, and both may need care."
    if assessment.disputed:
        yield "Dictionary and model disagree about whether there is any risk."
    dying = assessment.risk.at_least(Risk.IDEATION)
    if 0.2 <= dying <= 0.8:
        yield f"Whether it speaks of thoughts of dying: the model says {dying:.0%}."
    first = max(assessment.disorders.values(), default=0.0)
    if not post.topics:
        yield "What it is about: no topic stands out."
    elif first < 0.7:
        yield f"Whether it is about {post._catalogue.topic[post.topics[0]]} at all."
    sure = assessment.severity.probs.get(assessment.severity.level, 0.0)
    if sure < 0.6:
        yield f"How heavy it is: {SEVERITY_WORDS[assessment.severity.level]} is its best guess."
