"""Writes the golden replies anew: `python -m tests.golden`."""

from tests.golden import FOLDER, replies

for path in FOLDER.glob("*.md"):
    path.unlink()
for name, text in replies().items():
    (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
