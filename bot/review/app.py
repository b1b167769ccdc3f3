"""The moderators' page as an ASGI application, and how it is served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from getpass import getuser
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from bot.clock import Clock
from bot.config import Config, Review, Secrets
from bot.reddit import Gateway
from bot.review.door import Door, Teams
from bot.review.entry import DONE, Entry
from bot.review.identity import Identity
from bot.review.refusals import Surround, refusal
from bot.review.security import SIGN_IN, Cookie, Forms, Gate, Hardening, hosts, is_secure
from bot.review.sessions import Links, Sessions
from bot.store import Store
from bot.web import listener, serving


def create_app(
    review: Review,
    base_url: str,
    pages: Sequence[BaseRoute],
    door: Door,
    sessions: Sessions,
    links: Links,
    clock: Clock,
    surround: Surround | None = None,
) -> Starlette:
    """The pages behind the door, the door, and what every request passes on its way to either.

    `surround` renders the door's own pages, and those that say no, with what stands around the others.

    A page finds a Moderator in `request.state.moderator`, and in `request.state.csrf` the token that its forms carry.
    """
    cookie = Cookie.of(review)
    entry = Entry(review, base_url, door, sessions, links, cookie)
    # From the outside in: whatever a later one answers goes out through those before it.
    middleware = [
        Middleware(Hardening, review=review),
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts(review), www_redirect=False),
        Middleware(Gate, sessions=sessions, door=door, cookie=cookie, clock=clock),
        Middleware(Forms),
    ]
    static = Mount("/static", StaticFiles(directory=str(files("bot.review") / "static")))
    app = Starlette(
        routes=[static, *entry.routes(), *pages],
        middleware=middleware,
        exception_handlers={HTTPException: _refused},
    )
    app.state.surround = surround
    return app


@asynccontextmanager
async def open_page(
    config: Config,
    secrets: Secrets,
    store: Store,
    gateway: Gateway,
    pages: Sequence[BaseRoute],
    clock: Clock,
    surround: Surround | None = None,
) -> AsyncIterator[str]:
    """Serves the page until the context ends; where to open it meanwhile. `surround` is as in `create_app`.

    Where one signs in by a link, that is the link: it works once, within ten minutes. Raises OSError when the port is
    taken, or the certificate or its key cannot be used.
    """
    review, subreddits = config.review, config.reddit.subreddits
    listening = listener(review.host, review.port)
    base_url = origin(review, listening.getsockname()[1])
    identity, teams = None, None
    if review.sign_in == "reddit":
        identity = Identity(config, secrets, f"{base_url}{DONE}")
        teams = Teams(subreddits, gateway.moderators, clock)
    links = Links(store, clock)
    app = create_app(
        review,
        base_url,
        pages,
        Door(review, subreddits, identity, teams, clock),
        Sessions(store, review.session_hours, clock),
        links,
        clock,
        surround,
    )
    async with serving(app, listening, certificate=review.tls_certificate, key=review.tls_key):
        yield base_url if review.sign_in == "reddit" else await new_link(links, base_url)


async def new_link(links: Links, base_url: str) -> str:
    """A link that signs in, once, whoever runs the bot on this machine; their name there is their name here."""
    return f"{base_url}{SIGN_IN}/link/{await links.make(getuser())}"


def origin(review: Review, port: int) -> str:
    """Where the page is for whoever opens it, when it listens on this port."""
    if review.public_url is not None:
        return review.public_url
    host = f"[{review.host}]" if ":" in review.host else review.host
    return f"{'https' if is_secure(review) else 'http'}://{host}:{port}"


async def _refused(request: Request, problem: Exception) -> Response:
    response = await refusal(request, problem.status_code if isinstance(problem, HTTPException) else 500)
    if isinstance(problem, HTTPException) and problem.headers:
        response.headers.update(problem.headers)
    return response
