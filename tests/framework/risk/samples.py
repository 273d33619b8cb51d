"""Orders to judge, and inputs that answer whatever a test sets."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from framework.interfaces import BrokerCapabilities
from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.orders import OrderIntent, OrderType, Side
from framework.model.runs import Execution, Run
from framework.risk.gate import Gate
from framework.risk.inputs import Inputs, Reference, Resting, Stake
from framework.risk.limits.configured import standard_checks
from framework.risk.proposal import Proposal, View
from framework.settings.risk_limits import RiskSettings

D = Decimal
SECOND = 1_000_000_000
ACCOUNT = "main"
SPOT = Instrument("v:X", currency="USD", ranges=(PriceRange(D(0), D("0.5")),), lot=D("0.5"))
OTHER = msgspec.structs.replace(SPOT, id="v:Y")
PERPETUAL = msgspec.structs.replace(SPOT, id="v:P", kind=InstrumentKind.PERPETUAL)


class FakeInputs:
    """Good answers for run `r` on account `main`, until a test changes them."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {"r": Run("r", ACCOUNT, Execution.SIMULATED)}
        self.executions = {ACCOUNT: Execution.SIMULATED}
        self.currencies = {ACCOUNT: "USD"}
        self.broker: BrokerCapabilities | None = BrokerCapabilities()
        self.open: bool | None = True
        self.references: dict[str, Reference] = {}
        self.held: list[Stake] | None = []
        self.cash: Decimal | None = D(10**9)
        self.equity: Decimal | None = D(10**9)
        self.profits: dict[str, Decimal] | None = {}
        self.open_orders: int | None = 0
        self.in_a_row: int | None = 0
        self.resting: list[Resting] | None = []
        for name in ("v:X", "v:Y", "v:P"):
            self.references[name] = Reference(D(100), 0)

    def run(self, run: str) -> Run | None:
        return self.runs.get(run)

    def account_execution(self, account: str) -> Execution | None:
        return self.executions.get(account)

    def account_currency(self, account: str) -> str | None:
        return self.currencies.get(account)

    def capabilities(self, account: str) -> BrokerCapabilities | None:
        return self.broker

    def market_is_open(self, instrument: Instrument, now_ns: int) -> bool | None:
        return self.open

    def reference(self, instrument: str) -> Reference | None:
        return self.references.get(instrument)

    def stakes(self, account: str, run: str | None) -> Sequence[Stake] | None:
        if self.held is None or run is None:
            return self.held
        return [stake for stake in self.held if stake.run == run]

    def available_cash(self, account: str, currency: str) -> Decimal | None:
        return self.cash

    def free_equity(self, account: str, currency: str) -> Decimal | None:
        return self.equity

    def order_cost(
        self, account: str, instrument: Instrument, side: Side, quantity: Decimal, price: Decimal
    ) -> Decimal | None:
        return instrument.notional(price, quantity)

    def profits_today(
        self, account: str, run: str | None, now_ns: int
    ) -> Mapping[str, Decimal] | None:
        return self.profits

    def open_order_count(
        self, account: str | None, run: str | None, instrument: str | None
    ) -> int | None:
        return self.open_orders

    def orders_filled_in_a_row(
        self, run: str, instrument: str, side: Side, since_ns: int
    ) -> int | None:
        return self.in_a_row

    def resting_orders(self, account: str, instrument: str) -> Sequence[Resting] | None:
        return self.resting


def asked(source: FakeInputs | None = None) -> Inputs:
    """Return the inputs as checks get at them."""
    return Inputs(source or FakeInputs())


def gate(source: FakeInputs | None = None, **limits: object) -> Gate:
    """Return a gate with inputs around it."""
    settings = RiskSettings(**limits)  # type: ignore[arg-type] # tests name them
    return Gate(standard_checks(settings, source or FakeInputs()))


def proposal(side: Side, quantity: str, **fields: object) -> Proposal:
    """Return a new order of run `r`: at the market, or a limit order where it has a price."""
    size = D(quantity)
    kind = OrderType.LIMIT if fields.get("price") is not None else OrderType.MARKET
    base = Proposal("r", SPOT, side, kind, size, size, size, account=ACCOUNT)
    merged = msgspec.structs.replace(base, **fields)
    if merged.intent is None:
        merged.intent = OrderIntent(
            merged.run,
            "k",
            merged.instrument.id,
            side,
            size,
            merged.type,
            merged.price,
            merged.stop_price,
            reduce_only=merged.reduce_only,
        )
    return merged


def buy(quantity: str = "1", **fields: object) -> Proposal:
    """Return a buy."""
    return proposal(Side.BUY, quantity, **fields)


def sell(quantity: str = "1", **fields: object) -> Proposal:
    """Return a sell."""
    return proposal(Side.SELL, quantity, **fields)


def view(
    position: str = "0",
    *,
    buys: str = "0",
    sells: str = "0",
    price: str | None = "100",
    at: int = 0,
) -> View:
    """Return what a run holds and has open, at a time."""
    held = D(position)
    return View(held, held, D(buys), D(sells), None if price is None else D(price), at)
