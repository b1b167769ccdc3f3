"""How far a classifier's scores move when a post is changed in a way that should not matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from models.assessment import Classifier
from models.document import Document
from models.evaluate import Asked, Figure, figures, mean_absolute_change, mean_change, share_changed
from models.judged import Floats, OnDone, Scores, judge
from models.labels import Risk, Severity
from models.robustness import IDENTITIES, SPELLINGS, Change, Pairs, noises

# Posts that each change is tried on, at most.
POSTS = 300

# A comparison of fewer posts says nothing.
_FEWEST = 5
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Shift:
    """How each score moved from one version of `posts` posts to another.

    `change` is the mean change of the probability where the direction means something (from `first` to `second`),
    `absolute` the mean of its size, `flips` the share of posts that are decided otherwise.
    """

    name: str
    first: str
    second: str
    posts: int
    change: Mapping[str, Figure]
    absolute: Mapping[str, Figure]
    flips: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Shifts under noise, under identity words swapped with their partners, and between the two sides of such words."""

    noise: tuple[Shift, ...]
    fairness: tuple[Shift, ...]


@dataclass(frozen=True, slots=True)
class _Trial:
    """Two versions of some posts, and the key of who wrote each."""

    name: str
    first: str
    second: str
    keys: Sequence[str]
    before: Sequence[Document]
    after: Sequence[Document]


def measure(
    classifier: Classifier,
    written: Mapping[Document, str],
    seed: int,
    on_total: OnDone = lambda count: None,
    on_done: OnDone = lambda count: None,
) -> Sensitivity:
    """Tries every change on at most `POSTS` of the documents that it applies to, chosen by the seed.

    There is at least one document, each with the key of who wrote it, as posts of one author are drawn together.
    `on_total` hears how many posts will be judged, then `on_done` how many more are.
    """
    rng = np.random.default_rng(seed)
    documents = list(written)
    shuffled = {documents[at]: written[documents[at]] for at in rng.permutation(len(documents))}
    noise = [_changed(name, change, _first(shuffled)) for name, change in noises(seed).items()]
    noise += [trial for pairs in IDENTITIES for trial in _swapped(pairs, shuffled)]
    sides = [trial for pairs in (SPELLINGS, *IDENTITIES) for trial in _sides(pairs, shuffled)]
    versions = list(dict.fromkeys(each for trial in (*noise, *sides) for each in (*trial.before, *trial.after)))
    on_total(len(versions))
    parts = []
    for start in range(0, len(versions), _BATCH):
        batch = versions[start : start + _BATCH]
        parts.append(judge(classifier, batch))
        on_done(len(batch))
    judged = _Judged(Scores.joined(parts), {version: at for at, version in enumerate(versions)})
    moved, leaning = (tuple(_shift(trial, judged, seed) for trial in trials) for trials in (noise, sides))
    return Sensitivity(moved, leaning)


@dataclass(frozen=True, slots=True)
class _Judged:
    """Every version of every post, judged once."""

    scores: Scores
    where: Mapping[Document, int]

    def of(self, documents: Sequence[Document]) -> Scores:
        return self.scores[np.array([self.where[each] for each in documents])]


def _changed(name: str, change: Change, written: Mapping[Document, str]) -> _Trial:
    after = [_apply(change, each) for each in written]
    return _Trial(name, "as written", name, list(written.values()), list(written), after)


def _swapped(pairs: Pairs, written: Mapping[Document, str]) -> list[_Trial]:
    chosen = _first(written, pairs)
    trial = _changed(f"{pairs.name} words swapped", pairs.swap, chosen)
    return [trial] if len(chosen) >= _FEWEST else []


def _sides(pairs: Pairs, written: Mapping[Document, str]) -> list[_Trial]:
    chosen = _first(written, pairs)
    before, after = ([_apply(side, each) for each in chosen] for side in (pairs.all_first, pairs.all_second))
    trial = _Trial(pairs.name, pairs.first, pairs.second, list(chosen.values()), before, after)
    return [trial] if len(chosen) >= _FEWEST else []


def _first(written: Mapping[Document, str], pairs: Pairs | None = None) -> Mapping[Document, str]:
    """The first `POSTS` documents, or of those that have a word of the pairs."""
    own = ((each, key) for each, key in written.items() if pairs is None or pairs.speaks_of(each.text))
    return dict(islice(own, POSTS))


def _apply(change: Change, document: Document) -> Document:
    return Document(document.title and change(document.title), document.body and change(document.body))


def _shift(trial: _Trial, judged: _Judged, seed: int) -> Shift:
    before, after = judged.of(trial.before), judged.of(trial.after)
    asked: dict[tuple[str, str], Asked] = {}
    for name, old in _probabilities(before).items():
        new = _probabilities(after)[name]
        asked["change", name] = (mean_change, old, new)
        asked["absolute", name] = (mean_absolute_change, old, new)
        asked["flips", name] = (share_changed, _decisions(before)[name], _decisions(after)[name])
    measured = figures(asked, groups=trial.keys, seed=seed)
    by_kind = {
        kind: {name: figure for (of, name), figure in measured.items() if of == kind}
        for kind in ("change", "absolute", "flips")
    }
    return Shift(trial.name, trial.first, trial.second, len(trial.before), **by_kind)


def _probabilities(scores: Scores) -> dict[str, Floats]:
    return {
        "relevance": scores.relevance,
        "risk": scores.risk[:, Risk.IDEATION.rank],
        "severity": scores.severity[:, Severity.MODERATE.rank],
    }


def _decisions(scores: Scores) -> dict[str, Floats]:
    return {
        "relevance": (scores.relevance >= 0.5).astype(np.float64),
        "risk": (scores.risk >= 0.5).sum(axis=1).astype(np.float64),
        "severity": (scores.severity >= 0.5).sum(axis=1).astype(np.float64),
    }
