"""`make bench`: how fast and how big, beside `transformers.pipeline` on the same posts in the same run.

Machines are noisy and differ, so speed is judged as a ratio within this one run; posts a second are told beside what
two free cores should reach. Exit code 1 when the ratio, the memory or the size on disk misses its bound.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bot.demo import samples
from models.document import Document
from models.encoder import Encoder, Manifest, base_folder, prepare, shipped_folder
from models.hybrid import Hybrid
from models.labelled import read_folder
from models.skim import SKIM_FILE
from models.windows import Windows

POSTS = 400
TOKENS = 120
ORDINARY_IN_FIVE = 4
NIGHTLIGHT = [sys.executable, "-m", "bot"]

RATIO = 5.0
POSTS_PER_SECOND = 170
MIXED_PER_SECOND = 400
PEAK_MB = 600
FIRST_SECONDS = 1.5
DISK_MB = 30


@dataclass(frozen=True, slots=True)
class Posts:
    """What is measured: `plain` all of one kind, about as long as an excerpt; `mixed` as they come, most ordinary."""

    name: str
    plain: list[Document]
    mixed: list[Document]


def invented() -> Posts:
    """The samples in the box, strung together until each is about `TOKENS` long."""
    windows = Windows(base_folder() / "tokenizer.json", 128, 32)
    of_need, ordinary = (
        _strung([f"{post.title}. {post.selftext}" for post in samples() if post.expect.relevance is relevant], windows)
        for relevant in (True, False)
    )
    return Posts("invented posts", [next(of_need) for _ in range(POSTS)], _mixed(ordinary, of_need))


def _strung(texts: Sequence[str], windows: Windows) -> Iterator[Document]:
    text = ""
    for more in cycle(texts):
        text = f"{text} {more}".strip()
        if sum(map(len, windows.cut([text])[0])) >= TOKENS:
            words = text.split()
            yield Document("", " ".join(words[: int(TOKENS / 1.25)]))
            text = ""


def _mixed(ordinary: Iterator[Document], others: Iterator[Document]) -> list[Document]:
    return [next(ordinary if at % 5 < ORDINARY_IN_FIVE else others) for at in range(POSTS)]


def labelled(folder: Path) -> Posts:
    """The first posts of `severity4`, and of `relevance` for the ordinary ones."""
    rows = read_folder(folder, ["severity4", "relevance"])

    def documents(name: str, *labels: str) -> list[Document]:
        return [row.document for row in rows if row.set_name == name and (not labels or row.labels[0] in labels)]

    of_need, ordinary = documents("severity4"), documents("relevance", "not_mh")
    step = max(1, len(of_need) // POSTS)  # the file is sorted by source
    return Posts(str(folder), of_need[::step][:POSTS], _mixed(cycle(ordinary), cycle(of_need[::step])))


@dataclass(frozen=True, slots=True)
class Run:
    """One command from start to end: wall-clock seconds, and its peak resident memory in MB."""

    seconds: float
    peak_mb: float


def run(command: Sequence[str], stdin: Path | None = None) -> Run:
    """Runs a command to its end; its output is thrown away, its failure is ours."""
    started = time.perf_counter()
    with stdin.open("rb") if stdin else open(os.devnull, "rb") as source:  # noqa: PTH123
        process = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    return Run(time.perf_counter() - started, usage.ru_maxrss / 1024)


def best(times: int, work: Callable[[], Run]) -> Run:
    """The fastest of several runs, which is the one least disturbed."""
    return min((work() for _ in range(times)), key=lambda each: each.seconds)


def rate(documents: Sequence[Document], work: Callable[[Sequence[Document]], object]) -> float:
    """Posts a second."""
    started = time.perf_counter()
    work(documents)
    return len(documents) / (time.perf_counter() - started)


def write(path: Path, documents: Sequence[Document]) -> None:
    """An archive of these posts."""
    lines = (
        json.dumps({"id": str(number), "title": document.title, "selftext": document.body})
        for number, document in enumerate(documents)
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def disk_mb() -> float:
    """What serving reads: the prepared network, the heads and the skim."""
    folder = shipped_folder()
    files = (prepare(), folder / "heads.safetensors", folder / SKIM_FILE)
    return sum(file.stat().st_size for file in files if file.exists()) / 2**20


def reference() -> Callable[[Sequence[Document]], object]:
    """`transformers.pipeline` with the same base model in float32, one post at a time.

    It cuts a post at as many tokens as the encoder reads of one.
    """
    from transformers import pipeline

    folder = str(base_folder())
    extract = pipeline("feature-extraction", model=folder, tokenizer=folder, device="cpu")
    options = {"truncation": True, "max_length": Manifest.read(shipped_folder()).window_tokens}
    extract("warm up", tokenize_kwargs=options)
    return lambda documents: [extract(each.text, tokenize_kwargs=options) for each in documents]


def main() -> None:
    """Measures, prints, and fails when a bound is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, help="a folder of labelled posts to use instead of the invented ones")
    folder = options.parse_args().data
    posts = invented() if folder is None else labelled(folder)
    prepare()
    # The commands come first: a child starts as a copy of its parent, whose memory would count as its own.
    with tempfile.TemporaryDirectory() as temporary:
        archive, one = Path(temporary) / "posts.jsonl", Path(temporary) / "one.jsonl"
        write(archive, posts.mixed * 4)
        write(one, posts.plain[:1])
        replayed = run([*NIGHTLIGHT, "replay", str(archive), "--out", f"{temporary}/out.jsonl"])
        first = best(3, lambda: run([*NIGHTLIGHT, "classify"], stdin=one))
        help_ = best(5, lambda: run([*NIGHTLIGHT, "--help"]))

    encoder, hybrid = Encoder.load(), Hybrid.load()
    pipeline = reference()
    for work in (encoder.assess, hybrid.assess, pipeline):
        work(posts.plain[:32])
    # Turn by turn, so that a machine that slows down slows all alike; the middle of three turns is told.
    jobs = [(pipeline, posts.plain), (encoder.assess, posts.plain), (hybrid.assess, posts.plain)]
    jobs += [(pipeline, posts.mixed), (hybrid.assess, posts.mixed)]
    turns = [[rate(documents, work) for work, documents in jobs] for _ in range(3)]
    slow, fast, whole, slow_mixed, mixed = (median(rates) for rates in zip(*turns, strict=True))
    layers = Manifest.read(shipped_folder()).features

    table = Table(
        "what", "measured", "should be", "", title=f"{posts.name}, {os.cpu_count()} cores, {', '.join(layers)}"
    )
    missed = False

    def row(what: str, measured: str, bound: str = "", fine: bool = True, binding: bool = False) -> None:
        nonlocal missed
        missed = missed or (binding and not fine)
        table.add_row(what, measured, bound, "" if not bound else "ok" if fine else "MISSED" if binding else "not here")

    row("transformers.pipeline, float32, one at a time", f"{slow:.0f} posts/s")
    ratio = fast / slow
    row("encoder beside it", f"{ratio:.1f} times", f"{RATIO:.0f} times", ratio >= RATIO, binding=True)
    row("encoder", f"{fast:.0f} posts/s", f"{POSTS_PER_SECOND}", fast >= POSTS_PER_SECOND)
    row("rules and encoder", f"{whole:.0f} posts/s, {whole / slow:.1f} times")
    row("transformers.pipeline, mixed posts", f"{slow_mixed:.0f} posts/s")
    row(
        "rules, skim and encoder, mixed posts",
        f"{mixed:.0f} posts/s, {mixed / slow_mixed:.1f} times",
        f"{MIXED_PER_SECOND}",
        mixed >= MIXED_PER_SECOND,
    )
    count = 4 * len(posts.mixed)
    row(f"nightlight replay, {count} mixed posts, start included", f"{count / replayed.seconds:.0f} posts/s")
    peak = replayed.peak_mb
    row("peak memory of replay", f"{peak:.0f} MB", f"{PEAK_MB} MB", peak <= PEAK_MB, binding=True)
    row(
        "first assessment, start included",
        f"{first.seconds:.2f} s",
        f"{FIRST_SECONDS} s",
        first.seconds <= FIRST_SECONDS,
    )
    row("nightlight --help", f"{help_.seconds:.2f} s", "0.5 s", help_.seconds < 0.5)
    size = disk_mb()
    row("weights on disk", f"{size:.1f} MB", f"{DISK_MB} MB", size <= DISK_MB, binding=True)
    Console().print(table)
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
