"""A good configuration to break, and what breaking it says."""

from pathlib import Path

import pytest

from framework.errors import ConfigError
from framework.settings.loading import load

GOOD = """\
mode: backtest
seed: 7
venues:
  binance:
    adapter: binance
    source: {files: data/btc.parquet}
    instruments:
      - {symbol: BTCUSDT, currency: USDT, tick: 0.01, lot: 0.00001, kind: spot}
    latency: {order_ms: 50}
accounts:
  main: {venue: binance, currency: USDT, balances: {USDT: 100000}}
strategies:
  - id: cross
    class: strategies.cross:Cross
    account: main
    settings: {instrument: "binance:BTCUSDT", fast: 10}
  - id: rsi
    class: strategies.rsi:Rsi
    account: main
    settings: {instrument: "binance:BTCUSDT"}
risk: {max_order_notional: 100000.5, max_position_notional: 500000, max_orders_per_second: 10}
journal: sqlite:///headrace.db
alerts:
  - {webhook: "${ALERT_URL:-}", level: warning}
"""


def write(folder: Path, text: str) -> Path:
    """Write a configuration and return its path."""
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def error_of(folder: Path, text: str, environment: dict[str, str] | None = None) -> str:
    """Return the one line that loading `text` fails with."""
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), environment=environment or {})
    message = str(caught.value)
    assert message.isprintable()
    return message
