"""The session on a socket of the simulated network, and callers who wait for answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from adapters.kalshi.actions import (
    Action,
    BookApplied,
    BookInvalid,
    Fault,
    LevelApplied,
    Told,
)
from adapters.kalshi.awaiting import Awaiting
from adapters.kalshi.connection import KalshiConnection
from adapters.kalshi.ladders import BookState
from adapters.kalshi.subscription import Parameters, SubscriptionState
from framework.errors import SubscriptionRefused
from framework.model.events import ConnectionState
from framework.net.link import LinkOptions
from framework.net.listening import listen
from tests.adapters.kalshi.socket_venue import HOST, PORT, URL, SocketVenue, a_while
from tests.broker.rig import RigContext, play, simulated_loop

T = TypeVar("T")
STREAMING, RECONNECTING = ConnectionState.STREAMING, ConnectionState.RECONNECTING
CONNECTED, CLOSED = ConnectionState.CONNECTED, ConnectionState.CLOSED
BOOK_OF_A = Parameters(market_tickers=("A",))


class Bench:
    """A connection, who listens to it, and the venue behind it."""

    def __init__(self, venue: SocketVenue, **options: Any) -> None:
        self.venue = venue
        self.actions: list[Action] = []
        self.states: list[ConnectionState] = []
        self.heartbeat_count = 0
        self.recorded: list[tuple[int, bytes]] = []
        self.connection = KalshiConnection(
            "feed",
            RigContext(simulated_loop()),
            f"{URL}/",
            owner=self,
            options=LinkOptions(base_s=0.1, **options),
            record=lambda now_ns, data: self.recorded.append((now_ns, data)),
        )
        self.awaiting = Awaiting(self.connection)

    def on_action(self, action: Action) -> None:
        """Keep it, and wake whoever waits for it."""
        self.actions.append(action)
        self.awaiting.note(action)

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        """Keep it."""
        self.states.append(new)

    def on_heartbeat(self) -> None:
        """Count it."""
        self.heartbeat_count += 1

    def of(self, kind: type[T]) -> list[T]:
        """Return the actions of one kind."""
        return [action for action in self.actions if isinstance(action, kind)]


@asynccontextmanager
async def bench(**options: Any) -> AsyncIterator[Bench]:
    """Run a connection against a venue."""
    venue = SocketVenue()
    listener = await listen(venue.app, HOST, PORT)
    made = Bench(venue, **options)
    running = asyncio.get_running_loop().create_task(made.connection.run())
    await a_while()
    try:
        yield made
    finally:
        await made.connection.aclose()
        await running
        await listener.aclose()


def simulated(scene: Callable[[Bench], Awaitable[None]], **options: Any) -> None:
    """Play one scene."""

    async def main() -> None:
        async with bench(**options) as made:
            await scene(made)

    play(main)


def test_a_subscribe_returns_with_its_acknowledgement_and_the_book_follows() -> None:
    """K7, K5, K51: no frame before the first command; STREAMING with the first acknowledgement."""

    async def scene(made: Bench) -> None:
        assert made.states[-1] is CONNECTED
        assert made.venue.commands == []

        subscription = await made.awaiting.subscribe("orderbook_delta", BOOK_OF_A)
        await a_while()
        await made.venue.delta(1, "A")
        await a_while()

        assert subscription.sid == 1
        assert made.states[-1] is STREAMING
        assert [action.count for action in made.of(LevelApplied)] == [600]
        assert made.heartbeat_count == 1
        assert len(made.recorded) == 3
        assert made.connection.statistics()["texts"] == 3
        assert "KALSHI-ACCESS-KEY" not in made.venue.headers[0]

    simulated(scene)


def test_a_refused_subscribe_raises_with_its_code() -> None:
    """K7."""

    async def scene(made: Bench) -> None:
        made.venue.refused["subscribe"] = 8

        with pytest.raises(SubscriptionRefused, match="code 8"):
            await made.awaiting.subscribe("nonsense", Parameters())

    simulated(scene)


def test_a_subscribe_without_an_answer_raises_after_five_seconds() -> None:
    """K7."""

    async def scene(made: Bench) -> None:
        made.venue.silent.add("subscribe")
        begun_s = simulated_loop().time()

        with pytest.raises(SubscriptionRefused, match="no answer"):
            await made.awaiting.subscribe("trade", Parameters())

        assert simulated_loop().time() - begun_s == pytest.approx(5, abs=0.01)

    simulated(scene)


def test_a_subscribe_while_reconnecting_waits_and_then_succeeds() -> None:
    """K48, K40, K46: what was subscribed before comes back too."""

    async def scene(made: Bench) -> None:
        books = await made.awaiting.subscribe("orderbook_delta", BOOK_OF_A)
        await a_while()
        await made.venue.hang_up()
        await a_while(0.001)
        assert made.states[-1] is RECONNECTING
        assert not books.books["A"].is_live

        trades = await made.awaiting.subscribe("trade", Parameters())
        await a_while()

        assert trades.state is SubscriptionState.LIVE
        assert books.books["A"].is_live
        assert made.states[-1] is STREAMING
        assert len(made.venue.headers) == 2

    simulated(scene)


def test_a_gap_is_healed_without_another_frame_coming() -> None:
    """B1, B5: the timer gives the missing frame up, and asks for the book."""

    async def scene(made: Bench) -> None:
        await made.awaiting.subscribe("orderbook_delta", BOOK_OF_A)
        await a_while()
        await made.venue.delta(1, "A", lost=1)
        await a_while()

        assert [invalid.state for invalid in made.of(BookInvalid)] == [BookState.RESYNCING]
        assert len(made.venue.asked("get_snapshot")) == 1
        assert made.of(BookApplied)[-1].is_resync

    simulated(scene)


def test_a_book_that_never_comes_costs_first_the_sid_then_the_connection() -> None:
    """B1: get_snapshot, then a new sid, then a new connection, each with its deadline."""

    async def scene(made: Bench) -> None:
        subscription = await made.awaiting.subscribe("orderbook_delta", BOOK_OF_A)
        await a_while()
        made.venue.is_bookless = True
        await made.venue.delta(1, "A", lost=1)

        await a_while(3.5)
        assert len(made.venue.asked("get_snapshot")) == 3
        assert len(made.venue.asked("unsubscribe")) == 1
        assert len(made.venue.headers) == 1
        await a_while(10)
        assert len(made.venue.headers) == 2
        made.venue.is_bookless = False
        await a_while(2)

        assert subscription.books["A"].is_live

    simulated(scene)


def test_markets_come_and_go() -> None:
    async def scene(made: Bench) -> None:
        subscription = await made.awaiting.subscribe("orderbook_delta", BOOK_OF_A)

        await made.awaiting.add_markets(subscription, ("B",))
        await made.awaiting.add_markets(subscription, ("B",))  # is there already
        await a_while()
        assert sorted(subscription.books) == ["A", "B"]
        assert await made.awaiting.list_subscriptions() == (("orderbook_delta", 1),)
        await made.awaiting.delete_markets(subscription, ("A",))
        assert made.connection.request_snapshots(subscription, ("B",))
        made.connection.resubscribe(subscription, "wanted")
        await a_while()
        assert subscription.sid == 2
        await made.awaiting.unsubscribe(subscription)
        await made.awaiting.unsubscribe(subscription)

        assert subscription.state is SubscriptionState.ENDED
        assert len(made.venue.asked("add_markets")) == 1

    simulated(scene)


def test_a_refused_change_raises_and_the_subscription_goes_on() -> None:
    async def scene(made: Bench) -> None:
        subscription = await made.awaiting.subscribe("orderbook_delta", BOOK_OF_A)
        made.venue.refused["add_markets"] = 26

        with pytest.raises(SubscriptionRefused, match="code 26"):
            await made.awaiting.add_markets(subscription, ("B",))
        with pytest.raises(ValueError, match="without a market"):
            await made.awaiting.delete_markets(subscription, ("A",))

        assert subscription.state is SubscriptionState.LIVE

    simulated(scene)


def test_a_caller_that_gives_up_takes_its_subscription_back() -> None:
    async def scene(made: Bench) -> None:
        made.venue.silent.add("subscribe")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await made.awaiting.subscribe("trade", Parameters())

        assert made.connection.session.subscriptions == ()

    simulated(scene)


def test_a_caller_that_gives_up_a_change_leaves_it_to_the_session() -> None:
    async def scene(made: Bench) -> None:
        subscription = await made.awaiting.subscribe("orderbook_delta", BOOK_OF_A)
        made.venue.silent.add("add_markets")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await made.awaiting.add_markets(subscription, ("B",))
        await a_while(5)

        assert list(subscription.markets) == ["A"]

    simulated(scene)


def test_an_unsubscribe_by_another_ends_the_wait() -> None:
    async def scene(made: Bench) -> None:
        made.venue.silent.add("subscribe")
        waiting = asyncio.get_running_loop().create_task(
            made.awaiting.subscribe("trade", Parameters())
        )
        await a_while()

        made.connection.unsubscribe(made.connection.session.subscriptions[0])

        with pytest.raises(SubscriptionRefused, match="unsubscribed"):
            await waiting

    simulated(scene)


def test_closing_fails_everything_that_waits() -> None:
    """K47: nobody waits for ever."""

    async def scene(made: Bench) -> None:
        subscription = await made.awaiting.subscribe("orderbook_delta", BOOK_OF_A)
        made.venue.silent |= {"subscribe", "add_markets"}
        loop = asyncio.get_running_loop()
        first = loop.create_task(made.awaiting.subscribe("trade", Parameters()))
        second = loop.create_task(made.awaiting.add_markets(subscription, ("B",)))
        await a_while()

        made.awaiting.close("closed")

        for task in (first, second):
            with pytest.raises(SubscriptionRefused, match="closed"):
                await task
        with pytest.raises(SubscriptionRefused, match="closed"):
            await made.awaiting.unsubscribe(subscription)

    simulated(scene)


def test_without_a_connection_there_is_no_list() -> None:
    async def scene(made: Bench) -> None:
        await made.connection.aclose()

        with pytest.raises(SubscriptionRefused, match="no connection"):
            await made.awaiting.list_subscriptions()
        assert made.states[-1] is CLOSED
        assert made.venue.close_codes == [1000]

    simulated(scene)


def test_a_change_of_what_has_ended_is_refused() -> None:
    """Done or refused, even before the call has returned."""

    async def scene(made: Bench) -> None:
        subscription = await made.awaiting.subscribe("trade", BOOK_OF_A)
        await made.awaiting.unsubscribe(subscription)

        with pytest.raises(SubscriptionRefused, match="ended"):
            await made.awaiting.add_markets(subscription, ("B",))

    simulated(scene)


def test_bad_frames_leave_the_connection_up() -> None:
    """K56: text that is no JSON, JSON that is no object, binary."""

    async def scene(made: Bench) -> None:
        await made.awaiting.subscribe("trade", Parameters())

        for said in ("{", "[]", '"text"', b"\x00\x01"):
            await made.venue.say(said)
        await a_while()

        assert [told.fault for told in made.of(Told)] == [Fault.UNDECODABLE] * 4
        assert made.states[-1] is STREAMING
        assert made.connection.statistics()["malformed"] == 4

    simulated(scene)


def test_a_command_that_finds_no_room_is_answered_by_its_deadline() -> None:
    async def scene(made: Bench) -> None:
        with pytest.raises(SubscriptionRefused, match="no answer"):
            await made.awaiting.subscribe("trade", Parameters())

    simulated(scene, most_queued_bytes=0)
