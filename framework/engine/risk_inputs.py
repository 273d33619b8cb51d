"""What the checks of the gate ask, answered from ledger, registry, market and runs.

`after_change` is a hook of the order desk: it tells of every order that was sent, accepted, filled
or rejected, for the fills in a row and the runaway breakers. `start_day` is to be called at start,
and at each `day_ends_ns` where a daily loss is limited.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from math import isfinite

import msgspec

from framework.interfaces import BrokerCapabilities, Clock, MarketView
from framework.market.latest import is_two_sided
from framework.model.decimals import ZERO, add, parse, subtract
from framework.model.instrument import Instrument
from framework.model.orders import OrderStatus, OrderType, Side
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, OrderFact, OrderFilled
from framework.model.runs import Execution, Run
from framework.orders.order_state import OrderState, WorkingOrders
from framework.orders.registry import OrderRegistry
from framework.portfolio.ledger import Ledger, Mark
from framework.risk.day import DayState, Owner, TradingDay
from framework.risk.inputs import InputFault, Reference, Resting, Stake
from framework.risk.runaway import Runaways

HELD = OrderStatus.HELD
TAKEN = (OrderAccepted, OrderFilled)  # made once: a union would be made for every fact
STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)
KEPT_FILLS = 10_000  # orders in a row of one line: as many as the configuration can ask for
WHOLE_ACCOUNT = ""


class AccountTerms(msgspec.Struct, frozen=True):
    """What is fixed about an account: how really it trades, and the currency it is counted in."""

    execution: Execution
    currency: str


class Streak(msgspec.Struct):
    """Orders of one run and instrument that filled one way in a row: id to its newest fill."""

    side: Side
    filled_ns: dict[str, int]


class EngineRiskInputs:
    """The `RiskInputs` of a running system.

    `run_of`, `capabilities_of` and `is_open` (of an instrument at a time) may raise or return None
    where they do not know: the order is refused then. `cost_of` says what an order needs in cash;
    without it that is its notional.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        registry: OrderRegistry,
        market: MarketView,
        accounts: Mapping[str, AccountTerms],
        run_of: Callable[[str], Run | None],
        capabilities_of: Callable[[str], BrokerCapabilities | None],
        is_open: Callable[[Instrument, int], bool | None],
        cost_of: Callable[[str, Instrument, Side, Decimal, Decimal], Decimal] | None = None,
        timezone: str = "UTC",
    ) -> None:
        self.run = run_of
        self.capabilities = capabilities_of
        self.market_is_open = is_open
        self.runaways: Runaways | None = None
        self._clock = clock
        self._ledger = ledger
        self._registry = registry
        self._market = market
        self._accounts = accounts
        self._cost_of = cost_of
        self._day = TradingDay(timezone)
        self._streaks: dict[tuple[str, str], Streak] = {}

    def account_execution(self, account: str) -> Execution | None:
        """Return how really an account trades at most."""
        terms = self._accounts.get(account)
        return None if terms is None else terms.execution

    def account_currency(self, account: str) -> str | None:
        """Return the currency an account is counted in."""
        terms = self._accounts.get(account)
        return None if terms is None else terms.currency

    def reference(self, instrument: str) -> Reference | None:
        """Return the market's price with the time of what it was taken from."""
        price = self._market.reference_price(instrument)
        if price is None or not isfinite(price):
            return None
        return Reference(parse(repr(price)), self._priced_ns(instrument))

    def stakes(self, account: str, run: str | None) -> Sequence[Stake]:
        """Return what is held or open on an account, a line per run and instrument."""
        net: dict[tuple[str, str], Decimal] = {}
        instruments: dict[str, Instrument] = {}
        for holding in self._ledger.holdings(account=account, run=run):
            if holding.quantity:
                key = (holding.run, holding.instrument.id)
                net[key] = add(net.get(key, ZERO), holding.quantity)
                instruments[key[1]] = holding.instrument
        opened: dict[tuple[str, str], WorkingOrders] = {}
        for working in self._lines(account, run, None):
            key = (working.run, working.instrument)
            opened[key] = working
            net.setdefault(key, ZERO)
            instruments.setdefault(key[1], _any(working).instrument)
        return [
            Stake(
                key[0],
                instruments[key[1]],
                position,
                opened[key].open_buy if key in opened else ZERO,
                opened[key].open_sell if key in opened else ZERO,
            )
            for key, position in net.items()
        ]

    def available_cash(self, account: str, currency: str) -> Decimal:
        """Return the cash that no open order reserves."""
        cash = self._ledger.cash(account).get(currency, ZERO)
        return subtract(cash, self._registry.reserved_cash(account).get(currency, ZERO))

    def free_equity(self, account: str, currency: str) -> Decimal:
        """Return equity at the market's prices, less what is paid in full or reserved for that.

        Raises:
            InputFault: a position has no price.
        """
        free = self._ledger.equity(account, self._mark).get(currency, ZERO)
        for holding in self._ledger.holdings(account=account):
            if holding.is_paid_in_full and holding.instrument.currency == currency:
                free = subtract(free, holding.value(self._price(holding.instrument.id)))
        return subtract(free, self._registry.reserved_cash(account).get(currency, ZERO))

    def order_cost(
        self, account: str, instrument: Instrument, side: Side, quantity: Decimal, price: Decimal
    ) -> Decimal:
        """Return the cash an order may need."""
        if self._cost_of is None:
            return instrument.notional(price, quantity)
        return self._cost_of(account, instrument, side, quantity, price)

    def open_order_count(self, account: str | None, run: str | None, instrument: str | None) -> int:
        """Return how many orders are open, in doubt or held."""
        return sum(len(working.orders) for working in self._lines(account, run, instrument))

    def resting_orders(self, account: str, instrument: str) -> Sequence[Resting]:
        """Return what may trade now: no held orders, no stops that sleep.

        One whose price is being changed may rest at either price.
        """
        return [
            Resting(order.intent.side, price)
            for working in self._lines(account, None, instrument)
            for order in working.orders.values()
            if order.status is not HELD
            if order.intent.type not in STOPS or order.facts.is_triggered or order.is_released
            for price in _prices_of(order)
        ]

    def orders_filled_in_a_row(self, run: str, instrument: str, side: Side, since_ns: int) -> int:
        """Return how many orders filled that way since then, the last fill being of that side."""
        streak = self._streaks.get((run, instrument))
        if streak is None or streak.side is not side:
            return 0
        return sum(filled_ns >= since_ns for filled_ns in streak.filled_ns.values())

    def profits_today(self, account: str, run: str | None, now_ns: int) -> Mapping[str, Decimal]:
        """Return today's profit per currency. Raises InputFault where a position has no price."""
        if self._day.is_over(now_ns):
            self.start_day(now_ns)
        profits = self._profits(account, run, self._mark)
        owner = run or WHOLE_ACCOUNT
        return {
            currency: self._day.since((account, owner, currency), profits[currency])
            for currency in sorted(profits)
        }

    @property
    def day_ends_ns(self) -> int:
        """When the next day begins; 0 before the first `start_day`."""
        return self._day.ends_ns

    def start_day(self, now_ns: int) -> None:
        """Let a new day begin with what has been made so far, at the prices of now.

        A position without a price counts at its cost.
        """
        profits: dict[Owner, Decimal] = {}
        owners: dict[tuple[str, str | None], None] = {}
        for holding in self._ledger.holdings():
            owners[holding.account, None] = owners[holding.account, holding.run] = None
        for account, run in owners:
            for currency, profit in self._profits(account, run, self._price).items():
                profits[account, run or WHOLE_ACCOUNT, currency] = profit
        self._day.begin(now_ns, profits)

    def day_state(self) -> DayState:
        """Return the day, to be kept over a restart."""
        return self._day.state()

    def restore_day(self, state: DayState, now_ns: int) -> None:
        """Go on with the day of before the restart, if it is the same one."""
        self._day.restore(state, now_ns)

    def after_change(self, order: OrderState, fact: OrderFact | None) -> None:
        """Take note of an order that was sent (no fact), accepted, filled or rejected."""
        intent, runaways = order.intent, self.runaways
        run, instrument, side = intent.run, intent.instrument, intent.side
        if isinstance(fact, OrderFilled):
            self._count_fill(order.order_id, run, instrument, side)
        if runaways is None:
            return
        if fact is None:
            runaways.sent(run, instrument, side, self._clock.now_ns)
        elif isinstance(fact, TAKEN):
            runaways.accepted(run, instrument, side)
        elif isinstance(fact, OrderEnded) and fact.kind is EndKind.REJECTED:
            runaways.rejected(run, instrument, side, self._clock.now_ns)

    def _count_fill(self, order_id: str, run: str, instrument: str, side: Side) -> None:
        streak = self._streaks.get((run, instrument))
        if streak is None or streak.side is not side:
            streak = self._streaks[run, instrument] = Streak(side, {})
        filled_ns = streak.filled_ns
        filled_ns.pop(order_id, None)  # so that the oldest stay first
        filled_ns[order_id] = self._clock.now_ns
        if len(filled_ns) > KEPT_FILLS:
            del filled_ns[next(iter(filled_ns))]

    def _lines(
        self, account: str | None, run: str | None, instrument: str | None
    ) -> Iterator[WorkingOrders]:
        for working in self._registry.lines():
            if (
                working.orders
                and (run is None or working.run == run)
                and (instrument is None or working.instrument == instrument)
                and (account is None or _any(working).account == account)
            ):
                yield working

    def _profits(self, account: str, run: str | None, mark: Mark) -> dict[str, Decimal]:
        """Return realised + unrealised − fees since ever, per currency of an instrument."""
        profits = self._ledger.realised(account, run=run)
        unrealised = self._ledger.unrealised(account, mark, run=run)
        fees = self._ledger.fees(account, run)
        for currency, profit in profits.items():
            gain = subtract(unrealised.get(currency, ZERO), fees.get(currency, ZERO))
            profits[currency] = add(profit, gain)
        return profits

    def _price(self, instrument: str) -> Decimal | None:
        reference = self.reference(instrument)
        return None if reference is None else reference.price

    def _mark(self, instrument: str) -> Decimal:
        price = self._price(instrument)
        if price is None:
            raise InputFault(f"reference price of {instrument}", "is missing")
        return price

    def _priced_ns(self, instrument: str) -> int:
        """Return the time of the newest value that a reference price may be taken from."""
        market = self._market
        times_ns = [0]
        quote, book = market.quote(instrument), market.book(instrument)
        trade, candle = market.trade(instrument), market.candle(instrument)
        if quote is not None and is_two_sided(quote):
            times_ns.append(quote.time_ns)
        if book is not None and book.is_synced and book.best_bid and book.best_ask:
            times_ns.append(getattr(book, "time_ns", 0))
        times_ns += [event.time_ns for event in (trade, candle) if event is not None]
        return max(times_ns)


def _any(working: WorkingOrders) -> OrderState:
    """Return one of a line's orders: all are of one account and instrument."""
    return next(iter(working.orders.values()))


def _prices_of(order: OrderState) -> list[Decimal | None]:
    """Return the prices at which an order may rest; [None] at the market."""
    prices = [order.facts.price]
    if order.pending is not None and order.pending.price is not None:
        prices.append(order.pending.price)
    return prices
