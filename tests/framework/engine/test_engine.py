"""What the engine does with facts that no order waits for, and with waits that nobody ends."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from framework.clock.clock import VirtualClock
from framework.engine.engine import Engine
from framework.errors import InvariantBroken, UnknownInstrument
from framework.interfaces import BrokerCapabilities
from framework.model.account import CashBooked, CashReason, Position, Settled
from framework.model.commands import VenueCommand
from framework.model.identity import EXTERNAL_RUN, OrderIds
from framework.model.instrument import Instrument, InstrumentChanged, InstrumentKind
from framework.model.orders import OrderIntent, OrderStatus, Side
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, OrderFilled
from framework.risk.limits.configured import standard_checks
from framework.settings.risk_limits import RiskSettings
from framework.simulation.loop import run_simulated
from framework.store.memory import MemoryLog
from tests.scripted_venue import BTC, SECOND_NS, START_NS


class Silent:
    """A broker that takes everything and never answers."""

    capabilities = BrokerCapabilities()

    def send(self, command: VenueCommand) -> None:
        """Take a command."""

    async def run(self) -> None:
        """Have nothing to own."""


def engine_of(clock: VirtualClock | None = None) -> Engine:
    """Return an engine with one instrument, and no venue that answers."""
    engine = Engine(
        clock=clock or VirtualClock(START_NS),
        log=MemoryLog(),
        ids=OrderIds("test"),
        account_of=lambda run: "main",
    )
    engine.gate.use(standard_checks(RiskSettings()))
    engine.instruments[BTC] = Instrument(BTC, kind=InstrumentKind.PERPETUAL)
    engine.brokers["main"] = Silent()
    engine.bus.pump()
    return engine


def bought(engine: Engine, key: str = "a") -> str:
    """Return the id of an order that was filled at 100."""
    order = engine.desk.submit(OrderIntent("run", key, BTC, Side.BUY, Decimal(1)))
    engine.bus.publish(OrderAccepted(order.order_id, START_NS))
    fill = OrderFilled(order.order_id, f"x-{key}", Decimal(1), Decimal(100), START_NS)
    engine.bus.publish(fill)
    return order.order_id


def heard_by(engine: Engine, *kinds: type, **only: Any) -> list[Any]:
    """Return a list that events of these types will be added to."""
    heard: list[Any] = []
    engine.bus.on(*kinds, **only)(heard.append)
    return heard


def gift(amount: int, booking_id: str) -> CashBooked:
    """Return cash for the run."""
    reason = CashReason.DEPOSIT
    return CashBooked("main", "run", "USD", Decimal(amount), reason, START_NS, booking_id)


def test_cash_that_a_broker_publishes_is_booked_once_written_down_and_told_once() -> None:
    engine = engine_of()
    heard = heard_by(engine, CashBooked, runs=["run"])

    engine.bus.publish(gift(5, "one"))
    engine.bus.publish(gift(7, "two"))
    engine.bus.deliver_all()

    assert engine.ledger.cash("main", "run") == {"USD": 12}
    assert [entry for _, entry in engine.log.read()] == heard == [gift(5, "one"), gift(7, "two")]

    engine.bus.publish(gift(5, "one"))
    assert engine.ledger.cash("main", "run") == {"USD": 12}


def test_an_instrument_that_ends_closes_positions_at_its_price() -> None:
    engine = engine_of()
    bought(engine)
    heard = heard_by(engine, Position, Settled)

    engine.bus.publish(Settled("main", BTC, Decimal(90), START_NS, "end"))
    engine.bus.deliver_all()

    assert engine.ledger.net_quantity("run", BTC) == 0
    assert engine.ledger.cash("main") == {"USD": Decimal(-10)}
    assert [type(event).__name__ for event in heard] == ["Settled", "Position"]


def test_an_order_that_nobody_here_sent_is_kept_apart() -> None:
    engine = engine_of()

    engine.bus.publish(OrderFilled("theirs", "x-9", Decimal(1), Decimal(100), START_NS))

    assert list(engine.registry.external_facts) == ["theirs"]
    assert engine.ledger.net_quantity(EXTERNAL_RUN, BTC) == 0
    assert engine.bus.halted is None


def test_a_definition_that_changes_holds_from_then_on() -> None:
    engine = engine_of()
    coarser = Instrument(BTC, kind=InstrumentKind.PERPETUAL, lot=Decimal(10))

    engine.bus.publish(InstrumentChanged(BTC, START_NS, START_NS, coarser))

    order = engine.desk.submit(OrderIntent("run", "a", BTC, Side.BUY, Decimal(1)))
    assert order.status is OrderStatus.DENIED
    assert "lot 10" in order.reason
    with pytest.raises(UnknownInstrument):
        engine.instrument("x:NONE")


def test_after_a_broken_step_nothing_is_taken_any_more() -> None:
    engine = engine_of()

    def broken(fill: Any) -> None:
        raise ZeroDivisionError

    engine.fill_listeners.append(broken)
    with pytest.raises(InvariantBroken, match="step failed on Fill"):
        bought(engine)

    with pytest.raises(InvariantBroken, match="has halted"):
        engine.bus.publish(gift(5, "one"))
    assert engine.ledger.cash("main", "run").get("USD", 0) == 0


def test_waits_end_with_what_they_wait_for_with_time_or_with_their_task() -> None:
    clock = VirtualClock(START_NS)

    async def main() -> list[str]:
        engine = engine_of(clock)
        state = engine.desk.submit(OrderIntent("run", "a", BTC, Side.BUY, Decimal(1), price=None))
        notes: list[str] = []

        async def wait(name: str, timeout_s: float | None) -> None:
            try:
                order = await engine.order_when(
                    state.order_id, lambda order: order.is_closed, timeout_s
                )
                notes.append(f"{name} {order.status.value}")
            except TimeoutError:
                notes.append(f"{name} timed out")
            except asyncio.CancelledError:
                notes.append(f"{name} cancelled")
                raise

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait("patient", None))
            tasks.create_task(wait("impatient", 2))
            cancelled = tasks.create_task(wait("third", 60))
            await asyncio.sleep(0)
            clock.advance_to(START_NS + 2 * SECOND_NS)
            while (timer := clock.timers.pop(clock.now_ns)) is not None:
                timer.callback()
            cancelled.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not state.is_closed
            engine.bus.publish(
                OrderEnded(state.order_id, EndKind.EXPIRED, clock.now_ns, "time is up")
            )
        assert len(clock.timers) == 0
        assert not engine._waiting  # nothing is kept of waits that ended
        return notes

    assert run_simulated(main) == ["impatient timed out", "third cancelled", "patient expired"]
