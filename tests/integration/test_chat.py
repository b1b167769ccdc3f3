"""One chat channel: real HTTP through Apprise to a service on loopback."""

from __future__ import annotations

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from pydantic import SecretStr

from bot.config import Log
from bot.deliver.chat import Channel, ChatMessenger
from bot.deliver.worker import Letter
from bot.errors import Permanent, RedditError, SetupError, Transient, Unclear
from bot.log import set_up
from bot.types import DeliveryKind
from models.labels import Level
from tests.receiver import TOKEN, Receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The service."""
    async with Receiver.serving() as receiver:
        yield receiver


def letter(level: Level = Level.URGENT, unclear: int = 0) -> Letter:
    """An alert."""
    return Letter(DeliveryKind.ALERT, "testsub", "abc", "a subject", "the words", 0.0, level, unclear)


@pytest.mark.parametrize(("scheme", "key"), [("json", "message"), ("ntfy", "message")])
async def test_a_message_arrives_once(receiver: Receiver, scheme: str, key: str) -> None:
    """Subject and body, in one call."""
    await Channel.open("phone", receiver.url(scheme)).send("a subject", "the *words*\n\nhttps://reddit.example/abc")
    (message,) = receiver.arrived
    assert message["title"] == "a subject"
    assert "https://reddit.example/abc" in message[key]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, Transient),
        (503, Transient),
        (500, Unclear),
        (502, Unclear),
        (504, Unclear),
        (400, Permanent),
        (401, Permanent),
        (404, Permanent),
        (302, Permanent),
    ],
)
async def test_what_a_status_means(receiver: Receiver, status: int, error: type[RedditError]) -> None:
    """One call whatever the answer is, and an error that names channel and status and no secret."""
    receiver.answers = [status]
    with pytest.raises(error, match=f"the channel phone answered {status}") as caught:
        await Channel.open("phone", receiver.url()).send("a subject", "the words")
    assert len(receiver.arrived) == 1
    assert TOKEN not in repr(caught.value)


async def test_a_url_cannot_ask_for_repeats_or_hide_failures(receiver: Receiver) -> None:
    """Apprise would try five times, and call any failure a success; a message is one call all the same."""
    receiver.answers = [500, 500, 500]
    with pytest.raises(Unclear):
        await Channel.open("phone", receiver.url(query="?retry=5&wait=0&optional=yes")).send("a subject", "the words")
    assert len(receiver.arrived) == 1


async def test_a_service_that_is_not_there_has_surely_got_nothing() -> None:
    """A closed port and a name that nobody has: worth trying again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for url in (f"json://127.0.0.1:{port}/{TOKEN}", f"json://nobody.invalid/{TOKEN}"):
        with pytest.raises(Transient, match="cannot be reached"):
            await Channel.open("phone", SecretStr(url)).send("a subject", "the words")


@pytest.mark.parametrize(("query", "seconds"), [("?rto=0.3", 20.0), ("", 0.3)])
async def test_a_service_that_does_not_answer_may_have_got_it(receiver: Receiver, query: str, seconds: float) -> None:
    """Whoever stops waiting first, Apprise or we, nobody can know; and the wait is short."""
    receiver.answers = [0]
    started = time.monotonic()
    with pytest.raises(Unclear):
        await Channel.open("phone", receiver.url(query=query), seconds).send("a subject", "the words")
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(("code", "error"), [(535, Permanent), (421, Transient), (0, Unclear)])
async def test_a_mail_server_that_says_no(code: int, error: type[RedditError]) -> None:
    """For good, for now, and gone in the middle of it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        while line := await reader.readline():
            if line.upper().startswith(b"EHLO"):
                writer.write(b"250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n")
            elif code:
                writer.write(b"%d no\r\n" % code)
            else:
                break
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"mailto://bot:{TOKEN}@127.0.0.1:{port}?to=mod@mail.example&from=bot@mail.example&mode=insecure"
        with pytest.raises(error) as caught:
            await Channel.open("mail", SecretStr(url)).send("a subject", "the words")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("url", [None, "", " ", "nonsense", "nothing://here", "slack://short", f"discord://{TOKEN}"])
def test_a_url_that_is_missing_or_wrong_is_named_by_its_variable(url: str | None) -> None:
    """The variable is what a person can look for; the URL itself is in no error."""
    with pytest.raises(SetupError, match="NIGHTLIGHT_CHANNEL_PHONE") as caught:
        Channel.open("phone", None if url is None else SecretStr(url))
    assert TOKEN not in str(caught.value)


async def test_nothing_that_apprise_says_reaches_the_log(receiver: Receiver, capfd: pytest.CaptureFixture[str]) -> None:
    """Its own lines hold URLs and messages; at the lowest level of ours there is no word of them anywhere."""
    out = io.StringIO()
    set_up(Log(level="debug", format="json"), stream=out)
    receiver.answers = [200, 404]
    channel = Channel.open("phone", receiver.url())
    await channel.send("a subject", "xylophonist")
    with pytest.raises(Permanent):
        await channel.send("a subject", "xylophonist")
    with pytest.raises(SetupError):
        Channel.open("phone", SecretStr(f"nothing://{TOKEN}"))
    said = out.getvalue() + "".join(capfd.readouterr())
    assert (TOKEN in said, "xylophonist" in said) == (False, False)


async def nobody_gone(ids: Sequence[str]) -> set[str]:
    """Every post is there."""
    return set()


async def test_what_may_have_arrived_is_not_sent_again(receiver: Receiver) -> None:
    """An urgent alert after an unclear call goes to the moderators as what could not be sent."""
    messenger = ChatMessenger(Channel.open("phone", receiver.url()), nobody_gone)
    with pytest.raises(Permanent, match="may have arrived in the channel phone"):
        await messenger.send(letter(Level.URGENT, unclear=1))
    assert receiver.arrived == []


async def test_a_crisis_that_may_have_arrived_is_repeated_once_and_says_so(receiver: Receiver) -> None:
    """Twice is better than never; a third time is not."""
    messenger = ChatMessenger(Channel.open("phone", receiver.url()), nobody_gone)
    await messenger.send(letter(Level.CRISIS, unclear=1))
    (message,) = receiver.arrived
    assert "may be repeated" in message["message"]
    with pytest.raises(Permanent):
        await messenger.send(letter(Level.CRISIS, unclear=2))
    assert len(receiver.arrived) == 1


async def test_reddit_being_down_holds_no_message_up(receiver: Receiver) -> None:
    """Whether a post was deleted is asked, and an answer is not waited for when there is none."""

    async def down(ids: Sequence[str]) -> set[str]:
        raise Transient("503")

    async def all_gone(ids: Sequence[str]) -> set[str]:
        return set(ids)

    channel = Channel.open("phone", receiver.url())
    assert await ChatMessenger(channel, down).gone(["abc"]) == set()
    assert await ChatMessenger(channel, all_gone).gone(["abc"]) == {"abc"}
