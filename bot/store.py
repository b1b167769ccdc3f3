"""The only module that opens SQLite.

One connection, one writer: a write runs inside `transaction()`, which holds a lock and `BEGIN IMMEDIATE`, so other
processes (the `reviews` command) wait for it instead of reading half of it. Every statement comes from sql/queries.sql.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiosqlite

from bot.errors import StoreError

_BUSY_SECONDS = 10


class Store:
    """A SQLite file in WAL mode, brought to the newest schema when it is opened.

    Use it as `async with Store(path) as store`. Raises StoreError when the file cannot be opened, is damaged or comes
    from a newer version; it is then left as it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._queries = _queries()
        self._lock = asyncio.Lock()
        self._connection: aiosqlite.Connection | None = None

    async def __aenter__(self) -> Self:
        if not self.path.parent.is_dir():
            raise StoreError(f"cannot use the database {self.path}: its folder does not exist")
        try:
            self._connection = await aiosqlite.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            await self._connection.execute("PRAGMA journal_mode = WAL")
            # FULL: a delivery written down as `sending` must outlive a power cut, or it could be sent twice.
            await self._connection.execute("PRAGMA synchronous = FULL")
            await self._connection.execute("PRAGMA foreign_keys = ON")
            await self._connection.execute("PRAGMA secure_delete = ON")
            await self._migrate()
        except sqlite3.Error as error:
            await self._close()
            raise StoreError(f"cannot use the database {self.path}: {error}") from error
        except StoreError:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    @property
    def _db(self) -> aiosqlite.Connection:
        if self._connection is None:
            raise StoreError(f"the database {self.path} is not open")
        return self._connection

    async def _migrate(self) -> None:
        migrations = _migrations()
        (version,) = await self._one("PRAGMA user_version")
        if version > len(migrations):
            raise StoreError(f"the database {self.path} was made by a newer version of nightlight")
        for number, script in enumerate(migrations[version:], start=version + 1):
            # executescript commits what it finds open, so each script carries its own transaction.
            await self._db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")

    async def _one(self, sql: str) -> sqlite3.Row:
        async with self._db.execute(sql) as cursor:
            row = await cursor.fetchone()
        if row is None:
            raise StoreError(f"{sql} answered nothing")
        return row

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Everything inside is stored together or not at all."""
        async with self._lock:
            await self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                await self._db.execute("ROLLBACK")
                raise
            await self._db.execute("COMMIT")

    async def execute(self, name: str, values: Mapping[str, Any]) -> int:
        """Runs a named statement inside a `transaction()`; the number of rows it changed."""
        async with self._db.execute(self._queries[name], values) as cursor:
            return cursor.rowcount

    async def fetch(self, name: str, values: Mapping[str, Any] | None = None) -> list[sqlite3.Row]:
        """Rows of a named query."""
        return list(await self._db.execute_fetchall(self._queries[name], values or {}))


def _queries() -> dict[str, str]:
    text = (files("bot") / "sql" / "queries.sql").read_text(encoding="utf-8")
    return dict(re.findall(r"^-- name: (\w+)\n(.*?;)$", text, flags=re.MULTILINE | re.DOTALL))


def _migrations() -> list[str]:
    folder = files("bot") / "sql"
    names = sorted(entry.name for entry in folder.iterdir() if re.fullmatch(r"\d{3}_\w+\.sql", entry.name))
    return [(folder / name).read_text(encoding="utf-8") for name in names]
