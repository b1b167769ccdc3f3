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

from models.evaluate import Figure
from models.onnx_export import sha256_of
from models.scorecard import Scorecard
from models.train.data import files_of

_SMOOTHED = 50

Measured = Mapping[str, Sequence[Scorecard]]


def begin(run: Path, asked: Mapping[str, Any], data: Path) -> None:
    """`config.json`: the settings, the revision of the code, the versions that matter and the hashes of the data."""
    said = {
        "asked": {name: str(value) if isinstance(value, Path) else value for name, value in asked.items()},
        "revision": _revision(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("torch", "transformers", "numpy", "onnxruntime")},
        "data": {path.name: sha256_of(path) for path in sorted(files_of(data))},
    }
    (run / "config.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def losses(run: Path, values: Sequence[float]) -> None:
    """`loss.csv`, one step a line, and the curve in `loss.png`, smoothed over 50 steps."""
    with (run / "loss.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("step", "loss"))
        writer.writerows((step, f"{value:.5f}") for step, value in enumerate(values, 1))
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
    """`metrics.json`: every scorecard, by who judged."""
    said = {name: [asdict(each) for each in cards] for name, cards in measured.items()}
    (run / "metrics.json").write_text(json.dumps(said, indent=1, default=str) + "\n", encoding="utf-8")


def write_folds(run: Path, results: Sequence[Measured]) -> None:
    """`folds.json`: the main figures of every fold, with their mean and standard deviation."""
    folds = [dict(main_figures(measured["hybrid"])) for measured in results]
    said = {
        name: {
            "folds": [round(fold[name].value, 4) for fold in folds],
            "mean": round(float(np.mean([fold[name].value for fold in folds])), 4),
            "deviation": round(float(np.std([fold[name].value for fold in folds], ddof=1)), 4) if len(folds) > 1 else 0,
        }
        for name in folds[0]
        if all(name in fold for fold in folds)
    }
    (run / "folds.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


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
    """The revision of the code, where it lies in a repository; "unknown" in an installed package."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    here = Path(__file__).parent
    done = subprocess.run([git, "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or "unknown"
