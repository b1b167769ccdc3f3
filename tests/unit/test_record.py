"""The JSON line of a judgement keeps its schema and its secrets."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from bot.config import Policy, Rule, Team
from bot.judge import Judgement
from bot.policy import decide
from bot.record import Record, is_record, policy_version, schema, to_line, to_record
from bot.types import Post
from models.assessment import Assessment, Evidence, Ordinal
from models.labels import Disorder, Risk, Severity

POST = Post("a1", "testsub", "river_stone", "A title of mine", "A text of mine", 1_700_000_000.0, "/comments/a1/")


def judged(
    risk: Mapping[Risk, float] = {
        Risk.NONE: 0.2,
        Risk.INDICATOR: 0,
        Risk.IDEATION: 0.8,
        Risk.BEHAVIOR: 0,
        Risk.ATTEMPT: 0,
    },
    post: Post = POST,
    unread: bool = False,
) -> Judgement:
    """What the default policy makes of a post with this risk."""
    assessment = Assessment(
        relevance=1 / 3,
        disorders=dict.fromkeys(Disorder, 2 / 3),
        severity=Ordinal(dict.fromkeys(Severity, 0.25)),
        risk=Ordinal(risk),
        evidence=(Evidence(2, 7, "ideation", "rules", "a word of the dictionary"),),
        versions={"rules": "3f2a"},
    )
    kept = None if unread else assessment
    return Judgement(post, kept, decide(post, kept, Team()))


def parsed(judgement: Judgement) -> dict[str, Any]:
    """The line of a judgement, validated and read back."""
    record = json.loads(to_line(to_record(judgement, Policy())))
    Draft202012Validator(schema()).validate(record)
    assert isinstance(record, dict)
    return record


def test_a_record_holds_what_was_decided_and_why() -> None:
    """Level, reasons, probabilities, evidence, deliveries and versions are all there, in the schema's order."""
    record = parsed(judged())
    assert list(record) == list(get_type_hints(Record)) == schema()["required"]
    assert record["level"] == "crisis"
    assert record["reasons"]
    assert record["relevance"] == 0.333333
    assert record["risk"]["level"] == "ideation"
    assert record["evidence"] == [
        {"start": 2, "end": 7, "label": "ideation", "source": "rules", "note": "a word of the dictionary"}
    ]
    assert {"kind": "reply", "state": "held"} in record["deliveries"]
    assert record["versions"].keys() == {"rules", "nightlight", "policy"}


def test_no_author_title_or_text_is_in_it() -> None:
    """A record can be passed on without passing on what somebody wrote."""
    line = to_line(to_record(judged(), Policy())).decode()
    assert not any(word in line for word in ("river_stone", "A title", "A text"))


@pytest.mark.parametrize("risk", [None, dict.fromkeys(Risk, math.nan)])
def test_an_unassessed_post_has_no_scores(risk: dict[Risk, float] | None) -> None:
    """Without an assessment, or with one that is no number, the scores are null and moderators are alerted."""
    record = parsed(judged(unread=True) if risk is None else judged(risk))
    assert record["level"] == "unassessed"
    assert [record[part] for part in ("relevance", "disorders", "severity", "risk")] == [None] * 4
    assert record["deliveries"] == [{"kind": "alert", "state": "pending"}]


@given(
    weights=st.lists(st.floats(0, 1), min_size=len(Risk), max_size=len(Risk)).filter(lambda each: sum(each) > 1e-3),
    id_=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    created_utc=st.none() | st.floats(1, 4e9),
)
def test_every_record_fits_the_schema(weights: list[float], id_: str, created_utc: float | None) -> None:
    """Whatever the id, the time and the probabilities, the line validates and the probabilities add up to 1."""
    risk = dict(zip(Risk, (weight / sum(weights) for weight in weights), strict=True))
    record = parsed(judged(risk, Post(id_, "", None, "", "", created_utc, "")))
    assert record["id"] == id_
    assert sum(record["risk"]["probs"].values()) == pytest.approx(1, abs=1e-4)
    assert b"\n" not in to_line(to_record(judged(post=Post(id_, "", None, "", "", None, "")), Policy()))[:-1]


@pytest.mark.parametrize(
    "wrong", [{"author": "x"}, {"level": "high"}, {"relevance": 1.2}, {"id": ""}, {"disorders": {"flu": 0.1}}]
)
def test_the_schema_refuses_what_is_no_record(wrong: dict[str, Any]) -> None:
    """An unknown field, an unknown label and a probability above 1 do not validate."""
    with pytest.raises(ValidationError):
        Draft202012Validator(schema()).validate({**parsed(judged()), **wrong})


def test_the_schema_is_itself_valid() -> None:
    """It is JSON Schema of draft 2020-12."""
    assert schema()["$schema"].endswith("2020-12/schema")
    Draft202012Validator.check_schema(schema())


def test_the_policy_version_changes_with_the_policy() -> None:
    """Eight hexadecimal digits, the same for the same settings and different for any other."""
    other = Policy(crisis=(Rule(risk=Risk.IDEATION, min_probability=0.61),))
    assert policy_version(Policy()) == policy_version(Policy()) != policy_version(other)
    assert int(policy_version(other), 16) < 16**8


def test_a_record_is_known_again() -> None:
    """A resumed replay takes its own lines and nothing else."""
    assert is_record(parsed(judged()))
    assert not is_record({"id": "a1"})
    assert not is_record([1])
