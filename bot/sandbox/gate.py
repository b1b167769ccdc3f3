"""What every request to the sandbox's API passes: the log, the faults, the allowance of requests, the bearer token."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.sandbox.shapes import View
from bot.sandbox.state import Fault, LoggedRequest, RuleBroken, SandboxReddit, UnknownThing


@dataclass(frozen=True, slots=True)
class Call:
    """An authorised request: who asks (None is the application without an account), and what came along.

    `path` holds the variables of the path, `form` the body of a POST or the query of a GET.
    """

    reddit: SandboxReddit
    user: str | None
    path: Mapping[str, str]
    form: Mapping[str, str]

    @property
    def view(self) -> View:
        """The sandbox as this user sees it."""
        return View(self.reddit, self.user)

    @property
    def account(self) -> str:
        """The user's name; 403 for the application without an account."""
        if self.user is None:
            raise HTTPException(403)
        return self.user


# What is not kept of a request.
SECRET_FIELDS = ("password", "refresh_token", "code", "code_verifier", "token")

Work = Callable[[Call], Any]
Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(reddit: SandboxReddit, work: Callable[[Request, Mapping[str, str]], Response]) -> Endpoint:
    """An endpoint that is logged, may fail when told to, and counts against the allowance."""

    async def endpoint(request: Request) -> Response:
        method, path = request.method, request.url.path
        sent = (await request.body()).decode() if method == "POST" else request.url.query
        form = dict(parse_qsl(sent, keep_blank_values=True))
        logged = {name: value for name, value in form.items() if name not in SECRET_FIELDS}
        reddit.requests.append(LoggedRequest(method, path, logged))
        fault = (reddit.faults and reddit.faults(method, path)) or Fault()
        if fault.delay_seconds:
            await reddit.clock.sleep(fault.delay_seconds)
        used, remaining, reset = reddit.count_request()
        if fault.replaces_answer and fault.when == "before":
            response = _instead(fault)
        elif remaining < 0:
            response = error(429)
        else:
            response = work(request, form)
            if fault.replaces_answer:
                response = _instead(fault)
            elif fault.edit and response.status_code == 200:
                response = answer_json(fault.edit(json.loads(bytes(response.body))), response.status_code)
        response.headers["x-ratelimit-used"] = str(used)
        response.headers["x-ratelimit-remaining"] = f"{max(remaining, 0)}.0"
        response.headers["x-ratelimit-reset"] = str(reset)
        response.headers.update(fault.headers)
        return response if fault.cut_after is None else _Cut(response, fault.cut_after)

    return endpoint


def authorised(reddit: SandboxReddit, work: Work) -> Endpoint:
    """A guarded endpoint for whoever holds a bearer token; a result that is no Response yet becomes JSON."""

    def answer(request: Request, form: Mapping[str, str]) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            user = reddit.token_user(token if scheme.lower() == "bearer" else "")
        except UnknownThing:
            # asyncprawcore reads the reason out of this header.
            return error(401, {"www-authenticate": 'Bearer realm="reddit", error="invalid_token"'})
        if not reddit.token_reaches(token, request.url.path):
            return error(403, {"www-authenticate": 'Bearer realm="reddit", error="insufficient_scope"'})
        try:
            result = work(Call(reddit, user, request.path_params, form))
        except (UnknownThing, HTTPException) as problem:
            return refusal(problem)
        except RuleBroken as rule:
            return answer_json({"json": {"errors": [[rule.code, rule.message, rule.field]]}})
        return result if isinstance(result, Response) else answer_json(result)

    return guarded(reddit, answer)


def answer_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON, written by the fastest writer among our dependencies: a page of posts is 300 kB."""
    return Response(to_json(value), status, headers, media_type="application/json")


def error(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Reddit's plain error."""
    return answer_json({"message": HTTPStatus(status).phrase, "error": status}, status, headers)


def refusal(problem: Exception) -> Response:
    """Reddit's plain error for a thing that is not there (404), or for whatever status the problem names."""
    return error(problem.status_code if isinstance(problem, HTTPException) else 404)


def _instead(fault: Fault) -> Response:
    if fault.hangs:
        return _Silence()
    if fault.status is None:
        return _Dropped()
    return Response(fault.body, fault.status, media_type="text/html")


class _Silence(Response):
    """No answer, until the client has gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


class _Dropped(_Silence):
    """No answer: the connection ends, through the means that the server leaves in the scope."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["drop_connection"]()
        await super().__call__(scope, receive, send)


class _Cut(_Dropped):
    """The beginning of an answer, at least a byte too short, under the headers of the whole."""

    def __init__(self, whole: Response, length: int) -> None:
        self._whole = whole
        self._length = min(length, len(whole.body) - 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole = self._whole
        await send({"type": "http.response.start", "status": whole.status_code, "headers": whole.raw_headers})
        await send({"type": "http.response.body", "body": bytes(whole.body[: self._length]), "more_body": True})
        await super().__call__(scope, receive, send)


class WithoutLastSlash:
    """Reddit answers the same with and without a slash at the end of a path; so do we, and know one form only."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = scope["path"].rstrip("/") or "/"
        await self.app(scope, receive, send)
