"""Who may enter the moderators' page, and as what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from bot.clock import Clock
from bot.config import Review
from bot.errors import BadCredentials, Forbidden, Gone, RedditError, Transient
from bot.review.identity import Identity
from bot.review.moderator import Moderator, Role
from bot.review.sessions import Session, Way, hashed, new_secret

# A list of moderators is asked for again when it is so old, and is believed for an hour: one answer that does not come
# locks nobody out, and nobody who was removed stays for longer than the hour.
_ASK_SECONDS = 2700.0
_BELIEVE_SECONDS = 3600.0
# When somebody is on no list: they may have become a moderator since.
_ASK_STRANGER_SECONDS = 60.0
_REST_SECONDS = 30.0
_ANSWER_SECONDS = 8.0

_SIGN_IN_SECONDS = 600.0
# More than `Patience` lets begin in that time, so that nobody's is pushed out by others.
_SIGN_INS_AT_ONCE = 2000


@dataclass(slots=True)
class _Team:
    """One subreddit's moderators (casefolded names), when they were last told (monotonic), when asking failed, and the
    question under way.
    """

    names: frozenset[str] = frozenset()
    told_at: float | None = None
    failed_at: float | None = None
    asking: asyncio.Task[None] | None = None


class Teams:
    """Who moderates which of the configured subreddits, as Reddit said within the last hour."""

    def __init__(
        self,
        subreddits: Sequence[str],
        ask: Callable[[str], Awaitable[frozenset[str]]],
        clock: Clock,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        """`ask` tells the moderators (casefolded names) of a subreddit, or raises RedditError; to say nothing for
        `answer_seconds` is to fail as well.
        """
        self._ask = ask
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._teams = {subreddit.casefold(): _Team() for subreddit in subreddits}

    async def of(self, name: str) -> frozenset[str]:
        """The subreddits (casefolded) that an account moderates, as far as Reddit says.

        Raises Transient when there is none among those of which Reddit says it, and it does not of all.
        """
        for max_age in (_ASK_SECONDS, _ASK_STRANGER_SECONDS):
            asked = [team for subreddit, team in self._teams.items() if self._is_asked(subreddit, team, max_age)]
            # A community of which Reddit says nothing, or late, holds up nobody who is known by another.
            await _answers(team for team in asked if team.failed_at is None and not self._is_believed(team))
            if not self.known_of(name):
                await _answers(asked)
            if found := self.known_of(name):
                return found
        if not all(map(self._is_believed, self._teams.values())):
            raise Transient("Reddit does not say who the moderators are")
        return frozenset()

    def known_of(self, name: str) -> frozenset[str]:
        """The same as far as it is known now; nobody is asked."""
        known = ((subreddit, team.names) for subreddit, team in self._teams.items() if self._is_believed(team))
        return frozenset(subreddit for subreddit, names in known if name.casefold() in names)

    def _is_asked(self, subreddit: str, team: _Team, max_age: float) -> bool:
        """Whether a question is under way; one is begun where the last answer is so old."""
        if team.asking is None or team.asking.done():
            if self._is_younger(team.told_at, max_age) or self._is_younger(team.failed_at, _REST_SECONDS):
                return False
            team.asking = asyncio.create_task(self._ask_once(subreddit, team))
        return True

    async def _ask_once(self, subreddit: str, team: _Team) -> None:
        now = self._clock.monotonic()
        try:
            # The budget of calls may hold a question back for as long as an hour.
            async with asyncio.timeout(self._answer_seconds):
                names = await self._ask(subreddit)
        except (RedditError, TimeoutError) as error:
            # That Reddit does not know the bot itself any more says nothing about the community.
            if not isinstance(error, Forbidden | Gone) or isinstance(error, BadCredentials):
                team.failed_at = self._clock.monotonic()
                return
            names = frozenset()  # a community that shows itself to the bot no more lets nobody in
        team.names, team.told_at, team.failed_at = names, now, None

    def _is_believed(self, team: _Team) -> bool:
        return self._is_younger(team.told_at, _BELIEVE_SECONDS)

    def _is_younger(self, at: float | None, seconds: float) -> bool:
        return at is not None and self._clock.monotonic() - at < seconds


async def _answers(teams: Iterable[_Team]) -> None:
    """Waits until these are answered, or are not. Raises whatever nobody foresaw."""
    asking = [team.asking for team in teams if team.asking is not None]
    if asking:
        await asyncio.wait(asking)
    for each in asking:
        each.result()


@dataclass(frozen=True, slots=True)
class _SignIn:
    """A sign-in that was begun: in which browser, with which secret for Reddit, where it leads, and until when."""

    browser_hash: str
    verifier: str
    leads_to: str
    expires_at: float


class Door:
    """Lets in moderators of the configured subreddits, each to what is theirs."""

    def __init__(
        self, review: Review, subreddits: Sequence[str], identity: Identity | None, teams: Teams | None, clock: Clock
    ) -> None:
        """`identity` and `teams` are there when people sign in with Reddit."""
        self._owners = {name.casefold() for name in review.owners}
        self._observers = {name.casefold() for name in review.observers}
        self._every = frozenset(subreddit.casefold() for subreddit in subreddits)
        self._identity = identity
        self._teams = teams
        self._clock = clock
        self._begun: dict[str, _SignIn] = {}

    @property
    def way(self) -> Way:
        """How people come in."""
        return Way.LINK if self._teams is None else Way.REDDIT

    async def admit(self, session: Session) -> Moderator | None:
        """Whoever is behind the session, with what they may see now; None when that is nothing any more.

        Raises Transient like `Teams.of`.
        """
        if session.way is not self.way:
            return None  # the team has changed how one signs in
        if self._teams is None:
            return Moderator(session.name, Role.OWNER, self._every)
        subreddits = await self._teams.of(session.name)
        return Moderator(session.name, self._role(session.name), subreddits) if subreddits else None

    def shares_community(self, moderator: Moderator, name: str) -> bool:
        """Whether somebody of this name is known to be in a community of this moderator's."""
        return self._teams is None or not moderator.subreddits.isdisjoint(self._teams.known_of(name))

    def begin(self, browser: str, leads_to: str) -> str:
        """Begins a sign-in with Reddit in this browser (its secret); the page of Reddit's to go to."""
        if self._identity is None:
            raise LookupError("nobody signs in with Reddit here")
        now = self._clock.monotonic()
        self._begun = {state: begun for state, begun in self._begun.items() if begun.expires_at > now}
        while len(self._begun) >= _SIGN_INS_AT_ONCE:
            del self._begun[next(iter(self._begun))]
        state, verifier = new_secret(), new_secret()
        self._begun[state] = _SignIn(hashed(browser), verifier, leads_to, now + _SIGN_IN_SECONDS)
        return self._identity.authorise_url(state, verifier)

    def leads_to(self, browser: str, state: str) -> str:
        """Where the sign-in of this state leads if it was begun in this browser; else to the front page."""
        begun = self._begun.get(state)
        return begun.leads_to if begun is not None and begun.browser_hash == hashed(browser) else "/"

    async def finish(self, browser: str, state: str, code: str) -> tuple[str, str] | None:
        """Ends a sign-in: the name of a moderator and where they wanted to go; None for whoever may not enter.

        A state counts once, for ten minutes, in the browser in which it was made: a link with somebody else's code in
        it signs nobody in. Raises BadCredentials or Transient like `Identity.name` and `Teams.of`.
        """
        begun = self._begun.pop(state, None)
        if (
            begun is None
            or self._identity is None
            or self._teams is None
            or begun.expires_at <= self._clock.monotonic()
            or begun.browser_hash != hashed(browser)
        ):
            raise UnknownSignIn
        name = await self._identity.name(code, begun.verifier)
        return (name, begun.leads_to) if await self._teams.of(name) else None

    def _role(self, name: str) -> Role:
        if name.casefold() in self._owners:
            return Role.OWNER
        return Role.OBSERVER if name.casefold() in self._observers else Role.MODERATOR


class UnknownSignIn(Exception):
    """No sign-in of this state was begun in this browser within the last ten minutes."""
