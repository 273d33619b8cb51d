"""What Prometheus sees of a runtime and its front doors; counted by others, read at each scrape.

Names follow https://prometheus.io/docs/practices/naming/: `headrace_`, base units, `_total`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from framework.bus.statistics import SubscriberStatistics
from framework.server.door import RefusalKind
from framework.server.links import Links, LinkStatistics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

NS_PER_S = 1_000_000_000

Refusals = Callable[[], Mapping[RefusalKind, int]]


def runtime_metrics(
    registry: "CollectorRegistry",
    statistics: Callable[[], Mapping[str, SubscriberStatistics]],
    links: Iterable[Links],
    refusals: Refusals = dict,
) -> Collector:
    """Register what shows queues, streams and refused requests; return it, to be unregistered.

    `statistics` are the bus's by subscriber, `refusals` the counts of a listener. `links` may grow
    later; their names differ.

    Raises:
        ValueError: the registry has such metrics already.
    """
    collector = _Runtime(statistics, links, refusals)
    registry.register(collector)
    return collector


class _Runtime(Collector):
    def __init__(
        self,
        statistics: Callable[[], Mapping[str, SubscriberStatistics]],
        links: Iterable[Links],
        refusals: Refusals,
    ) -> None:
        self._statistics = statistics
        self._links = links
        self._refusals = refusals

    def describe(self) -> "Iterator[Metric]":
        """Yield all families, empty: registering must not ask a runtime that is not up yet."""
        yield from _families({}, [], {})

    def collect(self) -> "Iterator[Metric]":
        """Yield all families as of now."""
        statistics = [links.statistics() for links in self._links]
        yield from _families(self._statistics(), statistics, self._refusals())


class _Row(NamedTuple):
    """A metric: its type and name, what it says, and where its value is."""

    family: type[CounterMetricFamily] | type[GaugeMetricFamily]
    name: str
    text: str
    value: Callable[[Any], float]


COUNTER, GAUGE = CounterMetricFamily, GaugeMetricFamily

OF_CHANNELS = (  # each a `ChannelStatistics`
    _Row(GAUGE, "bus_queue_depth", "Events that wait.", lambda one: one.queued),
    _Row(GAUGE, "bus_queue_capacity", "Events that may wait.", lambda one: one.capacity),
    _Row(COUNTER, "bus_events_published", "Events put into a queue.", lambda one: one.published),
    _Row(COUNTER, "bus_events_delivered", "Events taken out.", lambda one: one.delivered),
    _Row(COUNTER, "bus_events_dropped", "Events lost: it was full.", lambda one: one.dropped),
    _Row(COUNTER, "bus_events_conflated", "Events replaced by newer.", lambda one: one.conflated),
    _Row(COUNTER, "bus_events_discarded", "Events left at the end.", lambda one: one.discarded),
)
OF_SUBSCRIBERS = (  # each a `SubscriberStatistics`
    _Row(COUNTER, "bus_batches", "Turns that took events.", lambda one: one.batches),
    _Row(
        COUNTER,
        "bus_handler_seconds",
        "Time spent in handlers.",
        lambda one: one.handler_ns / NS_PER_S,
    ),
    _Row(COUNTER, "bus_handler_errors", "Handlers that failed.", lambda one: one.errors),
    _Row(
        GAUGE,
        "bus_lag_seconds",
        "How late the last batch was begun.",
        lambda one: one.lag_ns / NS_PER_S,
    ),
)
OF_LINKS = (  # each a `LinkStatistics`
    _Row(GAUGE, "links_open", "Open streams.", lambda one: one.active),
    _Row(COUNTER, "links_opened", "Streams ever opened.", lambda one: one.opened),
    _Row(COUNTER, "links_cut_slow", "Streams cut: slow consumer.", lambda one: one.cut_slow),
    _Row(COUNTER, "links_cut_silent", "Streams cut: no answer.", lambda one: one.cut_silent),
    _Row(COUNTER, "link_frames_sent", "Frames sent.", lambda one: one.frames_sent),
    _Row(COUNTER, "link_frames_conflated", "Frames replaced.", lambda one: one.frames_conflated),
    _Row(COUNTER, "link_frames_dropped", "Frames of cut links.", lambda one: one.frames_dropped),
    _Row(GAUGE, "link_frames_waiting", "Frames not sent yet.", lambda one: one.frames_waiting),
    _Row(COUNTER, "link_sent_bytes", "Bytes sent.", lambda one: one.sent_bytes),
    _Row(GAUGE, "link_waiting_bytes", "Bytes not sent yet.", lambda one: one.waiting_bytes),
)
OF_REFUSALS = (
    _Row(COUNTER, "requests_refused", "Requests that no door heard of.", lambda one: one),
)


def _families(
    subscribers: Mapping[str, SubscriberStatistics],
    links: list[LinkStatistics],
    refusals: Mapping[RefusalKind, int],
) -> "Iterator[Metric]":
    channels = [
        ((name, channel.channel), channel)
        for name, subscriber in subscribers.items()
        for channel in subscriber.channels
    ]
    yield from _shown(OF_CHANNELS, ["subscriber", "channel"], channels)
    by_name = [((name,), subscriber) for name, subscriber in subscribers.items()]
    yield from _shown(OF_SUBSCRIBERS, ["subscriber"], by_name)
    yield from _shown(OF_LINKS, ["streams"], [((one.name,), one) for one in links])
    counts = [((kind.value,), refusals.get(kind, 0)) for kind in RefusalKind]
    yield from _shown(OF_REFUSALS, ["kind"], counts)


def _shown(
    rows: tuple[_Row, ...], labels: list[str], things: Sequence[tuple[tuple[str, ...], Any]]
) -> "Iterator[Metric]":
    for row in rows:
        family = row.family(f"headrace_{row.name}", row.text, labels=labels)
        for values, thing in things:
            family.add_metric(list(values), row.value(thing))
        yield family
