"""Every error that the public client knows, caused at our gateway."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import tektii.async_client
from tektii import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OrderRejectedError,
    ProviderUnavailableError,
    RateLimitedError,
    ServerError,
    TradingGateway,
)
from websockets.exceptions import InvalidStatus

from adapters.tektii import server_stream
from framework.errors import OrderError
from framework.server import serving
from tests.adapters.tektii.public_client_listener import Listener
from tests.adapters.tektii.public_client_rig import (
    DEADLINE_S,
    FORMS,
    RunningGateway,
    a_client,
    client_fixture,
    eventually,
    gateway_fixture,
    gateway_settings,
    is_filled,
    symbol_fixture,
)

pytestmark = [
    pytest.mark.socket,
    # A client comes back just as its server stops to listen: asyncio of 3.11 then forgets to close.
    pytest.mark.filterwarnings(
        "ignore:.*(_SelectorTransport.__del__|<socket.socket):pytest.PytestUnraisableExceptionWarning"
    ),
]

gateway = gateway_fixture()
client = client_fixture(max_retries=0)
symbol = symbol_fixture()

KEY = "a-key-of-a-client-of-more-than-32-characters"


@contextmanager
def desk_method(gateway: RunningGateway, name: str, stand_in: Any) -> Iterator[None]:
    """Have the desk do something else when it is asked for `name`."""
    desk = gateway.call(lambda: gateway.runtime.desk)
    gateway.call(lambda: setattr(desk, name, stand_in))
    try:
        yield
    finally:
        gateway.call(lambda: delattr(desk, name))


# -- 400 ------------------------------------------------------------------------------------------

LIMIT: dict[str, Any] = {"order_type": "limit", "limit_price": "50"}
TRAILING: dict[str, Any] = {"order_type": "trailing_stop", "trailing_distance": "5"}


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"order_type": "limit"}, "limit_price"),
        ({"order_type": "stop"}, "stop_price"),
        ({"order_type": "stop_limit", "limit_price": "1"}, "stop_price"),
        ({"order_type": "stop_limit", "stop_price": "1"}, "limit_price"),
        ({"order_type": "trailing_stop", "trailing_type": "percent"}, "trailing_distance"),
        (TRAILING, "trailing_type"),
        ({"order_type": "iceberg"}, "order_type"),
        ({"side": "up"}, "side"),
        ({"time_in_force": "GTD"}, "time_in_force"),
        ({**TRAILING, "trailing_type": "ticks"}, "trailing_type"),
        ({"margin_mode": "shared"}, "margin_mode"),
        ({"quantity": "many"}, "quantity"),
        ({"quantity": "NaN"}, "quantity"),
        ({**LIMIT, "limit_price": "Infinity"}, "limit_price"),
    ],
)
def test_what_is_missing_or_unreadable_is_an_invalid_request(
    client: TradingGateway, symbol: str, wish: dict[str, Any], field: str
) -> None:
    """Spec 5.2, 8.2."""
    with pytest.raises(BadRequestError) as caught:
        client.submit_order(**{"symbol": symbol, "side": "buy", "quantity": "1", **wish})
    assert (caught.value.status_code, caught.value.code) == (400, "INVALID_REQUEST")
    assert caught.value.details["field"] == field
    assert caught.value.message


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"limit_price": "1"}, "limit_price"),
        ({"stop_price": "1"}, "stop_price"),
        ({"trailing_distance": "1"}, "trailing_distance"),
        ({**LIMIT, "stop_price": "1"}, "stop_price"),
        ({**LIMIT, "limit_price": "0"}, "limit_price"),
        ({**LIMIT, "limit_price": "-3"}, "limit_price"),
        ({"order_type": "stop", "stop_price": "5", "limit_price": "1"}, "limit_price"),
        ({"order_type": "stop", "stop_price": "-1"}, "stop_price"),
        ({**TRAILING, "trailing_type": "percent", "trailing_distance": "100"}, "trailing_distance"),
        ({**TRAILING, "trailing_type": "absolute", "stop_price": "1"}, "stop_price"),
        ({**TRAILING, "trailing_type": "absolute", "trailing_distance": "0"}, "trailing_distance"),
        ({"stop_loss": "0"}, "stop_loss"),
        ({"take_profit": "-2"}, "take_profit"),
        ({**LIMIT, "display_quantity": "0"}, "display_quantity"),
        ({**LIMIT, "display_quantity": "1"}, "display_quantity"),
        ({"leverage": "0"}, "leverage"),
    ],
)
def test_what_makes_no_sense_is_an_invalid_value(
    client: TradingGateway, symbol: str, wish: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.submit_order(**{"symbol": symbol, "side": "buy", "quantity": "1", **wish})
    assert caught.value.code == "INVALID_VALUE"
    assert caught.value.details == {"field": field, "provided": wish[field]}


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"symbol": ""}, "symbol"),
        ({"symbol": "S" * 21}, "symbol"),
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "-1"}, "quantity"),
        ({"client_order_id": "c" * 65}, "client_order_id"),
        ({"oco_group_id": "g" * 65}, "oco_group_id"),
    ],
)
def test_what_is_out_of_bounds_is_a_validation_error(
    client: TradingGateway, wish: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.submit_order(**{"symbol": "AAPL", "side": "buy", "quantity": "1", **wish})
    assert caught.value.code == "VALIDATION_ERROR"
    (problem,) = caught.value.details[field]
    assert set(problem) == {"code", "message", "params"}


def test_names_of_just_the_longest_length_are_taken(client: TradingGateway) -> None:
    handle = client.submit_order("S" * 20, "buy", "1", **LIMIT, client_order_id="c" * 64)
    assert client.get_order(handle.id).client_order_id == "c" * 64
    client.cancel_order(handle.id)


# -- 401 ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked() -> Iterator[RunningGateway]:
    with RunningGateway(gateway_settings(key=KEY)) as running:
        yield running


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("key", "code"), [(None, "MISSING_API_KEY"), (KEY[:-1] + "x", "INVALID_API_KEY")]
)
def test_without_the_right_key_nothing_is_answered(
    locked: RunningGateway, form: str, key: str | None, code: str
) -> None:
    """Spec 4; the stream is refused before the upgrade, which the client takes as final."""
    with a_client(locked.url, form, api_key=key) as opened:
        for call in (opened.get_account, opened.list_orders, opened.cancel_all_orders):
            with pytest.raises(AuthenticationError) as caught:
                call()
            assert (caught.value.code, caught.value.details) == ("UNAUTHORIZED", {"code": code})
        assert opened.get_health().providers
    listener = Listener(locked.url, form, api_key=key)
    with pytest.raises(AssertionError), listener:
        pass
    listener.__exit__()
    assert isinstance(listener.failure, InvalidStatus)
    assert listener.failure.response.status_code == 401


@pytest.mark.parametrize("form", FORMS)
def test_with_the_right_key_everything_works(locked: RunningGateway, form: str) -> None:
    with a_client(locked.url, form, api_key=KEY) as opened:
        handle = opened.submit_order(locked.still_symbol(), "buy", "1")
        eventually(lambda: opened.get_order(handle.id), is_filled)
        assert KEY not in repr(opened)
    with Listener(locked.url, form, api_key=KEY) as listener:
        assert listener.events
    headers = {"X-API-Key": KEY}
    with a_client(locked.url, form, headers=headers) as opened:
        assert opened.get_account().currency == "USD"


def test_the_key_of_the_shipped_configuration_may_reset_breakers(locked: RunningGateway) -> None:
    """Spec 4, 14: there is one key, and it is for every call of the client."""
    with a_client(locked.url, "sync", api_key=KEY) as opened:
        assert opened.reset_circuit_breakers().exit_order.state == "closed"


# -- the rest of 5.2 -----------------------------------------------------------------------------


def orders_and_quotes(client: TradingGateway, symbol: str) -> list[Any]:
    return [
        lambda: client.get_quote(symbol),
        lambda: client.submit_order(symbol, "buy", "1"),
        lambda: client.submit_order(symbol, "sell", "1", **LIMIT),
    ]


def test_an_unknown_symbol_is_not_found(client: TradingGateway) -> None:
    """Spec 16.2, 12."""
    for call in orders_and_quotes(client, "SIM.NOTFOUND"):
        with pytest.raises(NotFoundError) as caught:
            call()
        assert caught.value.code == "SYMBOL_NOT_FOUND"
        assert caught.value.details == {"symbol": "SIM.NOTFOUND"}


def test_a_closed_market_rejects_orders_and_has_quotes(client: TradingGateway) -> None:
    """Spec 16.2, 12; 5.3."""
    quote, *orders = orders_and_quotes(client, "SIM.REJECT")
    assert quote().symbol == "SIM.REJECT"
    for call in orders:
        with pytest.raises(OrderRejectedError) as caught:
            call()
        assert (caught.value.status_code, caught.value.code) == (422, "ORDER_REJECTED")
        assert caught.value.details["reject_reason"] == "MARKET_CLOSED"
        assert caught.value.details["reject_code"] == "MARKET_CLOSED"
    assert client.list_orders(symbol="SIM.REJECT") == []


def test_a_rate_limit_says_when_to_come_back(
    client: TradingGateway, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spec 5.2 [N], 16.2, 12: the client waits as `Retry-After` says, not as it would otherwise."""
    for call in orders_and_quotes(client, "SIM.RATELIMIT"):
        with pytest.raises(RateLimitedError) as caught:
            call()
        assert caught.value.code == "RATE_LIMITED"
        assert caught.value.details["retry_after_seconds"] == 1
    monkeypatch.setattr(tektii.async_client, "_backoff", lambda attempt: pytest.fail("no header"))
    form = "sync" if isinstance(client, TradingGateway) else "async"
    with a_client(gateway.url, form, max_retries=1) as patient:
        begun_s = time.monotonic()
        with pytest.raises(RateLimitedError):
            patient.get_quote("SIM.RATELIMIT")
        assert time.monotonic() - begun_s >= 0.99


@pytest.mark.parametrize("form", FORMS)
def test_a_client_over_the_limit_of_the_door_is_let_in_again(form: str) -> None:
    """Spec 5.2: `Retry-After` is honoured, and then the call succeeds."""
    limits = {"requests_per_s": 1.0, "burst": 3}  # slower than the slowest machine asks
    with (
        RunningGateway(gateway_settings(limits=limits)) as running,
        a_client(running.url, form, max_retries=0) as opened,
    ):

        def ask_often() -> None:
            for _ in range(1_000):
                opened.get_account()

        with pytest.raises(RateLimitedError) as caught:
            ask_often()
        assert caught.value.details["retry_after_seconds"] >= 1
        with a_client(running.url, form, max_retries=2) as patient:
            assert patient.get_account().currency == "USD"


def test_a_venue_that_cannot_be_reached(client: TradingGateway) -> None:
    for call in orders_and_quotes(client, "SIM.UNAVAILABLE"):
        with pytest.raises(ProviderUnavailableError) as caught:
            call()
        assert (caught.value.status_code, caught.value.code) == (503, "PROVIDER_UNAVAILABLE")


def test_a_venue_that_breaks_its_own_rules(client: TradingGateway) -> None:
    for call in orders_and_quotes(client, "SIM.ERROR"):
        with pytest.raises(APIStatusError) as caught:
            call()
        assert type(caught.value) is APIStatusError
        assert (caught.value.status_code, caught.value.code) == (502, "PROVIDER_ERROR")
        assert caught.value.details == {"provider": "mock"}


def test_what_a_venue_cannot_do(
    client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 5.2: of the mock's orders there is none, so that a venue's answer stands in."""

    async def refuse(*_: Any, **__: Any) -> None:
        raise OrderError("trailing stop is not supported")

    with desk_method(gateway, "submit", refuse), pytest.raises(APIStatusError) as caught:
        client.submit_order(symbol, "buy", "1")
    assert (caught.value.status_code, caught.value.code) == (501, "UNSUPPORTED_OPERATION")
    assert caught.value.details == {"operation": "trailing_stop", "provider": "mock"}


def test_a_bug_shows_nothing_of_itself(client: TradingGateway, gateway: RunningGateway) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("api_key=sesame")

    with desk_method(gateway, "money", fail), pytest.raises(ServerError) as caught:
        client.get_account()
    assert (caught.value.status_code, caught.value.code) == (500, "INTERNAL_ERROR")
    assert caught.value.details is None
    assert "sesame" not in caught.value.message
    assert client.get_account().currency == "USD"


@pytest.mark.parametrize("form", FORMS)
def test_a_gateway_that_stops_refuses_orders_and_says_so(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spec 18.4 [N]: refuse first, announce, drain, close; reading goes on meanwhile.

    Between the announcement and the end there is as much time as this test needs.
    """
    has_seen = asyncio.Event()

    async def until_seen(wait_s: float) -> None:
        await has_seen.wait()

    monkeypatch.setattr(server_stream, "pause", until_seen)
    monkeypatch.setattr(serving, "LEAVE_S", DEADLINE_S)
    with RunningGateway(gateway_settings()) as running, a_client(running.url, form) as opened:
        handle = opened.submit_order(running.still_symbol(), "buy", "1", **LIMIT)
        with Listener(running.url, form) as listener:
            running.begin_to_stop()
            farewell = listener.wait_for(lambda event: event.type == "connection")
            assert farewell.event.value == "DISCONNECTING"
            with pytest.raises(ProviderUnavailableError) as caught:
                opened.submit_order("AAPL", "buy", "1")
            assert (caught.value.status_code, caught.value.code) == (503, "SHUTTING_DOWN")
            assert opened.get_order(handle.id).status.value == "OPEN"
        running.call(has_seen.set)
