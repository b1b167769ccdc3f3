"""`nightlight agree`, as a process, on files of labels."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import pytest

import bot

COMMAND = [sys.executable, "-m", "bot", "agree"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(bot.__file__).parents[1])}

OK = {"status": "ok", "relevance": "mental_health", "severity": "mild", "risk": "none", "disorders": []}


def agree(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )


def write(path: Path, annotator: str, rows: Sequence[dict[str, Any]]) -> None:
    """A file of labels; the posts are numbered."""
    lines = [json.dumps({"id": f"p{number}", "annotator": annotator, **row}) for number, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def three(folder: Path) -> None:
    """Two annotators who agree on everything, and one who refuses the worst post and is calmer about the others."""
    risks = ["none", "none", "none", "ideation", "ideation", "attempt"] * 20
    rows = [{**OK, "risk": risk, "disorders": ["depression"] * (risk != "none")} for risk in risks]
    write(folder / "a.jsonl", "first", rows)
    write(folder / "b.jsonl", "second", [{**row, "seconds": 0.5, "cost": 0.002, "prompt_tokens": 90} for row in rows])
    calmer = [{**row, "risk": "none"} if number % 2 else row for number, row in enumerate(rows)]
    calmer[5] = {"status": "refused"}
    write(folder / "c.jsonl", "<third & last> $x$", calmer)


def row_of(stdout: str, label: str) -> list[str]:
    """The cells of one row of the printed table."""
    (line,) = [line for line in stdout.splitlines() if re.match(rf"│ {label} +│", line)]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_tables_and_a_page(tmp_path: Path) -> None:
    """Each label has its figures with intervals, each annotator its statuses and what 1,000 posts take of it."""
    three(tmp_path)
    done = agree("a.jsonl", "b.jsonl", "c.jsonl", "--report", "r.html", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert row_of(done.stdout, "second") == ["second", "120", "120", "0", "0", "0", "500.0", "90,000", "2.0000"]
    assert row_of(done.stdout, "<third & last> \\$x\\$")[1:5] == ["120", "119", "1", "0"]
    label, same, *parted = row_of(done.stdout, "risk")
    assert (label, same) == ("risk", "1.00 (1.00 to 1.00)")
    for figure in parted:
        value, low, high = map(float, re.findall(r"-?\d\.\d\d", figure))
        assert 0 < low <= value <= high < 1
    assert row_of(done.stdout, "anxiety") == ["anxiety", *["-"] * 5]
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == 1 + 3 + 2 * 3
    assert "<script" not in page
    assert "<third" not in page
    assert "<third & last> $x$" in unescape(page)
    assert re.search(
        r"What was refused.*p5</td><td>attempt, mild</td><td>attempt, mild</td><td>refused</td>", page, re.S
    )
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)


def test_posts_far_apart_are_named_first(tmp_path: Path) -> None:
    """Levels of risk count before levels of severity, and what annotators agree on is not listed."""
    calm = [OK] * 4
    write(tmp_path / "a.jsonl", "a", calm)
    write(
        tmp_path / "b.jsonl",
        "b",
        [OK, {**OK, "severity": "severe"}, {**OK, "risk": "behavior"}, {**OK, "risk": "attempt"}],
    )
    assert agree("a.jsonl", "b.jsonl", cwd=tmp_path).returncode == 0
    page = (tmp_path / "agreement.html").read_text(encoding="utf-8")
    listed = page.partition("Posts they see most differently")[2].partition("What was refused")[0]
    assert re.findall(r"<td>(p\d)</td>", listed) == ["p3", "p2", "p1"]


def test_annotators_of_one_name_are_told_apart_by_their_files(tmp_path: Path) -> None:
    """Two runs that were both called llm can be compared, and a file that a person wrote by hand too."""
    rows = [OK, {**OK, "risk": "ideation"}]
    write(tmp_path / "one.jsonl", "llm", rows)
    write(tmp_path / "two.jsonl", "llm", rows)
    write(tmp_path / "by hand.jsonl", "", rows)
    done = agree("one.jsonl", "two.jsonl", "by hand.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("one", "two", "by hand"):
        assert row_of(done.stdout, name)[1:3] == ["2", "2"]


def test_what_a_person_left_out_is_no_disagreement(tmp_path: Path) -> None:
    """Somebody who judged the severity alone is compared on the severity alone."""
    write(tmp_path / "a.jsonl", "a", [{**OK, "disorders": ["ocd"]}, {**OK, "severity": "severe"}])
    write(tmp_path / "b.jsonl", "b", [{"status": "ok", "severity": "mild"}, {"status": "ok", "severity": "severe"}])
    done = agree("a.jsonl", "b.jsonl", cwd=tmp_path)
    assert row_of(done.stdout, "OCD") == ["OCD", "-", "-", "-"]
    assert row_of(done.stdout, "severity")[1].startswith("1.00")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.jsonl"], "takes two files"),
        (["a.jsonl", "missing.jsonl"], "missing.jsonl: No such file"),
        (["a.jsonl", "empty.jsonl"], "empty.jsonl: holds no labels"),
        (["a.jsonl", "broken.jsonl"], "broken.jsonl, line 2: not a line of labels"),
        (["a.jsonl", "wrong.jsonl"], "wrong.jsonl, line 1: not a line of labels"),
        (["a.jsonl", "b.jsonl", "--report", "a.jsonl"], "is one of the files"),
        (["a.jsonl", "a.jsonl"], "of one name"),
    ],
)
def test_a_wrong_command_is_told_in_words(tmp_path: Path, arguments: list[str], words: str) -> None:
    """Exit code 2, one line, no traceback, and no page."""
    three(tmp_path)
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "broken.jsonl").write_text(json.dumps({"id": "x", **OK}) + "\n{broken\n", encoding="utf-8")
    (tmp_path / "wrong.jsonl").write_text(json.dumps({"id": "x", **OK, "risk": "crisis"}) + "\n", encoding="utf-8")
    done = agree(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "agreement.html").exists()
