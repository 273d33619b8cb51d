"""Pays out a market that is settled."""

from adapters.kalshi.simulated.accounts import Account
from adapters.kalshi.simulated.domain import Position, Settlement
from adapters.kalshi.simulated.emitted import PositionChanged, Settled
from adapters.kalshi.simulated.floor import Floor
from adapters.kalshi.simulated.positions import after_settlement
from adapters.kalshi.simulated.traded_market import TradedMarket


def pay_out(floor: Floor, traded: TradedMarket) -> None:
    """Pay everyone who holds contracts, and tell them; nobody holds any afterwards."""
    ticker, value = traded.market.ticker, traded.market.settlement_value
    now_ns = floor.clock.now_ns
    for account in floor.accounts:
        held = account.position(ticker)
        if not held.position or value is None:
            continue
        position, revenue = after_settlement(held, value, now_ns)
        account.cash += revenue
        account.put_position(position)
        if not account.is_background:
            _tell(floor, account, traded, held, position, revenue)
    traded.clear_open_interest(now_ns)
    floor.touched[ticker] = traded


def _tell(
    floor: Floor,
    account: Account,
    traded: TradedMarket,
    held: Position,
    position: Position,
    revenue: int,
) -> None:
    market, count = traded.market, held.position
    settlement = Settlement(
        account=account.name,
        ticker=market.ticker,
        event_ticker=market.event_ticker,
        market_result=market.result,
        yes_count=max(0, count),
        no_count=max(0, -count),
        yes_total_cost=held.position_cost if count > 0 else 0,
        no_total_cost=held.position_cost if count < 0 else 0,
        revenue=revenue,
        fee_cost=held.position_fee_cost,
        value=market.settlement_value or 0,
        settled_ns=position.updated_ns,
    )
    account.settlements.append(settlement)
    floor.emit(Settled(account.name, settlement))
    floor.emit(PositionChanged(account.name, position))
