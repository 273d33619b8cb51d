"""The prices that a market accepts."""

from collections.abc import Sequence

from adapters.kalshi.simulated.domain import DOLLAR, PriceRange

PRICE_STRUCTURES: dict[str, tuple[PriceRange, ...]] = {
    "linear_cent": (PriceRange(0, 10_000, 100),),
    "deci_cent": (PriceRange(0, 10_000, 10),),
    "tapered_deci_cent": (
        PriceRange(0, 1_000, 10),
        PriceRange(1_000, 9_000, 100),
        PriceRange(9_000, 10_000, 10),
    ),
}


class PriceGrid:
    """The union of a market's price ranges, strictly between nothing and a dollar."""

    __slots__ = ("_ranges",)

    def __init__(self, ranges: Sequence[PriceRange]) -> None:
        self._ranges = tuple(ranges)

    def __contains__(self, price: int) -> bool:
        return 0 < price < DOLLAR and any(
            part.start <= price <= part.end and (price - part.start) % part.step == 0
            for part in self._ranges
        )

    def prices(self) -> list[int]:
        """Return all of them, ascending."""
        found = {
            price
            for part in self._ranges
            for price in range(part.start, part.end + 1, part.step)
            if 0 < price < DOLLAR
        }
        return sorted(found)
