"""What a fill costs beyond its price.

    quadratic fee = rate · count · price · (1 - price), up to the next cent

Rounded once per arriving order and not once per match, so that an order's fee is known before
it meets anything.
"""

import msgspec

from adapters.kalshi.simulated.domain import CENT_OF_MONEY, CONTRACT, DOLLAR
from adapters.kalshi.simulated.exchange_settings import FeeSettings

_BASIS_POINTS = 10_000
_MULTIPLIER_SCALE = 1_000


class FeeSchedule(msgspec.Struct, frozen=True):
    """One market's rates; the multiplier is inside them.

    `taker_rate` and `maker_rate` are thousandths of a basis point; `flat` is thousandths of a
    money unit per 1/100 contract.
    """

    taker_rate: int
    maker_rate: int
    flat: int

    def taker_cost(self, price: int, count: int) -> int:
        """What taking costs before rounding, in units only `rounded` understands."""
        quadratic = self.taker_rate * count * price * (DOLLAR - price)
        return quadratic + self.flat * count * DOLLAR * _BASIS_POINTS

    def maker_fee(self, price: int, count: int) -> int:
        """What a maker's fill costs, in money."""
        return rounded(self.maker_rate * count * price * (DOLLAR - price))


def rounded(cost: int) -> int:
    """Return a cost as money, up to the next cent."""
    unit = DOLLAR * _BASIS_POINTS * _MULTIPLIER_SCALE * CENT_OF_MONEY
    return -(-cost // unit) * CENT_OF_MONEY


def fee_schedule(settings: FeeSettings, fee_type: str, multiplier: float) -> FeeSchedule:
    """Return the rates of a fee type. Raises ValueError for an unknown one."""
    scale = round(multiplier * _MULTIPLIER_SCALE)
    taker = settings.taker_rate_bps * scale
    maker = settings.maker_rate_bps * scale
    flat = settings.flat_cents * scale * CENT_OF_MONEY // CONTRACT
    match fee_type:
        case "quadratic":
            return FeeSchedule(taker, 0, 0)
        case "quadratic_with_maker_fees":
            return FeeSchedule(taker, maker, 0)
        case "flat":
            return FeeSchedule(0, 0, flat)
        case _:
            raise ValueError(f"no fee type {fee_type!r}")
