"""Which language a text is written in, when that is certain enough to act on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

TRAINED = "en"  # what the encoder and the dictionary were made for

# What is looked for: the languages that are often written on Reddit. Fewer choices make fewer mistakes; a text in any
# other language is taken for the nearest of these or, more often, for none.
NAMES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "lt": "Lithuanian",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovene",
    "sv": "Swedish",
    "th": "Thai",
    "tl": "Tagalog",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}

# Below this many letters a guess is no better than a coin: "Help", "lol same" and many a title.
_FEWEST_LETTERS = 40
_CERTAIN = 0.9
# Other letters than Latin ones are no English, whichever language they are.
_FEWEST_OTHER_LETTERS = 4
_CERTAIN_OF_OTHERS = 0.3
_LONGEST_READ = 1000  # characters; the rest would not change the answer and costs time

# Addresses, code, names of subreddits and users say nothing of the language.
_NOT_PROSE = re.compile(r"https?://\S+|`[^`]*`|(?<!\w)/?[ru]/\w+|&\w+;|[*_#>|\[\]()]")


class Languages:
    """Tells languages apart by their sequences of bytes (naive Bayes); safe to share between threads."""

    def __init__(self) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self._identifier.set_languages(NAMES)

    def of(self, text: str, supported: Collection[str] = ()) -> str | None:
        """The language (ISO 639-1), a key of `NAMES`; None when it is not certain, as with most short texts.

        `supported` are the languages that something else in the text speaks for: one of those is believed when it is
        the likeliest, however short the text.
        """
        prose = _NOT_PROSE.sub(" ", text[: 2 * _LONGEST_READ])[:_LONGEST_READ]
        language: str
        language, probability = self._identifier.classify(prose.lower())
        if language in supported:
            return language
        letters = [each for each in prose if each.isalpha()]
        others = sum(not _is_latin(each) for each in letters)
        if others >= max(_FEWEST_OTHER_LETTERS, len(letters) / 2) and probability >= _CERTAIN_OF_OTHERS:
            return language
        return language if len(letters) >= _FEWEST_LETTERS and probability >= _CERTAIN else None


def _is_latin(letter: str) -> bool:
    # Modifier letters and the signs for ordinals have no script of their own.
    return unicodedata.name(letter, "").startswith(("LATIN", "MODIFIER", "FEMININE", "MASCULINE"))
