"""The only module that opens the bot's database.

One connection, one writer: a write runs inside `transaction()`, which holds a lock and `BEGIN IMMEDIATE`, so other
processes (the `reviews` command) wait for it instead of reading half of it. Every statement comes from sql/queries.sql.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiosqlite
from filelock import AsyncFileLock

from bot.errors import StoreError
from models.sqlite import error_code, make_private, switch_to_wal

_BUSY_SECONDS = 10
_COPY_SECONDS = 600.0
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full; make room and start again, nothing that was stored is lost",
    sqlite3.SQLITE_IOERR: "the disk does not take what is written; see whether it is full or failing, and start again",
    sqlite3.SQLITE_BUSY: f"another program has kept it locked for {_BUSY_SECONDS} seconds; see which, and start again",
    sqlite3.SQLITE_READONLY: "it may only be read; check who owns it and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check who owns it and its folder",
}


class Store:
    """A SQLite file in WAL mode, readable by its owner alone, brought to the newest schema when it is opened.

    Use it as `async with Store(path) as store`. Raises StoreError, in one line that says what to do, when the file
    cannot be opened or written, is damaged (with `verify` it is read through first), is locked for long, or comes from
    a newer version; it is then left as it was.
    """

    def __init__(self, path: Path, *, verify: bool = False) -> None:
        self.path = path
        self.backup_path = path.with_name(f"{path.name}.backup")
        self._verify = verify
        self._queries = _queries()
        self._lock = asyncio.Lock()
        self._connection: aiosqlite.Connection | None = None

    async def __aenter__(self) -> Self:
        if not self.path.parent.is_dir():
            raise StoreError(f"cannot use the database {self.path}: its folder does not exist")
        try:
            with self._explained():
                make_private(self.path)
                self._connection = await aiosqlite.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
                self._connection.row_factory = sqlite3.Row
                await switch_to_wal(self._connection, _BUSY_SECONDS)
                # FULL: a delivery written down as `sending` must outlive a power cut, or it could be sent twice.
                await self._connection.execute("PRAGMA synchronous = FULL")
                # What is forgotten is overwritten, not just unlinked.
                await self._connection.execute("PRAGMA secure_delete = ON")
                if self._verify:
                    await self._look_for_damage()
                await self._migrate()
                # Only now: a migration that makes a table anew has to drop the one that others refer to.
                await self._connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
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

    async def _look_for_damage(self) -> None:
        (verdict,) = await self._one("PRAGMA quick_check(1)")
        if verdict != "ok":
            raise self._damaged()

    async def _migrate(self) -> None:
        """Applies every migration that was not applied yet, in the order of their numbers."""
        migrations = _migrations()
        applied = await self._applied()
        if applied - migrations.keys():
            raise StoreError(f"the database {self.path} was made by a newer version of nightlight")
        for number in sorted(migrations.keys() - applied):
            async with self.transaction():
                # Asked again inside: another process may be opening the same database for the first time.
                if number in await self._applied():
                    continue
                for statement in _statements(migrations[number]):
                    await self._db.execute(statement)
                await self._note_applied(number)

    async def _applied(self) -> set[int]:
        """The numbers of the migrations this file has seen.

        Files made before they were written down hold in `user_version` how many there were, counted from 1.
        """
        (version,) = await self._one("PRAGMA user_version")
        known = await self._db.execute_fetchall("SELECT 1 FROM sqlite_master WHERE name = 'migrations'")
        if not known:
            return set(range(1, version + 1))
        return {row[0] for row in await self._db.execute_fetchall("SELECT number FROM migrations")}

    async def _note_applied(self, number: int) -> None:
        applied = {*await self._applied(), number}
        await self._db.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY) STRICT")
        for each in sorted(applied):
            await self._db.execute("INSERT INTO migrations (number) VALUES (?) ON CONFLICT DO NOTHING", (each,))
        # For versions that know no table of migrations: they refuse a file that is newer than they are.
        await self._db.execute(f"PRAGMA user_version = {max(applied)}")

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
            try:
                # A task that is cancelled here may have begun all the same, so this too is rolled back.
                with self._explained():
                    await self._db.execute("BEGIN IMMEDIATE")
                yield
                with self._explained():
                    await self._db.execute("COMMIT")
            except BaseException:
                # After some errors (a full disk) SQLite has rolled back by itself.
                with contextlib.suppress(sqlite3.Error):
                    await self._db.execute("ROLLBACK")
                raise

    async def execute(self, name: str, values: Mapping[str, Any]) -> int:
        """Runs a named statement inside a `transaction()`; the number of rows it changed."""
        with self._explained():
            async with self._db.execute(self._queries[name], values) as cursor:
                return cursor.rowcount

    async def execute_each(self, name: str, values: Sequence[Mapping[str, Any]]) -> None:
        """Runs a named statement inside a `transaction()` once for each of the values."""
        with self._explained():
            await self._db.executemany(self._queries[name], values)

    async def fetch(self, name: str, values: Mapping[str, Any] | None = None) -> list[sqlite3.Row]:
        """Rows of a named query."""
        with self._explained():
            return list(await self._db.execute_fetchall(self._queries[name], values or {}))

    async def scrub(self) -> None:
        """After forgetting: empties the write-ahead log and makes the backup anew, so that neither remembers.

        A reader in another process can keep the log from being emptied; the next scrub, or its close, does it then.
        """
        async with self._lock:
            with self._explained():
                await self._db.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
        await self.back_up()

    async def back_up(self) -> None:
        """Writes a copy beside the database, whole or not at all; it replaces the one before."""
        fresh = self.backup_path.with_name(f"{self.backup_path.name}.new")
        # Another process may be at its own copy: a command that purges, beside the running bot.
        alone = AsyncFileLock(self.backup_path.with_name(f"{self.backup_path.name}.lock"), _COPY_SECONDS, mode=0o600)
        with self._explained():
            async with alone, self._lock:
                await asyncio.to_thread(fresh.unlink, missing_ok=True)
                await asyncio.to_thread(make_private, fresh)
                await self._db.execute("VACUUM INTO ?", (str(fresh),))
                await asyncio.to_thread(os.replace, fresh, self.backup_path)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """SQLite's errors as StoreError, with what a person can do about them."""
        try:
            yield
        except sqlite3.Error as error:
            if error_code(error) in _DAMAGED:
                raise self._damaged() from error
            raise StoreError(f"cannot use the database {self.path}: {_ADVICE.get(error_code(error), error)}") from error
        except OSError as error:
            raise StoreError(f"cannot use the database {self.path}: {error.strerror or error}") from error

    def _damaged(self) -> StoreError:
        says = f"the database {self.path} is damaged; nothing in it was changed. Move it and its -wal aside and start"
        if not self.backup_path.exists():
            return StoreError(f"{says} again with an empty one")
        made = datetime.fromtimestamp(self.backup_path.stat().st_mtime, UTC)
        return StoreError(f"{says} again from the copy of {made:%Y-%m-%d %H:%M} UTC: cp {self.backup_path} {self.path}")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: run as a whole, it would commit the transaction it is in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _queries() -> dict[str, str]:
    text = (files("bot") / "sql" / "queries.sql").read_text(encoding="utf-8")
    return dict(re.findall(r"^-- name: (\w+)\n(.*?;)$", text, flags=re.MULTILINE | re.DOTALL))


def _migrations() -> dict[int, str]:
    """The scripts of sql/ by the number that their names begin with."""
    folder = files("bot") / "sql"
    names = [entry.name for entry in folder.iterdir() if re.fullmatch(r"\d{3}_\w+\.sql", entry.name)]
    return {int(name[:3]): (folder / name).read_text(encoding="utf-8") for name in names}
