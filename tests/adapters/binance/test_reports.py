"""Orders, trades and balances in both vocabularies."""

from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from adapters.binance import wire_account as wire
from adapters.binance.codec import read
from adapters.binance.positions import Holdings
from adapters.binance.reports import (
    UserAnswer,
    UserEvent,
    balances_of,
    decode_user_frame,
    facts_of_answer,
    facts_of_event,
    report_of_row,
    report_of_trade,
    reports_of_event,
)
from framework.errors import MalformedMessage
from framework.model.instrument import Instrument
from framework.model.orders import Fee, Liquidity, OrderStatus, OrderType, Side, TimeInForce
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, OrderFilled
from framework.model.venue_state import BalanceReport, ExecutionReport, OrderReport, PositionReport
from tests.adapters.binance.test_codec import mutated

MS = 1_000_000
TIME_MS = 1_499_405_658_657
EVENT: dict[str, Any] = {
    "e": "executionReport",
    "E": 1_499_405_658_658,
    "s": "ETHBTC",
    "c": "mine",
    "S": "BUY",
    "o": "LIMIT",
    "f": "GTC",
    "q": "1.00000000",
    "p": "0.10264410",
    "P": "0.00000000",
    "C": "",
    "x": "NEW",
    "X": "NEW",
    "r": "NONE",
    "i": 4293153,
    "l": "0.00000000",
    "z": "0.00000000",
    "L": "0.00000000",
    "n": "0",
    "N": None,
    "T": TIME_MS,
    "t": -1,
    "m": False,
    "Z": "0.00000000",
}
TRADED = {
    "x": "TRADE",
    "X": "PARTIALLY_FILLED",
    "l": "0.4",
    "z": "0.4",
    "L": "0.1",
    "n": "0.0004",
    "N": "ETH",
    "t": 17,
    "m": True,
    "Z": "0.04",
}


def event(**changes: Any) -> wire.OrderEvent:
    """Return an order event, by way of its frame."""
    frame = msgspec.json.encode({"subscriptionId": 0, "event": {**EVENT, **changes}})
    heard = decode_user_frame(frame)
    assert isinstance(heard, UserEvent)
    assert heard.order is not None
    return heard.order


def test_an_accepted_order_names_the_venues_id_with_its_symbol() -> None:
    assert facts_of_event(event()) == [OrderAccepted("mine", TIME_MS * MS, "ETHBTC:4293153")]


def test_a_trade_becomes_a_fill_with_fee_and_side_of_the_book() -> None:
    assert facts_of_event(event(**TRADED)) == [
        OrderFilled(
            "mine",
            "ETHBTC:17",
            Decimal("0.4"),
            Decimal("0.1"),
            TIME_MS * MS,
            (Fee("ETH", Decimal("0.0004")),),
            Liquidity.MAKER,
        )
    ]


def test_a_cancellation_is_about_the_order_it_names() -> None:
    facts = facts_of_event(event(c="web_1", C="mine", x="CANCELED", X="CANCELED"))

    assert facts == [OrderEnded("mine", EndKind.CANCELLED, TIME_MS * MS)]


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"x": "EXPIRED", "X": "EXPIRED"}, EndKind.EXPIRED, ""),
        ({"x": "TRADE_PREVENTION", "X": "EXPIRED_IN_MATCH"}, EndKind.EXPIRED, ""),
        ({"x": "REJECTED", "X": "REJECTED", "r": "NO_FUNDS"}, EndKind.REJECTED, "NO_FUNDS"),
        ({"x": "CANCELED", "X": "CANCELED", "C": "null"}, EndKind.CANCELLED, ""),
    ],
)
def test_an_order_ends_in_the_venues_way(
    changes: dict[str, Any], kind: EndKind, reason: str
) -> None:
    assert facts_of_event(event(**changes)) == [OrderEnded("mine", kind, TIME_MS * MS, reason)]


def test_the_answer_to_an_order_tells_its_fills_under_the_same_ids_as_the_stream() -> None:
    """R-24: whichever way a fill comes, it has one id."""
    body = b"""{"symbol":"ETHBTC","orderId":4293153,"orderListId":-1,"clientOrderId":"mine",
    "transactTime":1499405658657,"status":"EXPIRED","fills":[{"price":"0.1","qty":"0.4",
    "commission":"0.0004","commissionAsset":"ETH","tradeId":17}]}"""

    accepted, filled, ended = facts_of_answer(read(body, wire.NewOrderAnswer))

    assert accepted == OrderAccepted("mine", TIME_MS * MS, "ETHBTC:4293153")
    assert isinstance(filled, OrderFilled)
    assert filled.execution_id == "ETHBTC:17"
    assert ended == OrderEnded("mine", EndKind.EXPIRED, TIME_MS * MS)


def test_r26_somebody_elses_order_is_reported_and_then_its_trade() -> None:
    """R-26: what nobody here sent comes as reports."""
    order, execution = reports_of_event(event(c="web_1", S="SELL", **TRADED), "main", "b")

    assert order == OrderReport(
        "main",
        "ETHBTC:4293153",
        "b:ETHBTC",
        Side.SELL,
        Decimal(1),
        Decimal("0.4"),
        OrderStatus.PARTIALLY_FILLED,
        TIME_MS * MS,
        order_id="web_1",
        price=Decimal("0.10264410"),
        average_price=Decimal("0.1"),
    )
    assert execution == ExecutionReport(
        "main",
        "ETHBTC:17",
        "ETHBTC:4293153",
        "b:ETHBTC",
        Side.SELL,
        Decimal("0.4"),
        Decimal("0.1"),
        TIME_MS * MS,
        order_id="web_1",
        fees=(Fee("ETH", Decimal("0.0004")),),
        liquidity=Liquidity.MAKER,
    )


ROW = b"""{"symbol":"LTCBTC","orderId":1,"orderListId":-1,"clientOrderId":"myOrder1","price":"0.1",
"origQty":"0.0","executedQty":"2.0","cummulativeQuoteQty":"-1","status":"FILLED",
"timeInForce":"IOC","type":"STOP_LOSS_LIMIT","side":"BUY","stopPrice":"0.2","icebergQty":"0.0",
"time":1499827319559,"updateTime":1499827319560,"isWorking":true}"""


def test_a_row_becomes_a_report_and_what_the_venue_forgot_is_left_out() -> None:
    report = report_of_row(read(ROW, wire.OrderRow), "main", "b")

    assert report == OrderReport(
        "main",
        "LTCBTC:1",
        "b:LTCBTC",
        Side.BUY,
        Decimal("2.0"),
        Decimal("2.0"),
        OrderStatus.FILLED,
        1_499_827_319_560 * MS,
        order_id="myOrder1",
        type=OrderType.STOP_LIMIT,
        price=Decimal("0.1"),
        stop_price=Decimal("0.2"),
        time_in_force=TimeInForce.IOC,
    )


def test_a_trade_row_names_our_order_only_where_it_is_known() -> None:
    body = b"""{"symbol":"BNBBTC","id":28457,"orderId":100234,"orderListId":-1,"price":"4.1",
    "qty":"12","quoteQty":"48","commission":"10.1","commissionAsset":"BNB","time":1499865549590,
    "isBuyer":false,"isMaker":false,"isBestMatch":true}"""

    report = report_of_trade(read(body, wire.TradeRow), "main", "b", "")

    assert report == ExecutionReport(
        "main",
        "BNBBTC:28457",
        "BNBBTC:100234",
        "b:BNBBTC",
        Side.SELL,
        Decimal(12),
        Decimal("4.1"),
        1_499_865_549_590 * MS,
        fees=(Fee("BNB", Decimal("10.1")),),
        liquidity=Liquidity.TAKER,
    )


def balance(asset: str, total: str) -> BalanceReport:
    """Return a balance."""
    return BalanceReport("main", asset, Decimal(total), 9)


def test_a_balance_counts_what_is_locked_and_zero_is_nothing() -> None:
    body = b"""{"balances":[{"asset":"BTC","free":"1.5","locked":"0.5"},
    {"asset":"LTC","free":"0.0","locked":"0.0"}]}"""

    found = balances_of(read(body, wire.AccountAnswer), "main", 9)

    assert found == [BalanceReport("main", "BTC", Decimal("2.0"), 9, Decimal("0.5"))]


def test_a_base_asset_is_a_position_only_where_it_is_one_instruments_own() -> None:
    instruments = [
        Instrument("b:BTCUSDT", currency="USDT", base="BTC"),
        Instrument("b:ETHUSDT", currency="USDT", base="ETH"),
        Instrument("b:ETHBTC", currency="BTC", base="ETH"),
        Instrument("b:SOLUSDT", currency="USDT", base="SOL"),
    ]
    holdings = Holdings(instruments)
    told = [balance("BTC", "1"), balance("ETH", "2"), balance("SOL", "3"), balance("USDT", "4")]

    assert holdings.positions(told) == [PositionReport("main", "b:SOLUSDT", Decimal(3), 9)]
    assert [one.currency for one in holdings.balances(told)] == ["BTC", "ETH", "USDT"]


@pytest.mark.parametrize(
    "changes",
    [
        {"X": "UNHEARD_OF"},
        {"x": "TRADE", "l": "NaN"},
        {"x": "TRADE", "l": "-1"},
        {"x": "TRADE", "L": "1E+40"},
        {"x": "TRADE", "n": "Infinity", "N": "BNB"},
    ],
)
def test_r45_an_event_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        facts_of_event(event(**changes))


@pytest.mark.parametrize("changes", [{"S": "HOLD"}, {"o": "PEGGED"}, {"z": "-1"}])
def test_r45_a_report_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        reports_of_event(event(**changes), "main", "b")


@pytest.mark.parametrize(
    ("frame", "heard"),
    [
        (b'{"id":1,"status":200,"result":{"subscriptionId":0}}', UserAnswer(1)),
        (b'{"id":"x","status":200,"result":{}}', UserAnswer(None)),
        (
            b'{"id":1,"status":400,"error":{"code":-1022,"msg":"Signature"}}',
            UserAnswer(1, -1022, "Signature"),
        ),
        (b'{"id":1,"status":400,"error":{"code":-1}}', UserAnswer(1, -1, "code -1")),
        (b'{"id":1,"status":503}', UserAnswer(1, 503, "status 503")),
        (b'{"event":{"e":"eventStreamTerminated","E":1}}', UserEvent("eventStreamTerminated")),
        (b'{"event":{"e":"outboundAccountPosition","B":[]}}', UserEvent("outboundAccountPosition")),
    ],
)
def test_answers_and_other_events_are_told_apart(frame: bytes, heard: object) -> None:
    assert decode_user_frame(frame) == heard


def test_r45_10_000_damaged_user_frames_give_typed_errors_only() -> None:
    random = Random(11)
    frames = [
        msgspec.json.encode({"subscriptionId": 0, "event": {**EVENT, **TRADED}}),
        msgspec.json.encode({"subscriptionId": 0, "event": EVENT}),
        b'{"id":1,"status":400,"error":{"code":-1022,"msg":"Signature"}}',
    ]
    good = 0
    for number in range(10_000):
        try:
            heard = decode_user_frame(mutated(random, frames[number % 3]))
            if isinstance(heard, UserEvent) and heard.order is not None:
                facts_of_event(heard.order)
                reports_of_event(heard.order, "main", "b")
        except MalformedMessage:
            continue
        good += 1
    assert 0 < good < 10_000
