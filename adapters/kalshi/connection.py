"""One socket of the venue and the session on it: bytes and timers in, actions out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from adapters.kalshi.actions import Acknowledged, Action, AskReconnect, Send
from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.codec import decode_frame
from adapters.kalshi.policy import Policy
from adapters.kalshi.protocol import Session
from adapters.kalshi.subscription import Parameters, Subscription
from framework.errors import MalformedMessage, NotSent
from framework.interfaces import AdapterContext
from framework.model.book_recovery import SECOND_NS
from framework.model.events import ConnectionState
from framework.net.link import Endpoint, Link, LinkOptions

log = structlog.get_logger("kalshi")

SHORTEST_WAIT_S = 1e-6  # less can vanish in the rounding of a loop's time: it would spin

Record = Callable[[int, bytes], None]
"""Takes the time at which a frame came, and its bytes (B28)."""


class Owner(Protocol):
    """Who hears of a connection: on the loop's thread, never awaiting anything."""

    def on_action(self, action: Action) -> None:
        """Take what the session wants known; it must not be called back from inside."""

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None: ...
    def on_heartbeat(self) -> None:
        """The venue pinged: it is there."""


class KalshiConnection:
    """Keeps a session on a link until cancelled; subscriptions outlive every socket."""

    def __init__(
        self,
        name: str,
        context: AdapterContext,
        url: str | Callable[[], Awaitable[str]],
        *,
        owner: Owner,
        key: KalshiKey | None = None,
        policy: Policy | None = None,
        options: LinkOptions = LinkOptions(),  # noqa: B008 -- frozen
        record: Record | None = None,
    ) -> None:
        self._context = context
        self._clock = context.clock
        self._url = url
        self._key = key
        self._owner = owner
        self._record = record
        self._request_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self.session = Session(
            self._emit, random=context.random_for(f"{name} session"), policy=policy
        )
        self.link = Link(name, context, endpoint=self._endpoint, handler=self, options=options)

    async def run(self) -> None:
        """Connect and read until cancelled or closed; see `Link.run`."""
        try:
            await self.link.run()
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    async def aclose(self) -> None:
        """Close for good, with code 1000."""
        await self.link.aclose()

    # -- wishes ----------------------------------------------------------------------------------

    def subscribe(self, channel: str, parameters: Parameters) -> Subscription:
        """Subscribe now or once connected; `Acknowledged` or `Ended` follows."""
        now_ns = self._clock.now_ns
        [subscription] = self.session.subscribe(channel, parameters=parameters, now_ns=now_ns)
        self._arm()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> int | None:
        """End a subscription; return the number of which `Done` tells, or None: that was all."""
        request = self._next_request()
        is_asked = self.session.unsubscribe(subscription, request, self._clock.now_ns)
        self._arm()
        return request if is_asked else None

    def add_markets(self, subscription: Subscription, markets: tuple[str, ...]) -> int:
        """Cover more markets; return the number of which `Done` or `Refused` tells."""
        request = self._next_request()
        self.session.add_markets(subscription, markets, request, self._clock.now_ns)
        self._arm()
        return request

    def delete_markets(self, subscription: Subscription, markets: tuple[str, ...]) -> int:
        """Cover fewer markets; as `add_markets`."""
        request = self._next_request()
        self.session.delete_markets(subscription, markets, request, self._clock.now_ns)
        self._arm()
        return request

    def list_subscriptions(self) -> int | None:
        """Ask for the venue's list; return the number of which `Done` or `Refused` tells.

        None: there is no connection to ask on.
        """
        request = self._next_request()
        is_asked = self.session.list_subscriptions(request, self._clock.now_ns)
        self._arm()
        return request if is_asked else None

    def request_snapshots(self, subscription: Subscription, markets: tuple[str, ...]) -> bool:
        """Ask for whole books, without a doubt about those we have; False: it cannot be asked."""
        is_asked = self.session.request_snapshots(subscription, markets, self._clock.now_ns)
        self._arm()
        return is_asked

    def resubscribe(self, subscription: Subscription, reason: str) -> None:
        """Take its sid back and ask for a new one."""
        self.session.resubscribe(subscription, reason, self._clock.now_ns)
        self._arm()

    def statistics(self) -> dict[str, int]:
        """Return counters of the link and the session."""
        return {**self.link.statistics(), **self.session.gauges()}

    # -- the link --------------------------------------------------------------------------------

    async def _endpoint(self) -> Endpoint:
        """Return where to connect to, signed afresh (K5)."""
        url = (self._url if isinstance(self._url, str) else await self._url()).rstrip("/")
        headers = () if self._key is None else await self._key.sign_upgrade(url)
        return Endpoint(url, headers)

    def on_open(self) -> None:
        """Renew every subscription."""
        self.session.on_open(self._clock.now_ns)
        self._arm()

    def on_text(self, data: bytes | str) -> None:
        """Take one frame."""
        now_ns = self._clock.now_ns
        if self._record is not None:
            self._record(now_ns, data if isinstance(data, bytes) else data.encode())
        try:
            frame = decode_frame(data)
        except MalformedMessage as error:
            self.session.on_malformed(str(error))
        else:
            self.session.on_frame(frame, now_ns)
        self._arm()

    def on_binary(self, data: bytes) -> None:
        """Count what the protocol does not have (K56)."""
        self.session.on_malformed(f"a binary frame of {len(data)} bytes")

    def on_ping(self, data: bytes) -> None:
        """Take note of the venue's heartbeat."""
        self._owner.on_heartbeat()

    def on_lost(self, reason: str) -> None:
        """Trust nothing of the connection any more."""
        self.session.on_lost(reason, self._clock.now_ns)
        self._arm()

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        """Pass it on."""
        self._owner.on_state(old, new, reason)

    # -- the session -----------------------------------------------------------------------------

    def _emit(self, action: Action) -> None:
        kind = type(action)
        if kind is Send:
            self._send(action)  # type: ignore[arg-type] # narrowed by its class
        elif kind is AskReconnect:
            self.link.reconnect(action.reason)  # type: ignore[union-attr] # as above
        else:
            if kind is Acknowledged:
                self.link.mark_streaming()
            self._owner.on_action(action)

    def _send(self, send: Send) -> None:
        """Write a command; one that cannot leave is answered by its deadline."""
        try:
            self.link.send(send.text)
        except NotSent as error:
            log.warning("command_not_sent", venue=self._context.venue, reason=str(error))

    def _arm(self) -> None:
        """Have the session's next deadline noticed even when no frame comes."""
        wake_ns = self.session.wake_ns
        if wake_ns is None or (self._timer is not None and self._timer_ns <= wake_ns):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = wake_ns
        wait_s = max((wake_ns - self._clock.now_ns) / SECOND_NS, SHORTEST_WAIT_S)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.session.on_time(self._clock.now_ns)
        self._arm()

    def _next_request(self) -> int:
        self._request_count += 1
        return self._request_count
