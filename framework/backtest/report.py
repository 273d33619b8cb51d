"""The HTML report of a backtest: one file that needs no network, no server and no other file.

Charts are drawn by plotly (extra `report`), whose script is written into the page; a content
security policy in its head keeps the page from loading or sending anything.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any

from framework.backtest.prices import PriceSeries, extremes
from framework.backtest.result import BacktestArtifacts, BacktestResult
from framework.backtest.summary import (
    NOTHING,
    Rows,
    data_rows,
    format_number,
    format_percent,
    format_time,
    lossy_queue_rows,
    overview_rows,
    performance_rows,
    printable,
    run_rows,
    trade_rows,
)
from framework.backtest.trades import RoundTrip
from framework.errors import ConfigError
from framework.portfolio.equity import EquityCurve

POINTS = 5_000  # per line: more is slower to draw and looks the same
MARKED_TRADES = 2_000  # per instrument, the newest
PRICE_CHARTS = 6

_BLUE, _RED, _GREEN, _GREY = "#2563eb", "#dc2626", "#16a34a", "#64748b"


def write_report(path: Path | str, result: BacktestResult, artifacts: BacktestArtifacts) -> None:
    """Write the report to `path`.

    Raises:
        ConfigError: plotly is not installed.
        OSError: the file cannot be written.
    """
    Path(path).write_text(report_html(result, artifacts), encoding="utf-8")


def report_html(result: BacktestResult, artifacts: BacktestArtifacts) -> str:
    """Return the report as one HTML page. Raises ConfigError without plotly."""
    figure, notes = report_figure(artifacts)
    chart = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        config={"displaylogo": False, "responsive": True, "showSendToCloud": False},
    )
    name = escape(printable(result.name))
    period = f"{format_time(result.first_ns)} to {format_time(result.last_ns)}"
    return _PAGE.format(
        title=name,
        subtitle=escape(f"{printable(result.mode)} · seed {result.seed} · {period}"),
        cards="".join(_card(label, value) for label, value in _headline(result)),
        warnings="".join(f"<p class=warning>{_text(line)}</p>" for line in result.warnings),
        chart=chart,
        notes="".join(f"<p class=note>{_text(note)}</p>" for note in notes),
        tables="".join(
            _table(title, rows)
            for title, rows in (
                ("Performance", performance_rows(result)),
                ("Trades", trade_rows(result)),
                ("Run", overview_rows(result)),
                ("Strategies", run_rows(result)),
                ("Queues that lost events", lossy_queue_rows(result)),
                ("Assumptions", list(result.assumptions.items())),
                ("Data", data_rows(result)),
            )
            if rows
        ),
    )


def _headline(result: BacktestResult) -> Rows:
    measured = result.performance
    return [
        ("Total return", format_percent(measured.total_return)),
        ("Sharpe ratio", format_number(measured.sharpe)),
        ("Max drawdown", format_percent(measured.max_drawdown)),
        ("Round trips", f"{measured.trades:,}"),
        ("Win rate", format_percent(measured.win_rate)),
        ("Profit factor", format_number(measured.profit_factor)),
    ]


def report_figure(artifacts: BacktestArtifacts) -> tuple[Any, list[str]]:
    """Return plotly's figure (equity, drawdown, a row per instrument) and what it leaves out."""
    graph, subplots = _plotly()
    shown = list(artifacts.prices.items())[:PRICE_CHARTS]
    titles = ["Equity", "Drawdown (%)", *(_text(instrument) for instrument, _ in shown)]
    heights = [3.0, 1.5, *([3.5] * len(shown))]
    figure = subplots.make_subplots(
        rows=len(heights),
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=0.25 / sum(heights),
        subplot_titles=titles,
    )
    _draw_equity(graph, figure, artifacts.equity)
    notes = []
    if len(artifacts.prices) > len(shown):
        notes.append(f"Prices of {len(shown)} of {len(artifacts.prices)} instruments are drawn.")
    for row, (instrument, series) in enumerate(shown, start=3):
        trades = [trade for trade in artifacts.trades if trade.instrument == instrument]
        _draw_prices(graph, figure, row, series, trades[-MARKED_TRADES:], is_first=row == 3)
        if len(trades) > MARKED_TRADES:
            notes.append(
                f"{instrument}: the last {MARKED_TRADES:,} of {len(trades):,} round trips"
                " are marked."
            )
    figure.update_layout(
        template="plotly_white",
        height=round(85 * sum(heights)) + 120,
        margin={"l": 70, "r": 20, "t": 40, "b": 80},
        hovermode="closest",
        legend={"orientation": "h", "yanchor": "bottom", "yref": "container", "y": 0.01},
        font={"family": "system-ui, sans-serif", "size": 12},
    )
    return figure, notes


def _draw_equity(graph: ModuleType, figure: Any, curve: EquityCurve) -> None:
    if not len(curve):
        return
    import numpy as np

    times_ns, equity, _ = curve.to_arrays()
    peaks = np.maximum.accumulate(equity)
    falls = np.divide(equity - peaks, peaks, out=np.zeros_like(equity), where=peaks > 0.0)
    for row, name, values, color in (
        (1, "equity", equity, _BLUE),
        (2, "drawdown", 100.0 * falls, _RED),
    ):
        kept = extremes(values.tolist(), POINTS)
        line = graph.Scatter(
            x=_dates([int(times_ns[index]) for index in kept]),
            y=values[kept],
            name=name,
            mode="lines",
            line={"color": color, "width": 1.3, "shape": "hv"},
            fill="tozeroy" if row == 2 else None,
            showlegend=False,
        )
        figure.add_trace(line, row=row, col=1)


def _draw_prices(
    graph: ModuleType,
    figure: Any,
    row: int,
    series: PriceSeries,
    trades: Sequence[RoundTrip],
    *,
    is_first: bool,
) -> None:
    kept = extremes(series.prices, POINTS)
    line = graph.Scatter(
        x=_dates([series.times_ns[index] for index in kept]),
        y=[series.prices[index] for index in kept],
        name="price",
        mode="lines",
        line={"color": _GREY, "width": 1},
        showlegend=False,
    )
    figure.add_trace(line, row=row, col=1)
    longs = [trade for trade in trades if trade.is_long]
    shorts = [trade for trade in trades if not trade.is_long]
    for name, symbol, color, chosen in (
        ("long entry", "triangle-up", _GREEN, longs),
        ("short entry", "triangle-down", _RED, shorts),
    ):
        times = [trade.entry_ns for trade in chosen]
        prices = [float(trade.entry_price) for trade in chosen]
        texts = [f"{name} {trade.quantity:f}" for trade in chosen]
        marks = _marks(graph, times, prices, texts, name, symbol, color, shown=is_first)
        figure.add_trace(marks, row=row, col=1)
    for name, color, chosen in (
        ("exit with profit", _GREEN, [trade for trade in trades if trade.net > 0]),
        ("exit with loss", _RED, [trade for trade in trades if trade.net <= 0]),
    ):
        times = [trade.exit_ns for trade in chosen]
        prices = [float(trade.exit_price) for trade in chosen]
        texts = [f"exit {trade.quantity:f}, net {trade.net:,.2f}" for trade in chosen]
        marks = _marks(graph, times, prices, texts, name, "x-thin", color, shown=is_first)
        figure.add_trace(marks, row=row, col=1)


def _marks(
    graph: ModuleType,
    times_ns: Sequence[int],
    prices: Sequence[float],
    texts: Sequence[str],
    name: str,
    symbol: str,
    color: str,
    *,
    shown: bool,
) -> Any:
    line = {"width": 2 if symbol == "x-thin" else 0, "color": color}
    return graph.Scatter(
        x=_dates(times_ns),
        y=prices,
        text=texts,
        name=name,
        legendgroup=name,
        showlegend=shown,
        mode="markers",
        marker={"symbol": symbol, "color": color, "size": 8, "line": line},
        hovertemplate="%{x}<br>%{y}<br>%{text}<extra></extra>",
    )


def _dates(times_ns: Sequence[int]) -> Any:
    import numpy as np

    return np.array(times_ns, dtype="datetime64[ns]").astype("datetime64[ms]")


def _plotly() -> tuple[ModuleType, ModuleType]:
    try:
        from plotly import graph_objects, subplots
    except ImportError as error:
        raise ConfigError(
            "the HTML report needs plotly: pip install 'headrace[report]'", key="report"
        ) from error
    return graph_objects, subplots


def _text(value: str) -> str:
    return escape(printable(value))


def _card(label: str, value: str) -> str:
    tone = " class=bad" if value.startswith("-") else ""
    return f"<div class=card><span>{_text(label)}</span><b{tone}>{_text(value)}</b></div>"


def _table(title: str, rows: Rows) -> str:
    lines = "".join(
        f"<tr><th>{_text(label)}</th><td>{_text(value or NOTHING)}</td></tr>"
        for label, value in rows
    )
    return f"<section><h2>{_text(title)}</h2><table>{lines}</table></section>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>{title}</title>
<style>
body {{ font: 14px/1.5 system-ui, sans-serif; color: #0f172a; background: #f8fafc;
  margin: 0 auto; padding: 24px; max-width: 1280px; }}
h1 {{ font-size: 24px; margin: 0; }}
h2 {{ font-size: 15px; margin: 0 0 8px; }}
.subtitle, .note {{ color: #64748b; margin: 2px 0 16px; }}
.warning {{ background: #fef3c7; border-left: 4px solid #d97706; padding: 8px 12px;
  margin: 8px 0; }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 16px 0; }}
.card, section, .chart {{ background: #fff; border: 1px solid #e2e8f0; border-radius: 8px;
  padding: 12px 16px; }}
.card span {{ display: block; color: #64748b; font-size: 12px; }}
.card b {{ font-size: 20px; font-variant-numeric: tabular-nums; }}
.card b.bad {{ color: #dc2626; }}
.tables {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr)); gap: 16px;
  margin-top: 16px; align-items: start; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: 3px 0; border-top: 1px solid #f1f5f9; vertical-align: top; }}
th {{ font-weight: normal; color: #64748b; padding-right: 16px; white-space: nowrap; }}
td {{ font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="subtitle">{subtitle}</p>
{warnings}
<div class="cards">{cards}</div>
<div class="chart">{chart}{notes}</div>
<div class="tables">{tables}</div>
</body>
</html>
"""
