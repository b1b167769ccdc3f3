"""The labels of several annotators as one, with the doubt that is left."""

from __future__ import annotations

import warnings
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.agreement import MISSING, Floats, Ints


class Method(StrEnum):
    """How votes are merged."""

    MAJORITY = "majority"  # every vote counts alike
    DAWID_SKENE = "dawid-skene"  # votes count by how each annotator errs, which is estimated from the votes


def merge(votes: Ints, levels: int, method: Method) -> Floats:
    """How likely each value of each post is, float64 (posts, levels); a row of NaN where nobody voted.

    `votes` of (posts, annotators) are 0 to `levels` - 1, or `MISSING`. By majority a probability is the share of the
    votes. Dawid and Skene's is that of their model, fitted by expectation maximisation from the majority: an annotator
    confuses values in a way of its own, on every post alike, and independently of the others. It takes the values for
    names without an order. Source: Dawid and Skene 1979, Applied Statistics 28(1), 20-28.
    """
    merged = np.full((len(votes), levels), np.nan)
    posts, annotators = np.nonzero(votes != MISSING)
    if len(posts):
        import pandas as pd
        from crowdkit.aggregation import DawidSkene, MajorityVote

        how: Any = {Method.MAJORITY: MajorityVote, Method.DAWID_SKENE: DawidSkene}[method]()
        given = pd.DataFrame({"task": posts, "worker": annotators, "label": votes[posts, annotators]})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library is older than pandas 3
            found = how.fit_predict_proba(given).reindex(columns=range(levels), fill_value=0.0)
        merged[found.index.to_numpy()] = found.to_numpy()
    return merged


def decide(probabilities: Floats) -> NDArray[np.int64]:
    """The decided value of every row of `merge`, the median of its scale; `MISSING` where nobody voted.

    That is what more than half of the weight lies on, where there is such a value, and of two halves the higher one.
    """
    # A half may come out as a little less than that.
    at_least = np.round(np.cumsum(probabilities[:, ::-1], axis=1)[:, ::-1], 9)
    return np.where(np.isnan(at_least[:, 0]), MISSING, (at_least >= 0.5).sum(axis=1) - 1)
