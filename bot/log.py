"""structlog, set up once. Post text, titles, author names and secrets can never reach a log line."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from bot.config import Log

# What a log line may carry. An allow list: a key that nobody thought of is dropped, not printed.
_KEYS = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "subreddit",
        "post_id",
        "delivery_id",
        "kind",
        "channel",
        "triage",
        "attempts",
        "count",
        "seconds",
        "since_utc",
        "until_utc",
        "error",
        "user_agent",
        "dry_run",
        "route",
        "session",
    }
)


def _only_known_keys(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in line.items() if key in _KEYS}


def set_up(config: Log, *, stream: Any = None) -> None:
    """Lines go to stderr: pretty on a terminal, JSON elsewhere, unless the configuration names a format.

    The libraries' own loggers stay silent below CRITICAL: at DEBUG asyncprawcore prints tokens and whole replies.
    """
    out = stream or sys.stderr
    pretty = config.format == "pretty" or (config.format == "auto" and out.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_known_keys,
            structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, config.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(out),
    )
    logging.basicConfig(level=logging.CRITICAL, stream=out, force=True)
