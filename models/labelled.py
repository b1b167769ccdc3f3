"""Labelled posts as they lie in their files: one JSON object a line, plain or packed with gzip."""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.document import Document
from models.errors import DataError

_ENDINGS = (".jsonl.gz", ".jsonl")
_LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled row of the file that `set_name` is the stem of.

    `labels` are the row's labels as its file spells them: one, or several where there may be several; none of the nine
    disorders is `("none",)`. `claimed` are the disorders that the author says they have, whether or not they are among
    the labels. `names_label` says that the text names its own label, None where the file does not tell.
    """

    id: str
    set_name: str
    source: str
    document: Document
    labels: tuple[str, ...]
    author_hash: str = ""
    claimed: tuple[str, ...] = ()
    names_label: bool | None = None
    subreddit: str = ""

    @property
    def key(self) -> str:
        """The same for all rows of one author, or of one text where the author is not known: they belong together."""
        if self.author_hash:
            return self.author_hash
        plain = re.sub(r"\W+", "", self.document.text.lower())
        return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()


def read_folder(folder: Path, names: Sequence[str]) -> list[Row]:
    """The rows of those files in `folder` that are there, `NAME.jsonl.gz` before `NAME.jsonl`, in the order of `names`.

    Raises DataError as `read_file` does.
    """
    found = [next((path for end in _ENDINGS if (path := folder / f"{name}{end}").is_file()), None) for name in names]
    return [row for path in found if path for row in read_file(path)]


def read_file(path: Path) -> list[Row]:
    """The rows of one file. Raises DataError, naming file and line but never a text, when it or a row is unsound."""
    name = next((path.name.removesuffix(end) for end in _ENDINGS if path.name.endswith(end)), "")
    if not name:
        raise DataError(f"{path}: labelled posts are .jsonl or .jsonl.gz")
    rows = []
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    rows.append(_row(name, number, json.loads(line)))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    except (ValueError, RecursionError) as error:
        reason = "is not JSON" if isinstance(error, json.JSONDecodeError | RecursionError) else str(error)
        raise DataError(f"{path}, line {number}: {reason}") from error
    return rows


def posts(row: Row) -> list[Document]:
    """The posts of a user whose row holds them in one text: apart at blank lines, or printed as a Python list.

    A list may be cut off in the middle of a post. There is always at least one post.
    """
    text = row.document.body.strip()
    parts = _listed(text) if text.startswith("[") else []
    parts = parts or re.split(r"\n\s*\n", text)
    return [Document("", part.strip()) for part in parts if part.strip()] or [row.document]


def _listed(text: str) -> list[str]:
    """The strings of a printed list, read one by one, so that what is cut off costs one post and not all."""
    parts, end = [], 1
    for literal in _LITERAL.finditer(text):
        if text[end : literal.start()].strip(" ,\n"):
            break  # no list of strings after all, or the post that was cut off
        try:
            parts.append(str(ast.literal_eval(literal.group().replace("\n", "\\n"))))
        except (ValueError, SyntaxError):
            break
        end = literal.end()
    rest = text[end:].strip(" ,\n]").lstrip("'\"")
    return [*parts, rest] if parts and rest else parts


def _row(name: str, number: int, raw: Any) -> Row:
    if not isinstance(raw, dict):
        raise ValueError("is not a JSON object")
    labels = raw.get("labels") or ([raw["label"]] if raw.get("label") else [])
    if not _are_words(labels) or not labels:
        raise ValueError("has neither label nor labels")
    title, text, claimed, named = (raw.get(key) for key in ("title", "text", "dx_regex", "label_mentioned"))
    if not (_is_words(title) and _is_words(text)) or not (title or text):
        raise ValueError("has no text")
    if not _are_words(claimed or []) or not (named is None or isinstance(named, bool)):
        raise ValueError("dx_regex is no list of words, or label_mentioned is not true or false")
    row_id, source, subreddit, author = (
        str(raw.get(key) or "") for key in ("id", "source", "subreddit", "author_hash")
    )
    # Names are shown on terminals and in files, which unprintable characters could give orders or break.
    if not all(map(str.isprintable, (row_id, source, subreddit, author, *labels))):
        raise ValueError("id, source, subreddit, author_hash or a label holds unprintable characters")
    return Row(
        id=row_id or f"line-{number}",
        set_name=name,
        source=source or "unnamed",
        document=Document(title or "", text or ""),
        labels=tuple(labels),
        subreddit=subreddit,
        author_hash=author,
        claimed=tuple(claimed or ()),
        names_label=named,
    )


def _is_words(value: object) -> bool:
    return value is None or isinstance(value, str)


def _are_words(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
