"""The report of an experiment, as a page, as JSON and as Markdown: figures alone, no text, title, author or id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bot.agree import SCALES, Panel
from bot.experiment.settings import Experiment
from bot.experiment.study import FEWEST, Study
from bot.experiment.table import MEASURED, Labeller, Line, labellers, table
from bot.pictures import WIDE, heat, picture
from bot.record import nightlight_version
from bot.templates import pages
from models.agreement import krippendorff_alpha, measure
from models.evaluate import Figure
from models.labels import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#3b86ab", "#c97a1e", "#2a9d5c", "#8e5ea2", "#c0392b", "#7b8794")
_MARKS = "osD^vPX*"

# What a report that is shown to others need not tell: where files lie, and which servers there are.
_PRIVATE: Any = {
    "posts": True,
    "out": True,
    "people": {"file"},
    "annotators": {"__all__": {"folder", "base_url", "key_from"}},
    "models": {"__all__": {"base"}},
}

HEAD = (
    "annotator",
    "model",
    "F1 against its annotator",
    "F1 against people",
    "learnt from",
    "training, s",
    "1,000 posts, s",
    "1,000 posts, cost",
)


@dataclass(frozen=True, slots=True)
class Found:
    """Everything a report shows."""

    posts: int
    posts_by_people: int
    seed: int
    labellers: Sequence[Labeller]
    alphas: Mapping[str, Figure | None]  # Krippendorff's, of the annotators without people and hybrids, by label
    lines: Sequence[Line]
    untaught: Sequence[str]  # who labelled too few posts

    @classmethod
    def of(cls, study: Study) -> Found:
        """Measures everything; takes seconds, or minutes for many posts."""
        sample = study.sample
        return cls(
            len(sample.ids),
            len(sample.people),
            study.experiment.seed,
            labellers(study),
            _alphas(study),
            table(study),
            [name for name in study.columns if name not in study.teachers],
        )

    def of_task(self, task: Task) -> list[Line]:
        return [line for line in self.lines if line.task is task]


def _alphas(study: Study) -> dict[str, Figure | None]:
    voters = [study.labels_file(name) for name in study.experiment.voters]
    if len(voters) < 2:
        return {}
    panel = Panel.read(voters)
    return {
        scale.name: measure(krippendorff_alpha, panel.ratings(scale).shared(), seed=study.experiment.seed)
        for scale in SCALES
    }


def to_json(found: Found, experiment: Experiment) -> str:
    """The report as JSON; what is undefined is null."""
    fields = asdict(found)
    settings = experiment.model_dump(mode="json", exclude=_PRIVATE)
    return json.dumps(_plain({"nightlight": nightlight_version(), "settings": settings, **fields}), indent=2) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value


def to_markdown(found: Found) -> str:
    """The tables as Markdown, to be put into a document."""
    lines = [
        f"{found.posts:,} posts, {found.posts_by_people:,} of them labelled by people; five folds; seed {found.seed}."
    ]
    for task in MEASURED:
        if of_task := found.of_task(task):
            lines += ["", f"**{task}**", "", *_table(HEAD, [cells(line) for line in of_task])]
    head = ("annotator", "posts", *(status for status in found.labellers[0].statuses), "s", "tokens", "cost")
    lines += [
        "",
        "What 1,000 posts take of each annotator:",
        "",
        *_table(head, [_labeller(e) for e in found.labellers]),
    ]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def _labeller(each: Labeller) -> list[str]:
    counts = [f"{count:,}" for count in each.statuses.values()]
    return [each.name, f"{each.posts:,}", *counts, f"{each.seconds:,.1f}", f"{each.tokens:,.0f}", f"{each.cost:,.4f}"]


def cells(line: Line) -> list[str]:
    """A line of the table in words, under `HEAD`."""
    return [
        line.annotator,
        line.model or "(itself)",
        figure_words(line.own),
        figure_words(line.people),
        f"{line.learnt:,.0f}" if line.model else "",
        f"{line.fit_seconds:,.1f}" if line.model else "",
        f"{line.seconds:,.1f}",
        f"{line.cost:,.4f}",
    ]


def figure_words(figure: Figure | None) -> str:
    """A figure with its interval; empty where there is none."""
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})" if figure else ""


def render(found: Found) -> str:
    """The page, whole in itself."""
    page = pages()
    page.filters["figure"] = figure_words
    tasks = [(task, lines, _heat(lines), _price(lines)) for task in MEASURED if (lines := found.of_task(task))]
    return page.get_template("experiment.html.j2").render(
        found=found, tasks=tasks, head=HEAD, cells=cells, fewest=FEWEST, version=nightlight_version()
    )


def _heat(lines: Sequence[Line]) -> str:
    """F1 by annotator and model: against people where they said something, else against the annotator."""
    by_people = any(line.people for line in lines)
    annotators = list(dict.fromkeys(line.annotator for line in lines))
    models = list(dict.fromkeys(line.model for line in lines))
    values = np.full((len(annotators), len(models)), np.nan)
    for line in lines:
        if figure := line.people if by_people else line.own:
            values[annotators.index(line.annotator), models.index(line.model)] = figure.value

    def draw(axes: Axes) -> None:
        words = [["" if np.isnan(value) else f"{value:.2f}" for value in row] for row in values]
        heat(axes, np.nan_to_num(values), words)
        axes.set_yticks(range(len(annotators)), annotators)
        axes.set_xticks(range(len(models)), [model or "itself" for model in models])
        axes.set_ylabel("labels by")
        axes.set_xlabel("judged by")

    return picture(draw, 420, 90 + 28 * len(annotators))


def _price(lines: Sequence[Line]) -> str:
    """F1 against people by the seconds that 1,000 posts take; empty when there is nothing to show."""
    known = [line for line in lines if line.people and line.seconds > 0]
    if not known:
        return ""
    annotators = list(dict.fromkeys(line.annotator for line in known))
    models = list(dict.fromkeys(line.model for line in known))

    def draw(axes: Axes) -> None:
        for line in known:
            colour = _COLOURS[annotators.index(line.annotator) % len(_COLOURS)]
            mark = _MARKS[models.index(line.model) % len(_MARKS)]
            value = line.people.value if line.people else 0.0
            axes.scatter([line.seconds], [value], color=colour, marker=mark, s=36)
        for name in annotators:
            axes.scatter([], [], color=_COLOURS[annotators.index(name) % len(_COLOURS)], marker="s", label=name)
        for name in models:
            mark = _MARKS[models.index(name) % len(_MARKS)]
            axes.scatter([], [], color=_COLOURS[-1], marker=mark, label=name or "the annotator itself")
        axes.set_xscale("log")
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("seconds for 1,000 posts")
        axes.set_ylabel("F1 against people")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)

    return picture(draw, WIDE, 250)
