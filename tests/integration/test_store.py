"""The store: real SQLite files."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import pytest

from bot.errors import StoreError
from bot.store import Store, _migrations

WATCH = {"subreddit": "testsub", "since_utc": 1.0}


async def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    """What was written before the error inside a transaction is gone after it."""
    with pytest.raises(RuntimeError):
        async with store.transaction():
            await store.execute("begin_watch", WATCH)
            raise RuntimeError
    assert await store.fetch("get_watch", {"subreddit": "testsub"}) == []


async def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    """A second opening of the same file sees the first one's rows and does not migrate again."""
    path = tmp_path / "again.db"
    async with Store(path) as store, store.transaction():
        await store.execute("begin_watch", WATCH)
    async with Store(path) as store:
        (row,) = await store.fetch("get_watch", {"subreddit": "TESTSUB"})
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


async def test_migrations_go_by_number_also_where_one_was_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that saw the first three and the sixth sees the fourth when that comes, and no other again."""
    path, scripts = tmp_path / "gaps.db", {number: _migrations()[number] for number in (1, 2, 3)}
    monkeypatch.setattr("bot.store._migrations", lambda: scripts)
    async with Store(path):
        pass
    for number in (6, 4):
        scripts[number] = f"CREATE TABLE number_{number} (id INTEGER PRIMARY KEY);"
        async with Store(path) as store:
            assert await store._applied() == set(scripts)
            assert (await store._one("PRAGMA user_version"))[0] == 6
            assert await store._one(f"SELECT count(*) FROM number_{number}")  # noqa: S608 - a number of ours


async def test_a_file_that_saw_a_migration_we_do_not_know_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when its number is below ours."""
    path, scripts = tmp_path / "other.db", _migrations()
    monkeypatch.setattr("bot.store._migrations", lambda: {**scripts, 5: "CREATE TABLE five (id INTEGER PRIMARY KEY);"})
    async with Store(path):
        pass
    monkeypatch.setattr("bot.store._migrations", lambda: {n: script for n, script in scripts.items() if n != 5})
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


async def make(path: Path) -> None:
    """A database with something in it, and a copy beside it."""
    async with Store(path) as store:
        async with store.transaction():
            await store.execute("begin_watch", WATCH)
        await store.back_up()


async def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path: Path) -> None:
    """The transaction that found no room is undone, what was stored before is there, and writing goes on after."""
    path = tmp_path / "full.db"
    await make(path)
    async with Store(path) as store:
        pages = (await store._one("PRAGMA page_count"))[0]
        await store._one(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="the disk is full"):
            async with store.transaction():
                for number in range(1_000):
                    await store.execute("begin_watch", {"subreddit": f"sub{number}", "since_utc": 1.0})
        assert len(await store.fetch("watches")) == 1
        await store._one("PRAGMA max_page_count = 100000")
        async with store.transaction():
            await store.execute("begin_watch", {"subreddit": "another", "since_utc": 1.0})
        assert len(await store.fetch("watches")) == 2


async def test_damage_inside_is_found_at_the_start_and_the_copy_is_offered(tmp_path: Path) -> None:
    """The error names the file, changes nothing in it, and says which command brings the copy back; it does."""
    path = tmp_path / "nightlight.db"
    await make(path)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged") as caught:
        async with Store(path, verify=True):
            pass
    assert path.read_bytes() == content
    copy, original = str(caught.value).rsplit("cp ", 1)[1].split()
    Path(original).write_bytes(Path(copy).read_bytes())
    async with Store(path, verify=True) as store:
        assert len(await store.fetch("watches")) == 1


async def test_a_database_that_is_locked_for_long_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program's lock is waited for, then named; afterwards the store works again."""
    monkeypatch.setattr("bot.store._BUSY_SECONDS", 0.2)
    path = tmp_path / "locked.db"
    await make(path)
    other = sqlite3.connect(path, isolation_level=None)
    async with Store(path) as store:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            async with store.transaction():
                pass
        other.execute("COMMIT")
        async with store.transaction():
            await store.execute("begin_watch", {"subreddit": "another", "since_utc": 1.0})
    other.close()


async def test_two_that_open_a_new_file_at_once_take_turns(tmp_path: Path) -> None:
    """Who finds the other on the way to WAL waits for it, though SQLite itself refuses at once, and then goes on."""
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # the lock that the switch takes first
    async with asyncio.TaskGroup() as group:
        making = group.create_task(make(path))
        await asyncio.wait({making}, timeout=0.3)
        assert not making.done()
        other.execute("COMMIT")
    other.close()
    async with Store(path) as store:
        assert len(await store.fetch("watches")) == 1


async def test_a_new_file_that_is_locked_for_long_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for the other ends, and the error names the lock."""
    monkeypatch.setattr("bot.store._BUSY_SECONDS", 0.2)
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        async with Store(path):
            pass
    other.close()


async def test_database_log_and_copy_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Nobody else on the machine can read what people wrote."""
    path = tmp_path / "private.db"
    await make(path)
    async with Store(path) as store, store.transaction():
        await store.execute("begin_watch", {"subreddit": "another", "since_utc": 1.0})
        modes = {each.name: each.stat().st_mode & 0o077 for each in tmp_path.iterdir()}
    assert set(modes) >= {"private.db", "private.db-wal", "private.db.backup"}
    assert set(modes.values()) == {0}


async def test_two_processes_that_make_the_copy_at_once_take_turns(tmp_path: Path) -> None:
    """Neither takes the other's half-made copy away: the bot goes on while a command purges beside it."""
    path = tmp_path / "both.db"
    async with Store(path) as one, Store(path) as other:
        await asyncio.gather(*(store.back_up() for _ in range(4) for store in (one, other)))
    async with Store(one.backup_path, verify=True):
        pass


async def test_transactions_of_many_tasks_take_turns(store: Store) -> None:
    """Tasks that write at once never find themselves inside each other's transaction."""

    async def write(number: int) -> None:
        async with store.transaction():
            await store.execute("begin_watch", {"subreddit": f"sub{number}", "since_utc": 1.0})
            await asyncio.sleep(0)
            if number % 2:
                raise RuntimeError

    results = await asyncio.gather(*(write(number) for number in range(20)), return_exceptions=True)
    assert sum(isinstance(result, RuntimeError) for result in results) == 10
    assert {row["subreddit"] for row in await store.fetch("watches")} == {f"sub{n}" for n in range(0, 20, 2)}


async def test_a_task_that_is_cancelled_as_it_begins_leaves_no_transaction_open(store: Store) -> None:
    """Whoever comes next can begin, however little of the other had happened."""

    async def write() -> None:
        async with store.transaction():
            await asyncio.sleep(1)

    for steps in range(6):
        task = asyncio.create_task(write())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        async with store.transaction():
            await store.execute("begin_watch", {"subreddit": f"sub{steps}", "since_utc": 1.0})
    assert len(await store.fetch("watches")) == 6


MIGRATIONS = sorted(each.name for each in (files("bot") / "sql").iterdir() if each.name[:3].isdigit())
ROWS = """
INSERT INTO posts (id, subreddit, author, title, text, created_utc, permalink, level, reasons, record, judged_utc)
VALUES ('p1', 'testsub', 'ann', 'a title', 'a text', 1.0, '/r/testsub/comments/p1/', 'crisis', '[]', '{}', 2.0);
INSERT INTO deliveries (post_id, subreddit, kind, state, priority, subject, body, due_utc, created_utc, changed_utc)
VALUES ('p1', 'testsub', 'reply', 'held', 4, '', 'words', 3.0, 2.0, 2.0);
INSERT INTO watches (subreddit, since_utc) VALUES ('testsub', 5.0);
"""
BEFORE_CASES = "INSERT INTO reviews (delivery_id, action, actor, at_utc) VALUES (1, 'approved', 'mod_anna', 4.0);"
SINCE_CASES = """
INSERT INTO reviews (post_id, subreddit, delivery_id, action, actor, at_utc)
VALUES ('p1', 'testsub', 1, 'approved', 'mod_anna', 4.0);
UPDATE posts SET settled_utc = 4.0;
"""
SINCE_THE_SECOND = """
UPDATE posts SET fetched_utc = 2.0, checked_utc = 2.0;
UPDATE deliveries SET since_utc = 3.0;
INSERT INTO gaps (subreddit, from_utc, until_utc, found_utc) VALUES ('testsub', 6.0, 7.0, 8.0);
"""


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_every_earlier_database_is_brought_up_to_date_with_its_rows(tmp_path: Path, version: int) -> None:
    """Whatever a database of an earlier version held is there after the migration, and the schema is the newest."""
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    connection = sqlite3.connect(old)
    for name in MIGRATIONS[:version]:
        connection.executescript((files("bot") / "sql" / name).read_text(encoding="utf-8"))
    since = SINCE_THE_SECOND if version >= 2 else ""
    since += SINCE_CASES if version >= 4 else BEFORE_CASES
    # How many there were, as files say that were made before each was written down by its number.
    connection.executescript(f"{ROWS} {since} PRAGMA user_version = {version};")
    connection.close()
    async with Store(old) as store, Store(new) as fresh:
        (post,) = await store.fetch("get_post", {"id": "p1"})
        (delivery,) = await store.fetch("deliveries_of_post", {"post_id": "p1"})
        (review,) = await store.fetch("reviews_of_post", {"post_id": "p1"})
        (watch,) = await store.fetch("watches")
        gaps = [(row["from_utc"], row["looked_utc"]) for row in await store.fetch("gaps")]
        assert await store._db.execute_fetchall("PRAGMA foreign_key_check") == []
        assert (await store._one("PRAGMA foreign_keys"))[0] == 1
        schema = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        assert [tuple(row) for row in await store._db.execute_fetchall(schema)] == [
            tuple(row) for row in await fresh._db.execute_fetchall(schema)
        ]
    assert (post["text"], post["fetched_utc"], post["checked_utc"], post["forgotten_utc"]) == ("a text", 2.0, 2.0, None)
    assert (delivery["state"], delivery["body"], delivery["since_utc"]) == ("held", "words", 3.0)
    assert (review["delivery_id"], review["at_utc"], post["settled_utc"]) == (1, 4.0, 4.0)
    assert (review["actor"], watch["since_utc"], watch["refused_utc"]) == ("mod_anna", 5.0, None)
    assert gaps == ([(6.0, None)] if version >= 2 else [])
