"""Whatever the line does: a book that says it is live is the venue's book (R-40, R-41)."""

import os
from collections import Counter, deque
from random import Random

import pytest

from adapters.kalshi.actions import Action, AskReconnect, BookApplied, LevelApplied, Send
from adapters.kalshi.ladders import BookState
from adapters.kalshi.protocol import Session
from adapters.kalshi.subscription import Parameters, Subscription
from tests.adapters.kalshi.session_rig import MS_NS, SECOND_NS
from tests.adapters.kalshi.venue_model import CALM, Faults, Second, Truth, VenueModel

STEP_NS = MS_NS // 4
LATENCY_NS = 2 * MS_NS
HEALED_WITHIN_NS = 30 * SECOND_NS
SEEDS = int(os.environ.get("HEADRACE_LINE_SEEDS", "100"))


class World:
    """A session and a venue with a bad line between them, and a check after every event."""

    def __init__(
        self, seed: int, *, has_snapshots: bool = True, second: Second = "separate"
    ) -> None:
        self.random = Random(seed)
        self.venue = VenueModel(
            self.random, ["A", "B", "C", "D"], has_snapshots=has_snapshots, second=second
        )
        self.session = Session(self.act, random=Random(seed))
        self.now_ns = 0
        self.open_ns: int | None = 0
        self.counts: Counter[str] = Counter()
        self.commands: deque[tuple[int, bytes]] = deque()
        self.subscriptions = [self.subscribe("A", "B", "C"), self.subscribe("D")]

    def subscribe(self, *markets: str) -> Subscription:
        parameters = Parameters(market_tickers=markets)
        asked = self.session.subscribe("orderbook_delta", parameters=parameters, now_ns=0)
        return asked[0]

    def act(self, action: Action) -> None:
        """Carry an action out, or judge what it claims."""
        self.counts[type(action).__name__] += 1
        if isinstance(action, Send):
            self.commands.append((self.now_ns + LATENCY_NS, action.text))
        elif isinstance(action, AskReconnect):
            self.open_ns = self.now_ns  # noticed by the next step
        elif isinstance(action, LevelApplied | BookApplied):
            assert_true(action.subscription, self.venue.truth_at[action.frame.raw])

    def step(self, step_ns: int = STEP_NS) -> None:
        """Let a moment pass: the line, the market, the deadlines."""
        random = self.random
        self.now_ns += step_ns
        if self.open_ns is not None or random.random() < self.venue.faults.drop:
            self.reconnect()
        while self.commands and self.commands[0][0] <= self.now_ns:
            self.venue.obey(self.commands.popleft()[1])
        if random.random() < 0.5:
            self.venue.move()
        while self.venue.line and random.random() < 0.8:
            self.session.on_frame(self.venue.line.popleft(), self.now_ns)
        if self.session.wake_ns is not None and self.session.wake_ns <= self.now_ns:
            self.session.on_time(self.now_ns)

    def reconnect(self) -> None:
        """Cut the connection, unless there is none, and open another one."""
        self.open_ns = None
        self.commands.clear()
        self.venue.disconnect()
        if self.counts["connections"]:
            self.session.on_lost("cut", self.now_ns)
        self.counts["connections"] += 1
        self.session.on_open(self.now_ns)

    def heal(self) -> int:
        """Let the line be good; return how long it took until all books were live."""
        self.venue.faults = CALM
        healing_ns = self.now_ns
        while not self.is_live and self.now_ns < healing_ns + HEALED_WITHIN_NS:
            self.step(10 * MS_NS)
        return self.now_ns - healing_ns

    @property
    def is_live(self) -> bool:
        return all(
            len(subscription.books) == len(subscription.markets)
            and all(ladders.state is BookState.LIVE for ladders in subscription.books.values())
            for subscription in self.subscriptions
        )


def assert_true(subscription: Subscription, truth: Truth) -> None:
    """Every live book of the subscription is the venue's, level by level."""
    for market, ladders in subscription.books.items():
        if ladders.is_live:
            assert dict(ladders.bids("yes") or ()) == truth[market]["yes"]
            assert dict(ladders.bids("no") or ()) == truth[market]["no"]


def storm(
    seed: int,
    *,
    steps: int = 2_000,
    has_snapshots: bool = True,
    second: Second = "separate",
) -> World:
    """Run a world through faults, heal it, and check what is left."""
    world = World(seed, has_snapshots=has_snapshots, second=second)
    world.heal()
    world.venue.faults = Faults()
    for _ in range(steps):
        world.step()
    healed_ns = world.heal()
    world.venue.line.clear()

    assert world.is_live, (seed, [subscription.books for subscription in world.subscriptions])
    assert healed_ns < HEALED_WITHIN_NS
    return world


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_a_live_book_is_the_true_book_at_every_event(first: int) -> None:
    """R-40: loss, repeats, disorder, early and late snapshots, new counters, lost connections."""
    totals: Counter[str] = Counter()

    for seed in range(first, first + 20):
        world = storm(seed)
        totals += world.counts
        for subscription in world.subscriptions:
            statistics = subscription.statistics
            totals["gaps"] += statistics.gaps
            totals["restarts"] += statistics.restarts
            totals["duplicates"] += statistics.duplicates
            totals["reorders"] += statistics.reorders

    assert min(totals[name] for name in ("gaps", "restarts", "duplicates", "reorders")) > 10
    assert totals["LevelApplied"] > 1_000


@pytest.mark.parametrize("first", range(0, 40, 20))
def test_books_heal_where_the_venue_sends_no_snapshots_on_demand(first: int) -> None:
    """R-40 with the older wire: subscribing again is the only way."""
    for seed in range(first, first + 20):
        storm(seed, has_snapshots=False)


@pytest.mark.parametrize("second", ["merge", "refuse"])
def test_books_that_share_a_sid_are_true_and_heal(second: Second) -> None:
    """R-40 where the venue merges, or refuses, a second subscribe (S17, error 6)."""
    for seed in range(20):
        storm(seed, second=second)
