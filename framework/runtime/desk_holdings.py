"""What is held and what an account has, valued at the newest prices: plain values, no I/O."""

from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache

from framework.errors import Forbidden
from framework.model.account import Margin, Position
from framework.model.decimals import ZERO, absolute, add, multiply, subtract
from framework.model.desk import Breaker, DeskPosition, Money, Principal, Verb
from framework.model.funds import AccountFunds, RunFunds
from framework.model.identity import EXTERNAL_RUN
from framework.model.instrument import Instrument
from framework.model.orders import Side
from framework.model.runs import Run
from framework.portfolio.funds import all_funds
from framework.portfolio.holding import Holding, is_paid_in_full
from framework.portfolio.marks import MarketMarks, usable
from framework.risk.limits.margin import worst_quantity
from framework.runtime.desk_access import DeskAccess
from framework.runtime.system import System
from framework.simulation.costs import CostModel

MARK_DIGITS = Context(prec=12, traps=[InvalidOperation])
KEPT_PRICES = 1_024  # a price is asked for several times until the next quote


def rounded(price: float | None) -> Decimal | None:
    """Return a price without the noise of binary floats: a mid of two prices has few digits."""
    number = usable(price)
    return None if number is None else MARK_DIGITS.plus(number)


class DeskHoldings(DeskAccess):
    """Shows positions, money and runs."""

    def __init__(self, system: System, currencies: Mapping[str, str]) -> None:
        """`currencies` are the accounts'."""
        DeskAccess.__init__(self, system)
        number_of = lru_cache(KEPT_PRICES, typed=True)(rounded)  # 5 and 5.0 read differently
        self._marks = MarketMarks(system.engine.market, number_of)
        self._currencies = currencies
        self._costs: dict[str, CostModel | None] = {
            account: venue.costs for venue in system.venues for account in venue.accounts
        }
        openings = system.parts.openings
        if not openings.is_told:  # no journal: nobody else asks since when something is held
            openings.is_told = True
            openings.recall(system.engine.registry)
            system.engine.desk.after_change.append(openings.after_change)
            system.engine.record_listeners.append(openings.note)

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
        since = self._system.parts.openings.of(holding)
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
