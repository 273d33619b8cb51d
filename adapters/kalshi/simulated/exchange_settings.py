"""What the simulated exchange starts with: accounts, fees, markets, limits."""

import msgspec

from adapters.kalshi.simulated.domain import DOLLAR_OF_MONEY, EventInfo, Market, SeriesInfo


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One member of the exchange."""

    name: str
    cash: int = 10_000 * DOLLAR_OF_MONEY
    key_id: str = ""
    user_id: str = ""  # "": made from the seed
    is_background: bool = False  # keeps no history, and is told nothing: nobody is behind it


class FeeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates of the quadratic fee, rate · count · price · (1 - price), up to the next cent.

    An event's or series' fee type says who pays: `quadratic` takers only,
    `quadratic_with_maker_fees` both, `flat` the taker `flat_cents` per contract. Its multiplier
    scales each of them. The venue does not document these rates.
    """

    taker_rate_bps: int = 700
    maker_rate_bps: int = 175
    flat_cents: int = 1


class ExchangeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exchange at its start, and what it keeps."""

    accounts: tuple[AccountSettings, ...] = ()
    series: tuple[SeriesInfo, ...] = ()
    events: tuple[EventInfo, ...] = ()
    markets: tuple[Market, ...] = ()
    past_minutes: int = 0  # of candles that these markets have from before the start
    fees: FeeSettings = FeeSettings()
    group_window_s: int = 15
    history_after_s: int = 90 * 86_400  # older ended orders and fills are "historical"
    most_open_orders: int = 200_000  # per account
    orders_kept: int = 100_000  # ended ones, per account; the oldest are forgotten
    fills_kept: int = 100_000  # per account
    trades_kept: int = 2_000  # per market
    rfqs_kept: int = 1_000  # closed ones
