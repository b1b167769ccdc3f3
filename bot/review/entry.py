"""The pages around the door: signing in and out, and where one is signed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.config import Review
from bot.errors import BadCredentials, RedditError
from bot.review.door import Door, UnknownSignIn
from bot.review.moderator import Moderator, Role
from bot.review.refusals import note_refusal, refusal, surrounded
from bot.review.rendering import page
from bot.review.security import SIGN_IN, Cookie, Patience, address, local_path, sign_in_for
from bot.review.sessions import Links, Session, Sessions, Way, new_secret

log = structlog.get_logger()

DONE = f"{SIGN_IN}/reddit/done"

Handler = Callable[[Request], Awaitable[Response]]


class Entry:
    """The routes that lead in and out."""

    def __init__(
        self,
        review: Review,
        base_url: str,
        door: Door,
        sessions: Sessions,
        links: Links,
        cookie: Cookie,
    ) -> None:
        self._review = review
        self._base_url = base_url
        self._door = door
        self._sessions = sessions
        self._links = links
        self._cookie = cookie
        self._patience = Patience()

    def routes(self) -> list[Route]:
        """Signing in and out, and the list of sessions."""
        ways = (
            [
                Route(f"{SIGN_IN}/reddit", self._patiently(self._to_reddit)),
                Route(DONE, self._patiently(self._from_reddit)),
            ]
            if self._door.way is Way.REDDIT
            else [Route(f"{SIGN_IN}/link/{{secret}}", self._patiently(self._by_link))]
        )
        return [
            Route(SIGN_IN, self._sign_in),
            *ways,
            Route("/sign-out", self._sign_out, methods=["POST"]),
            Route("/sessions", self._list),
            Route("/sessions/end", self._end, methods=["POST"]),
            Route("/sessions/end-all", self._end_all, methods=["POST"]),
        ]

    def _patiently(self, handler: Handler) -> Handler:
        async def endpoint(request: Request) -> Response:
            if request.method != "GET":  # whoever only looks whether a link is there must not use it up
                return await refusal(request, 405)
            if not await self._patience.has_room_for(address(request, self._review)):
                log.warning("review.too_many_sign_ins")
                return await refusal(request, 429)
            return await handler(request)

        return endpoint

    # -- in

    async def _sign_in(self, request: Request) -> Response:
        if request.state.moderator is not None:
            return RedirectResponse("/", 303)
        home, asked = urlsplit(self._base_url), request.query_params.get("next", "/")
        if request.url.hostname != home.hostname:
            # localhost and 127.0.0.1 share no cookies, and Reddit's answer comes back to one of them.
            return RedirectResponse(f"{self._base_url}{sign_in_for(asked)}", 303)
        return self._ask(request, leads_to=local_path(asked))

    async def _to_reddit(self, request: Request) -> Response:
        browser = request.state.browser or new_secret()
        leads_to = local_path(request.query_params.get("next", "/"))
        response = RedirectResponse(self._door.begin(browser, leads_to), 303)
        self._cookie.give(response, browser)
        return response

    async def _from_reddit(self, request: Request) -> Response:
        said, browser = request.query_params, request.state.browser or ""
        ask = partial(self._ask, request, leads_to=self._door.leads_to(browser, said.get("state", "")))
        if "error" in said or "code" not in said:
            return ask("declined", 403)
        try:
            found = await self._door.finish(browser, said.get("state", ""), said["code"])
        except UnknownSignIn:
            return ask("stale", 403)
        except BadCredentials:
            log.warning("review.refused", error="Reddit does not take the code, or the application's credentials")
            return ask("not_taken", 403)
        except RedditError as error:
            log.warning("review.refused", error=str(error))
            return ask("silent", 503)
        if found is None:
            log.warning("review.refused", error="moderates no configured subreddit")
            return ask("stranger", 403)
        name, leads_to = found
        return await self._begin(request, name, Way.REDDIT, leads_to)

    async def _by_link(self, request: Request) -> Response:
        name = await self._links.use(request.path_params["secret"])
        if name is None:
            log.warning("review.refused", error="a link that is used up")
            return self._ask(request, "used", 403)
        return await self._begin(request, name, Way.LINK, "/")

    async def _begin(self, request: Request, name: str, way: Way, leads_to: str) -> Response:
        # A new secret, whatever the browser brought: one that somebody else put there would be theirs too.
        if request.state.session is not None:
            await self._sessions.end(request.state.session.id)
        response = RedirectResponse(leads_to, 303)
        self._cookie.give(response, await self._sessions.begin(name, way))
        log.info("review.signed_in", kind=way)
        return response

    # `trouble` is a key of the words `sign_in`.
    def _ask(self, request: Request, trouble: str = "", status: int = 200, leads_to: str = "/") -> Response:
        return page(
            request,
            "sign_in.html",
            status,
            trouble=trouble,
            with_reddit=self._door.way is Way.REDDIT,
            leads_to=leads_to,
        )

    # -- out

    async def _sign_out(self, request: Request) -> Response:
        await self._sessions.end(request.state.session.id)
        return self._outside()

    async def _list(self, request: Request) -> Response:
        shown = await self._theirs_to_end(request.state.moderator)
        return await surrounded(request, "sessions.html", sessions=shown, own=request.state.session.id)

    async def _theirs_to_end(self, moderator: Moderator) -> list[Session]:
        """Their own sessions; an owner's also those of whom they share a community with."""
        if moderator.role is not Role.OWNER:
            return await self._sessions.holding(moderator.name)
        everybody = await self._sessions.holding()
        return [each for each in everybody if self._door.shares_community(moderator, each.name)]

    async def _end(self, request: Request) -> Response:
        moderator = request.state.moderator
        given = str((await request.form()).get("id", ""))
        if not (given.isascii() and given.isdigit() and len(given) < 18):
            raise HTTPException(400)
        if int(given) not in {each.id for each in await self._theirs_to_end(moderator)}:
            note_refusal(request, "a session of somebody else's")
            raise HTTPException(404)
        await self._sessions.end(int(given))
        return self._outside() if int(given) == request.state.session.id else RedirectResponse("/sessions", 303)

    async def _end_all(self, request: Request) -> Response:
        await self._sessions.end_all(request.state.moderator.name)
        return self._outside()

    def _outside(self) -> Response:
        response = RedirectResponse(SIGN_IN, 303)
        self._cookie.take(response)
        return response
