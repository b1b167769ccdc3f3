"""The moderators' page's own words, from words.toml. Judgements and the catalogue speak in theirs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


class Words:
    """Sentences by their key, such as `queue.title`, with values put in by name."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table

    @classmethod
    @cache
    def load(cls) -> Words:
        """The words that come with the package."""
        return cls(tomllib.loads((files("bot.review") / "words.toml").read_text(encoding="utf-8")))

    def __call__(self, key: str, **values: object) -> str:
        """The sentence of a key; where it has a form for `one` and for `other`, by the value called `count`.

        Raises KeyError for a key that is not there.
        """
        found: Any = self._table
        for part in key.split("."):
            found = found[part]
        if isinstance(found, Mapping):
            found = found["one" if values["count"] == 1 else "other"]
        # Only the file's sentences are formats; what is put in is never read as one.
        return str(found).format_map(values)

    def each(self, key: str) -> list[str]:
        """The sentences of a list. Raises KeyError for a key that is not there."""
        found: Any = self._table
        for part in key.split("."):
            found = found[part]
        return [str(sentence) for sentence in found]

    def span(self, seconds: float) -> str:
        """A length of time as a person says it: `5 minutes`, `2 days`."""
        seconds = max(0.0, seconds)
        for unit, length, until in (("minute", 60, 5400), ("hour", 3600, 129_600), ("day", 86_400, float("inf"))):
            if seconds < until:
                return (
                    self(f"span.{unit}", count=max(1, round(seconds / length))) if seconds >= 60 else self("span.now")
                )
        raise AssertionError("a day has no end")
