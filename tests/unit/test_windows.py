"""How texts are cut for the encoder."""

from __future__ import annotations

import numpy as np
import pytest

from models.encoder import base_folder
from models.windows import Windows

TOKENIZER = base_folder() / "tokenizer.json"
# Each word is one word piece, so that a text can be counted off.
WORDS = "the sea and its waves or a boat with no sail on a day of rain"


@pytest.mark.parametrize(("most", "tokens"), [(1, 14), (3, 42)])
def test_of_a_long_text_head_and_tail_are_read(most: int, tokens: int) -> None:
    """As many word pieces as fit into the windows, half from the start and half from the end, none twice."""
    ids = Windows(TOKENIZER, 10_000, 1).cut([" ".join([WORDS] * 50)])[0][0]
    parts = Windows(TOKENIZER, 16, most).cut([" ".join([WORDS] * 50)])[0]
    assert len(parts) == most
    assert np.concatenate(parts).tolist() == [*ids[: tokens // 2], *ids[-tokens // 2 :]]


def test_a_text_that_fits_is_read_whole() -> None:
    """Stretches of equal length, one after the other; an empty text has one that is empty."""
    windows = Windows(TOKENIZER, 16, 3)
    whole = windows.cut([WORDS])[0]
    assert [len(part) for part in whole] == [8, 8]
    assert np.array_equal(np.concatenate(whole), Windows(TOKENIZER, 100, 1).cut([WORDS])[0][0])
    assert [len(part) for part in windows.cut([""])[0]] == [0]
