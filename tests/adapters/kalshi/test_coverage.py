"""Which subscriptions cover what is wanted; the connection is a list of what it was asked."""

from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi.connection import KalshiConnection
from adapters.kalshi.coverage import LIFECYCLE, TRADES, Coverage
from adapters.kalshi.subscription import Parameters, Subscription

MARKETS = "ABCDE"


class Asked:
    """Stands where a connection would; `covered` is what the venue streams, all it was asked."""

    def __init__(self) -> None:
        self.covered: dict[Any, list[str]] = {}
        self.count = 0

    def subscribe(self, channel: str, parameters: Parameters) -> Any:
        subscription = SimpleNamespace(channel=channel)
        self.covered[id(subscription)] = list(parameters.markets)
        self.kept = [*getattr(self, "kept", []), subscription]  # so that ids stay theirs
        return subscription

    def unsubscribe(self, subscription: Any) -> None:
        del self.covered[id(subscription)]

    def add_markets(self, subscription: Any, markets: Sequence[str]) -> int:
        self.covered[id(subscription)] += markets
        self.count += 1
        return self.count

    def delete_markets(self, subscription: Any, markets: Sequence[str]) -> None:
        for market in markets:
            self.covered[id(subscription)].remove(market)

    @property
    def markets(self) -> list[str]:
        return sorted(market for markets in self.covered.values() for market in markets)


def coverage(most_markets: int = 3) -> tuple[Coverage, Asked]:
    asked = Asked()
    return Coverage(cast(KalshiConnection, asked), most_markets=most_markets), asked


def newest(asked: Asked) -> Subscription:
    return cast(Subscription, asked.kept[-1])


@given(st.lists(st.tuples(st.sampled_from(MARKETS), st.booleans()), max_size=40), st.integers(1, 4))
def test_exactly_what_is_wanted_is_covered_once(
    steps: list[tuple[str, bool]], most_markets: int
) -> None:
    """Any order of requests, counted; no subscription is without a market, which meant all."""
    one, asked = coverage(most_markets)
    wanted: list[str] = []
    for market, is_wish in steps:
        if is_wish:
            wanted.append(market)
            one.want(TRADES, market)
        elif market in wanted:
            wanted.remove(market)
            one.unwant(TRADES, market)
        assert asked.markets == sorted(set(wanted))
        assert all(1 <= len(markets) <= most_markets for markets in asked.covered.values())
        assert sorted(one.markets_of(TRADES)) == sorted(set(wanted))


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_whatever_is_refused_or_ends_is_covered_again(seed: int, most_markets: int) -> None:
    random = Random(seed)
    one, asked = coverage(most_markets)
    pending: list[str] = []
    for market in MARKETS:
        one.want(TRADES, market)
    for request in range(1, asked.count + 1):
        if random.random() < 0.5:
            one.done(request)
            continue
        refused = one.refused(request, is_full=random.random() < 0.5)
        assert refused is not None
        pending.append(refused[1])
        remove(asked, refused[1])
    for subscription in list(asked.kept):
        if random.random() < 0.3:
            pending += one.ended(cast(Subscription, subscription), is_full=random.random() < 0.5)
            del asked.covered[id(subscription)]
    one.cover_again(TRADES, pending)

    assert asked.markets == sorted(MARKETS)
    assert all(asked.covered.values())


def remove(asked: Asked, market: str) -> None:
    """Take a market away as the session does that could not add it."""
    for markets in asked.covered.values():
        if market in markets:
            markets.remove(market)


def test_what_nobody_wants_any_more_is_not_covered_again() -> None:
    one, asked = coverage()
    one.want(TRADES, "A")
    uncovered = one.ended(newest(asked), is_full=False)
    asked.covered.clear()
    one.unwant(TRADES, "A")
    one.cover_again(TRADES, uncovered)

    assert uncovered == ["A"]
    assert not asked.covered


def test_a_subscription_whose_last_market_is_refused_is_let_go() -> None:
    """Without a market it would be one to all of them."""
    one, asked = coverage()
    one.want(TRADES, "A")
    one.want(TRADES, "B")
    one.unwant(TRADES, "A")
    assert one.refused(1, is_full=False) == (TRADES, "B")
    remove(asked, "B")
    one.cover_again(TRADES, ["B"])

    assert asked.markets == ["B"]
    assert len(asked.covered) == 1


def test_answers_to_nothing_of_ours_say_nothing() -> None:
    one, _ = coverage()
    one.done(9)
    one.cover_again(TRADES, [])

    assert one.refused(9, is_full=False) is None
    assert one.ended(cast(Subscription, SimpleNamespace(channel=TRADES)), is_full=True) == []


def test_the_lifecycle_of_all_markets_is_one_subscription() -> None:
    one, asked = coverage(1)
    for market in MARKETS:
        one.want(LIFECYCLE, market)
    assert list(asked.covered.values()) == [[]]
    assert one.markets_of(LIFECYCLE) == list(MARKETS)
    for market in MARKETS:
        assert one.wants(LIFECYCLE, market)
        one.unwant(LIFECYCLE, market)

    assert not asked.covered
