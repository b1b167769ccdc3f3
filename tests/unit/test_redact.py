"""What points to a person is taken out, and nothing else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.redact import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("thanks u/some-name and /u/Abc_1", "thanks {user} and {user}"),
        ("see /user/foo_bar, or @foo.bar and @me@mas.social", "see {user}, or {user} and {user}"),
        ("write to j.doe+x@mail.example.co.uk.", "write to {email}."),
        ("joe at gmail dot com, joe(at)web.de, joe [at] web [dot] de", "{email}, {email}, {email}"),
        ("https://x.y/a?b=c#d and http://reddit.com/u/me", "{link} and {link}"),
        (
            "www.foo.example/x or discord.gg/abc or t.me/me or blog.example.com.",
            "{link} or {link} or {link} or {link}.",
        ),
        ("call +44 20 7946 0958", "call {phone}"),
        ("call (555) 123-4567 or 555-1234 or 07911 123456", "call {phone} or {phone} or {phone}"),
        ("at https://london.example/paris, joe@london.co.uk, u/paris of Paris", "at {link} {email}, {user} of {place}"),
        ("55512345, 5551234 or 555–123–4567", "{phone}, {phone} or {phone}"),
        ("Tel.0151-12345678, 030/1234567, 02/555 12 12", "Tel.{phone}, {phone}, {phone}"),
        ("myblog.co, foo.us or foo.online and joe@localhost", "{link}, {link} or {link} and {email}"),
        ("0049 (30) 1234567, 12 34 56 78, ٠١٢٣٤٥٦٧٨٩", "{phone}, {phone}, {phone}"),
        (r"u/some\_name, @some\_name or @\_name\_", "{user}, {user} or {user}"),
        (r"first\_last@gmail.com, \_me\_@x.org, a\_b at gmail dot com", "{email}, {email}, {email}"),
        ("is...555-123-4567, cell-555-123-4567, tel/555-123-4567", "is...{phone}, cell-{phone}, tel/{phone}"),
        ("call me,5551234567 -- or --5551234567, _5551234_", "call me,{phone} -- or --{phone}, _{phone}_"),
        ("555  -  123  -  4567, 555 / 123 / 4567, 555 / 123-4567", "{phone}, {phone}, {phone}"),
        (r"555·123·4567, 555_123_4567, 555\_123\_4567, 555\-1234", "{phone}, {phone}, {phone}, {phone}"),
        ("https://пример.рф/user, https://x.y/имя, https://例子.中国/me我想", "{link} {link} {link}我想"),
        ("jane.doe at gmail.com, jane at gmail.com, j99 at x.org", "{email}, {email}, {email}"),
        ("foo @ gmail.com, look at example.org, joe at yahoo.co.uk", "{email}, look at {link}, {email}"),
        ("foo@ gmail.com, first dot last at gmail dot com, a (dot) b (at) web (dot) de", "{email}, {email}, {email}"),
    ],
)
def test_takes_out_what_points_to_a_person(text: str, expected: str) -> None:
    """User names, addresses, links and numbers become placeholders, and the words around them stay."""
    assert redact(text).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "r/depression, and/or, 24/7, his/her",
        "call 988, text 741741, 116 123 or 13 11 14",
        "since 2024-01-15, on 12/05/2023, 1998-2004, 2019 2020",
        "on 20240115, 15012024 or 01–02–2023, 2019–2020, 7/10 8/10 9/10",
        "$1234567, 1234567 €, 5000000 people, pi is 3.1415926, 1200–1500 kcal",
        "chat.Online, them.Us, me@5 or @ home",
        "took 20 mg at 10:30, then 40, that was 1,000,000 years ago",
        "I was at home.Then leave.me alone, e.g. now. meet @ 5",
        "I bought it at target, dot",
        "pre-2019-2020, f/19, ages 12-15, 2019  -  2020  -  2021, text-741741, and/or 116-123",
        "meet @ 5 or @ home.Then, I was at 12.30, i.e. at noon, a dot at noon",
        "want to die",
    ],
)
def test_leaves_what_carries_meaning(text: str) -> None:
    """Dates, doses, crisis lines and sentences without a space after the full stop are not taken for anything else."""
    assert redact(text).text == text


_DIGITS = st.text("456789", min_size=4, max_size=4)
_BETWEEN = st.sampled_from([" ", "-", ".", "–", "—", "\u2011", "\u00a0", "−"])


@st.composite
def _phones(draw: st.DrawFn) -> str:
    """A telephone number as people write them; none of these could be a date or a round count."""
    first, second, third, last = (draw(_DIGITS) for _ in range(4))
    between = draw(_BETWEEN)
    return draw(
        st.sampled_from(
            [
                f"{first}{second[:3]}",
                f"{first}{second}",
                f"{first[:3]}{between}{second}",
                f"{first[:3]}{between}{second[:3]}{between}{last}",
                f"({first[:3]}) {second[:3]}{between}{last}",
                f"0{first[:2]}/{second}{third[:3]}",
                f"0{first[:3]}{between}{second}{third}",
                f"+{first[:2]}{between}{second[:2]}{between}{third}{between}{last}",
                f"{first[:2]}{between}{second[:2]}{between}{third[:2]}{between}{last[:2]}",
            ]
        )
    )


@given(_phones(), st.sampled_from(["", "call ", "Tel.", "tel: "]), st.sampled_from(["", ".", ", please", ")", "\n"]))
def test_a_phone_goes_in_whatever_shape(phone: str, before: str, after: str) -> None:
    """With any dash or space between its parts, with brackets or a slash, after a full stop and before one."""
    assert redact(f"{before}{phone}{after}").text == f"{before}{{phone}}{after}"


def test_words_after_a_link_survive_where_no_space_follows_it() -> None:
    """In Chinese a wish to die written right after a link is still read."""
    assert redact("看 https://x.y/a 和https://x.y/b我想死").text == "看 {link} 和{link}我想死"


@given(
    st.lists(
        st.sampled_from(
            [
                "u/abc",
                "Paris",
                "new york",
                "a@b.co",
                "https://x.y/z",
                "+44 20 7946 0958",
                "我想",
                "die",
                "\n",
                " ",
                "{user}",
            ]
        )
    )
)
def test_every_span_leads_back(parts: list[str]) -> None:
    """What stands between placeholders leads back to the same characters, and a placeholder to all it replaced."""
    text = " ".join(parts)
    redacted = redact(text)
    at = 0
    for cut in redacted.cuts:
        if at < cut.new_start:
            start, end = redacted.original_span(at, cut.new_start)
            assert text[start:end] == redacted.text[at : cut.new_start]
        assert redacted.original_span(cut.new_start + 1, cut.new_end - 1) == (cut.start, cut.end)
        at = cut.new_end
    if redacted.text:
        assert redacted.original_span(0, len(redacted.text)) == (0, len(text))


_HOSTILE = (
    *("a", "1", "1 ", "1-", "(1", "(", "+", "00", "+1", "12 34 ", "123 4567a", "1 1a", "1.", "٠", "@", "a@", "@a@"),
    *("0/", "0/1", "a.1", "1–", "a@b", "12345678", "2019 "),
    *("a@a.", "a.", "a at ", "a at b dot ", "a[at]", "%", "u/", "/u", "http://", "https://a", "www.", "a.com", "ab.c/"),
    *("a\\_", "\\_", "a\\_@", "@\\_", "a dot ", "a dot", "a at a.", "a @ ", "a @ a.", "a1 at ", "u/\\_", "1\\_", "1\\"),
    *("https://例", "例.", "http://例.例", "1  -  ", "1..", "a-1", "a,1", "1 / ", "555 / 123 / ", "1·", "1_", "--1"),
    *("San ", "New ", "in New ", "Saint-", "St. ", "la ", "Paris, TX "),
)


def seconds_for(text: str) -> float:
    """Processor time of this thread alone, which other work on the machine does not lengthen."""
    started = time.thread_time()
    redact(text)
    redact(f"!{text}@")
    return time.thread_time() - started


@pytest.mark.parametrize("unit", _HOSTILE)
def test_takes_linear_time(unit: str) -> None:
    """Four times the hostile characters take about four times as long, and never more than 0.3 s for 40,000."""
    text = (unit * 40_000)[:40_000]
    short = min(seconds_for(text[:10_000]) for _ in range(2))
    long = min(seconds_for(text) for _ in range(2))  # for two texts
    assert long < min(10 * max(short, 0.01), 2 * 0.3)
