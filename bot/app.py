"""The composition root: builds everything, runs it, and takes it down in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from bot.annotators import open_llm
from bot.calls import DailyCalls
from bot.choosing import Chooser, Reader, open_chooser
from bot.clock import Clock, SystemClock, date_of
from bot.config import Config, Secrets
from bot.deliver.chat import ChatMessenger, open_channels
from bot.deliver.dryrun import DryRun
from bot.deliver.escalate import Escalator
from bot.deliver.reddit import RedditMessenger
from bot.deliver.worker import Messenger, Worker
from bot.errors import ConfigError, SetupError
from bot.health import Health
from bot.inbox import Inbox
from bot.judge import Judgement
from bot.keeper import Keeper
from bot.manners import Manners, key_path, load_key
from bot.notices import Notices
from bot.outbox import Outbox
from bot.pipeline import Pipeline
from bot.pulse import Pulse
from bot.reddit import Gateway, user_agent
from bot.replies import check_teams, out_of_date_by
from bot.resources import Catalogue
from bot.review.app import open_page
from bot.review.desk import Desk
from bot.review.frame import Frame
from bot.review.pages import Rooms, routes
from bot.safe_messaging import Rule
from bot.second import SecondReader
from bot.sources.reddit import look_up
from bot.store import Store
from bot.types import Delivery, DeliveryKind
from bot.watch import Watch
from models.assessment import Assessment, Classifier
from models.document import Document
from models.errors import ModelError

log = structlog.get_logger()

_GRACE_SECONDS = 10.0
_LLM_ATTEMPTS = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def run(
    config: Config,
    secrets: Secrets,
    load_model: Callable[[], Classifier],
    stop: asyncio.Event,
    *,
    clock: Clock | None = None,
    on_judged: Callable[[Judgement], None] = lambda judgement: None,
    on_delivery: Callable[[Delivery, str], None] = lambda delivery, outcome: None,
    on_beat: Callable[[], None] = lambda: None,
    on_page: Callable[[str], None] = lambda address: None,
) -> None:
    """Watches, judges and delivers until `stop` is set.

    A model that cannot be loaded is no reason to look away: every post then goes to the moderators unread. Raises
    ConfigError when a team's words break a rule of safe messaging, SetupError when the set-up cannot work, another
    process runs on the same database, or not one subreddit may be watched, and ends loudly with whatever kills one of
    its tasks. `on_beat` is called every few seconds while all is well, `on_page` with the address of the moderators'
    page once it is served.
    """
    _refuse_unusable(config, secrets)
    clock = clock or SystemClock()
    catalogue = await asyncio.to_thread(Catalogue.load)
    await asyncio.to_thread(_refuse_wording, config, catalogue, clock)
    health = Health(config.reddit.subreddits, config.alerts.stalled_minutes * 60, clock)

    def judged(judgement: Judgement, fetched_utc: float) -> None:
        health.judged(judgement.post.subreddit, judgement.decision.level, clock.now() - fetched_utc)
        on_judged(judgement)

    def delivered(delivery: Delivery, outcome: str) -> None:
        if delivery.channel:
            health.messaged(delivery.channel, outcome)
        else:
            health.delivered(delivery.kind, outcome, clock.now() - delivery.created_utc)
        is_first_word = delivery.kind is not DeliveryKind.REPLY and delivery.step == 0
        if outcome == "sent" and delivery.written_utc is not None and is_first_word:
            health.alerted(clock.now() - delivery.written_utc)
        on_delivery(delivery, outcome)

    with _alone_with(config.store.path):
        async with (
            Store(config.store.path, verify=True) as store,
            Gateway.open(config, secrets, clock) as gateway,
            _listening(health, config.health.port),
            _second_reader(config, store, clock, catalogue) as second,
        ):
            manners = await _manners(config, store, clock)
            stale = out_of_date_by(clock, catalogue)
            inbox, outbox = Inbox(store, clock), Outbox(store, clock, stale)
            keeper, notices = Keeper(store, manners, config, clock), Notices(store, outbox, config, clock)
            classifier = await asyncio.to_thread(_load, load_model)
            pipeline = Pipeline(config, store, inbox, outbox, manners, classifier, catalogue, clock, judged, second)
            messengers = await _messengers(config, secrets, gateway)
            # A worker for each, so that a chat service that hangs holds up nobody else.
            workers = [
                Worker(outbox, messenger, manners, keeper, notices, config.deliver, clock, delivered, channel)
                for channel, messenger in messengers.items()
            ]
            watches: list[Watch] = []
            for name in config.reddit.subreddits:
                refused = partial(_end_when_all_refuse, watches)
                watches.append(Watch(name, config, store, inbox, gateway, notices, clock, health.looked, refused))
            pulse = Pulse(config, store, inbox, notices, gateway.budget, watches, health, clock, on_beat)
            log.info("run.started", user_agent=user_agent(config, secrets), dry_run=config.deliver.dry_run)
            rooms = Rooms(store, Desk(store, manners, config, clock, stale), config, catalogue, clock)
            async with _page(rooms, secrets, gateway, on_page), asyncio.TaskGroup() as tasks:
                work = [watch.run(stop) for watch in watches]
                work += [worker.run(stop) for worker in workers]
                if config.channels:
                    work += [Escalator(store, outbox, config, clock).run(stop)]
                work += [pipeline.run(stop), keeper.run(stop, partial(look_up, gateway))]
                running = [tasks.create_task(each) for each in (*work, pulse.run(stop))]
                await stop.wait()
                # Whatever is still at it then (Reddit asked for a pause, a call hangs) goes on after the next start.
                _, late = await asyncio.wait(running, timeout=_GRACE_SECONDS)
                for task in late:
                    task.cancel()
    log.info("run.stopped")


async def review(config: Config, secrets: Secrets, stop: asyncio.Event, on_page: Callable[[str], None]) -> None:
    """Serves the moderators' page alone until `stop` is set, beside a running bot or without one.

    Raises SetupError when the set-up cannot work, the port is taken, or the certificate cannot be used.
    """
    _refuse_unusable(config, secrets, needs_account=config.review.sign_in == "reddit")
    clock = SystemClock()
    async with Store(config.store.path) as store, Gateway.open(config, secrets, clock) as gateway:
        manners = await _manners(config, store, clock)
        catalogue = Catalogue.load()
        desk = Desk(store, manners, config, clock, out_of_date_by(clock, catalogue))
        rooms = Rooms(store, desk, config, catalogue, clock)
        try:
            async with open_page(config, secrets, store, gateway, routes(rooms), clock, Frame(rooms).page) as address:
                on_page(address)
                await stop.wait()
        except OSError as error:
            raise SetupError(_no_page(config, error)) from error


def stop_on_signals(stop: asyncio.Event) -> None:
    """Sets `stop` at the first SIGINT or SIGTERM; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def first_time() -> None:
        stop.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, first_time)


def _refuse_unusable(config: Config, secrets: Secrets, *, needs_account: bool = True) -> None:
    if not config.reddit.subreddits:
        raise ConfigError("[reddit] subreddits names no subreddit to watch")
    if config.llm.reads_live and not config.llm.model:
        raise ConfigError("[llm] model names no model")
    if needs_account and (missing := secrets.missing()):
        raise SetupError(f"not set in the environment: {', '.join(missing)}")


def _refuse_wording(config: Config, catalogue: Catalogue, clock: Clock) -> None:
    today = date_of(clock.now())
    # An address that has expired holds replies back, which is no reason to alert nobody.
    refusals = [each for each in check_teams(config, catalogue, today) if each.breach.rule is not Rule.EXPIRED]
    if refusals:
        raise ConfigError(f"[replies] {refusals[0]}; `nightlight replies check` tells more")


async def _manners(config: Config, store: Store, clock: Clock) -> Manners:
    return Manners(store, await asyncio.to_thread(load_key, key_path(config.store.path)), config, clock)


@contextmanager
def _alone_with(path: Path) -> Iterator[None]:
    """Two processes on one database would each send what the other sends. The lock dies with its process."""
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise SetupError(f"another nightlight is running on {path}; stop it first") from error
    except OSError as error:
        raise SetupError(f"cannot use the database {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


@asynccontextmanager
async def _listening(health: Health, port: int) -> AsyncIterator[None]:
    """Answers on the port, if there is one. A port that is taken is told and no reason not to watch."""
    async with AsyncExitStack() as stack:
        if port:
            try:
                await stack.enter_async_context(health.serving(port))
            except OSError as error:
                log.warning("health.off", error=f"port {port}: {error.strerror}")
        yield


@asynccontextmanager
async def _page(
    rooms: Rooms, secrets: Secrets, gateway: Gateway, on_page: Callable[[str], None]
) -> AsyncIterator[None]:
    """The moderators' page, where it is wanted. That it cannot be served is told and no reason not to watch."""
    async with AsyncExitStack() as stack:
        if rooms.config.review.enabled:
            try:
                surround = Frame(rooms).page
                page = open_page(rooms.config, secrets, rooms.store, gateway, routes(rooms), rooms.clock, surround)
                on_page(await stack.enter_async_context(page))
            except OSError as error:
                log.warning("review.off", error=_no_page(rooms.config, error))
        yield


def _no_page(config: Config, error: OSError) -> str:
    where = f"{config.review.host}, port {config.review.port}"
    return f"the moderators' page cannot be served on {where}: {error.strerror or error}"


@asynccontextmanager
async def _second_reader(
    config: Config, store: Store, clock: Clock, catalogue: Catalogue
) -> AsyncIterator[Reader | None]:
    """The language model as a second reader and, if so set, as a chooser, where a community opted in."""
    if not config.llm.reads_live:
        yield None
        return
    calls = DailyCalls(store, clock, config.llm.budget_per_day)
    async with AsyncExitStack() as stack:
        llm = open_llm(config, attempts=_LLM_ATTEMPTS, clock=clock, permit=calls.spend, refund=calls.refund)
        try:
            annotator = await stack.enter_async_context(llm)
        except ModelError as error:
            raise SetupError(str(error)) from error
        second = SecondReader(annotator, config.llm, config.team)
        if not config.llm.choose:
            yield second
            return
        # An order is a help, a reading may be what is needed: the last half of the day's calls is for readings alone.
        half = DailyCalls(store, clock, config.llm.budget_per_day // 2)
        chooser = await stack.enter_async_context(open_chooser(config, clock, half.spend, half.refund))
        yield Chooser(second, chooser, config.llm, catalogue, lambda: date_of(clock.now()))


async def _messengers(config: Config, secrets: Secrets, gateway: Gateway) -> dict[str, Messenger]:
    """Who carries letters to Reddit (an empty name) and to each chat channel."""
    if config.deliver.dry_run:
        return dict.fromkeys(("", *config.channels), DryRun())
    to_reddit = RedditMessenger(gateway)
    channels = await asyncio.to_thread(open_channels, config.channels, secrets.channels)
    return {"": to_reddit} | {name: ChatMessenger(channel, to_reddit.gone) for name, channel in channels.items()}


class _NoModel:
    """What stands in for a model that cannot be loaded."""

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """Always fails, so that every post is unassessed."""
        raise SetupError("no model is loaded")


def _load(load_model: Callable[[], Classifier]) -> Classifier:
    try:
        return load_model()
    except Exception as error:
        log.error("model.missing", error=str(error))
        return _NoModel()


def _end_when_all_refuse(watches: Sequence[Watch]) -> None:
    if all(watch.refused for watch in watches):
        raise SetupError("Reddit refuses every subreddit; the log says why")
