"""What the public client hears of venues and of broken connections, and that it does no harm."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tektii import TradingGateway

from framework.model.events import (
    ConnectionChanged,
    ConnectionState,
    DataStale,
    RateLimited,
)
from framework.model.market_data import Quote
from tests.adapters.tektii.public_client_listener import Listener, order_event, symbol_of
from tests.adapters.tektii.public_client_relay import Relay
from tests.adapters.tektii.public_client_rig import (
    FORMS,
    RunningGateway,
    a_client,
    client_fixture,
    eventually,
    gateway_fixture,
    gateway_settings,
    lasting_port,
    symbol_fixture,
    tidy_fixture,
)

pytestmark = [
    pytest.mark.socket,
    # A client comes back just as its server stops to listen: asyncio of 3.11 then forgets to close.
    pytest.mark.filterwarnings(
        "ignore:.*(_SelectorTransport.__del__|<socket.socket):pytest.PytestUnraisableExceptionWarning"
    ),
]

gateway = gateway_fixture()
client = client_fixture("sync")
symbol = symbol_fixture()
tidy = tidy_fixture()


@pytest.fixture(scope="module", params=FORMS)
def listener(request: pytest.FixtureRequest, gateway: RunningGateway) -> Iterator[Listener]:
    with Listener(gateway.url, request.param) as heard:
        yield heard


def told(listener: Listener, kind: str, event: str, *, after: int = 0) -> Any:
    """Return the first event of a type and kind."""
    return listener.wait_for(lambda one: one.type == kind and one.event.value == event, after=after)


def link(gateway: RunningGateway, state: ConnectionState, reason: str = "") -> None:
    """Have the venue's feed stand so."""
    gateway.publish(ConnectionChanged("mock", "feed", state, gateway.now_ns, reason))


def all_is_well(client: TradingGateway) -> None:
    """Wait until the gateway says that it has its venue and fresh prices."""
    eventually(lambda: client.get_health().status.value, lambda status: status == "connected")


# -- venues ---------------------------------------------------------------------------------------


def test_candles_of_four_symbols_come_where_nothing_is_subscribed(listener: Listener) -> None:
    """Spec 16.1, 16.2, 1."""
    names = {"AAPL", "MSFT", "BTCUSD", "EURUSD"}
    candles = eventually(
        lambda: {e.bar.symbol: e.bar for e in list(listener.events) if e.type == "candle"},
        lambda found: names <= set(found),
    )
    assert {bar.timeframe.value for bar in candles.values()} == {"1m"}


def test_a_venue_that_is_lost_and_comes_back_is_told_in_order(
    listener: Listener, client: TradingGateway, gateway: RunningGateway
) -> None:
    """Spec 13; STALE comes with the loss, FRESH with each first price after it."""
    all_is_well(client)
    begun, begun_ns = len(listener.events), gateway.now_ns
    link(gateway, ConnectionState.CONNECTING, "the line is dead")
    lost = told(listener, "connection", "BROKER_DISCONNECTED", after=begun)
    assert lost.broker == "mock"
    assert not client.get_status().connected
    assert client.get_health().status.value == "degraded"
    assert not client.get_health().providers[0].connected
    stale = told(listener, "data_staleness", "STALE", after=begun)
    assert (stale.broker, stale.stale_since is not None) == ("mock", True)
    assert {"AAPL", "MSFT"} <= set(stale.symbols)
    link(gateway, ConnectionState.CONNECTING, "still dead")
    assert told(listener, "connection", "RECONNECTING", after=begun).error == "still dead"

    link(gateway, ConnectionState.STREAMING)
    back = told(listener, "connection", "BROKER_RECONNECTED", after=begun)
    assert back.broker == "mock"
    assert back.gap_duration_ms is not None
    assert 0 <= back.gap_duration_ms <= (gateway.now_ns - begun_ns) / 1e6
    fresh = told(listener, "data_staleness", "FRESH", after=begun)
    assert len(fresh.symbols) == 1
    assert fresh.stale_since == stale.stale_since
    kinds = [one.event.value for one in listener.events[begun:] if one.type == "connection"]
    assert kinds == ["BROKER_DISCONNECTED", "RECONNECTING", "CONNECTED", "BROKER_RECONNECTED"]
    assert client.get_status().connected
    all_is_well(client)


def test_a_venue_that_is_given_up_is_told(listener: Listener, gateway: RunningGateway) -> None:
    begun = len(listener.events)
    link(gateway, ConnectionState.CLOSED, "the key was refused")
    failed = told(listener, "connection", "BROKER_CONNECTION_FAILED", after=begun)
    assert (failed.broker, failed.error) == ("mock", "the key was refused")
    link(gateway, ConnectionState.STREAMING)


def test_a_silent_instrument_is_stale_until_its_next_price(
    listener: Listener, client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 11.1, 11.2, 13, 18.2; who connects meanwhile is told at once."""
    all_is_well(client)
    now_ns, name = gateway.now_ns, f"mock:{symbol}"
    gateway.publish(DataStale(name, "quotes", 3_000_000_000, now_ns))
    stale = listener.wait_for(lambda e: e.type == "data_staleness" and e.symbols == [symbol])
    assert (stale.event.value, stale.broker) == ("STALE", "mock")
    assert stale.stale_since.timestamp() == pytest.approx(now_ns / 1e9 - 3, abs=0.001)
    (provider,) = client.get_health().providers
    assert (provider.connected, provider.stale_instruments) == (True, [symbol])
    with Listener(gateway.url, "async") as late:
        first = late.wait_for(lambda event: True)
        assert (first.type, first.event.value) == ("data_staleness", "STALE")
        assert symbol in first.symbols
    begun, now_ns = len(listener.events), gateway.now_ns
    gateway.publish(Quote(name, now_ns, now_ns, 99.99, 100.01, 1.0, 1.0))
    fresh = told(listener, "data_staleness", "FRESH", after=begun)
    assert (fresh.symbols, fresh.stale_since) == ([symbol], stale.stale_since)
    all_is_well(client)


def test_a_pause_that_a_venue_asks_for_is_told(listener: Listener, gateway: RunningGateway) -> None:
    now_ns = gateway.now_ns
    gateway.publish(RateLimited("mock", 2_000_000_000, now_ns))
    hit = told(listener, "rate_limit", "RATE_LIMIT_HIT")
    assert hit.requests_remaining == 0
    assert hit.reset_at.timestamp() >= now_ns / 1e9 + 1.9


# -- connections ----------------------------------------------------------------------------------


def test_every_client_is_told_the_same_in_the_same_order(
    listener: Listener, client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 11.7."""
    with Listener(gateway.url, "async") as other, Listener(gateway.url, "sync") as third:
        for number in range(10):
            client.submit_order(symbol, "buy" if number % 3 else "sell", "1", stop_loss=None)
        last = client.submit_order(symbol, "buy", "1", "limit", limit_price="50")
        for one in (listener, other, third):
            one.wait_for(order_event("ORDER_CREATED", last.id))
        stories = [
            [event.model_dump() for event in one.of(symbol)] for one in (listener, other, third)
        ]
    assert stories[0] == stories[1] == stories[2]
    assert len(stories[0]) >= 41


@pytest.mark.parametrize("form", FORMS)
def test_a_slow_handler_misses_nothing(
    client: TradingGateway, gateway: RunningGateway, symbol: str, form: str
) -> None:
    def handle(event: Any) -> None:
        if symbol_of(event) == symbol:
            time.sleep(0.002)

    with Listener(gateway.url, form, handle=handle) as slow:
        ids = [client.submit_order(symbol, "buy", "1").id for _ in range(30)]
        slow.wait_for(order_event("ORDER_FILLED", ids[-1]))
        kinds = ("ORDER_CREATED", "ORDER_FILLED")
        for kind in kinds:
            heard = [e.order.id for e in slow.of(symbol) if order_event(kind)(e)]
            assert heard == ids


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_connection_comes_back_and_has_done_no_harm(
    client: TradingGateway, gateway: RunningGateway, symbol: str, form: str
) -> None:
    """Spec 13: a strategy's own disconnect never touches orders or positions."""
    client.submit_order(symbol, "buy", "2", stop_loss="90")
    resting = client.submit_order(symbol, "buy", "1", "limit", limit_price="50")
    before = eventually(
        lambda: client.list_orders(symbol=symbol),
        lambda found: [one.status.value for one in found] == ["OPEN"] * 2,
    )
    with Relay(gateway) as relay, Listener(relay.url, form) as listener:
        for _ in range(2):
            relay.cut()
            cut_ns = gateway.now_ns  # what is told after it comes over the next connection
            listener.wait_for(
                lambda event, cut_ns=cut_ns: (  # type: ignore[misc]
                    event.type == "candle" and event.timestamp.timestamp() * 1e9 > cut_ns
                )
            )
        assert client.list_orders(symbol=symbol) == before
        assert client.get_position(symbol).quantity == "2"
        client.cancel_order(resting.id)
        listener.wait_for(order_event("ORDER_CANCELLED", resting.id))


@pytest.mark.parametrize("form", FORMS)
def test_a_gateway_that_is_started_again_is_found_again_with_what_it_held(
    form: str, tmp_path: Path
) -> None:
    """Spec 18.4, 19.5, 9.9: the close is clean, so that clients come back at once."""
    journal = f"sqlite:///{tmp_path / 'gateway.db'}"
    settings = replace(gateway_settings(port=lasting_port()), journal=journal)
    first = RunningGateway(settings)
    with ExitStack() as stack:
        first.__enter__()
        with a_client(first.url, form) as opened:
            symbol = first.still_symbol()
            entry = opened.submit_order(symbol, "buy", "2", stop_loss="90", take_profit="110")
            eventually(lambda: len(opened.list_orders(symbol=symbol)), lambda found: found == 2)
            before = {one.id: one.stop_price for one in opened.list_orders(symbol=symbol)}
            listener = stack.enter_context(Listener(first.url, form))
            first.begin_to_stop()
            told(listener, "connection", "DISCONNECTING")
            first.__exit__()
            begun = len(listener.events)

            second = stack.enter_context(RunningGateway(settings))
            assert second.url == first.url
            listener.wait_for(lambda event: event.type == "candle", after=begun)
            assert opened.get_order(entry.id).status.value == "FILLED"
            assert opened.get_position(symbol).quantity == "2"
            after = {one.id: one.stop_price for one in opened.list_orders(symbol=symbol)}
            assert after == before
            second.move(symbol, 89.0)
            told_last = listener.wait_for(
                lambda e: (
                    symbol_of(e) == symbol
                    and e.type == "position"
                    and e.event.value == "POSITION_CLOSED"
                )
            )
            assert told_last.position.id == f"mock-pos-{symbol}"
            listener.leave()
