"""A recommended record of the catalogue, as moderators read it."""

from __future__ import annotations

from bot.resources import Directory, Help, Line, Step, Therapy


def advice_words(record: object) -> str:
    """A recommended record as moderators read it; empty for what nobody recommends."""
    short = advice_in_short(record)
    match record:
        case Help():
            return f"{short} {record.not_for} You can: {record.moderators} Others can: {record.peers}"
        case Therapy():
            return f"{short} {record.words}"
    return short


def advice_in_short(record: object) -> str:
    """The same in fewer than 200 characters."""
    match record:
        case Line():
            return f"A line to name: {record.name}. {_ways(record)}"
        case Directory():
            return f"Where lines are listed: {record.name}, {record.url}"
        case Step():
            return f"A step to take: {record.words}"
        case Help():
            return f"Whom to see: {record.seek}"
        case Therapy():
            return f"A treatment to know of: {record.name}."
    return ""


def _ways(line: Line) -> str:
    ways = []
    if line.phone:
        ways.append(f"Call {' or '.join(line.phone)}.")
    if line.text:
        ways.append(f"Text {line.keyword} to {line.text}." if line.keyword else f"Text {line.text}.")
    if line.whatsapp:
        ways.append(f"WhatsApp {line.whatsapp}.")
    ways.append(_open(line))
    if line.note:
        ways.append(f"{line.note[0].upper()}{line.note[1:]}.")
    if line.chat:
        ways.append(f"Chat: {line.chat}")  # last, so that no full stop touches the address
    return " ".join(ways)


def _open(line: Line) -> str:
    if line.hours == "24/7":
        return "Open day and night."
    return f"Open {line.hours.replace('24/7', 'day and night')}." if line.hours else "It may not be open at all hours."
