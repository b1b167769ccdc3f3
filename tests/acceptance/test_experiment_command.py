"""`nightlight experiment`, as a process, on invented posts and a pretend server over real HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import bot
from tests.fake_llm import Act, Call, FakeLlm, answers, fails, says, slowly

COMMAND = [sys.executable, "-m", "bot", "experiment", "e.toml"]
KEY = "sk-never-to-be-seen"
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(bot.__file__).parents[1]),
    "NIGHTLIGHT_LLM_API_KEY": "sk-of-another-server",
    "NIGHTLIGHT_LLM_API_KEY_FAKE": KEY,
}
# In every post, and nowhere else.
NEVER_SHOWN = "xylophonist"
POSTS = 40


def prepare(folder: Path, base_url: str) -> None:
    """Invented posts, half of them heavy, what people say of them, and an experiment."""
    heavy = "I want to kill myself, I cannot sleep and cry all night"
    light = "My bicycle chain slips, and the kettle is broken too"
    rows, people = [], []
    for number in range(POSTS):
        text = f"{light if number % 2 else heavy}, said the {NEVER_SHOWN} number {number}."
        rows.append({"id": f"p{number}", "author": f"author{number}", "title": "", "selftext": text})
        people.append({"id": f"p{number}", "status": "ok", "severity": "minimal" if number % 2 else "severe"})
    for name, lines in (("p.jsonl", rows), ("h.jsonl", people)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (folder / "e.toml").write_text(
        f"""
posts = "p.jsonl"
out = "out"
consensus = ["majority"]

[[annotators]]
name = "rules"
kind = "rules"

[[annotators]]
name = "fake"
kind = "llm"
base_url = "{base_url}"
model = "fake"
key_from = "NIGHTLIGHT_LLM_API_KEY_FAKE"
concurrency = 4
completion_price_per_million = 1000.0

[[models]]
name = "words"
learner = "words"

[people]
file = "h.jsonl"
""",
        encoding="utf-8",
    )


async def start(folder: Path) -> asyncio.subprocess.Process:
    """Starts the command."""
    return await asyncio.create_subprocess_exec(
        *COMMAND, cwd=folder, env=ENVIRONMENT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def run(folder: Path) -> tuple[int, str, str]:
    """Runs the command to its end: its code and what it said."""
    process = await start(folder)
    stdout, stderr = await asyncio.wait_for(process.communicate(), 110)
    return process.returncode or 0, stdout.decode(), stderr.decode()


def by_weight() -> Act:
    """A model that sees what is heavy, and refuses one post."""

    def label(call: Call) -> str:
        if "number 7." in call.post:
            return "I'm sorry, but I can't help with that."
        heavy = "kill myself" in call.post
        return json.dumps(
            {
                "relevance": "mental_health" if heavy else "other",
                "disorders": ["depression"] if heavy else [],
                "severity": "severe" if heavy else "minimal",
                "risk": "ideation" if heavy else "none",
                "evidence": "",
            }
        )

    return says(label)


class Page(HTMLParser):
    """Every address that a page refers to, and whether it holds a script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes a tag."""
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


async def test_from_posts_to_a_report_and_nothing_twice(tmp_path: Path) -> None:
    """Annotator by model by task with F1, time and cost, and no text; run again, only what was lost is made anew."""
    async with FakeLlm(by_weight()) as server:
        prepare(tmp_path, server.base_url)
        code, stdout, stderr = await run(tmp_path)
        assert code == 0, stderr
        assert {call.authorization for call in server.calls} == {f"Bearer {KEY}"}
        asked = len(server.calls)
        out = tmp_path / "out"
        found = json.loads((out / "report.json").read_text(encoding="utf-8"))
        lines = {(line["annotator"], line["model"], line["task"]): line for line in found["lines"]}
        for annotator in ("rules", "fake", "majority"):
            assert lines[annotator, "words", "risk"]["own"]["rows"] >= POSTS - 1
            assert lines[annotator, "words", "severity"]["people"]["rows"] == POSTS
        assert lines["fake", "words", "severity"]["people"]["value"] > 0.9
        refused_one = lines["fake", "", "severity"]["people"]
        assert (0.9 < refused_one["value"] < 1, refused_one["rows"]) == (True, POSTS)
        assert lines["fake", "", "severity"]["cost"] == pytest.approx(20.0)
        assert ("people", "words", "risk") not in lines
        (fake,) = [each for each in found["labellers"] if each["name"] == "fake"]
        assert (fake["statuses"]["ok"], fake["statuses"]["refused"]) == (POSTS - 1, 1)
        assert "majority" in stdout
        page = (out / "report.html").read_text(encoding="utf-8")
        assert "script" not in Page(page).tags
        assert all(address.startswith("data:") for address in Page(page).addresses)
        assert "| fake | words |" in (out / "report.md").read_text(encoding="utf-8")
        for file in (path for path in out.rglob("*") if path.is_file()):
            assert NEVER_SHOWN.encode() not in file.read_bytes(), file
            assert KEY.encode() not in file.read_bytes(), file
        assert NEVER_SHOWN not in stdout + stderr

        cells = sorted((out / "cells").iterdir())
        assert len(cells) == 4 * 5
        before = {cell: cell.stat().st_mtime_ns for cell in cells}
        cells[3].write_text("{cut off", encoding="utf-8")
        code, _, stderr = await run(tmp_path)
        assert code == 0, stderr
        assert len(server.calls) == asked
        changed = [cell for cell in cells if cell.stat().st_mtime_ns != before[cell]]
        assert changed == [cells[3]]
        again = json.loads((out / "report.json").read_text(encoding="utf-8"))
        figures: list[Any] = [[(line["own"], line["people"]) for line in each["lines"]] for each in (found, again)]
        assert figures[0] == figures[1]


@pytest.mark.slow
async def test_stopped_and_started_again_it_goes_on(tmp_path: Path) -> None:
    """Ctrl-C ends it at once with a word on how to go on; the next run sends no post again that was answered."""
    async with FakeLlm(slowly(0.3, answers())) as server:
        prepare(tmp_path, server.base_url)
        process = await start(tmp_path)
        while len(server.answered) < 6:  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 130, stderr
        assert b"the same command goes on" in stderr
        first = len(server.answered)
        code, _, told = await run(tmp_path)
        assert code == 0, told
        # What was on its way when it stopped may be asked for again.
        assert len(server.answered) - first <= POSTS - 2
        assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.slow
async def test_a_dead_server_is_told_and_no_report_pretends(tmp_path: Path) -> None:
    """Exit code 1, the annotator and its posts by name, the others' labels kept, and no report."""
    async with FakeLlm(fails(401)) as server:
        prepare(tmp_path, server.base_url)
        code, _, stderr = await run(tmp_path)
    assert code == 1
    assert "fake has no answer for" in stderr
    assert (tmp_path / "out" / "labels" / "rules.jsonl").exists()
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.slow
async def test_one_folder_holds_one_experiment(tmp_path: Path) -> None:
    """Other posts in the same folder are refused, in one line, before anybody is asked."""
    async with FakeLlm(by_weight()) as server:
        prepare(tmp_path, server.base_url)
        config = (tmp_path / "e.toml").read_text(encoding="utf-8")
        (tmp_path / "e.toml").write_text(config.split("[[models]]")[0], encoding="utf-8")
        code, _, stderr = await run(tmp_path)
        assert code == 0, stderr
        (tmp_path / "e.toml").write_text(f"limit = 20\n{config}", encoding="utf-8")
        asked = len(server.calls)
        code, _, stderr = await run(tmp_path)
        assert (code, len(server.calls)) == (2, asked)
    assert "holds an experiment on other posts" in stderr
    assert len(stderr.splitlines()) == 1
