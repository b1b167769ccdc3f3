"""What a post states by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.resources import Audience
from bot.statements import Ask, statements


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("I live in Ireland and", "IE"),
        ("I'm from the UK, 20", "GB"),
        ("Im in the US", "US"),
        ("Nobody here in germany listens", "DE"),
        ("[UK] waiting list", "GB"),
        ("29F, Canada, long post", "CA"),
        ("we moved to New Zealand last year", "NZ"),
        ("Nonbinary, small town in Poland.", "PL"),
        ("stuck in US", "US"),
        ("they told us in us terms", ""),
        ("stuck in us", ""),
        ("my friend is in Ireland", ""),
        ("my dad moved to Canada", ""),
        ("she's now living in Japan", ""),
        ("my son (14M) moved to Canada", ""),
        ("my parents moved to Spain. I live in Ireland", "IE"),
        ("my mum and I moved to Canada", "CA"),
        ("I told my sister I'm in Japan", "JP"),
        ("I had a Canadian club sandwich", ""),
        ("I'm in chad's room", ""),
        ("I want to see Japan", ""),
    ],
)
def test_a_country_counts_only_when_the_author_says_they_are_there(text: str, country: str) -> None:
    """Where somebody else is, or where they want to go, is no statement; nor is a pronoun or a name."""
    assert statements(text).country == country


def test_a_language_counts_only_when_stated() -> None:
    """A language that is spoken is stated; one that is learned is not."""
    assert statements("sorry, my first language is spanish").language == "Spanish"
    assert statements("I am learning Spanish").language == ""


@pytest.mark.parametrize(
    ("text", "audience"),
    [
        ("i'm 15 and", Audience.YOUNG_PEOPLE),
        ("trans girl, 17. my dad", Audience.YOUNG_PEOPLE),
        ("two tours, and I still sit facing the door", Audience.VETERANS),
        ("as a disabled veteran", Audience.VETERANS),
        ("I’m gay and", Audience.LGBTQ),
        ("came out to my sister", Audience.LGBTQ),
        ("I am 16 and trans", Audience.LGBTQ),
        ("my friend (30F) knows. I served in the army", Audience.VETERANS),
        ("when he is drunk he hits me", Audience.DOMESTIC_VIOLENCE),
        ("my eating disorder is back", Audience.EATING_DISORDERS),
        ("my wife hits me", Audience.DOMESTIC_VIOLENCE),
        ("I am scared of my husband", Audience.DOMESTIC_VIOLENCE),
    ],
)
def test_an_audience_counts_when_stated(text: str, audience: Audience) -> None:
    """Young people, veterans, queer and trans people, food, violence at home; with the place that says so."""
    span = statements(text).audiences[audience]
    assert text[span.start : span.end]


@pytest.mark.parametrize(
    "text",
    ["I'm 16 weeks pregnant", "I'm 15 years sober", "I am 17% done", "my gay best friend", "the vet said my cat",
     "he hit the wall", "I'm scared of spiders", "I'm 35", "I'm not gay", "my son (14M) is", "my niece just turned 15",
     "my sister has an eating disorder", "a friend with bulimia", "my dad did two tours", "his VA appointment",
     "I served tables", "our deployment failed again", "my brother came out to my parents",
     "my cousin is in an abusive relationship"],
)  # fmt: skip
def test_an_audience_is_not_guessed(text: str) -> None:
    """Numbers that are no age, other people, other fears, other deployments."""
    assert statements(text).audiences == {}


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("Week two of sertraline, is the yawning normal?", Ask.MEDICATION),
        ("came off my meds last week", Ask.MEDICATION),
        ("how do I find a therapist who gets it", Ask.THERAPIST),
        ("still on the waiting list", Ask.THERAPIST),
        ("Just need to vent, sorry", Ask.VENTING),
        ("not looking for advice", Ask.VENTING),
        ("I am saying goodbye", Ask.DANGER),
        ("I don't feel safe with myself", Ask.DANGER),
        ("how do I help him", Ask.HELPER),
        ("worried about my little brother", Ask.HELPER),
        ("My cousin is hearing voices again", Ask.HELPER),
    ],
)
def test_what_a_post_asks_for(text: str, ask: Ask) -> None:
    """Medicine, a therapist, an ear, help at once, help for somebody else."""
    assert ask in statements(text).asks


@pytest.mark.parametrize(
    "text",
    ["my therapist is nice", "the vent above the stove", "my friend said i could stay", "I take lithium and I am fine.",
     "I said goodbye to my old phone number... kidding"],
)  # fmt: skip
def test_what_a_post_only_mentions_is_no_question(text: str) -> None:
    """A word alone asks for nothing."""
    assert statements(text).asks.keys() <= {Ask.DANGER}
    assert text.startswith("I said") or statements(text).asks == {}


@given(
    st.text(max_size=400)
    | st.lists(st.sampled_from(["i'm ", "in ", "the ", "us ", "my ", "? ", "meds ", "’"])).map("".join)
)
def test_any_text_is_read_and_places_hold(text: str) -> None:
    """Never raises; every place lies in the text and is not empty."""
    stated = statements(text)
    for span in (*stated.audiences.values(), *stated.asks.values()):
        assert 0 <= span.start < span.end <= len(text)
