"""The client as its user sees it: connecting, subscribing, and the eleven channels."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.kalshi import messages
from adapters.kalshi.client import KalshiClient
from adapters.kalshi.client_settings import CHANNELS, TO_THE_LETTER, ClientSettings
from adapters.kalshi.message_stream import MessageStream
from adapters.kalshi.readers import market_of
from adapters.kalshi.reports import Trouble
from adapters.kalshi.settings import Environment
from adapters.kalshi.simulated.auth import AuthMode
from adapters.kalshi.simulated.faults import Inject, RefuseCommands, RefuseHandshakes, SlowCommands
from adapters.kalshi.simulated.stream_settings import SecondSubscribe
from framework.bus.overflow import Overflow
from framework.errors import (
    AccessRefused,
    ConfigError,
    InvariantBroken,
    NotFound,
    SubscriptionRefused,
    VenueUnavailable,
)
from framework.model.events import ConnectionState
from framework.net.link_options import LinkOptions
from framework.net.listening import listen
from framework.settings.secrets import Secret
from tests.adapters.kalshi.client_rig import (
    FRAMES,
    PRIVATE_PEM,
    QUICK,
    Bench,
    a_while,
    heard,
    name_of,
    rest_of,
    simulated,
)
from tests.adapters.kalshi.simulated.stream_rig import BOS, NYC, SEA
from tests.adapters.kalshi.socket_venue import HOST, PORT, URL, SocketVenue
from tests.broker.rig import play, simulated_loop

DISCONNECTED, CONNECTING = ConnectionState.DISCONNECTED, ConnectionState.CONNECTING
CONNECTED, STREAMING = ConnectionState.CONNECTED, ConnectionState.STREAMING
CLOSED = ConnectionState.CLOSED
ALICE: dict[str, Any] = {"key_id": "key-alice", "private_key": PRIVATE_PEM}
Subscribe = Callable[[KalshiClient], Awaitable[MessageStream[Any]]]

TYPED: dict[str, tuple[Subscribe, dict[str, type]]] = {
    "ticker": (lambda kalshi: kalshi.subscribe_ticker(), {"ticker": messages.Ticker}),
    "trade": (lambda kalshi: kalshi.subscribe_trade(), {"trade": messages.Trade}),
    "market_lifecycle_v2": (
        lambda kalshi: kalshi.subscribe_market_lifecycle(),
        {
            "market_lifecycle_v2": messages.MarketLifecycle,
            "event_lifecycle": messages.EventLifecycle,
            "event_fee_update": messages.EventFeeUpdate,
        },
    ),
    "multivariate": (
        lambda kalshi: kalshi.subscribe_multivariate(),
        {"multivariate_lookup": messages.MultivariateLookup},
    ),
    "multivariate_market_lifecycle": (
        lambda kalshi: kalshi.subscribe_multivariate_lifecycle(),
        {
            "multivariate_market_lifecycle": messages.MarketLifecycle,
            "event_lifecycle": messages.EventLifecycle,
        },
    ),
    "fill": (lambda kalshi: kalshi.subscribe_fill(), {"fill": messages.Fill}),
    "user_orders": (
        lambda kalshi: kalshi.subscribe_user_orders(),
        {"user_order": messages.UserOrder},
    ),
    "market_positions": (
        lambda kalshi: kalshi.subscribe_market_positions(),
        {"market_position": messages.MarketPosition},
    ),
    "order_group_updates": (
        lambda kalshi: kalshi.subscribe_order_group(),
        {"order_group_updates": messages.OrderGroupUpdate},
    ),
    "communications": (
        lambda kalshi: kalshi.subscribe_communications(),
        {
            "rfq_created": messages.RfqCreated,
            "rfq_deleted": messages.RfqDeleted,
            "quote_created": messages.QuoteCreated,
            "quote_accepted": messages.QuoteAccepted,
            "quote_executed": messages.QuoteExecuted,
        },
    ),
}


# -- lifecycle ---------------------------------------------------------------------------------


def test_entering_connects_and_leaving_ends_every_iterator_normally() -> None:
    """K1, K2, K50, K51, K52, B17: every move once, in order; STREAMING by the first answer."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            assert kalshi.state is CONNECTED
            trades = await kalshi.subscribe_trade()
            fills = await kalshi.subscribe_fill()
            assert kalshi.state is STREAMING
            reading = asyncio.get_running_loop().create_task(rest_of(fills))
            at.say("trade")
            await a_while()

        assert await reading == []
        assert len(await rest_of(trades)) == 1
        assert kalshi.state is CLOSED
        assert at.moves == [
            (DISCONNECTED, CONNECTING),
            (CONNECTING, CONNECTED),
            (CONNECTED, STREAMING),
            (STREAMING, CLOSED),
        ]
        await kalshi.aclose()

    simulated(scene)


def test_leaving_closes_the_socket_with_code_1000() -> None:
    """K2."""

    async def main() -> None:
        venue = SocketVenue()
        listener = await listen(venue.app, HOST, PORT)
        async with KalshiClient(stream_url=URL, rest_url="http://kalshi:8080"):
            await a_while()
            assert venue.commands == []
        await a_while()
        await listener.aclose()
        assert venue.close_codes == [1000]

    play(main)


def test_a_first_connect_that_fails_raises_and_ends_in_closed() -> None:
    """K1."""

    async def scene(at: Bench) -> None:
        at.inject(RefuseHandshakes(answer=503))
        kalshi = at.client()

        with pytest.raises(VenueUnavailable):
            async with kalshi:
                pass

        assert kalshi.state is CLOSED
        assert at.moves[-1] == (CONNECTING, CLOSED)
        assert at.troubles() == [Trouble.CONNECTION]

    simulated(scene)


def test_the_first_connect_can_be_tried_again() -> None:
    """B15: where that is wanted."""

    async def scene(at: Bench) -> None:
        at.inject(RefuseHandshakes(answer=503, count=3))

        async with at.client(ClientSettings(link=LinkOptions(base_s=0.1))) as kalshi:
            assert kalshi.state is CONNECTED

    simulated(scene)


def test_a_wrong_key_is_an_access_error_at_once() -> None:
    """K1, K61, B15."""

    async def scene(at: Bench) -> None:
        with pytest.raises(AccessRefused):
            async with at.client(key_id="key-eve", private_key=PRIVATE_PEM):
                pass

    simulated(scene, mode=AuthMode.REQUIRE)


def test_a_caller_that_gives_up_connecting_leaves_nothing_behind() -> None:
    async def scene(at: Bench) -> None:
        at.inject(RefuseHandshakes(answer="hang"))
        kalshi = at.client()

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), kalshi:
                pass

        assert kalshi.state is CLOSED
        at.control.heal()

    simulated(scene)


def test_a_client_connects_once() -> None:
    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            with pytest.raises(InvariantBroken):
                await kalshi.__aenter__()

    simulated(scene)


def test_nothing_can_be_asked_of_a_client_that_is_not_connected() -> None:
    async def scene(at: Bench) -> None:
        kalshi = at.client()
        assert kalshi.state is DISCONNECTED
        with pytest.raises(SubscriptionRefused, match="not connected"):
            await kalshi.subscribe_trade()
        async with kalshi:
            pass
        with pytest.raises(SubscriptionRefused, match="closed"):
            await kalshi.subscribe_trade()
        await at.client().aclose()

    simulated(scene)


def test_a_client_needs_a_place_and_both_halves_of_a_key() -> None:
    with pytest.raises(ConfigError, match="a key has an id and a private part"):
        KalshiClient(key_id="key-alice")
    with pytest.raises(ConfigError, match="simulated"):
        KalshiClient(environment=Environment.SIMULATED)


def test_without_a_key_there_are_the_public_channels() -> None:
    """K4: no auth headers; code 9 on a private channel."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            trades = await kalshi.subscribe_trade()
            at.say("trade")
            assert len(await heard(trades)) == 1
            with pytest.raises(SubscriptionRefused) as caught:
                await kalshi.subscribe_fill()
            assert caught.value.code == 9

    simulated(scene, mode=AuthMode.OPTIONAL)


def test_every_attempt_is_signed_afresh() -> None:
    """K5, R-43: a new timestamp each time; the URL stays bare."""

    async def main() -> None:
        venue = SocketVenue()
        listener = await listen(venue.app, HOST, PORT)
        settings = ClientSettings(link=QUICK)
        async with KalshiClient(
            stream_url=URL, rest_url="http://kalshi:8080", settings=settings, **ALICE
        ) as kalshi:
            await kalshi.subscribe_trade()
            await venue.hang_up()
            await a_while(1)
            await kalshi.subscribe_fill()
        await listener.aclose()
        first, second = (headers["KALSHI-ACCESS-TIMESTAMP"] for headers in venue.headers)
        assert int(first) < int(second)
        assert all(headers["KALSHI-ACCESS-KEY"] == "key-alice" for headers in venue.headers)

    play(main)


def test_a_signed_client_is_let_in() -> None:
    """K5: the key as text or as a secret."""

    async def scene(at: Bench) -> None:
        for private_key in (PRIVATE_PEM, Secret(PRIVATE_PEM)):
            async with at.client(key_id="key-alice", private_key=private_key) as kalshi:
                await kalshi.subscribe_fill()

    simulated(scene, mode=AuthMode.REQUIRE)


def test_a_key_that_is_not_where_it_was_said_to_be_is_a_setting_that_makes_no_sense() -> None:
    async def scene(at: Bench) -> None:
        with pytest.raises(ConfigError, match="not set"):
            async with at.client(key_id="key-alice", private_key="env:NO_SUCH_VARIABLE_HERE"):
                pass

    simulated(scene)


# -- subscribing -------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", TYPED)
def test_each_channel_has_a_typed_stream_and_callbacks_of_the_same_type(channel: str) -> None:
    """K6, K20, K21, B19: all types of the channel."""
    subscribe, types = TYPED[channel]
    assert list(types) == FRAMES[channel]

    async def scene(at: Bench) -> None:
        called: list[Any] = []
        kalshi = at.client(**ALICE)

        @kalshi.on(channel)
        async def take(message: Any) -> None:
            called.append(message)

        async with kalshi:
            stream = await subscribe(kalshi)
            for kind in types:
                at.say(channel, kind, 2)
            found = await heard(stream)

        expected = [kind for kind in types.values() for _ in range(2)]
        assert [type(message) for message in found] == expected
        assert called == found
        assert len({name_of(message) for message in found}) == len(found)
        assert at.reports == []

    simulated(scene, profile="seed")


def test_the_order_book_channel_tells_snapshots_and_changes() -> None:
    """K6, K45."""

    async def scene(at: Bench) -> None:
        called: list[Any] = []
        async with at.client() as kalshi:
            kalshi.on("orderbook_delta")(_into(called))
            stream = await kalshi.subscribe_orderbook_delta(BOS, NYC)
            at.change(NYC)
            found = await heard(stream)

        assert [type(message) for message in found] == [messages.Book] * 2 + [messages.Level]
        assert [market_of(message) for message in found] == [BOS, NYC, NYC]
        assert called == found
        assert at.commands("subscribe")[0]["send_initial_snapshot"] is True

    simulated(scene)


def test_a_subscribe_returns_with_its_acknowledgement() -> None:
    """K7, B7: however late, while other channels go on."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            trades = await kalshi.subscribe_trade()
            at.inject(SlowCommands(delay_s=2.0))
            begun_s = simulated_loop().time()
            subscribing = asyncio.get_running_loop().create_task(kalshi.subscribe_ticker())
            await a_while()
            at.say("trade", count=3)
            assert len(await heard(trades)) == 3
            await subscribing
            assert simulated_loop().time() - begun_s == pytest.approx(2, abs=0.1)

    simulated(scene)


def test_an_error_instead_of_the_acknowledgement_raises_with_its_code() -> None:
    """K7, K53: the hook hears of it with code, text and id."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            with pytest.raises(SubscriptionRefused) as caught:
                await kalshi.subscribe("no_such_channel")
            await a_while()

        assert (caught.value.code, caught.value.text) == (8, "Unknown channel name")
        [report] = at.reports
        assert report.trouble is Trouble.SERVER_ERROR
        assert (report.code, report.text, report.id) == (8, "Unknown channel name", 1)

    simulated(scene)


def test_no_answer_within_five_seconds_raises_too() -> None:
    """K7."""

    async def scene(at: Bench) -> None:
        at.inject(SlowCommands(delay_s=60.0, cmd="subscribe"))
        async with at.client() as kalshi:
            begun_s = simulated_loop().time()
            with pytest.raises(SubscriptionRefused, match="no answer"):
                await kalshi.subscribe_trade()
            assert simulated_loop().time() - begun_s == pytest.approx(5, abs=0.1)
            assert kalshi.statistics()["upstreams"] == 0

    simulated(scene)


def test_a_caller_that_gives_up_takes_its_subscription_back() -> None:
    async def scene(at: Bench) -> None:
        at.inject(SlowCommands(delay_s=2.0, cmd="subscribe", count=1))
        async with at.client() as kalshi:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await kalshi.subscribe_trade()
            await a_while(3)
            assert at.control.subscriptions() == []

    simulated(scene)


def test_channels_that_we_do_not_know_come_as_json_objects() -> None:
    """K8, 7.12: without a word about unknown types, and to callbacks too."""

    async def scene(at: Bench) -> None:
        called: list[Any] = []
        async with at.client() as kalshi:
            kalshi.on("pyth_value")(_into(called))
            stream = await kalshi.subscribe("pyth_value", {"underlying_tickers": ["BTC"]})
            text = '{"type": "pyth_value", "sid": {sid}, "seq": {seq}, "msg": {"value": "1.5"}}'
            at.inject(Inject(channel="pyth_value", text=text))
            found = await heard(stream)

        assert [frame["msg"] for frame in found] == [{"value": "1.5"}]
        assert called == found
        assert at.reports == []

    simulated(scene)


def test_a_known_channel_can_be_had_as_json_objects_too() -> None:
    """K8."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            stream = await kalshi.subscribe(
                "orderbook_delta", {"market_tickers": [BOS]}, Overflow.DROP_OLDEST, 5
            )
            at.change()
            found = await heard(stream)
            assert [frame["type"] for frame in found] == ["orderbook_snapshot", "orderbook_delta"]
            assert stream.statistics()["capacity"] == 5

    simulated(scene)


def test_every_known_parameter_is_forwarded_and_a_typo_is_refused() -> None:
    """K9, B20: what is newer than the client goes through `extra`."""
    params: dict[str, Any] = {
        "market_tickers": [BOS],
        "shard_factor": 4,
        "shard_key": 2,
        "send_initial_snapshot": False,
        "skip_ticker_ack": True,
        "use_yes_price": True,
        "user_filter": "self",
        "index_ids": ["A"],
        "underlying_tickers": ["B"],
    }

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            with pytest.raises(ConfigError, match="market_tickrs"):
                await kalshi.subscribe("trade", {"market_tickrs": [BOS]})
            with pytest.raises(ConfigError, match="market_tickers"):
                await kalshi.subscribe("trade", {"market_tickers": [1]})
            assert at.commands("subscribe") == []
            await kalshi.subscribe("trade", params | {"extra": {"novelty": [1]}})
            await kalshi.subscribe("ticker", {"market_id": f"id-{BOS}"})
            await kalshi.subscribe_ticker(market_ids=[f"id-{BOS}"], send_initial_snapshot=True)

        first, second, third = at.commands("subscribe")
        assert first == {"channels": ["trade"], "novelty": [1], **params}
        assert second == {"channels": ["ticker"], "market_id": f"id-{BOS}"}
        assert third["market_ids"] == [f"id-{BOS}"]

    simulated(scene)


def test_queues_are_of_the_default_size_and_rule_unless_it_is_said() -> None:
    """K11, K12, B11, K10: the books' queue holds 100; execution channels lose nothing silently."""

    async def scene(at: Bench) -> None:
        lossless = {"orderbook_delta", "order_group_updates"}
        assert {c for c in CHANNELS if TO_THE_LETTER.overflow_of(c) is Overflow.ERROR} == lossless
        lossless |= {"fill", "user_orders", "market_positions"}
        default = ClientSettings()
        assert {c for c in CHANNELS if default.overflow_of(c) is Overflow.ERROR} == lossless
        async with at.client() as kalshi:
            trades = await kalshi.subscribe_trade()
            books = await kalshi.orderbook(BOS)
            few = await kalshi.subscribe_fill(maxsize=3, overflow=Overflow.DROP_OLDEST)
            at.say("fill", count=5)
            await a_while()
            assert trades.statistics()["capacity"] == 1_000
            assert books.statistics()["capacity"] == 100
            assert few.statistics()["capacity"] == 3
            assert few.statistics()["dropped"] == 2
            assert few.qsize() == 3
            with pytest.raises(ValueError, match="at least one"):
                await kalshi.subscribe_trade(maxsize=0)

    simulated(scene)


# -- sharing, and going ------------------------------------------------------------------------


def test_consumers_of_the_same_share_one_subscription() -> None:
    """B24: the last one to leave unsubscribes; K18: nobody else notices."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            first = await kalshi.subscribe_trade()
            second = await kalshi.subscribe_trade()
            assert len(at.commands("subscribe")) == 1
            at.say("trade")
            assert await heard(first) == await heard(second) != []
            assert first.statistics()["shared_by"] == 2

            await first.aclose()
            assert not first.is_open
            assert await rest_of(first) == []
            at.say("trade")
            assert len(await heard(second)) == 1
            assert at.commands("unsubscribe") == []

            async with second:
                pass
            assert len(at.commands("unsubscribe")) == 1
            assert at.control.subscriptions() == []
            assert second.statistics()["delivered"] == 2
            await second.aclose()

    simulated(scene)


def test_consumers_of_different_markets_share_it_too_and_hear_only_theirs() -> None:
    """B24, 6.8: markets are added and taken away with those who want them."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            bos = await kalshi.subscribe_trade(BOS)
            both = await kalshi.subscribe_trade(BOS, NYC)
            everything = await kalshi.subscribe_trade()
            for market in (BOS, NYC, SEA):
                at.exchange.trade(market)
            assert [len(await heard(stream)) for stream in (bos, both, everything)] == [1, 2, 3]
            assert at.commands("add_markets")[0]["market_tickers"] == [NYC]

            await both.aclose()
            assert at.commands("delete_markets")[0]["market_tickers"] == [NYC]
            [covered, _] = at.control.subscriptions()
            assert covered.market_tickers == (BOS,)
            assert len(at.commands("subscribe")) == 2

    simulated(scene)


def test_markets_come_and_go_on_a_stream() -> None:
    """B24: counted over the streams."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            stream = await kalshi.subscribe_trade(BOS)
            other = await kalshi.subscribe_trade(BOS)
            await stream.add_markets(NYC, BOS)
            await other.add_markets(NYC)
            await stream.delete_markets(NYC, SEA)
            assert at.commands("delete_markets") == []
            await other.delete_markets(NYC)
            assert at.commands("delete_markets") != []
            with pytest.raises(ValueError, match="without a market"):
                await stream.delete_markets(BOS)
            with pytest.raises(ValueError, match="covers everything"):
                await (await kalshi.subscribe_fill()).add_markets(BOS)
            await stream.aclose()
            await stream.add_markets(NYC)
            await stream.delete_markets(NYC)
            assert other.markets == {BOS}

    simulated(scene)


def test_a_refused_market_costs_only_who_asked_for_it() -> None:
    """B24, K18: the others go on; nothing is remembered of the wish."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            stream = await kalshi.subscribe_trade(BOS)
            at.inject(RefuseCommands(cmd="update_subscription", code=26, count=3))
            for _ in range(2):
                with pytest.raises(SubscriptionRefused, match="code 26"):
                    await stream.add_markets(NYC)
            with pytest.raises(SubscriptionRefused, match="code 26"):
                await kalshi.subscribe_trade(SEA)
            assert stream.markets == {BOS}
            at.exchange.trade(NYC)
            at.exchange.trade(BOS)
            assert len(await heard(stream)) == 1
            assert stream.statistics()["shared_by"] == 1
            await kalshi.subscribe_trade(SEA)

    simulated(scene)


@pytest.mark.parametrize("mode", list(SecondSubscribe))
def test_subscriptions_that_cannot_be_shared_work_whatever_the_venue_does(
    mode: SecondSubscribe,
) -> None:
    """B8, 6.8: a sid of its own, one merged into the first, or error 6."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            plain = await kalshi.subscribe_trade(BOS)
            other = await kalshi.subscribe("trade", {"market_ticker": NYC, "skip_ticker_ack": True})
            at.exchange.trade(BOS)
            at.exchange.trade(NYC)
            assert [market_of(trade) for trade in await heard(plain)] == [BOS]
            assert [frame["msg"]["market_ticker"] for frame in await heard(other)] == [NYC]
            await other.aclose()
            at.exchange.trade(BOS)
            assert len(await heard(plain)) == 1

    simulated(scene, second_subscribe=mode)


def test_a_full_subscription_is_not_shared_any_more() -> None:
    async def scene(at: Bench) -> None:
        async with at.client(ClientSettings(most_markets=2)) as kalshi:
            await kalshi.subscribe_trade(BOS, NYC)
            await kalshi.subscribe_trade(SEA)
            await kalshi.subscribe_ticker(BOS, send_initial_snapshot=True)
            await kalshi.subscribe_ticker(BOS, send_initial_snapshot=True)
            assert kalshi.statistics()["upstreams"] == 4

    simulated(scene)


def test_who_joins_a_subscription_that_is_refused_is_refused_as_well() -> None:
    """K7: one command, two callers, one answer."""

    async def scene(at: Bench) -> None:
        at.inject(SlowCommands(delay_s=1.0))
        async with at.client() as kalshi:
            at.inject(RefuseCommands(cmd="subscribe", code=9))
            both = await asyncio.gather(
                kalshi.subscribe_fill(), kalshi.subscribe_fill(), return_exceptions=True
            )
            assert [error.code for error in both if isinstance(error, SubscriptionRefused)] == [
                9,
                9,
            ]

    simulated(scene)


def test_rest_is_there_too() -> None:
    """K61: its errors are those of the framework."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            with pytest.raises(NotFound):
                await kalshi.rest.order_groups()
            assert kalshi.statistics()["rest_left_out"] == 0

    simulated(scene)


def _into(called: list[Any]) -> Callable[[Any], Awaitable[None]]:
    async def take(message: Any) -> None:
        called.append(message)

    return take
