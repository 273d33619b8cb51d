"""The section `risk`: limits of every order, and tighter ones of an account, run or instrument.

Every limit that fits an order is asked, so the tightest holds; none can be loosened below the
section's own. Notionals are price × quantity × multiplier in the instrument's currency, and sums
of them are judged per currency.
"""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from framework.model.calendars import zone_of
from framework.settings.fields import FieldError, require_positive

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Window = Annotated[float, Meta(gt=0, le=86_400)]
Names = Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=10_000)]


class InstrumentLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits that also make sense of one instrument alone; None switches one off.

    Rates and `max_open_orders` count the orders of their place: of everything, of one account, run
    or instrument. `price_collar_bps` is how far a price may be from the market's; the market's must
    be no older than `max_reference_age_s` (60 s for the collar where it is not set; where it is
    set, every order needs a reference as fresh). Repeats of an order within `duplicate_window_ms`
    under other keys are refused, and so are more than `max_same_direction_fills` orders that filled
    one way within `same_direction_window_s` without one the other way.
    """

    max_order_notional: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_orders_per_second: Count | None = None
    max_order_quantity: Decimal | None = None
    price_collar_bps: Decimal | None = None
    max_reference_age_s: Window | None = None
    max_orders_per_minute: Count | None = None
    max_orders_per_day: Count | None = None
    max_open_orders: Count | None = None
    duplicate_window_ms: Count | None = None
    max_same_direction_fills: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    same_direction_window_s: Window = 60.0
    prevent_self_match: bool = False

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, Decimal):
                require_positive(field, value)


# Settings inherit here, as an account takes every limit of an instrument and the section every
# limit of an account: three lists of the same fields would drift apart.
class OwnerLimits(InstrumentLimits, frozen=True, forbid_unknown_fields=True):
    """Limits of an account or a run.

    In `runs` the sums are the run's, elsewhere those of the order's account. `max_daily_loss`:
    realised and unrealised since the day began. `require_cash`: what is paid in full (spot,
    option, binary) is bought only with cash at hand; set it per account where another may borrow.
    `require_margin`: no order binds more initial margin than the account's equity has free.
    An entry of `allowed_instruments` may end in `*`.
    """

    max_gross_notional: Decimal | None = None
    max_net_notional: Decimal | None = None
    max_daily_loss: Decimal | None = None
    require_cash: bool = False
    require_margin: bool = False
    allowed_instruments: Names | None = None


class RunawaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a run is taken for a runaway and paused (R-62); None switches a rule off.

    `max_resends`: so many times in a row an order followed a rejection of its like within a second.
    """

    max_orders_per_second: Count | None = 500
    max_refusals_per_second: Count | None = 20
    max_resends: Count | None = 10


class RiskSettings(OwnerLimits, frozen=True, forbid_unknown_fields=True):
    """The whole section. The day of `max_daily_loss` begins at midnight in `timezone`.

    `require_market_open` and `require_trusted_feed` are on: without them orders also go to closed
    markets, and where a feed has a gap or went silent.
    """

    require_market_open: bool = True
    require_trusted_feed: bool = True
    allowed_accounts: Names | None = None
    allowed_runs: Names | None = None
    timezone: str = "UTC"
    runaway: RunawaySettings = RunawaySettings()
    accounts: dict[str, OwnerLimits] = {}
    runs: dict[str, OwnerLimits] = {}
    instruments: dict[str, InstrumentLimits] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            zone_of(self.timezone)
        except ValueError as error:
            raise FieldError("timezone", str(error)) from None
