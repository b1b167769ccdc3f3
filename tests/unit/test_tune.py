"""What a policy finds and costs, and the bound that is chosen for a goal."""

from __future__ import annotations

import io
import math
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bot.config import Config, Policy, Rule, Team
from bot.deployment import ALERTING, BOUNDS, Point, Stream, alerts, bound_of, curve, view, with_bound
from bot.errors import UsageError
from bot.policy import decide
from bot.tune import Budget, Recall, halve, lines_of, rewrite, save, show, stated_goal, tune
from bot.types import Post
from models.assessment import Assessment, Ordinal
from models.document import Document
from models.judged import Scores
from models.labelled import Row
from models.labels import Disorder, Risk, Severity

ROOT = Path(__file__).parents[2]
POST = Post("a", "testsub", None, "", "text", None, "")

levels = st.lists(st.integers(0, 20), min_size=5, max_size=5).filter(any)


def assessment(relevance: float, risk: list[int], severity: list[int]) -> Assessment:
    """An assessment with these weights as probabilities."""
    return Assessment(
        relevance=relevance,
        disorders=dict.fromkeys(Disorder, 0.0),
        severity=Ordinal({level: w / sum(severity) for level, w in zip(Severity, severity, strict=True)}),
        risk=Ordinal({level: w / sum(risk) for level, w in zip(Risk, risk, strict=True)}),
        evidence=(),
        versions={},
    )


assessments = st.builds(
    assessment, st.integers(0, 20).map(lambda n: n / 20), levels, levels.map(lambda w: w[:4]).filter(any)
)


@given(st.lists(assessments, min_size=1, max_size=8), st.sampled_from((None, *BOUNDS)))
def test_alerts_are_those_of_the_live_policy(judged: list[Assessment], bound: float | None) -> None:
    """Row by row the arrays say what `decide` says, whatever the bound."""
    policy = Policy() if bound is None else with_bound(Policy(), bound)
    said = [decide(POST, each, Team(policy=policy)).level in ALERTING for each in judged]
    assert alerts(policy, Scores.of(judged)).tolist() == said


@given(st.lists(assessments, min_size=1, max_size=8), st.sampled_from(BOUNDS), st.sampled_from(BOUNDS))
def test_a_higher_bound_never_alerts_more(judged: list[Assessment], one: float, other: float) -> None:
    """Every post that alerts from the higher bound on alerts from the lower one on."""
    low, high = (alerts(with_bound(Policy(), bound), Scores.of(judged)) for bound in sorted((one, other)))
    assert (low | ~high).all()


def test_one_bound_moves() -> None:
    """The urgent rule on ideation takes it; others are raised to it and never lowered; watch stays as it is."""
    low, high = with_bound(Policy(), 0.07), with_bound(Policy(), 0.55)
    assert bound_of(low) == 0.07
    assert (low.crisis, low.urgent[1:]) == (Policy().crisis, Policy().urgent[1:])
    assert [rule.min_probability for rule in high.crisis] == [0.55, 0.55]
    assert [rule.min_probability for rule in high.urgent] == [0.55, 0.6, 0.6]
    assert high.watch == Policy().watch
    with pytest.raises(UsageError, match="no urgent rule on ideation"):
        bound_of(Policy(urgent=(Rule(risk=Risk.BEHAVIOR),)))


def stream(rows: int = 400) -> Stream:
    """Half of the posts at risk; P(ideation) rises evenly from 0, and is on average higher for those."""
    at_risk = np.arange(rows) % 2 == 0
    likely = np.linspace(0, 0.7, rows) + 0.3 * at_risk
    risk = np.stack([np.ones(rows), likely, likely, 0 * likely, 0 * likely], axis=1)
    nothing = np.zeros(rows)
    scores = Scores(nothing + 1, np.zeros((rows, len(Disorder))), np.eye(4)[np.zeros(rows, dtype=int)], risk)
    none = np.zeros(rows, dtype=bool)
    keys = np.array([f"author {at}" for at in range(rows)])
    return Stream(scores, keys, np.array(["ordinary, here"] * rows), at_risk, ~at_risk, none, none, none)


def test_the_view_counts_a_stream() -> None:
    """The policy now, other bounds, the curve from many alerts to few, and the false alarms of each kind."""
    found = view(Policy(), stream(), share=0.1)
    assert (found.at_risk, found.ordinary) == (200, 200)
    assert found.now.bound == 0.15
    assert found.now.recall.low <= found.now.recall.value <= found.now.recall.high
    assert found.now.severe_recall is None
    recalls = [point.recall for point in found.curve]
    assert recalls == sorted(recalls, reverse=True)
    expected = 1000 * (0.1 * found.now.recall.value + 0.9 * found.false_alarms["ordinary, here"].value)
    assert found.now.alerts_per_1000.value == pytest.approx(expected)
    assert found.benefits[0].everything.value == pytest.approx(1000 * (0.1 - 0.9 * 0.01 / 0.99))


def test_posts_of_one_author_make_no_figure_surer() -> None:
    """Who wrote five posts alike counts as who wrote one, in what a policy finds and in what it costs."""
    whole = replace(stream(80), severe=np.arange(80) % 3 == 0)
    once, five = (view(Policy(), each, 0.1) for each in (whole, whole[np.repeat(np.arange(80), 5)]))
    for of in (lambda found: found.now.recall, lambda found: found.now.alerts_per_1000):
        assert replace(of(five), rows=80) == of(once)
    assert replace(five.false_alarms["ordinary, here"], rows=40) == once.false_alarms["ordinary, here"]
    assert five.now.severe_recall and once.now.severe_recall
    assert five.now.severe_recall.low == once.now.severe_recall.low
    assert five.benefits[2].model.low == pytest.approx(once.benefits[2].model.low)


@pytest.mark.parametrize(("labelled", "share"), [(300, 0.02), (450, 0.3), (100, 0.5)])
def test_net_benefit_of_a_calibrated_model_is_that_of_the_stream(labelled: int, share: float) -> None:
    """However many labelled rows are at risk, who knows the true odds of each post gains what they would in the stream.

    Signs of danger are normal, one higher where there is some and one lower where there is none: odds are known.
    """
    ordinary = 1000 - labelled
    normal = NormalDist()
    signs = np.array([normal.inv_cdf((at + 0.5) / count) for count in (labelled, ordinary) for at in range(count)])
    at_risk = np.arange(1000) < labelled
    signs += np.where(at_risk, 1, -1)
    likely = 1 / (1 + np.exp(-2 * signs) * ordinary / labelled)
    risk = np.stack([np.ones(1000), likely, likely, 0 * likely, 0 * likely], axis=1)
    whole = stream(1000)
    found = view(
        Policy(), replace(whole, scores=replace(whole.scores, risk=risk), at_risk=at_risk, ordinary=~at_risk), share
    )
    for each in found.benefits:
        weight = each.threshold / (1 - each.threshold)
        least = (math.log(weight) - math.log(share / (1 - share))) / 2
        expected = share * normal.cdf(1 - least) - (1 - share) * weight * normal.cdf(-1 - least)
        one_row = 1000 * (share / labelled + (1 - share) * weight / ordinary)
        assert each.model.value == pytest.approx(1000 * expected, abs=one_row)
        assert each.model.value >= max(each.everything.value, each.policy.value, 0) - one_row


def test_a_budget_takes_the_lowest_bound_within_it() -> None:
    """Not a post more than the budget, and as much found as it allows."""
    points = curve(Policy(), stream(), share=0.1)
    bound = Budget(100, 400).choose(points)
    per_1000 = {point.bound: point.alerts_per_1000 for point in points}
    assert per_1000[bound] <= 250 < per_1000[round(bound - 0.01, 2)]


def test_a_recall_takes_the_highest_bound_that_reaches_it() -> None:
    """As much found as asked for, and as few alerts as that takes."""
    points = curve(Policy(), stream(), share=0.1)
    bound = Recall(0.8).choose(points)
    recalls = {point.bound: point.recall for point in points}
    assert recalls[round(bound + 0.01, 2)] < 0.8 <= recalls[bound]


def test_what_cannot_be_reached_is_refused() -> None:
    """With the nearest that can be: nothing is quietly chosen in its place."""
    points = [Point(0.1, 0.9, 300.0), Point(0.5, 0.4, 50.0), Point(0.9, 0.0, 10.0)]
    with pytest.raises(UsageError, match=r"a recall of 0\.95 cannot be reached: the most any bound finds is 0\.90"):
        Recall(0.95).choose(points)
    with pytest.raises(UsageError, match=r"5 alerts a day .* at risk are 10\.0"):
        Budget(5, 200).choose(points)


def test_one_goal_is_stated() -> None:
    """Nothing, two things, or a budget for nobody knows how many posts are refused."""
    assert stated_goal(10, 400, None) == Budget(10, 400)
    assert stated_goal(None, 400, 0.9) == Recall(0.9)
    for goal in ((None, None, None), (10, 400, 0.9), (10, None, None)):
        with pytest.raises(UsageError):
            stated_goal(*goal)


def test_what_is_reported_was_not_chosen_on() -> None:
    """The figures are those of the other half alone."""
    whole = stream()
    halves = np.arange(400) % 4 < 2
    found = tune(Policy(), whole, halves, Recall(0.8), 0.1, 1)
    spoiled = whole.scores.risk.copy()
    spoiled[halves, 2] = np.linspace(1, 0, 200)
    changed = replace(whole, scores=replace(whole.scores, risk=spoiled))
    other = tune(Policy(), changed, halves, Recall(0.8), 0.1, 1)
    assert found.bound != other.bound
    assert found.before == other.before
    with pytest.raises(UsageError, match="too few labelled rows"):
        tune(Policy(), whole, np.ones(400, dtype=bool), Recall(0.8), 0.1, 1)


@pytest.mark.parametrize(
    ("goal", "words"),
    [(Recall(0.8), r"it finds 0\.\d\d .* of the posts at risk, less than 0\.8"), (Budget(40, 100), "more than 40")],
)
def test_a_goal_that_is_missed_on_the_others_is_said(goal: Budget | Recall, words: str) -> None:
    """One line, where the half that a bound was not chosen on is harder; nothing where the goal is kept there too."""
    whole = stream()
    halves = np.arange(400) % 4 < 2
    harder = whole.scores.risk.copy()
    harder[~halves, 2] = np.where(whole.at_risk, 0.5, 1.2)[~halves] * harder[~halves, 2]
    changed = replace(whole, scores=replace(whole.scores, risk=harder.clip(0, 1)))
    for posts, expected in ((whole, ""), (changed, words)):
        shown = io.StringIO()
        show(tune(Policy(), posts, halves, goal, 0.1, 1), 0.1, 400, Console(file=shown, width=200))
        said = [line for line in shown.getvalue().splitlines() if "misses what you asked for" in line]
        assert bool(said) == bool(expected)
        assert all(re.search(expected, line) for line in said)


def test_an_author_is_in_one_half() -> None:
    """Whatever they wrote; and the halves are halves."""
    labelled = [Row(str(n), "x", "s", Document("", f"text {n}"), ("suicide",), f"author {n // 2}") for n in range(400)]
    halves = halve([row.key for row in labelled], seed=1)
    assert (halves[::2] == halves[1::2]).all()
    assert 140 < halves.sum() < 260


def test_the_config_keeps_everything_else() -> None:
    """Only the numbers change: comments, order and other keys stay, in the example and in a file with nothing."""
    policy = with_bound(Policy(), 0.31)
    text = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    changed = rewrite(text, policy)
    differing = [(old, new) for old, new in zip(text.splitlines(), changed.splitlines(), strict=True) if old != new]
    assert [new for _, new in differing] == ['    { risk = "ideation", min_probability = 0.31, min_relevance = 0.5 },']
    for short in ("", '[reddit]\nsubreddits = ["testsub"]  # ours\n', '[policy]\nwatch_does = ["alert"]\n'):
        written = rewrite(short, Config.model_validate(tomllib.loads(short)).policy.model_copy(update=_lists(policy)))
        assert all(line in written for line in short.splitlines())
        assert Config.model_validate(tomllib.loads(written)).policy.urgent == policy.urgent
    assert Config.model_validate(tomllib.loads(lines_of(policy))).policy == policy


def test_a_config_is_rewritten_in_one_step(tmp_path: Path) -> None:
    """Whoever reads it meanwhile has the old one whole; its permissions stay, and a link to it stays one."""
    file, link = tmp_path / "ours.toml", tmp_path / "config.toml"
    file.write_text("[log]  # ours\n", encoding="utf-8")
    file.chmod(0o600)
    link.symlink_to(file)
    with file.open(encoding="utf-8") as reader:
        save(link, with_bound(Policy(), 0.31))
        assert reader.read() == "[log]  # ours\n"
    assert "0.31" in file.read_text(encoding="utf-8")
    assert (link.is_symlink(), file.stat().st_mode & 0o777, len(list(tmp_path.iterdir()))) == (True, 0o600, 2)


def test_rules_written_as_tables_are_rewritten_too() -> None:
    """TOML has two ways to write a list of rules."""
    text = '[[policy.urgent]]\nrisk = "ideation"  # ours\n[[policy.urgent]]\nseverity = "severe"\n'
    policy = with_bound(Config.model_validate(tomllib.loads(text)).policy, 0.6)
    written = rewrite(text, policy)
    assert "# ours" in written
    assert Config.model_validate(tomllib.loads(written)).policy == policy


def _lists(policy: Policy) -> dict[str, object]:
    return {"crisis": policy.crisis, "urgent": policy.urgent}
