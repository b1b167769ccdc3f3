"""The record of a training run: what it was asked for, with which data and code, its losses and its figures."""

from __future__ import annotations

import csv
import json
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from models.evaluate import Figure, plain
from models.labels import Task
from models.onnx_export import sha256_of
from models.scorecard import Scorecard

# What a run is made from, by the name that its files have in the record.
INPUTS = ("data", "base", "layers", "teacher", "opinions")

_CONFIG = "config.json"
_SMOOTHED = 50

Measured = Mapping[str, Sequence[Scorecard]]


def begin(
    run: Path, asked: Mapping[str, Any], plan: Mapping[str, Any] | None, inputs: Mapping[str, Sequence[Path]]
) -> None:
    """`config.json`: the settings, the plan that came of them (None: no layer is fine-tuned), the revision of the code,
    the versions that matter and the hashes of `INPUTS`."""
    said = {
        "asked": {name: str(value) if isinstance(value, Path) else value for name, value in asked.items()},
        "plan": plan,
        "revision": _revision(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("torch", "transformers", "numpy", "onnxruntime")},
        **{name: {path.name: sha256_of(path) for path in inputs[name]} for name in INPUTS},
    }
    (run / _CONFIG).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def read(run: Path) -> Mapping[str, Any]:
    """What `begin` wrote."""
    said: Mapping[str, Any] = json.loads((run / _CONFIG).read_text(encoding="utf-8"))
    return said


def losses(run: Path, values: Sequence[float]) -> None:
    """`loss.csv`, one step a line, and the curve in `loss.png`, smoothed over 50 steps; no curve of no step."""
    with (run / "loss.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("step", "loss"))
        writer.writerows((step, f"{value:.5f}") for step, value in enumerate(values, 1))
    if not values:
        return
    from matplotlib.figure import Figure as Drawing

    width = min(_SMOOTHED, len(values))
    smooth = np.convolve(values, np.ones(width) / width, mode="valid")
    drawing = Drawing(figsize=(7, 3.5), layout="constrained")
    axes = drawing.subplots()
    axes.plot(np.arange(1, len(values) + 1), values, color="0.8", linewidth=0.6)
    axes.plot(np.arange(width, len(values) + 1), smooth, color="#20639b", linewidth=1.6)
    axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    drawing.savefig(run / "loss.png", dpi=120)


def write(run: Path, measured: Measured) -> None:
    """`metrics.json`: every scorecard, by who judged. A figure that cannot be computed is null."""
    _write({name: [asdict(each) for each in cards] for name, cards in measured.items()}, run / "metrics.json")


def write_folds(run: Path, results: Sequence[Measured]) -> None:
    """`folds.json`: the main figures of every fold as served, stress by the encoder, with their mean and deviation."""
    folds = [dict(main_figures([*measured["hybrid"], *_of_stress(measured["encoder"])])) for measured in results]
    said = {}
    for name in folds[0]:
        values = np.array([fold[name].value for fold in folds if name in fold])
        if len(values) == len(folds):
            deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            said[name] = {"folds": values, "mean": float(values.mean()), "deviation": deviation}
    _write(said, run / "folds.json")


def _of_stress(cards: Sequence[Scorecard]) -> list[Scorecard]:
    return [each for each in cards if each.task is Task.STRESS]


def _write(said: Mapping[str, Any], file: Path) -> None:
    file.write_text(json.dumps(plain(said), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def main_figures(cards: Sequence[Scorecard]) -> list[tuple[str, Figure]]:
    """Macro-F1 and balanced accuracy of every part over all its rows, and what has a figure and no scheme."""
    found = []
    for each in cards:
        for part in each.parts:
            for name in ("macro_f1", "balanced_accuracy"):
                found.append((f"{part.name}: {name}", part.slices[0].overall[name]))
        found += [(name, figure) for name, figure in each.others.items()]
    return found


def _revision() -> str:
    """The revision of the code, where it lies in a repository of its own, with -dirty where files differ from it;
    "unknown" in an installed package."""
    git, root = shutil.which("git"), Path(__file__).parents[2]
    if git is None or not (root / ".git").exists():
        return "unknown"
    asked = [git, "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or "unknown"
