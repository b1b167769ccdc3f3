"""`nightlight classify`, as a process, with the model in the box."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import bot

COMMAND = [sys.executable, "-m", "bot", "classify"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(bot.__file__).parents[1])}


def classify(*arguments: str, source: str = "", cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=ENVIRONMENT, input=source, capture_output=True, text=True, timeout=60
    )


def test_json_lines_from_stdin(tmp_path: Path) -> None:
    """Every row is answered in order; a bad one is told on one line of stderr, and the exit code is 1."""
    post = {"id": "a", "title": "I want to kill myself tonight", "selftext": "I have the pills here."}
    source = json.dumps(post) + '\n{bad\n{"text": ""}\n'
    done = classify(source=source, cwd=tmp_path)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["id"], each["level"]) for each in records] == [("a", "crisis"), ("line-3", "none")]
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].startswith("nightlight: stdin, line 2: broken JSON")
    assert len(done.stderr.splitlines()) == 1


def test_a_plain_text_file(tmp_path: Path) -> None:
    """A text file is one post, called by its name."""
    (tmp_path / "letter.txt").write_text("My sourdough rose\n\nbeautifully today.", encoding="utf-8")
    done = classify("letter.txt", cwd=tmp_path)
    record = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (record["id"], record["level"]) == ("letter.txt", "none")


def test_a_missing_file_exits_2(tmp_path: Path) -> None:
    """One line says which file it is."""
    done = classify("missing.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nightlight: missing.jsonl: No such file or directory\n"


def test_a_live_pipe_is_answered_at_once(tmp_path: Path) -> None:
    """A program can write one line, read the answer, and write the next."""
    with subprocess.Popen(
        COMMAND, cwd=tmp_path, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        for name in ("a", "b"):
            process.stdin.write(json.dumps({"id": name, "title": "Good morning"}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == name
        process.stdin.close()
    assert process.returncode == 0


def test_a_reader_that_leaves_is_no_traceback(tmp_path: Path) -> None:
    """`nightlight classify | head -1` ends quietly."""
    source = '{"id": "a", "title": "x"}\n' * 2_000
    with subprocess.Popen(
        COMMAND, cwd=tmp_path, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.close()
        process.stdout = None
        _, said = process.communicate(source.encode(), timeout=60)
    assert said == b""


def test_it_starts_without_what_it_does_not_need(tmp_path: Path) -> None:
    """torch, pyarrow, matplotlib, asyncpraw and the page server are not imported to judge one post."""
    (tmp_path / "p.txt").write_text("Good morning", encoding="utf-8")
    command = [sys.executable, "-X", "importtime", "-m", "bot", "classify", "p.txt"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "bot" in imported
    assert not imported & {"torch", "transformers", "sklearn", "pyarrow", "matplotlib", "asyncpraw", "starlette"}
