"""Exits, held orders, groups and baskets from a strategy's call to the venue and back (R-31, R-32).

The same market in backtest and in paper, where both are to agree.
"""

from decimal import Decimal
from typing import Any, ClassVar

import pytest

from framework import OrderStatus, TimeInForce
from framework.clock.trading_hours import next_midnight_ns
from framework.model.calendars import CalendarSettings
from framework.model.commands import SubmitOrder
from framework.model.exits import ExitRules, ProtectionMode
from framework.model.market_data import Quote
from framework.model.orders import AtPrice, Offset, OrderSession, OrderType, Side, TriggerBy
from framework.model.records import HoldOrder
from framework.model.reports import FillCorrection, OrderFilled
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import InstrumentSettings
from framework.strategy.wishes import Leg
from tests.scenarios.stage import (
    BOTH,
    Actor,
    acting,
    by_key,
    make,
    most_at_venue,
    perform,
    staged,
    states,
    statuses,
)
from tests.scripted_venue import (
    BTC,
    ETH,
    MINUTE_NS,
    SECOND_NS,
    START_NS,
    cash_of,
    entries,
    position_of,
    quote,
    strategy_of,
    trade,
)

D = Decimal
CANCELLED, DENIED, EXPIRED, FILLED, HELD, REJECTED = (
    OrderStatus.CANCELLED,
    OrderStatus.DENIED,
    OrderStatus.EXPIRED,
    OrderStatus.FILLED,
    OrderStatus.HELD,
    OrderStatus.REJECTED,
)
ACCEPTED, PARTIALLY = OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED
CORE = ExitRules(protection=ProtectionMode.CORE)
RISING = [quote(0, 100, 101), quote(1, 102, 103), quote(2, 106, 107), quote(3, 106, 107)]
FALLING = [quote(0, 100, 101), quote(1, 99, 100), quote(2, 98, 99), quote(3, 97, 98)]
SESSION = "x:NYSE"
OFFICE = {"office": CalendarSettings(week={"mon-sun": ["09:00-17:00"]})}
OFFICE_VENUE = {"instruments": [InstrumentSettings(symbol="NYSE", calendar="office")]}
DAY_NS = 24 * 60 * MINUTE_NS
MIDNIGHT_NS = next_midnight_ns(START_NS)  # of the day after the start
both_modes = pytest.mark.parametrize("mode", BOTH)


def at(hour: float, bid: float, ask: float, instrument: str = SESSION) -> Quote:
    """Return a quote so many hours after the midnight that follows the start."""
    time_ns = MIDNIGHT_NS + round(hour * 60 * MINUTE_NS)
    return Quote(instrument, time_ns, time_ns, bid, ask, 1000.0, 1000.0)


# -- brackets


@both_modes
@pytest.mark.parametrize("protection", list(ProtectionMode))
@pytest.mark.parametrize(
    ("market", "winner", "loser", "cash"),
    [(RISING, "target", "stop", 1_000_005), (FALLING, "stop", "target", 999_998)],
)
def test_r32_the_first_exit_that_is_met_ends_the_other(
    mode: Mode, protection: ProtectionMode, market: list[Any], winner: str, loser: str, cash: int
) -> None:
    plan = {1: make("entry", "buy", BTC, 1, stop_loss="2%", take_profit="4%")}

    runtime = perform(staged(plan, market, mode, exits=ExitRules(protection=protection)))

    found = statuses(runtime)
    assert found[winner] is FILLED
    assert found[loser] is CANCELLED
    assert position_of(runtime) == 0
    assert cash_of(runtime) == cash
    assert strategy_of(runtime).position(BTC).is_flat
    assert most_at_venue(runtime) <= 0


@both_modes
@pytest.mark.parametrize("protection", [ProtectionMode.CORE, ProtectionMode.PREFER_NATIVE])
def test_r31_exits_grow_with_what_is_filled_in_the_same_step(
    mode: Mode, protection: ProtectionMode
) -> None:
    """A tenth of each displayed size: ten fills of one."""
    sizes: list[tuple[Decimal, Decimal]] = []

    class Filled(Actor):
        plan: ClassVar[Any] = {
            1: make("entry", "buy", BTC, 3, price=101, stop_loss="2%", take_profit="10%")
        }

        def on_fill(self, fill: Any) -> None:
            exits = [order for order in self.orders(BTC) if order.parent]
            if fill.side is Side.BUY:
                sizes.append((self.position(BTC).quantity, min(o.remaining for o in exits)))

    thin = [
        Quote(BTC, ns, ns, 100.0, 101.0, 10.0, 10.0)
        for ns in (START_NS + second * SECOND_NS for second in range(5))
    ]
    fills = {"fills": {"model": "volume_share", "share": D("0.1")}}
    rules = ExitRules(protection=protection)

    runtime = perform(
        staged(Filled, [*thin, quote(6, 97, 98), quote(7, 97, 98)], mode, venue=fills, exits=rules)
    )

    assert len(sizes) == 3
    if protection is ProtectionMode.CORE:  # a venue is asked first, and answers a step later
        assert sizes == [(D(1), D(1)), (D(2), D(2)), (D(3), D(3))]
    assert position_of(runtime) == 0
    assert most_at_venue(runtime) <= 0


def test_a_trailing_stop_follows_and_ends_the_position() -> None:
    plan = {1: make("entry", "buy", BTC, 1, trailing_stop=Offset(D(3)))}
    market = [quote(0, 100, 101), quote(1, 104, 105), quote(2, 110, 111), quote(3, 107, 108)]

    runtime = perform(staged(plan, [*market, quote(4, 107, 108)]))

    assert by_key(runtime, "/trail").status is FILLED
    assert cash_of(runtime) == 1_000_000 - 101 + 107


@both_modes
@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"stop_loss": 103}, "stop_loss 103 is not on the losing side of 100.5"),
        ({"take_profit": 99}, "take_profit 99 is not on the winning side of 100.5"),
        ({"stop_loss": "2%", "reduce_only": True}, "a reduce-only order has no exits"),
        ({"stop_loss": AtPrice(D("99.7"))}, "99.7"),
    ],
)
def test_exits_that_make_no_sense_are_denied_before_anything_is_sent(
    mode: Mode, wishes: dict[str, Any], reason: str
) -> None:
    runtime = perform(staged({1: make("entry", "buy", BTC, 1, **wishes)}, RISING, mode))

    (order,) = states(runtime)
    assert order.status is DENIED
    assert reason in order.reason
    assert entries(runtime, SubmitOrder) == []


def test_native_only_refuses_what_the_venue_cannot_protect_by_itself() -> None:
    rules = ExitRules(protection=ProtectionMode.NATIVE_ONLY)
    plan = {1: make("entry", "buy", BTC, 1, trailing_stop="2%")}

    runtime = perform(staged(plan, RISING, exits=rules))

    assert states(runtime)[0].reason == (
        "protection is native_only, and the venue has no trail of its own"
    )


@pytest.mark.parametrize("wishes", [{"session": OrderSession.NEXT_OPEN}, {"after": "first"}])
def test_exits_of_an_entry_for_later_are_not_judged_by_the_price_of_now(
    wishes: dict[str, Any],
) -> None:
    plan = {
        1: make("first", "buy", BTC, 1, price=50, key="first"),
        2: make("entry", "buy", BTC, 1, stop_loss=110, **wishes),
    }

    runtime = perform(staged(plan, RISING))

    assert states(runtime)[1].status is not DENIED


def test_a_bust_of_the_entry_shrinks_its_exits_and_a_correction_moves_them() -> None:
    def correct(strategy: Any) -> None:
        fill = next(h for h in strategy.heard if hasattr(h, "execution_id"))
        strategy.publish(
            FillCorrection(
                fill.order_id, fill.execution_id, D(1), D(100), strategy.now_ns, (), "wrong price"
            )
        )

    plan = {
        1: make("entry", "buy", BTC, 2, stop_loss=Offset(D(10)), take_profit=Offset(D(10))),
        2: correct,
    }
    runtime = perform(staged(plan, RISING, exits=CORE))

    assert position_of(runtime) == 1
    stop, target = by_key(runtime, "/stop"), by_key(runtime, "/target")
    assert (stop.quantity, stop.stop_price) == (D(1), D(90))
    assert (target.quantity, target.price) == (D(1), D(110))


@both_modes
def test_close_keeps_the_exits_until_flat_and_is_one_order_however_often_asked(mode: Mode) -> None:
    handles: list[Any] = []

    def close_twice(strategy: Any) -> None:
        handles.extend([strategy.close(BTC), strategy.close(BTC)])
        assert not strategy.position(BTC).is_flat

    plan = {
        1: make("entry", "buy", BTC, 1, stop_loss="2%", take_profit="50%"),
        2: close_twice,
        3: lambda strategy: handles.append(strategy.close(BTC)),
    }

    runtime = perform(staged(plan, RISING, mode))

    first, second, third = handles
    assert first.order_id == second.order_id
    assert third is None
    assert position_of(runtime) == 0
    assert strategy_of(runtime).position(BTC).is_flat
    assert {order.status for order in states(runtime)} == {FILLED, CANCELLED}
    assert most_at_venue(runtime) <= 1  # the stop rests until the closing order is filled


def test_a_cancelled_exit_stays_away_and_the_other_goes_on() -> None:
    def cancel_stop(strategy: Any) -> None:
        (stop,) = [order for order in strategy.orders(BTC) if order.key.endswith("/stop")]
        assert strategy.cancel(stop.order_id) is None

    plan = {1: make("entry", "buy", BTC, 1, stop_loss="2%", take_profit="4%"), 2: cancel_stop}
    market = [quote(0, 100, 101), quote(1, 100, 101), quote(2, 90, 91), quote(3, 107, 108)]

    runtime = perform(staged(plan, [*market, quote(4, 107, 108)], exits=CORE))

    assert statuses(runtime)["stop"] is CANCELLED
    assert statuses(runtime)["target"] is FILLED


# -- held orders


@both_modes
def test_a_trailing_order_of_its_own_is_held_and_sent_at_the_market(mode: Mode) -> None:
    plan = {1: make("trail", "buy", BTC, 1, trail=Offset(D(2)))}
    market = [*FALLING, quote(4, 99, 100), quote(5, 99, 100)]

    runtime = perform(staged(plan, market, mode))

    (order,) = states(runtime)
    assert order.status is FILLED
    assert order.average_price == 100
    assert [hold.intent.type for hold in entries(runtime, HoldOrder)] == [OrderType.TRAILING_STOP]


@both_modes
def test_a_stop_is_woken_by_the_price_that_it_names(mode: Mode) -> None:
    plan = {2: make("stop", "buy", BTC, 1, stop_price=103, trigger_by=TriggerBy.LAST)}
    market = [quote(0, 100, 101), trade(0.5, 100.0), quote(1, 100, 101), quote(1.5, 104, 105)]

    runtime = perform(staged(plan, [*market, trade(2, 103.0), quote(3, 104, 105)], mode))

    (order,) = states(runtime)
    assert order.status is FILLED
    assert order.time_ns >= START_NS + 2 * SECOND_NS


def test_a_held_order_is_changed_and_cancelled_without_a_venue() -> None:
    answers: list[Any] = []

    def change(strategy: Any) -> None:
        trail = strategy.made["after"]
        answers.append(strategy.modify(trail, quantity=2, price=90))
        answers.append((trail.order.quantity, trail.order.price))
        answers.append(strategy.cancel(trail))

    plan = {
        1: make("first", "buy", BTC, 1, price=50, key="first"),
        2: make("after", "buy", BTC, 1, price=95, after="first"),
        3: change,
    }

    runtime = perform(staged(plan, RISING))

    assert answers == [None, (D(2), D(90)), None]
    assert states(runtime)[1].status is CANCELLED
    assert len(entries(runtime, SubmitOrder)) == 1


@both_modes
def test_an_order_comes_after_another_one_is_filled(mode: Mode) -> None:
    plan = {
        1: make("child", "sell", BTC, 1, after="parent"),
        2: make("parent", "buy", BTC, 1, price=99, key="parent"),
        3: make("late", "sell", BTC, 1, after="parent"),
    }

    runtime = perform(staged(plan, FALLING, mode))

    assert [order.status for order in states(runtime)] == [FILLED] * 3
    assert position_of(runtime) == -1


def test_an_order_ends_with_the_one_that_it_was_to_come_after() -> None:
    plan = {
        1: make("parent", "buy", BTC, 1, price=90, key="parent"),
        2: make("child", "sell", BTC, 1, after="parent"),
        3: lambda strategy: strategy.cancel(strategy.made["parent"]),
    }

    runtime = perform(staged(plan, FALLING))

    assert states(runtime)[1].status is CANCELLED
    assert states(runtime)[1].reason == "order parent ended cancelled"


@both_modes
def test_r32_of_a_group_the_first_filled_cancels_the_others(mode: Mode) -> None:
    def group(strategy: Any) -> None:
        strategy.buy(BTC, 1, price=98, oco_group="either")
        strategy.buy(BTC, 1, stop_price=106, oco_group="either")

    runtime = perform(staged({1: group}, RISING, mode))

    assert [order.status for order in states(runtime)] == [CANCELLED, FILLED]
    assert position_of(runtime) == 1


@both_modes
def test_r33_a_basket_is_all_or_none(mode: Mode) -> None:
    def basket(strategy: Any) -> None:
        good = Leg(BTC, Side.BUY, 1)
        bad = Leg(ETH, Side.SELL, 1, reduce_only=True)  # there is nothing to reduce
        strategy.made["both"] = strategy.basket([good, good])
        strategy.made["none"] = strategy.basket([good, bad])

    runtime = perform(staged({1: basket}, RISING, mode))

    assert [order.status for order in states(runtime)] == [FILLED, FILLED, DENIED, DENIED]
    assert position_of(runtime) == 2


# -- wishes that the gate answers


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"price": 99, "display_quantity": 1}, "display_quantity is not supported"),
        ({"send_by_s": -1.0}, "too late"),
        ({"key": "1.2.3"}, "kept for the framework's own"),
        ({"key": "7.1.1/stop"}, "kept for the framework's own"),
        ({"key": "mine/target.2"}, "kept for the framework's own"),
        ({"key": "close.5.1"}, "kept for the framework's own"),
    ],
)
def test_wishes_that_nobody_can_grant_are_denied_with_the_reason(
    wishes: dict[str, Any], reason: str
) -> None:
    runtime = perform(staged({1: make("it", "buy", BTC, 1, **wishes)}, RISING))

    (order,) = states(runtime)
    assert order.status is DENIED
    assert reason in order.reason
    assert order.key != wishes.get("key")


def test_a_basket_under_a_key_of_the_frameworks_own_is_denied() -> None:
    def basket(strategy: Any) -> None:
        strategy.basket([Leg(BTC, Side.BUY, 1)], key="1.1.1")

    runtime = perform(staged({1: basket}, RISING))

    (order,) = states(runtime)
    assert order.status is DENIED
    assert "kept for the framework's own" in order.reason


@pytest.mark.parametrize("key", ["2024.01-entry", "a/stopped", "closed", "1.5", "stop/1"])
def test_keys_that_only_look_a_little_like_ours_are_free(key: str) -> None:
    runtime = perform(staged({1: make("it", "buy", BTC, 1, key=key)}, RISING))

    (order,) = states(runtime)
    assert (order.key, order.status) == (key, FILLED)


@both_modes
def test_a_quote_quantity_becomes_whole_lots(mode: Mode) -> None:
    runtime = perform(staged({1: make("it", "buy", BTC, quote_quantity=1000)}, RISING, mode))

    assert position_of(runtime) == D("9.95")  # 1000 / 100.5, in hundredths, rounded down


@both_modes
def test_post_only_never_takes(mode: Mode) -> None:
    plan = {
        1: make("takes", "buy", BTC, 1, price=102, post_only=True),
        2: make("rests", "buy", BTC, 1, price=99, post_only=True),
    }

    runtime = perform(staged(plan, RISING, mode))

    assert [order.status for order in states(runtime)] == [REJECTED, ACCEPTED]


# -- calendars


def test_an_order_for_the_next_open_waits_for_it() -> None:
    market = [at(18, 10, 11), at(20, 10, 11), at(33.5, 12, 13), at(34, 12, 13)]
    plan = {1: make("it", "buy", SESSION, 1, session=OrderSession.NEXT_OPEN)}

    runtime = perform(
        staged(plan, market, calendars=OFFICE, venue=OFFICE_VENUE, watched=(SESSION,))
    )

    (order,) = states(runtime)
    assert order.status is FILLED
    (sent,) = entries(runtime, SubmitOrder)
    assert sent.time_ns == MIDNIGHT_NS + 33 * 60 * MINUTE_NS  # 9 o'clock
    assert sent.intent.session is OrderSession.NOW


def test_orders_for_the_day_and_good_till_a_date_expire_held_or_at_the_venue() -> None:
    market = [at(10, 10, 11), at(12, 10, 11), at(18, 10, 11), at(34, 10, 11)]
    gtd_ns = MIDNIGHT_NS + 11 * 60 * MINUTE_NS

    def orders(strategy: Any) -> None:
        day, gtd = TimeInForce.DAY, TimeInForce.GTD
        strategy.buy(SESSION, 1, trail=Offset(D(5)), time_in_force=day)
        strategy.buy(SESSION, 1, trail=Offset(D(5)), time_in_force=gtd, expire_ns=gtd_ns)
        strategy.buy(SESSION, 1, price=5, time_in_force=day)
        strategy.buy(SESSION, 1, price=5, time_in_force=gtd, expire_ns=gtd_ns)

    runtime = perform(
        staged({1: orders}, market, calendars=OFFICE, venue=OFFICE_VENUE, watched=(SESSION,))
    )

    close_ns = MIDNIGHT_NS + 17 * 60 * MINUTE_NS
    ends = [(order.status, order.time_ns) for order in states(runtime)]
    assert ends == [(EXPIRED, end_ns) for end_ns in (close_ns, gtd_ns, close_ns, gtd_ns)]


def test_exits_of_several_entries_share_a_position_without_exceeding_it() -> None:
    plan = {
        1: make("a", "buy", BTC, 1, stop_loss="2%"),
        2: make("b", "buy", BTC, 2, stop_loss="2%"),
        3: make("c", "sell", BTC, 2, reduce_only=True),
    }
    market = [quote(second, 100, 101) for second in range(5)]

    runtime = perform(staged(plan, [*market, quote(6, 90, 91), quote(7, 90, 91)]))

    assert position_of(runtime) == 0
    assert most_at_venue(runtime) <= 2  # while the reducing order works


def test_acts_are_the_same_in_backtest_and_paper() -> None:
    plan = {
        1: make("entry", "buy", BTC, 3, stop_loss="2%", take_profit="4%"),
        2: make("more", "buy", BTC, 1, trailing_stop="1%"),
    }

    def story(mode: Mode) -> list[tuple[Any, ...]]:
        runtime: Runtime = perform(staged(acting(plan), [*RISING, quote(4, 98, 99)], mode))
        fills = entries(runtime, OrderFilled)
        return [(fill.execution_id, fill.quantity, fill.price, fill.time_ns) for fill in fills]

    assert story(Mode.BACKTEST) == story(Mode.PAPER)
