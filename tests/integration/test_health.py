"""Health over HTTP: who may ask, what is answered, and when the bot counts as stalled."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator

import httpx2
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.health import Health
from bot.web import listener
from tests.conftest import NOON, HandClock

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def health(clock: HandClock) -> Health:
    """Of a process that watches two subreddits and counts as stalled after half an hour."""
    return Health(["testsub", "other"], 1800, clock)


@pytest.fixture
async def client(health: Health) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody on this machine who asks."""
    async with health.serving(0) as base_url, httpx2.AsyncClient(base_url=base_url, trust_env=False) as client:
        yield client


async def figures(client: httpx2.AsyncClient) -> Figures:
    """What /metrics says, by name and labels, as Prometheus reads it."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


async def test_stalled_and_well_again(client: httpx2.AsyncClient, health: Health, clock: HandClock) -> None:
    """200 from the start, 503 when one subreddit was not read for the stalled time, 200 again after a look."""
    assert (await client.get("/healthz")).status_code == 200
    clock.advance(1799.9)
    health.looked("other", 0)
    assert (await client.get("/healthz")).status_code == 200
    clock.advance(0.1)
    stalled = await client.get("/healthz")
    assert stalled.status_code == 503
    assert stalled.json() == {"status": "stalled", "seconds_since_last_look": {"testsub": 1800.0, "other": 0.1}}
    health.looked("testsub", 0)
    well = await client.get("/healthz")
    assert well.status_code == 200
    assert well.json() == {"status": "ok", "seconds_since_last_look": {"testsub": 0.0, "other": 0.1}}


async def test_a_clock_that_is_set_stalls_nothing(client: httpx2.AsyncClient, clock: HandClock) -> None:
    """Only time that really passed counts."""
    clock.set(NOON + 86_400)
    assert (await client.get("/healthz")).status_code == 200


async def test_every_figure_arrives(client: httpx2.AsyncClient, health: Health, clock: HandClock) -> None:
    """Each call of the loop shows in the metric that is named after it, with its value."""
    clock.advance(60)
    health.looked("testsub", 3)
    health.looked("testsub", 2)
    health.judged("testsub", "crisis", 0.3)
    health.judged("testsub", "none", -0.5)
    health.delivered("alert", "sent", 2.5)
    health.delivered("alert", "retried", 99.0)
    health.messaged("phone", "sent")
    health.channels_stood({("phone", "dead"): 5})
    health.alerted(12.0)
    health.stood(7, {("alert", "sent"): 4, ("reply", "dead"): 2, ("alert", "dead"): 1}, 1, 2, 31, 100, 964.0)
    got = await figures(client)

    def value(name: str, **labels: str) -> float:
        return got[f"nightlight_{name}", tuple(sorted(labels.items()))]

    assert value("posts_seen_total", subreddit="testsub") == 5
    assert value("last_look_timestamp_seconds", subreddit="testsub") == NOON + 60
    assert value("posts_assessed_total", subreddit="testsub", level="crisis") == 1
    assert value("posts_assessed_total", subreddit="testsub", level="none") == 1
    assert (value("seconds_to_stored_count"), value("seconds_to_stored_sum")) == (2, 0.3)
    assert value("seconds_to_stored_bucket", le="0.25") == 1
    assert value("seconds_to_stored_bucket", le="0.5") == 2
    assert value("deliveries_total", kind="alert", outcome="sent") == 1
    assert value("deliveries_total", kind="alert", outcome="retried") == 1
    assert value("seconds_to_sent_count", kind="alert") == 1
    assert value("seconds_to_sent_sum", kind="alert") == 2.5
    assert (value("seconds_to_alerted_count"), value("seconds_to_alerted_sum")) == (1, 12.0)
    assert value("messages_total", channel="phone", outcome="sent") == 1
    assert value("channel_outbox", channel="phone", state="dead") == 5
    assert value("queue_depth") == 7
    assert value("outbox", kind="alert", state="sent") == 4
    assert value("outbox", kind="reply", state="dead") == 2
    assert value("dead_letters") == 1
    assert value("gaps") == 2
    assert value("budget_used") == 31
    assert value("budget_per_minute") == 100
    assert value("budget_remaining") == 964.0
    assert [name for name, labels in got if name == "nightlight_info" and dict(labels)["version"]]
    labels = {label for _, pairs in got for label, _ in pairs}
    assert labels == {"subreddit", "level", "kind", "channel", "outcome", "state", "le", "version"}


async def test_what_is_over_is_forgotten(client: httpx2.AsyncClient, health: Health) -> None:
    """A state that no delivery is in any more disappears, and what Reddit no longer says is no number."""
    health.stood(1, {("alert", "pending"): 1}, 0, 0, 0, 100, 5.0)
    health.stood(0, {}, 0, 0, 0, 100, None)
    got = await figures(client)
    assert not [name for name, _ in got if name == "nightlight_outbox"]
    assert math.isnan(got["nightlight_budget_remaining", ()])


@pytest.mark.parametrize("host", ["nightlight.example", "127.0.0.1.example", "192.0.2.1:9464", "0.0.0.0", ""])  # noqa: S104
@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
async def test_another_name_for_this_machine_is_refused(client: httpx2.AsyncClient, host: str, path: str) -> None:
    """A web page whose name was made to point at loopback reads nothing (DNS rebinding)."""
    assert (await client.get(path, headers={"host": host})).status_code == 400


async def test_localhost_is_this_machine(client: httpx2.AsyncClient) -> None:
    """By its common name too, whatever the port."""
    assert (await client.get("/healthz", headers={"host": "localhost:9464"})).status_code == 200


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/metrics", 405), ("GET", "/", 404)])
async def test_nothing_else_is_answered(client: httpx2.AsyncClient, method: str, path: str, status: int) -> None:
    """Two paths, to read only."""
    assert (await client.request(method, path)).status_code == status


async def test_a_taken_port_is_an_os_error(health: Health) -> None:
    """Whoever starts it hears of it, and the port is free again afterwards."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            async with health.serving(port):
                pass
    async with health.serving(port) as base_url:
        assert base_url == f"http://127.0.0.1:{port}"


async def test_no_part_of_an_answer_waits_for_the_one_before() -> None:
    """Whatever connects to a listener has Nagle's delay turned off: it would add 40 ms to every page."""
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listening = listener("127.0.0.1", 0)
    async with await asyncio.start_server(on_connection, sock=listening):
        _, writer = await asyncio.open_connection(*listening.getsockname())
        assert await accepted
        writer.close()


async def test_two_live_side_by_side(health: Health, client: httpx2.AsyncClient, clock: HandClock) -> None:
    """In one process each has its own port and its own figures."""
    other = Health(["testsub"], 1800, clock)
    async with other.serving(0) as base_url, httpx2.AsyncClient(base_url=base_url, trust_env=False) as second:
        health.looked("testsub", 5)
        other.looked("testsub", 1)
        key = ("nightlight_posts_seen_total", (("subreddit", "testsub"),))
        assert ((await figures(client))[key], (await figures(second))[key]) == (5, 1)


async def test_nothing_but_loopback_is_listened_on(health: Health) -> None:
    """While it serves, this process has one more listening socket, at 127.0.0.1; afterwards none."""

    def listening() -> set[tuple[str, int]]:
        return {
            (each.laddr.ip, each.laddr.port)
            for each in psutil.Process().net_connections("inet")
            if each.status == psutil.CONN_LISTEN
        }

    before = listening()
    async with health.serving(0) as base_url:
        assert listening() - before == {("127.0.0.1", int(base_url.rpartition(":")[2]))}
    assert listening() == before
