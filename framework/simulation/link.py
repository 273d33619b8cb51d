"""What can go wrong between a client and an address, and when: drawn from a seed."""

import asyncio
import random
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from framework.simulation.transport import MemoryTransport

Address = tuple[str, int]


class LinkFaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a link treats what passes over it; the default is perfect and instant.

    A segment is what one write puts on the wire, before it is split; a write larger than what the
    receiver's window has left makes several. For smaller writes one seed drops and damages the
    same segments, however they are split, joined or delayed.
    """

    latency_ms_low: float = 0.0  # one way, drawn evenly per piece; order is kept all the same
    latency_ms_high: float = 0.0
    bandwidth_bytes_per_s: int = 0  # per direction of each connection; 0: no limit
    split_max_bytes: int = 0  # pieces of 1 to so many bytes arrive one by one; 0: as written
    join_ms: float = 0.0  # what arrives within this time of a piece is delivered with it
    drop_rate: float = 0.0  # chance of a segment to be lost: TCP then cuts the connection
    damage_rate: float = 0.0  # chance of a segment to have one byte changed
    half_open: bool = False  # connections open, and stay open, but neither side hears the other
    refuse: bool = False  # a connect is refused though somebody listens
    blackhole: bool = False  # a connect gets no answer until it times out
    connect_timeout_ms: float = 127_000.0  # Linux gives up after six repeats: 127 s

    def __post_init__(self) -> None:
        """Refuse impossible settings.

        Raises:
            ValueError: a rate is not in 0..1, or a range or amount makes no sense.
        """
        if not 0 <= self.latency_ms_low <= self.latency_ms_high:
            raise ValueError("latency_ms_low and latency_ms_high must satisfy 0 <= low <= high")
        if not (0 <= self.drop_rate <= 1 and 0 <= self.damage_rate <= 1):
            raise ValueError("drop_rate and damage_rate must lie in 0..1")
        amounts = (self.bandwidth_bytes_per_s, self.split_max_bytes, self.join_ms)
        if min(*amounts, self.connect_timeout_ms) < 0:
            raise ValueError("bandwidth, split, join and timeout must not be negative")


class Link:
    """The way between one client name and one address: its faults now, and its connections."""

    def __init__(self, *, fate: random.Random, pace: random.Random) -> None:
        self.is_partitioned = False
        self.clients: dict[int, MemoryTransport] = {}  # the near ends of live connections
        self._fate = fate  # loss and damage
        self._pace = pace  # latency and splitting
        self._waiters: list[asyncio.Future[None]] = []
        self.set_faults(LinkFaults())

    def set_faults(self, faults: LinkFaults) -> None:
        """Let `faults` hold for whatever is sent from now on."""
        self.faults = faults
        self.join_ns = round(faults.join_ms * 1e6)
        self._low_ns = round(faults.latency_ms_low * 1e6)
        self._spread_ns = round(faults.latency_ms_high * 1e6) - self._low_ns
        self.tell_waiters()

    def set_partitioned(self, is_partitioned: bool) -> None:
        """Hold everything back, or let it flow again."""
        self.is_partitioned = is_partitioned
        self.tell_waiters()
        for near in list(self.clients.values()):
            near.incoming.wake()
            near.outgoing.wake()

    def forget(self, number: int) -> None:
        """Forget connection `number` once both of its ends are lost."""
        near = self.clients.get(number)
        if near is not None and near.is_lost and near.outgoing.receiver.is_lost:
            del self.clients[number]

    @property
    def answers_connects(self) -> bool:
        """Whether a connect gets any answer, be it a refusal."""
        return not (self.is_partitioned or self.faults.blackhole)

    def changed(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
        """Return a future that is done when faults or partition change."""
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters = [*(other for other in self._waiters if not other.done()), waiter]
        return waiter

    def latency_ns(self) -> int:
        """Draw the one-way delay of a piece."""
        if not self._spread_ns:
            return self._low_ns
        return self._low_ns + round(self._pace.random() * self._spread_ns)

    def drops(self) -> bool:
        """Draw whether a segment is lost."""
        return self.faults.drop_rate > 0 and self._fate.random() < self.faults.drop_rate

    def damage(self, segment: bytes) -> bytes:
        """Return `segment`, by chance with one byte changed."""
        if not self.faults.damage_rate or self._fate.random() >= self.faults.damage_rate:
            return segment
        damaged = bytearray(segment)
        damaged[self._fate.randrange(len(segment))] ^= self._fate.randrange(1, 256)
        return bytes(damaged)

    def pieces(self, segment: bytes) -> list[bytes]:
        """Return what `segment` arrives as."""
        longest = self.faults.split_max_bytes
        if not longest:
            return [segment]
        pieces = []
        start = 0
        while start < len(segment):
            end = start + self._pace.randint(1, longest)
            pieces.append(segment[start:end])
            start = end
        return pieces

    def tell_waiters(self) -> None:
        """Let those who wait for a change look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
