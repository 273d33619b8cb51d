"""What checks ask of the rest of the system, and what happens when no good answer comes (R-61).

A check is written as if every answer were there: `Inputs` stands between, and a missing, stale,
impossible or failing one raises `InputFault`, by which the gate refuses and names it.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import msgspec

from framework.errors import FrameworkError
from framework.interfaces import BrokerCapabilities
from framework.model.instrument import Instrument
from framework.model.orders import Side
from framework.model.runs import Execution, Run

T = TypeVar("T")
NS_PER_S = 1_000_000_000


class InputFault(FrameworkError):
    """An input to a check is missing, stale or failed: the order is refused."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name


class Reference(msgspec.Struct, frozen=True, gc=False):
    """The market's price of an instrument, and when it was that (UTC)."""

    price: Decimal
    time_ns: int


class Stake(msgspec.Struct, frozen=True, gc=False):
    """What one run has at stake in one instrument: position (signed) and open quantities."""

    run: str
    instrument: Instrument
    position: Decimal
    open_buy: Decimal
    open_sell: Decimal


class Resting(msgspec.Struct, frozen=True, gc=False):
    """An own order that may trade now; `price` is None for one at the market."""

    side: Side
    price: Decimal | None


class RiskInputs(Protocol):
    """The state of everything else as checks see it; None is "not known" and refuses."""

    def run(self, run: str) -> Run | None: ...
    def account_execution(self, account: str) -> Execution | None: ...
    def account_currency(self, account: str) -> str | None: ...
    def capabilities(self, account: str) -> BrokerCapabilities | None: ...
    def market_is_open(self, instrument: Instrument, now_ns: int) -> bool | None: ...
    def reference(self, instrument: str) -> Reference | None: ...
    def stakes(self, account: str, run: str | None) -> Sequence[Stake] | None:
        """What is held or open on an account, of one run or all, flat lines left out at will."""

    def available_cash(self, account: str, currency: str) -> Decimal | None:
        """Cash without what open orders reserve."""

    def order_cost(
        self, account: str, instrument: Instrument, side: Side, quantity: Decimal, price: Decimal
    ) -> Decimal | None:
        """The cash such an order may need at worst, in the instrument's currency."""

    def profits_today(
        self, account: str, run: str | None, now_ns: int
    ) -> Mapping[str, Decimal] | None:
        """Realised and unrealised profit after fees since the day began, per currency."""

    def open_order_count(
        self, account: str | None, run: str | None, instrument: str | None
    ) -> int | None:
        """How many orders are open, in doubt or held; None of the three means all of them."""

    def orders_filled_in_a_row(
        self, run: str, instrument: str, side: Side, since_ns: int
    ) -> int | None:
        """How many orders filled that way since then and since the last fill the other way."""

    def resting_orders(self, account: str, instrument: str) -> Sequence[Resting] | None: ...


class KnowsEquity(Protocol):
    """What `RiskInputs` must know besides where margin is required."""

    def free_equity(self, account: str, currency: str) -> Decimal | None:
        """Equity at the market's prices, less what is paid in full or reserved for that."""


class Inputs:
    """The same questions, answered or `InputFault`: the only way checks get at inputs."""

    def __init__(self, source: RiskInputs) -> None:
        self.source = source

    def run(self, run: str) -> Run:
        """Return a run as it stands."""
        return _ask(f"run {run!r}", self.source.run, run)

    def account_execution(self, account: str) -> Execution:
        """Return how really an account trades at most."""
        return _ask(f"execution of account {account!r}", self.source.account_execution, account)

    def account_currency(self, account: str) -> str:
        """Return the currency in which an account's limits are counted."""
        return _ask(f"currency of account {account!r}", self.source.account_currency, account)

    def capabilities(self, account: str) -> BrokerCapabilities:
        """Return what an account's broker can do."""
        return _ask(f"capabilities of account {account!r}", self.source.capabilities, account)

    def market_is_open(self, instrument: Instrument, now_ns: int) -> bool:
        """Tell whether an instrument trades at that time."""
        name = f"trading hours of {instrument.id}"
        return _ask(name, self.source.market_is_open, instrument, now_ns)

    def reference(self, instrument: str, now_ns: int, max_age_ns: int | None) -> Decimal:
        """Return the market's price, no older than `max_age_ns`."""
        name = f"reference price of {instrument}"
        reference = _ask(name, self.source.reference, instrument)
        age_ns = now_ns - reference.time_ns
        if max_age_ns is not None and age_ns > max_age_ns:
            age_s, limit_s = age_ns / NS_PER_S, max_age_ns / NS_PER_S
            raise InputFault(name, f"is stale: {age_s:.3f} s old, {limit_s:g} s are allowed")
        return _finite(name, reference.price)

    def stakes(self, account: str, run: str | None) -> Sequence[Stake]:
        """Return what is held and open."""
        stakes = _ask(f"positions of account {account!r}", self.source.stakes, account, run)
        for stake in stakes:
            for number in (stake.position, stake.open_buy, stake.open_sell):
                _finite(f"position of run {stake.run!r} in {stake.instrument.id}", number)
        return stakes

    def available_cash(self, account: str, currency: str) -> Decimal:
        """Return the cash that a new order may use."""
        name = f"cash of account {account!r} in {currency}"
        return _finite(name, _ask(name, self.source.available_cash, account, currency))

    def free_equity(self, account: str, currency: str) -> Decimal:
        """Return what margins may be taken from."""
        name = f"equity of account {account!r} in {currency}"
        question = getattr(self.source, "free_equity", _unknown)  # see `KnowsEquity`
        return _finite(name, _ask(name, question, account, currency))

    def order_cost(
        self, account: str, instrument: Instrument, side: Side, quantity: Decimal, price: Decimal
    ) -> Decimal:
        """Return the cash that an order may need at worst."""
        name = f"cost of an order on account {account!r}"
        ask = self.source.order_cost
        return _finite(name, _ask(name, ask, account, instrument, side, quantity, price))

    def profits_today(self, account: str, run: str | None, now_ns: int) -> Mapping[str, Decimal]:
        """Return the day's profit per currency."""
        owner = f"account {account!r}" if run is None else f"run {run!r}"
        name = f"today's profit of {owner}"
        profits = _ask(name, self.source.profits_today, account, run, now_ns)
        for profit in profits.values():
            _finite(name, profit)
        return profits

    def open_order_count(self, account: str | None, run: str | None, instrument: str | None) -> int:
        """Return how many orders are open."""
        ask = self.source.open_order_count
        return _ask("number of open orders", ask, account, run, instrument)

    def orders_filled_in_a_row(self, run: str, instrument: str, side: Side, since_ns: int) -> int:
        """Return how many orders filled one way."""
        name = f"fills of run {run!r} in {instrument}"
        return _ask(name, self.source.orders_filled_in_a_row, run, instrument, side, since_ns)

    def resting_orders(self, account: str, instrument: str) -> Sequence[Resting]:
        """Return the account's own orders that may trade now."""
        name = f"open orders of account {account!r} in {instrument}"
        return _ask(name, self.source.resting_orders, account, instrument)


def _ask(name: str, question: Callable[..., T | None], *arguments: Any) -> T:
    try:
        answer = question(*arguments)
    except InputFault:
        raise
    except Exception as error:  # whatever failed: an order that cannot be judged is not sent
        raise InputFault(name, f"failed: {type(error).__name__}: {error}") from error
    if answer is None:
        raise InputFault(name, "is missing")
    return answer


def _unknown(*arguments: Any) -> None:
    """Answer for inputs that were never told of a question."""


def _finite(name: str, value: Decimal) -> Decimal:
    if value.__class__ is not Decimal or not value.is_finite():
        raise InputFault(name, f"is impossible: {value!r}")
    return value
