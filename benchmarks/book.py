"""Workload D: level changes per second on a book of 2 × 500 levels, best read after each.

Rows: `update` is one call per change with both best levels read after it; `delta` is messages
of 20 changes through `apply_delta`, best read after each message. The floor is the plain way
written inline in one loop, without calls or checks: dict, sorted list, both best levels looked up
after each change; over the same changes in the same run.
"""

from bisect import bisect_left, insort
from random import Random
from statistics import median
from time import perf_counter

import msgspec

from framework.market.fast_book import FastOrderBook
from framework.model.market_data import BookDelta, BookSnapshot, Level

CHANGE_COUNT = 1_000_000
DEPTH = 500
ROUNDS = 3
MESSAGE_SIZE = 20
TICK = 0.01
MIDDLE = 10_000  # ticks

Change = tuple[bool, float, float]


def make_changes(count: int, *, seed: int) -> list[Change]:
    """Return changes that keep about `DEPTH` levels a side: 10 % remove, 10 % bring back."""
    random = Random(seed)
    gone: list[tuple[bool, int]] = []
    present = [{MIDDLE - 1 - i for i in range(DEPTH)}, {MIDDLE + 1 + i for i in range(DEPTH)}]
    changes: list[Change] = []
    while len(changes) < count:
        size = random.randint(1, 100_000) / 1_000
        chance = random.random()
        if chance < 0.1 and gone:
            is_bid, ticks = gone.pop(random.randrange(len(gone)))
            present[not is_bid].add(ticks)
            changes.append((is_bid, ticks * TICK, size))
            continue
        is_bid = random.random() < 0.5
        # Half of the changes fall on the nearest 10 % of the levels, as on real venues.
        distance = random.randrange(DEPTH // 10 if random.random() < 0.5 else DEPTH)
        ticks = MIDDLE - 1 - distance if is_bid else MIDDLE + 1 + distance
        if ticks not in present[not is_bid]:
            continue
        if chance < 0.2:
            present[not is_bid].remove(ticks)
            gone.append((is_bid, ticks))
            size = 0.0
        changes.append((is_bid, ticks * TICK, size))
    return changes


def full_book() -> BookSnapshot:
    """Return the snapshot that the changes start from."""
    bids = tuple(((MIDDLE - 1 - i) * TICK, 1.0) for i in range(DEPTH))
    asks = tuple(((MIDDLE + 1 + i) * TICK, 1.0) for i in range(DEPTH))
    return BookSnapshot("bench:X", 0, 0, 0, bids, asks)


def run_floor(changes: list[Change]) -> tuple[float, list[Level]]:
    """Return seconds and the last best levels of the inline loop."""
    snapshot = full_book()
    bids, asks = dict(snapshot.bids), dict(snapshot.asks)
    bid_keys, ask_keys = sorted(bids), sorted(-price for price in asks)
    started = perf_counter()
    for is_bid, price, size in changes:
        if is_bid:
            if size:
                if price not in bids:
                    insort(bid_keys, price)
                bids[price] = size
            elif price in bids:
                del bids[price]
                del bid_keys[bisect_left(bid_keys, price)]
        elif size:
            if price not in asks:
                insort(ask_keys, -price)
            asks[price] = size
        elif price in asks:
            del asks[price]
            del ask_keys[bisect_left(ask_keys, -price)]
        bid = bid_keys[-1]
        ask = -ask_keys[-1]
        best_bid = (bid, bids[bid])
        best_ask = (ask, asks[ask])
    return perf_counter() - started, [best_bid, best_ask]


def run_updates(changes: list[Change]) -> tuple[float, list[Level | None]]:
    """Return seconds and the last best levels of `FastOrderBook.update`."""
    book = FastOrderBook("bench:X")
    book.apply_snapshot(full_book())
    update = book.update
    started = perf_counter()
    for is_bid, price, size in changes:
        update(is_bid, price, size)
        best_bid = book.best_bid
        best_ask = book.best_ask
    return perf_counter() - started, [best_bid, best_ask]


def make_deltas(changes: list[Change]) -> list[BookDelta]:
    """Return the changes as messages; those of one side keep their order."""
    deltas = []
    for number, start in enumerate(range(0, len(changes), MESSAGE_SIZE), 1):
        part = changes[start : start + MESSAGE_SIZE]
        bids = tuple((price, size) for is_bid, price, size in part if is_bid)
        asks = tuple((price, size) for is_bid, price, size in part if not is_bid)
        deltas.append(BookDelta("bench:X", 0, 0, number, number, bids, asks))
    return deltas


def run_deltas(deltas: list[BookDelta]) -> tuple[float, list[Level | None]]:
    """Return seconds and the last best levels of `FastOrderBook.apply_delta`."""
    book = FastOrderBook("bench:X")
    book.apply_snapshot(full_book())
    started = perf_counter()
    for delta in deltas:
        book.apply_delta(delta)
        best_bid = book.best_bid
        best_ask = book.best_ask
    return perf_counter() - started, [best_bid, best_ask]


def measure(count: int = CHANGE_COUNT) -> list[dict[str, object]]:
    """Return one row per way in; floor and class alternate, median of three."""
    changes = make_changes(count, seed=1)
    deltas = make_deltas(changes)
    floor, updates, messages = [], [], []
    for _ in range(ROUNDS):
        floor_s, expected = run_floor(changes)
        update_s, by_update = run_updates(changes)
        delta_s, by_delta = run_deltas(deltas)
        if not expected == by_update == by_delta:
            raise AssertionError(f"books differ: {expected}, {by_update}, {by_delta}")
        floor.append(count / floor_s)
        updates.append(count / update_s)
        messages.append(count / delta_s)
    return [
        _row("update", updates, floor, count=count),
        _row("delta", messages, floor, count=count),
    ]


def _row(way: str, rates: list[float], floor: list[float], *, count: int) -> dict[str, object]:
    ratio = median(rate / floor_rate for rate, floor_rate in zip(rates, floor, strict=True))
    return {
        "workload": "book",
        "way": way,
        "rate": round(median(rates)),
        "unit": "changes/s",
        "floor_rate": round(median(floor)),
        "ratio": round(ratio, 3),
        "changes": count,
        "levels": 2 * DEPTH,
    }


def main() -> None:
    """Print each row as one JSON line."""
    for row in measure():
        print(msgspec.json.encode(row).decode())


if __name__ == "__main__":
    main()
