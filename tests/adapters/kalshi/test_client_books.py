"""Whole books: what is yielded, when nothing is, and how a lost one comes back."""

from typing import Any

import msgspec
import pytest

from adapters.kalshi import messages
from adapters.kalshi.client_settings import TO_THE_LETTER, ClientSettings
from adapters.kalshi.ladders import BookState
from adapters.kalshi.order_books import InvalidBook, MarketBook
from adapters.kalshi.policy import Policy
from adapters.kalshi.reports import Trouble
from adapters.kalshi.simulated.faults import (
    Abort,
    DeferSnapshots,
    Duplicate,
    Inject,
    Lose,
    PushSnapshot,
    Swap,
    WithholdSnapshots,
)
from framework.bus.overflow import Overflow
from framework.errors import ChannelOverflow
from tests.adapters.kalshi.client_rig import QUICK, Bench, a_while, heard, rest_of, simulated
from tests.adapters.kalshi.simulated.stream_rig import BOS, NYC

BOOKS = "orderbook_delta"
LETTER = msgspec.structs.replace(TO_THE_LETTER, link=QUICK)


def truth(at: Bench, market: str = BOS) -> tuple[messages.Levels, messages.Levels]:
    """Return both ladders as the exchange has them, best first."""
    book = at.exchange.book(market)
    return tuple(sorted(book.yes, reverse=True)), tuple(sorted(book.no, reverse=True))


def test_a_full_book_after_every_snapshot_and_delta_each_its_own_object() -> None:
    """K32, K33, K35, K36: sorted, one level per price, empty ones gone, a missing side is ()."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            at.exchange.change(BOS, "yes", 3_600, 500)
            stream = await kalshi.orderbook(BOS)
            at.exchange.change(BOS, "yes", 3_700, 100)
            at.exchange.change(BOS, "no", 6_000, 200)
            at.exchange.change(BOS, "no", 6_100, 300)
            at.exchange.change(BOS, "yes", 3_700, -100)
            books = await heard(stream)

        assert [book.yes for book in books if isinstance(book, MarketBook)] == [
            ((3_600, 500),),
            ((3_700, 100), (3_600, 500)),
            ((3_700, 100), (3_600, 500)),
            ((3_700, 100), (3_600, 500)),
            ((3_600, 500),),
        ]
        last = books[-1]
        assert isinstance(last, MarketBook)
        assert last.market_ticker == BOS
        assert last.seq == 5
        assert last.no == ((6_100, 300), (6_000, 200))
        assert last.bids == last.yes
        assert last.asks == ((3_900, 300), (4_000, 200))
        assert (last.best_bid, last.best_ask) == ((3_600, 500), (3_900, 300))
        first = books[0]
        assert isinstance(first, MarketBook)
        assert (first.no, first.best_ask) == ((), None)
        assert len({id(book) for book in books}) == 5

    simulated(scene)


def test_the_yes_scale_makes_the_same_books() -> None:
    """8.5: not complemented twice."""

    async def scene(at: Bench) -> None:
        at.exchange.change(BOS, "no", 6_000, 200)
        at.exchange.change(BOS, "no", 6_100, 300)
        async with at.client() as kalshi:
            plain = await heard(await kalshi.orderbook(BOS))
            scaled = await heard(await kalshi.orderbook(BOS, use_yes_price=True))
        assert isinstance(plain[0], MarketBook)
        assert isinstance(scaled[0], MarketBook)
        assert plain[0].no == scaled[0].no == ((6_100, 300), (6_000, 200))
        assert scaled[0].best_bid is None

    simulated(scene)


def test_a_delta_before_the_snapshot_yields_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """K34, B3: it is dropped with a warning; the snapshot that follows contains it."""

    async def scene(at: Bench) -> None:
        at.inject(DeferSnapshots(deltas=2))
        async with at.client() as kalshi:
            stream = await kalshi.orderbook(BOS)
            at.change()
            at.change()
            books = await heard(stream)
            assert [(book.yes, book.no) for book in books if isinstance(book, MarketBook)] == [
                truth(at)
            ]
            assert stream.statistics()["drops"] == 2
        assert capsys.readouterr().out.count("change_without_a_book") == 1

    simulated(scene)


@pytest.mark.parametrize("settings", [ClientSettings(link=QUICK), LETTER])
def test_a_gap_loses_the_books_of_its_sid_and_only_those(settings: ClientSettings) -> None:
    """K24 to K28, K30, B1, B2, B3, B23: the same iterator goes on with the next snapshot."""

    async def scene(at: Bench) -> None:
        async with at.client(settings) as kalshi:
            books = await kalshi.orderbook(BOS, NYC, marks_invalid=True)
            groups = await kalshi.subscribe_order_group()
            trades = await kalshi.subscribe_trade()
            at.say("order_group_updates")
            await heard(books)
            at.inject(Lose(channel=BOOKS, count=1))
            at.change()
            at.change()
            at.inject(Lose(channel="order_group_updates", count=1))
            at.say("order_group_updates", count=2)
            at.say("trade", count=2)
            lost = await heard(books)
            marks = [found for found in lost if isinstance(found, InvalidBook)]
            assert {mark.market_ticker for mark in marks} == {BOS, NYC}
            if settings is LETTER:
                assert at.commands("get_snapshot") == []
                at.inject(PushSnapshot())
                lost += await heard(books)
            else:
                assert len(at.commands("get_snapshot")) == 1
            back = [found for found in lost if isinstance(found, MarketBook)]
            assert (back[-2].yes, back[-2].no) in (truth(at), truth(at, NYC))
            assert {book.market_ticker for book in back} == {BOS, NYC}
            assert len(await heard(trades)) == 2
            at.say("order_group_updates")
            assert len(await heard(groups)) == (2 if settings is LETTER else 3)
            assert {state.state for state in books.books.values()} == {BookState.LIVE}
            assert books.statistics()["gaps"] == 1
        assert at.troubles()[0] is Trouble.GAP
        assert Trouble.REREAD in at.troubles()

    simulated(scene)


def test_nothing_is_yielded_while_a_book_cannot_be_trusted() -> None:
    """B3, K31, B1: state and reason are there to be asked for; in the end a new connection."""

    async def scene(at: Bench) -> None:
        async with at.client(ClientSettings(link=QUICK)) as kalshi:
            stream = await kalshi.orderbook(BOS)
            await heard(stream)
            number = at.control.inject(WithholdSnapshots())
            at.inject(Lose(channel=BOOKS, count=1))
            at.change()
            at.change()
            assert await heard(stream, 60) == []
            assert stream.books[BOS].state is not BookState.LIVE
            assert stream.books[BOS].reason != ""
            at.control.heal(number)
            books = await heard(stream, 60)
            assert isinstance(books[-1], MarketBook)
            assert (books[-1].yes, books[-1].no) == truth(at)
            assert len(at.commands("get_snapshot")) >= 1
            assert kalshi.statistics()["connections"] >= 2
        assert Trouble.BOOKS_MISSING in at.troubles()

    simulated(scene)


def test_repeats_and_swaps_reach_nobody_twice() -> None:
    """K29, B4, B5."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            changes = await kalshi.subscribe_orderbook_delta(BOS)
            books = await kalshi.orderbook(BOS)
            at.inject(Duplicate(channel=BOOKS, types=(BOOKS,), count=2))
            at.inject(Swap(channel=BOOKS, types=(BOOKS,), count=1, after=1))
            for _ in range(6):
                at.change()
            assert len(await heard(changes)) == 7
            found = await heard(books)
            assert isinstance(found[-1], MarketBook)
            assert (found[-1].yes, found[-1].no) == truth(at)
            counts = books.statistics()
            assert (counts["duplicates"], counts["gaps"]) == (2, 0)

    simulated(scene)


def test_who_comes_later_gets_the_book_at_once() -> None:
    """B24, K45: of our making, as the subscription is shared: books, messages, JSON alike."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            first = await kalshi.orderbook(BOS)
            at.change()
            await heard(first)
            withheld = at.control.inject(WithholdSnapshots())

            [book] = await heard(await kalshi.orderbook(BOS))
            [snapshot] = await heard(await kalshi.subscribe_orderbook_delta(BOS))
            params = {"market_ticker": BOS, "send_initial_snapshot": True}
            [frame] = await heard(await kalshi.subscribe(BOOKS, params))

            assert isinstance(book, MarketBook)
            assert (book.yes, book.no) == truth(at)
            assert isinstance(snapshot, messages.Book)
            assert snapshot.market_id == f"id-{BOS}"
            assert snapshot.yes == book.yes
            assert frame["msg"]["yes_dollars_fp"] == [["0.4000", "1.00"]]
            assert len(at.commands("subscribe")) == 1
            at.control.heal(withheld)
            await first.add_markets(NYC)
            assert len(await heard(first)) == 1

    simulated(scene)


def test_conflation_keeps_only_the_newest_book_of_each_market() -> None:
    """B10, B22: no storm can overflow it."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            stream = await kalshi.orderbook(
                BOS, NYC, overflow=Overflow.CONFLATE, maxsize=2, marks_invalid=True
            )
            for _ in range(500):
                at.change(BOS)
                at.change(NYC)
            await a_while()
            books = await heard(stream)
            assert [book.market_ticker for book in books] == [BOS, NYC]
            for book in books:
                assert isinstance(book, MarketBook)
                assert (book.yes, book.no) == truth(at, book.market_ticker)
            assert stream.statistics()["conflated"] == 1_000

    simulated(scene)


def test_a_conflated_book_that_was_lost_while_it_waited_is_not_yielded() -> None:
    """B3."""

    async def scene(at: Bench) -> None:
        async with at.client(LETTER) as kalshi:
            stream = await kalshi.orderbook(BOS, overflow=Overflow.CONFLATE)
            at.change()
            await a_while()
            at.inject(Lose(channel=BOOKS, count=1))
            at.change()
            at.change()
            await a_while()
            assert stream.qsize() == 1
            assert await heard(stream) == []

    simulated(scene)


def test_other_rules_hold_for_books_too() -> None:
    """K11, K12: 100 by default; the oldest make room, or it is an error; marks count as well."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            dropping = await kalshi.orderbook(BOS)
            failing = await kalshi.orderbook(BOS, overflow=Overflow.ERROR, maxsize=3)
            marking = await kalshi.orderbook(
                BOS, overflow=Overflow.ERROR, maxsize=4, marks_invalid=True
            )
            for _ in range(3):
                at.change()
            await a_while()
            at.inject(Lose(channel=BOOKS, count=1))
            at.change()
            at.change()
            await a_while()
            for stream, size in ((failing, 3), (marking, 4)):
                with pytest.raises(ChannelOverflow, match=f"full at {size}"):
                    await rest_of(stream)
            for _ in range(150):
                at.change()
            await a_while()
            assert len(await heard(dropping)) == 100

    simulated(scene)


def test_a_reconnect_clears_the_books_and_brings_new_ones() -> None:
    """K44, K45, K46: on the same iterators."""

    async def scene(at: Bench) -> None:
        async with at.client(ClientSettings(link=QUICK)) as kalshi:
            stream = await kalshi.orderbook(BOS, marks_invalid=True)
            await heard(stream)
            at.inject(Abort())
            await a_while(0.001)
            at.change()
            [mark, book] = await heard(stream, 2)
            assert isinstance(mark, InvalidBook)
            assert mark.state is BookState.STALE
            assert isinstance(book, MarketBook)
            assert (book.yes, book.no) == truth(at)
            snapshots = [params["send_initial_snapshot"] for params in at.commands("subscribe")]
            assert snapshots == [True, True]

    simulated(scene)


def test_frames_of_a_foreign_sid_touch_no_book() -> None:
    """K57, B9."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            stream = await kalshi.orderbook(BOS)
            await heard(stream)
            text = (
                '{"type":"orderbook_delta","sid":77,"seq":2,"msg":{"market_ticker":"%s",'
                '"market_id":"x","price_dollars":"0.5000","delta_fp":"1.00","side":"yes"}}'
            )
            at.inject(Inject(text=text % BOS))
            assert await heard(stream) == []
            assert kalshi.statistics()["unrouted"] == 1
            at.change()
            assert len(await heard(stream)) == 1

    simulated(scene)


def test_a_quiet_subscription_is_asked_and_then_subscribed_anew() -> None:
    """B12: a quiet market answers; a mute one costs its sid."""

    async def scene(at: Bench) -> None:
        settings = ClientSettings(link=QUICK, quiet_s=10.0, policy=Policy())
        async with at.client(settings) as kalshi:
            stream = await kalshi.orderbook(BOS)
            await kalshi.subscribe_trade()
            await a_while(25)
            assert len(at.commands("get_snapshot")) == 2
            assert len(at.commands("subscribe")) == 2
            assert len(await heard(stream)) == 3

            at.inject(Lose(channel=BOOKS, count=None, for_s=25.0))
            await a_while(40)
            assert len(at.commands("subscribe")) >= 3
            assert Trouble.QUIET in at.troubles()
            at.change()
            found: list[Any] = await heard(stream)
            assert (found[-1].yes, found[-1].no) == truth(at)

    simulated(scene)
