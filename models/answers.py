"""What language models answered, kept so that nothing is paid for twice."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import aiosqlite
from pydantic import TypeAdapter, ValidationError

from models.annotation import Annotation
from models.errors import ModelError
from models.sqlite import make_private, switch_to_wal

_BUSY_SECONDS = 10
_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    prompt TEXT NOT NULL,       -- the version of the prompt
    model TEXT NOT NULL,
    text TEXT NOT NULL,         -- SHA-256 of the text as it was sent
    annotation TEXT NOT NULL,   -- JSON; its evidence counts characters of the text as it was sent
    PRIMARY KEY (prompt, model, text)
) WITHOUT ROWID
"""
_GET = "SELECT annotation FROM answers WHERE prompt = :prompt AND model = :model AND text = :text"
_PUT = "INSERT OR REPLACE INTO answers VALUES (:prompt, :model, :text, :annotation)"
_ANNOTATION = TypeAdapter(Annotation)


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: the version of a prompt, the name of a model, and a hash of the text as it was sent."""

    prompt: str
    model: str
    text: str

    @classmethod
    def of(cls, prompt: str, model: str, text: str) -> Question:
        """The question about a text; two texts with one hash will not be met."""
        return cls(prompt, model, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


class Answers:
    """A SQLite file of answers by question, readable by its owner alone. No word of a post is in it.

    It is a file of its own, apart from the bot's database: it may be thrown away at any time and costs nothing but
    money, several commands may share it, and the models need nothing of the bot. What was put into it outlives a
    killed process. Use it as `async with Answers(path) as answers`. Raises ModelError, in one line, when the file
    cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None

    async def __aenter__(self) -> Self:
        with self._explained():
            make_private(self._path)
            self._connection = await aiosqlite.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                await switch_to_wal(self._db, _BUSY_SECONDS)
                # A power cut may cost the last answers, never the file: with more care each would cost a disk flush.
                await self._db.execute("PRAGMA synchronous = NORMAL")
                await self._db.execute(_TABLE)
            except BaseException:
                await self._connection.close()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._db.close()

    async def get(self, question: Question) -> Annotation | None:
        """What was answered to this question before; None when nothing was, or it can no longer be read."""
        with self._explained():
            async with self._db.execute(_GET, _values(question)) as cursor:
                row = await cursor.fetchone()
        if row is not None:
            with contextlib.suppress(ValidationError):
                return _ANNOTATION.validate_json(row[0])
        return None

    async def put(self, question: Question, annotation: Annotation) -> None:
        """Keeps an answer; when this returns, it is on its way to the disk whatever becomes of this process."""
        with self._explained():
            await self._db.execute(
                _PUT, {**_values(question), "annotation": _ANNOTATION.dump_json(annotation).decode()}
            )

    @property
    def _db(self) -> aiosqlite.Connection:
        if self._connection is None:
            raise ModelError(f"the cache {self._path} is not open")
        return self._connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ModelError(f"cannot use the cache {self._path}: {error}") from error


def _values(question: Question) -> dict[str, str]:
    return {"prompt": question.prompt, "model": question.model, "text": question.text}
