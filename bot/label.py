"""An archive through one annotator: a line of labels a post, in a file that the same command goes on with."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Collection, Container, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from bot.config import Config
from bot.errors import SetupError, UsageError
from bot.judge import document_of
from bot.label_lines import Labelled, read_labels, spelled
from bot.replay import IdSet
from bot.sources.archive import BadLine, check_archive, read_archive
from bot.types import Post
from models.annotation import Annotation, Annotator, ClassifierAnnotator, Status

if TYPE_CHECKING:
    from rich.console import Console

_BATCH = 16
_AHEAD = 512  # posts that wait, or whose answers wait for that of an earlier post, beside those under way
_DEAD_AFTER = 16  # posts in a row without an answer, each of them asked for several times
# With one of these (malformed, too long, not to be processed) a server that answered another post means this one; one
# that answered none may mean every request: some say 400 of a model that they do not know.
_ABOUT_THE_POST = frozenset({"400", "413", "422"})
_SAID_EVERY_SECONDS = 30.0


@dataclass(slots=True)
class Tally:
    """What a run amounts to. Tokens, cost and statuses are those of this run; what was known before costs nothing."""

    total: int = 0
    already: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    bad_lines: int = 0
    cut_off: list[BadLine] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    unanswered: int = 0  # in a row, at the end, for no reason of their own
    failed: Annotation | None = None  # the last

    def add(self, line: Labelled) -> None:
        """Counts one line."""
        annotation = line.annotation
        self.statuses[annotation.status] += 1
        if annotation.cached:  # which says nothing of the server
            self.cached += 1
            return
        if annotation.status is Status.FAILED:
            self.failed = annotation
        self.unanswered = self.unanswered + 1 if self._is_the_servers(annotation) else 0
        self.prompt_tokens += annotation.prompt_tokens
        self.completion_tokens += annotation.completion_tokens
        self.cost += line.cost

    @property
    def labelled(self) -> int:
        return self.statuses.total()

    @property
    def is_dead(self) -> bool:
        """Whether nobody answers any more."""
        return self.unanswered >= _DEAD_AFTER

    @property
    def seconds(self) -> float:
        """Since the first post was asked for."""
        return time.monotonic() - self.started

    @property
    def rate(self) -> float:
        """Posts a second."""
        return self.labelled / max(self.seconds, 1e-3)

    @property
    def seconds_left(self) -> float:
        return (self.total - self.labelled) / self.rate if self.labelled else 0.0

    def _is_the_servers(self, annotation: Annotation) -> bool:
        """Whether there is no answer for a reason that other posts may meet as well."""
        if annotation.status is not Status.FAILED:
            return False
        has_answered = self.already or self.labelled > self.statuses[Status.FAILED]
        return not has_answered or annotation.error.rpartition(" ")[2] not in _ABOUT_THE_POST


@dataclass(frozen=True, slots=True)
class Labelling:
    """One archive, one annotator, one file; `only` some posts of the archive, where not all are wanted."""

    archive: Path
    out: Path
    name: str
    config: Config
    only: Container[str] | None = None

    def check(self) -> None:
        """Raises UsageError before anything is read, loaded or written."""
        check_archive(self.archive)
        if self.out.resolve() == self.archive.resolve():
            raise UsageError(f"{self.out}: is the archive itself")
        if self.out.is_dir() or not self.out.parent.is_dir():
            raise UsageError(f"{self.out}: {'is a folder' if self.out.is_dir() else f'no folder {self.out.parent}'}")

    async def go(
        self, annotator: Annotator, tally: Tally, on_labelled: Callable[[], None], stop: asyncio.Event
    ) -> None:
        """Labels every post that has no line yet, counting in `tally` as it goes; stops when nobody answers any more.

        Once `stop` is set no other post is taken up, and those under way are finished. Lines come in the order of the
        archive, except that posts which failed in earlier runs come last, the longest ago first: whatever it is about
        them, it holds up no other. Raises UsageError when the file is another annotator's.
        """
        done, failed = await asyncio.to_thread(self._take_up, annotator)
        tally.total = await asyncio.to_thread(lambda: sum(1 for _ in self._posts(done, failed, Tally())))
        tally.started = time.monotonic()
        posts = self._posts(done, failed, tally)
        try:
            await self._label(_annotated(posts, annotator, self.config.llm.concurrency, stop), tally, on_labelled)
        finally:
            if failed:
                self._take_up(annotator)

    async def _label(
        self,
        annotating: AsyncGenerator[tuple[list[Post], list[Annotation]], None],
        tally: Tally,
        on_labelled: Callable[[], None],
    ) -> None:
        with self.out.open("ab") as file:
            async with aclosing(annotating) as annotated:
                async for batch, annotations in annotated:
                    lines = [self._line(*each) for each in zip(batch, annotations, strict=True)]
                    file.write(b"".join(line.to_line() for line in lines))
                    file.flush()
                    for line in lines:
                        tally.add(line)
                    on_labelled()
                    if tally.is_dead:
                        return

    def _line(self, post: Post, annotation: Annotation) -> Labelled:
        cost = self.config.llm.cost(annotation.prompt_tokens, annotation.completion_tokens)
        return Labelled(post.id, self.name, annotation, cost)

    def _posts(self, done: IdSet, failed: Collection[str], tally: Tally) -> Iterator[Post]:
        seen = IdSet()

        def bad(line: BadLine) -> None:
            tally.bad_lines += 1
            if line.cut_off:
                tally.cut_off.append(line)

        for post in self._wanted(bad):
            if post.id in done:
                tally.already += 1
            elif post.id not in failed and seen.add(post.id):
                yield post
        if failed:
            again = {post.id: post for post in self._wanted(lambda _: None) if post.id in failed}
            yield from (again[id_] for id_ in failed if id_ in again)

    def _wanted(self, on_bad: Callable[[BadLine], None]) -> Iterator[Post]:
        return (post for post in read_archive(self.archive, on_bad) if self.only is None or post.id in self.only)

    def _take_up(self, annotator: Annotator) -> tuple[IdSet, Collection[str]]:
        """The posts that the file has an answer for, and those that failed, the longest ago first.

        Their lines then stand at the end of the file. A line that was cut off, and the failure of a post that has an
        answer by now, are taken out.
        """
        done, failed = IdSet(), dict[str, Labelled]()
        if not self.out.exists():
            return done, failed
        fresh = self.out.with_name(f"{self.out.name}.new")
        try:
            with fresh.open("wb") as file:
                for line in read_labels(self.out):
                    if line.annotation.status is Status.FAILED:
                        failed.pop(line.id, None)
                        failed[line.id] = line
                        continue
                    self._check_maker(line, annotator.versions)
                    file.write(line.to_line())
                    done.add(line.id)
                failed = {id_: line for id_, line in failed.items() if id_ not in done}
                file.write(b"".join(line.to_line() for line in failed.values()))
            fresh.replace(self.out)
        finally:
            fresh.unlink(missing_ok=True)
        return done, failed

    def _check_maker(self, line: Labelled, versions: Mapping[str, str]) -> None:
        if (line.annotator, line.annotation.versions) != (self.name, versions):
            theirs, ours = spelled(line.annotation.versions), spelled(versions)
            raise UsageError(
                f"{self.out} holds labels by {line.annotator} ({theirs}), not by {self.name} ({ours}); "
                "give these another file"
            )


async def _annotated(
    posts: Iterator[Post], annotator: Annotator, at_once: int, stop: asyncio.Event
) -> AsyncGenerator[tuple[list[Post], list[Annotation]], None]:
    """Batch for batch in order; a classifier gets batches, one at a time, all others single posts, so many at once."""
    size, at_once = (_BATCH, 1) if isinstance(annotator, ClassifierAnnotator) else (1, at_once)
    batches = iter(lambda: list(islice(posts, size)), [])
    under_way: deque[tuple[list[Post], asyncio.Task[list[Annotation]]]] = deque()
    free = asyncio.Semaphore(at_once)

    async def annotate(batch: list[Post]) -> list[Annotation]:
        async with free:
            return [] if stop.is_set() else await annotator.annotate([document_of(post) for post in batch])

    try:
        while True:
            while not stop.is_set() and len(under_way) < at_once + _AHEAD // size:
                if not (batch := await asyncio.to_thread(next, batches, None)):
                    break
                under_way.append((batch, asyncio.ensure_future(annotate(batch))))
            if not under_way:
                return
            batch, task = under_way.popleft()
            if annotations := await task:
                yield batch, annotations
    finally:
        tasks = [task for _, task in under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run_label(labelling: Labelling, annotator: Callable[[], AbstractAsyncContextManager[Annotator]]) -> int:
    """The command: signals, progress and summary around a Labelling. The exit code.

    0 when every post has an answer, 1 when some failed or the archive was cut off, 128 and the signal's number when one
    stopped it. Raises UsageError, SetupError and ModelError.
    """
    labelling.check()
    tally, console = Tally(), _console()
    try:
        # Two runs would each pay for what the other asks, and write lines of one post twice.
        with FileLock(labelling.out.with_name(f"{labelling.out.name}.lock"), timeout=0):
            stopped_by = asyncio.run(_until_stopped(labelling, annotator, tally, console))
    except Timeout as error:
        raise SetupError(f"{labelling.out}: another run is at work on it") from error
    except OSError as error:
        raise SetupError(f"{labelling.out}: {error.strerror or error}") from error
    _summarise(console, tally, labelling.config, stopped_by is not None)
    if stopped_by is not None:
        return 128 + stopped_by
    return 1 if tally.statuses[Status.FAILED] or tally.cut_off else 0


async def _until_stopped(
    labelling: Labelling,
    annotator: Callable[[], AbstractAsyncContextManager[Annotator]],
    tally: Tally,
    console: Console,
) -> int | None:
    """Labels to the end or to the first signal, which is given back.

    It lets what is under way end, as that is paid for, within the time of one answer; a second one does not.
    """
    came: list[int] = []
    loop, stopping, seconds = asyncio.get_running_loop(), asyncio.Event(), labelling.config.llm.timeout_seconds

    async def label() -> None:
        async with annotator() as opened:
            with _progress(console, tally) as on_labelled:
                await labelling.go(opened, tally, on_labelled, stopping)

    task = asyncio.ensure_future(label())

    def stop(number: int) -> None:
        came.append(number)
        if stopping.is_set():
            loop.remove_signal_handler(number)
            task.cancel()
            return
        stopping.set()
        loop.call_later(seconds, task.cancel)
        console.print(f"stopping: what is under way gets {seconds:g} s to be answered; a second time ends it at once")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not came:
            raise
    return came[0] if came else None


# What a person sees


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def _progress(console: Console, tally: Tally) -> Iterator[Callable[[], None]]:
    """A callback for posts labelled: a bar on a terminal, a line now and then elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("", total=None)
        said = time.monotonic()

        def on_labelled() -> None:
            nonlocal said
            left = f"{tally.rate:,.1f} posts/s, about {duration(tally.seconds_left)} left"
            progress.update(bar, completed=tally.labelled, total=tally.total, description=left)
            if not console.is_terminal and time.monotonic() - said >= _SAID_EVERY_SECONDS:
                said = time.monotonic()
                console.print(f"{tally.labelled:,} of {tally.total:,} posts, {left}")

        yield on_labelled


def duration(seconds: float) -> str:
    """A stretch of time in words, rounded."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _summarise(console: Console, tally: Tally, config: Config, stopped: bool) -> None:
    rows = [("posts labelled", f"{tally.labelled:,} of {tally.total:,}, {tally.rate:,.1f} a second")]
    rows += [("time", duration(tally.seconds))]
    rows += [(f"  {status}", f"{tally.statuses[status]:,}") for status in Status]
    rows += [("labelled before", f"{tally.already:,}")] if tally.already else []
    rows += [("known from the cache", f"{tally.cached:,}")] if tally.cached else []
    if tally.prompt_tokens or tally.completion_tokens:
        rows += [("tokens", f"{tally.prompt_tokens:,} of prompt, {tally.completion_tokens:,} of answer")]
        rows += [("cost", f"{tally.cost:,.4f}")]
    rows += [("lines that hold no post", f"{tally.bad_lines:,}")] if tally.bad_lines else []
    for name, value in rows:
        console.print(f"{name:<24}{value}", markup=False)
    if tally.statuses[Status.REFUSED]:
        console.print("What a model refuses is often what matters most: let a person read those first.")
    for bad in tally.cut_off:
        console.print(f"nightlight: {bad.file}: line {bad.line}: {bad.reason}", markup=False)
    if tally.failed is not None:
        where = f" from {config.llm.base_url}" if "llm" in tally.failed.versions else ""
        console.print(f"nightlight: no answer{where}, the last time: {tally.failed.error}", markup=False)
    if tally.is_dead:
        console.print(f"nightlight: stopped, since {tally.unanswered} posts in a row got no answer")
    if stopped or tally.statuses[Status.FAILED]:
        console.print("the same command goes on from here")
