"""Emulation as a whole: prices in, orders out, and the way through a restart."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from framework.model.commands import CancelOrder, SubmitOrder
from framework.model.exits import ExitRules, LateTrigger, ProtectionMode
from framework.model.orders import (
    Exits,
    Offset,
    Order,
    OrderStatus,
    OrderType,
    Percent,
    Side,
    TimeInForce,
    TriggerBy,
)
from framework.model.records import OrderTrailed
from framework.model.reports import OrderReplaced
from framework.orders.order_state import OrderState
from tests.framework.orders.emulation_world import NO_STOPS, SECOND_NS, EmulationWorld
from tests.framework.orders.world import SPOT

D = Decimal
CORE = ExitRules(protection=ProtectionMode.CORE)
LATE_ALERT = ExitRules(protection=ProtectionMode.CORE, late_trigger=LateTrigger.ALERT)
TRAIL = Exits(trail=Offset(D(2)))
HELD, CANCELLED, EXPIRED = OrderStatus.HELD, OrderStatus.CANCELLED, OrderStatus.EXPIRED


def held_stop(world: EmulationWorld, **fields: object) -> OrderState:
    return world.sell("1", **{"type": OrderType.STOP, "stop_price": D(95), **fields})


class TestPrices:
    def test_only_instruments_somebody_waits_for_are_watched(self) -> None:
        world = EmulationWorld(NO_STOPS)
        assert world.steps == {}

        order = held_stop(world)
        assert list(world.steps) == [SPOT]
        world.desk.cancel(order.order_id)

        assert world.steps == {}

    def test_an_ordinary_order_leaves_no_trace(self) -> None:
        world = EmulationWorld()

        world.fill(world.buy("1", price=D(100)), "1", "100")

        assert world.steps == {}
        assert list(world.emulation.brackets) == []

    def test_a_stop_and_a_target_of_one_candle_leave_by_the_stop(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", Exits(stop_loss=Percent(D(2)), take_profit=Percent(D(4))))

        world.candle(97.0, 105.0, 104.0)

        assert world.submits(world.at(entry, "stop"))
        assert not world.submits(world.at(entry, "target"))

    @pytest.mark.parametrize("trigger_by", list(TriggerBy))
    def test_exits_are_judged_by_the_entry_s_trigger_price(self, trigger_by: TriggerBy) -> None:
        world = EmulationWorld(rules=CORE)
        world.quote(100.0)
        world.trade(100.0)
        entry = world.enter("1", Exits(stop_loss=Offset(D(2))), trigger_by=trigger_by)
        world.fill(entry, "1", "100")
        stop = world.at(entry, "stop")
        send: dict[TriggerBy, Callable[[float], None]] = {
            TriggerBy.LAST: world.trade,
            TriggerBy.BID_ASK: world.quote,
            TriggerBy.MARK: world.mark,
        }

        for kind, say in send.items():
            if kind is not trigger_by:
                say(90.0)
        assert stop.status is HELD
        send[trigger_by](98.0)

        assert world.submits(stop)

    def test_a_price_in_between_does_nothing(self) -> None:
        world = EmulationWorld(rules=CORE)
        world.entered("10", Exits(stop_loss=Percent(D(2)), take_profit=Percent(D(4))))
        recorded = len(world.recorded)

        for bid in (98.01, 100.0, 103.99):
            world.quote(bid)

        assert len(world.recorded) == recorded


class TestTrails:
    def test_a_trail_protects_from_the_step_of_the_fill_r31(self) -> None:
        world = EmulationWorld(rules=CORE)

        entry = world.entered("10", TRAIL)

        trail = world.at(entry, "trail")
        assert (trail.extreme, trail.facts.stop_price) == (D(100), D(98))

    def test_it_follows_the_best_price_and_never_goes_back(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", TRAIL)
        trail = world.at(entry, "trail")

        for bid in (103.0, 101.5, 104.0, 102.5):
            world.quote(bid)
        assert trail.facts.stop_price == D(102)
        world.quote(102.0)

        assert world.submits(trail)[0].intent.type is OrderType.MARKET

    def test_a_short_trails_the_ask(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", TRAIL, side=Side.SELL)
        trail = world.at(entry, "trail")

        world.quote(94.99, 95.0)
        assert trail.facts.stop_price == D(97)
        world.quote(96.99, 97.0)

        assert world.submits(trail)

    def test_what_does_not_move_the_stop_is_not_written_down(self) -> None:
        world = EmulationWorld(rules=CORE)
        world.entered("10", Exits(trail=Percent(D(10))))
        world.quote(100.01)
        recorded = len(world.recorded)

        world.quote(100.011, 100.1)

        assert len(world.recorded) == recorded

    def test_each_move_is_in_the_log(self) -> None:
        world = EmulationWorld(rules=CORE)
        world.entered("10", TRAIL)

        world.quote(103.0)

        moves = [record for record in world.recorded if isinstance(record, OrderTrailed)]
        assert [(move.extreme, move.stop_price) for move in moves] == [
            (D(100), D(98)),
            (D(103), D(101)),
        ]

    def test_an_activation_follows_the_average(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.enter("10", Exits(trail=Offset(D(1)), trail_activation=Offset(D(5))))
        world.fill(entry, "5", "100")
        world.fill(entry, "5", "90")
        trail = world.at(entry, "trail")

        world.quote(99.99)
        before = trail.extreme
        world.quote(100.0)

        assert before is None
        assert (trail.extreme, trail.facts.stop_price) == (D(100), D(99))

    def test_on_candles_the_low_comes_before_the_high(self) -> None:
        """The old stop is judged by the low, the new one by the close alone."""
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", TRAIL)
        trail = world.at(entry, "trail")

        world.candle(99.0, 110.0, 109.0)
        assert trail.facts.stop_price == D(108)
        assert trail.status is HELD
        world.candle(109.0, 115.0, 112.0)

        assert world.submits(trail)

    def test_a_replaced_trail_goes_on_from_its_extreme(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", TRAIL)
        world.quote(110.0)
        world.quote(107.0)
        trail = world.at(entry, "trail")
        world.reject(trail)

        second = world.at(entry, "trail.2")

        assert (second.extreme, second.facts.stop_price) == (D(110), D(108))

    def test_a_native_trail_rests_at_the_venue(self) -> None:
        world = EmulationWorld()

        entry = world.entered("10", TRAIL)

        (command,) = world.submits(world.at(entry, "trail"))
        assert command.intent.type is OrderType.TRAILING_STOP
        assert (command.intent.trail, command.intent.stop_price) == (Offset(D(2)), None)

    def test_a_held_trail_takes_a_resting_stop_back(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", Exits(stop_loss=Offset(D(5)), trail=Offset(D(2))))
        world.answer()
        world.quote(97.9)

        assert isinstance(world.sent[-1], CancelOrder)
        world.answer()

        assert world.submits(world.at(entry, "trail"))[0].intent.type is OrderType.MARKET


class TestTrailsOfTheirOwn:
    """A trailing stop that is an order by itself, and its distance changed."""

    def started(self, **fields: object) -> tuple[EmulationWorld, OrderState]:
        world = EmulationWorld(NO_STOPS)
        wishes = {"type": OrderType.TRAILING_STOP, "trail": Offset(D(5)), **fields}
        order = world.sell("1", **wishes)
        world.quote(100.0)
        return world, order

    def test_it_shows_its_level_and_tells_of_each_move(self) -> None:
        world, order = self.started()
        world.emitted.clear()

        for bid in (101.0, 100.5, 103.0, 102.0):
            world.quote(bid)

        moves = [event for event in world.emitted if isinstance(event, Order)]
        assert [(move.status, move.stop_price) for move in moves] == [(HELD, D(96)), (HELD, D(98))]
        assert moves[-1].trail == Offset(D(5))
        assert order.event() == moves[-1]

    def test_last_is_the_side_it_would_hit_until_there_is_a_trade(self) -> None:
        world, order = self.started(trigger_by=TriggerBy.LAST)
        world.quote(104.0)
        assert order.facts.stop_price == D(99)

        world.trade(110.0)
        world.quote(104.0)
        assert (order.status, order.facts.stop_price) == (HELD, D(105))
        world.trade(105.0)

        assert world.submits(order)[0].intent.type is OrderType.MARKET

    def test_a_closer_distance_moves_its_level_at_once(self) -> None:
        world, order = self.started()
        world.quote(110.0)
        world.emitted.clear()

        assert world.desk.modify(order.order_id, trail=Percent(D(1))) is None

        assert (order.extreme, order.facts.stop_price) == (D(110), D("108.9"))
        (told,) = world.emitted
        assert isinstance(told, Order)
        assert (told.trail, told.stop_price) == (Percent(D(1)), D("108.9"))
        world.quote(108.9)
        assert world.submits(order)

    def test_a_wider_distance_moves_its_level_never_back(self) -> None:
        world, order = self.started()

        assert world.desk.modify(order.order_id, trail=Offset(D(9))) is None
        world.quote(103.0)
        assert order.facts.stop_price == D(95)
        world.quote(105.0)

        assert order.facts.stop_price == D(96)

    def test_the_level_of_a_buy_comes_down(self) -> None:
        world = EmulationWorld(NO_STOPS)
        order = world.buy("1", type=OrderType.TRAILING_STOP, trail=Offset(D(5)))
        world.quote(99.0, 100.0)

        assert world.desk.modify(order.order_id, trail=Offset(D(2))) is None

        assert order.facts.stop_price == D(102)

    def test_one_that_has_not_started_takes_the_new_distance(self) -> None:
        world = EmulationWorld(NO_STOPS)
        order = world.sell("1", type=OrderType.TRAILING_STOP, trail=Offset(D(5)))

        assert world.desk.modify(order.order_id, trail=Offset(D(2))) is None
        assert (order.extreme, order.facts.stop_price) == (None, None)
        world.restart()
        world.quote(100.0)

        assert order.facts.stop_price == D(98)

    def test_the_new_distance_survives_a_restart(self) -> None:
        world, order = self.started()
        world.desk.modify(order.order_id, trail=Offset(D(2)))

        world.restart()
        world.quote(104.0)

        assert order.facts.stop_price == D(102)

    def test_distance_and_quantity_change_together(self) -> None:
        world, order = self.started()
        recorded = len(world.recorded)

        assert world.desk.modify(order.order_id, quantity=D(2), trail=Offset(D(3))) is None

        assert (order.quantity, order.facts.stop_price) == (D(2), D(97))
        assert [type(record) for record in world.recorded[recorded:]] == [
            OrderReplaced,
            OrderTrailed,
        ]

    @pytest.mark.parametrize(
        ("trail", "reason"),
        [
            (Offset(D(0)), "above zero"),
            (Offset(D("NaN")), "above zero"),
            (Percent(D(100)), "below 100 percent"),
        ],
    )
    def test_a_distance_that_makes_no_sense_is_refused(
        self, trail: Offset | Percent, reason: str
    ) -> None:
        world, order = self.started()

        assert reason in str(world.desk.modify(order.order_id, trail=trail))

        assert order.trail == Offset(D(5))

    def test_only_what_trails_in_the_core_has_a_distance_to_change(self) -> None:
        world = EmulationWorld()
        limit = world.buy("1", price=D(100))
        native = world.sell("1", type=OrderType.TRAILING_STOP, trail=Offset(D(5)))

        assert "does not trail" in str(world.desk.modify(limit.order_id, trail=Offset(D(1))))
        assert "at the venue" in str(world.desk.modify(native.order_id, trail=Offset(D(1))))
        assert [type(command) for command in world.sent] == [SubmitOrder, SubmitOrder]


class TestRestart:
    def test_a_trail_goes_on_from_the_journaled_extreme(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", TRAIL)
        world.quote(110.0)

        world.restart()
        world.quote(109.0)

        trail = world.at(entry, "trail")
        assert (trail.extreme, trail.facts.stop_price) == (D(110), D(108))
        world.quote(108.0)
        assert world.submits(trail)

    def test_a_stop_met_while_it_was_down_fires_at_the_first_fresh_price(self) -> None:
        world = EmulationWorld(NO_STOPS)
        order = held_stop(world)

        world.restart()
        assert world.submits(order) == []
        world.quote(90.0)

        assert world.submits(order)

    def test_or_waits_for_the_price_to_come_back_after_an_alert(self) -> None:
        world = EmulationWorld(NO_STOPS, LATE_ALERT)
        order = held_stop(world)
        world.restart()

        world.quote(90.0)
        world.quote(89.0)
        assert order.status is HELD
        assert [alert[0] for alert in world.alerts] == ["late_trigger"]
        world.quote(95.01)
        world.quote(95.0)

        assert world.submits(order)

    def test_a_price_that_does_not_meet_it_ends_the_lateness(self) -> None:
        world = EmulationWorld(NO_STOPS, LATE_ALERT)
        order = held_stop(world)
        world.restart()

        world.quote(99.0)
        world.quote(90.0)

        assert world.submits(order)
        assert world.alerts == []

    def test_only_a_price_of_its_kind_judges_lateness(self) -> None:
        world = EmulationWorld(NO_STOPS, LATE_ALERT)
        order = held_stop(world, trigger_by=TriggerBy.MARK)
        world.restart()

        world.quote(99.0)
        world.mark(90.0)

        assert order.status is HELD
        assert [alert[0] for alert in world.alerts] == ["late_trigger"]

    def test_a_late_exit_is_set_aside_too(self) -> None:
        world = EmulationWorld(rules=LATE_ALERT)
        entry = world.entered("10", Exits(stop_loss=Offset(D(2))))
        world.restart()

        world.quote(97.0)

        assert world.at(entry, "stop").status is HELD
        assert len(world.alerts) == 1

    def test_a_trail_without_a_stop_yet_cannot_be_late(self) -> None:
        world = EmulationWorld(NO_STOPS, LATE_ALERT)
        order = held_stop(world, type=OrderType.TRAILING_STOP, stop_price=None, trail=Offset(D(2)))
        world.restart()

        world.quote(100.0)

        assert order.extreme == D(100)
        assert world.alerts == []

    def test_what_ended_while_it_was_down_is_cancelled_and_forgotten(self) -> None:
        world = EmulationWorld(NO_STOPS, LATE_ALERT)
        order = held_stop(world)
        world.restart()

        world.desk.cancel(order.order_id)
        other = held_stop(world)
        world.quote(90.0)

        assert order.status is CANCELLED
        assert world.submits(other)

    def test_what_expired_while_it_was_down_expires_before_any_price(self) -> None:
        world = EmulationWorld(NO_STOPS)
        order = held_stop(world, time_in_force=TimeInForce.GTD, expire_ns=2 * SECOND_NS)
        world.tick(60)

        world.restart()

        assert order.status is EXPIRED

    def test_resume_tells_when_something_is_due(self) -> None:
        world = EmulationWorld(NO_STOPS)
        held_stop(world, time_in_force=TimeInForce.GTD, expire_ns=900 * SECOND_NS)
        world.new_emulation().rebuild()

        assert world.emulation.resume(world.clock.now_ns) == 900 * SECOND_NS


def test_a_failure_in_a_reaction_is_not_swallowed() -> None:
    """A bug in a step halts the engine; nothing half done is worked off later."""
    world = EmulationWorld(rules=CORE)
    entry = world.enter("10", TRAIL)
    world.instruments.clear()

    with pytest.raises(Exception, match="BTCUSD"):
        world.fill(entry, "1", "100")

    world.instruments.update({SPOT: entry.instrument})
    world.fill(entry, "1", "100")
    assert world.at(entry, "trail").quantity == D(2)
