"""The gateway's counters for Prometheus, under the names of spec 18.3, present from the start.

Counting is adding to a cell of a list: nothing is looked up in the client library on the way of an
order. The text is made when somebody asks for it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from adapters.tektii.wire import OrderEventType, RateLimitEventType

BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ORDER_EVENTS = {
    kind: kind.value.lower().removeprefix("order_").replace("bracket_order_", "bracket_")
    for kind in OrderEventType
}
RATE_LIMIT_EVENTS = {
    kind: kind.value.lower().removeprefix("rate_limit_") for kind in RateLimitEventType
}


class PlatformCounts:
    """What is counted for one platform."""

    __slots__ = (
        "backtests_completed",
        "disconnections",
        "failures",
        "notifications_dropped",
        "oco_double_exits",
        "order_events",
        "rate_limit_events",
        "reconnect_attempts",
        "reconnections",
        "submit_counts",
        "submit_sum_s",
        "submitted",
    )

    def __init__(self) -> None:
        self.submitted = 0
        self.submit_counts = [0] * (len(BUCKETS_S) + 1)  # of each bucket alone
        self.submit_sum_s = 0.0
        self.order_events = dict.fromkeys(OrderEventType, 0)
        self.rate_limit_events = dict.fromkeys(RateLimitEventType, 0)
        self.oco_double_exits = 0
        self.notifications_dropped = 0
        self.disconnections = 0
        self.reconnect_attempts = 0
        self.reconnections = 0
        self.failures = 0
        self.backtests_completed = 0


PLATFORM_COUNTERS = (
    ("orders_submitted", "Orders taken by the venue", "submitted"),
    ("oco_double_exit", "Both members of an OCO pair filled", "oco_double_exits"),
    (
        "critical_notifications_dropped",
        "Notices that no client could be told",
        "notifications_dropped",
    ),
    ("broker_disconnections", "Links to the venue that were lost", "disconnections"),
    ("broker_reconnect_attempts", "Attempts to reach the venue again", "reconnect_attempts"),
    ("broker_reconnections", "Links to the venue that came back", "reconnections"),
    ("broker_reconnect_failures", "Links to the venue that were given up", "failures"),
    ("backtest_completions", "Backtests that came to their end", "backtests_completed"),
)


class GatewayMetrics:
    """A collector of everything that spec 18.3 names; `shared` makes it."""

    def __init__(self, platforms: Iterable[str]) -> None:
        self._platforms = {name: PlatformCounts() for name in platforms}
        self._connections = 0
        self._slow_consumers = 0
        self._breaker_resets = 0

    @classmethod
    def shared(cls, registry: CollectorRegistry, platforms: Iterable[str]) -> "GatewayMetrics":
        """Return the collector of a registry, one for all gateways in it, with these platforms."""
        found = _COLLECTORS.get(registry)
        if found is None:
            found = _COLLECTORS[registry] = cls(())
            registry.register(found)
        for name in platforms:
            found._platforms.setdefault(name, PlatformCounts())
        return found

    # -- counting --------------------------------------------------------------------------------

    def order_submitted(self, platform: str, seconds: float) -> None:
        """An order was taken, so long after it was asked for."""
        counts = self._of(platform)
        counts.submitted += 1
        counts.submit_sum_s += seconds
        counts.submit_counts[bisect_left(BUCKETS_S, seconds)] += 1

    def order_event(self, platform: str, kind: OrderEventType) -> None:
        """Something happened to an order."""
        self._of(platform).order_events[kind] += 1

    def oco_double_exit(self, platform: str) -> None:
        """Both members of an OCO pair filled."""
        self._of(platform).oco_double_exits += 1

    def notification_dropped(self, platform: str) -> None:
        """A notice that matters reached no client."""
        self._of(platform).notifications_dropped += 1

    def connections(self, count: int) -> None:
        """So many more streams are open now; negative where some were closed."""
        self._connections += count

    def slow_consumer(self) -> None:
        """A stream was closed because its client read too slowly."""
        self._slow_consumers += 1

    def broker_disconnected(self, platform: str) -> None:
        """The link to the venue was lost."""
        self._of(platform).disconnections += 1

    def broker_reconnecting(self, platform: str) -> None:
        """Another attempt to reach the venue."""
        self._of(platform).reconnect_attempts += 1

    def broker_reconnected(self, platform: str) -> None:
        """The link to the venue is there again."""
        self._of(platform).reconnections += 1

    def broker_failed(self, platform: str) -> None:
        """The venue was given up, or refused the credentials."""
        self._of(platform).failures += 1

    def rate_limit_event(self, platform: str, kind: RateLimitEventType) -> None:
        """The venue's limit is near, or was hit."""
        self._of(platform).rate_limit_events[kind] += 1

    def breakers_reset(self) -> None:
        """Somebody reset the circuit breakers."""
        self._breaker_resets += 1

    def backtest_completed(self, platform: str) -> None:
        """The recorded data came to its end."""
        self._of(platform).backtests_completed += 1

    # -- the text --------------------------------------------------------------------------------

    def describe(self) -> Iterator[Metric]:
        """Return what `collect` does: a registry refuses a second one of these names."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """Yield every family as it stands."""
        for name, help_text, field in PLATFORM_COUNTERS:
            counter = CounterMetricFamily(f"gateway_{name}", help_text, labels=("platform",))
            for platform, counts in self._platforms.items():
                counter.add_metric((platform,), getattr(counts, field))
            yield counter
        yield self._durations()
        yield from self._events()
        yield GaugeMetricFamily(
            "gateway_ws_connections_active", "Open streams", value=self._connections
        )
        yield SuffixlessCounter(
            "gateway_ws_slow_consumer_disconnects",
            "Streams closed because their clients read too slowly",
            self._slow_consumers,
        )
        yield CounterMetricFamily(
            "gateway_circuit_breaker_resets",
            "Resets of the circuit breakers",
            value=self._breaker_resets,
        )

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "gateway_order_submit_duration_seconds",
            "From an order's request to its answer",
            labels=("platform",),
        )
        bounds = [*(f"{bound:g}" for bound in BUCKETS_S), "+Inf"]
        for platform, counts in self._platforms.items():
            sums = [float(count) for count in accumulate(counts.submit_counts)]
            buckets = list(zip(bounds, sums, strict=True))
            family.add_metric((platform,), buckets, counts.submit_sum_s)
        return family

    def _events(self) -> Iterator[Metric]:
        labels = ("platform", "event_type")
        orders = CounterMetricFamily("gateway_order_events", "Events of orders", labels=labels)
        limits = CounterMetricFamily(
            "gateway_rate_limit_events", "How near the venue's limit was", labels=labels
        )
        for platform, counts in self._platforms.items():
            for kind, count in counts.order_events.items():
                orders.add_metric((platform, ORDER_EVENTS[kind]), count)
            for limit, count in counts.rate_limit_events.items():
                limits.add_metric((platform, RATE_LIMIT_EVENTS[limit]), count)
        yield orders
        yield limits

    def _of(self, platform: str) -> PlatformCounts:
        found = self._platforms.get(platform)
        if found is None:
            found = self._platforms[platform] = PlatformCounts()
        return found


_COLLECTORS: "WeakKeyDictionary[CollectorRegistry, GatewayMetrics]" = WeakKeyDictionary()


class SuffixlessCounter(Metric):
    """A counter whose name does not end in `_total`, which the client library would put there."""

    def __init__(self, name: str, documentation: str, value: float) -> None:
        super().__init__(name, documentation, "counter")
        self.name = WholeName(name)
        self.add_sample(name, {}, value)


class WholeName(str):
    """A name that takes no `_total` behind it."""

    __slots__ = ()

    def __add__(self, suffix: str) -> str:
        return str(self) if suffix == "_total" else str(self) + suffix
