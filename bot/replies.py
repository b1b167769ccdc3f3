"""Decision -> the words under a post: vetted parts and the vetted catalogue, put together by a template.

No word of the post, its title or its author goes in, and nothing about the author is guessed: the country is the one
that the post states, or else the one that the team has set, and the language that of the post, when it is certain. Only
a post that states a country has lines for whom it says that it is from (a veteran, somebody under 18), after those for
everybody. The rules are in bot/safe_messaging.py.

A team may have templates of its own, as files of a folder: `crisis.en.md.j2` for one language, or `crisis.md.j2` for
all, which then holds no words but parts. They can use

    say         the vetted parts: opening, safety, listen, listen_directory, elsewhere, closing, footer
    lines       up to three crisis lines in words; empty when there are none for the country
    directory   a link to a directory of lines; empty when none may be printed
    community, opt_out, level, language

and include those of the box, such as "help.md.j2".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

from jinja2 import Template, TemplateError, nodes

from bot.clock import Clock, date_of
from bot.config import Config, Team
from bot.judge import document_of
from bot.resources import Audience, Catalogue, Directory, Line, NoVettedWords
from bot.safe_messaging import Breach, Rule, lint, lint_words
from bot.statements import Statements, statements
from bot.templates import reply_templates
from bot.types import Decision, Post
from bot.wording import ENGLISH, LANGUAGES, REPLIED_LEVELS, Wording, best, language_of, wording
from models.labels import Level

# More lines than these are a list to read instead of a number to call.
LINES_NAMED = 3


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reply is made of: the words for a level, lines of the catalogue by id, the most needed first, a directory.

    The reply names the lines in this order, but those for everybody before those for an audience.
    """

    words: Level
    lines: tuple[str, ...]
    directory: bool


def proposed_parts(
    post: Post, level: Level, team: Team, catalogue: Catalogue, today: date, language: str | None = None
) -> Parts:
    """What a reply at the level crisis, urgent or watch is made of unless a moderator chooses otherwise."""
    country, audiences = _for_whom(post, team)
    lines = _lines(catalogue, country, today, best(language, today), audiences)
    return Parts(level, tuple(line.id for line in lines), directory=True)


def proposed_country(post: Post, team: Team) -> str:
    """The country (ISO code) whose lines are proposed; empty when neither the post nor the team names one."""
    return _for_whom(post, team)[0]


def lines_to_choose(post: Post, country: str, catalogue: Catalogue, today: date) -> tuple[Line, ...]:
    """The lines of a country that a moderator may choose from: those for everybody, then those for whom it is from."""
    return catalogue.crisis_lines(country, today, _stated(post).audiences)


def reason_to_wait(post: Post, team: Team, catalogue: Catalogue, today: date) -> str:
    """Why the proposed reply waits for a person, whatever the team lets go out by itself; empty when it need not."""
    country, audiences = _for_whom(post, team)
    lines = _lines(catalogue, country, today, ENGLISH, audiences)
    if any(line.audience is Audience.DOMESTIC_VIOLENCE for line in lines):
        return "it names a line for violence at home, and somebody there may read it"
    return ""


def out_of_date(body: str, catalogue: Catalogue, today: date) -> str:
    """Why a reply that was put together earlier may not go out today, in words for moderators; empty when it may.

    Its own words, or a line or a directory that it names, may not be printed any more, or it holds a number that the
    catalogue no longer has.
    """
    language, left = language_of(body), body
    for line in catalogue.line:
        if line.printable(today):
            left = left.replace(in_words(line, language), "")
    has_number = any(breach.rule is Rule.NUMBER for breach in lint_words(left, language))
    if has_number or _links_to_expired(left, catalogue, today) or not wording(language).printable(today):
        return "something in it may not be printed any more, so it has to be put together again"
    return ""


def _links_to_expired(text: str, catalogue: Catalogue, today: date) -> bool:
    """Whether an address in it belongs to records of the catalogue none of which may be printed today."""
    printable: dict[str, bool] = {}
    for line in catalogue.line:
        for url in filter(None, (line.chat, line.url)):
            printable[url] = printable.get(url, False) or line.printable(today)
    for directory in catalogue.directory:
        printable[directory.url] = printable.get(directory.url, False) or directory.printable(today)
    for url in sorted(printable, key=len, reverse=True):  # one address may begin with another
        if url in text and not printable[url]:
            return True
        text = text.replace(url, "")
    return False


def out_of_date_by(clock: Clock, catalogue: Catalogue) -> Callable[[str], str]:
    """`out_of_date` on whatever day it is asked."""
    return lambda body: out_of_date(body, catalogue, date_of(clock.now()))


def compose_reply(
    post: Post, decision: Decision, team: Team, catalogue: Catalogue, today: date, language: str | None = None
) -> str:
    """The reply to a post at the level crisis, urgent or watch, in Markdown; it passes `lint`.

    It is in `language` (ISO 639-1) when there is a wording for that to print today, else in English. As many crisis
    lines are named, up to three, as there is room for. Raises NoVettedWords as `compose` does.
    """
    parts = proposed_parts(post, decision.level, team, catalogue, today, language)
    for count in range(len(parts.lines), 0, -1):
        shorter = Parts(parts.words, parts.lines[:count], parts.directory)
        text, broken = _put_together(post, shorter, team, catalogue, today, language)
        if {breach.rule for breach in broken} != {Rule.LENGTH}:
            return _kept(text, broken)
    return compose(post, Parts(parts.words, (), parts.directory), team, catalogue, today, language)


def compose(
    post: Post, parts: Parts, team: Team, catalogue: Catalogue, today: date, language: str | None = None
) -> str:
    """The reply made of these parts, in Markdown; it passes `lint`.

    Raises NoVettedWords when the level has no words, or none that may be printed today; when a line may not be printed
    today or only finds care, or there are too many; when one for an audience lacks the one for everybody in its
    country; when neither a line nor a directory is left; or when the outcome would break a rule of safe messaging.
    """
    return _kept(*_put_together(post, parts, team, catalogue, today, language))


def _kept(text: str, broken: Sequence[Breach]) -> str:
    if broken:
        raise NoVettedWords(f"the reply {broken[0]}")
    return text


def _put_together(
    post: Post, parts: Parts, team: Team, catalogue: Catalogue, today: date, language: str | None
) -> tuple[str, list[Breach]]:
    """The reply and what is wrong with it."""
    if parts.words not in REPLIED_LEVELS:
        raise NoVettedWords(f"there are no vetted words for the level {parts.words}")
    language = best(language, today)
    if not wording(language).printable(today):
        raise NoVettedWords("the words of replies have expired, or nobody reviewed them")
    lines = [in_words(line, language) for line in _in_order(parts.lines, catalogue, today)]
    directories = catalogue.directories(today) if parts.directory else ()
    if not lines and not directories:
        raise NoVettedWords("no crisis line and no directory is left: none was chosen, or all have expired")
    community = post.subreddit if re.fullmatch(r"\w{2,21}", post.subreddit, re.ASCII) else ""
    opt_out, folder = team.replies.opt_out_url or _opt_out_url(community), team.replies.templates
    values = _values(parts.words, language, community, lines, directories, opt_out)
    try:
        text = _template(folder, parts.words, language).render(values).strip()
    except Exception as error:  # a team's template may hold any mistake
        raise NoVettedWords(f"the template cannot be used: {_in_a_line(error)}") from error
    return text, lint(text, language, lines, _first_url(directories), opt_out)


def _in_order(ids: Iterable[str], catalogue: Catalogue, today: date) -> list[Line]:
    """The chosen lines as a reply names them: those for everybody first."""
    printable = {line.id: line for line in catalogue.line if line.printable(today) and not line.finds_care}
    if not printable.keys() >= set(ids):
        raise NoVettedWords("what was chosen is no crisis line of the catalogue, or has expired")
    lines = [printable[id] for id in dict.fromkeys(ids)]
    if len(lines) > LINES_NAMED:
        raise NoVettedWords(f"a reply names {LINES_NAMED} crisis lines at most")
    for_everybody = {line.country for line in lines if line.audience is None}
    if not for_everybody >= {line.country for line in lines}:
        raise NoVettedWords("a line for some people is named only beside one of its country that is for everybody")
    return sorted(lines, key=lambda line: line.audience is not None)


def _template(folder: Path | None, level: Level, language: str) -> Template:
    return reply_templates(folder).select_template([f"{level}.{language}.md.j2", f"{level}.md.j2"])


def _values(
    level: Level,
    language: str,
    community: str,
    lines: Sequence[str],
    directories: Sequence[Directory],
    opt_out: str,
) -> Mapping[str, object]:
    said = wording(language).said(level)
    filled = {
        "directory": f"[{directories[0].name}]({directories[0].url})" if directories else "",
        "community": f"r/{community}" if community else said["this_community"],
        "opt_out": opt_out,
    }
    parts = {name: part.format_map(filled).strip() for name, part in said.items()}
    return {"say": parts, "lines": lines, "level": level.value, "language": language, **filled}


def _first_url(directories: Sequence[Directory]) -> str:
    return directories[0].url if directories else ""


def _opt_out_url(community: str) -> str:
    """A message to the moderators, already addressed when the subreddit is known."""
    to = f"to=r/{community}&" if community else ""
    return f"https://www.reddit.com/message/compose?{to}subject={quote('No more bot replies, please')}"


def _stated(post: Post) -> Statements:
    return statements(document_of(post).text)


def _for_whom(post: Post, team: Team) -> tuple[str, Collection[Audience]]:
    """The country and the audiences whose lines are named.

    A stated country stands before the team's also where it has no line: a number of another country helps nobody there.
    """
    stated = _stated(post)
    return (stated.country, stated.audiences) if stated.country else (team.replies.country, ())


def _lines(
    catalogue: Catalogue, country: str, today: date, language: str, audiences: Collection[Audience] = ()
) -> list[Line]:
    """The country's lines, at most three, the most needed first: the first for everybody, those for the audiences.

    Among those for everybody, the ones that speak the language of the reply come first. Without any for everybody there
    are none.
    """
    lines = catalogue.crisis_lines(country, today, audiences)
    if language != ENGLISH:  # many a post is in English whose author speaks another language at home
        spoken = wording(language).language
        lines = tuple(sorted(lines, key=lambda line: spoken not in line.language))
    for_everybody = [line for line in lines if line.audience is None]
    for_some = [line for line in lines if line.audience is not None] if for_everybody else []
    return [*for_everybody[:1], *for_some, *for_everybody[1:]][:LINES_NAMED]


def in_words(line: Line, language: str = ENGLISH) -> str:
    """A crisis line as a reply names it, in Markdown. `language` is one that there is a wording for."""
    words = wording(language)
    name, ways = f"**{line.name}**{_languages(line, words)}", f", {words.line.or_} ".join(_ways(line, words))
    return " ".join(filter(None, (f"{name}{words.line.colon}{ways}.", *_hours_and_note(line, words))))


def _languages(line: Line, words: Wording) -> str:
    """In which languages a line answers, unless it is just the one of the reply; names that it lacks are left out."""
    if line.language in ((), (words.language,)):
        return ""
    known = line.language if words.reads_the_catalogue else [words.languages.get(name, "") for name in line.language]
    names = ", ".join(filter(None, known))
    return names and f" ({names})"


def _hours_and_note(line: Line, words: Wording) -> Iterator[str]:
    if line.hours == "24/7":
        yield words.line.always
    elif line.hours and words.reads_the_catalogue:
        yield words.line.hours.format(hours=line.hours.replace("24/7", "day and night"))
    else:
        yield words.line.unsure
    if line.note and words.reads_the_catalogue:
        yield f"{line.note[0].upper()}{line.note[1:]}."
    else:
        yield words.notes.get(line.id, "")


def _ways(line: Line, words: Wording) -> Iterator[str]:
    say = words.line
    both = line.text if line.text in line.phone and line.keyword is None else None
    if both:
        yield say.both.format(number=both)
    if phones := [number for number in line.phone if number != both]:
        yield say.call.format(number=f" {say.or_} ".join(phones))
    if line.text and not both:
        yield (say.keyword if line.keyword else say.text).format(keyword=line.keyword, number=line.text)
    if line.whatsapp:
        yield say.whatsapp.format(number=line.whatsapp)
    if line.chat:
        yield say.chat.format(url=line.chat)
    elif line.url:
        yield say.website.format(url=line.url)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file of a team's words that may not be used, and why."""

    file: str
    breach: Breach

    def __str__(self) -> str:
        return f"{self.file} {self.breach}"


_REPLY_FILE = re.compile(rf"(?:{'|'.join(REPLIED_LEVELS)})(?:\.(?P<language>{'|'.join(LANGUAGES)}))?\.md\.j2")
_INCLUDED_FILE = re.compile(rf"_\w+(?:\.(?P<language>{'|'.join(LANGUAGES)}))?\.md\.j2|help\.md\.j2")
_LONG_NAME = "x" * 21  # as long as the name of a subreddit can be


def check_teams(config: Config, catalogue: Catalogue, today: date) -> list[Refusal]:
    """What is wrong with the templates and links that the watched communities, or all of them, have set."""
    teams = (config.replies, *(config.team(name).replies for name in config.reddit.subreddits))
    refusals = [Refusal(url, breach) for url in {team.opt_out_url for team in teams} for breach in lint_words(url)]
    for folder, url in dict.fromkeys((team.templates, team.opt_out_url) for team in teams):
        if folder is not None:
            refusals += check_templates(folder, catalogue, today, "" if lint_words(url) else url)
    return list(dict.fromkeys(refusals))


def check_templates(folder: Path | None, catalogue: Catalogue, today: date, opt_out_url: str = "") -> list[Refusal]:
    """Every rule that a team's templates break, in any branch, at any level and in any language; empty when none does.

    Each rule once for a file, with the first example. Without a folder, the box's own; `opt_out_url` is the team's, and
    empty where it has none.
    """
    if folder is not None and not folder.is_dir():
        return [Refusal(str(folder), Breach(Rule.TEMPLATE, "there is no such folder"))]
    written = (Refusal(path.name, breach) for path in _files(folder) for breach in _source(path))
    refusals: dict[tuple[str, Rule], Refusal] = {}
    for refusal in (*written, *_rendered(folder, catalogue, today, opt_out_url)):
        refusals.setdefault((refusal.file, refusal.breach.rule), refusal)
    return list(refusals.values())


def _files(folder: Path | None) -> list[Path]:
    return sorted(folder.glob("*")) if folder is not None else []


def _source(path: Path) -> Iterator[Breach]:
    """What stands in a file, whether or not it would ever be shown."""
    name = _REPLY_FILE.fullmatch(path.name) or _INCLUDED_FILE.fullmatch(path.name)
    if name is None:
        yield Breach(Rule.TEMPLATE, "the name is neither that of a reply nor that of an include, _name.en.md.j2")
        return
    try:
        tree = reply_templates().parse(path.read_text(encoding="utf-8"))
    except (TemplateError, OSError, UnicodeDecodeError) as error:
        yield Breach(Rule.TEMPLATE, _in_a_line(error))
        return
    language = name.groupdict()["language"]
    if language is None and (word := re.search(r"[^\W\d_]+", " ".join(_said_by(tree)))):
        yield Breach(Rule.LANGUAGE, word.group())
    shown = [data.data for data in tree.find_all(nodes.TemplateData)]
    quoted = [const.value for const in tree.find_all(nodes.Const) if isinstance(const.value, str)]
    # What an expression gives is seen when it is put together; in its place stands an address, as in ]({{ opt_out }}).
    for text in ("https://expression ".join(shown), *quoted):
        yield from lint_words(text, language or ENGLISH)


# What stands in these is compared, asked for or names a file, and is not said.
_NOT_SAID = (nodes.Compare, nodes.Test, nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)


def _said_by(node: nodes.Node) -> Iterator[str]:
    """Every text that may be shown, also where it is quoted in an expression."""
    if isinstance(node, nodes.TemplateData):
        yield node.data
    elif isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, nodes.Getitem):
        yield from _said_by(node.node)
    elif not isinstance(node, _NOT_SAID):
        for child in node.iter_child_nodes():
            yield from _said_by(child)


def _rendered(folder: Path | None, catalogue: Catalogue, today: date, opt_out_url: str) -> Iterator[Refusal]:
    directories = catalogue.directories(today)
    for level in REPLIED_LEVELS:
        for language in LANGUAGES:
            try:
                template = _template(folder, level, language)
            except Exception as error:
                yield Refusal(f"{level}.{language}.md.j2", Breach(Rule.TEMPLATE, _in_a_line(error)))
                continue
            for lines in _situations(catalogue, today, language):
                community = _LONG_NAME if lines else ""
                values = _values(level, language, community, lines, directories, opt_out_url or _opt_out_url(community))
                for breach in _lint_rendered(template, values, language, lines, catalogue, today):
                    yield Refusal(template.name or "", breach)


def _situations(catalogue: Catalogue, today: date, language: str) -> Iterable[list[str]]:
    """The longest lines there are of each number of lines, none included. The lines themselves are vetted already."""
    longest: dict[int, list[str]] = {0: []}
    for country in catalogue.countries(today):
        lines = [in_words(line, language) for line in _lines(catalogue, country, today, language)]
        longest[len(lines)] = max(longest.get(len(lines), []), lines, key=lambda each: len("".join(each)))
    return longest.values()


def _lint_rendered(
    template: Template,
    values: Mapping[str, object],
    language: str,
    lines: Collection[str],
    catalogue: Catalogue,
    today: date,
) -> list[Breach]:
    try:
        text = template.render(values).strip()
    except Exception as error:
        return [Breach(Rule.TEMPLATE, _in_a_line(error))]
    broken = lint(text, language, lines, _first_url(catalogue.directories(today)), str(values["opt_out"]))
    # Words that have expired are not used, so that a file in that language stands idle.
    if not broken and wording(language).printable(today) and out_of_date(text, catalogue, today):
        return [Breach(Rule.EXPIRED)]
    return broken


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
