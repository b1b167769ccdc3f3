"""The TOML file of an experiment; an unknown key is an error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from bot.config import Address, Config, Llm, Model, Probability, band_of, read
from models.consensus import Method
from models.labels import Task

# Names become file names, and are shown on terminals and pages.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+]*(-[A-Za-z0-9._+]+)*$", max_length=40)]

PEOPLE = "people"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AnnotatorSettings(_Section):
    """Somebody who labels the posts."""

    name: Name = Field(description="what the report calls this annotator")
    kind: Literal["rules", "encoder", "hybrid", "llm"] = Field(
        description="the dictionary, the encoder, both as in a live run, or a language model"
    )
    folder: Path | None = Field(None, description="encoder, hybrid: a model folder; left out: the model in the box")
    base_url: Address | None = Field(None, description="llm: the server, up to and with its /v1")
    model: str = Field("", description="llm: the model's name, as the server calls it")
    prompt: str = Field("zero_shot", description="llm: a prompt of prompts/")
    key_from: str = Field(
        "",
        pattern=r"^(NIGHTLIGHT_LLM_API_KEY(_[A-Z0-9_]+)?)?$",
        description="llm: the environment variable with this server's key; left out: it gets none",
    )
    concurrency: int = Field(16, ge=1, le=1024, description="llm: posts under way at once")
    timeout_seconds: float = Field(60.0, gt=0, description="llm: how long one answer may take")
    prompt_price_per_million: float = Field(0.0, ge=0, description="llm: what a million tokens of prompt cost")
    completion_price_per_million: float = Field(0.0, ge=0, description="llm: what a million tokens of answer cost")
    second: Name | None = Field(
        None, description="hybrid: the llm annotator that reads again what is in doubt, and can only raise a level"
    )
    unsure_from: Probability | None = Field(
        None,
        description="hybrid: in doubt is a post as likely at ideation as this ...; left out: where the model was "
        "measured to be unsure",
    )
    unsure_to: Probability | None = Field(
        None, description="hybrid: ... and less than this, or a dispute about any risk"
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> AnnotatorSettings:
        if self.kind == "llm" and not (self.base_url and self.model):
            raise ValueError(f"{self.name} needs base_url and model")
        if self.second and self.kind != "hybrid":
            raise ValueError(f"{self.name} is no hybrid, so it has no second reader")
        band_of(self.unsure_from, self.unsure_to)
        return self

    @property
    def is_independent(self) -> bool:
        """Whether it has a vote in a consensus: a hybrid only repeats what others say."""
        return self.kind != "hybrid"

    def api_key(self, environ: Mapping[str, str] = os.environ) -> SecretStr:
        """This server's key, and no other server's."""
        return SecretStr(environ.get(self.key_from, "") if self.key_from else "")


class ModelSettings(_Section):
    """A kind of model that is trained on the labels of each annotator in turn."""

    name: Name = Field(description="what the report calls this model")
    learner: Literal["fine-tuned", "heads", "words"] = Field(
        description="fine-tuned: an encoder whose layers learn too; heads: linear heads over a frozen encoder; "
        "words: weighed words and logistic regression"
    )
    base: Path | None = Field(
        None, description="the folder of a Hugging Face encoder for the first two; left out: the one in the box"
    )


class People(_Section):
    """What people say of the posts, or of some."""

    file: Path = Field(description="a file of labels, or with task labelled rows as evaluate reads them")
    task: Literal[Task.RELEVANCE, Task.DISORDERS, Task.SEVERITY] | None = Field(
        None, description="what the rows are labelled for; left out: it is a file of labels"
    )
    source: str = Field("", description="with task: the rows of this source alone; empty: all")


class Experiment(_Section):
    """Everything that makes an experiment. `folder` is where it lies."""

    posts: Path = Field(description="an archive of posts, as for replay")
    out: Path = Field(description="the folder for everything that is made; no text comes into it")
    limit: int | None = Field(
        None, ge=10, description="so many posts at most, those that people labelled first; left out: all"
    )
    seed: int = Field(20, ge=0, description="fixes the posts drawn, the folds and the intervals")
    annotators: tuple[AnnotatorSettings, ...] = Field(min_length=1, description="who labels the posts")
    consensus: tuple[Method, ...] = Field((), description="how the annotators are merged into further ones")
    models: tuple[ModelSettings, ...] = Field((), description="what is trained on the labels of each")
    people: People | None = Field(None, description="what all are held against")

    @model_validator(mode="after")
    def _names_fit(self) -> Experiment:
        labellers = [each.name for each in self.annotators] + [str(method) for method in self.consensus] + [PEOPLE]
        for names in (labellers, [each.name for each in self.models]):
            folded = [name.casefold() for name in names]
            if twice := next((name for name in names if folded.count(name.casefold()) > 1), None):
                raise ValueError(f"the name {twice} is there twice (people and the methods of consensus are names too)")
        known = {each.name for each in self.annotators if each.kind == "llm"}
        for each in self.annotators:
            if each.second and each.second not in known:
                raise ValueError(f"{each.name}: there is no llm annotator {each.second}")
        if self.consensus and sum(each.is_independent for each in self.annotators) < 2:
            raise ValueError("a consensus takes two annotators or more, hybrids not counted")
        return self

    @property
    def voters(self) -> tuple[str, ...]:
        """The annotators that a consensus is made of."""
        return tuple(each.name for each in self.annotators if each.is_independent)

    def annotator(self, name: str) -> AnnotatorSettings:
        """The annotator of that name."""
        return next(each for each in self.annotators if each.name == name)

    def config(self, annotator: AnnotatorSettings, cache: Path) -> Config:
        """The bot's configuration with an annotator, or its second reader, in [llm]; answers are kept in `cache`."""
        server = self.annotator(annotator.second) if annotator.second else annotator
        llm = Llm(
            base_url=server.base_url,
            model=server.model,
            prompt=server.prompt,
            concurrency=server.concurrency,
            timeout_seconds=server.timeout_seconds,
            prompt_price_per_million=server.prompt_price_per_million,
            completion_price_per_million=server.completion_price_per_million,
            unsure_from=annotator.unsure_from,
            unsure_to=annotator.unsure_to,
            cache=cache,
        )
        return Config(llm=llm, model=Model(path=annotator.folder))


def load(path: Path) -> Experiment:
    """Reads the file; relative paths in it count from its folder. Raises ConfigError with one line."""
    experiment = read(path, Experiment)
    base = path.resolve().parent
    return experiment.model_copy(
        update={
            "posts": base / experiment.posts,
            "out": base / experiment.out,
            "annotators": tuple(
                each.model_copy(update={"folder": base / each.folder}) if each.folder else each
                for each in experiment.annotators
            ),
            "models": tuple(
                each.model_copy(update={"base": base / each.base}) if each.base else each for each in experiment.models
            ),
            "people": experiment.people
            and experiment.people.model_copy(update={"file": base / experiment.people.file}),
        }
    )
