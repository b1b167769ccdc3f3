"""One model on one server that speaks OpenAI's chat completions, asked for JSON: the calls, and what comes back."""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar, cast

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from prompts import Message

A = TypeVar("A", bound=BaseModel)

# Room for an answer with its words. A model that needs more is rambling.
_LONGEST_ANSWER_TOKENS = 800
_LONGEST_ANSWER = 20_000  # characters
_LONGEST_REPLY = 2_000_000  # bytes of one HTTP reply

# A server that asks for more patience than this is not asked again.
_LONGEST_WAIT_SECONDS = 120.0

# How a server says that it does not know a format. llama-cpp-python says 500, as any server does that just broke, so
# a 500 counts only when it comes twice.
_REJECTED = frozenset({400, 415, 422, 501})
_BROKEN = 500
_BAD_REQUEST = 400

# Error codes of a filter that stops a post before the model reads it (Azure and OpenAI; their relays pass them on).
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})

_REFUSAL = re.compile(
    r"\b(?:i|we)(?:['’]m| am| are|['’]re)? (?:\w+ ){0,2}?"
    r"(?:sorry|afraid|not comfortable|must decline|decline to"
    r"|(?:can ?not|can['’]?t|won['’]?t|will not|unable to|not able to) (?:\w+ ){0,2}"
    r"(?:help|assist|answer|discuss|comply|label|classify|analy[sz]e|provide|process|continue|engage|respond|fulfil))",
    re.IGNORECASE,
)
_REFUSAL_WITHIN = 400  # characters: a refusal comes first


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

    A call that takes longer than `timeout_seconds`, a lost connection, a 429 and a 5xx are tried again, `attempts`
    times in all, with growing random waits; a Retry-After holds every call back until then, and one of more than two
    minutes ends the attempts. `permit` is awaited before every single call; when it raises OverBudget, none is made.
    """

    base_url: str
    model: str
    api_key: SecretStr = SecretStr("")  # noqa: RUF009 - frozen
    timeout_seconds: float = 60.0
    attempts: int = 5
    clock: Clock = _SystemClock()  # noqa: RUF009 - without state
    permit: Callable[[], Awaitable[None]] | None = None


class Chat:
    """Asks one server, always for the same kind of answer.

    The key goes into the client and nowhere else. How the server takes its JSON schema is found out with the first call
    and kept.
    """

    def __init__(self, server: Server, schema: Schema) -> None:
        self._client = AsyncOpenAI(
            base_url=server.base_url,
            api_key=server.api_key.get_secret_value() or "none",  # the client insists on one, a local server takes any
            timeout=None,  # the client limits the gap between two bytes; `_post` limits the whole call
            max_retries=0,
            # A redirect would carry the post to a server that nobody configured.
            http_client=DefaultAsyncHttpxClient(follow_redirects=False),
        )
        # The client takes these from OPENAI_ORG_ID and OPENAI_PROJECT_ID and would tell them to any server.
        self._client.organization = self._client.project = None
        self._server = server
        self._formats = schema.formats
        self._not_before = 0.0  # on the monotonic clock
        self._options: dict[str, Any] = {"temperature": 0, "max_tokens": _LONGEST_ANSWER_TOKENS}
        self._format: Mapping[str, Any] | None = None
        self._negotiation: asyncio.Future[BaseException | None] | None = None

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """One reply. Raises what the client raises, and OverBudget."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._server.attempts),
            wait=_wait,
            retry=retry_if_exception(_is_transient),
            sleep=self._server.clock.sleep,
            reraise=True,
        )
        return cast("Reply", await retrying(self._attempt, messages))

    async def _attempt(self, messages: Sequence[Message]) -> Reply:
        while self._format is None:
            if self._negotiation is None:
                return await self._negotiate_for_all(messages)
            # Shielded: whoever gives up waiting would otherwise cancel it for all.
            problem = await asyncio.shield(self._negotiation)
            # A server that does not answer one will not answer the others either: each would wait in line for it.
            if problem is not None and _is_transient(problem):
                raise problem
        return await self._post(messages, self._format)

    async def _negotiate_for_all(self, messages: Sequence[Message]) -> Reply:
        outcome = self._negotiation = asyncio.get_running_loop().create_future()
        problem: BaseException | None = None
        try:
            return await self._negotiate(messages)
        except BaseException as error:
            problem = error
            raise
        finally:
            outcome.set_result(problem)
            self._negotiation = None

    async def _negotiate(self, messages: Sequence[Message]) -> Reply:
        """The reply in the strictest format that the server takes, which is then kept.

        Nothing is concluded from a text that is rejected in every format.
        """
        problem: APIStatusError | None = None
        for response_format in self._formats:
            for _ in range(2):
                try:
                    reply = await self._post(messages, response_format)
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

    async def _post(self, messages: Sequence[Message], response_format: Mapping[str, Any]) -> Reply:
        if (held_back := self._not_before - self._server.clock.monotonic()) > 0:
            await self._server.clock.sleep(held_back + random.uniform(0, 1))  # noqa: S311 - not all in the same moment
        if self._server.permit is not None:
            await self._server.permit()
        try:
            async with asyncio.timeout(self._server.timeout_seconds):
                call = self._client.chat.completions.with_streaming_response.create(
                    model=self._server.model,
                    messages=cast("list[ChatCompletionMessageParam]", messages),
                    extra_body={**self._options, **response_format},
                )
                async with call as response:
                    return Reply.read(await _body(response.iter_bytes()))
        except APIStatusError as error:
            if error.status_code == _BAD_REQUEST and self._drop_option(error.param):
                return await self._post(messages, response_format)
            if (seconds := _retry_after(error) or 0.0) <= _LONGEST_WAIT_SECONDS:
                self._not_before = max(self._not_before, self._server.clock.monotonic() + seconds)
            raise

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


class _Message(Said):
    content: str | None = None
    refusal: str | None = None


class _Choice(Said):
    message: _Message = _Message()
    finish_reason: str | None = None


class _Usage(Said):
    prompt_tokens: Annotated[int, Field(ge=0)] = 0
    completion_tokens: Annotated[int, Field(ge=0)] = 0


class Reply(Said):
    """One chat completion."""

    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None

    @classmethod
    def read(cls, body: bytes) -> Reply:
        """The reply that an HTTP body spells; an empty one when it spells none."""
        try:
            return cls.model_validate_json(body)
        except ValidationError:
            return cls()

    @property
    def _choice(self) -> _Choice:
        return self.choices[0] if self.choices else _Choice()

    @property
    def _content(self) -> str:
        return self._choice.message.content or ""

    def answer(self, kind: type[A]) -> A | None:
        """The one JSON object in the text: after any thinking aloud, and whatever words or fences stand around it."""
        text = self._content.rpartition("</think>")[2]
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

    @property
    def declines(self) -> bool:
        """Whether this text, not being an answer, sounds like a no."""
        return _REFUSAL.search(self._content, 0, _REFUSAL_WITHIN) is not None


async def _body(chunks: AsyncIterator[bytes]) -> bytes:
    """A body that is read no further than an answer can be long."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > _LONGEST_REPLY:
            return b""
    return bytes(body)


def is_filtered(error: APIStatusError) -> bool:
    """Whether a filter stopped the post before the model read it."""
    return error.code in _FILTER_CODES


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, APIConnectionError | TimeoutError):
        return True
    if not isinstance(error, APIStatusError) or error.code == "insufficient_quota":
        return False
    busy = error.status_code in (408, 429) or error.status_code >= 500
    return busy and (_retry_after(error) or 0.0) <= _LONGEST_WAIT_SECONDS


_backoff = wait_random_exponential(multiplier=0.5, max=30)


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
