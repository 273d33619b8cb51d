"""Listeners of the desk: told in order, of what is durable, and when they missed something."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import structlog

from framework.bus.subscriber import Interest, Subscriber
from framework.engine.engine import Engine
from framework.errors import ChannelOverflow
from framework.interfaces import Handlers
from framework.model.events import Overflowed
from framework.model.records import AlertRaised

log = structlog.get_logger("desk")

MOST_HELD = 100_000  # events that wait for the disk, of all listeners together


class Listener:
    """One listener, subscribed until `close`; alerts come by `hear_alert`."""

    def __init__(self, engine: Engine, name: str, handlers: Handlers) -> None:
        self.is_closed = False
        self._engine = engine
        self._name = name
        self._handlers = handlers
        self._subscriber = self._subscribed()

    def close(self) -> None:
        """Hear nothing more; harmless when repeated."""
        self.is_closed = True
        self._subscriber.close()

    def hear_alert(self, alert: AlertRaised) -> None:
        """Take an alert, which does not travel on the bus."""
        handler = self._handlers.get(AlertRaised)
        if handler is not None and not self.is_closed:
            self._hold(handler, alert)

    def _subscribed(self) -> Subscriber:
        bus = self._engine.bus
        subscriber = bus.add(
            self._name,
            {kind: self._hearing(handler) for kind, handler in self._handlers.items()},
            is_numbered=False,
            on_overflow=self._overflowed,
        )
        for kind in self._handlers:
            if kind not in (AlertRaised, Overflowed):
                bus.watch(subscriber, Interest(kind))
        return subscriber

    def _hearing(self, handler: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return what takes events for a handler: tells at once, or holds them for the disk."""
        outputs, journal = self._engine.outputs, self._engine.log

        @wraps(handler)
        def hear(event: Any) -> None:
            if outputs.held or journal.position > journal.durable_position:
                self._hold(handler, event)
            elif not self.is_closed:
                handler(event)  # its failure is the bus's to report, as of any subscriber

        return hear

    def _hold(self, handler: Callable[[Any], None], event: Any) -> None:
        outputs, journal = self._engine.outputs, self._engine.log
        if not outputs.held and journal.position <= journal.durable_position:
            self._tell(handler, event)
        elif len(outputs.held) < MOST_HELD:
            outputs.hold(partial(self._tell, handler, event))
        else:
            self._missed("durable", MOST_HELD)

    def _tell(self, handler: Callable[[Any], None], event: Any) -> None:
        if self.is_closed:
            return
        try:
            handler(event)
        except Exception as error:  # what was held is told outside every handler
            self._engine.bus.report(self._name, getattr(handler, "__name__", ""), error)

    def _overflowed(self, failure: ChannelOverflow) -> None:
        """Go on hearing: the subscription that fell behind has ended, events of it are lost."""
        self._missed(failure.channel, failure.capacity)
        if not self.is_closed:
            self._subscriber = self._subscribed()

    def _missed(self, channel: str, capacity: int) -> None:
        log.error("listener_fell_behind", listener=self._name, channel=channel, capacity=capacity)
        handler = self._handlers.get(Overflowed)
        if handler is not None:
            now_ns = self._engine.clock.now_ns
            self._tell(handler, Overflowed(self._name, channel, capacity, now_ns))
