"""How the running bot is: Prometheus figures at /metrics and a yes or no at /healthz, for this machine alone.

No label names a post or an author.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.clock import Clock
from bot.web import listener, serving

HOST = "127.0.0.1"

_TO_STORED = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TO_SENT = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)


class Health:
    """Figures of one process, each told in the words of the loop. Times are seconds; `at` and clocks are monotonic."""

    def __init__(self, subreddits: Sequence[str], stalled_seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._stalled_seconds = stalled_seconds
        self._looked = dict.fromkeys(subreddits, clock.monotonic())
        self._registry = registry = CollectorRegistry()
        Info("nightlight", "This process", registry=registry).info({"version": version("nightlight")})
        self._seen = Counter("nightlight_posts_seen", "Posts fetched", ["subreddit"], registry=registry)
        self._assessed = Counter("nightlight_posts_assessed", "Posts judged", ["subreddit", "level"], registry=registry)
        self._to_stored = Histogram(
            "nightlight_seconds_to_stored", "From fetched to stored", buckets=_TO_STORED, registry=registry
        )
        self._to_sent = Histogram(
            "nightlight_seconds_to_sent", "From decided to sent", ["kind"], buckets=_TO_SENT, registry=registry
        )
        self._to_alerted = Histogram(
            "nightlight_seconds_to_alerted", "From written to alerted", buckets=_TO_SENT, registry=registry
        )
        self._deliveries = Counter(
            "nightlight_deliveries", "Deliveries by what became of them", ["kind", "outcome"], registry=registry
        )
        self._messages = Counter(
            "nightlight_messages", "Chat messages by what became of them", ["channel", "outcome"], registry=registry
        )
        self._channels = Gauge(
            "nightlight_channel_outbox", "Chat messages by state", ["channel", "state"], registry=registry
        )
        self._queue = Gauge("nightlight_queue_depth", "Posts fetched and not judged yet", registry=registry)
        self._outbox = Gauge("nightlight_outbox", "Deliveries by state", ["kind", "state"], registry=registry)
        self._dead = Gauge(
            "nightlight_dead_letters", "Deliveries that could not be sent, and can be sent again", registry=registry
        )
        self._gaps = Gauge("nightlight_gaps", "Times of missing posts that nobody looked through", registry=registry)
        self._used = Gauge("nightlight_budget_used", "Calls to Reddit in the last minute", registry=registry)
        self._per_minute = Gauge("nightlight_budget_per_minute", "Calls to Reddit allowed a minute", registry=registry)
        self._remaining = Gauge("nightlight_budget_remaining", "Calls left, as Reddit says", registry=registry)
        self._last_look = Gauge(
            "nightlight_last_look_timestamp_seconds", "The last good look", ["subreddit"], registry=registry
        )

        for subreddit in subreddits:
            self._last_look.labels(subreddit).set(clock.now())  # silence counts from the start

    def looked(self, subreddit: str, count: int) -> None:
        """A look at a subreddit succeeded and brought so many new posts."""
        self._looked[subreddit] = self._clock.monotonic()
        self._last_look.labels(subreddit).set(self._clock.now())
        self._seen.labels(subreddit).inc(count)

    def judged(self, subreddit: str, level: str, seconds: float) -> None:
        """A post was judged and stored, so long after it was fetched."""
        self._assessed.labels(subreddit, level).inc()
        self._to_stored.observe(max(0.0, seconds))

    def delivered(self, kind: str, outcome: str, seconds: float) -> None:
        """A delivery was settled, so long after it was decided."""
        self._deliveries.labels(kind, outcome).inc()
        if outcome == "sent":
            self._to_sent.labels(kind).observe(max(0.0, seconds))

    def messaged(self, channel: str, outcome: str) -> None:
        """A message to a chat channel was settled."""
        self._messages.labels(channel, outcome).inc()

    def channels_stood(self, messages: Mapping[tuple[str, str], int]) -> None:
        """How things stand with the chat channels: messages by channel and state."""
        self._channels.clear()
        for (channel, state), count in messages.items():
            self._channels.labels(channel, state).set(count)

    def alerted(self, seconds: float) -> None:
        """The moderators were told of a post, so long after it was written."""
        self._to_alerted.observe(max(0.0, seconds))

    def stood(
        self,
        queue_depth: int,
        outbox: Mapping[tuple[str, str], int],
        dead: int,
        gaps: int,
        used: int,
        per_minute: int,
        remaining: float | None,
    ) -> None:
        """How things stand: posts that wait, deliveries by kind and state, dead letters, gaps, the budget of calls."""
        self._queue.set(queue_depth)
        self._outbox.clear()
        for (kind, state), count in outbox.items():
            self._outbox.labels(kind, state).set(count)
        self._dead.set(dead)
        self._gaps.set(gaps)
        self._used.set(used)
        self._per_minute.set(per_minute)
        self._remaining.set(float("nan") if remaining is None else remaining)

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[str]:
        """Answers on loopback until the context ends; port 0 takes a free one. Raises OSError when it is taken."""
        # Other names for this machine are refused: a page in somebody's browser could use one to read along.
        only_here = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
        routes = [Route("/metrics", self._metrics), Route("/healthz", self._healthz)]
        listening = listener(HOST, port)
        base_url = f"http://{HOST}:{listening.getsockname()[1]}"
        async with serving(Starlette(routes=routes, middleware=[only_here]), listening):
            yield base_url

    async def _metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), media_type=None, headers={"content-type": content_type})

    async def _healthz(self, request: Request) -> Response:
        now = self._clock.monotonic()
        since = {subreddit: round(now - looked, 1) for subreddit, looked in self._looked.items()}
        stalled = any(seconds >= self._stalled_seconds for seconds in since.values())
        body = {"status": "stalled" if stalled else "ok", "seconds_since_last_look": since}
        return JSONResponse(body, 503 if stalled else 200)
