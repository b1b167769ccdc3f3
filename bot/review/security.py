"""What every request to the moderators' page passes, whatever route it is for: headers, the session, CSRF, the gate.

A page is closed unless its path is listed as open here, so a new route cannot be forgotten.
"""

from __future__ import annotations

import hmac
import re
import traceback
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import parse_qs, urlsplit

import structlog
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.clock import Clock
from bot.config import Review
from bot.errors import RedditError
from bot.review.door import Door
from bot.review.moderator import Moderator
from bot.review.refusals import bare_refusal, note_refusal, refusal
from bot.review.sessions import Sessions

log = structlog.get_logger()

SIGN_IN = "/sign-in"
_STATIC = "/static/"
_SAFE_METHODS = ("GET", "HEAD")
_LONGEST_BODY = 65_536
_MOST_FIELDS = 200
_FORM = "application/x-www-form-urlencoded"
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_LOOK_AGAIN_SECONDS = 60.0

# A post is written by a stranger. Should its markup ever slip through the escaping, the browser runs none of it, loads
# nothing for it from anywhere, and sends no form to anybody else.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
# A picture has its styles inside; looked at by itself, it can do no more than in a page.
_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
_HSTS = "max-age=31536000"


@dataclass(frozen=True, slots=True)
class Cookie:
    """The one cookie: it names the browser before the sign-in, and its session after.

    Lax, not Strict: Reddit's answer and the link in an alert come from other sites, and must find it. What changes
    anything is a POST, which Lax sends along from no other site, and which needs a CSRF token besides. `__Host-` keeps
    neighbours under the same domain from setting it; it needs TLS, which a page on loopback has not.
    """

    secure: bool
    max_age: int

    @classmethod
    def of(cls, review: Review) -> Cookie:
        """As this set-up allows."""
        return cls(is_secure(review), int(review.session_hours * 3600))

    @property
    def name(self) -> str:
        """The cookie's name."""
        return "__Host-nightlight" if self.secure else "nightlight"

    def read(self, request: Request) -> str | None:
        """The secret that the browser brought, if it can be one of ours."""
        given = request.cookies.get(self.name, "")
        return given if _SECRET.fullmatch(given) else None

    def give(self, response: Response, secret: str) -> None:
        """Has the browser bring this from now on."""
        response.set_cookie(self.name, secret, self.max_age, secure=self.secure, httponly=True, samesite="lax")

    def take(self, response: Response) -> None:
        """Has the browser forget it."""
        response.delete_cookie(self.name, secure=self.secure, httponly=True, samesite="lax")


def is_secure(review: Review) -> bool:
    """Whether browsers reach the page over TLS, ours or a proxy's."""
    return review.tls_certificate is not None or (review.public_url or "").startswith("https://")


def hosts(review: Review) -> list[str]:
    """The names under which the page answers.

    Any other is refused: a page in a moderator's browser could point a name of its own at this machine (DNS rebinding),
    and would then count as the same origin.
    """
    own = [urlsplit(review.public_url).hostname or ""] if review.public_url else [review.host, "127.0.0.1", "localhost"]
    return [f"[{host}]" if ":" in host else host for host in own]


def csrf_token(secret: str) -> str:
    """What a form of this browser's carries: made from its secret, and good for nothing else."""
    return hmac.digest(secret.encode(), b"csrf", "sha256").hex()


def address(request: Request, review: Review) -> str:
    """Whom to count tries against. Behind a proxy, what the proxy itself added last; the rest is anybody's word."""
    given = request.client.host if request.client else ""
    if review.behind_proxy:
        given = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip() or given
    try:
        found = ip_address(_without_port(given))
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address):
        # A socket for both kinds shows the older one inside the newer, where all of them would be one household.
        if found.ipv4_mapped is None:
            # One household has 2**64 addresses of the newer kind.
            return str(ip_network((int(found), 64), strict=False))
        found = found.ipv4_mapped
    return str(found)


def _without_port(given: str) -> str:
    """An address as some proxies write it, with a port and in brackets, as it stands alone."""
    written = re.fullmatch(r"\[(?P<new>[^]]*)\](?::\d+)?|(?P<old>[^:]*):\d+", given)
    return given if written is None else written["new"] or written["old"] or ""


class Patience:
    """How often one address may try to sign in, and everybody together; in memory, forgotten at a restart."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._one, self._everybody = parse("10/minute"), parse("120/minute")

    async def has_room_for(self, address: str) -> bool:
        """Counts a try; whether it may be made."""
        return await self._limiter.hit(self._one, "one", address) and await self._limiter.hit(self._everybody, "all")


class Hardening:
    """Headers on every answer, and a plain page instead of an error that nobody foresaw."""

    def __init__(self, app: ASGIApp, review: Review) -> None:
        self._app = app
        self._headers = HEADERS | ({"strict-transport-security": _HSTS} if is_secure(review) else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        begun = False
        static = scope["path"].startswith(_STATIC)

        async def hardened(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                if headers.get("content-type", "").startswith("image/svg+xml"):
                    headers["content-security-policy"] = _PICTURE_POLICY
                # Posts are forgotten after some hours; a browser's cache would know nothing of that.
                headers["cache-control"] = "no-cache" if static else "no-store"
            await send(message)

        try:
            await self._app(scope, receive, hardened)
        except Exception as error:
            # The message could quote a post, so only the kind of error and its place are told.
            where = traceback.extract_tb(error.__traceback__)[-1]
            log.error("review.failed", error=f"{type(error).__name__} at {where.filename}:{where.lineno}")
            if begun:
                raise
            await bare_refusal(Request(scope), 500)(scope, receive, hardened)


class Gate:
    """Finds out who asks, sets `request.state.moderator` (None for nobody) and `request.state.csrf`, and shuts.

    An answer that goes on for long, such as a stream of events, ends within a minute of the session that it was for.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, door: Door, cookie: Cookie, clock: Clock) -> None:
        self._app = app
        self._sessions = sessions
        self._door = door
        self._cookie = cookie
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        path, state = request.url.path, request.state
        state.moderator, state.session, state.csrf, state.browser = None, None, "", None
        if path.startswith(_STATIC):
            await self._app(scope, receive, send)
            return
        state.browser = secret = self._cookie.read(request)
        if secret is not None:
            state.csrf = csrf_token(secret)
            try:
                state.moderator = await self._moderator(request, secret)
            except RedditError:
                await (await refusal(request, 503))(scope, receive, send)
                return
        is_open = path == SIGN_IN or path.startswith(f"{SIGN_IN}/")
        if is_open:
            await self._app(scope, receive, send)
        elif secret is None or state.moderator is None:
            await (await self._to_the_sign_in(request))(scope, receive, send)
        else:
            await self._while_it_holds(secret, scope, receive, send)

    async def _moderator(self, request: Request, secret: str) -> Moderator | None:
        # A page that was left open asks for events for ever: nobody need be there for that.
        session = await self._sessions.find(secret, noted=not _wants_events(request))
        if session is None:
            return None
        moderator = await self._door.admit(session)
        if moderator is None:
            await self._sessions.end(session.id)
            log.info("review.ended", kind=session.way)
        request.state.session = session
        return moderator

    async def _to_the_sign_in(self, request: Request) -> Response:
        # A form is lost on the way there; and a redirect would have a browser's stream of events knock on for ever.
        if request.method not in _SAFE_METHODS or _wants_events(request):
            return await refusal(request, 401)
        return RedirectResponse(sign_in_for(request.url.path), 303)

    async def _while_it_holds(self, secret: str, scope: Scope, receive: Receive, send: Send) -> None:
        looked_at = self._clock.monotonic()

        async def looking(message: Message) -> None:
            nonlocal looked_at
            if message.get("more_body") and self._clock.monotonic() - looked_at >= _LOOK_AGAIN_SECONDS:
                looked_at = self._clock.monotonic()
                if not await self._still_holds(secret):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    raise _Over
            await send(message)

        try:
            await self._app(scope, receive, looking)
        except* _Over:
            pass

    async def _still_holds(self, secret: str) -> bool:
        session = await self._sessions.find(secret, noted=False)
        try:
            return session is not None and await self._door.admit(session) is not None
        except RedditError:
            return False


def _wants_events(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


class _Over(Exception):
    """The session of a long answer has ended."""


class Forms:
    """Every request that may change something is a form of ours: small, and with the CSRF token of its session.

    The body is read here, once, and handed on as it was. What the browser itself says of where a request comes from
    (Sec-Fetch-Site) is held against it too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method in _SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        if (status := self._misfit(request)) is not None:
            if status == 403:
                note_refusal(request, "a form that is not from this page")
            await (await refusal(request, status))(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            await (await refusal(request, 413))(scope, receive, send)
        elif not _carries(body, request.state.csrf):
            note_refusal(request, "a form without the token of its session")
            await (await refusal(request, 403))(scope, receive, send)
        else:
            await self._app(scope, _again(body, receive), send)

    def _misfit(self, request: Request) -> int | None:
        """The status to refuse with before the body is looked at."""
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin" or not request.state.csrf:
            return 403
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return 415
        return None


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when it is too long or its sender has gone."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _LONGEST_BODY:
            return None
    return body


def _carries(body: bytes, token: str) -> bool:
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return False
    given = fields.get("csrf", [])
    return len(given) == 1 and hmac.compare_digest(given[0].encode(), token.encode())


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever else the client sends: that it has gone."""
    handed_on = False

    async def again() -> Message:
        nonlocal handed_on
        if handed_on:
            return await receive()
        handed_on = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def sign_in_for(given: str) -> str:
    """The path of the sign-in that leads to `given` afterwards, as far as it may."""
    leads_to = local_path(given)
    return SIGN_IN if leads_to == "/" else f"{SIGN_IN}?next={leads_to}"


def local_path(given: str) -> str:
    """Where a sign-in may lead: a path of ours, or the front page. `//elsewhere` would be another site."""
    return given if re.fullmatch(r"(/[A-Za-z0-9_-]+)+/?", given) else "/"
