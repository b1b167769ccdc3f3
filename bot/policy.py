"""(Post, Assessment, Team) -> Decision: the team's table, applied. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from bot.config import Rule, Team
from bot.types import Decision, DeliveryKind, DeliveryState, Planned, Post, Reason
from models.annotation import Annotation, Status
from models.assessment import Assessment, Ordinal
from models.crisis_terms import SOURCE
from models.labels import Level, Relevance, Risk, Severity
from models.languages import NAMES, TRAINED

RISK_WORDS: dict[Risk, str] = {
    Risk.NONE: "nothing about suicide or self-harm",
    Risk.INDICATOR: "signs that somebody may not be safe",
    Risk.IDEATION: "thoughts of dying or of self-harm",
    Risk.BEHAVIOR: "a plan, preparation or harm already begun",
    Risk.ATTEMPT: "an attempt to end one's life",
}
SEVERITY_WORDS: dict[Severity, str] = {
    Severity.MINIMAL: "little distress",
    Severity.MILD: "some distress",
    Severity.MODERATE: "marked distress",
    Severity.SEVERE: "severe distress",
}

_UNREAD = Reason("unassessed", "The bot could not read this post; a person needs to look at it")
_TERM = Reason("language.term", "Crisis term in a language the model does not know")
_NOTHING = Reason("none", "Nothing in the post reaches the watch level")

# Why a post goes to a person when a language model was to read it and did not.
_NOT_READ_AGAIN = {
    Status.REFUSED: "A language model refused to read the post, as they do with grave ones; a person should look",
    Status.INVALID: "A language model was to read the post as well and gave no usable answer; a person should look",
    Status.FAILED: "A language model was to read the post as well and did not answer; a person should look",
}

# Beyond these, more of the dictionary's notes tell a moderator nothing new.
_NOTES_LISTED = 3
_GRAVEST_FIRST: tuple[str, ...] = (*reversed(list(Risk)[1:]), *reversed(list(Severity)[1:]))


def decide(post: Post, assessment: Assessment | None, team: Team) -> Decision:
    """The highest level of the team's policy with a matching rule, why, and what is to be done about it.

    More risk never means a lower level. Without a usable assessment (None, or a probability that is no number) the
    level is `unassessed`. What the model could not read, being in another language than its own, is at least `urgent`
    when a crisis term or a rule about risk fires and at least `watch` for any other rule, and each reply to it waits
    for a person. Never raises. A reason never quotes the post.
    """
    if assessment is None or not _is_sound(assessment):
        return Decision(Level.UNASSESSED, (_UNREAD,), _planned(post, Level.UNASSESSED, team))
    return _beyond_the_model(post, assessment, team, _by_table(post, assessment, team))


def _by_table(post: Post, assessment: Assessment, team: Team) -> Decision:
    for level in (Level.CRISIS, Level.URGENT, Level.WATCH):
        matching = [rule for rule in team.policy.rules(level) if _matches(rule, assessment)]
        if matching:
            reasons = (*_reasons(matching, assessment), *_explicit_words(assessment))
            return Decision(level, _once(reasons), _planned(post, level, team))
    return Decision(Level.NONE, (_NOTHING,), _planned(post, Level.NONE, team))


def _beyond_the_model(post: Post, assessment: Assessment, team: Team, decided: Decision) -> Decision:
    """The decision, no lower, once it is known which language the post is in."""
    terms = any(evidence.source == SOURCE for evidence in assessment.evidence)
    foreign = assessment.language not in (None, TRAINED)
    if not terms and not foreign:
        return decided
    rules = [evidence.label for evidence in assessment.evidence if evidence.source == "rules"]
    about_risk = terms or any(label in list(Risk) for label in rules)
    floor = Level.URGENT if about_risk else Level.WATCH if rules else Level.NONE
    level = max(decided.level, floor)
    why = [_TERM] if about_risk else []
    if foreign:
        name = NAMES.get(assessment.language or "", "another language")
        why.append(Reason("language", f"The post is in {name}, which the model was not trained on"))
    if level is Level.NONE:
        return replace(decided, reasons=(*decided.reasons, *why))
    before = [reason for reason in decided.reasons if reason != _NOTHING]
    reasons = (*before, *why) if level is decided.level else (*why, *before, *_explicit_words(assessment))
    return Decision(level, _once(reasons), tuple(_held(each) for each in _planned(post, level, team)))


def _held(planned: Planned) -> Planned:
    return replace(planned, state=DeliveryState.HELD) if planned.kind is DeliveryKind.REPLY else planned


def decide_again(post: Post, local: Decision, reading: Annotation, team: Team) -> Decision:
    """The decision once a language model has read the post as well: never a lower level than `local`.

    Its labels, taken as certain, go through the same table. A reading that gave none marks the post for a person: the
    level is at least `watch`. Replies stay those of `local`, in their states, since a post may have told the model what
    to say. Never raises. A reason quotes neither the post nor the model.
    """
    if reading.status is Status.OK:
        level = decide(post, _as_certain(reading), team).level
        reason = Reason("llm.raised", f"A language model read the post as well and sees {_seen(reading)}")
        if level <= local.level:
            return local
    else:
        level = max(local.level, Level.WATCH)
        reason = Reason(f"llm.{reading.status}", _NOT_READ_AGAIN[reading.status])
    before = tuple(each for each in local.reasons if each != _NOTHING)
    # The daily summary has room for one reason, the first.
    reasons = (reason, *before) if level is Level.WATCH or level > local.level else (*before, reason)
    to_moderators = [each for each in _planned(post, level, team) if each.kind is not DeliveryKind.REPLY]
    replies = [each for each in local.deliveries if each.kind is DeliveryKind.REPLY]
    return Decision(level, reasons, (*to_moderators, *replies))


def _as_certain(reading: Annotation) -> Assessment:
    risk, severity = reading.risk or Risk.NONE, reading.severity or Severity.MINIMAL
    # A post that shows a risk is about mental health, whatever else the answer says.
    relevant = reading.relevance is Relevance.MENTAL_HEALTH or risk > Risk.NONE
    return Assessment(
        relevance=float(relevant),
        disorders={},
        severity=Ordinal({level: float(level is severity) for level in Severity}),
        risk=Ordinal({level: float(level is risk) for level in Risk}),
        evidence=(),
        versions=reading.versions,
    )


def _seen(reading: Annotation) -> str:
    seen = []
    if reading.risk and reading.risk > Risk.NONE:
        seen.append(RISK_WORDS[reading.risk])
    if reading.severity and reading.severity > Severity.MINIMAL:
        seen.append(SEVERITY_WORDS[reading.severity])
    return " and ".join(seen) or "that it is about mental health"


def _is_sound(assessment: Assessment) -> bool:
    # NaN is below every bound, so a broken model would otherwise pass for a calm post.
    probabilities = (
        assessment.relevance,
        *assessment.risk.probs.values(),
        *assessment.severity.probs.values(),
        *assessment.disorders.values(),
    )
    return all(math.isfinite(p) for p in probabilities)


def _matches(rule: Rule, assessment: Assessment) -> bool:
    return (
        (rule.risk is None or assessment.risk.at_least(rule.risk) >= rule.min_probability)
        and (rule.severity is None or assessment.severity.at_least(rule.severity) >= rule.min_probability)
        and assessment.relevance >= rule.min_relevance
    )


def _planned(post: Post, level: Level, team: Team) -> tuple[Planned, ...]:
    kinds = dict.fromkeys(team.policy.actions(level))
    return tuple(Planned(kind, _first_state(kind, level, team)) for kind in kinds if _applies(kind, post, team))


def _applies(kind: DeliveryKind, post: Post, team: Team) -> bool:
    if kind is DeliveryKind.REPLY:
        return not post.is_gone
    return team.alerts.modmail  # alerts and digests are both modmail


def _first_state(kind: DeliveryKind, level: Level, team: Team) -> DeliveryState:
    waits = kind is DeliveryKind.REPLY and level.value not in team.replies.auto
    return DeliveryState.HELD if waits else DeliveryState.PENDING


def _reasons(rules: Iterable[Rule], assessment: Assessment) -> Iterator[Reason]:
    for rule in rules:
        if rule.risk is not None:
            yield Reason(
                f"risk.{rule.risk}",
                f"The post speaks of {RISK_WORDS[rule.risk]} ({_likelihood(assessment.risk.at_least(rule.risk))})",
            )
        if rule.severity is not None:
            yield Reason(
                f"severity.{rule.severity}",
                f"The post shows {SEVERITY_WORDS[rule.severity]} or more "
                f"({_likelihood(assessment.severity.at_least(rule.severity))})",
            )
        if rule.risk is None and rule.severity is None:
            yield Reason("relevance", f"The post is about mental health ({_likelihood(assessment.relevance)})")


def _explicit_words(assessment: Assessment) -> Iterator[Reason]:
    """What the dictionary says of the words it found. Only its notes: a note of a model may quote the post."""
    notes = {
        evidence.note: evidence.label
        for evidence in assessment.evidence
        if evidence.source in ("rules", SOURCE) and evidence.note and evidence.label in _GRAVEST_FIRST
    }
    for note in sorted(notes, key=lambda note: _GRAVEST_FIRST.index(notes[note]))[:_NOTES_LISTED]:
        yield Reason(f"words.{notes[note]}", f"Explicit words: {note}")


def _once(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple({reason.words: reason for reason in reasons}.values())


def _likelihood(probability: float) -> str:
    for bound, words in ((0.35, "cannot be ruled out"), (0.6, "possible"), (0.85, "likely")):
        if probability < bound:
            return words
    return "very likely"
