"""What a fill or a settlement does to a position and to the money of its owner.

A position is net: yes contracts are positive, no contracts negative. Buying yes at p pays p;
selling it is buying no, which pays 1 - p; a yes and a no contract together are worth a dollar
and vanish at once, so closing n contracts brings back one dollar each, less what the other side
of the pair costs.
"""

import msgspec

from adapters.kalshi.simulated.domain import DOLLAR, Position


def after_fill(
    position: Position, *, is_bid: bool, price: int, count: int, fee: int, time_ns: int
) -> tuple[Position, int]:
    """Return the position after a fill, and the change of its owner's cash.

    `price` is of the yes leg, `fee` is money.
    """
    held = position.position
    own_price = price if is_bid else DOLLAR - price  # of the leg that is bought
    closing = min(count, max(0, -held if is_bid else held))
    opening = count - closing
    released = closing * (DOLLAR - own_price)
    paid = opening * own_price
    cost_out = _share(position.position_cost, closing, held)
    fee_out = _share(position.position_fee_cost, closing, held)
    opening_fee = fee * opening // count
    changed = msgspec.structs.replace(
        position,
        position=held + (count if is_bid else -count),
        position_cost=position.position_cost - cost_out + paid,
        realized_pnl=position.realized_pnl + released - cost_out,
        fees_paid=position.fees_paid + fee,
        position_fee_cost=position.position_fee_cost - fee_out + opening_fee,
        volume=position.volume + count,
        total_traded=position.total_traded + count * own_price,
        updated_ns=time_ns,
    )
    return changed, released - paid - fee


def after_settlement(position: Position, value: int, time_ns: int) -> tuple[Position, int]:
    """Return the position after its market paid `value` per yes contract, and the revenue."""
    held = position.position
    revenue = held * value if held > 0 else -held * (DOLLAR - value)
    changed = msgspec.structs.replace(
        position,
        position=0,
        position_cost=0,
        realized_pnl=position.realized_pnl + revenue - position.position_cost,
        position_fee_cost=0,
        updated_ns=time_ns,
    )
    return changed, revenue


def _share(total: int, part: int, held: int) -> int:
    """The share of `part` contracts in what all that are held cost."""
    return total * part // abs(held) if held else 0
