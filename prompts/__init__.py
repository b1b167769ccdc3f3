"""The instructions given to an LLM: one TOML file a prompt, and its hash is its version.

A file declares its `variables`, the chat messages in order (`[[message]]` with `role` and `content`, a Jinja template),
and the plain text of `repair`, which is added when an answer could not be read. The labels that a file spells are those
of `models.labels`; a test holds them together.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

import jinja2
from jinja2 import meta

Message = Mapping[str, str]

# Autoescape is for HTML; a post is escaped by `as_data` instead. A post is a value here, never a template.
_JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701

# The post and the number of its tags: without them a prompt has nothing to ask about.
_NEEDED = frozenset({"document_text", "nonce"})

# What opens a tag, a turn or a special token in some chat template: <post>, <|im_start|>, <<SYS>>, [INST].
_MARKUP = frozenset("<>[]|")

# Characters that no reader sees: control, format (direction marks, the tag alphabet), surrogate, private, unassigned,
# and the line separators. A lone surrogate could not even be sent.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class PromptError(ValueError):
    """A prompt is not there, is damaged, or does not declare exactly the variables it uses."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt. `version` is a short SHA-256 of its file, so that a changed word is a new version."""

    name: str
    version: str
    variables: frozenset[str]
    messages: tuple[tuple[str, jinja2.Template], ...]
    repair: str

    @classmethod
    def parse(cls, name: str, text: str) -> Prompt:
        """The prompt that a TOML text spells. Raises PromptError with one line that names what is wrong."""
        try:
            table = tomllib.loads(text)
            variables = frozenset(table["variables"])
            sources = [(message["role"], message["content"]) for message in table["message"]]
            used = set().union(*(meta.find_undeclared_variables(_JINJA.parse(source)) for _, source in sources))
            messages = tuple((role, _JINJA.from_string(source)) for role, source in sources)
            repair = table["repair"]
        except (tomllib.TOMLDecodeError, jinja2.TemplateError, KeyError, TypeError) as error:
            raise PromptError(f"prompt {name}: {type(error).__name__}: {error}") from error
        if wrong := (variables ^ used) | (_NEEDED - variables):
            raise PromptError(f"prompt {name}: declared and used variables differ: {', '.join(sorted(wrong))}")
        return cls(name, hashlib.sha256(text.encode()).hexdigest()[:12], variables, messages, repair)

    def render(self, *, document_text: str, nonce: str, **others: str) -> list[Message]:
        """The chat messages, `role` and `content` each, with the post in them as data.

        Whatever the post says, it comes out as one JSON string of one line without `<`, `>`, `[`, `]` or `|`, so that
        nothing in it closes the tags around it or opens a turn. `nonce` should be new and random for every call.
        Raises PromptError unless exactly the declared variables are given.
        """
        values = {"document_text": as_data(document_text), "nonce": nonce, **others}
        if wrong := values.keys() ^ self.variables:
            raise PromptError(f"prompt {self.name}: declared and given variables differ: {', '.join(sorted(wrong))}")
        return [{"role": role, "content": template.render(values)} for role, template in self.messages]

    def ask_again(self, messages: Sequence[Message]) -> list[Message]:
        """The same messages with the words of `repair` at the end.

        The unreadable answer is not shown again: a post may have dictated it. No turn is added either, as some chat
        templates accept only turns that alternate.
        """
        *before, last = messages
        return [*before, {**last, "content": f"{last['content']}\n\n{self.repair.strip()}"}]


@cache
def load(name: str) -> Prompt:
    """The prompt of that name that comes with the package. Raises PromptError."""
    path = files("prompts") / f"{name}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"prompt {name}: {type(error).__name__}") from error
    return Prompt.parse(name, text)


def names() -> tuple[str, ...]:
    """Every prompt for labels that comes with the package, in alphabetical order; others need more than a post."""
    every = (path.name.removesuffix(".toml") for path in files("prompts").iterdir() if path.name.endswith(".toml"))
    return tuple(sorted(name for name in every if load(name).variables == _NEEDED))


def as_data(text: str) -> str:
    """The text as one JSON string, markup and unseen characters escaped; `json.loads` gives the text back."""
    return "".join(_escaped(character) for character in json.dumps(text, ensure_ascii=False))


@lru_cache(maxsize=4096)
def _escaped(character: str) -> str:
    if character in _MARKUP or unicodedata.category(character) in _UNSEEN:
        utf16 = character.encode("utf-16-be", "surrogatepass").hex()
        return "".join(f"\\u{utf16[i : i + 4]}" for i in range(0, len(utf16), 4))
    return character
