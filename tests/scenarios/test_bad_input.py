"""Whatever is wrong with configuration, data or orders is said once, clearly, with its place."""

import gzip
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from framework import Strategy
from framework.backtest.result import BacktestResult
from framework.backtest.runner import run_backtest
from framework.cli.main import main
from framework.errors import DataError
from framework.model.market_data import Candle, Quote
from framework.model.orders import Order, OrderStatus
from framework.settings.loading import load
from framework.settings.structs import RiskSettings
from tests.scripted_venue import (
    BTC,
    class_path,
    entries,
    orders_of,
    play,
    quote,
    run_settings,
    settings,
    strategy_of,
)

pytestmark = pytest.mark.usefixtures("process")

CONFIG = """\
mode: backtest
venues:
  x:
    adapter: replay
    source: {{files: {path}, kind: candles, stamp: open, interval: 1m, instrument: BTC}}
    instruments: [{{symbol: BTC, currency: USD, tick: "0.5", lot: "0.01"}}]
accounts: {{main: {{venue: x, currency: USD, balances: {{USD: 1000000}}}}}}
strategies:
  - {{id: run, class: "{strategy}", account: main, settings: {{}}}}
"""
ROWS = """\
time,open,high,low,close,volume
2024-01-01T00:00:00,100,101,99,100,5
2024-01-01T00:01:00,100,102,100,101,5
2024-01-01T00:02:00,101,103,101,102,5
"""


class Watcher(Strategy):
    """Watches candles and does nothing."""

    def on_start(self) -> None:
        self.watch_candles("x:BTC", "1m")

    def on_candle(self, candle: Candle) -> None:
        """See a candle."""


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Path]:
    """Write a configuration and its data; a test breaks one of them."""

    def write(*, config: str = CONFIG, rows: str | bytes = ROWS, name: str = "rows.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(rows.encode() if isinstance(rows, str) else rows)
        target = tmp_path / "config.yaml"
        target.write_text(config.format(path=path, strategy=class_path(Watcher)))
        return target

    return write


def refusal(path: Path, capsys: pytest.CaptureFixture[str], *, code: int = 2) -> str:
    """Return the one line that the command line ends with."""
    assert main(["backtest", str(path), "--json"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return str(line)


def test_the_good_one_runs(files: Callable[..., Path]) -> None:
    result, _ = run_backtest(load(files()))

    assert result.events == 3
    assert result.warnings == ("no strategy sent an order",)


# -- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("mode: backtest", "mode: backtst", 1, "mode: 'backtst' is not one of backtest"),
        ("mode: backtest", "mode: backtest\nmoode: 1", 2, "moode: unknown key"),
        ("mode: backtest", "mode: paper", 1, "mode: the mode is paper"),
        ("adapter: replay", "adapter: reply", 4, "there is no adapter 'reply'"),
        ("adapter: replay", "adapter: [1]", 4, "venues.x.adapter"),
        ("adapter: replay", "adapter: replay\n    data: live", 5, "venues.x.data"),
        ("stamp: open, ", "", 5, "stamp"),
        ("kind: candles", "kind: candle", 5, "venues.x.source"),
        ("interval: 1m", "interval: soon", 5, "interval"),
        ('tick: "0.5"', 'tick: "-0.5"', 6, "must be above zero"),
        ('tick: "0.5"', "tick: half", 6, "venues.x.instruments[0].tick"),
        ('tick: "0.5"', "tick: .nan", 6, "tick"),
        ("venue: x", "venue: y", 7, "accounts.main.venue"),
        ("USD: 1000000", "USD: -1", 7, "must not be -1"),
        ("account: main", "account: other", 9, "strategies[0].account"),
        ("id: run", 'id: "a b"', 9, "strategies[0].id"),
        ('class: "{strategy}"', "class: strategies.none:None", 9, "there is no module"),
        (
            'class: "{strategy}"',
            "class: strategies.pairs:Pear",
            9,
            "strategies.pairs has no class 'Pear'",
        ),
        (
            'class: "{strategy}"',
            "class: decimal:Decimal",
            9,
            "decimal:Decimal is not a subclass of framework.Strategy",
        ),
        ('class: "{strategy}"', "class: pairs", 9, "package.module:ClassName"),
        ("settings: {{}}", "settings: {{size: 1}}", 9, "size"),
        ("settings: {{}}", "settings: {{}}, on_stop: run", 9, "on_stop"),
        (
            "accounts:",
            "queues: {{quotes: {{capacity: 5}}}}\naccounts:",
            7,
            "queues.quotes.capacity",
        ),
        ("accounts:", "queues: {{quotas: {{capacity: 500}}}}\naccounts:", 7, "quotas"),
        ("accounts:", "risk: {{max_order_notional: .inf}}\naccounts:", 7, "max_order_notional"),
        ("accounts:", "journal: ${{JOURNAL_OF_NOBODY}}\naccounts:", 7, "JOURNAL_OF_NOBODY"),
        ("accounts:", "  - accounts:", 7, "config.yaml"),
    ],
)
def test_r88_a_configuration_that_makes_no_sense_is_one_line_with_its_place(
    files: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    line: int,
    expected: str,
) -> None:
    assert old in CONFIG
    path = files(config=CONFIG.replace(old, new, 1))

    said = refusal(path, capsys)

    assert said.startswith(f"{path}:{line}: ")
    assert expected in said


def test_a_configuration_that_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "none.yaml" in refusal(tmp_path / "none.yaml", capsys)


# -- data -----------------------------------------------------------------------------------------

LATER = "2024-01-01T00:03:00,"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (LATER + "nan,103,101,102,5", "open is not finite"),
        (LATER + "101,inf,101,102,5", "high is not finite"),
        (LATER + "101,103,101,1e999,5", "close is not finite"),
        (LATER + "0,103,0,102,5", "open is not above zero"),
        (LATER + "-1,103,-1,102,5", "open is not above zero"),
        (LATER + "101,103,101,102,-5", "volume is negative"),
        (LATER + "101,100,103,102,5", "high is below low"),
        (LATER + "101,103,101,104,5", "close is outside low and high"),
        ("2024-01-01T00:02:00,101,103,101,102,5", "candle comes twice"),
        ("2024-01-01T00:01:30,101,103,101,102,5", "time goes back"),
        ("yesterday,101,103,101,102,5", "yesterday"),
        (LATER + "ten,103,101,102,5", "ten"),
        (LATER + "101,103", "101,103"),
    ],
)
def test_a_row_that_cannot_be_is_said_with_file_and_line(
    files: Callable[..., Path], capsys: pytest.CaptureFixture[str], row: str, expected: str
) -> None:
    said = refusal(files(rows=f"{ROWS}{row}\n"), capsys)

    assert "rows.csv:5: " in said
    if row != LATER + "101,103":
        assert expected in said


def test_data_that_is_not_there_or_cannot_be_read_is_said(
    files: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    absent = files(config=CONFIG.replace("{path}", f"{tmp_path}/absent.csv"))
    assert "absent.csv" in refusal(absent, capsys)
    folder = files(config=CONFIG.replace("{path}", str(tmp_path)))
    assert str(tmp_path) in refusal(folder, capsys)
    assert "rows.csv" in refusal(files(rows=""), capsys)
    assert "rows.csv" in refusal(files(rows=b"\x00\xff\xfe\x00"), capsys)
    assert "rows.csv" in refusal(files(rows="open,high\n1,2\n"), capsys)


def test_a_truncated_archive_is_said(
    files: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = gzip.compress(ROWS.encode())

    for broken in (whole[:-9], whole[: len(whole) // 2], whole[:5], b"not an archive"):
        said = refusal(files(rows=broken, name="rows.csv.gz"), capsys)
        assert "rows.csv.gz" in said


def test_what_came_before_a_fault_has_been_played_and_the_run_stopped_in_order() -> None:
    class Seen(Strategy):
        def on_start(self) -> None:
            self.notes: list[str] = notes
            self.watch_quotes(BTC)

        def on_quote(self, quote: Quote) -> None:
            self.notes.append("quote")

        def on_stop(self) -> None:
            self.notes.append("stop")

    def broken() -> Any:
        yield quote(1, 100.0, 101.0)
        yield quote(2, 100.0, 101.0)
        raise DataError("is torn", file="tape", line=3)

    class Tape(list[Any]):
        def __iter__(self) -> Any:
            return broken()

    notes: list[str] = []
    with pytest.raises(DataError, match="tape:3: is torn"):
        run_backtest(settings(run_settings(Seen), script=Tape()))
    assert notes == ["quote", "quote", "stop"]


# -- orders ---------------------------------------------------------------------------------------

Numbers = dict[str, Any]
TINY, HUGE = Decimal("1e-40"), Decimal("1e40")


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ({"quantity": 0}, "quantity 0"),
        ({"quantity": -1}, "quantity -1"),
        ({"quantity": Decimal(0)}, "quantity 0"),
        ({"quantity": Decimal(-1)}, "quantity -1"),
        ({"quantity": "0.005"}, "0.005"),
        ({"quantity": 0.005}, "0.005"),
        ({"quantity": Decimal("0.005")}, "0.005"),
        ({"quantity": math.nan}, "nan"),
        ({"quantity": math.inf}, "inf"),
        ({"quantity": Decimal("NaN")}, "NaN"),
        ({"quantity": Decimal("-Infinity")}, "Infinity"),
        ({"quantity": TINY}, "1E-40"),
        ({"quantity": HUGE}, "1E+40"),
        ({"quantity": "ten"}, "ten"),
        ({"quantity": None}, "exactly one of quantity"),
        ({"quantity": True}, "True"),
        ({"quantity": 100}, "max_order_notional"),
        ({"quantity": 1, "price": "100.3"}, "100.3"),
        ({"quantity": 1, "price": 100.3}, "100.3"),
        ({"quantity": 1, "price": Decimal("100.3")}, "100.3"),
        ({"quantity": 1, "price": 0}, "0"),
        ({"quantity": 1, "price": -5}, "-5"),
        ({"quantity": 1, "price": math.nan}, "nan"),
        ({"quantity": 1, "price": HUGE}, "1E+40"),
        ({"quantity": 1, "stop_price": "99.9"}, "99.9"),
        ({"quantity": 1, "instrument": "x:NONE"}, "unknown instrument 'x:NONE'"),
        ({"quantity": 1, "instrument": "nonsense"}, "unknown instrument 'nonsense'"),
        ({"quantity": 1, "instrument": ""}, "unknown instrument ''"),
        ({"quantity": 1, "reduce_only": True}, "reduce-only"),
        ({"quantity": 1, "key": "k" * 161}, "key"),
    ],
)
def test_an_order_that_cannot_be_is_denied_with_its_reason(order: Numbers, expected: str) -> None:
    class Careless(Strategy):
        def on_start(self) -> None:
            self.heard: list[Order] = []
            self.quotes = 0
            self.watch_quotes(BTC)

        def on_quote(self, quote: Quote) -> None:
            self.quotes += 1
            if self.quotes == 1:
                self.result = self.buy(**{"instrument": BTC, **order})

        def on_order(self, order: Order) -> None:
            self.heard.append(order)

    runtime = play(
        settings(
            run_settings(Careless),
            script=[quote(1, 100.0, 101.0), quote(2, 100.0, 101.0)],
            risk=RiskSettings(max_order_notional=Decimal(5_000)),
        )
    )

    strategy = strategy_of(runtime)
    assert runtime.system.runs[0].subscriber.error_count == 0
    assert strategy.result.status is OrderStatus.DENIED
    assert expected in strategy.result.reason.replace("order notional", "max_order_notional")
    assert [heard.status for heard in strategy.heard] == [OrderStatus.DENIED]
    assert strategy.quotes == 2
    assert len(orders_of(runtime)) == 1
    assert entries(runtime, Order) == strategy.heard  # written down


def test_a_backtest_says_what_was_denied_and_which_strategy_could_not_start() -> None:
    class Lost(Strategy):
        def on_start(self) -> None:
            self.watch_quotes("x:NONE")

    class Careless(Strategy):
        def on_start(self) -> None:
            self.buy(BTC, "0.001")

    result = backtest(Lost, Careless)

    warnings = "\n".join(result.warnings)
    assert "run run was halted: on_start raised UnknownInstrument(" in warnings
    assert "denied: quantity 0.001 is not on the lot 0.01" in warnings


def backtest(*strategies: type[Strategy]) -> BacktestResult:
    """Run over two quotes."""
    script = [quote(1, 100.0, 101.0), quote(2, 100.0, 101.0)]
    result, _ = run_backtest(settings(*strategies, script=script))
    return result
