"""The order book of a synthetic market, as a venue sends it: numbered snapshots and deltas."""

from random import Random

from adapters.mock.process import MOST_LOTS, Grid
from adapters.mock.settings import Market
from framework.model.market_data import BookDelta, BookSnapshot, Level

Sizes = dict[int, int]
"""Price in ticks -> size in lots."""


class SyntheticBook:
    """A ladder of `depth` levels per side around each quote; the best levels are the quote's.

    Every message has the next number. `lose_next` makes one delta vanish, as a bad link would:
    the number after it is a gap until the snapshot that `request_snapshot` asks for.
    """

    def __init__(self, market: Market, *, depth: int, snapshot_every: int, random: Random) -> None:
        self.sequence = 0
        self._instrument = market.definition.id
        self._prices, self._lots = Grid(market.tick), Grid(market.lot)
        self._depth = depth
        self._snapshot_every = snapshot_every
        self._random = random
        self._bids: Sizes = {}
        self._asks: Sizes = {}
        self._until_snapshot = 0
        self._loses_next = False

    def request_snapshot(self) -> None:
        """Send a whole snapshot next."""
        self._until_snapshot = 0

    def lose_next(self) -> None:
        """Let the next delta get lost."""
        self._loses_next = True

    def update(
        self, bid: tuple[int, int], ask: tuple[int, int], *, time_ns: int, received_ns: int
    ) -> BookSnapshot | BookDelta | None:
        """Move the book to a new best bid and ask (ticks, lots); None where the message is lost."""
        changed_bids = self._move(self._bids, bid, -1)
        changed_asks = self._move(self._asks, ask, 1)
        self.sequence += 1
        self._until_snapshot -= 1
        if self._until_snapshot < 0:
            self._until_snapshot = self._snapshot_every - 1
            self._loses_next = False
            bids, asks = self._levels(self._bids, -1), self._levels(self._asks, 1)
            number = self.sequence
            return BookSnapshot(self._instrument, time_ns, received_ns, number, bids, asks)
        if self._loses_next:
            self._loses_next = False
            return None
        return BookDelta(
            self._instrument,
            time_ns,
            received_ns,
            self.sequence,
            self.sequence,
            self._levels(changed_bids, -1),
            self._levels(changed_asks, 1),
        )

    def _move(self, side: Sizes, best: tuple[int, int], away: int) -> Sizes:
        """Set one side's ladder from its best price `away` from the middle; return the changes."""
        top, lots = best
        ladder = {price: 0 for i in range(self._depth) if (price := top + away * i) > 0}
        changed = {price: 0 for price in side if price not in ladder}
        for price in ladder:
            size = lots if price == top else side.get(price) or self._new_size()
            if side.get(price) != size:
                changed[price] = size
            ladder[price] = size
        side.clear()
        side.update(ladder)
        return changed

    def _new_size(self) -> int:
        return self._random.randint(1, MOST_LOTS)

    def _levels(self, sizes: Sizes, away: int) -> tuple[Level, ...]:
        """Return levels best first, as prices and sizes."""
        return tuple(
            (self._prices.value(price), self._lots.value(sizes[price]))
            for price in sorted(sizes, key=lambda price: away * price)
        )
