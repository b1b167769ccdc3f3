"""Decisions can be read off what is published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.decision import bend, decide, distribution, reaching, settle

SHARES = arrays.arrays(np.float32, (6, 5), elements=st.floats(1 / 1024, 1, width=32))
WEIGHTS = arrays.arrays(np.float32, 5, elements=st.floats(0.125, 8, width=32))


def rows(shares: np.ndarray) -> np.ndarray:
    """Distributions, one a row."""
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


@given(SHARES, WEIGHTS)
def test_the_decided_level_is_the_likeliest_and_the_median(shares: np.ndarray, weights: np.ndarray) -> None:
    """Whichever way a scale is read, the decision comes out, and the row is still a distribution."""
    decided = decide(rows(shares), weights)
    settled = settle(rows(shares), decided)
    assert np.allclose(settled.sum(axis=1), 1, atol=1e-5)
    assert settled.min() >= 0
    assert (settled.argmax(axis=1) == decided).all()
    assert ((reaching(settled) >= 0.5).sum(axis=1) == decided).all()


def test_what_reads_as_decided_is_left_alone() -> None:
    """A level that is likeliest and median already keeps its probabilities."""
    plain = np.array([[0.7, 0.2, 0.1]], dtype=np.float32)
    assert settle(plain, np.array([0])) == pytest.approx(plain)


@given(SHARES)
def test_reaching_undoes_distribution(shares: np.ndarray) -> None:
    """From levels to what is reached and back, nothing changes."""
    assert np.allclose(distribution(reaching(rows(shares))), rows(shares), atol=1e-5)


@given(st.floats(0.05, 0.95), st.lists(st.floats(0, 1, width=32), min_size=2, max_size=20))
def test_bending_moves_the_threshold_to_one_half_and_keeps_the_order(threshold: float, values: list[float]) -> None:
    """What lies above the threshold is published at 0.5 or above, what lies below is not, and no two change places."""
    probabilities = np.sort(np.array(values, dtype=np.float32))
    bent = bend(probabilities, threshold)
    assert (np.diff(bent) >= 0).all()
    clear = np.abs(probabilities - threshold) > 1e-6
    assert ((bent >= 0.5) == (probabilities >= threshold))[clear].all()
    assert ((bent >= 0) & (bent <= 1)).all()
