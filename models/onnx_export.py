"""From a Hugging Face encoder to the int8 ONNX file that serves it, made once a machine and kept in a cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from models.errors import ModelError

if TYPE_CHECKING:
    import torch

# Raise it with every change to what is written: files of another recipe are made anew.
RECIPE = 3

_FILE = "model.onnx"
_HASH_FILE = "model.sha256"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What an encoder is made of: a Hugging Face folder, and the file of fine-tuned layers that replace its own.

    `features` is what comes out, one after the other: `mean N` or `spread N` for the mean or the standard deviation
    over the tokens of hidden state N (0 is the word embeddings). Layers above the highest N named are left out.
    """

    base: Path
    base_sha256: str
    features: tuple[str, ...]
    layers: Path | None = None
    layers_sha256: str = ""

    @property
    def depth(self) -> int:
        """How many layers it takes."""
        return max(int(feature.split()[1]) for feature in self.features)


def onnx_file(blueprint: Blueprint, progress: Progress | None = None) -> Path:
    """The int8 ONNX file of an encoder, exported now if this machine has none that is whole.

    Input `input_ids`, int64 (1, tokens); output `embedding`, float32 (1, len(features) * hidden).
    `progress` is told one line before an export, which takes some ten seconds and needs torch. Processes may race: each
    ends with a whole file.

    Raises ModelError when the folder holds no encoder that can be exported, or the cache cannot be written.
    """
    folder = _cache_folder() / _key(blueprint)
    if not _is_whole(folder):
        if progress is not None:
            progress(f"Preparing the model in {blueprint.base} for this machine (once, about ten seconds)")
        try:
            _make(blueprint, folder)
        except (OSError, ValueError, IndexError, KeyError, RuntimeError, ImportError) as error:
            raise ModelError(f"cannot prepare the model in {blueprint.base}: {error}") from error
    return folder / _FILE


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal. Raises ModelError when it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}") from error


def _is_whole(folder: Path) -> bool:
    """Whether the file is there and is what was written, by the hash beside it."""
    file, hash_file = folder / _FILE, folder / _HASH_FILE
    return file.is_file() and hash_file.is_file() and hash_file.read_bytes() == sha256_of(file).encode()


def _cache_folder() -> Path:
    override = os.environ.get("NIGHTLIGHT_CACHE_DIR")
    return Path(override) if override else Path(platformdirs.user_cache_dir("nightlight"))


def _key(blueprint: Blueprint) -> str:
    parts = [
        blueprint.base_sha256,
        f"layers {blueprint.layers_sha256}",
        f"recipe {RECIPE}",
        f"features {list(blueprint.features)}",
        *(f"{package} {metadata.version(package)}" for package in ("torch", "onnxruntime")),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _make(blueprint: Blueprint, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # On the same file system as its target, so that one rename puts the model and its hash in place together.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        export_float32(blueprint, Path(temporary) / "float32.onnx")
        _quantize(Path(temporary) / "float32.onnx", new / _FILE)
        (new / _HASH_FILE).write_text(sha256_of(new / _FILE), encoding="ascii")
        with contextlib.suppress(OSError):
            folder.rename(Path(temporary) / "damaged")
        try:
            new.rename(folder)
        except OSError:
            if not _is_whole(folder):  # else another process was first, which is as good
                raise


def load_encoder(blueprint: Blueprint, **settings: float) -> torch.nn.Module:
    """The encoder in float32, as a Hugging Face model of no more layers than it takes, in evaluation mode.

    `settings` take the place of those in the base's own configuration. Raises OSError, ValueError, KeyError or
    RuntimeError when a file is missing, damaged or of another shape, or the base has fewer layers.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModel

    base = str(blueprint.base)
    try:
        with _quiet():
            layers = getattr(AutoConfig.from_pretrained(base, local_files_only=True), "num_hidden_layers", 0)
            if blueprint.depth > layers:  # the library would fill the others with noise
                raise ValueError(f"it has {layers} layers, and {blueprint.depth} are asked for")
            encoder = AutoModel.from_pretrained(
                base,
                local_files_only=True,
                use_safetensors=True,
                attn_implementation="eager",
                dtype=torch.float32,
                num_hidden_layers=blueprint.depth,
                **settings,
            )
        if blueprint.layers is not None:
            tensors = {name: tensor.float() for name, tensor in load_file(blueprint.layers).items()}
            encoder.encoder.load_state_dict(tensors)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    module: torch.nn.Module = encoder.eval()
    return module


def pooled_encoder(blueprint: Blueprint) -> torch.nn.Module:
    """From `input_ids` and `attention_mask`, both (rows, tokens), to the embedding: what `onnx_file` describes.

    Without a mask all tokens count. In evaluation mode; pooling is part of it, so that no token vector ever leaves the
    graph. Raises as `load_encoder`.
    """
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self, encoder: torch.nn.Module) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
            states = self.encoder(
                input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
            ).hidden_states

            def mean_of(tokens: torch.Tensor) -> torch.Tensor:
                if attention_mask is None:
                    return tokens.mean(1)
                mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
                return (tokens * mask).sum(1) / mask.sum(1)

            pooled = []
            for feature in blueprint.features:
                kind, layer = feature.split()
                state = states[int(layer)]
                mean = mean_of(state)
                if kind == "spread":
                    pooled.append(torch.sqrt(mean_of((state - mean.unsqueeze(1)) ** 2) + 1e-6))
                else:
                    pooled.append(mean)
            return torch.cat(pooled, dim=1)

    return Pooled(load_encoder(blueprint)).eval()


def export_float32(blueprint: Blueprint, target: Path) -> None:
    """Write the encoder with its pooling to `target` as it is, without quantisation; see `onnx_file`."""
    import torch

    pooled = pooled_encoder(blueprint)
    with _quiet(), torch.no_grad():
        # One row and no mask, as each window is run alone: a graph without them is about a twentieth faster.
        torch.onnx.export(
            pooled,
            (torch.ones(1, 16, dtype=torch.long),),
            str(target),
            dynamo=False,
            opset_version=17,
            input_names=["input_ids"],
            output_names=["embedding"],
            dynamic_axes={"input_ids": {1: "tokens"}},
        )


def _quantize(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        # Seven bits a weight: processors without VNNI add two products in 16 bits, and with eight bits the sum can
        # overflow, so that the same post would be judged differently from machine to machine.
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracer's warnings and the loader's progress bars off the user's terminal."""
    import logging

    from transformers.utils import logging as transformers_logging

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
