"""The service and the image run the program there is, with the paths and the port that it uses."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from bot.cli import app
from bot.config import Config, Health, Review, Store

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "nightlight.service").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def settings(key: str) -> list[str]:
    """Every value of one key of the unit."""
    return re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)


def instructions(name: str) -> list[str]:
    """What follows each instruction of that name in the Dockerfile, top to bottom."""
    return re.findall(rf"^\s*{name} (.*)$", DOCKERFILE, re.MULTILINE)


def last_stage(name: str) -> list[str]:
    """The instructions of that name that make the image itself."""
    return re.findall(rf"^\s*{name} (.*)$", DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :], re.MULTILINE)


UNIT_COMMAND = shlex.split(settings("ExecStart")[0])
IMAGE_COMMAND = [word.strip(' "') for word in last_stage("CMD")[-1].strip("[]").split(",")]


@pytest.mark.parametrize("words", [UNIT_COMMAND, IMAGE_COMMAND], ids=["unit", "image"])
def test_what_is_started_is_a_command(words: list[str]) -> None:
    """`nightlight` has that command, and it takes those options."""
    assert Path(words[0]).name == "nightlight"
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    command = group.commands[words[1]]
    assert command.make_context(words[1], words[2:]).params == {"config": Path(words[-1])}


def test_the_database_lies_in_the_folder_that_is_kept() -> None:
    """Beside the configuration, in the folder that the service owns and the volume that the image declares."""
    beside = Store().path
    assert not beside.is_absolute()
    assert str(Path(UNIT_COMMAND[-1]).parent) == f"/var/lib/{settings('StateDirectory')[0]}"
    assert settings("WorkingDirectory") == [f"%S/{settings('StateDirectory')[0]}"]
    assert [str(Path(IMAGE_COMMAND[-1]).parent)] == last_stage("VOLUME")
    assert f"{beside}.backup" in (DEPLOY / "README.md").read_text(encoding="utf-8")


def test_health_is_asked_where_it_answers() -> None:
    """The port in the image's check and in the notes is the default one."""
    address = f"127.0.0.1:{Health().port}"
    check = " ".join(last_stage("HEALTHCHECK"))
    assert f"'{address}'" in check
    assert "'/healthz'" in check
    page = f"{Review().host}:{Review().port}"
    assert set(re.findall(r"127\.0\.0\.1:\d+", (DEPLOY / "README.md").read_text(encoding="utf-8"))) == {address, page}


def test_a_stalled_time_in_the_notes_is_the_default() -> None:
    """The first alert rule waits as long as the bot itself."""
    (seconds,) = re.findall(r"last_look_timestamp_seconds > (\d+)", (DEPLOY / "README.md").read_text(encoding="utf-8"))
    assert float(seconds) == Config().alerts.stalled_minutes * 60


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """`systemd-analyze verify`, with the program where the unit expects it."""
    if shutil.which("systemd-analyze") is None:
        print("systemd-analyze is not here: the unit was not verified")
        pytest.skip("systemd-analyze is not here")
    program = tmp_path / "nightlight"
    program.write_text("#!/bin/sh\n", encoding="ascii")
    program.chmod(0o755)
    unit = tmp_path / "nightlight.service"
    unit.write_text(UNIT.replace(UNIT_COMMAND[0], str(program)), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    # It reads other units of this machine too, and may have words about those.
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr


def test_the_service_is_never_left_stopped() -> None:
    """It starts again after every failure, however often, and stops in its own time."""
    assert settings("Restart") == ["on-failure"]
    assert settings("RestartSec") == ["30"]
    assert settings("StartLimitIntervalSec") == ["0"]
    assert UNIT.index("StartLimitIntervalSec") < UNIT.index("[Service]")
    assert settings("KillSignal") == ["SIGTERM"]


@pytest.mark.parametrize("setting", ["NoNewPrivileges", "PrivateTmp", "ProtectHome"])
def test_the_service_can_do_little(setting: str) -> None:
    """Not root, a file system to read only, no new rights."""
    assert settings(setting) == ["yes"]
    assert settings("ProtectSystem") == ["strict"]
    assert settings("User") not in ([], ["root"])


def test_the_image_copies_what_is_there() -> None:
    """Every source of a COPY exists and is let through to the build."""
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [line[1:] for line in ignore if line.startswith("!")]
    sources = [source for line in instructions("COPY") if "--from=" not in line for source in line.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in kept), source
    assert "*" in ignore


def test_the_image_is_not_root() -> None:
    """The last word on the user is one that the image itself makes."""
    assert last_stage("USER")[-1] == "nightlight"
    assert any("useradd" in line and line.split("&&")[0].split()[-1] == "nightlight" for line in last_stage("RUN"))


def test_torch_comes_first_and_from_the_pin() -> None:
    """Asked for by another package, torch is the build for CUDA."""
    installs = [line for line in instructions("RUN") if "pip install" in line]
    (pin,) = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "torch==" in line]
    assert installs[0].endswith(pin)
    assert all("--constraint constraints.txt" in line for line in installs)
    assert pin in (DEPLOY / "README.md").read_text(encoding="utf-8")


def test_no_secret_is_in_unit_or_image() -> None:
    """Credentials come from a file at the start, and from nowhere else."""
    assert settings("EnvironmentFile") == ["/etc/nightlight/secrets.env"]
    for text in (UNIT, DOCKERFILE):
        assert "NIGHTLIGHT_REDDIT" not in text
