"""Who looks at the moderators' page, and what they may see and do there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do: look; act on cases; act, and see every setting and the sessions of their team."""

    OBSERVER = "observer"
    MODERATOR = "moderator"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Moderator:
    """Somebody who is signed in. `subreddits` are casefolded names, without r/: they see nothing of any other."""

    name: str
    role: Role
    subreddits: frozenset[str]

    def may_see(self, subreddit: str) -> bool:
        """Whether a case of this subreddit is theirs to see."""
        return subreddit.casefold() in self.subreddits

    @property
    def may_act(self) -> bool:
        """Whether they may decide anything."""
        return self.role is not Role.OBSERVER
