"""`make picture`: docs/demo.png, the demo's last screen as the README shows it. Needs Debian's chromium."""

from __future__ import annotations

import asyncio
import io
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console

from bot.demo.show import show
from models.hybrid import Hybrid

PICTURE = Path(__file__).parents[1] / "docs" / "demo.png"
# The page's own fonts: rich would send the reader's browser to another host for one.
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 18px 22px; background: #16181d; color: #e4e6eb; filter: brightness(1.5); }}
html {{ overflow: hidden; }}
pre {{ margin: 0; white-space: pre-wrap; font: 15px/1.18 "DejaVu Sans Mono", monospace; }}
</style><pre>{code}</pre>"""


def main() -> None:
    """Runs the demo, records what it prints, and has the browser draw it."""
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(show(Hybrid.load(), Path(folder) / "nightlight-demo", console, port=0, serve=False))
        page = Path(folder) / "demo.html"
        shown = console.export_html(inline_styles=True, code_format="{code}").replace(f"{folder}/", "")
        last_screen = shown[shown.rindex("reading new posts") :]  # the screens before it were drawn over
        page.write_text(PAGE.format(code=last_screen), encoding="utf-8")
        browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        size = ["--window-size=960,730", f"--user-data-dir={folder}/profile", f"--screenshot={PICTURE}"]
        subprocess.run([*browser, *size, f"file://{page}"], check=True, capture_output=True)


if __name__ == "__main__":
    main()
