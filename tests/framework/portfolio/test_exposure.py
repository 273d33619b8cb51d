"""Exposure: what one run sees of one instrument, and notionals of an account."""

from decimal import Decimal

from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import Bucket
from framework.portfolio.exposure import PositionView, exposure, position_view
from framework.portfolio.ledger import Ledger

D = Decimal
FUTURE = Instrument("v:F", kind=InstrumentKind.FUTURE, multiplier=D(10))
OTHER = Instrument("v:G", kind=InstrumentKind.FUTURE, currency="EUR")
TABLE = {"v:F": FUTURE, "v:G": OTHER}


def new_ledger() -> Ledger:
    return Ledger(TABLE.__getitem__)


def test_a_view_sums_the_buckets() -> None:
    ledger = new_ledger()
    for name, quantity, price in (("day", D(1), D(100)), ("carry", D(3), D(120))):
        holding = ledger.holding("main", "r", FUTURE, Bucket(name))
        ledger.book(holding, is_buy=True, quantity=quantity, price=price)

    view = position_view("v:F", ledger.of_run("r", "v:F"), open_sell=D(1), working_count=1)

    assert view == PositionView(
        "v:F", D(4), D(115), D(0), D(0), D(1), 1, is_flat=False, is_long=True
    )
    assert (view.is_long, view.is_short, view.is_flat) == (True, False, False)


def test_an_untouched_instrument_is_flat() -> None:
    view = position_view("v:F", [])

    assert view.is_flat
    assert view.average_price is None


def test_exposure_is_gross_and_net_per_currency() -> None:
    ledger = new_ledger()
    ledger.book(ledger.holding("main", "r", FUTURE), is_buy=True, quantity=D(2), price=D(100))
    ledger.book(ledger.holding("main", "s", FUTURE), is_buy=False, quantity=D(1), price=D(100))
    ledger.book(ledger.holding("main", "s", OTHER), is_buy=False, quantity=D(1), price=D(50))

    totals = exposure(ledger, "main", {"v:F": D(110)}.get)

    assert (totals["USD"].gross, totals["USD"].net) == (D(3300), D(1100))
    assert (totals["EUR"].gross, totals["EUR"].net) == (D(50), D(-50))  # unmarked: at cost
    assert exposure(ledger, "main", lambda name: None, run="r")["USD"].net == D(2000)
