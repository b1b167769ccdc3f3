"""What the commands share: options, the configuration, the classifier, the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from bot.config import Config
    from bot.manners import Manners
    from bot.review.desk import Desk
    from bot.store import Store
    from models.assessment import Classifier

T = TypeVar("T")

ConfigFile = Annotated[Path, typer.Option("--config", help="Your config.toml.")]
OptionalConfig = Annotated[
    Path | None,
    typer.Option(help="Your config.toml. Without it: the default policy, the model in the box.", show_default=False),
]

Backend = Annotated[
    Literal["onnx", "torch"] | None,
    typer.Option(
        help="What runs the network: onnx, int8 on the processor; or torch, float32, on a GPU where there is one.",
        show_default="as configured",
    ),
]


def settings_of(path: Path | None, backend: Backend = None) -> Config:
    """The configuration, with the log set up as it says; a `backend` takes the place of the configured one."""
    from bot import config, log

    settings = config.load(path) if path else config.Config()
    if backend is not None:
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"backend": backend})})
    log.set_up(settings.log)
    return settings


@contextmanager
def model_errors_as_ours() -> Iterator[None]:
    from bot.errors import SetupError, UsageError
    from models.errors import DataError, ModelError

    try:
        yield
    except DataError as error:
        raise UsageError(str(error)) from error
    except ModelError as error:
        raise SetupError(str(error)) from error


class Annotator(StrEnum):
    """Who judges: the dictionary, the network, or both and what other languages need, as in a live run."""

    RULES = "rules"
    ENCODER = "encoder"
    HYBRID = "hybrid"


def classifier_of(config: Config, annotator: Annotator = Annotator.HYBRID) -> Classifier:
    from bot.judge import live_judge
    from models.encoder import Encoder
    from models.rules import Rules

    if annotator is Annotator.RULES:
        return Rules.load()
    model = config.model
    with model_errors_as_ours():
        if annotator is Annotator.ENCODER:
            return Encoder.load(model.path, model.threads, model.batch_size, backend=model.backend)
        return live_judge(model)


def at_the_desk(path: Path, work: Callable[[Desk], Awaitable[T]]) -> T:
    """Opens the database of a configuration for one piece of work."""
    import asyncio

    from bot.clock import SystemClock, date_of
    from bot.replies import out_of_date
    from bot.resources import Catalogue
    from bot.review.desk import Desk

    clock = SystemClock()

    def out_of_date_now(body: str) -> str:
        return out_of_date(body, Catalogue.load(), date_of(clock.now()))

    async def at_the_desk(store: Store, manners: Manners, settings: Config) -> T:
        return await work(Desk(store, manners, settings, clock, out_of_date_now))

    return asyncio.run(with_store(path, at_the_desk))


async def with_store(path: Path, work: Callable[[Store, Manners, Config], Awaitable[T]]) -> T:
    """The database of a configuration, which `nightlight run` made, with its courtesy, for one piece of work."""
    from bot.clock import SystemClock
    from bot.errors import SetupError
    from bot.manners import Manners, key_path, load_key
    from bot.store import Store

    settings = settings_of(path)
    if not settings.store.path.exists():
        raise SetupError(f"there is no database {settings.store.path} yet; `nightlight run` makes it")
    async with Store(settings.store.path) as store:
        manners = Manners(store, load_key(key_path(settings.store.path)), settings, SystemClock())
        return await work(store, manners, settings)
