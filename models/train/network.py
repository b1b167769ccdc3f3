"""The network that is fine-tuned: an encoder, and a linear head over it for every output."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax, pad

from models.heads import ADJACENT, OUTPUTS, TASKS
from models.windows import Tokens, Windows


@dataclass(frozen=True, slots=True)
class Batch:
    """Posts as tensors. `ids` and `mask` are (windows, tokens), and window w belongs to post `owner[w]`."""

    ids: torch.Tensor
    mask: torch.Tensor
    owner: torch.Tensor
    posts: int

    @classmethod
    def of(cls, posts: Sequence[Sequence[Tokens]], chosen: Sequence[Collection[int]], windows: Windows) -> Batch:
        """The batch of the `chosen` windows of each post."""
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
        )

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(self.ids.to(device), self.mask.to(device), self.owner.to(device), self.posts)


class Network(torch.nn.Module):
    """Outputs of posts, as `models.heads.Heads` computes them from the same weights and no words.

    Heads over the words beside it would learn the few posts that people labelled by heart, and leave nothing for the
    encoder to learn from them.
    """

    def __init__(self, encoder: torch.nn.Module, hidden: int, sharpness: torch.Tensor) -> None:
        """`sharpness` (OUTPUTS,): see `Heads`; it must be the same for all outputs where it is not 0."""
        super().__init__()
        self.encoder = encoder
        self.dense = torch.nn.Linear(hidden, OUTPUTS)
        torch.nn.init.zeros_(self.dense.weight)
        torch.nn.init.zeros_(self.dense.bias)
        self.register_buffer("by_window", sharpness > 0, persistent=False)
        self.sharp = float(sharpness.max())

    def forward(self, batch: Batch, half: bool) -> torch.Tensor:
        """Float32 (posts, OUTPUTS); see `models.heads.log_odds`. `half`: the encoder computes in bfloat16."""
        with torch.autocast(batch.ids.device.type, dtype=torch.bfloat16, enabled=half):
            states = self.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        mask = batch.mask.unsqueeze(-1).float()
        vectors = (states.float() * mask).sum(1) / mask.sum(1)
        counts = torch.zeros(batch.posts, device=vectors.device).index_add(
            0, batch.owner, torch.ones(len(vectors), device=vectors.device)
        )
        means = torch.zeros(batch.posts, vectors.shape[1], device=vectors.device).index_add(0, batch.owner, vectors)
        whole: torch.Tensor = self.dense(means / counts[:, None])
        sharp = self.dense(vectors) * self.sharp
        owner = batch.owner[:, None].expand_as(sharp)
        top = torch.full_like(whole, -torch.inf).scatter_reduce(0, owner, sharp, "amax").detach()
        total = torch.zeros_like(whole).index_add(0, batch.owner, torch.exp(sharp - top[batch.owner]))
        pooled = (torch.log(total / counts[:, None]) + top) / self.sharp
        return torch.where(self.get_buffer("by_window"), pooled, whole)


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


@dataclass(frozen=True, slots=True)
class Rarity:
    """What rare answers count: `yes` (OUTPUTS,) a 1 beside a 0; `levels`, by task of `ADJACENT`, each of its levels."""

    yes: torch.Tensor
    levels: Mapping[str, torch.Tensor]

    def to(self, device: torch.device) -> Rarity:
        """The same on a device."""
        return Rarity(self.yes.to(device), {task: levels.to(device) for task, levels in self.levels.items()})


def misfit(outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, rarity: Rarity) -> torch.Tensor:
    """The mean over posts of the weighted log loss of what is known of them; targets that are NaN teach nothing.

    `outputs`, `targets` and `weights` are (posts, OUTPUTS). A scale of `ADJACENT` is known as a whole or not at all.
    """
    known = ~torch.isnan(targets)
    weights, targets = weights * known, torch.nan_to_num(targets)
    apart = torch.ones(OUTPUTS, dtype=torch.bool, device=outputs.device)
    loss = torch.zeros((), device=outputs.device)
    for task in ADJACENT:
        columns = TASKS[task]
        apart[columns] = False
        of_levels = level_misfit(outputs[:, columns], targets[:, columns], rarity.levels[task])
        loss = loss + (of_levels * weights[:, columns.start]).sum()
    loss = loss + binary_cross_entropy_with_logits(
        outputs[:, apart], targets[:, apart], weights[:, apart], pos_weight=rarity.yes[apart], reduction="sum"
    )
    return loss / len(outputs)


def level_misfit(steps: torch.Tensor, reached: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Cross entropy over the levels of a scale, (posts,).

    `steps` (posts, levels - 1) are the log-odds of each level beside the one below it, `reached` of the same shape the
    true probabilities of reaching each, and `weights` (levels,) what each level counts.
    """
    likely = log_softmax(pad(steps.cumsum(dim=1), (1, 0)), dim=1)
    true = -torch.diff(pad(pad(reached, (1, 0), value=1.0), (0, 1)), dim=1)
    return -(true * likely * weights).sum(dim=1)
