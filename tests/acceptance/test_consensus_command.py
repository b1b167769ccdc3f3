"""`nightlight consensus`, as a process, on files of labels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import bot

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(bot.__file__).parents[1])}
CALM = {"status": "ok", "relevance": "mental_health", "severity": "mild", "risk": "none", "disorders": []}


def nightlight(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    command = [sys.executable, "-m", "bot", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=110)


def write(path: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """A file of labels by the annotator that it is named after."""
    lines = [json.dumps({"id": post, "annotator": path.stem, **row}) for post, row in rows.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The lines of a file of labels by their posts."""
    return {(row := json.loads(line))["id"]: row for line in path.read_text(encoding="utf-8").splitlines()}


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Three annotators: they agree on p1, part on p2, one refuses p3, nobody reads p4, and p5 is met by one."""
    files = [tmp_path / f"{name}.jsonl" for name in "abc"]
    fearful = {**CALM, "risk": "attempt", "severity": "severe", "disorders": ["ptsd"]}
    spent = {"prompt_tokens": 10, "seconds": 0.5, "cost": 0.25}
    write(files[0], {"p1": CALM, "p2": CALM, "p3": {**fearful, **spent}, "p4": {"status": "failed"}})
    write(files[1], {"p1": CALM, "p2": CALM, "p3": {"status": "refused", **spent}, "p4": {"status": "refused"}})
    write(files[2], {"p1": CALM, "p2": fearful, "p3": {**CALM, **spent}, "p4": {"status": "invalid"}, "p5": fearful})
    return files


def test_votes_become_labels_with_their_doubt(tmp_path: Path, three: Sequence[Path]) -> None:
    """Shares of votes, a missing vote for a refusal, and a post that nobody read is refused rather than harmless."""
    done = nightlight("consensus", *three, "--out", "m.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = read(tmp_path / "m.jsonl")
    assert {row["annotator"] for row in lines.values()} == {"majority"}
    assert (lines["p1"]["risk"], lines["p1"]["soft"]["risk"]["none"]) == ("none", 1.0)
    assert (lines["p2"]["risk"], lines["p2"]["disorders"]) == ("none", [])
    assert lines["p2"]["soft"]["risk"]["attempt"] == pytest.approx(1 / 3, abs=1e-6)
    assert lines["p2"]["soft"]["disorders"]["ptsd"] == pytest.approx(1 / 3, abs=1e-6)
    tie = lines["p3"]
    assert (tie["risk"], tie["severity"], tie["disorders"], tie["status"]) == ("attempt", "severe", ["ptsd"], "ok")
    assert tie["votes"] == {"ok": 2, "refused": 1}
    assert (tie["prompt_tokens"], tie["seconds"], tie["cost"]) == (30, 1.5, 0.75)
    assert (lines["p4"]["status"], lines["p4"]["risk"], lines["p4"]["soft"]["risk"]) == ("refused", None, None)
    assert lines["p5"]["risk"] == "attempt"
    assert "let a person read those first" in done.stdout


def test_what_was_merged_can_be_compared(tmp_path: Path, three: Sequence[Path]) -> None:
    """The output is a file of labels: `nightlight agree` reads it beside the others."""
    assert nightlight("consensus", *three, "--out", "m.jsonl", cwd=tmp_path).returncode == 0
    done = nightlight("consensus", *three, "--method", "dawid-skene", "--out", "d.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "d.jsonl")["p1"]["risk"] == "none"
    done = nightlight("agree", *three, "m.jsonl", "d.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.jsonl"], "takes two files"),
        (["a.jsonl", "missing.jsonl"], "missing.jsonl: No such file"),
        (["a.jsonl", "b.jsonl", "--out", "a.jsonl"], "is one of the files"),
        (["a.jsonl", "apart.jsonl"], "no post has a label by two"),
        (["a.jsonl", "silent.jsonl"], "no post has a label by two"),
    ],
)
def test_a_wrong_command_is_told_in_words(
    tmp_path: Path, three: Sequence[Path], arguments: list[str], words: str
) -> None:
    """Exit code 2, one line, and no file."""
    write(tmp_path / "apart.jsonl", {"another": CALM})
    write(tmp_path / "silent.jsonl", {"p1": {"status": "refused"}, "p2": {"status": "invalid"}})
    before = three[0].read_bytes()
    done = nightlight("consensus", "--out", "m.jsonl", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "m.jsonl").exists()
    assert three[0].read_bytes() == before
