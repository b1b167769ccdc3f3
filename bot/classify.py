"""Posts from a file or a pipe, judged one after the other and kept nowhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice
from typing import BinaryIO

from bot.config import Config
from bot.judge import judge
from bot.record import to_line, to_record
from bot.sources.archive import MAX_LINE_BYTES, BadLine, Line, LineSplitter, parse_line
from bot.types import Post
from models.assessment import Classifier

_READ = 256 * 2**10
_BATCH = 256
_BOM = b"\xef\xbb\xbf"
_ARRAY = re.compile(rb"\s*\[\s*\{")


def classify(
    source: BinaryIO,
    name: str,
    classifier: Classifier,
    config: Config,
    write: Callable[[bytes], object],
    on_error: Callable[[BadLine], None],
) -> None:
    """Reads JSON lines when the first character that is no blank is `{`, and otherwise all of it as one plain post.

    A JSON array, which begins with `[{`, goes to `on_error` whole: it is no post. Every row gives one decision line, in
    order; a row without an id is called `line-N`. A row that is no post goes to `on_error`. Whatever the source holds
    at a time is answered before more is read, so it works on a live pipe.
    """
    team = lru_cache(config.team)
    for posts in _posts(source, name, on_error):
        judgements = judge(posts, classifier, team)
        write(b"".join(to_line(to_record(each, team(each.post.subreddit).policy)) for each in judgements))


def _posts(source: BinaryIO, name: str, on_error: Callable[[BadLine], None]) -> Iterator[list[Post]]:
    chunks = iter(lambda: source.read1(_READ), b"")  # type: ignore[attr-defined]
    start = b""
    while _says_nothing(start) and (chunk := next(chunks, b"")):
        start += chunk
    if _ARRAY.match(start.removeprefix(_BOM)):
        on_error(BadLine(name, 1, "a JSON array, and not one object a line"))
    elif start.removeprefix(_BOM).lstrip().startswith(b"{"):
        yield from _json_posts(chain([start], chunks), name, on_error)
    elif start:
        yield from _plain_post(chain([start], chunks), name, on_error)


def _says_nothing(start: bytes) -> bool:
    """Whether more has to be read before it is clear what comes."""
    return _BOM.startswith(start) or start.removeprefix(_BOM).strip() in (b"", b"[")


def _json_posts(chunks: Iterable[bytes], name: str, on_error: Callable[[BadLine], None]) -> Iterator[list[Post]]:
    splitter = LineSplitter()

    def parsed(lines: Iterable[Line]) -> Iterator[Post]:
        for line in lines:
            try:
                if line.data is None:
                    raise ValueError(f"longer than {MAX_LINE_BYTES // 2**20} MB")
                if line.data.strip():
                    yield parse_line(line.data, default_id=f"line-{line.number}")
            except ValueError as error:
                on_error(BadLine(name, line.number, str(error)))

    for chunk in chunks:
        posts = parsed(splitter.feed(chunk))
        while batch := list(islice(posts, _BATCH)):
            yield batch
    if last := list(parsed([splitter.rest()])):
        yield last


def _plain_post(chunks: Iterable[bytes], name: str, on_error: Callable[[BadLine], None]) -> Iterator[list[Post]]:
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) > MAX_LINE_BYTES:
            on_error(BadLine(name, 1, f"longer than {MAX_LINE_BYTES // 2**20} MB"))
            return
    try:
        text = data.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError:
        on_error(BadLine(name, 1, "not valid UTF-8"))
    else:
        yield [Post(name, "", None, "", text, None, "")]
