"""A desk with everything that takes in what its venue says; the venue is played by the test."""

from collections.abc import Callable
from decimal import Decimal

from framework.engine.snapshots import CoreParts
from framework.errors import UnknownInstrument
from framework.interfaces import Clock
from framework.model.account import CashBooked, Settled
from framework.model.commands import VenueCommand
from framework.model.identity import OrderIds
from framework.model.instrument import Instrument
from framework.model.orders import OrderIntent, OrderStatus, OrderType, Side
from framework.model.reports import OrderFact
from framework.model.runs import Execution
from framework.model.venue_state import (
    BalanceReport,
    ExecutionReport,
    OrderNotFound,
    OrderReport,
    PositionReport,
    VenueState,
)
from framework.orders.doubt import Access, Doubts
from framework.orders.intake import Intake
from framework.orders.openings import Openings
from framework.orders.order_state import OrderState
from framework.orders.reconcile import Findings, Reconciliation
from framework.orders.registry import OrderRegistry
from framework.orders.submission import OrderDesk
from framework.portfolio.ledger import Ledger
from framework.portfolio.runs import Runs
from framework.risk.gate import Gate
from framework.store.memory import MemoryLog
from tests.fakes import ManualClock
from tests.framework.orders.world import INSTRUMENTS, PERPETUAL, SPOT, FakeMarket

SECOND_NS = 1_000_000_000
START_NS = 1_000 * SECOND_NS
BUY, SELL = Side.BUY, Side.SELL
ACCEPTED = OrderStatus.ACCEPTED


class VenueWorld:
    """One account `main` at one venue, a log in memory, and what was told to a person."""

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        can_ask: bool = True,
        has_client_ids: bool = True,
        visibility_s: float = 0.0,
        log: MemoryLog | None = None,
        key_prefix: str = "",
    ) -> None:
        self.manual = ManualClock(START_NS)
        self.clock = clock or self.manual
        self.market = FakeMarket()
        self.instruments = dict(INSTRUMENTS)
        self.sent: list[VenueCommand] = []
        self.on_send: Callable[[VenueCommand], None] = self.sent.append
        self.alerts: list[tuple[str, str]] = []
        self.findings: list[Findings] = []
        self.log = log or MemoryLog(journal_id="test")
        self.ids = OrderIds(self.log.journal_id)
        self.ledger = Ledger(self.instrument)
        self.registry = OrderRegistry()
        self.runs = Runs({"main": Execution.LIVE}, lambda run: self.record(run))
        self.desk = OrderDesk(
            ids=self.ids,
            registry=self.registry,
            gate=Gate([]),
            ledger=self.ledger,
            instrument=self.instrument,
            clock=self.clock,
            market=self.market,
            emit=lambda event: None,
            wants=lambda kind, run: False,
            send=self.send,
            record=self.record,
            account_of=lambda run: "main",
        )
        access = Access(can_ask, has_client_ids, round(visibility_s * SECOND_NS))
        self.doubts = Doubts(
            access=lambda account: access, find=self.registry.find, alert=self.alert
        )
        self.intake = Intake(
            desk=self.desk,
            registry=self.registry,
            ids=self.ids,
            doubts=self.doubts,
            clock=self.clock,
            record=self.record,
            alert=self.alert,
        )
        self.reconciliation = Reconciliation(
            intake=self.intake,
            registry=self.registry,
            ledger=self.ledger,
            doubts=self.doubts,
            ids=self.ids,
            access=lambda account: access,
            clock=self.clock,
            book=self.desk.apply,
            adopt=self.desk.adopt,
            price_of=lambda name: None if self.market.price is None else Decimal(100),
            record=self.record,
            alert=self.alert,
        )
        self.desk.after_change += [self.doubts.after_change, self.intake.after_change]
        self.parts = CoreParts(
            self.registry,
            self.ledger,
            self.runs,
            self.intake.recent,
            self.reconciliation.reconciled_ns,
            {},
            Openings(self.ledger),
        )
        self.desk.after_change.append(self.parts.openings.after_change)
        self._count = 0
        self._key_prefix = key_prefix

    def instrument(self, name: str) -> Instrument:
        if name not in self.instruments:
            raise UnknownInstrument(name)
        return self.instruments[name]

    def record(self, entry: object) -> None:
        self.log.append(entry)  # type: ignore[arg-type]
        self.parts.note(entry)  # type: ignore[arg-type]

    def alert(self, name: str, message: str, *, key: str = "", level: str = "error") -> None:
        self.alerts.append((name, message))

    def alert_names(self) -> list[str]:
        return [name for name, _ in self.alerts]

    def send(self, command: VenueCommand) -> None:
        self.desk.mark_sent(command)
        self.doubts.note_sent(command, self.clock.now_ns)
        self.on_send(command)

    def publish(self, event: object) -> None:
        """Step one input, as the engine's bus would."""
        if isinstance(event, VenueState):
            self.findings.append(self.reconciliation.apply(event))
        elif isinstance(event, OrderReport | ExecutionReport | OrderNotFound):
            self.intake.take(event)
        else:
            assert isinstance(event, OrderFact | CashBooked | Settled)
            self.desk.apply(event)

    def pass_time(self, seconds: float) -> None:
        self.manual.advance_to(self.manual.now_ns + round(seconds * SECOND_NS))

    def submit(
        self,
        side: Side = BUY,
        quantity: str = "1",
        price: str | None = "100",
        *,
        run: str = "r",
        instrument: str = PERPETUAL,
        tags: tuple[str, ...] = (),
    ) -> OrderState:
        self._count += 1
        kind = OrderType.MARKET if price is None else OrderType.LIMIT
        limit = None if price is None else Decimal(price)
        key = f"{self._key_prefix}k{self._count}"
        return self.desk.submit(
            OrderIntent(run, key, instrument, side, Decimal(quantity), kind, limit, tags=tags)
        )

    def order_report(
        self,
        order: OrderState | None,
        status: OrderStatus = ACCEPTED,
        *,
        name: str = "V1",
        filled: str = "0",
        **fields: object,
    ) -> OrderReport:
        """Return what the venue says about an order of ours, or about somebody's of 1 at 100."""
        values: dict[str, object] = {
            "account": "main",
            "venue_order_id": name,
            "instrument": PERPETUAL if order is None else order.intent.instrument,
            "side": BUY if order is None else order.intent.side,
            "quantity": Decimal(1) if order is None else order.quantity,
            "filled": Decimal(filled),
            "status": status,
            "time_ns": self.clock.now_ns,
            "order_id": "" if order is None else order.order_id,
            "price": Decimal(100) if order is None else order.price,
        }
        values.update(fields)
        return OrderReport(**values)  # type: ignore[arg-type]

    def execution(
        self,
        order: OrderState | None,
        execution_id: str,
        quantity: str = "1",
        price: str = "100",
        *,
        name: str = "V1",
        **fields: object,
    ) -> ExecutionReport:
        values: dict[str, object] = {
            "account": "main",
            "execution_id": execution_id,
            "venue_order_id": name,
            "instrument": PERPETUAL if order is None else order.intent.instrument,
            "side": BUY if order is None else order.intent.side,
            "quantity": Decimal(quantity),
            "price": Decimal(price),
            "time_ns": self.clock.now_ns,
            "order_id": "" if order is None else order.order_id,
        }
        values.update(fields)
        return ExecutionReport(**values)  # type: ignore[arg-type]

    def state(self, **parts: object) -> VenueState:
        """Return a complete answer, asked just now; parts that are not given are empty."""
        asked_ns = self.clock.now_ns
        values: dict[str, object] = {
            "orders": (),
            "executions": (),
            "positions": (),
            "balances": (),
        }
        values.update(parts)
        return VenueState("main", asked_ns, asked_ns, asked_ns, **values)  # type: ignore[arg-type]

    def look(self, **parts: object) -> Findings:
        """Reconcile with a complete answer, a second after whatever came before."""
        self.pass_time(1)
        self.publish(self.state(**parts))
        return self.findings[-1]

    def position(self, quantity: str, instrument: str = PERPETUAL) -> PositionReport:
        now_ns = self.clock.now_ns
        return PositionReport("main", instrument, Decimal(quantity), now_ns, Decimal(100))

    def balance(self, total: str, currency: str = "USD") -> BalanceReport:
        return BalanceReport("main", currency, Decimal(total), self.clock.now_ns)

    def held(self, run: str, instrument: str = PERPETUAL) -> Decimal:
        return self.ledger.net_quantity(run, instrument)


def facts_of(world: VenueWorld) -> list[OrderFact]:
    """Return every order fact that was written down, in order."""
    return [entry for _, entry in world.log.read() if isinstance(entry, OrderFact)]


__all__ = ["PERPETUAL", "SPOT", "START_NS", "VenueWorld", "facts_of"]
