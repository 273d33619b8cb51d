"""Brackets: exits sized to what is filled and held, never two at the venue, whatever comes."""

from decimal import Decimal

import msgspec
import pytest

from framework.interfaces import BrokerCapabilities
from framework.model.account import Settled
from framework.model.commands import CancelOrder, ModifyOrder
from framework.model.exits import ExitRules, ProtectionMode, Unprotected
from framework.model.orders import (
    AtPrice,
    Exits,
    Fee,
    Offset,
    OrderStatus,
    OrderType,
    Percent,
    Side,
    TriggerBy,
)
from framework.model.records import CoverNoted, HoldRole
from framework.model.reports import EndKind, OrderEnded, RequestKind
from framework.orders import brackets
from framework.orders.order_state import OrderState
from tests.framework.orders.emulation_world import NO_STOPS, EmulationWorld
from tests.framework.orders.world import SPOT, FakeArchive

D = Decimal
BOTH = Exits(stop_loss=Percent(D(2)), take_profit=Percent(D(4)))
STOP = Exits(stop_loss=Percent(D(2)))
CORE = ExitRules(protection=ProtectionMode.CORE)
NO_MODIFY = BrokerCapabilities(has_modify=False)
HELD, CANCELLED, FILLED = OrderStatus.HELD, OrderStatus.CANCELLED, OrderStatus.FILLED


def stop_price(order: OrderState) -> Decimal | None:
    return order.facts.stop_price


class TestSizes:
    def test_nothing_is_made_before_the_entry_fills(self) -> None:
        world = EmulationWorld()

        entry = world.enter("10", BOTH)

        assert not world.has(entry, "stop")
        assert not world.has(entry, "target")

    def test_r31_the_stop_is_on_its_way_to_the_venue_in_the_step_of_the_fill(self) -> None:
        world = EmulationWorld()

        entry = world.entered("10", BOTH)

        stop = world.at(entry, "stop")
        (command,) = world.submits(stop)
        assert command.intent.type is OrderType.STOP
        assert (command.quantity, command.intent.stop_price) == (D(10), D(98))
        assert command.reduce_only
        assert stop.parent == entry.order_id
        assert not stop.facts.is_triggered

    def test_the_target_is_held_while_the_stop_rests_at_the_venue(self) -> None:
        world = EmulationWorld()

        entry = world.entered("10", BOTH)

        target = world.at(entry, "target")
        assert (target.status, target.quantity, target.price) == (HELD, D(10), D(104))

    def test_the_exits_of_a_short_are_on_the_other_sides(self) -> None:
        world = EmulationWorld()

        entry = world.entered("10", BOTH, side=Side.SELL)

        stop, target = world.at(entry, "stop"), world.at(entry, "target")
        assert (stop.intent.side, stop_price(stop)) == (Side.BUY, D(102))
        assert (target.intent.side, target.price) == (Side.BUY, D(96))

    def test_r31_a_partial_fill_is_covered_and_topped_up_with_the_next(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)

        world.fill(entry, "3", "100")
        world.answer()
        world.fill(entry, "4", "100")

        modify = world.sent[-1]
        assert isinstance(modify, ModifyOrder)
        assert modify.quantity == D(7)
        assert world.at(entry, "target").quantity == D(7)

    def test_prices_follow_the_average_fill_price(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", Exits(stop_loss=Offset(D(2)), take_profit=Offset(D(4))))
        world.fill(entry, "5", "100")
        world.answer()

        world.fill(entry, "5", "99")
        world.answer()

        assert stop_price(world.at(entry, "stop")) == D("97.5")
        assert world.at(entry, "target").price == D("103.5")

    def test_absolute_prices_stay(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.enter("10", Exits(stop_loss=AtPrice(D(95)), take_profit=AtPrice(D(110))))

        world.fill(entry, "5", "100")
        world.fill(entry, "5", "99")

        assert stop_price(world.at(entry, "stop")) == D(95)
        assert world.at(entry, "target").price == D(110)

    def test_a_stop_that_was_moved_keeps_its_distance_when_the_average_moves(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", Exits(stop_loss=Offset(D(2))))
        world.fill(entry, "5", "100")
        world.answer()
        world.desk.modify(world.at(entry, "stop").order_id, stop_price=D(99))
        world.answer()

        world.fill(entry, "5", "99")
        world.answer()

        assert stop_price(world.at(entry, "stop")) == D("98.5")

    def test_a_second_average_while_a_change_is_under_way_is_not_forgotten(self) -> None:
        world = EmulationWorld()
        entry = world.enter("9", Exits(stop_loss=Offset(D(2))))
        world.fill(entry, "3", "100")
        world.answer()

        world.fill(entry, "3", "99")
        world.fill(entry, "3", "98")
        world.answer()

        stop = world.at(entry, "stop")
        assert (stop.quantity, stop_price(stop)) == (D(9), D(97))

    def test_rounding_never_adds_risk_r78(self) -> None:
        world = EmulationWorld(rules=CORE)

        entry = world.entered(
            "1", Exits(stop_loss=Percent(D("1.23")), take_profit=Percent(D("1"))), "99.99"
        )

        assert stop_price(world.at(entry, "stop")) == D("98.77")  # 98.760123 up
        assert world.at(entry, "target").price == D("100.98")  # 100.9899 down

    def test_a_fee_in_the_base_asset_is_not_covered(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.enter("10", BOTH)

        world.fill(entry, "10", "100", fees=(Fee("BTC", D("0.0105")),))

        assert world.at(entry, "stop").quantity == D("9.989")

    def test_a_bust_of_the_entry_shrinks_the_exits(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.enter("10", BOTH)
        world.fill(entry, "6", "100", execution="a")
        world.fill(entry, "4", "100", execution="b")

        world.bust(entry, "a")

        assert world.at(entry, "stop").quantity == D(4)
        assert world.at(entry, "target").quantity == D(4)

    def test_a_bust_of_everything_ends_the_exits(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.enter("10", BOTH)
        world.fill(entry, "10", "100", execution="a")

        world.bust(entry, "a")

        assert world.at(entry, "stop").status is CANCELLED
        assert world.at(entry, "target").status is CANCELLED

    def test_a_bust_of_an_exit_brings_the_cover_back(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", STOP)
        world.quote(97.0)
        stop = world.at(entry, "stop")
        world.fill(stop, "10", "97", execution="a")

        world.bust(stop, "a", "4")

        assert world.bracket(entry).cover == D(6)
        assert world.position == D(6)
        assert stop.facts.remaining == D(6)

    def test_repeated_fills_change_nothing(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)
        world.fill(entry, "3", "100", execution="a")
        seen = (len(world.sent), len(world.emulation.brackets))

        world.fill(entry, "3", "100", execution="a")

        assert (len(world.sent), len(world.emulation.brackets)) == seen
        assert world.at(entry, "stop").quantity == D(3)

    def test_a_fill_of_an_exit_before_its_acceptance_counts(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        stop = world.at(entry, "stop")

        world.fill(stop, "4", "98")
        world.accept(stop)

        assert world.at(entry, "target").quantity == D(6)
        assert world.bracket(entry).cover == D(6)

    def test_a_change_the_venue_refuses_leads_to_a_new_leg(self) -> None:
        """The held one stands in until the end of the other has been confirmed."""
        world = EmulationWorld()
        entry = world.enter("10", STOP)
        world.fill(entry, "3", "100")
        world.answer()
        world.fill(entry, "4", "100")
        stop = world.at(entry, "stop")

        world.refuse(stop, RequestKind.MODIFY)

        second = world.at(entry, "stop.2")
        assert (second.status, second.quantity) == (HELD, D(7))
        assert isinstance(world.sent[-1], CancelOrder)
        world.end(stop)
        assert [command.quantity for command in world.submits(second)] == [D(7)]

    def test_without_modify_the_leg_is_replaced(self) -> None:
        world = EmulationWorld(NO_MODIFY)
        entry = world.enter("10", STOP)
        world.fill(entry, "3", "100")
        world.answer()

        world.fill(entry, "4", "100")
        world.answer()

        assert world.at(entry, "stop").status is CANCELLED
        assert world.submits(world.at(entry, "stop.2"))[0].quantity == D(7)

    def test_keys_that_the_run_took_itself_are_passed_over(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", STOP)
        world.buy("1", key=f"{entry.intent.key}/stop", price=D(50))

        world.fill(entry, "10", "100")

        assert world.at(entry, "stop.2").is_released


class TestExclusion:
    def test_r32_a_target_that_is_met_waits_for_the_end_of_the_stop(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()
        stop, target = world.at(entry, "stop"), world.at(entry, "target")

        world.quote(104.0)

        assert isinstance(world.sent[-1], CancelOrder)
        assert not world.submits(target)
        assert world.at(entry, "stop.2").status is HELD
        world.end(stop)
        (command,) = world.submits(target)
        assert (command.intent.type, command.intent.price) == (OrderType.LIMIT, D(104))

    def test_r32_a_doubtful_cancel_lets_nobody_go(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()

        world.quote(104.0)
        world.refuse(world.at(entry, "stop"), RequestKind.CANCEL)
        world.quote(105.0)

        assert not world.submits(world.at(entry, "target"))

    def test_a_cancel_refused_again_and_again_raises_an_alert(self) -> None:
        """R-28: asked for three times, then a person has to look."""
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()
        world.quote(104.0)

        for _ in range(5):
            world.refuse(world.at(entry, "stop"), RequestKind.CANCEL)

        cancels = [command for command in world.sent if isinstance(command, CancelOrder)]
        assert len(cancels) == 3
        assert [alert[0] for alert in world.alerts] == ["exit_not_cancelled"]

    def test_a_stop_that_fills_while_it_is_cancelled_ends_the_target(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()
        world.quote(104.0)

        world.fill(world.at(entry, "stop"), "10", "98")

        assert world.at(entry, "target").status is CANCELLED
        assert world.at(entry, "stop.2").status is CANCELLED
        assert world.position == 0

    def test_a_stop_that_fills_in_part_while_it_is_cancelled_shrinks_the_target(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()
        world.quote(104.0)
        stop = world.at(entry, "stop")

        world.fill(stop, "4", "98")
        world.end(stop)

        assert world.submits(world.at(entry, "target"))[0].quantity == D(6)

    def test_after_the_swap_a_falling_price_swaps_back(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()
        world.quote(104.0)
        world.answer()
        target, stop = world.at(entry, "target"), world.at(entry, "stop.2")

        world.quote(97.0)

        assert not world.submits(stop)
        world.answer()
        assert target.status is CANCELLED
        assert world.submits(stop)[0].intent.type is OrderType.MARKET

    def test_an_executing_stop_is_never_taken_back_for_a_target(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        world.quote(97.0)

        world.quote(105.0)

        assert not any(isinstance(command, CancelOrder) for command in world.sent)
        assert not world.submits(world.at(entry, "target"))

    def test_a_target_rests_at_the_venue_where_the_stop_cannot(self) -> None:
        world = EmulationWorld(NO_STOPS)

        entry = world.entered("10", BOTH)

        assert world.submits(world.at(entry, "target"))[0].intent.type is OrderType.LIMIT
        assert world.at(entry, "stop").status is HELD

    def test_a_stop_in_the_core_takes_a_resting_target_back_first(self) -> None:
        world = EmulationWorld(NO_STOPS)
        entry = world.entered("10", BOTH)
        world.answer()

        world.quote(98.0)

        stop = world.at(entry, "stop")
        assert not world.submits(stop)
        world.answer()
        assert world.submits(stop)[0].intent.type is OrderType.MARKET

    def test_a_partly_filled_target_shrinks_the_stop(self) -> None:
        world = EmulationWorld(NO_STOPS)
        entry = world.entered("10", BOTH)
        world.answer()

        world.fill(world.at(entry, "target"), "4", "104")

        assert world.at(entry, "stop").quantity == D(6)

    def test_a_venue_that_links_orders_has_both(self) -> None:
        world = EmulationWorld(BrokerCapabilities(has_oco=True))

        entry = world.entered("10", BOTH)

        stop, target = world.at(entry, "stop"), world.at(entry, "target")
        assert len(world.submits(stop)) == len(world.submits(target)) == 1
        assert stop.intent.oco_group == target.intent.oco_group == f"{entry.intent.key}/exits"

    def test_r32_of_linked_legs_one_that_is_replaced_is_waited_for(self) -> None:
        world = EmulationWorld(BrokerCapabilities(has_oco=True, has_modify=False))
        entry = world.enter("10", BOTH)
        world.fill(entry, "4", "100")
        world.fill(entry, "6", "100")
        stop, second = world.at(entry, "stop"), world.at(entry, "stop.2")
        assert (second.status, second.quantity) == (HELD, D(10))

        world.end(stop)

        assert len(world.submits(second)) == 1

    def test_in_the_core_everything_is_held(self) -> None:
        world = EmulationWorld(rules=CORE)

        entry = world.entered("10", BOTH)

        assert len(world.sent) == 1
        assert world.at(entry, "stop").status is world.at(entry, "target").status is HELD

    def test_a_trigger_price_the_venue_does_not_know_keeps_the_stop_in_the_core(self) -> None:
        world = EmulationWorld(BrokerCapabilities(trigger_bys=frozenset({TriggerBy.LAST})))

        entry = world.entered("10", STOP)

        assert world.at(entry, "stop").status is HELD

    def test_new_fills_while_the_stop_executes_get_a_stop_of_their_own(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.enter("10", STOP)
        world.fill(entry, "6", "100")
        world.quote(97.0)

        world.fill(entry, "4", "100")

        second = world.at(entry, "stop.2")
        assert (second.status, second.quantity) == (HELD, D(4))

    def test_a_closing_market_order_is_waited_for(self) -> None:
        """A stop beside `close()` would sell the position twice."""
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", STOP)
        closing = world.desk.close("r", SPOT)
        assert closing is not None

        world.quote(97.0)

        stop = world.at(entry, "stop")
        assert not world.submits(stop)
        world.reject(closing)
        assert world.submits(stop)[0].quantity == D(10)


class TestClosedOtherwise:
    def test_a_close_keeps_and_shrinks_the_exits_until_flat(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        closing = world.desk.close("r", SPOT)
        assert closing is not None

        world.fill(closing, "7", "100")

        stop, target = world.at(entry, "stop"), world.at(entry, "target")
        assert stop.quantity == target.quantity == D(3)
        world.fill(closing, "3", "100")
        assert stop.status is target.status is CANCELLED

    def test_a_native_stop_is_cancelled_when_the_position_is_closed(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()
        closing = world.desk.close("r", SPOT)
        assert closing is not None

        world.fill(closing, "10", "100")
        world.answer()

        assert world.at(entry, "stop").status is CANCELLED
        assert not world.has(entry, "stop.2")

    def test_the_oldest_entry_is_closed_first(self) -> None:
        world = EmulationWorld(rules=CORE)
        first = world.entered("10", STOP)
        world.tick()
        second = world.entered("5", STOP)
        manual = world.sell("12", price=D(100))

        world.fill(manual, "12", "100")

        assert world.at(first, "stop").status is CANCELLED
        assert world.at(second, "stop").quantity == D(3)

    def test_of_entries_of_one_instant_the_first_is_closed_first(self) -> None:
        """Their ids are another in each journal; with eleven, keys differ in length as well."""
        world = EmulationWorld(rules=CORE)
        entries = [world.entered("1", STOP) for _ in range(11)]
        assert len({entry.created_ns for entry in entries}) == 1
        manual = world.sell("4", price=D(100))

        world.fill(manual, "4", "100")

        ended = [world.at(entry, "stop").status is CANCELLED for entry in entries]
        assert ended == [True] * 4 + [False] * 7

    def test_a_plain_position_beside_it_is_reduced_before_the_cover(self) -> None:
        world = EmulationWorld(rules=CORE)
        world.fill(world.buy("10", price=D(100)), "10", "100")
        entry = world.entered("5", STOP)

        world.fill(world.sell("10", price=D(100)), "10", "100")

        assert world.at(entry, "stop").quantity == D(5)

    def test_exits_do_not_come_back_for_a_later_position(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", STOP)
        world.fill(world.sell("10", price=D(100)), "10", "100")

        world.fill(world.buy("10", price=D(100)), "10", "100")

        assert world.at(entry, "stop").status is CANCELLED
        assert not world.has(entry, "stop.2")

    def test_a_corrected_close_brings_the_exits_back(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", STOP)
        manual = world.sell("10", price=D(100))
        world.fill(manual, "10", "100", execution="x")

        world.bust(manual, "x", "4")

        assert world.at(entry, "stop.2").quantity == D(6)

    def test_a_corrected_part_of_a_close_makes_the_exits_grow(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", STOP)
        manual = world.sell("4", price=D(100))
        world.fill(manual, "4", "100", execution="x")
        assert world.at(entry, "stop").quantity == D(6)

        world.bust(manual, "x", "1")

        assert world.at(entry, "stop").quantity == D(9)

    def test_an_entry_that_only_reduces_has_nothing_to_protect(self) -> None:
        world = EmulationWorld(rules=CORE)
        world.fill(world.sell("10", price=D(100)), "10", "100")

        entry = world.entered("4", BOTH)

        assert not world.has(entry, "stop")

    def test_a_settlement_ends_the_exits(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", STOP)

        world.desk.apply(Settled("main", SPOT, D(90), world.tick(), settlement_id="s1"))
        world.emulation.on_booking("r", SPOT)

        assert world.at(entry, "stop").status is CANCELLED

    def test_a_target_cancelled_by_the_run_stays_away_and_the_stop_stays(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.enter("10", BOTH)
        world.fill(entry, "5", "100")

        world.desk.cancel(world.at(entry, "target").order_id)
        world.fill(entry, "5", "100")

        assert world.at(entry, "target").status is CANCELLED
        assert not world.has(entry, "target.2")
        assert world.at(entry, "stop").quantity == D(10)

    def test_exits_cancelled_by_the_run_come_back_for_new_fills_only(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.enter("10", BOTH)
        world.fill(entry, "6", "100")

        world.desk.cancel_all("r")
        world.fill(entry, "4", "100")

        assert world.at(entry, "stop.2").quantity == D(4)
        assert world.at(entry, "target.2").quantity == D(4)

    def test_flatten_takes_the_exits_too(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()

        (closing,) = world.desk.flatten("r")
        world.answer()
        world.fill(closing, "10", "99")

        assert world.at(entry, "stop").status is world.at(entry, "target").status is CANCELLED
        assert not world.has(entry, "stop.2")

    def test_a_given_up_exit_that_fills_all_the_same_is_counted(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", STOP)
        world.fill(entry, "6", "100")
        world.answer()
        stop = world.at(entry, "stop")
        world.desk.cancel(stop.order_id)

        world.fill(stop, "2", "98")
        world.end(stop)
        world.fill(entry, "4", "100")

        assert world.at(entry, "stop.2").quantity == D(4)


class TestRefusals:
    def test_r31_a_stop_the_venue_refuses_is_kept_in_the_core_at_once(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", STOP)

        world.reject(world.at(entry, "stop"))

        second = world.at(entry, "stop.2")
        assert (second.status, second.quantity, stop_price(second)) == (HELD, D(10), D(98))
        assert [alert[:2] for alert in world.alerts] == [("exit_refused", "warning")]

    def test_f11_a_stop_that_keeps_being_refused_trips_and_raises_an_alert(self) -> None:
        world = EmulationWorld(rules=ExitRules(protection=ProtectionMode.NATIVE_ONLY))
        entry = world.entered("10", STOP)

        for name in ("stop", "stop.2", "stop.3"):
            world.reject(world.at(entry, name))

        assert not world.has(entry, "stop.4")
        assert world.alerts[-1][:2] == ("exit_tripped", "critical")
        assert world.emulation.tripped() == [(entry.order_id, world.at(entry, "stop").role)]

    def test_a_tripped_exit_can_be_reset(self) -> None:
        world = EmulationWorld(rules=ExitRules(protection=ProtectionMode.NATIVE_ONLY))
        entry = world.entered("10", STOP)
        for name in ("stop", "stop.2", "stop.3"):
            world.reject(world.at(entry, name))

        assert world.emulation.reset(entry.order_id) is None

        assert world.at(entry, "stop.4").is_released
        assert world.emulation.tripped() == []
        assert world.emulation.reset(entry.order_id) is not None
        assert world.emulation.reset("nobody") == "unknown order nobody"

    def test_r31_the_rules_may_close_what_has_no_stop(self) -> None:
        world = EmulationWorld(
            rules=ExitRules(
                protection=ProtectionMode.NATIVE_ONLY, when_unprotected=Unprotected.CLOSE
            )
        )
        entry = world.entered("10", STOP)

        for name in ("stop", "stop.2", "stop.3"):
            world.reject(world.at(entry, name))

        command = world.sent[-1]
        assert world.order(command.order_id).intent.key.startswith("close.")

    def test_a_target_that_trips_closes_nothing(self) -> None:
        world = EmulationWorld(
            NO_STOPS,
            rules=ExitRules(when_unprotected=Unprotected.CLOSE, refused_limit=1),
        )
        entry = world.entered("10", BOTH)

        world.reject(world.at(entry, "target"))

        assert world.alerts[-1][0] == "exit_tripped"
        assert world.at(entry, "stop").status is HELD
        assert len(world.sent) == 2

    def test_a_stop_refused_when_it_was_due_goes_again_at_the_next_price(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", STOP)
        world.quote(97.0)

        world.reject(world.at(entry, "stop"))
        assert not world.submits(world.at(entry, "stop.2"))
        world.quote(97.0)

        assert world.submits(world.at(entry, "stop.2"))[0].intent.type is OrderType.MARKET

    def test_a_leg_the_venue_cancels_by_itself_is_made_again(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", STOP)
        world.answer()

        world.end(world.at(entry, "stop"), EndKind.EXPIRED)

        assert world.at(entry, "stop.2").status is HELD

    def test_a_partly_filled_leg_that_ends_is_made_again_for_the_rest(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", STOP)
        stop = world.at(entry, "stop")
        world.fill(stop, "4", "98")

        world.end(stop)

        assert world.submits(world.at(entry, "stop.2"))[0].quantity == D(6)
        assert world.alerts == []


class TestRestart:
    @pytest.mark.parametrize("venue", [BrokerCapabilities(), NO_STOPS, NO_MODIFY])
    def test_r32_a_restart_changes_nothing(self, venue: BrokerCapabilities) -> None:
        world = EmulationWorld(venue)
        entry = world.enter("10", BOTH)
        world.fill(entry, "6", "100")
        world.answer()
        world.fill(world.sell("2", price=D(100)), "2", "100")
        world.answer()
        before = world.seen()

        world.restart()

        assert world.seen() == before
        assert world.bracket(entry).cover == D(4)

    def test_r31_a_fill_whose_exits_are_not_in_the_log_gets_them_at_the_start(self) -> None:
        """The end of a log may be torn off between the two."""
        world = EmulationWorld()
        entry = world.enter("10", BOTH)
        world.desk.after_change.clear()
        world.fill(entry, "10", "100")

        world.restart()

        assert world.submits(world.at(entry, "stop"))[0].quantity == D(10)
        assert world.at(entry, "target").quantity == D(10)

    def test_a_held_target_shows_the_cover_while_the_stop_is_changed(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)
        world.fill(entry, "6", "100")
        world.answer()
        world.fill(world.sell("2", price=D(100)), "2", "100")
        world.fill(entry, "4", "100")
        before = world.seen()

        world.restart()

        assert world.seen() == before
        assert world.bracket(entry).cover == D(8)

    def test_a_target_that_was_due_is_sent_after_the_restart(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", BOTH)
        world.answer()
        world.quote(104.0)

        world.restart()
        world.answer()

        assert world.submits(world.at(entry, "target"))[0].intent.type is OrderType.LIMIT

    def test_fills_that_came_while_it_was_down_are_covered(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)
        world.fill(entry, "6", "100")
        world.answer()
        world.new_emulation().rebuild()

        world.fill(entry, "4", "100")
        world.emulation.resume(world.tick())
        world.answer()

        assert world.at(entry, "stop").quantity == D(10)

    @pytest.mark.parametrize("restarts", [1, 2, 3])
    def test_r02_they_are_covered_though_it_went_down_again_before_the_venue_was_told(
        self, restarts: int
    ) -> None:
        """No exit shows them yet, and what another order has sold is not to be covered again."""
        world = EmulationWorld()
        world.fill(world.buy("20", price=D(100)), "20", "100")
        entry = world.enter("10", STOP)
        world.fill(entry, "6", "100")
        world.answer()
        world.fill(world.sell("22", price=D(100)), "22", "100")
        world.answer()
        assert world.at(entry, "stop").quantity == D(4)
        world.new_emulation().rebuild()
        world.fill(entry, "4", "100")
        world.fill(world.buy("20", price=D(100)), "20", "100")

        for _ in range(restarts):
            world.new_emulation().rebuild()
        world.emulation.resume(world.tick())
        world.answer()

        stop = world.at(entry, "stop")
        assert (stop.quantity, world.bracket(entry).cover) == (D(8), D(8))
        assert sum(isinstance(one, CoverNoted) for one in world.recorded) == 1
        world.restart()
        assert world.bracket(entry).cover == D(8)

    def test_exits_of_a_position_that_was_closed_meanwhile_go(self) -> None:
        world = EmulationWorld(rules=CORE)
        entry = world.entered("10", BOTH)
        manual = world.sell("10", price=D(100))
        world.desk.after_change.clear()
        world.fill(manual, "10", "100")

        world.restart()

        assert world.at(entry, "stop").status is CANCELLED
        assert world.at(entry, "target").status is CANCELLED

    def test_a_tripped_exit_stays_tripped(self) -> None:
        world = EmulationWorld(rules=ExitRules(protection=ProtectionMode.NATIVE_ONLY))
        entry = world.entered("10", STOP)
        for name in ("stop", "stop.2", "stop.3"):
            world.reject(world.at(entry, name))

        world.restart()

        assert len(world.emulation.tripped()) == 1
        assert not world.has(entry, "stop.4")

    def test_what_only_the_core_keeps_is_listed(self) -> None:
        world = EmulationWorld(NO_STOPS)
        entry = world.entered("10", Exits(stop_loss=Percent(D(2))))

        (position,) = world.emulation.unprotected()

        assert (position.run, position.instrument, position.quantity) == ("r", SPOT, D(10))
        assert position.keys == (f"{entry.intent.key}/stop",)

    def test_what_the_venue_keeps_is_not_listed(self) -> None:
        world = EmulationWorld()
        world.entered("10", BOTH)
        world.answer()

        assert world.emulation.unprotected() == []

    def test_a_run_s_own_held_stop_is_listed(self) -> None:
        world = EmulationWorld(NO_STOPS)
        world.fill(world.buy("10", price=D(100)), "10", "100")
        world.sell("10", type=OrderType.STOP, stop_price=D(95), reduce_only=True, key="mine")

        (position,) = world.emulation.unprotected()

        assert position.keys == ("mine",)


def test_orders_of_a_bracket_stay_in_memory_until_it_is_over() -> None:
    world = EmulationWorld(rules=CORE)
    entry = world.entered("10", STOP)
    assert entry.status is FILLED
    assert world.emulation.keeps(entry)

    world.quote(97.0)
    stop = world.at(entry, "stop")
    world.fill(stop, "10", "97")

    assert not world.emulation.keeps(entry)
    assert not world.emulation.keeps(stop)


def test_a_late_fill_of_an_entry_that_left_memory_covers_only_itself() -> None:
    """R-23: the entry comes back from the log without its exits."""
    world = EmulationWorld(rules=CORE)
    entry = world.enter("10", STOP)
    world.fill(entry, "10", "100")
    world.quote(97.0)
    world.fill(world.at(entry, "stop"), "10", "97")
    world.fill(world.buy("50", price=D(100)), "50", "100")
    world.new_emulation()

    world.fill(entry, "1", "100")

    assert world.bracket(entry).cover == D(1)


def test_many_finished_brackets_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-53: brackets leave when their entries do."""
    monkeypatch.setattr(brackets, "SWEEP_FROM", 20)
    world = EmulationWorld(rules=CORE)
    world.registry.archive = FakeArchive()
    kept = world.entered("1", STOP)

    for _ in range(100):
        entry = world.entered("1", STOP)
        world.quote(97.0)
        for order in list(world.registry):
            if order.parent and not order.is_closed:
                world.fill(order, "1", "97")
        release_closed(world)

    assert len(world.emulation.brackets) < 50
    assert not world.emulation.keeps(entry)
    assert not world.emulation.keeps(kept)


def release_closed(world: EmulationWorld) -> None:
    for order in list(world.registry):
        if order.is_closed and not world.emulation.keeps(order):
            world.registry.release(order.order_id)


def test_keys_of_exits_that_left_memory_are_passed_over() -> None:
    """The log answers for them: neither the same key twice nor a conflict (R-29)."""
    world = EmulationWorld()
    entry = world.entered("10", STOP)
    first = world.at(entry, "stop")
    event = first.event()
    world.reject(first)
    second = world.at(entry, "stop.2")
    closed = {first.intent.key: event, f"{entry.intent.key}/stop.3": entry.event()}
    world.registry.archive = FakeArchive(closed)
    world.registry.release(first.order_id)
    world.new_emulation().rebuild()
    world.emulation.resume(world.clock.now_ns)

    world.quote(97.0)
    world.reject(second)

    assert world.at(entry, "stop.4").status is HELD


def test_a_restart_without_the_closed_exits_reads_the_same_cover() -> None:
    """A snapshot keeps open orders and their entries alone."""
    world = EmulationWorld(rules=CORE)
    entry = world.entered("10", STOP)
    world.quote(97.0)
    stop = world.at(entry, "stop")
    world.fill(stop, "4", "97")
    world.end(stop)
    world.registry.archive = FakeArchive()
    world.registry.release(stop.order_id)

    world.restart()

    assert world.bracket(entry).cover == D(6)
    assert world.at(entry, "stop.2").quantity == D(6)


def test_a_restart_while_a_change_waits_for_its_answer_covers_rather_too_much() -> None:
    world = EmulationWorld()
    entry = world.enter("10", STOP)
    world.fill(entry, "3", "100")
    world.answer()
    world.fill(entry, "3", "100")
    world.fill(entry, "4", "100")

    world.restart()
    world.answer()

    assert world.at(entry, "stop").quantity == D(10)


def test_a_restart_while_a_stop_executes_counts_what_it_executes() -> None:
    world = EmulationWorld(rules=CORE)
    entry = world.enter("10", STOP)
    world.fill(entry, "6", "100")
    world.quote(97.0)
    world.fill(entry, "4", "100")
    before = world.seen()

    world.restart()

    assert world.seen() == before
    assert world.bracket(entry).cover == D(10)


def test_the_gate_s_refusal_of_a_change_leads_to_a_new_leg() -> None:
    world = EmulationWorld()
    entry = world.enter("10", STOP)
    world.fill(entry, "3", "100")
    world.answer()
    modify = world.desk.modify
    world.desk.modify = lambda order_id, **changes: "refused"

    world.fill(entry, "4", "100")
    world.desk.modify = modify

    assert world.at(entry, "stop.2").quantity == D(7)


def test_exits_without_any_price_do_nothing() -> None:
    world = EmulationWorld()

    entry = world.entered("10", Exits())

    assert len(world.sent) == 1
    assert world.bracket(entry).all_legs() == []


def test_the_exits_of_another_bucket_stay() -> None:
    world = EmulationWorld(rules=CORE)
    entry = world.entered("10", STOP)
    other = msgspec.structs.replace(entry.intent.bucket, product="margin")

    world.fill(world.sell("10", price=D(100), bucket=other), "10", "100")

    assert world.at(entry, "stop").quantity == D(10)


class TestAVenueOutOfReach:
    """R-31, F-11: what could not leave was refused by nobody, and goes once it can."""

    def unsent(self, world: EmulationWorld, order: OrderState) -> None:
        """Say what a broker without a connection says."""
        end = OrderEnded(order.order_id, EndKind.REJECTED, world.clock.now_ns, "no link", "core")
        world.desk.apply(end)

    def test_a_stop_that_was_due_goes_at_once_wherever_the_price_is_by_then(self) -> None:
        world = EmulationWorld(NO_STOPS)
        entry = world.entered("10", STOP)
        for name in ("stop", "stop.2", "stop.3"):
            world.quote(97.0)
            self.unsent(world, world.at(entry, name))
        assert world.emulation.tripped() == [(entry.order_id, HoldRole.STOP_LOSS)]
        world.quote(101.0)
        count = len(world.sent)

        world.emulation.try_again("other")
        assert len(world.sent) == count
        world.emulation.try_again("main")

        (command,) = world.submits(world.at(entry, "stop.4"))
        assert (command.intent.type, command.quantity) == (OrderType.MARKET, D(10))
        assert world.emulation.tripped() == []

    def test_it_goes_after_a_restart_too(self) -> None:
        world = EmulationWorld(NO_STOPS)
        entry = world.entered("10", STOP)
        for name in ("stop", "stop.2", "stop.3"):
            world.quote(97.0)
            self.unsent(world, world.at(entry, name))

        world.restart()

        assert len(world.submits(world.at(entry, "stop.4"))) == 1

    def test_a_stop_that_rested_nowhere_rests_at_the_venue_again(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", STOP)
        self.unsent(world, world.at(entry, "stop"))
        assert world.at(entry, "stop.2").status is HELD

        world.emulation.try_again("main")

        (command,) = world.submits(world.at(entry, "stop.2"))
        assert command.intent.type is OrderType.STOP

    def test_a_cancel_that_could_not_leave_is_asked_for_again(self) -> None:
        world = EmulationWorld(NO_STOPS)
        entry = world.entered("10", BOTH)
        world.answer()
        target = world.at(entry, "target")
        world.quote(97.0)
        for _ in range(4):
            world.refuse(target, RequestKind.CANCEL)
        assert world.submits(world.at(entry, "stop")) == []

        world.emulation.try_again("main")
        world.end(target)

        assert len(world.submits(world.at(entry, "stop"))) == 1

    def test_what_a_venue_has_refused_stays_refused(self) -> None:
        world = EmulationWorld(rules=ExitRules(ProtectionMode.NATIVE_ONLY))
        entry = world.entered("10", STOP)
        for name in ("stop", "stop.2", "stop.3"):
            world.reject(world.at(entry, name))

        world.emulation.try_again("main")

        assert world.emulation.tripped() == [(entry.order_id, HoldRole.STOP_LOSS)]
        assert not world.has(entry, "stop.4")


class TestBetweenReadingAndReconciling:
    """R-35: nothing is sent; R-31: what fills gets its exits in the commit of the fill."""

    def test_exits_are_held_and_not_sent(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)
        world.new_emulation().rebuild()
        count = len(world.sent)

        world.fill(entry, "4", "100")
        world.fill(entry, "3", "100")

        stop = world.at(entry, "stop")
        assert (stop.status, stop.quantity) == (HELD, D(7))
        assert len(world.sent) == count
        world.emulation.resume(world.clock.now_ns)
        (command,) = world.submits(stop)
        assert command.quantity == D(7)

    def test_what_is_at_the_venue_is_left_alone(self) -> None:
        world = EmulationWorld()
        entry = world.enter("10", BOTH)
        world.fill(entry, "4", "100")
        world.answer()
        world.new_emulation().rebuild()
        count = len(world.sent)

        world.fill(entry, "3", "100")
        world.bust(entry, next(iter(entry.facts.executions)))
        world.bust(entry, list(entry.facts.executions)[1])

        assert len(world.sent) == count
        world.emulation.resume(world.clock.now_ns)
        assert isinstance(world.sent[-1], CancelOrder)

    def test_a_leg_that_fails_is_made_again_afterwards(self) -> None:
        world = EmulationWorld()
        entry = world.entered("10", STOP)
        world.new_emulation().rebuild()

        world.reject(world.at(entry, "stop"))
        assert not world.has(entry, "stop.2")
        world.emulation.resume(world.clock.now_ns)

        assert world.at(entry, "stop.2").status is HELD


def test_r31_a_fill_after_the_target_has_closed_the_first_part_is_protected_again() -> None:
    world = EmulationWorld(NO_STOPS)
    entry = world.enter("10", BOTH)
    world.fill(entry, "4", "100")
    world.answer()
    world.fill(world.at(entry, "target"), "4", "104")
    assert world.position == 0

    world.fill(entry, "6", "100")

    assert world.at(entry, "stop.2").quantity == D(6)
    assert world.at(entry, "target.2").quantity == D(6)
