"""What an operator's verbs do to a running system, each refusal, and doing it twice."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from framework import Strategy
from framework.clock.clock import LiveClock
from framework.errors import OrderError
from framework.interfaces import AdapterContext
from framework.model.commands import CancelOrder, SubmitOrder, VenueCommand
from framework.model.decimals import ONE, ZERO
from framework.model.identity import EXTERNAL_RUN
from framework.model.orders import NO_BUCKET, Order, OrderStatus, RequestState, Side
from framework.model.records import GateSet, PositionAssigned
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, OrderFilled
from framework.model.runs import RunState
from framework.model.venue_state import OrderReport
from framework.runtime.control import Assignment
from framework.runtime.operations import BY_KILL_FILE, SystemOperations
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.risk_limits import RunawaySettings
from framework.settings.structs import RiskSettings
from framework.simulation.loop import run_simulated
from tests.framework.runtime.answering_venue import LOST_BEFORE, AnsweringVenue
from tests.scripted_venue import BTC, START_NS, Script, entries, quote, settings, strategy_of

ADA = "1000 (ada)"
TWO = Decimal(2)
KILL_FILE = Path("/nowhere/stop")


class Hands(Strategy):
    """Does nothing by itself."""

    def on_start(self) -> None:
        self.watch_quotes(BTC)


class Idle(Hands):
    """A second run on the account."""


class World:
    """A running system, the operator's verbs on it, and its venue where the account is live."""

    def __init__(
        self, runtime: Runtime, venue: AnsweringVenue | None, bids: list[float] | None = None
    ) -> None:
        self.runtime = runtime
        self.bids = bids or []  # the last one is the market's
        self.venue = venue
        self.files: set[Path] = set()
        self.alerts: list[tuple[str, str]] = []
        self.do = SystemOperations(
            runtime.system, kill_file=KILL_FILE, exists=self.files.__contains__, alert=self._alert
        )

    @property
    def strategy(self) -> Any:
        return strategy_of(self.runtime)

    @property
    def gate(self) -> str:
        return self.runtime.system.safeguards.kill_switch.state.value

    def state_of(self, run: str) -> RunState:
        return next(known.state for known in self.do.runs() if known.id == run)

    def held(self, run: str) -> Decimal:
        return self.runtime.engine.ledger.net_quantity(run, BTC)

    def order(self, order_id: str) -> Order:
        return next(order for order in self.do.orders(is_all=True) if order.order_id == order_id)

    def orders_of(self, run: str) -> list[Order]:
        return [order for order in self.do.orders(is_all=True) if order.run == run]

    async def bought(self, quantity: str) -> None:
        """Let the first run buy at the market."""
        self.strategy.buy(BTC, Decimal(quantity))
        await self.until(lambda: self.held("run") == Decimal(quantity))

    async def resting(self, price: int = 90) -> str:
        """Let the first run buy where nobody sells; return the order's id."""
        order_id: str = self.strategy.buy(BTC, 1, price=price).order_id
        await self.until(lambda: self.order(order_id).status is OrderStatus.ACCEPTED)
        return order_id

    async def until(self, condition: Callable[[], object]) -> None:
        with anyio.fail_after(60):
            while not condition():  # noqa: ASYNC110 - virtual time
                await anyio.sleep(0.01)

    def _alert(self, name: str, message: str, *, key: str = "", level: str = "error") -> None:
        self.alerts.append((name, level))


def play(
    act: Callable[[World], Awaitable[None]],
    *,
    mode: Mode = Mode.PAPER,
    external: OrderReport | None = None,
    **risk: Any,
) -> None:
    """Run two runs on one account, on virtual time, and `act` beside them."""
    venues: list[AnsweringVenue] = []
    bids = [100.0]

    def broker(context: AdapterContext) -> Any:
        assert isinstance(context.clock, LiveClock)
        venue = AnsweringVenue(context.clock)
        venue.publish = cast("Callable[[object], None]", context.publish)
        if external is not None:
            venue.accepted["external"] = (0, external)
        venues.append(venue)
        return venue

    async def feed(context: AdapterContext) -> None:
        while True:
            now_ns = context.clock.now_ns
            context.publish(quote((now_ns - START_NS) / 1e9, bids[-1], bids[-1] + 1))
            await anyio.sleep(0.1)

    script = Script(live=feed, broker=broker if mode is Mode.LIVE else None)
    chosen = settings(Hands, Idle, script=script, mode=mode, risk=RiskSettings(**risk))

    async def main() -> None:
        async with Runtime(chosen) as runtime:
            world = World(runtime, venues[0] if venues else None, bids)
            await world.until(lambda: runtime.engine.market.reference_price(BTC))
            await act(world)

    run_simulated(main, seed=1, start_ns=START_NS)


def assignment(quantity: str, *, price: str = "100", number: int = 1, **changes: str) -> Assignment:
    runs = {"from_run": "run", "to_run": "run1", **changes}
    return Assignment(
        assignment_id=f"a{number}",
        instrument=runs.pop("instrument", BTC),
        quantity=Decimal(quantity),
        price=Decimal(price),
        bucket=NO_BUCKET,
        **runs,
    )


def refused(call: Callable[[], object], reason: str) -> None:
    with pytest.raises(OrderError, match=reason):
        call()


# -- kill and release ------------------------------------------------------------------------------


def test_r64_a_kill_cancels_entries_keeps_positions_and_is_written_down() -> None:
    async def act(world: World) -> None:
        await world.bought("2")
        order_id = await world.resting()

        world.do.kill(reason="fire", by=ADA, flatten=False)

        await world.until(lambda: world.order(order_id).status is OrderStatus.CANCELLED)
        assert world.gate == "halted"
        assert world.held("run") == 2
        assert world.strategy.buy(BTC, 1, price=90).order.status is OrderStatus.DENIED
        (gate,) = entries(world.runtime, GateSet)
        assert (gate.state, gate.reason) == ("halted", f"fire (by {ADA})")
        assert world.alerts == [("kill_switch", "critical")]

    play(act)


def test_r64_a_kill_that_flattens_closes_positions_while_halted() -> None:
    async def act(world: World) -> None:
        await world.bought("2")
        await world.resting()

        world.do.kill(reason="fire", by=ADA, flatten=True)

        await world.until(lambda: not world.held("run") and not world.do.orders(is_all=False))
        assert world.gate == "halted"

    play(act)


def test_r66_one_kill_is_one_alert_though_the_file_and_the_operator_ask_for_it() -> None:
    async def act(world: World) -> None:
        switch = world.runtime.system.safeguards.kill_switch
        switch.trip(BY_KILL_FILE, "fire", 1)  # as the watching thread does
        world.do.kill(reason="fire", by=BY_KILL_FILE, flatten=False)
        world.do.kill(reason="fire", by=ADA, flatten=False)
        world.do.kill(reason="fire", by=ADA, flatten=False)
        assert world.alerts == [("kill_switch", "critical")]

        world.do.release(reason="over", by=ADA)
        world.do.kill(reason="fire", by=ADA, flatten=False)
        assert [name for name, _ in world.alerts][1:] == ["kill_switch_released", "kill_switch"]

    play(act)


def test_r64_a_release_is_refused_while_the_kill_file_is_there() -> None:
    async def act(world: World) -> None:
        world.do.kill(reason="fire", by=ADA, flatten=False)
        world.files.add(KILL_FILE)
        refused(lambda: world.do.release(reason="over", by=ADA), "stop is still there")
        assert world.gate == "halted"

        world.files.clear()
        world.do.release(reason="over", by=ADA)
        assert world.gate == "active"
        await world.resting()

    play(act)


def test_r64_what_somebody_else_holds_back_a_release_does_not_let_go() -> None:
    async def act(world: World) -> None:
        world.do.kill(reason="fire", by=ADA, flatten=False)
        world.runtime.system.safeguards.kill_switch.trip("journal", "disk full", 1)

        refused(lambda: world.do.release(reason="over", by=ADA), "still holds .*: disk full")

        assert world.gate == "halted"

    play(act)


# -- assign ----------------------------------------------------------------------------------------


def test_an_assignment_moves_a_position_once_however_often_it_is_asked() -> None:
    async def act(world: World) -> None:
        await world.bought("2")

        for _ in range(3):
            world.do.assign(assignment("2"), by=ADA)

        assert (world.held("run"), world.held("run1")) == (ZERO, TWO)
        assert len(entries(world.runtime, PositionAssigned)) == 1
        assert [position.run for position in world.do.positions()] == ["run1"]

        world.do.assign(assignment("2", number=2, from_run="run1", to_run=EXTERNAL_RUN), by=ADA)
        world.do.assign(assignment("1", number=3, from_run=EXTERNAL_RUN, to_run="run"), by=ADA)
        assert (world.held("run"), world.held("run1")) == (ONE, ZERO)

    play(act)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (assignment("3"), "holds 2 x:BTC, not 3"),
        (assignment("-1"), "holds 2 x:BTC, not -1"),
        (assignment("1", price="100.3"), "100.3 is not on the tick 0.5"),
        (assignment("1", price="0"), "0"),
        (assignment("1", instrument="x:DOGE"), "unknown instrument 'x:DOGE'"),
        (assignment("1", from_run="nobody"), "unknown run 'nobody'"),
        (assignment("1", to_run="nobody"), "unknown run 'nobody'"),
        (assignment("1", to_run="run"), "both sides"),
        (assignment("1", from_run=EXTERNAL_RUN, to_run=EXTERNAL_RUN), "unknown run 'external'"),
    ],
)
def test_an_impossible_assignment_is_refused_and_changes_nothing(
    asked: Assignment, reason: str
) -> None:
    async def act(world: World) -> None:
        await world.bought("2")
        refused(lambda: world.do.assign(asked, by=ADA), reason)
        assert world.held("run") == 2
        assert entries(world.runtime, PositionAssigned) == []

    play(act)


# -- close a run -----------------------------------------------------------------------------------


def test_a_run_is_closed_when_nothing_of_it_is_left() -> None:
    async def act(world: World) -> None:
        await world.bought("2")
        order_id = await world.resting()
        close = world.do.close_run
        refused(lambda: close("nobody", assign_to_external=False, by=ADA), "unknown run")
        refused(lambda: close(EXTERNAL_RUN, assign_to_external=True, by=ADA), "unknown run")
        refused(lambda: close("run", assign_to_external=True, by=ADA), "1 open orders")
        world.strategy.cancel(order_id)
        await world.until(lambda: world.order(order_id).status is OrderStatus.CANCELLED)
        refused(lambda: close("run", assign_to_external=False, by=ADA), "is not flat")

        for _ in range(2):
            close("run", assign_to_external=True, by=ADA)

        assert world.state_of("run") is RunState.CLOSED
        assert [(held.run, held.quantity) for held in world.do.positions()] == [(EXTERNAL_RUN, TWO)]
        assert world.strategy.buy(BTC, 1, price=90).order.status is OrderStatus.DENIED

        back = assignment("1", from_run=EXTERNAL_RUN, to_run="run")
        refused(lambda: world.do.assign(back, by=ADA), "run 'run' is closed")
        refused(lambda: world.do.adopt("v1", "run", by=ADA), "run 'run' is closed")
        refused(lambda: world.do.resume_run("run", by=ADA), "run 'run' is closed")
        assert world.strategy.buy(BTC, 1, price=90).order.status is OrderStatus.DENIED

    play(act)


# -- resume a run ----------------------------------------------------------------------------------


def test_r62_a_run_that_ran_away_is_paused_until_a_person_resumes_it() -> None:
    async def act(world: World) -> None:
        refused(lambda: world.do.resume_run("run", by=ADA), "run 'run' is not paused")
        refused(lambda: world.do.resume_run("nobody", by=ADA), "unknown run 'nobody'")
        for _ in range(4):
            world.strategy.buy(BTC, 1, price=90)
        assert world.state_of("run") is RunState.PAUSED
        assert world.strategy.buy(BTC, 1, price=90).order.status is OrderStatus.DENIED

        world.do.resume_run("run", by=ADA)

        assert world.state_of("run") is RunState.ACTIVE
        await world.resting()
        refused(lambda: world.do.resume_run("run", by=ADA), "run 'run' is not paused")

    play(act, runaway=RunawaySettings(max_orders_per_second=3))


class Broken(Hands):
    """Cannot even start."""

    def on_start(self) -> None:
        raise RuntimeError("no settings")


def test_a_run_whose_strategy_was_halted_says_so() -> None:
    async def main() -> None:
        async with Runtime(settings(Broken, script=Script(), mode=Mode.PAPER)) as runtime:
            world = World(runtime, None)
            await world.until(lambda: runtime.system.runs[0].is_halted)
            (run,) = world.do.runs()
            assert run.reason.startswith("strategy halted: on_start raised RuntimeError")
            refused(lambda: world.do.resume_run("run", by=ADA), "halted until a restart")

    run_simulated(main, seed=1, start_ns=START_NS)


# -- doubt, other people's orders, breakers --------------------------------------------------------


async def in_doubt(world: World) -> str:
    """Send an order that is lost on its way; return its id once that is noticed."""
    assert world.venue is not None
    world.venue.fate = lambda command: LOST_BEFORE
    world.venue.failing = {"order", "orders", "executions"}
    order_id: str = world.strategy.buy(BTC, 2, price=90).order_id
    await world.until(lambda: world.order(order_id).submit_state is RequestState.IN_DOUBT)
    return order_id


@pytest.mark.parametrize(
    ("fact", "status", "held"),
    [
        (lambda order: OrderAccepted(order, START_NS, "v7"), OrderStatus.ACCEPTED, 0),
        (
            lambda order: OrderEnded(order, EndKind.REJECTED, START_NS, "seen", "operator"),
            OrderStatus.REJECTED,
            0,
        ),
        (
            lambda order: OrderEnded(order, EndKind.CANCELLED, START_NS, "seen", "operator"),
            OrderStatus.CANCELLED,
            0,
        ),
        (
            lambda order: OrderFilled(order, "e1", Decimal(2), Decimal(90), START_NS),
            OrderStatus.FILLED,
            2,
        ),
    ],
)
def test_r21_a_person_ends_the_doubt_about_an_order(
    fact: Callable[[str], Any], status: OrderStatus, held: int
) -> None:
    async def act(world: World) -> None:
        order_id = await in_doubt(world)
        too_much = OrderFilled(order_id, "e1", Decimal(20), Decimal(90), START_NS)
        refused(lambda: world.do.resolve(order_id, too_much, by=ADA), "lacks 2, not 20")

        world.do.resolve(order_id, fact(order_id), by=ADA)

        assert world.order(order_id).status is status
        assert world.order(order_id).submit_state is not RequestState.IN_DOUBT
        assert world.held("run") == held
        refused(lambda: world.do.resolve(order_id, fact(order_id), by=ADA), "nothing is in doubt")
        refused(lambda: world.do.resolve("o0", fact("o0"), by=ADA), "unknown order 'o0'")

    play(act, mode=Mode.LIVE)


def test_an_order_that_was_only_just_sent_is_not_in_doubt() -> None:
    async def act(world: World) -> None:
        order_id = await world.resting()
        world.strategy.cancel(order_id)
        end = OrderEnded(order_id, EndKind.CANCELLED, START_NS, "seen", "operator")
        refused(lambda: world.do.resolve(order_id, end, by=ADA), "accepted: nothing is in doubt")

    play(act)


FOREIGN = OrderReport(
    "main", "F-1", BTC, Side.BUY, Decimal(3), Decimal(0), OrderStatus.ACCEPTED, START_NS,
    price=Decimal(80),
)  # fmt: skip


def test_r26_an_order_that_nobody_here_sent_is_adopted_and_then_ours() -> None:
    async def act(world: World) -> None:
        assert world.venue is not None
        (foreign,) = world.orders_of(EXTERNAL_RUN)
        refused(lambda: world.do.adopt("F-2", "run", by=ADA), "knows no order 'F-2'")
        refused(lambda: world.do.adopt("F-1", "nobody", by=ADA), "unknown run 'nobody'")

        assert world.do.adopt("F-1", "run", by=ADA) == foreign.order_id

        assert [order.quantity for order in world.orders_of("run")] == [3]
        assert world.orders_of(EXTERNAL_RUN) == []
        refused(lambda: world.do.adopt("F-1", "run1", by=ADA), "belongs to run 'run'")
        world.venue.publish(
            OrderFilled(foreign.order_id, "e1", Decimal(1), Decimal(80), world.venue.clock.now_ns)
        )
        assert world.held("run") == 1
        world.strategy.cancel(foreign.order_id)
        received = world.venue.received
        await world.until(lambda: any(isinstance(one, CancelOrder) for one in received))
        assert not any(isinstance(one, SubmitOrder) for one in received)

    play(act, mode=Mode.LIVE, external=FOREIGN)


def test_an_order_that_has_ended_is_not_adopted() -> None:
    async def act(world: World) -> None:
        assert world.venue is not None
        (foreign,) = world.orders_of(EXTERNAL_RUN)
        end = OrderEnded(foreign.order_id, EndKind.CANCELLED, world.venue.clock.now_ns)
        world.venue.publish(end)
        refused(lambda: world.do.adopt("F-1", "run", by=ADA), "F-1|cancelled: assign its position")

    play(act, mode=Mode.LIVE, external=FOREIGN)


def test_r31_exits_that_a_venue_refused_too_often_are_tried_again_after_a_reset() -> None:
    async def act(world: World) -> None:
        venue, publish = world.venue, world.runtime.engine.bus.publish
        assert venue is not None
        take, emulation = venue.send, world.runtime.system.care.emulation

        def refuse(command: VenueCommand) -> None:
            now_ns = venue.clock.now_ns
            publish(OrderEnded(command.order_id, EndKind.REJECTED, now_ns, "not today", "venue"))

        entry = world.strategy.buy(BTC, 2, stop_loss="1%").order_id
        await world.until(lambda: world.order(entry).status is OrderStatus.ACCEPTED)
        publish(OrderFilled(entry, "e1", Decimal(2), Decimal(101), venue.clock.now_ns))
        venue.send = refuse  # type: ignore[method-assign]
        world.bids.append(90.0)
        await world.until(emulation.tripped)
        venue.send = take  # type: ignore[method-assign]

        world.do.reset_breaker(entry, by=ADA)

        assert emulation.tripped() == []
        await world.until(lambda: len(venue.received) == 2)
        assert isinstance(venue.received[1], SubmitOrder)
        assert venue.received[1].intent.reduce_only
        refused(lambda: world.do.reset_breaker(entry, by=ADA), "no exit that was stopped")

    play(act, mode=Mode.LIVE)


def test_a_breaker_that_has_not_tripped_is_not_reset() -> None:
    async def act(world: World) -> None:
        order_id = await world.resting()
        refused(lambda: world.do.reset_breaker(order_id, by=ADA), "no exit that was stopped")
        refused(lambda: world.do.reset_breaker("o0", by=ADA), "unknown order o0")

    play(act)
