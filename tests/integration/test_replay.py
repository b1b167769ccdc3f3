"""A replay over real files, with a classifier that judges by one word."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.classify import classify
from bot.config import Config
from bot.errors import ArchiveError, UsageError
from bot.record import Record
from bot.replay import BATCH, IdSet, Outputs, Selection, run_replay
from bot.report import LISTED, Run, Tally, _periods, render
from bot.sources.archive import BadLine
from models.assessment import Assessment
from models.document import Document
from models.labels import Level
from tests.conftest import KeywordClassifier

DAY = 86_400
START = 1_700_006_400  # 2023-11-15 00:00 UTC


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A submission, one an hour; every tenth speaks of ideation."""
    text = "a secret of ideation" if number % 10 == 0 else "a secret of gardening"
    post = {"id": f"a{number}", "subreddit": "testsub", "author": "river_stone", "title": "My roses", "selftext": text}
    return {**post, "created_utc": START + number * 3_600, **changes}


def write(path: Path, *rows: object) -> Path:
    """An archive of JSON lines; a str goes in as it is."""
    lines = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in rows)
    path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())
    return path


def replay(
    archives: Sequence[Path], outputs: Outputs, selection: Selection | None = None, classifier: Any = None
) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and what now stands in the decisions file."""
    selection = selection or Selection()
    code = run_replay(archives, outputs, selection, Config(), lambda: classifier or KeywordClassifier())
    assert outputs.decisions
    return code, [json.loads(line) for line in outputs.decisions.read_text().splitlines()]


class Interrupted(KeywordClassifier):
    """Sends this very process a signal while its second batch is judged."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self._signal, self._batches = number, 0

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """Judges as ever."""
        self._batches += 1
        if self._batches == 2:
            os.kill(os.getpid(), self._signal)
        return super().assess(documents)


def test_every_post_is_judged_once_and_in_order(tmp_path: Path) -> None:
    """One line a post, in the archives' order; an id met again, in either file, is a duplicate."""
    first = write(tmp_path / "1.jsonl", *map(row, range(BATCH + 5)), row(3))
    second = write(tmp_path / "2.jsonl.gz", row(4), row(9_000))
    code, decisions = replay([first, second], Outputs(tmp_path / "out.jsonl"))
    assert code == 0
    assert [each["id"] for each in decisions] == [*(f"a{number}" for number in range(BATCH + 5)), "a9000"]
    assert [each["level"] for each in decisions[:3]] == ["crisis", "none", "none"]


def test_a_post_that_breaks_the_models_is_unassessed(tmp_path: Path) -> None:
    """One post that cannot be read goes to the moderators, and takes no other with it."""
    archive = write(tmp_path / "p.jsonl", row(0), row(1, selftext="poison"), row(2))
    _, decisions = replay([archive], Outputs(tmp_path / "out.jsonl"))
    assert [each["level"] for each in decisions] == ["crisis", "unassessed", "none"]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(limit=2), ["a0", "a1"]),
        (Selection(limit=0), []),
        (Selection(since_utc=START + 2 * 3_600), ["a2", "a3"]),
        (Selection(until_utc=START + 2 * 3_600), ["a0", "a1"]),
        (Selection(since_utc=START + 3_600, until_utc=START + 2 * 3_600), ["a1"]),
        (Selection(subreddit="ELSEWHERE"), ["b0"]),
    ],
)
def test_what_is_selected_is_judged(tmp_path: Path, selection: Selection, expected: list[str]) -> None:
    """Times are compared half-open, a post without one is left out then, subreddits match in any case."""
    others = [row(0, id="b0", subreddit="Elsewhere", created_utc=None)]
    archive = write(tmp_path / "p.jsonl", *map(row, range(4)), *others)
    _, decisions = replay([archive], Outputs(tmp_path / "out.jsonl"), selection)
    assert [each["id"] for each in decisions] == expected


def test_bad_lines_are_written_down(tmp_path: Path) -> None:
    """--errors holds file, line and reason of each, the posts around them are judged, and the run counts as fine."""
    archive = write(tmp_path / "p.jsonl", row(0), "{broken", '{"title": "no id"}', row(1))
    code, decisions = replay([archive], Outputs(tmp_path / "out.jsonl", errors=tmp_path / "errors.jsonl"))
    errors = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert (code, len(decisions)) == (0, 2)
    assert [(each["file"], each["line"]) for each in errors] == [(str(archive), 2), (str(archive), 3)]
    assert all(each.keys() == {"file", "line", "reason"} for each in errors)


def test_a_cut_off_archive_is_judged_as_far_as_it_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its posts are judged, the next archive too, stderr names the place, and the exit code is 1."""
    cut = write(tmp_path / "1.jsonl.gz", *map(row, range(20)))
    cut.write_bytes(cut.read_bytes()[:-12])
    code, decisions = replay([cut, write(tmp_path / "2.jsonl", row(99))], Outputs(tmp_path / "out.jsonl"))
    assert code == 1
    assert 1 < len(decisions) < 22
    assert decisions[-1]["id"] == "a99"
    assert "1.jsonl.gz: line" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_replay_resumes_to_the_same_end(tmp_path: Path, number: signal.Signals) -> None:
    """After a signal the batch at hand is finished; --resume judges the rest alone and ends with the same file.

    A last line that was written in part (a power cut) is taken back.
    """
    archive = write(tmp_path / "p.jsonl", *map(row, range(BATCH * 3)), row(1))
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    replay([archive], Outputs(whole))
    code, decisions = replay([archive], Outputs(out), classifier=Interrupted(number))
    assert (code, len(decisions)) == (128 + number, BATCH * 2)
    with out.open("ab") as file:
        file.write(whole.read_bytes().splitlines(keepends=True)[BATCH * 2][:40])
    rest = KeywordClassifier()
    code, _ = replay([archive], Outputs(out, report=tmp_path / "r.html", resume=True), classifier=rest)
    assert code == 0
    assert out.read_bytes() == whole.read_bytes()
    assert len(rest.seen) == BATCH
    assert f"<strong>{BATCH * 3}</strong> posts" in (tmp_path / "r.html").read_text()


def test_a_signal_handler_does_not_outlive_the_replay(tmp_path: Path) -> None:
    """Ctrl-C does afterwards what it did before."""
    before = signal.getsignal(signal.SIGINT)
    replay([write(tmp_path / "p.jsonl", row(0))], Outputs(tmp_path / "out.jsonl"))
    assert signal.getsignal(signal.SIGINT) is before


def test_nothing_that_exists_is_lost_by_mistake(tmp_path: Path) -> None:
    """An --out file is kept unless --overwrite is said, and no output may be an archive or another output."""
    archive = write(tmp_path / "p.jsonl", row(0))
    out = tmp_path / "out.jsonl"
    out.write_text("mine\n")
    refused: list[tuple[Outputs, str]] = [
        (Outputs(out), "--resume goes on with it, --overwrite"),
        (Outputs(out, resume=True), "line 1: not a decision"),
        (Outputs(out, resume=True, overwrite=True), "exclude each other"),
        (Outputs(resume=True), "needs --out"),
        (Outputs(archive, overwrite=True), "named twice"),
        (Outputs(tmp_path / "new", report=tmp_path / "new"), "named twice"),
        (Outputs(tmp_path / "no" / "folder"), "no folder"),
        (Outputs(tmp_path), "is a folder"),
    ]
    for outputs, words in refused:
        with pytest.raises(UsageError, match=words):
            run_replay([archive], outputs, Selection(), Config(), KeywordClassifier)
    assert (out.read_text(), archive.stat().st_size > 9) == ("mine\n", True)
    assert len(replay([archive], Outputs(out, overwrite=True))[1]) == 1


def test_a_missing_archive_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    """One wrong path among many ends the command before the first decision."""
    archives = [write(tmp_path / "p.jsonl", row(0)), tmp_path / "missing.jsonl"]
    with pytest.raises(ArchiveError, match="no such file"):
        run_replay(archives, Outputs(tmp_path / "out.jsonl"), Selection(), Config(), KeywordClassifier)
    assert not (tmp_path / "out.jsonl").exists()


class Links(HTMLParser):
    """Collects whatever a page would load, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes one tag."""
        self.tags.add(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "srcset", "data", "poster")]
        self.links += [value or "" for name, value in attrs if name == "href"]


def test_the_report_stands_alone_and_keeps_what_people_wrote_to_itself(tmp_path: Path) -> None:
    """No script, nothing loaded from elsewhere, links to Reddit only, strange ids escaped, no text, title or author."""
    evil = row(
        0, id='"><script>alert(1)</script>', subreddit="<img src=//evil.example>", permalink="javascript:alert(1)"
    )
    archive = write(tmp_path / "p.jsonl", *map(row, range(50)), evil, "{broken")
    replay([archive], Outputs(tmp_path / "out.jsonl", report=tmp_path / "r.html"))
    page = (tmp_path / "r.html").read_text()
    found = Links()
    found.feed(page)
    assert not {"script", "iframe", "object", "link"} & found.tags
    assert found.loads and all(each.startswith("data:image/svg+xml;base64,") for each in found.loads)
    assert found.links and all(each.startswith("https://www.reddit.com/comments/a") for each in found.links)
    assert "default-src 'none'" in page
    assert not any(word in page for word in ("a secret", "My roses", "river_stone", "javascript:"))
    assert "<strong>6</strong> of them" in page
    assert "broken JSON" in page


@pytest.mark.parametrize("rows", [[], [row(1)], [row(0, created_utc=None)]])
def test_a_report_about_almost_nothing(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """No post, no alert, or no time: the page is made all the same."""
    replay([write(tmp_path / "p.jsonl", *rows)], Outputs(tmp_path / "out.jsonl", report=tmp_path / "r.html"))
    assert "What Nightlight would have done" in (tmp_path / "r.html").read_text()


def record(number: int, level: str, created_utc: float | None) -> Record:
    """A decision that alerts."""
    return Record(
        id=f"a{number}",
        subreddit="",
        created_utc=created_utc,
        level=Level(level),
        reasons=["a reason"],
        relevance=None,
        disorders=None,
        severity=None,
        risk=None,
        evidence=[],
        deliveries=[{"kind": "alert", "state": "pending"}],  # type: ignore[typeddict-item]
        versions={"rules": str(number)},
    )


def test_a_tally_does_not_grow_with_the_posts() -> None:
    """The list keeps the highest levels, then the newest posts; versions stay few; the counts stay right."""
    tally = Tally()
    for number in range(LISTED * 3):
        tally.add(record(number, "crisis" if number % 10 == 0 else "urgent", START + number))
    listed = tally.alerted()
    assert (tally.alerts, len(listed), len(tally.versions) < 50) == (LISTED * 3, LISTED, True)
    assert [each.level for each in listed] == [Level.CRISIS] * 300 + [Level.URGENT] * 700
    assert [each.id for each in (listed[0], listed[300])] == [f"a{LISTED * 3 - 10}", f"a{LISTED * 3 - 1}"]
    page = render(tally, Run(("p.jsonl",)))
    assert f"The first {LISTED:,} of {LISTED * 3:,}" in page


def test_alerts_a_day_count_the_quiet_days_too() -> None:
    """The mean goes over every day from the first post to the last; the busiest day is named."""
    tally = Tally()
    for number, day in enumerate((0, 0, 0, 9)):
        tally.add(record(number, "urgent", START + day * DAY))
    assert tally.alerts_a_day() == (0.4, 3, "2023-11-15")


@given(st.dictionaries(st.integers(0, 40_000), st.integers(0, 5), min_size=1), st.sampled_from([45, 93]))
def test_periods_hold_every_alert(days: dict[int, int], most: int) -> None:
    """However long the time, the bars are few, of equal length, and no alert is lost."""
    periods = _periods({day: Counter({Level.URGENT: alerts}) for day, alerts in days.items()}, most)
    assert len(periods) <= most
    assert sum(period.levels.total() for period in periods) == sum(days.values())
    assert {later.start - earlier.start for earlier, later in pairwise(periods)} <= {periods[0].days}


@given(st.lists(st.text(max_size=3)))
def test_an_id_is_new_once(ids: list[str]) -> None:
    """The compact set answers like a set, also after it has grown."""
    compact, plain = IdSet(), set[str]()
    for id_ in (*ids, *map(str, range(1_500)), *ids):
        assert (id_ in compact) == (id_ in plain)
        assert compact.add(id_) == (id_ not in plain)
        plain.add(id_)


def answers(source: bytes, read_size: int = 10**9) -> tuple[list[dict[str, Any]], list[BadLine]]:
    """What classify says to an input, and the bad lines."""

    class Pipe(io.BytesIO):
        """Gives at most so many bytes at a time."""

        def read1(self, size: int | None = -1, /) -> bytes:
            """As a pipe would."""
            return super().read1(read_size)

    lines: list[bytes] = []
    bad: list[BadLine] = []
    classify(Pipe(source), "stdin", KeywordClassifier(), Config(), lines.append, bad.append)
    return [json.loads(line) for line in b"".join(lines).splitlines()], bad


@pytest.mark.parametrize("read_size", [1, 7, 10**9])
def test_classify_answers_every_row_in_order(read_size: int) -> None:
    """Duplicates, empty texts and rows without an id each have their line; a bad row is named and has none."""
    rows = [row(0), row(0), {"id": "empty"}, {"text": "ideation"}, "{bad", {"id": None, "title": "x"}]
    source = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in rows)
    given, bad = answers(b"\xef\xbb\xbf \n" + source.encode(), read_size)
    assert [each["id"] for each in given] == ["a0", "a0", "empty", "line-5", "line-7"]
    assert [each["level"] for each in given] == ["crisis", "crisis", "none", "crisis", "none"]
    assert [each.line for each in bad] == [6]


@pytest.mark.parametrize("read_size", [1, 10**9])
@pytest.mark.parametrize("text", ["A day of ideation.\nAnd another {line}.", " \n[1] ideation", "ideation"])
def test_classify_takes_plain_text_whole(text: str, read_size: int) -> None:
    """Whatever does not begin with a brace is one post, and its evidence counts from the first character."""
    given, bad = answers(text.encode(), read_size)
    assert not bad
    assert [(each["id"], each["level"], each["evidence"][0]["end"]) for each in given] == [
        ("stdin", "crisis", len(text))
    ]


@pytest.mark.parametrize("read_size", [1, 10_000])
@pytest.mark.parametrize("source", [b'[{"title": "one post"}]', b'\xef\xbb\xbf \n[\n {"title": "one post"}, {}]'])
def test_classify_refuses_an_array(source: bytes, read_size: int) -> None:
    """It would be judged as prose, and its posts as one; what only begins with a bracket is a post."""
    records, bad = answers(source, read_size)
    assert (records, [line.reason for line in bad]) == ([], ["a JSON array, and not one object a line"])
    assert len(answers(b"[serious] I am tired", read_size)[0]) == 1
    assert len(answers(b"[", read_size)[0]) == 1


def test_classify_of_nothing_says_nothing() -> None:
    """An empty input has no rows, and plain bytes that are no UTF-8 are a bad line."""
    assert answers(b"") == ([], [])
    assert [each.reason for each in answers(b"\xff\xfe")[1]] == ["not valid UTF-8"]


def test_classify_answers_before_it_reads_on() -> None:
    """On a live pipe a line has its answer before the next one is asked for."""
    said: list[str] = []

    class Pipe(io.BytesIO):
        """Notes each time that more is asked for."""

        def read1(self, size: int | None = -1, /) -> bytes:
            """One line."""
            said.append("asked")
            return self.readline()

    answered: Callable[[bytes], object] = lambda lines: said.append("answered")  # noqa: E731
    classify(Pipe(b'{"id": "a"}\n{"id": "b"}\n'), "stdin", KeywordClassifier(), Config(), answered, print)
    assert said == ["asked", "answered", "asked", "answered", "asked"]
