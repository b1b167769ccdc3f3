"""Who is signed in, and the links that sign somebody in once.

A secret is 256 random bits, known to one browser; the store keeps its hash. It is not signed, for it says nothing: a
random name for a row cannot be forged, and is worthless once the row is gone.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from sqlite3 import Row

from bot.clock import Clock
from bot.store import Store

IDLE_SECONDS = 3 * 3600.0
LINK_SECONDS = 600.0
# A request seldom writes: that somebody is still there is noted once a minute.
_NOTED_SECONDS = 60.0


class Way(StrEnum):
    """How somebody came in."""

    REDDIT = "reddit"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Session:
    """One browser of one person. `id` names it to people, and opens nothing; times are seconds since the epoch."""

    id: int
    name: str
    way: Way
    begun_utc: float
    seen_utc: float
    expires_utc: float


def new_secret() -> str:
    """256 random bits, in letters that a cookie and a link can carry."""
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """What is kept of a secret. It is random, so one round of a fast hash is enough: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Sessions:
    """The sessions that hold: each ends after `session_hours`, or after three hours in which nobody was there."""

    def __init__(self, store: Store, session_hours: float, clock: Clock) -> None:
        self._store = store
        self._seconds = session_hours * 3600
        self._clock = clock

    async def begin(self, name: str, way: Way) -> str:
        """A new session; its secret."""
        secret = new_secret()
        values = {"hash": hashed(secret), "name": name, "way": way, "expires_utc": self._clock.now() + self._seconds}
        async with self._store.transaction():
            await self._store.execute("forget_old_sessions", self._times())
            await self._store.execute("begin_session", values | self._times())
        return secret

    async def find(self, secret: str, *, noted: bool = True) -> Session | None:
        """The session of this secret while it holds. `noted`: somebody was there, so it goes on."""
        rows = await self._store.fetch("find_session", {"hash": hashed(secret)} | self._times())
        if not rows:
            return None
        session = _session(rows[0])
        if noted and self._clock.now() - session.seen_utc >= _NOTED_SECONDS:
            async with self._store.transaction():
                await self._store.execute("see_session", {"id": session.id} | self._times())
        return session

    async def holding(self, name: str | None = None) -> list[Session]:
        """The sessions of one person, or of everybody, the latest first."""
        return [_session(row) for row in await self._store.fetch("open_sessions", {"name": name} | self._times())]

    async def end(self, id: int) -> None:
        """Ends a session."""
        async with self._store.transaction():
            await self._store.execute("end_session", {"id": id})

    async def end_all(self, name: str) -> None:
        """Ends every session of one person."""
        async with self._store.transaction():
            await self._store.execute("end_sessions", {"name": name})

    def _times(self) -> dict[str, float]:
        now = self._clock.now()
        return {"now": now, "idle_since_utc": now - IDLE_SECONDS}


class Links:
    """Links that sign somebody in once, within ten minutes. Any process with the database can make one."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def make(self, name: str) -> str:
        """The secret of a new link for this person."""
        secret = new_secret()
        values = {"hash": hashed(secret), "name": name, "expires_utc": self._clock.now() + LINK_SECONDS}
        async with self._store.transaction():
            await self._store.execute("add_sign_in_link", values)
        return secret

    async def use(self, secret: str) -> str | None:
        """Whom the link signs in, the first time; None ever after, and for what was never a link."""
        values = {"hash": hashed(secret), "now": self._clock.now()}
        # In one transaction, which other processes wait for: of two who follow a link, one comes in.
        async with self._store.transaction():
            rows = await self._store.fetch("sign_in_link", values)
            await self._store.execute("use_sign_in_link", values)
        return str(rows[0]["name"]) if rows else None


def _session(row: Row) -> Session:
    return Session(**{key: row[key] for key in Session.__dataclass_fields__} | {"way": Way(row["way"])})
