"""The order desk with emulation on it, and a venue that answers only what a test lets it answer."""

from decimal import Decimal

from framework.clock.trading_hours import AlwaysOpen, TradingHours
from framework.interfaces import BrokerCapabilities
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder, VenueCommand
from framework.model.decimals import ZERO
from framework.model.exits import ExitRules
from framework.model.market_data import BookChanged, Candle, MarkPrice, Quote, Trade
from framework.model.orders import Exits, OrderType, RequestState, Side
from framework.model.records import HoldRole
from framework.model.reports import (
    EndKind,
    FillCorrection,
    OrderEnded,
    OrderReplaced,
    RequestKind,
    RequestRefused,
)
from framework.orders.cover import Bracket
from framework.orders.emulation import Emulation
from framework.orders.order_state import OrderState
from framework.orders.triggers import MarketEvent
from tests.framework.orders.world import SPOT, FakeMarket, World

NATIVE = BrokerCapabilities()
NO_STOPS = BrokerCapabilities(order_types=frozenset({OrderType.MARKET, OrderType.LIMIT}))
SECOND_NS = 1_000_000_000


class QuotedMarket(FakeMarket):
    """The newest values that a test's events have brought."""

    def __init__(self) -> None:
        super().__init__()
        self.price = 100.0
        self.newest: dict[type, object] = {}

    def quote(self, instrument: str) -> Quote | None:
        return self.newest.get(Quote)  # type: ignore[return-value]  # keyed by its type

    def trade(self, instrument: str) -> Trade | None:
        return self.newest.get(Trade)  # type: ignore[return-value]  # keyed by its type


class EmulationWorld(World):
    """A desk whose held orders are kept by `Emulation`; `sent` is what the venue has to answer."""

    def __init__(
        self,
        venue: BrokerCapabilities = NATIVE,
        rules: ExitRules | None = None,
        hours: TradingHours | None = None,
    ) -> None:
        super().__init__()
        self.quoted = QuotedMarket()
        self.venue = venue
        self.rules = rules or ExitRules()
        self.hours = hours or AlwaysOpen()
        self.alerts: list[tuple[str, str, str]] = []
        self.steps: dict[str, object] = {}
        self.answered = 0
        self.desk.needs_holding = self.needs_holding
        self.emulation = self.new_emulation()

    def new_emulation(self) -> Emulation:
        """Put a fresh emulation on the desk in the place of the one before."""
        self.steps.clear()
        self.emulation = Emulation(
            desk=self.desk,
            clock=self.clock,
            market=self.quoted,
            watch_market=self.watch_market,
            capabilities=lambda account: self.venue,
            rules=lambda run: self.rules,
            hours_of=lambda instrument: self.hours,
            alert=lambda name, level, message, order: self.alerts.append((name, level, message)),
        )
        self.desk.after_change[:] = [self.emulation.after_change]
        self.desk.change_exits = self.emulation.modify_exits
        self.desk.restart_exits = self.emulation.reset_run
        return self.emulation

    def restart(self) -> None:
        """Lose everything but the orders, and go on."""
        self.new_emulation().rebuild()
        self.emulation.resume(self.clock.now_ns)

    def needs_holding(self, intent: object, account: str) -> bool:
        return self.emulation.needs_holding(intent, account)  # type: ignore[arg-type]  # an intent

    def watch_market(self, instrument: str, name: str, step: object) -> None:
        if step is None:
            del self.steps[instrument]
        else:
            self.steps[instrument] = step

    def happens(self, event: MarketEvent) -> None:
        """Let the market say something: the core hears of it if it asked to."""
        if isinstance(event, Quote | Trade):
            self.quoted.newest[type(event)] = event
        step = self.steps.get(event.instrument)
        if step is not None:
            step(event)  # type: ignore[operator]  # whatever the emulation passed

    def tick(self, seconds: int = 1) -> int:
        self.clock.advance_to(self.clock.now_ns + seconds * SECOND_NS)
        return self.clock.now_ns

    def quote(self, bid: float, ask: float | None = None) -> None:
        now_ns = self.tick()
        self.happens(Quote(SPOT, now_ns, now_ns, bid, bid + 0.01 if ask is None else ask, 1.0, 1.0))

    def trade(self, price: float) -> None:
        now_ns = self.tick()
        self.happens(Trade(SPOT, now_ns, now_ns, price, 1.0))

    def mark(self, price: float) -> None:
        now_ns = self.tick()
        self.happens(MarkPrice(SPOT, now_ns, now_ns, price))

    def candle(self, low: float, high: float, close: float, *, open_ns: int | None = None) -> None:
        begin_ns = self.clock.now_ns if open_ns is None else open_ns
        end_ns = self.tick(60)
        self.happens(
            Candle(SPOT, end_ns, end_ns, "1m", begin_ns, end_ns, close, high, low, close, 1.0)
        )

    def book_changed(self) -> None:
        now_ns = self.tick()
        self.happens(BookChanged(SPOT, now_ns, now_ns, 1, is_synced=True))

    def enter(
        self, quantity: str, exits: Exits, *, side: Side = Side.BUY, **fields: object
    ) -> OrderState:
        """Submit a limit entry with exits."""
        merged: dict[str, object] = {"price": Decimal(100), "exits": exits, **fields}
        return self.desk.submit(self.intent(side, quantity, **merged))

    def entered(
        self, quantity: str, exits: Exits, price: str = "100", *, side: Side = Side.BUY
    ) -> OrderState:
        """Submit an entry with exits and let all of it fill."""
        entry = self.enter(quantity, exits, side=side)
        self.fill(entry, quantity, price)
        return entry

    def bust(self, order: OrderState, execution: str, quantity: str = "0") -> None:
        """Correct an execution to this quantity."""
        known = order.facts.executions[execution]
        self.desk.apply(
            FillCorrection(
                order.order_id,
                execution,
                Decimal(quantity),
                known.price,
                self.tick(),
            )
        )

    def end(self, order: OrderState, kind: EndKind = EndKind.CANCELLED, reason: str = "") -> None:
        self.desk.apply(OrderEnded(order.order_id, kind, self.clock.now_ns, reason))

    def reject(self, order: OrderState) -> None:
        self.end(order, EndKind.REJECTED, "no reason")

    def refuse(self, order: OrderState, request: RequestKind) -> None:
        self.desk.apply(RequestRefused(order.order_id, request, "no", self.clock.now_ns))

    def answer(self) -> None:
        """Let the venue accept, change and cancel all that it was sent and has not answered."""
        while self.answered < len(self.sent):
            command = self.sent[self.answered]
            self.answered += 1
            self.answer_one(command)

    def answer_one(self, command: VenueCommand) -> None:
        order = self.order(command.order_id)
        if isinstance(command, SubmitOrder):
            if not order.is_closed:
                self.accept(order)
        elif order.is_closed:
            return
        elif isinstance(command, CancelOrder):
            self.end(order)
        else:
            self.replaced(order, command)

    def replaced(self, order: OrderState, command: ModifyOrder) -> None:
        quantity = order.quantity if command.quantity is None else command.quantity
        self.desk.apply(
            OrderReplaced(
                order.order_id,
                command.revision,
                quantity,
                self.clock.now_ns,
                command.price,
                command.stop_price,
            )
        )

    def order(self, order_id: str) -> OrderState:
        order = self.registry.get(order_id)
        assert order is not None
        return order

    def at(self, entry: OrderState, name: str) -> OrderState:
        """Return the exit of an entry under the key `<entry key>/<name>`."""
        leg = self.registry.by_key(entry.run, f"{entry.intent.key}/{name}")
        assert leg is not None, name
        return leg

    def has(self, entry: OrderState, name: str) -> bool:
        return self.registry.by_key(entry.run, f"{entry.intent.key}/{name}") is not None

    def bracket(self, entry: OrderState) -> Bracket:
        bracket = self.emulation.brackets.bracket_of(entry)
        assert bracket is not None
        return bracket

    def submits(self, order: OrderState) -> list[SubmitOrder]:
        """Return how often and as what an order was sent."""
        return [
            command
            for command in self.sent
            if isinstance(command, SubmitOrder) and command.order_id == order.order_id
        ]

    @property
    def position(self) -> Decimal:
        return self.ledger.net_quantity("r", SPOT)

    def seen(self) -> object:
        """Return everything that a restart must not change."""
        return (
            len(self.sent),
            list(self.recorded),
            [
                (b.entry.order_id, b.cover, b.written_off, dict(b.tripped))
                for b in self.emulation.brackets
                if not b.is_over()
            ],
        )


def still(leg: OrderState) -> Decimal:
    """Return what a leg may still fill, a shrinking that was asked for included."""
    facts = leg.facts
    if facts.is_closed:
        return ZERO
    total = facts.quantity
    if leg.pending is not None and leg.pending.quantity is not None:
        total = leg.pending.quantity
    if leg.facts.cancel_request is not RequestState.NONE:
        return ZERO
    return total - facts.filled


def role_legs(bracket: Bracket, role: HoldRole) -> list[OrderState]:
    return [leg for leg in bracket.legs.get(role, ()) if not leg.facts.is_closed]
