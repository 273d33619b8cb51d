"""A small backtest result and round trips for the tests of its outputs."""

from decimal import Decimal

from framework.backtest.result import BacktestResult, CurrencyResult, RunResult
from framework.backtest.trades import RoundTrip
from framework.bus.statistics import ChannelStatistics
from framework.bus.subscriber import SubscriberStatistics
from framework.model.orders import Side
from framework.portfolio.performance import Performance

S = 1_000_000_000
START_NS = 1_704_067_200 * S  # 2024-01-01

RESULT = BacktestResult(
    name="cross",
    mode="backtest",
    seed=7,
    currency="USD",
    initial_equity=Decimal(10_000),
    final_equity=Decimal("10250.000000000000000001"),
    performance=Performance(
        total_return=0.025, trades=5, open_trades=1, win_rate=0.4, fees=Decimal(10)
    ),
    first_ns=START_NS,
    last_ns=START_NS + 30 * 86_400 * S,
    events=1_000,
    orders=12,
    fills=9,
    denied=1,
    rejected=2,
    runs=(
        RunResult(
            "cross",
            "strategies.moving_average_cross:MovingAverageCross",
            (CurrencyResult("USD", Decimal(260), Decimal(0), Decimal(10)),),
        ),
    ),
    statistics=(
        SubscriberStatistics(
            name="cross",
            channels=(
                ChannelStatistics("quotes", 1_000, 1_000, 900, 100, 0, 0, 0),
                ChannelStatistics("candles", 1_000, 50, 50, 0, 0, 0, 0),
            ),
            batches=10,
            handler_ns=0,
            lag_ns=0,
            errors=0,
            is_busy=False,
            is_ended=False,
        ),
    ),
    assumptions={"fill model": "touch", "latency": "0 ms"},
    warnings=("three candles are missing",),
    duration_s=2.0,
)


def round_trip(
    *,
    run: str = "cross",
    instrument: str = "mock:X",
    side: Side = Side.BUY,
    entry_ns: int = START_NS + 1,
    gross: str = "1.0",
) -> RoundTrip:
    """Return two units bought at 100.5 and sold at 101 for fees of 1.25."""
    return RoundTrip(
        run=run,
        instrument=instrument,
        side=side,
        quantity=Decimal(2),
        entry_ns=entry_ns,
        exit_ns=START_NS + 60 * S,
        entry_value=Decimal(201),
        exit_value=Decimal(202),
        gross=Decimal(gross),
        fees=Decimal("1.25"),
        fills=2,
        currency="USD",
    )
