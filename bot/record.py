"""A judgement as one JSON line: what replay and classify write. No author, no title and no text is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from bot.config import Policy, Probability
from bot.judge import Judgement
from bot.types import DeliveryKind, DeliveryState
from models.assessment import Assessment, Evidence, Ordinal, Source
from models.labels import Disorder, Level, Risk, Severity

_DIGITS = 6
_closed = with_config(extra="forbid")
S = TypeVar("S", Severity, Risk)


@_closed
class SeverityRecord(TypedDict):
    """How heavy the distress in the post is: the decided level, and the probability of every level, adding up to 1."""

    level: Severity
    probs: Annotated[dict[Severity, Probability], Field(min_length=len(Severity))]


@_closed
class RiskRecord(TypedDict):
    """Risk of suicide or self-harm: the decided level, and the probability of every level, adding up to 1."""

    level: Risk
    probs: Annotated[dict[Risk, Probability], Field(min_length=len(Risk))]


@_closed
class EvidenceRecord(TypedDict):
    """Characters `start` to `end` (exclusive) of title, blank line, body (only the one there is, if one is empty)."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    label: str
    source: Annotated[Source, Field(description="what found it")]
    note: Annotated[str, Field(description="why it counts, or why it was set aside, in plain words")]


@_closed
class DeliveryRecord(TypedDict):
    """One thing that would be done; `held` waits for a moderator's approval."""

    kind: DeliveryKind
    state: DeliveryState


@_closed
class Record(TypedDict):
    """What Nightlight makes of one post.

    `relevance`, `disorders`, `severity` and `risk` are null when, and only when, the level is `unassessed`.
    """

    id: Annotated[str, Field(min_length=1)]
    subreddit: Annotated[str, Field(description="empty when the source names none")]
    created_utc: Annotated[float | None, Field(description="seconds since the epoch; null when the source has none")]
    level: Level
    reasons: Annotated[list[str], Field(description="why the level is what it is, for a moderator to read")]
    relevance: Annotated[Probability | None, Field(description="probability that the post is about mental health")]
    disorders: Annotated[
        Annotated[dict[Disorder, Probability], Field(min_length=len(Disorder))] | None,
        Field(description="for each condition, the probability that the post is about it"),
    ]
    severity: SeverityRecord | None
    risk: RiskRecord | None
    evidence: list[EvidenceRecord]
    deliveries: list[DeliveryRecord]
    versions: Annotated[dict[str, str], Field(description="whatever the judgement depends on, by name")]


def to_record(judgement: Judgement, policy: Policy) -> Record:
    """The record of a judgement made under `policy`. Probabilities are rounded to 6 digits."""
    post, decision = judgement.post, judgement.decision
    # What the policy found unsound (a probability that is no number) is no assessment.
    assessment = judgement.assessment if decision.level is not Level.UNASSESSED else None
    ours = {"nightlight": nightlight_version(), "policy": policy_version(policy)}
    return Record(
        id=post.id,
        subreddit=post.subreddit,
        created_utc=post.created_utc,
        level=decision.level,
        reasons=[reason.words for reason in decision.reasons],
        relevance=_rounded(assessment.relevance) if assessment else None,
        disorders={label: _rounded(p) for label, p in assessment.disorders.items()} if assessment else None,
        severity=SeverityRecord(level=assessment.severity.level, probs=_probs(assessment.severity))
        if assessment
        else None,
        risk=RiskRecord(level=assessment.risk.level, probs=_probs(assessment.risk)) if assessment else None,
        evidence=[_evidence(each) for each in assessment.evidence] if assessment else [],
        # Once each: through how many channels an alert goes says nothing of the post.
        deliveries=[
            DeliveryRecord(kind=kind, state=state)
            for kind, state in dict.fromkeys((each.kind, each.state) for each in decision.deliveries)
        ],
        versions={**assessment.versions, **ours} if assessment else ours,
    )


def assessment_of(record: Mapping[str, Any]) -> Assessment | None:
    """The assessment that a record holds, rounded as it is there; None when the post was not assessed."""
    severity, risk = record.get("severity"), record.get("risk")
    if not severity or not risk:
        return None
    return Assessment(
        relevance=record["relevance"],
        disorders={Disorder(label): p for label, p in record["disorders"].items()},
        severity=Ordinal({Severity(level): p for level, p in severity["probs"].items()}),
        risk=Ordinal({Risk(level): p for level, p in risk["probs"].items()}),
        evidence=tuple(Evidence(**each) for each in record.get("evidence", ())),
        versions=record.get("versions", {}),
    )


def to_line(record: Record) -> bytes:
    """The record as one line of UTF-8 JSON with its newline."""
    return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a record."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **TypeAdapter(Record).json_schema(mode="serialization"),
        "title": "Nightlight decision",
    }


@cache
def nightlight_version() -> str:
    """The installed version; `source` when it runs out of a source folder that was never installed."""
    try:
        return version("nightlight")
    except PackageNotFoundError:
        return "source"


@cache
def policy_version(policy: Policy) -> str:
    """Eight hexadecimal digits that change with any setting of the policy."""
    settings = json.dumps(policy.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()[:8]


def _probs(scale: Ordinal[S]) -> dict[S, float]:
    return {level: _rounded(p) for level, p in scale.probs.items()}


def _evidence(evidence: Evidence) -> EvidenceRecord:
    return EvidenceRecord(
        start=evidence.start, end=evidence.end, label=evidence.label, source=evidence.source, note=evidence.note
    )


def _rounded(probability: float) -> float:
    return round(float(probability), _DIGITS)


def is_record(value: object) -> bool:
    """Whether a parsed line of an earlier run can be counted again."""
    return isinstance(value, Mapping) and Record.__required_keys__ <= value.keys()
