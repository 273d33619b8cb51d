"""What would become of an order: judged by the gate as if it were sent, and not counted."""

from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from framework.engine.engine import Engine
from framework.model.decimals import ZERO, absolute
from framework.model.desk import Place, Preview
from framework.model.instrument import Instrument
from framework.model.orders import OrderIntent, Side
from framework.orders.admission import Admission
from framework.risk.limits import Proposal, View, malformed, quantity_for

UNNAMED = "preview"
Reserve = Callable[[str, Instrument, Side, Decimal, Decimal], Decimal]


class Foresight:
    """Looks at the gate with an order that is not there."""

    def __init__(self, engine: Engine, reserve: Reserve) -> None:
        self._engine = engine
        self._reserve = reserve
        self._admission = Admission(gate=engine.gate, ledger=engine.ledger, market=engine.market)

    def preview(self, intent: OrderIntent, place: Place) -> Preview:
        """Return what would become of an intent of this place now.

        Raises:
            UnknownInstrument: there is no such instrument.
        """
        engine, instrument = self._engine, self._engine.instrument(intent.instrument)
        price = self._admission.price_of(instrument.id, intent.price, intent.stop_price)
        now_ns = engine.clock.now_ns
        quantity = intent.quantity
        if quantity is None:
            quantity = quantity_for(intent.quote_quantity, instrument, price)
        reason = malformed(replace(intent, key=intent.key or UNNAMED), now_ns)
        if reason is None and quantity is None:
            reason = f"quote quantity {intent.quote_quantity} does not make one lot"
        if reason is not None or quantity is None:
            return Preview(reason or "", price)
        working = engine.registry.working(place.run, instrument.id)
        proposal = Proposal(
            place.run,
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
            account=place.account,
            intent=intent,
        )
        view = View(
            engine.ledger.net_quantity(place.run, instrument.id),
            _held(engine, place, intent),
            working.open_buy,
            working.open_sell,
            price,
            now_ns,
        )
        verdict = engine.gate.judge(proposal, view)
        refusal = "" if verdict is None else verdict.reason
        if price is None:
            return Preview(refusal)
        return Preview(
            refusal,
            price,
            absolute(instrument.notional(price, quantity)),
            self._reserve(place.account, instrument, intent.side, quantity, price),
        )


def _held(engine: Engine, place: Place, intent: OrderIntent) -> Decimal:
    for holding in engine.ledger.of_run(place.run, intent.instrument):
        if holding.account == place.account and holding.bucket == intent.bucket:
            return holding.quantity
    return ZERO
