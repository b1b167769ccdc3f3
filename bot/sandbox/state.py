"""What the sandbox's Reddit remembers: all of it in memory, deterministic, with the clock passed in."""

from __future__ import annotations

import re
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import merge
from itertools import count, islice
from typing import Any, Literal, TypeVar

from bot.clock import Clock, SystemClock

# The one application and the one account that can log in; they open nothing but a sandbox.
CLIENT_ID = "sandbox"
CLIENT_SECRET = "sandbox"  # noqa: S105
USERNAME = "nightlight_bot"
PASSWORD = "sandbox"  # noqa: S105
REFRESH_TOKEN = "sandbox-refresh"  # noqa: S105

TOKEN_SECONDS = 86_400
CODE_SECONDS = 600
CODE_TOKEN_SECONDS = 3_600
WINDOW_SECONDS = 600
REDDIT_REQUESTS_PER_WINDOW = 1_000
LISTING_LIMIT = 1_000
COMMENT_LIMIT = 10_000
REPORT_REASON_LIMIT = 100
SUBJECT_LIMIT = 100


class UnknownThing(LookupError):
    """No such subreddit, submission, comment or conversation."""


class RuleBroken(Exception):
    """Reddit refuses what was asked: its error `code`, its `message`, and the `field` of the form at fault."""

    def __init__(self, code: str, message: str, field: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.field = field


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request.

    Either the client is kept from the real answer, `before` the work is done or `after` it, when the work counts:
    with `dropped` the connection ends, with `hangs` it stays open in silence until the client gives up, and with a
    `status` that answer is sent. Or the real answer is spoilt: `edit` changes its JSON if it is a 200, and with
    `cut_after` it stops short after so many bytes, though its content-length promises the rest. `headers` go over those
    of whatever answer is sent, and `delay_seconds` come before everything else.
    """

    when: Literal["before", "after"] = "before"
    status: int | None = None
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    dropped: bool = False
    hangs: bool = False
    edit: Callable[[Any], Any] | None = None
    cut_after: int | None = None
    delay_seconds: float = 0.0

    @property
    def replaces_answer(self) -> bool:
        """Whether the client is kept from the real answer."""
        return self.dropped or self.hangs or self.status is not None


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request: the path without its last slash, and the body of a POST (no password) or the query of a GET."""

    method: str
    path: str
    form: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """A report on a submission or comment, named by its fullname."""

    fullname: str
    reason: str
    reporter: str


@dataclass(frozen=True, slots=True)
class Code:
    """What an account's yes on the authorise page is worth: a token for whoever was asked, at this address."""

    account: str
    redirect_uri: str
    challenge: str
    expires_utc: float


@dataclass(slots=True, eq=False)
class Subreddit:
    """A community. A private one shows itself to its moderators only, a closed one to nobody, none to whom it banned.

    `submissions` holds all, the oldest first; of two made in the same second, the one that arrived first.
    """

    name: str
    id: str
    created_utc: float
    moderators: tuple[str, ...]
    private: bool
    banned: set[str] = field(default_factory=set)
    closed: bool = False
    submissions: list[Submission] = field(default_factory=list, repr=False)

    @property
    def fullname(self) -> str:
        return f"t5_{self.id}"


class Removal(StrEnum):
    """Who took a thing away; the values are Reddit's `removed_by_category`."""

    AUTHOR = "deleted"
    MODERATOR = "moderator"
    AUTOMOD = "automod_filtered"
    REDDIT = "reddit"


@dataclass(slots=True, kw_only=True)
class Thing:
    """What a submission and a comment have in common."""

    id: str
    subreddit: Subreddit
    author: str
    created_utc: float
    removal: Removal | None = None
    removed_by: str | None = None
    approved_by: str | None = None
    locked: bool = False
    distinguished: bool = False
    stickied: bool = False
    open_reports: list[Report] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Submission(Thing):
    """A post."""

    title: str
    selftext: str
    archived: bool = False
    comments: list[Comment] = field(default_factory=list, repr=False, compare=False)

    @property
    def fullname(self) -> str:
        return f"t3_{self.id}"

    @property
    def permalink(self) -> str:
        """The path of its page."""
        slug = re.sub(r"\W+", "_", self.title.lower()).strip("_")[:50] or "_"
        return f"/r/{self.subreddit.name}/comments/{self.id}/{slug}/"


@dataclass(slots=True, kw_only=True)
class Comment(Thing):
    """A comment under `submission`, in answer to the thing called `parent`."""

    submission: Submission
    parent: str
    body: str

    @property
    def fullname(self) -> str:
        return f"t1_{self.id}"

    @property
    def permalink(self) -> str:
        return f"{self.submission.permalink}{self.id}/"


@dataclass(slots=True)
class Conversation:
    """A modmail conversation of one message; without a recipient, `to`, it is a discussion among the moderators."""

    id: str
    message_id: str
    subreddit: Subreddit
    author: str
    subject: str
    body: str
    created_utc: float
    to: str | None
    archived: bool = False

    @property
    def internal(self) -> bool:
        return self.to is None


T = TypeVar("T", bound=Thing | Conversation)


class SandboxReddit:
    """A Reddit of its own, with one account that can log in.

    `requests_per_window` is what one window of ten minutes allows; the default never runs out.
    Reddit allows `REDDIT_REQUESTS_PER_WINDOW`. `faults`, when set, is asked about every request by method and path.
    `requests` holds the last `requests_kept` of them, or all.
    """

    def __init__(
        self, clock: Clock | None = None, requests_per_window: int = 1_000_000, requests_kept: int | None = None
    ) -> None:
        self.clock = clock or SystemClock()
        self.requests_per_window = requests_per_window
        self.site_url = ""
        self.faults: Callable[[str, str], Fault | None] | None = None
        self.requests: deque[LoggedRequest] = deque(maxlen=requests_kept)
        self.subreddits: dict[str, Subreddit] = {}
        self.submissions: dict[str, Submission] = {}
        self.comments: dict[str, Comment] = {}
        self.conversations: list[Conversation] = []
        self.reports: list[Report] = []
        self._accounts: dict[str, str] = {}
        self._tokens: dict[str, tuple[str | None, float]] = {}
        self._identity_only: set[str] = set()
        self._codes: dict[str, Code] = {}
        self._window = 0.0
        self._used = 0
        self._numbers = count(36**5)

    # -- who is there

    def add_subreddit(self, name: str, moderators: Iterable[str] = (USERNAME,), private: bool = False) -> Subreddit:
        """Found a subreddit; names are told apart without regard to case, as on Reddit."""
        subreddit = Subreddit(name, self._next_id(), self.clock.now(), tuple(moderators), private)
        self.subreddits[name.lower()] = subreddit
        return subreddit

    def subreddit(self, name: str) -> Subreddit:
        """The subreddit of that name, or UnknownThing."""
        try:
            return self.subreddits[name.lower()]
        except KeyError:
            raise UnknownThing(name) from None

    def make_private(self, subreddit: str) -> None:
        """Show it to its moderators only from now on."""
        self.subreddit(subreddit).private = True

    def close(self, subreddit: str) -> None:
        """Take the whole subreddit away from everyone: 404 from now on."""
        self.subreddits.pop(self.subreddit(subreddit).name.lower()).closed = True

    def ban(self, subreddit: str, account: str = USERNAME) -> None:
        """Shut an account out, from reading too; it moderates no more."""
        self.demote(subreddit, account)
        self.subreddit(subreddit).banned.add(account)

    def demote(self, subreddit: str, account: str = USERNAME) -> None:
        """Take its rights as a moderator away."""
        community = self.subreddit(subreddit)
        community.moderators = tuple(name for name in community.moderators if name != account)

    def promote(self, subreddit: str, account: str = USERNAME) -> None:
        """Make it a moderator, and let it in again if it was banned."""
        community = self.subreddit(subreddit)
        community.banned.discard(account)
        community.moderators = (*community.moderators, account)

    def account_id(self, name: str) -> str:
        """The base 36 id of an account, the same each time."""
        return self._accounts.setdefault(name, base36(36**4 + len(self._accounts)))

    # -- what authors do

    def submit(
        self,
        subreddit: str,
        title: str,
        selftext: str,
        author: str,
        id: str | None = None,
        created_utc: float | None = None,
        filtered: bool = False,
    ) -> str:
        """Post a submission and give back its id; UnknownThing for the subreddit, ValueError for an id in use.

        A `filtered` one waits unseen for a moderator's approval, which shows it at the time it was made.
        """
        id = id or self._next_id()
        if id in self.submissions:
            raise ValueError(f"submission {id} exists already")
        community = self.subreddit(subreddit)
        submission = Submission(
            id=id,
            subreddit=community,
            author=author,
            created_utc=self.clock.now() if created_utc is None else float(created_utc),
            title=title,
            selftext=selftext,
            removal=Removal.AUTOMOD if filtered else None,
            removed_by="AutoModerator" if filtered else None,
        )
        self.submissions[id] = submission
        insort(community.submissions, submission, key=_made)
        return id

    def comment(self, parent: str, body: str, author: str) -> Comment:
        """Answer the thing whose fullname is `parent`; RuleBroken where Reddit would not have it."""
        above = self.thing(parent)
        submission = above.submission if isinstance(above, Comment) else above
        if not body.strip():
            raise RuleBroken("NO_TEXT", "we need something here", "text")
        if len(body) > COMMENT_LIMIT:
            raise RuleBroken("TOO_LONG", f"this is too long (max: {COMMENT_LIMIT})", "text")
        if submission.removal is Removal.AUTHOR:
            raise RuleBroken("DELETED_LINK", "the link you are commenting on has been deleted", "parent")
        if above.removal is Removal.AUTHOR:
            raise RuleBroken("DELETED_COMMENT", "that comment has been deleted", "parent")
        if submission.archived:
            raise RuleBroken("TOO_OLD", "that's a piece of history now; it's too late to reply to it", "parent")
        if submission.locked or above.locked:
            raise RuleBroken("THREAD_LOCKED", "Comments are locked.", "parent")
        comment = Comment(
            id=self._next_id(),
            subreddit=submission.subreddit,
            author=author,
            created_utc=self.clock.now(),
            submission=submission,
            parent=parent,
            body=body,
        )
        self.comments[comment.id] = comment
        submission.comments.append(comment)
        return comment

    def delete_by_author(self, id: str) -> None:
        """What the author's own delete button does. Here and below `id` is a submission's id, or any fullname."""
        self.thing(id).removal = Removal.AUTHOR

    def remove_by_reddit(self, id: str) -> None:
        """What Reddit's own filters and administrators do."""
        thing = self.thing(id)
        if thing.removal is not Removal.AUTHOR:
            thing.removal, thing.removed_by, thing.approved_by = Removal.REDDIT, "reddit", None

    def archive(self, id: str) -> None:
        """Let nobody answer any more because the submission is too old."""
        self.submission(id).archived = True

    def report(self, id: str, reason: str, reporter: str) -> None:
        """Report a thing to its moderators; RuleBroken when the reason is too long."""
        if len(reason) > REPORT_REASON_LIMIT:
            raise RuleBroken("TOO_LONG", f"this is too long (max: {REPORT_REASON_LIMIT})", "reason")
        thing = self.thing(id)
        report = Report(thing.fullname, reason, reporter)
        thing.open_reports.append(report)
        self.reports.append(report)

    # -- what moderators do

    def remove_by_moderator(self, id: str, moderator: str = "a_moderator") -> None:
        """Take a thing away from readers; its moderators still see it."""
        thing = self.thing(id)
        if thing.removal is None:
            thing.removal, thing.removed_by, thing.approved_by = Removal.MODERATOR, moderator, None
        thing.open_reports.clear()

    def approve(self, id: str, moderator: str = "a_moderator") -> None:
        """Undo a removal and settle the reports; what its author deleted stays deleted."""
        thing = self.thing(id)
        if thing.removal is not Removal.AUTHOR:
            thing.removal, thing.removed_by = None, None
        thing.approved_by = moderator
        thing.open_reports.clear()

    def lock(self, id: str) -> None:
        """Let nobody answer any more."""
        self.thing(id).locked = True

    def distinguish(self, id: str, on: bool, sticky: bool = False) -> None:
        """Mark a thing as a moderator's word, or take the mark off again."""
        thing = self.thing(id)
        thing.distinguished, thing.stickied = on, on and sticky

    def discuss(self, subreddit: str, subject: str, body: str, author: str, to: str | None = None) -> Conversation:
        """Start a modmail conversation; RuleBroken when subject or body is empty or too long."""
        for name, text, limit in (("subject", subject, SUBJECT_LIMIT), ("body", body, COMMENT_LIMIT)):
            if not text.strip():
                raise RuleBroken("NO_TEXT", "we need something here", name)
            if len(text) > limit:
                raise RuleBroken("TOO_LONG", f"this is too long (max: {limit})", name)
        conversation = Conversation(
            id=self._next_id(),
            message_id=self._next_id(),
            subreddit=self.subreddit(subreddit),
            author=author,
            subject=subject,
            body=body,
            created_utc=self.clock.now(),
            to=to,
        )
        self.conversations.append(conversation)
        return conversation

    def archive_conversation(self, id: str) -> None:
        """Put a modmail conversation away, where only the list of the archived ones has it."""
        self.conversation(id).archived = True

    # -- looking

    def thing(self, id: str) -> Submission | Comment:
        """The submission or comment with that fullname, or the submission with that id; else UnknownThing."""
        kind, _, short = id.partition("_")
        found = self.comments.get(short) if kind == "t1" else self.submissions.get(short if kind == "t3" else id)
        if found is None:
            raise UnknownThing(id)
        return found

    def submission(self, id: str) -> Submission:
        """The submission with that id, or UnknownThing."""
        try:
            return self.submissions[id]
        except KeyError:
            raise UnknownThing(id) from None

    def conversation(self, id: str) -> Conversation:
        """The modmail conversation with that id, or UnknownThing."""
        for conversation in self.conversations:
            if conversation.id == id:
                return conversation
        raise UnknownThing(id)

    def things(self, subreddit: Subreddit) -> list[Submission | Comment]:
        """All submissions and comments there, newest first."""
        return newest([*subreddit.submissions, *(c for c in self.comments.values() if c.subreddit is subreddit)])

    def new(self, *subreddits: Subreddit) -> list[Submission]:
        """The submissions readers see, newest first, as many as a listing holds."""
        backwards = merge(*(reversed(s.submissions) for s in subreddits), key=_made, reverse=True)
        return list(islice((s for s in backwards if s.removal is None), LISTING_LIMIT))

    def comments_on(self, id: str) -> list[Comment]:
        """The comments readers see under a submission, oldest first; UnknownThing without the submission."""
        return [c for c in self.submission(id).comments if c.removal is None]

    def comments_by(self, author: str) -> list[Comment]:
        """The comments an account has written and not deleted, newest first."""
        return newest(c for c in self.comments.values() if c.author == author and c.removal is not Removal.AUTHOR)

    # -- logging in, and the allowance of requests

    def issue_token(self, user: str | None, scope: str = "*") -> str:
        """A bearer token for the account, or for the application alone; scope `identity` or everything."""
        token = f"sandbox-token-{len(self._tokens) + 1}"
        seconds = TOKEN_SECONDS if scope == "*" else CODE_TOKEN_SECONDS
        self._tokens[token] = (user, self.clock.now() + seconds)
        if scope != "*":
            self._identity_only.add(token)
        return token

    def token_reaches(self, token: str, path: str) -> bool:
        """Whether the token's scope holds this endpoint."""
        return token not in self._identity_only or path == "/api/v1/me"

    def revoke_token(self, token: str) -> None:
        """Refuse this token from now on."""
        if token in self._tokens:
            self._tokens[token] = (None, 0.0)

    def issue_code(self, account: str, redirect_uri: str, challenge: str = "") -> str:
        """What the authorise page sends an account back with; good once, for ten minutes."""
        code = f"sandbox-code-{self._next_id()}"
        self._codes[code] = Code(account, redirect_uri, challenge, self.clock.now() + CODE_SECONDS)
        return code

    def take_code(self, code: str) -> Code | None:
        """The code, the first time, while it is good."""
        found = self._codes.pop(code, None)
        return found if found is not None and found.expires_utc > self.clock.now() else None

    def token_user(self, token: str) -> str | None:
        """The account behind a token, None for the application alone; UnknownThing once it has expired."""
        user, expires_utc = self._tokens.get(token, (None, 0.0))
        if expires_utc <= self.clock.now():
            raise UnknownThing("token")
        return user

    def count_request(self) -> tuple[int, int, int]:
        """Count one request against the current window: (used, remaining, seconds to its end)."""
        now = self.clock.now()
        window = now - now % WINDOW_SECONDS
        if window != self._window:
            self._window, self._used = window, 0
        self._used += 1
        return self._used, self.requests_per_window - self._used, int(window + WINDOW_SECONDS - now)

    def _next_id(self) -> str:
        return base36(next(self._numbers))


def newest(things: Iterable[T]) -> list[T]:
    """Newest first; of two made in the same second, the later one."""
    return sorted(things, key=_made)[::-1]


def _made(thing: Thing | Conversation) -> float:
    return thing.created_utc


def base36(number: int) -> str:
    """A number the way Reddit writes ids."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits or "0"
