"""Brackets under anything at any time: fills, busts, refusals, crossing requests, restarts."""

from decimal import Decimal

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from framework.interfaces import BrokerCapabilities
from framework.model.commands import CancelOrder, SubmitOrder, VenueCommand
from framework.model.exits import ExitRules, ProtectionMode
from framework.model.orders import AtPrice, Exits, Offset, OrderType, RequestState, Side
from framework.model.records import HoldRole
from framework.model.reports import EndKind, RequestKind
from framework.orders.cover import Bracket
from framework.orders.following import is_behind
from framework.orders.leg_prices import counted_price, own_price
from framework.orders.legs import is_executing, is_given_up, is_held, is_live
from framework.orders.order_state import OrderState
from tests.framework.orders.emulation_world import NO_STOPS, EmulationWorld, role_legs, still
from tests.framework.orders.world import SPOT

D = Decimal
EXITS = (
    Exits(stop_loss=Offset(D(3))),
    Exits(stop_loss=Offset(D(3)), take_profit=Offset(D(4))),
    Exits(stop_loss=Offset(D(5)), take_profit=Offset(D(6)), trail=Offset(D(2))),
    Exits(take_profit=Offset(D(2)), trail=Offset(D(2)), trail_activation=Offset(D(1))),
)
CHANGED = (
    Exits(),
    Exits(stop_loss=AtPrice(D(70)), take_profit=AtPrice(D(130))),
    Exits(stop_loss=AtPrice(D(130)), take_profit=AtPrice(D(70))),
    Exits(trail=Offset(D(3))),
)
VENUES = (BrokerCapabilities(), NO_STOPS, BrokerCapabilities(has_modify=False))
MODES = tuple(ProtectionMode)
PROTECTIVE = (HoldRole.STOP_LOSS, HoldRole.TRAIL)
pick = st.integers(0, 1_000)


class BracketMachine(RuleBasedStateMachine):
    """The venue answers in any order, fills what it likes, and never beyond a reduce-only's due."""

    @initialize(venue=st.sampled_from(VENUES), mode=st.sampled_from(MODES))
    def start(self, venue: BrokerCapabilities, mode: ProtectionMode) -> None:
        self.world = EmulationWorld(venue, ExitRules(protection=mode, refused_limit=1_000))
        self.entries: list[OrderState] = []
        self.unanswered: list[VenueCommand] = []
        self.at_venue: dict[str, OrderState] = {}
        self.fills: list[tuple[OrderState, str]] = []
        self.price = 100.0
        self.execution_count = 0

    def collect(self) -> None:
        """Move what was sent to what the venue has to answer."""
        self.unanswered += self.world.sent
        self.world.sent.clear()

    @rule(exits=st.sampled_from(EXITS), side=st.sampled_from(Side), lots=st.integers(1, 9))
    def enter(self, exits: Exits, side: Side, lots: int) -> None:
        if len(self.entries) < 3:
            self.entries.append(
                self.world.enter(str(lots), exits, side=side, type=OrderType.MARKET, price=None)
            )

    @rule(side=st.sampled_from(Side), lots=st.integers(1, 9))
    def trade_by_hand(self, side: Side, lots: int) -> None:
        self.world.desk.submit(
            self.world.intent(side, str(lots), price=D(100), type=OrderType.LIMIT)
        )

    @rule(at=pick, whole=st.booleans(), lots=st.integers(1, 5))
    def fill(self, at: int, whole: bool, lots: int) -> None:
        self.collect()
        live = list(self.at_venue.values())
        live += [
            self.world.order(command.order_id)  # a fill before the acceptance
            for command in self.unanswered
            if isinstance(command, SubmitOrder) and command.order_id not in self.at_venue
        ]
        live = [order for order in live if not order.is_closed]
        if not live:
            return
        order = live[at % len(live)]
        most = order.facts.remaining if whole else min(D(lots), order.facts.remaining)
        if order.reduce_only:
            held = -self.world.position if order.is_buy else self.world.position
            most = min(most, max(D(0), held))
        if most > 0:
            self.execution_count += 1
            name = f"x{self.execution_count}"
            price = str(round(self.price))
            self.world.fill(order, str(most), price, execution=name)
            self.world.fill(order, str(most), price, execution=name)
            if not order.parent:
                self.fills.append((order, name))

    @rule(at=pick)
    def answer(self, at: int) -> None:
        self.collect()
        if self.unanswered:
            command = self.unanswered.pop(at % len(self.unanswered))
            if isinstance(command, SubmitOrder):
                self.at_venue[command.order_id] = self.world.order(command.order_id)
            self.world.answer_one(command)

    @rule(at=pick)
    def refuse(self, at: int) -> None:
        self.collect()
        if not self.unanswered:
            return
        command = self.unanswered[at % len(self.unanswered)]
        order = self.world.order(command.order_id)
        if isinstance(command, SubmitOrder) and (order.filled or not order.parent):
            return
        self.unanswered.remove(command)
        if isinstance(command, SubmitOrder):
            self.world.reject(order)
        elif not order.is_closed:
            is_cancel = isinstance(command, CancelOrder)
            self.world.refuse(order, RequestKind.CANCEL if is_cancel else RequestKind.MODIFY)

    @rule(at=pick)
    def end_unasked(self, at: int) -> None:
        live = [order for order in self.at_venue.values() if not order.is_closed]
        if live:
            self.world.end(live[at % len(live)], EndKind.EXPIRED)

    @rule(at=pick, lots=st.integers(0, 3))
    def correct(self, at: int, lots: int) -> None:
        if self.fills:
            order, execution = self.fills[at % len(self.fills)]
            known = order.facts.executions[execution]
            self.world.bust(order, execution, str(min(D(lots), known.quantity)))

    @rule(move=st.integers(-5, 5))
    def quote(self, move: int) -> None:
        self.price = min(120.0, max(80.0, self.price + move))
        self.world.quote(self.price)

    @rule(at=pick)
    def cancel_something(self, at: int) -> None:
        orders = self.world.registry.open_orders("r")
        if orders:
            self.world.desk.cancel(orders[at % len(orders)].order_id)

    @rule(at=pick, exits=st.sampled_from((*EXITS, *CHANGED)))
    def replace_exits(self, at: int, exits: Exits) -> None:
        if self.entries:
            entry = self.entries[at % len(self.entries)]
            before = len(self.world.recorded)
            refusal = self.world.desk.modify_exits(entry.order_id, exits)
            assert (refusal is None) or len(self.world.recorded) == before

    @rule(at=pick, move=st.integers(-3, 3))
    def move_a_leg(self, at: int, move: int) -> None:
        legs = [leg for leg in self.world.registry.open_orders("r") if leg.parent]
        if not legs:
            return
        leg = legs[at % len(legs)]
        if leg.role is HoldRole.STOP_LOSS and leg.facts.stop_price is not None:
            self.world.desk.modify(leg.order_id, stop_price=leg.facts.stop_price + move)
        elif leg.role is HoldRole.TAKE_PROFIT and leg.price is not None:
            self.world.desk.modify(leg.order_id, price=leg.price + move)
        elif leg.role is HoldRole.TRAIL:
            self.world.desk.modify(leg.order_id, trail=Offset(D(1 + abs(move))))

    @rule()
    def close(self) -> None:
        self.world.desk.close("r", SPOT)

    @rule()
    def restart(self) -> None:
        self.world.emulation.on_booking("r", SPOT)  # a request is noticed with its answer
        if any(hides_its_cover(bracket) for bracket in self.world.emulation.brackets):
            return
        before = self.world.seen()
        self.world.restart()
        assert self.world.seen() == before

    @invariant()
    def exits_never_exceed_the_position(self) -> None:
        if not hasattr(self, "world"):
            return
        position = self.world.position
        for is_long in (True, False):
            total = sum(
                (most_still(b) for b in self.world.emulation.brackets if b.is_long is is_long),
                D(0),
            )
            assert total <= max(D(0), position if is_long else -position)

    @invariant()
    def two_legs_are_never_at_the_venue(self) -> None:
        if hasattr(self, "world"):
            for bracket in self.world.emulation.brackets:
                assert len(bracket.live_legs()) <= 1

    @invariant()
    def legs_follow_the_exits(self) -> None:
        if hasattr(self, "world"):
            for bracket in self.world.emulation.brackets:
                for role in bracket.roles:
                    assert_follows(bracket, role)
                for leg in bracket.open_legs():
                    assert leg.role in bracket.roles or is_executing(leg) or is_given_up(leg)

    @invariant()
    def what_is_covered_has_its_stop(self) -> None:
        if hasattr(self, "world"):
            for bracket in self.world.emulation.brackets:
                for role in bracket.roles:
                    assert_covered(bracket, role)


def assert_follows(bracket: Bracket, role: HoldRole) -> None:
    """Once its answers are there, a leg is where the newest exits want it."""
    newest = bracket.newest(role)
    if newest is None or bracket.cover <= 0 or not is_behind(bracket.entry, newest):
        return
    if is_waiting(newest) or is_executing(newest):
        return
    assert role is not HoldRole.TRAIL
    assert not newest.is_closed
    assert not is_given_up(newest)
    assert own_price(newest) == counted_price(bracket, role)


def most_still(bracket: Bracket) -> Decimal:
    """Return what the legs of a bracket may still fill, given that they exclude each other.

    Left out: what no request of ours can change any more (an executing order, a request that has
    not been answered); a venue's reduce-only bounds it.
    """
    sums = []
    for role in bracket.roles:
        legs = role_legs(bracket, role)
        if not any(is_executing(leg) or is_waiting(leg) for leg in legs):
            sums.append(sum((still(leg) for leg in legs), D(0)))
    return max(sums, default=D(0))


def assert_covered(bracket: Bracket, role: HoldRole) -> None:
    newest = bracket.newest(role)
    legs = role_legs(bracket, role)
    if any(is_executing(leg) or is_waiting(leg) for leg in legs):
        return
    if newest is None:
        assert bracket.cover == 0
    elif not is_given_up(newest):
        assert sum((still(leg) for leg in legs), D(0)) == bracket.cover
    if newest is not None and bracket.cover > 0 and not is_given_up(newest):
        assert is_held(newest) or is_live(newest)


def hides_its_cover(bracket: Bracket) -> bool:
    """Tell whether no leg shows what was written off: a restart covers that again, if held."""
    newest = [leg for role in bracket.roles if (leg := bracket.newest(role)) is not None]
    working = [leg for leg in newest if not leg.is_closed and not is_given_up(leg)]
    return bracket.written_off > 0 and (
        not newest or (bool(working) and all(is_waiting(leg) for leg in working))
    )


def is_waiting(leg: OrderState) -> bool:
    """Tell whether a change of a leg has been asked for and not answered."""
    return leg.facts.modify_state is not RequestState.NONE


BracketMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
test_r31_r32_brackets_under_anything = BracketMachine.TestCase
