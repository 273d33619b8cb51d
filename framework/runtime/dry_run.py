"""A dry run's orders: written down by the desk like any other, and sent to nobody.

The log then holds each `SubmitOrder` as it would have left, behind gate and registry, followed by
the order's end with the reason. There are no fills, as nobody can tell which there would have been:
for those there is paper trading.
"""

from framework.interfaces import Broker, BrokerCapabilities, Clock, Publish
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder, VenueCommand
from framework.model.reports import EndKind, OrderEnded, RequestKind, RequestRefused

REASON = "dry run: would have been sent"


class DryRunBroker:
    """Ends every order at once; it claims what `broker` can do, so that nothing is judged else.

    Without a broker (the whole account is dry) it claims to know every order type.
    """

    def __init__(self, clock: Clock, publish: Publish, broker: Broker | None = None) -> None:
        self.capabilities = BrokerCapabilities() if broker is None else broker.capabilities
        self.kept_count = 0
        self._clock = clock
        self._publish = publish

    def send(self, command: VenueCommand) -> None:
        """Answer a command from here."""
        now_ns = self._clock.now_ns
        match command:
            case SubmitOrder(order_id=order_id):
                self.kept_count += 1
                self._publish(OrderEnded(order_id, EndKind.CANCELLED, now_ns, REASON, "core"))
            case ModifyOrder(order_id=order_id):
                self._refuse(order_id, RequestKind.MODIFY, now_ns)
            case CancelOrder(order_id=order_id):
                self._refuse(order_id, RequestKind.CANCEL, now_ns)

    async def run(self) -> None:
        """Return: there is no connection."""

    def _refuse(self, order_id: str, kind: RequestKind, now_ns: int) -> None:
        reason = "dry run: the order was never sent"
        self._publish(RequestRefused(order_id, kind, reason, now_ns))
