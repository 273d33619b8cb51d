import csv
import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.backtest.prices import PriceSeries, extremes
from framework.backtest.result import (
    BacktestResult,
    CurrencyResult,
    RunResult,
    from_json,
    to_json,
)
from framework.backtest.summary import (
    format_duration,
    format_money,
    format_number,
    format_percent,
    format_time,
    summary_text,
)
from framework.backtest.trades_csv import text_cell, write_trades_csv
from framework.bus.statistics import ChannelStatistics
from framework.bus.subscriber import SubscriberStatistics
from framework.portfolio.performance import Performance
from tests.framework.backtest.samples import RESULT, round_trip


def test_a_result_survives_json_with_its_decimals_as_text() -> None:
    data = to_json(RESULT)

    assert from_json(data) == RESULT
    assert json.loads(data)["final_equity"] == "10250.000000000000000001"
    assert json.loads(data)["performance"]["sharpe"] is None


def test_damaged_json_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="seed"):
        from_json(to_json(RESULT).replace(b'"seed": 7', b'"seed": "seven"'))


def test_net_is_what_was_earned_minus_the_fees() -> None:
    earned = CurrencyResult("USD", Decimal("10.5"), Decimal("-2"), Decimal("0.25"))

    assert earned.net == Decimal("8.25")


def test_the_summary_says_what_happened() -> None:
    text = summary_text(RESULT)

    assert text.startswith("cross (backtest, seed 7)\n")
    for line in (
        "Period             2024-01-01 00:00:00 UTC to 2024-01-31 00:00:00 UTC",
        "Orders             12 (1 denied, 2 rejected)",
        "Duration           2.00 s (500 events/s)",
        "Final equity       10,250.00 USD",
        "Total return       2.50 %",
        "Sharpe ratio       –",
        "cross              net 250.00 USD = realised 260.00 + unrealised 0.00 − fees 10.00",
        "cross/quotes       900 of 1,000 delivered, 100 dropped, 0 conflated, 0 discarded",
        "Round trips        5 (1 not ended)",
        "fill model         touch",
        "! three candles are missing",
    ):
        assert f"  {line}\n" in text
    assert "cross/candles" not in text  # lost nothing


def test_an_empty_result_has_a_summary_too() -> None:
    empty = BacktestResult(
        name="empty",
        mode="backtest",
        seed=0,
        currency="USD",
        initial_equity=Decimal(0),
        final_equity=Decimal(0),
        performance=Performance(),
    )

    text = summary_text(empty)

    assert "  Period             – to –\n" in text
    assert "nan" not in text
    assert "Warnings" not in text


def test_a_name_cannot_command_the_terminal() -> None:
    """T-16."""
    hostile = msgspec.structs.replace(
        RESULT, name="a\x1b[31mb\n", warnings=("c\rd\x07", "e\u202ef")
    )

    text = summary_text(hostile)

    assert "a?[31mb? (backtest" in text
    assert "! c?d?" in text
    assert all(character.isprintable() for character in text.replace("\n", ""))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("-1234.5", "-1,234.50"),
        ("0.00012", "0.00012"),
        ("1E+3", "1,000.00"),
        ("0.123456789", "0.12345679"),
    ],
)
def test_money_keeps_the_digits_that_matter(amount: str, text: str) -> None:
    assert format_money(Decimal(amount)) == text
    assert format_money(Decimal(amount), "USD") == f"{text} USD"


def test_numbers_times_and_durations_are_readable() -> None:
    assert format_time(1_700_000_000_999_999_999) == "2023-11-14 22:13:20 UTC"
    assert format_duration(0.2) == "0 s"
    assert format_duration(61) == "1 min 1 s"
    assert format_duration(90_061) == "1 d 1 h"
    assert format_percent(-0.12345) == "-12.35 %"
    assert format_number(1234.5) == "1,234.50"


def test_the_trades_go_to_a_file_with_exact_numbers(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"

    count = write_trades_csv(path, [round_trip(), round_trip(run="=cmd|' /C calc'!A0")])

    assert count == 2
    with path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {
        "run": "cross",
        "instrument": "mock:X",
        "side": "long",
        "quantity": "2",
        "entry_time": "2024-01-01T00:00:00.000000001Z",
        "entry_price": "100.5",
        "exit_time": "2024-01-01T00:01:00.000000000Z",
        "exit_price": "101",
        "gross": "1.0",
        "fees": "1.25",
        "net": "-0.25",
        "currency": "USD",
        "fills": "2",
    }
    assert second["run"] == "'=cmd|' /C calc'!A0"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1"])
def test_no_text_becomes_a_formula(text: str) -> None:
    """T-04."""
    assert text_cell(text) == f"'{text}"


def test_harmless_text_stays_as_it_is() -> None:
    assert text_cell("binance:BTC-USDT") == "binance:BTC-USDT"
    assert text_cell("") == ""


def test_no_trades_make_a_file_with_only_a_header(tmp_path: Path) -> None:
    assert write_trades_csv(tmp_path / "none.csv", []) == 0
    assert (tmp_path / "none.csv").read_text().startswith("run,instrument,side")


@given(st.lists(st.floats(-1e6, 1e6), max_size=300), st.integers(4, 40))
def test_a_thinned_line_keeps_ends_and_extremes(values: list[float], limit: int) -> None:
    kept = extremes(values, limit)

    assert len(kept) <= limit
    assert kept == sorted(set(kept))
    if values:
        assert (kept[0], kept[-1]) == (0, len(values) - 1)
        assert min(values[index] for index in kept) == min(values)
        assert max(values[index] for index in kept) == max(values)


def test_recorded_prices_stay_within_their_capacity() -> None:
    series = PriceSeries(capacity=100)

    for second in range(1_000):
        series.add(second * 1_000_000_000, float(second))

    assert len(series) <= 100
    assert (series.prices[0], series.prices[-1]) == (0.0, 999.0)
    assert list(series.times_ns) == sorted(series.times_ns)


def test_a_run_without_losses_has_no_queue_lines() -> None:
    quiet = SubscriberStatistics(
        name="cross",
        channels=(ChannelStatistics("candles", 1_000, 5, 5, 0, 0, 0, 0),),
        batches=1,
        handler_ns=0,
        lag_ns=0,
        errors=0,
        is_busy=False,
        is_ended=False,
    )
    result = msgspec.structs.replace(RESULT, statistics=(quiet,), runs=(RunResult("cross"),))

    assert "Queues" not in summary_text(result)
    assert "Runs" not in summary_text(result)
