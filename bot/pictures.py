"""Pictures in reports: SVG inside <img>, which follows the reader's dark mode and whose ids can meet no others."""

from __future__ import annotations

import base64
import io
import logging
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

# Widths in points: as wide as the text, or one of a few side by side.
WIDE, NARROW = 640, 270

_INK = "#010203"  # becomes the colour of the text around
_STYLE = "<style>:root{color:#26303b}@media (prefers-color-scheme:dark){:root{color:#e4e7eb}}</style>"
_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "hatch.linewidth": 0.6,
    **{f"axes.spines.{side}": False for side in ("top", "right")},
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
}


def picture(draw: Callable[[Axes], None], width: int, height: int) -> str:
    """What `draw` draws on axes of so many points, as a data URI for the `src` of an <img>."""
    return f"data:image/svg+xml;base64,{base64.b64encode(drawing(draw, width, height).encode()).decode()}"


def drawing(draw: Callable[[Axes], None], width: int, height: int) -> str:
    """The same as the SVG itself."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it speaks of its font cache at first use
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # The narrow ones are shown below their natural size.
    with mpl.rc_context({**_SETTINGS, "font.size": 11 if width == NARROW else 9}):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        draw(figure.add_subplot())
        svg = io.StringIO()
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return re.sub(r"(<svg[^>]*>)", rf"\1{_STYLE}", svg.getvalue().replace(_INK, "currentColor"), count=1)


def heat(axes: Axes, shares: NDArray[np.float64], cells: Sequence[Sequence[str]]) -> None:
    """Squares that are the fuller the larger their share, each with its words; readable on light and dark ground."""
    rows, columns = shares.shape
    for row in range(rows):
        for column in range(columns):
            axes.add_patch(_square(column, row, float(shares[row, column])))
            axes.text(column, row, cells[row][column], ha="center", va="center")
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _square(column: int, row: int, share: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor="#3b86ab", alpha=0.06 + 0.64 * share)
