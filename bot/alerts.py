"""Decision -> the words to the moderators: one alert a post in each place, one digest a day. Never public.

The post was written by a stranger, and modmail and chat messages are Markdown, so whatever comes from the post passes
`inert` first: no link, no mention and no formatting of theirs works here, and no character that hides or turns text
around gets through.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Any

from bot.clock import timestamp
from bot.policy import RISK_WORDS, SEVERITY_WORDS
from bot.recommendations import Counsel, Recommendation
from bot.resources import Advice, Catalogue, Directory, Help, Line, Step, Therapy
from bot.templates import MARKDOWN
from bot.types import Decision, DeliveryKind, DeliveryState, Post
from models.assessment import Assessment, Evidence
from models.document import Document
from models.labels import Disorder, Level, Risk, Severity

REDDIT = "https://www.reddit.com"
LONGEST_BODY = 9000  # exclusive, in characters; Reddit takes 10,000

_EXCERPTS, _EXCERPT_LENGTH, _CONTEXT = 5, 120, 30
_REASONS, _REASON_LENGTH = 8, 160
_QUOTE_LENGTH = 60
_TITLE_LENGTH = 80
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
class Message:
    """A modmail or a chat message: a subject of at most 100 characters and a body in Markdown of fewer than 9,000.

    The subject belongs to one alert, one digest or one gap, so that a message can be found again by it.
    """

    subject: str
    body: str


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
        case=case_link(_id(post), page_url),
        reasons=[inert(reason.words, _REASON_LENGTH) for reason in decision.reasons[:_REASONS]],
        excerpts=excerpts,
        reply=_reply_words(reply, note),
        show_command=reply is DeliveryState.HELD,
        urgent=decision.level in (Level.CRISIS, Level.URGENT),
        unread=decision.level is Level.UNASSESSED,
        post_id=_id(post),
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
        "chosen_by": inert(counsel.chosen_by, _TITLE_LENGTH),
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
        (_in_short(catalogue.find(each.id)), each.reason if share_text else "") for each in counsel.recommendations
    ]
    bodies = (
        MARKDOWN.get_template("message.md.j2").render(
            first=_FIRST[decision.level],
            link=plain_link(_id(post), base_url),
            case=case_link(_id(post), page_url),
            post_id=_id(post),
            subreddit=_name(post.subreddit),
            share_text=share_text,
            title=inert(post.title, _TITLE_LENGTH),
            reasons=[inert(reason.words, _REASON_LENGTH) for reason in decision.reasons[:_SHARED]],
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
    """That nobody has taken up a crisis since a time (seconds since the epoch), and which channels heard of it.

    `page_url` is where the moderators' page is, if there is one.
    """
    return Message(
        f"[Nightlight] crisis: nobody has taken up a post yet (t3_{post_id})",
        f"Nobody has taken up this post since {timestamp(since_utc)}. Please read it now if you can.\n\n"
        f"{_where(post_id, base_url, page_url)}\n\n"
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
    return f"nightlight alert t3_{_id(post)}"


def compose_digest_line(post: Post, decision: Decision, day: date) -> Message:
    """One post's line in the digest of a day, under the subject that all lines of that digest share."""
    why = f": {inert(decision.reasons[0].words, _REASON_LENGTH)}" if decision.reasons else ""
    return Message(
        f"[Nightlight] posts to look at in r/{_name(post.subreddit)}, {day.isoformat()}",
        f"- “{inert(post.title, _TITLE_LENGTH) or 'no title'}”{why}. {link_to(post)}",
    )


def next_part(subject: str) -> str:
    """The subject of the message that goes on where a digest with this subject has no more room."""
    begun = re.fullmatch(r"(.*) \((\d+)\)", subject)
    return f"{begun[1]} ({int(begun[2]) + 1})" if begun else f"{subject} (2)"


def compose_digest(subreddit: str, lines: Sequence[str]) -> str:
    """The body of a digest made of such lines, in their order."""
    return MARKDOWN.get_template("digest.md.j2").render(lines=lines, subreddit=_name(subreddit)).strip()


def how_many_fit(subreddit: str, lines: Sequence[str]) -> int:
    """How many of these lines, from the first on, one message of a digest has room for; one at least."""
    room = LONGEST_BODY - len(compose_digest(subreddit, [])) - 1
    ends = accumulate(len(line) + 1 for line in lines)
    return max(1, sum(end <= room for end in ends))


# Markdown's own signs; a backslash before one makes it a plain character on old and new Reddit alike.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~^&])")
# What Reddit, mail and chat programs turn into a link or a call without any sign of Markdown.
_SELF_ACTING = (
    (re.compile(r"://"), ": //"),
    (re.compile(r"\bwww\.", re.IGNORECASE), "www ."),
    (re.compile(r"(?<![A-Za-z0-9])([ur])/", re.IGNORECASE), r"\1 /"),
    (re.compile(r"@"), "@ "),
)


def inert(text: str, longest: int) -> str:
    """A stranger's text on one line, at most `longest` characters before escaping, with nothing in it that acts."""
    text = visible(text[: 4 * longest])
    for pattern, replacement in _SELF_ACTING:
        text = pattern.sub(replacement, text)
    text = " ".join(text.split())
    if len(text) > longest:
        text = text[: longest - 1].rstrip() + "…"
    return _MARKDOWN.sub(r"\\\1", text)


def visible(text: str) -> str:
    """A stranger's text on one line, without characters that hide it, turn it around or command a terminal."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    """Nothing for characters that hide or turn text around or that no encoding takes; a space for line ends."""
    category = unicodedata.category(character)
    if category in {"Zl", "Zp"} or character.isspace():
        return " "
    return "" if category in {"Cc", "Cf", "Cs", "Co", "Cn"} else character


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
        reason = inert(counsel.model_reasons.get(each.id, ""), _REASON_LENGTH)
        yield _Advice(advice_words(record), basis, not_for, each.reason, _quote(each, text), reason)


def advice_words(record: object) -> str:
    """A recommended record as moderators read it; empty for what nobody recommends."""
    short = _in_short(record)
    match record:
        case Help():
            return f"{short} {record.not_for} You can: {record.moderators} Others can: {record.peers}"
        case Therapy():
            return f"{short} {record.words}"
    return short


def _in_short(record: object) -> str:
    """The same in fewer than 200 characters."""
    match record:
        case Line():
            return f"A line to name: {record.name}. {_ways(record)}"
        case Directory():
            return f"Where lines are listed: {record.name}, {record.url}"
        case Step():
            return f"A step to take: {record.words}"
        case Help():
            return f"Whom to see: {record.seek}"
        case Therapy():
            return f"A treatment to know of: {record.name}."
    return ""


def _ways(line: Line) -> str:
    ways = []
    if line.phone:
        ways.append(f"Call {' or '.join(line.phone)}.")
    if line.text:
        ways.append(f"Text {line.keyword} to {line.text}." if line.keyword else f"Text {line.text}.")
    if line.whatsapp:
        ways.append(f"WhatsApp {line.whatsapp}.")
    ways.append(_open(line))
    if line.note:
        ways.append(f"{line.note[0].upper()}{line.note[1:]}.")
    if line.chat:
        ways.append(f"Chat: {line.chat}")  # last, so that no full stop touches the address
    return " ".join(ways)


def _open(line: Line) -> str:
    if line.hours == "24/7":
        return "Open day and night."
    return f"Open {line.hours.replace('24/7', 'day and night')}." if line.hours else "It may not be open at all hours."


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
    return f"[Nightlight] {level}: {what} (t3_{_id(post)})"


def link_to(post: Post, base_url: str = REDDIT) -> str:
    """The full link; by id alone when an archive's permalink is not the path that Reddit would give."""
    path = post.permalink.removeprefix(REDDIT)
    return base_url + path if re.fullmatch(r"/r/[\w%/-]{1,300}", path) else plain_link(_id(post), base_url)


def plain_link(post_id: str, base_url: str = REDDIT) -> str:
    """The link by id alone, which holds no word of the post; Reddit's own ends in words of the title."""
    return f"{base_url}/comments/{post_id}"


def case_link(post_id: str, page_url: str | None) -> str:
    """Where a case is on the moderators' page; empty where there is none."""
    return f"{page_url}/case/{post_id}" if page_url else ""


def _id(post: Post) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "", post.id)[:32] or "unknown"


def _name(subreddit: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "", subreddit)[:21] or "unknown"
