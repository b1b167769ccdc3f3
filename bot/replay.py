"""An archive through the live pipeline, with nothing sent: what the bot would have done."""

from __future__ import annotations

import json
import signal
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO

from bot.config import Config
from bot.errors import SetupError, UsageError
from bot.judge import judge
from bot.record import Record, is_record, to_line, to_record
from bot.report import Run, Tally, render
from bot.sources.archive import BadLine, check_archive, read_archive
from bot.types import Post
from models.assessment import Classifier
from models.labels import Level

if TYPE_CHECKING:
    from rich.console import Console

BATCH = 256
# Subreddits whose settings are kept at hand; an archive can name millions.
_TEAMS = 4096


@dataclass(frozen=True, slots=True)
class Selection:
    """Which posts of an archive to judge: `since_utc` <= created_utc < `until_utc`, and at most `limit` of them.

    A post without a time is left out as soon as either bound is given.
    """

    limit: int | None = None
    since_utc: float | None = None
    until_utc: float | None = None
    subreddit: str | None = None

    def takes(self, post: Post) -> bool:
        """Whether a post is one of them, the limit aside."""
        if self.subreddit is not None and post.subreddit.casefold() != self.subreddit.casefold():
            return False
        if self.since_utc is None and self.until_utc is None:
            return True
        return post.created_utc is not None and (
            (self.since_utc is None or self.since_utc <= post.created_utc)
            and (self.until_utc is None or post.created_utc < self.until_utc)
        )


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files of a replay. Without `decisions` the lines go to stdout."""

    decisions: Path | None = None
    report: Path | None = None
    errors: Path | None = None
    resume: bool = False
    overwrite: bool = False

    def check(self, archives: Sequence[Path]) -> None:
        """Raises UsageError with one line before anything is read, loaded or written."""
        if self.resume and self.decisions is None:
            raise UsageError("--resume needs --out, the file to go on with")
        if self.resume and self.overwrite:
            raise UsageError("--resume and --overwrite exclude each other")
        taken = {archive.resolve() for archive in archives}
        for path in (each for each in (self.decisions, self.report, self.errors) if each is not None):
            if path.resolve() in taken:
                raise UsageError(f"{path}: named twice; every output needs a file of its own, apart from the archives")
            if path.is_dir() or not path.parent.is_dir():
                raise UsageError(f"{path}: {'is a folder' if path.is_dir() else f'no folder {path.parent}'}")
            taken.add(path.resolve())
        if self.decisions and self.decisions.exists() and not (self.resume or self.overwrite):
            raise UsageError(
                f"{self.decisions} exists; --resume goes on with it, --overwrite throws it away and starts again"
            )


class IdSet:
    """The ids met so far, as 8-byte hashes: 12 to 24 bytes an id, so 100 million posts take about 2 GB.

    Two ids can share a hash, and the second then counts as met: for 100 million posts the chance that this happens
    even once is below 1 in 3,000.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._used = 0

    def add(self, id_: str) -> bool:
        """Whether the id is new."""
        key = _key(id_)
        slot = self._slot(key)
        if self._slots[slot] == key:
            return False
        self._slots[slot] = key
        self._used += 1
        if self._used * 3 > len(self._slots) * 2:
            self._grow()
        return True

    def __contains__(self, id_: str) -> bool:
        key = _key(id_)
        return self._slots[self._slot(key)] == key

    def _slot(self, key: int) -> int:
        slots, mask = self._slots, len(self._slots) - 1
        slot = key & mask
        while slots[slot] not in (0, key):
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(16 * len(old)))
        for key in old:
            if key:
                self._slots[self._slot(key)] = key


def _key(id_: str) -> int:
    return hash(id_) % 2**64 or 1  # 0 marks an empty slot


class _StoppedError(Exception):
    """A signal came while the archive was being read."""


@dataclass(slots=True)
class Replay:
    """Archives through the pipeline, once. The callbacks get what comes out; `stop` is asked between batches."""

    archives: Sequence[Path]
    selection: Selection
    classifier: Classifier
    config: Config
    on_records: Callable[[list[Record]], None]
    on_error: Callable[[BadLine], None] = lambda bad: None
    on_bytes: Callable[[int], None] = lambda count: None
    stop: Callable[[], bool] = lambda: False
    judged_before: IdSet = field(default_factory=IdSet)

    def go(self, run: Run) -> None:
        """Judges every selected post once, in order, counting in `run` as it goes.

        A stop between batches loses nothing: what was judged has been handed to `on_records`.
        """
        started = time.monotonic()
        team = lru_cache(_TEAMS)(self.config.team)
        try:
            for posts in _batches(islice(self._posts(run), self.selection.limit)):
                judgements = judge(posts, self.classifier, team)
                self.on_records([to_record(each, team(each.post.subreddit).policy) for each in judgements])
                run.judged += len(posts)
                run.seconds = time.monotonic() - started
                if self.stop():
                    raise _StoppedError
        except _StoppedError:
            run.stopped = True
        run.seconds = time.monotonic() - started

    def _posts(self, run: Run) -> Iterator[Post]:
        seen = IdSet()

        def bad(line: BadLine) -> None:
            run.add_bad(line)
            self.on_error(line)

        for archive in self.archives:
            for post in read_archive(archive, bad, self._read):
                if not self.selection.takes(post):
                    run.left_out += 1
                elif not seen.add(post.id):
                    run.duplicates += 1
                elif post.id in self.judged_before:
                    run.already += 1
                else:
                    yield post

    def _read(self, count: int) -> None:
        if self.stop():
            raise _StoppedError
        self.on_bytes(count)


def _batches(posts: Iterator[Post]) -> Iterator[list[Post]]:
    while batch := list(islice(posts, BATCH)):
        yield batch


def run_replay(
    archives: Sequence[Path],
    outputs: Outputs,
    selection: Selection,
    config: Config,
    load_classifier: Callable[[], Classifier],
) -> int:
    """The command: files, progress and summary around a Replay. The exit code.

    0 when all was read, 1 when an archive was cut off, 128 and the signal's number when one stopped it.
    Raises UsageError, and SetupError when an output cannot be written.
    """
    for archive in archives:
        check_archive(archive)
    outputs.check(archives)
    run, tally = Run(tuple(str(archive) for archive in archives)), Tally()
    try:
        judged_before = _take_up(outputs.decisions, tally) if outputs.resume and outputs.decisions else IdSet()
        classifier = load_classifier()
        signals = _replay(archives, outputs, selection, config, classifier, judged_before, run, tally)
        if outputs.report:
            outputs.report.write_text(render(tally, run), encoding="utf-8")
    except BrokenPipeError:  # the reader of stdout has seen enough
        raise
    except OSError as error:
        raise SetupError(f"{error.filename or 'an output'}: {error.strerror or error}") from error
    _summarise(outputs, run, tally)
    return 128 + signals[0] if run.stopped else 1 if run.cut_off else 0


def _replay(
    archives: Sequence[Path],
    outputs: Outputs,
    selection: Selection,
    config: Config,
    classifier: Classifier,
    judged_before: IdSet,
    run: Run,
    tally: Tally,
) -> list[int]:
    with ExitStack() as stack:
        signals = stack.enter_context(_signals())
        decisions = stack.enter_context(_open_decisions(outputs))
        errors = stack.enter_context(outputs.errors.open("w", encoding="utf-8")) if outputs.errors else None
        on_bytes, on_judged = stack.enter_context(_progress(archives, outputs))

        def on_records(records: list[Record]) -> None:
            decisions.write(b"".join(map(to_line, records)))
            decisions.flush()
            for record in records:
                tally.add(record)
            on_judged(len(records))

        def on_error(bad: BadLine) -> None:
            if errors:
                line = {"file": bad.file, "line": bad.line, "reason": bad.reason}
                errors.write(json.dumps(line, ensure_ascii=False) + "\n")

        replay = Replay(archives, selection, classifier, config, on_records, on_error, on_bytes, lambda: bool(signals))
        replay.judged_before = judged_before
        replay.go(run)
    return signals


def _take_up(path: Path, tally: Tally) -> IdSet:
    """The ids in an earlier run's decisions, which are counted in `tally`; a last line that was cut off is removed."""
    ids = IdSet()
    if not path.exists():
        return ids
    with path.open("rb+") as file:
        end = 0
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not is_record(record):
                raise UsageError(f"{path}, line {number}: not a decision of an earlier replay; it is left as it is")
            ids.add(record["id"])
            tally.add(record)
            end += len(line)
        file.truncate(end)
    return ids


def _open_decisions(outputs: Outputs) -> AbstractContextManager[BinaryIO]:
    if outputs.decisions is None:
        return _borrowed(sys.stdout.buffer)
    return outputs.decisions.open("ab" if outputs.resume else "wb" if outputs.overwrite else "xb")


@contextmanager
def _borrowed(stream: BinaryIO) -> Iterator[BinaryIO]:
    yield stream


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that asked to stop. The first is noted; a second one acts as it always does, at once."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# What a person sees


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


@contextmanager
def _progress(
    archives: Sequence[Path], outputs: Outputs
) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """Callbacks for bytes read and posts judged, shown as a bar when stderr is a terminal that stdout does not use."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = _console()
    shown = console.is_terminal and not (outputs.decisions is None and sys.stdout.isatty())
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[posts]:,} posts"),
        TextColumn("{task.fields[rate]:,.0f} posts/s"),
        TimeRemainingColumn(),
    )
    total = sum(archive.stat().st_size for archive in archives)
    with Progress(*columns, console=console, disable=not shown, transient=True) as progress:
        task = progress.add_task("", total=total, posts=0, rate=0.0)
        started, judged = time.monotonic(), 0

        def on_judged(count: int) -> None:
            nonlocal judged
            judged += count
            progress.update(task, posts=judged, rate=judged / (time.monotonic() - started))

        yield lambda count: progress.advance(task, count), on_judged


def _summarise(outputs: Outputs, run: Run, tally: Tally) -> None:
    from rich.table import Table

    console = _console()
    mean, most, busiest = tally.alerts_a_day()
    rows: list[tuple[str, str]] = [("posts", f"{tally.posts:,}")]
    rows += [("judged before", f"{run.already:,}")] if outputs.resume else []
    rows += [(f"  {level.value}", f"{tally.levels[level]:,}") for level in sorted(Level, reverse=True)]
    rows += [("alerts", f"{tally.alerts:,}")]
    rows += [("alerts a day", f"{mean:.1f} (most: {most:,} on {busiest})")] if most else []
    rows += [("duplicates", f"{run.duplicates:,}"), ("left out", f"{run.left_out:,}")]
    rows += [("bad lines", f"{run.bad_lines:,}"), ("posts/s", f"{run.posts_a_second:,.0f}")]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for bad in run.cut_off:
        console.print(f"nightlight: {bad.file}: line {bad.line}: {bad.reason}", markup=False, soft_wrap=True)
    if run.bad_lines and not outputs.errors:
        console.print("--errors FILE writes down where the bad lines are and what is wrong with them", soft_wrap=True)
    if outputs.report:
        console.print(f"report: {outputs.report}", markup=False, soft_wrap=True)
    if run.stopped:
        again = (
            "the same command with --resume goes on from here" if outputs.decisions else "without --out it starts over"
        )
        console.print(f"stopped; {again}")
