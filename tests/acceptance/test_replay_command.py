"""`nightlight replay` and `nightlight schema`, as processes, with the model in the box."""

from __future__ import annotations

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import bot

COMMAND = [sys.executable, "-m", "bot"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(bot.__file__).parents[1])}


def nightlight(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=100
    )


def posts(count: int) -> bytes:
    """An archive of JSON lines, a post an hour; the first is the only one that worries."""
    rows = [
        {"id": f"p{n}", "subreddit": "testsub", "title": f"Harvest {n}", "selftext": "My tomatoes are ripe at last."}
        for n in range(count)
    ]
    rows[0] |= {"title": "I can't go on", "selftext": "I want to kill myself tonight. I have the pills here."}
    return b"".join(
        json.dumps({**row, "created_utc": 1_700_000_000 + n * 3600}).encode() + b"\n" for n, row in enumerate(rows)
    )


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The records in a decisions file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_archive_becomes_decisions_that_fit_the_printed_schema(tmp_path: Path) -> None:
    """Lines on stdout and nothing else there, a summary on stderr without a bar, and the report in its file."""
    (tmp_path / "p.jsonl").write_bytes(posts(20) + b"{broken\n")
    done = nightlight("replay", "p.jsonl", "--report", "r.html", "--errors", "e.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    validator = Draft202012Validator(json.loads(nightlight("schema", cwd=tmp_path).stdout))
    for record in records:
        validator.validate(record)
    assert [record["id"] for record in records] == [f"p{n}" for n in range(20)]
    assert (records[0]["level"], records[1]["level"]) == ("crisis", "none")
    assert "posts/s" in done.stderr
    assert "\x1b" not in done.stderr
    assert "Alerts by day" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert [each["line"] for each in lines_of(tmp_path / "e.jsonl")] == [21]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.jsonl"], "missing.jsonl: no such file"),
        (["p.txt"], "unknown format"),
        (["p.jsonl", "--resume"], "--resume needs --out"),
        (["p.jsonl", "--out", "old.jsonl"], "--overwrite"),
        (["p.jsonl", "--config", "missing.toml"], "missing.toml"),
        (["p.jsonl", "--since", "yesterday"], "ISO 8601"),
    ],
)
def test_a_wrong_command_is_told_in_words_and_exits_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    """No traceback, no output, and the old files as they were."""
    for name in ("p.jsonl", "p.txt", "old.jsonl"):
        (tmp_path / name).write_bytes(posts(1))
    done = nightlight("replay", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "old.jsonl").read_bytes() == posts(1)


def test_a_truncated_archive_exits_1(tmp_path: Path) -> None:
    """What it still holds is judged, and stderr says that it breaks off."""
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(posts(30))[:-10])
    done = nightlight("replay", "p.jsonl.gz", "--out", "out.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    assert "ends too early" in done.stderr
    assert lines_of(tmp_path / "out.jsonl")[0]["id"] == "p0"


def test_ctrl_c_loses_nothing_and_resume_goes_on(tmp_path: Path) -> None:
    """The interrupted process exits 130 with whole lines; --resume then judges the posts that follow."""
    (tmp_path / "p.jsonl").write_bytes(posts(20_000))
    out = tmp_path / "out.jsonl"
    command = [*COMMAND, "replay", "p.jsonl", "--out", "out.jsonl"]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        while not out.exists() or not out.stat().st_size:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    before = lines_of(out)
    assert process.returncode == 130, said
    assert "--resume" in said
    assert 0 < len(before) < 20_000
    assert (
        nightlight("replay", "p.jsonl", "--out", "out.jsonl", "--resume", "--limit", 10, cwd=tmp_path).returncode == 0
    )
    assert [each["id"] for each in lines_of(out)] == [f"p{n}" for n in range(len(before) + 10)]


def test_a_terminal_sees_the_progress(tmp_path: Path) -> None:
    """When stderr is a terminal a bar moves there, and stdout still holds JSON lines alone."""
    (tmp_path / "p.jsonl").write_bytes(posts(300))
    ours, theirs = pty.openpty()
    command = [*COMMAND, "replay", "p.jsonl", "--limit", "260"]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        assert process.stdout
        lines = process.stdout.read().splitlines()
        shown = b""
        try:
            while chunk := os.read(ours, 65_536):
                shown += chunk
        except OSError:  # how Linux says that the other end of a terminal is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    assert len([json.loads(line) for line in lines]) == 260
    assert b"\x1b[" in shown
    assert b"260 posts" in shown
