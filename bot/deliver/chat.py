"""Messages to the chat channels where a team already is, through Apprise: Discord, Slack, Telegram, e-mail, ntfy, ...

What a chat service did with a message cannot be looked up afterwards. So a message that may have arrived (the service
was silent, answered with an error, or the process ended meanwhile) is not sent again, and moderators find it among what
could not be sent. Only a crisis is, once: then a message twice is better than none, and the second says what it is.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from bot.config import channel_variable
from bot.deliver.worker import Letter
from bot.errors import Permanent, RedditError, SetupError, Transient, Unclear
from bot.threads import apart
from models.labels import Level

if TYPE_CHECKING:
    from apprise import Apprise

_TIMEOUT_SECONDS = 20.0
_LOOK_SECONDS = 5.0
_REPEATED = "This message may be repeated: nobody knows whether the first one arrived."

# Apprise tells in its log alone why a message failed, so every line is needed, and none may leave this process: they
# carry URLs that let anybody write to the channel, and the message.
_log = logging.getLogger("apprise")
_log.setLevel(logging.DEBUG)
_log.propagate = False

# A status of HTTP, or of SMTP as smtplib prints it.
_HTTP_STATUS = re.compile(r"\berror=(\d{3})\b")
_SMTP_STATUS = re.compile(r"\((\d{3}), b['\"]")
# How the libraries below Apprise say that they never got as far as sending anything.
_NOT_CONNECTED = re.compile(
    "Failed to establish a new connection|NameResolutionError|ConnectTimeout|CERTIFICATE_VERIFY_FAILED"
    "|Connection refused|Name or service not known|Temporary failure in name resolution|No route to host"
    "|Network is unreachable"
)


class Channel:
    """One chat channel. Whatever its URL asks for, a message is one call: no repeats, no redirects."""

    def __init__(self, name: str, apprise: Apprise, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self.name = name
        self._apprise = apprise
        self._timeout_seconds = timeout_seconds

    @classmethod
    def open(cls, name: str, url: SecretStr | None, timeout_seconds: float = _TIMEOUT_SECONDS) -> Self:
        """The channel behind a URL; asks no service. Blocks for seconds the first time, while Apprise is loaded.

        Raises SetupError, without the URL, when there is none or Apprise cannot use it.
        """
        if url is None or not url.get_secret_value().strip():
            raise SetupError(f"not set in the environment: {channel_variable(name)}")
        from apprise import Apprise, AppriseAsset

        # No time limit of Apprise's own: it would wait in threads that keep the process from ending.
        asset = AppriseAsset(service_timeout=0, http_redirects=False, interpret_emojis=False, app_id="Nightlight")
        service = Apprise.instantiate(url.get_secret_value().strip(), asset=asset)
        if service is None:
            raise SetupError(f"{channel_variable(name)} is no URL that Apprise can use")
        service.retry, service.optional = 0, False
        apprise = Apprise(asset=asset)
        apprise.add(service)
        return cls(name, apprise, timeout_seconds)

    async def send(self, subject: str, body: str) -> None:
        """Sends one message; the body is Markdown.

        Raises Transient when it surely did not arrive and may later, Permanent when the service refuses it, and Unclear
        when nobody can know. No error names the URL.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                told = await apart(lambda: self._send(subject, body), "chat")
        except TimeoutError:
            raise Unclear(f"the channel {self.name} did not answer in {self._timeout_seconds:g} seconds") from None
        if told is not None:
            raise self._failure(told)

    def _send(self, subject: str, body: str) -> list[str] | None:
        """None when it arrived, else all that Apprise said about it."""
        with self._apprise.notify(body, subject, body_format="markdown", log_level=logging.DEBUG) as result:
            return None if result else [entry.message for entry in result.logs()]

    def _failure(self, told: Sequence[str]) -> RedditError:
        if status := _last(_HTTP_STATUS, told):
            words = f"the channel {self.name} answered {status}"
            if status in (429, 503):  # nothing was done, by what they mean: RFC 6585, RFC 9110
                return Transient(words)
            return Unclear(words) if status >= 500 or status in (408, 425) else Permanent(words)
        if status := _last(_SMTP_STATUS, told):
            # A mail server that says no has not taken the mail; 4 is for now, 5 is for good (RFC 5321).
            words = f"the mail server of the channel {self.name} answered {status}"
            return Permanent(words) if status >= 500 else Transient(words)
        if any(_NOT_CONNECTED.search(line) for line in told):
            return Transient(f"the channel {self.name} cannot be reached")
        return Unclear(f"no clear answer from the channel {self.name}")


def _last(pattern: re.Pattern[str], told: Sequence[str]) -> int | None:
    found = [int(match[1]) for line in told for match in pattern.finditer(line)]
    return found[-1] if found else None


class ChatMessenger:
    """Carries letters to one channel; `gone` asks Reddit which posts were deleted."""

    def __init__(self, channel: Channel, gone: Callable[[Sequence[str]], Awaitable[set[str]]]) -> None:
        self._channel = channel
        self._gone = gone

    async def gone(self, ids: Sequence[str]) -> set[str]:
        """Which of these posts their author or Reddit deleted; none when Reddit does not say so within seconds.

        A crisis must get out while Reddit is down.
        """
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                return await self._gone(ids)
        except (RedditError, TimeoutError):
            return set()

    async def find(self, letter: Letter) -> str | None:
        """Always None: chat services cannot be searched."""
        return None

    async def send(self, letter: Letter) -> str:
        """One message. Permanent when it may have arrived already, unless it is about a crisis and may have once."""
        body = letter.body
        if letter.unclear:
            if letter.level is not Level.CRISIS or letter.unclear > 1:
                raise Permanent(f"it may have arrived in the channel {self._channel.name}; nobody can look there")
            body = f"{body}\n\n{_REPEATED}"
        await self._channel.send(letter.subject, body)
        return self._channel.name


def open_channels(names: Sequence[str], urls: Mapping[str, SecretStr]) -> dict[str, Channel]:
    """Every channel by its name. Blocking; raises SetupError for the first that cannot be used."""
    return {name: Channel.open(name, urls.get(name)) for name in names}
