"""Several annotators side by side: how far they agree, where they part, and what each of them takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bot.errors import SetupError, UsageError
from bot.label_lines import Labelled, read_labels
from bot.pictures import heat, picture
from bot.record import nightlight_version
from bot.templates import pages
from models.agreement import MISSING, Ratings, cohen_kappa, fleiss_kappa, krippendorff_alpha, measure
from models.annotation import Annotation, Status
from models.evaluate import Figure
from models.labels import Disorder, Relevance, Risk, Severity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

_LISTED = 50  # posts named one by one in the report
_WIDE_CONSOLE = 160  # characters, where nobody says how many there are

Matrix = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scale:
    """One thing that annotators decide: its values from the mildest on, and how it is read from an annotation."""

    name: str
    values: tuple[str, ...]
    ordinal: bool
    read: Callable[[Annotation], int | None]


def _disorder(disorder: Disorder) -> Scale:
    def read(annotation: Annotation) -> int | None:
        return None if annotation.disorders is None else int(disorder in annotation.disorders)

    return Scale(_spoken(disorder), ("no", "yes"), False, read)


RISK = Scale("risk", tuple(Risk), True, lambda annotation: annotation.risk.rank if annotation.risk else None)
SEVERITY = Scale(
    "severity", tuple(Severity), True, lambda annotation: annotation.severity.rank if annotation.severity else None
)
RELEVANCE = Scale(
    "relevance",
    (Relevance.OTHER, Relevance.MENTAL_HEALTH),
    False,
    lambda annotation: int(annotation.relevance is Relevance.MENTAL_HEALTH) if annotation.relevance else None,
)


def _spoken(label: StrEnum) -> str:
    return label.upper() if len(label) <= 4 else label.replace("_", " ")


DISORDERS = {disorder: _disorder(disorder) for disorder in Disorder}
SCALES = (RELEVANCE, *DISORDERS.values(), SEVERITY, RISK)


@dataclass(frozen=True, slots=True)
class Column:
    """One annotator: its name and its lines by post."""

    name: str
    lines: Mapping[str, Labelled]

    @property
    def statuses(self) -> Counter[Status]:
        return Counter(line.annotation.status for line in self.lines.values())

    @property
    def versions(self) -> str:
        """Every version that labelled for this annotator."""
        found = {pair for line in self.lines.values() for pair in line.annotation.versions.items()}
        return ", ".join(f"{name} {version}" for name, version in sorted(found))

    def per_thousand(self, amount: Callable[[Labelled], float]) -> float:
        """What 1,000 posts take of something."""
        return 1000 * sum(map(amount, self.lines.values())) / max(1, len(self.lines))

    @property
    def seconds(self) -> float:
        """Of what 1,000 posts took, each by itself, added up.

        A language model's are waits: posts that are under way at once at a server that takes one after the other each
        wait for the others too, and the sum is that many times what the run took.
        """
        return self.per_thousand(lambda line: line.annotation.seconds)

    @property
    def cost(self) -> float:
        """Of 1,000 posts."""
        return self.per_thousand(lambda line: line.cost)

    @property
    def tokens(self) -> float:
        """Of prompt and answer, for 1,000 posts."""
        return self.per_thousand(lambda line: line.annotation.prompt_tokens + line.annotation.completion_tokens)

    def value(self, post: str, scale: Scale) -> int | None:
        """What this annotator says of a post; None when it says nothing."""
        line = self.lines.get(post)
        return scale.read(line.annotation) if line and line.annotation.status is Status.OK else None

    def said(self, post: str, scale: Scale) -> str:
        """The same in words, or why there is none."""
        if (value := self.value(post, scale)) is not None:
            return scale.values[value]
        return str(self.lines[post].annotation.status) if post in self.lines else ""

    def together(self) -> Matrix:
        """How many posts have both of two disorders, of (9, 9); on the diagonal, how many have the one."""
        held = np.array(
            [
                [disorder in line.annotation.disorders for disorder in Disorder]
                for line in self.lines.values()
                if line.annotation.disorders is not None
            ],
            dtype=np.int64,
        ).reshape(-1, len(Disorder))
        matrix: Matrix = held.T @ held
        return matrix


@dataclass(frozen=True, slots=True)
class Agreed:
    """How far annotators agree on one scale. A figure is None where it cannot be said; `pairs` are by their indices."""

    scale: Scale
    ratings: Ratings
    shares: tuple[float | None, ...]  # of each annotator's posts, those at anything but the mildest value
    pairs: Mapping[tuple[int, int], Figure | None]
    fleiss: Figure | None
    alpha: Figure | None

    def confusion(self, pair: tuple[int, int]) -> Matrix:
        """How many posts the first of two annotators (rows) puts here and the second (columns) there."""
        ratings = self.ratings.pair(*pair)
        matrix = np.zeros((len(self.scale.values), len(self.scale.values)), dtype=np.int64)
        np.add.at(matrix, (ratings.values[:, 0], ratings.values[:, 1]), ratings.counts)
        return matrix


@dataclass(frozen=True, slots=True)
class Panel:
    """The annotators, and every post that any of them met."""

    columns: tuple[Column, ...]
    posts: tuple[str, ...]

    @classmethod
    def read(cls, files: Sequence[Path]) -> Panel:
        """From files of labels; a later line of a post takes the place of an earlier one.

        An annotator is called what its file says, or as the file when that is said twice or not at all. Raises
        UsageError.
        """
        lines = [list(read_labels(file)) for file in files]
        for file, found in zip(files, lines, strict=True):
            if not found:
                raise UsageError(f"{file}: holds no labels")
        own = [{line.annotator for line in found} for found in lines]
        names = [
            next(iter(each)) if len(each) == 1 and each != {""} and own.count(each) == 1 else file.stem
            for file, each in zip(files, own, strict=True)
        ]
        if len(set(names)) < len(names):
            raise UsageError("two of the files are of one name; rename one, or give each annotator its own --name")
        columns = tuple(
            Column(name, {line.id: line for line in found}) for name, found in zip(names, lines, strict=True)
        )
        return cls(columns, tuple(dict.fromkeys(post for column in columns for post in column.lines)))

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return list(combinations(range(len(self.columns)), 2))

    def votes(self, scale: Scale) -> Matrix:
        """What every annotator says of every post on one scale, (posts, annotators); `MISSING` where nothing."""
        given = [[column.value(post, scale) for column in self.columns] for post in self.posts]
        return np.array([[MISSING if value is None else value for value in row] for row in given], dtype=np.int64)

    def ratings(self, scale: Scale) -> Ratings:
        """The same as patterns."""
        return Ratings.of(self.votes(scale), len(scale.values), scale.ordinal)

    def agreed(self, scale: Scale) -> Agreed:
        """How far all agree on one scale."""
        ratings = self.ratings(scale)
        return Agreed(
            scale,
            ratings,
            tuple(_share(ratings, index) for index in range(len(self.columns))),
            {pair: measure(cohen_kappa, ratings.pair(*pair)) for pair in self.pairs},
            measure(fleiss_kappa, ratings.complete()),
            measure(krippendorff_alpha, ratings.shared()),
        )

    def apart(self) -> list[str]:
        """The posts on which annotators part most: by levels of risk between the furthest two, then of severity."""

        def distance(post: str) -> tuple[int, int]:
            risk, severity = (self._spread(post, scale) for scale in (RISK, SEVERITY))
            return -risk, -severity

        furthest = sorted((distance(post), post) for post in self.posts)
        return [post for spread, post in furthest if spread != (0, 0)]

    def refused(self) -> list[str]:
        """The posts that some annotator refused; those of which another sees the highest risk come first."""

        def feared(post: str) -> int:
            return max((column.value(post, RISK) or 0 for column in self.columns), default=0)

        found = [
            post
            for post in self.posts
            if any(
                post in column.lines and column.lines[post].annotation.status is Status.REFUSED
                for column in self.columns
            )
        ]
        return sorted(found, key=lambda post: (-feared(post), post))

    def _spread(self, post: str, scale: Scale) -> int:
        values = [value for column in self.columns if (value := column.value(post, scale)) is not None]
        return max(values) - min(values) if values else 0


def _share(ratings: Ratings, index: int) -> float | None:
    values = ratings.values[:, index]
    known = ratings.counts[values != MISSING].sum()
    return float(ratings.counts[values > 0].sum() / known) if known else None


def run_agree(files: Sequence[Path], report: Path) -> None:
    """The command: the tables on stdout, the page in its file. Raises UsageError and SetupError."""
    from rich.console import Console

    if len(files) < 2:
        raise UsageError("agreement takes two files of labels or more")
    if report.resolve() in {file.resolve() for file in files}:
        raise UsageError(f"{report}: is one of the files of labels")
    panel = Panel.read(files)
    agreed = [panel.agreed(scale) for scale in SCALES]
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE_CONSOLE
    console.print(_annotators_table(panel))
    console.print(_agreement_table(panel, agreed))
    try:
        report.write_text(render(panel, agreed), encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{report}: {error.strerror or error}") from error
    console.print(f"report: {report}", markup=False, soft_wrap=True)


def _annotators_table(panel: Panel) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        "annotator", "posts", *Status, "seconds", "tokens", "cost", title="for 1,000 posts: time, tokens, cost"
    )
    for column in panel.columns:
        counts = column.statuses
        statuses = [f"{counts[status]:,}" for status in Status]
        takes = [f"{column.seconds:,.1f}", f"{column.tokens:,.0f}", f"{column.cost:,.4f}"]
        table.add_row(escape(column.name), f"{len(column.lines):,}", *statuses, *takes)
    return table


def _agreement_table(panel: Panel, agreed: Sequence[Agreed]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    pairs = [f"{escape(panel.names[first])}\n{escape(panel.names[second])}" for first, second in panel.pairs]
    table = Table(
        "label", *pairs, "Fleiss", "Krippendorff", title="Cohen's kappa of two, Fleiss' kappa and alpha of all"
    )
    for each in agreed:
        table.add_row(each.scale.name, *(figure_words(f) for f in (*each.pairs.values(), each.fleiss, each.alpha)))
    return table


def figure_words(figure: Figure | None) -> str:
    """A figure with its interval, two digits each; a dash where there is none."""
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})" if figure else "-"


# The page


def render(panel: Panel, agreed: Sequence[Agreed]) -> str:
    """The report: one HTML page that holds everything it shows, and no text, title or author of any post."""
    page = pages()
    page.filters["figure"] = figure_words
    page.filters["percent"] = lambda share: "" if share is None else f"{share:.1%}"
    apart, refused = panel.apart(), panel.refused()
    ordered = [each for each in reversed(agreed) if each.scale.ordinal]
    return page.get_template("agreement.html.j2").render(
        panel=panel,
        agreed=agreed,
        statuses=list(Status),
        alpha_chart=_forest(agreed),
        together=[(column, _together_chart(matrix)) for column in panel.columns if (matrix := column.together()).any()],
        confusions=[
            (panel.names[first], panel.names[second], [_confusion(panel, each, (first, second)) for each in ordered])
            for first, second in panel.pairs
        ],
        apart=[(post, _sayings(panel, post)) for post in apart[:_LISTED]],
        apart_count=len(apart),
        refused=[(post, _sayings(panel, post)) for post in refused[:_LISTED]],
        refused_count=len(refused),
        version=nightlight_version(),
    )


def _sayings(panel: Panel, post: str) -> list[tuple[str, str]]:
    return [(column.said(post, RISK), column.said(post, SEVERITY)) for column in panel.columns]


def _forest(agreed: Sequence[Agreed]) -> str:
    """Fleiss' kappa and alpha of every label, with their intervals."""

    def draw(axes: Axes) -> None:
        rows = range(len(agreed), 0, -1)
        series: Sequence[tuple[str, Callable[[Agreed], Figure | None], float, str, str]] = (
            ("Krippendorff's alpha", lambda each: each.alpha, 0.14, "o", "#3b86ab"),
            ("Fleiss' kappa", lambda each: each.fleiss, -0.14, "s", "#c97a1e"),
        )
        for name, of, shift, mark, colour in series:
            known = [(row + shift, f) for row, each in zip(rows, agreed, strict=True) if (f := of(each))]
            values = [figure.value for _, figure in known]
            # A percentile interval need not hold the value itself.
            bars = [
                [max(0.0, figure.value - figure.low) for _, figure in known],
                [max(0.0, figure.high - figure.value) for _, figure in known],
            ]
            look: dict[str, Any] = {"fmt": mark, "color": colour, "markersize": 4, "capsize": 2}
            axes.errorbar(values, [row for row, _ in known], xerr=bars, label=name, linewidth=1.2, **look)
        axes.set_yticks(list(rows), [each.scale.name for each in agreed])
        axes.set_xlim(min(-0.1, axes.get_xlim()[0]), 1.03)
        axes.axvline(0, color="#7b8794", linewidth=0.8)
        axes.set_xlabel("0 is chance, 1 is always the same")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0.2)

    return picture(draw, 420, 340)


def _together_chart(matrix: Matrix) -> str:
    """Of the posts with the disorder of the row, the share that has the one of the column too."""
    shares = matrix / np.maximum(1, matrix.diagonal())[:, None]
    names = [f"{_spoken(disorder)} ({count:,})" for disorder, count in zip(Disorder, matrix.diagonal(), strict=True)]

    def draw(axes: Axes) -> None:
        cells = [[f"{shares[i, j]:.0%}" if matrix[i, j] and i != j else "" for j in range(9)] for i in range(9)]
        heat(axes, np.where(np.eye(9, dtype=bool), 0, shares), cells)
        axes.set_yticks(range(9), names)
        axes.set_xticks(range(9), [_spoken(disorder) for disorder in Disorder], rotation=45, ha="right")

    return picture(draw, 400, 330)


def _confusion(panel: Panel, agreed: Agreed, pair: tuple[int, int]) -> tuple[Scale, Matrix, str]:
    scale, matrix = agreed.scale, agreed.confusion(pair)
    shares = matrix / np.maximum(1, matrix.sum(axis=1))[:, None]

    def draw(axes: Axes) -> None:
        heat(axes, shares, [[f"{count:,}" for count in row] for row in matrix])
        places = range(len(scale.values))
        axes.set_yticks(places, scale.values)
        axes.set_xticks(places, scale.values, rotation=30, ha="right")
        axes.set_ylabel(panel.names[pair[0]][:40].replace("$", r"\$"))
        axes.set_xlabel(panel.names[pair[1]][:40].replace("$", r"\$"))

    return scale, matrix, picture(draw, 300, 230)
