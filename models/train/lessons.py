"""What a network is taught: each text once, with everything that any file says of it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.document import Document
from models.labels import Disorder
from models.train.data import INVENTED, Example, Targets
from models.windows import Tokens, Windows

# How often each row of a file or source is read in a run, on the average: the small ones, labelled by people, most;
# what a subreddit's name says, least.
APPETITE: Mapping[str, float] = {
    "naseem_severity": 4.5,
    "depsign_2022": 3.0,
    "risk_cssrs": 3.0,
    "sdcnl": 3.0,
    "risk_binary": 0.4,
    "relevance": 0.05,
    "relevance_ambiguous": 0.5,
    "disorder": 0.3,
    "stress": 4.5,
    INVENTED: 1.0,
}

# A post of r/ptsd that says "my PTSD" teaches a network to look for that word and for nothing else.
_NAMES: Mapping[Disorder, str] = {
    Disorder.DEPRESSION: r"depress\w*|mdd",
    Disorder.ANXIETY: r"anxi\w*|panic\w*|gad",
    Disorder.BIPOLAR: r"bipolar\w*|bpd?|(?:hypo)?mani[ac]\w*",
    Disorder.PTSD: r"c?-?ptsd|post[- ]?traumatic\w*|traum\w*",
    Disorder.OCD: r"ocd|obsessi\w*|compulsi\w*",
    Disorder.ADHD: r"adh?d|attention[- ]deficit\w*|hyperactiv\w*",
    Disorder.AUTISM: r"autis\w*|asperger\w*|aspie\w*|asd|spectrum",
    Disorder.SCHIZOPHRENIA: r"schizo\w*|psychosis|psychotic",
    Disorder.EATING_DISORDER: r"anorexi\w*|anorexic\w*|bulimi\w*|eating disorder\w*|binge?\w*|ed\b|ednos",
}
_NAMING = {name: re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE) for name, pattern in _NAMES.items()}


@dataclass(frozen=True, slots=True)
class Lesson:
    """A text, or all the posts of a user, and what is known of it.

    `windows` are its stretches of word pieces, `masked` the same with the names of its own disorders taken out (None
    when it names none). `targets` and `weights` are as in `Example`, `soft` what a teacher says of the same outputs
    (NaN where it says nothing). It is read `appetite` times in a run.
    """

    windows: Sequence[Tokens]
    masked: Sequence[Tokens] | None
    targets: Targets
    weights: Targets
    soft: Targets
    appetite: float
    of_user: bool


def lessons_of(examples: Sequence[Example], windows: Windows) -> list[Lesson]:
    """One lesson for every different text among the examples, in the order in which they come."""
    labels: dict[tuple[Document, ...], set[str]] = defaultdict(set)
    for example in examples:
        labels[example.documents].update(example.row.labels)
    found: dict[tuple[Document, ...], Lesson] = {}
    for example in examples:
        known = found.get(example.documents)
        if known is None:
            found[example.documents] = _lesson(example, labels[example.documents], windows)
            continue
        new = np.isnan(known.targets)
        found[example.documents] = replace(
            known,
            targets=np.where(new, example.targets, known.targets),
            weights=np.where(new, _weights(example), known.weights),
            appetite=max(known.appetite, _appetite(example)),
        )
    return list(found.values())


def _lesson(example: Example, labels: Collection[str], windows: Windows) -> Lesson:
    """What one row says; `labels` are those that any row gives to its text."""
    texts = [document.text for document in example.documents]
    masked = [_without_names(text, labels, windows.mask) for text in texts]
    return Lesson(
        windows=[part for of_text in windows.cut(texts) for part in of_text],
        masked=None if masked == texts else [part for of_text in windows.cut(masked) for part in of_text],
        targets=example.targets,
        weights=_weights(example),
        soft=np.full_like(example.targets, np.nan),
        appetite=_appetite(example),
        of_user=len(example.documents) > 1,
    )


def _weights(example: Example) -> Targets:
    """A small set makes itself heard by being read often, and needs no more weight as well: the loudest rows would set
    the pace at which the network learns all others."""
    return np.minimum(example.weights, np.float32(1))


def _appetite(example: Example) -> float:
    return APPETITE.get(example.row.source, APPETITE.get(example.set_name, 1.0))


def _without_names(text: str, labels: Collection[str], mask: str) -> str:
    for disorder in Disorder:
        if disorder in labels:
            text = _NAMING[disorder].sub(mask, text)
    return text
