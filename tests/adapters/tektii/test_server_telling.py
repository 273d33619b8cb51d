import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.tektii.server_order_troubles import MissingExits
from adapters.tektii.server_pacing import Acks
from adapters.tektii.server_resume import Scope
from adapters.tektii.server_settings import GatewaySettings
from adapters.tektii.server_subscriptions import Entry, Subscriptions
from framework.errors import OrderError, VenueError
from framework.model.account import CashBooked, CashReason
from framework.model.desk import ALL_VERBS, READ_ONLY, Place, Principal, VenueHealth, Verb, View
from framework.model.events import (
    AccountReconciled,
    ConnectionChanged,
    ConnectionState,
    DataStale,
    GapDetected,
    OrderAnomaly,
    RateLimited,
    Resynced,
)
from framework.model.market_data import Candle, Trade
from framework.model.orders import (
    Exits,
    Fill,
    Offset,
    Order,
    OrderIntent,
    OrderStatus,
    OrderType,
    Side,
)
from framework.model.records import AlertRaised, HoldRole
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import OWNER, START_NS, FakeDesk
from tests.adapters.tektii.stream_rig import MS, HandLink, Heard, S

D = Decimal
AAPL = "mock:AAPL"
RUN_ONLY = Principal("run", (Place("mock", "main", "tektii"),), View.RUN, ALL_VERBS)
STRANGER = Principal("stranger", (Place("mock", "main", "another"),), View.RUN, ALL_VERBS)
NS = START_NS


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    run_simulated(main)


async def bought(heard: Heard, key: str = "c.1", **more: Any) -> str:
    """Submit an order to buy 10 and return its id."""
    intent = OrderIntent("", key, AAPL, Side.BUY, D(10), **more)
    return (await heard.desk.submit(OWNER, intent)).order.order_id


def leg_of(heard: Heard, entry: str, status: OrderStatus, name: str = "leg", **more: Any) -> None:
    """Put an exit of an entry on the desk and tell of it."""
    role = more.pop("role", HoldRole.STOP_LOSS)
    order = Order(
        name, "tektii", "main", AAPL, Side.SELL, OrderType.STOP, status, D(10), D(0), None,
        heard.desk.clock.now_ns, heard.desk.clock.now_ns, "c.1/stop", stop_price=D(90),
        reduce_only=True, parent=entry, **more,
    )  # fmt: skip
    intent = OrderIntent("tektii", order.key, AAPL, order.side, D(10), stop_price=D(90))
    heard.desk.book[name] = msgspec.structs.replace(
        heard.desk.book[entry], order=order, intent=intent, role=role
    )
    heard.desk.emit(order)


# -- one fill (11.7) ---------------------------------------------------------------------------


def test_one_fill_is_order_trade_position_account_and_then_its_exits() -> None:
    async def scenario() -> None:
        heard = Heard()
        link = heard.join()
        entry = await bought(heard)
        heard.desk.fill(entry, D(100))
        leg_of(heard, entry, OrderStatus.HELD)

        assert link.kinds() == [
            "order ORDER_CREATED",
            "order ORDER_FILLED",
            "trade TRADE_FILLED",
            "position POSITION_OPENED",
            "account BALANCE_UPDATED",
            "order ORDER_CREATED",
        ]

    run(scenario)


def test_exits_name_their_entry_and_times_never_go_back() -> None:
    async def scenario() -> None:
        heard = Heard()
        link = heard.join()
        entry = await bought(heard)
        heard.desk.clock.advance_to(NS + 5 * S)
        heard.desk.fill(entry, D(100))
        leg_of(heard, entry, OrderStatus.HELD)

        frames = link.take()
        assert frames[-1]["parent_order_id"] == entry
        assert frames[-1]["order"]["parent_order_id"] == entry
        assert frames[-1]["order"]["client_order_id"] == "1-sl"
        times = [frame["timestamp"] for frame in frames]
        assert times == sorted(times)

    run(scenario)


def test_positions_go_and_come_again() -> None:
    async def scenario() -> None:
        heard = Heard()
        link = heard.join()
        heard.desk.fill(await bought(heard), D(100))
        intent = OrderIntent("", "c.2", AAPL, Side.SELL, D(10))
        heard.desk.fill((await heard.desk.submit(OWNER, intent)).order.order_id, D(101))

        positions = [frame for frame in link.take() if frame["type"] == "position"]
        assert [frame["event"] for frame in positions] == ["POSITION_OPENED", "POSITION_CLOSED"]
        assert positions[1]["position"]["quantity"] == "0"
        assert positions[1]["position"]["side"] == "LONG"

    run(scenario)


def test_a_position_that_closed_unheard_is_opened_anew() -> None:
    """A closed position that nobody hears of need not be valued, only forgotten."""

    async def scenario() -> None:
        heard = Heard()
        heard.desk.fill(await bought(heard), D(100))
        intent = OrderIntent("", "c.2", AAPL, Side.SELL, D(10))
        heard.desk.fill((await heard.desk.submit(OWNER, intent)).order.order_id, D(101))
        link = heard.join()
        heard.desk.fill(await bought(heard, "c.3"), D(102))

        positions = [frame for frame in link.take() if frame["type"] == "position"]
        assert [frame["event"] for frame in positions] == ["POSITION_OPENED"]

    run(scenario)


def test_a_position_that_opened_unheard_is_told_when_it_closes() -> None:
    async def scenario() -> None:
        heard = Heard()
        heard.desk.fill(await bought(heard), D(100))
        link = heard.join()
        intent = OrderIntent("", "c.2", AAPL, Side.SELL, D(10))
        heard.desk.fill((await heard.desk.submit(OWNER, intent)).order.order_id, D(101))

        (closed,) = [frame for frame in link.take() if frame["type"] == "position"]
        assert closed["event"] == "POSITION_CLOSED"
        assert closed["position"]["average_entry_price"] == "100"

    run(scenario)


def test_what_was_there_before_is_not_announced() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        before = Heard(desk)
        order = await bought(before)
        held = await bought(before, "c.2")
        desk.fill(held, D(100), D(4))
        desk.clock.advance_to(NS + S)
        heard = Heard(desk)
        await heard.telling.recall()
        link = heard.join()

        desk.fill(held, D(100))
        desk.set_order(order, status=OrderStatus.CANCELLED)

        assert link.kinds() == [
            "order ORDER_FILLED",
            "trade TRADE_FILLED",
            "position POSITION_MODIFIED",
            "account BALANCE_UPDATED",
            "order ORDER_CANCELLED",
        ]

    run(scenario)


def test_what_is_redelivered_is_not_told() -> None:
    async def scenario() -> None:
        heard = Heard()
        order = await bought(heard)
        link = heard.join()
        fill = heard.desk.fill(order, D(100))
        link.take()

        heard.desk.emit(
            msgspec.structs.replace(heard.desk.book[order].order, is_redelivered=True),
            msgspec.structs.replace(fill, is_redelivered=True),
        )

        assert link.kinds() == []

    run(scenario)


def test_an_order_that_nothing_is_known_of_speaks_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        heard = Heard()
        link = heard.join()

        def unknown(order: Order) -> None:
            raise OrderError("gone")

        monkeypatch.setattr(heard.desk, "described", unknown)
        await bought(heard, type=OrderType.LIMIT, price=D(5))

        (frame,) = link.take()
        assert frame["order"]["limit_price"] == "5"

    run(scenario)


def test_a_trailing_stop_moves_as_market_time_passes() -> None:
    async def scenario() -> None:
        heard = Heard()
        link = heard.join()
        order = await bought(
            heard, type=OrderType.TRAILING_STOP, trail=Offset(D(5)), stop_price=D(90)
        )
        for stop in (91, 92, 93):
            heard.desk.clock.advance_to(heard.desk.clock.now_ns + MS)
            heard.desk.set_order(order, stop_price=D(stop))
        heard.desk.clock.advance_to(NS + S)

        frames = link.take()
        assert [frame["event"] for frame in frames] == [
            "ORDER_CREATED",
            "ORDER_MODIFIED",
            "ORDER_MODIFIED",
        ]
        assert [frame["order"]["stop_price"] for frame in frames] == ["90", "91", "93"]
        assert frames[2]["timestamp"] == "2026-03-02T14:40:00.251Z"
        assert heard.desk.clock.pending_count == 0

    run(scenario)


# -- who hears it (R-81) -----------------------------------------------------------------------


def test_everybody_hears_what_they_may_and_no_more() -> None:
    async def scenario() -> None:
        heard = Heard()
        whole, own, stranger = heard.join(), heard.join(RUN_ONLY), heard.join(STRANGER)
        reader = heard.join(msgspec.structs.replace(OWNER, verbs=frozenset({Verb.READ})))
        microsoft = heard.join(msgspec.structs.replace(OWNER, instruments=("mock:MSFT",)))

        heard.desk.fill(await bought(heard), D(100))
        heard.desk.set_quote(AAPL, 99, 101)

        everything = [
            "order ORDER_CREATED",
            "order ORDER_FILLED",
            "trade TRADE_FILLED",
            "position POSITION_OPENED",
            "account BALANCE_UPDATED",
            "quote",
        ]
        assert whole.kinds() == everything
        assert own.kinds() == everything
        assert stranger.kinds() == ["account BALANCE_UPDATED", "quote"]
        assert reader.kinds() == everything[:-1]
        assert microsoft.kinds() == ["account BALANCE_UPDATED"]

    run(scenario)


def test_subscriptions_filter() -> None:
    async def scenario() -> None:
        heard = Heard()
        entries = [
            Entry("mock", "AAPL", ("quote", "orders")),
            Entry("mock", "*", ("trade_update",)),
        ]
        link = heard.join(subscriptions=Subscriptions(entries))

        heard.desk.fill(await bought(heard), D(100))
        heard.desk.set_quote(AAPL, 99, 101)
        heard.desk.set_quote("mock:BTC/USD", 99, 101)

        assert link.kinds() == [
            "order ORDER_CREATED",
            "order ORDER_FILLED",
            "trade TRADE_FILLED",
            "quote",
        ]

    run(scenario)


def test_streams_that_come_later_hear_from_then_on() -> None:
    heard = Heard()
    heard.desk.set_quote(AAPL, 99, 101)
    first = heard.join()
    heard.desk.set_quote(AAPL, 99, 101)
    second = heard.join()
    third = heard.join(RUN_ONLY)
    heard.desk.set_quote(AAPL, 99, 101)

    assert [frame["seq"] for frame in first.frames] == [1, 2]
    assert [frame["seq"] for frame in second.frames] == [2]
    assert [frame["seq"] for frame in third.frames] == [1]
    assert first.raw[1] is second.raw[0]


def test_a_body_is_encoded_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    links = [heard.join(), heard.join(), heard.join(RUN_ONLY)]
    count = 0
    quote = heard.frames.quote

    def counted(event: Any) -> bytes:
        nonlocal count
        count += 1
        return quote(event)

    monkeypatch.setattr(heard.frames, "quote", counted)
    heard.desk.set_quote(AAPL, 99, 101)

    assert count == 1
    assert all(link.kinds() == ["quote"] for link in links)


# -- markets -----------------------------------------------------------------------------------


def candle(interval: str = "1m", *, is_closed: bool = True) -> Candle:
    return Candle(AAPL, NS, NS, interval, NS - 60 * S, NS, 1, 2, 1, 2, 5, is_closed)


@pytest.mark.parametrize(("platform", "told"), [("mock", ["1m", "1m", "5m"]), ("x", ["1m", "5m"])])
def test_closed_candles_of_known_timeframes_are_told(platform: str, told: list[str]) -> None:
    heard = Heard(settings=GatewaySettings(platforms={"mock": platform}))
    link = heard.join()

    heard.desk.emit(candle(), candle(is_closed=False), candle("100t"), candle("5m"))
    heard.desk.emit(Trade(AAPL, NS, NS, 1.0, 1.0))

    frames = link.take()
    assert [frame["bar"]["timeframe"] for frame in frames] == told
    forming = [frame["bar"]["timeframe"] for frame in frames if frame.get("is_forming")]
    assert forming == (["1m"] if platform == "mock" else [])


def test_financing_is_told_and_other_cash_is_not() -> None:
    heard = Heard(acks=Acks())
    link = heard.join()
    booked = CashBooked("main", "tektii", "USD", D("-1.37"), CashReason.FUNDING, NS)

    heard.desk.emit(
        booked,
        msgspec.structs.replace(booked, instrument=AAPL),
        msgspec.structs.replace(booked, instrument=AAPL, reason=CashReason.FEE),
        msgspec.structs.replace(booked, instrument=AAPL, account="foreign"),
    )

    (frame,) = link.take()
    assert (frame["symbol"], frame["amount"]) == ("AAPL", "-1.37")
    assert "event_id" not in frame  # 12.3: nobody can acknowledge it


def test_a_contradiction_is_told() -> None:
    heard = Heard()
    link = heard.join(RUN_ONLY)
    anomaly = OrderAnomaly("o-1", "tektii", "main", AAPL, "a fill after the end", NS)

    heard.desk.emit(anomaly, msgspec.structs.replace(anomaly, run="another"))

    (frame,) = link.take()
    assert (frame["code"], frame["message"]) == ("INTERNAL_ERROR", "a fill after the end")
    assert frame["details"] == {"order_id": "o-1", "symbol": "AAPL"}


# -- what matters (11.4) -----------------------------------------------------------------------


def test_two_fills_of_a_group_are_told_once() -> None:
    async def scenario() -> None:
        heard = Heard()
        orders = [await bought(heard, f"c.{number}", oco_group="pair-9") for number in (1, 2)]
        link = heard.join()
        for order in orders:
            heard.desk.fill(order, D(100))

        frames = [frame for frame in link.take() if frame["type"] == "error"]
        assert [frame["code"] for frame in frames] == ["OCO_DOUBLE_EXIT"]
        assert frames[0]["details"]["total_exit_quantity"] == "20"
        assert heard.metric("gateway_oco_double_exit_total", platform="mock") == 1
        assert heard.metric("gateway_critical_notifications_dropped_total", platform="mock") == 0

    run(scenario)


async def alerted(heard: Heard, name: str, key: str) -> None:
    """Raise an alert and let it be told."""
    telling = asyncio.ensure_future(heard.telling.run())
    heard.telling.on_alert(AlertRaised(name, "warning", f"{name} happened", NS, key))
    await asyncio.sleep(0.01)
    telling.cancel()
    await asyncio.wait([telling])


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(("alert", "is_open"), [("exit_refused", False), ("exit_tripped", True)])
def test_an_exit_that_is_refused_leaves_its_position_unprotected(
    alert: str, is_open: bool, is_known: bool
) -> None:
    async def scenario() -> None:
        before = Heard()
        heard = before if is_known else Heard(before.desk)
        entry = await bought(before, exits=Exits())
        leg_of(before, entry, OrderStatus.REJECTED)
        if not is_known:
            heard.telling._missing = MissingExits()  # the alert is the first it hears
        link = heard.join()

        await alerted(heard, alert, "leg")

        (frame,) = link.take()
        assert frame["code"] == "POSITION_UNPROTECTED"
        assert frame["details"] == {
            "order_id": entry,
            "symbol": "AAPL",
            "failed_exits": [
                {"type": "StopLoss", "error": f"{alert} happened", "actual_order_ids": []}
            ],
            "circuit_breaker_open": is_open,
        }

    run(scenario)


def test_other_alerts_are_for_people() -> None:
    async def scenario() -> None:
        heard = Heard()
        entry = await bought(heard)
        link = heard.join()

        await alerted(heard, "runaway", entry)
        await alerted(heard, "exit_refused", entry)  # no exit
        await alerted(heard, "exit_refused", "nobody")
        heard.desk.fail("order", VenueError("no"))
        await alerted(heard, "exit_refused", entry)

        assert link.kinds() == []

    run(scenario)


def test_a_warning_nobody_hears_is_counted() -> None:
    async def scenario() -> None:
        heard = Heard()
        entry = await bought(heard)
        leg_of(heard, entry, OrderStatus.REJECTED)

        await alerted(heard, "exit_refused", "leg")

        assert heard.metric("gateway_critical_notifications_dropped_total", platform="mock") == 1

    run(scenario)


# -- venues (13) -------------------------------------------------------------------------------

STREAMING, RECONNECTING = ConnectionState.STREAMING, ConnectionState.RECONNECTING
CONNECTING, CLOSED = ConnectionState.CONNECTING, ConnectionState.CLOSED


def link_is(heard: Heard, state: ConnectionState, link: str = "feed", reason: str = "") -> None:
    heard.desk.emit(ConnectionChanged("mock", link, state, heard.desk.clock.now_ns, reason))


def test_an_outage_is_told_from_its_beginning_to_its_end() -> None:
    heard = Heard()
    link = heard.join()
    link_is(heard, STREAMING)
    heard.desk.set_quote(AAPL, 99, 101)
    link.take()

    link_is(heard, RECONNECTING, reason="reset")
    link_is(heard, CONNECTING)
    link_is(heard, RECONNECTING, reason="refused")
    heard.desk.clock.advance_to(NS + 4 * S)
    link_is(heard, CONNECTING)
    link_is(heard, STREAMING)
    heard.desk.set_quote(AAPL, 99, 101)
    heard.desk.set_quote(AAPL, 99, 101)

    frames = link.take()
    lost, stale, trying, again, connected, returned, fresh, *_ = frames
    assert (lost["event"], lost["broker"], lost["error"]) == (
        "BROKER_DISCONNECTED",
        "mock",
        "reset",
    )
    assert (stale["event"], stale["symbols"]) == ("STALE", ["AAPL"])
    assert (trying["event"], trying["error"]) == ("RECONNECTING", "reset")
    assert (again["event"], again["error"]) == ("RECONNECTING", "refused")
    assert connected["event"] == "CONNECTED"
    assert (returned["event"], returned["gap_duration_ms"]) == ("BROKER_RECONNECTED", 4_000)
    assert (fresh["event"], fresh["symbols"]) == ("FRESH", ["AAPL"])
    assert fresh["stale_since"] == "2026-03-02T14:40:00Z"
    assert [frame["type"] for frame in frames[7:]] == ["quote", "quote"]
    for name, count in (("disconnections", 1), ("reconnect_attempts", 2), ("reconnections", 1)):
        assert heard.metric(f"gateway_broker_{name}_total", platform="mock") == count


def real(heard: Heard) -> None:
    heard.desk.venues = [VenueHealth("mock", False, True)]


def test_a_return_waits_until_it_is_known_what_happened_meanwhile() -> None:
    async def scenario() -> None:
        heard = Heard()
        real(heard)
        order = await bought(heard)
        entry = await bought(heard, "c.2")
        leg_of(heard, entry, OrderStatus.REJECTED)
        await alerted(heard, "exit_refused", "leg")
        link = heard.join()
        link_is(heard, STREAMING, "broker")
        link_is(heard, RECONNECTING, "broker")
        link_is(heard, STREAMING, "broker")
        heard.desk.emit(AccountReconciled("another", NS))
        assert link.kinds() == ["connection BROKER_DISCONNECTED"]

        heard.desk.fill(order, D(100))  # it had filled in the gap
        heard.desk.emit(AccountReconciled("main", NS))

        assert link.kinds() == [
            "order ORDER_FILLED",
            "trade TRADE_FILLED",
            "position POSITION_OPENED",
            "account BALANCE_UPDATED",
            "error POSITION_UNPROTECTED",
            "connection CONNECTED",
            "connection BROKER_RECONNECTED",
        ]
        assert heard.desk.clock.pending_count == 0

    run(scenario)


def test_what_is_announced_again_says_so_and_what_rests_again_is_not() -> None:
    async def scenario() -> None:
        heard = Heard()
        entry = await bought(heard)
        leg_of(heard, entry, OrderStatus.REJECTED)
        await alerted(heard, "exit_refused", "leg")
        link = heard.join()
        link_is(heard, STREAMING)

        def outage() -> list[Any]:
            link_is(heard, RECONNECTING)
            link_is(heard, STREAMING)
            return [frame["details"] for frame in link.take() if frame["type"] == "error"]

        (details,) = outage()
        assert details["rebroadcast"] is True
        leg_of(heard, entry, OrderStatus.HELD, "leg-2")
        link.take()
        assert outage() == []

    run(scenario)


def test_an_exit_that_rests_by_the_time_it_is_told_is_not_missing() -> None:
    async def scenario() -> None:
        heard = Heard()
        entry = await bought(heard)
        leg_of(heard, entry, OrderStatus.REJECTED)
        leg_of(heard, entry, OrderStatus.HELD, "leg-2")
        link = heard.join()

        await alerted(heard, "exit_refused", "leg")
        assert link.kinds() == ["error POSITION_UNPROTECTED"]

        link_is(heard, STREAMING)
        link_is(heard, RECONNECTING)
        link_is(heard, STREAMING)
        assert "error POSITION_UNPROTECTED" not in link.kinds()

    run(scenario)


def test_a_return_is_told_at_last_though_nobody_reconciles() -> None:
    heard = Heard()
    real(heard)
    link = heard.join()
    link_is(heard, STREAMING, "broker")
    link_is(heard, RECONNECTING, "broker")
    link_is(heard, STREAMING, "broker")
    link.take()

    heard.desk.clock.advance_to(NS + 30 * S)

    assert link.kinds() == ["connection CONNECTED", "connection BROKER_RECONNECTED"]


def test_a_venue_lost_again_is_not_back() -> None:
    heard = Heard()
    real(heard)
    link = heard.join()
    for state in (STREAMING, RECONNECTING, STREAMING, RECONNECTING):
        link_is(heard, state, "broker")
    heard.desk.clock.advance_to(NS + 60 * S)
    heard.desk.emit(AccountReconciled("main", NS))
    assert link.kinds() == ["connection BROKER_DISCONNECTED", "connection RECONNECTING"]

    link_is(heard, STREAMING, "broker")
    heard.desk.emit(AccountReconciled("main", NS))

    (_, returned) = link.take()
    assert returned["gap_duration_ms"] == 60_000


def test_a_venue_given_up_is_told_unless_we_are_leaving() -> None:
    heard = Heard()
    link = heard.join()
    link_is(heard, STREAMING)
    link_is(heard, CLOSED, reason="bad key")
    heard.time.is_stopping = True
    link_is(heard, CLOSED)

    frames = [f for f in link.take() if f.get("event") == "BROKER_CONNECTION_FAILED"]
    assert [frame["error"] for frame in frames] == ["bad key"]


def test_other_venues_are_of_no_concern() -> None:
    heard = Heard()
    link = heard.join()
    for state in (STREAMING, RECONNECTING, STREAMING):
        heard.desk.emit(ConnectionChanged("elsewhere", "feed", state, NS))
    heard.desk.emit(RateLimited("elsewhere", S, NS), DataStale("elsewhere:A", "quotes", S, NS))

    assert link.kinds() == []


def test_silence_and_gaps_make_an_instrument_stale() -> None:
    heard = Heard()
    link = heard.join()

    heard.desk.emit(DataStale(AAPL, "quotes", 5 * S, NS))
    heard.desk.emit(DataStale(AAPL, "trades", 6 * S, NS))
    heard.desk.emit(GapDetected("mock:BTC/USD", "book", 1, 3, NS))
    heard.desk.emit(Resynced("mock:BTC/USD", "book", 3, NS), Resynced("mock:BTC/USD", "b", 3, NS))
    heard.desk.emit(candle())

    frames = link.take()
    assert [(f.get("event"), f.get("symbols")) for f in frames[:4]] == [
        ("STALE", ["AAPL"]),
        ("STALE", ["BTC/USD"]),
        ("FRESH", ["BTC/USD"]),
        ("FRESH", ["AAPL"]),
    ]
    assert frames[0]["stale_since"] == "2026-03-02T14:39:55Z"
    assert frames[4]["type"] == "candle"


def test_stale_instruments_are_told_to_those_who_see_them() -> None:
    heard = Heard()
    apple = msgspec.structs.replace(OWNER, instruments=(AAPL,))
    trader = msgspec.structs.replace(OWNER, verbs=frozenset({Verb.READ}))
    links = [heard.join(), heard.join(apple), heard.join(trader)]
    link_is(heard, STREAMING)
    for name in (AAPL, "mock:BTC/USD"):
        heard.desk.set_quote(name, 1, 2)
    for link in links:
        link.take()

    link_is(heard, RECONNECTING)

    symbols = [
        [f["symbols"] for f in link.take() if f["type"] == "data_staleness"] for link in links
    ]
    assert symbols == [[["AAPL", "BTC/USD"]], [["AAPL"]], []]
    (frame,) = heard.telling.venues.stale_frames(Scope.of(apple))
    assert msgspec.json.decode(frame)["symbols"] == ["AAPL"]
    assert heard.telling.venues.stale_frames(Scope.of(trader)) == []


def test_a_pause_that_a_venue_asks_for_is_told() -> None:
    heard = Heard()
    link = heard.join()

    heard.desk.emit(RateLimited("mock", 20 * S, NS))

    (frame,) = link.take()
    assert frame["reset_at"] == "2026-03-02T14:40:20Z"
    assert heard.metric("gateway_rate_limit_events_total", platform="mock", event_type="hit") == 1


def test_with_nobody_there_nothing_is_made() -> None:
    async def scenario() -> None:
        heard = Heard(acks=Acks())
        heard.desk.fill(await bought(heard), D(100))
        heard.desk.set_quote(AAPL, 1, 2)
        heard.desk.emit(RateLimited("mock", S, NS), candle())
        for state in (STREAMING, RECONNECTING, STREAMING):
            link_is(heard, state)

        assert heard.broadcast.acks is not None
        assert heard.broadcast.acks.is_settled

    run(scenario)


def test_paced_frames_have_ids_that_are_the_same_in_every_run() -> None:
    async def scenario() -> None:
        runs = []
        for _ in range(2):
            heard = Heard(acks=Acks())
            link, other = heard.join(), heard.join(RUN_ONLY)
            heard.desk.fill(await bought(heard), D(100))
            ids = [frame["event_id"] for frame in link.take()]
            assert ids == [frame["event_id"] for frame in other.take()]
            runs.append(ids)

        assert runs[0] == runs[1] == [f"evt-{number}" for number in range(1, 6)]

    run(scenario)


def test_fills_of_foreign_accounts_are_not_told() -> None:
    heard = Heard()
    link: HandLink = heard.join(msgspec.structs.replace(OWNER, verbs=READ_ONLY))
    fill = Fill("x", "o", "r", "foreign", AAPL, Side.BUY, D(1), D(1), NS, NS)

    heard.desk.emit(fill)

    assert link.kinds() == []
