"""The model card: every figure of the rows kept apart, written by the run that made the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from models.assessment import Classifier
from models.encoder import SHIPPED_BASE, UNMEASURED, Encoder, Manifest, Reader, prepare
from models.hybrid import Hybrid
from models.labelled import Row
from models.labels import Disorder, Risk, Severity, Task
from models.onnx_export import export_float32
from models.scorecard import TASKS, Scorecard, Slice, is_user, judge_rows, score, score_stress
from models.train.data import INVENTED, OPINIONS, Example
from models.train.lessons import APPETITE
from models.train.record import INPUTS, main_figures
from models.windows import Windows

# What an explicit statement may be worth: a level of risk or severity, or one above it.
_CLAIMS = (*list(Risk)[1:], *list(Severity)[1:])
# Every such row is also read in float32, which takes three times as long.
_COMPARED = 3
# Windows that hold all of nearly every post.
_ALL_WINDOWS = 32

# Without the rows that are there for a stream of posts to count alerts in.
_RISK = {name: TASKS[Task.RISK][name] for name in ("risk_binary", "risk_cssrs", "relevance_ambiguous")}

_WORDS = {
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "balanced_accuracy": "balanced accuracy",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "mean_ordinal_error": "mean ordinal error",
    "expected_calibration_error": "calibration error",
}
_COLUMNS = tuple(_WORDS)

# `digest` of the data files that the model in the box was made from: what is known of these is known of no others.
RESEARCH_DATA = "7f44de96db3127d81a085521383ea81a0e63bbef354d51a733f06c0cafbb0138"

Measured = Mapping[str, Sequence[Scorecard]]


def measure(folder: Path, apart: Sequence[Example]) -> Measured:
    """Scorecards of the model folder on these rows, by who judged.

    `encoder` and `hybrid` are what is served; `float32` is the encoder without quantisation and `int8` the served one,
    on every third row; `windows` and `ends` are the encoder on long posts, read whole in windows or, as served, by head
    and tail. Raises ModelError when the folder is unsound.
    """
    rows = [example.row for example in apart]
    encoder = Encoder.load(folder)
    manifest = Manifest.read(folder)
    blueprint = manifest.blueprint(folder)
    tokenizer = blueprint.base / "tokenizer.json"
    served, whole = (Windows(tokenizer, manifest.window_tokens, most) for most in (manifest.windows, _ALL_WINDOWS))
    long = [row for row in rows if not is_user(row) and len(whole.cut([row.document.text])[0]) > manifest.windows]
    with TemporaryDirectory() as temporary:
        file = Path(temporary) / "float32.onnx"
        export_float32(blueprint, file)
        float32 = encoder.reading_with(Reader(served, file))
        return {
            "hybrid": _cards(Hybrid.load(folder), rows),
            "encoder": _cards(encoder, rows),
            "int8": _cards(encoder, rows[::_COMPARED]),
            "float32": _cards(float32, rows[::_COMPARED]),
            "windows": _cards(encoder.reading_with(Reader(whole, prepare(folder))), long),
            "ends": _cards(encoder, long),
        }


def _cards(classifier: Classifier, rows: Sequence[Row]) -> list[Scorecard]:
    cards = []
    for task, files in {**TASKS, Task.RISK: _RISK}.items():
        own = [row for row in rows if row.set_name in files and files[row.set_name].issuperset(row.labels)]
        if not own:
            continue
        if task is not Task.STRESS:
            cards.append(score(task, own, judge_rows(classifier, own)))
        elif isinstance(classifier, Encoder):
            cards.append(score_stress(own, np.array(classifier.stress([row.document for row in own]))))
    return cards


def write(
    folder: Path,
    made: Mapping[str, Any],
    measured: Measured,
    skims: tuple[object, object] | None,
    examples: Sequence[Example],
) -> str:
    """The card as Markdown: `cards/template.md` with the tables of this run; `made` is its `config.json`."""
    template = (resources.files("models") / "cards" / "template.md").read_text(encoding="utf-8")
    manifest = Manifest.read(folder)
    passes = made["plan"]["passes"] if made["plan"] else 0.0
    tables = {
        "inputs": _table(["input", "file", "sha256"], _inputs(made)),
        "counts": _table(["set", "source", "rows", "to learn from", "read", "kept apart"], _counts(examples, passes)),
        "figures": _table(["task", "rows", *(_WORDS[name] for name in _COLUMNS)], _figures(measured)),
        "others": _table(["figure", "rows", "measured"], _others(measured)),
        "by_label": _table(["label", "precision", "recall", "F1", "AUROC"], _by_label(measured["hybrid"])),
        "rule_precision": _table(["statement", *_CLAIMS], _rule_precision(manifest)),
        "int8": _table(["figure", "float32", "int8"], _beside(measured, "float32", "int8")),
        "ends": _table(["figure", "head and tail", "all windows"], _beside(measured, "ends", "windows")),
    }
    labels = Counter((example.set_name, example.row.labels[0]) for example in examples)
    rows = Counter(example.set_name for example in examples)
    # Markdown of our own figures, never of anybody's text: nothing to escape.
    environment = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701
    return environment.from_string(template).render(
        name=manifest.name,
        base_sha256=manifest.base_sha256,
        unsure=manifest.unsure,
        whole=manifest.whole,
        doubt_measured=manifest.unsure != UNMEASURED,
        depth=manifest.features[0].split()[1],
        window_tokens=manifest.window_tokens,
        disorders=len(Disorder),
        skims=skims,
        made=made,
        plan=made["plan"],
        layers=made["layers"],
        small=manifest.package == SHIPPED_BASE,
        research=digest(made["data"]) == RESEARCH_DATA,
        mild=labels["severity4", Severity.MILD],
        severity=rows["severity4"],
        users=rows["risk_cssrs"],
        opinions=rows[OPINIONS],
        **tables,
    )


def digest(hashes: Mapping[str, str]) -> str:
    """One hash for files, from those of each by its name."""
    return sha256("".join(f"{name} {each}\n" for name, each in sorted(hashes.items())).encode()).hexdigest()


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def _inputs(made: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for name in INPUTS:
        for file, sha256_of_it in made[name].items():
            yield name, file, f"`{sha256_of_it}`"


def _counts(examples: Sequence[Example], passes: float) -> Iterator[Sequence[str]]:
    total = Counter((example.set_name, example.row.source) for example in examples if example.set_name != INVENTED)
    apart = Counter((example.set_name, example.row.source) for example in examples if example.fold is None)
    for (name, source), count in sorted(total.items()):
        kept = apart[name, source]
        read = _times(APPETITE.get(source, APPETITE.get(name, 1.0)) * passes)
        yield name, source, f"{count:,}", f"{count - kept:,}", read, f"{kept:,}"
    invented = sum(example.set_name == INVENTED for example in examples)
    yield INVENTED, "our own", f"{invented:,}", f"{invented:,}", _times(APPETITE[INVENTED] * passes), "0"


def _times(read: float) -> str:
    """How often the network reads a row; nothing where there is only an encoder that learns nothing."""
    return f"{read:g} times" if read else ""


def _slices(cards: Sequence[Scorecard]) -> Iterator[tuple[Task, str, Slice]]:
    for each in cards:
        for part in each.parts:
            for piece in part.slices:
                yield each.task, part.name if piece is part.slices[0] else f"{part.name}, {piece.name}", piece


def _figures(measured: Measured) -> Iterator[Sequence[str]]:
    """Every part and slice as served; risk also by the encoder alone, and stress, which the dictionary knows not."""
    served = {Task.RELEVANCE, Task.DISORDERS, Task.SEVERITY, Task.RISK}
    for judge, tasks in (("hybrid", served), ("encoder", {Task.RISK, Task.STRESS})):
        for task, name, piece in _slices(measured[judge]):
            if task in tasks:
                words = f"{name} (encoder alone)" if judge == "encoder" and task is Task.RISK else name
                cells = (str(piece.overall[figure]) if figure in piece.overall else "" for figure in _COLUMNS)
                yield words, f"{piece.rows:,}", *cells


def _others(measured: Measured) -> Iterator[Sequence[str]]:
    for each in measured["hybrid"]:
        for name, figure in each.others.items():
            yield name, f"{figure.rows:,}", str(figure)


def _by_label(cards: Sequence[Scorecard]) -> Iterator[Sequence[str]]:
    for _, name, piece in _slices(cards):
        for label, figures in piece.labels.items():
            yield f"{name}: {label}", *(str(figures[each]) for each in ("precision", "recall", "f1", "auroc"))


def _rule_precision(manifest: Manifest) -> Iterator[Sequence[str]]:
    for level in list(Risk)[1:]:
        shares = manifest.rule_precision[level]
        yield level, *(f"{shares[claim]:.3f}" if claim in shares else "" for claim in _CLAIMS)


def _beside(measured: Measured, first: str, second: str) -> Iterator[Sequence[str]]:
    one, other = (dict(main_figures(measured[name])) for name in (first, second))
    for name in one:
        yield name.replace("macro_f1", "macro-F1").replace("_", " "), str(one[name]), str(other[name])
