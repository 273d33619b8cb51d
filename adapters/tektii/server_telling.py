"""From the desk's events to frames: what happened, told in the order in which it did.

Of one fill the core tells order, execution, position and account, then the orders of the exits
that follow from it; so do the frames.

Source: sections 11 and 13 of the gateway's description.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import structlog

from adapters.tektii import wire
from adapters.tektii.server_broadcast import Broadcast
from adapters.tektii.server_frames import Frames
from adapters.tektii.server_metrics import GatewayMetrics
from adapters.tektii.server_order_story import OrderStories, is_trailing
from adapters.tektii.server_order_troubles import (
    DoubleExits,
    MissingExits,
    Unprotected,
)
from adapters.tektii.server_position_story import MarginWatch, PositionStories
from adapters.tektii.server_settings import Place
from adapters.tektii.server_subscriptions import Kind
from adapters.tektii.server_venue_telling import VenueTelling
from adapters.tektii.server_watches import Watches
from adapters.tektii.words import TIMEFRAMES
from framework.errors import FrameworkError, OrderError
from framework.interfaces import Subscription
from framework.model.account import Account, CashBooked, CashReason, Position
from framework.model.desk import DeskOrder, OrderQuery
from framework.model.events import (
    AccountReconciled,
    ConnectionChanged,
    DataStale,
    GapDetected,
    OrderAnomaly,
    Overflowed,
    RateLimited,
    Resynced,
)
from framework.model.instrument import InstrumentChanged
from framework.model.market_data import Candle, Quote, Trade
from framework.model.orders import CLOSED_STATUSES, Fill, Order, OrderIntent, OrderStatus
from framework.model.records import AlertRaised

REFUSED_EXITS = {"exit_refused": False, "exit_tripped": True}  # alert -> it is not sent any more
FINANCING = frozenset({CashReason.FUNDING, CashReason.INTEREST})
KEPT_ALERTS = 1_000
OPEN = frozenset(OrderStatus) - CLOSED_STATUSES
MOCK = "mock"  # the platform

log = structlog.get_logger("gateway")


class Telling:
    """Listens to the desk and broadcasts.

    Attributes:
        venues: how the venues stand.
    """

    def __init__(
        self,
        place: Place,
        broadcast: Broadcast,
        frames: Frames,
        metrics: GatewayMetrics,
        watches: Watches,
    ) -> None:
        self._place = place
        self._broadcast = broadcast
        self._frames = frames
        self._metrics = metrics
        self._watches = watches
        self._orders = OrderStories(place.now_ns)
        self._positions = PositionStories()
        self._margins = MarginWatch()
        self._missing = MissingExits()
        self._doubles = DoubleExits()
        self.venues = VenueTelling(
            place, broadcast, frames, metrics, watches, tell_again=self._tell_missing_again
        )
        self._alerts: deque[AlertRaised] = deque(maxlen=KEPT_ALERTS)
        self._has_alerts = anyio.Event()

    def listen(self, missed: Callable[[Overflowed], None]) -> Subscription:
        """Hear of events from now on; orders made before are not announced as new.

        `missed` hears when events were lost on the way.
        """
        venues = self.venues
        self._orders = OrderStories(self._place.now_ns)
        return self._place.desk.listen(
            f"gateway {self._place.context.key}",
            {
                Order: self.on_order,
                Fill: self.on_fill,
                Position: self.on_position,
                Account: self.on_account,
                CashBooked: self.on_cash,
                OrderAnomaly: self.on_anomaly,
                AlertRaised: self.on_alert,
                Quote: self.on_quote,
                Candle: self.on_candle,
                Trade: self.on_trade,
                InstrumentChanged: self.on_instrument,
                ConnectionChanged: venues.on_connection,
                AccountReconciled: venues.on_reconciled,
                DataStale: venues.on_stale,
                GapDetected: venues.on_gap,
                Resynced: venues.on_resynced,
                RateLimited: venues.on_rate_limit,
                Overflowed: missed,
            },
        )

    async def recall(self) -> None:
        """Take what is there already for told: it is not announced as new."""
        desk, owner = self._place.desk, self._place.owner
        self.venues.recall()
        for entry in await desk.orders(owner, OrderQuery(statuses=OPEN)):
            self._orders.know(entry)
        for position in await desk.positions(owner):
            self._positions.know(position)

    async def run(self) -> None:
        """Tell of alerts whose orders have to be looked for, until cancelled."""
        while True:
            await self._has_alerts.wait()
            self._has_alerts = anyio.Event()
            while self._alerts:
                await self._tell_alert(self._alerts.popleft())

    # -- orders ----------------------------------------------------------------------------------

    def on_order(self, order: Order) -> None:
        """Tell what is new about an order."""
        entry = self._described(order)
        tellings = self._orders.hear(entry, self._place.now_ns)
        for event, shown in tellings:
            self._tell_order(event, shown)
        if entry.role is not None:
            self._missing.hear(entry)
        if entry.intent.oco_group and tellings:
            self._judge_group(entry)
        if is_trailing(entry):
            self._arrange(order.order_id)

    def on_fill(self, fill: Fill) -> None:
        """Tell of an execution."""
        if fill.is_redelivered:
            return
        audience = self._broadcast.of_order(fill.account, fill.run, fill.instrument, Kind.TRADE)
        if audience:
            self._broadcast.send(audience, self._frames.trade(fill))

    def on_anomaly(self, anomaly: OrderAnomaly) -> None:
        """Tell of what contradicts what was told before."""
        audience = self._broadcast.of_order(
            anomaly.account, anomaly.run, anomaly.instrument, Kind.SYSTEM
        )
        if audience:
            symbol = self._place.symbol_of(anomaly.instrument)
            details = {"order_id": anomaly.order_id, "symbol": symbol}
            code = wire.StreamErrorCode.INTERNAL_ERROR
            self._broadcast.send(audience, self._frames.error(code, anomaly.what, details))

    def _tell_order(self, event: wire.OrderEventType, entry: DeskOrder) -> None:
        order = entry.order
        self._metrics.order_event(self._place.platform_of(order.instrument), event)
        audience = self._broadcast.of_order(order.account, order.run, order.instrument, Kind.ORDER)
        if audience:
            self._broadcast.send(audience, self._frames.order(event, entry))

    def _described(self, order: Order) -> DeskOrder:
        try:
            return self._place.desk.described(order)
        except OrderError:  # it has left memory and log: what it says of itself has to do
            intent = OrderIntent(
                order.run,
                order.key,
                order.instrument,
                order.side,
                order.quantity,
                order.type,
                order.price,
                order.stop_price,
                time_in_force=order.time_in_force,
            )
            return DeskOrder(order, intent)

    def _arrange(self, order_id: str) -> None:
        """See to it that a trailing stop's newest move is told when its turn has come."""
        due_ns = self._orders.arrange(order_id)
        if due_ns is not None:
            self._place.desk.clock.call_at(due_ns, partial(self._tell_ratchet, order_id))

    def _tell_ratchet(self, order_id: str) -> None:
        order = self._orders.take_due(order_id, self._place.now_ns)
        if order is not None:
            self._tell_order(wire.OrderEventType.ORDER_MODIFIED, self._described(order))
        self._arrange(order_id)

    def _judge_group(self, entry: DeskOrder) -> None:
        order = entry.order
        found = self._doubles.hear(entry, self._place.symbol_of(order.instrument))
        if found is not None:
            self._metrics.oco_double_exit(self._place.platform_of(order.instrument))
            self._warn(wire.StreamErrorCode.OCO_DOUBLE_EXIT, *found, order)

    def _warn(
        self,
        code: wire.StreamErrorCode,
        message: str,
        details: Any,
        about: Order | Unprotected,
    ) -> None:
        """Send an error that matters; it counts if nobody is there to hear it."""
        audience = self._broadcast.of_order(about.account, about.run, about.instrument, Kind.SYSTEM)
        if not any(stream.links for stream in audience):
            self._metrics.notification_dropped(self._place.platform_of(about.instrument))
        if audience:
            self._broadcast.send(audience, self._frames.error(code, message, details))

    # -- exits that are not there ----------------------------------------------------------------

    def on_alert(self, alert: AlertRaised) -> None:
        """Tell of an exit that was refused; other alerts are for people."""
        if alert.name not in REFUSED_EXITS:
            return
        leg = self._missing.leg(_order_id_of(alert))
        if leg is not None:
            self._tell_refused(leg, alert)
        else:
            self._alerts.append(alert)
            self._has_alerts.set()

    async def _tell_alert(self, alert: AlertRaised) -> None:
        """Tell of an exit that was refused before anything else was heard of it."""
        try:
            leg = await self._place.desk.order(self._place.owner, _order_id_of(alert))
        except FrameworkError as error:
            log.warning("alert_not_told", alert=alert.name, key=alert.key, reason=str(error))
            return
        if leg is not None:
            self._tell_refused(leg, alert)

    def _tell_refused(self, leg: DeskOrder, alert: AlertRaised) -> None:
        symbol = self._place.symbol_of(leg.order.instrument)
        is_tripped = REFUSED_EXITS[alert.name]
        found = self._missing.refused(leg, alert.message, symbol, is_tripped=is_tripped)
        if found is not None:
            code = wire.StreamErrorCode.POSITION_UNPROTECTED
            self._warn(code, found.message, found.details, found)

    def _tell_missing_again(self, venue: str) -> None:
        for one in self._missing.again():
            if one.instrument.partition(":")[0] == venue:
                self._warn(wire.StreamErrorCode.POSITION_UNPROTECTED, one.message, one.details, one)

    # -- positions and money ---------------------------------------------------------------------

    def on_position(self, event: Position) -> None:
        """Tell what is new about a position."""
        if not event.quantity:
            self._missing.flat(event.account, event.run, event.instrument)
        audience = self._broadcast.of_order(
            event.account, event.run, event.instrument, Kind.POSITION
        )
        if not audience and not event.quantity:
            self._positions.forget(event)  # nobody hears what it was worth
            return
        tellings = self._positions.hear(event, self._place.desk.position_now(event))
        if audience:
            for telling in tellings:
                self._broadcast.send(audience, self._frames.position(*telling))

    def on_account(self, event: Account) -> None:
        """Tell what an account has."""
        audience = self._broadcast.of_account(event.account)
        if audience:
            money = self._place.desk.money_now(event.account)
            self._broadcast.send(audience, self._frames.account(self._margins.hear(money), money))

    def on_cash(self, event: CashBooked) -> None:
        """Tell what holding an instrument cost or brought; clients need not acknowledge that."""
        if event.reason not in FINANCING or not event.instrument:
            return
        audience = self._broadcast.of_order(event.account, event.run, event.instrument, Kind.TRADE)
        if audience:
            frame = self._frames.financing(event.instrument, event.amount)
            self._broadcast.send_unpaced(audience, frame)

    # -- markets ---------------------------------------------------------------------------------

    def on_quote(self, quote: Quote) -> None:
        """Tell of a quote."""
        self.venues.on_tick(quote.instrument)
        audience = self._broadcast.of_market(quote.instrument, Kind.QUOTE)
        if audience:
            self._broadcast.send(audience, self._frames.quote(quote))

    def on_candle(self, candle: Candle) -> None:
        """Tell of a candle that is closed; intervals that the protocol lacks are left out.

        Of the mock also of those that still form: its clients are shown some at once (16.2).
        """
        self.venues.on_tick(candle.instrument)
        if candle.interval not in TIMEFRAMES:
            return
        if not candle.is_closed and self._place.platform_of(candle.instrument) != MOCK:
            return
        audience = self._broadcast.of_market(candle.instrument, Kind.CANDLE, candle.interval)
        if audience:
            self._broadcast.send(audience, self._frames.candle(candle))

    def on_trade(self, trade: Trade) -> None:
        """Note that an instrument has a price; the protocol has no frame for others' trades."""
        self.venues.on_tick(trade.instrument)

    def on_instrument(self, _event: InstrumentChanged) -> None:
        """Note that an instrument became known."""
        self._watches.instruments_changed()


def _order_id_of(alert: AlertRaised) -> str:
    """Return the order that an alert is about: its key is that, behind the alert's own name."""
    return alert.key.removeprefix(f"{alert.name} ")
