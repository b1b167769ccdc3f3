"""An evaluation as JSON, tables and a page."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bot.cli import app
from bot.config import Policy
from bot.errors import UsageError
from bot.evaluation import Plan, brief, evaluate, read_labelled, show, to_json
from bot.evaluation_page import render
from models.evaluate import Figure
from models.labels import Task
from models.scorecard import TASKS
from models.train.data import FILES, load
from tests.conftest import KeywordClassifier


@pytest.mark.parametrize("task", [task for task in Task if task is not Task.STRESS])
def test_any_rows_can_be_shown(tmp_path: Path, task: Task) -> None:
    """One label, one source, one row: what cannot be measured is empty, and nothing breaks."""
    for name, labels in TASKS[task].items():
        lines = [{"text": f"{label} {at}", "label": label} for label in sorted(labels) for at in range(2)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    # Rows that only fill the stream up make no scorecard of risk by themselves.
    alone = [
        file for file in tmp_path.iterdir() if task is not Task.RISK or not {"severity4", "relevance"} & {file.stem}
    ]
    for data, limit in ((tmp_path, None), *((file, 1) for file in alone)):
        plan = Plan(data, task, "hybrid", limit, seed=1, share=0.02, robustness=limit is None)
        found = evaluate(plan, KeywordClassifier, Policy(), Console(file=io.StringIO()))
        assert json.loads(to_json(found))["task"] == task
        assert render(found).startswith("<!doctype html>")
        show(found, Console(file=io.StringIO(), width=80))


def test_rows_kept_apart_are_those_that_training_does_not_learn_from(tmp_path: Path) -> None:
    """With the seed of the training: all of those and no other, as the tables and the page say."""
    for name in FILES:
        (tmp_path / f"{name}.jsonl").touch()
    rows = [
        {"text": f"made-up {label} {at}", "label": label} for at in range(60) for label in ("suicide", "non_suicide")
    ]
    (tmp_path / "risk_binary.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for seed in (3, 20):
        expected = {example.row.document for example in load(tmp_path, seed) if example.fold is None}
        rows_apart, _ = read_labelled(Task.RISK, tmp_path, None, seed, apart=True)
        assert {row.document for row in rows_apart} == expected
    with pytest.raises(UsageError, match="whole folder"):
        read_labelled(Task.RISK, tmp_path / "risk_binary.jsonl", None, 20, apart=True)
    for apart, words in ((True, "nightlight train --seed 20"), (False, "flatter it; --apart")):
        plan = Plan(tmp_path, Task.RISK, "hybrid", None, 20, 0.02, False, apart)
        found = evaluate(plan, KeywordClassifier, Policy(), Console(file=io.StringIO()))
        assert found.rows == (len(expected) if apart else 120)
        shown = io.StringIO()
        show(found, Console(file=shown, width=200))
        assert words in shown.getvalue()
    assert words in render(found)


def test_rows_left_out_are_said(tmp_path: Path) -> None:
    """A label that no task knows, as a misspelt one; nothing is said of rows that are labelled for another task."""
    labels = ["suicide", "non_suicide", "mh", "Suicide", "suicidal"]
    file = tmp_path / "ours.jsonl"
    file.write_text("\n".join(json.dumps({"text": f"post of {label}", "label": label}) for label in labels))
    found = evaluate(Plan(file, Task.RISK, "hybrid", None, 1, 0.02, False), KeywordClassifier, Policy(), Console())
    shown = io.StringIO()
    show(found, Console(file=shown, width=200))
    assert (found.rows, found.unknown_labels) == (2, 2)
    assert "Left out: 2 rows whose label is not known." in shown.getvalue()


@pytest.mark.parametrize("command", [("evaluate", "--task", "risk"), ("tune", "--min-recall", "0.5")])
@pytest.mark.parametrize("seed", ["-1", str(2**32)])
def test_a_seed_that_is_none_is_refused(tmp_path: Path, command: tuple[str, ...], seed: str) -> None:
    """As a wrong option, before anything is read."""
    done = CliRunner().invoke(app, [command[0], str(tmp_path), *command[1:], "--seed", seed])
    assert (done.exit_code, "Invalid value for '--seed'" in done.output) == (2, True)


def test_a_figure_in_brief() -> None:
    """Its interval only where there is one, no minus before a zero, and nothing where there is no figure."""
    assert brief(Figure(0.5, 0.25, 0.75, 9)) == "0.50 (0.25–0.75)"
    assert brief(Figure(-0.0001, -0.001, 0.001, 9)) == "0.00 (0.00–0.00)"
    assert brief(Figure(1.0, 1.0, 1.0, 9), 1) == "1.0"
    assert brief(Figure(math.nan, math.nan, math.nan, 9)) == brief(None) == ""
