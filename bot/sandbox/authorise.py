"""The page on which Reddit asks somebody whether an application may know their name, and what comes of their answer.

Here whoever sits at the machine is whom they say they are. The page and its answer are not counted against anybody's
allowance of requests, as on Reddit.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bot.sandbox.site import HEADERS, PAGES
from bot.sandbox.state import CLIENT_ID, Code, SandboxReddit

PATH = "/api/v1/authorize"
_ASKED = ("client_id", "response_type", "state", "redirect_uri", "duration", "scope")


def routes(reddit: SandboxReddit) -> list[Route]:
    """The page and its answer, over this state."""

    async def ask(request: Request) -> Response:
        asked = dict(request.query_params)
        if not _makes_sense(asked):
            return HTMLResponse(PAGES["authorise"].render(asked=None, accounts=()), 400, HEADERS)
        accounts = sorted({name for subreddit in reddit.subreddits.values() for name in subreddit.moderators})
        return HTMLResponse(PAGES["authorise"].render(asked=asked, accounts=accounts), headers=HEADERS)

    async def answer(request: Request) -> Response:
        given = dict(parse_qsl((await request.body()).decode()))
        if not _makes_sense(given):
            return HTMLResponse(PAGES["authorise"].render(asked=None, accounts=()), 400, HEADERS)
        said = {"state": given["state"]}
        if account := given.get("account", "").strip():
            said["code"] = reddit.issue_code(account, given["redirect_uri"], given.get("code_challenge", ""))
        else:
            said["error"] = "access_denied"
        return RedirectResponse(f"{given['redirect_uri']}?{urlencode(said)}", 303)

    return [Route(PATH, ask), Route(PATH, answer, methods=["POST"])]


def _makes_sense(asked: Mapping[str, str]) -> bool:
    """Whether every parameter is there, from the one application that there is; it may live on this machine alone."""
    back = urlsplit(asked.get("redirect_uri", ""))
    return (
        all(asked.get(name) for name in _ASKED)
        and (asked["client_id"], asked["response_type"]) == (CLIENT_ID, "code")
        and back.hostname in ("127.0.0.1", "localhost", "::1")
        and not back.query
    )


def proves(code: Code, form: Mapping[str, str]) -> bool:
    """Whether a call for a token belongs to the code.

    Reddit looks at the address alone. The sandbox also holds the verifier against the challenge (RFC 7636), so that a
    client which sends them wrong is found out here.
    """
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return code.redirect_uri == form.get("redirect_uri") and code.challenge in ("", challenge)
