"""`nightlight run`, `check`, `reviews` and `status`: the real command, the real model, real signals."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.sandbox.server import SandboxServer
from bot.sandbox.state import SandboxReddit
from tests.conftest import CAKE, CREDENTIALS, DESPERATE, NEVER_LOGGED
from tests.fake_llm import FakeLlm, answers, slowly

CONFIG = """\
[reddit]
base_url = "{base_url}"
subreddits = ["testsub"]
poll_seconds = 1
[store]
path = "nightlight.db"
[deliver]
dry_run = false
[alerts]
modmail = true
[replies]
auto = {auto}
"""


@pytest.fixture
def reddit() -> SandboxReddit:
    """A pretend Reddit on the machine's own clock."""
    reddit = SandboxReddit(SystemClock())
    reddit.add_subreddit("testsub")
    return reddit


@pytest.fixture
def folder(tmp_path: Path, server: SandboxServer) -> Path:
    """A folder with a config.toml that holds every reply."""
    (tmp_path / "config.toml").write_text(CONFIG.format(base_url=server.base_url, auto="[]"), encoding="utf-8")
    return tmp_path


async def start(folder: Path, *arguments: str, **environment: str) -> Process:
    """The command in a folder, with the sandbox's credentials in its environment and nothing else of ours."""
    return await start_program(folder, sys.executable, "-m", "bot", *arguments, **environment)


async def start_program(folder: Path, *command: str, **environment: str) -> Process:
    """Any program, with those credentials."""
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **CREDENTIALS, **environment},
        stdout=PIPE,
        stderr=PIPE,
    )


async def command(folder: Path, *arguments: str, **environment: str) -> tuple[int | None, str, str]:
    """Runs a command to its end: exit code, stdout, stderr."""
    process = await start(folder, *arguments, **environment)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Process]:
    """`nightlight run`, killed at the end if the test has not stopped it."""
    process = await start(folder, "run")
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until(condition: Callable[[], bool], what: str, process: Process) -> None:
    """Waits for something to become true, thirty seconds at most."""
    for _ in range(600):
        if condition():
            return
        if process.returncode is not None:
            pytest.fail(f"the process ended: {(await process.communicate())[1].decode()}")
        await asyncio.sleep(0.05)
    pytest.fail(f"never happened: {what}")


async def stopped_by(process: Process, number: signal.Signals) -> str:
    """Its stderr, after it was told to stop and ended well."""
    process.send_signal(number)
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, err.decode()
    return err.decode()


async def test_alert_approval_reply_and_a_clean_stop(folder: Path, reddit: SandboxReddit) -> None:
    """One alert for the post of need and none for the cake; the reply appears once approved; SIGTERM ends it with 0."""
    cake = reddit.submit("testsub", "dry carrot cake", CAKE, f"{NEVER_LOGGED}_a")
    post_id = reddit.submit("testsub", NEVER_LOGGED, f"{DESPERATE} {NEVER_LOGGED}", f"{NEVER_LOGGED}_b")
    async with running(folder) as process:
        await until(lambda: len(reddit.conversations) == 1, "an alert", process)
        assert post_id in reddit.conversations[0].subject
        code, listing, _ = await command(folder, "reviews", "list")
        assert (code, post_id in listing, cake in listing) == (0, True, False)
        code, shown, _ = await command(folder, "reviews", "show", post_id)
        assert (code, "I am a bot" in shown, "What may help" in shown) == (0, True, True)
        assert reddit.comments_on(post_id) == []
        code, _, err = await command(folder, "reviews", "approve", post_id, "--as", "mod_anna")
        assert code == 0, err
        await until(lambda: len(reddit.comments_on(post_id)) == 1, "the reply", process)
        log = await stopped_by(process, signal.SIGTERM)
    assert reddit.comments_on(cake) == []
    assert len(reddit.conversations) == 1
    assert NEVER_LOGGED not in log
    assert {json.loads(line)["event"] for line in log.splitlines()} >= {"run.started", "post.judged", "run.stopped"}


async def test_killed_and_started_again_it_goes_on(folder: Path, reddit: SandboxReddit) -> None:
    """kill -9 loses no post and doubles no alert; SIGINT ends the second run with 0."""
    first = reddit.submit("testsub", "one", DESPERATE, "somebody")
    async with running(folder) as process:
        await until(lambda: len(reddit.conversations) == 1, "an alert", process)
        process.kill()
        await process.wait()
    second = reddit.submit("testsub", "two", DESPERATE, "somebody_else")
    async with running(folder) as process:
        await until(lambda: len(reddit.conversations) == 2, "a second alert", process)
        await asyncio.sleep(1.5)  # another poll, in which a doubled alert would show
        await stopped_by(process, signal.SIGINT)
    subjects = [conversation.subject for conversation in reddit.conversations]
    assert len(subjects) == 2
    assert all(sum(post_id in subject for subject in subjects) == 1 for post_id in (first, second))


READ_AGAIN = """\
[llm]
base_url = "{base_url}"
model = "fake"
subreddits = ["testsub"]
timeout_seconds = 300
unsure_from = 0.0
unsure_to = 1.0
choose = false
"""


async def test_killed_while_a_second_reader_has_the_post_it_is_read_again(folder: Path, reddit: SandboxReddit) -> None:
    """kill -9 in the middle of a second reading: after the start the post is asked about once more and alerted once."""
    post_id = reddit.submit("testsub", "a long week", "Everything is grey and I am tired of it.", "somebody")
    async with FakeLlm(slowly(300, answers()), answers()) as llm:
        with (folder / "config.toml").open("a", encoding="utf-8") as config:
            config.write(READ_AGAIN.format(base_url=llm.base_url))
        async with running(folder) as process:
            await until(lambda: len(llm.calls) == 1, "a question to the model", process)
            process.kill()
            await process.wait()
        assert reddit.conversations == []
        async with running(folder) as process:
            await until(lambda: len(reddit.conversations) == 1, "an alert", process)
            await asyncio.sleep(1.5)  # another poll, in which a doubled alert would show
            await stopped_by(process, signal.SIGTERM)
        assert len(llm.calls) == 2
    assert [post_id in conversation.subject for conversation in reddit.conversations] == [True]


async def test_the_promised_configuration_answers_a_crisis_by_itself(
    folder: Path, reddit: SandboxReddit, server: SandboxServer
) -> None:
    """With `auto = ["crisis"]` and all else at its default the reply is posted without a person."""
    text = CONFIG.format(base_url=server.base_url, auto='["crisis"]')
    (folder / "config.toml").write_text(text, encoding="utf-8")
    post_id = reddit.submit("testsub", "goodbye", DESPERATE, "somebody")
    async with running(folder) as process:
        await until(lambda: len(reddit.comments_on(post_id)) == 1, "the reply", process)
        await stopped_by(process, signal.SIGTERM)
    assert len(reddit.conversations) == 1


async def test_check_finds_nothing_wrong_with_a_good_set_up(folder: Path) -> None:
    """A line for each thing, all fine, exit code 0."""
    code, out, _ = await command(folder, "check")
    assert code == 0, out
    assert "FAIL" not in out
    assert {"config", "credentials", "user agent", "sign-in", "r/testsub", "database", "model", "catalogue"} <= {
        word for line in out.splitlines() for word in (line[4:].strip().split("  ")[0],)
    }


async def test_check_says_what_is_wrong(folder: Path, reddit: SandboxReddit) -> None:
    """Another moderators' subreddit and a wrong password are each a failed line, and the exit code is 1."""
    reddit.add_subreddit("strangers", moderators=("somebody_else",))
    text = (folder / "config.toml").read_text(encoding="utf-8").replace('["testsub"]', '["testsub", "strangers"]')
    (folder / "config.toml").write_text(text, encoding="utf-8")
    code, out, _ = await command(folder, "check")
    assert code == 1
    assert [line for line in out.splitlines() if line.startswith("FAIL") and "r/strangers" in line]
    code, out, _ = await command(folder, "check", NIGHTLIGHT_REDDIT_PASSWORD="wrong")
    assert code == 1
    assert [line for line in out.splitlines() if line.startswith("FAIL") and "sign-in" in line]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "--config", "nothing.toml"), 2, "nothing.toml"),
        (("reviews", "list"), 1, "no database"),
        (("status",), 1, "no database"),
    ],
)
async def test_a_mistake_is_one_line_and_an_exit_code(
    folder: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """No traceback: one line on stderr that starts with the program's name."""
    returned, _, err = await command(folder, *arguments)
    assert (returned, len(err.splitlines())) == (code, 1)
    assert err.startswith("nightlight: ")
    assert words in err


async def test_run_without_credentials_names_what_is_missing(folder: Path) -> None:
    """The variables to set are in the one line it prints."""
    code, _, err = await command(folder, "run", NIGHTLIGHT_REDDIT_PASSWORD="", NIGHTLIGHT_REDDIT_CLIENT_ID="")
    assert code == 1
    assert "NIGHTLIGHT_REDDIT_CLIENT_ID" in err
    assert "NIGHTLIGHT_REDDIT_PASSWORD" in err


async def test_what_is_purged_is_in_no_file_and_no_log(folder: Path, reddit: SandboxReddit) -> None:
    """After `purge --all` neither database, log nor copy holds a word or a name; what waited is never sent."""
    post_id = reddit.submit("testsub", NEVER_LOGGED, f"{DESPERATE} {NEVER_LOGGED}", f"{NEVER_LOGGED}_b")
    async with running(folder) as process:
        await until(lambda: len(reddit.conversations) == 1, "an alert", process)
        await until(lambda: (folder / "nightlight.db.backup").exists(), "a copy", process)
        code, out, err = await command(folder, "purge", "--post", f"{post_id}typo")
        assert (code, out, "there is no post" in err) == (2, "", True), err
        code, out, err = await command(folder, "purge", "--all")
        assert (code, out) == (0, "Forgotten: 1 post.\n"), err
        code, _, err = await command(folder, "reviews", "approve", post_id)
        assert (code, "dismissed" in err) == (2, True)
        log = await stopped_by(process, signal.SIGTERM)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert files.keys() >= {"nightlight.db", "nightlight.db.backup", "nightlight.db.key"}
    assert [name for name, content in files.items() if NEVER_LOGGED.encode() in content] == []
    assert NEVER_LOGGED not in log
    assert reddit.comments_on(post_id) == []


async def test_an_author_who_opts_out_gets_no_reply(folder: Path, reddit: SandboxReddit, server: SandboxServer) -> None:
    """Even where crisis replies go out by themselves; the moderators are alerted all the same."""
    text = CONFIG.format(base_url=server.base_url, auto='["crisis"]')
    (folder / "config.toml").write_text(text, encoding="utf-8")
    async with running(folder) as process:
        await until(lambda: (folder / "nightlight.db.key").exists(), "a database", process)
        code, _, err = await command(folder, "optout", f"{NEVER_LOGGED} and others")
        assert (code, len(err.splitlines())) == (2, 1), err
        code, _, err = await command(folder, "optout", f" /U/{NEVER_LOGGED}")
        assert code == 0, err
        silent = reddit.submit("testsub", "goodbye", DESPERATE, NEVER_LOGGED)
        answered = reddit.submit("testsub", "goodbye", DESPERATE, "somebody")
        await until(lambda: len(reddit.comments_on(answered)) == 1, "the other reply", process)
        await until(lambda: len(reddit.conversations) == 2, "both alerts", process)
        await stopped_by(process, signal.SIGTERM)
    assert reddit.comments_on(silent) == []


async def test_a_second_process_is_refused_and_status_tells_of_the_first(folder: Path, reddit: SandboxReddit) -> None:
    """One line and exit code 1; `status` meanwhile shows what is watched and the budget of calls."""
    reddit.submit("testsub", "goodbye", DESPERATE, "somebody")
    async with running(folder) as process:
        await until(lambda: len(reddit.conversations) == 1, "an alert", process)
        code, _, err = await command(folder, "run")
        assert (code, len(err.splitlines())) == (1, 1), err
        assert "another nightlight is running" in err
        code, out, _ = await command(folder, "status")
        assert (code, "r/testsub" in out, "calls to Reddit in the last minute" in out) == (0, True, True)
        await stopped_by(process, signal.SIGTERM)


async def test_a_damaged_database_ends_the_start_and_is_left_alone(folder: Path) -> None:
    """One line that says what to do, exit code 1, and not one byte changed."""
    (folder / "nightlight.db").write_bytes(b"no database at all " * 500)
    code, _, err = await command(folder, "run")
    assert (code, len(err.splitlines())) == (1, 1), err
    assert "is damaged" in err
    assert (folder / "nightlight.db").read_bytes() == b"no database at all " * 500


@pytest.mark.parametrize("options", [(), ("--all", "--post", "x")])
async def test_purge_wants_to_know_what(folder: Path, options: tuple[str, ...]) -> None:
    """Nothing is forgotten by a command that names nothing, or two things."""
    code, _, err = await command(folder, "purge", *options)
    assert (code, "--author NAME" in err) == (2, True)


async def test_a_full_disk_ends_it_loudly_and_nothing_is_lost(folder: Path, reddit: SandboxReddit) -> None:
    """One line that names the database, exit code 1; with room again it goes on, and every alert is there once."""
    ids = [reddit.submit("testsub", f"title {number}", DESPERATE * 60, f"somebody_{number}") for number in range(25)]
    shell = "ulimit -f 700; exec " + " ".join(map(shlex.quote, (sys.executable, "-m", "bot", "run")))
    process = await start_program(folder, "sh", "-c", shell)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    last = err.decode().splitlines()[-1]
    assert (process.returncode, last.startswith("nightlight: cannot use the database")) == (1, True), last
    async with running(folder) as process:
        await until(lambda: len(reddit.conversations) >= len(ids), "every alert", process)
        await stopped_by(process, signal.SIGTERM)
    subjects = [conversation.subject for conversation in reddit.conversations]
    assert sorted(subject.rsplit("t3_")[1].rstrip(")") for subject in subjects) == sorted(ids)


HANGING = """\
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bot.cli import main
from bot.cli.live import run_live
from bot.config import load


class Hanging:
    def assess(self, documents):
        return ThreadPoolExecutor(1).submit(threading.Event().wait).result()


main(lambda: run_live(load(Path("config.toml")), Hanging), ending_seconds=0.5)
"""


async def test_a_model_that_hangs_in_a_pool_cannot_keep_the_process(folder: Path, reddit: SandboxReddit) -> None:
    """The interpreter would wait for such a thread for ever; the process says what happened and ends with 1."""
    with (folder / "config.toml").open("a", encoding="utf-8") as config:
        config.write("[model]\ntimeout_seconds = 0.2\nbatch_size = 1\n")
    for number in range(3):
        reddit.submit("testsub", f"title {number}", DESPERATE, "somebody")
    process = await start_program(folder, sys.executable, "-c", HANGING)
    try:
        _, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert (process.returncode, "the model hung 3 times" in err.decode()) == (1, True), err.decode()
