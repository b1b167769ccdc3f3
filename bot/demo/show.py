"""`nightlight demo`: the real bot on a pretend Reddit, to be watched."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bot import app, log
from bot.clock import Clock, SystemClock
from bot.config import Config, Log, Secrets, load
from bot.demo import Sample, samples
from bot.errors import SetupError, UsageError
from bot.judge import Judgement
from bot.record import to_record
from bot.report import Run, Tally, render
from bot.review.app import new_link, origin
from bot.review.sessions import Links
from bot.sandbox.server import SandboxServer
from bot.sandbox.state import CLIENT_ID, CLIENT_SECRET, PASSWORD, USERNAME, SandboxReddit
from bot.store import Store
from bot.types import Delivery, DeliveryKind
from bot.web import listener
from models.assessment import Classifier
from models.labels import Level

_POSTS_A_SECOND = 8.0
_SUBREDDITS = ("testsub", "quietcorner")
_NEWEST_SHOWN = 6
_LOUD = (Level.CRISIS, Level.URGENT, Level.UNASSESSED, Level.WATCH)
_STYLES = {Level.CRISIS: "bold red", Level.URGENT: "yellow", Level.WATCH: "cyan", Level.UNASSESSED: "magenta"}
_LONGEST_SECONDS = 110.0

_CONFIG = """\
# Written by `nightlight demo`: the bot that watches the pretend Reddit at this address.
[reddit]
base_url = "{base_url}"
subreddits = {subreddits}
poll_seconds = 1
requests_per_minute = 2000  # a day's posts in a minute; Reddit itself allows 100
[store]
path = "nightlight.db"
[deliver]
dry_run = false
[health]
port = 0
[review]
enabled = true
port = {page_port}
sign_in = "link"
"""
_FIRST_LINE = _CONFIG.splitlines()[0]
_PAGE_PORT = 8765


@dataclass
class Scene:
    """What has happened so far, for whoever watches."""

    posts: Sequence[Sample]
    judged: dict[str, Judgement] = field(default_factory=dict)
    sent: Counter[DeliveryKind] = field(default_factory=Counter)
    settled: Counter[DeliveryKind] = field(default_factory=Counter)
    waiting: Counter[DeliveryKind] = field(default_factory=Counter)

    def on_judged(self, judgement: Judgement) -> None:
        """A post was judged and stored."""
        self.judged[judgement.post.id] = judgement
        self.waiting.update(planned.kind for planned in judgement.decision.deliveries)

    def on_delivery(self, delivery: Delivery, outcome: str) -> None:
        """A delivery was settled."""
        self.sent[delivery.kind] += outcome == "sent"
        self.settled[delivery.kind] += outcome in ("sent", "gone", "dead")

    def at(self, level: Level) -> list[Judgement]:
        """Everything judged to stand at a level, in order of arrival."""
        return [each for each in self.judged.values() if each.decision.level is level]

    @property
    def over(self) -> bool:
        """Every post judged and every alert out, but for those about posts that were deleted meanwhile."""
        alerts_out = self.settled[DeliveryKind.ALERT] == self.waiting[DeliveryKind.ALERT]
        return len(self.judged) == len(self.posts) and alerts_out


async def show(classifier: Classifier, folder: Path, console: Console, *, port: int, serve: bool) -> bool:
    """Runs the live loop against the sandbox until every sample was judged and every alert is out; whether they were.

    Leaves config.toml, nightlight.db, log.jsonl and report.html in `folder`. With `serve` it goes on until SIGINT
    or SIGTERM. Approves nothing by itself: replies stay held. Raises UsageError, and touches nothing, when `folder`
    holds a set-up that is not an earlier demo's.
    """
    _refuse_another_set_up(folder)
    clock = SystemClock()
    scene = Scene(samples())
    reddit = SandboxReddit(clock)
    for name in _SUBREDDITS:
        reddit.add_subreddit(name)
    stop = asyncio.Event()
    app.stop_on_signals(stop)
    async with SandboxServer(reddit, port=port) as server:
        config = _write_config(folder, server.base_url)
        with _log_to(folder / "log.jsonl"):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(
                    app.run(
                        config,
                        demo_secrets(),
                        lambda: classifier,
                        stop,
                        on_judged=scene.on_judged,
                        on_delivery=scene.on_delivery,
                        on_page=lambda address: console.print(_page(address), soft_wrap=True),
                    )
                )
                tasks.create_task(_submit(reddit, scene.posts, clock, stop))
                await _watch(scene, console, clock, stop)
                _sum_up(scene, folder, config, console)
                if serve and not stop.is_set():
                    console.print(await _invitation(server.base_url, folder, config, clock), soft_wrap=True)
                    await stop.wait()
                stop.set()
    return scene.over


def demo_secrets() -> Secrets:
    """The credentials that the sandbox accepts; they open nothing else."""
    return Secrets.model_validate(
        {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "username": USERNAME, "password": PASSWORD}
    )


def _refuse_another_set_up(folder: Path) -> None:
    config = folder / "config.toml"
    ours = config.is_file() and config.read_bytes().startswith(_FIRST_LINE.encode())
    if not ours and (config.exists() or any(folder.glob("nightlight.db*"))):
        raise UsageError(f"{folder} holds a set-up of your own; name another folder with --out")


def _write_config(folder: Path, base_url: str) -> Config:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("nightlight.db*"):
        old.unlink()
    path = folder / "config.toml"
    settings = {"base_url": base_url, "subreddits": json.dumps(_SUBREDDITS), "page_port": _free_port()}
    path.write_text(_CONFIG.format_map(settings), encoding="utf-8")
    return load(path)


def _free_port() -> int:
    """The page's usual port, or another where that is taken: another demo may be running."""
    for port in (_PAGE_PORT, 0):
        with suppress(OSError), closing(listener("127.0.0.1", port)) as listening:
            return int(listening.getsockname()[1])
    raise SetupError("no port is free for the moderators' page")


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    with path.open("w", encoding="utf-8") as stream:
        log.set_up(Log(format="json"), stream=stream)
        yield


async def _submit(reddit: SandboxReddit, posts: Sequence[Sample], clock: Clock, stop: asyncio.Event) -> None:
    for post in posts:
        if stop.is_set():
            return
        reddit.submit(post.subreddit, post.title, post.selftext, post.author, id=post.id)
        await clock.wait(stop, 1 / _POSTS_A_SECOND)


async def _watch(scene: Scene, console: Console, clock: Clock, stop: asyncio.Event) -> None:
    progress = Progress(
        TextColumn("reading new posts"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
    task = progress.add_task("posts", total=len(scene.posts))
    deadline = clock.now() + _LONGEST_SECONDS
    with Live(console=console, get_renderable=lambda: _stage(scene, progress), refresh_per_second=8) as live:
        while not (scene.over or stop.is_set()) and clock.now() < deadline:
            await clock.wait(stop, 0.125)
            progress.update(task, completed=len(scene.judged))
        live.refresh()


def _stage(scene: Scene, progress: Progress) -> RenderableType:
    return Group(progress, levels(scene), _newest(scene))


def levels(scene: Scene) -> Table:
    """Posts by triage level and what became of them."""
    does = {
        Level.CRISIS: "alert at once, reply proposed",
        Level.URGENT: "alert at once, reply proposed",
        Level.UNASSESSED: "alert at once: the models failed",
        Level.WATCH: "a line in tomorrow's summary",
    }
    table = Table("level", "posts", "what the bot does", title="alerts by level", title_justify="left")
    for level in _LOUD:
        table.add_row(level, str(len(scene.at(level))), does[level], style=_STYLES[level])
    table.add_row(Level.NONE, str(len(scene.at(Level.NONE))), "nothing", style="dim")
    return table


def _newest(scene: Scene) -> Table:
    table = Table("level", "in", "post", "why", title="latest alerts", title_justify="left", expand=True)
    table.columns[3].ratio = 1
    loud = [each for each in scene.judged.values() if each.decision.level > Level.WATCH]
    for judgement in itertools.islice(reversed(loud), _NEWEST_SHOWN):
        level, reasons = judgement.decision.level, judgement.decision.reasons
        table.add_row(
            level,
            f"r/{judgement.post.subreddit}",
            judgement.post.id,
            reasons[0].words if reasons else "",
            style=_STYLES[level],
        )
    return table


def _sum_up(scene: Scene, folder: Path, config: Config, console: Console) -> None:
    setting = "This was the demo: the posts are invented, and the alerts went to a pretend Reddit."
    tally, run = Tally(), Run(("the sample posts",), setting, judged=len(scene.judged))
    for judgement in scene.judged.values():
        tally.add(to_record(judgement, config.team(judgement.post.subreddit).policy))
    report = folder / "report.html"
    report.write_text(render(tally, run), encoding="utf-8")
    console.print(agreement(scene))
    held = scene.waiting[DeliveryKind.REPLY]
    console.print(
        f"\n{len(scene.judged)} posts read, {scene.sent[DeliveryKind.ALERT]} alerts in the moderators' modmail, "
        f"{held} replies proposed, none sent: they wait for a moderator's word.\nThe report: {report.resolve()}",
        highlight=False,
        soft_wrap=True,
    )


def agreement(scene: Scene) -> Table:
    """What the bot made of the samples, by what a careful reader made of them."""
    order = [*reversed(Level)]
    order.remove(Level.UNASSESSED)
    table = Table(
        "a reader says", *(f"bot: {level}" for level in order), title="the samples, read twice", title_justify="left"
    )
    expected = {post.id: post.expect.level for post in scene.posts}
    for wanted in order:
        counts = Counter(each.decision.level for id, each in scene.judged.items() if expected[id] is wanted)
        table.add_row(wanted, *(str(counts[level]) if counts[level] else "·" for level in order))
    return table


def _page(address: str) -> str:
    return f"The moderators' page, while this runs: [link={address}]{address}[/link] (opens once, within ten minutes)"


async def _invitation(base_url: str, folder: Path, config: Config, clock: Clock) -> str:
    async with Store(config.store.path) as store:
        address = await new_link(Links(store, clock), origin(config.review, config.review.port))
    return (
        f"\nThe bot goes on until Ctrl-C. You are the moderators' team now:\n"
        f"1. Open their page: [link={address}]{address}[/link]\n"
        f"   The link opens once, within ten minutes; a new one: nightlight review --link --config "
        f"{folder / 'config.toml'}\n"
        f"2. Take a case, read why it is one, and approve its reply. For a minute you can still undo it.\n"
        f"3. Then it stands under the post, on the pretend Reddit: [link={base_url}]{base_url}[/link]\n"
    )
