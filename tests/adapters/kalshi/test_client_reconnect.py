"""What a client does when the connection is lost, and with what is wrong on it."""

import asyncio
from typing import Any

import msgspec
import pytest

from adapters.kalshi.client_settings import TO_THE_LETTER, ClientSettings
from adapters.kalshi.reports import Trouble
from adapters.kalshi.simulated.faults import (
    Abort,
    Close,
    HalfOpen,
    Inject,
    RefuseCommands,
    RefuseHandshakes,
    SendError,
    Swap,
    malformed,
    oversized,
    unknown_type,
)
from framework.errors import SubscriptionRefused
from framework.model.events import ConnectionState
from framework.net.link_options import LinkOptions
from framework.net.rest import RestOptions
from tests.adapters.kalshi.client_rig import QUICK, Bench, a_while, heard, rest_of, simulated
from tests.adapters.kalshi.simulated.stream_rig import BOS, NYC
from tests.broker.rig import simulated_loop

RECONNECTING, CLOSED = ConnectionState.RECONNECTING, ConnectionState.CLOSED
STREAMING = ConnectionState.STREAMING
DEFAULT = ClientSettings(link=QUICK)
LETTER = msgspec.structs.replace(TO_THE_LETTER, link=QUICK)


@pytest.mark.parametrize("fault", [Close(code=1001), Abort()])
def test_iterators_and_callbacks_outlive_a_lost_connection(fault: Close | Abort) -> None:
    """K37, K40, K41, K43, K46, K51: every subscription comes back with its parameters."""

    async def scene(at: Bench) -> None:
        called: list[Any] = []
        async with at.client(DEFAULT) as kalshi:

            @kalshi.on("fill")
            async def take(fill: Any) -> None:
                called.append(fill)

            trades = await kalshi.subscribe_trade(BOS, NYC)
            fills = await kalshi.subscribe_fill()
            at.exchange.trade(BOS)
            await a_while()
            at.inject(fault)
            await a_while(1)
            assert kalshi.state is STREAMING
            at.exchange.trade(NYC)
            at.say("fill")
            await a_while()

            assert len(await heard(trades)) == 2
            assert await heard(fills) == called != []
            first, second = at.commands("subscribe")[:2], at.commands("subscribe")[2:]
            assert first == second
            assert trades.statistics()["renewals"] == 1
        assert [new.value for _, new in at.moves][2:-1] == [
            *("streaming", "reconnecting", "connecting", "connected", "streaming"),
        ]

    simulated(scene)


def test_a_missed_pong_or_silence_is_a_lost_connection() -> None:
    """K37, K58, B13: by the venue's own pings, within two of their periods."""

    async def scene(at: Bench) -> None:
        async with at.client(DEFAULT) as kalshi:
            await kalshi.subscribe_trade()
            await a_while(1)
            at.inject(HalfOpen())
            begun_s = simulated_loop().time()
            async with asyncio.timeout(60):
                while RECONNECTING not in [new for _, new in at.moves]:
                    await a_while(1)
            assert 15 < simulated_loop().time() - begun_s <= 22
            await a_while(5)
            assert kalshi.state is STREAMING

    simulated(scene)


def test_the_defaults_are_those_of_the_rules() -> None:
    """K58, K60, K38, K39; B15: the first is retried for ever, not nearer than 0.1 s."""
    settings, letter = ClientSettings(), TO_THE_LETTER
    assert (settings.rest.deadline_s, settings.rest.retries) == (30.0, 3)
    assert (settings.rest.base_s, settings.rest.cap_s) == (0.5, 30.0)
    assert settings.rest == letter.rest == RestOptions()
    link = settings.link
    assert (link.ping_s, link.pong_s, link.close_s) == (20.0, 30.0, 5.0)
    assert (link.base_s, link.cap_s) == (letter.link.base_s, letter.link.cap_s) == (0.5, 30.0)
    assert (link.most_attempts, link.floor_s, link.silence_s) == (None, 0.1, 16.0)
    assert (letter.link.most_attempts, letter.link.floor_s) == (10, 0.0)


def test_when_attempts_run_out_every_iterator_ends() -> None:
    """K39, K47: the reader stops, CLOSED, run_forever returns."""
    link = LinkOptions(retries_first_connect=False, most_attempts=3, base_s=0.1)

    async def scene(at: Bench) -> None:
        async with at.client(ClientSettings(link=link)) as kalshi:
            trades = await kalshi.subscribe_trade()
            forever = asyncio.get_running_loop().create_task(kalshi.run_forever())
            at.inject(RefuseHandshakes(answer=503))
            at.inject(Abort())
            assert await rest_of(trades) == []
            await forever
            assert kalshi.state is CLOSED
            with pytest.raises(SubscriptionRefused):
                await kalshi.subscribe_trade()
        assert at.troubles() == [Trouble.CONNECTION]

    simulated(scene)


def test_a_subscribe_while_reconnecting_waits_and_succeeds() -> None:
    """K48."""

    async def scene(at: Bench) -> None:
        async with at.client(DEFAULT) as kalshi:
            await kalshi.subscribe_trade(BOS)
            at.inject(RefuseHandshakes(answer=503, for_s=8.0))
            at.inject(Abort())
            await a_while()
            assert kalshi.state is not STREAMING
            begun_s = simulated_loop().time()
            fills = await kalshi.subscribe_fill()
            more = await kalshi.subscribe_trade(NYC)
            assert simulated_loop().time() - begun_s > 5
            at.say("fill")
            at.exchange.trade(NYC)
            assert len(await heard(fills)) == len(await heard(more)) == 1

    simulated(scene)


@pytest.mark.parametrize("settings", [DEFAULT, LETTER])
def test_a_renewal_that_fails_ends_only_its_iterator(settings: ClientSettings) -> None:
    """K42, B16, K54: after some attempts, or to the letter at once; the hook hears of it."""

    async def scene(at: Bench) -> None:
        async with at.client(settings) as kalshi:
            trades = await kalshi.subscribe_trade()
            fills = await kalshi.subscribe_fill()
            at.say("fill")
            await a_while()
            at.inject(RefuseCommands(channel="fill", code=9, count=None))
            at.inject(Abort())
            if settings is LETTER:
                assert len(await rest_of(fills)) == 1
            else:
                assert len(await heard(fills)) == 1
                with pytest.raises(SubscriptionRefused, match="code 9"):
                    await rest_of(fills)
            at.say("trade")
            assert len(await heard(trades, 5)) == 1
            assert kalshi.state is STREAMING
            assert not fills.is_open
        assert Trouble.RENEWAL_FAILED in at.troubles()
        assert at.troubles()[-1] is Trouble.ENDED

    simulated(scene)


def test_what_the_venue_ends_is_asked_for_again() -> None:
    """B12: codes 10 and 25 are no silence; books come back on the same iterator."""

    async def scene(at: Bench) -> None:
        async with at.client(DEFAULT) as kalshi:
            books = await kalshi.orderbook(BOS)
            assert len(await heard(books)) == 1
            at.inject(SendError(code=25, channel="orderbook_delta"))
            assert len(await heard(books, 5)) == 1
            assert books.statistics()["interruptions"] == 1
        assert at.troubles()[:2] == [Trouble.SERVER_ERROR, Trouble.INTERRUPTED]
        assert at.reports[0].code == at.reports[1].code == 25

    simulated(scene)


def test_to_the_letter_what_the_venue_ends_ends_everything() -> None:
    """K17."""

    async def scene(at: Bench) -> None:
        async with at.client(LETTER) as kalshi:
            books = await kalshi.orderbook(BOS)
            trades = await kalshi.subscribe_trade()
            at.inject(SendError(code=10, channel="orderbook_delta"))
            assert await rest_of(trades) == []
            assert len(await rest_of(books)) == 1
            await kalshi.run_forever()
            assert kalshi.state is CLOSED

    simulated(scene)


def test_frames_before_the_acknowledgement_are_delivered_after_it() -> None:
    """K49, B7."""

    async def scene(at: Bench) -> None:
        at.inject(Swap(types=("subscribed",), distance=2))
        async with at.client(DEFAULT) as kalshi:
            loop = asyncio.get_running_loop()
            subscribing = loop.create_task(kalshi.subscribe_orderbook_delta(BOS))
            await a_while(0.01)
            at.change()
            changes = await subscribing
            assert len(await heard(changes)) == 2

    simulated(scene)


def test_bad_frames_are_counted_reported_and_skipped() -> None:
    """K56, K54, K53: no JSON, binary, no object; the connection stays."""

    async def scene(at: Bench) -> None:
        async with at.client(DEFAULT) as kalshi:
            trades = await kalshi.subscribe_trade()
            at.inject(malformed())
            at.inject(Inject(binary=b"\x00\x01"))
            at.inject("[1]")
            at.inject(oversized(2 << 20))
            at.inject(unknown_type())
            at.inject('{"type": "error", "msg": {"code": 27, "msg": "Too many requests"}}')
            await a_while(1)
            at.say("trade")
            assert len(await heard(trades)) == 1
            assert kalshi.statistics()["malformed"] == 3
            assert kalshi.statistics()["connections"] == 1
        undecodable = at.troubles().count(Trouble.UNDECODABLE)
        assert undecodable + at.troubles().count(Trouble.UNKNOWN_TYPE) == 5
        assert at.reports[-1].code == 27

    simulated(scene)


@pytest.mark.parametrize("settings", [DEFAULT, LETTER])
def test_what_cannot_be_decoded_is_delivered_as_it_came(settings: ClientSettings) -> None:
    """B19, B21, K56: with a report; to the letter it is skipped."""
    bad = '{"type":"trade","sid":{sid},"seq":{seq},"msg":{"yes_price_dollars":[]}}'

    async def scene(at: Bench) -> None:
        called: list[Any] = []
        async with at.client(settings) as kalshi:

            @kalshi.on("trade")
            async def take(trade: Any) -> None:
                called.append(trade)

            trades = await kalshi.subscribe_trade()
            at.inject(Inject(channel="trade", text=bad))
            at.inject(unknown_type("trade"))
            found = await heard(trades)
            assert called == found
            if settings is LETTER:
                assert found == []
            else:
                kinds = [frame["type"] for frame in found if isinstance(frame, dict)]
                assert kinds == ["trade", "unheard_of"]
            counts = trades.statistics()
            assert (counts["undecodable"], counts["unknown_types"]) == (1, 1)
        assert at.troubles() == [Trouble.UNDECODABLE, Trouble.UNKNOWN_TYPE]
        assert {report.channel for report in at.reports} == {"trade"}

    simulated(scene)


def test_there_are_figures_for_everything() -> None:
    """B14, B12: per subscription and for the client, ages and depths included."""

    async def scene(at: Bench) -> None:
        async with at.client(DEFAULT) as kalshi:
            trades = await kalshi.subscribe_trade()
            at.say("trade", count=3)
            await a_while(2)
            counts = trades.statistics()
            assert (counts["queued"], counts["frames"]) == (3, 3)
            assert counts["last_frame_age_ns"] == pytest.approx(2e9, rel=0.01)
            figures = kalshi.statistics()
            assert figures["subscriptions"] == figures["upstreams"] == 1
            assert figures["trouble_gap"] == figures["lost"] == 0
            assert figures["opened"] == 1

    simulated(scene)
