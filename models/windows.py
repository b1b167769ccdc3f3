"""Texts as the encoder takes them: word pieces in windows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.errors import ModelError

Tokens = NDArray[np.int64]

_MAX_CHARACTERS = 100_000


class Windows:
    """Cuts texts into windows of at most `window_tokens` word pieces, special tokens included.

    Of a text too long for `most` windows the head and the tail are read, in equal parts: what matters to an author
    stands at the start or the end, and one endless post must not hold up the others.
    """

    def __init__(self, tokenizer_file: Path, window_tokens: int, most: int) -> None:
        """Raises ModelError when the file is no tokenizer."""
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        except Exception as error:  # the library raises bare Exception
            raise ModelError(f"cannot load the tokenizer {tokenizer_file}: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._before, self._after = self._special_tokens()
        self._content_tokens = window_tokens - len(self._before) - len(self._after)
        self._most_tokens = most * self._content_tokens

    def cut(self, texts: Sequence[str]) -> list[list[Tokens]]:
        """The token ids of every text in stretches of at most a window, without special tokens.

        The stretches of a text are of equal length, so that no window is a mere leftover; an empty text has one empty
        stretch.
        """
        encodings = self._tokenizer.encode_batch_fast([_readable(text) for text in texts], add_special_tokens=False)
        return [self._parts(np.array(encoding.ids, dtype=np.int64)) for encoding in encodings]

    def complete(self, part: Tokens) -> Tokens:
        """A stretch with its special tokens, as the encoder was trained to see it."""
        return np.concatenate([self._before, part, self._after]).astype(np.int64)

    def spelling(self, token: int) -> str:
        """The word piece behind a token id, as its vocabulary spells it."""
        return self._tokenizer.id_to_token(token) or ""

    @cached_property
    def mask(self) -> str:
        """The token that stands for a hidden word, as the vocabulary spells it; "" where it has none."""
        special = (each.content for each in self._tokenizer.get_added_tokens_decoder().values() if each.special)
        return next((each for each in special if each.strip("[]<>").casefold() == "mask"), "")

    def _special_tokens(self) -> tuple[list[int], list[int]]:
        inner = self._tokenizer.encode("a", add_special_tokens=False).ids
        whole = self._tokenizer.encode("a").ids
        start = next(at for at in range(len(whole)) if whole[at : at + len(inner)] == inner)
        return whole[:start], whole[start + len(inner) :]

    def _parts(self, ids: Tokens) -> list[Tokens]:
        if len(ids) > self._most_tokens:
            tail = self._most_tokens // 2
            ids = np.concatenate([ids[: self._most_tokens - tail], ids[-tail:]])
        return np.array_split(ids, max(1, -(-len(ids) // self._content_tokens)))


def _readable(text: str) -> str:
    if len(text) > _MAX_CHARACTERS:
        half = _MAX_CHARACTERS // 2
        text = f"{text[:half]}\n{text[-half:]}"
    # JSON may carry half of a surrogate pair, which no tokenizer takes.
    return text.encode("utf-8", "replace").decode("utf-8")
