"""Nothing lost and nothing doubled, whatever Reddit answers and whenever the process is killed.

`NIGHTLIGHT_FAULT_RUNS` sets how many seeded runs there are; `make soak` makes 200.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.harness import Run, perform

RUNS = int(os.environ.get("NIGHTLIGHT_FAULT_RUNS", "4"))
FIRST_SEED = int(os.environ.get("NIGHTLIGHT_FAULT_SEED", "0"))
AT_ONCE = 4


@pytest.mark.timeout(120 + RUNS * 40)
async def test_nothing_is_lost_and_nothing_is_done_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every post judged once; every due alert and approved reply on Reddit once; no dismissed or held reply there."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(seed: int) -> Run:
        folder = tmp_path / str(seed)
        folder.mkdir()
        async with turn:
            return await perform(seed, folder)

    runs = await asyncio.gather(*(one(seed) for seed in range(FIRST_SEED, FIRST_SEED + RUNS)))
    faults = sum((run.faults for run in runs), Counter[str]())
    with capsys.disabled():
        print(
            f"\n{len(runs)} runs: {sum(len(run.crises) + len(run.cakes) for run in runs)} posts, "
            f"{sum(run.kills for run in runs)} kills, {faults.total()} faults of {len(faults)} kinds, "
            f"{sum(len(run.approved) for run in runs)} replies approved, {sum(len(run.dismissed) for run in runs)} "
            f"dismissed; {sum(bool(run.wrong) for run in runs)} runs went wrong"
        )
    assert {run.seed: run.wrong for run in runs if run.wrong} == {}
