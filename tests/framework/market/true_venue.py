"""A scripted venue that knows the true book at every number, behind a faulty link.

Everything follows from the seed. `step` makes one change at the venue and returns what reaches
the client in that step; snapshot requests are answered through the same faults.
"""

from bisect import bisect_right
from collections.abc import Iterator
from random import Random

import msgspec

from framework.model.market_data import BookDelta, BookSnapshot, Level

STEP_NS = 10_000_000
HISTORY = 4_000  # numbers whose truth is kept
Message = BookSnapshot | BookDelta
Levels = tuple[list[Level], list[Level]]


class Faults(msgspec.Struct, frozen=True):
    """How often things go wrong, per message or step."""

    lose: float = 0.01
    repeat: float = 0.01
    delay: float = 0.01  # arrives 1 to 4 steps later: out of order
    reconnect: float = 0.001  # 360 an hour at 100 steps a second
    restart: float = 0.0003  # numbers begin again on the same connection
    early_snapshot: float = 0.3  # an answer from a cache that lags behind
    late_snapshot: float = 0.2  # an answer that takes long
    bad: float = 0.003  # a delta with a level of NaN
    answers_outlive: bool = True  # a new connection does not cancel what was asked before it
    lag: int = 0  # steps by which the stream comes behind the answers


class Arrival(msgspec.Struct):
    """What reaches the client, with what it cannot see: which numbering it belongs to."""

    message: Message
    epoch: int


class TrueVenue:
    """One subscription of several instruments with shared numbers."""

    def __init__(
        self,
        seed: int,
        instruments: tuple[str, ...],
        *,
        snapshots_in_stream: bool,
        faults: Faults,
        widths: tuple[int, int] = (1, 1),
    ) -> None:
        self.now_ns = 1_000_000_000
        self.epoch = 1
        self.number = 1_000_000
        self._random = Random(seed)
        self._instruments = instruments
        self._in_stream = snapshots_in_stream
        self._faults = faults
        self._widths = widths  # numbers that one message covers, from and to
        self._books: dict[str, tuple[dict[float, float], dict[float, float]]] = {
            name: ({100.0 - i: 1.0 for i in range(5)}, {101.0 + i: 1.0 for i in range(5)})
            for name in instruments
        }
        self._made_ns = self.now_ns
        self._numbers: list[tuple[int, int]] = []  # (epoch, number), rising
        self._records: list[tuple[int, dict[str, Levels]]] = []  # time and truth, of each
        self._truth = {name: self._levels(name) for name in instruments}
        self._link: list[tuple[int, int, Arrival]] = []  # (due, order, what)
        self._order = 0
        self._record()

    def truth(self, instrument: str, epoch: int, number: int) -> Levels:
        """Return the true levels once `number` had happened."""
        return self._records[self._index(epoch, number)][1][instrument]

    def step(self) -> tuple[bool, list[Arrival]]:
        """Let 10 ms pass: return whether the connection is new, and what arrived on it."""
        self.now_ns += STEP_NS
        is_new = self._random.random() < self._faults.reconnect
        if is_new:
            outlives = self._faults.answers_outlive and not self._in_stream
            self._link = [e for e in self._link if outlives and _is_answer(e[2])]
            if self._random.random() < 0.3:
                self._restart()
            if self._in_stream:
                self._push_snapshots()
        elif self._random.random() < self._faults.restart:
            self._restart()
            if self._in_stream and self._random.random() < 0.5:
                self._push_snapshots()
        self._change()
        return is_new, list(self._arrivals())

    def request_snapshot(self, instrument: str) -> None:
        """Answer with a whole book, sooner or later, from now or from a while ago."""
        random = self._random
        if self._in_stream:
            self.number += 1
            self._record()
            self._send(self._snapshot(instrument, self.number))
            return
        last = len(self._numbers) - 1
        index = last
        if random.random() < self._faults.early_snapshot:
            index = max(0, last - random.randint(1, 8))
            while self._numbers[index][0] != self.epoch:
                index += 1
        number = self._numbers[index][1]
        if index < last:  # it may lie inside the numbers of the message that follows
            number = random.randrange(number, self._numbers[index + 1][1])
        is_late = random.random() < self._faults.late_snapshot
        delay = random.randint(20, 150) if is_late else random.randint(0, 6)
        self._post(self._snapshot(instrument, number), delay)

    def _change(self) -> None:
        random = self._random
        name = random.choice(self._instruments)
        bids: list[Level] = []
        asks: list[Level] = []
        for _ in range(random.randint(1, 3)):
            is_bid = random.random() < 0.5
            price = 100.0 - random.randrange(8) if is_bid else 101.0 + random.randrange(8)
            size = 0.0 if random.random() < 0.3 else float(random.randint(1, 9))
            (bids if is_bid else asks).append((price, size))
            side = self._books[name][not is_bid]
            if size:
                side[price] = size
            else:
                side.pop(price, None)
        self._truth = {**self._truth, name: self._levels(name)}
        first = self.number + 1
        self.number += random.randint(*self._widths)
        self._made_ns = self.now_ns
        self._record()
        if random.random() < self._faults.bad:
            bids.append((float("nan"), 1.0))
        now_ns = self.now_ns
        self._send(BookDelta(name, now_ns, now_ns, first, self.number, tuple(bids), tuple(asks)))

    def _restart(self) -> None:
        self.epoch += 1
        self.number = 0
        self._made_ns = self.now_ns
        self._record()

    def _push_snapshots(self) -> None:
        for name in self._instruments:
            self.number += 1
            self._record()
            self._send(self._snapshot(name, self.number))

    def _snapshot(self, instrument: str, number: int) -> BookSnapshot:
        made_ns, truth = self._records[self._index(self.epoch, number)]
        bids, asks = truth[instrument]
        return BookSnapshot(instrument, made_ns, made_ns, number, tuple(bids), tuple(asks))

    def _send(self, message: Message) -> None:
        random = self._random
        delay = random.randint(1, 4) if random.random() < self._faults.delay else 0
        delay += self._faults.lag
        if random.random() >= self._faults.lose:
            self._post(message, delay)
        if random.random() < self._faults.repeat:
            self._post(message, delay + random.randint(0, 5))

    def _post(self, message: Message, delay: int) -> None:
        self._order += 1
        due_ns = self.now_ns + delay * STEP_NS
        self._link.append((due_ns, self._order, Arrival(message, self.epoch)))

    def _arrivals(self) -> Iterator[Arrival]:
        due = sorted(entry[:2] for entry in self._link if entry[0] <= self.now_ns)
        by_order = {entry[1]: entry[2] for entry in self._link}
        self._link = [entry for entry in self._link if entry[0] > self.now_ns]
        for _, order in due:
            arrival = by_order[order]
            received = msgspec.structs.replace(arrival.message, received_ns=self.now_ns)
            yield Arrival(received, arrival.epoch)

    def _levels(self, name: str) -> Levels:
        bids, asks = self._books[name]
        return sorted(bids.items(), reverse=True), sorted(asks.items())

    def _index(self, epoch: int, number: int) -> int:
        index = bisect_right(self._numbers, (epoch, number)) - 1
        assert index >= 0, "older than the history kept"
        assert self._numbers[index][0] == epoch
        return index

    def _record(self) -> None:
        self._numbers.append((self.epoch, self.number))
        self._records.append((self._made_ns, self._truth))
        if len(self._numbers) > 2 * HISTORY:
            del self._numbers[:HISTORY], self._records[:HISTORY]


def _is_answer(arrival: Arrival) -> bool:
    return isinstance(arrival.message, BookSnapshot)
