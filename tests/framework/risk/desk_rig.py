"""An order desk with the whole gate around it, and the oracle beside it, driven at random."""

from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import msgspec

from framework.engine.risk_inputs import AccountTerms, EngineRiskInputs
from framework.interfaces import BookView, BrokerCapabilities
from framework.model.account import CashBooked, CashReason
from framework.model.commands import SubmitOrder, VenueCommand
from framework.model.identity import OrderIds
from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.market_data import Candle, MarkPrice, Quote, Trade
from framework.model.orders import OrderIntent, OrderStatus, OrderType, Side
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    RequestInDoubt,
    RequestKind,
)
from framework.model.runs import Execution, Run
from framework.orders.registry import OrderRegistry
from framework.orders.submission import OrderDesk
from framework.portfolio.ledger import Ledger
from framework.risk.conditions import Conditions
from framework.risk.gate import Gate
from framework.risk.kill_switch import GateState
from framework.risk.limits.configured import standard_checks
from framework.settings.risk_limits import RiskSettings
from tests.fakes import ManualClock
from tests.framework.risk.oracle import Asset, Oracle, S, Ticket

D = Decimal
GRID = (PriceRange(D(0), D("0.5")),)
INSTRUMENTS = {
    "v:X": Instrument("v:X", ranges=GRID, lot=D("0.5")),
    "v:Z": Instrument("v:Z", ranges=GRID, lot=D("0.5"), calendar="XNYS"),
    "v:P": Instrument(
        "v:P",
        currency="USDT",
        kind=InstrumentKind.PERPETUAL,
        ranges=GRID,
        lot=D("0.5"),
        multiplier=D(10),
    ),
}
ASSETS = {
    "v:X": Asset("v:X", "USD", paid=True, points=1, has_hours=False),
    "v:Z": Asset("v:Z", "USD", paid=True, points=1, has_hours=True),
    "v:P": Asset("v:P", "USDT", paid=False, points=10, has_hours=False),
}
ACCOUNTS = {"one": "main", "two": "main", "three": "side"}
KINDS = {"market": OrderType.MARKET, "limit": OrderType.LIMIT, "stop": OrderType.STOP}
START = 20 * 86_400 * S

CHOICES: dict[str, list[Any]] = {
    "max_order_notional": ["300", "600", "3000"],
    "max_position_notional": ["300", "900", "9000"],
    "max_order_quantity": ["2", "4"],
    "max_orders_per_second": [1, 3],
    "max_orders_per_minute": [5, 15],
    "max_orders_per_day": [10, 30],
    "max_open_orders": [2, 6],
    "price_collar_bps": ["100", "300"],
    "max_reference_age_s": [5.0, 30.0],
    "duplicate_window_ms": [500, 5_000],
    "max_same_direction_fills": [2, 4],
    "prevent_self_match": [True],
}
OF_OWNERS: dict[str, list[Any]] = {
    "max_gross_notional": ["500", "2000", "20000"],
    "max_net_notional": ["500", "2000"],
    "max_daily_loss": ["1", "20", "100"],
    "require_cash": [True],
    "require_margin": [True],
    "allowed_instruments": [["v:X", "v:P"], ["v:X", "v:Z", "v:P"]],
}


def random_section(random: Random) -> dict[str, Any]:
    """Return a section `risk` with some limits in some places."""

    def some(choices: dict[str, list[Any]], share: float) -> dict[str, Any]:
        limits = {
            name: random.choice(values)
            for name, values in choices.items()
            if random.random() < share
        }
        limits["same_direction_window_s"] = random.choice([2.0, 60.0])
        return limits

    of_owners = {**CHOICES, **OF_OWNERS}
    section = some(of_owners, 0.15)
    section["accounts"] = {"main": some(of_owners, 0.08)}
    section["runs"] = {"one": some(of_owners, 0.08), "two": some(of_owners, 0.08)}
    section["instruments"] = {"v:X": some(CHOICES, 0.08)}
    return section


class Tape:
    """A `MarketView` of trades alone."""

    def __init__(self) -> None:
        self.trades: dict[str, Trade] = {}

    def quote(self, instrument: str) -> Quote | None:
        return None

    def trade(self, instrument: str) -> Trade | None:
        return self.trades.get(instrument)

    def candle(self, instrument: str) -> Candle | None:
        return None

    def book(self, instrument: str) -> BookView | None:
        return None

    def mark_price(self, instrument: str) -> MarkPrice | None:
        return None

    def reference_price(self, instrument: str) -> float | None:
        trade = self.trades.get(instrument)
        return None if trade is None else trade.price


class Rig:
    """One run of desk and oracle under one configuration."""

    def __init__(self, section: dict[str, Any], allocations: dict[str, Decimal]) -> None:
        self.clock = ManualClock(START)
        self.market = Tape()
        self.sent: list[VenueCommand] = []
        self.conditions = Conditions()
        self.ledger = Ledger(INSTRUMENTS.__getitem__)
        self.registry = OrderRegistry()
        self.runs = {
            run: Run(run, account, Execution.SIMULATED, allocation=allocations.get(run))
            for run, account in ACCOUNTS.items()
        }
        self.inputs = EngineRiskInputs(
            clock=self.clock,
            ledger=self.ledger,
            registry=self.registry,
            market=self.market,
            accounts={name: AccountTerms(Execution.SIMULATED, "USD") for name in ("main", "side")},
            run_of=self.runs.get,
            capabilities_of=lambda account: BrokerCapabilities(),
            is_open=lambda instrument, now_ns: (now_ns // (10 * S)) % 2 == 0,
        )
        settings = msgspec.convert(section, RiskSettings)
        self.gate = Gate(standard_checks(settings, self.inputs, self.conditions))
        self.desk = OrderDesk(
            ids=OrderIds("rig"),
            registry=self.registry,
            gate=self.gate,
            ledger=self.ledger,
            instrument=INSTRUMENTS.__getitem__,
            clock=self.clock,
            market=self.market,
            emit=lambda event: None,
            wants=lambda kind, key: False,
            send=self.sent.append,
            record=lambda entry: None,
            account_of=ACCOUNTS.__getitem__,
        )
        self.desk.after_change.append(self.inputs.after_change)
        self.oracle = Oracle(
            section, {run: Fraction(amount) for run, amount in allocations.items()}
        )
        self._number = 0
        for name in INSTRUMENTS:
            self.quote(name, D(100))
        for account, amount in (("main", D(2_000)), ("side", D(500))):
            self.deposit(account, amount)
            self.deposit(account, amount * 5, "USDT")
        self.inputs.start_day(START)

    def deposit(self, account: str, amount: Decimal, currency: str = "USD") -> None:
        """Book cash."""
        booking_id, reason = f"{account} {currency}", CashReason.DEPOSIT
        self.ledger.book_cash(
            CashBooked(account, "external", currency, amount, reason, START, booking_id)
        )
        self.oracle.deposits[account, currency] = Fraction(amount)

    def quote(self, name: str, price: Decimal) -> None:
        """Let the market trade at a price."""
        now_ns = self.clock.now_ns
        self.market.trades[name] = Trade(name, now_ns, now_ns, float(price), 1.0)
        self.oracle.prices[name] = (now_ns, Fraction(price))

    def submit(self, **wish: Any) -> Ticket:
        """Ask for an order, compare the answer, and return the ticket (in the list if sent)."""
        self._number += 1
        number = self._number
        ticket = Ticket(
            run=wish["run"],
            account=ACCOUNTS[wish["run"]],
            asset=ASSETS[wish["name"]],
            sign=wish["sign"],
            kind=wish["kind"],
            quantity=wish["quantity"],
            price=None if wish["price"] is None else Fraction(wish["price"]),
            stop=None if wish["stop"] is None else Fraction(wish["stop"]),
            reduces=wish["reduces"],
            is_exit=wish["reduces"] or wish["is_closing"],
            time=self.clock.now_ns,
        )
        objections = self.oracle.objections(ticket)
        intent = OrderIntent(
            wish["run"],
            f"k{number}",
            wish["name"],
            Side.BUY if wish["sign"] > 0 else Side.SELL,
            wish["quantity"],
            KINDS[wish["kind"]],
            wish["price"],
            wish["stop"],
            reduce_only=wish["reduces"],
        )
        before = len(self.sent)
        order = self.desk.submit(intent, is_closing=wish["is_closing"])
        ticket.order_id = order.order_id
        if order.status is OrderStatus.DENIED:
            assert objections, f"refused: {order.reason}"
            assert any(word in order.reason for word in objections), (order.reason, objections)
            assert len(self.sent) == before
            ticket.is_open = False
        else:
            assert not objections, objections
            sent = self.sent[-1]
            assert len(self.sent) == before + 1
            assert isinstance(sent, SubmitOrder)
            assert sent.order_id == order.order_id
            ticket.worth = self.oracle.worth(ticket)
            self.oracle.tickets.append(ticket)
        return ticket

    def fill(self, ticket: Ticket, quantity: Decimal, price: Decimal) -> None:
        """Execute some of an order."""
        self._number += 1
        now_ns = self.clock.now_ns
        ticket.fills.append((now_ns, Fraction(quantity), Fraction(price)))
        ticket.is_open = ticket.left > 0
        self.oracle.tape.append(ticket)
        self.desk.apply(OrderFilled(ticket.order_id, f"e{self._number}", quantity, price, now_ns))

    def end(self, ticket: Ticket, kind: EndKind) -> None:
        """End an order."""
        ticket.is_open = False
        self.desk.apply(OrderEnded(ticket.order_id, kind, self.clock.now_ns))

    def random_order(self, random: Random) -> Ticket:
        """Submit a random order."""
        kind = random.choice(["market", "market", "limit", "limit", "stop"])
        around = [D(90), D("99.5"), D(100), D(101), D("100.5"), D(103), D("99.7")]
        run, name = random.choice(list(ACCOUNTS)), random.choice(list(INSTRUMENTS))
        sign, quantity = random.choice([1, -1]), random.choice([D("0.5"), D(1), D(2), D("0.3")])
        held = self.oracle.position(run, ASSETS[name])
        reduces = random.random() < 0.15
        if held and random.random() < 0.4:  # else exits would rarely fit
            sign, quantity = (-1 if held > 0 else 1), D(float(abs(held)))
            quantity = random.choice([quantity, quantity, quantity + D("0.5")])
        return self.submit(
            run=run,
            name=name,
            sign=sign,
            kind=kind,
            quantity=quantity,
            price=random.choice(around) if kind == "limit" else None,
            stop=random.choice(around) if kind == "stop" else None,
            reduces=reduces,
            is_closing=reduces and random.random() < 0.3,
        )

    def random_event(self, random: Random) -> None:
        """Let something happen between two orders: to an order, the market, the gate, the time."""
        opened = [ticket for ticket in self.oracle.tickets if ticket.is_open]
        roll = random.random()
        if opened and roll < 0.45:
            ticket = random.choice(opened)
            left = D(ticket.left.numerator) / D(ticket.left.denominator)
            part = random.choice([left, left, D("0.5")])
            self.fill(ticket, min(part, left), random.choice([D(99), D(100), D("100.5")]))
        elif opened and roll < 0.6:
            self.end(random.choice(opened), random.choice(list(EndKind)))
        elif opened and roll < 0.7:
            order_id, now_ns = random.choice(opened).order_id, self.clock.now_ns
            if random.random() < 0.5:
                self.desk.apply(OrderAccepted(order_id, now_ns))
            else:
                submit = RequestKind.SUBMIT
                self.desk.apply(RequestInDoubt(order_id, submit, "no answer", now_ns))
        elif roll < 0.85:
            self.clock.advance_to(self.clock.now_ns + random.choice([1, S // 2, S, 7 * S]))
        elif roll < 0.95:
            price = random.choice([D(97), D("99.5"), D(100), D(101)])
            self.quote(random.choice(list(INSTRUMENTS)), price)
        else:
            self.random_state(random)

    def random_state(self, random: Random) -> None:
        """Change what the gate lets through, mostly back to everything."""
        state = random.choice([*GateState, GateState.ACTIVE, GateState.ACTIVE])
        self.gate.set_state(state, "at random")
        self.oracle.gate_state = state.value
        run, name = random.choice(list(ACCOUNTS)), random.choice(list(INSTRUMENTS))
        if random.random() < 0.3:
            self.gate.pause(run, "at random")
            self.oracle.paused.add(run)
            self.conditions.distrust(name, "gap")
            self.oracle.distrusted.add(name)
        else:
            for paused in list(ACCOUNTS):
                self.gate.resume(paused)
            for gapped in INSTRUMENTS:
                self.conditions.trust(gapped)
            self.oracle.paused.clear()
            self.oracle.distrusted.clear()


def random_rig(random: Random) -> Rig:
    """Return a rig under a random configuration."""
    allocations = {"two": D(random.choice([300, 1_500]))} if random.random() < 0.3 else {}
    return Rig(random_section(random), allocations)


def run_rig(random: Random, orders: int) -> tuple[int, int]:
    """Compare so many orders under one configuration; return (sent, refused)."""
    rig = random_rig(random)
    for _ in range(orders):
        for _ in range(random.choice([0, 0, 1, 2])):
            rig.random_event(random)
        rig.random_order(random)
    sent = len(rig.oracle.tickets)
    return sent, orders - sent
