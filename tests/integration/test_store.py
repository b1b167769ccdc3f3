"""The store: real SQLite files."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bot.errors import StoreError
from bot.store import Store

WATCH = {"subreddit": "testsub", "since_utc": 1.0}


async def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    """What was written before the error inside a transaction is gone after it."""
    with pytest.raises(RuntimeError):
        async with store.transaction():
            await store.execute("begin_watch", WATCH)
            raise RuntimeError
    assert await store.fetch("watched_since", {"subreddit": "testsub"}) == []


async def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    """A second opening of the same file sees the first one's rows and does not migrate again."""
    path = tmp_path / "again.db"
    async with Store(path) as store, store.transaction():
        await store.execute("begin_watch", WATCH)
    async with Store(path) as store:
        (row,) = await store.fetch("watched_since", {"subreddit": "TESTSUB"})
    assert row["since_utc"] == 1.0


async def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A file that is no database is a StoreError that names it, and keeps its bytes."""
    path = tmp_path / "damaged.db"
    path.write_bytes(b"this is not a database, it is a letter" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"damaged\.db"):
        async with Store(path):
            pass
    assert path.read_bytes() == before


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """A schema from the future is not touched."""
    path = tmp_path / "newer.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        async with Store(path):
            pass


async def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    """The error names the path and holds no line break."""
    with pytest.raises(StoreError) as caught:
        async with Store(tmp_path / "nowhere" / "x.db"):
            pass
    assert "nowhere" in str(caught.value)
    assert "\n" not in str(caught.value)
