"""What is installed is what was built: the wheel, with the source tree out of reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it, and the dependencies of this one to look at; its bin folder."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True)
    venv.create(folder / "venv", with_pip=False)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    # A path in a .pth file is looked into, but its own .pth files are not: the editable install stays invisible.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin"


def call(bin_: Path, folder: Path, *command: str, stdin: str = "") -> str:
    """Runs a command of the installed package somewhere else; its stdout."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [bin_ / command[0], *command[1:]], cwd=folder, env=environment, input=stdin, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_everything_it_needs(installed: Path, tmp_path: Path) -> None:
    """Installed apart and run from another folder it judges a post: lexicon, weights, templates, SQL all came along."""
    where = call(installed, tmp_path, "python", "-c", "import bot, models, prompts; print(bot.__file__)")
    assert str(ROOT) not in where
    post = json.dumps({"id": "1", "title": "goodbye", "selftext": "I am going to kill myself tonight."})
    (line,) = call(installed, tmp_path, "nightlight", "classify", stdin=post).splitlines()
    assert json.loads(line)["level"] == "crisis"
    listing = (
        "from importlib.resources import files;"
        "import bot.resources, bot.demo, prompts;"
        "bot.resources.Catalogue.load(); bot.demo.samples();"
        "print(sorted(p.name for p in files('bot').joinpath('sql').iterdir()));"
        "print(sorted(p.name for p in files('bot').joinpath('templates').iterdir()))"
    )
    sql, templates = call(installed, tmp_path, "python", "-c", listing).splitlines()
    assert sql == str(sorted(path.name for path in (ROOT / "bot" / "sql").iterdir()))
    assert templates == str(sorted(path.name for path in (ROOT / "bot" / "templates").iterdir()))
