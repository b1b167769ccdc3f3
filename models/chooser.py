"""A language model that chooses among given ids and writes nothing anybody else will read."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from models.chat import Chat, Said, Schema, Server
from models.document import LONGEST_TEXT, Document
from models.redact import redact
from prompts import Prompt

_LONGEST_REASON = 200  # characters; the prompt asks for 15 words
_MOST = 3
# A reason with so many characters of the prompt in a row repeats it; plain words share fewer by chance.
_REPEATED = 25


def _schema(reason: Mapping[str, Any]) -> Mapping[str, Any]:
    chosen = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "reason": reason},
        "required": ["id", "reason"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"chosen": {"type": "array", "items": chosen, "maxItems": _MOST}},
        "required": ["chosen"],
        "additionalProperties": False,
    }


_CHOICE = Schema("choice", _schema({"type": "string"}), _schema({"type": "string", "maxLength": _LONGEST_REASON}))


@dataclass(frozen=True, slots=True)
class Choice:
    """Ids in the order that a model put them, the best first, and why it says so, by id. Untrusted, both."""

    ids: tuple[str, ...]
    reasons: Mapping[str, str]
    model: str


class LlmChooser:
    """Asks one model on one server to choose, for at most `concurrency` posts at once."""

    def __init__(self, server: Server, prompt: Prompt, concurrency: int = 16) -> None:
        self._model = server.model
        self._key = server.api_key
        self._prompt = prompt
        own = prompt.render(**dict.fromkeys(prompt.variables, ""))
        self._own_words = _plain(" ".join(message["content"] for message in own))
        self._chat = Chat(server, _CHOICE)
        self._free = asyncio.Semaphore(concurrency)

    async def choose(self, document: Document, options: Mapping[str, str]) -> Choice | None:
        """What the model picks of the options, ids with what each is about; None unless it named at least one of them.

        One id that is not among the options, or named twice, or more than three of them spoil the whole answer: whoever
        made the model say so may have chosen the rest as well. A reason is cut to 200 characters, and left out when it
        repeats the prompt or the key. The post is redacted before it is sent. Raises what the client raises, and
        OverBudget.
        """
        sent = await asyncio.to_thread(redact, document.text[:LONGEST_TEXT])
        records = "\n".join(f"- {identity}: {about}" for identity, about in options.items())
        messages = self._prompt.render(document_text=sent.text, nonce=secrets.token_hex(8), records=records)
        async with self._free:
            reply = await self._chat.complete(messages)
        answer = None if reply.is_stopped else reply.answer(_Answer)
        if answer is None:
            return None
        ids = tuple(each.id for each in answer.chosen)
        if not 0 < len(ids) <= _MOST or len(set(ids)) != len(ids) or not options.keys() >= set(ids):
            return None
        reasons = {each.id: each.reason for each in answer.chosen if self._may_keep(each.reason)}
        return Choice(ids, {each: said.strip()[:_LONGEST_REASON] for each, said in reasons.items()}, self._model)

    def _may_keep(self, reason: str) -> bool:
        key, plain = self._key.get_secret_value(), _plain(reason)
        pieces = (plain[at : at + _REPEATED] for at in range(len(plain) - _REPEATED + 1))
        return bool(plain) and not (key and key in reason) and not any(piece in self._own_words for piece in pieces)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._chat.aclose()


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


class _Chosen(Said):
    id: str
    reason: Annotated[str, Field(max_length=2_000)] = ""


class _Answer(Said):
    chosen: tuple[_Chosen, ...]
