"""Public frames and the replies to commands, in the venue's words, all generations at once.

Each value may come in several spellings: `X_dollars` or `X` in cents, `X_fp` or `X` in whole
contracts; whatever is null or absent is None here. The type of a field names how it is read,
which is also how `lenient` tells a readable one from a bad one. Fields without a default are
needed, and so are those marked `is_needed` once they came.
"""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from adapters.kalshi import units

LARGEST_NUMBER = (1 << 63) - 1

Ordinal = Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)]
Index = Ordinal | None
Text = str | None
Flag = bool | None
Side = Literal["yes", "no"]
BookSide = Literal["bid", "ask"]

Price = Annotated[str | None, Meta(extra={"read": units.price})]
GridPrice = Annotated[str, Meta(extra={"read": units.grid_price})]
Cents = Annotated[int | None, Meta(extra={"read": units.price_of_cents})]
Count = Annotated[str | None, Meta(extra={"read": units.count})]
Contracts = Annotated[int | None, Meta(extra={"read": units.count_of_contracts})]
SignedCount = Annotated[str | None, Meta(extra={"read": units.signed_count})]
SignedContracts = Annotated[int | None, Meta(extra={"read": units.signed_count_of_contracts})]
Money = Annotated[str | None, Meta(extra={"read": units.money})]
LegacyMoney = Annotated[int | None, Meta(extra={"read": units.money_of_legacy})]
WholeCents = Annotated[int | None, Meta(extra={"read": units.money_of_cents})]
WholeDollars = Annotated[int | None, Meta(extra={"read": units.money_of_dollars})]
Milliseconds = Annotated[int | None, Meta(extra={"read": units.milliseconds})]
Moment = Annotated[str | int | None, Meta(extra={"read": units.time_of_text})]
Number = Annotated[Decimal | None, Meta(extra={"read": units.finite})]

# A side that is omitted has no levels, and what older servers omit is zero: here a value that
# cannot be read must not pass for one that did not come.
Subaccount = Annotated[Ordinal | None, Meta(extra={"is_needed": True})]
SureMoney = Annotated[str | None, Meta(extra={"read": units.money, "is_needed": True})]
Ladder = Annotated[list[tuple[str, str]] | None, Meta(extra={"is_needed": True})]
OldLadder = Annotated[list[tuple[str, int]] | None, Meta(extra={"is_needed": True})]
CentLadder = Annotated[list[tuple[int, int]] | None, Meta(extra={"is_needed": True})]


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What every frame has, its body untouched."""

    type: str
    sid: Index = None
    seq: Index = None
    id: Index = None
    msg: msgspec.Raw = msgspec.Raw()


class Numbered(msgspec.Struct, frozen=True, gc=False):
    """A channel and its number."""

    channel: str
    sid: Ordinal


class ErrorBody(msgspec.Struct, frozen=True, gc=False):
    """Why a command or a subscription failed."""

    code: int | None = None
    msg: Text = None
    market_ticker: Text = None
    market_tickers: list[str] | None = None


class Markets(msgspec.Struct, frozen=True, gc=False):
    """The markets or subscriptions of an `ok`: in its body, on older servers beside it."""

    market_tickers: list[str] | None = None
    subscriptions: list[Numbered] | None = None


class TickerBody(msgspec.Struct, frozen=True, gc=False):
    """7.1"""

    market_ticker: str
    market_id: Text = None
    price_dollars: Price = None
    price: Cents = None
    yes_bid_dollars: Price = None
    yes_bid: Cents = None
    yes_ask_dollars: Price = None
    yes_ask: Cents = None
    volume_fp: Count = None
    volume: Contracts = None
    open_interest_fp: Count = None
    open_interest: Contracts = None
    dollar_volume: WholeDollars = None
    dollar_open_interest: WholeDollars = None
    yes_bid_size_fp: Count = None
    yes_ask_size_fp: Count = None
    last_trade_size_fp: Count = None
    ts: Moment = None
    ts_ms: Milliseconds = None
    time: Moment = None


class TradeBody(msgspec.Struct, frozen=True, gc=False):
    """7.2"""

    trade_id: str
    market_ticker: str
    yes_price_dollars: Price = None
    yes_price: Cents = None
    no_price_dollars: Price = None
    no_price: Cents = None
    count_fp: Count = None
    count: Contracts = None
    taker_side: Side | None = None
    taker_outcome_side: Side | None = None
    taker_book_side: BookSide | None = None
    is_block_trade: Flag = None
    ts: Moment = None
    ts_ms: Milliseconds = None


class SnapshotBody(msgspec.Struct, frozen=True, gc=False):
    """7.3, the whole book."""

    market_ticker: str
    market_id: Text = None
    yes_dollars_fp: Ladder = None
    no_dollars_fp: Ladder = None
    yes_dollars: OldLadder = None
    no_dollars: OldLadder = None
    yes: CentLadder = None
    no: CentLadder = None


class DeltaBody(msgspec.Struct, frozen=True, gc=False):
    """7.3, a change of one level."""

    market_ticker: str
    side: Side
    market_id: Text = None
    price_dollars: Price = None
    price: Cents = None
    delta_fp: SignedCount = None
    delta: SignedContracts = None
    client_order_id: Text = None
    subaccount: Subaccount = None
    ts: Moment = None
    ts_ms: Milliseconds = None


class TickerFrame(msgspec.Struct, frozen=True, gc=False, tag="ticker"):
    """One typed decode for what comes most often."""

    msg: TickerBody
    sid: Index = None
    seq: Index = None
    id: Index = None


class TradeFrame(msgspec.Struct, frozen=True, gc=False, tag="trade"):
    """One typed decode for what comes most often."""

    msg: TradeBody
    sid: Index = None
    seq: Index = None
    id: Index = None


class DeltaFrame(msgspec.Struct, frozen=True, gc=False, tag="orderbook_delta"):
    """One typed decode for what comes most often."""

    msg: DeltaBody
    sid: Index = None
    seq: Index = None
    id: Index = None


class RangeBody(msgspec.Struct, frozen=True, gc=False):
    """A stretch of a market's price grid."""

    start: GridPrice
    end: GridPrice
    step: GridPrice


class MetadataBody(msgspec.Struct, frozen=True, gc=False):
    """7.4, what a new market is about."""

    name: Text = None
    title: Text = None
    yes_sub_title: Text = None
    no_sub_title: Text = None
    rules_primary: Text = None
    rules_secondary: Text = None
    can_close_early: Flag = None
    event_ticker: Text = None
    expected_expiration_ts: Moment = None
    strike_type: Text = None
    floor_strike: Number = None
    cap_strike: Number = None
    custom_strike: msgspec.Raw = msgspec.Raw()


class MarketLifecycleBody(msgspec.Struct, frozen=True, gc=False):
    """7.4 and 7.6"""

    event_type: str
    market_ticker: str
    open_ts: Moment = None
    close_ts: Moment = None
    is_deactivated: Flag = None
    result: Text = None
    settlement_value: Price = None
    determination_ts: Moment = None
    settled_ts: Moment = None
    additional_metadata: MetadataBody | None = None
    price_level_structure: Text = None
    price_ranges: list[RangeBody] | None = None
    strike_type: Text = None
    floor_strike: Number = None
    cap_strike: Number = None
    custom_strike: msgspec.Raw = msgspec.Raw()
    yes_sub_title: Text = None
    exchange_index: Index = None
    ts: Moment = None
    ts_ms: Milliseconds = None


class EventLifecycleBody(msgspec.Struct, frozen=True, gc=False):
    """7.4, about the event of some markets."""

    event_ticker: str
    title: Text = None
    subtitle: Text = None
    sub_title: Text = None
    collateral_return_type: Text = None
    series_ticker: Text = None
    strike_date: Moment = None
    strike_period: Text = None
    exchange_index: Index = None
    ts: Moment = None
    ts_ms: Milliseconds = None


class EventFeeUpdateBody(msgspec.Struct, frozen=True, gc=False):
    """7.4, about the fees of an event."""

    event_ticker: str
    fee_type_override: Text = None
    fee_multiplier_override: Number = None
    ts: Moment = None
    ts_ms: Milliseconds = None


class LegBody(msgspec.Struct, frozen=True, gc=False):
    """One market of a combination."""

    event_ticker: str
    market_ticker: str
    side: str
    yes_settlement_value_dollars: Price = None


class MultivariateLookupBody(msgspec.Struct, frozen=True, gc=False):
    """7.5"""

    collection_ticker: str
    event_ticker: str
    market_ticker: str
    selected_markets: list[LegBody] | None = None
    ts: Moment = None
    ts_ms: Milliseconds = None
