import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from framework.bus.statistics import ChannelStatistics, SubscriberStatistics
from framework.server.door import RefusalKind
from framework.server.links import Links
from framework.server.metrics import runtime_metrics
from framework.settings.server import LimitSettings

CHANNEL = ChannelStatistics(
    channel="quotes",
    capacity=100,
    published=20,
    delivered=10,
    dropped=4,
    conflated=2,
    discarded=1,
    queued=3,
)
SUBSCRIBER = SubscriberStatistics(
    name="cross",
    channels=(CHANNEL,),
    batches=7,
    handler_ns=1_500_000_000,
    lag_ns=2_000_000,
    errors=5,
    is_busy=False,
    is_ended=False,
)


def shown(registry: CollectorRegistry) -> dict[str, float]:
    """Return every sample of a scrape by name and labels, read by Prometheus's own parser."""
    return {
        " ".join(
            [sample.name, *dict(sorted(sample.labels.items(), reverse=True)).values()]
        ): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_queues_are_shown_per_subscriber_and_channel() -> None:
    registry = CollectorRegistry()
    runtime_metrics(registry, lambda: {"cross": SUBSCRIBER}, [])

    samples = shown(registry)

    assert {name: value for name, value in samples.items() if " cross" in name} == {
        "headrace_bus_queue_depth cross quotes": 3,
        "headrace_bus_queue_capacity cross quotes": 100,
        "headrace_bus_events_published_total cross quotes": 20,
        "headrace_bus_events_delivered_total cross quotes": 10,
        "headrace_bus_events_dropped_total cross quotes": 4,
        "headrace_bus_events_conflated_total cross quotes": 2,
        "headrace_bus_events_discarded_total cross quotes": 1,
        "headrace_bus_batches_total cross": 7,
        "headrace_bus_handler_seconds_total cross": 1.5,
        "headrace_bus_handler_errors_total cross": 5,
        "headrace_bus_lag_seconds cross": 0.002,
    }


def test_streams_are_shown_and_may_come_later() -> None:
    registry = CollectorRegistry()
    doors: list[Links] = []
    runtime_metrics(registry, dict, doors)
    links = Links(LimitSettings(), name="gateway")
    doors.append(links)
    links.opened = 3
    links.cut_slow = 2
    links.cut_silent = 1

    samples = shown(registry)

    assert samples["headrace_links_open gateway"] == 0
    assert samples["headrace_links_opened_total gateway"] == 3
    assert samples["headrace_links_cut_slow_total gateway"] == 2
    assert samples["headrace_links_cut_silent_total gateway"] == 1
    for name in ("frames_sent", "frames_conflated", "frames_dropped", "sent_bytes"):
        assert samples[f"headrace_link_{name}_total gateway"] == 0
    for name in ("frames_waiting", "waiting_bytes"):
        assert samples[f"headrace_link_{name} gateway"] == 0


def test_every_kind_of_refusal_is_there_from_the_start() -> None:
    registry = CollectorRegistry()
    runtime_metrics(registry, dict, [], lambda: {RefusalKind.TOO_MANY: 9})

    samples = shown(registry)

    assert samples["headrace_requests_refused_total too_many"] == 9
    assert samples["headrace_requests_refused_total busy"] == 0
    assert sum("refused" in name for name in samples) == len(RefusalKind)


def test_counters_are_read_at_the_scrape_and_not_before() -> None:
    asked: list[int] = []

    def statistics() -> dict[str, SubscriberStatistics]:
        asked.append(1)
        return {}

    registry = CollectorRegistry()
    collector = runtime_metrics(registry, statistics, [])
    assert asked == []
    generate_latest(registry)
    assert asked == [1]
    registry.unregister(collector)
    assert generate_latest(registry) == b""


def test_a_second_one_of_the_same_registry_is_refused() -> None:
    registry = CollectorRegistry()
    runtime_metrics(registry, dict, [])

    with pytest.raises(ValueError, match="Duplicated"):
        runtime_metrics(registry, dict, [])
