"""`nightlight train`, as a user runs it, on made-up posts and a tiny encoder."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from models.labels import Disorder
from tests.tiny import tiny_encoder

SEA, BREAD = "the waves and the tide and the harbour", "the flour and the crust and the oven"


def rows(**labels: object) -> list[dict[str, object]]:
    """Two hundred made-up posts, half about the sea; `labels` maps a key to its values for bread and for the sea."""
    rng = random.Random(3)  # noqa: S311
    found: list[dict[str, object]] = []
    for number in range(200):
        words = (SEA if number % 2 else BREAD).split()
        text = f"{' '.join(rng.sample(words, 5))} number {number} {rng.random()}"
        found.append({"text": text, **{key: values[number % 2] for key, values in labels.items()}})  # type: ignore[index]
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that is learned from."""
    folder = tmp_path_factory.mktemp("data")
    files = {
        "severity4": rows(label=("minimal", "severe"), source=("naseem_severity", "naseem_severity"))
        + rows(label=("minimal", "moderate"), source=("depsign_2022", "depsign_2022")),
        "risk_cssrs": rows(label=("supportive", "ideation")),
        "risk_binary": rows(label=("non_suicide", "suicide"), source=("sdcnl", "sdcnl")),
        "relevance": rows(label=("not_mh", "mh")),
        "relevance_ambiguous": rows(label=("ordinary_with_mh_terms", "ordinary_with_mh_terms")),
        "disorder": rows(labels=(["none"], [Disorder.ANXIETY])),
        "stress": rows(label=("no_stress", "stress")),
    }
    for name, lines in files.items():
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as out:
            out.writelines(f"{json.dumps({'source': 'made_up', **line})}\n" for line in lines)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with the tokenizer in the box."""
    return tiny_encoder(tmp_path_factory.mktemp("base"))


def train(folder: Path, data: Path, base: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The command with its model in `folder`, one layer deep."""
    command = [sys.executable, "-m", "bot", "train", "--data", str(data), "--out", str(folder / "mine")]
    command += ["--base", str(base), "--depth", "1", "--passes", "0.5", *more]
    environment = {**os.environ, "NIGHTLIGHT_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(command, capture_output=True, text=True, timeout=110, env=environment, check=False)


def test_a_model_is_trained_recorded_and_used(tmp_path: Path, data: Path, base: Path) -> None:
    """One command makes a folder that `classify` serves, with its card, its loss curve and every figure.

    Nothing of a model that lay there before is left beside it.
    """
    out, run = tmp_path / "mine", tmp_path / "mine-run"
    out.mkdir()
    for name in ("skim.safetensors", "card.md"):
        (out / name).write_text("of an earlier run", encoding="utf-8")
    done = train(tmp_path, data, base)
    assert done.returncode == 0, done.stderr
    made = {"card.md", "heads.safetensors", "layers.safetensors", "nightlight.json"}
    assert {file.name for file in out.iterdir()} == made | {"config.json", "model.safetensors", "tokenizer.json"}
    heads = hashlib.sha256((out / "heads.safetensors").read_bytes()).hexdigest()
    assert json.loads((out / "nightlight.json").read_text())["heads_sha256"] == heads
    assert "severity, naseem_severity" in (out / "card.md").read_text(encoding="utf-8")
    assert {"config.json", "loss.csv", "loss.png", "metrics.json"} <= {file.name for file in run.iterdir()}
    start, end = json.loads((out / "nightlight.json").read_text())["unsure"]
    assert f"From {start} up to {end}" in (out / "card.md").read_text(encoding="utf-8")
    assert set(json.loads((run / "config.json").read_text())["data"]) == {file.name for file in data.iterdir()}
    config = tmp_path / "config.toml"
    config.write_text(f'[model]\npath = "{out}"\n', encoding="utf-8")
    judged = subprocess.run(
        [sys.executable, "-m", "bot", "classify", "--config", str(config)],
        input="".join(f"{json.dumps({'id': words, 'text': words * 4})}\n" for words in (SEA, BREAD)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "NIGHTLIGHT_CACHE_DIR": str(tmp_path / "cache")},
    )
    sea, bread = (json.loads(line)["relevance"] for line in judged.stdout.splitlines())
    assert sea > bread


@pytest.mark.slow
def test_folds_measure_and_keep_no_model(tmp_path: Path, data: Path, base: Path) -> None:
    """`--folds` gives the figures of every fold with their mean, and a model folder nowhere."""
    done = train(tmp_path, data, base, "--folds", "2", "--passes", "0.1")
    assert done.returncode == 0, done.stderr
    folds = json.loads((tmp_path / "mine-run" / "folds.json").read_text())
    assert len(folds["relevance: macro_f1"]["folds"]) == 2
    assert 0 <= folds["relevance: macro_f1"]["mean"] <= 1
    assert not (tmp_path / "mine").exists()
    assert list(tmp_path.rglob("nightlight.json")) == []


@pytest.mark.parametrize(("argument", "words"), [("--data", "has no labelled posts"), ("--base", "is no encoder")])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, data: Path, base: Path, argument: str, words: str) -> None:
    """A folder without the files is named, with exit code 2 or 1, and nothing is said beside the bar."""
    empty = tmp_path / "empty"
    empty.mkdir()
    done = train(tmp_path, data, base, argument, str(empty))
    assert done.returncode in (1, 2)
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("learning"))
    assert words in line
