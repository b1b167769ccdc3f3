"""Notices to moderators about the bot itself: posts not read, a subreddit it may not watch, a silent stream."""

from __future__ import annotations

import structlog

from bot.clock import Clock, date_of, timestamp
from bot.config import Config
from bot.escalation import question_step
from bot.inert import inert
from bot.links import REDDIT, case_link, plain_link
from bot.outbox import Draft, Outbox
from bot.store import Store
from bot.templates import MARKDOWN
from bot.types import Delivery, DeliveryKind, DeliveryState, Message, Planned, Post
from models.labels import Level

log = structlog.get_logger()

_ERROR_LENGTH = 200
_GOES_NOT_BY_ITSELF = (DeliveryState.HELD, DeliveryState.DISMISSED, DeliveryState.DEAD)


class Notices:
    """Writes each notice into the outbox once, however often its cause is seen; and into the log.

    It goes where urgent alerts go: to modmail, to the first chat channel that hears of them, or both. A question about
    a post goes where alerts of its level go, or, where nobody hears of those, with the urgent ones. Times are seconds
    since the epoch.
    """

    def __init__(self, store: Store, outbox: Outbox, config: Config, clock: Clock) -> None:
        self._config = config
        self._store = store
        self._outbox = outbox
        self._clock = clock

    async def gap(self, subreddit: str, from_utc: float, until_utc: float) -> None:
        """Posts between two times can be fetched no more; inside the caller's transaction."""
        log.error("stream.gap", subreddit=subreddit, since_utc=from_utc, until_utc=until_utc)
        values = {"subreddit": subreddit, "from_utc": from_utc, "until_utc": until_utc, "now": self._clock.now()}
        if await self._store.execute("add_gap", values):
            await self._enqueue(subreddit, gap_name(subreddit, from_utc), gap_notice(subreddit, from_utc, until_utc))

    async def refused(self, subreddit: str, why: str) -> None:
        """Reddit no longer lets the bot read a subreddit."""
        log.error("watch.refused", subreddit=subreddit, error=why)
        now = self._clock.now()
        async with self._store.transaction():
            await self._store.execute("note_refusal", {"subreddit": subreddit, "refusal": why, "now": now})
            (watch,) = await self._store.fetch("get_watch", {"subreddit": subreddit})
            since = watch["refused_utc"]
            await self._enqueue(subreddit, f"refused-{subreddit}-{since:.0f}", refusal_notice(subreddit, why, since))

    async def stalled(self, subreddit: str, since_utc: float) -> None:
        """No new post could be read since a time."""
        log.error("stream.stalled", subreddit=subreddit, since_utc=since_utc)
        async with self._store.transaction():
            notice = stall_notice(subreddit, since_utc)
            await self._enqueue(subreddit, f"stalled-{subreddit}-{since_utc:.0f}", notice)

    async def dead_reply(self, reply: Delivery, why: str) -> None:
        """A reply that a moderator counts on could not be posted; inside the caller's transaction."""
        notice = dead_reply_notice(reply, why, self._clock.now())
        await self._enqueue(reply.subreddit, f"dead-{reply.id}-{reply.attempts}", notice)

    async def asked(self, case: Post, level: Level, number: int, due_utc: float) -> None:
        """A moderator wants another pair of eyes on a post, told from `due_utc` on; inside the caller's transaction.

        It is a message about the post like any other, so that it is dropped when the post goes. `number` tells the
        questions about one post apart, from 0.
        """
        base_url, page_url = self._config.reddit.base_url or REDDIT, self._config.review.public_url
        replies = [each for each in await self._outbox.of_post(case.id) if each.kind is DeliveryKind.REPLY]
        waits = all(each.state in _GOES_NOT_BY_ITSELF for each in replies)
        notice = question_notice(case, self._clock.now(), base_url, page_url, reply_waits=waits)
        await self._enqueue(case.subreddit, case.id, notice, level, due_utc=due_utc, step=question_step(number))

    async def take_back_question(self, post_id: str, number: int) -> None:
        """Nobody is asked after all, unless it was told already; inside the caller's transaction."""
        values = {"post_id": post_id, "step": question_step(number), "now": self._clock.now()}
        await self._store.execute("drop_question", values)

    async def silent_channel(self, message: Delivery, why: str) -> None:
        """An alert did not arrive where it went, or nobody knows; once a day for modmail and for each chat channel.

        Told in modmail alone, or, when that is what failed or by a team that has none, in the first other channel that
        hears of urgent alerts; inside the caller's transaction.
        """
        day = date_of(self._clock.now())
        notice = silent_channel_notice(message, why, self._clock.now())
        name = f"channel-{message.subreddit}-{message.channel}-{day}"
        await self._enqueue(message.subreddit, name, notice, silent=message.channel)

    async def _enqueue(
        self,
        subreddit: str,
        name: str,
        message: Message,
        level: Level = Level.URGENT,
        *,
        silent: str | None = None,
        due_utc: float | None = None,
        step: int = 0,
    ) -> None:
        alerts, due = self._config.team(subreddit).alerts, self._clock.now() if due_utc is None else due_utc
        places = [""] if alerts.modmail and silent != "" else []
        if not (silent and alerts.modmail):
            hearing = alerts.channels_for(level)
            if not places and not hearing:
                hearing = alerts.channels_for(Level.URGENT)
            places += [name for name in hearing if name != silent][:1]
        plans = [Planned(DeliveryKind.ALERT, DeliveryState.PENDING, channel) for channel in places]
        await self._outbox.enqueue(
            [Draft(name, subreddit, level, plan, message.subject, message.body, due, step) for plan in plans]
        )


def gap_name(subreddit: str, from_utc: float) -> str:
    """What stands in the place of a post's id wherever something is about a gap."""
    return f"gap-{subreddit}-{from_utc:.0f}"


def gap_notice(subreddit: str, from_utc: float, until_utc: float) -> Message:
    """Which posts were not read, by the time they were written."""
    return _notice(
        subreddit,
        f"some posts from before {timestamp(until_utc)} were not read",
        "Some posts were not read: please look through the older new posts yourselves.",
        "The bot was away for a while, and when it came back Reddit no longer listed everything that had come in. "
        f"Posts from between {timestamp(from_utc)} and {timestamp(until_utc)} may be missing. It is reading new posts "
        "again.",
        until_utc,
    )


def refusal_notice(subreddit: str, why: str, since_utc: float) -> Message:
    """That Reddit does not let the bot read here."""
    return _notice(
        subreddit,
        f"the bot may no longer read new posts ({timestamp(since_utc)})",
        "Nobody but you is reading new posts here at the moment.",
        f"Reddit does not let the bot in: {inert(why, _ERROR_LENGTH)}. Please check that its account is still a "
        "moderator with the permission for modmail. It asks again every hour and goes on where it stopped.",
        since_utc,
    )


def stall_notice(subreddit: str, since_utc: float) -> Message:
    """That nothing could be read for a while."""
    return _notice(
        subreddit,
        f"no new post could be read since {timestamp(since_utc)}",
        "Please look at the new posts yourselves for now.",
        f"Since {timestamp(since_utc)} the bot has had no usable answer from Reddit about new posts. It keeps trying, "
        "and catches up by itself once Reddit answers.",
        since_utc,
    )


def dead_reply_notice(reply: Delivery, why: str, at_utc: float) -> Message:
    """That a reply did not reach its author."""
    return _notice(
        reply.subreddit,
        f"a reply could not be posted (t3_{reply.post_id}, try {reply.attempts})",
        "A reply could not be posted. If something should be said, it is yours to say.",
        f"Reddit's answer: {inert(why, _ERROR_LENGTH)}. After the cause is gone, `nightlight reviews retry {reply.id}` "
        "tries again.",
        at_utc,
        link=plain_link(reply.post_id),
    )


def silent_channel_notice(message: Delivery, why: str, at_utc: float) -> Message:
    """That an alert did not reach modmail or a chat channel, or may not have."""
    place = f"the chat channel {message.channel}" if message.channel else "modmail"
    test = f", and `nightlight channels test {message.channel}` tries the channel" if message.channel else ""
    return _notice(
        message.subreddit,
        f"an alert may not have reached {message.channel or 'modmail'} ({timestamp(at_utc)})",
        f"Alerts through {place} do not arrive as they should.",
        f"What happened: {inert(why, _ERROR_LENGTH)}. Please look at the post below if nobody has; `nightlight status` "
        f"lists all that did not arrive{test}.",
        at_utc,
        link=plain_link(message.post_id) if message.about_post else "",
    )


def question_notice(
    post: Post, at_utc: float, base_url: str = REDDIT, page_url: str | None = None, *, reply_waits: bool = True
) -> Message:
    """That a moderator asks the others to look at a post as well. What they wrote about it stays on the page.

    The link is by id alone, since it goes into chats as well.
    `page_url` is where the moderators' page is, if there is one; `reply_waits` says that no reply goes out, or went,
    without another word of a moderator.
    """
    meanwhile = " Nothing is sent to its author meanwhile." if reply_waits else ""
    return _notice(
        post.subreddit,
        f"one of you asks for another pair of eyes (t3_{post.id}, {timestamp(at_utc)})",
        "One of you would like somebody else to look at this post as well.",
        f"Whatever they noted stands beside it on the moderators' page.{meanwhile}",
        at_utc,
        link=plain_link(post.id, base_url),
        case=case_link(post.id, page_url),
    )


def _notice(
    subreddit: str, what: str, first: str, words: str, at_utc: float, link: str = "", case: str = ""
) -> Message:
    body = MARKDOWN.get_template("notice.md.j2").render(
        first=first,
        words=words,
        link=link or f"{REDDIT}/r/{subreddit}/new",
        case=case,
        subreddit=subreddit,
        at=timestamp(at_utc),
    )
    return Message(f"[Nightlight] {what}", body.strip())
