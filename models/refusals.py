"""How language models say no, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WITHIN = 400  # characters: a refusal comes first

# Plain enough to be believed anywhere, also inside of JSON that is no answer.
_PLAIN = re.compile(
    r"\b(?:i|we)(?:['’]m| am| are|['’]re)? (?:\w+ ){0,2}?"
    r"(?:sorry|afraid|not comfortable|must decline|decline to"
    r"|(?:can ?not|can['’]?t|won['’]?t|will not|unable to|not able to) (?:\w+ ){0,2}"
    r"(?:help|assist|answer|discuss|comply|label|classify|analy[sz]e|provide|process|continue|engage|respond|fulfil))",
    re.IGNORECASE,
)

_CANNOT = r"(?:can ?not|can['’]?t|won['’]?t|will not|(?:do not|don['’]?t) want to|unable to|not able to)"
_TASK = (
    r"(?:help|assist|answer|discuss|talk|speak|comment|comply|label|classify|analy[sz]e|assess|evaluate|judge|rate|score"
    r"|grade|annotate|diagnose|review|read|address|support|provide|give|offer|share|generate|create|produce|process"
    r"|complete|perform|carry|proceed|continue|participate|engage|respond|fulfil|do (?:this|that|so|it)\b)"
)
_OPENINGS = (
    r"(?:(?:i|we)(?:['’]m| am|['’]re| are)? )?(?:(?:so|very|really|truly|deeply) )?(?:sorry|apologi[sz]e|regret)\b",
    r"(?:my )?apologies\b",
    r"(?:i|we)(?:['’]m| am|['’]re| are|['’]d)? (?:\w+ ){0,2}?"
    r"(?:refuse\b|decline\b|rather not\b|not (?:comfortable|allowed|permitted|qualified|going to)\b"
    rf"|{_CANNOT} (?:\w+ ){{0,2}}?{_TASK})",
    r"(?:this|that|it)(?:['’]s not| is not| isn['’]?t) something (?:i|we) can\b",
    r"(?:this|your|the) (?:request|content|post|text|message|prompt|input) (?:\w+ ){0,2}?"
    r"(?:violates?|goes against|breaks?|is against|conflicts with)\b",
    # where help is to be found, instead of an answer
    r"if you(?:['’]re| are)?(?: or someone you know)? (?:\w+ ){0,5}?(?:crisis|danger|suicid\w+|struggling|thoughts)\b",
    r"please (?:call|text|dial|contact|reach out)\b",
    # Spanish
    r"(?:lo (?:siento|lamento)|disculp[ae]|me niego|no (?:puedo|podemos|me es posible))\b",
    # French
    r"(?:(?:je suis |nous sommes )?(?:vraiment )?désolée?s?|je (?:regrette|refuse))\b",
    r"je ne (?:peux|puis|suis) (?:malheureusement )?pas\b|(?:malheureusement|hélas),? je ne\b",
    # German
    r"(?:(?:es )?tut mir (?:\w+ )?leid|entschuldig\w+|ich (?:kann|darf|werde|möchte) (?:[^.!?\n]{0,60} )?nicht)\b",
    r"(?:leider (?:kann|darf|ist)|ich (?:weigere|lehne))\b",
)

# Believed only where a sentence begins, and before any JSON: people who write posts say "I can't do this" too, and a
# model quotes them.
_OPENING = re.compile(
    r"(?:^|[.!?\n…])[\s*_]*(?:(?:but|unfortunately|regrettably|as an ai[^.!?\n]{0,60}?)[,:]? )?"
    rf"(?:{'|'.join(_OPENINGS)})",
    re.IGNORECASE,
)


def is_refusal(text: str, keys: Iterable[str]) -> bool:
    """Whether a text that is no answer says no, or sends its reader elsewhere, in English, Spanish, French or German.

    `keys` are those of the answer that was asked for. From the first of them on, the text was meant as that answer, and
    a no in it is the post's, as quoted.
    """
    start = text[:_WITHIN]
    meant = re.search(rf"\b(?:{'|'.join(map(re.escape, keys))})[\"'*`]{{0,3}}\s*:", start, re.IGNORECASE)
    said = start[: meant.start()] if meant else start
    return _PLAIN.search(said) is not None or _OPENING.search(said.partition("{")[0]) is not None
