"""A case: one post with everything that a moderator needs to decide on it, and what others did about it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

from bot.inert import visible
from bot.judge import document_of
from bot.recommendations import OFFERED, Counsel, counsel, reordered
from bot.record import assessment_of
from bot.resources import Catalogue
from bot.types import Delivery, DeliveryKind, DeliveryState, Post, Reason, Review, ReviewAction
from bot.wording import language_of
from models.assessment import Assessment, Evidence
from models.labels import Level


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody has a case in hand until a time, in seconds since the epoch."""

    actor: str
    until_utc: float

    @classmethod
    def of(cls, row: sqlite3.Row, now: float) -> Claim | None:
        """The claim that holds now on the case of this row."""
        if row["claimed_by"] is None or row["claimed_until_utc"] <= now:
            return None
        return cls(row["claimed_by"], row["claimed_until_utc"])


@dataclass(frozen=True, slots=True)
class Case:
    """A post under review. `assessment` is None when the models did not read it; times are seconds since the epoch.

    `reply` is the one proposed, whatever became of it, and `choice` what a language model chose of the advice, as the
    keyword arguments of `reordered`. Once `forgotten` nothing is left of the post's words.
    """

    post: Post
    level: Level
    reasons: tuple[Reason, ...]
    assessment: Assessment | None
    judged_utc: float
    settled_utc: float | None
    forgotten: bool
    claim: Claim | None
    escalated_by: str | None
    reply: Delivery | None
    choice: Mapping[str, Any] | None
    reviews: tuple[Review, ...]

    @property
    def language(self) -> str:
        """The language of the reply, which is that of the post where there are vetted words in it."""
        return language_of(self.reply.body if self.reply else "")

    @classmethod
    def of(cls, row: sqlite3.Row, deliveries: Sequence[Delivery], reviews: Sequence[Review], now: float) -> Case:
        """The case of a row of `posts`."""
        return cls(
            post=Post(**{name: row[name] for name in Post.__dataclass_fields__}),
            level=Level(row["level"]),
            reasons=reasons_of(row),
            assessment=assessment_of(json.loads(row["record"])),
            judged_utc=row["judged_utc"],
            settled_utc=row["settled_utc"],
            forgotten=row["forgotten_utc"] is not None,
            claim=Claim.of(row, now),
            escalated_by=row["escalated_by"],
            reply=next((each for each in deliveries if each.kind is DeliveryKind.REPLY), None),
            choice=json.loads(row["choice"]) if row["choice"] else None,
            reviews=tuple(reviews),
        )

    def counsel(self, catalogue: Catalogue, today: date) -> Counsel:
        """What may help, as the alert said it, in the words of the catalogue of today; nothing once forgotten."""
        if self.forgotten:
            return Counsel()
        document = document_of(self.post)
        if self.choice is None:
            return counsel(document, self.assessment, self.level, catalogue, today)
        return reordered(counsel(document, self.assessment, self.level, catalogue, today, OFFERED), **self.choice)

    @property
    def is_open(self) -> bool:
        """Whether a moderator may still be needed."""
        return self.settled_utc is None and not self.forgotten

    @property
    def reply_waits(self) -> bool:
        """Whether a reply waits for somebody's word."""
        return self.reply is not None and self.reply.state is DeliveryState.HELD

    @property
    def reply_can_be_stopped(self) -> bool:
        """Whether a reply was proposed, or goes out by itself, and every call for it so far surely did nothing."""
        return self.reply_waits or (
            self.reply is not None and self.reply.state is DeliveryState.PENDING and not self.reply.unclear
        )

    @property
    def marked(self) -> Review | None:
        """The last word on which level it really is; None when there is none, or it was taken back."""
        last = next((each for each in reversed(self.reviews) if each.action is ReviewAction.MARKED), None)
        return last if last is not None and last.detail else None

    def held_by_another(self, actor: str) -> Claim | None:
        """The claim of somebody else, if there is one."""
        return self.claim if self.claim is not None and self.claim.actor != actor else None

    def excerpts(self) -> list[Excerpt]:
        """The whole text of the post, cut where evidence begins and ends."""
        return excerpts(document_of(self.post).text, self.evidence)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What in the text speaks for the assessment, in the order of the text."""
        found = self.assessment.evidence if self.assessment and not self.forgotten else ()
        return tuple(sorted(found, key=lambda each: (each.start, each.end)))


def reasons_of(row: sqlite3.Row) -> tuple[Reason, ...]:
    """Why the post of this row has its level."""
    return tuple(Reason(**reason) for reason in json.loads(row["reasons"]))


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a post, without characters that hide or turn text around.

    It lies inside the spans `inside` and is the last piece of the spans `ends`, by their place in `Case.evidence`.
    """

    text: str
    inside: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()


def excerpts(text: str, evidence: Sequence[Evidence]) -> list[Excerpt]:
    """The text in pieces, each lying wholly inside or outside of every span of evidence; together they are the text.

    A span that reaches beyond the text counts as far as the text goes.
    """
    spans = [(max(0, each.start), min(len(text), each.end)) for each in evidence]
    cuts = sorted({0, len(text), *(cut for start, end in spans if start < end for cut in (start, end))})
    pieces = []
    for start, end in pairwise(cuts):
        inside = tuple(at for at, (first, last) in enumerate(spans) if first <= start and end <= last)
        ends = tuple(at for at in inside if spans[at][1] == end)
        pieces.append(Excerpt(_shown(text[start:end]), inside, ends))
    return pieces


def _shown(text: str) -> str:
    # Line ends are kept: they are how the author meant to be read.
    return "\n".join(visible(line) for line in text.split("\n"))
