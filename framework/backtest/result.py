"""What a backtest came to: plain data that goes to JSON and back."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from framework.backtest.prices import PriceSeries
from framework.backtest.trades import RoundTrip
from framework.bus.subscriber import SubscriberStatistics
from framework.model.decimals import ZERO, add, subtract
from framework.model.orders import Fill
from framework.model.records import DataPlayed
from framework.portfolio.equity import EquityCurve
from framework.portfolio.performance import Performance


class CurrencyResult(msgspec.Struct, frozen=True):
    """What a run earned in one currency; `fees` are positive when paid."""

    currency: str
    realised: Decimal = ZERO
    unrealised: Decimal = ZERO
    fees: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """Realised + unrealised − fees."""
        return subtract(add(self.realised, self.unrealised), self.fees)


class RunResult(msgspec.Struct, frozen=True):
    """What one strategy earned, per currency."""

    run: str
    strategy: str = ""
    currencies: tuple[CurrencyResult, ...] = ()


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one backtest.

    Equal inputs give equal results but for `duration_s`. Decimals are text in JSON.

    Attributes:
        first_ns, last_ns: times of the first and the last event, nanoseconds UTC; None without.
        orders: submitted by strategies, those refused included; `denied` by our own gate,
            `rejected` by the simulated venue.
        initial_equity, final_equity: in `currency`, marked at the first and last prices.
        statistics: queue counters per subscriber.
        assumptions: what the figures rest on, by name: fill model, price path, latency, costs.
        data: which data they rest on, per venue: hashes of the files, or what generated it.
        warnings: what makes the figures doubtful.
        duration_s: wall time of the run.
    """

    name: str
    mode: str
    seed: int
    currency: str
    initial_equity: Decimal
    final_equity: Decimal
    performance: Performance
    first_ns: int | None = None
    last_ns: int | None = None
    events: int = 0
    orders: int = 0
    fills: int = 0
    denied: int = 0
    rejected: int = 0
    runs: tuple[RunResult, ...] = ()
    statistics: tuple[SubscriberStatistics, ...] = ()
    assumptions: dict[str, str] = {}
    data: tuple[DataPlayed, ...] = ()
    warnings: tuple[str, ...] = ()
    duration_s: float = 0.0


class BacktestArtifacts(msgspec.Struct, kw_only=True):
    """What belongs to a result but not into its JSON; bounded by what recorded it."""

    equity: EquityCurve
    trades: Sequence[RoundTrip] = ()
    fills: Sequence[Fill] = ()
    prices: dict[str, PriceSeries] = {}


def to_json(result: BacktestResult) -> bytes:
    """Return the result as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2)


def from_json(data: bytes | str) -> BacktestResult:
    """Return the result that `to_json` wrote.

    Raises:
        msgspec.ValidationError: it is not one.
    """
    return msgspec.json.decode(data, type=BacktestResult)
