"""What the trading desk shows of orders, executions, positions and money: plain values, no I/O."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Context, Decimal, InvalidOperation
from itertools import islice
from typing import NamedTuple, TypeVar

from framework.errors import Forbidden, OrderError
from framework.model.account import Margin, Position
from framework.model.decimals import ZERO, absolute, add, multiply, subtract
from framework.model.desk import (
    Breaker,
    DeskOrder,
    DeskPosition,
    FillQuery,
    Money,
    OrderQuery,
    Principal,
    Verb,
    View,
)
from framework.model.funds import AccountFunds, RunFunds
from framework.model.identity import EXTERNAL_RUN
from framework.model.instrument import Instrument
from framework.model.orders import CLOSED_STATUSES, Bucket, Fill, Order, OrderStatus, Side
from framework.model.reports import FillCorrection, OrderFact, OrderFilled
from framework.model.runs import Run
from framework.orders.order_state import OrderState
from framework.portfolio.funds import all_funds
from framework.portfolio.holding import Holding, is_paid_in_full
from framework.portfolio.marks import MarketMarks
from framework.risk.limits.margin import worst_quantity
from framework.runtime.system import System
from framework.simulation.costs import CostModel

MARK_DIGITS = Context(prec=12, traps=[InvalidOperation])
Row = TypeVar("Row")
EXECUTIONS = (OrderFilled, FillCorrection)
OPEN_STATUSES = frozenset(OrderStatus) - CLOSED_STATUSES


class Line(NamedTuple):
    """Which position."""

    account: str
    run: str
    instrument: str
    bucket: Bucket


class Since:
    """When a position was opened and last changed."""

    __slots__ = ("is_long", "opened_ns", "updated_ns")

    def __init__(self, time_ns: int, *, is_long: bool) -> None:
        self.opened_ns = self.updated_ns = time_ns
        self.is_long = is_long


class RoundedMarks:
    """Marks without the noise of binary floats: a mid of two prices has few digits."""

    def __init__(self, marks: MarketMarks) -> None:
        self._marks = marks

    def __call__(self, instrument: str) -> Decimal | None:
        """Return the price to value an instrument at."""
        price = self._marks(instrument)
        return None if price is None else MARK_DIGITS.plus(price)


class DeskReads:
    """The reading half of the desk."""

    def __init__(self, system: System, currencies: Mapping[str, str]) -> None:
        self._system = system
        self._engine = system.engine
        self._marks = RoundedMarks(MarketMarks(system.engine.market))
        self._since: dict[Line, Since] = {}
        self._currencies = currencies
        self._costs: dict[str, CostModel | None] = {
            account: venue.costs for venue in system.venues for account in venue.accounts
        }
        self._engine.desk.after_change.append(self._note_fill)  # events differ in a replay
        self._recall()

    # -- orders ------------------------------------------------------------------------------

    async def order(self, principal: Principal, order_id: str) -> DeskOrder | None:
        """Return an order the principal sees, from the log where it left memory."""
        self._check(principal, Verb.READ)
        registry = self._engine.registry
        state = registry.get(order_id)
        if state is None and registry.archive is not None:
            state = registry.archive.read(registry, order_id)
        if state is None or not self._sees(principal, Verb.READ, state):
            return None
        return self._shown(state)

    async def orders(self, principal: Principal, query: OrderQuery) -> list[DeskOrder]:
        """Return the orders in memory that fit, newest first."""
        self._check(principal, Verb.READ, query.instrument)
        fitting = (
            state
            for state in self._candidates(principal, query)
            if fits(state, query) and self._sees(principal, Verb.READ, state)
        )
        # A few of many, by creation: the newest come first, and the rest need not be looked at.
        is_cut = query.limit is not None and not query.by_update and query.after is None
        found = list(islice(fitting, query.limit) if is_cut and not query.statuses else fitting)
        if query.by_update:
            found.sort(key=lambda state: state.facts.updated_ns, reverse=True)
        else:
            found.sort(key=lambda state: state.created_ns, reverse=True)
        if query.after is not None:
            found = behind(found, query.after, lambda state: state.order_id)
        return [self._shown(state) for state in found[: query.limit]]

    async def fills(self, principal: Principal, query: FillQuery) -> list[Fill]:
        """Return the executions of orders in memory that fit, newest first."""
        self._check(principal, Verb.READ, query.instrument)
        registry = self._engine.registry
        if query.order_id is None:
            states: Iterable[OrderState] = registry
        else:
            state = registry.get(query.order_id)
            if state is None and registry.archive is not None:
                state = registry.archive.read(registry, query.order_id)
            states = () if state is None else (state,)
        fills = [
            fill
            for state in states
            if state.facts.executions and self._sees(principal, Verb.READ, state)
            if query.instrument is None or state.intent.instrument == query.instrument
            for fill in fills_of(state)
            if query.since_ns is None or fill.time_ns >= query.since_ns
            if query.until_ns is None or fill.time_ns < query.until_ns
        ]
        fills.reverse()  # of one instant: the later one first
        fills.sort(key=lambda fill: fill.time_ns, reverse=True)
        if query.after is not None:
            fills = behind(fills, query.after, lambda fill: fill.execution_id)
        return fills[: query.limit]

    def described(self, order: Order) -> DeskOrder:
        """Return an order of an event, with what was asked for.

        Raises:
            OrderError: nothing is known of it any more.
        """
        registry = self._engine.registry
        state = registry.get(order.order_id)
        if state is None and registry.archive is not None:
            state = registry.archive.read(registry, order.order_id)
        if state is None:
            raise OrderError(f"nothing is known of order {order.order_id!r} any more")
        stop, target = self._exit_prices(state)
        return DeskOrder(order, state.intent, state.role, stop, target)

    def _shown(self, state: OrderState) -> DeskOrder:
        stop, target = self._exit_prices(state)
        return DeskOrder(state.event(), state.intent, state.role, stop, target)

    def _exit_prices(self, state: OrderState) -> tuple[Decimal | None, Decimal | None]:
        if state.exits is None:
            return None, None
        return self._system.care.emulation.exit_prices(state)

    def _candidates(self, principal: Principal, query: OrderQuery) -> Iterator[OrderState]:
        """Yield what may fit, by the shortest way; newest first."""
        registry = self._engine.registry
        runs = self._runs_of(principal)
        if query.key is not None:
            for run in runs:
                state = registry.by_key(run, query.key)
                if state is None:
                    closed = registry.closed_order(run, query.key)
                    if closed is not None and registry.archive is not None:
                        state = registry.archive.read(registry, closed.order_id)
                if state is not None:
                    yield state
        elif query.statuses is not None and query.statuses <= OPEN_STATUSES:
            for run in runs:
                yield from reversed(registry.open_orders(run, query.instrument))
        else:
            yield from reversed(list(registry))

    # -- positions -----------------------------------------------------------------------------

    async def positions(
        self, principal: Principal, instrument: str | None = None
    ) -> list[DeskPosition]:
        """Return what is held, in order of the instruments' names; never a flat one."""
        self._check(principal, Verb.READ, instrument)
        visible = self._visible(principal)
        found = [
            self._position(holding)
            for holding in self._engine.ledger.holdings(instrument=instrument)
            if holding.quantity
            if (holding.account, holding.run) in visible
            if principal.allows(Verb.READ, holding.instrument.id)
        ]
        return sorted(found, key=lambda position: (position.instrument, position.run))

    def position_now(self, position: Position) -> DeskPosition | None:
        """Return the position of an event as it stands by now, a flat one too; None: unknown."""
        for holding in self._engine.ledger.of_run(position.run, position.instrument):
            if holding.account == position.account and holding.bucket == position.bucket:
                return self._position(holding)
        return None

    def _position(self, holding: Holding) -> DeskPosition:
        instrument, quantity, cost = holding.instrument, holding.quantity, holding.cost
        line = Line(holding.account, holding.run, instrument.id, holding.bucket)
        since = self._since.get(line)
        price = self._marks(instrument.id)
        unit = multiply(quantity, instrument.multiplier)
        now_ns = self._engine.clock.now_ns
        return DeskPosition(
            holding.account,
            holding.run,
            instrument.id,
            quantity,
            holding.event(now_ns).average_price or ZERO if unit else ZERO,
            price,
            ZERO if price is None else subtract(holding.value(price), cost),
            holding.realised,
            now_ns if since is None else since.opened_ns,
            now_ns if since is None else since.updated_ns,
            holding.bucket,
        )

    def _note_fill(self, order: OrderState, fact: OrderFact | None) -> None:
        """Keep when a position came to be: called in the step, once the ledger has booked it."""
        if isinstance(fact, EXECUTIONS):
            intent = order.intent
            line = Line(order.account, intent.run, intent.instrument, intent.bucket)
            held = self._engine.ledger.holding(
                order.account, intent.run, order.instrument, intent.bucket
            )
            self._note(line, held.quantity, fact.time_ns)

    def _note(self, line: Line, held: Decimal, time_ns: int) -> None:
        since = self._since.get(line)
        if since is not None and held and since.is_long is (held > ZERO):
            since.updated_ns = time_ns
        elif held:
            self._since[line] = Since(time_ns, is_long=held > ZERO)
        elif since is not None:
            since.updated_ns = time_ns
            since.is_long = not since.is_long  # whatever comes next opens anew

    def _recall(self) -> None:
        """Find out when positions were opened, from the executions that are still in memory."""
        registry = self._engine.registry
        fills = sorted(
            (fill for state in registry for fill in fills_of(state)), key=lambda fill: fill.time_ns
        )
        held: dict[Line, Decimal] = {}
        for fill in fills:
            line = Line(fill.account, fill.run, fill.instrument, fill.bucket)
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            held[line] = add(held.get(line, ZERO), signed)
            self._note(line, held[line], fill.time_ns)

    # -- money ---------------------------------------------------------------------------------

    async def money(self, principal: Principal, account: str | None = None) -> Money:
        """Return what a place has: the first one's where no account is named."""
        self._check(principal, Verb.READ)
        name = account or principal.places[0].account
        if all(place.account != name for place in principal.places):
            raise Forbidden(f"the token of {principal.name} is not for account {name!r}")
        return self.money_now(name)

    def money_now(self, account: str) -> Money:
        """Return what an account has, over all its runs."""
        engine, currency = self._engine, self._currencies[account]
        ledger, now_ns = engine.ledger, engine.clock.now_ns
        equity = ledger.equity(account, self._marks).get(currency, ZERO)
        unrealised = ledger.unrealised(account, self._marks).get(currency, ZERO)
        realised = ledger.realised(account).get(currency, ZERO)
        bound, margins = self._bound(account, currency)
        reserved = self._reserved(account, currency)
        available = subtract(subtract(equity, bound), reserved)
        return Money(
            account,
            currency,
            subtract(equity, unrealised),
            equity,
            unrealised,
            realised,
            bound,
            reserved,
            max(ZERO, available),
            now_ns,
            margins,
        )

    def _bound(self, account: str, currency: str) -> tuple[Decimal, tuple[Margin, ...]]:
        """Return what positions bind: margin, or the value of what was paid in full."""
        bound, margins, costs = ZERO, [], self._costs.get(account)
        for holding in self._engine.ledger.holdings(account=account):
            instrument = holding.instrument
            if not holding.quantity or instrument.currency != currency:
                continue
            price = self._marks(instrument.id)
            value = absolute(holding.value(price))
            is_owned = holding.is_paid_in_full and holding.quantity > ZERO
            if is_owned or costs is None or price is None:
                bound = add(bound, value)
            else:
                margin = costs.margin(instrument, holding.quantity, price)
                bound = add(bound, margin.initial)
                margins.append(margin)
        return bound, tuple(margins)

    def _reserved(self, account: str, currency: str) -> Decimal:
        """Return what open orders bind: cash of what is paid in full, else what margin may grow by.

        Of a line the worse of all buys filled and all sells filled counts, as at the gate.
        """
        costs = self._costs.get(account)
        reserved = self._engine.registry.reserved_cash(account).get(currency, ZERO)
        for stake in self._system.safeguards.inputs.stakes(account, None):
            instrument = stake.instrument
            price = self._marks(instrument.id)
            if instrument.currency != currency or price is None or is_paid_in_full(instrument):
                continue
            worst, _ = worst_quantity(stake)
            if costs is None:
                grown = instrument.notional(price, subtract(worst, absolute(stake.position)))
            else:
                grown = subtract(
                    costs.margin(instrument, worst, price).initial,
                    costs.margin(instrument, stake.position, price).initial,
                )
            reserved = add(reserved, max(ZERO, grown))
        return reserved

    def _reserve(
        self, account: str, instrument: Instrument, side: Side, quantity: Decimal, price: Decimal
    ) -> Decimal:
        costs = self._costs.get(account)
        if costs is None:
            return absolute(instrument.notional(price, quantity))
        return costs.reserve(instrument, side, quantity, price)

    async def funds(self, principal: Principal) -> tuple[AccountFunds, list[RunFunds]]:
        """Return the first place's account, and the runs on it that the principal sees."""
        self._check(principal, Verb.READ)
        account, book = principal.places[0].account, self._system.book
        runs = [run for run in book if run.account == account]
        if all(run.id != EXTERNAL_RUN for run in runs):
            runs.append(book.external(account))
        whole, parts = all_funds(
            self._engine.ledger,
            runs,
            self._marks,
            account=account,
            currency=self._currencies[account],
            reserved_of=lambda run: self._reserved_by(account, run),
            time_ns=self._engine.clock.now_ns,
        )
        visible = self._visible(principal)
        return whole, [part for part in parts if (part.account, part.run) in visible]

    def _reserved_by(self, account: str, run: str) -> dict[str, Decimal]:
        sums: dict[str, Decimal] = {}
        for working in self._engine.registry.lines():
            if working.run != run:
                continue
            for order in working.orders.values():
                if order.account == account and order.is_buy and order.is_paid_in_full:
                    currency = order.instrument.currency
                    sums[currency] = add(sums.get(currency, ZERO), order.reserved)
        return sums

    async def runs(self, principal: Principal) -> list[Run]:
        """Return the runs that the principal sees."""
        self._check(principal, Verb.READ)
        visible = self._visible(principal)
        return [run for run in self._system.book if (run.account, run.id) in visible]

    async def breakers(self, principal: Principal) -> list[Breaker]:
        """Return what only a person closes: the exits that were refused too often."""
        self._check(principal, Verb.READ)
        emulation = self._system.care.emulation
        tripped = sum(emulation.tripped_count(run) for run in self._runs_of(principal))
        return [Breaker("exits", tripped > 0, tripped)]

    # -- access --------------------------------------------------------------------------------

    def _check(self, principal: Principal, verb: Verb, instrument: str | None = None) -> None:
        """Raise Forbidden unless the principal may do this, with this instrument."""
        if principal.allows(verb, instrument):
            return
        what = verb.value if instrument is None else f"{verb.value} of {instrument}"
        raise Forbidden(f"the token of {principal.name} does not allow {what}")

    def _visible(self, principal: Principal) -> frozenset[tuple[str, str]]:
        """Return the (account, run) pairs that a principal sees."""
        if principal.view is View.RUN:
            return frozenset((place.account, place.run) for place in principal.places)
        accounts = {place.account for place in principal.places}
        known = {(run.account, run.id) for run in self._system.book if run.account in accounts}
        return frozenset(known | {(account, EXTERNAL_RUN) for account in accounts})

    def _runs_of(self, principal: Principal) -> list[str]:
        return sorted({run for _, run in self._visible(principal)})

    def _sees(self, principal: Principal, verb: Verb, state: OrderState) -> bool:
        if not principal.allows(verb, state.intent.instrument):
            return False
        accounts = [place.account for place in principal.places]
        if principal.view is View.ACCOUNT:
            return state.account in accounts
        return any(
            place.account == state.account and place.run == state.intent.run
            for place in principal.places
        )


def behind(rows: list[Row], row_id: str, id_of: Callable[[Row], str]) -> list[Row]:
    """Return the rows that follow the one of this id.

    Raises:
        OrderError: it is not among them (any more).
    """
    for index, row in enumerate(rows):
        if id_of(row) == row_id:
            return rows[index + 1 :]
    raise OrderError(f"{row_id!r} is not in the list any more")


def fits(state: OrderState, query: OrderQuery) -> bool:
    """Tell whether an order fits every condition that is set."""
    intent = state.intent
    return (
        (query.instrument is None or intent.instrument == query.instrument)
        and (query.statuses is None or state.status in query.statuses)
        and (query.side is None or intent.side is query.side)
        and (query.key is None or intent.key == query.key)
        and (query.oco_group is None or intent.oco_group == query.oco_group)
        and (query.since_ns is None or state.created_ns >= query.since_ns)
        and (query.until_ns is None or state.created_ns < query.until_ns)
    )


def fills_of(state: OrderState) -> Iterator[Fill]:
    """Yield what holds for each of an order's executions; a bust one is none."""
    for execution in state.facts.executions.values():
        if not execution.quantity:
            continue
        if isinstance(execution, OrderFilled):
            yield state.fill(execution, ZERO, execution.time_ns)
        else:
            corrected = state.fill_corrected(execution, execution.time_ns)
            yield Fill(
                corrected.execution_id,
                corrected.order_id,
                corrected.run,
                corrected.account,
                corrected.instrument,
                corrected.side,
                corrected.quantity,
                corrected.price,
                corrected.time_ns,
                corrected.received_ns,
                corrected.fees,
                bucket=state.intent.bucket,
            )
