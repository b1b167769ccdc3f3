"""The encoder as torch runs it: for a GPU, and for whoever wants the numbers without quantisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from models.errors import ModelError
from models.heads import Encoded, Floats
from models.onnx_export import Blueprint, pooled_encoder
from models.windows import Tokens, Windows

# Tokens run together at most, padding included: what bounds memory.
_AT_ONCE = 16_384


class TorchReader:
    """Turns texts into what the heads judge, like `models.encoder.Reader`, on a GPU where there is one.

    Float32 throughout. Windows of like length are run together, which moves a text's numbers by less than 1e-5.
    """

    def __init__(self, windows: Windows, blueprint: Blueprint, threads: int = 0) -> None:
        """`threads`, if not 0, hold for all of torch in this process. Raises ModelError when a file is missing."""
        self._windows = windows
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if threads:
            torch.set_num_threads(threads)
        try:
            self._network = pooled_encoder(blueprint).to(self._device)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"cannot load the model in {blueprint.base}: {error}") from error

    def read(self, texts: Sequence[str]) -> Iterator[Encoded]:
        """Every text, in order."""
        parts = self.tokens(texts)
        rows = [self._windows.complete(part) for of_text in parts for part in of_text]
        vectors = iter(self._run(rows))
        return iter([Encoded(np.stack([next(vectors) for _ in of_text]), of_text) for of_text in parts])

    def tokens(self, texts: Sequence[str]) -> list[list[Tokens]]:
        """Every text as it is read; see `Windows.cut`."""
        return self._windows.cut(texts)

    def _run(self, rows: Sequence[Tokens]) -> list[Floats]:
        """The vector of every row, the rows of like length together."""
        vectors: dict[int, Floats] = {}
        for places in _batches([len(row) for row in rows]):
            longest = max(len(rows[place]) for place in places)
            ids, mask = np.zeros((2, len(places), longest), dtype=np.int64)
            for at, place in enumerate(places):
                ids[at, : len(rows[place])], mask[at, : len(rows[place])] = rows[place], 1
            with torch.inference_mode():
                run = self._network(torch.from_numpy(ids).to(self._device), torch.from_numpy(mask).to(self._device))
            vectors.update(zip(places, run.float().cpu().numpy(), strict=True))
        return [vectors[place] for place in range(len(rows))]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places in `lengths`, the shortest first, in lists of at most `_AT_ONCE` tokens once they are padded."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[place] > _AT_ONCE:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
