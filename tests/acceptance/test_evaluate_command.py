"""`nightlight evaluate` and `nightlight tune`, as processes, on invented posts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import bot
from bot.config import load

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(bot.__file__).parents[1])}
# In no output: a word of every post, and a name that would be a tag if it were not escaped.
NEVER_SHOWN = "xylophonist"
HOSTILE = "<b>source"

AT_RISK = (
    "I want to kill myself tonight, I have the pills ready",
    "I have been thinking about suicide every day since June",
    "I do not want to be alive any more and I wrote a goodbye letter",
    "Last week I tried to end my life and I will try again",
)
ORDINARY = (
    "Which tent keeps dry in a storm? We go hiking on Friday",
    "My cake fell apart, should I use less butter next time",
    "The new patch broke my keyboard shortcuts, any idea why",
    "Looking for a cheap bicycle with a basket for the market",
)


def nightlight(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    command = [sys.executable, "-m", "bot", *arguments]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=110)


def write(file: Path, posts: Mapping[str, tuple[str, ...]], **fields: Any) -> None:
    """Labelled posts by label, each six times in slightly other words."""
    with file.open("w", encoding="utf-8") as lines:
        for label, texts in posts.items():
            for number, text in enumerate(texts * 6):
                row = {"source": HOSTILE, "text": f"{text}, said the {NEVER_SHOWN} number {number}.", "label": label}
                lines.write(json.dumps({**row, **fields}) + "\n")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of invented labelled posts."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    write(folder / "risk_binary.jsonl", {"suicide": AT_RISK, "non_suicide": ORDINARY})
    write(folder / "relevance_ambiguous.jsonl", {"ordinary_with_mh_terms": ("My OCD kicks in when I clean the grill",)})
    users = {
        "ideation": ("Good morning\n\nI think about suicide all day",),
        "supportive": ("You can do it\n\nBe kind",),
    }
    write(folder / "risk_cssrs.jsonl", users)
    return folder


class Tags(HTMLParser):
    """The tags of a page, and what its attributes point to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]


def test_risk_is_evaluated_with_its_report(data: Path, tmp_path: Path) -> None:
    """Tables on stdout, JSON and a page in the folder: figures with intervals, alerts, robustness, and no post."""
    arguments = ("--task", "risk", "--annotator", "rules", "--robustness", "--out", "out")
    done = nightlight("evaluate", str(data), *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "What alerts would cost, if 2.0% of the posts were at risk" in done.stdout
    found = json.loads((tmp_path / "out" / "evaluate.json").read_text(encoding="utf-8"))
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    binary, users = found["scorecard"]["parts"]
    accuracy = binary["slices"][0]["overall"]["balanced_accuracy"]
    assert accuracy["rows"] == 48
    assert 0.7 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
    assert users["slices"][0]["labels"]["ideation"]["recall"]["value"] == 1.0
    assert found["deployment"]["now"]["recall"]["value"] >= 0.7
    assert len(found["deployment"]["curve"]) == 99
    assert {shift["name"] for shift in found["robustness"]["noise"]} >= {
        "spelling noise",
        "upper case",
        "lyrics pasted",
    }
    tags = Tags()
    tags.feed(page)
    assert not tags.tags & {"script", "b", "link", "iframe"}
    assert tags.sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in tags.sources)
    for output in (done.stdout, page, json.dumps(found)):
        assert NEVER_SHOWN not in output


def test_json_is_for_programs(data: Path, tmp_path: Path) -> None:
    """With --json stdout is JSON and nothing else, and the same seed gives the same figures."""
    arguments = ("evaluate", str(data / "risk_binary.jsonl"), "--task", "risk", "--annotator", "rules", "--json")
    first, second = (nightlight(*arguments, "--limit", "20", "--seed", "3", cwd=tmp_path) for _ in range(2))
    assert first.stdout == second.stdout
    assert json.loads(first.stdout)["rows"] == 20


def test_what_cannot_be_evaluated_is_one_line(data: Path, tmp_path: Path) -> None:
    """No labels for the task, a judgement that the model does not make, a broken file: said, and nothing else."""
    write(data / "stress.jsonl", {"stress": ("So much to do",), "no_stress": ("A calm day",)})
    (data / "severity4.jsonl").write_text("{broken", encoding="utf-8")
    for task, code, reason in (
        ("disorders", 2, "no row is labelled for disorders"),
        ("severity", 2, "line 1: is not JSON"),
        ("stress", 1, "does not judge stress"),
    ):
        done = nightlight("evaluate", str(data), "--task", task, "--annotator", "rules", cwd=tmp_path)
        assert done.returncode == code
        assert done.stderr.startswith("nightlight: ")
        assert reason in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_the_policy_is_tuned_in_place(data: Path, tmp_path: Path) -> None:
    """The bound for a stated recall goes into the config, comments stay, and both policies are shown."""
    config = tmp_path / "config.toml"
    config.write_text('# our team\n[reddit]\nsubreddits = ["testsub"]\n\n[policy]\nwatch_does = []  # no digest\n')
    done = nightlight("tune", str(data), "--min-recall", "0.7", "--config", str(config), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "posts at risk found" in done.stdout
    assert "Posts that the model was trained on flatter it; --apart" in done.stdout
    assert NEVER_SHOWN not in done.stdout
    assert config.read_text().startswith("# our team\n")
    assert "watch_does = []  # no digest" in config.read_text()
    settings = load(config)
    assert settings.policy.urgent[0].min_probability > 0.2
    assert settings.policy.watch_does == ()


def test_an_unreachable_goal_writes_nothing(data: Path, tmp_path: Path) -> None:
    """Exit code 2, one line, and the file as it was."""
    config = tmp_path / "config.toml"
    config.write_text("# ours\n")
    budget = ("--max-alerts-per-day", "0", "--posts-per-day", "400")
    done = nightlight("tune", str(data), *budget, "--config", str(config), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "0 alerts a day cannot be kept to" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert config.read_text() == "# ours\n"
