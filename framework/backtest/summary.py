"""A backtest's result as text: rows of label and value, and the page for the terminal."""

from datetime import UTC, datetime
from decimal import Decimal

from framework.backtest.result import BacktestResult
from framework.portfolio.performance import INTERVALS_S

Rows = list[tuple[str, str]]

NOTHING = "–"

_INTERVAL_NAMES = dict(zip(INTERVALS_S, ("daily", "hourly", "minutely", "secondly"), strict=True))


def summary_text(result: BacktestResult) -> str:
    """Return the result as aligned plain text; control characters in names are shown as `?`."""
    sections = [
        ("", overview_rows(result)),
        ("Performance", performance_rows(result)),
        ("Trades", trade_rows(result)),
        ("Runs", run_rows(result)),
        ("Queues that lost events", lossy_queue_rows(result)),
        ("Assumptions", list(result.assumptions.items())),
        ("Data", data_rows(result)),
    ]
    width = max(len(label) for _, rows in sections for label, _ in rows)
    lines = [f"{result.name} ({result.mode}, seed {result.seed})"]
    for title, rows in sections:
        if rows:
            lines += ["", title] if title else [""]
            lines += [f"  {label:<{width}}  {value}" for label, value in rows]
    if result.warnings:
        lines += ["", "Warnings", *(f"  ! {warning}" for warning in result.warnings)]
    return "\n".join(map(printable, lines)) + "\n"


def overview_rows(result: BacktestResult) -> Rows:
    """Return period, amount of work and equity."""
    rate = result.events / result.duration_s if result.duration_s > 0 else None
    return [
        ("Period", f"{format_time(result.first_ns)} to {format_time(result.last_ns)}"),
        ("Events", f"{result.events:,}"),
        ("Duration", f"{result.duration_s:.2f} s" + (f" ({rate:,.0f} events/s)" if rate else "")),
        ("Orders", f"{result.orders:,} ({result.denied:,} denied, {result.rejected:,} rejected)"),
        ("Fills", f"{result.fills:,}"),
        ("Initial equity", format_money(result.initial_equity, result.currency)),
        ("Final equity", format_money(result.final_equity, result.currency)),
    ]


def data_rows(result: BacktestResult) -> Rows:
    """Return which data the figures rest on: a row per file, or per generated venue."""
    rows: Rows = []
    for played in result.data:
        for file in played.files:
            rows.append((played.venue, f"{file.path}, sha256 {file.sha256}"))
        if not played.files:
            settings = f"settings {played.settings_hash}, seed {played.seed}"
            rows.append((played.venue, f"made by {played.adapter}: {settings}"))
    return rows


def performance_rows(result: BacktestResult) -> Rows:
    """Return returns and risk."""
    measured = result.performance
    sampling = NOTHING
    if measured.interval_s is not None:
        sampling = f"{measured.returns:,} {_INTERVAL_NAMES[measured.interval_s]} returns"
    return [
        ("Total return", format_percent(measured.total_return)),
        ("Annual return", format_percent(measured.annual_return)),
        ("Annual volatility", format_percent(measured.annual_volatility)),
        ("Sharpe ratio", format_number(measured.sharpe)),
        ("Sortino ratio", format_number(measured.sortino)),
        ("Max drawdown", format_percent(measured.max_drawdown)),
        ("Longest drawdown", format_duration(measured.max_drawdown_s)),
        ("Time in market", format_percent(measured.exposure)),
        ("Turnover", format_number(measured.turnover, " × mean equity")),
        ("Sampling", sampling),
    ]


def trade_rows(result: BacktestResult) -> Rows:
    """Return what is known of round trips."""
    measured, currency = result.performance, result.currency
    average = measured.average_trade
    still_open = f" ({measured.open_trades:,} not ended)" if measured.open_trades else ""
    return [
        ("Round trips", f"{measured.trades:,}{still_open}"),
        ("Win rate", format_percent(measured.win_rate)),
        ("Profit factor", format_number(measured.profit_factor)),
        ("Average trade", NOTHING if average is None else f"{average:,.4f} {currency}".rstrip()),
        ("Fees", format_money(measured.fees, currency)),
    ]


def run_rows(result: BacktestResult) -> Rows:
    """Return one row per run and currency."""
    return [
        (
            run.run,
            f"net {format_money(earned.net, earned.currency)}"
            f" = realised {format_money(earned.realised)}"
            f" + unrealised {format_money(earned.unrealised)}"
            f" − fees {format_money(earned.fees)}",
        )
        for run in result.runs
        for earned in run.currencies
    ]


def lossy_queue_rows(result: BacktestResult) -> Rows:
    """Return the queues where a subscriber did not see every event."""
    return [
        (
            f"{subscriber.name}/{queue.channel}",
            f"{queue.delivered:,} of {queue.published:,} delivered, {queue.dropped:,} dropped,"
            f" {queue.conflated:,} conflated, {queue.discarded:,} discarded",
        )
        for subscriber in result.statistics
        for queue in subscriber.channels
        if queue.dropped or queue.conflated or queue.discarded
    ]


def format_time(time_ns: int | None) -> str:
    """Return a time to the second, UTC."""
    if time_ns is None:
        return NOTHING
    return f"{datetime.fromtimestamp(time_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units."""
    rest = round(seconds)
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count:,} {unit}")
    return " ".join(parts[:2]) or "0 s"


def format_percent(fraction: float | None) -> str:
    """Return a fraction as percent."""
    return NOTHING if fraction is None else f"{100 * fraction:,.2f} %"


def format_number(number: float | None, unit: str = "") -> str:
    """Return a plain number."""
    return NOTHING if number is None else f"{number:,.2f}{unit}"


def format_money(amount: Decimal, currency: str = "") -> str:
    """Return an amount with at least two decimals and no digits cut off that matter (eight)."""
    text = f"{amount:,.8f}".rstrip("0")
    decimals = len(text) - text.index(".") - 1
    return (text + "0" * max(0, 2 - decimals) + f" {currency}").rstrip()


def printable(line: str) -> str:
    """Return the line without what a terminal would obey (T-16)."""
    return "".join(character if character.isprintable() else "?" for character in line)
