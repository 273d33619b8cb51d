"""Performance: what an equity curve and its round trips amount to, as numbers with a formula.

Returns are taken over one fixed interval, anchored at the curve's first sample: a day if the
curve spans at least ten of them, else an hour, a minute, a second by the same rule. At each
mark the newest sample holds; the part of an interval that is left at the end counts for the
total return only. A curve with fewer samples than intervals has no returns: most would be zero,
and risk would look small because nobody looked. A year is 365.25 days of 24 hours, in every
market, and the risk-free rate is zero. A number that does not exist (no trades, no variance,
nothing to annualise) is None, never NaN or infinite.
"""

from bisect import bisect_right
from decimal import Decimal
from itertools import pairwise
from math import fsum, isfinite, sqrt

import msgspec

from framework.model.decimals import ZERO, subtract
from framework.portfolio.equity import EquityCurve

NS_PER_S = 1_000_000_000
YEAR_S = 31_557_600  # 365.25 days
MINIMUM_INTERVALS = 10  # fewer returns say nothing about their variance

INTERVALS_S = (86_400, 3_600, 60, 1)

_ABSURD = 1e100  # beyond, squares of returns leave the floats
_NOISE = 1e-14  # equity that grows evenly has returns that differ by rounding, not by risk


class TradeSummary(msgspec.Struct, frozen=True):
    """What a run's fills and round trips add up to, in the instruments' currency.

    Attributes:
        count: round trips completed; `wins` and `losses` are those with net > 0 and net < 0.
        gross_profit, gross_loss: Σ net of the wins, and −Σ net of the losses: both ≥ 0.
        fees: of all fills, those of positions still open included; positive is paid.
        traded: Σ quantity × price × multiplier of all fills.
        open_count: positions that have not returned to flat; only `fees` and `traded` know them.
        is_mixed: several currencies were added up as if they were one.
    """

    count: int = 0
    wins: int = 0
    losses: int = 0
    gross_profit: Decimal = ZERO
    gross_loss: Decimal = ZERO
    fees: Decimal = ZERO
    traded: Decimal = ZERO
    open_count: int = 0
    is_mixed: bool = False


class Performance(msgspec.Struct, frozen=True):
    """Statistics of one run; fractions are of 1 (0.25 = 25 %), money in the curve's currency.

    Attributes:
        total_return: final ÷ initial − 1, fraction. None unless the initial equity is positive.
        annual_return: (final ÷ initial) ^ (year ÷ span) − 1, fraction (CAGR). None when the
            span is below ten days, or an end of the curve is not positive.
        annual_volatility: s × √(year ÷ interval), fraction; s = standard deviation of the
            returns (divisor n − 1).
        sharpe: mean ÷ s × √(year ÷ interval). None without variance.
        sortino: mean ÷ √(Σ min(return, 0)² ÷ n) × √(year ÷ interval). None without a loss.
        max_drawdown: max over time of 1 − equity ÷ peak so far, fraction, 0 without a fall.
        max_drawdown_s: longest time from a peak until it was reached again, or until the end.
        exposure: time with an open position ÷ span, fraction.
        turnover: traded ÷ time-weighted mean equity, a plain number for the whole run.
        trades: round trips from flat to flat; `open_trades` more have not ended, and what they
            earned so far is in the returns but in none of the trade statistics.
        win_rate: wins ÷ trades, fraction, net of fees.
        profit_factor: gross profit ÷ gross loss, net of fees. None without a loss.
        average_trade: mean net result of a round trip. None where currencies are mixed, as are
            profit factor and turnover.
        fees: paid over all fills.
        interval_s: what one return is taken over; None when the curve is too short or too sparse.
        returns: how many of them there are.
    """

    total_return: float | None = None
    annual_return: float | None = None
    annual_volatility: float | None = None
    sharpe: float | None = None
    sortino: float | None = None
    max_drawdown: float = 0.0
    max_drawdown_s: float = 0.0
    exposure: float | None = None
    turnover: float | None = None
    trades: int = 0
    open_trades: int = 0
    win_rate: float | None = None
    profit_factor: float | None = None
    average_trade: float | None = None
    fees: Decimal = ZERO
    interval_s: int | None = None
    returns: int = 0


def measure(curve: EquityCurve, trades: TradeSummary) -> Performance:
    """Return the statistics of a run; an empty curve gives the defaults."""
    interval_s = sampling_interval_s(curve)
    returns = interval_returns(curve, interval_s) if interval_s is not None else []
    per_year = YEAR_S / interval_s if interval_s is not None else 0.0
    span_ns = curve.span_ns
    return Performance(
        total_return=total_return(curve),
        annual_return=annual_return(curve),
        annual_volatility=_scaled(standard_deviation(returns), sqrt(per_year)),
        sharpe=sharpe(returns, per_year),
        sortino=sortino(returns, per_year),
        max_drawdown=curve.max_drawdown,
        max_drawdown_s=curve.max_drawdown_ns / NS_PER_S,
        exposure=curve.in_market_ns / span_ns if span_ns else None,
        turnover=None if trades.is_mixed else ratio(float(trades.traded), mean_equity(curve)),
        trades=trades.count,
        open_trades=trades.open_count,
        win_rate=trades.wins / trades.count if trades.count else None,
        profit_factor=profit_factor(trades),
        average_trade=average_trade(trades),
        fees=trades.fees,
        interval_s=interval_s,
        returns=len(returns),
    )


def sampling_interval_s(curve: EquityCurve) -> int | None:
    """Return the longest of `INTERVALS_S` that fits `MINIMUM_INTERVALS` times into the span.

    None if there is none, or if the curve has fewer samples than intervals.
    """
    span_ns = curve.span_ns
    for interval_s in INTERVALS_S:
        intervals = span_ns // (interval_s * NS_PER_S)
        if intervals >= MINIMUM_INTERVALS:
            return interval_s if len(curve) > intervals else None
    return None


def interval_returns(curve: EquityCurve, interval_s: int) -> list[float]:
    """Return equity(mark) ÷ equity(mark before) − 1; empty if equity was ever not positive.

    An account that was worth nothing has no return from there on, and to leave out only that
    interval would flatter the rest. The curve must span at least one interval.
    """
    times_ns, step_ns = curve.times_ns, interval_s * NS_PER_S
    marks = range(times_ns[0], times_ns[-1] + 1, step_ns)
    levels = [curve.equity[bisect_right(times_ns, mark) - 1] for mark in marks]
    if min(levels) <= 0.0:
        return []
    returns = [level / before - 1.0 for before, level in pairwise(levels)]
    return returns if max(returns) < _ABSURD else []


def total_return(curve: EquityCurve) -> float | None:
    """Return final ÷ initial − 1."""
    if not len(curve):
        return None
    return ratio(curve.equity[-1] - curve.equity[0], curve.equity[0])


def annual_return(curve: EquityCurve) -> float | None:
    """Return (final ÷ initial) ^ (year ÷ span) − 1, from ten days on."""
    if curve.span_ns < MINIMUM_INTERVALS * INTERVALS_S[0] * NS_PER_S:
        return None
    growth = ratio(curve.equity[-1], curve.equity[0])
    if growth is None or growth <= 0.0:
        return None
    try:
        return float(growth ** (YEAR_S * NS_PER_S / curve.span_ns)) - 1.0
    except OverflowError:  # real enough in a toy market, but not a number to compare
        return None


def mean(values: list[float]) -> float | None:
    """Return Σ value ÷ n, or None without values."""
    return fsum(values) / len(values) if values else None


def standard_deviation(values: list[float]) -> float | None:
    """Return √(Σ (value − mean)² ÷ (n − 1)), or None below two values; 0 for mere rounding."""
    centre = mean(values)
    if centre is None or len(values) < 2:
        return None
    deviation = sqrt(fsum((value - centre) ** 2 for value in values) / (len(values) - 1))
    return deviation if deviation > _NOISE else 0.0


def sharpe(returns: list[float], per_year: float) -> float | None:
    """Return mean ÷ standard deviation × √(returns per year)."""
    deviation = standard_deviation(returns)
    return _scaled(ratio(mean(returns), deviation), sqrt(per_year))


def sortino(returns: list[float], per_year: float) -> float | None:
    """Return mean ÷ √(Σ min(return, 0)² ÷ n) × √(returns per year)."""
    downside = sqrt(mean([min(value, 0.0) ** 2 for value in returns]) or 0.0)
    return _scaled(ratio(mean(returns), downside if downside > _NOISE else 0.0), sqrt(per_year))


def mean_equity(curve: EquityCurve) -> float | None:
    """Return equity weighted by the time it held, or the newest where no time has passed."""
    if not len(curve):
        return None
    if not curve.span_ns:
        return curve.equity[-1]
    spells = (after - before for before, after in pairwise(curve.times_ns))
    return (
        fsum(level * spell for level, spell in zip(curve.equity, spells, strict=False))
        / curve.span_ns
    )


def profit_factor(trades: TradeSummary) -> float | None:
    """Return gross profit ÷ gross loss."""
    if trades.is_mixed:
        return None
    return ratio(float(trades.gross_profit), float(trades.gross_loss))


def average_trade(trades: TradeSummary) -> float | None:
    """Return the mean net result of a round trip."""
    if trades.is_mixed or not trades.count:
        return None
    return float(subtract(trades.gross_profit, trades.gross_loss)) / trades.count


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Return the quotient, or None where a part is missing or it divides by nothing positive."""
    if numerator is None or denominator is None or denominator <= 0.0:
        return None
    quotient = numerator / denominator
    return quotient if isfinite(quotient) else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
