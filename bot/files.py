"""Files that are whole or not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bot.errors import SetupError


def write_whole(path: Path, content: bytes) -> None:
    """Puts a file in place in one step: who reads it meets the old one or the new one, also after a crash.

    It keeps the permissions of the file it replaces. Raises SetupError, and leaves what was there.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        try:
            with fresh.open("wb") as file:
                if path.exists():
                    shutil.copymode(path, fresh)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror or error}") from error
