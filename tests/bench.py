"""`make bench`: how fast and how big, beside `transformers.pipeline` on the same posts in the same run.

Machines are noisy, so speed is judged as a ratio within this one run. Exit code 1 when a bound is missed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bot.demo import samples
from models.document import Document
from models.encoder import Encoder, base_folder, prepare
from models.hybrid import Hybrid

COPIES = 4
NIGHTLIGHT = [sys.executable, "-m", "bot"]


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


def archive(path: Path) -> int:
    """Writes the samples several times over, under different ids; how many lines."""
    lines = [
        json.dumps(
            {"id": f"{post.id}x{copy}", "subreddit": post.subreddit, "title": post.title, "selftext": post.selftext}
        )
        for copy in range(COPIES)
        for post in samples()
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def reference() -> Callable[[Sequence[Document]], object]:
    """`transformers.pipeline` with the same base model in float32, one post at a time.

    It cuts a post at the 512 tokens the base model can read; the encoder reads on, in windows.
    """
    from transformers import pipeline

    folder = str(base_folder())
    extract = pipeline("feature-extraction", model=folder, tokenizer=folder, device="cpu")
    options = {"truncation": True, "max_length": 512}
    extract("warm up", tokenize_kwargs=options)
    return lambda documents: [extract(each.text, tokenize_kwargs=options) for each in documents]


def main() -> None:
    """Measures, prints, and fails when a bound is missed."""
    prepare()
    # The commands come first: a child starts as a copy of its parent, whose memory would count as its own.
    with tempfile.TemporaryDirectory() as folder:
        posts = Path(folder) / "samples.jsonl"
        one = Path(folder) / "one.jsonl"
        one.write_text('{"id": "1", "title": "hello", "selftext": "I cannot sleep"}\n', encoding="utf-8")
        count = archive(posts)
        replayed = run([*NIGHTLIGHT, "replay", str(posts), "--out", f"{folder}/out.jsonl"])
        classified = run([*NIGHTLIGHT, "classify"], stdin=posts)
        first = best(3, lambda: run([*NIGHTLIGHT, "classify"], stdin=one))
        help_ = best(5, lambda: run([*NIGHTLIGHT, "--help"]))

    documents = [Document(post.title, post.selftext) for post in samples()]
    encoder, hybrid = Encoder.load(), Hybrid.load()
    encoder.assess(documents[:32])
    # Turn by turn, so that a machine that slows down slows all three; the middle of three turns is told.
    contenders = (reference(), encoder.assess, hybrid.assess)
    turns = [[rate(documents, work) for work in contenders] for _ in range(3)]
    slow, fast, whole = (median(rates) for rates in zip(*turns, strict=True))

    table = Table("what", "measured", "bound", "", title=f"{len(documents)} sample posts, {os.cpu_count()} cores")
    missed = False

    def row(what: str, measured: str, bound: str = "", fine: bool = True) -> None:
        nonlocal missed
        missed = missed or not fine
        table.add_row(what, measured, bound, "" if not bound else ("ok" if fine else "MISSED"))

    row("transformers.pipeline, float32, one at a time, first 512 tokens", f"{slow:.0f} posts/s")
    row("encoder, int8, whole posts", f"{fast:.0f} posts/s, {fast / slow:.1f} times", "4 times", fast >= 4 * slow)
    row("rules and encoder together", f"{whole:.0f} posts/s, {whole / slow:.1f} times", "4 times", whole >= 4 * slow)
    row(f"nightlight replay, {count} posts, start included", f"{count / replayed.seconds:.0f} posts/s")
    row(f"nightlight classify, {count} posts, start included", f"{count / classified.seconds:.0f} posts/s")
    row("peak memory of replay", f"{replayed.peak_mb:.0f} MB")
    row("peak memory of classify", f"{classified.peak_mb:.0f} MB")
    row("nightlight --help", f"{help_.seconds:.2f} s", "0.5 s", help_.seconds < 0.5)
    row("first classified post", f"{first.seconds:.2f} s", "3 s", first.seconds < 3)
    Console().print(table)
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
