"""config.toml: what is not understood is an error, what is left out has its default, secrets never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config import Config, Secrets, llm_api_key, load
from bot.errors import ConfigError
from models.labels import Level

ROOT = Path(__file__).parents[2]

PROMISED = """\
[reddit]
base_url = "http://127.0.0.1:8123"
subreddits = ["testsub"]
poll_seconds = 1
[store]
path = "nightlight.db"
[deliver]
dry_run = false
[alerts]
modmail = true
[replies]
auto = ["crisis"]
"""

WATCHED = "[reddit]\nsubreddits = ['one']\n"


def write(folder: Path, text: str) -> Path:
    """A config.toml with this text."""
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_promised_configuration_is_understood(tmp_path: Path) -> None:
    """The documented minimal file loads, and everything it leaves out is at its default."""
    config = load(write(tmp_path, PROMISED))
    assert config.reddit.subreddits == ("testsub",)
    assert config.replies.auto == ("crisis",)
    assert config.policy == Config().policy
    assert config.store.path == tmp_path / "nightlight.db"


def test_the_example_names_every_setting_with_its_default() -> None:
    """config.example.toml, read as it stands, is the default configuration, and no setting is missing from it."""
    path = ROOT / "config.example.toml"
    example, default = load(path), Config()
    assert example.model_copy(update={"store": default.store, "llm": default.llm}) == default
    assert example.llm.model_copy(update={"cache": default.llm.cache}) == default.llm
    sections: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            sections[line.strip("[]")] = named = []
        elif sections:
            named.append(line.lstrip("# ").partition(" =")[0])
    for name, section in Config.model_fields.items():
        missing = getattr(section.annotation, "model_fields", {}).keys() - set(sections.get(name, ()))
        assert not missing, f"[{name}]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[reddit]\nsubredits = []", "unknown key reddit.subredits"),
        ("[replies]\nauto = ['none']", "replies.auto"),
        ("[reddit]\npoll_seconds = 0", "reddit.poll_seconds"),
        ("[reddit]\nsubreddits = ['a/b']", "reddit.subreddits"),
        ("[reddit]\nsubreddits = ['abc', 'ABC']", "twice"),
        ("[policy]\ncrisis = [{min_probability = 0.5}]", "policy.crisis"),
        ("[policy]\ncrisis = [{risk = 'ideation', min_probability = 2}]", "min_probability"),
        ("[overrides.abc.replies]\nnonsense = 1", "replies.nonsense"),
        ("[overrides.abc.store]\npath = 'x'", "store"),
        ("[overrides.abc.replies]\n[overrides.ABC.replies]", "one community twice"),
        ("[overrides.abc.alerts]\nchannel_levels = { phone = ['crisis'] }", "[overrides.abc.alerts] channel_levels"),
        ("[reddit]\nbase_url = 'ftp://x'", "base_url"),
        ("[replies]\nopt_out_url = 'http://example.org'", "replies.opt_out_url"),
        ("[replies]\nopt_out_url = 'https://example.org/a b'", "replies.opt_out_url"),
        ("[replies]\nopt_out_url = 'https:///optout'", "replies.opt_out_url"),
        ("[replies]\nopt_out_url = 'https://optout'", "replies.opt_out_url"),
        (f"[replies]\nopt_out_url = 'https://example.org/{'a' * 101}'", "replies.opt_out_url"),
        ("[alerts]\nchannels = ['Phone']", "alerts.channels"),
        ("[alerts]\nchannels = ['phone', 'phone']", "twice"),
        ("[alerts]\nchannel_levels = { phone = ['none'] }", "alerts.channel_levels.phone"),
        ("[alerts]\nchannel_levels = { phone = ['crisis'] }", "which is no channel"),
        (f"{WATCHED}[alerts]\nmodmail = false", "r/one: nobody would hear of what is crisis and urgent and unassessed"),
        (
            f"{WATCHED}[alerts]\nmodmail = false\nchannels = ['phone']\nchannel_levels = {{ phone = ['crisis'] }}",
            "r/one: nobody would hear of what is urgent and unassessed",
        ),
        (
            f"{WATCHED}[alerts]\nmodmail = false\nchannels = ['phone']\n[policy]\nurgent_does = []\n"
            "[overrides.one.alerts]\nchannel_levels = { phone = ['crisis', 'unassessed'] }",
            "r/one: nobody would hear of what is urgent",
        ),
        (
            f"{WATCHED}[alerts]\nmodmail = false\nchannels = ['phone']",
            "r/one: nobody would hear of what is watch, as the daily summary is a modmail",
        ),
        ("[alerts]\nquiet_hours = '22-7'", "quiet_hours"),
        ("[alerts]\nquiet_hours = '22:00-07:00'\nquiet_zone = 'Europe/Nowhere'", "quiet_zone"),
        ("[overrides.abc.alerts]\nescalate_minutes = -1", "escalate_minutes"),
        ("[llm]\nbase_url = 'ftp://x'", "llm.base_url"),
        ("[llm]\nconcurrency = 0", "llm.concurrency"),
        ("[llm]\napi_key = 'sk-1'", "unknown key llm.api_key"),
        ("[llm]\nunsure_from = 0.3\nunsure_to = 0.2", "unsure_from is above unsure_to"),
        ("[llm]\nunsure_from = 0.3", "unsure_from and unsure_to belong together"),
        ("[llm]\nbudget_per_day = -1", "llm.budget_per_day"),
        ("[review]\nhost = '0.0.0.0'", "reached from other machines"),
        ("[review]\nhost = '0.0.0.0'\npublic_url = 'https://m.example'", "reached from other machines"),
        ("[review]\nhost = 'mods.example.org'", "reached from other machines"),
        ("[review]\nhost = '::'\nbehind_proxy = true", "public_url must say"),
        ("[review]\ntls_certificate = 'a.pem'", "belong together"),
        ("[review]\npublic_url = 'http://m.example'", "must start with https://"),
        ("[review]\npublic_url = 'https://m.example'", "set tls_certificate"),
        ("[review]\nbehind_proxy = true\npublic_url = 'https://m.example/page'", "a scheme and a host"),
        ("[review]\nbehind_proxy = true\npublic_url = 'https://a:b@m.example'", "a scheme and a host"),
        ("[review]\nbehind_proxy = true\npublic_url = 'https://m.example'\nsign_in = 'link'", "this machine alone"),
        ("[review]\nowners = ['Anna']\nobservers = ['anna']", "anna is among"),
        ("[review]\nowners = ['u/Anna']\nobservers = ['anna']", "anna is among"),
        ("[review]\nobservers = ['an na']", "review.observers.0"),
        ("[review]\nsession_hours = 0", "review.session_hours"),
        ("not toml", "not valid TOML"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    """The error names the file and the key, on one line."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "otherwise",
    ["[review]\nenabled = true", "[policy]\nwatch_does = ['alert']", "[policy]\nwatch_does = []"],
)
def test_a_team_without_modmail_may_hear_otherwise(tmp_path: Path, otherwise: str) -> None:
    """Of what would stand in the daily summary: on the page, in a chat channel, or not at all if the team says so."""
    text = f"{WATCHED}[alerts]\nmodmail = false\nchannels = ['phone']\n{otherwise}"
    assert load(write(tmp_path, text)).team("one").unheard == ()


def test_moderators_may_be_named_as_reddit_shows_them(tmp_path: Path) -> None:
    """With the `u/` before it or without: an observer must never pass for somebody else."""
    review = load(write(tmp_path, "[review]\nowners = ['/u/Anna']\nobservers = ['u/bea']")).review
    assert (review.owners, review.observers) == (("Anna",), ("bea",))


def test_a_missing_file_is_one_line_that_names_it(tmp_path: Path) -> None:
    """No traceback for a wrong path."""
    with pytest.raises(ConfigError, match=r"nothing\.toml: No such file"):
        load(tmp_path / "nothing.toml")


def test_a_subreddit_has_its_own_settings_and_the_rest_from_all(tmp_path: Path) -> None:
    """An override changes one key in one subreddit, whatever the case of its name."""
    text = PROMISED + "[overrides.TestSub.replies]\ncountry = 'IE'\n"
    config = load(write(tmp_path, text))
    assert (config.team("testsub").replies.country, config.team("testsub").replies.auto) == ("IE", ("crisis",))
    assert config.team("other").replies.country == ""


def test_secrets_come_from_the_environment_and_do_not_print() -> None:
    """A password is read from its variable, and no way of printing the object shows it."""
    secrets = Secrets.from_environment(
        {
            "NIGHTLIGHT_REDDIT_CLIENT_ID": "id",
            "NIGHTLIGHT_REDDIT_CLIENT_SECRET": "hush-1",
            "NIGHTLIGHT_REDDIT_USERNAME": "bot",
            "NIGHTLIGHT_REDDIT_PASSWORD": "hush-2",
        }
    )
    assert secrets.password.get_secret_value() == "hush-2"
    assert "hush" not in f"{secrets!r} {secrets} {secrets.model_dump_json()}"
    assert secrets.missing() == []


def test_each_channel_has_its_url_from_a_variable_of_its_own() -> None:
    """The name comes after NIGHTLIGHT_CHANNEL_, in capitals; no way of printing the secrets shows a URL."""
    secrets = Secrets.from_environment(
        {"NIGHTLIGHT_CHANNEL_NIGHT_PHONE": "ntfy://hush", "NIGHTLIGHT_REDDIT_CHANNELS": "x"}
    )
    assert secrets.channels["night_phone"].get_secret_value() == "ntfy://hush"
    assert "hush" not in f"{secrets!r} {secrets} {secrets.model_dump_json()}"


def test_channels_are_told_by_level_and_subreddit(tmp_path: Path) -> None:
    """In the team's order, only of the levels they hear of, and a subreddit may have its own."""
    text = """
[reddit]
subreddits = ["testsub", "other"]
[alerts]
channels = ["discord", "phone"]
channel_levels = { phone = ["crisis"] }
[overrides.other.alerts]
channels = ["mail"]
"""
    config = load(write(tmp_path, text))
    alerts = config.team("testsub").alerts
    assert (alerts.channels_for(Level.CRISIS), alerts.channels_for(Level.URGENT)) == (
        ("discord", "phone"),
        ("discord",),
    )
    assert config.team("other").alerts.channels_for(Level.CRISIS) == ("mail",)
    assert config.channels == ("discord", "phone", "mail")


def test_missing_secrets_are_named() -> None:
    """A refresh token stands in for name and password; without either both are asked for."""
    assert Secrets.from_environment({"NIGHTLIGHT_REDDIT_REFRESH_TOKEN": "t"}).missing() == [
        "NIGHTLIGHT_REDDIT_CLIENT_ID",
        "NIGHTLIGHT_REDDIT_CLIENT_SECRET",
    ]
    assert "NIGHTLIGHT_REDDIT_PASSWORD" in Secrets.from_environment({}).missing()


def test_the_key_of_the_language_model_comes_from_its_own_variable_alone() -> None:
    """It prints as stars, and nobody else's variable stands in for it."""
    key = llm_api_key({"NIGHTLIGHT_LLM_API_KEY": "hush", "OPENAI_API_KEY": "other"})
    assert key.get_secret_value() == "hush"
    assert "hush" not in f"{key!r} {key}"
    assert llm_api_key({"OPENAI_API_KEY": "other"}).get_secret_value() == ""


def test_live_posts_go_to_a_language_model_only_where_moderators_said_so(tmp_path: Path) -> None:
    """No community is read unless it is named, whatever the case of its name."""
    assert not Config().llm.may_read("testsub")
    llm = load(write(tmp_path, "[llm]\nsubreddits = ['TestSub']\n")).llm
    assert (llm.may_read("testsub"), llm.may_read("other")) == (True, False)
    assert llm.cache == tmp_path / "nightlight-llm.db"
