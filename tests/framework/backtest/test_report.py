import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from framework.backtest.prices import PriceSeries
from framework.backtest.report import (
    MARKED_TRADES,
    POINTS,
    PRICE_CHARTS,
    report_figure,
    report_html,
    write_report,
)
from framework.backtest.result import BacktestArtifacts
from framework.errors import ConfigError
from framework.model.orders import Side
from framework.portfolio.equity import EquityCurve
from tests.framework.backtest.samples import RESULT, START_NS, S, round_trip

pytest.importorskip("plotly")


def artifacts_of(*instruments: str, points: int = 50, trades: int = 1) -> BacktestArtifacts:
    curve = EquityCurve()
    prices = {instrument: PriceSeries() for instrument in instruments}
    for index in range(points):
        curve.sample(START_NS + index * S, 10_000.0 + index % 7)
        for series in prices.values():
            series.add(START_NS + index * S, 100.0 + index % 5)
    trips = [round_trip(instrument=name) for name in instruments for _ in range(trades)]
    return BacktestArtifacts(equity=curve, trades=trips, prices=prices)


def traces(artifacts: BacktestArtifacts) -> dict[str, list[Any]]:
    figure, _ = report_figure(artifacts)
    by_name: dict[str, list[Any]] = {}
    for trace in figure.data:
        by_name.setdefault(trace.name, []).append(trace)
    return by_name


def test_the_report_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.html"

    write_report(path, RESULT, artifacts_of("mock:X"))

    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "default-src 'none'" in page
    assert re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=", page) is None
    assert "Plotly.newPlot" in page


def test_the_report_shows_statistics_assumptions_and_warnings() -> None:
    page = report_html(RESULT, artifacts_of("mock:X"))

    for text in (
        "Total return",
        "2.50 %",
        "fill model",
        "touch",
        "three candles are missing",
        "100 dropped",
        "2024-01-01 00:00:00 UTC to 2024-01-31 00:00:00 UTC",
    ):
        assert text in page


def test_names_from_outside_stay_text() -> None:
    """T-13."""
    script = "<script>alert(1)</script>"
    hostile = msgspec.structs.replace(
        RESULT, name=script, warnings=(script,), assumptions={script: script}
    )

    page = report_html(hostile, artifacts_of(f"mock:{script}"))

    assert script not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_entries_and_exits_are_marked_on_the_price_by_side_and_outcome() -> None:
    artifacts = artifacts_of("mock:X", trades=0)
    artifacts.trades = [
        round_trip(gross="9"),
        round_trip(side=Side.SELL, gross="-1"),
        round_trip(instrument="mock:Y"),
    ]

    drawn = traces(artifacts)

    assert list(drawn["long entry"][0].y) == [100.5]
    assert list(drawn["short entry"][0].y) == [100.5]
    assert drawn["exit with profit"][0].text == ("exit 2, net 7.75",)
    assert drawn["exit with loss"][0].text == ("exit 2, net -2.25",)


def test_long_series_are_drawn_with_few_points() -> None:
    drawn = traces(artifacts_of("mock:X", points=3 * POINTS))

    for name in ("equity", "drawdown", "price"):
        assert 2 < len(drawn[name][0].x) <= POINTS


def test_what_is_left_out_is_said() -> None:
    many = artifacts_of(*(f"mock:{n}" for n in range(PRICE_CHARTS + 1)))
    often = artifacts_of("mock:X", trades=MARKED_TRADES + 1)

    _, notes = report_figure(many)
    assert notes == [f"Prices of {PRICE_CHARTS} of {PRICE_CHARTS + 1} instruments are drawn."]
    assert len(traces(many)["price"]) == PRICE_CHARTS

    _, notes = report_figure(often)
    assert notes == ["mock:X: the last 2,000 of 2,001 round trips are marked."]
    assert len(traces(often)["long entry"][0].x) == MARKED_TRADES


def test_a_run_without_data_or_trades_has_a_report_too() -> None:
    page = report_html(RESULT, BacktestArtifacts(equity=EquityCurve()))

    assert "Equity" in page


def test_without_plotly_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)

    with pytest.raises(ConfigError, match=r"headrace\[report\]"):
        report_html(RESULT, artifacts_of())
