"""Which prices an order may have: those of its type, on the tick, near the market's.

The first two hold for exits too. The market's price is not asked for exits: a feed that died must
not keep a position open.
"""

from decimal import Decimal

from framework.model.decimals import absolute, multiply, parse, subtract
from framework.model.instrument import InstrumentKind
from framework.model.orders import OrderType
from framework.risk.inputs import Inputs
from framework.risk.limits.grid import off_grid
from framework.risk.proposal import Proposal, View

MARKET = OrderType.MARKET
LIMIT = OrderType.LIMIT
STOP = OrderType.STOP
STOP_LIMIT = OrderType.STOP_LIMIT
TRAILING_STOP = OrderType.TRAILING_STOP
INDEX = InstrumentKind.INDEX
BPS = parse("10000")


class PricesFitType:
    """An order has exactly the prices that its type needs."""

    def check(self, proposal: Proposal, view: View) -> str | None:
        kind, price, stop = proposal.type, proposal.price, proposal.stop_price
        if kind is MARKET and price is None and stop is None:
            return None
        if (price is None) is (kind is LIMIT or kind is STOP_LIMIT):
            return _misfit(kind, "price", is_missing=price is None)
        if kind is not TRAILING_STOP and (stop is None) is (kind is STOP or kind is STOP_LIMIT):
            return _misfit(kind, "stop price", is_missing=stop is None)
        if kind is TRAILING_STOP and not proposal.has_trail:
            return _misfit(kind, "trail", is_missing=True)
        return None


class PriceOnTick:
    """Limit and stop price are finite Decimals on the tick, within the instrument's limits."""

    def check(self, proposal: Proposal, view: View) -> str | None:
        if proposal.instrument.kind is INDEX:
            return f"{proposal.instrument.id} is an index: it cannot be traded"
        for price in (proposal.price, proposal.stop_price):
            if price is not None:
                if price.__class__ is not Decimal:
                    return f"price {price!r} is not a Decimal"
                reason = off_grid(proposal.instrument, price=price)
                if reason is not None:
                    return reason
        return None


class FreshReference:
    """The market's price, which orders are valued by, is known and at most so old; exits pass."""

    def __init__(self, max_age_ns: int, inputs: Inputs) -> None:
        self.max_age_ns = max_age_ns
        self._inputs = inputs

    def check(self, proposal: Proposal, view: View) -> str | None:
        if not proposal.is_exit:
            self._inputs.reference(proposal.instrument.id, view.now_ns, self.max_age_ns)
        return None


class PriceCollar:
    """No price is further than `bps` basis points from the market's, above or below; exits pass."""

    def __init__(self, bps: Decimal, max_age_ns: int, inputs: Inputs) -> None:
        self.bps = bps
        self.max_age_ns = max_age_ns
        self._inputs = inputs

    def check(self, proposal: Proposal, view: View) -> str | None:
        prices = [price for price in (proposal.price, proposal.stop_price) if price is not None]
        if not prices or proposal.is_exit:
            return None
        instrument = proposal.instrument.id
        reference = self._inputs.reference(instrument, view.now_ns, self.max_age_ns)
        widest = multiply(absolute(reference), self.bps)
        for price in prices:
            if multiply(absolute(subtract(price, reference)), BPS) > widest:
                return (
                    f"price {price} is further than price_collar_bps {self.bps}"
                    f" from the reference {reference}"
                )
        return None


def _misfit(kind: OrderType, name: str, *, is_missing: bool) -> str:
    return f"a {kind.value} order {'needs a' if is_missing else 'takes no'} {name}"
