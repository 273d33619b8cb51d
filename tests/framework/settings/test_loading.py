"""The good configuration, and every way to break it: one line, with place and reason (R-88)."""

from decimal import Decimal
from pathlib import Path

import pytest

from framework.errors import ConfigError
from framework.settings.loading import load, locate, located
from framework.settings.modes import DataSource, Mode, OrderRoute
from framework.settings.structs import ErrorPolicy, StopPolicy
from tests.framework.settings.samples import GOOD, error_of, write


def test_a_good_file_becomes_typed_settings(tmp_path: Path) -> None:
    settings = load(write(tmp_path, GOOD), environment={})

    assert settings.mode is Mode.BACKTEST
    assert settings.seed == 7
    assert settings.accounts["main"].balances == {"USDT": Decimal(100_000)}
    assert settings.risk.max_order_notional == Decimal("100000.5")
    assert settings.strategies[0].class_ == "strategies.cross:Cross"
    assert settings.strategies[0].settings == {"instrument": "binance:BTCUSDT", "fast": 10}
    assert settings.strategies[0].on_error is ErrorPolicy.CONTINUE
    assert settings.strategies[0].on_stop is StopPolicy.CANCEL_ENTRIES
    assert settings.alerts[0].webhook == ""


def test_an_instrument_keeps_its_grid_exactly(tmp_path: Path) -> None:
    venue = load(write(tmp_path, GOOD), environment={}).venues["binance"]

    instrument = venue.instruments[0].to_instrument("binance")

    assert instrument.id == "binance:BTCUSDT"
    assert instrument.ranges[0].tick == Decimal("0.01")
    assert instrument.lot == Decimal("0.00001")
    assert instrument.price("100.01") == Decimal("100.01")


def test_an_instrument_without_tick_takes_any_price(tmp_path: Path) -> None:
    text = GOOD.replace("tick: 0.01, ", "")
    venue = load(write(tmp_path, text), environment={}).venues["binance"]

    assert venue.instruments[0].to_instrument("binance").ranges == ()


@pytest.mark.parametrize(
    ("mode", "data", "orders"),
    [
        ("backtest", DataSource.REPLAY, OrderRoute.SIMULATED),
        ("replay", DataSource.REPLAY, OrderRoute.SIMULATED),
        ("paper", DataSource.LIVE, OrderRoute.SIMULATED),
        ("dry_run", DataSource.LIVE, OrderRoute.NONE),
        ("live", DataSource.LIVE, OrderRoute.LIVE),
    ],
)
def test_the_mode_decides_what_a_venue_leaves_open(
    tmp_path: Path, mode: str, data: DataSource, orders: OrderRoute
) -> None:
    text = GOOD.replace("mode: backtest", f"mode: {mode}")

    venue = load(write(tmp_path, text), environment={}).venues["binance"]

    assert (venue.data, venue.orders) == (data, orders)


def test_every_feed_with_simulated_orders_is_paper_trading(tmp_path: Path) -> None:
    text = GOOD.replace("mode: backtest", "mode: paper").replace(
        "adapter: binance", "adapter: binance\n    data: synthetic"
    )

    venue = load(write(tmp_path, text), environment={}).venues["binance"]

    assert (venue.data, venue.orders) == (DataSource.SYNTHETIC, OrderRoute.SIMULATED)


MISTAKES = [
    ("mode: backtest", "mode: bactest", "1: mode: 'bactest' is not one of backtest, replay"),
    ("mode: backtest\n", "", "mode: the key is missing"),
    ("seed: 7", "sed: 7", "2: sed: unknown key; known here: mode, name, seed"),
    ("seed: 7", "seed: 1.5", "2: seed: Expected `int`, got `float`"),
    ("seed: 7", "seed: yes", "2: seed: Expected `int`, got `str`"),
    ("seed: 7", "seed: true", "2: seed: Expected `int`, got `bool`"),
    ("seed: 7", "seed: -1", "2: seed: Expected `int` >= 0"),
    ("seed: 7", "seed: ", "2: seed: Expected `int`, got `null`"),
    ("seed: 7", "seed: " + "9" * 5_000, "2: seed: a number of 5000 characters is too long"),
    ("seed: 7", "venues: {}", "3: venues: the key is repeated"),
    ("seed: 7", "handler_limit_s: .inf", "2: handler_limit_s: .inf is not a number"),
    ("seed: 7", "handler_limit_s: .NaN", "2: handler_limit_s: .NaN is not a number"),
    ("seed: 7", "handler_limit_s: 1e999", "2: handler_limit_s: 1e999 is out of range"),
    ("seed: 7", "name: a b", "2: name: must be up to 64 letters"),
    ("seed: 7", "replay: {speed: -1}", "2: replay.speed: Expected `float` >= 0"),
    ("seed: 7", "backtest: {equity_interval: 1x}", "2: backtest.equity_interval: must be a time"),
    ("seed: 7", "logging: {format: xml}", "2: logging.format: 'xml' is not one of auto, console"),
    ("seed: 7", "queues: {quote: {}}", "2: queues.quote: unknown channel; known: account, book"),
    ("seed: 7", "queues: {quotes: {capacity: 9}}", "2: queues.quotes.capacity: Expected `int` >="),
    ("seed: 7", "queues: {quotes: {overflow: x}}", "2: queues.quotes.overflow: 'x' is not one of"),
    ("adapter: binance", "adaptr: binance", "5: venues.binance.adaptr: unknown key; known here"),
    ("adapter: binance", "adapter: 5", "5: venues.binance.adapter: Expected `str`, got `int`"),
    ("adapter: binance", "adapter: [a]", "5: venues.binance.adapter: Expected `str`, got `list`"),
    ("  binance:", "  'bin:ance':", "4: venues.bin:ance: the name does not fit: must be up to"),
    ("  binance:", "  '':", "the name does not fit: must be up to"),
    ("source: {files: data/btc.parquet}", "source: data/btc.parquet", "Expected `mapping | null`"),
    ("tick: 0.01", "tick: 0", "8: venues.binance.instruments[0].tick: must be above zero"),
    ("tick: 0.01", "tick: 'NaN'", "8: venues.binance.instruments[0].tick: must be above zero"),
    ("tick: 0.01", "tick: '1e999'", "8: venues.binance.instruments[0].tick: the number is not"),
    ("tick: 0.01", f"tick: '0.{'1' * 40}'", "instruments[0].tick: the number is not finite, out"),
    ("tick: 0.01", "tick: 0.1234567890123456789", "tick: 0.1234567890123456789 has more digits"),
    ("tick: 0.01", "tick: abc", "8: venues.binance.instruments[0].tick: Invalid decimal string"),
    ("tick: 0.01", "minimum_quantity: 5, maximum_quantity: 3", "3 is below the minimum 5"),
    ("kind: spot", "kind: stock", "kind: 'stock' is not one of spot, future, perpetual"),
    ("latency: {order_ms: 50}", "latency: {order_ms: -1}", "latency.order_ms: Expected `float` >="),
    ("venue: binance,", "venue: binanse,", "11: accounts.main.venue: there is no venue 'binanse'"),
    ("USDT: 100000}", "USDT: -1}", "11: accounts.main.balances.USDT: a balance must not be -1"),
    ("USDT: 100000}", "USDT: lots}", "11: accounts.main.balances.USDT: Invalid decimal string"),
    ("USDT: 100000}", "USDT: 1.5.2}", "11: accounts.main.balances.USDT: Invalid decimal string"),
    ("{USDT: 100000}", "{}", "11: accounts.main.balances: a simulated account needs a start"),
    ("account: main", "account: mian", "15: strategies[0].account: there is no account 'mian'"),
    ("id: cross\n", "id: rsi\n", "17: strategies[1].id: the id 'rsi' is taken"),
    ("id: cross\n", "on_stop: leave\n", "13: strategies[0].id: the key is missing"),
    ("strategies.cross:Cross", "strategies.cross.Cross", "14: strategies[0].class: must be pack"),
    ("account: main\n", "account: main\n    execution: live\n", "16: strategies[0].execution: the"),
    ("account: main\n", "account: main\n    on_error: retry\n", "'retry' is not one of continue"),
    ("max_orders_per_second: 10", "max_orders_per_second: 0", "Expected `int` >= 1"),
    ("max_order_notional: 100000.5", "max_order_notional: -5", "21: risk.max_order_notional: must"),
    ("level: warning", "level: loud", "24: alerts[0].level: 'loud' is not one of debug, info"),
]


@pytest.mark.parametrize(("right", "wrong", "expected"), MISTAKES)
def test_a_mistake_is_one_line_with_file_line_key_and_reason(
    tmp_path: Path, right: str, wrong: str, expected: str
) -> None:
    assert right in GOOD

    message = error_of(tmp_path, GOOD.replace(right, wrong, 1))

    assert message.startswith(f"{tmp_path}/config.yaml:")
    assert expected in message


@pytest.mark.parametrize(
    ("mode", "line", "reason"),
    [
        ("backtest", "orders: live", "orders: live needs mode: live, and the mode is backtest"),
        ("paper", "orders: live", "orders: live needs mode: live, and the mode is paper"),
        ("dry_run", "orders: live", "orders: live needs mode: live, and the mode is dry_run"),
        ("backtest", "data: live", "mode: backtest reads recorded or synthetic data"),
        ("replay", "data: live", "mode: replay reads recorded or synthetic data"),
        ("live", "data: replay", "orders: live needs data: live, and the data is replay"),
        ("live", "data: synthetic", "orders: live needs data: live, and the data is synthetic"),
    ],
)
def test_no_venue_is_more_real_than_its_mode(
    tmp_path: Path, mode: str, line: str, reason: str
) -> None:
    text = GOOD.replace("mode: backtest", f"mode: {mode}").replace(
        "adapter: binance", f"adapter: binance\n    {line}"
    )

    message = error_of(tmp_path, text)

    assert f"config.yaml:6: venues.binance.{line.partition(':')[0]}: {reason}" in message


def test_an_instrument_is_listed_once(tmp_path: Path) -> None:
    line = "      - {symbol: BTCUSDT, currency: USDT, tick: 0.01, lot: 0.00001, kind: spot}\n"

    message = error_of(tmp_path, GOOD.replace(line, line + line))

    assert "config.yaml:9: venues.binance.instruments[1].symbol: BTCUSDT is listed twice" in message


def test_overflow_rules_are_named_as_in_code_or_in_small_letters(tmp_path: Path) -> None:
    text = GOOD.replace(
        "seed: 7", "queues: {quotes: {overflow: DROP_OLDEST}, candles: {overflow: error}}"
    )

    queues = load(write(tmp_path, text), environment={}).queues

    assert [queues[name].overflow for name in ("quotes", "candles")] != [None, None]


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "absent.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=reason):
            load(path)
    with pytest.raises(ConfigError, match="null"):
        load("a\0b")


def test_an_error_found_later_gets_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)

    with pytest.raises(ConfigError) as caught, located(path):
        raise ConfigError("no such file", key="venues.binance.source.files")

    assert str(caught.value) == f"{path}:6: venues.binance.source.files: no such file"


def test_an_error_about_a_missing_key_gets_the_line_above_it(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)

    assert locate(path, "strategies[1].settings.slow") == 20
    assert locate(path, "strategies[7].id") == 12
    assert locate(path, "nowhere") is None
    assert locate(tmp_path / "absent.yaml", "mode") is None


def test_an_error_with_a_place_keeps_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^other.yaml:3: mode: no$"), located(tmp_path / "x"):
        raise ConfigError("no", file="other.yaml", line=3, key="mode")
