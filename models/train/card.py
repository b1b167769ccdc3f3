"""The model card: every figure of the rows kept apart, written by the run that made the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import ArrayLike, NDArray

from models.encoder import Manifest, Reader
from models.evaluate import (
    Metric,
    balanced_accuracy,
    binary_f1,
    bootstrap,
    expected_calibration_error,
    flagged,
    levels,
    macro_binary_f1,
    macro_f1,
)
from models.heads import TASKS, Encoded, Floats, Heads, to_assessment
from models.hybrid import join
from models.labels import Disorder, Risk, Severity
from models.onnx_export import export_float32
from models.rules import Rules
from models.train.data import Example

_RAISED_RISK = list(Risk)[1:]
# What an explicit statement may be worth: a level of risk or severity, or one above it.
_CLAIMS = (*_RAISED_RISK, *list(Severity)[1:])
# Rows on which int8 and float32 are compared.
_COMPARED = 600


@dataclass(frozen=True)
class Trial:
    """A trained model and the rows kept apart, encoded; `unshifted`: the heads before thresholds were moved to 0.5."""

    rows: Sequence[Example]
    posts: Sequence[Encoded]
    heads: Heads
    unshifted: Heads
    rules: Rules
    manifest: Manifest

    @cached_property
    def probabilities(self) -> Floats:
        """What the encoder says of every row, (rows, outputs)."""
        return self.heads.judge(self.posts)

    @cached_property
    def hybrid_risk(self) -> Floats:
        """P(risk >= level) of every row once the rules have had their say, (rows, levels above none)."""
        precision = self.manifest.rule_precision
        joined = [
            join(self.rules.annotate(row.document), to_assessment(p, {}), precision).risk
            for row, p in zip(self.rows, self.probabilities, strict=True)
        ]
        return np.array([[risk.at_least(level) for level in _RAISED_RISK] for risk in joined], dtype=np.float32)

    @cached_property
    def targets(self) -> Floats:
        """What is true of every row, NaN where unknown, (rows, outputs)."""
        return np.stack([row.targets for row in self.rows])

    def where(self, set_name: str, source: str = "", without: str = "") -> NDArray[np.bool_]:
        """Rows of one data file, of one source or without one."""
        return np.array(
            [
                row.set_name == set_name and row.source != without and (not source or row.source == source)
                for row in self.rows
            ]
        )


def write(trial: Trial, all_rows: Sequence[Example], base: Path, seed: int) -> str:
    """The card as Markdown: `cards/template.md` with the tables of this run."""
    template = (resources.files("models") / "cards" / "template.md").read_text(encoding="utf-8")
    tables = {
        "counts": _table(["set", "source", "rows", "to learn from", "kept apart"], _counts(all_rows)),
        "figures": _table(["task", "rows", "figure", "measured (95 % interval)"], _figures(trial)),
        "by_disorder": _table(["disorder", "all rows", "rows that do not name it"], _by_disorder(trial)),
        "calibration": _table(["head", "as shipped", "before the shift"], _calibration(trial)),
        "rule_precision": _table(["statement", *_CLAIMS], _rule_precision(trial.manifest)),
        "int8": _int8(trial, base),
    }
    # Markdown of our own figures, never of anybody's text: nothing to escape.
    environment = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701
    return environment.from_string(template).render(
        name=trial.manifest.name, base_sha256=trial.manifest.base_sha256, seed=seed, **tables
    )


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def _counts(rows: Sequence[Example]) -> Iterator[Sequence[str]]:
    total = Counter((row.set_name, row.source) for row in rows)
    apart = Counter((row.set_name, row.source) for row in rows if row.fold is None)
    for (name, source), count in sorted(total.items()):
        kept = apart[name, source]
        yield name, source, f"{count:,}", f"{count - kept:,}", f"{kept:,}"


def _figures(trial: Trial) -> Iterator[Sequence[str]]:
    p, y = trial.probabilities, trial.targets

    def figure(task: str, name: str, metric: Metric, truth: ArrayLike, decided: ArrayLike) -> Sequence[str]:
        measured = bootstrap(metric, truth, decided)
        return task, f"{measured.rows:,}", name, str(measured)

    def both(task: str, truth: ArrayLike, decided: ArrayLike) -> Iterator[Sequence[str]]:
        yield figure(task, "macro-F1", macro_f1, truth, decided)
        yield figure(task, "balanced accuracy", balanced_accuracy, truth, decided)

    severity = TASKS["severity"]
    for source, scheme in (("naseem_severity", "four levels"), ("depsign_2022", "three levels, no mild")):
        own = trial.where("severity4", source)
        yield from both(f"severity, {source} ({scheme})", levels(y[own, severity]), levels(p[own, severity]))

    disorders = TASKS["disorders"]
    own = trial.where("disorder")
    unnamed = own & ~np.array([row.label_mentioned for row in trial.rows])
    for words, chosen in (("all rows", own), ("the label not named in the text", unnamed)):
        truth, decided = y[chosen, disorders] == 1, p[chosen, disorders] >= 0.5
        yield figure(f"disorders, {words}", "macro-F1 of nine", macro_binary_f1, truth, decided)

    at_ideation = 1
    for model, risk in (("encoder", p[:, TASKS["risk"]]), ("hybrid", trial.hybrid_risk)):
        for words, own in (
            ("all rows", trial.where("risk_binary")),
            ("sdcnl", trial.where("risk_binary", source="sdcnl")),
            ("without sdcnl", trial.where("risk_binary", without="sdcnl")),
        ):
            truth = np.array([row.label == "suicide" for row in trial.rows])[own]
            reached = levels(risk[own]) > at_ideation
            yield from both(f"risk_binary, {words} ({model}, at least ideation)", truth, reached)
        own = trial.where("risk_cssrs")
        truth = levels(y[own, TASKS["risk"]])
        yield from both(f"risk_cssrs, five levels ({model})", truth, levels(risk[own]))
        yield from both(
            f"risk_cssrs, at least ideation ({model})", truth > at_ideation, levels(risk[own]) > at_ideation
        )

    own = trial.where("relevance")
    truth, decided = y[own, 0] == 1, p[own, 0] >= 0.5
    yield figure("relevance", "F1", binary_f1, truth, decided)
    yield figure("relevance", "balanced accuracy", balanced_accuracy, truth, decided)
    own = trial.where("relevance_ambiguous")
    decided = p[own, 0] >= 0.5
    yield figure("relevance_ambiguous", "share flagged as mental health", flagged, decided, decided)
    decided = levels(trial.hybrid_risk[own]) > at_ideation
    yield figure("relevance_ambiguous", "share at ideation or above (hybrid)", flagged, decided, decided)


def _by_disorder(trial: Trial) -> Iterator[Sequence[str]]:
    own = trial.where("disorder")
    unnamed = own & ~np.array([row.label_mentioned for row in trial.rows])
    for index, disorder in enumerate(Disorder):
        column = TASKS["disorders"].start + index
        measured = [
            bootstrap(binary_f1, trial.targets[rows, column] == 1, trial.probabilities[rows, column] >= 0.5)
            for rows in (own, unnamed)
        ]
        yield disorder, *(str(figure) for figure in measured)


_CALIBRATED = {"relevance": "relevance", "disorders": "disorder", "severity": "severity4"}


def _calibration(trial: Trial) -> Iterator[Sequence[str]]:
    before = trial.unshifted.judge(trial.posts)
    sets = np.array([row.set_name for row in trial.rows])
    for task, columns in TASKS.items():
        own = np.isin(sets, ["risk_cssrs", "risk_binary"]) if task == "risk" else sets == _CALIBRATED[task]
        truth = trial.targets[own, columns]
        known = ~np.isnan(truth).any(axis=1) if task != "risk" else ~np.isnan(truth[:, 1])
        chosen = slice(None) if task != "risk" else slice(1, 2)
        cells = [
            str(bootstrap(expected_calibration_error, truth[known, chosen], p[own, columns][known, chosen]))
            for p in (trial.probabilities, before)
        ]
        yield ("risk (at least ideation)" if task == "risk" else task), *cells


def _rule_precision(manifest: Manifest) -> Iterator[Sequence[str]]:
    for level in _RAISED_RISK:
        shares = manifest.rule_precision[level]
        yield level, *(f"{shares[claim]:.3f}" if claim in shares else "" for claim in _CLAIMS)


def _int8(trial: Trial, base: Path) -> str:
    step = max(1, len(trial.rows) // _COMPARED)
    chosen = slice(None, None, step)
    rows = trial.rows[chosen]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "float32.onnx"
        export_float32(base, file, trial.manifest.features)
        reader = Reader(base / "tokenizer.json", file, trial.manifest.window_tokens)
        posts = list(reader.read([row.document.text for row in rows]))
    exact = trial.heads.judge(posts)
    served = trial.probabilities[chosen]
    gap = np.abs(exact - served)
    changed = float(np.mean((exact >= 0.5) != (served >= 0.5)))
    return (
        f"Over {len(rows):,} of the rows kept apart and all {gap.shape[1]} outputs: mean difference of a probability "
        f"{gap.mean():.4f}, 99th percentile {np.percentile(gap, 99):.3f}; {changed:.2%} of the decisions at 0.5 change."
    )
