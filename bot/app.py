"""The composition root: builds everything, runs it, and takes it down in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from bot.clock import Clock, SystemClock
from bot.config import Config, Secrets
from bot.deliver.dryrun import DryRun
from bot.deliver.reddit import RedditMessenger
from bot.deliver.worker import Messenger, Worker
from bot.errors import ConfigError, SetupError
from bot.judge import Judgement
from bot.outbox import Outbox
from bot.pipeline import Pipeline
from bot.reddit import Gateway, user_agent
from bot.resources import Catalogue
from bot.store import Store
from bot.types import Delivery
from bot.watch import Watch
from models.assessment import Classifier

log = structlog.get_logger()

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
) -> None:
    """Watches, judges and delivers until `stop` is set.

    Raises SetupError when the set-up cannot work or not one subreddit may be watched, and ends loudly with whatever
    kills one of its tasks.
    """
    _refuse_unusable(config, secrets)
    clock = clock or SystemClock()
    async with Store(config.store.path) as store, Gateway.open(config, secrets) as gateway:
        outbox = Outbox(store, clock)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="models") as executor:
            classifier = await asyncio.get_running_loop().run_in_executor(executor, load_model)
            pipeline = Pipeline(config, store, outbox, classifier, Catalogue.load(), clock, executor, after=on_judged)
            messenger: Messenger = DryRun() if config.deliver.dry_run else RedditMessenger(gateway)
            worker = Worker(outbox, messenger, clock, after=on_delivery)
            watches = [Watch(name, config, store, gateway, pipeline, clock) for name in config.reddit.subreddits]
            log.info("run.started", user_agent=user_agent(config, secrets), dry_run=config.deliver.dry_run)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(worker.run(stop))
                tasks.create_task(_watch_all(watches, stop))
    log.info("run.stopped")


def _refuse_unusable(config: Config, secrets: Secrets) -> None:
    if not config.reddit.subreddits:
        raise ConfigError("[reddit] subreddits names no subreddit to watch")
    if missing := secrets.missing():
        raise SetupError(f"not set in the environment: {', '.join(missing)}")


def stop_on_signals(stop: asyncio.Event) -> None:
    """Sets `stop` at the first SIGINT or SIGTERM; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def first_time() -> None:
        stop.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, first_time)


async def _watch_all(watches: Sequence[Watch], stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(watch.run(stop)) for watch in watches]
    if not stop.is_set() and not any(task.result() for task in running):
        raise SetupError("no subreddit is left to watch; the log says why")
