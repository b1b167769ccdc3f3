"""The way to Reddit: one signed-in asyncpraw client, one budget of calls, and errors in our own words."""

from __future__ import annotations

import asyncio
import platform
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from typing import Any

import aiohttp
import asyncpraw
from asyncpraw.exceptions import RedditAPIException
from asyncprawcore import exceptions as core
from asyncprawcore.const import ACCESS_TOKEN_PATH
from asyncprawcore.rate_limit import RateLimiter
from asyncprawcore.requestor import Requestor
from asyncprawcore.sessions import FiniteRetryStrategy, Session

from bot.budget import Budget
from bot.clock import Clock, SystemClock
from bot.config import Config, Secrets
from bot.errors import BadCredentials, Forbidden, Gone, Permanent, RedditError, Transient, Unclear


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


class _OneSignIn(RateLimiter):
    """Lets calls that begin together sign in once, and limits nothing: the budget does that.

    asyncprawcore's own limiter has no lock, sleeps where nobody sees it and fails on a header that is no integer.
    """

    def __init__(self) -> None:
        super().__init__(window_size=0)
        self._signing_in = asyncio.Lock()

    @asynccontextmanager
    async def call(
        self,
        *,
        method: str,
        request_function: Callable[..., AbstractAsyncContextManager[aiohttp.ClientResponse]],
        set_header_callback: Callable[[], Awaitable[dict[str, str]]],
        url: str,
        **options: Any,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        try:
            async with self._signing_in:
                options["headers"] = await set_header_callback()
        except Exception as error:
            # Translated here, where it is sure that the call itself was never sent.
            raise _not_signed_in(error) from error
        async with request_function(method, url, **options) as response:
            yield response


_urgent: ContextVar[bool] = ContextVar("urgent", default=False)


class _Spending(Requestor):
    """Takes every single request out of the budget, and tells the budget of every answer."""

    def __init__(self, *, budget: Budget, **options: Any) -> None:
        super().__init__(**options)
        self._budget = budget

    @asynccontextmanager
    async def request(self, *target: str, **options: Any) -> AsyncGenerator[aiohttp.ClientResponse]:
        _, url = target
        # Everybody waits for a token, alerts too: asking for one never stands behind reading.
        await self._budget.take(urgent=_urgent.get() or url.endswith(ACCESS_TOKEN_PATH))
        options["timeout"] = self.timeout  # asyncprawcore passes its own 16 seconds whatever asyncpraw was told
        async with super().request(*target, **options) as response:
            self._budget.heard(response.status, response.headers)
            await response.read()  # asyncpraw looks into the body of a 400 after the connection was let go
            yield response


_SYSTEM_CLOCK = SystemClock()
# How long an account that moderates a subreddit is believed to go on doing so.
_MODERATES_SECONDS = 3600.0
# asyncprawcore's own choices fail on a refusal that gives no reason, and on a Retry-After that is no number.
_PLAIN_ERRORS = {401: core.InvalidToken, 403: core.Forbidden, 429: core.ResponseException}


class Gateway:
    """Holds the client. Use it as `async with Gateway.open(config, secrets) as gateway`."""

    def __init__(self, client: asyncpraw.Reddit, budget: Budget, clock: Clock) -> None:
        self.budget = budget
        self._client = client
        self._clock = clock
        self._me: str | None = None
        self._asking_me = asyncio.Lock()
        self._moderated: dict[str, float] = {}  # by subreddit, when it was last confirmed

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config, secrets: Secrets, clock: Clock = _SYSTEM_CLOCK) -> AsyncIterator[Gateway]:
        """A gateway that closes its connections at the end. Nothing is sent before the first call."""
        budget = Budget(clock, config.reddit.requests_per_minute)
        host = config.reddit.base_url
        hosts: dict[str, Any] = {} if host is None else {"reddit_url": host, "oauth_url": host}
        async with asyncpraw.Reddit(
            client_id=secrets.client_id,
            client_secret=secrets.client_secret.get_secret_value(),
            username=secrets.username or None,
            password=secrets.password.get_secret_value() or None,
            refresh_token=secrets.refresh_token.get_secret_value() or None,
            user_agent=user_agent(config, secrets),
            ratelimit_seconds=-1,  # RATELIMIT answers go through our own backoff; 0 would still repeat some POSTs
            check_for_updates=False,  # it would call a third party at the first request
            requestor_class=_Spending,
            requestor_kwargs={"budget": budget, "timeout": config.reddit.timeout_seconds},
            **hosts,
        ) as client:
            session: Any = client._core
            session._retry_strategy_class = _NoRetry
            session._rate_limiter = _OneSignIn()
            session.STATUS_EXCEPTIONS = {**Session.STATUS_EXCEPTIONS, **_PLAIN_ERRORS}
            yield cls(client, budget, clock)

    @asynccontextmanager
    async def reading(self, urgent: bool = False) -> AsyncIterator[asyncpraw.Reddit]:
        """The client for calls that change nothing; `urgent` when a delivery needs them.

        Raises Transient or Permanent.
        """
        with _urgently(urgent):
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
        with _urgently(True):
            try:
                yield self._client
            except RedditError:
                raise
            except Exception as caught:
                error = _told(caught)
                raise _translate(error) if _surely_undone(error) else Unclear(_words(error)) from caught

    async def me(self) -> str:
        """The name of the account that is signed in; asked once. Raises Transient or Permanent."""
        async with self._asking_me:
            if self._me is None:
                async with self.reading(urgent=True) as reddit:
                    account = await reddit.user.me(use_cache=False)
                    if account is None:
                        raise Forbidden("the credentials name no account")
                    self._me = str(account.name)
            return self._me

    async def moderators(self, subreddit: str) -> frozenset[str]:
        """The names (casefolded) of all who moderate the subreddit. Raises Transient or Permanent."""
        async with self.reading(urgent=True) as reddit:
            community = await reddit.subreddit(subreddit)
            return frozenset([str(moderator.name).casefold() async for moderator in community.moderator])

    async def moderates(self, subreddit: str) -> bool:
        """Whether this account is among the subreddit's moderators; a yes is believed for an hour, a no is not kept.

        Raises Transient or Permanent.
        """
        now = self._clock.monotonic()
        confirmed = self._moderated.get(subreddit.casefold())
        if confirmed is not None and now - confirmed < _MODERATES_SECONDS:
            return True
        moderates = (await self.me()).casefold() in await self.moderators(subreddit)
        if moderates:
            self._moderated[subreddit.casefold()] = now
        return moderates


@contextmanager
def _urgently(urgent: bool) -> Iterator[None]:
    token = _urgent.set(urgent)
    try:
        yield
    finally:
        _urgent.reset(token)


def _told(error: Exception) -> Exception:
    """What Reddit said: asyncpraw looks for a reason in the body of a 400, and fails where there is none."""
    cause = error.__context__
    return cause if isinstance(cause, core.BadRequest) and not isinstance(error, RedditAPIException) else error


def _surely_undone(error: Exception) -> bool:
    match error:
        case RedditAPIException():
            return True
        case core.RequestException():
            return isinstance(error.original_exception, aiohttp.ClientConnectorError)
        case core.ResponseException():
            return 300 <= error.response.status < 500 and error.response.status != 408
        case _:
            return False


def _not_signed_in(error: Exception) -> RedditError:
    match error:
        case core.OAuthException():
            return BadCredentials(f"Reddit refuses these credentials ({error.error})")
        case core.ResponseException() if error.response.status in (400, 401, 403):
            return BadCredentials(f"Reddit refuses these credentials ({error.response.status})")
        case _:
            return _translate(error)


def _translate(error: Exception) -> RedditError:
    match error:
        case RedditAPIException():
            return _from_body(error)
        case core.NotFound() | core.Redirect():
            return Gone(_words(error))
        case core.Forbidden() if "insufficient_scope" in error.response.headers.get("www-authenticate", ""):
            return Forbidden("the credentials lack a scope")
        case core.Forbidden() | core.UnavailableForLegalReasons():
            return Forbidden(_words(error))
        case core.BadRequest() | core.TooLarge() | core.URITooLong() | core.Conflict() | core.SpecialError():
            return Permanent(_words(error))
        case core.ResponseException() if error.response.status == 429:
            return Transient("Reddit asks for a pause (429)", _seconds(error.response.headers.get("retry-after")))
        case _:
            # Lost connections, 5xx, a token that expired early, broken JSON, a page where JSON was due, a field
            # missing: all may pass.
            return Transient(_words(error))


_GONE = {"DELETED_LINK", "DELETED_COMMENT", "SUBREDDIT_NOEXIST"}
_UNIT_SECONDS = {"millisecond": 0.001, "second": 1.0, "minute": 60.0, "hour": 3600.0}
_LONGEST_PAUSE_SECONDS = 3600.0


def _from_body(error: RedditAPIException) -> RedditError:
    # The reason of a 400 may be a whole page of HTML; only a name is repeated.
    kinds = [kind for item in error.items if re.fullmatch(r"[A-Z][A-Z0-9_]*", kind := str(item.error_type))]
    if "RATELIMIT" in kinds:
        pause = _named_pause(" ".join(str(item.message) for item in error.items))
        return Transient("Reddit asks this account to slow down (RATELIMIT)", pause)
    return (Gone if _GONE & set(kinds) else Permanent)(f"Reddit says {', '.join(kinds) or 'no'}")


def _named_pause(words: str) -> float | None:
    """Seconds, from words such as "Take a break for 9 minutes", an hour at most; None when they name no time."""
    said = re.search(r"(\d+) (millisecond|second|minute|hour)", words)
    return min(int(said[1]) * _UNIT_SECONDS[said[2]], _LONGEST_PAUSE_SECONDS) if said else None


def _seconds(header: str | None) -> float | None:
    try:
        seconds = float(header) if header is not None else -1.0
    except ValueError:
        return None
    return min(seconds, _LONGEST_PAUSE_SECONDS) if seconds >= 0 else None


def _words(error: Exception) -> str:
    """Names the error without its arguments: a request's data (a reply, a token) must not reach a log line."""
    if isinstance(error, core.RequestException):
        return f"no answer from Reddit ({type(error.original_exception).__name__})"
    if isinstance(error, core.ResponseException):
        return f"Reddit answered {error.response.status} ({type(error).__name__})"
    return f"Reddit's answer makes no sense ({type(error).__name__})"
