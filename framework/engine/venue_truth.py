"""What venues say of orders, executions, positions and cash, turned into our state.

Only where a venue can be out of reach: a simulated one answers within the step.
"""

from collections.abc import Callable
from decimal import Decimal

from framework.engine.engine import Engine
from framework.engine.order_care import Alert, OrderCare
from framework.interfaces import Broker, BrokerCapabilities
from framework.model.account import CashBooked
from framework.model.commands import VenueCommand
from framework.model.events import OrderAnomaly
from framework.model.identity import OrderIds
from framework.model.venue_state import ExecutionReport, OrderNotFound, OrderReport, VenueState
from framework.orders.doubt import Access, Doubts, access_of
from framework.orders.intake import Intake
from framework.orders.reconcile import Reconciliation
from framework.portfolio.runs import Runs

REPORTS = (OrderReport, ExecutionReport, OrderNotFound)


class VenueTruth:
    """Doubts, reports and reconciliation of every account that trades for real."""

    def __init__(
        self,
        engine: Engine,
        runs: Runs,
        care: OrderCare,
        *,
        ids: OrderIds,
        price_of: Callable[[str], Decimal | None],
        alert: Alert,
    ) -> None:
        self._engine = engine
        self._runs = runs
        self._care = care
        self._alert = alert
        self._accesses: dict[str, tuple[Broker, BrokerCapabilities, Access]] = {}
        desk, registry, clock = engine.desk, engine.registry, engine.clock
        self.doubts = Doubts(access=self._access, find=registry.find, alert=alert)
        self.intake = Intake(
            desk=desk,
            registry=registry,
            ids=ids,
            doubts=self.doubts,
            clock=clock,
            record=engine.record,
            alert=alert,
        )
        self.reconciliation = Reconciliation(
            intake=self.intake,
            registry=registry,
            ledger=engine.ledger,
            doubts=self.doubts,
            ids=ids,
            access=self._access,
            clock=clock,
            book=self._book,
            adopt=desk.adopt,
            price_of=price_of,
            record=engine.record,
            alert=alert,
        )

    def attach(self) -> None:
        """Begin to listen: after the log was read into the parts."""
        engine = self._engine
        engine.desk.after_change += [self.doubts.after_change, self.intake.after_change]
        for kind in REPORTS:
            engine.bus.set_step(kind, self.intake.take)
        engine.bus.set_step(VenueState, self._reconcile)
        engine.bus.set_step(OrderAnomaly, self._tell_anomaly)
        engine.outputs.mark_sent = self._mark_sent

    def _access(self, account: str) -> Access:
        """Return what can be asked; looked at once, as that takes 0.1 ms (a protocol's check)."""
        broker = self._engine.brokers[account]
        capabilities = broker.capabilities
        known = self._accesses.get(account)
        if known is None or known[0] is not broker or known[1] is not capabilities:
            known = self._accesses[account] = (broker, capabilities, access_of(broker))
        return known[2]

    def _mark_sent(self, command: VenueCommand) -> None:
        self._engine.desk.mark_sent(command)
        self.doubts.note_sent(command, self._engine.clock.now_ns)

    def _reconcile(self, state: VenueState) -> None:
        findings = self.reconciliation.apply(state)
        if findings.unbacked is not None:
            self._runs.mark_unbacked(state.account, findings.unbacked)

    def _tell_anomaly(self, event: OrderAnomaly) -> None:
        """Tell a person of facts that contradict each other: a fill after the end, and the like."""
        about = f"order {event.order_id} of run {event.run!r} on account {event.account!r}"
        self._alert("order_anomaly", f"{about}: {event.what}", key=event.order_id, level="warning")

    def _book(self, booking: CashBooked) -> None:
        self._engine.desk.apply(booking)
        if booking.instrument:
            self._care.positions_changed(booking.run, booking.instrument)
