"""A request becomes an order of its account."""

from adapters.kalshi.simulated.accounts import Account
from adapters.kalshi.simulated.domain import NewOrder, Order
from adapters.kalshi.simulated.floor import Floor


def new_order(floor: Floor, account: Account, request: NewOrder) -> Order:
    """Return what a request asks for as an order, before anything has happened to it."""
    now_ns = floor.clock.now_ns
    order_id = floor.make_id()
    return Order(
        order_id=order_id,
        account=account.name,
        user_id=account.user_id,
        client_order_id=request.client_order_id or order_id,
        ticker=request.ticker,
        side=request.side,
        action=request.action,
        order_type=request.order_type,
        status="resting",
        yes_price=request.price,
        initial_count=request.count,
        fill_count=0,
        remaining_count=request.count,
        taker_fill_cost=0,
        maker_fill_cost=0,
        taker_fees=0,
        maker_fees=0,
        time_in_force="fill_or_kill" if request.buy_max_cost is not None else request.time_in_force,
        post_only=request.post_only,
        reduce_only=request.reduce_only,
        cancel_order_on_pause=request.cancel_order_on_pause,
        self_trade_prevention_type=request.self_trade_prevention_type,
        order_group_id=request.order_group_id,
        subaccount=request.subaccount,
        expiration_ns=request.expiration_ns,
        created_ns=now_ns,
        updated_ns=now_ns,
        last_update_reason="",
    )
