"""Private frames in the venue's words, all generations at once; read as those of `wire`."""

import msgspec

from adapters.kalshi.wire import (
    BookSide,
    Cents,
    Contracts,
    Count,
    Flag,
    Index,
    LegacyMoney,
    LegBody,
    Milliseconds,
    Moment,
    Money,
    Price,
    Side,
    SignedContracts,
    SignedCount,
    Subaccount,
    SureMoney,
    Text,
)


class FillBody(msgspec.Struct, frozen=True, gc=False):
    """7.7"""

    trade_id: str
    order_id: str
    market_ticker: str
    client_order_id: Text = None
    is_taker: Flag = None
    side: Side | None = None
    outcome_side: Side | None = None
    book_side: BookSide | None = None
    yes_price_dollars: Price = None
    yes_price: Cents = None
    count_fp: Count = None
    count: Contracts = None
    fee_cost: Money = None
    post_position_fp: SignedCount = None
    post_position: SignedContracts = None
    exchange_index: Index = None
    subaccount: Subaccount = None
    ts: Moment = None
    ts_ms: Milliseconds = None


class UserOrderBody(msgspec.Struct, frozen=True, gc=False):
    """7.8"""

    order_id: str
    ticker: str
    status: str
    user_id: Text = None
    client_order_id: Text = None
    side: Side | None = None
    is_yes: Flag = None
    outcome_side: Side | None = None
    book_side: BookSide | None = None
    yes_price_dollars: Price = None
    yes_price: Cents = None
    initial_count_fp: Count = None
    initial_count: Contracts = None
    fill_count_fp: Count = None
    fill_count: Contracts = None
    remaining_count_fp: Count = None
    remaining_count: Contracts = None
    taker_fill_cost_dollars: SureMoney = None
    maker_fill_cost_dollars: SureMoney = None
    taker_fees_dollars: SureMoney = None
    maker_fees_dollars: SureMoney = None
    order_group_id: Text = None
    self_trade_prevention_type: Text = None
    expiration_time: Moment = None
    expiration_ts_ms: Milliseconds = None
    created_time: Moment = None
    created_ts_ms: Milliseconds = None
    last_update_time: Moment = None
    last_updated_ts_ms: Milliseconds = None
    last_update_reason: Text = None
    subaccount_number: Subaccount = None
    exchange_index: Index = None


class MarketPositionBody(msgspec.Struct, frozen=True, gc=False):
    """7.9"""

    market_ticker: str
    user_id: Text = None
    position_fp: SignedCount = None
    position: SignedContracts = None
    position_cost_dollars: Money = None
    position_cost: LegacyMoney = None
    realized_pnl_dollars: Money = None
    realized_pnl: LegacyMoney = None
    fees_paid_dollars: Money = None
    fees_paid: LegacyMoney = None
    position_fee_cost_dollars: Money = None
    position_fee_cost: LegacyMoney = None
    volume_fp: Count = None
    volume: Contracts = None
    subaccount: Subaccount = None
    ts: Moment = None
    ts_ms: Milliseconds = None


class OrderGroupBody(msgspec.Struct, frozen=True, gc=False):
    """7.10"""

    event_type: str
    order_group_id: str
    contracts_limit_fp: Count = None
    contracts_limit: Contracts = None
    ts: Moment = None
    ts_ms: Milliseconds = None


class CommunicationKeys(msgspec.Struct, frozen=True, gc=False):
    """7.11: the keys by which a frame of the single type `communications` says which it is."""

    quote_id: msgspec.Raw = msgspec.Raw()
    executed_ts: msgspec.Raw = msgspec.Raw()
    accepted_side: msgspec.Raw = msgspec.Raw()
    deleted_ts: msgspec.Raw = msgspec.Raw()
    id: msgspec.Raw = msgspec.Raw()


class RfqBody(msgspec.Struct, frozen=True, gc=False):
    """7.11, `rfq_created` and `rfq_deleted`."""

    id: str
    market_ticker: str
    creator_id: Text = None
    event_ticker: Text = None
    contracts_fp: Count = None
    contracts: Contracts = None
    target_cost_dollars: Money = None
    target_cost: LegacyMoney = None
    mve_collection_ticker: Text = None
    mve_selected_legs: list[LegBody] | None = None
    created_ts: Moment = None
    deleted_ts: Moment = None


class QuoteBody(msgspec.Struct, frozen=True, gc=False):
    """7.11, `quote_created` and `quote_accepted`."""

    quote_id: str
    rfq_id: str
    market_ticker: str
    quote_creator_id: Text = None
    rfq_creator_id: Text = None
    event_ticker: Text = None
    yes_bid_dollars: Price = None
    yes_bid: Cents = None
    no_bid_dollars: Price = None
    no_bid: Cents = None
    yes_contracts_offered_fp: Count = None
    yes_contracts_offered: Contracts = None
    no_contracts_offered_fp: Count = None
    no_contracts_offered: Contracts = None
    rfq_target_cost_dollars: Money = None
    rfq_target_cost: LegacyMoney = None
    accepted_side: Side | None = None
    contracts_accepted_fp: Count = None
    contracts_accepted: Contracts = None
    subaccount: Subaccount = None
    created_ts: Moment = None
    ts_ms: Milliseconds = None


class QuoteExecutedBody(msgspec.Struct, frozen=True, gc=False):
    """7.11"""

    quote_id: str
    rfq_id: str
    order_id: str
    market_ticker: str
    quote_creator_id: Text = None
    rfq_creator_id: Text = None
    client_order_id: Text = None
    subaccount: Subaccount = None
    executed_ts: Moment = None
