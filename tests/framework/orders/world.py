"""An order desk with everything around it faked: a clock to set, a price to set, lists to read."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from framework.errors import UnknownInstrument
from framework.interfaces import BookView
from framework.model.commands import VenueCommand
from framework.model.identity import OrderIds
from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.market_data import Candle, MarkPrice, Quote, Trade
from framework.model.orders import Fee, Order, OrderIntent, OrderType, Side
from framework.model.records import Record
from framework.model.reports import OrderAccepted, OrderFilled
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.orders.submission import OrderDesk
from framework.portfolio.ledger import Ledger
from framework.risk.gate import Gate
from framework.risk.limits import RiskSettings, standard_checks
from tests.fakes import ManualClock

SPOT = "v:BTCUSD"
PERPETUAL = "v:BTC-PERP"
GRID = (PriceRange(Decimal(0), Decimal("0.01")),)
INSTRUMENTS = {
    SPOT: Instrument(SPOT, base="BTC", ranges=GRID, lot=Decimal("0.001")),
    PERPETUAL: Instrument(
        PERPETUAL,
        kind=InstrumentKind.PERPETUAL,
        ranges=GRID,
        lot=Decimal("0.001"),
        multiplier=Decimal(10),
    ),
}


class FakeMarket:
    """One reference price for every instrument."""

    def __init__(self) -> None:
        self.price: float | None = 100.0

    def quote(self, instrument: str) -> Quote | None:
        return None

    def trade(self, instrument: str) -> Trade | None:
        return None

    def candle(self, instrument: str) -> Candle | None:
        return None

    def book(self, instrument: str) -> BookView | None:
        return None

    def mark_price(self, instrument: str) -> MarkPrice | None:
        return None

    def reference_price(self, instrument: str) -> float | None:
        return self.price


class FakeArchive:
    """Knows last states by key, and what `read` is to return by order id."""

    def __init__(
        self,
        closed: Mapping[str, Order] | None = None,
        orders: Mapping[str, OrderState] | None = None,
    ) -> None:
        self._closed = closed or {}
        self._orders = orders or {}

    def lookup_closed(self, run: str, key: str) -> Order | None:
        return self._closed.get(key)

    def read(self, registry: OrderRegistry, order_id: str) -> OrderState | None:
        return self._orders.get(order_id)

    def recall(self, registry: OrderRegistry, order_id: str) -> OrderState | None:
        return self._orders.get(order_id)

    def rebuild(self, registry: OrderRegistry, entries: Sequence[Record]) -> OrderState | None:
        return None


class World:
    """A desk on account `main` (every run's), with what it emitted, sent and recorded."""

    def __init__(self, **limits: object) -> None:
        self.clock = ManualClock(1_000_000_000)
        self.market = FakeMarket()
        self.instruments = dict(INSTRUMENTS)
        self.emitted: list[object] = []
        self.sent: list[VenueCommand] = []
        self.recorded: list[object] = []
        self.changed: list[tuple[str, str]] = []
        self.wanted: set[type] | None = None
        self.ledger = Ledger(self.instrument)
        self.registry = OrderRegistry()
        self.gate = Gate(standard_checks(RiskSettings(**limits)))  # type: ignore[arg-type]
        self.desk = OrderDesk(
            ids=OrderIds("test"),
            registry=self.registry,
            gate=self.gate,
            ledger=self.ledger,
            instrument=self.instrument,
            clock=self.clock,
            market=self.market,
            emit=self.emitted.append,
            wants=lambda kind, run: self.wanted is None or kind in self.wanted,
            send=self.sent.append,
            record=self.recorded.append,
            account_of=lambda run: "main",
        )
        self.desk.on_change = lambda run, instrument: self.changed.append((run, instrument))
        self._keys = 0

    def instrument(self, name: str) -> Instrument:
        try:
            return self.instruments[name]
        except KeyError:
            raise UnknownInstrument(name) from None

    def intent(self, side: Side, quantity: str | None, **fields: object) -> OrderIntent:
        self._keys += 1
        merged: dict[str, object] = {
            "run": "r",
            "key": f"k{self._keys}",
            "instrument": SPOT,
            "side": side,
            "quantity": None if quantity is None else Decimal(quantity),
        }
        price = fields.get("price")
        if price is not None and "type" not in fields:
            merged["type"] = OrderType.LIMIT
        merged.update(fields)
        return OrderIntent(**merged)  # type: ignore[arg-type]

    def buy(self, quantity: str | None, **fields: object) -> OrderState:
        return self.desk.submit(self.intent(Side.BUY, quantity, **fields))

    def sell(self, quantity: str | None, **fields: object) -> OrderState:
        return self.desk.submit(self.intent(Side.SELL, quantity, **fields))

    def accept(self, order: OrderState) -> None:
        self.desk.apply(OrderAccepted(order.order_id, self.clock.now_ns, "venue-1"))

    def fill(
        self,
        order: OrderState,
        quantity: str,
        price: str,
        *,
        execution: str | None = None,
        fees: tuple[Fee, ...] = (),
    ) -> None:
        self._keys += 1
        self.desk.apply(
            OrderFilled(
                order.order_id,
                execution or f"e{self._keys}",
                Decimal(quantity),
                Decimal(price),
                self.clock.now_ns,
                fees,
            )
        )

    def events(self, kind: type) -> list[object]:
        return [event for event in self.emitted if type(event) is kind]

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.emitted]
