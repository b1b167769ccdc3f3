"""A pretend OpenAI-compatible server on loopback that answers as it is told to: the real client talks to it over HTTP.

An act is what the server does with one call. `FakeLlm(a, b, c)` plays a, then b, and c for every call after that.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bot.web import listener

HOST = "127.0.0.1"

GOOD_ANSWER: Mapping[str, Any] = {
    "relevance": "mental_health",
    "disorders": ["depression"],
    "severity": "severe",
    "risk": "ideation",
    "evidence": "want to die",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it arrived."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def authorization(self) -> str:
        """What the client showed to be let in."""
        return self.headers.get("authorization", "")

    @property
    def format(self) -> str:
        """The type of `response_format`, `text` when there is none."""
        return str(self.body.get("response_format", {}).get("type", "text"))

    @property
    def said(self) -> str:
        """Everything the messages say."""
        return "\n".join(message["content"] for message in self.body["messages"])

    @property
    def data(self) -> str:
        """The one line between the tags of the last message. Raises ValueError unless there is exactly one."""
        found = re.findall(r"<post-([0-9a-f]+)>\n(.*)\n</post-\1>", self.body["messages"][-1]["content"])
        ((_, data),) = found
        return str(data)

    @property
    def post(self) -> str:
        """The post as a model reads it."""
        return str(json.loads(self.data))


Act = Callable[[Call], Awaitable[Response]]


def completion(content: str | None, *, finish_reason: str = "stop", refusal: str | None = None) -> dict[str, Any]:
    """A chat completion that used 100 tokens and made 20."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "fake",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


def says(
    content: str | Callable[[Call], str] | None, *, finish_reason: str = "stop", refusal: str | None = None
) -> Act:
    """The model writes this text, or what the function makes of the call."""

    async def act(call: Call) -> Response:
        text = content(call) if callable(content) else content
        return JSONResponse(completion(text, finish_reason=finish_reason, refusal=refusal))

    return act


def answers(**changes: Any) -> Act:
    """A valid answer, with changes: a label that does not exist makes it a wrong schema."""
    return says(json.dumps({**GOOD_ANSWER, **changes}))


def cut_off() -> Act:
    """A valid answer that ends in the middle, at the limit of tokens."""
    text = json.dumps(GOOD_ANSWER)
    return says(text[: len(text) // 2], finish_reason="length")


def fails(status: int, *, headers: Mapping[str, str] | None = None, **error: Any) -> Act:
    """An HTTP error; it repeats the key, as some services do. `error` adds to the body: `code`, `param`."""

    async def act(call: Call) -> Response:
        body = {"error": {"message": f"no: {call.authorization}", "type": "error", **error}}
        return JSONResponse(body, status, headers)

    return act


def sends(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Act:
    """An HTTP response of exactly these bytes."""

    async def act(call: Call) -> Response:
        return Response(body, status, headers, media_type="application/json")

    return act


def streams() -> Act:
    """A valid answer as the stream of events that nobody asked for."""
    events = [{"delta": {"content": piece}} for piece in re.split("(?<=,)", json.dumps(GOOD_ANSWER))]
    lines = [f"data: {json.dumps({'choices': [event]})}\n\n" for event in events]
    return sends("".join([*lines, "data: [DONE]\n\n"]).encode(), headers={"Content-Type": "text/event-stream"})


class _Torn(Response):
    """A response that ends in the middle of its body, and the connection with it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})


def torn() -> Act:
    """A valid answer whose connection is lost in the middle."""

    async def act(call: Call) -> Response:
        return _Torn(json.dumps(completion(json.dumps(GOOD_ANSWER))))

    return act


def slowly(seconds: float, act: Act) -> Act:
    """The same act, after a while."""

    async def slow(call: Call) -> Response:
        await asyncio.sleep(seconds)
        return await act(call)

    return slow


def rejecting(formats: Sequence[str], act: Act, *, status: int = 400) -> Act:
    """A server that does not know some types of `response_format`, and acts otherwise."""

    async def picky(call: Call) -> Response:
        return await (fails(status) if call.format in formats else act)(call)

    return picky


def by_post(acts: Mapping[str, Act], otherwise: Act) -> Act:
    """What is done with a call depends on a word in its post."""

    async def act(call: Call) -> Response:
        return await next((act for word, act in acts.items() if word in call.post), otherwise)(call)

    return act


class FakeLlm:
    """Serves inside the running event loop, on loopback alone, for as long as the context lasts.

    Port 0 takes a free one. `answered` are the posts of the calls that were answered, however they were.

    async with FakeLlm(answers()) as server:
        ...  # server.base_url
    """

    base_url: str

    def __init__(self, *acts: Act, port: int = 0) -> None:
        self._acts = acts
        self.port = port
        self.answered: list[str] = []
        self._at_once = 0
        self.calls: list[Call] = []
        self.most_at_once = 0
        app = Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])
        self._config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False)
        self._server = uvicorn.Server(self._config)

    async def __aenter__(self) -> Self:
        listening = listener(HOST, self.port)
        self.port = listening.getsockname()[1]
        self.base_url = f"http://{HOST}:{self.port}/v1"
        # Started and stopped by hand: `serve` takes over the signals and spends two tenths of a second on its end.
        self._config.load()
        self._server.lifespan = self._config.lifespan_class(self._config)
        await self._server.startup(sockets=[listening])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for server in self._server.servers:
            server.close()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        tasks = list(self._server.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _complete(self, request: Request) -> Response:
        call = Call(await request.json(), dict(request.headers))
        act = self._acts[min(len(self.calls), len(self._acts) - 1)]
        self.calls.append(call)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            response = await act(call)
            self.answered.append(call.post)
            return response
        finally:
            self._at_once -= 1
