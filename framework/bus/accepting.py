"""The calls by which routes hand events to a subscriber's channels.

They run inside fan-out, so a user's filter or key that raises is isolated there like a handler
(R-54): neither the publisher nor another subscriber notices.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from framework.bus.channel import Channel, ConflateChannel
from framework.bus.routes import Accept, Filter
from framework.model.events import Timer
from framework.model.market_data import Candle

if TYPE_CHECKING:
    from framework.bus.subscriber import Subscriber


def acceptor(subscriber: "Subscriber", channel: Channel, where: Filter | None) -> Accept:
    """Return the call for a channel whose events wait in the order in which they came."""
    bus, accept, end = subscriber.bus, channel.accept, subscriber.end
    if where is None:

        def take(event: Any) -> None:
            if not accept(bus.sequence, event):
                end(channel)

        return take

    def take_some(event: Any) -> None:
        try:
            is_wanted = where(event)
        except Exception as error:
            bus.filter_failed(subscriber, event, error)
            return
        if is_wanted and not accept(bus.sequence, event):
            end(channel)

    return take_some


def conflating_acceptor(
    subscriber: "Subscriber",
    channel: ConflateChannel,
    key_of: Callable[[Any], object],
    where: Filter | None,
) -> Accept:
    """Return the call for a channel that keeps the newest event per key."""
    bus, accept = subscriber.bus, channel.accept_keyed

    def take(event: Any) -> None:
        try:
            if where is None or where(event):
                accept(bus.sequence, event, key_of(event))
        except Exception as error:
            bus.filter_failed(subscriber, event, error)

    return take


def candle_acceptor(
    subscriber: "Subscriber", closed: Channel, forming: Channel, where: Filter | None
) -> Accept:
    """Return the call for candles: closed ones in one channel, forming ones in another."""
    bus, end = subscriber.bus, subscriber.end

    def take(candle: Candle) -> None:
        try:
            is_wanted = where is None or where(candle)
        except Exception as error:
            bus.filter_failed(subscriber, candle, error)
            return
        if not is_wanted:
            return
        channel = closed if candle.is_closed else forming
        if isinstance(channel, ConflateChannel):
            channel.accept_keyed(bus.sequence, candle, (candle.instrument, candle.interval))
        elif not channel.accept(bus.sequence, candle):
            end(channel)

    return take


def merge_timers(waiting: Timer, fired: Timer) -> Timer:
    """Return the one timer that stands for both."""
    return msgspec.structs.replace(fired, missed=waiting.missed + fired.missed + 1)
