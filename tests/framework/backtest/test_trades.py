from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.backtest.trades import RoundTrip, TradeBuilder
from framework.model.decimals import ONE, ZERO
from framework.model.orders import Bucket, Fee, Fill, Side
from framework.portfolio.performance import TradeSummary

Step = tuple[str, str, str]
"""("buy" or "sell", quantity, price)"""


def fill_of(
    side: str,
    quantity: str,
    price: str,
    *,
    time_ns: int = 0,
    run: str = "run",
    instrument: str = "mock:X",
    fees: tuple[Fee, ...] = (),
    bucket: Bucket | None = None,
) -> Fill:
    return Fill(
        execution_id="e",
        order_id="o",
        run=run,
        account="main",
        instrument=instrument,
        side=Side(side),
        quantity=Decimal(quantity),
        price=Decimal(price),
        time_ns=time_ns,
        received_ns=time_ns,
        fees=fees,
        bucket=bucket or Bucket(),
    )


def built(*steps: Step, multiplier: Decimal = ONE, fee: str = "0") -> TradeBuilder:
    builder = TradeBuilder()
    for index, (side, quantity, price) in enumerate(steps):
        fees = (Fee("USD", Decimal(fee)),)
        fill = fill_of(side, quantity, price, time_ns=index, fees=fees)
        builder.on_fill(fill, multiplier, currency="USD")
    return builder


def only(builder: TradeBuilder) -> RoundTrip:
    (trade,) = builder.trades
    return trade


def test_a_long_round_trip_earns_the_rise_minus_the_fees() -> None:
    trade = only(built(("buy", "2", "100"), ("sell", "2", "110"), fee="1.5"))

    assert trade.is_long
    assert trade.quantity == 2
    assert trade.entry_price == 100
    assert trade.exit_price == 110
    assert (trade.entry_ns, trade.exit_ns, trade.fills) == (0, 1, 2)
    assert trade.gross == 20
    assert trade.fees == 3
    assert trade.net == 17
    assert trade.currency == "USD"


def test_a_short_round_trip_earns_the_fall() -> None:
    trade = only(built(("sell", "2", "100"), ("buy", "2", "110")))

    assert trade.side is Side.SELL
    assert trade.gross == -20


def test_entry_and_exit_prices_are_means_over_all_parts() -> None:
    trade = only(
        built(("buy", "1", "100"), ("buy", "3", "104"), ("sell", "2", "110"), ("sell", "2", "120"))
    )

    assert trade.quantity == 4
    assert trade.entry_price == Decimal("103")
    assert trade.exit_price == Decimal("115")
    assert trade.gross == 48
    assert trade.fills == 4


def test_a_position_added_to_after_a_partial_exit_is_one_round_trip() -> None:
    trade = only(
        built(("buy", "2", "10"), ("sell", "1", "12"), ("buy", "1", "11"), ("sell", "2", "13"))
    )

    assert trade.quantity == 3
    assert trade.gross == 12 + 26 - 20 - 11


def test_a_flip_closes_one_round_trip_and_opens_the_next_with_its_share_of_the_fee() -> None:
    builder = built(("buy", "1", "100"), ("sell", "4", "120"), ("buy", "3", "110"), fee="4")

    long, short = builder.trades

    assert long.gross == 20
    assert long.fees == 4 + 1
    assert short.side is Side.SELL
    assert short.quantity == 3
    assert short.gross == 30
    assert short.fees == 3 + 4
    assert long.exit_ns == short.entry_ns == 1
    assert builder.open_count == 0
    assert builder.summary().fees == 12


def test_values_carry_the_multiplier_and_prices_do_not() -> None:
    builder = built(("buy", "2", "100"), ("sell", "2", "101"), multiplier=Decimal(50))

    trade = only(builder)
    assert trade.gross == 100
    assert trade.entry_price == 100
    assert trade.exit_price == 101
    assert builder.summary().traded == 2 * 50 * (100 + 101)


def test_runs_instruments_and_buckets_are_kept_apart() -> None:
    builder = TradeBuilder()
    builder.on_fill(fill_of("buy", "1", "10"))
    builder.on_fill(fill_of("sell", "1", "11", run="other"))
    builder.on_fill(fill_of("sell", "1", "11", instrument="mock:Y"))
    builder.on_fill(fill_of("sell", "1", "11", bucket=Bucket("margin")))

    assert builder.open_count == builder.summary().open_count == 4
    assert not builder.trades


def test_a_fee_in_the_base_asset_shrinks_the_position_and_is_valued_at_the_price() -> None:
    builder = TradeBuilder()
    fee = (Fee("BTC", Decimal("0.001")),)
    buy = fill_of("buy", "1", "100", fees=fee)
    builder.on_fill(buy, currency="USD", base="BTC")
    builder.on_fill(fill_of("sell", "0.999", "110"), currency="USD", base="BTC")

    trade = only(builder)
    assert builder.open_count == 0
    assert trade.quantity == Decimal("0.999")
    assert trade.fees == Decimal("0.1")
    assert trade.net == Decimal("0.999") * 110 - 100  # the cash that moved


def test_a_fee_in_a_third_currency_is_left_out_and_counted() -> None:
    builder = TradeBuilder()
    fees = (Fee("BNB", Decimal("0.5")), Fee("USD", Decimal(1)))
    builder.on_fill(fill_of("buy", "1", "100", fees=fees), currency="USD", base="BTC")
    builder.on_fill(fill_of("sell", "1", "100", fees=fees), currency="USD", base="BTC")

    assert only(builder).fees == 2
    assert builder.foreign_fees == {"BNB": 1}


def test_only_the_newest_trades_are_kept_but_all_are_counted() -> None:
    builder = TradeBuilder(capacity=2)
    for price in ("1", "2", "3"):
        builder.on_fill(fill_of("buy", "1", price))
        builder.on_fill(fill_of("sell", "1", "2"))

    assert [trade.entry_price for trade in builder.trades] == [2, 3]
    assert builder.omitted_count == 1
    assert builder.summary() == TradeSummary(
        count=3, wins=1, losses=1, gross_profit=ONE, gross_loss=ONE, traded=Decimal(12)
    )


def test_two_currencies_make_a_mixed_summary() -> None:
    builder = TradeBuilder()
    builder.on_fill(fill_of("buy", "1", "10"), currency="USD")
    assert not builder.summary().is_mixed

    builder.on_fill(fill_of("buy", "1", "10", instrument="mock:Y"), currency="EUR")

    assert builder.summary().is_mixed


quantities = st.integers(1, 50).map(lambda n: str(Decimal(n) / 10))
prices = st.integers(1, 10_000).map(lambda n: str(Decimal(n) / 100))
steps = st.lists(st.tuples(st.sampled_from(["buy", "sell"]), quantities, prices), max_size=40)


@given(steps, st.sampled_from(["0", "0.3", "-0.1"]), st.sampled_from([ONE, Decimal("0.5")]))
def test_net_results_add_up_to_the_cash_that_moved(
    walk: list[Step], fee: str, multiplier: Decimal
) -> None:
    """R-75, R-76: closing what is left open at the end, no cash is lost or made up."""
    held = sum((Decimal(q) if side == "buy" else -Decimal(q) for side, q, _ in walk), ZERO)
    if held:
        walk = [*walk, ("sell" if held > 0 else "buy", str(abs(held)), "10")]

    builder = built(*walk, multiplier=multiplier, fee=fee)

    signed = {"buy": -multiplier, "sell": multiplier}
    cash = sum((signed[side] * Decimal(q) * Decimal(p) for side, q, p in walk), ZERO)
    fees = len(walk) * Decimal(fee)
    summary = builder.summary()
    assert builder.open_count == 0
    assert sum((trade.net for trade in builder.trades), ZERO) == pytest.approx(cash - fees)
    assert summary.gross_profit - summary.gross_loss == pytest.approx(cash - fees)
    assert summary.fees == fees
    assert summary.count == len(builder.trades)
    assert summary.wins == sum(trade.net > 0 for trade in builder.trades)
    assert all(trade.quantity > 0 and trade.entry_ns <= trade.exit_ns for trade in builder.trades)
