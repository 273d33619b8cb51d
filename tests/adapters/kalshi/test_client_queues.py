"""The queue between the reader and one consumer, and what an overflow does to whom."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi.client import KalshiClient
from adapters.kalshi.client_settings import CHANNELS, TO_THE_LETTER, ClientSettings
from adapters.kalshi.message_stream import MessageStream
from adapters.kalshi.queues import MessageQueue
from adapters.kalshi.reports import Trouble
from framework.bus.overflow import Overflow
from framework.errors import ChannelOverflow
from framework.model.events import ConnectionState
from tests.adapters.kalshi.client_rig import (
    QUICK,
    Bench,
    a_while,
    heard,
    name_of,
    rest_of,
    simulated,
)
from tests.adapters.kalshi.simulated.stream_rig import BOS
from tests.broker.rig import play

DROP_OLDEST, ERROR, CONFLATE = Overflow.DROP_OLDEST, Overflow.ERROR, Overflow.CONFLATE


def queue_of(overflow: Overflow, maxsize: int, **more: Any) -> MessageQueue[int]:
    """Return a queue of numbers, which conflates odd and even ones."""
    return MessageQueue("numbers", maxsize, overflow, key=lambda number: number % 2, **more)


def is_balanced(counts: dict[str, int]) -> bool:
    """Say whether everything is accounted for."""
    gone = counts["dropped"] + counts["conflated"] + counts["discarded"]
    return counts["delivered"] + gone + counts["queued"] == counts["published"]


# -- the queue ---------------------------------------------------------------------------------


@given(maxsize=st.integers(1, 20), more=st.integers(0, 60))
def test_drop_oldest_keeps_exactly_the_last_ones(maxsize: int, more: int) -> None:
    """K13, R-50: n + m puts leave the last n, in order, and m are counted as dropped."""

    async def main() -> None:
        queue = queue_of(DROP_OLDEST, maxsize)
        for number in range(maxsize + more):
            await queue.put(number)
        await queue.put_sentinel()

        assert queue.qsize() == maxsize
        assert [number async for number in queue] == list(range(more, more + maxsize))
        assert queue.statistics()["dropped"] == more

    play(main)


def test_a_put_that_finds_an_error_queue_full_raises_and_names_its_size() -> None:
    """K14, B10, R-51: what is queued stays readable; then its reader gets the error, once."""

    async def main() -> None:
        queue = queue_of(ERROR, 3)
        for number in range(3):
            await queue.put(number)
        for _ in range(2):
            with pytest.raises(ChannelOverflow, match="full at 3"):
                await queue.put(9)

        assert [await queue.get() for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ChannelOverflow) as caught:
            await queue.get()
        assert caught.value.counts["queued"] == 3
        assert caught.value.resume_after == 3
        with pytest.raises(StopAsyncIteration):
            await queue.get()
        assert is_balanced(queue.statistics())

    play(main)


def test_the_error_can_be_for_the_writer_alone() -> None:
    """K16: the reader's iterator just ends."""

    async def main() -> None:
        queue = queue_of(ERROR, 1, raises_to_reader=False)
        assert queue.push(1)
        assert not queue.push(2)
        queue.end(None)
        assert [number async for number in queue] == [1]

    play(main)


def test_the_sentinel_ends_a_queue_after_what_waits() -> None:
    """K15: it is not an item, puts after it are ignored, another one is harmless."""

    async def main() -> None:
        queue = queue_of(DROP_OLDEST, 5)
        await queue.put(1)
        await queue.put_sentinel()
        await queue.put_sentinel()
        await queue.put(2)
        assert queue.qsize() == 1
        assert await queue.get() == 1
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await queue.get()
        assert queue.statistics()["published"] == 1

    play(main)


def test_every_reader_that_waits_is_woken() -> None:
    """K15: two readers get different items; the end reaches both."""

    async def main() -> None:
        queue = queue_of(DROP_OLDEST, 5)
        loop = asyncio.get_running_loop()
        readers = [loop.create_task(_read_all(queue)) for _ in range(2)]
        await a_while()
        for number in range(4):
            await queue.put(number)
        await a_while()
        await queue.put_sentinel()
        first, second = await asyncio.gather(*readers)
        assert sorted(first + second) == [0, 1, 2, 3]

    play(main)


def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    async def main() -> None:
        queue = queue_of(DROP_OLDEST, 5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await queue.get()
        queue.push(1)
        assert await queue.get() == 1

    play(main)


def test_conflate_keeps_the_newest_of_each_key_in_the_place_of_the_oldest() -> None:
    async def main() -> None:
        queue = queue_of(CONFLATE, 5)
        for number in range(100):
            assert queue.push(number)
        queue.end(None)
        assert [number async for number in queue] == [98, 99]
        assert queue.statistics()["conflated"] == 98

    play(main)


@given(
    overflow=st.sampled_from(Overflow),
    maxsize=st.integers(1, 4),
    steps=st.lists(st.booleans(), max_size=80),
)
def test_everything_is_accounted_for_whatever_happens(
    overflow: Overflow, maxsize: int, steps: list[bool]
) -> None:
    """R-50, R-51: at every moment."""

    async def main() -> None:
        queue = queue_of(overflow, maxsize)
        for number, is_write in enumerate(steps):
            if is_write:
                queue.push(number)
            elif queue.qsize():
                await queue.get()
            assert is_balanced(queue.statistics())
            assert queue.qsize() <= maxsize
        queue.discard()
        assert is_balanced(queue.statistics())
        with pytest.raises(StopAsyncIteration):
            await queue.get()

    play(main)


# -- a consumer that is too slow, on each channel ----------------------------------------------

SENT, SIZE = 1_500, 10
OPEN: dict[str, Callable[..., Awaitable[MessageStream[Any]]]] = {
    "ticker": KalshiClient.subscribe_ticker,
    "trade": KalshiClient.subscribe_trade,
    "orderbook_delta": lambda kalshi, **queue: kalshi.subscribe_orderbook_delta(BOS, **queue),
    "market_lifecycle_v2": KalshiClient.subscribe_market_lifecycle,
    "multivariate": KalshiClient.subscribe_multivariate,
    "multivariate_market_lifecycle": KalshiClient.subscribe_multivariate_lifecycle,
    "fill": KalshiClient.subscribe_fill,
    "user_orders": KalshiClient.subscribe_user_orders,
    "market_positions": KalshiClient.subscribe_market_positions,
    "order_group_updates": KalshiClient.subscribe_order_group,
    "communications": KalshiClient.subscribe_communications,
}


async def storm(at: Bench, channel: str) -> None:
    """Send far more than fits, in portions, a hundred times as fast as it is read."""
    for _ in range(SENT // 100):
        if channel == "orderbook_delta":
            for _ in range(100):
                at.change()
        else:
            at.say(channel, count=100)
        await a_while(0.1)


async def read_slowly(stream: MessageStream[Any], found: list[Any]) -> None:
    """Take a message each tenth of a second."""
    async for message in stream:
        found.append(message)
        await a_while(0.1)


@pytest.mark.parametrize("overflow", [DROP_OLDEST, ERROR])
@pytest.mark.parametrize("channel", CHANNELS)
def test_a_consumer_that_is_a_hundred_times_too_slow(channel: str, overflow: Overflow) -> None:
    """R-50, R-51, K10, K13, K14, B10: exact counts; a fast one beside it loses nothing."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            fast = await OPEN[channel](kalshi, maxsize=5_000)
            slow = await OPEN[channel](kalshi, overflow=overflow, maxsize=SIZE)
            found: list[Any] = []
            reading = asyncio.get_running_loop().create_task(read_slowly(slow, found))
            await storm(at, channel)
            everything = await heard(fast)
            first = 1 if channel == "orderbook_delta" else 0  # the snapshot
            assert len(everything) == SENT + first
            await a_while(5)

            counts = slow.statistics()
            assert is_balanced(counts)
            assert counts["delivered"] == len(found)
            if overflow is DROP_OLDEST:
                assert counts["published"] == SENT + first
                assert counts["dropped"] == SENT + first - len(found)
                assert found[-SIZE:] == everything[-SIZE:]
                assert not reading.done()
                reading.cancel()
            else:
                with pytest.raises(ChannelOverflow, match=f"{channel!r} is full at {SIZE}"):
                    await reading
                assert found == everything[: len(found)]
                assert counts["discarded"] == 1
                assert at.troubles() == [Trouble.OVERFLOW]
                assert fast.is_open
                assert not slow.is_open

    simulated(scene, profile="seed")


def test_messages_are_the_right_ones() -> None:
    """K13: by name, not only by count."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            stream = await kalshi.subscribe_trade(maxsize=4)
            at.say("trade", count=9)
            await a_while()
            assert [name_of(trade) for trade in await heard(stream)] == ["n6", "n7", "n8", "n9"]

    simulated(scene)


def test_an_overflow_gives_the_subscription_back() -> None:
    """B10, B24: nobody listens any more; the others go on."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            trades = await kalshi.subscribe_trade()
            fills = await kalshi.subscribe_fill(maxsize=2)
            at.say("fill", count=5)
            at.say("trade")
            await a_while()

            assert [s.channel for s in at.control.subscriptions()] == ["trade"]
            assert len(await heard(trades)) == 1
            with pytest.raises(ChannelOverflow):
                await rest_of(fills)
            await fills.aclose()
            again = await kalshi.subscribe_fill()
            at.say("fill")
            assert len(await heard(again)) == 1

    simulated(scene)


def test_an_overflow_on_a_shared_subscription_takes_only_its_markets_away() -> None:
    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            first = await kalshi.subscribe_fill(BOS)
            second = await kalshi.subscribe_fill(BOS, "n1", maxsize=1)
            # what the frames' own market is, neither covers: ask for it too
            await second.add_markets("KXFROST-27JAN08-OSL")
            at.say("fill", count=3)
            await a_while()
            assert not second.is_open
            assert at.commands("delete_markets")[-1]["market_tickers"] == [
                "KXFROST-27JAN08-OSL",
                "n1",
            ]
            assert first.is_open

    simulated(scene, unknown_market="accept")


def test_to_the_letter_one_overflow_ends_the_connection() -> None:
    """K16: every iterator ends normally, run_forever returns, hooks hear of it, CLOSED."""
    settings = msgspec.structs.replace(TO_THE_LETTER, link=QUICK)

    async def scene(at: Bench) -> None:
        async with at.client(settings) as kalshi:
            trades = await kalshi.subscribe_trade()
            books = await kalshi.subscribe_orderbook_delta(BOS, maxsize=2)
            forever = asyncio.get_running_loop().create_task(kalshi.run_forever())
            for _ in range(5):
                at.change()
            await a_while()
            assert len(await rest_of(books)) == 2
            assert await rest_of(trades) == []
            await forever
            await a_while()
            assert kalshi.state is ConnectionState.CLOSED
            assert at.moves[-1][1] is ConnectionState.CLOSED
            assert at.troubles() == [Trouble.OVERFLOW]

    simulated(scene)


def test_callbacks_outlive_the_overflow_of_an_iterator_nobody_reads() -> None:
    """K21, B18: a subscription made for callbacks alone."""

    async def scene(at: Bench) -> None:
        called: list[Any] = []
        async with at.client() as kalshi:

            @kalshi.on("fill")
            async def take(fill: Any) -> None:
                called.append(fill)

            unread = await kalshi.subscribe_fill(maxsize=1)
            for _ in range(3):
                at.say("fill", count=3)
                await a_while()
            assert len(called) == 9
            await unread.aclose()
            at.say("fill")
            await a_while()
            assert len(called) == 9
            assert at.control.subscriptions() == []

    simulated(scene)


def test_a_callback_that_is_too_slow_overflows_alone() -> None:
    """B10, B18: it is reported, and calls for what waited."""

    async def scene(at: Bench) -> None:
        called: list[Any] = []
        async with at.client(ClientSettings(callback_budget_s=0.5)) as kalshi:

            @kalshi.on("fill", maxsize=2)
            async def take(fill: Any) -> None:
                await a_while(1)
                called.append(fill)

            stream = await kalshi.subscribe_fill()
            at.say("fill", count=6)
            await a_while(10)
            assert len(called) == 2
            assert len(await heard(stream)) == 6
            assert at.troubles() == [Trouble.OVERFLOW]
            assert kalshi.statistics()["callbacks_slow"] == 2

    simulated(scene)


async def _read_all(queue: MessageQueue[int]) -> list[int]:
    return [number async for number in queue]
