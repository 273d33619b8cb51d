"""Bodies of private frames to messages."""

from adapters.kalshi.messages import (
    Fill,
    MarketPosition,
    OrderGroupUpdate,
    Outcome,
    QuoteAccepted,
    QuoteCreated,
    QuoteExecuted,
    RfqCreated,
    RfqDeleted,
    UserOrder,
)
from adapters.kalshi.values import count, instant, legs, money, needed, outcome, price, signed_count
from adapters.kalshi.wire_private import (
    FillBody,
    MarketPositionBody,
    OrderGroupBody,
    QuoteBody,
    QuoteExecutedBody,
    RfqBody,
    UserOrderBody,
)


def fill(body: FillBody) -> Fill:
    """`side` alone is the outcome acquired; together with `action` it would turn sells around."""
    acquired = outcome(body.outcome_side, body.book_side, body.side)
    return Fill(
        trade_id=body.trade_id,
        order_id=body.order_id,
        client_order_id=body.client_order_id or "",
        market_ticker=body.market_ticker,
        outcome_side=needed(acquired, "outcome_side"),
        yes_price=needed(price(body.yes_price_dollars, body.yes_price), "yes_price"),
        count=needed(count(body.count_fp, body.count), "count"),
        is_taker=body.is_taker,
        fee_cost=money(body.fee_cost),
        post_position=signed_count(body.post_position_fp, body.post_position),
        exchange_index=body.exchange_index or 0,
        subaccount=body.subaccount or 0,
        time_ns=instant(body.ts, body.ts_ms),
    )


def user_order(body: UserOrderBody) -> UserOrder:
    """Costs and fees that did not come are zero: older servers omit those."""
    return UserOrder(
        order_id=body.order_id,
        client_order_id=body.client_order_id or "",
        ticker=body.ticker,
        status=body.status,
        outcome_side=needed(_outcome_of_order(body), "outcome_side"),
        yes_price=needed(price(body.yes_price_dollars, body.yes_price), "yes_price"),
        initial_count=needed(count(body.initial_count_fp, body.initial_count), "initial_count"),
        fill_count=needed(count(body.fill_count_fp, body.fill_count), "fill_count"),
        remaining_count=needed(
            count(body.remaining_count_fp, body.remaining_count), "remaining_count"
        ),
        user_id=body.user_id or "",
        taker_fill_cost=money(body.taker_fill_cost_dollars) or 0,
        maker_fill_cost=money(body.maker_fill_cost_dollars) or 0,
        taker_fees=money(body.taker_fees_dollars) or 0,
        maker_fees=money(body.maker_fees_dollars) or 0,
        order_group_id=body.order_group_id or "",
        self_trade_prevention_type=body.self_trade_prevention_type or "",
        expiration_ns=instant(body.expiration_time, body.expiration_ts_ms),
        created_ns=instant(body.created_time, body.created_ts_ms),
        last_update_ns=instant(body.last_update_time, body.last_updated_ts_ms),
        last_update_reason=body.last_update_reason or "",
        subaccount=body.subaccount_number or 0,
        exchange_index=body.exchange_index or 0,
    )


def _outcome_of_order(body: UserOrderBody) -> Outcome | None:
    found = outcome(body.outcome_side, body.book_side, body.side)
    if found is None and body.is_yes is not None:
        return "yes" if body.is_yes else "no"
    return found


def market_position(body: MarketPositionBody) -> MarketPosition:
    """Legacy money is in 1/10_000 dollar here, not in cents."""
    return MarketPosition(
        market_ticker=body.market_ticker,
        position=needed(signed_count(body.position_fp, body.position), "position"),
        user_id=body.user_id or "",
        position_cost=money(body.position_cost_dollars, body.position_cost),
        realized_pnl=money(body.realized_pnl_dollars, body.realized_pnl),
        fees_paid=money(body.fees_paid_dollars, body.fees_paid),
        position_fee_cost=money(body.position_fee_cost_dollars, body.position_fee_cost),
        volume=count(body.volume_fp, body.volume),
        subaccount=body.subaccount or 0,
        time_ns=instant(body.ts, body.ts_ms),
    )


def order_group_update(body: OrderGroupBody) -> OrderGroupUpdate:
    """The limit comes only when it is set."""
    return OrderGroupUpdate(
        event_type=body.event_type,
        order_group_id=body.order_group_id,
        contracts_limit=count(body.contracts_limit_fp, body.contracts_limit),
        time_ns=instant(body.ts, body.ts_ms),
    )


def rfq_created(body: RfqBody) -> RfqCreated:
    """Either the contracts or the target cost comes."""
    return RfqCreated(
        id=body.id,
        creator_id=body.creator_id or "",
        market_ticker=body.market_ticker,
        event_ticker=body.event_ticker or "",
        contracts=count(body.contracts_fp, body.contracts),
        target_cost=money(body.target_cost_dollars, body.target_cost),
        mve_collection_ticker=body.mve_collection_ticker or "",
        mve_selected_legs=legs(body.mve_selected_legs),
        time_ns=instant(body.created_ts),
    )


def rfq_deleted(body: RfqBody) -> RfqDeleted:
    """Either the contracts or the target cost comes."""
    return RfqDeleted(
        id=body.id,
        creator_id=body.creator_id or "",
        market_ticker=body.market_ticker,
        event_ticker=body.event_ticker or "",
        contracts=count(body.contracts_fp, body.contracts),
        target_cost=money(body.target_cost_dollars, body.target_cost),
        time_ns=instant(body.deleted_ts),
    )


def quote_created(body: QuoteBody) -> QuoteCreated:
    """Both bids must have come."""
    return QuoteCreated(
        quote_id=body.quote_id,
        rfq_id=body.rfq_id,
        quote_creator_id=body.quote_creator_id or "",
        rfq_creator_id=body.rfq_creator_id or "",
        market_ticker=body.market_ticker,
        yes_bid=needed(price(body.yes_bid_dollars, body.yes_bid), "yes_bid"),
        no_bid=needed(price(body.no_bid_dollars, body.no_bid), "no_bid"),
        event_ticker=body.event_ticker or "",
        yes_contracts_offered=count(body.yes_contracts_offered_fp, body.yes_contracts_offered),
        no_contracts_offered=count(body.no_contracts_offered_fp, body.no_contracts_offered),
        rfq_target_cost=money(body.rfq_target_cost_dollars, body.rfq_target_cost),
        subaccount=body.subaccount or 0,
        time_ns=instant(body.created_ts, body.ts_ms),
    )


def quote_accepted(body: QuoteBody) -> QuoteAccepted:
    """Both bids must have come."""
    return QuoteAccepted(
        quote_id=body.quote_id,
        rfq_id=body.rfq_id,
        quote_creator_id=body.quote_creator_id or "",
        rfq_creator_id=body.rfq_creator_id or "",
        market_ticker=body.market_ticker,
        yes_bid=needed(price(body.yes_bid_dollars, body.yes_bid), "yes_bid"),
        no_bid=needed(price(body.no_bid_dollars, body.no_bid), "no_bid"),
        event_ticker=body.event_ticker or "",
        accepted_side=body.accepted_side,
        contracts_accepted=count(body.contracts_accepted_fp, body.contracts_accepted),
        yes_contracts_offered=count(body.yes_contracts_offered_fp, body.yes_contracts_offered),
        no_contracts_offered=count(body.no_contracts_offered_fp, body.no_contracts_offered),
        rfq_target_cost=money(body.rfq_target_cost_dollars, body.rfq_target_cost),
        subaccount=body.subaccount or 0,
        time_ns=instant(body.created_ts, body.ts_ms),
    )


def quote_executed(body: QuoteExecutedBody) -> QuoteExecuted:
    """The order it became."""
    return QuoteExecuted(
        quote_id=body.quote_id,
        rfq_id=body.rfq_id,
        quote_creator_id=body.quote_creator_id or "",
        rfq_creator_id=body.rfq_creator_id or "",
        order_id=body.order_id,
        client_order_id=body.client_order_id or "",
        market_ticker=body.market_ticker,
        subaccount=body.subaccount or 0,
        time_ns=instant(body.executed_ts),
    )
