"""`nightlight review`: the moderators' page as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_review_door import free_port
from tests.review import browser

REVIEW = [sys.executable, "-m", "bot", "review", "--config", "config.toml"]


def configure(folder: Path, review: str) -> None:
    """Writes a config.toml with this section for the page, on a free port unless it names one."""
    port = "" if "port = " in review else f"port = {free_port()}\n"
    (folder / "config.toml").write_text(
        f'[reddit]\nsubreddits = ["testsub"]\n[review]\n{port}{review}\n', encoding="utf-8"
    )


@pytest.mark.timeout(300)
async def test_a_page_of_its_own_with_links_that_work_once(tmp_path: Path) -> None:
    """It prints a link that opens the page, needs no account for that, gives another on demand, and stops when told."""
    configure(tmp_path, 'sign_in = "link"')
    running = await asyncio.create_subprocess_exec(
        *REVIEW, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    printed = (await running.stdout.readline()).decode()
    address = printed.removeprefix("The moderators' page: ").strip()
    async with browser(address) as client, browser(address) as other:
        assert (await client.get(address)).status_code == 303
        assert (await client.get("/")).status_code == 200
        assert (await other.get(address)).status_code == 403
        asked = await asyncio.create_subprocess_exec(
            *REVIEW, "--link", cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        another, _ = await asked.communicate()
        assert (await other.get(another.decode().strip())).status_code == 303
        assert (await other.get("/")).status_code == 200
    running.send_signal(signal.SIGTERM)
    _, complaints = await running.communicate()
    assert running.returncode == 0, complaints.decode()
    assert address.rpartition("/")[2] not in complaints.decode()


@pytest.mark.parametrize(
    ("review", "more", "complaint"),
    [
        ('host = "0.0.0.0"', [], "can be reached from other machines"),
        ("", [], "not set in the environment"),
        ("", ["--link"], "there are links only with"),
        ('port = 0\nsign_in = "link"', ["--link"], "only the page itself knows where it is"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(tmp_path: Path, review: str, more: list[str], complaint: str) -> None:
    """An open address without TLS, no credentials, links where one signs in with Reddit: nothing is served."""
    configure(tmp_path, review)
    (tmp_path / "nightlight.db").touch()
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([*REVIEW, *more], cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode in (1, 2)
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
