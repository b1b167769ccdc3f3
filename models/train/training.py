"""From labelled posts to a model folder, its card and the record of the run."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from models.assessment import Band, Classifier
from models.document import Document
from models.encoder import (
    HEADS_FILE,
    LAYERS_FILE,
    MANIFEST_FILE,
    SHIPPED_BASE,
    UNMEASURED,
    Backend,
    Encoder,
    Manifest,
    Reader,
    base_folder,
)
from models.errors import DataError, ModelError
from models.heads import OUTPUTS, TASKS, Bag, Encoded, Floats, Heads
from models.hybrid import Hybrid
from models.labels import Risk, Severity
from models.onnx_export import Blueprint, Progress, onnx_file, sha256_of
from models.rules import Rules
from models.scorecard import CSSRS, SUICIDE, judge_rows
from models.skim import SKIM_FILE
from models.train import card, record
from models.train.calibrate import Sheet, band_of_doubt, calibrate
from models.train.data import FOLDS, INVENTED, OPINIONS, Example, Opinion, files_of, load
from models.train.fit import (
    FEATURES,
    WINDOW_TOKENS,
    WINDOWS,
    count_words,
    fit_heads,
    uncalibrated,
    with_tasks_of,
)
from models.train.lessons import Lesson, lessons_of
from models.train.skim import Measured as Skimmed
from models.train.skim import add_skim, check_skim
from models.train.tuning import (
    OnStep,
    Plan,
    Shape,
    appetites,
    check_run,
    device_of_choice,
    encoder_of,
    sharpness_of,
    times_read,
    tune,
)
from models.windows import Windows

# From posts to the probabilities of every output, (posts, OUTPUTS).
Ask = Callable[[Sequence[Document]], Floats]

HELD_FOLD = 0
# Nobody knows the truth of these.
_UNMEASURED = (INVENTED, OPINIONS)
_POSTS_AT_ONCE = 256
_CARD = "card.md"
_BASE_FILES = ("config.json", "tokenizer.json", "model.safetensors")
# The network has read all rows of these so often that heads fitted on its vectors of them would trust it too much. Of
# the other tasks it reads most rows never, and its own heads see no words.
_OFTEN_READ = frozenset({"severity", "whole_severity", "stress"})
# Words do not flatter: they are fitted by themselves, beside what the network makes of whole posts, which are long. In
# the short excerpts of the other two they tell nothing more.
_BY_WORDS = frozenset({"whole_severity"})


@dataclass(frozen=True, slots=True)
class Course:
    """What a training run is asked for.

    `base` is the folder of a Hugging Face encoder, None the one in the box, whose first `depth` layers are fine-tuned
    (None: all) at the learning rate `rate` (None: what suits an encoder of its width).
    `teacher` is a model folder, or None, whose judgement of the same posts is learned beside their labels. `layers` is
    one whose fine-tuned layers over the same base are taken as they are, so that no more than the heads are made anew;
    it must have been made of the same data with the same seed. `run` is the folder of checkpoints and records. `passes`
    multiplies how often every post is read. `frozen` leaves the encoder as it is and fits heads alone, which takes
    minutes. `skim` adds a first look (see `models.skim`). `whole` learns once more when the figures are taken, then
    from the rows kept apart too. For the record, `archive` and `labels` are the files that opinions come from.
    """

    data: Path
    out: Path
    run: Path
    base: Path | None = None
    teacher: Path | None = None
    layers: Path | None = None
    depth: int | None = None
    rate: float | None = None
    passes: float = 1.0
    seed: int = 20
    frozen: bool = False
    skim: bool = False
    whole: bool = False
    archive: Path | None = None
    labels: Path | None = None


def train(course: Course, progress: Progress, on_step: OnStep, opinions: Sequence[Opinion] = ()) -> None:
    """Fine-tunes, calibrates and measures a network; writes the model folder `out` with its card, and the record.

    `opinions` are learned from beside the data, and no figure is of them. With `Course.whole` the folder holds a second
    network in the end, and the figures are those of the first.

    The same data, base, teacher and seed give the same weights on one machine, also when the run was stopped and begun
    again with the same folders. Raises DataError for unsound data, ModelError when the base or the teacher cannot be
    read, a folder cannot be written, or `run` holds another run.
    """
    _check(course, course.out, course.run)
    examples = _read(course, progress, opinions)
    _check_split(course, examples, None, HELD_FOLD)
    measurable = [example for example in examples if example.set_name not in _UNMEASURED]
    if course.skim:
        check_skim(measurable)
    held = [example for example in measurable if example.fold == HELD_FOLD]

    def make(learning: Sequence[Example], run: Path) -> tuple[Skimmed, Skimmed] | None:
        _fit(course, learning, held, course.out, run, progress, on_step)
        if not course.skim:
            return None
        progress("Fitting the skim")
        return add_skim(course.out, measurable)

    skims = make([example for example in examples if example.fold not in (None, HELD_FOLD)], course.run)
    progress("Measuring on the rows kept apart")
    measured = card.measure(course.out, [example for example in measurable if example.fold is None])
    record.write(course.run, measured)
    if course.whole:
        progress("Learning once more, now also from the rows kept apart")
        make([example for example in examples if example.fold != HELD_FOLD], course.run / "whole")
    text = card.write(course.out, record.read(course.run), measured, skims, examples)
    (course.out / _CARD).write_text(text, encoding="utf-8")


def cross_validate(
    course: Course, folds: int, progress: Progress, on_step: OnStep, opinions: Sequence[Opinion] = ()
) -> None:
    """`folds` (2 to 5) networks, each measured on one fifth of the rows that it neither learned from nor was calibrated
    on; every figure of each, and the means, go into the record. No model is kept. Raises as `train` does."""
    _check(course, course.run)
    examples = _read(course, progress, opinions)
    for fold in range(folds):
        _check_split(course, examples, fold, _held_beside(fold))
    measurable = [example for example in examples if example.set_name not in _UNMEASURED]
    results = []
    for fold in range(folds):
        progress(f"Fold {fold + 1} of {folds}")
        run = course.run / f"fold-{fold + 1}"
        beside = _held_beside(fold)
        learning = [example for example in examples if example.fold not in (None, fold, beside)]
        held = [example for example in measurable if example.fold == beside]
        _fit(course, learning, held, run / "model", run, progress, on_step)
        results.append(card.measure(run / "model", [example for example in measurable if example.fold == fold]))
        record.write(run, results[-1])
        shutil.rmtree(run / "model")
    record.write_folds(course.run, results)


def _check(course: Course, *folders: Path) -> None:
    """What would otherwise end a run after an hour. Raises ModelError."""
    for folder, what in ((course.base, "base"), (course.layers, "layers")):
        if folder is not None and folder.resolve() == course.out.resolve():
            raise ModelError(f"{course.out} is the folder of the {what}; name another one for the model with --out")
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ModelError(f"cannot write into {folder}: {error.strerror}") from error
    base = course.base or base_folder()
    if course.layers is not None:
        _known_layers(course.layers, base)
    elif not course.frozen:
        shape = Shape.of(base)
        encoder_of(Blueprint(base, "", (f"mean {course.depth or shape.depth}",)))


def _held_beside(fold: int) -> int:
    return (fold + 1) % FOLDS


def _check_split(course: Course, examples: Sequence[Example], hidden: int | None, held: int) -> None:
    """Raises DataError when chance left a part of a few rows empty: what is hidden is measured on."""
    rows = Counter(example.fold for example in examples if example.set_name not in _UNMEASURED)
    learned = sum(count for fold, count in rows.items() if fold not in (None, hidden, held))
    for count, part in ((learned, "learn from"), (rows[held], "calibrate on"), (rows[hidden], "measure on")):
        if not count:
            raise DataError(f"{course.data}: of so few rows none is left to {part}; add some, or try another --seed")


def _read(course: Course, progress: Progress, opinions: Sequence[Opinion]) -> list[Example]:
    examples = load(course.data, course.seed, opinions)
    counts = Counter(example.set_name for example in examples)
    progress("Read labelled posts: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    return examples


def _fit(
    course: Course,
    learning: Sequence[Example],
    held: Sequence[Example],
    out: Path,
    run: Path,
    progress: Progress,
    on_step: OnStep,
) -> None:
    """Learns from some rows, calibrates on others, and writes the model folder."""
    base = course.base or base_folder()
    windows = Windows(base / "tokenizer.json", WINDOW_TOKENS, WINDOWS)
    out.mkdir(parents=True, exist_ok=True)
    if course.frozen:
        _begin(course, run, None)
        blueprint = Blueprint(base, sha256_of(base / "model.safetensors"), FEATURES)
        heads = _fitted_heads(blueprint, learning, windows, progress)
        _clear(out)
    elif course.layers is not None:
        _begin(course, run, None)
        blueprint, heads = _on_known_layers(course.layers, base, learning, windows, progress)
        _clear(out)
        shutil.copyfile(course.layers / LAYERS_FILE, out / LAYERS_FILE)
    else:
        blueprint, heads = _on_tuned_layers(course, base, learning, windows, out, run, progress, on_step)
    if course.base is not None:
        for name in _BASE_FILES:
            shutil.copyfile(base / name, out / name)
    progress("Measuring the dictionary's precision")
    rules = Rules.load()
    manifest = Manifest(
        name="minilm" if course.base is None else out.name,
        package=SHIPPED_BASE if course.base is None else None,
        base_sha256=blueprint.base_sha256,
        tokenizer_sha256=sha256_of(base / "tokenizer.json"),
        layers_sha256=blueprint.layers_sha256,
        features=blueprint.features,
        window_tokens=WINDOW_TOKENS,
        windows=WINDOWS,
        rule_precision=rule_precision(learning, rules),
        whole=any(example.fold is None for example in learning),
    )
    progress("Calibrating on rows it did not learn from")
    reader = Reader(windows, onnx_file(blueprint, progress))
    heads_file = out / HEADS_FILE
    calibrate(heads, _sheet(heads, reader, held)).save(heads_file)
    served = Encoder(reader, Heads.read(heads_file), manifest, manifest.name)
    unsure = measured_doubt(Hybrid(rules, served), held)
    replace(manifest, unsure=unsure or UNMEASURED, heads_sha256=sha256_of(heads_file)).write(out)


def _begin(course: Course, run: Path, plan: Plan | None) -> None:
    """The record of a run that is there already says how that one was made, so another is refused first."""
    check_run(run, plan)
    base, teacher, layers = course.base or base_folder(), course.teacher, course.layers
    inputs = {
        "data": files_of(course.data),
        "base": [base / name for name in _BASE_FILES],
        "teacher": [] if teacher is None else [teacher / MANIFEST_FILE, teacher / HEADS_FILE],
        "layers": [] if layers is None else [layers / LAYERS_FILE, layers / HEADS_FILE],
        "opinions": [file for file in (course.archive, course.labels) if file is not None],
    }
    record.begin(course.run, asdict(course), None if plan is None else asdict(plan), inputs)


def _clear(out: Path) -> None:
    """Takes the model of an earlier run away: what this one does not write must not be served, or read, beside it.

    The manifest goes first, and is what is written last: a folder of a run that was stopped between is no model.
    """
    for name in (MANIFEST_FILE, _CARD, SKIM_FILE, HEADS_FILE, LAYERS_FILE):
        (out / name).unlink(missing_ok=True)


def _on_tuned_layers(
    course: Course,
    base: Path,
    learning: Sequence[Example],
    windows: Windows,
    out: Path,
    run: Path,
    progress: Progress,
    on_step: OnStep,
) -> tuple[Blueprint, Heads]:
    """Layers and heads learned together; the layers lie in `out` afterwards."""
    shape = Shape.of(base)
    depth, rate = course.depth or shape.depth, course.rate or shape.rate
    blueprint = Blueprint(base, sha256_of(base / "model.safetensors"), (f"mean {depth}",))
    ask = None if course.teacher is None else asked(course.teacher, progress)
    lessons = lessons_of(learning, windows)
    if ask is not None:
        read = times_read(appetites(lessons, course.passes), np.random.default_rng(course.seed)) > 0
        lessons = taught(lessons, learning, read, ask)
    bag = count_words([Encoded(np.zeros((1, 1), np.float32), lesson.windows) for lesson in lessons])
    plan = Plan(blueprint.base_sha256, _digest(lessons), course.seed, depth, course.passes, encoder_rate=rate)
    _begin(course, run, plan)
    tuned = tune(plan, lessons, blueprint, windows, run, on_step)
    record.losses(run, tuned.losses)
    layers = {name: tensor.half().contiguous() for name, tensor in tuned.network.encoder.encoder.state_dict().items()}  # type: ignore[union-attr]
    _clear(out)
    save_file(layers, out / LAYERS_FILE)
    heads = _heads(tuned.network.dense, bag, plan)
    blueprint = replace(blueprint, layers=out / LAYERS_FILE, layers_sha256=sha256_of(out / LAYERS_FILE))
    fitted = _fitted_heads(blueprint, learning, windows, progress, bag, TASKS.keys() - _OFTEN_READ, _BY_WORDS)
    return blueprint, with_tasks_of(fitted, heads, _OFTEN_READ)


def _known_layers(layers: Path, base: Path) -> Blueprint:
    """The encoder of a model folder. Raises ModelError when its layers are not of this base, or there are none, or they
    learned from the rows that are kept apart."""
    manifest = Manifest.read(layers)
    if not manifest.layers_sha256:
        raise ModelError(f"{layers} has no layers of its own; --frozen fits heads over the base as it is")
    if manifest.whole:
        raise ModelError(f"{layers} learned from the rows that are kept apart: they could not be measured on")
    if manifest.base_sha256 != sha256_of(base / "model.safetensors"):
        raise ModelError(f"{layers} has layers of another base than {base}; name the right one with --base")
    return replace(manifest.blueprint(layers), base=base)


def _on_known_layers(
    layers: Path, base: Path, learning: Sequence[Example], windows: Windows, progress: Progress
) -> tuple[Blueprint, Heads]:
    """The layers of a model folder with its network's own heads, and all others made anew."""
    blueprint, own = _known_layers(layers, base), Heads.read(layers / HEADS_FILE)
    # Those that have their words keep them.
    by_words = [task for task in _BY_WORDS if not own.words[:, TASKS[task]].any()]
    fitted = _fitted_heads(blueprint, learning, windows, progress, own.bag, TASKS.keys() - _OFTEN_READ, by_words)
    return blueprint, with_tasks_of(fitted, own, _OFTEN_READ)


def _fitted_heads(
    blueprint: Blueprint,
    learning: Sequence[Example],
    windows: Windows,
    progress: Progress,
    bag: Bag | None = None,
    tasks: Collection[str] = frozenset(TASKS),
    by_words: Collection[str] = frozenset(),
) -> Heads:
    """Heads fitted to the end over an encoder that no longer changes; see `fit_heads`."""
    reader = Reader(windows, onnx_file(blueprint, progress))
    documents = list(dict.fromkeys(document for example in learning for document in example.documents))
    encoded: dict[Document, Encoded] = {}
    for start in range(0, len(documents), _POSTS_AT_ONCE):
        batch = documents[start : start + _POSTS_AT_ONCE]
        encoded.update(zip(batch, reader.read([document.text for document in batch]), strict=True))
        if start % (20 * _POSTS_AT_ONCE) == 0:
            progress(f"Encoded {start:,} of {len(documents):,} posts")
    posts = [_as_one([encoded[document] for document in example.documents]) for example in learning]
    progress("Fitting the heads")
    targets, weights = (np.stack([getattr(example, name) for example in learning]) for name in ("targets", "weights"))
    return fit_heads(posts, targets, weights, bag, {*tasks, *by_words}, by_words)


def _as_one(posts: Sequence[Encoded]) -> Encoded:
    """The posts of a user as the windows of one."""
    return Encoded(np.concatenate([post.vectors for post in posts]), [part for post in posts for part in post.tokens])


def _heads(dense: torch.nn.Linear, bag: Bag, plan: Plan) -> Heads:
    """The network's own heads, to which no word counts by itself."""
    return uncalibrated(
        dense=dense.weight.detach().numpy().T.copy(),
        words=np.zeros((len(bag.ids), OUTPUTS), np.float32),
        bias=dense.bias.detach().numpy().copy(),
        bag=bag,
        sharpness=sharpness_of(plan),
    )


def _sheet(heads: Heads, reader: Reader, examples: Sequence[Example]) -> Sheet:
    """What the int8 encoder, which will serve, makes of every post."""
    texts = [document.text for example in examples for document in example.documents]
    scores = [
        heads.scores(list(reader.read(texts[start : start + _POSTS_AT_ONCE])))
        for start in range(0, len(texts), _POSTS_AT_ONCE)
    ]
    starts = np.cumsum([0, *(len(example.documents) for example in examples[:-1])])
    return Sheet(examples, np.concatenate(scores), starts)


def taught(lessons: Sequence[Lesson], examples: Sequence[Example], read: NDArray[np.bool_], ask: Ask) -> list[Lesson]:
    """The lessons with what a teacher says of every output that the labels speak of.

    It is asked about the posts whose lessons are `read`; of users, who are labelled as a whole, it says nothing.
    """
    documents = list({example.documents: None for example in examples})
    places = [at for at, posts in enumerate(documents) if read[at] and len(posts) == 1]
    soft = np.full((len(lessons), OUTPUTS), np.nan, dtype=np.float32)
    if places:
        soft[places] = ask([documents[at][0] for at in places])
    return [
        replace(lesson, soft=np.where(np.isnan(lesson.targets), np.nan, said))
        for lesson, said in zip(lessons, soft, strict=True)
    ]


def asked(teacher: Path, progress: Progress) -> Ask:
    """What a model folder says, and how far it is. Raises ModelError."""
    backend: Backend = "torch" if device_of_choice().type == "cuda" else "onnx"
    encoder = Encoder.load(teacher, progress=progress, backend=backend)

    def ask(documents: Sequence[Document]) -> Floats:
        said = []
        for start in range(0, len(documents), _POSTS_AT_ONCE):
            if start % (20 * _POSTS_AT_ONCE) == 0:
                progress(f"Asked the teacher about {start:,} of {len(documents):,} posts")
            said.append(encoder.unscaled(documents[start : start + _POSTS_AT_ONCE]))
        return np.concatenate(said)

    return ask


def _digest(lessons: Sequence[Lesson]) -> str:
    digest = sha256()
    for lesson in lessons:
        for tokens in (*lesson.windows, *(lesson.masked or ())):
            digest.update(tokens.tobytes())
        for values in (lesson.targets, lesson.weights, np.round(lesson.soft, 3)):
            digest.update(values.tobytes())
        digest.update(str(lesson.appetite).encode())
    return digest.hexdigest()


def measured_doubt(served: Classifier, held: Sequence[Example]) -> Band | None:
    """The band of doubt about ideation among the users whose risk people labelled; None when they tell nothing.

    A user counts by the gravest of their posts, and live a post stands alone: so the posts of a subreddit about suicide
    count as well where it is about what is missed.
    """
    users = [example.row for example in held if example.set_name == "risk_cssrs"]
    posts = [example.row for example in held if example.set_name == "risk_binary" and example.row.labels[0] == SUICIDE]
    if not users:
        return None
    likely = judge_rows(served, [*users, *posts]).risk[:, Risk.IDEATION.rank]
    grave = np.array([CSSRS[row.labels[0]] >= Risk.IDEATION for row in users])
    return band_of_doubt(likely[: len(users)], grave, likely[len(users) :])


def rule_precision(examples: Sequence[Example], rules: Rules) -> dict[str, dict[str, float]]:
    """How often a text with an explicit statement of risk stands at each level of risk and severity or above.

    Only labels that people gave to texts count: a subreddit's name cannot contradict a sentence. Laplace's rule of
    succession keeps a share of few rows from 0 and 1.
    """
    precision: dict[str, dict[str, float]] = {level.value: {} for level in list(Risk)[1:]}
    scales: tuple[tuple[str, type[Risk | Severity], Mapping[str, Risk | Severity]], ...] = (
        ("risk_cssrs", Risk, CSSRS),
        ("severity4", Severity, {level.value: level for level in Severity}),
    )
    for name, scale, level_of in scales:
        own = [example for example in examples if example.set_name == name]
        explicit = [rules.annotate(example.row.document).explicit_risk for example in own]
        true = np.array([level_of[example.row.labels[0]].rank for example in own], dtype=np.int64)
        for level, shares in precision.items():
            of_level = true[np.array([found == level for found in explicit], dtype=bool)]
            for reached in list(scale)[1:]:
                # A statement says nothing of a risk above its own.
                if scale is Severity or Risk(reached) <= Risk(level):
                    shares[reached.value] = round((int(np.sum(of_level >= reached.rank)) + 1) / (len(of_level) + 2), 3)
    return precision
