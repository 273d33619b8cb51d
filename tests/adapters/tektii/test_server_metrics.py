"""What Prometheus reads of a gateway: the names, types, labels and buckets of spec 18.3."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from adapters.tektii.server_metrics import GatewayMetrics
from adapters.tektii.wire import OrderEventType, RateLimitEventType

PER_PLATFORM = {
    "gateway_orders_submitted_total": "counter",
    "gateway_order_submit_duration_seconds": "histogram",
    "gateway_oco_double_exit_total": "counter",
    "gateway_critical_notifications_dropped_total": "counter",
    "gateway_broker_disconnections_total": "counter",
    "gateway_broker_reconnect_attempts_total": "counter",
    "gateway_broker_reconnections_total": "counter",
    "gateway_broker_reconnect_failures_total": "counter",
    "gateway_backtest_completions_total": "counter",
}
PER_EVENT = {
    "gateway_order_events_total": [
        *("created", "modified", "cancelled", "rejected", "filled", "partially_filled"),
        *("expired", "bracket_created", "bracket_modified"),
    ],
    "gateway_rate_limit_events_total": ["warning", "hit"],
}
PLAIN = {
    "gateway_ws_connections_active": "gauge",
    "gateway_ws_slow_consumer_disconnects": "counter",
    "gateway_circuit_breaker_resets_total": "counter",
}


def scraped(registry: CollectorRegistry) -> dict[str, float]:
    """Return the value of every sample by its line's name and labels."""
    lines = generate_latest(registry).decode().splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in lines
        if not line.startswith("#")
    }


def types_of(registry: CollectorRegistry) -> dict[str, str]:
    """Return the type of every name, as the text declares it."""
    words = [line.split() for line in generate_latest(registry).decode().splitlines()]
    return {word[2]: word[3] for word in words if word[:2] == ["#", "TYPE"]}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> GatewayMetrics:
    return GatewayMetrics.shared(registry, ("mock", "alpaca-paper"))


def test_every_name_is_there_from_the_start_with_its_type(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    expected = {**PER_PLATFORM, **dict.fromkeys(PER_EVENT, "counter"), **PLAIN}

    assert types_of(registry) == expected


def test_everything_is_zero_at_the_start_for_every_platform_and_kind_of_event(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    values = scraped(registry)

    assert set(values.values()) == {0.0}
    for platform in ("mock", "alpaca-paper"):
        for name, kind in PER_PLATFORM.items():
            suffix = "_count" if kind == "histogram" else ""
            assert f'{name}{suffix}{{platform="{platform}"}}' in values
        for name, events in PER_EVENT.items():
            for event in events:
                assert f'{name}{{event_type="{event}",platform="{platform}"}}' in values
    assert values["gateway_ws_slow_consumer_disconnects"] == 0.0


def test_an_order_is_counted_in_its_bucket_and_all_above(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    for one in (0.001, 0.0011, 0.3, 99.0):
        metrics.order_submitted("mock", one)

    values = scraped(registry)
    name = "gateway_order_submit_duration_seconds"
    seconds = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
    bounds = [*map(str, seconds), "+Inf"]
    counts = [values[f'{name}_bucket{{le="{bound}",platform="mock"}}'] for bound in bounds]
    assert counts == [1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4]
    assert values[f'{name}_count{{platform="mock"}}'] == 4
    assert values[f'{name}_sum{{platform="mock"}}'] == pytest.approx(99.3021)
    assert values['gateway_orders_submitted_total{platform="mock"}'] == 4
    assert values['gateway_orders_submitted_total{platform="alpaca-paper"}'] == 0


def test_each_method_counts_what_it_is_named_after(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    metrics.order_event("mock", OrderEventType.BRACKET_ORDER_CREATED)
    metrics.order_event("mock", OrderEventType.ORDER_PARTIALLY_FILLED)
    metrics.rate_limit_event("mock", RateLimitEventType.RATE_LIMIT_HIT)
    metrics.connections(3)
    metrics.connections(-1)
    metrics.slow_consumer()
    metrics.breakers_reset()
    for count in (
        metrics.oco_double_exit,
        metrics.notification_dropped,
        metrics.broker_disconnected,
        metrics.broker_reconnecting,
        metrics.broker_reconnected,
        metrics.broker_failed,
        metrics.backtest_completed,
    ):
        count("mock")

    changed = {name: value for name, value in scraped(registry).items() if value}
    one_each = [name for name, kind in PER_PLATFORM.items() if kind == "counter"][1:]
    assert changed == {
        **{f'{name}{{platform="mock"}}': 1.0 for name in one_each},
        'gateway_order_events_total{event_type="bracket_created",platform="mock"}': 1.0,
        'gateway_order_events_total{event_type="partially_filled",platform="mock"}': 1.0,
        'gateway_rate_limit_events_total{event_type="hit",platform="mock"}': 1.0,
        "gateway_ws_connections_active": 2.0,
        "gateway_ws_slow_consumer_disconnects": 1.0,
        "gateway_circuit_breaker_resets_total": 1.0,
    }


def test_two_gateways_of_one_registry_share_the_collector(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    other = GatewayMetrics.shared(registry, ("oanda-live",))

    assert other is metrics
    assert 'gateway_orders_submitted_total{platform="oanda-live"}' in scraped(registry)
    assert GatewayMetrics.shared(CollectorRegistry(), ()) is not metrics


def test_a_second_collector_of_these_names_is_refused(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(GatewayMetrics(()))


def test_a_platform_nobody_named_is_counted_all_the_same(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    metrics.broker_disconnected("new")

    assert scraped(registry)['gateway_broker_disconnections_total{platform="new"}'] == 1


def test_the_text_can_be_read_by_a_parser(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))

    assert len(families) == len(PER_PLATFORM) + len(PER_EVENT) + len(PLAIN)
