"""Names of places are found, and words that only look like them are left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.places import gazetteer


def places(text: str) -> list[str]:
    """What is found in the text."""
    return [text[start:end] for start, end in gazetteer().find(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I live in London with my cat", ["London"]),
        ("london is killing me", ["london"]),
        ("moved to new york, then San Francisco", ["new york", "San Francisco"]),
        ("a year in Rome, two in Bath", ["Rome", "Bath"]),
        ("my sister from Reading", ["Reading"]),
        ("Austin, TX and Stoke-on-Trent", ["Austin, TX", "Stoke-on-Trent"]),
        ("São Paulo or sao paulo", ["São Paulo", "sao paulo"]),
        ("St. Louis, L'Aquila, Coeur d'Alene", ["St. Louis", "L'Aquila", "Coeur d'Alene"]),
        ("from germany to the UK", ["germany", "UK"]),
        ("London's parks", ["London"]),
        ("Orange County and New Hope", ["Orange County", "New Hope"]),
    ],
)
def test_finds_places(text: str, found: list[str]) -> None:
    """Towns, states and countries, as people write them."""
    assert places(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "Nice to meet you. Reading helps, and my Mobile is off.",
        "a new hope, the high point of my week, a long beach walk",
        "in hope of better days, at best, in March, going to god",
        "the public sector, and ABA at school",
        "alot of this, most of the time, I want to die",
        "I live in a small house by the sea",
        "",
    ],
)
def test_leaves_words(text: str) -> None:
    """Names that are words count only where a place is meant: what a post says must survive."""
    assert places(text) == []


@given(st.lists(st.sampled_from(["London", "new", "york", "St.", "in", "Bath", ",", "TX", "é", "\n", "😀", "die"])))
def test_spans_are_in_order_and_within(parts: list[str]) -> None:
    """Whatever the text, spans follow each other without overlap."""
    text = " ".join(parts)
    edges = [edge for span in gazetteer().find(text) for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(text) for edge in edges)
