"""An archive through one annotator: a line of labels a post, in a file that the same command goes on with."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Container, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr, TypeAdapter, ValidationError

from bot.clock import Clock, SystemClock
from bot.config import Config, llm_api_key
from bot.errors import SetupError, UsageError
from bot.judge import document_of
from bot.replay import IdSet
from bot.sources.archive import BadLine, check_archive, read_archive
from bot.types import Post
from models.annotation import Annotation, Annotator, ClassifierAnnotator, Count, Status
from models.soft import SoftLabels

if TYPE_CHECKING:
    from rich.console import Console

_BATCH = 16
_AHEAD = 32  # batches under way at once: room for every concurrency up to 512, and no more memory than that
_DEAD_AFTER = 16  # posts in a row without an answer, each of them asked for several times
_SAID_EVERY_SECONDS = 30.0
_ANNOTATION = TypeAdapter(Annotation)
_SOFT = TypeAdapter(SoftLabels)
_VOTES = TypeAdapter(dict[Status, Count])
_DIGITS = 6

Kind = Literal["rules", "encoder", "hybrid", "llm"]


@asynccontextmanager
async def open_annotator(kind: Kind, config: Config) -> AsyncIterator[Annotator]:
    """The annotator of that kind, closed at the end.

    Raises UsageError when [llm] lacks what it needs, and ModelError when a model or the cache cannot be used.
    """
    if kind == "rules":
        from models.rules import Rules

        rules = Rules.load()
        yield ClassifierAnnotator(rules, {"rules": rules.version})
    elif kind == "encoder":
        from models.encoder import Encoder

        model = config.model
        encoder = Encoder.load(model.path, model.threads, model.batch_size, backend=model.backend)
        yield ClassifierAnnotator(encoder, {"encoder": encoder.version})
    elif kind == "hybrid":
        from models.hybrid import Hybrid

        hybrid = Hybrid.load(config.model.path, config.model.threads, config.model.batch_size)
        yield ClassifierAnnotator(hybrid, hybrid.versions)
    else:
        async with open_llm(config) as llm:
            yield llm


@asynccontextmanager
async def open_llm(
    config: Config,
    *,
    attempts: int = 5,
    clock: Clock = SystemClock(),  # noqa: B008 - without state
    permit: Callable[[], Awaitable[None]] | None = None,
    api_key: SecretStr | None = None,
) -> AsyncIterator[Annotator]:
    """The language model that [llm] names, with its cache; see `Server` for the arguments.

    The key is that of the environment when it is left out. Raises UsageError when [llm] lacks what it needs, and
    ModelError when the cache cannot be used.
    """
    import prompts
    from models.answers import Answers
    from models.chat import Server
    from models.llm import LlmAnnotator

    llm = config.llm
    if not llm.base_url or not llm.model:
        raise UsageError("the annotator llm needs [llm] base_url and model; name a file that has them with --config")
    try:
        prompt = prompts.load(llm.prompt)
    except prompts.PromptError as error:
        raise UsageError(f"[llm] prompt: {error}") from error
    server = Server(
        llm.base_url,
        llm.model,
        llm_api_key() if api_key is None else api_key,
        llm.timeout_seconds,
        attempts,
        clock,
        permit,
    )
    async with Answers(llm.cache) as answers:
        annotator = LlmAnnotator(server, prompt, answers=answers, concurrency=llm.concurrency)
        try:
            yield annotator
        finally:
            await annotator.aclose()


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of a file of labels: what the annotator called `annotator` says of the post `id`, and what it cost.

    A consensus also has `soft`, its probabilities, and `votes`, the annotators by what became of the post with them.
    """

    id: str
    annotator: str
    annotation: Annotation
    cost: float
    soft: SoftLabels | None = None
    votes: Mapping[Status, int] = field(default_factory=dict)

    @property
    def soft_labels(self) -> SoftLabels:
        """The probabilities of a consensus, or the labels of one annotator as certainties."""
        return self.soft or SoftLabels.of(self.annotation)

    def to_line(self) -> bytes:
        """One line of UTF-8 JSON with its newline: id, annotator, the fields of the annotation, cost, soft, votes."""
        annotation = _ANNOTATION.dump_python(self.annotation, mode="json")
        line = {"id": self.id, "annotator": self.annotator, **annotation, "cost": round(self.cost, 9)}
        if self.soft is not None:
            line["soft"] = _rounded(_SOFT.dump_python(self.soft, mode="json"))
            line["votes"] = dict(self.votes)
        return (json.dumps(line, ensure_ascii=False) + "\n").encode()

    @classmethod
    def of_line(cls, line: bytes) -> Labelled:
        """What `to_line` made, or a person: `id` and `status` are enough. Raises ValueError."""
        fields = json.loads(line)
        if not isinstance(fields, dict) or not isinstance(fields.get("id"), str):
            raise ValueError("no id")
        annotator, cost = fields.get("annotator", ""), fields.get("cost", 0.0)
        # A name is shown on terminals, which unprintable characters could give orders.
        if not isinstance(annotator, str) or not annotator.isprintable() or not isinstance(cost, int | float):
            raise ValueError("annotator is no name, or cost no number")
        try:
            annotation = _ANNOTATION.validate_python(fields, strict=False)
            soft = _SOFT.validate_python(fields["soft"], strict=False) if fields.get("soft") else None
            votes = _VOTES.validate_python(fields.get("votes") or {}, strict=False)
            return cls(fields["id"], annotator, annotation, float(cost), soft, votes)
        except ValidationError as error:
            raise ValueError(f"{error.errors()[0]['loc']}: {error.errors()[0]['type']}") from error


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return None if value is None else round(value, _DIGITS)


def read_labels(path: Path) -> Iterator[Labelled]:
    """The lines of a file of labels; of a last line that is cut off nothing. Raises UsageError that names the line."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    try:
                        yield Labelled.of_line(line)
                    except (ValueError, RecursionError) as error:
                        raise UsageError(f"{path}, line {number}: not a line of labels") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


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
    unanswered: int = 0  # in a row, at the end
    error: str = ""  # of the last that failed

    def add(self, line: Labelled) -> None:
        """Counts one line."""
        annotation = line.annotation
        self.statuses[annotation.status] += 1
        failed = annotation.status is Status.FAILED
        self.unanswered = self.unanswered + 1 if failed else 0
        self.error = annotation.error if failed else self.error
        if annotation.cached:
            self.cached += 1
            return
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
    def rate(self) -> float:
        """Posts a second."""
        return self.labelled / max(time.monotonic() - self.started, 1e-3)

    @property
    def seconds_left(self) -> float:
        return (self.total - self.labelled) / self.rate if self.labelled else 0.0


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

    async def go(self, annotator: Annotator, tally: Tally, on_labelled: Callable[[], None]) -> None:
        """Labels every post that has no line yet, counting in `tally` as it goes; stops when nobody answers any more.

        Lines come in the order of the archive. Raises UsageError when the file is another annotator's.
        """
        done = await asyncio.to_thread(self._take_up, annotator)
        tally.total = await asyncio.to_thread(lambda: sum(1 for _ in self._posts(done, Tally())))
        tally.started = time.monotonic()
        posts = self._posts(done, tally)
        batches = iter(lambda: list(islice(posts, _BATCH)), [])
        with self.out.open("ab") as file:
            async with aclosing(_annotated(batches, annotator)) as annotated:
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

    def _posts(self, done: IdSet, tally: Tally) -> Iterator[Post]:
        seen = IdSet()

        def bad(line: BadLine) -> None:
            tally.bad_lines += 1
            if line.cut_off:
                tally.cut_off.append(line)

        for post in read_archive(self.archive, bad):
            if self.only is not None and post.id not in self.only:
                continue
            if post.id in done:
                tally.already += 1
            elif seen.add(post.id):
                yield post

    def _take_up(self, annotator: Annotator) -> IdSet:
        """The posts that the file has an answer for. What failed, or was cut off, is taken out of it."""
        done = IdSet()
        if not self.out.exists():
            return done
        fresh = self.out.with_name(f"{self.out.name}.new")
        try:
            with fresh.open("wb") as file:
                for line in read_labels(self.out):
                    if line.annotation.status is Status.FAILED:
                        continue
                    self._check_maker(line, annotator.versions)
                    file.write(line.to_line())
                    done.add(line.id)
            fresh.replace(self.out)
        finally:
            fresh.unlink(missing_ok=True)
        return done

    def _check_maker(self, line: Labelled, versions: Mapping[str, str]) -> None:
        if (line.annotator, line.annotation.versions) != (self.name, versions):
            theirs, ours = _spelled(line.annotation.versions), _spelled(versions)
            raise UsageError(
                f"{self.out} holds labels by {line.annotator} ({theirs}), not by {self.name} ({ours}); "
                "give these another file"
            )


def _spelled(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


async def _annotated(
    batches: Iterator[list[Post]], annotator: Annotator
) -> AsyncGenerator[tuple[list[Post], list[Annotation]], None]:
    """Batch for batch in order, several of them under way at once."""
    under_way: deque[tuple[list[Post], asyncio.Task[list[Annotation]]]] = deque()
    try:
        while True:
            while len(under_way) < _AHEAD and (posts := await asyncio.to_thread(next, batches, None)):
                documents = [document_of(post) for post in posts]
                under_way.append((posts, asyncio.ensure_future(annotator.annotate(documents))))
            if not under_way:
                return
            posts, task = under_way.popleft()
            yield posts, await task
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
        stopped_by = asyncio.run(_until_stopped(labelling, annotator, tally, console))
    except OSError as error:
        raise SetupError(f"{labelling.out}: {error.strerror or error}") from error
    _summarise(console, tally, stopped_by is not None)
    if stopped_by is not None:
        return 128 + stopped_by
    return 1 if tally.statuses[Status.FAILED] or tally.cut_off else 0


async def _until_stopped(
    labelling: Labelling,
    annotator: Callable[[], AbstractAsyncContextManager[Annotator]],
    tally: Tally,
    console: Console,
) -> int | None:
    """Labels to the end or to the first signal, which is given back; a second one acts as it always does."""
    came: list[int] = []
    loop = asyncio.get_running_loop()

    async def label() -> None:
        async with annotator() as opened:
            with _progress(console, tally) as on_labelled:
                await labelling.go(opened, tally, on_labelled)

    task = asyncio.ensure_future(label())

    def stop(number: int) -> None:
        came.append(number)
        loop.remove_signal_handler(number)
        task.cancel()

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


def _summarise(console: Console, tally: Tally, stopped: bool) -> None:
    rows = [("posts labelled", f"{tally.labelled:,} of {tally.total:,}, {tally.rate:,.1f} a second")]
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
    if tally.is_dead:
        console.print(f"nightlight: stopped, since {tally.unanswered} posts in a row got no answer ({tally.error})")
    if stopped or tally.statuses[Status.FAILED]:
        console.print("the same command goes on from here")
