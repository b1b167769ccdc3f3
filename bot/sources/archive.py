"""Posts out of archive files: .jsonl .ndjson .csv .parquet, plain, .gz or .zst, always as a stream.

Memory stays flat however large the file: a chunk, one line of at most `MAX_LINE_BYTES`, and for .zst the window that
the file itself asks for (up to 2 GiB in Reddit's dumps).
"""

from __future__ import annotations

import csv
import json
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from bot.errors import ArchiveError
from bot.types import Post

MAX_LINE_BYTES = 16 * 2**20

_CHUNK = 64 * 2**10
# 256 compressed bytes unfold to 8 MB at the very worst, so a decompression bomb only streams.
_ZSTD_SLICE = 256
_ZSTD_WINDOW = 2**31  # what `zstd --long=31` needs, which is how Reddit's dumps are made
_NAME = 256  # names are kept beyond their post, in memory and in reports
_YEAR_2100 = 4_102_444_800
_COLUMNS = ("id", "name", "subreddit", "author", "title", "selftext", "text", "body", "created_utc", "permalink")
_KINDS = {".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".parquet": "parquet"}
_PACKINGS = (".gz", ".zst")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that gave no post. `line` counts from 1 (rows in Parquet); `reason` never quotes what the line says.

    `cut_off` is True when the archive could not be read beyond this line.
    """

    file: str
    line: int
    reason: str
    cut_off: bool = False


class _Bad(Protocol):
    """Reports a bad line of the archive at hand."""

    def __call__(self, line: int, reason: str, cut_off: bool = False) -> None: ...


OnError = Callable[[BadLine], None]
OnBytes = Callable[[int], None]


def check_archive(path: Path) -> None:
    """Raises ArchiveError when the file is missing, unreadable, or of a format that its name does not tell."""
    _format(path)
    if not path.is_file():
        raise ArchiveError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        path.open("rb").close()
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror}") from error


def read_archive(path: Path, on_error: OnError, on_bytes: OnBytes = lambda count: None) -> Iterator[Post]:
    """The posts of one archive, in its order.

    What is wrong inside the file goes to `on_error` and never raises: a bad line costs that line, a truncated or
    damaged file gives the posts before the damage and one BadLine with `cut_off`. `on_bytes` is told how many bytes
    of the file (as it lies on disk) were read since its last call. Raises ArchiveError at once as `check_archive` does.
    """
    check_archive(path)
    kind, packing = _format(path)

    def bad(line: int, reason: str, cut_off: bool = False) -> None:
        on_error(BadLine(str(path), line, reason, cut_off))

    if kind == "parquet":
        return _parquet_posts(path, bad, on_bytes)
    lines = _lines(_unpack(_chunks(path, on_bytes), packing), bad)
    return _csv_posts(lines, bad) if kind == "csv" else _json_posts(lines, bad)


def parse_line(line: bytes, default_id: str = "") -> Post:
    """The post in one JSON line. Raises ValueError with the reason, in words that quote nothing of the line."""
    try:
        fields = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError("not valid UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"broken JSON: {error.msg} at character {error.pos + 1}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError("broken JSON: too deep, or a number too long") from error
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    return _post(fields, default_id)


def parse_time(value: object) -> float | None:
    """Seconds since the epoch out of a number, a numeric string or an ISO 8601 one (UTC unless it names an offset).

    None for anything else, and for a time outside 1970 to 2100.
    """
    if isinstance(value, str):
        value = _time_from_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < _YEAR_2100 else None


def _time_from_text(text: str) -> float | None:
    if len(text) > 40:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _format(path: Path) -> tuple[str, str]:
    inner, outer = ["", "", *(suffix.lower() for suffix in path.suffixes)][-2:]
    if outer not in _PACKINGS:
        inner, outer = outer, ""
    # Reddit's dumps are JSON lines in files named like RS_2013-02.zst.
    kind = "json" if outer and not inner else _KINDS.get(inner)
    if kind is None:
        raise ArchiveError(f"{path}: unknown format; known are {', '.join(_KINDS)}, plain or with .gz or .zst behind")
    if kind == "parquet" and outer:
        raise ArchiveError(f"{path}: Parquet is compressed inside; unpack the {outer} first")
    return kind, outer


def _post(fields: Mapping[str, Any], default_id: str = "") -> Post:
    # An id comes back as it was given, so that decisions can be joined to their archive.
    id_ = _string(fields, "id").strip() or _string(fields, "name").strip().removeprefix("t3_") or default_id
    subreddit, author = _string(fields, "subreddit"), _string(fields, "author")
    if not id_:
        raise ValueError("no id")
    if max(len(id_), len(subreddit)) > _NAME:
        raise ValueError(f"id or subreddit longer than {_NAME} characters")
    return Post(
        id=id_,
        subreddit=subreddit,
        author=author if author not in ("", "[deleted]") else None,
        title=_string(fields, "title"),
        text=_string(fields, "selftext", "text", "body"),
        created_utc=parse_time(fields.get("created_utc")),
        permalink=_string(fields, "permalink") or f"/comments/{id_.removeprefix('t3_')}/",
    )


def _string(fields: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that holds something; empty when none does. NaN is how data frames write nothing."""
    for name in names:
        value = fields.get(name)
        if value is None or value == "" or value != value:
            continue
        if not isinstance(value, str):
            raise ValueError(f"{name} is not text")
        if "\0" in value:
            raise ValueError(f"{name} holds a NUL character")
        if not value.isascii() and not _encodable(value):
            raise ValueError(f"{name} holds what is not valid Unicode")
        return value
    return ""


def _encodable(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


# Bytes and lines


class _CutOffError(Exception):
    """The file ends too early, or is damaged from here on."""


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line without its newline; `data` is None when it was longer than `MAX_LINE_BYTES`.

    `whole` is False for what a cut-off file leaves of its last line.
    """

    number: int
    data: bytes | None
    whole: bool = True


class LineSplitter:
    """Lines out of chunks of any size. Holds at most one line of `MAX_LINE_BYTES`; a longer one is let go."""

    def __init__(self) -> None:
        self.number = 1
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that this chunk completes."""
        first, *others = chunk.split(b"\n")
        self._keep(first)
        for piece in others:
            yield self.rest()
            self.number += 1
            self._keep(piece)

    def rest(self, whole: bool = True) -> Line:
        """What has come of the line at hand, which is then forgotten."""
        data = b"".join(self._pieces) if self._size <= MAX_LINE_BYTES else None
        if data is not None and self.number == 1:
            data = data.removeprefix(b"\xef\xbb\xbf")
        self._pieces, self._size = [], 0
        return Line(self.number, data, whole)

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= MAX_LINE_BYTES:
            self._pieces.append(piece)
        else:
            self._pieces.clear()


def _chunks(path: Path, on_bytes: OnBytes) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            on_bytes(len(chunk))
            yield chunk


def _unpack(chunks: Iterator[bytes], packing: str) -> Iterator[bytes]:
    if packing == ".gz":
        return _gunzip(chunks)
    return _unzstd(chunks) if packing == ".zst" else chunks


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The gzip module loses what it has already unpacked when the file ends early; zlib itself does not."""
    member, complete = None, False
    try:
        for chunk in chunks:
            left = chunk
            while left := left if member else left.lstrip(b"\0"):  # zeros may pad the end of a member
                member = member or zlib.decompressobj(wbits=31)
                yield member.decompress(left, _CHUNK)
                left, complete = member.unused_data or member.unconsumed_tail, member.eof
                member = None if complete else member
        while member and (rest := member.decompress(b"", _CHUNK)):
            yield rest
    except zlib.error as error:
        raise _CutOffError("the gzip data is damaged") from error
    if not (complete or (member and member.eof)):
        raise _CutOffError("the gzip data ends too early")


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    frame, complete = None, False
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), _ZSTD_SLICE):
                left = chunk[start : start + _ZSTD_SLICE]
                while left:
                    frame = frame or unpacker.decompressobj()
                    data = frame.decompress(left)
                    for at in range(0, len(data), _CHUNK):
                        yield data[at : at + _CHUNK]
                    left, complete = frame.unused_data, frame.eof
                    frame = None if complete else frame
    except zstandard.ZstdError as error:
        raise _CutOffError("the zstd data is damaged") from error
    if not complete:
        raise _CutOffError("the zstd data ends too early")


def _lines(chunks: Iterator[bytes], bad: _Bad) -> Iterator[Line]:
    splitter = LineSplitter()
    whole = True
    try:
        for chunk in chunks:
            yield from splitter.feed(chunk)
    except (_CutOffError, OSError) as error:
        whole = False
        bad(splitter.number, f"cut off here: {error}", cut_off=True)
    yield splitter.rest(whole)


# The formats


def _json_posts(lines: Iterable[Line], bad: _Bad) -> Iterator[Post]:
    for line in lines:
        if line.data is None:
            bad(line.number, f"longer than {MAX_LINE_BYTES // 2**20} MB")
        elif line.data.strip():
            try:
                post = parse_line(line.data)
            except ValueError as error:
                if line.whole:  # that the file is cut off has been said
                    bad(line.number, str(error))
            else:
                yield post


class _CsvFeed:
    """Hands physical lines to the CSV parser, and remembers those of the record at hand.

    A quote that never closes swallows every line after it. When such a record fails, its lines after the first are
    given back and read as records of their own. All in all no more than eight times what was read is given back, so
    that a hostile file costs linear time.
    """

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._again: deque[Line] = deque()
        self._record: list[Line] = []
        self._record_bytes = 0
        self._may_give_back = 0

    def __iter__(self) -> _CsvFeed:
        return self

    def __next__(self) -> str:
        if self._again:
            line = self._again.popleft()
        else:
            line = next(self._lines)
            self._may_give_back += 8 * _size(line)
        if not line.whole:
            raise _CutOffError
        self._record.append(line)
        self._record_bytes += _size(line)
        if line.data is None or self._record_bytes > MAX_LINE_BYTES:
            raise csv.Error(f"longer than {MAX_LINE_BYTES // 2**20} MB")
        # Bytes that are no UTF-8 become lone surrogates, which no field of a post may hold.
        return line.data.decode("utf-8", "surrogateescape") + "\n"

    @property
    def line(self) -> int:
        """Where the record at hand begins."""
        return self._record[0].number if self._record else 1

    def begin_record(self) -> None:
        self._record, self._record_bytes = [], 0

    def give_back(self) -> None:
        if self._record_bytes <= self._may_give_back:
            self._may_give_back -= self._record_bytes
            self._again.extendleft(reversed(self._record[1:]))


def _size(line: Line) -> int:
    return len(line.data or b"") + 1


def _csv_posts(lines: Iterator[Line], bad: _Bad) -> Iterator[Post]:
    csv.field_size_limit(MAX_LINE_BYTES)
    feed = _CsvFeed(lines)
    rows = csv.reader(feed, strict=True)
    header: list[str] | None = None
    while True:
        feed.begin_record()
        try:
            row = next(rows)
            if row and header is None:
                header = _csv_header(row)
            elif row and header:
                yield _csv_post(header, row)
        except (StopIteration, _CutOffError):
            return
        except (csv.Error, ValueError) as error:
            if header is None:
                bad(feed.line, f"no CSV header: {error}", cut_off=True)
                return
            if isinstance(error, csv.Error):
                feed.give_back()
            bad(feed.line, f"broken CSV: {error}" if isinstance(error, csv.Error) else str(error))


def _csv_header(row: list[str]) -> list[str]:
    names = [name.strip().lower() for name in row]
    if not {"id", "name"} & set(names):
        raise ValueError("the first line names no column id or name")
    return names


def _csv_post(header: list[str], row: list[str]) -> Post:
    if len(row) != len(header):
        raise ValueError(f"{len(row)} fields where the first line names {len(header)} columns")
    return _post(dict(zip(header, row, strict=True)))


def _parquet_posts(path: Path, bad: _Bad, on_bytes: OnBytes) -> Iterator[Post]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        # With a buffer and without pre-buffering, column chunks are read piece by piece and not as whole row groups.
        with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
            columns = [name for name in _COLUMNS if name in file.schema_arrow.names]
            if not {"id", "name"} & set(columns):
                bad(1, "the file has no column id or name", cut_off=True)
                return
            bytes_a_row = path.stat().st_size / max(1, file.metadata.num_rows)
            for batch in file.iter_batches(256, columns=columns, use_threads=False):
                for fields in _parquet_rows(batch):
                    number += 1
                    try:
                        post = _post(fields())
                    except ValueError as error:
                        bad(number, "not valid UTF-8" if isinstance(error, UnicodeDecodeError) else str(error))
                    else:
                        yield post
                on_bytes(round(bytes_a_row * batch.num_rows))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        bad(number + 1, f"cannot be read as Parquet from here on: {type(error).__name__}", cut_off=True)


def _parquet_rows(batch: Any) -> Iterator[Callable[[], dict[str, Any]]]:
    """One function a row, so that a value that cannot be decoded fails its own row alone."""
    import pyarrow as pa

    def plain(name: str, column: Any) -> Any:
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            return column.cast(pa.timestamp("s", getattr(column.type, "tz", None)), safe=False).cast(pa.int64())
        if name in ("id", "name") and pa.types.is_integer(column.type):
            return column.cast(pa.string())
        return column

    columns = {name: plain(name, batch.column(name)) for name in batch.schema.names}
    for row in range(batch.num_rows):
        yield lambda row=row: {name: column[row].as_py() for name, column in columns.items()}  # type: ignore[misc]
