"""Posts in, judgements out: the one way that the live loop, replay, classify and the demo all go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from bot.config import Model, Team
from bot.policy import decide
from bot.recommendations import Counsel
from bot.types import Decision, Post
from models.assessment import Assessment, Classifier
from models.document import Document

if TYPE_CHECKING:
    from models.multilingual import Multilingual

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Judgement:
    """A post with what the models and the policy made of it; `assessment` is None when the models failed.

    After a second reading `local` is the decision that was made without it. What an author may read rests on that one
    alone. `counsel` is what moderators are told may help, where a language model chose it; None: the ranker chooses.
    """

    post: Post
    assessment: Assessment | None
    decision: Decision
    local: Decision | None = None
    counsel: Counsel | None = None


def judge(posts: Sequence[Post], classifier: Classifier, team_of: Callable[[str], Team]) -> list[Judgement]:
    """One judgement a post, in the same order. Blocking; never raises for what a post or a model does.

    A batch that fails is tried again post by post, so that one bad post does not take the others with it.
    """
    return [
        Judgement(post, assessment, decide(post, assessment, team_of(post.subreddit)))
        for post, assessment in zip(posts, _assess(posts, classifier), strict=True)
    ]


def live_judge(settings: Model) -> Multilingual:
    """The models that judge in a live run, as [model] names them. Raises ModelError."""
    from models.multilingual import Multilingual

    return Multilingual.load(settings.path, settings.threads, settings.batch_size, settings.backend)


def unassessed(post: Post, team_of: Callable[[str], Team]) -> Judgement:
    """The judgement of a post that no model could read: it goes to the moderators."""
    return Judgement(post, None, decide(post, None, team_of(post.subreddit)))


def _assess(posts: Sequence[Post], classifier: Classifier) -> list[Assessment | None]:
    if not posts:
        return []
    documents = [document_of(post) for post in posts]
    try:
        return list(classifier.assess(documents))
    except Exception as error:
        if len(posts) == 1:
            log.error("post.unassessed", post_id=posts[0].id, error=type(error).__name__)
            return [None]
        return [assessment for post in posts for assessment in _assess([post], classifier)]


def document_of(post: Post) -> Document:
    """What the author wrote: Reddit's own words in place of a text that is gone are nobody's."""
    return Document(post.title, "" if post.is_gone else post.text)
