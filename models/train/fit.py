"""Fitting linear heads: convex where a post is judged as a whole, and the same every time it is run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from models.heads import ADJACENT, ORDINAL, OUTPUTS, TASKS, Bag, Encoded, Floats, Heads
from models.train.network import level_misfit

# Three of MiniLM's layers serve frozen heads as well as all six, once the words have their own weights.
FEATURES = ("mean 3", "spread 3")
WINDOW_TOKENS = 256
# The head and the tail of a long post tell more than all its windows; see `models/cards/minilm.md`.
WINDOWS = 1
POSTS_PER_WORD = 10


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one task's heads are fitted.

    `dense_penalty` and `word_penalty` are L2 on weights whose inputs have length about 1; for `sharpness` see `Heads`.
    """

    sharpness: float
    dense_penalty: float
    word_penalty: float
    steps: int


_PLAIN = Recipe(sharpness=0, dense_penalty=3, word_penalty=2, steps=200)
RECIPES: Mapping[str, Recipe] = {
    "relevance": Recipe(sharpness=0, dense_penalty=0.03, word_penalty=0.1, steps=400),
    "disorders": Recipe(sharpness=0, dense_penalty=1, word_penalty=0.2, steps=250),
    "severity": _PLAIN,
    "risk": Recipe(sharpness=8, dense_penalty=10, word_penalty=5, steps=200),
    "stress": _PLAIN,
    "whole_severity": _PLAIN,
    "scheme": Recipe(sharpness=0, dense_penalty=0.03, word_penalty=0.01, steps=400),
}


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights for raw inputs: (dimensions, outputs), (words, outputs), (outputs,)."""

    dense: Floats
    words: Floats
    bias: Floats


def count_words(posts: Sequence[Encoded]) -> Bag:
    """The tokens that stand in enough of the posts, with their inverse document frequency."""
    # Of less than a hundred posts hardly any word stands in ten.
    return count_terms([np.concatenate(post.tokens) for post in posts], min(POSTS_PER_WORD, max(1, len(posts) // 10)))


def count_terms(posts: Sequence[NDArray[np.int64]], least: int) -> Bag:
    """What stands in at least so many of the posts, with its inverse document frequency."""
    ids, frequency = np.unique(np.concatenate([np.unique(post) for post in posts]), return_counts=True)
    ids, frequency = ids[frequency >= least], frequency[frequency >= least]
    return Bag(ids, (np.log((1 + len(posts)) / (1 + frequency)) + 1).astype(np.float32))


def fit_heads(
    posts: Sequence[Encoded],
    targets: Floats,
    weights: Floats,
    bag: Bag | None = None,
    tasks: Collection[str] = frozenset(TASKS),
    by_words: Collection[str] = frozenset(),
) -> Heads:
    """The heads that fit best, not calibrated, from targets in [0, 1] (NaN: unknown) of (posts, OUTPUTS).

    Without a bag of words they take the ones that stand in enough of the posts. A task that is not among `tasks`, or
    that no post teaches, gives one half for everything; of those in `by_words` words tell all.
    """
    if bag is None:
        bag = count_words(posts)
    wanted = np.where(_columns(tasks), targets, np.nan)
    of_words = [replace(post, vectors=np.zeros_like(post.vectors)) for post in posts] if by_words else []
    fitted = [_taught(task, of_words if task in by_words else posts, wanted, weights, bag) for task in TASKS]
    outputs = [columns.stop - columns.start for columns in TASKS.values()]
    return uncalibrated(
        dense=np.concatenate([each.dense for each in fitted], axis=1),
        words=np.concatenate([each.words for each in fitted], axis=1),
        bias=np.concatenate([each.bias for each in fitted]),
        bag=bag,
        sharpness=np.repeat([RECIPES[task].sharpness for task in TASKS], outputs).astype(np.float32),
    )


def with_tasks_of(fitted: Heads, own: Heads, tasks: Collection[str]) -> Heads:
    """The fitted heads and, for these tasks, those of `own` added to them; both are over the same words."""
    columns = _columns(tasks)
    return replace(
        fitted,
        dense=fitted.dense + np.where(columns, own.dense, 0),
        words=fitted.words + np.where(columns, own.words, 0),
        bias=fitted.bias + np.where(columns, own.bias, 0),
        sharpness=np.where(columns, own.sharpness, fitted.sharpness),
    )


def _columns(tasks: Collection[str]) -> NDArray[np.bool_]:
    """Which outputs belong to these tasks, (OUTPUTS,)."""
    columns = np.zeros(OUTPUTS, dtype=np.bool_)
    for task in tasks:
        columns[TASKS[task]] = True
    return columns


def uncalibrated(dense: Floats, words: Floats, bias: Floats, bag: Bag, sharpness: Floats) -> Heads:
    """Heads that take their scores for log-odds and decide at one half."""
    return Heads(
        dense=dense,
        words=words,
        bias=bias,
        bag=bag,
        sharpness=sharpness,
        slope=np.ones(OUTPUTS, dtype=np.float32),
        offset=np.zeros(OUTPUTS, dtype=np.float32),
        threshold=np.full(OUTPUTS, 0.5, dtype=np.float32),
        weights={task: np.ones(len(known), dtype=np.float32) for task, known in ORDINAL.items()},
    )


def _taught(task: str, posts: Sequence[Encoded], targets: Floats, weights: Floats, bag: Bag) -> Fitted:
    columns = TASKS[task]
    own = np.flatnonzero(~np.isnan(targets[:, columns]).all(axis=1)).tolist()
    if own:
        known = [posts[at] for at in own]
        return fit(known, targets[own, columns], weights[own, columns], bag, RECIPES[task], task in ADJACENT)
    outputs = columns.stop - columns.start
    dense, words = (np.zeros((size, outputs), dtype=np.float32) for size in (posts[0].vectors.shape[1], len(bag.ids)))
    return Fitted(dense, words, np.zeros(outputs, dtype=np.float32))


def fit(
    posts: Sequence[Encoded],
    targets: Floats,
    weights: Floats,
    bag: Bag,
    recipe: Recipe,
    adjacent: bool = False,
) -> Fitted:
    """Minimise the weighted log loss plus the penalties with L-BFGS.

    `targets` (posts, outputs) lie in [0, 1] or are NaN where unknown; `weights` has the same shape. The outputs are
    those of one scale of `ADJACENT` if `adjacent`.
    """
    by_window = recipe.sharpness > 0
    vectors = np.concatenate(
        [post.vectors if by_window else post.vectors.mean(axis=0, keepdims=True) for post in posts]
    )
    tokens = [ids for post in posts for ids in (post.tokens if by_window else [np.concatenate(post.tokens)])]
    centre, scale = vectors.mean(axis=0), (vectors.std(axis=0) + 1e-6) * np.sqrt(vectors.shape[1])
    inputs = torch.from_numpy(((vectors - centre) / scale).astype(np.float32))
    times_words = _times(tokens, bag)
    pool = _pooling([len(post.tokens) for post in posts], recipe.sharpness) if by_window else _as_is
    known = torch.from_numpy(np.where(np.isnan(targets), 0, weights).astype(np.float32))
    wanted = torch.from_numpy(np.nan_to_num(targets).astype(np.float32))

    outputs = targets.shape[1]

    def misfit_of(scores: torch.Tensor) -> torch.Tensor:
        if adjacent:
            return level_misfit(scores, wanted, torch.ones(outputs + 1)) * known[:, 0]
        return binary_cross_entropy_with_logits(scores, wanted, reduction="none") * known

    dense = torch.zeros(inputs.shape[1], outputs, requires_grad=True)
    words = torch.zeros(len(bag.ids), outputs, requires_grad=True)
    bias = torch.zeros(outputs, requires_grad=True)
    optimiser = torch.optim.LBFGS([dense, words, bias], max_iter=recipe.steps, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        scores = pool(inputs @ dense + times_words(words)) + bias
        misfit = misfit_of(scores).sum()
        penalty = recipe.dense_penalty * dense.square().sum() + recipe.word_penalty * words.square().sum()
        total: torch.Tensor = (misfit + penalty / 2) / len(posts)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    raw = dense.detach().numpy() / scale[:, np.newaxis]
    return Fitted(
        dense=raw.astype(np.float32),
        words=words.detach().numpy(),
        bias=(bias.detach().numpy() - centre @ raw).astype(np.float32),
    )


def _as_is(scores: torch.Tensor) -> torch.Tensor:
    return scores


def _pooling(window_counts: Sequence[int], sharpness: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """`heads.log_mean_exp` over each post's windows, with a gradient."""
    counts = torch.tensor(window_counts)
    owner = torch.repeat_interleave(torch.arange(len(counts)), counts)

    def pool(scores: torch.Tensor) -> torch.Tensor:
        sharp = scores * sharpness
        lowest = torch.full((len(counts), scores.shape[1]), -torch.inf)
        top = lowest.scatter_reduce(0, owner[:, None].expand_as(sharp), sharp, "amax").detach()
        total = torch.zeros_like(top).index_add(0, owner, torch.exp(sharp - top[owner]))
        return (torch.log(total / counts[:, None]) + top) / sharpness

    return pool


class _SparseTimes(torch.autograd.Function):
    """A fixed sparse matrix times a dense one; torch's own gradient would make the sparse matrix dense."""

    @staticmethod
    def forward(ctx, matrix, transposed, dense):  # type: ignore[no-untyped-def]
        ctx.transposed = transposed
        return matrix @ dense

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return None, None, ctx.transposed @ gradient


def _times(tokens: Sequence[NDArray[np.int64]], bag: Bag) -> Callable[[torch.Tensor], torch.Tensor]:
    """Multiplication of the bags of `tokens`, as rows of a matrix, with the weights of the words."""
    weighed = [bag.weigh(ids) for ids in tokens]
    rows = np.repeat(np.arange(len(tokens)), [len(positions) for positions, _ in weighed])
    columns = np.concatenate([positions for positions, _ in weighed])
    values = torch.from_numpy(np.concatenate([values for _, values in weighed]))

    def matrix(first: NDArray[np.int64], second: NDArray[np.int64], size: tuple[int, int]) -> torch.Tensor:
        places = torch.from_numpy(np.stack([first, second]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls its compressed rows a beta
            return torch.sparse_coo_tensor(places, values, size, check_invariants=True).coalesce().to_sparse_csr()

    straight = matrix(rows, columns, (len(tokens), len(bag.ids)))
    turned = matrix(columns, rows, (len(bag.ids), len(tokens)))

    def times(words: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = _SparseTimes.apply(straight, turned, words)  # type: ignore[no-untyped-call]
        return product

    return times
