"""Pictures in reports: SVG inside <img>, which follows the reader's dark mode and whose ids can meet no others."""

from __future__ import annotations

import base64
import io
import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#010203"  # becomes the colour of the text around
_STYLE = "<style>:root{color:#26303b}@media (prefers-color-scheme:dark){:root{color:#e4e7eb}}</style>"
_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "hatch.linewidth": 0.6,
    **{f"axes.spines.{side}": False for side in ("top", "right")},
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


def picture(draw: Callable[[Axes], None], width: int, height: int, font_size: int = 9) -> str:
    """What `draw` draws on axes of so many points, as a data URI for the `src` of an <img>."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it speaks of its font cache at first use
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**_SETTINGS, "font.size": font_size}):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        draw(figure.add_subplot())
        svg = io.StringIO()
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"(<svg[^>]*>)", rf"\1{_STYLE}", svg.getvalue().replace(INK, "currentColor"), count=1)
    return f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}"
