"""`nightlight check`: what is wrong with a set-up, said before it runs."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date

import prompts
from bot.config import Config, Secrets
from bot.deliver.chat import Channel
from bot.errors import NightlightError
from bot.reddit import Gateway, user_agent
from bot.replies import check_teams
from bot.resources import Catalogue
from bot.store import Store
from bot.wording import LANGUAGES, wording
from models.assessment import Classifier

_USER_AGENT = re.compile(r"[\w.-]+:[\w.-]+:[\w.+-]+ \(by /u/[\w-]{3,20}\)")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check: what was looked at, whether it is fine, and what was found."""

    name: str
    fine: bool
    words: str


async def check(
    config: Config, secrets: Secrets, load_model: Callable[[], Classifier], today: date
) -> AsyncIterator[Finding]:
    """Every finding, as it is made. Nothing is written to Reddit."""
    yield Finding("config", True, "understood")
    yield _subreddits(config)
    yield _credentials(secrets)
    yield _user_agent(config, secrets)
    if config.reddit.subreddits and not secrets.missing():
        async with Gateway.open(config, secrets) as gateway:
            yield await _sign_in(gateway)
            for name in config.reddit.subreddits:
                yield await _moderates(gateway, name)
    yield await _database(config)
    yield _model(load_model)
    yield _llm(config)
    yield _catalogue(config, today)
    yield _replies(config, today)
    for name in config.channels:
        yield _channel(name, secrets)
    yield _page(config, secrets)
    yield _dry_run(config)


def _subreddits(config: Config) -> Finding:
    names = config.reddit.subreddits
    if not names:
        return Finding("subreddits", False, "[reddit] subreddits names none")
    return Finding("subreddits", True, ", ".join(f"r/{name}" for name in names))


def _credentials(secrets: Secrets) -> Finding:
    missing = secrets.missing()
    return Finding("credentials", not missing, f"not set: {', '.join(missing)}" if missing else "all set")


def _user_agent(config: Config, secrets: Secrets) -> Finding:
    agent = user_agent(config, secrets)
    if _USER_AGENT.fullmatch(agent):
        return Finding("user agent", True, agent)
    return Finding("user agent", False, f"{agent!r} does not name a Reddit user; set [reddit] operator")


async def _sign_in(gateway: Gateway) -> Finding:
    try:
        return Finding("sign-in", True, f"as u/{await gateway.me()}")
    except NightlightError as error:
        return Finding("sign-in", False, str(error))


async def _moderates(gateway: Gateway, subreddit: str) -> Finding:
    try:
        fine = await gateway.moderates(subreddit)
    except NightlightError as error:
        return Finding(f"r/{subreddit}", False, str(error))
    return Finding(f"r/{subreddit}", fine, f"this account {'moderates' if fine else 'does not moderate'} it")


async def _database(config: Config) -> Finding:
    try:
        async with Store(config.store.path) as store, store.transaction():
            return Finding("database", True, f"{config.store.path} can be written")
    except NightlightError as error:
        return Finding("database", False, str(error))


def _model(load: Callable[[], Classifier]) -> Finding:
    # Whatever is wrong with a model folder that somebody made, the check must say it instead of dying of it.
    try:
        load()
    except Exception as error:
        return Finding("model", False, str(error) or type(error).__name__)
    return Finding("model", True, "loads")


def _llm(config: Config) -> Finding:
    llm = config.llm
    if not llm.reads_live:
        return Finding("language model", True, "off: no live post leaves this machine")
    if not llm.model:
        return Finding("language model", False, "[llm] model names no model")
    if llm.prompt not in prompts.names():
        return Finding("language model", False, f"[llm] prompt is none of {', '.join(prompts.names())}")
    read = ", ".join(f"r/{name}" for name in llm.subreddits)
    what = "posts in doubt and those of urgent alerts" if llm.choose else "posts in doubt"
    return Finding("language model", True, f"{llm.model} at {llm.base_url} gets {what} from {read}")


def _catalogue(config: Config, today: date) -> Finding:
    try:
        catalogue = Catalogue.load()
    except NightlightError as error:
        return Finding("catalogue", False, str(error))
    expired = [each.id for each in catalogue.expired(today)]
    if expired := expired + [words.id for words in map(wording, LANGUAGES) if today >= words.expires_on]:
        return Finding("catalogue", False, f"expired: {', '.join(expired)}")
    wanted = {config.team(name).replies.country for name in config.reddit.subreddits} - {""}
    if unknown := sorted(wanted - set(catalogue.countries(today))):
        return Finding("catalogue", False, f"no line for the country {', '.join(unknown)}")
    return Finding("catalogue", True, "no record has expired")


def _channel(name: str, secrets: Secrets) -> Finding:
    try:
        Channel.open(name, secrets.channels.get(name))
    except NightlightError as error:
        return Finding(f"channel {name}", False, str(error))
    return Finding(f"channel {name}", True, f"has a URL; `nightlight channels test {name}` sends a message")


def _replies(config: Config, today: date) -> Finding:
    try:
        refusals = check_teams(config, Catalogue.load(), today)
    except NightlightError as error:
        return Finding("replies", False, str(error))
    if refusals:
        return Finding("replies", False, "; ".join(map(str, refusals)))
    return Finding("replies", True, "the templates keep every rule")


def _page(config: Config, secrets: Secrets) -> Finding:
    review = config.review
    if not review.enabled:
        return Finding("moderators' page", True, "off")
    for file in (review.tls_certificate, review.tls_key):
        if file is not None and not os.access(file, os.R_OK):
            return Finding("moderators' page", False, f"cannot read {file}")
    if review.sign_in == "reddit" and not secrets.web_client_id:
        words = "NIGHTLIGHT_REDDIT_WEB_CLIENT_ID is not set: only developers of the bot's own application can sign in"
        return Finding("moderators' page", True, words)
    return Finding("moderators' page", True, review.public_url or f"on this machine, port {review.port}")


def _dry_run(config: Config) -> Finding:
    words = (
        "on: nothing will be sent to Reddit or a chat"
        if config.deliver.dry_run
        else "off: alerts and approved replies will be sent"
    )
    return Finding("dry run", True, words)
