"""From labelled posts to a model folder and its card."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.encoder import SHIPPED_BASE, Manifest, Reader, base_folder
from models.evaluate import balanced_accuracy, binary_f1, levels, macro_f1
from models.heads import OUTPUTS, TASKS, Bag, Encoded, Floats, Heads, sigmoid
from models.labels import Risk, Severity
from models.onnx_export import Progress, onnx_file, sha256_of
from models.rules import Rules
from models.train import card
from models.train.calibrate import find_shifts, fit_line
from models.train.data import FOLDS, Example, Lesson, load
from models.train.fit import Fitted, Recipe, count_words, fit

# Chosen on one fold, never on the rows kept apart. Three of MiniLM's six layers serve the heads as well as all six,
# once the words have their own weights, and in half the time.
FEATURES = ("mean 3", "spread 3")
WINDOW_TOKENS = 128
POSTS_PER_WORD = 10
RECIPES: Mapping[str, Recipe] = {
    "relevance": Recipe(sharpness=0, dense_penalty=1, word_penalty=0.5, steps=200),
    "disorders": Recipe(sharpness=0, dense_penalty=1, word_penalty=0.2, steps=250),
    "severity": Recipe(sharpness=0, dense_penalty=3, word_penalty=2, steps=200),
    "risk": Recipe(sharpness=8, dense_penalty=3, word_penalty=2, steps=200),
}

_POSTS_AT_ONCE = 1000
SCORED_SOURCES = ("naseem_severity", "depsign_2022")


def train(
    data: Path,
    out: Path,
    base: Path | None,
    seed: int,
    progress: Progress,
    embeddings: Path | None = None,
    lessons: Sequence[Lesson] = (),
) -> None:
    """Train, calibrate and measure the heads, and write the model folder `out` with its card.

    `base` is the folder of a Hugging Face encoder, copied into `out`; None takes the base in the box, which `out` then
    only names. The same data, base and seed give the same heads on one machine. `embeddings` is a folder, to be kept as
    private as the posts, where the encoded posts are stored for the next run. `lessons` are learnt from beside the
    data, and no figure is of them. Raises ModelError when the data or the base cannot be read.
    """
    folder = base or base_folder()
    manifest = Manifest(
        name="minilm" if base is None else out.name,
        package=SHIPPED_BASE if base is None else None,
        base_sha256=sha256_of(folder / "model.safetensors"),
        tokenizer_sha256=sha256_of(folder / "tokenizer.json"),
        features=FEATURES,
        window_tokens=WINDOW_TOKENS,
        rule_precision={},
    )
    model_file = onnx_file(folder, manifest.base_sha256, FEATURES, progress)
    rows = [row for row in load(data, seed, lessons) if _teaches(row)]
    progress(f"Read {len(rows)} labelled posts")
    reader = Reader(folder / "tokenizer.json", model_file, WINDOW_TOKENS)
    stored = None if embeddings is None else embeddings / f"{model_file.parent.name}.npz"
    posts = _encode(rows, reader, progress, stored)

    learning = [index for index, row in enumerate(rows) if row.fold is not None]
    learning_rows = [rows[index] for index in learning]
    learning_posts = [posts[index] for index in learning]
    unseen = _cross_fitted(learning_rows, learning_posts, progress)
    progress("Fitting the heads on all folds")
    bag = count_words(learning_posts, POSTS_PER_WORD)
    uncalibrated = fit_heads(learning_posts, *_lessons_of(learning_rows), bag)
    slope, offset, shift = _calibrate(learning_rows, unseen)
    heads = _with_calibration(uncalibrated, slope, offset + shift)

    progress("Measuring the dictionary's precision")
    rules = Rules.load()
    manifest = replace(manifest, rule_precision=rule_precision(learning_rows, rules))

    out.mkdir(parents=True, exist_ok=True)
    heads.save(out / "heads.safetensors")
    (out / "nightlight.json").write_text(json.dumps(manifest.as_json(), indent=2) + "\n", encoding="utf-8")
    if base is not None:
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            shutil.copyfile(base / name, out / name)

    progress("Measuring on the rows kept apart")
    apart = [index for index, row in enumerate(rows) if row.fold is None]
    shipped = Heads.read(out / "heads.safetensors")
    trial = card.Trial(
        rows=[rows[index] for index in apart],
        posts=[posts[index] for index in apart],
        heads=shipped,
        unshifted=_with_calibration(shipped, slope, offset),
        rules=rules,
        manifest=manifest,
    )
    text = card.write(trial, rows, folder, seed)
    (out / "card.md").write_text(text, encoding="utf-8")


def _teaches(row: Example) -> bool:
    """Rows without any target (`stress`) only take part in the grouping."""
    return not bool(np.isnan(row.targets).all())


def _encode(rows: Sequence[Example], reader: Reader, progress: Progress, file: Path | None) -> list[Encoded]:
    """Every row as the encoder reads it; equal texts are read once."""
    texts = list(dict.fromkeys(row.document.text for row in rows))
    key_of = {text: hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in texts}
    keys = list(key_of.values())
    stored: dict[str, Floats] = {}
    if file is not None and file.exists():
        with np.load(file, allow_pickle=False) as arrays:
            ends = np.cumsum(arrays["counts"])
            stored = dict(zip(arrays["keys"].tolist(), np.split(arrays["vectors"], ends[:-1]), strict=True))
    encoded: dict[str, Encoded] = {}
    for start in range(0, len(texts), _POSTS_AT_ONCE):
        batch = list(zip(texts[start : start + _POSTS_AT_ONCE], keys[start : start + _POSTS_AT_ONCE], strict=True))
        known = [text for text, key in batch if key in stored]
        for text, tokens in zip(known, reader.tokens(known), strict=True):
            encoded[text] = Encoded(stored[key_of[text]].astype(np.float32), tokens)
        unknown = [text for text, key in batch if key not in stored]
        encoded.update(zip(unknown, reader.read(unknown), strict=True))
        progress(f"Encoded {start + len(batch)} of {len(texts)} posts")
    if file is not None and len(stored) < len(texts):
        file.parent.mkdir(parents=True, exist_ok=True)
        vectors = [encoded[text].vectors.astype(np.float16) for text in texts]
        np.savez(file, keys=np.array(keys), counts=np.array([len(v) for v in vectors]), vectors=np.concatenate(vectors))
    return [encoded[row.document.text] for row in rows]


def _lessons_of(rows: Sequence[Example]) -> tuple[Floats, Floats]:
    """Targets and weights, (rows, OUTPUTS) each."""
    return np.stack([row.targets for row in rows]), np.stack([row.weights for row in rows])


def fit_heads(posts: Sequence[Encoded], targets: Floats, weights: Floats, bag: Bag | None = None) -> Heads:
    """The heads that fit best, not yet calibrated, from targets in [0, 1] (NaN: unknown) of (posts, OUTPUTS).

    A task that no post teaches gives one half for everything. `bag` is that of these posts when it is left out.
    """
    if bag is None:
        # Of less than a hundred posts hardly any word stands in ten.
        bag = count_words(posts, min(POSTS_PER_WORD, max(1, len(posts) // 10)))
    fitted = {}
    for task, columns in TASKS.items():
        taught = np.flatnonzero(~np.isnan(targets[:, columns]).all(axis=1)).tolist()
        if not taught:
            outputs = columns.stop - columns.start
            sizes = posts[0].vectors.shape[1], len(bag.ids), 1
            nothing = [np.zeros((size, outputs), dtype=np.float32) for size in sizes]
            fitted[task] = Fitted(nothing[0], nothing[1], nothing[2][0])
            continue
        own = [posts[index] for index in taught]
        fitted[task] = fit(own, targets[taught, columns], weights[taught, columns], bag, RECIPES[task])
    return _heads(fitted, bag)


def _heads(fitted: Mapping[str, Fitted], bag: Bag) -> Heads:
    return Heads(
        dense=np.concatenate([fitted[task].dense for task in TASKS], axis=1),
        words=np.concatenate([fitted[task].words for task in TASKS], axis=1),
        bias=np.concatenate([fitted[task].bias for task in TASKS]),
        bag=bag,
        sharpness=np.concatenate(
            [np.full(columns.stop - columns.start, RECIPES[task].sharpness) for task, columns in TASKS.items()]
        ).astype(np.float32),
        slope=np.ones(OUTPUTS, dtype=np.float32),
        offset=np.zeros(OUTPUTS, dtype=np.float32),
    )


def _with_calibration(heads: Heads, slope: Floats, offset: Floats) -> Heads:
    return replace(heads, slope=slope, offset=offset)


def _cross_fitted(rows: Sequence[Example], posts: Sequence[Encoded], progress: Progress) -> Floats:
    """Scores of every row by heads that did not see its fold."""
    scores = np.empty((len(rows), OUTPUTS), dtype=np.float32)
    folds = np.array([row.fold for row in rows])
    for fold in range(FOLDS):
        progress(f"Fitting the heads without fold {fold + 1} of {FOLDS}")
        seen, hidden = np.flatnonzero(folds != fold).tolist(), np.flatnonzero(folds == fold).tolist()
        heads = fit_heads([posts[index] for index in seen], *_lessons_of([rows[index] for index in seen]))
        scores[hidden] = heads.scores([posts[index] for index in hidden])
    return scores


def _calibrate(rows: Sequence[Example], scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Slope and offset that make each output true, and the shift that puts its threshold at 0.5."""
    targets, weights = _lessons_of(rows)
    lines = [fit_line(scores[:, column], targets[:, column], weights[:, column]) for column in range(OUTPUTS)]
    slope = np.array([line[0] for line in lines], dtype=np.float32)
    offset = np.array([line[1] for line in lines], dtype=np.float32)
    probabilities = sigmoid(slope * scores + offset)
    shift = np.zeros(OUTPUTS, dtype=np.float32)
    for task, worth in _worths(rows, targets).items():
        shift[TASKS[task]] = find_shifts(probabilities[:, TASKS[task]], worth)
    return slope, offset, shift


def _worths(rows: Sequence[Example], targets: Floats) -> dict[str, Callable[[Floats], float]]:
    """What the decisions of each task are judged by, over all rows that are not kept apart."""
    sets, sources = np.array([row.set_name for row in rows]), np.array([row.source for row in rows])

    def fair(truth: NDArray[np.int64], decided: NDArray[np.int64]) -> float:
        return (macro_f1(truth, decided) + balanced_accuracy(truth, decided)) / 2

    def of_relevance(p: Floats) -> float:
        own = sets == "relevance"
        return fair(targets[own, 0].astype(np.int64), (p[own, 0] >= 0.5).astype(np.int64))

    def of_disorders(p: Floats) -> float:
        values = []
        for column in range(p.shape[1]):
            truth = targets[:, TASKS["disorders"]][:, column]
            own = (sets == "disorder") & ~np.isnan(truth)
            values.append(binary_f1(truth[own].astype(np.int64), (p[own, column] >= 0.5).astype(np.int64)))
        return float(np.mean(values))

    def of_severity(p: Floats) -> float:
        truth, decided = levels(targets[:, TASKS["severity"]]), levels(p)
        return float(np.mean([fair(truth[sources == s], decided[sources == s]) for s in SCORED_SOURCES]))

    def of_risk(p: Floats) -> float:
        reached, decided = targets[:, TASKS["risk"]], levels(p)
        expert, weak = sets == "risk_cssrs", (sets == "risk_binary") & ~np.isnan(reached[:, 1])
        ordinary = (sets == "relevance") & (reached[:, 0] == 0)
        return float(
            np.mean(
                [
                    fair(levels(reached[expert]), decided[expert]),
                    fair(reached[weak, 1].astype(np.int64), (decided[weak] >= Risk.IDEATION.rank).astype(np.int64)),
                    np.mean(decided[ordinary] == 0),
                ]
            )
        )

    return {"relevance": of_relevance, "disorders": of_disorders, "severity": of_severity, "risk": of_risk}


def rule_precision(rows: Sequence[Example], rules: Rules) -> dict[str, dict[str, float]]:
    """How often a text with an explicit statement of risk stands at each level of risk and severity or above.

    Only labels that people gave to texts count: a subreddit's name cannot contradict a sentence. Laplace's rule of
    succession keeps a share of few rows from 0 and 1.
    """
    precision: dict[str, dict[str, float]] = {level.value: {} for level in list(Risk)[1:]}
    for name, task, scale in (("risk_cssrs", "risk", Risk), ("severity4", "severity", Severity)):
        own = [row for row in rows if row.set_name == name]
        explicit = [rules.annotate(row.document).explicit_risk for row in own]
        true = levels(np.stack([row.targets[TASKS[task]] for row in own]))
        for level, shares in precision.items():
            of_level = true[np.array([found == level for found in explicit])]
            for reached in list(scale)[1:]:
                # A statement says nothing of a risk above its own.
                if scale is Severity or Risk(reached) <= Risk(level):
                    shares[reached.value] = round((int(np.sum(of_level >= reached.rank)) + 1) / (len(of_level) + 2), 3)
    return precision
