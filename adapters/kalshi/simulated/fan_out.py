"""Turns what the exchange emits into frames, for those who subscribed to it.

A `msg` is encoded once per event and variant; each connection only puts its head before it.
Events nobody wants are not encoded at all.
"""

import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from adapters.kalshi.simulated.account_payloads import (
    fill_payload,
    group_payload,
    order_payload,
    position_payload,
)
from adapters.kalshi.simulated.emitted import (
    EventCreated,
    EventFeeChanged,
    ExchangeEvent,
    Filled,
    GroupChanged,
    LevelChanged,
    MarketChanged,
    MultivariateLookedUp,
    OrderChanged,
    PositionChanged,
    QuoteAccepted,
    QuoteCreated,
    QuoteExecuted,
    RfqCreated,
    RfqDeleted,
    TickerChanged,
    Traded,
)
from adapters.kalshi.simulated.lifecycle_payloads import (
    event_payload,
    fee_payload,
    has_market_event,
    lookup_payload,
    market_payload,
)
from adapters.kalshi.simulated.market_payloads import Payload, level_payload, trade_payload
from adapters.kalshi.simulated.quote_payloads import (
    quote_accepted_payload,
    quote_created_payload,
    quote_executed_payload,
    rfq_created_payload,
    rfq_deleted_payload,
)
from adapters.kalshi.simulated.stream_context import StreamContext
from adapters.kalshi.simulated.subscriptions import Subscription

LIFECYCLE = "market_lifecycle_v2"
MULTIVARIATE_LIFECYCLE = "multivariate_market_lifecycle"


class FanOut:
    """Hands every event on, in the order it came."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._profile = context.profile
        self._handlers: dict[type, Callable[[Any], None]] = {
            LevelChanged: self._level,
            Traded: self._trade,
            TickerChanged: self._ticker,
            Filled: self._fill,
            OrderChanged: self._order,
            PositionChanged: self._position,
            GroupChanged: self._group,
            MarketChanged: self._market,
            EventCreated: self._event,
            EventFeeChanged: self._fee,
            MultivariateLookedUp: self._lookup,
            RfqCreated: self._rfq_created,
            RfqDeleted: self._rfq_deleted,
            QuoteCreated: self._quote_created,
            QuoteAccepted: self._quote_accepted,
            QuoteExecuted: self._quote_executed,
        }

    def publish(self, event: ExchangeEvent) -> None:
        """Send what an event means to every connection that wants it."""
        handler = self._handlers.get(type(event))
        if handler is not None:  # no channel carries settlements
            handler(event)

    def send_level(self, level: LevelChanged, subscriptions: list[Subscription]) -> None:
        """Send one change of a book to these subscriptions."""
        bodies: dict[tuple[bool, bool], bytes] = {}
        for subscription in subscriptions:
            is_own = bool(level.client_order_id) and subscription.session.account == level.owner
            variant = (subscription.uses_yes_price, is_own)
            body = bodies.get(variant)
            if body is None:
                payload = level_payload(
                    level,
                    self._profile,
                    uses_yes_price=subscription.uses_yes_price,
                    is_own=is_own,
                )
                body = bodies[variant] = msgspec.json.encode(payload)
            _deliver(subscription, "orderbook_delta", body, level.ticker)

    # -- public ----------------------------------------------------------------------------------

    def _level(self, level: LevelChanged) -> None:
        self._context.books.forget(level.ticker)
        subscriptions = self._context.subscribers.of("orderbook_delta", level.ticker)
        if subscriptions:
            self.send_level(level, subscriptions)

    def _trade(self, event: Traded) -> None:
        trade = event.trade
        self._send(
            self._context.subscribers.of("trade", trade.ticker),
            "trade",
            lambda: trade_payload(trade, self._profile),
            trade.ticker,
        )

    def _ticker(self, event: TickerChanged) -> None:
        ticker = event.ticker.market_ticker
        subscriptions = self._context.subscribers.of("ticker", ticker)
        if subscriptions:
            body = self._context.ticker_body(event.ticker)
            for subscription in subscriptions:
                _deliver(subscription, "ticker", body, ticker)

    def _market(self, change: MarketChanged) -> None:
        if not has_market_event(change, self._profile):
            return
        name = MULTIVARIATE_LIFECYCLE if change.market.is_multivariate else LIFECYCLE
        self._send(
            self._context.subscribers.of(name),
            name,
            lambda: market_payload(change, self._profile),
            change.market.ticker,
        )

    def _event(self, created: EventCreated) -> None:
        name = MULTIVARIATE_LIFECYCLE if created.is_multivariate else LIFECYCLE
        self._send(
            self._context.subscribers.of(name),
            "event_lifecycle",
            lambda: event_payload(created, self._profile),
        )

    def _fee(self, change: EventFeeChanged) -> None:
        subscriptions = self._context.subscribers.of(LIFECYCLE)
        self._send(subscriptions, "event_fee_update", lambda: fee_payload(change))

    def _lookup(self, lookup: MultivariateLookedUp) -> None:
        subscriptions = self._context.subscribers.of("multivariate")
        self._send(subscriptions, "multivariate_lookup", lambda: lookup_payload(lookup))

    # -- private ---------------------------------------------------------------------------------

    def _fill(self, event: Filled) -> None:
        ticker = event.fill.ticker
        self._send(
            self._own("fill", event.account, ticker=ticker),
            "fill",
            lambda: fill_payload(event.fill, self._profile),
            ticker,
        )

    def _order(self, event: OrderChanged) -> None:
        ticker = event.order.ticker
        self._send(
            self._own("user_orders", event.account, ticker=ticker),
            "user_order",
            lambda: order_payload(event.order, self._profile),
            ticker,
        )

    def _position(self, event: PositionChanged) -> None:
        ticker = event.position.ticker
        self._send(
            self._own("market_positions", event.account, ticker=ticker),
            "market_position",
            lambda: position_payload(event.position, self._profile),
            ticker,
        )

    def _group(self, event: GroupChanged) -> None:
        self._send(
            self._own("order_group_updates", event.account),
            "order_group_updates",
            lambda: group_payload(event, self._profile),
        )

    # -- communications --------------------------------------------------------------------------

    def _rfq_created(self, event: RfqCreated) -> None:
        self._send(
            self._wanting_rfq(event.rfq.rfq_id, event.rfq.account),
            self._communication("rfq_created"),
            lambda: rfq_created_payload(event, self._profile),
            event.rfq.market_ticker,
        )

    def _rfq_deleted(self, event: RfqDeleted) -> None:
        self._send(
            self._wanting_rfq(event.rfq.rfq_id, event.rfq.account),
            self._communication("rfq_deleted"),
            lambda: rfq_deleted_payload(event, self._profile),
            event.rfq.market_ticker,
        )

    def _quote_created(self, event: QuoteCreated) -> None:
        self._send(
            self._own("communications", event.quote.account, event.quote.rfq_account),
            self._communication("quote_created"),
            lambda: quote_created_payload(event, self._profile),
            event.quote.market_ticker,
        )

    def _quote_accepted(self, event: QuoteAccepted) -> None:
        self._send(
            self._own("communications", event.quote.account, event.quote.rfq_account),
            self._communication("quote_accepted"),
            lambda: quote_accepted_payload(event, self._profile),
            event.quote.market_ticker,
        )

    def _quote_executed(self, event: QuoteExecuted) -> None:
        self._send(
            self._own("communications", event.account),
            self._communication("quote_executed"),
            lambda: quote_executed_payload(event),
            event.quote.market_ticker,
        )

    def _communication(self, kind: str) -> str:
        is_single = self._context.settings.has_single_communications_type
        return "communications" if is_single else kind

    # -- to whom ---------------------------------------------------------------------------------

    def _own(self, channel: str, *accounts: str, ticker: str = "") -> list[Subscription]:
        """Return the subscriptions of these accounts alone (S18)."""
        return [
            subscription
            for subscription in self._context.subscribers.of(channel, ticker)
            if subscription.session.account in accounts
        ]

    def _wanting_rfq(self, rfq_id: str, account: str) -> list[Subscription]:
        part = zlib.crc32(rfq_id.encode())
        return [
            subscription
            for subscription in self._context.subscribers.of("communications")
            if (shard := subscription.shard) is None or part % shard.factor == shard.key
            if not subscription.is_own_only or subscription.session.account == account
        ]

    def _send(
        self,
        subscriptions: list[Subscription],
        kind: str,
        payload: Callable[[], Payload],
        ticker: str = "",
    ) -> None:
        if not subscriptions:
            return
        body = msgspec.json.encode(payload())
        for subscription in subscriptions:
            _deliver(subscription, kind, body, ticker)


def _deliver(subscription: Subscription, kind: str, body: bytes, ticker: str) -> None:
    if subscription.is_open:  # an earlier frame of this event may have ended it
        subscription.session.deliver(subscription, kind, body, ticker=ticker)
