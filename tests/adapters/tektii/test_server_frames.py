"""The frames of section 11.2, member for member."""

from decimal import Decimal
from typing import Any

import msgspec

from adapters.tektii import wire
from adapters.tektii.server_frames import Frames
from framework.model.desk import DeskOrder, DeskPosition, Money
from framework.model.instrument import Instrument
from framework.model.market_data import Candle, Quote, Trade
from framework.model.orders import (
    Fee,
    Fill,
    Liquidity,
    Order,
    OrderIntent,
    OrderStatus,
    OrderType,
    Side,
)
from framework.model.records import HoldRole
from tests.adapters.tektii.fake_desk import FakeDesk
from tests.adapters.tektii.gateway_rig import place_of

D = Decimal
MS = 1_000_000
T1510 = 1_772_464_200_000_000_000  # 2026-03-02T15:10:00Z
SECOND = 1_000 * MS


def frames_at(now_ns: int) -> tuple[Frames, FakeDesk]:
    desk = FakeDesk([Instrument(f"mock:{name}") for name in ("NVDA", "BTCUSD", "EURUSD", "MSFT")])
    desk.clock.advance_to(now_ns)
    return Frames(place_of(desk)), desk


def plain(frame: bytes) -> Any:
    return msgspec.json.decode(frame)


def test_candle() -> None:
    frames, _ = frames_at(T1510 + 4 * MS)
    opened = T1510 - 300 * SECOND
    candle = Candle(
        "mock:NVDA", T1510, T1510, "5m", opened, T1510, 801.1, 803.0, 800.75, 802.4, 18250.0
    )

    assert plain(frames.candle(candle)) == {
        "type": "candle",
        "bar": {
            "symbol": "NVDA",
            "provider": "mock",
            "timeframe": "5m",
            "timestamp": "2026-03-02T15:05:00Z",
            "open": "801.1",
            "high": "803",
            "low": "800.75",
            "close": "802.4",
            "volume": "18250",
        },
        "timestamp": "2026-03-02T15:10:00.004Z",
    }


def test_quote() -> None:
    frames, desk = frames_at(T1510 + 10 * MS)
    desk.market.trades["mock:BTCUSD"] = Trade("mock:BTCUSD", T1510, T1510, 50011.2, 1.0)

    frame = plain(frames.quote(Quote("mock:BTCUSD", T1510, T1510, 50010.5, 50012.0, 0.8, 1.1)))

    assert frame == {
        "type": "quote",
        "quote": {
            "symbol": "BTCUSD",
            "provider": "mock",
            "bid": "50010.5",
            "bid_size": "0.8",
            "ask": "50012",
            "ask_size": "1.1",
            "last": "50011.2",
            "timestamp": "2026-03-02T15:10:00Z",
        },
        "timestamp": "2026-03-02T15:10:00.01Z",
    }


def test_order_of_an_exit() -> None:
    created = T1510 + 62 * SECOND + 100 * MS
    frames, _ = frames_at(created + MS)
    order = Order(
        "leg-1", "tektii", "main", "mock:EURUSD", Side.SELL, OrderType.STOP, OrderStatus.HELD,
        D(25000), D(0), None, created, created, "c.fx-77/stop",
        stop_price=D("1.0760"), parent="0d5e2c5e",
    )  # fmt: skip
    intent = OrderIntent(
        "tektii", order.key, order.instrument, order.side, D(25000), OrderType.STOP,
        stop_price=D("1.0760"),
    )  # fmt: skip

    frame = plain(
        frames.order(
            wire.OrderEventType.ORDER_CREATED, DeskOrder(order, intent, HoldRole.STOP_LOSS)
        )
    )

    body = frame.pop("order")
    assert frame == {
        "type": "order",
        "event": "ORDER_CREATED",
        "parent_order_id": "0d5e2c5e",
        "timestamp": "2026-03-02T15:11:02.101Z",
    }
    assert (
        body.items()
        >= {
            "id": "leg-1",
            "client_order_id": "fx-77-sl",
            "symbol": "EURUSD",
            "side": "SELL",
            "order_type": "STOP",
            "quantity": "25000",
            "filled_quantity": "0",
            "remaining_quantity": "25000",
            "stop_price": "1.0760",
            "status": "OPEN",
            "parent_order_id": "0d5e2c5e",
            "time_in_force": "GTC",
            "created_at": "2026-03-02T15:11:02.1Z",
            "updated_at": "2026-03-02T15:11:02.1Z",
        }.items()
    )


def test_orders_that_are_no_exits_have_no_parent() -> None:
    frames, _ = frames_at(T1510)
    order = Order(
        "o-1", "tektii", "main", "mock:MSFT", Side.BUY, OrderType.MARKET, OrderStatus.FILLED,
        D(1), D(1), D(400), T1510, T1510, "c.1",
    )  # fmt: skip
    intent = OrderIntent("tektii", "c.1", "mock:MSFT", Side.BUY, D(1))

    frame = plain(frames.order(wire.OrderEventType.ORDER_FILLED, DeskOrder(order, intent)))

    assert "parent_order_id" not in frame
    assert "parent_order_id" not in frame["order"]


def test_trade() -> None:
    time_ns = T1510 + 62 * SECOND
    frames, _ = frames_at(time_ns + 120 * MS)
    fill = Fill(
        "t-31", "o-9", "tektii", "main", "mock:MSFT", Side.BUY, D(4), D("400.12"), time_ns,
        time_ns, (Fee("USD", D("0.35")),), Liquidity.TAKER,
    )  # fmt: skip

    assert plain(frames.trade(fill)) == {
        "type": "trade",
        "event": "TRADE_FILLED",
        "trade": {
            "id": "t-31",
            "order_id": "o-9",
            "symbol": "MSFT",
            "side": "BUY",
            "quantity": "4",
            "price": "400.12",
            "commission": "0.35",
            "commission_currency": "USD",
            "is_maker": False,
            "timestamp": "2026-03-02T15:11:02Z",
        },
        "timestamp": "2026-03-02T15:11:02.12Z",
    }


HELD = DeskPosition(
    "main", "tektii", "mock:MSFT", D(9), D("400.02"), D("400.30"), D("2.52"), D(0),
    T1510 - 4_200 * SECOND, T1510 + 62 * SECOND,
)  # fmt: skip


def test_position() -> None:
    frames, _ = frames_at(T1510 + 62 * SECOND + 121 * MS)

    frame = plain(
        frames.position(wire.PositionEventType.POSITION_MODIFIED, HELD, wire.PositionSide.LONG)
    )

    assert frame == {
        "type": "position",
        "event": "POSITION_MODIFIED",
        "position": {
            "id": "mock-pos-MSFT",
            "symbol": "MSFT",
            "side": "LONG",
            "quantity": "9",
            "average_entry_price": "400.02",
            "current_price": "400.30",
            "unrealized_pnl": "2.52",
            "realized_pnl": "0",
            "opened_at": "2026-03-02T14:00:00Z",
            "updated_at": "2026-03-02T15:11:02Z",
        },
        "timestamp": "2026-03-02T15:11:02.121Z",
    }


def test_a_closed_position_has_quantity_zero_and_the_side_that_it_had() -> None:
    frames, _ = frames_at(T1510)
    closed = msgspec.structs.replace(HELD, quantity=D(0))

    frame = plain(
        frames.position(wire.PositionEventType.POSITION_CLOSED, closed, wire.PositionSide.SHORT)
    )

    assert (frame["event"], frame["position"]["quantity"]) == ("POSITION_CLOSED", "0")
    assert frame["position"]["side"] == "SHORT"


def test_account() -> None:
    frames, _ = frames_at(T1510 + 120 * SECOND)
    money = Money(
        "main", "USD", D("98200.00"), D("97510.40"), D("-689.60"), D(0), D("81000.00"), D(0),
        D("16510.40"), T1510,
    )  # fmt: skip

    assert plain(frames.account(wire.AccountEventType.MARGIN_WARNING, money)) == {
        "type": "account",
        "event": "MARGIN_WARNING",
        "account": {
            "balance": "98200.00",
            "equity": "97510.40",
            "margin_used": "81000.00",
            "margin_available": "16510.40",
            "unrealized_pnl": "-689.60",
            "currency": "USD",
        },
        "timestamp": "2026-03-02T15:12:00Z",
    }


def test_connection() -> None:
    frames, _ = frames_at(T1510 + 611 * SECOND)
    event = wire.ConnectionEventType.BROKER_RECONNECTED

    assert plain(frames.connection(event, "alpaca-paper", gap_ns=4210 * MS + 5)) == {
        "type": "connection",
        "event": "BROKER_RECONNECTED",
        "broker": "alpaca-paper",
        "gap_duration_ms": 4210,
        "timestamp": "2026-03-02T15:20:11Z",
    }
    assert plain(frames.connection(wire.ConnectionEventType.DISCONNECTING)) == {
        "type": "connection",
        "event": "DISCONNECTING",
        "timestamp": "2026-03-02T15:20:11Z",
    }


def test_what_went_wrong_with_a_link_shows_no_secret() -> None:
    frames, _ = frames_at(T1510)
    error = "refused: api_key=abcdef0123456789 " + "x" * 1_000

    frame = plain(frames.connection(wire.ConnectionEventType.RECONNECTING, "mock", error=error))

    assert "abcdef" not in frame["error"]
    assert len(frame["error"]) <= 500


def test_data_staleness() -> None:
    now_ns = T1510 + 607 * SECOND
    frames, _ = frames_at(now_ns)

    assert plain(frames.stale(["mock:AAPL", "mock:MSFT"], now_ns, "alpaca-paper")) == {
        "type": "data_staleness",
        "event": "STALE",
        "symbols": ["AAPL", "MSFT"],
        "stale_since": "2026-03-02T15:20:07Z",
        "broker": "alpaca-paper",
        "timestamp": "2026-03-02T15:20:07Z",
    }
    assert plain(frames.fresh("mock:AAPL", now_ns, "mock"))["event"] == "FRESH"


def test_rate_limit() -> None:
    frames, _ = frames_at(T1510 + 640 * SECOND)

    assert plain(frames.rate_limit(T1510 + 660 * SECOND)) == {
        "type": "rate_limit",
        "event": "RATE_LIMIT_HIT",
        "requests_remaining": 0,
        "reset_at": "2026-03-02T15:21:00Z",
        "timestamp": "2026-03-02T15:20:40Z",
    }


def test_error() -> None:
    frames, _ = frames_at(T1510 + 663 * SECOND)
    code = wire.StreamErrorCode.LIQUIDATION

    assert plain(frames.error(code, "position closed by the venue", {"symbol": "ETHUSD"})) == {
        "type": "error",
        "code": "LIQUIDATION",
        "message": "position closed by the venue",
        "details": {"symbol": "ETHUSD"},
        "timestamp": "2026-03-02T15:21:03Z",
    }
    assert "details" not in plain(frames.error(code, "nothing more is known"))


def test_financing_and_the_end_of_a_backtest() -> None:
    frames, _ = frames_at(T1510)

    assert plain(frames.financing("mock:EURUSD", D("-1.37"))) == {
        "type": "financing",
        "symbol": "EURUSD",
        "amount": "-1.37",
        "timestamp": "2026-03-02T15:10:00Z",
    }
    assert plain(frames.complete("tektii")) == {
        "type": "backtest_complete",
        "broker": "tektii",
        "timestamp": "2026-03-02T15:10:00Z",
    }


def test_the_time_of_frames_never_goes_back() -> None:
    frames, desk = frames_at(T1510)
    assert frames.now_text() == "2026-03-02T15:10:00Z"

    desk.clock._now_ns -= SECOND

    assert frames.now_text() == "2026-03-02T15:10:00Z"
