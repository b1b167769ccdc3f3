"""The network that is fine-tuned: an encoder, and a linear head over it and over the words for every output."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from models.heads import OUTPUTS, Bag
from models.windows import Tokens, Windows


@dataclass(frozen=True, slots=True)
class Batch:
    """Posts as tensors. `ids` and `mask` are (windows, tokens), and window w belongs to post `owner[w]`.

    `positions`, `values` and `starts` are the weighed words of every window (see `Bag`), one window after the other;
    those of `whole` are of every post.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    owner: torch.Tensor
    posts: int
    words: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    whole: tuple[torch.Tensor, torch.Tensor, torch.Tensor]

    @classmethod
    def of(
        cls, posts: Sequence[Sequence[Tokens]], chosen: Sequence[Collection[int]], windows: Windows, bag: Bag
    ) -> Batch:
        """The batch of the `chosen` windows of each post; the words of a whole post are those of all its windows."""
        parts = [of_post[at] for of_post, picks in zip(posts, chosen, strict=True) for at in picks]
        rows = [windows.complete(part) for part in parts]
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for at, row in enumerate(rows):
            ids[at, : len(row)], mask[at, : len(row)] = row, 1
        owner = np.repeat(np.arange(len(posts)), [len(picks) for picks in chosen])
        return cls(
            ids=torch.from_numpy(ids),
            mask=torch.from_numpy(mask),
            owner=torch.from_numpy(owner),
            posts=len(posts),
            words=_weighed(parts, bag),
            whole=_weighed([np.concatenate(of_post) for of_post in posts], bag),
        )

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(
            self.ids.to(device),
            self.mask.to(device),
            self.owner.to(device),
            self.posts,
            tuple(each.to(device) for each in self.words),  # type: ignore[arg-type]
            tuple(each.to(device) for each in self.whole),  # type: ignore[arg-type]
        )


def _weighed(texts: Sequence[Tokens], bag: Bag) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    weighed = [bag.weigh(tokens) for tokens in texts]
    counts = [len(positions) for positions, _ in weighed]
    return (
        torch.from_numpy(np.concatenate([positions for positions, _ in weighed])),
        torch.from_numpy(np.concatenate([values for _, values in weighed]).astype(np.float32)),
        torch.from_numpy(np.cumsum([0, *counts[:-1]])),
    )


class Network(torch.nn.Module):
    """Scores of posts, as `models.heads.Heads` computes them from the same weights."""

    def __init__(self, encoder: torch.nn.Module, hidden: int, bag: Bag, sharpness: torch.Tensor) -> None:
        """`sharpness` (OUTPUTS,): see `Heads`; it must be the same for all outputs where it is not 0."""
        super().__init__()
        self.encoder = encoder
        self.dense = torch.nn.Linear(hidden, OUTPUTS)
        self.words = torch.nn.EmbeddingBag(len(bag.ids), OUTPUTS, mode="sum")
        torch.nn.init.zeros_(self.dense.weight)
        torch.nn.init.zeros_(self.dense.bias)
        torch.nn.init.zeros_(self.words.weight)
        self.register_buffer("by_window", sharpness > 0, persistent=False)
        self.sharp = float(sharpness.max())

    def forward(self, batch: Batch, half: bool) -> torch.Tensor:
        """Scores, float32 (posts, OUTPUTS). `half`: the encoder computes in bfloat16."""
        with torch.autocast(batch.ids.device.type, dtype=torch.bfloat16, enabled=half):
            states = self.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        mask = batch.mask.unsqueeze(-1).float()
        vectors = (states.float() * mask).sum(1) / mask.sum(1)
        counts = torch.zeros(batch.posts, device=vectors.device).index_add(
            0, batch.owner, torch.ones(len(vectors), device=vectors.device)
        )
        means = torch.zeros(batch.posts, vectors.shape[1], device=vectors.device).index_add(0, batch.owner, vectors)
        whole = self._score(means / counts[:, None], batch.whole)
        sharp = self._score(vectors, batch.words) * self.sharp
        owner = batch.owner[:, None].expand_as(sharp)
        top = torch.full_like(whole, -torch.inf).scatter_reduce(0, owner, sharp, "amax").detach()
        total = torch.zeros_like(whole).index_add(0, batch.owner, torch.exp(sharp - top[batch.owner]))
        pooled = (torch.log(total / counts[:, None]) + top) / self.sharp
        return torch.where(self.get_buffer("by_window"), pooled, whole)

    def _score(self, vectors: torch.Tensor, words: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
        positions, values, starts = words
        score: torch.Tensor = self.dense(vectors) + self.words(positions, starts, per_sample_weights=values)
        return score


class _DimensionDropout(torch.nn.Module):
    """Dropout that draws once for a window and dimension. Drawing for every token takes a processor as long as all its
    matrix products."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return states
        kept = torch.rand(states.shape[0], 1, states.shape[-1], device=states.device) >= self.p
        return states * (kept / (1 - self.p)).to(states.dtype)


def drop_dimensions(encoder: torch.nn.Module) -> None:
    """Puts dropout of whole dimensions in the place of all dropout in the encoder."""
    for module in list(encoder.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Dropout) and child.p > 0:
                setattr(module, name, _DimensionDropout(child.p))


def misfit(scores: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, rise: torch.Tensor) -> torch.Tensor:
    """The mean over posts of the weighted log loss of what is known of them; targets that are NaN teach nothing.

    All are (posts, OUTPUTS) but `rise` (OUTPUTS,), the weight of a target of 1 beside one of 0.
    """
    known = ~torch.isnan(targets)
    loss = binary_cross_entropy_with_logits(
        scores, torch.nan_to_num(targets), weight=weights * known, pos_weight=rise, reduction="sum"
    )
    return loss / len(scores)
