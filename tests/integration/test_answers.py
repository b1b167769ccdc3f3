"""The cache of answers: what was paid for is never paid for again."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

import prompts
from models.annotation import Annotation, Status
from models.answers import Answers, Question
from models.assessment import Evidence
from models.chat import Server
from models.document import Document
from models.errors import ModelError, OverBudget
from models.labels import Disorder, Relevance, Risk, Severity
from models.llm import LlmAnnotator
from tests.fake_llm import Act, FakeLlm, answers, fails, says, sends, slowly

POST = Document("for u/xylophonist", "Most days I want to die and nobody in London knows.")


@asynccontextmanager
async def annotating(
    server: FakeLlm, path: Path, model: str = "fake", prompt: str = "zero_shot", concurrency: int = 16, **options: Any
) -> AsyncIterator[LlmAnnotator]:
    """An annotator that keeps its answers in this file."""
    async with Answers(path) as kept:
        asked = Server(server.base_url, model, attempts=1, **options)
        annotator = LlmAnnotator(asked, prompts.load(prompt), answers=kept, concurrency=concurrency)
        try:
            yield annotator
        finally:
            await annotator.aclose()


async def test_two_that_open_a_new_cache_at_once_take_turns(tmp_path: Path) -> None:
    """Who finds the other on the way to WAL waits for it, though SQLite itself refuses at once, and then goes on."""
    path = tmp_path / "a.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # the lock that the switch takes first

    async def look() -> Annotation | None:
        async with Answers(path) as kept:
            return await kept.get(Question.of("1", "m", "text"))

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        await asyncio.wait({looking}, timeout=0.3)
        assert not looking.done()
        other.execute("COMMIT")
    other.close()
    assert looking.result() is None


async def test_an_annotation_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every field survives the file and the process that wrote it."""
    annotation = Annotation(
        Status.OK,
        Relevance.MENTAL_HEALTH,
        frozenset({Disorder.OCD, Disorder.PTSD}),
        Severity.SEVERE,
        Risk.ATTEMPT,
        (Evidence(3, 9, Risk.ATTEMPT, "llm", "quoted"),),
        prompt_tokens=7,
        completion_tokens=8,
        seconds=1.5,
    )
    question = Question.of("1", "m", "text")
    async with Answers(tmp_path / "a.db") as kept:
        assert await kept.get(question) is None
        await kept.put(question, annotation)
    async with Answers(tmp_path / "a.db") as kept:
        assert await kept.get(question) == annotation


async def test_a_text_is_sent_once(tmp_path: Path) -> None:
    """The second run knows the answer, spans and costs too, and says that it is an old one."""
    async with FakeLlm(answers()) as server:
        async with annotating(server, tmp_path / "a.db") as annotator:
            (first,) = await annotator.annotate([POST])
        async with annotating(server, tmp_path / "a.db") as annotator:
            (second,) = await annotator.annotate([POST])
        assert len(server.calls) == 1
    assert (first.cached, second.cached) == (False, True)
    for each in (first, second):
        (span,) = each.evidence
        assert POST.text[span.start : span.end] == "want to die"
        assert (each.prompt_tokens, each.seconds) == (100, first.seconds)
        assert each.versions == annotator.versions


async def test_a_text_that_stands_twice_is_sent_once(tmp_path: Path) -> None:
    """Two posts of one text under way at the same moment cost one call."""
    async with FakeLlm(slowly(0.05, answers())) as server, annotating(server, tmp_path / "a.db") as annotator:
        annotations = await annotator.annotate([POST] * 8)
        assert len(server.calls) == 1
    assert [annotation.cached for annotation in annotations].count(False) == 1


async def test_nothing_is_sent_before_an_answer_is_kept(tmp_path: Path) -> None:
    """While the file takes no writes, no more texts are under way than may be lost by a kill."""
    path = tmp_path / "a.db"
    acts = answers(), slowly(0.2, answers())
    async with FakeLlm(*acts) as server, annotating(server, path, concurrency=2) as annotator:
        await annotator.annotate([POST])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            labelling = asyncio.create_task(annotator.annotate([Document("", str(number)) for number in range(8)]))
            await asyncio.wait({labelling}, timeout=1)
            assert len(server.calls) == 1 + 2
            other.execute("ROLLBACK")
        assert len(await labelling) == 8


async def test_another_model_or_prompt_is_another_question(tmp_path: Path) -> None:
    """An answer holds for its model, its prompt and its text alone."""
    async with FakeLlm(answers()) as server:
        for model, prompt in (("fake", "zero_shot"), ("other", "zero_shot"), ("fake", "criteria")):
            async with annotating(server, tmp_path / "a.db", model, prompt) as annotator:
                await annotator.annotate([POST, Document("", "another text")])
        assert len(server.calls) == 6


@pytest.mark.parametrize(
    ("act", "calls"),
    [
        (says("I'm sorry, but I can't help with that."), 1),
        (says("hm"), 2),
        (fails(400, code="content_filter"), 1),
    ],
    ids=["refused", "invalid", "filtered"],
)
async def test_a_refusal_and_a_broken_answer_are_answers_too(tmp_path: Path, act: Act, calls: int) -> None:
    """Neither is paid for a second time."""
    async with FakeLlm(act) as server, annotating(server, tmp_path / "a.db") as annotator:
        (first,) = await annotator.annotate([POST])
        (second,) = await annotator.annotate([POST])
        assert len(server.calls) == calls
    assert first.status is second.status
    assert first.status in {Status.REFUSED, Status.INVALID}


async def nothing_left_after_one(left: list[None]) -> None:
    """A permit for each of the list."""
    if not left:
        raise OverBudget("no more")
    left.pop()


@pytest.mark.parametrize("act", [fails(404), sends(b"<html>Log in</html>"), says("hm")], ids=["404", "login", "repair"])
async def test_a_failure_is_no_answer(tmp_path: Path, act: Act) -> None:
    """What got no answer, or none that could be read and no second try, is asked again."""
    left: list[None] = [None]
    async with (
        FakeLlm(act, answers()) as server,
        annotating(server, tmp_path / "a.db", permit=lambda: nothing_left_after_one(left)) as annotator,
    ):
        (first,) = await annotator.annotate([POST])
        left.append(None)
        (second,) = await annotator.annotate([POST])
    assert (first.status, second.status, second.cached) == (Status.FAILED, Status.OK, False)


async def test_no_word_of_a_post_is_kept(tmp_path: Path) -> None:
    """The file has hashes, labels and numbers, not even the quote; and only its owner can read it."""
    async with FakeLlm(answers()) as server, annotating(server, tmp_path / "a.db") as annotator:
        await annotator.annotate([POST])
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"ideation" in kept
    for word in (b"want to die", b"xylophonist", b"London"):
        assert word not in kept
    assert stat.S_IMODE((tmp_path / "a.db").stat().st_mode) == 0o600


async def test_a_damaged_row_is_asked_for_again(tmp_path: Path) -> None:
    """An answer that can no longer be read counts as none, and the new one takes its place."""
    path = tmp_path / "a.db"
    async with FakeLlm(answers()) as server:
        async with annotating(server, path) as annotator:
            await annotator.annotate([POST])
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE answers SET annotation = ?", (json.dumps({"status": "perhaps"}),))
        async with annotating(server, path) as annotator:
            (again,) = await annotator.annotate([POST])
            (once_more,) = await annotator.annotate([POST])
    assert (again.cached, once_more.cached, len(server.calls)) == (False, True, 2)


async def test_a_file_that_is_no_cache_is_an_error_in_words(tmp_path: Path) -> None:
    """Nothing is sent whose answer could not be kept."""
    (tmp_path / "notes.txt").write_text("These are my notes, and no database at all. " * 20, encoding="utf-8")
    for path in (tmp_path / "notes.txt", tmp_path, tmp_path / "no" / "a.db"):
        with pytest.raises(ModelError, match="cannot use the cache"):
            async with Answers(path):
                pass


async def test_two_processes_may_share_it(tmp_path: Path) -> None:
    """What one puts in the other finds."""
    question, annotation = Question.of("1", "m", "x"), Annotation(Status.REFUSED)
    async with Answers(tmp_path / "a.db") as one, Answers(tmp_path / "a.db") as other:
        await asyncio.gather(*(kept.put(question, annotation) for kept in (one, other)))
        assert await one.get(question) == await other.get(question) == annotation
