"""The LLM annotator: labels from any server that speaks OpenAI's chat completions (vLLM, Ollama, llama.cpp, OpenAI).

What a post or a model says can spoil at most the label of that post: the post is redacted and passed as data, the
answer must use the words of `models.labels`, and whatever else comes back is a status, never an exception.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, cast

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, BadRequestError, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from models.assessment import Evidence
from models.document import Document
from models.labels import Disorder, Relevance, Risk, Severity
from models.redact import Redacted, redact
from prompts import Message, Prompt

# Reddit's own limits are 300 and 40,000; a longer text of an archive is cut here.
_LONGEST_TEXT = 41_000

# Room for an answer with its quote. A model that needs more is rambling.
_LONGEST_ANSWER_TOKENS = 800
_LONGEST_ANSWER = 20_000  # characters
_LONGEST_REPLY = 2_000_000  # bytes of one HTTP reply

# A server that asks for more patience than this is not asked again.
_LONGEST_WAIT_SECONDS = 120.0

_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "relevance": {"type": "string", "enum": list(Relevance)},
        "disorders": {
            "type": "array",
            "items": {"type": "string", "enum": list(Disorder)},
            "maxItems": len(Disorder),
        },
        "severity": {"type": "string", "enum": list(Severity)},
        "risk": {"type": "string", "enum": list(Risk)},
        "evidence": {"type": "string"},
    },
    "required": ["relevance", "disorders", "severity", "risk", "evidence"],
    "additionalProperties": False,
}

# The ways to ask for JSON, the strictest first: OpenAI's, the one of llama-cpp-python and others, and plain words.
_FORMATS: tuple[Mapping[str, Any], ...] = (
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "label", "strict": True, "schema": _SCHEMA},
        }
    },
    {"response_format": {"type": "json_object", "schema": _SCHEMA}},
    {},
)

# How a server says that it does not know a format. llama-cpp-python says 500, as any server does that just broke, so
# a 500 counts only when it comes twice.
_REJECTED = frozenset({400, 415, 422, 501})
_BROKEN = 500

# Error codes of a filter that stops a post before the model reads it (Azure and OpenAI; their relays pass them on).
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})

_REFUSAL = re.compile(
    r"\b(?:i|we)(?:['’]m| am| are|['’]re)? (?:sorry|afraid|(?:can ?not|can['’]?t|won['’]?t|unable to|not able to) "
    r"(?:\w+ ){0,2}(?:help|assist|answer|discuss|comply|label|classify|analy[sz]e|provide|process|continue|engage))",
    re.IGNORECASE,
)
_REFUSAL_WITHIN = 400  # characters: a refusal comes first


class Status(StrEnum):
    """What became of one document."""

    OK = "ok"
    REFUSED = "refused"  # the model or its service will not read it; such posts need a person more, not less
    INVALID = "invalid"  # two answers that could not be read
    FAILED = "failed"  # no answer: the server is away, overloaded or says no


@dataclass(frozen=True, slots=True)
class LlmLabel:
    """What an LLM says of one document. The labels are there if and only if `status` is `ok`.

    `evidence` is a span of `Document.text` that the model quoted letter by letter, under the label it is to support
    (the risk, or the severity when there is no risk), or None. `versions` names the model and the prompt. Tokens are
    what the server counted over all calls for this document, 0 where it did not; `seconds` is the time from its first
    call to its last answer, waits included. `error` names what went wrong on the way to the server, in no word of the
    server's or the post's.
    """

    status: Status
    relevance: Relevance | None = None
    disorders: frozenset[Disorder] = frozenset()
    severity: Severity | None = None
    risk: Risk | None = None
    evidence: Evidence | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    error: str = ""


class LlmAnnotator:
    """Labels documents through one model on one server.

    The key goes into the client and nowhere else. At most `concurrency` documents are under way at once, over all calls
    of `label`. A call that takes longer than `timeout_seconds`, a lost connection, a 429 and a 5xx are tried again,
    `attempts` times in all, with growing random waits; a Retry-After is obeyed, and one of more than two minutes ends
    the attempts. How the server takes its JSON schema is found out with the first document and kept.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        prompt: Prompt,
        api_key: SecretStr | str = "",
        concurrency: int = 16,
        timeout_seconds: float = 60.0,
        attempts: int = 5,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        key = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=key or "none",  # the client insists on one, a local server takes any
            timeout=None,  # the client limits the gap between two bytes; `_post` limits the whole call
            max_retries=0,
            # A redirect would carry the post to a server that nobody configured.
            http_client=DefaultAsyncHttpxClient(follow_redirects=False),
        )
        self._model = model
        self._prompt = prompt
        self._versions = {"llm": model, "prompt": f"{prompt.name} {prompt.version}"}
        self._free = asyncio.Semaphore(concurrency)
        self._timeout_seconds = timeout_seconds
        self._attempts = attempts
        self._sleep = sleep
        self._options: dict[str, Any] = {"temperature": 0, "max_tokens": _LONGEST_ANSWER_TOKENS}
        self._format: Mapping[str, Any] | None = None
        self._negotiating = asyncio.Lock()

    async def label(self, documents: Sequence[Document]) -> list[LlmLabel]:
        """One label a document, in the same order. Never raises for what a post, a model or a server says."""
        return list(await asyncio.gather(*(self._label(document) for document in documents)))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _label(self, document: Document) -> LlmLabel:
        replies: list[_Reply] = []
        async with self._free:
            started = time.perf_counter()
            try:
                label = await self._ask(document, replies)
            except APIStatusError as error:
                status = Status.REFUSED if _is_filtered(error) else Status.FAILED
                label = LlmLabel(status, error=f"{type(error).__name__} {error.status_code}")
            except Exception as error:  # the last fence: no text, however made, may stop the others
                label = LlmLabel(Status.FAILED, error=type(error).__name__)
            seconds = time.perf_counter() - started
        used = [reply.usage for reply in replies if reply.usage]
        return replace(
            label,
            versions=self._versions,
            prompt_tokens=sum(usage.prompt_tokens for usage in used),
            completion_tokens=sum(usage.completion_tokens for usage in used),
            seconds=seconds,
        )

    async def _ask(self, document: Document, replies: list[_Reply]) -> LlmLabel:
        sent = redact(document.text[:_LONGEST_TEXT])
        messages = self._prompt.render(document_text=sent.text, nonce=secrets.token_hex(8))
        for asked in (messages, self._prompt.ask_again(messages)):
            reply = await self._complete(asked)
            replies.append(reply)
            if answer := reply.answer():
                return answer.label(sent)
            if reply.refuses():
                return LlmLabel(Status.REFUSED)
        return LlmLabel(Status.INVALID)

    async def _complete(self, messages: Sequence[Message]) -> _Reply:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._attempts),
            wait=_wait,
            retry=retry_if_exception(_is_transient),
            sleep=self._sleep,
            reraise=True,
        )
        return cast("_Reply", await retrying(self._attempt, messages))

    async def _attempt(self, messages: Sequence[Message]) -> _Reply:
        if self._format is None:
            async with self._negotiating:
                if self._format is None:
                    return await self._negotiate(messages)
        return await self._post(messages, self._format)

    async def _negotiate(self, messages: Sequence[Message]) -> _Reply:
        """The reply in the strictest format that the server takes, which is then kept.

        Nothing is concluded from a text that is rejected in every format.
        """
        problem: APIStatusError | None = None
        for response_format in _FORMATS:
            for _ in range(2):
                try:
                    reply = await self._post(messages, response_format)
                except APIStatusError as error:
                    if _is_filtered(error) or error.status_code not in _REJECTED | {_BROKEN}:
                        raise
                    problem = error
                    if error.status_code != _BROKEN:
                        break
                else:
                    self._format = response_format
                    return reply
        assert problem is not None  # noqa: S101 - every way through the loop returns, raises or sets it
        raise problem

    async def _post(self, messages: Sequence[Message], response_format: Mapping[str, Any]) -> _Reply:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._client.chat.completions.with_raw_response.create(
                    model=self._model,
                    messages=cast("list[ChatCompletionMessageParam]", messages),
                    extra_body={**self._options, **response_format},
                )
        except BadRequestError as error:
            if self._drop_option(error.param):
                return await self._post(messages, response_format)
            raise
        return _Reply.read(response.content)

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


class _Said(BaseModel):
    """Something a server or a model says: anything may be missing, and what is not asked for is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Answer(_Said):
    """What the model was asked for, in the words of `models.labels`."""

    relevance: Relevance
    disorders: frozenset[Disorder]
    severity: Severity
    risk: Risk
    evidence: Annotated[str, Field(max_length=2_000)] | None = None

    def label(self, sent: Redacted) -> LlmLabel:
        return LlmLabel(Status.OK, self.relevance, self.disorders, self.severity, self.risk, self._evidence(sent))

    def _evidence(self, sent: Redacted) -> Evidence | None:
        quote = (self.evidence or "").strip()
        start = sent.text.find(quote) if quote else -1
        if start < 0:
            return None
        label = self.severity if self.risk is min(Risk) else self.risk
        return Evidence(*sent.original_span(start, start + len(quote)), label, "llm", "quoted by the language model")


class _Message(_Said):
    content: str | None = None
    refusal: str | None = None


class _Choice(_Said):
    message: _Message = _Message()
    finish_reason: str | None = None


class _Usage(_Said):
    prompt_tokens: Annotated[int, Field(ge=0)] = 0
    completion_tokens: Annotated[int, Field(ge=0)] = 0


class _Reply(_Said):
    """One chat completion."""

    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None

    @classmethod
    def read(cls, body: bytes) -> _Reply:
        """The reply that an HTTP body spells; an empty one when it spells none."""
        if len(body) > _LONGEST_REPLY:
            return cls()
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

    def answer(self) -> _Answer | None:
        """The one JSON object in the text: after any thinking aloud, and whatever words or fences stand around it."""
        text = self._content.rpartition("</think>")[2]
        start, end = text.find("{"), text.rfind("}")
        if start < 0 or len(text) > _LONGEST_ANSWER:
            return None
        try:
            return _Answer.model_validate_json(text[start : end + 1])
        except ValidationError:
            return None

    def refuses(self) -> bool:
        """Whether this, not being an answer, is a no."""
        message = self._choice.message
        return bool(
            message.refusal
            or self._choice.finish_reason == "content_filter"
            or _REFUSAL.search(self._content, 0, _REFUSAL_WITHIN)
        )


def _is_filtered(error: APIStatusError) -> bool:
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
