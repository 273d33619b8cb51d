"""The section `risk` in a file: every limit has its places, and a mistake its line."""

from decimal import Decimal
from pathlib import Path

import pytest

from framework.settings.loading import load
from tests.framework.settings.samples import GOOD, error_of, write

OLD = next(line for line in GOOD.splitlines() if line.startswith("risk:"))
NEW = """\
risk:
  max_order_notional: 100000
  max_daily_loss: 2000
  timezone: Asia/Kolkata
  runaway: {max_orders_per_second: 50}
  accounts: {main: {require_cash: true}}
  runs:
    cross: {max_open_orders: 4, allowed_instruments: ["binance:*"]}
  instruments:
    "binance:BTCUSDT": {price_collar_bps: 200}
"""


def with_risk(section: str) -> str:
    return GOOD.replace(OLD, section)


def test_limits_are_read_for_everything_and_for_accounts_runs_and_instruments(
    tmp_path: Path,
) -> None:
    risk = load(write(tmp_path, with_risk(NEW)), environment={}).risk

    assert (risk.max_daily_loss, risk.timezone) == (Decimal(2000), "Asia/Kolkata")
    assert risk.runaway.max_orders_per_second == 50
    assert risk.runaway.max_refusals_per_second == 20
    assert risk.accounts["main"].require_cash
    assert risk.runs["cross"].allowed_instruments == ["binance:*"]
    assert risk.instruments["binance:BTCUSDT"].price_collar_bps == 200
    assert risk.runs["cross"].max_order_notional is None  # the section's own holds all the same


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("accounts: {main:", "accounts: {mian:", "risk.accounts.mian: there is no account 'mian'"),
        ("    cross:", "    corss:", "risk.runs.corss: there is no strategy 'corss'"),
        ('"binance:BTC', '"binanec:BTC', "there is no venue 'binanec'"),
        ("max_open_orders: 4", "max_open_order: 4", "unknown key; known here: max_order_notional"),
        ("max_daily_loss: 2000", "max_daily_loss: 0", "risk.max_daily_loss: must be above zero"),
        ("Asia/Kolkata", "Asia/Kolkatta", "risk.timezone: unknown time zone 'Asia/Kolkatta'"),
        ("price_collar_bps: 200", "max_daily_loss: 5", "unknown key"),
        ("max_open_orders: 4", "max_open_orders: 0", "max_open_orders"),
        ("require_cash: true", "require_cash: maybe", "require_cash"),
        ("require_cash: true", "require_margin: 5", "require_margin"),
    ],
)
def test_a_mistake_is_named_by_its_key(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert problem in error_of(tmp_path, with_risk(NEW.replace(old, new)))
