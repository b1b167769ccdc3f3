"""What the tests of the moderators' page share: the page on loopback, and a browser that signs in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from starlette.routing import BaseRoute

from bot.clock import Clock
from bot.config import Config, Review, Secrets
from bot.reddit import Gateway
from bot.review.app import open_page
from bot.review.refusals import Surround
from bot.store import Store


def with_review(config: Config, **settings: Any) -> Config:
    """The configuration with a page on a free port."""
    return config.model_copy(update={"review": Review.model_validate({"port": 0, **settings})})


@asynccontextmanager
async def serving(
    config: Config,
    secrets: Secrets,
    store: Store,
    pages: Sequence[BaseRoute],
    clock: Clock,
    surround: Surround | None = None,
) -> AsyncIterator[str]:
    """The page, with a client of its own to ask Reddit with; where to open it."""
    async with (
        Gateway.open(config, secrets, clock) as gateway,
        open_page(config, secrets, store, gateway, pages, clock, surround) as address,
    ):
        yield address


def browser(base_url: str, **options: Any) -> httpx2.AsyncClient:
    """A browser of somebody's: it keeps cookies, and shows redirects instead of following them."""
    parts = urlsplit(base_url)
    options.setdefault("verify", parts.scheme == "https")
    return httpx2.AsyncClient(base_url=f"{parts.scheme}://{parts.netloc}", trust_env=False, timeout=30, **options)


async def authorise(address: str, account: str) -> str:
    """Says yes on the sandbox's page as this account (no, when it is empty); where that leads back to."""
    async with httpx2.AsyncClient(trust_env=False, timeout=30, verify=False) as client:
        assert (await client.get(address)).status_code == 200
        asked = dict(parse_qsl(urlsplit(address).query))
        answered = await client.post(address.partition("?")[0], data={**asked, "account": account})
    return answered.headers["location"]


async def sign_in(client: httpx2.AsyncClient, account: str, leads_to: str = "") -> httpx2.Response:
    """Signs in with Reddit as this account; the page's answer to what Reddit sent along."""
    begun = await client.get("/sign-in/reddit", params={"next": leads_to} if leads_to else {})
    assert begun.status_code == 303
    return await client.get(await authorise(begun.headers["location"], account))


async def csrf(client: httpx2.AsyncClient, path: str = "/sessions") -> str:
    """The token in the forms of a page."""
    found = re.search(r'name="csrf" value="([^"]*)"', (await client.get(path)).text)
    assert found is not None
    return found[1]


def seen_in(page: str) -> str:
    """What the form that approves a reply says of the words its reader saw."""
    found = re.search(r'name="seen" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1]


async def post(client: httpx2.AsyncClient, path: str, **fields: str) -> httpx2.Response:
    """Sends a form as the page's own forms are sent."""
    return await client.post(path, data={"csrf": await csrf(client), **fields})
