"""The messenger of a dry run: everything is written down, nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence

from bot.deliver.worker import Letter
from bot.types import DRY_RUN


class DryRun:
    """Answers as if all had arrived; the outbox then shows `dry-run` where Reddit's id would stand."""

    async def gone(self, ids: Sequence[str]) -> set[str]:
        """Nothing is sent, so nobody is asked."""
        return set()

    async def find(self, letter: Letter) -> str | None:
        """Nothing is ever out there."""
        return None

    async def send(self, letter: Letter) -> str:
        """Sends nothing."""
        return DRY_RUN
