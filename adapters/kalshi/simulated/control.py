"""The control interface: tests do harm with it, and see what a client asked for (S15)."""

from collections.abc import Sequence

import msgspec

from adapters.kalshi.simulated.domain import Book
from adapters.kalshi.simulated.faults import AnyFault, FaultRates
from adapters.kalshi.simulated.stream_context import ReceivedCommand
from adapters.kalshi.simulated.stream_hub import StreamHub


class FaultReport(msgspec.Struct, frozen=True):
    """A fault that may still strike."""

    number: int
    fault: AnyFault
    struck: int


class ConnectionReport(msgspec.Struct, frozen=True, kw_only=True):
    """A living connection."""

    number: int
    account: str | None  # None: anonymous
    opened_ns: int
    subscriptions: int
    queued: int  # frames that wait for the peer to read
    sent: int  # frames that left the session, pings included
    lost: int  # frames that faults have swallowed
    overflows: int
    pongs: int
    is_half_open: bool


class SubscriptionReport(msgspec.Struct, frozen=True, kw_only=True):
    """A living subscription and its counters."""

    connection: int
    account: str | None
    sid: int
    channel: str
    market_tickers: tuple[str, ...] | None  # None: every market
    seq: int  # the last number used
    frames: int  # of data, before faults
    uses_yes_price: bool


class Control:
    """What a test may do to the streams while they run."""

    def __init__(self, hub: StreamHub) -> None:
        self._hub = hub

    def inject(self, fault: AnyFault) -> int:
        """Let a fault happen; returns the number for `heal`."""
        return self._hub.faults.add(fault)

    def heal(self, number: int | None = None) -> bool:
        """Clear one fault, or without a number all of them; says whether it was there."""
        if number is not None:
            return self._hub.faults.remove(number)
        self._hub.faults.clear()
        return True

    def set_rates(self, rates: FaultRates) -> None:
        """Let chance strike at these rates."""
        self._hub.faults.set_rates(rates)

    @property
    def rates(self) -> FaultRates:
        """The rates at which chance strikes."""
        return self._hub.faults.rates

    def faults(self) -> list[FaultReport]:
        """Return the faults that may still strike, oldest first."""
        return [
            FaultReport(active.number, active.fault, active.struck)
            for active in self._hub.faults.active()
        ]

    def book(self, ticker: str) -> Book:
        """Return the true book of a market. Raises Refusal if there is no such market."""
        return self._hub.context.exchange.data.book(ticker)

    def commands(
        self, *, connection: int | None = None, cmd: str = ""
    ) -> Sequence[ReceivedCommand]:
        """Return every command received, oldest first, whatever became of it."""
        return [
            command
            for command in self._hub.context.commands
            if connection in (None, command.connection) and cmd in ("", command.cmd)
        ]

    def connections(self) -> list[ConnectionReport]:
        """Return the living connections, oldest first."""
        return [
            ConnectionReport(
                number=session.number,
                account=session.account,
                opened_ns=session.opened_ns,
                subscriptions=len(session.subscriptions),
                queued=len(session.outbox),
                sent=session.sent_count,
                lost=session.lost_count,
                overflows=session.overflow_count,
                pongs=session.pong_count,
                is_half_open=session.is_half_open,
            )
            for session in self._hub.sessions.values()
        ]

    def subscriptions(self, *, connection: int | None = None) -> list[SubscriptionReport]:
        """Return the living subscriptions, by connection and sid."""
        return [
            SubscriptionReport(
                connection=session.number,
                account=session.account,
                sid=subscription.sid,
                channel=subscription.channel.name,
                market_tickers=(
                    None if subscription.tickers is None else tuple(sorted(subscription.tickers))
                ),
                seq=subscription.seq,
                frames=subscription.frame_count,
                uses_yes_price=subscription.uses_yes_price,
            )
            for session in self._hub.sessions.values()
            if connection in (None, session.number)
            for subscription in session.subscriptions.values()
        ]

    def statistics(self) -> dict[str, int]:
        """Return what has happened so far."""
        return {
            "connections_opened": self._hub.opened_count,
            "connections": len(self._hub.sessions),
            "commands": len(self._hub.context.commands),
        }
