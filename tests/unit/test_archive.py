"""What an archive gives, whole or broken."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import ArchiveError
from bot.sources import archive
from bot.sources.archive import BadLine, Line, LineSplitter, parse_time, read_archive
from bot.types import Post

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A submission as Reddit's dumps have it."""
    return {
        "id": f"a{number}",
        "subreddit": "testsub",
        "author": "river_stone",
        "title": f"Title {number}",
        "selftext": 'One line,\nand "another" one — ünïcödé 🌱',
        "created_utc": 1_700_000_000 + number,
        "permalink": f"/r/testsub/comments/a{number}/title/",
        "score": 3,
        **changes,
    }


def json_lines(*rows: object) -> bytes:
    """Rows as a .jsonl file; bytes go in as they are."""
    return b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in rows)


def csv_file(*rows: dict[str, Any]) -> bytes:
    """Rows as a .csv file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read(path: Path, data: bytes | None = None) -> tuple[list[Post], list[BadLine]]:
    """The posts and the bad lines of a file."""
    if data is not None:
        path.write_bytes(data)
    bad: list[BadLine] = []
    return list(read_archive(path, bad.append)), bad


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("kind", [".jsonl", ".ndjson", ".csv"])
def test_every_format_gives_the_same_posts(tmp_path: Path, kind: str, packing: str) -> None:
    """JSON lines and CSV, plain or packed, lead to the same posts."""
    rows = [row(number) for number in range(50)]
    data = csv_file(*rows) if kind == ".csv" else json_lines(*rows)
    posts, bad = read(tmp_path / f"posts{kind}{packing}", PACK[packing](data))
    assert not bad
    assert len(posts) == 50
    assert posts[7] == Post(
        "a7", "testsub", "river_stone", "Title 7", rows[7]["selftext"], 1_700_000_007.0, rows[7]["permalink"]
    )


def test_parquet_gives_the_same_posts(tmp_path: Path) -> None:
    """Parquet rows become the same posts, also with times as timestamps, categories and numbered ids."""
    rows = [row(number, id=number) for number in range(600)]
    table = pa.Table.from_pylist(rows)
    times = pa.array([datetime.fromtimestamp(each["created_utc"], UTC) for each in rows], pa.timestamp("ns", "UTC"))
    table = table.set_column(table.schema.get_field_index("created_utc"), "created_utc", times)
    table = table.set_column(1, "subreddit", table["subreddit"].dictionary_encode())
    pq.write_table(table, tmp_path / "posts.parquet", row_group_size=100)
    posts, bad = read(tmp_path / "posts.parquet")
    assert not bad
    assert [post.id for post in posts] == [str(number) for number in range(600)]
    assert posts[9].created_utc == 1_700_000_009.0
    assert posts[9].subreddit == "testsub"


def test_dump_names_are_json_lines(tmp_path: Path) -> None:
    """RS_2013-02.zst, as Reddit's dumps are called, is read as JSON lines."""
    posts, _ = read(tmp_path / "RS_2013-02.zst", PACK[".zst"](json_lines(row(1))))
    assert [post.id for post in posts] == ["a1"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": None, "name": "t3_b7"}, {"id": "b7"}),
        ({"id": "t3_b7", "permalink": None}, {"id": "t3_b7", "permalink": "/comments/b7/"}),
        ({"author": None}, {"author": None}),
        ({"author": "[deleted]"}, {"author": None}),
        ({"title": None}, {"title": ""}),
        ({"subreddit": None}, {"subreddit": ""}),
        ({"selftext": None, "text": "here"}, {"text": "here"}),
        ({"selftext": None, "body": "there"}, {"text": "there"}),
        ({"selftext": math.nan}, {"text": ""}),
        ({"created_utc": math.nan}, {"created_utc": None}),
        ({"created_utc": None}, {"created_utc": None}),
        ({"permalink": None}, {"permalink": "/comments/a1/"}),
    ],
)
def test_what_a_dump_leaves_open_is_a_fine_post(
    tmp_path: Path, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Missing and deleted parts make a post with those parts empty, not a bad line."""
    posts, bad = read(tmp_path / "p.jsonl", json_lines(row(1, **changes)))
    assert not bad
    assert {name: getattr(posts[0], name) for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": "a', "broken JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"[" * 100_000, "broken JSON"),
        (b'{"id": ' + b"9" * 5000 + b"}", "broken JSON"),
        (b'{"title": "no id"}', "no id"),
        (b'{"name": "t3_"}', "no id"),
        (b'{"id": ["a"]}', "id is not text"),
        (b'{"id": "' + b"a" * 999 + b'"}', "longer than 256"),
        (b'{"id": 5}', "id is not text"),
        (b'{"id": "a", "selftext": 5}', "selftext is not text"),
        (b'{"id": "a", "title": {"x": 1}}', "title is not text"),
        (b'{"id": "a", "title": "\xff\xfe"}', "not valid UTF-8"),
        (b'{"id": "a", "title": "\\ud800"}', "not valid Unicode"),
        (b'{"id": "a", "title": "\\u0000"}', "NUL"),
    ],
)
def test_a_bad_line_is_named_and_costs_itself_alone(tmp_path: Path, line: bytes, reason: str) -> None:
    """File, line and reason of a bad line are told, and the posts around it are read."""
    path = tmp_path / "p.jsonl"
    posts, bad = read(path, json_lines(row(1), b"", line, row(2)))
    assert [post.id for post in posts] == ["a1", "a2"]
    assert [(each.file, each.line, each.cut_off) for each in bad] == [(str(path), 3, False)]
    assert reason in bad[0].reason


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_700_000_000, 1_700_000_000.0),
        (1_700_000_000.5, 1_700_000_000.5),
        ("1700000000", 1_700_000_000.0),
        ("2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("2023-11-14 22:13:20", 1_700_000_000.0),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000.0),
        *[
            (bad, None)
            for bad in (-1, 0, 1e18, math.inf, math.nan, "nan", "soon", "", "9" * 9999, True, None, [1], 10**400)
        ],
    ],
)
def test_times_in_every_dress(value: object, expected: float | None) -> None:
    """Numbers, numeric strings and ISO strings are times; what is none of these or absurd is no time."""
    assert parse_time(value) == expected


@pytest.mark.parametrize("packing", [".gz", ".zst"])
@pytest.mark.parametrize("keep", [0, 1, 9, 2_000, -1])
def test_a_truncated_file_gives_what_it_still_holds(tmp_path: Path, packing: str, keep: int) -> None:
    """The posts before the cut come out, then one line says where the file breaks off."""
    rows = [
        row(number, selftext=f"{number * 7919} some words that differ {number * 104_729}") for number in range(4_000)
    ]
    data = PACK[packing](json_lines(*rows))
    posts, bad = read(tmp_path / f"p.jsonl{packing}", data[:keep])
    assert [post.id for post in posts] == [f"a{number}" for number in range(len(posts))]
    assert [each.cut_off for each in bad] == [True]
    assert bad[0].line >= len(posts) or keep == -1
    assert len(posts) > 3_000 if keep == -1 else len(posts) < 400


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_members_and_frames_follow_each_other(tmp_path: Path, packing: str) -> None:
    """Files that were packed in pieces and joined are read to their end."""
    pack = PACK[packing]
    posts, bad = read(tmp_path / f"p.jsonl{packing}", pack(json_lines(row(1))) + pack(json_lines(row(2))))
    assert [post.id for post in posts] == ["a1", "a2"]
    assert not bad


def test_a_giant_line_is_let_go(tmp_path: Path) -> None:
    """A line of 100 MB out of a small file is a bad line, and never lies in memory whole."""
    path = tmp_path / "p.jsonl.zst"
    giant = b'{"id": "a9", "title": "' + b"x" * 100 * 2**20 + b'"}\n'
    path.write_bytes(PACK[".zst"](json_lines(row(1)) + giant + json_lines(row(2))))
    del giant
    tracemalloc.start()
    posts, bad = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [post.id for post in posts] == ["a1", "a2"]
    assert [(each.line, each.reason) for each in bad] == [(2, "longer than 16 MB")]
    assert peak < 3 * archive.MAX_LINE_BYTES


def test_csv_lines_that_fail(tmp_path: Path) -> None:
    """Too few fields, bytes that are no UTF-8 and stray quotes cost their own line, named as it is in the file."""
    data = (
        b"id,title,selftext\r\n"
        b'a1,one,"two\r\nlines"\r\n'
        b"a2,too few\r\n"
        b"a3,\xff\xfe,x\r\n"
        b'a4,"stray" quote,x\r\n'
        b",no id,x\r\n"
        b"a5,fine,x\r\n"
    )
    posts, bad = read(tmp_path / "p.csv", data)
    assert [post.id for post in posts] == ["a1", "a5"]
    assert posts[0].text == "two\r\nlines"
    assert [each.line for each in bad] == [4, 5, 6, 7]


def test_an_open_quote_does_not_swallow_the_rest(tmp_path: Path) -> None:
    """The lines after a quote that never closes are read as lines of their own."""
    posts, bad = read(tmp_path / "p.csv", b'id,title\na1,x\na2,"never closed\na3,x\na4,x\n')
    assert [post.id for post in posts] == ["a1", "a3", "a4"]
    assert [each.line for each in bad] == [3]


@pytest.mark.parametrize(("name", "data"), [("p.csv", b"title,text\na,b\n"), ("p.parquet", b"PAR1 no parquet")])
def test_a_file_without_posts_says_so_once(tmp_path: Path, name: str, data: bytes) -> None:
    """A table without an id column, or no table at all, is one line that ends the file."""
    posts, bad = read(tmp_path / name, data)
    assert not posts
    assert [each.cut_off for each in bad] == [True]


@pytest.mark.parametrize(
    "name", ["missing.jsonl", "folder.jsonl", "p.txt", "p.txt.gz", "p", "p.parquet.gz", "p.jsonl.xz"]
)
def test_what_cannot_be_an_archive_is_refused_at_once(tmp_path: Path, name: str) -> None:
    """A missing file, a folder and an unknown format raise one line that names the path, before anything is read."""
    (tmp_path / "folder.jsonl").mkdir()
    if not name.startswith(("missing", "folder")):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ArchiveError, match=name) as caught:
        read_archive(tmp_path / name, print)
    assert "\n" not in str(caught.value)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=400) | st.text(max_size=200).map(str.encode),
    name=st.sampled_from(["p.jsonl", "p.csv", "p.jsonl.gz", "p.csv.zst", "p.parquet"]),
    pack=st.booleans(),
)
def test_no_bytes_raise(tmp_path: Path, data: bytes, name: str, pack: bool) -> None:
    """Whatever a file holds, reading it ends, and every post that comes out has an id and encodable text."""
    if name.startswith("p.csv"):
        data = b"id,title,text\n" + data
    posts, _ = read(tmp_path / name, PACK[Path(name).suffix](data) if pack and Path(name).suffix in PACK else data)
    for post in posts:
        assert post.id
        (post.title + post.text).encode()


@given(data=st.binary(max_size=300), sizes=st.lists(st.integers(1, 40)))
def test_chunks_make_no_difference(data: bytes, sizes: list[int]) -> None:
    """However a file is cut into chunks, its lines are the same."""
    splitter, rest = LineSplitter(), data
    lines: list[Line] = []
    for size in sizes:
        lines += splitter.feed(rest[:size])
        rest = rest[size:]
    lines += splitter.feed(rest)
    lines.append(splitter.rest())
    assert b"\n".join(line.data or b"" for line in lines) == data.removeprefix(b"\xef\xbb\xbf")
    assert [line.number for line in lines] == list(range(1, data.count(b"\n") + 2))


def test_bytes_read_add_up_to_the_file(tmp_path: Path) -> None:
    """What the progress bar is told adds up to the size of the file on disk."""
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(PACK[".gz"](json_lines(*map(row, range(3_000)))))
    counts: list[int] = []
    list(read_archive(path, print, counts.append))
    assert sum(counts) == path.stat().st_size
