"""config.toml and the secrets in the environment, read once into one frozen Config; an unknown key is an error."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.types import SecretStr

from bot.errors import ConfigError
from bot.quiet import QuietHours
from bot.types import DeliveryKind, author_name
from models.assessment import Band
from models.labels import Level, Risk, Severity

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Settings = TypeVar("Settings", bound=BaseModel)
SubredditName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]{1,20}$")]
ChannelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,29}$")]
AuthorName = Annotated[str, AfterValidator(author_name)]
AlertLevel = Literal["crisis", "unassessed", "urgent", "watch"]


class _Section(BaseModel):
    """Settings are frozen, and a key we do not know is an error rather than a wish nobody hears."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _http_only(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value.rstrip("/")


def _no_repeats(value: tuple[str, ...]) -> tuple[str, ...]:
    if len({name.casefold() for name in value}) != len(value):
        raise ValueError("names one twice")
    return value


def band_of(unsure_from: float | None, unsure_to: float | None) -> Band | None:
    """The band between both, None without them. Raises ValueError when one is missing or above the other."""
    if unsure_from is None or unsure_to is None:
        if unsure_from != unsure_to:
            raise ValueError("unsure_from and unsure_to belong together")
        return None
    if unsure_from > unsure_to:
        raise ValueError("unsure_from is above unsure_to")
    return Band(unsure_from, unsure_to)


Address = Annotated[str, AfterValidator(_http_only)]
SubredditNames = Annotated[tuple[SubredditName, ...], AfterValidator(_no_repeats)]
ChannelNames = Annotated[tuple[ChannelName, ...], AfterValidator(_no_repeats)]


class Reddit(_Section):
    """Where Reddit is and what to watch there."""

    base_url: Address | None = Field(None, description="another host that plays Reddit; left out: Reddit itself")
    subreddits: SubredditNames = Field((), description="the communities to watch, without r/")
    poll_seconds: float = Field(10.0, gt=0, description="seconds between two looks at each subreddit's new posts")
    backfill_hours: float = Field(
        24.0, gt=0, description="at the very first start, posts older than this are left alone"
    )
    operator: str = Field(
        "", description="the Reddit user who runs this bot, named in its User-Agent; empty: the bot itself"
    )
    timeout_seconds: int = Field(16, ge=1, description="how long one call to Reddit may take")
    requests_per_minute: int = Field(
        100, ge=20, description="calls to Reddit at most; Reddit allows 100 unless it granted you more"
    )


class Store(_Section):
    """The database."""

    path: Path = Field(
        Path("nightlight.db"), description="the SQLite file; a relative path counts from the config file"
    )
    retention_hours: float = Field(
        48.0, gt=0, description="after this long the text and the author of a post are forgotten"
    )
    recheck_hours: float = Field(
        12.0, gt=0, le=24, description="how often Reddit is asked whether a post whose text is held is still there"
    )


class Deliver(_Section):
    """Whether anything is written to Reddit at all."""

    dry_run: bool = Field(True, description="true: write down what would be sent and send nothing")
    give_up_hours: float = Field(
        24.0, gt=0, description="what could not be sent for so long becomes a dead letter, which moderators see"
    )


class Model(_Section):
    """What judges a post."""

    path: Path | None = Field(
        None, description="a model folder made by `nightlight train`; left out: the model in the box"
    )
    threads: int = Field(0, ge=0, description="processor threads for the encoder; 0: all cores")
    batch_size: int = Field(32, ge=1, le=1024, description="posts judged together at most")
    timeout_seconds: float = Field(60.0, gt=0, description="posts not judged by then go to the moderators unread")
    backend: Literal["onnx", "torch"] = Field(
        "onnx", description="onnx: int8 on the processor; torch: float32, on a GPU where there is one"
    )


class Llm(_Section):
    """A language model on a server that speaks OpenAI's chat completions."""

    base_url: Address | None = Field(None, description="the server, up to and with its /v1; left out: none is asked")
    model: str = Field("", description="the model's name, as the server calls it")
    prompt: str = Field("zero_shot", description="a prompt of prompts/: zero_shot, few_shot or criteria")
    subreddits: SubredditNames = Field(
        (), description="the watched communities whose posts may be sent to the server, one by one"
    )
    concurrency: int = Field(16, ge=1, le=1024, description="posts under way at once")
    timeout_seconds: float = Field(60.0, gt=0, description="how long one answer may take")
    unsure_from: Probability | None = Field(
        None,
        description="live, a post is read again when thoughts of dying are at least this likely in it ...; left out: "
        "where the model was measured to be unsure",
    )
    unsure_to: Probability | None = Field(
        None, description="... and less likely than this, or when dictionary and encoder differ"
    )
    budget_per_day: int = Field(
        1000, ge=0, description="calls that `run` may make in a day (UTC), half of them at most for `choose`"
    )
    choose: bool = Field(
        True, description="live, let it put the recommendations of urgent alerts in order; the posts are sent for that"
    )
    prompt_price_per_million: float = Field(
        0.0, ge=0, description="what a million tokens of prompt cost, in your currency"
    )
    completion_price_per_million: float = Field(0.0, ge=0, description="what a million tokens of answer cost")
    cache: Path = Field(
        Path("nightlight-llm.db"), description="answers already paid for; a relative path counts from the config file"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Llm:
        band_of(self.unsure_from, self.unsure_to)
        return self

    @property
    def unsure(self) -> Band | None:
        """What counts as doubt instead of what the model was measured for; None: that."""
        return band_of(self.unsure_from, self.unsure_to)

    @property
    def reads_live(self) -> bool:
        """Whether there is a server, and a community whose live posts it may read."""
        return bool(self.base_url and self.subreddits)

    def may_read(self, subreddit: str) -> bool:
        """Whether this community's moderators let its live posts be sent to the server."""
        return subreddit.casefold() in {name.casefold() for name in self.subreddits}

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost, in the currency of the prices."""
        return (
            prompt_tokens * self.prompt_price_per_million + completion_tokens * self.completion_price_per_million
        ) / 1_000_000


class Alerts(_Section):
    """How moderators hear of a post."""

    modmail: bool = Field(True, description="send alerts and the daily summary as internal discussions")
    digest_hour_utc: int = Field(8, ge=0, le=23, description="hour of the day at which the watch digest is due")
    stalled_minutes: float = Field(
        30.0, gt=0, description="an alert when new posts could not be read for so long, or Reddit shows none at all"
    )
    channels: ChannelNames = Field((), description="your names for chat channels that hear of alerts, in order")
    channel_levels: Mapping[ChannelName, tuple[AlertLevel, ...]] = Field(
        default_factory=dict, description="levels that a channel hears of, where it is not every one"
    )
    quiet_hours: str = Field("", description="when no chat message goes out but about a crisis; empty: never")
    quiet_zone: str = Field("UTC", description="on whose clocks the quiet hours are")
    escalate_minutes: float = Field(
        15.0, ge=0, description="a crisis that nobody took up goes to the next channel after so long; 0: never"
    )
    share_text: bool = Field(
        False, description="let chat messages carry the title, the reasons, the passages and what may help"
    )

    @model_validator(mode="after")
    def _quiet_is_understood(self) -> Alerts:
        if self.quiet_hours:
            QuietHours.parse(self.quiet_hours, self.quiet_zone)
        return self

    @property
    def quiet(self) -> QuietHours | None:
        """The quiet hours, if there are any."""
        return QuietHours.parse(self.quiet_hours, self.quiet_zone) if self.quiet_hours else None

    def channels_for(self, level: Level) -> tuple[str, ...]:
        """The channels that hear of a level, in the order in which they are told."""
        return tuple(name for name in self.channels if level in self.channel_levels.get(name, (level,)))


class Replies(_Section):
    """What may be written under a post, and in whose name."""

    auto: tuple[Literal["crisis", "urgent", "watch"], ...] = Field(
        (), description="levels whose reply is sent without a moderator's approval"
    )
    templates: Path | None = Field(
        None, description="a folder of your own reply templates; a relative path counts from the config file"
    )
    country: str = Field(
        "",
        pattern=r"^([A-Z]{2})?$",
        description="ISO code of the country for posts that state none; empty: the directory only",
    )
    opt_out_url: str = Field(
        "",
        pattern=r"^(https://[\w-]+(\.[\w-]+)+(:\d+)?([/?#][^\s()]*)?)?$",
        max_length=120,  # with a longer one three crisis lines would not fit beside it
        description="where an author can ask for no more replies; empty: a message to the moderators",
    )
    author_cooldown_days: float = Field(
        30.0, ge=0, description="after a reply to an author, the next one within so many days waits for a person"
    )
    daily_cap: int = Field(50, ge=0, description="replies sent without approval in 24 hours; more wait for a person")
    max_age_hours: float = Field(12.0, gt=0, description="no reply to a post older than this")
    opt_out_days: float = Field(365.0, gt=0, description="how long a wish for no more replies is remembered")
    allow_authors: tuple[AuthorName, ...] = Field(
        (), description="when not empty, only these authors get replies; for a trial among yourselves"
    )
    deny_authors: tuple[AuthorName, ...] = Field((), description="authors who never get a reply, such as AutoModerator")


class Rule(_Section):
    """Matches a post whose calibrated probabilities reach every bound that is stated."""

    risk: Risk | None = Field(None, description="this risk or a higher one ...")
    severity: Severity | None = Field(None, description="this severity or a higher one ...")
    min_probability: Probability = Field(0.5, description="... is at least this likely")
    min_relevance: Probability = Field(
        0.0, description="the post is about mental health with at least this probability"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if self.risk is None and self.severity is None and self.min_relevance == 0.0:
            raise ValueError("a rule needs risk, severity or min_relevance")
        return self


class Policy(_Section):
    """The table from assessment to triage level: the highest level with a matching rule holds."""

    crisis: tuple[Rule, ...] = Field(
        (
            Rule(risk=Risk.BEHAVIOR, min_probability=0.5),
            Rule(risk=Risk.IDEATION, min_probability=0.5),
        )
    )
    urgent: tuple[Rule, ...] = Field(
        (
            Rule(risk=Risk.IDEATION, min_probability=0.15, min_relevance=0.5),
            Rule(risk=Risk.INDICATOR, min_probability=0.6),
            Rule(severity=Severity.SEVERE, min_probability=0.6, min_relevance=0.5),
        )
    )
    watch: tuple[Rule, ...] = Field(
        (
            Rule(risk=Risk.IDEATION, min_probability=0.1, min_relevance=0.5),
            Rule(severity=Severity.MODERATE, min_probability=0.25, min_relevance=0.5),
        )
    )
    crisis_does: tuple[DeliveryKind, ...] = (DeliveryKind.ALERT, DeliveryKind.REPLY)
    urgent_does: tuple[DeliveryKind, ...] = (DeliveryKind.ALERT, DeliveryKind.REPLY)
    watch_does: tuple[DeliveryKind, ...] = (DeliveryKind.DIGEST,)

    def rules(self, level: Level) -> tuple[Rule, ...]:
        """The rules that lead to a level; none for `none` and `unassessed`."""
        return {Level.CRISIS: self.crisis, Level.URGENT: self.urgent, Level.WATCH: self.watch}.get(level, ())

    def actions(self, level: Level) -> tuple[DeliveryKind, ...]:
        """What is done at a level. An unassessed post is always an alert: a failure is never silence."""
        return {
            Level.CRISIS: self.crisis_does,
            Level.URGENT: self.urgent_does,
            Level.WATCH: self.watch_does,
            Level.UNASSESSED: (DeliveryKind.ALERT,),
        }.get(level, ())


class Log(_Section):
    """What is said on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "pretty", "json"] = Field("auto", description="auto: pretty on a terminal, JSON elsewhere")


class Health(_Section):
    """Where this machine can ask how the bot is."""

    port: int = Field(9464, ge=0, le=65535, description="/healthz and /metrics on 127.0.0.1; 0: off")


class Review(_Section):
    """The moderators' page. What would let a stranger read along on the way is an error here, not a warning later."""

    enabled: bool = Field(False, description="whether `nightlight run` serves the moderators' page")
    host: str = Field("127.0.0.1", description="the address to listen on; another than this machine's own needs TLS")
    port: int = Field(8765, ge=0, le=65535, description="the port to listen on; 0: a free one")
    public_url: Address | None = Field(
        None, description="where moderators find the page; left out: on this machine alone"
    )
    tls_certificate: Path | None = Field(None, description="the certificate, with its chain, as a PEM file ...")
    tls_key: Path | None = Field(None, description="... and its key")
    behind_proxy: bool = Field(False, description="a proxy in front does TLS and adds X-Forwarded-For")
    session_hours: float = Field(12.0, gt=0, le=168, description="after so long everybody signs in again")
    sign_in: Literal["reddit", "link"] = Field(
        "reddit", description="reddit: with Reddit, for moderators; link: on this machine, by a link that works once"
    )
    owners: tuple[AuthorName, ...] = Field(
        (), description="moderators who also see every setting and end the sessions of their team"
    )
    observers: tuple[AuthorName, ...] = Field((), description="moderators who may look and decide nothing")

    @model_validator(mode="after")
    def _keeps_strangers_out(self) -> Review:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together")
        safe = self.tls_certificate is not None or self.behind_proxy
        if not safe and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} can be reached from other machines: set tls_certificate and tls_key, or behind_proxy "
                "where a proxy in front does TLS"
            )
        if self.public_url is None:
            if self.behind_proxy or not is_loopback(self.host):
                raise ValueError("public_url must say where moderators find the page")
        else:
            self._fits(self.public_url, safe)
        if self.sign_in == "link" and (self.behind_proxy or not is_loopback(self.host)):
            raise ValueError('sign_in = "link" is for this machine alone; set "reddit"')
        if both := {name.casefold() for name in self.owners} & {name.casefold() for name in self.observers}:
            raise ValueError(f"{min(both)} is among the owners and the observers")
        return self

    @staticmethod
    def _fits(public_url: str, safe: bool) -> None:
        parts = urlsplit(public_url)
        if parts.path or parts.query or parts.fragment or parts.username is not None or not parts.hostname:
            raise ValueError("public_url is a scheme and a host, such as https://mods.example.org")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("public_url must start with https://")
        if parts.scheme == "https" and not safe:
            raise ValueError("public_url is https: set tls_certificate and tls_key, or behind_proxy")


def is_loopback(host: str) -> bool:
    """Whether only this machine itself reaches the address; a name other than localhost could mean anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Team(_Section):
    """The settings that one subreddit's moderators may have for themselves."""

    alerts: Alerts = Alerts()
    replies: Replies = Replies()
    policy: Policy = Policy()

    @property
    def unheard(self) -> tuple[Level, ...]:
        """Levels that alert, and whose alerts would go nowhere; the highest first."""
        # What concerns the bot itself goes where urgent alerts go, whatever is done about urgent posts.
        alerting = {Level.URGENT, *(level for level in Level if DeliveryKind.ALERT in self.policy.actions(level))}
        unheard = (level for level in alerting if not self.alerts.modmail and not self.alerts.channels_for(level))
        return tuple(sorted(unheard, reverse=True))

    @property
    def unsummarised(self) -> tuple[Level, ...]:
        """Levels that moderators would hear of in the daily summary alone, which modmail alone carries, without it."""
        summarised = (level for level in Level if DeliveryKind.DIGEST in self.policy.actions(level))
        alone = (level for level in summarised if DeliveryKind.ALERT not in self.policy.actions(level))
        return () if self.alerts.modmail else tuple(sorted(alone, reverse=True))


class Config(_Section):
    """Everything that can be set. `overrides` holds, by subreddit, changes to alerts, replies and policy."""

    reddit: Reddit = Reddit()
    store: Store = Store()
    deliver: Deliver = Deliver()
    model: Model = Model()
    llm: Llm = Llm()
    alerts: Alerts = Alerts()
    replies: Replies = Replies()
    policy: Policy = Policy()
    log: Log = Log()
    health: Health = Health()
    review: Review = Review()
    overrides: Mapping[SubredditName, Mapping[str, Mapping[str, Any]]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _overrides_hold(self) -> Config:
        if len({name.casefold() for name in self.overrides}) < len(self.overrides):
            raise ValueError("[overrides] has one community twice, in capitals and in small letters")
        own = {f"overrides.{name}.alerts": self.team(name).alerts for name in self.overrides}
        for place, alerts in {"alerts": self.alerts, **own}.items():
            if strangers := alerts.channel_levels.keys() - set(self.channels):
                raise ValueError(f"[{place}] channel_levels names {sorted(strangers)[0]}, which is no channel")
        return self

    @model_validator(mode="after")
    def _every_alert_reaches_somebody(self) -> Config:
        for name in self.reddit.subreddits:
            team = self.team(name)
            if unheard := team.unheard:
                levels = " and ".join(unheard)
                raise ValueError(
                    f"[alerts] of r/{name}: nobody would hear of what is {levels}; set modmail = true, or let a "
                    "channel hear of it"
                )
            if (unsummarised := team.unsummarised) and not self.review.enabled:
                levels = " and ".join(unsummarised)
                raise ValueError(
                    f"[alerts] of r/{name}: nobody would hear of what is {levels}, as the daily summary is a modmail; "
                    f'set modmail = true, [review] enabled = true, or [policy] {unsummarised[0]}_does = ["alert"]'
                )
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """Every chat channel that some team has, each once."""
        teams = (self.alerts, *(self.team(name).alerts for name in (*self.reddit.subreddits, *self.overrides)))
        return tuple(dict.fromkeys(name for alerts in teams for name in alerts.channels))

    def team(self, subreddit: str) -> Team:
        """The settings in force in one subreddit: the common ones with its own laid over them, key by key."""
        own = {name.casefold(): changes for name, changes in self.overrides.items()}.get(subreddit.casefold(), {})
        common = {part: getattr(self, part).model_dump(exclude_unset=True) for part in Team.model_fields}
        return Team.model_validate({part: {**common.get(part, {}), **own.get(part, {})} for part in {**common, **own}})


class Secrets(_Section):
    """Credentials. They come from the environment alone, and print as stars.

    `channels` holds, by its name in lower case, the URL of each chat channel: whoever knows it can write there.
    """

    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    username: str = ""
    password: SecretStr = SecretStr("")
    refresh_token: SecretStr = SecretStr("")
    channels: Mapping[str, SecretStr] = Field(default_factory=dict)
    web_client_id: str = ""
    web_client_secret: SecretStr = SecretStr("")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Secrets:
        """Reads `NIGHTLIGHT_REDDIT_CLIENT_ID`, `_CLIENT_SECRET`, `_USERNAME`, `_PASSWORD` and `_REFRESH_TOKEN`.

        With `_WEB_CLIENT_ID` and `_WEB_CLIENT_SECRET` moderators sign in through an application of its own: one of
        Reddit's kind "script" signs in nobody but its developers. And `NIGHTLIGHT_CHANNEL_` with the name of each
        channel.
        """
        reddit = {
            field: environ[key]
            for field in cls.model_fields.keys() - {"channels"}
            if (key := f"NIGHTLIGHT_REDDIT_{field.upper()}") in environ
        }
        prefix = channel_variable("")
        channels = {key.removeprefix(prefix).lower(): url for key, url in environ.items() if key.startswith(prefix)}
        return cls.model_validate({**reddit, "channels": channels})

    def missing(self) -> list[str]:
        """The environment variables still needed to sign in, by name; empty when there are enough."""
        wanted = {"CLIENT_ID": self.client_id, "CLIENT_SECRET": self.client_secret.get_secret_value()}
        if not self.refresh_token.get_secret_value():
            wanted |= {"USERNAME": self.username, "PASSWORD": self.password.get_secret_value()}
        return [f"NIGHTLIGHT_REDDIT_{name}" for name, value in wanted.items() if not value]


def channel_variable(name: str) -> str:
    """The environment variable that holds the URL of a chat channel."""
    return f"NIGHTLIGHT_CHANNEL_{name.upper()}"


def llm_api_key(environ: Mapping[str, str] = os.environ) -> SecretStr:
    """`NIGHTLIGHT_LLM_API_KEY`; empty when it is not set, as a server of your own needs none."""
    return SecretStr(environ.get("NIGHTLIGHT_LLM_API_KEY", ""))


def read(path: Path, kind: type[Settings]) -> Settings:
    """Reads a TOML file as such settings. Raises ConfigError with one line, as `load` does."""
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_problem(error)}") from error


def load(path: Path) -> Config:
    """Reads a configuration file; relative paths in it count from its folder.

    Raises ConfigError with one line that names the file, the key and what is wrong with it.
    """
    config = read(path, Config)
    base = path.resolve().parent
    changes: dict[str, Any] = {
        "store": config.store.model_copy(update={"path": base / config.store.path}),
        "llm": config.llm.model_copy(update={"cache": base / config.llm.cache}),
        "review": config.review.model_copy(
            update={key: base / path for key in ("tls_certificate", "tls_key") if (path := getattr(config.review, key))}
        ),
    }
    if config.model.path is not None:
        changes["model"] = config.model.model_copy(update={"path": base / config.model.path})
    if config.replies.templates is not None:
        changes["replies"] = config.replies.model_copy(update={"templates": base / config.replies.templates})
    if config.overrides:
        changes["overrides"] = {name: _templates_from(base, parts) for name, parts in config.overrides.items()}
    return config.model_copy(update=changes)


def _templates_from(base: Path, parts: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """One subreddit's overrides with its folder of templates, if it has one, found from `base`."""
    replies = parts.get("replies", {})
    if not replies.get("templates"):
        return parts
    return {**parts, "replies": {**replies, "templates": base / replies["templates"]}}


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{key}: {problem['msg']}{more}"
