"""What can go wrong with Reddit, kind by kind, and a schedule that draws among the kinds."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from bot.sandbox.state import Fault

_HTML = "<!doctype html><title>Reddit</title><p>Our systems are resting.</p>"
_JSON = {"content-type": "application/json"}


def refusing(code: str, message: str, field: str = "parent") -> Fault:
    """A refusal in the body of an answer with status 200, as Reddit refuses a POST."""
    body = json.dumps({"json": {"errors": [[code, message, field]]}})
    return Fault(status=200, body=body, headers=_JSON)


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault, and the requests it makes sense for: `method` and `path` are whole regular expressions."""

    fault: Fault
    method: str = "GET|POST"
    path: str = ".*"

    def befalls(self, method: str, path: str) -> bool:
        """Whether a request of that method and path can meet it."""
        return bool(re.fullmatch(self.method, method) and re.fullmatch(self.path, path))


def _without_author(answer: Any) -> Any:
    """The same listing, its first child without an author."""
    for child in answer["data"]["children"][:1]:
        child["data"]["author"] = None
    return answer


_TOKEN = "/api/v1/access_token"  # noqa: S105
_NOT_TOKEN = f"(?!{_TOKEN}).*"

KINDS: dict[str, Kind] = {
    **{
        f"{status}_{when}": Kind(Fault(when, status=status, body=_HTML))
        for status in (500, 502, 503, 504, 520, 522)
        for when in ("before", "after")
    },
    "429": Kind(Fault(status=429)),
    "429_retry_after": Kind(Fault(status=429, headers={"retry-after": "1"})),
    "ratelimit": Kind(
        refusing("RATELIMIT", "Take a break for 1 second before trying again.", "ratelimit"), "POST", "/api/comment"
    ),
    "fractional_headers": Kind(Fault(headers={"x-ratelimit-used": "12.5", "x-ratelimit-reset": "30.5"})),
    "none_remaining": Kind(Fault(headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"})),
    "dropped_before": Kind(Fault(dropped=True)),
    "dropped_after": Kind(Fault("after", dropped=True)),
    "half_open_before": Kind(Fault(hangs=True)),
    "half_open_after": Kind(Fault("after", hangs=True)),
    "truncated": Kind(Fault(cut_after=10)),
    "html": Kind(Fault(status=200, body=_HTML)),
    "html_after": Kind(Fault("after", status=200, body=_HTML)),
    "broken_json": Kind(Fault("after", status=200, body='{"kind": "Listing", "data": {', headers=_JSON)),
    "slow": Kind(Fault(delay_seconds=1.5)),
    "null_author": Kind(Fault(edit=_without_author), "GET", r"/r/[^/]+/new|/api/info|/user/[^/]+/comments"),
    "token_refused": Kind(Fault(status=401), "POST", _TOKEN),
    "token_failing": Kind(Fault(status=500, body=_HTML), "POST", _TOKEN),
    "token_revoked": Kind(
        Fault(status=401, headers={"www-authenticate": 'Bearer realm="reddit", error="invalid_token"'}),
        path=_NOT_TOKEN,
    ),
}

SHORT = tuple(name for name in KINDS if not name.startswith("half_open"))
"""The kinds that are over soon; a half-open connection lasts as long as the client's patience."""


class RandomFaults:
    """Strikes a request with probability `rate`, each time with one of the `kinds` that can befall it.

    The same seed and the same requests give the same faults. `struck` counts them by kind. ValueError for a rate
    outside 0 to 1 and for an unknown kind.
    """

    def __init__(self, seed: int, rate: float, kinds: Iterable[str] = SHORT) -> None:
        self._kinds = tuple(kinds)
        if not 0 <= rate <= 1:
            raise ValueError(f"rate {rate} is not between 0 and 1")
        if unknown := set(self._kinds) - KINDS.keys():
            raise ValueError(f"no such kinds of fault: {', '.join(sorted(unknown))}")
        self._rate = rate
        self._random = Random(seed)  # noqa: S311
        self.struck: Counter[str] = Counter()

    def __call__(self, method: str, path: str) -> Fault | None:
        """The fault of the next request, or None."""
        possible = [name for name in self._kinds if KINDS[name].befalls(method, path)]
        if not possible or self._random.random() >= self._rate:
            return None
        name = self._random.choice(possible)
        self.struck[name] += 1
        return KINDS[name].fault
