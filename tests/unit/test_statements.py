"""What a post states by itself."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.resources import Audience
from bot.statements import Ask, statements

# Each post states exactly this, with what comes close to it and states nothing.
COUNTRIES = {
    "IE": [
        "I live in Ireland and", "my parents moved to Spain. I live in Ireland", "I still live alone in Ireland",
        "I'm a student in Ireland",
    ],
    "GB": [
        "I'm from the UK, 20", "[UK] waiting list", "(UK) waiting list", "M26 UK", "26/m/uk", "UK based, 26",
        "UK, 26F", "I'm UK-based", "from the UK", "Hi, from the UK and tired", "I'm from India but live in the UK",
        "I'm from India and live in the UK", "the post office is shut. From Wales, by the way",
    ],
    "US": [
        "Im in the US", "stuck in US", "I'm from Canada but I moved to the US", "25F, USA", "Vivo en Estados Unidos",
        "Ich lebe in den USA",
    ],
    "DE": [
        "Nobody here in germany listens", "I'm from Canada, living in Germany, 16F", "16F, living in Germany",
        "Ich wohne in Deutschland", "wir leben jetzt in Deutschland", "Vivo en Alemania", "Ich lebe in Deutschland",
    ],
    "CA": [
        "29F, Canada, long post", "my mum and I moved to Canada", "I live in Toronto, Canada",
        "I don't go out anymore. I live in Canada", "I can't sleep and I'm in Canada", "I have been stuck in Canada",
    ],
    "TR": ["I LIVE IN TÜRKİYE", "I live in Türkiye", "I live in turkıye"],
    "ES": ["17F, ſpain", "Ich lebe in Spanien"],
    "IN": ["I LIVE IN INDIA, IN A SMALL TOWN"],
    "IT": [
        "I live in İtaly", "vivo en Italia, no en casa", "no sé qué hacer, estoy en Italia",
        "He said \"go\". I live in Italy",
    ],
    "NZ": ["we moved to New Zealand last year"],
    "PL": ["Nonbinary, small town in Poland.", "I live in a small town in Poland"],
    "JP": [
        "I told my sister I'm in Japan", "How do I find help when I'm in Japan?", "I'm an American living in Japan",
    ],
    "MX": ["I live in Mexico City", "Vivo en México", "vivo en mexico y no puedo más"],
    "BE": ["J'habite en Belgique", "je vis en Belgique depuis un an"],
    "BR": ["Moro no Brasil", "Eu moro no Brasil e não aguento mais"],
    "FR": ["J’habite en France", "moro na França"],
    "": [
        "they told us in us terms", "stuck in us", "my friend is in Ireland", "my dad moved to Canada",
        "she's now living in Japan", "my son (14M) moved to Canada", "I had a Canadian club sandwich",
        "I'm in chad's room", "I want to see Japan", "I'm not from the US", "I'm not in Canada",
        "I dont live in Canada", "I don’t live in Canada", "I'm not living in the US anymore",
        "I no longer live in Peru", "I used to live in Peru", "I lived in Peru", "I was living in Peru",
        "we were in Canada", "I read about people living in India", "my parents, living in India, call",
        "I visited Paris (France)", "I wish I was living in Ireland", "wish I live in Ireland",
        "it's not like I live in the US", "I don't think I'm in Canada", "if I live in Canada", "do I live in Canada",
        "I'm in Canada?", "I'm from Canada originally", "I'm from Canada, now in Berlin",
        "I work for a UK based firm", "I bought it, from China", "stuck in jersey", "No vivo en México",
        "ya no vivo en México", "mi hermano vive en México", "Je n'habite pas en Belgique", "je suis en réunion",
        "si j'habite en France", "ich wohne nicht in Deutschland", "ich bin in Deutschland geboren",
        "Não moro no Brasil", "Vivo en Granada", "estou em ira", "se eu moro no Brasil",
        'He told me "I live in Canada"', "My dad said \"I'm from Canada\".", "> I'm 16 and live in Canada",
        "he told me I live in Canada", "she said: “I live in Canada”", "«j'habite en France» dit-il",
        "mi novia me dijo: vivo en Chile", "Mon père dit que j'habite en France", "Er sagt, ich wohne in Deutschland",
        "I live away from family in India", "I live without my kids in Poland", "I live for my kids in Poland",
        "I live with someone born in Canada", "I'm from India doing my masters in Germany",
        "I'm from India studying in Germany", "I'm from India, a student here", "I'm from India, in Germany since May",
        "Imagine: living in Canada", "My dream? Living in Canada.", "Long distance: living in Japan, he can't visit",
        "Living in Canada would be a dream", "I live in states of panic", "I'm in Japan next week",
        "I'm in Japan for a week", "A girl (16F, Canada) died", "I live in Holland, Michigan", "I live in Lebanon, PA.",
        "I live in Panama City, Florida", "I live in Jamaica, Queens", "I live in Turkey Creek", "from Peru, Indiana",
        "Ich bin in Spanien im Urlaub", "Ich bin in den USA gewesen", "estoy en Perú de vacaciones",
        "Vivo en Guadalupe, Nuevo León",
    ],
}  # fmt: skip

AUDIENCES = {
    Audience.YOUNG_PEOPLE: [
        "i'm 15 and", "trans girl, 17. my dad", "13yo, help", "13yo here", "16 year old girl here", "16 y/o. help",
        "I'm a 16 year old boy", "I'm 15", "I am only 15, sorry", "I'm 14 years old and", "15F, UK", "15F. I cry",
        "[15M] hi", "M16 UK", "15/f", "[15m, UK]", "every night. 16m", "I (16F) and my boyfriend (19M)",
        "I just turned 15.", "I'm in high school", "15 (f)", "16, female", "I'm 15m",
        "they send me to the camp\ntrans girl, 17.", "my dad and I (16F) fight",
        "I'm a tired wreck, 15F", "I hate my life, 16F", "I turned 15 last week", "I've just turned 16 and",
        "My mum shouts. Me (15F) too", "he shouted \"go\" and I'm 15", ">!I'm 15!<", "5'6\" and I'm 15, 5'7\" soon",
    ],
    Audience.VETERANS: [
        "two tours, and I still sit facing the door", "as a disabled veteran",
        "my friend (30F) knows. I served in the army", "army vet here", "Navy veteran here", "I'm an army vet",
        "I'm a vet of the Iraq war", "I'm a veteran and", "I'm a veteran of the Iraq war", "two tours in Iraq",
        "since my last deployment", "I came home from deployment",
        "as an army vet I", "army vet, tired", "my VA doctor", "after my deployment to Iraq",
    ],
    Audience.LGBTQ: [
        "I’m gay and", "came out to my sister", "I finally came out as bi", "after coming out to my dad", "I'm bi",
        "as a gay man", "I'm tired and trans", "I'm a trans woman", "I keep getting misgendered",
        "my boss misgendered me", "my dad doesn't know I'm gay", "I told my mum I'm gay", "I'm gay it's fine",
        "No, I'm gay",
    ],
    Audience.EATING_DISORDERS: [
        "my eating disorder is back", "I have an eating disorder", "I have had anorexia since May",
        "recovering anorexic", "I'm bulimic", "I was diagnosed with bulimia", "in recovery from anorexia",
        "I've been struggling with an ED", "I can't beat my eating disorder", "I have an ED.", "my ED is worse",
        "this is due to my ED", "I am recovering from my ED",
    ],
    Audience.DOMESTIC_VIOLENCE: [
        "when he is drunk he hits me", "my wife hits me", "I am scared of my husband",
        "my husband drinks. Then he hits me", "my dad beat me with his belt", "my parents beat me",
        "my boyfriend sometimes slaps me in the face", "I'm in an abusive relationship",
        "I am fleeing domestic violence", "my ex tracks my phone", "is it normal that my husband hits me?",
        "what if my boyfriend hits me again", "he checks my phone", "my girlfriend is abusive",
        "my husband raped me last night", "my dad hit us", "my stepdad touches me at night", "my uncle molests me",
        "my wife is pregnant and when I talk she kicks me", "I'm scared of him hurting me", "my family is abusive",
    ],
    None: [
        "I'm 16 weeks pregnant", "I'm 15 years sober", "I am 17% done", "I'm 10/10 tired", "I'm 15 minutes late",
        "I'm 35", "sat there for 15m", "walk: 15m, rest", "my girl, 12, is", "sat there, 15m later",
        "I ran 15m, then stopped", "I turned 15 when my dad died, I'm 30 now", "my son (14M) is", "my (14M) brother",
        "my brother, 15M, is", "my niece just turned 15", "I have a 13yo", "when I'm 17", "I'm not 15",
        "I'm no longer 15", "I wish I'm 15", "I feel like I'm 15", "a 16 year old girl died",
        "everyone thinks I'm 15", "I'm 15.5 kg lighter", "her 13yo son", "the vet said my cat",
        "the band did three tours", "I'm a vet", "I'm a veteran teacher", "I'm a gaming veteran",
        "three tours of the museum", "my dad did two tours", "his VA appointment", "I served tables",
        "I never served in the army", "our deployment failed again", "my deployment failed again",
        "my dad, an army vet, died", "I'm not a veteran", "my gay best friend", "I'm sad and trans people die",
        "I'm not gay", "as gay as it gets", "I misgendered my coworker", "am I gay?", "if I'm gay",
        "the truth came out to my parents", "my brother came out to my parents", "my mum says I'm gay", "I'm bipolar",
        "my friend was beaten up for being gay", "the trans woman at work", "I never came out to my dad",
        "I don't have an eating disorder", "is this an eating disorder?", "my sister has an eating disorder",
        "a friend with bulimia", "the actress struggling with bulimia", "people living with anorexia",
        "do I have an eating disorder", "it's not my eating disorder", "I'm not anorexic", "I had anorexia years ago",
        "I never had an eating disorder", "I work with anorexia patients", "he hit the wall", "I'm scared of spiders",
        "They beat me in ranked", "he hit me with the news", "my dad hit me with the news",
        "she hit me with the word lazy",
        "my brother beat me at chess", "my mum grabbed me a coffee", "my husband never hits me",
        "my husband doesn't hit me", "my husband would never hit me", "my dad used to hit me",
        "my little brother hits me", "my dad hit me when I was six", "my cousin is in an abusive relationship",
        "I'm not in an abusive relationship", "my partner hit me up", "a film about domestic violence",
        "my mum took my phone", "I volunteer at a domestic violence shelter",
        "my sister left an abusive relationship",
        # An age of somebody else, or of another time.
        "My oldest (14M) hates school", "My stepdaughter (15F)", "My grandson (12M)", "My teen (15M)",
        "my eldest, 16yo, left", "Kids (14M, 12F)", "mom of three: 15yo, 12yo", "A girl (16F) at church",
        "My crush (17F)", "my cat (14F) died", "my cat just turned 15", "Luna just turned 15.",
        "My two (14M) and (12F)",
        "Stepdaughter (15F) left", "A girl, 16, at church", "I've felt like this since I'm 14",
        "I've been sober since I'm 16.", "Mentally I'm 15.", "I turned 15 last year and now 40",
        "When I turned 16 last",
        # Said by somebody else.
        "Someone posted \"I'm 15 and my dad hits me\", it broke me", '"My dad hits me." That\'s what she told me',
        "> I'm 16 and\n> my dad hits me", "&gt; my dad hits me", 'He wrote: "i\'m gay"', "she wrote, I'm gay",
        "Kids at school say I'm gay", "They keep telling me that I'm gay", "As a trans ally", "I'm a gay man's wife",
        "My grandpa always said I served in Vietnam",
        # A blow that is feared, over, denied or none.
        "What if my husband hits me?", "If my husband hits me I'd leave", "I dreamt my husband hits me",
        "what if my ex comes, if he hits me", "my dad stopped hitting me", "my brother denies hitting me",
        "my ex cannot hit me", "I don't want to be in an abusive relationship",
        "My son is sick and I'm scared of him being alone", "I'm terrified of him not waking up",
        "afraid of my dad seeing this", "my wife hits me with guilt", "my girlfriend hits me with the silent treatment",
        "my dad grabbed me by the hand and hugged me", "My wife is pregnant; the baby, she kicks me at night",
        "what if my husband is abusive",
        # A ward, a hospital, a server.
        "I went to my ED last night", "I had an ED visit", "As an ED nurse in my ED", "my ED meds like viagra",
        "I work at the VA hospital", "the va hospital killed my dad", "My grandpa was at the VA hospital",
        "Army vet dad and me", "as an army vet wife", "after my deployment to production",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("country", "text"), [(each, text) for each, texts in COUNTRIES.items() for text in texts])
def test_a_country_counts_only_when_the_author_says_they_are_there(country: str, text: str) -> None:
    """Now, themselves and without a doubt; the place that says so is kept. A pronoun or a first name is none."""
    stated = statements(text)
    assert stated.country == country
    assert (stated.country_at is None) == (country == "")
    if stated.country_at:
        assert text[stated.country_at.start : stated.country_at.end].strip()


def test_a_language_counts_only_when_stated() -> None:
    """A language that is spoken is stated, the first one before others; one that is learned or denied is not."""
    assert statements("sorry, my first language is spanish").language == "Spanish"
    assert statements("I speak English, my native language is Polish").language == "Polish"
    for text in (
        "I am learning Spanish",
        "I wish I speak Spanish",
        "I don't speak Spanish",
        "my mum says I speak Polish",
    ):
        assert statements(text).language == ""


@pytest.mark.parametrize(("audience", "text"), [(each, text) for each, texts in AUDIENCES.items() for text in texts])
def test_an_audience_counts_only_when_the_author_says_they_belong_to_it(audience: Audience | None, text: str) -> None:
    """Young people, veterans, queer and trans people, food, violence at home; with the place that says so."""
    found = statements(text).audiences
    assert (audience in found) if audience else found == {}
    assert all(text[span.start : span.end] for span in found.values())


DENIED = st.one_of(
    st.tuples(
        st.sampled_from(
            ["I'm not ", "I am not ", "im not ", "I’m no longer ", "I'm never ", "I'm not really ", "I wish I was ",
             "I don't think I'm ", "it's not true that I'm ", "I never said I'm ", "as if I'm ", "I was never ",
             "I used to be ", "my brother is ", "nobody is ", "am I "]
        ),
        st.sampled_from(
            ["in Canada", "from the UK", "living in Ireland", "stuck in the US", "15", "16 and tired",
             "a veteran", "an army vet", "gay", "bi", "anorexic", "a recovering anorexic", "in an abusive relationship",
             "struggling with bulimia", "in high school", "scared of my husband"]
        ),
    ),
    st.tuples(
        st.sampled_from(
            ["I don't ", "I dont ", "I do not ", "I don’t really ", "I never ", "I no longer ", "I didn't ", "do I ",
             "I wish I could ", "I used to ", "why would I ", "my friends "]
        ),
        st.sampled_from(
            ["live in Canada", "live alone in the US", "have an eating disorder", "have anorexia", "come from the UK",
             "served in the army", "struggle with bulimia", "speak Spanish"]
        ),
    ),
    st.tuples(
        st.sampled_from(["my husband never ", "my dad doesn't ", "my partner would never ", "my dad used to "]),
        st.sampled_from(["hit me", "beats me", "slapped me", "choked me"]),
    ),
).map("".join)  # fmt: skip
AROUND = st.sampled_from(["", "hi, ", "ok. ", "I can't sleep. ", "so tired\n\n", "listen: "])


@given(AROUND, DENIED, st.sampled_from(["", ".", "!", ", sorry", " anymore", " and it hurts", "\n"]))
def test_what_is_denied_is_never_stated(before: str, denied: str, after: str) -> None:
    """Negated, past, wished for, asked or another's: no country, no language, nobody's line."""
    stated = statements(before + denied + after)
    assert (stated.country, stated.language, stated.audiences) == ("", "", {})


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
        ("I just took all of my pills", Ask.DANGER),
        ("i already took them", Ask.DANGER),
        ("I just took a whole bottle", Ask.DANGER),
        ("just took 40 sertraline", Ask.DANGER),
        ("just took a lot of tylenol", Ask.DANGER),
        ("I just cut myself down there", Ask.DANGER),
        ("I just cut", Ask.DANGER),
        ('I left a note: "I wanted to say goodbye"', Ask.DANGER),
        ("how do I help him", Ask.HELPER),
        ("worried about my little brother", Ask.HELPER),
        ("My cousin is hearing voices again", Ask.HELPER),
        ("my brother won't get out of bed", Ask.HELPER),
        ("my friend said she wants to kill herself", Ask.HELPER),
        ("a friend from work told me he can't go on", Ask.HELPER),
        ("friend from my guild says he has a plan", Ask.HELPER),
        ("my sister tried to kill herself", Ask.HELPER),
        ("my friend told me she doesn't want to be here anymore", Ask.HELPER),
        ("my dad sent me a goodbye text", Ask.HELPER),
        ("i think my boyfriend is really depressed", Ask.HELPER),
    ],
)
def test_what_a_post_asks_for(text: str, ask: Ask) -> None:
    """Medicine, a therapist, an ear, help at once, help for somebody else."""
    assert ask in statements(text).asks


@pytest.mark.parametrize(
    "text",
    ["my therapist is nice", "the vent above the stove", "my friend said i could stay", "I take lithium and I am fine.",
     "I said goodbye to my old phone number... kidding",
     "My mom said she wishes I was never born and I want to die", "my mom won't leave me alone",
     "my mom won't talk to me",
     "my dad won't let me see a doctor", "my husband tried to strangle me", "my ex said he would kill me",
     "i think my boyfriend is cheating", "my ex sent me a meme", "my mom hears me crying", "a friend from work said hi",
     "my dad said they'd be happier if I were dead", "I just took a shower", "I just cut my hair",
     "I already took my meds today", "I never got to say goodbye", "we didn't even get to say goodbye"],
)  # fmt: skip
def test_what_a_post_only_mentions_is_no_question(text: str) -> None:
    """A word alone asks for nothing."""
    assert statements(text).asks.keys() <= {Ask.DANGER}
    assert text.startswith("I said") or statements(text).asks == {}


@pytest.mark.parametrize(
    "piece",
    ["my ex he he ", "my ex ", "“", '"', ' "a', "> ", "my ", "my mom said he ", "just took a ", "i think my ex has ",
     "I'm from India ", "kids 14M, ", "I live ", "I live in Mexico city, ", "meds "],
)  # fmt: skip
def test_a_long_text_is_read_in_time(piece: str) -> None:
    """Whatever is repeated to 40,000 characters takes no more than a second of the processor."""
    text = piece * (40_000 // len(piece))
    began = time.process_time()
    statements(text)
    assert time.process_time() - began < 1


@given(
    st.text(max_size=400)
    | st.lists(st.sampled_from(["i'm ", "in ", "the ", "us ", "my ", "? ", "meds ", "’"])).map("".join)
    | st.from_regex(r"(?i)(i live in |17F, |vivo en )(spain|chile|indonesia|ísland|brasil|türkiye)", fullmatch=True)
)
def test_any_text_is_read_and_places_hold(text: str) -> None:
    """Never raises; every place lies in the text and is not empty."""
    stated = statements(text)
    for span in filter(None, (stated.country_at, *stated.audiences.values(), *stated.asks.values())):
        assert 0 <= span.start < span.end <= len(text)
