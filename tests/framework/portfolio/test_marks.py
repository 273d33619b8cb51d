"""Marks: the venue's own price first, then the market's, and never a number that is none."""

from decimal import Decimal

import pytest

from framework.model.market_data import MarkPrice
from framework.portfolio.marks import MarketMarks
from tests.framework.orders.world import FakeMarket

D = Decimal


class Market(FakeMarket):
    """A market with a mark price."""

    def __init__(self, mark: float | None, price: float | None) -> None:
        super().__init__()
        self.mark = mark
        self.price = price

    def mark_price(self, instrument: str) -> MarkPrice | None:
        return None if self.mark is None else MarkPrice(instrument, 1, 1, self.mark)


@pytest.mark.parametrize(
    ("mark", "price", "expected"),
    [
        (101.5, 100.0, D("101.5")),
        (None, 100.1, D("100.1")),
        (float("nan"), 100.0, D(100)),
        (float("inf"), 100.0, D(100)),
        (None, float("nan"), None),
        (None, None, None),
        (-37.63, 1.0, D("-37.63")),  # oil has settled below zero
    ],
)
def test_a_mark_is_the_venues_or_the_markets_price(
    mark: float | None, price: float | None, expected: Decimal | None
) -> None:
    assert MarketMarks(Market(mark, price))("v:X") == expected
