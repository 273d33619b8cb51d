"""Triggers: which price wakes which order, and that the short way finds what the long way finds."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from framework.model.market_data import BookChanged, Candle, MarkPrice, Quote, Trade
from framework.model.orders import TriggerBy
from framework.orders.triggers import (
    Hit,
    InstrumentTriggers,
    MarketEvent,
    Purpose,
    Triggers,
    Watch,
    quoted,
)
from tests.framework.orders.emulation_world import QuotedMarket
from tests.framework.orders.world import SPOT

D = Decimal
LAST, BID_ASK, MARK = TriggerBy.LAST, TriggerBy.BID_ASK, TriggerBy.MARK


class FakeBook:
    """A book with one level on each side, or none."""

    instrument = SPOT

    def __init__(self, bid: float | None, ask: float | None, *, is_synced: bool = True) -> None:
        self.is_synced = is_synced
        self.best_bid = None if bid is None else (bid, 1.0)
        self.best_ask = None if ask is None else (ask, 1.0)

    def bids(self, depth: int) -> list[tuple[float, float]]:
        return []

    def asks(self, depth: int) -> list[tuple[float, float]]:
        return []


class BookMarket(QuotedMarket):
    """A market that may have a book."""

    def __init__(self, book: FakeBook | None = None) -> None:
        super().__init__()
        self.the_book = book

    def book(self, instrument: str) -> FakeBook | None:
        return self.the_book


def sell_stop(level: str, by: TriggerBy = BID_ASK, *, since_ns: int = 0, name: str = "s") -> Watch:
    return Watch(name, Purpose.STOP, by, False, False, D(level), since_ns)


def buy_stop(level: str, by: TriggerBy = BID_ASK, *, name: str = "b") -> Watch:
    return Watch(name, Purpose.STOP, by, True, True, D(level))


def triggers(*watches: Watch, book: FakeBook | None = None) -> InstrumentTriggers:
    found = InstrumentTriggers(SPOT, BookMarket(book))
    for watch in watches:
        found.add(watch)
    return found


def names(found: InstrumentTriggers, event: MarketEvent) -> list[str]:
    return [hit.watch.order_id for hits in found.judge(event) for hit in hits]


def quote(bid: float, ask: float, bid_size: float = 1.0, ask_size: float = 1.0) -> Quote:
    return Quote(SPOT, 1, 1, bid, ask, bid_size, ask_size)


def trade(price: float) -> Trade:
    return Trade(SPOT, 1, 1, price, 1.0)


def candle(low: float, high: float, close: float, open_ns: int = 0, close_ns: int = 60) -> Candle:
    return Candle(SPOT, close_ns, close_ns, "1m", open_ns, close_ns, close, high, low, close)


def test_a_sell_stop_looks_at_the_bid_and_a_buy_stop_at_the_ask() -> None:
    found = triggers(sell_stop("99"), buy_stop("101"))

    assert names(found, quote(99.01, 100.99)) == []
    assert names(found, quote(99.0, 100.0)) == ["s"]
    assert names(found, quote(100.0, 101.0)) == ["b"]


def test_last_looks_at_trades_alone_once_there_are_any() -> None:
    found = triggers(sell_stop("99", LAST))

    assert names(found, trade(100.0)) == []
    assert names(found, quote(98.0, 98.1)) == []
    assert names(found, trade(99.0)) == ["s"]


def test_last_looks_at_the_side_it_would_hit_until_the_first_trade() -> None:
    found = triggers(sell_stop("99", LAST), buy_stop("101", LAST))

    assert names(found, quote(98.0, 98.1)) == ["s"]
    assert names(found, quote(100.0, 101.5)) == ["b"]


def test_trades_judge_bid_ask_only_where_no_quote_or_book_ever_came() -> None:
    found = triggers(sell_stop("99"))
    assert names(found, trade(98.0)) == ["s"]

    assert names(found, quote(100.0, 100.1)) == []
    assert names(found, trade(98.0)) == []


def test_a_book_that_is_there_already_counts_as_quoted() -> None:
    found = triggers(sell_stop("99"), book=FakeBook(None, None))

    assert names(found, trade(98.0)) == []


def test_mark_looks_at_the_mark_price_alone() -> None:
    found = triggers(sell_stop("99", MARK))

    assert names(found, quote(90.0, 91.0)) == []
    assert names(found, trade(90.0)) == []
    assert names(found, candle(90.0, 91.0, 90.0)) == []
    assert names(found, MarkPrice(SPOT, 1, 1, 99.0)) == ["s"]


def test_a_synced_book_judges_like_a_quote() -> None:
    changed = BookChanged(SPOT, 1, 1, 1, is_synced=True)

    assert names(triggers(sell_stop("99"), book=FakeBook(99.0, 100.0)), changed) == ["s"]
    assert names(triggers(buy_stop("99"), book=FakeBook(98.0, 99.0)), changed) == ["b"]
    assert names(triggers(buy_stop("99"), book=FakeBook(98.0, None)), changed) == []


def test_a_book_that_is_not_synced_judges_nothing() -> None:
    book = FakeBook(90.0, 110.0)
    stale = BookChanged(SPOT, 1, 1, 1, is_synced=False)
    assert names(triggers(sell_stop("99"), book=book), stale) == []

    book.is_synced = False
    synced = BookChanged(SPOT, 1, 1, 1, is_synced=True)
    assert names(triggers(sell_stop("99"), book=book), synced) == []


def test_a_side_nobody_quotes_judges_nothing() -> None:
    found = triggers(sell_stop("99"), buy_stop("1"))

    assert names(found, quote(0.0, 0.5, 0.0, 1.0)) == []
    assert names(found, quote(100.0, 5.0, 1.0, 0.0)) == []
    assert quoted(quote(0.0, 0.0, 0.0, 0.0)) == (None, None)
    assert quoted(quote(5.0, 6.0, 0.0, 0.0)) == (5.0, 6.0)


def test_a_negative_price_that_somebody_quotes_counts() -> None:
    assert names(triggers(sell_stop("-30")), quote(-37.0, -36.0)) == ["s"]


def test_candles_judge_by_high_and_low_where_nothing_else_ever_came() -> None:
    found = triggers(sell_stop("99"), buy_stop("105", LAST))

    assert names(found, candle(99.5, 104.0, 100.0)) == []
    assert names(found, candle(99.0, 105.0, 100.0, 60, 120)) == ["s", "b"]


def test_candles_judge_nothing_after_a_quote_or_a_trade() -> None:
    for event in (quote(100.0, 101.0), trade(100.0)):
        found = triggers(sell_stop("99"))
        names(found, event)

        assert names(found, candle(90.0, 110.0, 90.0)) == []


def test_within_a_candle_stops_come_before_targets() -> None:
    target = Watch("t", Purpose.TARGET, BID_ASK, False, True, D(105))
    found = triggers(target, sell_stop("99"))

    assert names(found, candle(98.0, 106.0, 100.0)) == ["s", "t"]


def test_a_candle_that_began_before_the_order_counts_by_its_close() -> None:
    found = triggers(sell_stop("99", since_ns=30))

    assert names(found, candle(90.0, 100.0, 99.5)) == []
    assert names(triggers(sell_stop("99", since_ns=30)), candle(90.0, 100.0, 98.0)) == ["s"]


def test_a_candle_that_ended_before_the_order_does_not_count() -> None:
    assert names(triggers(sell_stop("99", since_ns=60)), candle(90.0, 91.0, 90.0)) == []


def test_candles_of_another_interval_do_not_judge_the_same_time_twice() -> None:
    found = triggers(sell_stop("99"))
    names(found, candle(99.5, 101.0, 100.0, 240, 300))

    assert names(found, candle(90.0, 101.0, 100.0, 0, 300)) == []
    assert names(found, candle(99.0, 101.0, 100.0, 300, 360)) == ["s"]


def test_a_forming_candle_judges_nothing() -> None:
    forming = Candle(SPOT, 30, 30, "1m", 0, 60, 90.0, 90.0, 90.0, 90.0, is_closed=False)

    assert names(triggers(sell_stop("99")), forming) == []


def test_a_removed_watch_is_not_met() -> None:
    watch = sell_stop("99")
    found = triggers(watch, sell_stop("98", name="lower"))

    found.remove(watch)

    assert len(found) == 1
    assert names(found, quote(98.5, 99.0)) == []
    assert names(found, quote(98.0, 99.0)) == ["lower"]


def test_a_strict_watch_is_met_beyond_its_level_and_hides_nobody() -> None:
    extend = Watch("e", Purpose.EXTEND, BID_ASK, False, True, D(101), is_strict=True)
    target = Watch("t", Purpose.TARGET, BID_ASK, False, True, D(101))
    found = triggers(extend, target)

    assert names(found, quote(101.0, 101.1)) == ["t"]
    assert sorted(names(found, quote(101.01, 101.1))) == ["e", "t"]


def test_the_nearest_is_met_first() -> None:
    found = triggers(*(sell_stop(str(level), name=str(level)) for level in (97, 99, 98, 96)))

    assert names(found, quote(97.0, 97.1)) == ["99", "98", "97"]


def test_prices_are_compared_exactly() -> None:
    """A float is what its shortest decimal says: 0.1 + 0.2 is above 0.3."""
    watch = Watch("t", Purpose.TARGET, BID_ASK, False, True, D("0.3"), is_strict=True)

    assert names(triggers(watch), quote(0.1 + 0.2, 1.0)) == ["t"]
    assert names(triggers(watch), quote(0.3, 1.0)) == []


def test_the_price_that_judges_a_watch_is_known() -> None:
    stop, target = sell_stop("99"), Watch("t", Purpose.TARGET, LAST, True, True, D(5))

    assert triggers().price_for(quote(98.5, 99.0), stop) == D("98.5")
    assert triggers().price_for(MarkPrice(SPOT, 1, 1, 99.0), stop) is None
    assert triggers().price_for(candle(97.0, 99.0, 98.0), stop) == D("97")
    assert triggers().price_for(candle(97.0, 99.0, 98.0), target) == D("99")
    late = sell_stop("99", since_ns=30)
    assert triggers().price_for(candle(97.0, 99.0, 98.0), late) == D("98")
    assert triggers().price_for(candle(97.0, 99.0, 98.0), sell_stop("99", MARK)) is None


def test_setting_the_watches_of_an_order_replaces_them() -> None:
    found = Triggers(QuotedMarket())
    found.set("s", SPOT, (sell_stop("99"),))
    found.set("s", SPOT, (sell_stop("98"),))
    found.set("s", SPOT, (sell_stop("98"),))

    assert names(found.of(SPOT), quote(98.5, 99.0)) == []
    found.set("s", SPOT, ())
    found.set("nobody", SPOT, ())
    assert len(found.of(SPOT)) == 0


levels = st.integers(90, 110)
watch_lists = st.lists(
    st.builds(
        lambda level, rising, buy, by, strict: (level, rising, buy, by, strict),
        levels,
        st.booleans(),
        st.booleans(),
        st.sampled_from(TriggerBy),
        st.booleans(),
    ),
    max_size=12,
)
events = st.one_of(
    st.builds(lambda bid, gap: quote(float(bid), float(bid + gap)), levels, st.integers(0, 3)),
    st.builds(lambda price: trade(float(price)), levels),
    st.builds(lambda price: MarkPrice(SPOT, 1, 1, float(price)), levels),
)


@given(watch_lists, st.lists(events, max_size=8))
def test_the_shelves_find_what_looking_at_every_watch_finds(
    wanted: list[tuple[int, bool, bool, TriggerBy, bool]], market: list[MarketEvent]
) -> None:
    watches = [
        Watch(str(at), Purpose.STOP, by, buy, rising, D(level), 0, strict)
        for at, (level, rising, buy, by, strict) in enumerate(wanted)
    ]
    found, oracle = triggers(*watches), triggers()

    for event in market:
        hits = [hit for hits in found.judge(event) for hit in hits]
        expected = []
        for watch in watches:
            price = oracle.price_for(event, watch)
            if price is not None and watch.is_met(price):
                expected.append(Hit(watch, price))
        assert sorted(hits, key=_name) == sorted(expected, key=_name)


def _name(hit: Hit) -> str:
    return hit.watch.order_id
