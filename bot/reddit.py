"""The way to Reddit: one signed-in asyncpraw client, one call at a time, and errors in our own words."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import aiohttp
import asyncpraw
from asyncpraw.exceptions import RedditAPIException
from asyncprawcore import exceptions as core
from asyncprawcore.sessions import FiniteRetryStrategy

from bot.config import Config, Secrets
from bot.errors import Forbidden, Gone, Permanent, RedditError, Transient, Unclear


def user_agent(config: Config, secrets: Secrets) -> str:
    """The form Reddit's API rules ask for: `<platform>:<app ID>:<version> (by /u/<name>)`."""
    by = config.reddit.operator or secrets.username
    return f"{platform.system().lower()}:nightlight:{version('nightlight')} (by /u/{by})"


class _NoRetry(FiniteRetryStrategy):
    """asyncprawcore repeats any call after a 5xx, a POST too: one reply answered 503 would be posted three times."""

    def _sleep_seconds(self) -> None:
        return None

    def should_retry_on_failure(self) -> bool:
        return False


class Gateway:
    """Holds the client. Use it as `async with Gateway.open(config, secrets) as gateway`."""

    def __init__(self, client: asyncpraw.Reddit) -> None:
        self._client = client
        # asyncprawcore's limiter has no lock: calls made together would all pass it at once.
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config, secrets: Secrets) -> AsyncIterator[Gateway]:
        """A gateway that closes its connections at the end. Nothing is sent before the first call."""
        host = config.reddit.base_url
        hosts: dict[str, Any] = {} if host is None else {"reddit_url": host, "oauth_url": host}
        async with asyncpraw.Reddit(
            client_id=secrets.client_id,
            client_secret=secrets.client_secret.get_secret_value(),
            username=secrets.username or None,
            password=secrets.password.get_secret_value() or None,
            refresh_token=secrets.refresh_token.get_secret_value() or None,
            user_agent=user_agent(config, secrets),
            timeout=config.reddit.timeout_seconds,
            ratelimit_seconds=0,  # RATELIMIT answers go through our own backoff
            check_for_updates=False,  # it would call a third party at the first request
            **hosts,
        ) as client:
            client._core._retry_strategy_class = _NoRetry
            yield cls(client)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[asyncpraw.Reddit]:
        """The client for calls that change nothing. Raises Transient or Permanent."""
        async with self._turn:
            try:
                yield self._client
            except RedditError:
                raise
            except Exception as error:
                raise _translate(_told(error)) from error

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[asyncpraw.Reddit]:
        """The client for one call that changes something.

        Raises Transient when Reddit surely did nothing, Permanent when it said no, Unclear when nobody can know.
        """
        async with self._turn:
            try:
                yield self._client
            except RedditError:
                raise
            except Exception as caught:
                error = _told(caught)
                raise _translate(error) if _surely_undone(error) else Unclear(_words(error)) from caught

    async def me(self) -> str:
        """The name of the account that is signed in. Raises Transient or Permanent."""
        async with self.reading() as reddit:
            account = await reddit.user.me()
            if account is None:
                raise Forbidden("the credentials name no account")
            return str(account.name)

    async def moderates(self, subreddit: str) -> bool:
        """Whether this account is among the subreddit's moderators. Raises Transient or Permanent."""
        me = await self.me()
        async with self.reading() as reddit:
            community = await reddit.subreddit(subreddit)
            return me in [str(moderator.name) async for moderator in community.moderator]


def _told(error: Exception) -> Exception:
    """What Reddit said. asyncpraw reads the body of a 400 once the connection is released, which fails and hides it."""
    return error.__context__ if isinstance(error.__context__, core.BadRequest) else error


def _surely_undone(error: Exception) -> bool:
    if isinstance(error, RedditAPIException | core.OAuthException):
        return True
    if isinstance(error, core.RequestException):
        return isinstance(error.original_exception, aiohttp.ClientConnectorError)
    return (
        isinstance(error, core.ResponseException)
        and error.response.status < 500
        and error.response.status != 408
        and not isinstance(error, core.BadJSON)
    )


def _translate(error: Exception) -> RedditError:
    match error:
        case RedditAPIException():
            return _from_body(error)
        case core.OAuthException():
            return Forbidden(f"Reddit refuses these credentials: {error.error}")
        case core.TooManyRequests():
            return Transient("Reddit asks for a pause (429)", _seconds(error.retry_after))
        case core.NotFound() | core.Redirect():
            return Gone(_words(error))
        case core.Forbidden() | core.UnavailableForLegalReasons():
            return Forbidden(_words(error))
        case core.InsufficientScope():
            return Forbidden("the credentials lack a scope")
        case core.BadRequest() | core.TooLarge() | core.URITooLong() | core.Conflict() | core.SpecialError():
            return Permanent(_words(error))
        case _:
            # Lost connections, 5xx, broken JSON, a page where JSON was due, a field missing: all may pass.
            return Transient(_words(error))


def _from_body(error: RedditAPIException) -> RedditError:
    kinds = [item.error_type for item in error.items]
    if "RATELIMIT" in kinds:
        return Transient("Reddit asks this account to slow down (RATELIMIT)")
    gone = {"DELETED_LINK", "DELETED_COMMENT", "SUBREDDIT_NOEXIST"}
    return (Gone if gone & set(kinds) else Permanent)(f"Reddit says {', '.join(kinds)}")


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header is not None else None
    except ValueError:
        return None


def _words(error: Exception) -> str:
    """Names the error without its arguments: a request's data (a reply, a token) must not reach a log line."""
    if isinstance(error, core.RequestException):
        return f"no answer from Reddit ({type(error.original_exception).__name__})"
    if isinstance(error, core.ResponseException):
        return f"Reddit answered {error.response.status} ({type(error).__name__})"
    return f"Reddit's answer makes no sense ({type(error).__name__})"
