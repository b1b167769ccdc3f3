"""Posts joined with their labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.errors import UsageError
from bot.lessons import read_opinions
from models.document import Document


def test_a_post_teaches_what_was_said_of_it(tmp_path: Path) -> None:
    """Posts meet their labels by id: doubts as they are, certainties as such, and nothing of what was refused."""
    posts = [{"id": f"p{number}", "title": "a title", "selftext": f"text {number}"} for number in range(4)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts), encoding="utf-8")
    labels = [
        {"id": "p2", "annotator": "me", "status": "ok", "relevance": "mental_health"},
        {"id": "p0", "annotator": "majority", "status": "ok", "relevance": "other", "soft": {"relevance": 0.25}},
        {"id": "p1", "status": "refused"},
        {"id": "elsewhere", "status": "ok", "relevance": "other"},
    ]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(line) + "\n" for line in labels), encoding="utf-8")
    lessons = read_opinions(tmp_path / "p.jsonl", tmp_path / "l.jsonl")
    assert [(lesson.source, lesson.document, lesson.labels.relevance) for lesson in lessons] == [
        ("majority", Document("a title", "text 0"), 0.25),
        ("me", Document("a title", "text 2"), 1.0),
    ]
    (tmp_path / "p.jsonl").write_text('{"id": "q", "title": "other"}\n', encoding="utf-8")
    with pytest.raises(UsageError, match="has no labels for any post"):
        read_opinions(tmp_path / "p.jsonl", tmp_path / "l.jsonl")
