"""What the exchange emits, one struct per thing that happened; units as in `domain.py`.

They come synchronously, in the order the matching core produced them. One request emits, in
this order: per match `LevelChanged`, `Traded`, then for the maker and after it the taker `Filled`
and `PositionChanged`, then the maker's `OrderChanged`; orders pulled by self-trade prevention;
what came to rest (`LevelChanged`), the taker's `OrderChanged`; what a triggered group cancelled;
at last one `TickerChanged` per market whose ticker differs from before. Nothing private is
emitted for background members.
"""

from typing import Literal

import msgspec

from adapters.kalshi.simulated.domain import (
    EventInfo,
    Fill,
    Market,
    Order,
    Position,
    Rfq,
    RfqQuote,
    SelectedLeg,
    Settlement,
    Side,
    TickerState,
    Trade,
)

MarketEvent = Literal[
    "created",
    "activated",
    "deactivated",
    "close_date_updated",
    "determined",
    "settled",
    "price_level_structure_updated",
    "metadata_updated",
]
GroupEvent = Literal["created", "triggered", "reset", "deleted", "limit_updated"]


class LevelChanged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The resting quantity at one price of one bid ladder changed."""

    ticker: str
    market_id: str
    side: Side  # which ladder
    price: int  # of that leg
    change: int  # signed count
    size: int  # what rests there now
    owner: str  # account of the resting order that came, went or shrank
    client_order_id: str  # of that order: for the owner only
    subaccount: int
    time_ns: int


class Traded(msgspec.Struct, frozen=True, gc=False):
    """Two orders matched."""

    trade: Trade


class TickerChanged(msgspec.Struct, frozen=True, gc=False):
    """A field of the ticker changed."""

    ticker: TickerState


class OrderChanged(msgspec.Struct, frozen=True, gc=False):
    """An order was created, filled, amended, decreased or cancelled. Private."""

    account: str
    order: Order


class Filled(msgspec.Struct, frozen=True, gc=False):
    """One account's half of a match. Private."""

    account: str
    fill: Fill


class PositionChanged(msgspec.Struct, frozen=True, gc=False):
    """An account's position in one market changed. Private."""

    account: str
    position: Position


class Settled(msgspec.Struct, frozen=True, gc=False):
    """A settled market paid an account. Private; no channel carries it."""

    account: str
    settlement: Settlement


class GroupChanged(msgspec.Struct, frozen=True, gc=False):
    """An order group was created, triggered, reset, deleted, or has a new limit. Private."""

    account: str
    event_type: GroupEvent
    group_id: str
    contracts_limit: int
    time_ns: int


class MarketChanged(msgspec.Struct, frozen=True, gc=False):
    """A step in a market's life; `market` is as it stands after it."""

    event_type: MarketEvent
    market: Market
    time_ns: int


class EventCreated(msgspec.Struct, frozen=True, gc=False):
    """A new event (`event_lifecycle`)."""

    event: EventInfo
    is_multivariate: bool
    time_ns: int


class EventFeeChanged(msgspec.Struct, frozen=True, gc=False):
    """An event's fee override was set or cleared (`event_fee_update`)."""

    event: EventInfo
    time_ns: int


class MultivariateLookedUp(msgspec.Struct, frozen=True, gc=False):
    """Somebody looked up the market that combines `selected` (`multivariate_lookup`)."""

    collection_ticker: str
    event_ticker: str
    market_ticker: str
    selected: tuple[SelectedLeg, ...]
    time_ns: int


class RfqCreated(msgspec.Struct, frozen=True, gc=False):
    """An RFQ is open. For every subscriber."""

    rfq: Rfq
    time_ns: int


class RfqDeleted(msgspec.Struct, frozen=True, gc=False):
    """An RFQ is gone. For every subscriber."""

    rfq: Rfq
    time_ns: int


class QuoteCreated(msgspec.Struct, frozen=True, gc=False):
    """A quote was made. For `quote.account` and `quote.rfq_account` only."""

    quote: RfqQuote
    time_ns: int


class QuoteAccepted(msgspec.Struct, frozen=True, gc=False):
    """A quote was accepted. For `quote.account` and `quote.rfq_account` only."""

    quote: RfqQuote
    time_ns: int


class QuoteExecuted(msgspec.Struct, frozen=True, gc=False):
    """A quote became a block trade. Emitted once for each party, with that party's order."""

    account: str
    quote: RfqQuote
    order_id: str
    client_order_id: str
    time_ns: int


ExchangeEvent = (
    LevelChanged
    | Traded
    | TickerChanged
    | OrderChanged
    | Filled
    | PositionChanged
    | Settled
    | GroupChanged
    | MarketChanged
    | EventCreated
    | EventFeeChanged
    | MultivariateLookedUp
    | RfqCreated
    | RfqDeleted
    | QuoteCreated
    | QuoteAccepted
    | QuoteExecuted
)
