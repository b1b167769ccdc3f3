"""Decision -> the words to the moderators about one post, in each place. Never public.

Whatever comes from the post passes `bot.inert` first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bot.advice import advice_in_short, advice_words
from bot.clock import timestamp
from bot.inert import REASON_LENGTH, TITLE_LENGTH, inert, plain_name
from bot.links import REDDIT, case_link, link_to, plain_link
from bot.policy import RISK_WORDS, SEVERITY_WORDS
from bot.recommendations import Counsel, Recommendation
from bot.resources import Advice, Catalogue, Step, Therapy
from bot.templates import MARKDOWN
from bot.types import LONGEST_BODY, Decision, DeliveryKind, DeliveryState, Message, Post
from models.assessment import Assessment, Evidence
from models.document import Document
from models.labels import Disorder, Level, Risk, Severity

_EXCERPTS, _EXCERPT_LENGTH, _CONTEXT = 5, 120, 30
_REASONS = 8
_QUOTE_LENGTH = 60
_LONGEST_CHAT = 1900  # exclusive, in characters; Discord takes 2,000
_SHARED = 3  # reasons, and excerpts, in a chat message

_FIRST = {
    Level.CRISIS: "Crisis: please read this post now, before anything else.",
    Level.URGENT: "Urgent: please read this post soon, today if you can.",
    Level.WATCH: "Watch: please look at this post when you have time.",
    Level.UNASSESSED: "Not read: the bot could not read this post, so a person has to. Please look at it soon.",
    Level.NONE: "For your information: the bot found nothing pressing in this post.",
}


@dataclass(frozen=True, slots=True)
class _Excerpt:
    text: str
    meaning: str


@dataclass(frozen=True, slots=True)
class _Advice:
    what: str
    basis: str
    not_for: str
    why: str
    quote: str
    model_reason: str


def compose_alert(
    post: Post,
    assessment: Assessment | None,
    decision: Decision,
    catalogue: Catalogue,
    base_url: str = REDDIT,
    note: str = "",
    counsel: Counsel = Counsel(),  # noqa: B008 - frozen
    page_url: str | None = None,
) -> Message:
    """The alert about one post. Never raises for what is in the post.

    `base_url` is the Reddit its link leads to; `note` says what courtesy has to do with the reply that is proposed, or
    is not; `counsel` is what may help; `page_url` is where the moderators' page is, if there is one.
    """
    excerpts = list(_excerpts(post, assessment, catalogue)) if assessment else []
    bodies = (
        _alert_body(post, decision, catalogue, base_url, note, counsel, page_url, excerpts[:shown])
        for shown in range(len(excerpts), -1, -1)
    )
    # The place for excerpts is what is left beside the rest, which has bounds of its own.
    body = next((body for body in bodies if len(body) < LONGEST_BODY), "")
    return Message(_subject(decision.level, post), body)


def _alert_body(
    post: Post,
    decision: Decision,
    catalogue: Catalogue,
    base_url: str,
    note: str,
    counsel: Counsel,
    page_url: str | None,
    excerpts: Sequence[_Excerpt],
) -> str:
    states = {planned.kind: planned.state for planned in decision.deliveries}
    reply = states.get(DeliveryKind.REPLY)
    body = MARKDOWN.get_template("alert.md.j2").render(
        first=_FIRST[decision.level],
        link=link_to(post, base_url),
        case=case_link(post.plain_id, page_url),
        reasons=[inert(reason.words, REASON_LENGTH) for reason in decision.reasons[:_REASONS]],
        excerpts=excerpts,
        reply=_reply_words(reply, note),
        show_command=reply is DeliveryState.HELD,
        urgent=decision.level in (Level.CRISIS, Level.URGENT),
        unread=decision.level is Level.UNASSESSED,
        post_id=post.plain_id,
        marker=alert_marker(post),
        **_help(post, counsel, catalogue),
    )
    return body.strip()


def compose_help(post: Post, counsel: Counsel, catalogue: Catalogue) -> str:
    """What may help, how to answer and what the bot is unsure about, as in the alert; Markdown."""
    return MARKDOWN.get_template("help.md.j2").render(_help(post, counsel, catalogue)).strip()


def _help(post: Post, counsel: Counsel, catalogue: Catalogue) -> dict[str, Any]:
    return {
        "advice": list(_advice(post, counsel, catalogue)),
        "chosen_by": inert(counsel.chosen_by, TITLE_LENGTH),
        "card": counsel.card,
        "doubts": counsel.doubts,
    }


def compose_message(
    post: Post,
    assessment: Assessment | None,
    decision: Decision,
    catalogue: Catalogue,
    base_url: str = REDDIT,
    counsel: Counsel = Counsel(),  # noqa: B008 - frozen
    page_url: str | None = None,
    *,
    share_text: bool = False,
) -> Message:
    """The chat message about one post: its level, its subreddit and a link, in fewer than 1,900 characters.

    With `share_text` its title, the reasons, what was noticed, and why `counsel` is given too. Without, no word of the
    post is in it; nor does anything follow from its words as long as `counsel` is what holds for every post of its
    level (`general_counsel`). The link is by id alone. Never raises for what is in the post.
    """
    excerpts = list(_excerpts(post, assessment, catalogue))[:_SHARED] if assessment and share_text else []
    advice = [
        (advice_in_short(catalogue.find(each.id)), each.reason if share_text else "")
        for each in counsel.recommendations
    ]
    bodies = (
        MARKDOWN.get_template("message.md.j2").render(
            first=_FIRST[decision.level],
            link=plain_link(post.plain_id, base_url),
            case=case_link(post.plain_id, page_url),
            post_id=post.plain_id,
            subreddit=plain_name(post.subreddit),
            share_text=share_text,
            title=inert(post.title, TITLE_LENGTH),
            reasons=[inert(reason.words, REASON_LENGTH) for reason in decision.reasons[:_SHARED]],
            excerpts=excerpts[:excerpts_shown],
            advice=advice[:advice_shown],
            card=counsel.card,
            doubts=counsel.doubts if advice_shown == len(advice) else (),
            unread=decision.level is Level.UNASSESSED,
        )
        for excerpts_shown, advice_shown in _ever_less(len(excerpts), len(advice))
    )
    body = next((body for body in bodies if len(body) < _LONGEST_CHAT), "")
    return Message(_subject(decision.level, post), body.strip())


def _ever_less(excerpts: int, advice: int) -> Iterator[tuple[int, int]]:
    """How many of each to show, where the first choice is too long."""
    yield from ((shown, advice) for shown in range(excerpts, -1, -1))
    yield from ((0, shown) for shown in range(advice - 1, -1, -1))


def compose_reminder(
    post_id: str,
    subreddit: str,
    since_utc: float,
    told: Sequence[str],
    base_url: str = REDDIT,
    page_url: str | None = None,
) -> Message:
    """That nobody has a crisis in hand, when it was first told (seconds since the epoch), and to which channels.

    Somebody may have had it meanwhile. `page_url` is where the moderators' page is, if there is one.
    """
    return Message(
        f"[Nightlight] crisis: nobody has a post in hand (t3_{post_id})",
        f"Nobody has this post in hand. The first alert is from {timestamp(since_utc)}. Please read it now if you "
        f"can.\n\n{_where(post_id, base_url, page_url)}\n\n"
        f"In r/{subreddit}. Told so far: {', '.join(told)}. No further alert goes out once one of you has "
        "taken it up.",
    )


def compose_all_clear(post_id: str, subreddit: str, base_url: str = REDDIT, page_url: str | None = None) -> Message:
    """That somebody has taken up a crisis, for those who were called in."""
    return Message(
        f"[Nightlight] somebody has taken up a post (t3_{post_id})",
        f"A moderator of r/{subreddit} has taken up this post. You need do nothing more. Thank you for being there.\n\n"
        f"{_where(post_id, base_url, page_url)}",
    )


def _where(post_id: str, base_url: str, page_url: str | None) -> str:
    case = case_link(post_id, page_url)
    return plain_link(post_id, base_url) + (f"\n\nOn your page: {case}" if case else "")


def alert_marker(post: Post) -> str:
    """The last line of the alert about this post."""
    return f"nightlight alert t3_{post.plain_id}"


def _excerpts(post: Post, assessment: Assessment, catalogue: Catalogue) -> Iterator[_Excerpt]:
    """Up to five places, the gravest first, none of them inside one that is already shown."""
    text = Document(post.title, post.text).text
    shown: list[range] = []
    for evidence in sorted(assessment.evidence, key=_gravity, reverse=True):
        window = _window(evidence, text)
        if any(evidence.start in other and evidence.end - 1 in other for other in shown):
            continue
        if len(shown) == _EXCERPTS:
            return
        before, after = "…" if window.start > 0 else "", "…" if window.stop < len(text) else ""
        if excerpt := inert(text[window.start : window.stop], _EXCERPT_LENGTH - len(before) - len(after)):
            shown.append(window)
            yield _Excerpt(before + excerpt + after, _meaning(evidence, catalogue))


def _window(evidence: Evidence, text: str) -> range:
    """The span with a little of what stands around it, in whole words where there are words."""
    start = max(0, min(evidence.start, len(text)))
    end = min(max(start, evidence.end), start + _EXCERPT_LENGTH, len(text))
    around = min(_CONTEXT, (_EXCERPT_LENGTH - (end - start)) // 2)
    first, last = max(0, start - around), min(len(text), end + around)
    if first > 0:
        first = text.find(" ", first, start) + 1 or first
    if last < len(text):
        last = max(text.rfind(" ", end, last), end)
    return range(first, last)


def _gravity(evidence: Evidence) -> tuple[int, int]:
    if evidence.label in list(Risk):
        return (2, Risk(evidence.label).rank)
    if evidence.label in list(Severity):
        return (1, Severity(evidence.label).rank)
    return (0, 0)


def _meaning(evidence: Evidence, catalogue: Catalogue) -> str:
    if evidence.label in list(Disorder):
        return catalogue.topic[Disorder(evidence.label)]  # the topic alone: a note might name a condition
    if evidence.note:
        return inert(evidence.note, _EXCERPT_LENGTH)
    if evidence.label in list(Risk):
        return RISK_WORDS[Risk(evidence.label)]
    return SEVERITY_WORDS[Severity(evidence.label)] if evidence.label in list(Severity) else ""


def _advice(post: Post, counsel: Counsel, catalogue: Catalogue) -> Iterator[_Advice]:
    """What is recommended, in the words of the catalogue. A model's reason is as untrusted as a post."""
    text = Document(post.title, post.text).text
    for each in counsel.recommendations:
        record = catalogue.find(each.id)
        basis = catalogue.guideline_names(record) if isinstance(record, Advice) else ""
        not_for = record.not_for if isinstance(record, Step | Therapy) else ""
        reason = inert(counsel.model_reasons.get(each.id, ""), REASON_LENGTH)
        yield _Advice(advice_words(record), basis, not_for, each.reason, _quote(each, text), reason)


def _quote(recommendation: Recommendation, text: str) -> str:
    """The place in the post, unless it is all of it."""
    start, end = recommendation.evidence.start, recommendation.evidence.end
    return inert(text[start:end], _QUOTE_LENGTH) if 0 < end - start < len(text) else ""


def _reply_words(state: DeliveryState | None, note: str) -> str:
    why = f" ({note})" if note else ""
    match state:
        case None:
            return f"No reply is proposed{why}. If something should be said, it is yours to say."
        case DeliveryState.HELD:
            return (
                f"A reply of vetted words is ready and waits for one of you{why}. Nothing is posted before. To see it:"
            )
        case _:
            return "As your team has set it, a reply of vetted words goes out without waiting for approval."


def _subject(level: Level, post: Post) -> str:
    what = "the bot could not read a post" if level is Level.UNASSESSED else "a post needs a person"
    return f"[Nightlight] {level}: {what} (t3_{post.plain_id})"
