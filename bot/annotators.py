"""The annotators by the words that people have for them: the dictionary, the encoder, both, and a language model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

from pydantic import SecretStr

from bot.clock import Clock, SystemClock
from bot.config import Config, llm_api_key
from bot.errors import UsageError
from bot.judge import live_judge
from models.annotation import Annotator, ClassifierAnnotator

# What a run sits out that nobody waits for: a server that starts anew, and one that has too much to do.
_OUTAGE_SECONDS = 30.0
_BUSY_SECONDS = 1800.0

Kind = Literal["rules", "encoder", "hybrid", "llm"]


@asynccontextmanager
async def open_annotator(kind: Kind, config: Config) -> AsyncIterator[Annotator]:
    """The annotator of that kind, closed at the end.

    Raises UsageError when [llm] lacks what it needs, and ModelError when a model or the cache cannot be used.
    """
    if kind == "rules":
        from models.rules import Rules

        rules = Rules.load()
        yield ClassifierAnnotator(rules, {"rules": rules.version})
    elif kind == "encoder":
        from models.encoder import Encoder

        model = config.model
        encoder = Encoder.load(model.path, model.threads, model.batch_size, backend=model.backend)
        yield ClassifierAnnotator(encoder, {"encoder": encoder.version})
    elif kind == "hybrid":
        judge = live_judge(config.model)
        yield ClassifierAnnotator(judge, judge.versions)
    else:
        async with open_llm(config) as llm:
            yield llm


@asynccontextmanager
async def open_llm(
    config: Config,
    *,
    attempts: int | None = None,
    clock: Clock = SystemClock(),  # noqa: B008 - without state
    permit: Callable[[], Awaitable[None]] | None = None,
    refund: Callable[[], Awaitable[None]] | None = None,
    api_key: SecretStr | None = None,
) -> AsyncIterator[Annotator]:
    """The language model that [llm] names, with its cache; see `Server` for the arguments.

    Without `attempts` it is asked as in a run that nobody waits for: an outage of half a minute is sat out, and so is
    half an hour of a server that says when to come back. The key is that of the environment when it is left out. Raises
    UsageError when [llm] lacks what it needs, and ModelError when the cache cannot be used.
    """
    import prompts
    from models.answers import Answers
    from models.chat import Server
    from models.llm import LlmAnnotator

    llm = config.llm
    if not llm.base_url or not llm.model:
        raise UsageError("the annotator llm needs [llm] base_url and model; name a file that has them with --config")
    if llm.prompt not in prompts.names():
        raise UsageError(f"[llm] prompt: {llm.prompt} is none of {', '.join(prompts.names())}")
    prompt = prompts.load(llm.prompt)
    server = Server(
        llm.base_url,
        llm.model,
        llm_api_key() if api_key is None else api_key,
        llm.timeout_seconds,
        attempts or 5,
        clock,
        permit,
        refund,
        outage_seconds=0 if attempts else _OUTAGE_SECONDS,
        busy_seconds=0 if attempts else _BUSY_SECONDS,
    )
    async with Answers(llm.cache) as answers:
        annotator = LlmAnnotator(server, prompt, answers=answers, concurrency=llm.concurrency)
        try:
            yield annotator
        finally:
            await annotator.aclose()
