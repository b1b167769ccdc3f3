"""Every error the project raises on purpose.

NightlightError
    UsageError            the command line or a file named on it is wrong: one line on stderr, exit 2
        ConfigError
        ArchiveError
        NotAName
    SetupError            the machine is not ready (no weights, no database, another instance): exit 1
        StoreError
    RedditError
        Transient         try again later
        Permanent         do not try again
            Forbidden     Reddit says no to this account here
                BadCredentials
            Gone          the thing is no longer there
        Unclear           a write that may or may not have happened: look before trying again
"""

from __future__ import annotations


class NightlightError(Exception):
    """The base of all our errors; the message is one line that a user can act on."""

    exit_code = 1


class UsageError(NightlightError):
    """The command line, or a file named on it, is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration file cannot be read or says something impossible."""


class ArchiveError(UsageError):
    """An archive is missing or of an unknown format."""


class NotAName(UsageError, ValueError):
    """What stands in the place of a Reddit name cannot be one; a ValueError, so that a config file says where."""


class SetupError(NightlightError):
    """Something this machine must provide is not there."""


class StoreError(SetupError):
    """The database cannot be opened, is damaged, or belongs to a newer version."""


class RedditError(NightlightError):
    """Reddit or a chat service, or the way to it, did not do what was asked."""


class Transient(RedditError):
    """Worth trying again; `retry_after_seconds` is set when a time was named."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unclear(RedditError):
    """A write was sent and no clear answer came: it may have happened. Look before sending again."""


class Permanent(RedditError):
    """Trying again cannot help."""


class Forbidden(Permanent):
    """This account may not do this here (banned, private, not a moderator, locked)."""


class BadCredentials(Forbidden):
    """Reddit does not take these credentials: nothing was done, and nothing about the thing asked for is wrong."""


class Gone(Permanent):
    """The submission or the subreddit is no longer there."""
