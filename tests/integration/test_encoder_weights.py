"""The model in the box, with its real weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bot.config import Config
from bot.judge import live_judge
from models.document import Document
from models.encoder import HEADS_FILE, Encoder, Manifest, base_folder, prepare, shipped_folder
from models.errors import ModelError
from models.heads import Heads
from models.hybrid import Hybrid
from models.labels import Disorder, Risk, Severity
from models.onnx_export import sha256_of
from models.train.training import asked

PLAIN = Document("Sourdough again", "The loaf came out flat. Is my starter too young, or did I let it rise too long?")
HEAVY = Document(
    "I can't do this any more",
    "I want to die. Every night I think about killing myself and I don't know who to tell. I have no hope left.",
)
ANXIOUS = Document("", "My anxiety is through the roof, I had three panic attacks this week and my therapist is away.")
CRY = (
    f"{HEAVY.text} I wrote letters to my family tonight and I have the pills in front of me. They would be better "
    "off without me. I have felt like this for months, nothing helps, I am so tired of pretending. "
    "Nobody would notice if I was gone. I just want it to stop, I want to go to sleep and not wake up again."
)
ORDINARY_PAGE = "We planted beans along the fence and the neighbour lent us his ladder for the gutters. "


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """The model in the box, prepared on first use."""
    return Encoder.load()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the prepared model, to be damaged at will."""
    folder = tmp_path_factory.mktemp("cache")
    prepared = prepare().parent
    shutil.copytree(prepared, folder / prepared.name)
    return folder


def test_the_shipped_weights_are_small() -> None:
    """Fine-tuned layers and heads, without the word embeddings: 30 MB at most."""
    assert sum(file.stat().st_size for file in shipped_folder().iterdir()) < 30_000_000


def test_a_heavy_post_stands_above_an_ordinary_one(encoder: Encoder) -> None:
    """Every scale tells a cry for help from bread, and the ordinary post is left alone."""
    heavy, plain = encoder.assess([HEAVY, PLAIN])
    assert heavy.risk.at_least(Risk.IDEATION) > 0.5 > 10 * plain.risk.at_least(Risk.IDEATION)
    assert heavy.severity.at_least(Severity.MODERATE) > 5 * plain.severity.at_least(Severity.MODERATE)
    assert heavy.relevance > 0.5 > plain.relevance
    assert plain.severity.level == Severity.MINIMAL


def test_disorders_are_told_apart(encoder: Encoder) -> None:
    """A post about panic attacks is anxiety, and no other of the nine stands higher."""
    (judged,) = encoder.assess([ANXIOUS])
    assert judged.disorders[Disorder.ANXIETY] > 0.5
    assert max(judged.disorders, key=lambda disorder: judged.disorders[disorder]) == Disorder.ANXIETY


def test_a_post_is_judged_by_itself(encoder: Encoder) -> None:
    """Neither the posts beside it, nor the batch size, nor the number of threads changes a probability."""
    alone = encoder.assess([HEAVY])
    among = encoder.assess([PLAIN, Document("", ORDINARY_PAGE * 40), HEAVY, ANXIOUS])
    assert among[2] == alone[0]
    assert Encoder.load(threads=1, batch_size=1).assess([PLAIN, HEAVY])[1] == alone[0]


def test_the_end_of_a_long_post_is_read(encoder: Encoder) -> None:
    """A cry for help after 40,000, or 800,000, ordinary characters counts as it would by itself."""
    page = (ORDINARY_PAGE * 500)[:40_000]
    bodies = [page, f"{page}\n\n{CRY}", f"{page * 20}\n\n{CRY}"]
    quiet, *loud = [judged.risk.at_least(Risk.IDEATION) for judged in encoder.assess([Document("", b) for b in bodies])]
    assert quiet < 0.01
    assert min(loud) > 0.5


def test_plain_words_at_the_end_of_a_long_post_are_found() -> None:
    """A single sentence, too short to move a window of the encoder, is found by the dictionary."""
    (judged,) = Hybrid.load().assess(
        [Document("The garden", (ORDINARY_PAGE * 500)[:40_000] + "I want to kill myself.")]
    )
    assert judged.risk.at_least(Risk.IDEATION) > 0.5


@pytest.mark.parametrize(
    "text", ["", " ", "\ud83d", "a" * 5000, "😞" * 400, "眠れない夜が続く", "\x00\x07", "http://x.test/" * 90]
)
def test_any_text_gets_a_judgement(encoder: Encoder, text: str) -> None:
    """Nothing a stranger writes ends the run: half a surrogate pair, one endless word, no word at all."""
    (judged,) = encoder.assess([Document("", text)])
    assert 0 <= judged.relevance <= 1
    assert sum(judged.risk.probs.values()) == pytest.approx(1, abs=1e-5)


def test_a_pupil_hears_what_is_served_before_short_posts_are_scaled_down(encoder: Encoder) -> None:
    """A few words are as grave to a pupil as its teacher's heads say, and a long post is as it is served."""
    said = asked(shipped_folder(), lambda line: None)([Document("", "I want to die"), HEAVY])
    served = encoder.probabilities([Document("", "I want to die"), HEAVY])
    assert said[0] == pytest.approx(served[0] * 16 / 4, rel=1e-5)
    assert said[1] == pytest.approx(served[1])


def test_an_empty_list_gives_an_empty_list(encoder: Encoder) -> None:
    """No documents, no judgements."""
    assert encoder.assess([]) == []


def test_threads_may_share_an_encoder(encoder: Encoder) -> None:
    """Calls at the same time get their own answers."""
    expected = {document: encoder.assess([document])[0] for document in (PLAIN, HEAVY, ANXIOUS)}
    wrong: list[Document] = []

    def work(document: Document) -> None:
        wrong.extend(document for _ in range(10) if encoder.assess([document])[0] != expected[document])

    threads = [threading.Thread(target=work, args=(document,)) for document in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_serving_needs_neither_torch_nor_transformers(encoder: Encoder) -> None:
    """Once the model is prepared, a judgement costs no heavy import."""
    del encoder  # prepares the model
    code = (
        "import sys; from models.hybrid import Hybrid; from models.document import Document; "
        "Hybrid.load().assess([Document('', 'hello there, how are you')]); "
        "print([name for name in ('torch', 'transformers', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_another_base_is_refused(tmp_path: Path) -> None:
    """Heads must never judge the vectors of an encoder they were not trained with."""
    for file in shipped_folder().iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    raw = json.loads((tmp_path / "nightlight.json").read_text(encoding="utf-8"))
    raw["base"]["sha256"] = "0" * 64
    (tmp_path / "nightlight.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ModelError, match=r"model\.safetensors is not the file"):
        Encoder.load(tmp_path)


def test_other_heads_are_refused(tmp_path: Path) -> None:
    """Those of another model of the same shape by their hash, and those of another width with no hash at all."""
    for file in shipped_folder().iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    heads = Heads.read(tmp_path / HEADS_FILE)
    manifest = Manifest.read(tmp_path)
    replace(manifest, heads_sha256=sha256_of(tmp_path / HEADS_FILE)).write(tmp_path)
    replace(heads, bias=heads.bias + 1).save(tmp_path / HEADS_FILE)
    with pytest.raises(ModelError, match=r"heads\.safetensors is not the file"):
        Encoder.load(tmp_path)
    replace(manifest, heads_sha256="", skim_sha256="").write(tmp_path)
    replace(heads, dense=heads.dense[:9]).save(tmp_path / HEADS_FILE)
    with pytest.raises(ModelError, match="another width"):
        Encoder.load(tmp_path)


def test_a_folder_with_its_own_base_is_served(tmp_path: Path, encoder: Encoder) -> None:
    """A model folder may carry config.json, tokenizer.json and model.safetensors itself, and judges the same."""
    for file in shipped_folder().iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).symlink_to(base_folder() / name)
    raw = json.loads((tmp_path / "nightlight.json").read_text(encoding="utf-8"))
    del raw["base"]["package"]
    (tmp_path / "nightlight.json").write_text(json.dumps(raw), encoding="utf-8")
    own = Encoder.load(tmp_path)
    assert own.assess([HEAVY])[0].risk == encoder.assess([HEAVY])[0].risk
    assert own.version != encoder.version


def test_a_damaged_cache_is_made_anew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-written or altered file in the cache is noticed by its hash, replaced, and the user is told."""
    monkeypatch.setenv("NIGHTLIGHT_CACHE_DIR", str(cache))
    told: list[str] = []
    file = prepare(progress=told.append)
    assert told == []
    whole = file.read_bytes()
    file.write_bytes(whole[:-1000])
    assert prepare(progress=told.append) == file
    assert len(told) == 1
    assert "\n" not in told[0]
    assert len(file.read_bytes()) == len(whole)
    assert [entry.name for entry in cache.iterdir()] == [file.parent.name]


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the trouble instead of a traceback."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NIGHTLIGHT_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot prepare the model"):
        prepare()


def test_the_judge_of_a_live_run_reads_every_language_and_names_its_versions() -> None:
    """It is the one that is set up in [model], and what it says of itself is what stands in every assessment."""
    judge = live_judge(Config().model)
    (judged,) = judge.assess([Document("", "Ich kann nicht mehr, ich will nicht mehr leben und möchte sterben.")])
    assert judged.language == "de"
    assert judged.versions == judge.versions
    assert set(judge.versions) == {"rules", "skim", "encoder", "terms"}


def test_the_hybrid_shows_its_evidence_and_versions() -> None:
    """A moderator sees which words counted, and which lexicon and heads judged."""
    (judged,) = Hybrid.load().assess([HEAVY])
    assert judged.risk.at_least(Risk.IDEATION) >= Manifest.read(shipped_folder()).rule_precision["ideation"]["ideation"]
    assert any(HEAVY.text[span.start : span.end].lower() == "i want to die" for span in judged.evidence)
    assert set(judged.versions) == {"rules", "skim", "encoder"}
    assert judged.versions["encoder"].startswith("minilm-heads ")
