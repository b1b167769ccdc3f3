"""One model on one server that speaks OpenAI's chat completions, asked for JSON: the calls, and what comes back."""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar, cast

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionMessageParam
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from models.errors import OverBudget
from models.refusals import is_refusal
from prompts import Message

A = TypeVar("A", bound=BaseModel)

# Room for an answer with its words. A model that needs more is rambling.
_LONGEST_ANSWER_TOKENS = 800
_LONGEST_ANSWER = 20_000  # characters
_LONGEST_REPLY = 2_000_000  # bytes of one HTTP reply; an error's the client reads whole, in the time of a call

# A server that asks for more patience than this is not asked again before that time, or this rest, is over.
_LONGEST_WAIT_SECONDS = 120.0
_LONGEST_REST_SECONDS = 3600.0

_CONNECT_SECONDS = 10.0

# How a server says that it does not know a format. llama-cpp-python says 500, as any server does that just broke, so
# a 500 counts only when it comes twice.
_REJECTED = frozenset({400, 415, 422, 501})
_BROKEN = 500
_BAD_REQUEST = 400
_TOO_MANY = 429

# Error codes of a filter that stops a post before the model reads it (Azure and OpenAI; their relays pass them on).
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})


class Clock(Protocol):
    """Seconds that never jump, and a way to wait."""

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class _SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Schema:
    """What an answer looks like: a name, a schema that OpenAI's strict mode takes, and one that also bounds lengths.

    OpenAI's strict schemas know no length of a string; a server that makes a grammar of a schema would let a small
    model go on until its tokens are spent.
    """

    name: str
    strict: Mapping[str, Any]
    bounded: Mapping[str, Any]

    @property
    def formats(self) -> tuple[Mapping[str, Any], ...]:
        """The ways to ask for it, the strictest first: OpenAI's, that of llama-cpp-python and others, plain words."""
        json_schema = {"name": self.name, "strict": True, "schema": self.strict}
        return (
            {"response_format": {"type": "json_schema", "json_schema": json_schema}},
            {"response_format": {"type": "json_object", "schema": self.bounded}},
            {},
        )


@dataclass(frozen=True, slots=True)
class Server:
    """One model on one server, and how it is asked.

    A call that takes longer than `timeout_seconds`, a lost connection, a 429 and a 5xx are tried again with growing
    random waits: `attempts` times in all, and beyond them until `outage_seconds` after the first failure. An attempt is
    one call, or more while it is not known yet what the server takes: up to three formats, each asked for a second time
    after a 500, and one call more for every option that is left out or renamed. A Retry-After holds every call back
    until then; for `busy_seconds`, a 429 that has one counts as no attempt. One of more than two minutes ends the
    attempts, and no call is made before that time (at most an hour) is over.

    `permit` is awaited before every single call; when it raises OverBudget, none is made. `refund` is awaited when no
    connection came about, so that the call was none.
    """

    base_url: str
    model: str
    api_key: SecretStr = SecretStr("")  # noqa: RUF009 - frozen
    timeout_seconds: float = 60.0
    attempts: int = 5
    clock: Clock = _SystemClock()  # noqa: RUF009 - without state
    permit: Callable[[], Awaitable[None]] | None = None
    refund: Callable[[], Awaitable[None]] | None = None
    outage_seconds: float = 0.0
    busy_seconds: float = 0.0


class NoCompletion(Exception):
    """A server answered 200 with something else than a chat completion: an error, a stream, a login page.

    A completion that names an error is none either: what broke in the server says nothing of the post.
    """


@dataclass(slots=True)
class _Asking:
    """One question under way, and how it went so far."""

    messages: Sequence[Message]
    server: Server
    began: float  # on the monotonic clock, like the next two
    attempted: float = 0.0  # the last
    failed: float | None = None  # the first that did
    excused: int = 0  # attempts that do not count
    trouble: Exception | None = None  # of the last call

    def is_over(self, state: RetryCallState) -> bool:
        """Whether the attempt that just failed was the last one."""
        error = state.outcome.exception() if state.outcome else None
        if _is_told_to_wait(error) and self.attempted - self.began < self.server.busy_seconds:
            self.excused += 1
            return False
        if self.failed is None:
            self.failed = self.attempted
        enough = state.attempt_number - self.excused >= self.server.attempts
        return enough and self.attempted - self.failed >= self.server.outage_seconds


class Chat:
    """Asks one server, always for the same kind of answer.

    The key goes into the client and nowhere else. How the server takes its JSON schema is found out with the first call
    and kept.
    """

    def __init__(self, server: Server, schema: Schema) -> None:
        self._client = AsyncOpenAI(
            base_url=server.base_url,
            api_key=server.api_key.get_secret_value() or "none",  # the client insists on one, a local server takes any
            # The client limits the gap between two bytes; `_call` limits the whole call.
            timeout=httpx2.Timeout(None, connect=min(_CONNECT_SECONDS, server.timeout_seconds / 2)),
            max_retries=0,
            # A redirect would carry the post to a server that nobody configured.
            http_client=DefaultAsyncHttpxClient(follow_redirects=False),
        )
        # The client takes these from OPENAI_ORG_ID and OPENAI_PROJECT_ID and would tell them to any server.
        self._client.organization = self._client.project = None
        self._server = server
        self._formats = schema.formats
        self._not_before = 0.0  # on the monotonic clock
        self._closed: APIStatusError | None = None  # what asked for more patience than anybody here has
        self._options: dict[str, Any] = {"temperature": 0, "max_tokens": _LONGEST_ANSWER_TOKENS}
        self._format: Mapping[str, Any] | None = None
        self._negotiation: asyncio.Future[BaseException | None] | None = None

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """One reply. Raises what the client raises, NoCompletion, and OverBudget when no call was made for want of one.

        When the permits end between two attempts, what went wrong with the last one is raised: the text was sent.
        """
        clock = self._server.clock
        asking = _Asking(messages, self._server, clock.monotonic())
        retrying = AsyncRetrying(
            stop=asking.is_over,
            wait=_wait,
            retry=retry_if_exception(_is_transient),
            sleep=clock.sleep,
            reraise=True,
        )
        return cast("Reply", await retrying(self._attempt, asking))

    async def _attempt(self, asking: _Asking) -> Reply:
        asking.attempted = self._server.clock.monotonic()
        while self._format is None:
            if self._negotiation is None:
                return await self._negotiate_for_all(asking)
            # Shielded: whoever gives up waiting would otherwise cancel it for all.
            problem = await asyncio.shield(self._negotiation)
            # A server that does not answer one will not answer the others either: each would wait in line for it.
            if problem is not None and _is_transient(problem):
                raise problem
        return await self._post(asking, self._format)

    async def _negotiate_for_all(self, asking: _Asking) -> Reply:
        outcome = self._negotiation = asyncio.get_running_loop().create_future()
        problem: BaseException | None = None
        try:
            return await self._negotiate(asking)
        except BaseException as error:
            problem = error
            raise
        finally:
            outcome.set_result(problem)
            self._negotiation = None

    async def _negotiate(self, asking: _Asking) -> Reply:
        """The reply in the strictest format that the server takes, which is then kept.

        Nothing is concluded from a text that is rejected in every format.
        """
        problem: APIStatusError | None = None
        for response_format in self._formats:
            for again in (False, True):
                if again:  # what broke by chance is given a moment to recover
                    await self._server.clock.sleep(random.uniform(1, 2))  # noqa: S311 - no secret
                try:
                    reply = await self._post(asking, response_format)
                except APIStatusError as error:
                    if is_filtered(error) or error.status_code not in _REJECTED | {_BROKEN}:
                        raise
                    problem = error
                    if error.status_code != _BROKEN:
                        break
                else:
                    self._format = response_format
                    return reply
        assert problem is not None  # noqa: S101 - every way through the loop returns, raises or sets it
        raise problem

    async def _post(self, asking: _Asking, response_format: Mapping[str, Any]) -> Reply:
        """One call, as soon as there is a permit for it and the server may be asked again."""
        held_back = self._not_before - self._server.clock.monotonic()
        if self._closed and held_back > _LONGEST_WAIT_SECONDS:
            raise self._closed.with_traceback(None)
        if held_back > 0:
            await self._server.clock.sleep(held_back + random.uniform(0, 1))  # noqa: S311 - not all in the same moment
        await self._permitted(asking)
        try:
            return await self._call(asking.messages, response_format)
        except APIStatusError as error:
            asking.trouble = error
            if error.status_code == _BAD_REQUEST and self._drop_option(error.param):
                return await self._post(asking, response_format)
            self._hold_back(error)
            raise
        except Exception as error:
            asking.trouble = error
            if self._server.refund is not None and _never_arrived(error):
                await self._server.refund()
            raise

    async def _permitted(self, asking: _Asking) -> None:
        if self._server.permit is None:
            return
        try:
            await self._server.permit()
        except OverBudget:
            if asking.trouble is None:
                raise
            raise asking.trouble from None

    def _hold_back(self, error: APIStatusError) -> None:
        """Lets nobody ask before the time that the server names."""
        seconds = _retry_after(error) or 0.0
        if seconds > _LONGEST_WAIT_SECONDS:
            self._closed = error
        rest = min(seconds, _LONGEST_REST_SECONDS)
        self._not_before = max(self._not_before, self._server.clock.monotonic() + rest)

    async def _call(self, messages: Sequence[Message], response_format: Mapping[str, Any]) -> Reply:
        try:
            async with asyncio.timeout(self._server.timeout_seconds):
                call = self._client.chat.completions.with_streaming_response.create(
                    model=self._server.model,
                    messages=cast("list[ChatCompletionMessageParam]", messages),
                    extra_body={**self._options, **response_format},
                )
                async with call as response:
                    return Reply.read(await _body(response.iter_bytes()))
        except httpx2.RequestError as error:
            # The client has an error of its own for a call that fails; a body that breaks off it does not see.
            raise APIConnectionError(request=error.request) from error

    def _drop_option(self, name: str | None) -> bool:
        """Whether the request can be made without what the server objects to.

        OpenAI's reasoning models take neither a temperature nor `max_tokens`, other servers know only the latter.
        """
        if name not in self._options or name == "max_completion_tokens":
            return False
        value = self._options.pop(name)
        if name == "max_tokens":
            self._options["max_completion_tokens"] = value
        return True


class Said(BaseModel):
    """Something a server or a model says: anything may be missing, and what is not asked for is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _text(content: object) -> object:
    """The words of a text that comes in parts; of its thinking, images and the like nothing."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


class _Message(Said):
    content: Annotated[str | None, BeforeValidator(_text)] = None
    refusal: str | None = None


class _Choice(Said):
    message: _Message = _Message()
    finish_reason: str | None = None


def _or(default: object) -> WrapValidator:
    """Takes the default for what cannot be read: a server's wrong count spoils no answer."""

    def read(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError:
            return default

    return WrapValidator(read)


_Tokens = Annotated[int, Field(ge=0), _or(0)]


class _Usage(Said):
    prompt_tokens: _Tokens = 0
    completion_tokens: _Tokens = 0


class Reply(Said):
    """One chat completion."""

    choices: Annotated[tuple[_Choice, ...] | None, _or(())]
    usage: Annotated[_Usage | None, _or(None)] = None
    error: object = None

    @classmethod
    def read(cls, body: bytes | None) -> Reply:
        """The reply that an HTTP body spells; an empty one for None, and for a completion that cannot be read.

        Raises NoCompletion, in no word of the body, also for a completion that says that it broke.
        """
        if body is None:
            return cls(choices=())
        try:
            reply = cls.model_validate_json(body)
        except ValidationError:
            if body.lstrip().startswith(b"{") and b'"choices"' in body:
                return cls(choices=())
            raise NoCompletion("no chat completion") from None
        broke = reply.choices is None or reply.error or reply._choice.finish_reason == "error"
        if broke and not reply.is_stopped:
            raise NoCompletion("the server broke")
        return reply

    @property
    def _choice(self) -> _Choice:
        return self.choices[0] if self.choices else _Choice()

    @property
    def _content(self) -> str:
        return self._choice.message.content or ""

    @property
    def _said(self) -> str:
        """What is said after any thinking aloud. An answer that quotes the end of some was not thought aloud."""
        content = self._content.lstrip()
        return content if content.startswith("{") else content.rpartition("</think>")[2].lstrip()

    def answer(self, kind: type[A]) -> A | None:
        """The one JSON object in the text: after any thinking aloud, and whatever words or fences stand around it."""
        text = self._said
        start, end = text.find("{"), text.rfind("}")
        if start < 0 or len(text) > _LONGEST_ANSWER:
            return None
        try:
            return kind.model_validate_json(text[start : end + 1])
        except ValidationError:
            return None

    @property
    def is_stopped(self) -> bool:
        """Whether the service says itself that this is no answer."""
        return bool(self._choice.message.refusal) or self._choice.finish_reason == "content_filter"

    def declines(self, kind: type[BaseModel]) -> bool:
        """Whether this text, not being an answer of that kind, sounds like a no."""
        cut_off_thinking = self._said.startswith("<think>")
        return not cut_off_thinking and is_refusal(self._said, kind.model_fields)


async def _body(chunks: AsyncIterator[bytes]) -> bytes | None:
    """A body; None when it is longer than any answer, and then it is read no further."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > _LONGEST_REPLY:
            return None
    return bytes(body)


def is_filtered(error: APIStatusError) -> bool:
    """Whether a filter stopped the post before the model read it."""
    return error.code in _FILTER_CODES


def name_of(error: BaseException) -> str:
    """What kind of trouble it is, in no word of the server's: its type, the HTTP status, and the wait asked for."""
    name = type(error).__name__
    if not isinstance(error, APIStatusError):
        return name
    wait = _retry_after(error) or 0.0
    asks = f"; the server asks to wait {wait:.0f} s" if wait > _LONGEST_WAIT_SECONDS else ""
    return f"{name} {error.status_code}{asks}"


def _never_arrived(error: BaseException) -> bool:
    return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)


def _is_told_to_wait(error: BaseException | None) -> bool:
    return isinstance(error, APIStatusError) and error.status_code == _TOO_MANY and _retry_after(error) is not None


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, APIConnectionError | TimeoutError):
        return True
    if not isinstance(error, APIStatusError) or error.code == "insufficient_quota":
        return False
    busy = error.status_code in (408, 429) or error.status_code >= 500
    return busy and (_retry_after(error) or 0.0) <= _LONGEST_WAIT_SECONDS


_backoff = wait_random_exponential(multiplier=0.5, max=10)


def _wait(state: RetryCallState) -> float:
    # The backoff goes on top of what the server asks for: not everybody is to come back in the same moment.
    error = state.outcome.exception() if state.outcome else None
    return _backoff(state) + (_retry_after(error) or 0.0)


def _retry_after(error: BaseException | None) -> float | None:
    """Seconds that the server asks to wait, given as a number or as a date (RFC 9110, 10.2.3); None if it does not."""
    value = error.response.headers.get("retry-after") if isinstance(error, APIStatusError) else None
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if not math.isnan(seconds) else None
