"""The trading desk: what outsiders may do, what they see, and when they hear of it."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from framework.errors import Forbidden, KeyConflict, OrderError, UnknownInstrument, UnknownOrder
from framework.interfaces import AdapterContext
from framework.model.account import Position
from framework.model.desk import (
    ALL_VERBS,
    READ_ONLY,
    Breaker,
    DeskPosition,
    FillQuery,
    OrderQuery,
    Place,
    Principal,
    View,
)
from framework.model.events import Overflowed
from framework.model.inputs import CommandIssued
from framework.model.orders import (
    CLOSED_STATUSES,
    AtPrice,
    Exits,
    Fill,
    Offset,
    Order,
    OrderIntent,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from framework.runtime.desk import Desk
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import Settings
from framework.simulation.loop import run_simulated
from framework.strategy.outside import OutsideRun
from tests.recorded_session import record, verify
from tests.scripted_venue import BTC, ETH, START_NS, Script, quote, run_settings, settings

OWNER = Principal("owner", (Place("x", "main", "run"),), verbs=ALL_VERBS)
OTHER = Principal("other", (Place("x", "main", "other"),), verbs=ALL_VERBS)
WHOLE = replace(OTHER, name="whole", view=View.ACCOUNT)
READER = replace(OWNER, name="reader", verbs=READ_ONLY)
ETH_ONLY = replace(OWNER, name="eth", instruments=(ETH,))

Play = Callable[[Runtime], Awaitable[Any]]


async def quotes(context: AdapterContext) -> None:
    """Quote both instruments four times a second."""
    for _ in range(400):
        now_ns = context.clock.now_ns
        for name, bid, ask in ((BTC, 100.0, 101.0), (ETH, 10.0, 10.5)):
            event = quote(0, bid, ask, at=name)
            context.publish(replace(event, time_ns=now_ns, received_ns=now_ns))
        await anyio.sleep(0.25)


def chosen(**fields: Any) -> Settings:
    runs = [run_settings(OutsideRun, "run"), run_settings(OutsideRun, "other")]
    return settings(*runs, script=Script(live=quotes), mode=Mode.PAPER, **fields)


def play(act: Play, **fields: Any) -> Any:
    """Do something with a system that has been quoting for a second, and return what it returns."""
    config = chosen(**fields)

    async def main() -> Any:
        async with Runtime(config) as runtime:
            await anyio.sleep(1)
            return await act(runtime)

    return run_simulated(main, seed=1, start_ns=START_NS)


def intent(side: Side = Side.BUY, quantity: str = "1", key: str = "", **fields: Any) -> OrderIntent:
    return OrderIntent("", key, BTC, side, Decimal(quantity), **fields)


def limit(price: str, side: Side = Side.BUY, quantity: str = "1", **fields: Any) -> OrderIntent:
    return intent(side, quantity, type=OrderType.LIMIT, price=Decimal(price), **fields)


async def held(runtime: Runtime, who: Principal = OWNER) -> DeskPosition:
    (position,) = await runtime.desk.positions(who)
    return position


def test_a_market_order_is_answered_with_its_fill() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        done = await desk.submit(OWNER, intent(key="c.one"))

        assert done.order.status is OrderStatus.FILLED
        assert (done.order.run, done.order.account, done.order.key) == ("run", "main", "c.one")
        assert (await desk.order(OWNER, done.order.order_id)) == done
        (fill,) = await desk.fills(OWNER, FillQuery())
        assert (fill.price, fill.quantity) == (Decimal(101), Decimal(1))
        position = await held(runtime)
        assert (position.quantity, position.average_price) == (Decimal(1), Decimal(101))
        assert position.unrealised == Decimal("-0.5")  # the mid is 100.5
        assert position.opened_ns == position.updated_ns == fill.time_ns

    play(act)


def test_the_same_key_is_the_same_order_and_other_content_a_conflict() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        first = await desk.submit(OWNER, limit("90", key="c.one"))
        again = await desk.submit(OWNER, limit("90", key="c.one"))
        assert again.order.order_id == first.order.order_id
        with pytest.raises(KeyConflict):
            await desk.submit(OWNER, limit("91", key="c.one"))
        assert len(await desk.orders(OWNER, OrderQuery())) == 1

    play(act)


def test_a_refusal_is_an_order_with_its_reason() -> None:
    async def act(runtime: Runtime) -> None:
        wrong = await runtime.desk.submit(OWNER, intent(Side.SELL, key="c.r", reduce_only=True))
        assert wrong.order.status is OrderStatus.DENIED
        assert "reduce-only" in wrong.order.reason
        taking = await runtime.desk.submit(OWNER, limit("200", key="c.p", post_only=True))
        assert taking.order.status is OrderStatus.REJECTED

    play(act)


def test_what_a_caller_must_not_ask_for_is_refused() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        with pytest.raises(UnknownInstrument):
            await desk.submit(OWNER, replace(intent(key="c.a"), instrument="x:NOPE"))
        with pytest.raises(Forbidden, match="no account at venue"):
            await desk.preview(OWNER, replace(intent(), instrument="y:BTC"))
        for key in ("1.2.3", "close.1", "c.a/stop", "1.0.7"):
            with pytest.raises(OrderError, match="kept for the framework"):
                await desk.submit(OWNER, intent(key=key))
        made = await desk.submit(OWNER, intent(key=desk.new_key(OWNER)))
        assert made.order.status is OrderStatus.FILLED
        with pytest.raises(OrderError, match="kept for the framework"):
            await desk.submit(OWNER, intent(key=made.order.key))  # used once already

    play(act)


def test_a_change_is_answered_with_the_changed_order() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        order_id = (await desk.submit(OWNER, limit("90", key="c.one"))).order.order_id
        changed = await desk.modify(OWNER, order_id, price=Decimal(91), quantity=Decimal(2))
        assert (changed.order.price, changed.order.quantity) == (Decimal(91), Decimal(2))
        filled = await desk.modify(OWNER, order_id, price=Decimal(102))
        assert filled.order.status is OrderStatus.FILLED
        with pytest.raises(OrderError, match="already filled"):
            await desk.modify(OWNER, order_id, price=Decimal(90))
        with pytest.raises(UnknownOrder):
            await desk.modify(OWNER, "nothing", price=Decimal(90))

    play(act)


def test_a_cancel_can_be_repeated() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        order_id = (await desk.submit(OWNER, limit("90", key="c.one"))).order.order_id
        for _ in range(2):
            assert (await desk.cancel(OWNER, order_id)).order.status is OrderStatus.CANCELLED
        filled = await desk.submit(OWNER, intent(key="c.two"))
        again = await desk.cancel(OWNER, filled.order.order_id)
        assert again.order.status is OrderStatus.FILLED

    play(act)


def test_cancel_all_takes_back_what_the_view_shows() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        for who in (OWNER, OTHER):
            for number in range(2):
                await desk.submit(who, limit(f"{90 + number}", key=f"c.{number}"))
        assert len(await desk.cancel_all(OWNER, ETH)) == 0
        mine = await desk.cancel_all(OWNER)
        assert [one.order.status for one in mine] == [OrderStatus.CANCELLED] * 2
        assert await desk.cancel_all(OWNER) == []
        assert len(await desk.cancel_all(WHOLE)) == 2

    play(act)


def test_a_close_is_for_a_part_or_all_and_never_for_more() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        await desk.submit(OWNER, intent(quantity="3", key="c.one"))
        part = await desk.close(OWNER, await held(runtime), quantity=Decimal(1), key="c.close")
        assert (part.order.filled, part.order.reduce_only) == (Decimal(1), True)
        again = await desk.close(OWNER, await held(runtime), quantity=Decimal(1), key="c.close")
        assert again.order.order_id == part.order.order_id
        assert (await held(runtime)).quantity == Decimal(2)
        resting = await desk.close(OWNER, await held(runtime), price=Decimal(120))
        assert resting.order.status is OrderStatus.ACCEPTED
        await desk.cancel(OWNER, resting.order.order_id)
        position = await held(runtime)
        rest = await desk.close(OWNER, position, quantity=Decimal(50))
        assert rest.order.filled == Decimal(2)
        assert await desk.positions(OWNER) == []
        with pytest.raises(OrderError, match="nothing"):
            await desk.close(OWNER, position)

    play(act)


def test_a_principal_does_and_sees_what_its_token_covers() -> None:
    """R-81, T-06, T-31."""

    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        mine = await desk.submit(OWNER, intent(key="c.one"))
        order_id = mine.order.order_id
        resting = await desk.submit(OWNER, limit("90", key="c.two"))
        for refused in (
            lambda: desk.submit(READER, intent(key="c.x")),
            lambda: desk.modify(READER, order_id, price=Decimal(1)),
            lambda: desk.cancel(READER, order_id),
            lambda: desk.cancel_all(READER),
            lambda: desk.reset_breakers(READER),
            lambda: desk.preview(READER, intent()),
            lambda: desk.submit(ETH_ONLY, intent(key="c.x")),
            lambda: desk.quote(ETH_ONLY, BTC),
            lambda: desk.money(OWNER, "elsewhere"),
        ):
            with pytest.raises(Forbidden):
                await refused()
        with pytest.raises(Forbidden):
            await desk.close(OTHER, await held(runtime))
        for stranger in (OTHER, ETH_ONLY):
            assert await desk.order(stranger, order_id) is None
            assert await desk.orders(stranger, OrderQuery()) == []
            assert await desk.fills(stranger, FillQuery()) == []
            assert await desk.positions(stranger) == []
            with pytest.raises(UnknownOrder):
                await desk.cancel(stranger, resting.order.order_id)
        assert len(await desk.orders(WHOLE, OrderQuery())) == 2
        assert (await held(runtime, WHOLE)).run == "run"
        assert (await desk.cancel(WHOLE, resting.order.order_id)).order.is_closed
        assert [run.id for run in await desk.runs(OWNER)] == ["run"]
        assert {run.id for run in await desk.runs(WHOLE)} >= {"run", "other"}

    play(act)


def test_orders_are_found_by_every_condition() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        first = await desk.submit(OWNER, limit("90", key="c.a", oco_group="g"))
        await anyio.sleep(1)
        second = await desk.submit(OWNER, limit("120", Side.SELL, key="c.b"))
        await anyio.sleep(1)
        third = await desk.submit(OWNER, replace(limit("9", key="c.c"), instrument=ETH))
        await anyio.sleep(1)
        await desk.modify(OWNER, first.order.order_id, price=Decimal(91))
        await anyio.sleep(1)
        await desk.cancel(OWNER, second.order.order_id)
        open_statuses = frozenset({OrderStatus.ACCEPTED, OrderStatus.SUBMITTED})

        async def keys(**conditions: Any) -> str:
            found = await desk.orders(OWNER, OrderQuery(**conditions))
            return "".join(one.order.key[-1] for one in found)

        assert await keys() == "cba"
        assert await keys(limit=2) == "cb"
        assert await keys(by_update=True) == "bac"
        assert await keys(instrument=ETH) == "c"
        assert await keys(side=Side.SELL) == "b"
        assert await keys(key="c.b") == "b"
        assert await keys(key="c.none") == ""
        assert await keys(oco_group="g") == "a"
        assert await keys(statuses=open_statuses) == "ca"
        assert await keys(statuses=frozenset({OrderStatus.CANCELLED})) == "b"
        assert await keys(since_ns=second.order.created_ns) == "cb"
        assert await keys(until_ns=second.order.created_ns) == "a"
        assert third.order.instrument == ETH

    play(act)


def test_money_adds_up() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        await desk.submit(OWNER, intent(quantity="3", key="c.one"))
        await desk.submit(OTHER, intent(Side.SELL, key="c.two"))
        await desk.submit(OWNER, limit("90", quantity="2", key="c.three"))
        money = await desk.money(OWNER)
        assert money.equity == money.balance + money.unrealised
        assert money.unrealised == Decimal(-2)  # 3 bought and 1 sold half a point off the mid
        assert money.bound == Decimal("100.5") * 4
        assert money.reserved == Decimal("100.5") * 2  # at the market's price, the higher one
        assert money.available == money.equity - money.bound - money.reserved
        whole, parts = await desk.funds(WHOLE)
        assert {part.run for part in parts} == {"run", "other", "external"}
        assert sum(part.sums[0].equity for part in parts) == whole.sums[0].equity == money.equity
        assert [part.run for part in (await desk.funds(OWNER))[1]] == ["run"]

    play(act)


def test_a_preview_says_what_the_gate_would() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        fine = await desk.preview(OWNER, intent(quantity="2"))
        assert (fine.refusal, fine.price, fine.notional) == ("", Decimal("100.5"), Decimal(201))
        odd = await desk.preview(OWNER, intent(quantity="0.001"))
        assert odd.refusal
        by_amount = await desk.preview(
            OWNER, OrderIntent("", "", BTC, Side.BUY, quote_quantity=Decimal(1_005))
        )
        assert by_amount.notional == Decimal(1_005)
        assert await desk.orders(OWNER, OrderQuery()) == []

    play(act)


def test_an_order_that_waits_for_its_price_is_answered_as_it_stands() -> None:
    async def act(runtime: Runtime) -> None:
        stop = intent(type=OrderType.STOP, stop_price=Decimal(120), key="c.one")
        done = await runtime.desk.submit(OWNER, stop)
        assert not done.order.is_closed
        day = limit("90", key="c.two", time_in_force=TimeInForce.IOC)
        assert (await runtime.desk.submit(OWNER, day)).order.status is OrderStatus.CANCELLED

    play(act)


def test_listeners_hear_order_fill_and_position_in_this_order() -> None:
    async def act(runtime: Runtime) -> list[str]:
        heard: list[str] = []
        handlers: dict[type, Callable[[Any], None]] = {
            Order: lambda order: heard.append(order.status.value),
            Fill: lambda fill: heard.append("fill"),
            Position: lambda position: heard.append("position"),
        }
        subscription = runtime.desk.listen("test", handlers)
        await runtime.desk.submit(OWNER, intent(key="c.one"))
        await anyio.sleep(0.1)
        subscription.close()
        await runtime.desk.submit(OWNER, intent(key="c.two"))
        await anyio.sleep(0.1)
        return heard

    assert play(act) == ["submitted", "accepted", "filled", "fill", "position"]


def test_what_a_listener_raises_stays_its_own() -> None:
    async def act(runtime: Runtime) -> OrderStatus:
        def fail(order: Order) -> None:
            raise ValueError(order.key)

        runtime.desk.listen("faulty", {Order: fail})
        await runtime.desk.submit(OWNER, intent(key="c.one"))
        await anyio.sleep(0.1)
        return (await runtime.desk.submit(OWNER, intent(key="c.two"))).order.status

    assert play(act) is OrderStatus.FILLED


def test_quotes_and_candles_come_from_the_venue() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        quoted = await desk.quote(OWNER, BTC)
        assert quoted is not None
        assert (quoted.bid, quoted.ask) == (100.0, 101.0)
        assert await desk.candles(OWNER, BTC, "1m", end_ns=desk.clock.now_ns, limit=5) == []
        assert (await desk.instrument(OWNER, BTC)).id == BTC
        assert {one.id for one in desk.instruments("x")} == {BTC, ETH}
        (health,) = desk.health()
        assert (health.venue, health.is_simulated, health.stale) == ("x", True, ())

    play(act)


def test_commands_from_outside_are_replayed_and_verified() -> None:
    """R-74, R-90: nothing that a door did is missing from the record."""

    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        await anyio.sleep(1)
        await desk.submit(OWNER, intent(quantity="2", key="c.one"))
        resting = await desk.submit(OWNER, limit("90", key="c.two"))
        await desk.modify(OWNER, resting.order.order_id, price=Decimal(91))
        await desk.cancel(OWNER, resting.order.order_id)
        await anyio.sleep(1)
        await desk.close(OWNER, await held(runtime))
        await desk.cancel_all(OWNER)

    config = chosen()
    _, sink = record(config, during=act)

    assert len(sink.of(CommandIssued)) == 5
    verdict = verify(config, sink)
    assert verdict.difference is None
    assert verdict.unverifiable == {}


def test_a_listener_that_fell_behind_is_told_and_goes_on() -> None:
    async def act(runtime: Runtime) -> tuple[list[str], list[str]]:
        heard: list[str] = []
        missed: list[str] = []
        handlers: dict[type, Callable[[Any], None]] = {
            Order: lambda order: heard.append(order.key),
            Overflowed: lambda event: missed.append(event.channel),
        }
        subscription = runtime.desk.listen("slow", handlers)
        order = (await runtime.desk.submit(OWNER, limit("90", key="c.one"))).order
        for _ in range(10_001):  # in one turn of the loop: nothing is delivered meanwhile
            runtime.engine.bus.publish(order)
        await anyio.sleep(0.5)
        heard.clear()
        await runtime.desk.submit(OWNER, intent(key="c.two"))
        await anyio.sleep(0.1)
        subscription.close()
        await runtime.desk.submit(OWNER, intent(key="c.three"))
        await anyio.sleep(0.1)
        return heard, missed

    heard, missed = play(act)

    assert set(heard) == {"c.two"}
    assert missed == ["orders"]


def test_what_waits_for_the_disk_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.runtime.desk_listening.MOST_HELD", 3)

    async def act(runtime: Runtime) -> tuple[int, int]:
        heard: list[Order] = []
        missed: list[Overflowed] = []
        runtime.desk.listen("slow", {Order: heard.append, Overflowed: missed.append})
        outputs = runtime.engine.outputs
        order = (await runtime.desk.submit(OTHER, limit("90", key="c.one"))).order
        await anyio.sleep(0.1)
        heard.clear()
        outputs.held.append((10**9, lambda: None))  # nothing gets past this
        for _ in range(10):
            runtime.engine.bus.publish(order)
        await anyio.sleep(0.5)
        outputs.held.popleft()
        outputs.release()
        return len(heard), len(missed)

    heard, missed = play(act)

    assert 0 < heard <= 3
    assert missed > 0


def at(price: str) -> AtPrice:
    return AtPrice(Decimal(price))


def test_exits_are_shown_and_changed_before_the_fill_and_after_it() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        wanted = limit("90", key="c.one", exits=Exits(at("80"), at("120")))
        entry = await desk.submit(OWNER, wanted)
        assert (entry.stop_loss, entry.take_profit) == (Decimal(80), Decimal(120))
        order_id = entry.order.order_id
        changed = await desk.modify(OWNER, order_id, exits=Exits(at("81"), at("120")))
        assert (changed.stop_loss, changed.take_profit) == (Decimal(81), Decimal(120))

        filled = await desk.modify(OWNER, order_id, price=Decimal(105))
        assert filled.order.status is OrderStatus.FILLED
        await desk.modify(OWNER, order_id, exits=Exits(at("82"), at("121")))
        open_orders = frozenset(OrderStatus) - CLOSED_STATUSES
        legs = await desk.orders(OWNER, OrderQuery(statuses=open_orders))
        assert {leg.order.parent for leg in legs} == {order_id}
        assert {leg.order.stop_price or leg.order.price for leg in legs} == {82, 121}
        with pytest.raises(OrderError):
            await desk.modify(OWNER, order_id, exits=Exits(at("200"), at("121")))

        whole = await desk.close(OWNER, await held(runtime))
        assert whole.order.status is OrderStatus.FILLED
        assert await desk.orders(OWNER, OrderQuery(statuses=open_orders)) == []

    play(act)


def test_a_trailing_stop_follows_at_its_new_distance() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        await desk.submit(OWNER, intent(key="c.one"))
        trail = intent(
            Side.SELL, key="c.two", type=OrderType.TRAILING_STOP, trail=Offset(Decimal(10))
        )
        placed = await desk.submit(OWNER, trail)
        await anyio.sleep(1)
        order_id = placed.order.order_id
        level = (await desk.orders(OWNER, OrderQuery(key="c.two")))[0].order.stop_price
        assert level == Decimal(90)  # ten below the best bid
        await desk.modify(OWNER, order_id, trail=Offset(Decimal(5)))
        await anyio.sleep(1)
        shown = await desk.order(OWNER, order_id)
        assert shown is not None
        assert (shown.order.stop_price, shown.order.trail) == (Decimal(95), Offset(Decimal(5)))

    play(act)


def test_nothing_is_wrong_with_exits_that_nobody_refused() -> None:
    async def act(runtime: Runtime) -> None:
        assert await runtime.desk.breakers(OWNER) == [Breaker("exits", False, 0)]
        await runtime.desk.reset_breakers(OWNER)

    play(act)


def test_keys_of_our_own_making_are_those_of_no_other_run_and_of_no_strategy() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        bought = await desk.submit(OWNER, intent(quantity="2", key=desk.new_key(OWNER)))
        (position,) = await desk.positions(WHOLE)  # of a run that is not its own

        closed = await desk.close(WHOLE, position, key=desk.new_key(WHOLE))
        assert closed.order.order_id != bought.order.order_id
        assert (closed.order.side, closed.order.status) == (Side.SELL, OrderStatus.FILLED)
        assert await desk.positions(WHOLE) == []
        session, place, _ = desk.new_key(OWNER).split(".")
        assert (session, place[0]) == ("1", "0")
        assert str(int(place)) != place  # as a strategy would write it

    play(act)


def test_whoever_waits_for_a_first_quote_shares_one_subscription() -> None:
    """R-84: making one has the bus look at every route, however many ask."""

    async def late(context: AdapterContext) -> None:
        await anyio.sleep(0.5)
        event = quote(0, 100.0, 101.0, at=BTC)
        now_ns = context.clock.now_ns
        context.publish(replace(event, time_ns=now_ns, received_ns=now_ns))

    config = settings(run_settings(OutsideRun, "run"), script=Script(live=late), mode=Mode.PAPER)

    async def main() -> None:
        async with Runtime(config) as runtime:
            desk, bids = runtime.desk, []
            assert isinstance(desk, Desk)
            bus = desk._engine.bus
            began_ns, before = desk.clock.now_ns, len(bus.subscribers)

            async def ask(instrument: str) -> None:
                found = await desk.quote(OWNER, instrument)
                bids.append((None if found is None else found.bid, desk.clock.now_ns - began_ns))

            async with anyio.create_task_group() as tasks:
                for name in (BTC, BTC, BTC, ETH):
                    tasks.start_soon(ask, name)
                with anyio.move_on_after(0.1) as gone:
                    await desk.quote(OWNER, ETH)
                assert gone.cancelled_caught
            assert bids == [(100.0, 500_000_000)] * 3 + [(None, 1_000_000_000)]
            assert await desk.quote(OWNER, ETH) is None
            assert len(bus.subscribers) == before + 1
            assert not desk._first_quotes

    run_simulated(main, seed=1, start_ns=START_NS)
