"""`nightlight label`, as a process, with a pretend server over real HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from starlette.responses import Response

import bot
from models.answers import Question
from models.document import Document
from models.labels import Disorder, Relevance, Risk, Severity
from tests.fake_llm import Call, FakeLlm, answers, by_post, fails, rejecting, says, slowly

COMMAND = [sys.executable, "-m", "bot", "label"]
KEY = "sk-never-to-be-seen"
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(bot.__file__).parents[1]),
    "NIGHTLIGHT_LLM_API_KEY": KEY,
    "OPENAI_API_KEY": "sk-somebody-elses",
    "OPENAI_ORG_ID": "somebody-elses",
}


@dataclass(frozen=True)
class Done:
    """How a process ended, and what it said."""

    code: int
    stdout: str
    stderr: str


async def start(folder: Path, *arguments: object) -> asyncio.subprocess.Process:
    """Starts the command."""
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *map(str, arguments),
        cwd=folder,
        env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def label(folder: Path, *arguments: object) -> Done:
    """Runs the command to its end."""
    process = await start(folder, *arguments)
    stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
    return Done(process.returncode or 0, stdout.decode(), stderr.decode())


LLM = ("p.jsonl", "--annotator", "llm", "--name", "fake", "--out", "l.jsonl", "--config", "config.toml")


def prepare(folder: Path, server: FakeLlm, texts: Sequence[str], more: str = "") -> None:
    """An archive of these texts and a configuration for this server."""
    rows = [json.dumps({"id": f"p{number}", "title": "", "selftext": text}) for number, text in enumerate(texts)]
    (folder / "p.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    config = f'[llm]\nbase_url = "{server.base_url}"\nmodel = "fake"\n{more}'
    (folder / "config.toml").write_text(config, encoding="utf-8")


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of labels."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def until(holds: Callable[[], bool]) -> None:
    """Waits until this holds; the test's own limit ends it."""
    while not holds():  # noqa: ASYNC110 - another process makes it so
        await asyncio.sleep(0.01)


def in_cache(folder: Path) -> int:
    """How many answers the cache holds."""
    path = folder / "nightlight-llm.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as db:
        try:
            return int(db.execute("SELECT count(*) FROM answers").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


async def test_each_post_gets_its_status_and_what_failed_is_tried_again(tmp_path: Path) -> None:
    """A line a post with its status, labels, versions, tokens and cost; the same command asks for the failed alone."""
    acts = {
        "Refuse": says("I'm sorry, but I can't help with that."),
        "Filter": says("", finish_reason="content_filter"),
        "Break": says("a sad post"),
        "Fail": fails(404),
    }
    texts = ["I want to die", "Refuse", "Filter", "Break", "Fail"]
    async with FakeLlm(by_post(acts, answers())) as server:
        prepare(tmp_path, server, texts, "prompt_price_per_million = 1000.0\ncompletion_price_per_million = 10000.0\n")
        done = await label(tmp_path, *LLM)
        assert done.code == 1, done.stderr
        lines = lines_of(tmp_path / "l.jsonl")
        assert [(line["id"], line["status"]) for line in lines] == [
            ("p0", "ok"),
            ("p1", "refused"),
            ("p2", "refused"),
            ("p3", "invalid"),
            ("p4", "failed"),
        ]
        ok = lines[0]
        assert (ok["annotator"], ok["relevance"], ok["severity"], ok["risk"]) == (
            "fake",
            Relevance.MENTAL_HEALTH,
            Severity.SEVERE,
            Risk.IDEATION,
        )
        assert ok["disorders"] == [Disorder.DEPRESSION]
        assert [texts[0][span["start"] : span["end"]] for span in ok["evidence"]] == ["want to die"]
        assert ok["versions"].keys() == {"llm", "prompt"}
        assert (ok["prompt_tokens"], ok["completion_tokens"], ok["cost"]) == (100, 20, 0.3)
        assert ok["seconds"] > 0
        assert (lines[3]["prompt_tokens"], lines[1]["risk"]) == (200, None)
        assert "let a person read those first" in done.stderr
        assert f"no answer from {server.base_url}, the last time: NotFoundError 404" in done.stderr
        assert "\ntime " in done.stderr
        paid = len(server.answered)
        acts.pop("Fail")
        again = await label(tmp_path, *LLM)
        assert (again.code, server.answered[paid:]) == (0, ["Fail"])
    assert [line["status"] for line in lines_of(tmp_path / "l.jsonl")] == ["ok", "refused", "refused", "invalid", "ok"]


async def test_only_redacted_text_and_our_own_key_leave_the_machine(tmp_path: Path) -> None:
    """The server sees neither names, addresses, numbers, links nor places; and no key that is not ours."""
    text = (
        "I am u/xylophonist, joe@example.org, call 020 7946 0958, see https://example.org/me. "
        "I live in Paris, my sister in leeds. I want to die."
    )
    async with FakeLlm(answers()) as server:
        prepare(tmp_path, server, [text])
        done = await label(tmp_path, *LLM)
        (call,) = server.calls
    assert done.code == 0, done.stderr
    assert call.post == (
        "I am {user}, {email}, call {phone}, see {link} I live in {place}, my sister in {place}. I want to die."
    )
    sent = json.dumps(call.body)
    for word in ("xylophonist", "joe", "7946", "example.org", "Paris", "leeds"):
        assert word not in sent
    assert call.authorization == f"Bearer {KEY}"
    assert "openai-organization" not in call.headers
    (line,) = lines_of(tmp_path / "l.jsonl")
    assert [text[span["start"] : span["end"]] for span in line["evidence"]] == ["want to die"]
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name != "p.jsonl")
    for secret in (KEY, "want to die", "xylophonist"):
        assert secret.encode() not in kept + done.stderr.encode()


async def test_a_kill_pays_nothing_twice(tmp_path: Path) -> None:
    """After kill -9 in the middle the same command asks only for what was not answered, and every post has one line."""
    most, never = 40, asyncio.Event()

    async def some(call: Call) -> Response:
        if len(server.calls) > most:
            await never.wait()
        return await answers()(call)

    texts = [f"I want to die, number {number}" for number in range(90)]
    async with FakeLlm(some) as server:
        prepare(tmp_path, server, texts)
        process = await start(tmp_path, *LLM)
        await until(lambda: in_cache(tmp_path) == most)
        process.kill()
        await process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert 1 < server.most_at_once <= 16
        most = 1_000
        done = await label(tmp_path, *LLM)
        assert done.code == 0, done.stderr
        assert sorted(server.answered) == sorted(texts)
    assert [line["id"] for line in lines_of(tmp_path / "l.jsonl")] == [f"p{number}" for number in range(90)]


FLOWING = 64
MANY = 10_000


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_ten_thousand_posts_flow_through_a_kill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At 200 ms an answer 2,000 posts a minute and more, no answer that was kept asked for again, and memory flat."""

    async def posts(process: asyncio.subprocess.Process, most: int) -> float:
        """Megabytes that the process has once so many are answered."""
        while in_cache(tmp_path) < most:  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.2)
        return psutil.Process(process.pid).memory_info().rss / 1e6

    async with FakeLlm(slowly(0.2, answers())) as server:
        prepare(tmp_path, server, [f"I want to die, number {n}" for n in range(MANY)], f"concurrency = {FLOWING}\n")
        process = await start(tmp_path, *LLM)
        await posts(process, 1_000)
        process.kill()
        await process.communicate()
        with closing(sqlite3.connect(tmp_path / "nightlight-llm.db")) as db:
            kept = {text for (text,) in db.execute("SELECT text FROM answers")}
        process = await start(tmp_path, *LLM)
        early = await posts(process, 2_000)
        started, known = asyncio.get_running_loop().time(), in_cache(tmp_path)
        late = await posts(process, MANY - 100)
        rate = (in_cache(tmp_path) - known) / (asyncio.get_running_loop().time() - started)
        _, stderr = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, stderr
        asked = Counter(Question.of("", "", call.post).text for call in server.calls)
        repeated = {text for text, times in asked.items() if times > 1}
        at_once = server.most_at_once
    with capsys.disabled():
        print(f"\n{rate * 60:,.0f} posts a minute, {at_once} at once; after kill -9 with {len(kept):,} answers kept")
        print(f"{len(repeated)} posts were sent again; {early:.1f} MB at 2,000 posts, {late:.1f} MB at {MANY - 100:,}")
    assert [line["id"] for line in lines_of(tmp_path / "l.jsonl")] == [f"p{number}" for number in range(MANY)]
    assert len(asked) == MANY
    assert not repeated & kept
    assert len(repeated) <= FLOWING
    assert at_once <= FLOWING
    assert rate * 60 >= 2_000
    assert late < early + 5


async def test_a_server_that_answers_nobody_ends_the_run_with_a_file_to_go_on_with(tmp_path: Path) -> None:
    """Exit code 1, what was answered is kept; when the server is mended, the same command asks for the rest alone."""
    texts = [f"Number {number}" for number in range(200)]

    async def until_its_model_is_gone(call: Call) -> Response:
        return await (fails(404) if len(server.calls) > 20 else answers())(call)

    async with FakeLlm(until_its_model_is_gone) as server:
        prepare(tmp_path, server, texts)
        done = await label(tmp_path, *LLM)
        assert done.code == 1, done.stderr
        assert f"no answer from {server.base_url}, the last time: NotFoundError 404" in done.stderr
        assert "the same command goes on from here" in done.stderr
        assert "Traceback" not in done.stderr
        statuses = Counter(line["status"] for line in lines_of(tmp_path / "l.jsonl"))
        assert (statuses["ok"], statuses["failed"]) == (20, 16)
    first = {call.post for call in server.calls[:20]}
    async with FakeLlm(answers(), port=server.port) as server:
        done = await label(tmp_path, *LLM)
        assert done.code == 0, done.stderr
        assert not first & set(server.answered)
    assert Counter(line["status"] for line in lines_of(tmp_path / "l.jsonl")) == {"ok": 200}


async def test_a_server_that_knows_no_schema_and_is_busy(tmp_path: Path) -> None:
    """500 to json_schema is met by json_object once and for all, and nobody calls before Retry-After is over."""
    times: list[float] = []

    async def busy(call: Call) -> Response:
        times.append(asyncio.get_running_loop().time())
        act = fails(429, headers={"Retry-After": "1"}) if len(times) == 4 else answers()
        return await slowly(0.02, act)(call)

    async with FakeLlm(rejecting(["json_schema"], busy, status=500)) as server:
        prepare(tmp_path, server, [str(number) for number in range(20)], "concurrency = 2\n")
        done = await label(tmp_path, *LLM)
        assert (done.code, len(server.answered)) == (0, 23), done.stderr
        assert [call.format for call in server.calls] == ["json_schema"] * 2 + ["json_object"] * 21
        assert server.most_at_once == 2
    # One other call may have been on its way when the server said so.
    assert sum(times[3] < time < times[3] + 1 for time in times) <= 1


async def signalled(folder: Path, server: FakeLlm, more: str = "") -> asyncio.subprocess.Process:
    """A run of 50 posts that was told to stop when 10 were answered and 16 under way, and that has said so."""
    prepare(folder, server, [f"Number {number}" for number in range(50)], more)
    process = await start(folder, *LLM)
    await until(lambda: in_cache(folder) == 10 and len(server.calls) == 26)
    process.terminate()
    assert process.stderr is not None
    assert b"stopping: what is under way gets" in await asyncio.wait_for(process.stderr.readline(), 30)
    return process


async def test_a_signal_lets_come_in_what_is_under_way(tmp_path: Path) -> None:
    """After SIGTERM no other post is sent, and every answer that was paid for gets its line."""
    may_answer = asyncio.Event()

    async def slow(call: Call) -> Response:
        if len(server.calls) > 10:
            await may_answer.wait()
        return await answers()(call)

    async with FakeLlm(slow) as server:
        process = await signalled(tmp_path, server)
        may_answer.set()
        _, stderr = await asyncio.wait_for(process.communicate(), 30)
        assert len(server.calls) == 26
    assert process.returncode == 128 + signal.SIGTERM
    assert b"Traceback" not in stderr
    assert [line["id"] for line in lines_of(tmp_path / "l.jsonl")] == [f"p{number}" for number in range(26)]


@pytest.mark.parametrize(("more", "again"), [("", True), ("timeout_seconds = 2\n", False)], ids=["twice", "too slow"])
async def test_a_stop_comes_to_its_end(tmp_path: Path, more: str, again: bool) -> None:
    """A second signal waits for nobody, and the first no longer than one answer may take; no traceback."""

    async def hanging(call: Call) -> Response:
        if len(server.calls) > 10:
            await asyncio.sleep(60)
        return await answers()(call)

    async with FakeLlm(hanging) as server:
        process = await signalled(tmp_path, server, more)
        if again:
            process.terminate()
        _, stderr = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"Traceback" not in stderr
    # Lines are in the order of the archive: one that waits for a hanging post is not there yet, but its answer is kept.
    assert {line["status"] for line in lines_of(tmp_path / "l.jsonl")} <= {"ok"}
    assert in_cache(tmp_path) == 10


async def test_two_runs_never_write_one_file(tmp_path: Path) -> None:
    """The second is told so, sends nothing and leaves the file to the first."""
    async with FakeLlm(slowly(60, answers())) as server:
        prepare(tmp_path, server, ["I want to die"])
        process = await start(tmp_path, *LLM)
        await until(lambda: len(server.calls) == 1)
        second = await label(tmp_path, *LLM)
        assert (second.code, len(server.calls)) == (1, 1)
        assert second.stderr == "nightlight: l.jsonl: another run is at work on it\n"
        process.kill()
        await process.communicate()


@pytest.mark.parametrize("annotator", ["rules", "encoder"])
async def test_other_annotators_speak_the_same_language(tmp_path: Path, annotator: str) -> None:
    """Rules and encoder write the same kind of line, and send nothing."""
    text = "I am so depressed, I have panic attacks every day, I want to die."
    rows = [{"id": "a", "title": "", "selftext": text}, {"id": "b", "title": "My tomatoes are ripe", "selftext": ""}]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n{broken\n", encoding="utf-8")
    done = await label(tmp_path, "p.jsonl", "--annotator", annotator, "--out", "l.jsonl")
    assert done.code == 0, done.stderr
    worrying, calm = lines_of(tmp_path / "l.jsonl")
    assert (worrying["id"], worrying["annotator"], worrying["status"]) == ("a", annotator, "ok")
    assert worrying["relevance"] == "mental_health"
    assert Risk(worrying["risk"]) >= Risk.INDICATOR
    assert (calm["id"], calm["relevance"], calm["risk"]) == ("b", "other", "none")
    assert annotator in worrying["versions"]
    document = Document("", text)
    quoted = [document.text[span["start"] : span["end"]] for span in worrying["evidence"]]
    assert ("want to die" in " ".join(quoted)) == (annotator == "rules")


async def test_a_line_that_was_cut_off_is_written_anew(tmp_path: Path) -> None:
    """A file that ends in the middle of a line is mended, and the lines before it stay as they are."""
    rows = [json.dumps({"id": f"p{number}", "title": "I want to die"}) for number in range(3)]
    (tmp_path / "p.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    arguments = ("p.jsonl", "--annotator", "rules", "--out", "l.jsonl")
    await label(tmp_path, *arguments)
    whole = (tmp_path / "l.jsonl").read_bytes()
    (tmp_path / "l.jsonl").write_bytes(whole[:-20])
    done = await label(tmp_path, *arguments)
    assert done.code == 0, done.stderr
    assert "labelled before         2" in done.stderr
    assert [line["id"] for line in lines_of(tmp_path / "l.jsonl")] == ["p0", "p1", "p2"]
    assert (tmp_path / "l.jsonl").read_bytes().startswith(b"\n".join(whole.splitlines()[:2]))


async def test_a_file_of_another_annotator_is_left_as_it_is(tmp_path: Path) -> None:
    """Labels of two makers never mix in one file."""
    (tmp_path / "p.jsonl").write_text('{"id": "a", "title": "x"}\n', encoding="utf-8")
    await label(tmp_path, "p.jsonl", "--annotator", "rules", "--out", "l.jsonl")
    before = (tmp_path / "l.jsonl").read_bytes()
    done = await label(tmp_path, "p.jsonl", "--annotator", "rules", "--name", "other", "--out", "l.jsonl")
    assert (done.code, (tmp_path / "l.jsonl").read_bytes()) == (2, before)
    assert done.stderr.startswith("nightlight: l.jsonl holds labels by rules")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.jsonl", "l.jsonl.lock", "p.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "config", "words"),
    [
        (["p.jsonl", "--annotator", "llm", "--out", "l.jsonl"], "", "needs [llm] base_url and model"),
        (
            ["p.jsonl", "--annotator", "llm", "--out", "l.jsonl", "--config", "config.toml"],
            '[llm]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\nprompt = "no_such"\n',
            "no_such",
        ),
        (
            ["p.jsonl", "--annotator", "llm", "--out", "l.jsonl", "--config", "config.toml"],
            '[llm]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\nprompt = "choose"\n',
            "choose is none of criteria, few_shot, zero_shot",
        ),
        (["missing.jsonl", "--annotator", "rules", "--out", "l.jsonl"], "", "no such file"),
        (["p.jsonl", "--annotator", "rules", "--out", "p.jsonl"], "", "the archive itself"),
        (["p.jsonl", "--annotator", "rules", "--out", "other.txt"], "", "not a line of labels"),
        (["p.jsonl", "--annotator", "rules", "--out", "no/l.jsonl"], "", "no folder"),
        (["p.jsonl", "--annotator", "oracle", "--out", "l.jsonl"], "", "oracle"),
    ],
)
async def test_a_wrong_command_is_told_in_words(tmp_path: Path, arguments: list[str], config: str, words: str) -> None:
    """Exit code 2 and no traceback; files are as they were."""
    (tmp_path / "p.jsonl").write_text('{"id": "a", "title": "x"}\n', encoding="utf-8")
    (tmp_path / "other.txt").write_text("hello\n", encoding="utf-8")
    (tmp_path / "config.toml").write_text(config, encoding="utf-8")
    done = await label(tmp_path, *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "other.txt").read_text(encoding="utf-8") == "hello\n"
