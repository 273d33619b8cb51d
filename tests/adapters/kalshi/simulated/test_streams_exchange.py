"""The streams over the real exchange: what two members do, as everybody hears it (S8, S10, S18)."""

from random import Random
from typing import Any

import pytest

from adapters.kalshi.codec import decode_frame
from adapters.kalshi.simulated.activity import Activity, ActivitySettings
from adapters.kalshi.simulated.channels import CHANNELS, Profile
from adapters.kalshi.simulated.demo import demo_settings
from adapters.kalshi.simulated.domain import NewOrder, Side
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.exchange_settings import AccountSettings
from adapters.kalshi.simulated.faults import DeferSnapshots, PushSnapshot
from adapters.kalshi.simulated.stream_hub import StreamHub
from adapters.kalshi.simulated.stream_settings import StreamSettings
from adapters.kalshi.simulated.wire_units import dollars
from tests.adapters.kalshi.simulated.stream_rig import (
    SECOND_NS,
    START_NS,
    Peer,
    ToldBook,
    true_sides,
    types,
)
from tests.fakes import ManualClock

MEMBERS = (AccountSettings(name="alice"), AccountSettings(name="bob"))
PRIVATE = ("user_orders", "fill", "market_positions")
PUBLIC = ("orderbook_delta", "trade", "ticker")


class Market:
    """The demo's exchange with streams, and one of its markets."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock(START_NS)
        members = demo_settings(START_NS, market_count=3, accounts=MEMBERS)
        self.exchange = Exchange(self.clock, Random(1), members)
        self.hub = StreamHub(
            self.exchange, self.clock, Random(2), StreamSettings(ping_s=0, **settings)
        )
        self.tickers = [market.ticker for market in self.exchange.data.markets()]
        self.ticker = self.tickers[0]
        for market in self.exchange.data.markets():
            if market.status != "active":
                self.exchange.lifecycle.activate(market.ticker)

    def peer(self, account: str | None, *channels: str) -> Peer:
        """Return a peer that is subscribed to channels of the first market, and has read that."""
        peer = Peer(self.hub.open(account))
        peer.subscribe(*channels, market_tickers=[self.ticker])
        peer.heard()
        return peer

    def buy(self, account: str, side: Side, price: int, count: int, name: str = "") -> None:
        """Submit an order to buy; `price` is of the yes leg."""
        self.exchange.orders.submit(
            account,
            NewOrder(
                ticker=self.ticker,
                side=side,
                action="buy",
                price=price,
                count=count,
                client_order_id=name,
            ),
        )


def test_a_match_is_heard_by_all_who_should_hear_it() -> None:
    """S10, S18, S19: in the order of the core, private frames at their owners only."""
    market = Market()
    alice = market.peer("alice", *PUBLIC, *PRIVATE)
    bob = market.peer("bob", *PRIVATE)
    nobody = market.peer(None, *PUBLIC)

    market.buy("alice", "yes", 4000, 1000, name="a-1")
    assert types(alice.heard()) == ["orderbook_delta", "user_order", "ticker"]
    market.buy("bob", "no", 4000, 400, name="b-1")

    heard = alice.heard()
    assert types(heard) == [
        "orderbook_delta",
        "trade",
        "fill",
        "market_position",
        "user_order",
        "ticker",
    ]
    assert heard[0]["msg"]["client_order_id"] == "a-1"
    assert heard[0]["msg"]["delta_fp"] == "-4.00"
    assert (heard[2]["msg"]["outcome_side"], heard[2]["msg"]["is_taker"]) == ("yes", False)
    assert types(bob.heard()) == ["fill", "market_position", "user_order"]
    public = nobody.heard()
    assert types(public) == ["orderbook_delta", "ticker", "orderbook_delta", "trade", "ticker"]
    assert "client_order_id" not in public[0]["msg"]


class Follower:
    """A peer that keeps its book and ticker by what it hears."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.book: ToldBook | None = None  # None: the first snapshot is still to come
        self.best_bid = ""
        self.seq = 0

    def follow(self) -> None:
        """Take everything in; numbers never leave one out."""
        for message in self.peer.heard():
            if message["type"] == "ticker":
                self.best_bid = message["msg"]["yes_bid_dollars"]
            elif "seq" in message:
                assert message["seq"] == self.seq + 1
                self.seq = message["seq"]
                if self.book is None and message["type"] == "orderbook_snapshot":
                    self.book = ToldBook()
                if self.book is not None:
                    self.book.take(message)


@pytest.mark.parametrize("profile", list(Profile))
def test_books_tickers_and_reads_never_disagree(profile: Profile) -> None:
    """S8, S6: a lively market is joined late, snapshots come in the middle of requests."""
    market = Market(profile=profile)
    market.hub.faults.add(PushSnapshot(after=1, count=None, types=("orderbook_delta",)))
    market.hub.faults.add(DeferSnapshots(deltas=3, after=2, count=1))
    activity = Activity(market.exchange, Random(3), ActivitySettings())
    activity.start()
    followers: list[Follower] = []

    for step in range(60):
        if step % 10 == 0:
            peer = Peer(market.hub.open(None))
            peer.subscribe("orderbook_delta", "ticker", market_tickers=[market.ticker])
            followers.append(Follower(peer))
        market.clock.advance_to(market.clock.now_ns + SECOND_NS // 5)
        truth = market.exchange.data.book(market.ticker)
        quote = market.exchange.data.ticker(market.ticker)
        for follower in followers:
            follower.follow()
            assert follower.book is None or follower.book.sides == true_sides(truth)
            assert follower.best_bid in ("", dollars(quote.yes_bid))

    activity.stop()
    assert min(follower.seq for follower in followers) > 10
    assert all(follower.book is not None and follower.best_bid for follower in followers)


@pytest.mark.parametrize("profile", list(Profile))
def test_the_client_understands_every_frame(profile: Profile) -> None:
    """S4, S5, S21: all channels of a busy exchange, read by a decoder that was written apart."""
    market = Market(profile=profile)
    activity = Activity(market.exchange, Random(3), ActivitySettings(members=("alice",), hit_s=0.5))
    peer = Peer(market.hub.open("alice"))
    channels = [c.name for c in CHANNELS[profile].values() if c.needs is None]
    peer.say("subscribe", channels=channels, market_tickers=market.tickers)
    activity.start()

    market.clock.advance_to(market.clock.now_ns + 10 * SECOND_NS)

    activity.stop()
    frames = [decode_frame(data) for data in peer.raw()]
    assert [frame.raw for frame in frames if frame.message is None or frame.error] == []
    assert [frame.raw for frame in frames if frame.left_out] == []
    silent = {sid for sid, s in peer.session.subscriptions.items() if not s.frame_count}
    assert silent == set()
