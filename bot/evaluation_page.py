"""The page of `nightlight evaluate`: its tables and pictures, and no text, title or author of any post."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.deployment import Deployment
from bot.evaluation import (
    BURDEN_HEAD,
    SHIFT_HEAD,
    WORDS,
    Evaluation,
    brief,
    burden_row,
    by_closeness,
    said_of_rows,
    shift_rows,
)
from bot.pictures import NARROW, WIDE, heat, picture
from bot.record import nightlight_version
from bot.templates import pages
from models.scorecard import Confusion, Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _RED, _GREY = "#3b86ab", "#c0392b", "#7b8794"


def render(evaluation: Evaluation) -> str:
    """The page, whole in itself."""
    page = pages()
    page.filters["brief"] = brief
    deployment = evaluation.deployment
    return page.get_template("evaluation.html.j2").render(
        found=evaluation,
        of_rows=""
        if evaluation.apart is None
        else said_of_rows(evaluation.apart, evaluation.seed, evaluation.unknown_labels),
        words=WORDS,
        parts=[(part, *by_closeness(part)) for part in evaluation.scorecard.parts],
        confusion=_confusion,
        reliability=_reliability,
        burden_head=BURDEN_HEAD,
        burden_row=burden_row,
        shift_head=SHIFT_HEAD,
        shift_rows=shift_rows,
        curve=_curve(deployment) if deployment else "",
        benefit=_benefit(deployment) if deployment else "",
        version=nightlight_version(),
    )


def _confusion(table: Confusion) -> str:
    rows = table.rows
    wide = len(table.decisions) > 5
    shares = rows / rows.sum(axis=1, keepdims=True).clip(min=1)

    def draw(axes: Axes) -> None:
        heat(axes, shares, [[f"{count:,}" for count in row] for row in rows])
        names = [name.replace("_", " ") for name in table.decisions]
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        truths = [name.replace("_", " ") for name in table.truths]
        axes.set_yticks(range(len(truths)), truths)
        axes.set_xlabel("decided")
        axes.set_ylabel("labelled")

    return picture(draw, WIDE, 340) if wide else picture(draw, NARROW, 230)


def _reliability(of: Slice) -> str:
    def draw(axes: Axes) -> None:
        most = max((each.rows for bins in of.reliability.values() for each in bins), default=1)
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--")
        # Many lines are to be seen through each other.
        strength = 1.0 if len(of.reliability) == 1 else 0.5
        for bins in of.reliability.values():
            forecasts, happened = [each.forecast for each in bins], [each.happened for each in bins]
            axes.plot(forecasts, happened, color=_BLUE, linewidth=1, alpha=strength)
            sizes = [12 + 90 * each.rows / most for each in bins]
            axes.scatter(forecasts, happened, s=sizes, color=_BLUE, alpha=strength, linewidths=0)
        _percent(axes.set_xticks)
        _percent(axes.set_yticks)
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("said")
        axes.set_ylabel("came true")

    return picture(draw, NARROW, 230)


def _percent(set_ticks: Callable[[list[float], list[str]], object]) -> None:
    set_ticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])


def _curve(deployment: Deployment) -> str:
    def draw(axes: Axes) -> None:
        points = deployment.curve
        axes.plot([each.alerts_per_1000 for each in points], [each.recall for each in points], color=_BLUE)
        shown = [each for each in points if round(each.bound * 100) in (5, 10, 20, 30, 40, 50, 60, 70, 80, 90)]
        axes.scatter([each.alerts_per_1000 for each in shown], [each.recall for each in shown], s=14, color=_BLUE)
        written, apart = -1.0, max(each.alerts_per_1000 for each in points) / 30
        for each in reversed(shown):
            if each.alerts_per_1000 >= written + apart:
                written = each.alerts_per_1000
                at = (written, each.recall)
                axes.annotate(f"{each.bound:.1g}", at, textcoords="offset points", xytext=(5, -11), fontsize=8)
        now = deployment.now
        axes.scatter(
            [now.alerts_per_1000.value], [now.recall.value], s=60, marker="x", color=_RED, label="your policy", zorder=3
        )
        axes.set_xlim(left=0)
        axes.set_ylim(0, 1.02)
        _percent(axes.set_yticks)
        axes.set_xlabel("alerts per 1,000 posts")
        axes.set_ylabel("posts at risk found")
        axes.legend(loc="lower right", frameon=False)

    return picture(draw, WIDE, 240)


def _benefit(deployment: Deployment) -> str:
    def draw(axes: Axes) -> None:
        thresholds = [each.threshold for each in deployment.benefits]
        lines = (
            ("the model", _BLUE, "-", [each.model for each in deployment.benefits]),
            ("your policy", _RED, "-.", [each.policy for each in deployment.benefits]),
            ("alert to all", _GREY, "--", [each.everything for each in deployment.benefits]),
        )
        for name, colour, dashes, figures in lines:
            axes.plot(thresholds, [each.value for each in figures], color=colour, linestyle=dashes, label=name)
        axes.fill_between(
            thresholds,
            [each.model.low for each in deployment.benefits],
            [each.model.high for each in deployment.benefits],
            color=_BLUE,
            alpha=0.2,
            linewidth=0,
        )
        axes.axhline(0, color=_GREY, linewidth=0.6)
        axes.set_ylim(-1000 * deployment.share, 1050 * deployment.share)
        axes.set_xlabel("probability from which somebody wants to act")
        axes.set_ylabel("net benefit\nper 1,000 posts")
        axes.legend(loc="upper right", frameon=False)

    return picture(draw, WIDE, 220)
