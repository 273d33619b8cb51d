"""Round trips as a CSV file that a spreadsheet may open.

Text that comes from outside (names of runs and instruments) can hold what a spreadsheet takes
for a formula; such a cell gets an apostrophe in front (T-04).
"""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from framework.backtest.trades import RoundTrip

COLUMNS = (
    "run",
    "instrument",
    "side",
    "quantity",
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "gross",
    "fees",
    "net",
    "currency",
    "fills",
)

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_trades_csv(path: Path | str, trades: Iterable[RoundTrip]) -> int:
    """Write one line per round trip, oldest first, and return how many; times are ISO 8601 UTC.

    Raises:
        OSError: the file cannot be written.
    """
    count = 0
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for count, trade in enumerate(trades, start=1):  # noqa: B007 - the last one is returned
            writer.writerow(
                (
                    text_cell(trade.run),
                    text_cell(trade.instrument),
                    "long" if trade.is_long else "short",
                    f"{trade.quantity:f}",
                    _iso(trade.entry_ns),
                    f"{trade.entry_price:f}",
                    _iso(trade.exit_ns),
                    f"{trade.exit_price:f}",
                    f"{trade.gross:f}",
                    f"{trade.fees:f}",
                    f"{trade.net:f}",
                    text_cell(trade.currency),
                    trade.fills,
                )
            )
    return count


def text_cell(text: str) -> str:
    """Return `text` so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def _iso(time_ns: int) -> str:
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
