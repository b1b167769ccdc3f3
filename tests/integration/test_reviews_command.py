"""`nightlight reviews`: what a moderator reads in a terminal is what becomes of the reply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import cli, config
from bot.clock import SystemClock
from bot.errors import UsageError
from bot.manners import Manners
from bot.outbox import Outbox
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState
from tests.cases import file_case
from tests.conftest import KeywordClassifier

CONFIG = '[reddit]\nsubreddits = ["testsub"]\n[store]\npath = "nightlight.db"\n[deliver]\ndry_run = false\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set-up with a case whose reply waits."""
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    in_store(tmp_path, lambda store, _: file_case(store, SystemClock(), KeywordClassifier(), "p1"))
    return tmp_path


def in_store(folder: Path, work: Callable[[Store, Outbox], Awaitable[None]]) -> None:
    """Does something with the database of that set-up."""

    async def within() -> None:
        async with Store(config.load(folder / "config.toml").store.path) as store:
            await work(store, Outbox(store, SystemClock()))

    asyncio.run(within())


def reviews(folder: Path, *arguments: str) -> str:
    """The output of the command; raises what it raises."""
    result = CliRunner().invoke(cli.app, ["reviews", *arguments, "--config", str(folder / "config.toml")])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_a_reply_that_is_out_of_date_is_not_said_to_go_out(folder: Path) -> None:
    """Whoever says yes is refused with the reason, which stands beside the reply as well."""

    async def grow_old(store: Store, outbox: Outbox) -> None:
        (reply,) = await outbox.find(DeliveryState.HELD)
        async with store.transaction():
            await outbox.approve(reply, 0.0, "Call 0800 555 0199.")
            await store.execute("hold", {"id": reply.id, "error": "a reason of then", "now": 0.0})

    assert "because your team reads every reply" in reviews(folder, "show", "p1")
    in_store(folder, grow_old)
    assert "because something in it may not be printed any more" in reviews(folder, "show", "p1")
    with pytest.raises(UsageError, match="may not be printed any more"):
        reviews(folder, "approve", "p1")


def test_a_reply_that_cannot_be_stopped_is_not_said_to_be(folder: Path) -> None:
    """Closing a case promises that its reply will not be sent as long as that is true."""

    async def send(store: Store, outbox: Outbox) -> None:
        (reply,) = await outbox.find(DeliveryState.HELD)
        async with store.transaction():
            await outbox.approve(reply, 0.0)
        settings = config.load(folder / "config.toml")
        manners = Manners(store, b"k" * 32, settings, SystemClock())
        claimed = (await outbox.claim(manners), await outbox.claim(manners))
        await outbox.finish(next(each for each in claimed if each[0].kind is DeliveryKind.REPLY), "t1_abc")

    in_store(folder, lambda store, _: file_case(store, SystemClock(), KeywordClassifier(), "p2"))
    assert "will not be sent" in reviews(folder, "dismiss", "p2")
    in_store(folder, send)
    assert "post p1 is settled" in reviews(folder, "dismiss", "p1")
