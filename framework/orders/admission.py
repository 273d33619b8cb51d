"""Admission: what an order could be worth, and the gate's word on it, new or changed."""

from decimal import Decimal
from math import isfinite

from framework.interfaces import MarketView
from framework.model.decimals import ZERO, parse, subtract
from framework.model.instrument import Instrument
from framework.model.orders import OrderIntent
from framework.orders.order_state import OrderState, WorkingOrders, highest
from framework.portfolio.holding import Holding
from framework.portfolio.ledger import Ledger
from framework.risk.gate import Approved, Gate, Refused
from framework.risk.limits import Proposal, View, malformed, quantity_for


class Admission:
    """Puts an order, with what its run holds and has open, before the gate."""

    def __init__(self, *, gate: Gate, ledger: Ledger, market: MarketView) -> None:
        self._gate = gate
        self._ledger = ledger
        self._market = market

    def price_of(
        self, instrument: str, price: Decimal | None, stop_price: Decimal | None
    ) -> Decimal | None:
        """Return the highest price the order could be worth: limit, stop, or the market's."""
        reference = self._market.reference_price(instrument)
        if reference is None or not isfinite(reference):
            return highest(price, stop_price)
        market = parse(repr(reference))
        if price is None and stop_price is None and market > ZERO:
            return market
        return highest(price, stop_price, market)

    def judge(
        self,
        intent: OrderIntent,
        instrument: Instrument,
        working: WorkingOrders,
        holding: Holding,
        price: Decimal | None,
        now_ns: int,
        *,
        is_closing: bool,
    ) -> Decimal | Refused:
        """Run every check; return the quantity to send, or the refusal."""
        quantity = intent.quantity
        reason = malformed(intent, now_ns)
        if reason is None and quantity is None:
            quantity = quantity_for(intent.quote_quantity, instrument, price)
            reason = f"quote quantity {intent.quote_quantity} does not make one lot"
        if quantity is None or (reason is not None and intent.quantity is not None):
            return Refused(reason or "", "malformed")
        proposal = Proposal(
            intent.run,
            instrument,
            intent.side,
            intent.type,
            quantity,
            quantity,
            quantity,
            intent.price,
            intent.stop_price,
            intent.trail is not None,
            intent.reduce_only,
            is_closing,
            holding.account,
            intent=intent,
        )
        verdict = self._gate.check(proposal, self._view(working, holding, price, now_ns))
        return verdict if isinstance(verdict, Refused) else quantity

    def judge_change(
        self,
        order: OrderState,
        holding: Holding,
        *,
        quantity: Decimal,
        price: Decimal | None,
        stop_price: Decimal | None,
        now_ns: int,
    ) -> Approved | Refused:
        """Run every check on a working order as it would be: `quantity` is the new total."""
        facts, intent = order.facts, order.intent
        proposal = Proposal(
            intent.run,
            order.instrument,
            intent.side,
            intent.type,
            quantity,
            subtract(quantity, facts.filled),
            max(ZERO, subtract(quantity, facts.quantity)),
            price,
            stop_price,
            intent.trail is not None,
            order.reduce_only,
            account=order.account,
            order_id=order.order_id,
            reserved=order.reserved if order.is_buy and order.is_paid_in_full else ZERO,
            intent=intent,
        )
        value = self.price_of(order.instrument.id, price, stop_price)
        return self._gate.check(proposal, self._view(order.working, holding, value, now_ns))

    def _view(
        self, working: WorkingOrders, holding: Holding, price: Decimal | None, now_ns: int
    ) -> View:
        return View(
            self._ledger.net_quantity(working.run, working.instrument),
            holding.quantity,
            working.open_buy,
            working.open_sell,
            price,
            now_ns,
        )
