from decimal import Decimal

import pytest

from framework.errors import OrderError
from framework.model.instrument import Instrument, PriceRange
from framework.model.orders import AtPrice, Exits, Offset, Percent
from framework.strategy.wishes import PLAIN, terms_of

GRID = Instrument("v:X", ranges=(PriceRange(Decimal(0), Decimal("0.5")),), lot=Decimal(1))


def test_no_wishes_are_plain_terms() -> None:
    assert terms_of(GRID, 0) == PLAIN


def test_exits_are_read_as_percent_price_or_distance() -> None:
    terms = terms_of(
        GRID,
        0,
        stop_loss="2%",
        take_profit=110.5,
        trailing_stop=Offset(Decimal(3)),
        trailing_activation=Percent(Decimal(1)),
    )

    assert terms.exits == Exits(
        stop_loss=Percent(Decimal(2)),
        take_profit=AtPrice(Decimal("110.5")),
        trail=Offset(Decimal(3)),
        trail_activation=Percent(Decimal(1)),
    )


def test_after_and_send_by_become_an_option_and_a_time() -> None:
    terms = terms_of(GRID, 5, after="entry", options=(("a", "b"),), send_by_s=2.0)

    assert terms.options == (("a", "b"), ("after", "entry"))
    assert terms.send_by_ns == 2_000_000_005


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"stop_loss": "x%"}, "not a number"),
        ({"stop_loss": "0%"}, "above zero"),
        ({"stop_loss": "-2%"}, "above zero"),
        ({"take_profit": 110.2}, "tick"),
        ({"take_profit": AtPrice(Decimal("110.2"))}, "tick"),
        ({"trail": "3"}, "a trail is"),
        ({"trail": Offset(Decimal("NaN"))}, "above zero"),
        ({"trailing_activation": 100}, "needs a trailing_stop"),
        ({"display_quantity": "0.5"}, "lot"),
        ({"quote_quantity": "many"}, "not a number"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_with_its_reason(
    wishes: dict[str, object], reason: str
) -> None:
    with pytest.raises(OrderError, match=reason):
        terms_of(GRID, 0, **wishes)  # type: ignore[arg-type] # on purpose
