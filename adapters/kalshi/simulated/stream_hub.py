"""The streams of the simulated venue without sockets: connections come, events go out."""

from random import Random

from adapters.kalshi.simulated.fan_out import FanOut
from adapters.kalshi.simulated.fault_actions import FaultActions
from adapters.kalshi.simulated.fault_injection import Faults
from adapters.kalshi.simulated.stream_context import StreamContext
from adapters.kalshi.simulated.stream_session import StreamSession
from adapters.kalshi.simulated.stream_settings import StreamSettings
from adapters.kalshi.simulated.stream_source import StreamSource
from framework.interfaces import Clock


class StreamHub:
    """Every living connection; listens to the exchange from its making on."""

    def __init__(
        self, exchange: StreamSource, clock: Clock, random: Random, settings: StreamSettings
    ) -> None:
        self.sessions: dict[int, StreamSession] = {}  # by connection number, which are never reused
        self.opened_count = 0
        self.faults = Faults(clock, random)
        self.context = StreamContext(exchange, clock, settings, self.faults)
        fan_out = FanOut(self.context)
        self.faults.on_action = FaultActions(self.context, self.sessions, fan_out).perform
        exchange.listen(fan_out.publish)
        self.faults.load(settings.faults)

    def open(self, account: str | None) -> StreamSession:
        """Return a new connection of an account; None: an anonymous one."""
        self.opened_count += 1
        session = StreamSession(self.opened_count, account, self.context)
        self.sessions[session.number] = session
        return session

    def close(self, session: StreamSession) -> None:
        """Forget a connection; harmless if that was done before."""
        session.gone()
        self.sessions.pop(session.number, None)
