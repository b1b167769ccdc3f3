"""An archive through the LLM annotator, over HTTP, on a clock that jumps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from starlette.responses import Response

from bot.annotators import open_llm
from bot.config import Config
from bot.label import Labelling, Tally
from bot.label_lines import read_labels
from models.annotation import Annotation, Status
from models.document import Document
from tests.conftest import HandClock
from tests.fake_llm import Act, Call, FakeLlm, answers, by_post, fails


class Run:
    """One archive of these texts and one file of labels, for any number of runs."""

    def __init__(self, folder: Path, texts: Sequence[str]) -> None:
        self.clock = HandClock()
        self._folder = folder
        rows = [json.dumps({"id": f"p{number}", "title": "", "selftext": text}) for number, text in enumerate(texts)]
        (folder / "p.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")

    async def go(self, server: FakeLlm, concurrency: int = 1) -> Tally:
        """Labels what has no label yet."""
        llm = {"base_url": server.base_url, "model": "fake", "concurrency": concurrency}
        config = Config.model_validate({"llm": {**llm, "cache": self._folder / "cache.db"}})
        tally, labelling = Tally(), Labelling(self._folder / "p.jsonl", self.out, "fake", config)
        async with open_llm(config, clock=self.clock) as annotator:
            await labelling.go(annotator, tally, lambda: None, asyncio.Event())
        return tally

    @property
    def out(self) -> Path:
        """The file of labels."""
        return self._folder / "l.jsonl"

    def statuses(self) -> dict[str, Status]:
        """What became of each post."""
        return {line.id: line.annotation.status for line in read_labels(self.out)}


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_posts_that_a_server_will_not_take_are_no_dead_server(tmp_path: Path, status: int) -> None:
    """Once one is answered, the run goes on to the last however many in a row are too long; so does the next run."""
    run = Run(tmp_path, ["short", *["too long"] * 20, "short"])
    async with FakeLlm(by_post({"long": fails(status, code="context_length_exceeded")}, answers())) as server:
        tally = await run.go(server)
        assert (tally.statuses, tally.is_dead) == ({Status.FAILED: 20, Status.OK: 2}, False)
        tally = await run.go(server)
        assert (tally.statuses, tally.is_dead) == ({Status.FAILED: 20}, False)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 422, 429, 500, 503])
async def test_a_server_that_answers_nobody_ends_the_run(tmp_path: Path, status: int) -> None:
    """A wrong key, a wrong model, said with whatever status, and a server that is away or broken take 16 posts."""
    run = Run(tmp_path, [f"number {number}" for number in range(30)])
    async with FakeLlm(fails(status)) as server:
        tally = await run.go(server)
    assert (tally.statuses, tally.is_dead) == ({Status.FAILED: 16}, True)


async def test_what_failed_before_holds_up_nothing(tmp_path: Path) -> None:
    """Posts that break the server, scattered over the archive, come last in the next run; none of them is left out."""
    texts = [f"{'break' if number % 3 else 'fine'} {number}" for number in range(60)]
    run = Run(tmp_path, texts)
    breaking = by_post({"break": fails(404)}, answers())
    async with FakeLlm(breaking) as server:
        (tmp_path / "l.jsonl").write_text(
            "".join(json.dumps({"id": f"p{number}", "status": "failed"}) + "\n" for number in range(60) if number % 3)
        )
        tally = await run.go(server)
        assert (tally.statuses[Status.OK], tally.statuses[Status.FAILED], tally.total) == (20, 16, 60)
        for _ in range(2):
            assert (await run.go(server)).is_dead
        assert {call.post for call in server.calls} == set(texts)
    async with FakeLlm(answers()) as server:
        tally = await run.go(server)
    assert (tally.already, tally.statuses) == (20, {Status.OK: 40})
    assert run.statuses() == dict.fromkeys((f"p{number}" for number in range(60)), Status.OK)


@pytest.mark.parametrize("away", [fails(503), fails(502)])
async def test_a_server_that_starts_anew_ends_nothing(tmp_path: Path, away: Act) -> None:
    """While a server restarts or loads its model, for half a minute, posts wait for it, and each gets its label."""
    run = Run(tmp_path, [f"number {number}" for number in range(40)])

    async def restarting(call: Call) -> Response:
        return await (away if 1 <= run.clock.monotonic() < 31 else answers())(call)

    async with FakeLlm(answers(), restarting) as server:
        run.clock.advance(1)
        # One at a time: on this clock the waits of several add up.
        tally = await run.go(server)
    assert tally.statuses == {Status.OK: 40}
    assert run.clock.monotonic() >= 31


async def test_a_server_that_wants_an_hour_ends_the_run_at_once(tmp_path: Path) -> None:
    """Nobody asks it again, the wait is named, and what was answered is not asked for a second time."""
    run = Run(tmp_path, [f"number {number}" for number in range(60)])
    spent = fails(429, headers={"Retry-After": "3600"})
    async with FakeLlm(*[answers()] * 10, spent, answers()) as server:
        tally = await run.go(server)
        assert (tally.statuses, tally.is_dead) == ({Status.OK: 10, Status.FAILED: 16}, True)
        assert tally.failed is not None
        assert "3600 s" in tally.failed.error
        assert len(server.calls) == 11
        run.clock.advance(3600)
        assert (await run.go(server)).statuses == {Status.OK: 50}
        assert len(server.calls) == 61
    assert run.clock.monotonic() == 3600


async def test_a_known_answer_says_nothing_of_the_server(tmp_path: Path) -> None:
    """Answers from the cache between posts that get none do not make a dead server a living one."""
    known = [f"known {number}" for number in range(30)]
    async with FakeLlm(answers()) as server:
        await Run(tmp_path, known).go(server)
        (tmp_path / "l.jsonl").unlink()
    mixed = Run(tmp_path, [text for pair in zip(known, map(str, range(30)), strict=True) for text in pair])
    async with FakeLlm(fails(404), port=server.port) as server:
        tally = await mixed.go(server)
    assert (tally.is_dead, tally.statuses[Status.FAILED]) == (True, 16)


class Counting:
    """An annotator that answers once so many posts are under way."""

    versions: Mapping[str, str] = {}

    def __init__(self, most: int) -> None:
        self._met = asyncio.Barrier(most)

    async def annotate(self, documents: Sequence[Document]) -> list[Annotation]:
        """Waits for the others."""
        await self._met.wait()
        return [Annotation(Status.OK) for _ in documents]


async def test_every_concurrency_is_used_up(tmp_path: Path) -> None:
    """As many posts are under way as may be: a server that likes a thousand at once gets them."""
    run = Run(tmp_path, [f"number {number}" for number in range(2048)])
    config = Config.model_validate({"llm": {"concurrency": 1024}})
    tally = Tally()
    labelling = Labelling(tmp_path / "p.jsonl", run.out, "all", config)
    async with asyncio.timeout(60):
        await labelling.go(Counting(1024), tally, lambda: None, asyncio.Event())
    assert tally.statuses == {Status.OK: 2048}
