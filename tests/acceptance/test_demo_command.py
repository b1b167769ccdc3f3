"""`nightlight demo`: the whole way, as a newcomer sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bot.demo import samples


@pytest.mark.timeout(200)
def test_the_demo_ends_by_itself_with_a_report(tmp_path: Path) -> None:
    """Within two minutes, exit code 0: every sample read, no reply sent, the report where it says."""
    command = [sys.executable, "-m", "bot", "demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"{len(samples())} posts read" in done.stdout
    assert "none sent" in done.stdout
    report = tmp_path / "nightlight-demo" / "report.html"
    assert str(report) in done.stdout
    assert "What Nightlight would have done" in report.read_text(encoding="utf-8")
    log = (tmp_path / "nightlight-demo" / "log.jsonl").read_text(encoding="utf-8")
    assert not [post.id for post in samples() if len(post.selftext) > 60 and post.selftext[:60] in log]
