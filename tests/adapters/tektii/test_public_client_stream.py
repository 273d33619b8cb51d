"""What the public client hears of its own trading, in the order of spec 11.7."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from tektii import TradingGateway

from framework.model.reports import EndKind, OrderEnded
from tests.adapters.tektii.public_client_listener import Listener, order_event, symbol_of
from tests.adapters.tektii.public_client_rig import (
    FORMS,
    RunningGateway,
    a_client,
    client_fixture,
    eventually,
    gateway_fixture,
    symbol_fixture,
    tidy_fixture,
)

pytestmark = pytest.mark.socket

LISTED = (
    '[{"platform": "mock", "instrument": "AAPL", "events": ["candle_1m", "quote"]},'
    ' {"platform": "mock", "instrument": "BTC/USD", "events": ["candle_1h"]},'
    ' {"platform": "mock", "instrument": "*", "events":'
    ' ["order_update", "trade_update", "position_update", "account_update"]}]'
)

gateway = gateway_fixture(MOCK_PARTIAL_FILL_RATIO="0.4", SUBSCRIPTIONS=LISTED)
client = client_fixture("sync")
symbol = symbol_fixture()
tidy = tidy_fixture()


@pytest.fixture(scope="module", params=FORMS)
def listener(request: pytest.FixtureRequest, gateway: RunningGateway) -> Iterator[Listener]:
    with Listener(gateway.url, request.param) as heard:
        yield heard


def story(listener: Listener, symbol: str, order_id: str = "") -> list[str]:
    """Return what was told of a symbol, or of one order, in short."""
    return [
        event.event.value
        for event in listener.of(symbol)
        if not order_id or (event.type == "order" and event.order.id == order_id)
    ]


def order_and_account(events: list[Any], order_id: str) -> bool:
    """Tell whether an order has filled, and an account event has followed."""
    places = [n for n, one in enumerate(events) if order_event("ORDER_FILLED", order_id)(one)]
    return bool(places) and any(one.type == "account" for one in events[places[0] :])


def ends(listener: Listener, kind: str, order_id: str) -> Any:
    return listener.wait_for(order_event(kind, order_id))


def test_prices_that_are_subscribed_come_at_once_and_no_others(
    listener: Listener, client: TradingGateway, symbol: str
) -> None:
    """Spec 11.2, 11.6, 16.2, 1: quotes for who asks for them, candles in the asked timeframe."""
    client.submit_order(symbol, "buy", "1")
    quote = listener.wait_for(lambda event: event.type == "quote").quote
    assert (quote.symbol, quote.provider) == ("AAPL", "mock")
    assert Decimal(quote.bid) <= Decimal(quote.last) <= Decimal(quote.ask)
    hour = listener.wait_for(lambda e: e.type == "candle" and e.bar.symbol == "BTC/USD")
    assert (hour.bar.timeframe.value, hour.bar.timestamp.minute) == ("1h", 0)
    minute = listener.wait_for(lambda e: e.type == "candle" and e.bar.symbol == "AAPL")
    assert (minute.bar.timeframe.value, minute.bar.provider) == ("1m", "mock")
    assert minute.timestamp >= minute.bar.timestamp
    assert Decimal(minute.bar.low) <= Decimal(minute.bar.close) <= Decimal(minute.bar.high)
    told = [event for event in list(listener.events) if event.type in ("candle", "quote")]
    assert {getattr(e, "quote", None) and e.quote.symbol for e in told} == {None, "AAPL"}
    assert {e.bar.symbol for e in told if e.type == "candle"} == {"AAPL", "BTC/USD"}


def test_one_fill_is_told_as_order_trade_position_account(
    listener: Listener, client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 11.7, 16.2, 5; of an order of two parts both are."""
    begun = len(listener.events)
    handle = client.submit_order(symbol, "buy", "10", client_order_id=f"two-{symbol}")
    ends(listener, "ORDER_FILLED", handle.id)
    eventually(
        lambda: listener.events[begun:],
        lambda events: bool(events) and order_and_account(events, handle.id),
    )
    kinds = ("order", "trade", "position", "account")  # not that other prices went silent
    told = [event for event in listener.events[begun:] if event.type in kinds]
    del told[: [symbol_of(event) for event in told].index(symbol)]
    assert [event.event.value for event in told[:9]] == [
        "ORDER_CREATED",
        "ORDER_PARTIALLY_FILLED", "TRADE_FILLED", "POSITION_OPENED", "BALANCE_UPDATED",
        "ORDER_FILLED", "TRADE_FILLED", "POSITION_MODIFIED", "BALANCE_UPDATED",
    ]  # fmt: skip
    created, part, first, opened, _, filled, second, modified, money = told[:9]
    assert (created.order.status.value, created.order.filled_quantity) == ("OPEN", "0")
    assert part.order.status.value == "PARTIALLY_FILLED"
    assert Decimal(part.order.filled_quantity) == 4
    assert Decimal(part.order.remaining_quantity) == 6
    assert filled.order.status.value == "FILLED"
    assert Decimal(filled.order.remaining_quantity) == 0
    assert {one.order.correlation_id for one in (created, part, filled)} == {handle.correlation_id}
    assert {one.order.client_order_id for one in (created, part, filled)} == {f"two-{symbol}"}
    assert [Decimal(one.trade.quantity) for one in (first, second)] == [4, 6]
    assert {one.trade.order_id for one in (first, second)} == {handle.id}
    assert (opened.position.side.value, opened.position.id) == ("LONG", f"mock-pos-{symbol}")
    assert Decimal(opened.position.quantity) == 4
    assert Decimal(modified.position.quantity) == 10
    assert Decimal(money.account.equity) == Decimal(money.account.balance) + Decimal(
        money.account.unrealized_pnl
    )
    assert [one.id for one in client.list_trades(order_id=handle.id)] == [
        second.trade.id,
        first.trade.id,
    ]

    client.close_position(f"mock-pos-{symbol}")
    closed = listener.wait_for(
        lambda e: symbol_of(e) == symbol and e.event.value == "POSITION_CLOSED"
    )
    assert Decimal(closed.position.quantity) == 0


def test_times_of_frames_never_go_back(listener: Listener) -> None:
    listener.wait_for_several(lambda event: True, 20)
    times = [event.timestamp for event in list(listener.events)]
    assert times == sorted(times)


def test_an_order_is_created_once_changed_and_ended_once(
    listener: Listener, client: TradingGateway, symbol: str
) -> None:
    """Spec 8.1, 8.6, 8.7: a second cancel tells nothing."""
    handle = client.submit_order(symbol, "buy", "1", "limit", limit_price="50")
    client.modify_order(handle.id, limit_price="51.10")
    client.modify_order(handle.id)
    client.cancel_order(handle.id)
    client.cancel_order(handle.id)
    other = client.submit_order(symbol, "buy", "1", "limit", limit_price="50")
    ends(listener, "ORDER_CREATED", other.id)
    assert story(listener, symbol, handle.id) == [
        "ORDER_CREATED",
        "ORDER_MODIFIED",
        "ORDER_CANCELLED",
    ]
    changed = ends(listener, "ORDER_MODIFIED", handle.id)
    assert changed.order.limit_price == "51.10"
    assert ends(listener, "ORDER_CANCELLED", handle.id).order.status.value == "CANCELLED"


def test_an_order_sent_again_is_told_once(
    listener: Listener, client: TradingGateway, symbol: str
) -> None:
    wish: dict[str, Any] = {"limit_price": "50", "client_order_id": f"once-{symbol}"}
    first = client.submit_order(symbol, "buy", "1", "limit", **wish)
    client.submit_order(symbol, "buy", "1", "limit", **wish)
    other = client.submit_order(symbol, "buy", "2", "limit", limit_price="40")
    ends(listener, "ORDER_CREATED", other.id)
    assert story(listener, symbol, first.id) == ["ORDER_CREATED"]


def test_an_order_that_its_venue_refuses_ends_as_rejected(
    listener: Listener, client: TradingGateway, symbol: str
) -> None:
    """Spec 8.1, 6.5."""
    wish: dict[str, Any] = {"limit_price": "120", "post_only": True}
    with pytest.raises(Exception, match="ORDER_REJECTED"):
        client.submit_order(symbol, "buy", "1", "limit", **wish)
    told = listener.wait_for(
        lambda event: symbol_of(event) == symbol and event.event.value == "ORDER_REJECTED"
    )
    assert told.order.status.value == "REJECTED"
    assert told.order.reject_reason is not None
    assert told.order.reject_reason.value == "POST_ONLY_VIOLATED"
    assert story(listener, symbol)[-1] == "ORDER_REJECTED"
    assert story(listener, symbol).count("ORDER_REJECTED") == 1


def test_an_order_of_a_day_that_is_over_is_told_as_expired(
    listener: Listener, client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 8.4; the mock never closes, so that its report is made up."""
    handle = client.submit_order(symbol, "buy", "1", "limit", limit_price="50", time_in_force="day")
    gateway.publish(OrderEnded(handle.id, EndKind.EXPIRED, gateway.now_ns, "the day is over"))
    told = ends(listener, "ORDER_EXPIRED", handle.id)
    assert (told.order.status.value, told.order.time_in_force.value) == ("EXPIRED", "DAY")
    assert client.get_order(handle.id).status.value == "EXPIRED"
    assert handle.id in [one.id for one in client.get_order_history(status=["EXPIRED"])]


def test_legs_are_told_after_the_fill_and_with_their_entry(
    listener: Listener, client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 9.5, 11.2, 11.7, 16.2, 8: `parent_order_id` at the frame and inside the order."""
    handle = client.submit_order(
        symbol, "buy", "10", stop_loss="90", take_profit="110", client_order_id=f"b-{symbol}"
    )
    ends(listener, "ORDER_FILLED", handle.id)
    legs = {
        event.order.client_order_id: event
        for event in listener.wait_for_several(
            lambda e: order_event("ORDER_CREATED")(e) and e.parent_order_id == handle.id, 2
        )
    }
    assert set(legs) == {f"b-{symbol}-sl", f"b-{symbol}-tp"}
    kinds = story(listener, symbol)
    assert kinds[:2] == ["ORDER_CREATED", "ORDER_PARTIALLY_FILLED"]
    assert kinds.index("TRADE_FILLED") < kinds.index("POSITION_OPENED")
    heard = listener.of(symbol)
    places = {event.order.id: heard.index(event) for event in legs.values()}
    assert min(places.values()) > kinds.index("ORDER_PARTIALLY_FILLED")
    for event in legs.values():
        assert event.order.reduce_only
        assert Decimal(event.order.quantity) == 4  # of what has filled by then
        eventually(
            lambda leg_id=event.order.id: Decimal(client.get_order(leg_id).quantity),  # type: ignore[misc]
            Decimal(10).__eq__,
        )

    def held_at_the_target() -> list[Any]:
        gateway.move(symbol, 112.0)
        return client.list_positions(symbol=symbol)

    eventually(held_at_the_target, lambda found: not found)
    target, stop = legs[f"b-{symbol}-tp"].order.id, legs[f"b-{symbol}-sl"].order.id
    assert ends(listener, "ORDER_FILLED", target).parent_order_id == handle.id
    assert ends(listener, "ORDER_CANCELLED", stop).parent_order_id == handle.id
    for leg in (target, stop):
        of_leg = story(listener, symbol, leg)
        assert of_leg.count("ORDER_CREATED") == 1
        assert sum(kind in ("ORDER_FILLED", "ORDER_CANCELLED") for kind in of_leg) == 1


def test_who_reads_inside_a_handler_sees_what_it_was_told(gateway: RunningGateway) -> None:
    """Spec 2, 12; 11.7: state first, exits second, broadcast last."""
    symbol = gateway.still_symbol()
    seen: list[tuple[str, Decimal, int, int]] = []

    with a_client(gateway.url, "sync") as reader:

        def handle(event: Any) -> None:
            if event.type == "order" and event.order.symbol == symbol:
                order = reader.get_order(event.order.id)
                seen.append(
                    (
                        event.event.value,
                        Decimal(order.filled_quantity),
                        len(reader.list_trades(order_id=order.id)),
                        len(reader.list_orders(symbol=symbol, side="sell")),
                    )
                )

        with Listener(gateway.url, "async", handle=handle) as heard:
            handle_of = reader.submit_order(symbol, "buy", "10", stop_loss="90", take_profit="110")
            ends(heard, "ORDER_FILLED", handle_of.id)
    (part,) = [one for one in seen if one[0] == "ORDER_PARTIALLY_FILLED"]
    assert part[1] >= 4
    assert part[2] >= 1
    assert part[3] == 2
    assert ("ORDER_FILLED", Decimal(10), 2, 2) in seen


def test_a_trailing_stop_tells_of_its_moves(
    listener: Listener, client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 10."""
    client.submit_order(symbol, "buy", "10")
    handle = client.submit_order(
        symbol, "sell", "10", "trailing_stop", trailing_distance="20", trailing_type="absolute"
    )
    ends(listener, "ORDER_CREATED", handle.id)
    gateway.move(symbol, 115.0)
    moved = listener.wait_for(
        lambda e: order_event("ORDER_MODIFIED", handle.id)(e) and Decimal(e.order.stop_price) == 95
    )
    assert moved.order.status.value == "OPEN"
    gateway.move(symbol, 94.0)
    ends(listener, "ORDER_FILLED", handle.id)


def test_margin_that_gets_short_is_told(
    listener: Listener, client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 6.1: BALANCE_UPDATED, MARGIN_WARNING, MARGIN_CALL."""
    other = gateway.still_symbol()
    equity = Decimal(client.get_account().equity)  # others have traded before
    quantity = int(equity * Decimal("0.95") / 100)
    client.submit_order(symbol, "sell", Decimal(quantity))
    warning = listener.wait_for(lambda e: e.type == "account" and e.event.value == "MARGIN_WARNING")
    assert Decimal(warning.account.margin_used) > Decimal(warning.account.margin_available) > 0
    client.submit_order(other, "buy", "1")

    def squeeze() -> list[Any]:
        """Trade at a price that the next step of the market takes back, and return the calls."""
        gateway.move(symbol, 110.0)
        client.submit_order(symbol, "buy", "1")
        told = [event for event in list(listener.events) if event.type == "account"]
        return [event for event in told if event.event.value == "MARGIN_CALL"]

    called = eventually(squeeze)[0]
    assert Decimal(called.account.margin_used) >= Decimal(called.account.equity)
    gateway.move(symbol, 100.0)
