"""What every SQLite file needs when it is opened, whosever it is."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import aiosqlite
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random


def make_private(path: Path) -> None:
    """Creates the file, for its owner alone, unless it is there; SQLite gives its log the same rights."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


async def switch_to_wal(connection: aiosqlite.Connection, busy_seconds: float) -> None:
    """Puts the file into WAL mode. Raises sqlite3.Error, of a lock only when it lasts longer than `busy_seconds`."""
    # The switch reads, then writes, and to a reader that would write SQLite says busy without waiting, lest two
    # wait for each other (https://www.sqlite.org/c3ref/busy_handler.html). So of two that open a new file at once
    # either may be turned away; switching again changes nothing.
    async for attempt in AsyncRetrying(
        retry=retry_if_exception(lambda error: error_code(error) == sqlite3.SQLITE_BUSY),
        wait=wait_random(0.01, 0.1),
        stop=stop_after_delay(busy_seconds),
        reraise=True,
    ):
        with attempt:
            await connection.execute_fetchall("PRAGMA journal_mode = WAL")


def error_code(error: BaseException) -> int:
    """The kind of an error of SQLite: the low byte of its extended code; 0 for any other error."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
