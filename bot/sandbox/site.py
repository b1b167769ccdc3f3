"""The sandbox's other two faces: a few pages to look at, and a control API for other processes.

Neither asks for a token: they are for whoever runs the sandbox on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from bot.sandbox.faults import SHORT, RandomFaults
from bot.sandbox.shapes import View
from bot.sandbox.state import SandboxReddit, Subreddit, UnknownThing

_templates = Environment(
    loader=PackageLoader("bot.sandbox"), autoescape=True, auto_reload=False, undefined=StrictUndefined
)
_templates.filters["day_and_time"] = lambda utc: datetime.fromtimestamp(utc, UTC).strftime("%d %b %Y, %H:%M UTC")
# This preset escapes HTML and drops links that could run something.
_templates.filters["markdown"] = lambda text: Markup(MarkdownIt("js-default").render(text))  # noqa: S704
# Read now, so that no request waits for the disk inside the event loop.
PAGES = {
    name: _templates.get_template(f"{name}.html") for name in ("base", "front", "subreddit", "submission", "authorise")
}

# Posts are written by strangers: should markup ever slip through the escaping, the browser still runs none of it.
HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}


def routes(reddit: SandboxReddit) -> list[Route]:
    """The pages and the control API, over this state."""
    site, control = _Site(reddit), _Control(reddit)
    return [
        Route("/", site.front),
        Route("/r/{subreddit}", site.subreddit),
        Route("/r/{subreddit}/comments/{id}/{slug}", site.submission),
        Route("/r/{subreddit}/comments/{id}/{slug}/{comment}", site.submission),
        Route("/sandbox/submissions", control.submit, methods=["POST"]),
        Route("/sandbox/submissions/{id}/{action}", control.act, methods=["POST"]),
        Route("/sandbox/subreddits/{subreddit}/{action}", control.change, methods=["POST"]),
        Route("/sandbox/faults", control.faults, methods=["POST"]),
        Route("/sandbox/state", control.state),
        Route("/sandbox/requests", control.requests),
    ]


class _Site:
    """Pages as a reader sees them who is not logged in."""

    def __init__(self, reddit: SandboxReddit) -> None:
        self._reddit = reddit
        self._view = View(reddit, viewer=None)

    async def front(self, request: Request) -> Response:
        subreddits = [
            (s, sum(p.removal is None for p in s.submissions))
            for s in self._reddit.subreddits.values()
            if not s.private
        ]
        return self._page("front", subreddits=subreddits)

    async def subreddit(self, request: Request) -> Response:
        subreddit = self._public(request)
        return self._page("subreddit", subreddit=subreddit, submissions=self._reddit.new(subreddit)[:100])

    async def submission(self, request: Request) -> Response:
        subreddit = self._public(request)
        submission = self._reddit.submission(request.path_params["id"])
        if submission.subreddit is not subreddit:
            raise UnknownThing(submission.id)
        comments = self._reddit.comments_on(submission.id)
        return self._page("submission", subreddit=subreddit, submission=submission, comments=comments)

    def _page(self, name: str, **values: Any) -> Response:
        return HTMLResponse(PAGES[name].render(values, view=self._view, reddit=self._reddit), headers=HEADERS)

    def _public(self, request: Request) -> Subreddit:
        subreddit = self._reddit.subreddit(request.path_params["subreddit"])
        if subreddit.private:
            raise HTTPException(403)
        return subreddit


class _Control:
    """What a test or a demo in another process may do to the sandbox, in JSON."""

    def __init__(self, reddit: SandboxReddit) -> None:
        self._reddit = reddit

    async def submit(self, request: Request) -> Response:
        """Post a submission; the body names the arguments of `SandboxReddit.submit`."""
        try:
            id = self._reddit.submit(**await request.json())
        except (TypeError, ValueError):
            raise HTTPException(400) from None
        return JSONResponse({"id": id, "permalink": self._reddit.submissions[id].permalink}, 201)

    async def act(self, request: Request) -> Response:
        """Let the author delete, moderators remove, approve or lock, and Reddit archive or remove a submission."""
        actions = {
            "delete": self._reddit.delete_by_author,
            "remove": self._reddit.remove_by_moderator,
            "remove_by_reddit": self._reddit.remove_by_reddit,
            "approve": self._reddit.approve,
            "lock": self._reddit.lock,
            "archive": self._reddit.archive,
        }
        _chosen(request, actions)(self._reddit.submission(request.path_params["id"]).id)
        return JSONResponse({})

    async def change(self, request: Request) -> Response:
        """Close a subreddit or make it private, or ban the bot there or take its rights away."""
        actions = {
            "ban": self._reddit.ban,
            "close": self._reddit.close,
            "demote": self._reddit.demote,
            "make_private": self._reddit.make_private,
        }
        _chosen(request, actions)(request.path_params["subreddit"])
        return JSONResponse({})

    async def faults(self, request: Request) -> Response:
        """Set a schedule of faults from `seed`, `rate` and perhaps `kinds`; a rate of 0 ends all faults."""
        try:
            asked = await request.json()
            faults = RandomFaults(int(asked["seed"]), float(asked["rate"]), asked.get("kinds", SHORT))
        except (KeyError, TypeError, ValueError):
            raise HTTPException(400) from None
        self._reddit.faults = faults if asked["rate"] else None
        return JSONResponse({})

    async def state(self, request: Request) -> Response:
        """How many submissions, the comments by submission, the conversations, the reports, and the faults by kind."""
        comments: dict[str, list[dict[str, Any]]] = {}
        for comment in self._reddit.comments.values():
            shown = {
                "id": comment.id,
                "author": comment.author,
                "body": comment.body,
                "created_utc": comment.created_utc,
            }
            comments.setdefault(comment.submission.id, []).append(shown)
        conversations = [
            {
                "id": c.id,
                "subreddit": c.subreddit.name,
                "author": c.author,
                "subject": c.subject,
                "body": c.body,
                "internal": c.internal,
                "created_utc": c.created_utc,
            }
            for c in self._reddit.conversations
        ]
        faults = self._reddit.faults
        return JSONResponse(
            {
                "submissions": len(self._reddit.submissions),
                "comments": comments,
                "conversations": conversations,
                "reports": [asdict(report) for report in self._reddit.reports],
                "faults": faults.struck if isinstance(faults, RandomFaults) else {},
            }
        )

    async def requests(self, request: Request) -> Response:
        """Every request to the API so far."""
        return JSONResponse([asdict(logged) for logged in self._reddit.requests])


def _chosen(request: Request, actions: Mapping[str, Callable[[str], None]]) -> Callable[[str], None]:
    """The action that the path names; 404 for any other."""
    try:
        return actions[request.path_params["action"]]
    except KeyError:
        raise HTTPException(404) from None
