"""Labelled rows from files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.document import Document
from models.errors import DataError
from models.labelled import Row, posts, read_file, read_folder


def row(text: str = "The rain kept me in all day", **fields: Any) -> Row:
    """A row as the reader makes it."""
    return Row(
        **{"id": "a", "set_name": "x", "source": "s", "document": Document("", text), "labels": ("y",), **fields}
    )


def test_rows_are_read_as_documented(tmp_path: Path) -> None:
    """Every documented field is found, and what a line leaves out has a plain default."""
    full = {
        "id": "7",
        "source": "here",
        "title": "Hello",
        "text": "I said hello",
        "labels": ["adhd", "ocd"],
        "author_hash": "f00",
        "dx_regex": ["ptsd"],
        "label_mentioned": True,
    }
    lines = [json.dumps(full), "", json.dumps({"text": "Only a text", "label": "mh"})]
    (tmp_path / "disorder.jsonl").write_text("\n".join(lines), encoding="utf-8")
    first, second = read_file(tmp_path / "disorder.jsonl")
    assert first == Row(
        "7", "disorder", "here", Document("Hello", "I said hello"), ("adhd", "ocd"), "f00", ("ptsd",), True
    )
    assert second == Row("line-3", "disorder", "unnamed", Document("", "Only a text"), ("mh",))


def test_a_folder_gives_its_files_in_the_order_asked(tmp_path: Path) -> None:
    """A packed file goes before a plain one of the same name, and a file that is not there is no error."""
    line = json.dumps({"text": "packed", "label": "mh"})
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    (tmp_path / "b.jsonl").write_text(line.replace("packed", "plain"), encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(line.replace("packed", "first"), encoding="utf-8")
    assert [each.document.body for each in read_folder(tmp_path, ["a", "missing", "b"])] == ["first", "packed"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{broken", "is not JSON"),
        ('["text"]', "is not a JSON object"),
        ('{"text": "xylophonist"}', "has neither label nor labels"),
        ('{"text": "xylophonist", "labels": [1]}', "has neither label nor labels"),
        ('{"label": "mh"}', "has no text"),
        ('{"label": "mh", "text": 3}', "has no text"),
        ('{"label": "mh", "text": "xylophonist", "label_mentioned": "no"}', "label_mentioned is not true or false"),
        ('{"label": "mh", "text": "a", "source": "xylophonist\\ud800"}', "unprintable"),
        ('{"label": "mh", "text": "a", "id": "xylophonist\\u001b]0;owned\\u0007"}', "unprintable"),
        ('{"label": "mh", "text": "a", "subreddit": "xylophonist\\n# A heading"}', "unprintable"),
        ('{"label": "xylophonist\\u202e", "text": "a"}', "unprintable"),
        ('{"label": "mh", "text": "a", "author_hash": "xylophonist\\udfff"}', "unprintable"),
    ],
)
def test_a_bad_line_is_named_and_never_quoted(tmp_path: Path, line: str, reason: str) -> None:
    """The error says file, line and reason, and holds no word of a post."""
    file = tmp_path / "x.jsonl"
    file.write_text('{"text": "fine", "label": "mh"}\n' + line, encoding="utf-8")
    with pytest.raises(DataError, match=f"line 2: .*{reason}") as caught:
        read_file(file)
    assert "xylophonist" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    """Missing, broken off, or of another kind: each is said in one line."""
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a", "label": "b"}\n' * 999)[:-30])
    packed = bytearray(gzip.compress(b'{"text": "a", "label": "b"}\n' * 999))
    packed[20:40] = bytes(20)
    (tmp_path / "spoiled.jsonl.gz").write_bytes(packed)
    for name in ("missing.jsonl", "cut.jsonl.gz", "spoiled.jsonl.gz", "table.csv"):
        with pytest.raises(DataError, match=name):
            read_file(tmp_path / name)


def test_posts_of_a_user_are_apart_at_blank_lines() -> None:
    """One post a paragraph, and never none."""
    assert [each.body for each in posts(row("One.\n\nTwo,\nstill two.\n \n\nThree."))] == [
        "One.",
        "Two,\nstill two.",
        "Three.",
    ]
    assert posts(row("[serious] just one")) == [Document("", "[serious] just one")]


@given(st.lists(st.text()))
def test_a_printed_list_gives_its_posts(written: list[str]) -> None:
    """Whatever quotes, brackets or line breaks the posts hold, each comes out as it was written."""
    expected = [text.strip() for text in written if text.strip()]
    if expected:
        assert [each.body for each in posts(row(str(written)))] == expected


@given(st.lists(st.text(min_size=1), min_size=1), st.integers(min_value=0))
def test_a_list_that_is_cut_off_loses_nothing_before_the_cut(written: list[str], cut: int) -> None:
    """There is always a post, and those that ended before the cut are whole."""
    printed = str(written)
    found = [each.body for each in posts(row("[" + printed[1 : max(2, cut % len(printed))]))]
    assert found
    whole = [text.strip() for text in written if text.strip()]
    assert found[:-1] == whole[: len(found) - 1]


def test_a_list_is_read_and_never_run() -> None:
    """Python that is no list of strings is text like any other."""
    trap = "[__import__('pathlib').Path('/tmp/owned').touch()]"
    assert posts(row(trap)) == [Document("", trap)]


def test_rows_of_one_author_or_one_text_have_one_key() -> None:
    """The author decides where one is known; else the text does, whatever its punctuation."""
    assert row("One", author_hash="a").key == row("Another", author_hash="a").key
    assert row("Well, hello!").key == row("well hello").key != row("well, bye").key
