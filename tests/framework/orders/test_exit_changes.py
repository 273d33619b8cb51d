"""Exits replaced on request: for what fills from now on, and for the legs that are there."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations

import msgspec
import pytest

from framework.interfaces import BrokerCapabilities
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.exits import ExitRules, ProtectionMode
from framework.model.orders import (
    AtPrice,
    Exits,
    Offset,
    Order,
    OrderStatus,
    OrderType,
    Percent,
    Side,
)
from framework.model.records import TO_MAKE, ExitsReplaced
from framework.model.reports import EndKind, OrderAccepted, OrderFilled, RequestKind
from framework.orders.order_state import OrderState
from tests.framework.orders.emulation_world import NO_STOPS, EmulationWorld
from tests.framework.orders.world import SPOT, FakeArchive

D = Decimal
HELD, CANCELLED, FILLED = OrderStatus.HELD, OrderStatus.CANCELLED, OrderStatus.FILLED
BOTH = Exits(stop_loss=Offset(D(2)), take_profit=Offset(D(4)))
STOP = Exits(stop_loss=Offset(D(2)))
CORE = ExitRules(protection=ProtectionMode.CORE)
NATIVE_ONLY = ExitRules(protection=ProtectionMode.NATIVE_ONLY)
NO_MODIFY = BrokerCapabilities(has_modify=False)
MOVED = Exits(stop_loss=AtPrice(D(97)), take_profit=AtPrice(D(108)))


def stop_of(order: OrderState) -> Decimal | None:
    return order.facts.stop_price


def prices(world: EmulationWorld, entry: OrderState) -> tuple[Decimal | None, Decimal | None]:
    return world.emulation.exit_prices(entry)


def records(world: EmulationWorld) -> list[ExitsReplaced]:
    return [record for record in world.recorded if isinstance(record, ExitsReplaced)]


def change(world: EmulationWorld, entry: OrderState, exits: Exits) -> None:
    assert world.desk.modify_exits(entry.order_id, exits) is None


class TestBeforeTheFill:
    def test_what_fills_afterwards_gets_the_new_exits(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)

        change(world, entry, MOVED)
        world.fill(entry, "10", "100")

        assert stop_of(world.at(entry, "stop")) == D(97)
        assert world.at(entry, "target").price == D(108)

    def test_it_is_written_down_and_told(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)
        world.emitted.clear()

        change(world, entry, MOVED)

        assert records(world) == [ExitsReplaced(entry.order_id, MOVED, world.clock.now_ns)]
        assert [type(event) for event in world.emitted] == [Order]
        assert entry.intent.exits == BOTH  # a repeated key is still the same order
        assert entry.exits == MOVED

    def test_an_exit_may_be_added_and_another_taken_away(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", STOP)

        change(world, entry, Exits(take_profit=Offset(D(5))))
        world.fill(entry, "10", "100")

        assert not world.has(entry, "stop")
        assert world.at(entry, "target").price == D(105)

    def test_a_plain_entry_can_be_given_exits(self) -> None:
        world = EmulationWorld()
        entry = world.buy("10", price=D(100))

        change(world, entry, BOTH)
        world.fill(entry, "10", "100")

        assert stop_of(world.at(entry, "stop")) == D(98)

    def test_all_exits_may_be_taken_away(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)

        change(world, entry, Exits())
        world.fill(entry, "10", "100")

        assert not world.has(entry, "stop")
        assert not world.has(entry, "target")

    def test_no_exits_for_an_order_that_has_none_leave_no_trace(self) -> None:
        world = EmulationWorld()
        entry = world.buy("10", price=D(100))

        change(world, entry, Exits())

        assert records(world) == []

    def test_an_entry_that_the_core_keeps_is_changed_too(self) -> None:
        world = EmulationWorld(NO_STOPS)
        entry = world.buy("10", type=OrderType.STOP, stop_price=D(105), exits=BOTH)
        assert entry.status is HELD

        change(world, entry, Exits(stop_loss=Offset(D(1))))
        world.quote(105.0, 105.01)
        world.fill(entry, "10", "106")

        assert stop_of(world.at(entry, "stop")) == D(105)
        assert not world.has(entry, "target")

    def test_they_survive_a_restart(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)
        change(world, entry, MOVED)

        world.restart()
        world.fill(entry, "10", "100")

        assert prices(world, entry) == (D(97), D(108))

    def test_a_cancelled_entry_needs_none(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)
        change(world, entry, MOVED)

        world.end(entry)

        assert world.bracket(entry).is_over()
        assert not world.has(entry, "stop")


class TestLegsInTheCore:
    def test_they_move_at_once(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)

        change(world, entry, MOVED)

        stop, target = world.at(entry, "stop"), world.at(entry, "target")
        assert (stop_of(stop), target.price) == (D(97), D(108))
        assert (stop.status, target.status) == (HELD, HELD)

    def test_the_new_price_counts_at_once(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        change(world, entry, Exits(stop_loss=AtPrice(D("99.5"))))

        world.quote(99.4)

        assert world.submits(world.at(entry, "stop"))
        assert world.at(entry, "target").status is CANCELLED

    def test_a_stop_may_be_moved_into_the_profit(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", STOP)
        world.quoted.price = 110.0

        change(world, entry, Exits(stop_loss=AtPrice(D(105))))

        assert stop_of(world.at(entry, "stop")) == D(105)

    def test_exits_of_a_short_move_too(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH, side=Side.SELL)

        change(world, entry, Exits(stop_loss=Offset(D(3)), take_profit=AtPrice(D(90))))

        assert stop_of(world.at(entry, "stop")) == D(103)
        assert world.at(entry, "target").price == D(90)

    def test_an_added_exit_covers_what_is_held(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", STOP)
        world.fill(world.sell("4", price=D(100)), "4", "100")

        change(world, entry, BOTH)

        stop, target = world.at(entry, "stop"), world.at(entry, "target")
        assert (stop.quantity, target.quantity) == (D(6), D(6))

    def test_one_that_is_not_asked_for_any_more_goes(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)

        change(world, entry, STOP)

        assert world.at(entry, "target").status is CANCELLED
        assert world.at(entry, "stop").status is HELD

    def test_one_that_was_taken_away_comes_back(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        change(world, entry, STOP)

        change(world, entry, BOTH)

        assert world.at(entry, "target.2").quantity == D(10)

    def test_all_may_go_and_come_back(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)

        change(world, entry, Exits())
        assert world.emulation.brackets.bracket_of(entry) is not None
        assert all(leg.is_closed for leg in world.bracket(entry).all_legs())
        world.restart()
        change(world, entry, BOTH)

        assert world.at(entry, "stop.2").quantity == D(10)
        assert world.at(entry, "target.2").quantity == D(10)

    def test_a_plain_entry_that_has_filled_can_be_given_exits(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.buy("10", price=D(100))
        world.fill(entry, "10", "100")
        world.fill(world.sell("4", price=D(100)), "4", "100")

        change(world, entry, BOTH)

        assert world.at(entry, "stop").quantity == D(6)
        world.restart()
        assert world.at(entry, "stop").quantity == D(6)

    def test_exits_given_later_leave_those_of_another_entry_their_share(self) -> None:
        world = EmulationWorld(rules=CORE)
        plain = world.buy("10", price=D(100))
        world.fill(plain, "10", "100")
        entry = world.entered("5", STOP)
        world.fill(world.sell("8", price=D(100)), "8", "100")

        change(world, plain, STOP)

        assert world.at(plain, "stop").quantity == D(2)
        assert world.at(entry, "stop").quantity == D(5)

    def test_an_entry_that_left_memory_comes_back_from_the_log(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.buy("10", price=D(100))
        world.fill(entry, "10", "100")
        world.registry.archive = FakeArchive(orders={entry.order_id: entry})
        world.registry.release(entry.order_id)

        change(world, entry, STOP)

        assert world.at(entry, "stop").quantity == D(10)


class TestLegsAtTheVenue:
    def test_a_resting_leg_is_modified(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()

        change(world, entry, MOVED)

        modify = world.sent[-1]
        assert isinstance(modify, ModifyOrder)
        assert (modify.order_id, modify.stop_price) == (world.at(entry, "stop").order_id, D(97))
        world.answer()
        assert prices(world, entry) == (D(97), D(108))
        assert not world.has(entry, "stop.2")

    def test_size_and_price_change_in_one_request(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)
        world.fill(entry, "4", "100")
        world.answer()
        change(world, entry, MOVED)

        world.fill(entry, "6", "100")
        world.answer()

        stop = world.at(entry, "stop")
        assert (stop_of(stop), stop.quantity) == (D(97), D(10))

    def test_a_change_under_way_is_waited_for(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", STOP)
        world.answer()
        world.desk.modify(world.at(entry, "stop").order_id, stop_price=D(99))

        change(world, entry, Exits(stop_loss=AtPrice(D(95))))
        world.answer()

        assert stop_of(world.at(entry, "stop")) == D(95)

    @pytest.mark.parametrize("answers", [False, True])
    def test_a_second_replacement_holds_whenever_the_first_is_answered(self, answers: bool) -> None:
        world = EmulationWorld()
        entry = world.entered("10", STOP)
        world.answer()

        change(world, entry, Exits(stop_loss=AtPrice(D(95))))
        if answers:
            world.answer()
        change(world, entry, Exits(stop_loss=AtPrice(D(96))))
        world.answer()

        assert stop_of(world.at(entry, "stop")) == D(96)

    def test_a_replacement_of_the_other_leg_does_not_stop_a_move_under_way(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()
        world.desk.modify(world.at(entry, "stop").order_id, stop_price=D(99))

        change(world, entry, Exits(stop_loss=Offset(D(5)), take_profit=Offset(D(4))))
        change(world, entry, Exits(stop_loss=Offset(D(5)), take_profit=Offset(D(9))))
        world.answer()

        assert prices(world, entry) == (D(95), D(109))

    @pytest.mark.parametrize("venue", [NO_MODIFY, BrokerCapabilities()])
    def test_what_the_venue_cannot_modify_is_cancelled_and_made_anew(
        self, venue: BrokerCapabilities
    ) -> None:
        world = EmulationWorld(venue)
        entry = world.entered("10", STOP)
        world.answer()
        first = world.at(entry, "stop")

        change(world, entry, Exits(stop_loss=AtPrice(D(95))))
        if venue.has_modify:
            world.refuse(first, RequestKind.MODIFY)

        second = world.at(entry, "stop.2")
        assert (second.status, stop_of(second)) == (HELD, D(95))
        assert isinstance(world.sent[-1], CancelOrder)
        assert not world.submits(second)  # never two at the venue
        world.end(first)
        assert world.submits(second)[0].intent.stop_price == D(95)

    @pytest.mark.parametrize("rules", [ExitRules(), NATIVE_ONLY, ExitRules(refused_limit=1)])
    def test_a_new_price_the_venue_refuses_leads_back_to_the_old(self, rules: ExitRules) -> None:
        world = EmulationWorld(NO_MODIFY, rules)
        entry = world.entered("10", STOP)
        world.answer()
        change(world, entry, Exits(stop_loss=AtPrice(D(95))))
        world.end(world.at(entry, "stop"))

        world.reject(world.at(entry, "stop.2"))

        third = world.at(entry, "stop.3")
        assert stop_of(third) == D(98)
        assert world.submits(third)  # where the old one had been taken
        ((name, level, message),) = world.alerts
        assert (name, level) == ("exit_move_refused", "warning")
        assert "no reason" in message
        world.answer()
        world.restart()
        assert stop_of(world.at(entry, "stop.3")) == D(98)
        assert not world.has(entry, "stop.4")
        assert prices(world, entry)[0] == D(98)

    def test_an_old_price_that_is_refused_too_is_kept_in_the_core(self) -> None:
        world = EmulationWorld(NO_MODIFY)
        entry = world.entered("10", STOP)
        world.answer()
        change(world, entry, Exits(stop_loss=AtPrice(D(95))))
        world.end(world.at(entry, "stop"))
        world.reject(world.at(entry, "stop.2"))

        world.reject(world.at(entry, "stop.3"))

        fourth = world.at(entry, "stop.4")
        assert (fourth.status, stop_of(fourth), fourth.quantity) == (HELD, D(98), D(10))

    def test_a_stop_that_is_refused_when_it_was_due_is_not_moved_back(self) -> None:
        world = EmulationWorld(NO_MODIFY)
        entry = world.entered("10", STOP)
        world.answer()
        change(world, entry, Exits(stop_loss=AtPrice(D("99.5"))))
        world.quote(99.4)
        world.end(world.at(entry, "stop"))
        assert world.submits(world.at(entry, "stop.2"))[0].intent.type is OrderType.MARKET

        world.reject(world.at(entry, "stop.2"))

        assert stop_of(world.at(entry, "stop.3")) == D("99.5")

    def test_one_that_was_accepted_and_expires_later_is_made_again_where_it_was(self) -> None:
        world = EmulationWorld(NO_MODIFY)
        entry = world.entered("10", STOP)
        world.answer()
        change(world, entry, Exits(stop_loss=AtPrice(D(95))))
        world.answer()
        assert world.at(entry, "stop.2").status is OrderStatus.ACCEPTED

        world.end(world.at(entry, "stop.2"), EndKind.EXPIRED)

        assert stop_of(world.at(entry, "stop.3")) == D(95)

    def test_one_that_fills_while_it_is_moved_ends_everything(self) -> None:
        world = EmulationWorld(NO_MODIFY)
        entry = world.entered("10", BOTH)
        world.answer()
        change(world, entry, MOVED)

        world.fill(world.at(entry, "stop"), "10", "98")

        assert world.position == 0
        assert all(leg.is_closed for leg in world.bracket(entry).all_legs())

    def test_one_not_asked_for_any_more_is_taken_back(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()

        change(world, entry, Exits(take_profit=Offset(D(4))))
        world.answer()

        assert world.at(entry, "stop").status is CANCELLED
        assert not world.has(entry, "stop.2")
        assert world.submits(world.at(entry, "target"))[0].intent.type is OrderType.LIMIT

    def test_an_exit_that_executes_is_left_alone(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        world.quote(97.0)
        before = len(world.sent)

        change(world, entry, Exits(take_profit=AtPrice(D(107))))

        assert len(world.sent) == before
        assert world.at(entry, "stop").is_released

    def test_exits_that_kept_being_refused_are_tried_again_at_the_new_price(self) -> None:
        world = EmulationWorld(rules=NATIVE_ONLY)
        entry = world.entered("10", STOP)
        for name in ("stop", "stop.2", "stop.3"):
            world.reject(world.at(entry, name))
        assert world.emulation.tripped_count("r") == 1

        change(world, entry, Exits(stop_loss=AtPrice(D(95))))

        assert world.submits(world.at(entry, "stop.4"))[0].intent.stop_price == D(95)
        assert world.emulation.tripped_count("r") == 0


class TestMovedLegs:
    """A leg somebody moved stays where it was moved to."""

    def test_at_another_replacement_of_the_other_leg(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        world.desk.modify(world.at(entry, "target").order_id, price=D(110))

        change(world, entry, Exits(stop_loss=Offset(D(1)), take_profit=Offset(D(4))))

        assert prices(world, entry) == (D(99), D(110))

    def test_but_a_price_named_again_holds(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", Exits(stop_loss=AtPrice(D(95))))
        world.desk.modify(world.at(entry, "stop").order_id, stop_price=D(97))

        change(world, entry, Exits(stop_loss=AtPrice(D(95))))

        assert stop_of(world.at(entry, "stop")) == D(95)

    @pytest.mark.parametrize("rules", [ExitRules(), CORE])
    @pytest.mark.parametrize("wish", [Offset(D(5)), AtPrice(D(95))])
    def test_after_a_replacement_over_settles_tranches_and_restarts(
        self, rules: ExitRules, wish: Offset | AtPrice
    ) -> None:
        world = EmulationWorld(rules=rules)
        entry = world.enter("10", BOTH)
        world.fill(entry, "4", "100")
        world.answer()
        change(world, entry, Exits(stop_loss=wish))
        world.answer()
        world.desk.modify(world.at(entry, "stop").order_id, stop_price=D(97))
        world.answer()

        world.restart()
        world.emulation.on_booking("r", SPOT)
        world.fill(entry, "3", "100")
        world.answer()
        world.restart()
        world.fill(entry, "3", "100")
        world.answer()

        stop = world.at(entry, "stop")
        assert (stop_of(stop), stop.quantity) == (D(97), D(10))

    def test_even_while_nobody_has_answered_when_it_is_made_anew(self) -> None:
        """A target that is met replaces the stop, whose move is under way."""
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()
        world.desk.modify(world.at(entry, "stop").order_id, stop_price=D(99))

        world.quote(104.0)

        assert stop_of(world.at(entry, "stop.2")) == D(99)

    def test_a_reprice_under_way_is_not_counted_twice_when_it_is_made_anew(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)
        world.fill(entry, "5", "100")
        world.answer()
        world.fill(entry, "5", "99")  # to 97.5, unanswered

        world.quote(103.5)

        assert stop_of(world.at(entry, "stop.2")) == D("97.5")

    def test_a_cancelled_leg_stays_away_unless_it_is_named(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        world.desk.cancel(world.at(entry, "target").order_id)

        change(world, entry, Exits(stop_loss=Offset(D(1)), take_profit=Offset(D(4))))
        assert not world.has(entry, "target.2")
        change(world, entry, Exits(stop_loss=Offset(D(1)), take_profit=AtPrice(D(104))))

        assert world.at(entry, "target.2").quantity == D(10)

    def test_exits_that_were_all_cancelled_are_made_again_for_what_is_held(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        world.desk.cancel_all("r")
        world.fill(world.sell("4", price=D(100)), "4", "100")

        change(world, entry, Exits(stop_loss=AtPrice(D(95))))

        stop = world.at(entry, "stop.2")
        assert (stop.quantity, stop_of(stop)) == (D(6), D(95))
        world.restart()
        assert world.at(entry, "stop.2").status is HELD


class TestTrails:
    TRAIL = Exits(trail=Offset(D(2)))

    def test_a_closer_trail_moves_the_stop_from_the_extreme(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", self.TRAIL)
        world.quote(110.0)

        change(world, entry, Exits(trail=Offset(D(1))))

        trail = world.at(entry, "trail.2")
        assert (trail.extreme, stop_of(trail), trail.trail) == (D(110), D(109), Offset(D(1)))
        assert world.at(entry, "trail").status is CANCELLED

    def test_a_wider_trail_moves_nothing_back(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", self.TRAIL)
        world.quote(110.0)

        change(world, entry, Exits(trail=Offset(D(5))))
        world.quote(112.0)
        assert stop_of(world.at(entry, "trail.2")) == D(108)
        world.quote(114.0)

        assert stop_of(world.at(entry, "trail.2")) == D(109)

    def test_an_activation_can_be_changed(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", Exits(trail=Offset(D(1)), trail_activation=Offset(D(9))))

        change(world, entry, Exits(trail=Offset(D(1)), trail_activation=Offset(D(5))))
        world.quote(105.0)

        assert stop_of(world.at(entry, "trail.2")) == D(104)

    def test_a_native_trail_is_made_anew(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", self.TRAIL)
        world.answer()

        change(world, entry, Exits(trail=Percent(D(1))))
        world.answer()

        assert world.at(entry, "trail").status is CANCELLED
        assert world.submits(world.at(entry, "trail.2"))[0].intent.trail == Percent(D(1))

    def test_a_native_trail_the_venue_refuses_goes_back_to_the_old_distance(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", self.TRAIL)
        world.answer()
        change(world, entry, Exits(trail=Percent(D(1))))
        world.end(world.at(entry, "trail"))

        world.reject(world.at(entry, "trail.2"))

        assert world.submits(world.at(entry, "trail.3"))[0].intent.trail == Offset(D(2))

    def test_a_distance_changed_on_the_leg_itself_stays(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", Exits(stop_loss=Offset(D(9)), trail=Offset(D(2))))
        trail = world.at(entry, "trail")

        assert world.desk.modify(trail.order_id, trail=Offset(D(1))) is None
        change(world, entry, Exits(stop_loss=Offset(D(8)), trail=Offset(D(2))))
        world.quote(98.5)
        world.reject(trail)

        assert world.at(entry, "trail.2").trail == Offset(D(1))
        assert stop_of(world.at(entry, "trail.2")) == D(99)


class TestRefusals:
    @pytest.mark.parametrize(
        ("exits", "reason"),
        [
            (Exits(stop_loss=AtPrice(D(101))), "losing side"),
            (Exits(take_profit=AtPrice(D(99))), "winning side"),
            (Exits(stop_loss=AtPrice(D("98.001"))), "stop_loss"),
            (Exits(stop_loss=Offset(D(0))), "above zero"),
            (Exits(trail=Percent(D(100))), "below 100 percent"),
            (Exits(trail_activation=Offset(D(1))), "exits need"),
            (Exits(stop_loss=Offset(D(1)), trail_activation=Offset(D(1))), "needs a trail"),
        ],
    )
    def test_what_makes_no_sense_before_the_fill(self, exits: Exits, reason: str) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)

        assert reason in (world.desk.modify_exits(entry.order_id, exits) or "")

        assert (records(world), entry.exits) == ([], BOTH)

    @pytest.mark.parametrize(
        ("exits", "reason"),
        [
            (Exits(stop_loss=AtPrice(D(106))), "wrong side of the market at 105"),
            (Exits(take_profit=AtPrice(D(105))), "wrong side of the market at 105"),
            (Exits(stop_loss=AtPrice(D(103)), take_profit=AtPrice(D(102))), "wrong sides"),
            (Exits(stop_loss=Offset(D(-1))), "above zero"),
        ],
    )
    def test_what_makes_no_sense_after_the_fill(self, exits: Exits, reason: str) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.quoted.price = 105.0

        assert reason in (world.desk.modify_exits(entry.order_id, exits) or "")

    def test_without_a_market_the_sides_alone_are_judged(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        world.quoted.price = None

        crossed = Exits(stop_loss=AtPrice(D(103)), take_profit=AtPrice(D(102)))
        assert world.desk.modify_exits(entry.order_id, crossed) is not None
        change(world, entry, Exits(stop_loss=AtPrice(D(106))))

    def test_a_leg_that_is_not_named_is_not_judged_by_the_market(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        world.desk.modify(world.at(entry, "stop").order_id, stop_price=D(80))
        world.quoted.price = 90.0

        change(world, entry, Exits(stop_loss=Offset(D(2)), take_profit=Offset(D(5))))

        assert prices(world, entry) == (D(80), D(105))

    def test_orders_that_cannot_have_any(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        reducing = world.sell("1", price=D(120), reduce_only=True)
        ended = world.enter("10", BOTH)
        world.end(ended)
        over = world.entered("10", BOTH, "100")
        world.fill(world.sell("20", price=D(100)), "20", "100")
        desk = world.desk

        assert desk.modify_exits("nobody", STOP) == "unknown order nobody"
        assert "is an exit itself" in str(desk.modify_exits(world.at(entry, "stop").order_id, STOP))
        assert "reduce-only" in str(desk.modify_exits(reducing.order_id, STOP))
        assert "nothing of it is held" in str(desk.modify_exits(ended.order_id, STOP))
        assert "nothing of it is held" in str(desk.modify_exits(over.order_id, STOP))
        assert "nothing of it is held" in str(desk.modify_exits(entry.order_id, Exits()))

    def test_an_order_of_nobody_here(self) -> None:
        world = EmulationWorld()
        order = world.desk.adopt("x" * 20, world.intent(Side.BUY, "1", run="external"), "main")

        assert "belongs to no run" in str(world.desk.modify_exits(order.order_id, STOP))

    def test_a_desk_without_emulation(self) -> None:
        world = EmulationWorld()
        world.desk.change_exits = world.desk.restart_exits = None
        entry = world.enter("10", BOTH)

        assert world.desk.modify_exits(entry.order_id, STOP) == "nobody keeps exits here"
        assert world.desk.reset_exits("r") == 0

    def test_native_only_refuses_a_stop_the_venue_lacks(self) -> None:
        world = EmulationWorld(NO_STOPS, NATIVE_ONLY)
        entry = world.enter("10", Exits(take_profit=Offset(D(4))))

        assert "native_only" in str(world.desk.modify_exits(entry.order_id, BOTH))


class TestRestart:
    """All state is in the orders: at any point a restart goes on as if nothing had been."""

    @pytest.mark.parametrize("venue", [BrokerCapabilities(), NO_STOPS, NO_MODIFY])
    def test_a_restart_after_a_replacement_changes_nothing(self, venue: BrokerCapabilities) -> None:
        world = EmulationWorld(venue)
        entry = world.enter("10", BOTH)
        world.fill(entry, "6", "100")
        world.answer()
        change(world, entry, MOVED)
        before = world.seen()

        world.restart()
        assert world.seen() == before
        world.answer()
        world.restart()

        assert prices(world, entry) == (D(97), D(108))

    @pytest.mark.parametrize("venue", [BrokerCapabilities(), NO_STOPS, NO_MODIFY])
    @pytest.mark.parametrize("exits", [MOVED, Exits(trail=Offset(D(3))), STOP, Exits()])
    def test_a_replacement_whose_legs_are_not_in_the_log_is_carried_out_at_the_start(
        self, venue: BrokerCapabilities, exits: Exits
    ) -> None:
        """The end of a log may be torn off between the two."""
        whole, torn = EmulationWorld(venue), EmulationWorld(venue)
        for world in (whole, torn):
            entry = world.enter("10", BOTH)
            world.fill(entry, "10", "100")
            world.answer()
        change(whole, whole.order(entry.order_id), exits)
        torn.order(entry.order_id).replaced_exits = records(whole)[0]

        for world in (whole, torn):
            world.restart()
            world.answer()

        assert shape(torn) == shape(whole)

    def test_legs_to_be_made_again_are_made_at_the_start(self) -> None:
        world = EmulationWorld(rules=NATIVE_ONLY)
        entry = world.entered("10", STOP)
        for name in ("stop", "stop.2", "stop.3"):
            world.reject(world.at(entry, name))
        newest = world.at(entry, "stop.3").order_id
        moved = Exits(stop_loss=AtPrice(D(95)))
        entry.replaced_exits = ExitsReplaced(entry.order_id, moved, 1, ((newest, TO_MAKE),))

        world.restart()

        assert world.submits(world.at(entry, "stop.4"))[0].quantity == D(10)

    def test_an_exit_added_while_nothing_is_held_covers_nothing_after_a_restart(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.enter("2", STOP)
        world.fill(entry, "1", "100")
        world.fill(world.sell("1", price=D(100)), "1", "100")
        change(world, entry, BOTH)
        world.fill(world.buy("1", price=D(100)), "1", "100")
        before = world.seen()

        world.restart()

        assert world.seen() == before
        assert not world.has(entry, "target")

    def test_a_refused_change_is_not_taken_for_a_move_after_a_restart(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", STOP)
        world.answer()
        change(world, entry, Exits(stop_loss=AtPrice(D(95))))
        world.desk.after_change.clear()
        world.refuse(world.at(entry, "stop"), RequestKind.MODIFY)

        world.restart()

        assert stop_of(world.at(entry, "stop.2")) == D(95)


def shape(world: EmulationWorld) -> Sequence[object]:
    """Return the exits that are open, without how they came about."""
    return sorted(
        (str(leg.role), str(leg.status), leg.quantity, str(leg.price), str(stop_of(leg)))
        for leg in world.registry
        if leg.parent and not leg.is_closed
    )


@pytest.mark.parametrize("order", list(permutations(range(5))))
def test_any_order_of_arrival_leads_to_the_same_exits(order: tuple[int, ...]) -> None:
    world = EmulationWorld(rules=CORE)
    entry = world.enter("10", BOTH)
    name, now_ns = entry.order_id, world.clock.now_ns
    steps = (
        lambda: world.desk.apply(OrderAccepted(name, now_ns, "V")),
        lambda: world.desk.apply(OrderFilled(name, "a", D(4), D(100), now_ns)),
        lambda: world.desk.apply(OrderFilled(name, "b", D(6), D(99), now_ns)),
        lambda: change(world, entry, Exits(stop_loss=Offset(D(5)), take_profit=AtPrice(D(107)))),
        world.restart,
    )

    for number in order:
        steps[number]()

    stop, target = world.at(entry, "stop"), world.at(entry, "target")
    assert (stop.quantity, stop_of(stop)) == (D(10), D("94.4"))
    assert (target.quantity, target.price) == (D(10), D(107))


class TestPrices:
    def test_before_the_fill_they_are_counted_from_the_expected_price(self) -> None:
        world = EmulationWorld()

        assert prices(world, world.enter("10", BOTH)) == (D(98), D(104))
        assert prices(world, world.enter("10", BOTH, side=Side.SELL)) == (D(102), D(96))
        assert prices(world, world.enter("10", MOVED)) == (D(97), D(108))
        market = world.enter("10", BOTH, type=OrderType.MARKET, price=None)
        assert prices(world, market) == (None, None)
        assert prices(world, world.buy("1", price=D(100))) == (None, None)

    def test_afterwards_they_are_where_the_legs_are(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        world.desk.modify(world.at(entry, "stop").order_id, stop_price=D(99))
        assert prices(world, entry) == (D(99), D(104))

        world.desk.cancel(world.at(entry, "target").order_id)
        assert prices(world, entry) == (D(99), None)

    def test_an_answer_under_way_shows_what_was_asked_for(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", STOP)
        world.answer()

        change(world, entry, Exits(stop_loss=AtPrice(D(95))))

        assert prices(world, entry) == (D(95), None)

    def test_once_closed_they_are_where_they_were_last(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        world.fill(world.sell("10", price=D(100)), "10", "100")
        assert prices(world, entry) == (D(98), D(104))

        world.new_emulation()
        assert prices(world, entry) == (None, None)


class TestBreakers:
    def test_a_run_s_exits_are_reset_together(self) -> None:
        world = EmulationWorld(rules=NATIVE_ONLY)
        entries = [world.entered("10", STOP) for _ in range(2)]
        for entry in entries:
            for name in ("stop", "stop.2", "stop.3"):
                world.reject(world.at(entry, name))
        assert world.emulation.tripped_count("r") == 2
        assert world.emulation.tripped_count("other") == 0

        assert world.desk.reset_exits("other") == 0
        assert world.desk.reset_exits("r") == 2

        assert all(world.at(entry, "stop.4").is_released for entry in entries)
        assert world.emulation.tripped_count("r") == 0
        assert world.desk.reset_exits("r") == 0


def test_a_cancelled_entry_keeps_the_exits_of_what_it_filled() -> None:
    world = EmulationWorld(rules=CORE)
    entry = world.enter("10", BOTH)
    world.fill(entry, "4", "100")

    world.desk.cancel(entry.order_id)
    world.end(entry)

    assert world.at(entry, "stop").quantity == D(4)
    assert world.at(entry, "target").quantity == D(4)


def test_exits_of_any_quantity_where_there_is_no_lot() -> None:
    world = EmulationWorld(rules=CORE)
    world.instruments[SPOT] = msgspec.structs.replace(world.instruments[SPOT], lot=None)
    entry = world.enter("0.0000001", BOTH)

    world.fill(entry, "0.00000004", "100")
    world.fill(entry, "0.00000006", "100")

    assert world.at(entry, "stop").quantity == D("0.0000001")
    assert world.at(entry, "target").quantity == D("0.0000001")
    assert [type(command) for command in world.sent] == [SubmitOrder]
