"""`nightlight demo`: the whole way, as a newcomer sees it."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bot.demo import samples
from bot.demo.show import _refuse_another_set_up, _write_config, show
from bot.errors import UsageError
from tests.conftest import KeywordClassifier
from tests.review import browser, csrf, seen_in


@pytest.mark.timeout(200)
def test_the_demo_ends_by_itself_with_a_report(tmp_path: Path) -> None:
    """Within two minutes, exit code 0: every sample read, no reply sent, the report where it says."""
    command = [sys.executable, "-m", "bot", "demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"{len(samples())} posts read" in done.stdout
    assert "none sent" in done.stdout
    assert re.search(r"The moderators' page, while this runs: http://127\.0\.0\.1:\d+/sign-in/link/\S{43}", done.stdout)
    report = tmp_path / "nightlight-demo" / "report.html"
    assert str(report) in done.stdout
    assert "What Nightlight would have done" in report.read_text(encoding="utf-8")
    log = (tmp_path / "nightlight-demo" / "log.jsonl").read_text(encoding="utf-8")
    assert not [post.id for post in samples() if len(post.selftext) > 60 and post.selftext[:60] in log]


@pytest.mark.parametrize("theirs", ["config.toml", "nightlight.db"])
async def test_a_folder_with_a_set_up_is_left_alone(tmp_path: Path, theirs: str) -> None:
    """A demo makes its folder anew: it refuses one that no demo made, and takes its own again."""
    (tmp_path / theirs).write_text("ours", encoding="utf-8")
    with pytest.raises(UsageError, match="a set-up of your own"):
        await show(KeywordClassifier(), tmp_path, Console(quiet=True), port=0, serve=False)
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [(theirs, "ours")]
    _write_config(tmp_path / "demo", "http://127.0.0.1:9")
    _refuse_another_set_up(tmp_path / "demo")


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_newcomer_opens_the_page_and_approves_a_reply(tmp_path: Path) -> None:
    """With `--serve`: the link it ends with opens the page, and a minute after the approval the reply is there."""
    command = [sys.executable, "-m", "bot", "demo", "--serve"]
    demo = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE)
    assert demo.stdout is not None
    told = ""
    while "pretend Reddit: " not in told:
        line = (await demo.stdout.readline()).decode()
        assert line, f"it ended too early: {told}"
        told += line
    link = re.findall(r"http://127\.0\.0\.1:\d+/sign-in/link/\S+", told)[-1]
    reddit = told.rpartition("pretend Reddit: ")[2].strip()
    async with browser(link) as moderator, browser(reddit) as visitor:
        assert (await moderator.get(link)).status_code == 303
        token = await csrf(moderator)
        case = (await moderator.post("/next", data={"csrf": token})).headers["location"]
        form = {"csrf": token, "seen": seen_in((await moderator.get(case)).text)}
        assert (await moderator.post(f"{case}/approve", data=form)).status_code == 303
        id = case.removeprefix("/case/")
        for _ in range(120):
            comments = (await visitor.get("/sandbox/state")).json()["comments"]
            if id in comments:
                break
            await asyncio.sleep(1)
        assert [comment["author"] for comment in comments[id]] == ["nightlight_bot"]
    demo.send_signal(signal.SIGINT)
    await demo.communicate()
    assert demo.returncode == 0
