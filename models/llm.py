"""The LLM annotator: labels from any server that speaks OpenAI's chat completions (vLLM, Ollama, llama.cpp, OpenAI).

What a post or a model says can spoil at most the label of that post: the post is redacted and passed as data, the
answer must use the words of `models.labels`, and whatever else comes back is a status, never an exception.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any
from weakref import WeakValueDictionary

from openai import APIStatusError
from pydantic import Field

from models.annotation import Annotation, Status
from models.answers import Answers, Question
from models.assessment import Evidence
from models.chat import Chat, Reply, Said, Schema, Server, is_filtered, name_of
from models.document import LONGEST_TEXT, Document
from models.errors import OverBudget
from models.labels import Disorder, Relevance, Risk, Severity
from models.redact import Redacted, redact
from prompts import Prompt

_LONGEST_QUOTE = 300  # characters; the prompts ask for 30 words

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

_SCHEMA_WITH_LENGTH: Mapping[str, Any] = {
    **_SCHEMA,
    "properties": {**_SCHEMA["properties"], "evidence": {"type": "string", "maxLength": _LONGEST_QUOTE}},
}

_LABELS = Schema("label", _SCHEMA, _SCHEMA_WITH_LENGTH)


class LlmAnnotator:
    """Annotates documents through one model on one server, which `models.chat.Chat` asks.

    At most `concurrency` documents are under way at once, over all calls of `annotate`. With `answers`, no text is ever
    sent again that was answered: a refusal and an answer that could not be read are answers too.
    """

    def __init__(
        self, server: Server, prompt: Prompt, *, answers: Answers | None = None, concurrency: int = 16
    ) -> None:
        self._chat = Chat(server, _LABELS)
        self.versions: Mapping[str, str] = {"llm": server.model, "prompt": f"{prompt.name} {prompt.version}"}
        self._model = server.model
        self._prompt = prompt
        self._answers = answers
        self._turns: WeakValueDictionary[Question, asyncio.Lock] = WeakValueDictionary()
        self._free = asyncio.Semaphore(concurrency)

    async def annotate(self, documents: Sequence[Document]) -> list[Annotation]:
        """One annotation a document, in the same order. Never raises for what a post, a model or a server says.

        Raises ModelError when the answers cannot be kept, as going on would mean to pay again, and OverBudget when a
        document was not sent for want of a permit.
        """
        return list(await asyncio.gather(*(self._annotate(document) for document in documents)))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._chat.aclose()

    async def _annotate(self, document: Document) -> Annotation:
        # Long texts take a while, and so does the gazetteer when it is read for the first.
        sent = await asyncio.to_thread(redact, document.text[:LONGEST_TEXT])
        if self._answers is None:
            async with self._free:
                annotation = await self._paid(sent.text)
        else:
            annotation = await self._once(self._answers, sent.text)
        evidence = tuple(_back(span, sent) for span in annotation.evidence)
        return replace(annotation, evidence=evidence, versions=self.versions)

    async def _once(self, answers: Answers, text: str) -> Annotation:
        question = Question.of(self._prompt.version, self._model, text)
        # Whoever asks the same at the same time waits for the one answer.
        async with self._turns.setdefault(question, asyncio.Lock()):
            if known := await answers.get(question):
                return replace(known, cached=True)
            # An answer is kept before the next text is sent: a kill costs those under way and no more.
            async with self._free:
                annotation = await self._paid(text)
                if annotation.status is not Status.FAILED:
                    await answers.put(question, annotation)
            return annotation

    async def _paid(self, text: str) -> Annotation:
        """What the model says of a text, and what that cost; the evidence counts characters of this text."""
        replies: list[Reply] = []
        started = time.perf_counter()
        try:
            annotation = await self._ask(text, replies)
        except APIStatusError as error:
            annotation = Annotation(Status.REFUSED if is_filtered(error) else Status.FAILED, error=name_of(error))
        except OverBudget as error:
            if not replies:
                raise
            # An answer came that could not be read, and to ask once more cannot be paid for: another day it can.
            annotation = Annotation(Status.FAILED, error=name_of(error))
        except Exception as error:  # the last fence: no text, however made, may stop the others
            annotation = Annotation(Status.FAILED, error=name_of(error))
        used = [reply.usage for reply in replies if reply.usage]
        return replace(
            annotation,
            prompt_tokens=sum(usage.prompt_tokens for usage in used),
            completion_tokens=sum(usage.completion_tokens for usage in used),
            seconds=time.perf_counter() - started,
        )

    async def _ask(self, text: str, replies: list[Reply]) -> Annotation:
        messages = self._prompt.render(document_text=text, nonce=secrets.token_hex(8))
        for asked in (messages, self._prompt.ask_again(messages)):
            reply = await self._chat.complete(asked)
            replies.append(reply)
            if reply.is_stopped:
                return Annotation(Status.REFUSED)
            if answer := reply.answer(_Answer):
                return answer.annotation(text)
            if reply.declines(_Answer):
                return Annotation(Status.REFUSED)
        return Annotation(Status.INVALID)


class _Answer(Said):
    """What the model was asked for, in the words of `models.labels`."""

    relevance: Relevance
    disorders: frozenset[Disorder]
    severity: Severity
    risk: Risk
    evidence: Annotated[str, Field(max_length=2_000)] | None = None

    def annotation(self, text: str) -> Annotation:
        """The labels, with the quote as a span of the text if it stands there letter by letter."""
        quote = (self.evidence or "").strip()
        start = text.find(quote) if quote else -1
        label = self.severity if self.risk is min(Risk) else self.risk
        span = Evidence(start, start + len(quote), label, "llm", "quoted by the language model")
        evidence = () if start < 0 else (span,)
        return Annotation(Status.OK, self.relevance, self.disorders, self.severity, self.risk, evidence)


def _back(span: Evidence, sent: Redacted) -> Evidence:
    start, end = sent.original_span(span.start, span.end)
    return replace(span, start=start, end=end)
