"""The page's words: whatever a page may say has words, and no word stands there for nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any, get_args

import pytest

from bot.config import Policy, Rule, Team
from bot.policy import decide, decide_again
from bot.review import desk, pages, refusals
from bot.review.desk import Why
from bot.review.words import Words
from bot.types import DeliveryKind, DeliveryState, Post, Reason, ReviewAction
from models.annotation import Annotation, Status
from models.assessment import Assessment, Evidence, Ordinal, Source
from models.labels import Level, Risk, Severity

say = Words.load()
SHARES = [at / 100 for at in range(101)]

# Where the last part of a key is a value: every value that it may be.
COMPUTED: Mapping[str, Iterable[object]] = {
    "aside.": ("unread", "gaps", "dead"),
    "aside.kind.": DeliveryKind,
    "close.reason.": Why,
    "detail.": ("approved", "dismissed", "escalated", "looked"),
    "did.": ReviewAction,
    "edit.words.": (Level.CRISIS, Level.URGENT, Level.WATCH),
    "level.": Level,
    "level_means.": Level,
    "likely.": ("risk", "severity", "topics"),
    "likely.words.": {pages._likely(share) for share in SHARES},
    "nav.": ("queue", "aside", "history", "numbers", "resources", "health", "settings", "care"),
    "numbers.": ("days.alt", "curve.alt", "drift.alt"),
    "numbers.curve.": ("now", "tried"),
    "numbers.drift.": ("quarter", "half", "most", "nearly"),
    "post.source.": get_args(Source),
    "problem.": ("not_found", "not_yours", "unclear"),
    "refused.": refusals._KNOWN,
    "refusal.settled.": desk._SETTLING,
    "reply.state.": (*DeliveryState, "dry", "pending_dry"),
    "sign_in.": ("declined", "stale", "not_taken", "silent", "stranger", "used"),
    "span.": ("minute", "hour", "day"),
    "undo.": ("approved", "dismissed", "escalated", "looked"),
    "why.by.": {*pages._GIVERS.values(), "bot"},
}


def keys(table: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Every key under which something can be said."""
    for name, value in table.items():
        if isinstance(value, Mapping) and set(value) != {"one", "other"}:
            yield from keys(value, f"{before}{name}.")
        else:
            yield before + name


KEYS = set(keys(say._table))


def named() -> Iterator[str]:
    """What the pages and templates call keys: whole ones, and beginnings that end in a point."""
    tops = "|".join(say._table)
    for folder in (files("bot.review"), files("bot.review") / "templates"):
        for file in folder.iterdir():
            if file.name.endswith((".py", ".html")):
                found = re.findall(rf"""["']((?:{tops})\.[a-z0-9_.]*)(?=["'{{])""", file.read_text(encoding="utf-8"))
                yield from (key for key in found if not key.endswith(".html"))


def test_whatever_a_page_may_say_has_words() -> None:
    """A key that is not there breaks a page, for every post with that value: so all values are gone through."""
    parts = set(named())
    said = {key for key in parts if not key.endswith(".")}
    assert {key for key in parts if key.endswith(".")} == set(COMPUTED)
    said |= {f"{beginning}{value}" for beginning, values in COMPUTED.items() for value in values}
    assert said - KEYS == set()
    assert KEYS - said == set()


def test_a_page_says_nothing_in_words_of_its_own() -> None:
    """What stands in a template, and why a moderator is refused, can be translated in one place."""
    for template in (files("bot.review") / "templates").iterdir():
        text = re.sub(
            r"\{%.*?%\}|\{\{.*?\}\}|<code>.*?</code>|<[^>]*>",
            " ",
            template.read_text(encoding="utf-8"),
            flags=re.DOTALL,
        )
        assert (template.name, re.findall(r"[A-Za-z]{2,}", text)) == (template.name, [])
    for module in files("bot.review").iterdir():
        if module.name.endswith(".py"):
            text = module.read_text(encoding="utf-8")
            assert (module.name, re.findall(r"""UsageError\(f?["'].*""", text)) == (module.name, [])


POST = Post("abc", "testsub", "someone", "a title", "a body", 0.0, "/r/testsub/comments/abc/a_title/")


def assessed(
    risk: Risk = Risk.NONE, severity: Severity = Severity.MINIMAL, language: str | None = None, *evidence: Evidence
) -> Assessment:
    """A certain assessment."""
    return Assessment(1.0, {}, Ordinal({severity: 1.0}), Ordinal({risk: 1.0}), evidence, {}, language=language)


TERM = Evidence(0, 4, Risk.IDEATION, "terms", "points to a wish to die (German)")
WORDS = Evidence(0, 4, Risk.IDEATION, "rules", "says they want to die")
RELEVANT = Team(policy=Policy(watch=(Rule(min_relevance=0.8),)))
CALM = decide(POST, assessed(), Team())


@pytest.mark.parametrize(
    ("reasons", "givers"),
    [
        (decide(POST, None, Team()).reasons, ["bot"]),
        (CALM.reasons, ["bot"]),
        (decide(POST, assessed(Risk.IDEATION, Severity.MINIMAL, None, WORDS), Team()).reasons[-2:], ["team", "words"]),
        (decide(POST, assessed(Risk.NONE, Severity.SEVERE), Team()).reasons, ["team"]),
        (decide(POST, assessed(), RELEVANT).reasons, ["team"]),
        (
            decide(POST, assessed(Risk.NONE, Severity.MINIMAL, "de", TERM), Team()).reasons,
            ["terms", "language", "words"],
        ),
        (
            decide_again(POST, CALM, Annotation(Status.OK, risk=Risk.ATTEMPT, relevance=None), Team()).reasons[:1],
            ["llm"],
        ),
        *(
            (decide_again(POST, CALM, Annotation(status), Team()).reasons, ["llm"])
            for status in Status
            if status is not Status.OK
        ),
    ],
)
def test_a_reason_names_who_gives_it(reasons: tuple[Reason, ...], givers: list[str]) -> None:
    """The team's table gives only what its rules say; what a language or a term says is not the team's."""
    assert [pages._named(reason) for reason in reasons] == givers
