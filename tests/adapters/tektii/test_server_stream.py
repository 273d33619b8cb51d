import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapters.tektii.server_settings import GatewaySettings
from adapters.tektii.server_stream import EventStream
from framework.errors import ConfigError, StrategyError
from framework.model.desk import Principal, Verb
from framework.model.events import DataStale
from framework.model.instrument import Instrument
from framework.model.orders import OrderIntent, OrderStatus, OrderType, Side
from framework.settings.server import LimitSettings
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import OWNER, START_NS, FakeDesk
from tests.adapters.tektii.gateway_rig import place_of
from tests.adapters.tektii.stream_rig import Client, Rig, rig

D = Decimal
AAPL = "mock:AAPL"
QUOTES = json.dumps([{"platform": "mock", "instrument": "AAPL", "events": ["quote"]}])
ORDERS = json.dumps([{"platform": "mock", "instrument": "*", "events": ["orders"]}])


def play(scenario: Callable[[Rig], Awaitable[None]], **options: Any) -> Rig:
    async def main() -> Rig:
        async with rig(**options) as stage:
            await scenario(stage)
            return stage

    with capture_logs():
        return run_simulated(main)


async def bought(stage: Rig, key: str = "c.1", **more: Any) -> str:
    intent = OrderIntent("", key, AAPL, Side.BUY, D(10), **more)
    return (await stage.desk.submit(OWNER, intent)).order.order_id


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame.get("event") or frame.get("code") or frame["type"] for frame in frames]


# -- a connection (11.1) -------------------------------------------------------------------------


def test_nothing_is_sent_on_connecting_and_everything_from_then_on() -> None:
    async def scenario(stage: Rig) -> None:
        stage.desk.set_quote(AAPL, 1, 2)
        async with stage.client() as client, stage.client() as other:
            assert await client.all() == []
            stage.desk.fill(await bought(stage), D(100))

            frames = await client.all()
            assert kinds(frames) == [
                "ORDER_CREATED",
                "ORDER_FILLED",
                "TRADE_FILLED",
                "POSITION_OPENED",
                "BALANCE_UPDATED",
            ]
            assert await other.all() == frames
            assert [frame["seq"] for frame in frames] == [1, 2, 3, 4, 5]
            assert {frame["epoch"] for frame in frames} == {frames[0]["epoch"]}
            assert not any("event_id" in frame for frame in frames)

    play(scenario)


def test_stale_instruments_are_told_on_connecting() -> None:
    async def scenario(stage: Rig) -> None:
        stage.desk.emit(DataStale(AAPL, "quotes", 0, START_NS))
        async with stage.client() as client:
            (frame,) = await client.all()

        assert (frame["event"], frame["symbols"], frame["broker"]) == ("STALE", ["AAPL"], "mock")
        assert "seq" not in frame

    play(scenario)


def test_connections_and_slow_readers_are_counted() -> None:
    limits = LimitSettings(outbox=8, outbox_bytes=1_024)

    def metric(stage: Rig, name: str) -> float | None:
        return stage.stream._place.context.metrics.get_sample_value(name)

    async def scenario(stage: Rig) -> None:
        async with stage.client() as client:
            await stage.until(lambda: stage.stream.links.active)
            assert metric(stage, "gateway_ws_connections_active") == 1
            for _ in range(50):
                stage.desk.set_quote(AAPL, 1, 2)
            await client.all()
            assert client.close_code == 1013
        await stage.until(lambda: not stage.stream.links.active)
        assert metric(stage, "gateway_ws_connections_active") == 0
        assert metric(stage, "gateway_ws_slow_consumer_disconnects") == 1

    play(scenario, limits=limits)


# -- what clients send (11.3) --------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "pong"},
        {"type": "event_ack"},
        {"type": "event_ack", "events_processed": [None, "evt-9", 5]},
        {"type": "event_ack", "events_processed": "x", "timestamp": []},
    ],
)
def test_acks_and_pongs_are_taken_without_a_word(frame: Any) -> None:
    async def scenario(stage: Rig) -> None:
        async with stage.client() as client:
            await client.say(frame)
            assert await client.all() == []

    play(scenario)


def test_what_is_not_understood_is_told_every_5_s_and_never_ends_the_link() -> None:
    async def scenario(stage: Rig) -> None:
        async with stage.client() as client, stage.client() as other:
            for frame in ("{", b"\x00\x01", {"type": "order"}, "[" * 9_000, "", "\x00"):
                await client.say(frame)
            (complaint,) = await client.all(4.0)
            assert (complaint["type"], complaint["code"]) == ("error", "INVALID_MESSAGE")
            assert await other.all() == []

            await asyncio.sleep(2)
            await client.say({"type": "order"})
            (complaint,) = await client.all()
            assert complaint["message"] == "unknown type 'order'"
            stage.desk.set_quote(AAPL, 1, 2)
            assert kinds(await client.all()) == ["quote"]

    play(scenario)


# -- subscriptions (11.6) ------------------------------------------------------------------------


def test_the_servers_list_filters_and_says_what_to_watch() -> None:
    async def scenario(stage: Rig) -> None:
        await stage.until(lambda: stage.desk.watched)
        assert [one.name for one in stage.desk.watched] == [(AAPL, "quotes", "")]
        async with stage.client() as client:
            await bought(stage)
            stage.desk.set_quote(AAPL, 1, 2)
            stage.desk.set_quote("mock:BTC/USD", 1, 2)
            assert kinds(await client.all()) == ["quote"]

    stage = play(scenario, settings=GatewaySettings(subscriptions=QUOTES))
    assert all(one.is_closed for one in stage.desk.watched)


def test_without_a_list_the_mock_watches_four_symbols() -> None:
    desk = FakeDesk([Instrument(f"mock:{name}") for name in ("AAPL", "MSFT", "BTCUSD", "EURUSD")])

    async def scenario(stage: Rig) -> None:
        await stage.until(lambda: len(desk.watched) == 8)

    play(scenario, desk=desk)

    names = {one.name for one in desk.watched}
    assert ("mock:EURUSD", "quotes", "") in names
    assert ("mock:BTCUSD", "candles", "1m") in names


def test_other_venues_are_asked_for_nothing_by_default() -> None:
    async def scenario(stage: Rig) -> None:
        await asyncio.sleep(1)

    stage = play(scenario, settings=GatewaySettings(platforms={"mock": "alpaca-paper"}))
    assert stage.desk.watched == []


def test_a_list_that_makes_no_sense_stops_the_start() -> None:
    place = place_of(FakeDesk(), settings=GatewaySettings(subscriptions='[{"platform": "m"}]'))

    with pytest.raises(ConfigError, match=r"server\[0\]\.doors\[0\]\.settings\.subscriptions"):
        EventStream(place)


def test_a_client_may_have_a_list_of_its_own() -> None:
    own = json.dumps([{"platform": "mock", "instrument": "BTC/USD", "events": ["quote"]}])

    async def scenario(stage: Rig) -> None:
        def watches() -> list[bool]:
            name = ("mock:BTC/USD", "quotes", "")
            return [one.is_closed for one in stage.desk.watched if one.name == name]

        async with stage.client() as whole, stage.client(subscriptions=own) as client:
            await stage.until(watches)
            await bought(stage)
            stage.desk.set_quote(AAPL, 1, 2)
            stage.desk.set_quote("mock:BTC/USD", 1, 2)
            assert kinds(await client.all()) == ["quote"]
            assert kinds(await whole.all()) == ["ORDER_CREATED", "quote", "quote"]
            assert watches() == [False]
        await stage.until(lambda: watches() == [True])

    play(scenario)


def test_a_client_may_change_its_list() -> None:
    async def scenario(stage: Rig) -> None:
        async with stage.client() as client:
            stage.desk.set_quote(AAPL, 1, 2)
            (first,) = await client.all()

            await client.say({"type": "subscribe", "subscriptions": json.loads(ORDERS)})
            await asyncio.sleep(0.1)
            stage.desk.set_quote(AAPL, 1, 2)
            await bought(stage)
            (second,) = await client.all()
            assert second["type"] == "order"
            assert (second["seq"], second["epoch"] != first["epoch"]) == (1, True)

            await client.say({"type": "subscribe", "subscriptions": json.loads(QUOTES)})
            await asyncio.sleep(0.1)
            stage.desk.set_quote(AAPL, 1, 2)
            await bought(stage, "c.2")
            assert kinds(await client.all()) == ["quote", "ORDER_CREATED"]

            both = json.loads(QUOTES) + json.loads(ORDERS)
            await client.say({"type": "unsubscribe", "subscriptions": both})
            await asyncio.sleep(0.1)
            stage.desk.set_quote(AAPL, 1, 2)
            (again,) = await client.all()
            assert again["epoch"] == first["epoch"]
            assert again["seq"] > first["seq"]

    play(scenario)


def test_a_clients_list_is_bounded() -> None:
    many = [
        {"platform": "mock", "instrument": f"S{number}", "events": ["quote"]}
        for number in range(201)
    ]

    async def scenario(stage: Rig) -> None:
        async with stage.client() as client:
            await client.say({"type": "subscribe", "subscriptions": many})
            (complaint,) = await client.all()
            assert complaint["message"] == "more than 200 subscriptions"
            stage.desk.set_quote(AAPL, 1, 2)
            assert kinds(await client.all()) == ["quote"]
        await refused(stage, 400, subscriptions=json.dumps(many))

    play(scenario)


async def refused(stage: Rig, status: int, who: str = "", **query: Any) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with stage.client(who, **query):
            pass
    assert caught.value.status == status


@pytest.mark.parametrize(
    "query",
    [{"subscriptions": "{"}, {"subscriptions": '[{"platform":"x"}]'}, {"after": "-1"},
     {"after": "x"}, {"snapshot": "perhaps"}, {"epoch": "e" * 65}],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused_before_the_upgrade(query: dict[str, str]) -> None:
    async def scenario(stage: Rig) -> None:
        await refused(stage, 400, **query)
        assert stage.stream.links.active == 0
        assert len(stage.stream._streams) == 0

    play(scenario)


# -- resuming and snapshots ----------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.data())
def test_whoever_comes_back_misses_nothing_and_hears_nothing_twice(
    bursts: list[int], data: st.DataObject
) -> None:
    """Any cut point: what was heard before and after it is the uninterrupted stream (11.7)."""
    heard_of_last = data.draw(st.integers(0, 4))

    async def scenario(stage: Rig) -> None:
        async with stage.client() as steady:
            mine: list[dict[str, Any]] = []
            for burst in bursts:
                where: dict[str, Any] = (
                    {"epoch": mine[-1]["epoch"], "after": mine[-1]["seq"]} if mine else {}
                )
                async with stage.client(**where) as client:
                    await stage.until(lambda: stage.stream.links.active == 2)
                    for _ in range(burst):
                        stage.desk.set_quote(AAPL, 1, 2)
                    mine += await client.all(0.05)
                del mine[len(mine) - min(heard_of_last, max(0, len(mine) - 1)) :]
                await stage.until(lambda: stage.stream.links.active == 1)
                stage.desk.set_quote(AAPL, 3, 4)  # while it is away
            if mine:
                async with stage.client(epoch=mine[-1]["epoch"], after=mine[-1]["seq"]) as client:
                    mine += await client.all(0.05)
                whole = await steady.all(0.05)
                start = mine[0]["seq"] - 1
                assert mine == whole[start:]

    play(scenario)


@pytest.mark.parametrize("lost", [{"epoch": "unknown", "after": 0}, {"epoch": "unknown"}])
def test_who_cannot_be_resumed_gets_a_snapshot(lost: dict[str, Any]) -> None:
    async def scenario(stage: Rig) -> None:
        await snapshot(stage, **lost)

    play(scenario)


async def snapshot(stage: Rig, **query: Any) -> None:
    await bought(stage, type=OrderType.LIMIT, price=D(90))
    stage.desk.fill(await bought(stage, "c.2"), D(100))
    await bought(stage, "c.3", type=OrderType.LIMIT, price=D(80))
    async with stage.client() as steady, stage.client(**query) as client:
        stage.desk.set_quote(AAPL, 1, 2)
        frames = await client.all()
        (quote,) = await steady.all()

    assert kinds(frames) == [
        "ORDER_CREATED",
        "ORDER_CREATED",
        "POSITION_OPENED",
        "BALANCE_UPDATED",
        "quote",
    ]
    assert [frame.get("is_snapshot") for frame in frames] == [True] * 4 + [None]
    assert [frame["order"]["limit_price"] for frame in frames[:2]] == ["90", "80"]
    assert {frame["seq"] for frame in frames[:4]} == {quote["seq"] - 1}
    assert frames[4] == quote


def test_whoever_asks_gets_a_snapshot() -> None:
    async def scenario(stage: Rig) -> None:
        await snapshot(stage, snapshot=True)

    play(scenario)


def test_what_is_too_old_is_answered_by_a_snapshot() -> None:
    async def scenario(stage: Rig) -> None:
        async with stage.client() as steady:
            stage.desk.set_quote(AAPL, 1, 2)
            (first,) = await steady.all()
            for _ in range(10):
                for _ in range(4):
                    stage.desk.set_quote(AAPL, 1, 2)
                await steady.all(0.01)
            async with stage.client(epoch=first["epoch"], after=first["seq"]) as client:
                frames = await client.all()
            async with stage.client(epoch=first["epoch"], after=35) as client:
                rest = await client.all()

        assert kinds(frames) == ["BALANCE_UPDATED"]
        assert frames[0]["is_snapshot"]
        assert [frame["seq"] for frame in rest] == list(range(36, 42))

    play(scenario, limits=LimitSettings(outbox=16))


def test_another_ones_stream_cannot_be_resumed() -> None:
    """R-81: the name of a stream opens nothing to whom it was not for."""

    async def scenario(stage: Rig) -> None:
        stage.principals["reader"] = Principal(
            "reader", OWNER.places, OWNER.view, frozenset({Verb.READ})
        )
        async with stage.client() as client:
            stage.desk.set_quote(AAPL, 1, 2)
            (quote,) = await client.all()
        async with stage.client("reader", epoch=quote["epoch"], after=0) as reader:
            assert kinds(await reader.all()) == ["BALANCE_UPDATED"]

    play(scenario)


def test_a_snapshot_minds_rights_and_subscriptions() -> None:
    async def scenario(stage: Rig) -> None:
        await bought(stage, type=OrderType.LIMIT, price=D(90))
        stage.desk.fill(await bought(stage, "c.2"), D(100))
        async with stage.client(snapshot=True, subscriptions=ORDERS) as client:
            assert kinds(await client.all()) == ["ORDER_CREATED"]
        async with stage.client(snapshot=True, subscriptions=QUOTES) as client:
            assert await client.all() == []

    play(scenario)


def test_a_snapshot_that_does_not_fit_is_refused() -> None:
    async def scenario(stage: Rig) -> None:
        for number in range(6):
            await bought(stage, f"c.{number}", type=OrderType.LIMIT, price=D(90))
        await refused(stage, 503, snapshot=True)
        async with stage.client() as client:
            assert await client.all() == []

    play(scenario, limits=LimitSettings(outbox=8))


def test_what_is_missed_between_handshake_and_opening_cuts_the_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(stage: Rig) -> None:
        async with stage.client() as client:
            stage.desk.set_quote(AAPL, 1, 2)
            (first,) = await client.all()
        stream = stage.stream._streams.all[0]
        answers: Any = iter([[], None])
        monkeypatch.setattr(stream, "after", lambda seq: next(answers))
        async with stage.client(epoch=first["epoch"], after=0) as client:
            assert await client.all() == []
            assert client.close_code == 1013

    play(scenario)


# -- the end (18.4) ------------------------------------------------------------------------------


def test_the_end_is_announced_and_comes_half_a_second_later() -> None:
    async def scenario(stage: Rig) -> None:
        loop = asyncio.get_running_loop()
        async with stage.client() as client, stage.client() as other:
            await client.all()
            leaving = asyncio.create_task(stage.stream.leave())
            frame = await client.next()
            assert (frame["type"], frame["event"]) == ("connection", "DISCONNECTING")
            announced_s = loop.time()
            await refused(stage, 503)

            message = await client.socket.receive()
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert (message.data, message.extra) == (1001, "Gateway shutting down")
            assert loop.time() - announced_s == pytest.approx(0.5, abs=0.05)
            await other.all(2.0)
            assert other.close_code == 1001
            await leaving
            await stage.stream.leave()

    play(scenario)


def test_with_nobody_there_the_end_takes_no_time() -> None:
    async def scenario(stage: Rig) -> None:
        await asyncio.wait_for(stage.stream.leave(), 0.001)

    play(scenario)


# -- paced (12) ----------------------------------------------------------------------------------


def paced_desk() -> FakeDesk:
    desk = FakeDesk()
    desk.is_paced = True
    return desk


def test_without_pacing_there_is_no_pacer() -> None:
    assert EventStream(place_of(FakeDesk())).pacer is None


async def strategy(client: Client, *, acts: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Handle frames as the client library does: the handler first, then the ack."""
    while True:
        try:
            frame = await client.next(60)
        except (AssertionError, TimeoutError):
            return
        await acts(frame)
        await client.ack(*([frame["event_id"]] if "event_id" in frame else []))


def test_market_time_waits_for_every_client() -> None:
    async def scenario(stage: Rig) -> None:
        pacer = stage.stream.pacer
        assert pacer is not None
        handled: list[tuple[str, str]] = []

        async def slow(frame: dict[str, Any]) -> None:
            await asyncio.sleep(0.7)
            handled.append(("slow", frame["event_id"]))

        async def quick(frame: dict[str, Any]) -> None:
            handled.append(("quick", frame["event_id"]))

        ready = asyncio.create_task(pacer.ready())
        await asyncio.sleep(1)
        assert not ready.done()
        async with stage.client() as one, stage.client() as other:
            await ready
            playing = [
                asyncio.create_task(strategy(one, acts=slow)),
                asyncio.create_task(strategy(other, acts=quick)),
            ]
            for step in range(5):
                stage.desk.clock.advance_to(START_NS + step)
                stage.desk.set_quote(AAPL, 1, 2)
                await pacer.settled()
                assert len(handled) == 2 * (step + 1)
            for task in playing:
                task.cancel()
            await asyncio.wait(playing)
        assert [one for one in handled if one[0] == "slow"] == [
            ("slow", f"evt-{number}") for number in range(1, 6)
        ]

    play(scenario, desk=paced_desk(), settings=GatewaySettings(wait_for_clients=2))


def test_what_a_client_does_in_a_step_belongs_to_it() -> None:
    async def scenario(stage: Rig) -> None:
        pacer = stage.stream.pacer
        assert pacer is not None
        seen: list[str] = []

        async def acts(frame: dict[str, Any]) -> None:
            seen.append(frame["type"])
            if frame["type"] == "quote":
                stage.desk.fill(await bought(stage), D(100))

        async with stage.client() as client:
            await pacer.ready()
            playing = asyncio.create_task(strategy(client, acts=acts))
            stage.desk.set_quote(AAPL, 1, 2)
            await pacer.settled()
            assert seen == ["quote", "order", "order", "trade", "position", "account"]
            playing.cancel()
            await asyncio.wait([playing])

    play(scenario, desk=paced_desk())


def test_a_client_that_goes_has_acknowledged() -> None:
    async def scenario(stage: Rig) -> None:
        pacer = stage.stream.pacer
        assert pacer is not None
        loop = asyncio.get_running_loop()
        async with stage.client() as client:
            await pacer.ready()
            stage.desk.set_quote(AAPL, 1, 2)
            settled = asyncio.create_task(pacer.settled())
            await client.next()
            began_s = loop.time()
        await settled
        assert loop.time() - began_s < 1

    play(scenario, desk=paced_desk())


def test_what_was_said_while_a_client_came_back_is_told_to_it() -> None:
    async def scenario(stage: Rig) -> None:
        pacer = stage.stream.pacer
        assert pacer is not None
        async with stage.client():
            await pacer.ready()
        await stage.until(lambda: not stage.stream.links.active)
        stage.desk.set_quote(AAPL, 1, 2)
        settled = asyncio.create_task(pacer.settled())
        await asyncio.sleep(2)
        assert not settled.done()

        stage.principals["reader"] = Principal(
            "reader", OWNER.places, OWNER.view, frozenset({Verb.READ})
        )
        async with stage.client() as client:
            frame = await client.next()
            assert frame["event_id"] == "evt-1"
            await client.ack("evt-1")
            await settled
            assert pacer.acks.timeouts == 0
        await stage.until(lambda: not stage.stream.links.active)

        stage.desk.set_quote(AAPL, 1, 2)
        settled = asyncio.create_task(pacer.settled())
        async with stage.client("reader") as reader:  # who may not see it
            await settled
            assert await reader.all() == []

    play(scenario, desk=paced_desk())


def test_a_client_that_never_acks_ends_the_run() -> None:
    async def scenario(stage: Rig) -> None:
        pacer = stage.stream.pacer
        assert pacer is not None
        async with stage.client() as client:
            await pacer.ready()
            stage.desk.set_quote(AAPL, 1, 2)
            await pacer.settled()
            stage.desk.set_quote(AAPL, 1, 2)
            with pytest.raises(StrategyError, match="2 steps in a row"):
                await pacer.settled()
            assert len(await client.all()) == 2

    play(
        scenario,
        desk=paced_desk(),
        settings=GatewaySettings(first_ack_timeouts=2, ack_timeout_s=0.5),
    )


def test_in_drain_mode_an_ack_without_ids_is_enough() -> None:
    async def scenario(stage: Rig) -> None:
        pacer = stage.stream.pacer
        assert pacer is not None
        async with stage.client() as client:
            await pacer.ready()
            stage.desk.set_quote(AAPL, 1, 2)
            settled = asyncio.create_task(pacer.settled())
            await client.next()
            await client.ack()
            await settled
            assert pacer.acks.timeouts == 0

    play(scenario, desk=paced_desk(), settings=GatewaySettings(ack_mode="drain"))


def test_the_end_of_the_data_is_told_to_everybody_at_once() -> None:
    async def scenario(stage: Rig) -> None:
        pacer = stage.stream.pacer
        assert pacer is not None
        async with stage.client() as client:
            await pacer.ready()
            await asyncio.wait_for(pacer.completed(), 1.1)
            (frame,) = await client.all()
        assert (frame["type"], frame["broker"]) == ("backtest_complete", "mock")
        assert "event_id" not in frame
        registry = stage.stream._place.context.metrics
        labels = {"platform": "mock"}
        assert registry.get_sample_value("gateway_backtest_completions_total", labels) == 1

    play(scenario, desk=paced_desk())


def test_two_runs_are_the_same_byte_for_byte() -> None:
    def once() -> list[dict[str, Any]]:
        taken: list[dict[str, Any]] = []

        async def scenario(stage: Rig) -> None:
            pacer = stage.stream.pacer
            assert pacer is not None

            async def acts(frame: dict[str, Any]) -> None:
                taken.append(frame)
                if frame["type"] == "quote":
                    order = await bought(stage, f"c.{len(taken)}")
                    if len(taken) % 2:
                        stage.desk.fill(order, D(100))
                    else:
                        stage.desk.set_order(order, status=OrderStatus.CANCELLED)

            async with stage.client() as client:
                await pacer.ready()
                playing = asyncio.create_task(strategy(client, acts=acts))
                for step in range(20):
                    stage.desk.clock.advance_to(START_NS + step * 1_000)
                    stage.desk.set_quote(AAPL, 1 + step, 2 + step)
                    await pacer.settled()
                playing.cancel()
                await asyncio.wait([playing])

        play(scenario, desk=paced_desk())
        return taken

    one, other = once(), once()
    assert len(one) > 60
    assert msgspec.json.encode(one) == msgspec.json.encode(other)
