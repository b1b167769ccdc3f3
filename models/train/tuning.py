"""Fine-tuning: many small steps of one network over lessons of several tasks, which can stop and go on at any step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from models.decision import distribution
from models.errors import ModelError
from models.heads import ADJACENT, OUTPUTS, TASKS
from models.onnx_export import Blueprint, load_encoder
from models.train.lessons import Lesson
from models.train.network import Batch, Network, Rarity, drop_dimensions, misfit
from models.windows import Windows

OnStep = Callable[[int, int, float], None]

# Yes and no about nine disorders, or four levels of risk, would be so many times as loud as one about relevance.
_LOUDNESS: Mapping[str, float] = {
    "relevance": 1.0,
    "disorders": 0.35,
    "severity": 1.0,
    "risk": 0.5,
    "stress": 1.0,
    "whole_severity": 1.0,
    "scheme": 0.0,
}
# One window of a post is judged by itself where one is enough: see `Heads`.
_BY_WINDOW = "risk"

_FARTHEST_PRIOR = 4.0

# An encoder of 768 dimensions, taught at the pace of one of 384, forgets what it knows before it has learned.
_RATE_BY_WIDTH = ((384, 1e-4), (768, 3e-5))
_RATE_OF_WIDER = 1e-5

_ANOTHER_LAYOUT = "{base} is not laid out like BERT, RoBERTa, MPNet or ELECTRA, and no other can be fine-tuned"

_CHECKPOINT = "checkpoint.safetensors"
_STEPS_PER_CHECKPOINT = 100
# Posts of like length are put together within so many steps: less padding, and no step of long posts alone.
_STEPS_SORTED = 25


@dataclass(frozen=True, slots=True)
class Plan:
    """How a network is fine-tuned. `lessons` and `base` are hashes of what it learns from and starts with.

    A post is read by `windows_per_post` of its windows, drawn anew each time, a user by `windows_per_user`. `passes`
    multiplies every lesson's appetite. Of lessons that name their own label the share `masked` is read without;
    `taught` is the teacher's share of what is learned where there is one; a rare answer counts up to `most_rise`
    times a frequent one.
    """

    base: str
    lessons: str
    seed: int
    depth: int = 6
    passes: float = 1.0
    posts_per_step: int = 32
    windows_per_post: int = 1
    windows_per_user: int = 5
    encoder_rate: float = 1e-4
    head_rate: float = 2e-3
    warm_up: float = 0.06
    sharpness: float = 8.0
    masked: float = 0.5
    taught: float = 0.5
    most_rise: float = 4.0


@dataclass(frozen=True, slots=True)
class Shape:
    """How many layers an encoder has, and how many dimensions."""

    depth: int
    width: int

    @classmethod
    def of(cls, base: Path) -> Shape:
        """That of a Hugging Face folder. Raises ModelError when it is none."""
        try:
            config = json.loads((base / "config.json").read_text(encoding="utf-8"))
            if not {"num_hidden_layers", "hidden_size"} <= config.keys():
                raise ModelError(_ANOTHER_LAYOUT.format(base=base))
            return cls(int(config["num_hidden_layers"]), int(config["hidden_size"]))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ModelError(f"{base} is no encoder: cannot read its config.json ({error!r})") from error

    @property
    def rate(self) -> float:
        """The `encoder_rate` that suits such an encoder."""
        return next((rate for width, rate in _RATE_BY_WIDTH if self.width <= width), _RATE_OF_WIDER)


@dataclass(frozen=True, slots=True)
class Tuned:
    """A network at the end of its run, and the loss of every step."""

    network: Network
    losses: Sequence[float]


def device_of_choice() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def computes_in_half(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the processor itself, and not imitated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # torch has no public name for it


def sharpness_of(plan: Plan) -> NDArray[np.float32]:
    """Each output's sharpness, (OUTPUTS,)."""
    sharpness = np.zeros(OUTPUTS, dtype=np.float32)
    sharpness[TASKS[_BY_WINDOW]] = plan.sharpness
    return sharpness


def tune(
    plan: Plan, lessons: Sequence[Lesson], blueprint: Blueprint, windows: Windows, run: Path, on_step: OnStep
) -> Tuned:
    """Fine-tunes the layers of `blueprint`; its word embeddings, and what widens them, stay as they are.

    `run` is a folder for checkpoints: a run that was stopped goes on at its last one, and ends with the same weights as
    one that was not, on the same machine. `on_step` hears the steps done, their number in all, and the loss. Raises
    ModelError when the base cannot be read, or when the checkpoint is one of another plan.
    """
    torch.manual_seed(plan.seed)
    encoder = encoder_of(blueprint)
    hidden = int(encoder.config.hidden_size)  # type: ignore[union-attr,arg-type]
    drop_dimensions(encoder)
    network = Network(encoder, hidden, torch.from_numpy(sharpness_of(plan)))
    for parameter in _embeddings(network):
        parameter.requires_grad_(False)
    rarity, priors = priors_of(lessons, plan.most_rise)
    # Else the encoder would have to learn what is common, from which biases are far at their pace.
    network.dense.bias.data = torch.from_numpy(priors)
    device = device_of_choice()
    rarity = rarity.to(device)
    half = computes_in_half(device)
    network.to(device).train()
    optimiser = _optimiser(network, plan)
    order = reading_order(appetites(lessons, plan.passes), plan, [_length(each) for each in lessons])
    loudness = np.ones(OUTPUTS, dtype=np.float32)
    for task, columns in TASKS.items():
        loudness[columns] = _LOUDNESS[task]
    losses = _resume(run, plan, network, optimiser)
    for step in range(len(losses), len(order)):
        torch.manual_seed(plan.seed * 1_000_003 + step)  # dropout, the same wherever a run was stopped
        rng = np.random.default_rng([plan.seed, step])
        read = [lessons[at] for at in order[step]]
        batch = _batch(read, plan, windows, rng).to(device)
        targets, weights = (torch.from_numpy(each).to(device) for each in _taught(read, plan, loudness))
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * _pace(step, len(order), plan.warm_up)
        optimiser.zero_grad(set_to_none=True)
        loss = misfit(network(batch, half), targets, weights, rarity)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.encoder.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        if (step + 1) % _STEPS_PER_CHECKPOINT == 0 or step + 1 == len(order):
            _keep(run, plan, network, optimiser, losses)
        on_step(step + 1, len(order), losses[-1])
    return Tuned(network.to("cpu").eval(), losses)


def encoder_of(blueprint: Blueprint) -> torch.nn.Module:
    """The encoder that is to be fine-tuned. Raises ModelError when it cannot be read, or cannot be learned in parts."""
    try:
        return load_encoder(blueprint, attention_probs_dropout_prob=0.0)
    except TypeError as error:  # a setting that all of this layout have, and no others
        raise ModelError(_ANOTHER_LAYOUT.format(base=blueprint.base)) from error
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelError(f"cannot read the encoder in {blueprint.base}: {error}") from error


def reading_order(hunger: Sequence[float], plan: Plan, lengths: Sequence[int]) -> list[NDArray[np.int64]]:
    """Which lessons each step reads: every lesson as often as its appetite says, one that is no whole number by chance.

    The readings of a lesson are spread over the run.
    """
    rng = np.random.default_rng(plan.seed)
    times = times_read(hunger, rng)
    most = max(int(times.max()), 1)
    # The i-th of n readings falls somewhere into the i-th of n equal parts of the run.
    owner = np.repeat(np.arange(len(times)), times)
    nth = np.concatenate([np.arange(count) for count in times]) if most else np.empty(0)
    moment = (nth + rng.random(len(owner))) / times[owner]
    queue = owner[np.argsort(moment, kind="stable")]
    steps: list[NDArray[np.int64]] = []
    length = np.array(lengths)
    stretch = plan.posts_per_step * _STEPS_SORTED
    for start in range(0, len(queue), stretch):
        part = queue[start : start + stretch]
        part = part[np.argsort(length[part], kind="stable")]
        batches = [part[at : at + plan.posts_per_step] for at in range(0, len(part), plan.posts_per_step)]
        steps += [batches[at] for at in rng.permutation(len(batches))]
    return steps


def appetites(lessons: Sequence[Lesson], passes: float) -> list[float]:
    """How often each lesson is to be read."""
    return [lesson.appetite * passes for lesson in lessons]


def times_read(hunger: Sequence[float], rng: np.random.Generator) -> NDArray[np.int64]:
    """How often `reading_order` reads each lesson of these appetites, if `rng` begins with the seed of its plan."""
    wanted = np.array(hunger)
    times: NDArray[np.int64] = np.floor(wanted).astype(np.int64) + (rng.random(len(wanted)) < wanted % 1)
    return times


def _length(lesson: Lesson) -> int:
    return max(map(len, lesson.windows))


def _batch(read: Sequence[Lesson], plan: Plan, windows: Windows, rng: np.random.Generator) -> Batch:
    posts = [
        lesson.masked if lesson.masked is not None and rng.random() < plan.masked else lesson.windows for lesson in read
    ]
    most = [plan.windows_per_user if lesson.of_user else plan.windows_per_post for lesson in read]
    chosen = [rng.permutation(len(post))[:count].tolist() for post, count in zip(posts, most, strict=True)]
    return Batch.of(posts, chosen, windows)


def _taught(
    read: Sequence[Lesson], plan: Plan, loudness: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Targets mixed with what a teacher says of the same outputs, and how much each counts."""
    targets = np.stack([lesson.targets for lesson in read])
    soft = np.stack([lesson.soft for lesson in read])
    mixed = np.where(np.isnan(soft), targets, (1 - plan.taught) * targets + plan.taught * soft)
    return mixed.astype(np.float32), np.stack([lesson.weights for lesson in read]) * loudness


def priors_of(lessons: Sequence[Lesson], most_rise: float) -> tuple[Rarity, NDArray[np.float32]]:
    """What rare answers count, and the outputs (OUTPUTS,) that fit best what is so read if nothing is known of a post.

    A rare answer counts the root of how much rarer it is than others, `most_rise` times at most, so that it is neither
    drowned nor shouted.
    """
    targets = np.stack([lesson.targets for lesson in lessons])
    appetite = np.array([[lesson.appetite] for lesson in lessons])
    ones, zeros = (((targets == value) * appetite).sum(axis=0) for value in (1, 0))
    rise = np.clip(np.sqrt(np.maximum(zeros, 1) / np.maximum(ones, 1)), 1, most_rise)
    prior = np.log((ones * rise + 1) / (zeros + 1))
    levels = {}
    for task in ADJACENT:
        columns = TASKS[task]
        known = ~np.isnan(targets[:, columns]).any(axis=1)
        read = (distribution(targets[known, columns]) * appetite[known]).sum(axis=0) + 1
        rare = np.minimum(np.sqrt(read.max() / read), most_rise)
        # On the average a reading counts once.
        levels[task] = torch.from_numpy((rare * read.sum() / (rare * read).sum()).astype(np.float32))
        prior[columns] = np.diff(np.log(rare * read))
    rarity = Rarity(torch.from_numpy(rise.astype(np.float32)), levels)
    return rarity, np.clip(prior, -_FARTHEST_PRIOR, _FARTHEST_PRIOR).astype(np.float32)


def _pace(step: int, steps: int, warm_up: float) -> float:
    """The share of its rate at which a step learns: up to 1, then down to nearly 0, both evenly."""
    warm = max(1, round(steps * warm_up))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)


def _embeddings(network: Network) -> Iterator[torch.nn.Parameter]:
    """Also ELECTRA's projection, which is no layer: a model folder holds layers alone."""
    return (each for name, each in network.encoder.named_parameters() if name.startswith("embeddings"))


def _optimiser(network: Network, plan: Plan) -> torch.optim.AdamW:
    encoder = [parameter for parameter in network.encoder.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": encoder, "rate": plan.encoder_rate, "weight_decay": 0.01},
            {"params": list(network.dense.parameters()), "rate": plan.head_rate, "weight_decay": 0.01},
        ],
        lr=plan.encoder_rate,
    )


def _keep(run: Path, plan: Plan, network: Network, optimiser: torch.optim.AdamW, losses: Sequence[float]) -> None:
    """One file, put in place whole: a run that is stopped while it writes goes on from the one before."""
    tensors = {f"network.{name}": tensor for name, tensor in _learned(network).items()}
    for at, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{at}.{name}": tensor for name, tensor in state.items()}
    run.mkdir(parents=True, exist_ok=True)
    new = run / f"{_CHECKPOINT}.new"
    stated = {"plan": json.dumps(asdict(plan)), "losses": json.dumps(list(losses))}
    save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, new, metadata=stated)
    new.replace(run / _CHECKPOINT)


def _learned(network: Network) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in network.state_dict().items() if ".embeddings." not in name}


def check_run(run: Path, plan: Plan | None) -> None:
    """Raises ModelError when `run` holds a checkpoint that is damaged, or not of this plan; None is a run without."""
    file = run / _CHECKPOINT
    if not file.exists():
        return
    try:
        with safe_open(file, framework="pt") as stored:
            known = json.loads(stored.metadata()["plan"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} is damaged ({error}); remove it to begin anew") from error
    if plan is None or known != asdict(plan):
        raise ModelError(f"{run} holds a run of other data or settings; name another folder with --run")


def _resume(run: Path, plan: Plan, network: Network, optimiser: torch.optim.AdamW) -> list[float]:
    """Puts the last checkpoint's state into network and optimiser; the losses so far, none when there is none."""
    check_run(run, plan)
    file = run / _CHECKPOINT
    if not file.exists():
        return []
    with safe_open(file, framework="pt") as stored:
        losses = json.loads(stored.metadata()["losses"])
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - it is no mapping
    network.load_state_dict(
        {name.removeprefix("network."): tensor for name, tensor in tensors.items() if name.startswith("network.")},
        strict=False,
    )
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, at, part = name.split(".", 2)
            state.setdefault(int(at), {})[part] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return [float(loss) for loss in losses]
