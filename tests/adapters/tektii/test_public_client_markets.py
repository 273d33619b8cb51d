"""Prices and bars, and what the gateway says of itself, as the public client reads them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from tektii import BadRequestError, ConflictError, NotFoundError, Timeframe, TradingGateway

from tests.adapters.tektii.public_client_rig import (
    RunningGateway,
    a_client,
    client_fixture,
    eventually,
    gateway_fixture,
    gateway_settings,
)

pytestmark = pytest.mark.socket

gateway = gateway_fixture()
client = client_fixture()

RECENTLY = timedelta(minutes=1)
SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def length_of(timeframe: str) -> timedelta:
    return timedelta(seconds=int(timeframe[:-1]) * SECONDS[timeframe[-1]])


# -- quotes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "price"),
    [("AAPL", 150), ("BTC/USD", 50_000), ("eur/usd", 1.08), ("F:EURUSD", 100), ("A B%2F?#", 100)],
)
def test_every_symbol_has_a_quote_whatever_is_in_its_name(
    client: TradingGateway, symbol: str, price: float
) -> None:
    """Spec 2, 7; 16.1, 16.2: seed prices, half-spread, sizes, and any symbol is accepted."""
    quote = client.get_quote(symbol)
    assert (quote.symbol, quote.provider) == (symbol, "mock")
    bid, ask, last = Decimal(quote.bid), Decimal(quote.ask), Decimal(quote.last)
    assert bid <= last <= ask
    assert float(last) == pytest.approx(price, rel=0.05)  # no path of this seed gets so far
    assert float(ask - bid) == pytest.approx(2 * max(0.01, float(last) * 0.0001), rel=0.02)
    assert (quote.bid_size, quote.ask_size) == ("100", "100")
    assert abs(datetime.now(UTC) - quote.timestamp) < RECENTLY
    assert not set("eE") & set(quote.bid + quote.ask + quote.last)


def test_prices_move_with_time_and_not_with_reads(client: TradingGateway) -> None:
    """Spec 16.2, 1."""
    seen = [client.get_quote("TSLA") for _ in range(5)]
    by_time: dict[datetime, Any] = {}
    for quote in seen:
        assert by_time.setdefault(quote.timestamp, quote) == quote
    eventually(lambda: client.get_quote("TSLA"), lambda quote: quote.last != seen[0].last)


def test_a_symbol_that_is_too_long_is_not_found_or_refused(client: TradingGateway) -> None:
    with pytest.raises((BadRequestError, NotFoundError)):
        client.get_quote("S" * 300)


# -- bars -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeframe", [one.value for one in Timeframe])
def test_bars_of_every_timeframe_are_aligned_oldest_first_and_end_at_the_price(
    client: TradingGateway, timeframe: str
) -> None:
    """Spec 7.5, 16.2, 10; without `end` the last bar may still be forming."""
    bars = client.get_bars("MSFT", timeframe, limit=5)
    length = length_of(timeframe)
    assert len(bars) == 5
    for bar, following in pairwise(bars):
        assert following.timestamp - bar.timestamp == length
        assert following.open == bar.close
    for bar in bars:
        assert (bar.symbol, bar.provider, bar.timeframe.value) == ("MSFT", "mock", timeframe)
        since = bar.timestamp - (MONDAY if timeframe == "1w" else EPOCH)
        assert since % length == timedelta()
        numbers = [Decimal(text) for text in (bar.low, bar.open, bar.close, bar.high)]
        assert numbers[0] == min(numbers)
        assert numbers[3] == max(numbers)
        assert Decimal(bar.volume) >= 0
    assert bars[-1].timestamp <= datetime.now(UTC) < bars[-1].timestamp + 2 * length


def test_the_last_close_agrees_with_the_price(
    client: TradingGateway, gateway: RunningGateway
) -> None:
    symbol = gateway.still_symbol()
    (bar,) = client.get_bars(symbol, Timeframe.FIELD_1M, limit=1)
    assert Decimal(bar.close) == Decimal(client.get_quote(symbol).last) == 100
    (bar,) = client.get_bars("AMZN", Timeframe.FIELD_1M, limit=1)
    assert float(bar.close) == pytest.approx(float(client.get_quote("AMZN").last), rel=0.01)


def test_start_end_and_limit_of_bars(client: TradingGateway) -> None:
    """Spec 7.5 [N]: start and end inclusive; limit alone the latest, with start the first."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    start, end = now - timedelta(minutes=30), now - timedelta(minutes=20)

    def times(**options: object) -> list[datetime]:
        return [bar.timestamp for bar in client.get_bars("NVDA", "1m", **options)]  # type: ignore[arg-type]

    every = [start + timedelta(minutes=number) for number in range(11)]
    assert times(start=start, end=end) == every
    assert times(start=start, end=end, limit=3) == every[:3]
    assert times(start=start, limit=3) == every[:3]
    assert times(end=end, limit=3) == every[-3:]
    assert times(start=start - timedelta(seconds=30), end=end) == every
    assert len(times(start=start)) in (30, 31, 32)
    assert times(limit=2)[-1] >= now - timedelta(minutes=1)
    assert len(times()) == 100
    with pytest.raises(BadRequestError):
        times(start=end, end=start)


def test_closed_bars_do_not_change(client: TradingGateway) -> None:
    end = datetime.now(UTC) - timedelta(minutes=5)
    first = client.get_bars("GOOG", "1m", end=end, limit=20)
    assert client.get_bars("GOOG", "1m", end=end, limit=20) == first
    assert len({bar.close for bar in first}) > 10


@pytest.mark.parametrize("timeframe", ["3m", "1M", "", "1s"])
def test_an_unknown_timeframe_is_refused(client: TradingGateway, timeframe: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.get_bars("AAPL", timeframe)
    assert caught.value.code in ("INVALID_REQUEST", "INVALID_VALUE")
    assert caught.value.details["field"] == "timeframe"


# -- the gateway ----------------------------------------------------------------------------------


def test_capabilities_are_those_of_the_mock(client: TradingGateway) -> None:
    """Spec 15."""
    found = client.get_capabilities()
    assert {one.value for one in found.supported_asset_classes} == {"STOCK", "CRYPTO", "FOREX"}
    assert {one.value for one in found.supported_order_types} == {
        "MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TRAILING_STOP",
    }  # fmt: skip
    assert found.position_mode.value == "NETTING"
    assert {"bracket_orders", "oco", "trailing_stop", "short_selling"} <= set(found.features)


def test_status_and_health_are_those_of_a_gateway_that_works(client: TradingGateway) -> None:
    """Spec 6.10, 18.2."""
    status = client.get_status()
    assert status.connected
    assert status.latency_ms >= 0
    assert abs(datetime.now(UTC) - status.last_heartbeat) < RECENTLY
    health = client.get_health()
    assert health.status.value == "connected"
    (provider,) = health.providers
    assert (provider.platform, provider.connected) == ("mock", True)
    assert provider.stale_instruments is None


@pytest.mark.parametrize("form", ["sync", "async"])
def test_circuit_breakers_are_shown_and_reset_once_a_minute(form: str) -> None:
    """Spec 14: the mock has no adapter breaker and reports it closed; 409 within a minute."""
    with RunningGateway(gateway_settings()) as running, a_client(running.url, form) as opened:
        before = opened.get_circuit_breakers()
        for one in (before.adapter, before.exit_order):
            assert (one.state, one.failure_count) == ("closed", 0)
        assert opened.reset_circuit_breakers() == before
        with pytest.raises(ConflictError) as caught:
            opened.reset_circuit_breakers()
        assert caught.value.code == "RESET_COOLDOWN"
        assert caught.value.details is None
        assert opened.get_circuit_breakers() == before
