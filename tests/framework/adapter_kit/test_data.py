"""Every check of the area *data* has an adapter that fails it."""

from math import inf, nan
from typing import Any

import pytest

from adapters.binance import build
from adapters.binance.simulated.rig import BinanceRig
from framework.adapter_kit import data as area
from framework.adapter_kit.scoring import play
from framework.errors import FrameworkError, UnknownInstrument, VenueError
from framework.model.market_data import BookDelta, Candle, Quote, Trade
from tests.framework.adapter_kit.sabotage import (
    Case,
    Sabotage,
    Scene,
    changing,
    dropping,
    named,
    repeating,
    replace,
    require_all_proven,
    require_failure,
)

SECOND_NS = 1_000_000_000


def other(event: Any) -> Any:
    return replace(event, instrument="binance:ETHUSDT")


def quote_from(delta: BookDelta) -> Quote:
    return Quote(delta.instrument, delta.time_ns, delta.received_ns, 1.0, 2.0)


def refuses_all(scene: Scene) -> None:
    def subscribe(instrument: str, channel: str, interval: str = "") -> None:
        raise VenueError("not today")

    scene.feed.subscribe = subscribe


def later(event: Any, seconds: float) -> Any:
    received_ns = event.received_ns + int(seconds * SECOND_NS)
    return replace(event, time_ns=min(event.time_ns, received_ns), received_ns=received_ns)


def earlier_now_and_then(scene: Scene) -> None:
    trades: list[Trade] = []

    def change(event: Any) -> tuple[Any, ...]:
        if isinstance(event, Trade):
            trades.append(event)
            return (later(event, -2.0),) if len(trades) % 5 == 0 else (event,)
        return (event,)

    scene.change = change


def leaves_for_all(scene: Scene) -> None:
    unsubscribe = scene.feed.unsubscribe

    def twice(*asked: str) -> None:
        unsubscribe(*asked)
        unsubscribe(*asked)

    scene.feed.unsubscribe = twice


def never_leaves(scene: Scene) -> None:
    scene.feed.unsubscribe = lambda *asked: None


def needs_a_connection(scene: Scene) -> None:
    """Forget what is asked for while there is no connection."""
    subscribe = scene.feed.subscribe

    def ask(*asked: str) -> None:
        if scene.feed._link.is_open:
            subscribe(*asked)

    scene.feed.subscribe = ask


def forgets_outages(scene: Scene) -> None:
    """Take what is asked before the start, and lose what is asked in an outage."""
    subscribe = scene.feed.subscribe

    def ask(*asked: str) -> None:
        if not scene.feed._connection or scene.feed._link.is_open:
            subscribe(*asked)

    scene.feed.subscribe = ask


class SharesItsWishes:
    """Keeps what was asked for in one place for all adapters of a process."""

    __name__ = "shares_its_wishes"

    def __init__(self) -> None:
        self._sessions: list[Any] = []

    def __call__(self, scene: Scene) -> None:
        """Let the feed want what any of them wants."""
        mine = scene.feed._session
        self._sessions.append(mine)
        want = mine.want

        def want_everywhere(stream: str) -> None:
            want(stream)
            for session in self._sessions:
                if session is not mine:
                    session.want_alone(stream)

        mine.want_alone, mine.want = want, want_everywhere


def swallowing(kind: type[FrameworkError]) -> Sabotage:
    """Refuse nothing."""

    def swallow(scene: Scene) -> None:
        subscribe = scene.feed.subscribe

        def take(*asked: str) -> None:
            try:
                subscribe(*asked)
            except kind:
                return

        scene.feed.subscribe = take

    return swallow


def history(alter: Any, *, more: int = 0) -> Sabotage:
    """Give other candles: `alter` of `more` than were asked for."""

    def give(scene: Scene) -> None:
        honest = scene.feed.history

        async def ask(instrument: str, interval: str, *, end_ns: int, limit: int) -> list[Candle]:
            candles = await honest(instrument, interval, end_ns=end_ns, limit=limit + more)
            return list(alter(candles))

        scene.feed.history = ask

    return give


def newest(**changes: Any) -> Sabotage:
    """Give history whose newest candle is changed."""
    return history(lambda candles: [*candles[:-1], replace(candles[-1], **changes)])


def moved(candle: Candle, by_ns: int) -> Candle:
    return replace(candle, open_ns=candle.open_ns + by_ns, close_ns=candle.close_ns + by_ns)


def says(sabotage: Sabotage, name: str, text: str) -> Case:
    return Case(area.says_possible_things_only, named(name, sabotage), text)


def gives(sabotage: Sabotage, name: str, text: str) -> Case:
    return Case(area.gives_history, named(name, sabotage), text)


CASES = (
    Case(area.brings_what_is_asked_for, named("no_trades", dropping(Trade)), "trades of .*: not"),
    Case(area.brings_what_is_asked_for, named("others", repeating(Trade, other)), "nobody asked"),
    Case(
        area.brings_what_is_asked_for,
        named("another_kind", repeating(BookDelta, quote_from)),
        "nobody asked for Quote",
    ),
    Case(area.brings_what_is_asked_for, refuses_all, "none of the channels"),
    says(refuses_all, "refuses_all", "none of the channels"),
    says(changing(Trade, lambda e: replace(e, price=nan)), "nan", "not finite: Trade"),
    says(
        changing(BookDelta, lambda e: replace(e, bids=((1.0, inf),))),
        "infinity",
        "not finite: BookDelta",
    ),
    says(
        changing(BookDelta, lambda e: replace(e, asks=((1.0, -1.0),))),
        "less_than_nothing",
        "a size cannot be: BookDelta",
    ),
    says(changing(Trade, lambda e: replace(e, size=0.0)), "no_size", "a size cannot be: Trade"),
    says(
        changing(Quote, lambda e: replace(e, bid=e.ask, ask=e.bid)),
        "swapped_sides",
        "bid not below ask",
    ),
    says(
        changing(Quote, lambda e: replace(e, bid_size=-e.bid_size)),
        "signed_size",
        "a size cannot be: Quote",
    ),
    says(
        repeating(Trade, lambda e: replace(e, instrument="mars:BTCUSDT")),
        "elsewhere",
        "not named after the venue",
    ),
    says(
        changing(Trade, lambda e: replace(e, time_ns=e.received_ns + 1)),
        "ahead",
        "happened after it was received",
    ),
    says(changing(Trade, lambda e: replace(e, time_ns=0)), "no_time", "happened after it was"),
    says(changing(Trade, lambda e: later(e, 3600.0)), "from_the_future", "or not yet"),
    says(earlier_now_and_then, "goes_back", "received before the one before it"),
    Case(area.counts_subscriptions, leaves_for_all, "book of .*: not within"),
    Case(area.counts_subscriptions, never_leaves, "after the last subscriber"),
    Case(
        area.subscribes_whenever_asked,
        needs_a_connection,
        "book of binance:BTCUSDT: not within",
    ),
    Case(area.subscribes_whenever_asked, forgets_outages, "book of binance:ETHUSDT: not within"),
    Case(area.subscribes_whenever_asked, never_leaves, "BTCUSDT came, which was given up"),
    Case(
        area.shares_nothing_with_another,
        SharesItsWishes(),
        "nobody asked for .*ETHUSDT",
    ),
    Case(
        area.refuses_what_it_does_not_have,
        named("takes_any_instrument", swallowing(UnknownInstrument)),
        "NO-SUCH-THING was not refused",
    ),
    Case(
        area.refuses_what_it_does_not_have,
        named("takes_any_channel", swallowing(VenueError)),
        "dreams .* was not refused",
    ),
    gives(history(lambda c: c[1:]), "too_few", "4 candles instead of 5"),
    gives(history(lambda c: [*c[:2], *c[3:]], more=1), "a_hole", "a hole or a step back"),
    gives(history(lambda c: c[::-1]), "newest_first", "a hole or a step back"),
    gives(history(lambda c: c[:-1], more=1), "not_the_newest", "the newest closes at"),
    gives(
        history(lambda c: [moved(candle, area.MINUTE_NS) for candle in c]),
        "beyond_the_end",
        "the newest closes at",
    ),
    gives(newest(is_closed=False), "still_forming", "not a closed 1m candle"),
    gives(newest(instrument="binance:ETHUSDT"), "of_another", "not a closed 1m candle"),
    gives(newest(interval="5m"), "of_another_interval", "not a closed 1m candle"),
    gives(newest(volume=nan), "nan", "not finite"),
    gives(newest(low=1e9), "low_above", "outside low and high"),
    gives(newest(high=0.0), "high_below", "outside low and high"),
    gives(history(lambda c: [moved(x, SECOND_NS) for x in c]), "off_the_grid", "not a whole"),
    Case(
        area.pages_through_history,
        named("one_page", history(lambda c: c[-1_000:])),
        "1000 candles instead of 2500",
    ),
    Case(
        area.pages_through_history,
        named("a_seam", history(lambda c: [*c[1:1_001], c[1_000], *c[1_001:]])),
        "a hole or a step back",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_broken_promise_is_found(case: Case) -> None:
    """R-43, T-21: no check of market data can be passed by an adapter that breaks its promise."""
    require_failure(case)


def test_every_check_can_fail() -> None:
    require_all_proven(area.CHECKS, CASES)


def test_a_venue_whose_clock_is_ahead_is_no_reason_to_fail() -> None:
    """T-21: an honest adapter says possible things of a venue that lives two seconds ahead."""
    play(area.says_possible_things_only, build, lambda seed: BinanceRig(seed, ahead_s=2.0), seed=1)
