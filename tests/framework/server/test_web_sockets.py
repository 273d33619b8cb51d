import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp import WSMsgType
from structlog.testing import capture_logs

from framework.server.door import RefusalKind
from framework.server.links import Link
from framework.server.upgrade import close_frame, text_frame
from framework.settings.server import LimitSettings
from framework.simulation.link import LinkFaults
from framework.simulation.loop import SimulatedLoop, run_simulated
from framework.simulation.pipe import WINDOW_BYTES
from tests.framework.server.stream_stage import ADDRESS, WELCOME, Stage, limits, staged

HALF_OPEN = LinkFaults(half_open=True)
LIMIT_NS = 7_200 * 1_000_000_000  # pings go on for ever
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def play(
    scenario: Callable[[Stage], Awaitable[None]],
    chosen: LimitSettings | None = None,
    *,
    welcome: bytes = WELCOME,
) -> Stage:
    """Run a scenario on a stage in a simulated world; return the stage."""

    async def main() -> Stage:
        async with staged(chosen, welcome=welcome) as stage:
            await scenario(stage)
        return stage

    with capture_logs():
        return run_simulated(main, limit_ns=LIMIT_NS)


def simulated() -> SimulatedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop


# -- handshake and limits ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Upgrade", "h2c"),
        ("Connection", "keep-alive"),
        ("Sec-WebSocket-Version", "8"),
        ("Sec-WebSocket-Key", "dG9vIHNob3J0"),
        ("Sec-WebSocket-Key", "not base64, not at all!!"),
        ("Sec-WebSocket-Key", "ééééééééééééééééééééééé="),
        ("Sec-WebSocket-Key", ""),
    ],
)
def test_a_handshake_that_is_none_is_refused_and_the_header_is_named(
    header: str, value: str
) -> None:
    async def scenario(stage: Stage) -> None:
        headers = {**HANDSHAKE, header: value}
        async with stage.session.get(f"{stage.url}/ws", headers=headers) as answer:
            assert answer.status == 418

    stage = play(scenario)

    assert [(refused.kind, refused.field) for refused in stage.refused] == [
        (RefusalKind.INVALID, header)
    ]
    assert (stage.told, stage.registry.opened) == ([], 0)


def test_a_plain_request_is_refused() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.session.get(f"{stage.url}/ws") as answer:
            assert answer.status == 418

    assert play(scenario).refused[0].provided is None


def test_the_handshake_is_answered_as_the_standard_says() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            answer = socket._response
            assert answer.status == 101
            assert "Sec-WebSocket-Extensions" not in answer.headers
            assert answer.headers["X-Correlation-ID"] == "c-1"

    play(scenario)


def test_too_many_links_are_refused_before_the_upgrade() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial(headers={"X-Token": "a"}), stage.dial(headers={"X-Token": "b"}):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="418"):
                await stage.dial(headers={"X-Token": "c"})
        await stage.until(lambda: not stage.registry.active)
        await stage.registry.wait_empty()
        async with stage.dial(headers={"X-Token": "c"}):
            pass

    stage = play(scenario, limits(links=2))

    assert [refused.kind for refused in stage.refused] == [RefusalKind.BUSY]
    assert stage.refused[0].retry_after_s
    assert stage.registry.opened == 3


def test_one_token_cannot_take_all_places() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial(headers={"X-Token": "a"}):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="418"):
                await stage.dial(headers={"X-Token": "a"})
            async with stage.dial(headers={"X-Token": "b"}):
                pass

    stage = play(scenario, limits(links_per_token=1))

    assert [refused.kind for refused in stage.refused] == [RefusalKind.TOO_MANY]
    assert stage.refused[0].retry_after_s


# -- what goes back and forth ------------------------------------------------------------------


def test_texts_arrive_in_order_both_ways() -> None:
    async def scenario(stage: Stage) -> None:
        stage.on_text = lambda link, text: link.send(text.upper().encode())
        async with stage.dial() as socket:
            for text in ("a", "é" * 100, "c" * 60_000):
                await socket.send_str(text)
            assert [await socket.receive_str() for _ in range(4)] == [
                "welcome",
                "A",
                "É" * 100,
                "C" * 60_000,
            ]

    stage = play(scenario)

    assert stage.told[-1] == (1, "close", 1000, "")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_every_size_has_its_header(size: int) -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            stage.links[0].send(b"x" * size)
            assert await socket.receive_str() == "welcome"
            assert await socket.receive_str() == "x" * size

    play(scenario)


def test_what_is_no_text_is_told_and_the_link_stays() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            await socket.send_bytes(b"binary")
            await socket._writer.send_frame(b"\xff\xfe", WSMsgType.TEXT)
            await socket.send_str("text")
            await stage.until(lambda: len(stage.told) == 4)

    stage = play(scenario)

    assert stage.told[1:4] == [
        (1, "strange", "a binary message"),
        (1, "strange", "text that is not UTF-8"),
        (1, "text", "text"),
    ]


def test_a_frame_that_is_too_large_ends_the_link_with_1009() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            await socket.send_str("x" * 2_000)
            await socket.send_str("x" * 2_001)
            await socket.receive_str()
            assert (await socket.receive()).type is WSMsgType.CLOSE
            assert socket.close_code == 1009

    stage = play(scenario, limits(frame=2_000))

    assert [told[1] for told in stage.told] == ["open", "text", "close"]
    assert stage.told[-1][2] == 1009


def test_fragments_count_together() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            transport = socket._writer.transport
            transport.write(_masked(0x01, b"x" * 100))
            transport.write(_masked(0x00, b"x" * 100))
            transport.write(_masked(0x80, b"x" * 100))
            transport.write(_masked(0x01, b"x" * 1_000) + _masked(0x80, b"x" * 1_000))
            await socket.receive_str()
            await socket.receive()
            assert socket.close_code == 1009

    stage = play(scenario, limits(frame=1_999))

    assert stage.told[1] == (1, "text", "x" * 300)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x83\x80aaaa",  # an opcode that does not exist
        b"\xc1\x80aaaa",  # a compressed one, which was not agreed
        b"\x80\x80aaaa",  # goes on with nothing
        b"\x09\x80aaaa",  # half a ping
    ],
)
def test_who_breaks_the_protocol_is_told_and_cut(frame: bytes) -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            socket._writer.transport.write(frame)
            await socket.receive_str()
            assert (await socket.receive()).type is WSMsgType.CLOSE
            assert socket.close_code == 1002

    assert play(scenario).told[-1][:3] == (1, "close", 1002)


def _masked(first: int, payload: bytes) -> bytes:
    """Return a client's frame with a mask of zeros."""
    return bytes((first, 0x80 | 126)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def test_a_flood_leaves_turns_to_others() -> None:
    heard: list[str] = []

    async def scenario(stage: Stage) -> None:
        stage.on_text = lambda link, text: heard.append(text)
        async with stage.dial() as first, stage.dial() as second:
            first._writer.transport.write(_small(b"flood") * 1_000)
            second._writer.transport.write(_small(b"word"))
            await stage.until(lambda: len(heard) == 1_001)

    play(scenario)

    assert heard.index("word") < 100


def _small(payload: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload


def test_more_messages_than_allowed_are_kept_waiting_and_none_is_lost() -> None:  # T-32
    heard: list[tuple[float, str]] = []

    async def scenario(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        stage.on_text = lambda link, text: heard.append((loop.time(), text))
        async with stage.dial() as socket:
            for number in range(100):
                await socket.send_str(str(number))
            await stage.until(lambda: len(heard) == 100)

    play(scenario, limits(requests_per_s=10, burst=20))

    assert [text for _, text in heard] == [str(number) for number in range(100)]
    took_s = heard[-1][0] - heard[0][0]
    assert 7.5 < took_s < 8.5
    assert heard[19][0] == heard[0][0]


def test_answers_to_frames_are_not_counted() -> None:  # T-32
    async def scenario(stage: Stage) -> None:
        stage.on_text = lambda link, text: link.send(text.encode())
        async with stage.dial() as socket:
            await socket.receive_str()
            for number in range(1_000):
                await socket.send_str(str(number))
                assert await socket.receive_str() == str(number)
            assert asyncio.get_running_loop().time() < 1

    play(scenario, limits(requests_per_s=10, burst=20))


def test_many_frames_long_ago_give_no_right_to_a_flood() -> None:  # T-32
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            for number in range(1_000):
                stage.links[0].send(b"%d" % number)
            for _ in range(1_001):
                await socket.receive_str()
            for number in range(100):
                await socket.send_str(str(number))
            await stage.until(lambda: len(stage.told) == 101)
            assert 5.5 < asyncio.get_running_loop().time() < 6.5  # 100 less 20 less 20

    play(scenario, limits(requests_per_s=10, burst=20))


# -- keeping alive -----------------------------------------------------------------------------


def test_pings_are_answered() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial(autoping=False) as socket:
            await socket.receive_str()
            await socket.ping(b"hello?")
            pong = await socket.receive()
            assert (pong.type, pong.data) == (WSMsgType.PONG, b"hello?")

    play(scenario)


def test_it_pings_every_15_s_and_a_peer_that_answers_stays() -> None:
    pings: list[float] = []

    async def scenario(stage: Stage) -> None:
        async with stage.dial(autoping=False) as socket:
            loop = asyncio.get_running_loop()
            await socket.receive_str()
            for _ in range(20):
                assert (await socket.receive()).type is WSMsgType.PING
                pings.append(loop.time())
                await socket.pong()
            assert stage.registry.active == 1

    play(scenario)

    assert pings == [pytest.approx(15.0 * number) for number in range(1, 21)]


@pytest.mark.parametrize("kind", ["text", "ping", "pong"])
def test_any_frame_is_a_sign_of_life(kind: str) -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial(autoping=False) as socket:
            send = {"text": partial(socket.send_str, "x"), "ping": socket.ping, "pong": socket.pong}
            for _ in range(10):
                await asyncio.sleep(40)
                await send[kind]()
            await asyncio.sleep(1)
            assert stage.registry.active == 1

    play(scenario)


def test_a_peer_that_is_silent_for_45_s_is_dropped() -> None:
    ended: list[float] = []

    async def scenario(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        stage.on_close = lambda link: ended.append(loop.time())
        async with stage.dial(autoping=False) as socket:
            await socket.receive_str()
            while (message := await socket.receive()).type is WSMsgType.PING:
                pass
            assert message.type is WSMsgType.CLOSE
            assert socket.close_code == 1011

    stage = play(scenario)

    assert ended == [pytest.approx(45.0)]
    assert stage.told[-1] == (1, "close", 1011, "no answer to pings")
    assert stage.registry.statistics().cut_silent == 1


def test_a_half_open_peer_is_dropped_and_its_place_is_free_again() -> None:
    async def scenario(stage: Stage) -> None:
        loop = simulated()
        async with stage.dial():
            loop.network.set_faults(ADDRESS, HALF_OPEN)
            await stage.until(lambda: stage.told[-1][1] == "close")
            assert loop.time() <= 60
            await stage.registry.wait_empty()
            assert loop.time() <= 63

    stage = play(scenario)

    assert stage.told[-1][2] == 1011


def test_a_half_open_peer_that_is_sent_much_is_cut_as_slow() -> None:
    async def scenario(stage: Stage) -> None:
        loop = simulated()
        async with stage.dial():
            loop.network.partition(ADDRESS)
            link = stage.links[0]
            while link.is_open and loop.time() < 60:
                link.send(b"x" * 10_000)
                await asyncio.sleep(0.5)
            assert 20 <= loop.time() <= 30
            await stage.registry.wait_empty()

    stage = play(scenario)

    assert stage.told[-1] == (1, "close", 1013, "slow consumer")


# -- slow readers ------------------------------------------------------------------------------


def unread(socket: Any) -> None:
    """Let the client's window fill up."""
    socket._writer.transport.pause_reading()


def test_who_takes_nothing_while_frames_wait_is_cut_after_slow_s() -> None:
    ended: list[float] = []

    async def scenario(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        stage.on_close = lambda link: ended.append(loop.time())
        async with stage.dial() as socket:
            unread(socket)
            stage.links[0].send(b"x" * (WINDOW_BYTES + 1_000))
            await stage.registry.wait_empty()

    stage = play(scenario, limits(slow_s=8.0))

    assert stage.told[-1] == (1, "close", 1013, "slow consumer")
    assert len(ended) == 1
    assert 8 <= ended[0] <= 10
    statistics = stage.registry.statistics()
    assert (statistics.cut_slow, statistics.active, statistics.waiting_bytes) == (1, 0, 0)


def test_who_takes_little_by_little_is_not_cut_for_that() -> None:
    async def scenario(stage: Stage) -> None:
        simulated().network.set_faults(ADDRESS, LinkFaults(bandwidth_bytes_per_s=40_000))
        async with stage.dial() as socket:
            stage.links[0].send(b"x" * 400_000)
            await socket.receive_str()
            assert len(await socket.receive_str()) == 400_000
            assert asyncio.get_running_loop().time() > 9

    assert play(scenario, limits(slow_s=4.0)).registry.cut_slow == 0


def test_who_reads_nothing_but_is_sent_nothing_stays() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            unread(socket)
            for _ in range(30):
                await asyncio.sleep(1)
                await socket.pong()
            assert stage.registry.active == 1
            socket._writer.transport.resume_reading()

    play(scenario, limits(slow_s=5.0))


def test_an_outbox_that_overflows_cuts_the_link_at_once() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket, stage.dial() as other:
            unread(socket)
            slow, fast = stage.links
            for number in range(60):
                slow.send(b"x" * 5_000)
                fast.send(b"%d" % number)
                await asyncio.sleep(0)
            assert not slow.is_open
            slow.send(b"into the void")
            assert [await other.receive_str() for _ in range(61)][-1] == "59"
            socket._writer.transport.resume_reading()
            while (message := await socket.receive()).type is WSMsgType.TEXT:
                pass
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1013)
            assert message.extra == "slow consumer"

    stage = play(scenario, limits(outbox=10))

    assert stage.registry.cut_slow == 1
    statistics = stage.registry.statistics()
    assert statistics.frames_dropped > 10
    assert statistics.frames_put == statistics.frames_sent + statistics.frames_dropped


def test_the_door_hears_of_a_cut_after_its_own_turn() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            unread(socket)
            link = stage.links[0]
            while link.is_open:
                link.send(b"x" * 5_000)
            assert stage.told[-1] == (1, "open")
            await asyncio.sleep(0.001)
            assert stage.told[-1][:2] == (1, "close")

    play(scenario, limits(outbox=10))


def test_a_full_outbox_keeps_the_last_of_each_key() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            unread(socket)
            link = stage.links[0]
            link.send(b"x" * (2 * WINDOW_BYTES + 40_000))
            await asyncio.sleep(0)
            for number in range(1_000):
                link.send(b"%d" % number, key="BTC")
                await asyncio.sleep(0)
            socket._writer.transport.resume_reading()
            await socket.receive_str()
            await socket.receive_str()
            texts = [await socket.receive_str() for _ in range(3)]
            assert texts == ["0", "1", "999"]

    stage = play(scenario, limits(outbox=9))

    assert stage.registry.statistics().frames_conflated == 997


def test_pongs_for_who_reads_nothing_do_not_pile_up() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            unread(socket)
            link = stage.links[0]
            link.send(b"x" * (WINDOW_BYTES + 40_000))
            for _ in range(1_000):
                await socket.ping(b"y" * 100)
            await asyncio.sleep(0.1)
            assert link.outgoing._transport.get_write_buffer_size() < 45_000

    play(scenario)


# -- the end -----------------------------------------------------------------------------------


def test_a_peer_that_closes_is_answered_with_its_code() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            await socket.receive_str()
            await socket.close(code=4_001, message=b"enough")
            assert socket.close_code == 4_001
            await stage.registry.wait_empty()
            assert asyncio.get_running_loop().time() < 1

    assert play(scenario).told[-1] == (1, "close", 4_001, "enough")


def test_a_peer_may_close_without_a_code() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            await socket.receive_str()
            await socket._writer.send_frame(b"", WSMsgType.CLOSE)
            message = await socket.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, 0)

    assert play(scenario).told[-1] == (1, "close", 1005, "")


def test_a_connection_that_is_lost_is_1006() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial():
            simulated().network.cut(ADDRESS)
            await stage.registry.wait_empty()
            assert asyncio.get_running_loop().time() < 1
            stage.links[0].send(b"into the void")
            stage.links[0].close()

    stage = play(scenario)

    assert stage.told == [(1, "open"), (1, "close", 1006, "")]


def test_frames_before_a_close_still_arrive() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            link = stage.links[0]
            for number in range(100):
                link.send(b"%d" % number + b"x" * 5_000)
            link.close(4_000, "bye")
            link.close(4_001, "again")
            link.send(b"late")
            await socket.receive_str()
            texts = [await socket.receive_str() for _ in range(100)]
            assert [text.rstrip("x") for text in texts] == [str(number) for number in range(100)]
            message = await socket.receive()
            assert (message.data, message.extra) == (4_000, "bye")

    assert play(scenario).told[-1] == (1, "close", 4_000, "bye")


def test_a_peer_that_does_not_answer_a_close_is_left_after_5_s() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial(autoclose=False):
            stage.links[0].close(4_000, "bye")
            await asyncio.sleep(0.1)
            assert stage.told[-1] == (1, "close", 4_000, "bye")
            await stage.registry.wait_empty()
            assert asyncio.get_running_loop().time() == pytest.approx(5.0, abs=0.1)

    play(scenario)


def test_a_peer_that_reads_nothing_cannot_keep_its_place_after_a_close() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            unread(socket)
            stage.links[0].send(b"x" * 300_000)
            await asyncio.sleep(0)
            stage.links[0].close(4_000, "bye")
            await stage.registry.wait_empty()
            assert asyncio.get_running_loop().time() == pytest.approx(5.0, abs=0.1)
            assert simulated().network.connection_count(ADDRESS) <= 1

    play(scenario)


def test_all_are_closed_and_nobody_comes_in_any_more() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as first, stage.dial() as second:
            for link in stage.registry:
                link.send(b"last words")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stage.registry.close_all, 1001, "shutdown", 3.0)
                for socket in (first, second):
                    assert await socket.receive_str() == "welcome"
                    assert await socket.receive_str() == "last words"
                    message = await socket.receive()
                    assert (message.data, message.extra) == (1001, "shutdown")
            with pytest.raises(aiohttp.WSServerHandshakeError, match="418"):
                await stage.dial()
            assert asyncio.get_running_loop().time() < 1

    stage = play(scenario)

    assert stage.registry.active == 0
    assert [refused.kind for refused in stage.refused] == [RefusalKind.STOPPING]


def test_who_does_not_leave_in_time_is_cut() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket, stage.dial(autoclose=False):
            unread(socket)
            stage.links[0].send(b"x" * 300_000)
            await stage.registry.close_all(1001, "shutdown", 3.0)
            assert asyncio.get_running_loop().time() == pytest.approx(3.0)
            await stage.registry.wait_empty()
            assert asyncio.get_running_loop().time() == pytest.approx(3.0)

    play(scenario)


def test_who_comes_in_while_all_are_closed_is_closed_too() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial() as socket:
            await socket.receive_str()
        stage.registry._farewell = (1001, "shutdown")
        link = stage.registry.open(
            stage.links[0].principal, stage.links[0].outgoing, stage.registry.web_sockets, _nothing
        )
        assert (link.is_open, link.close_code) == (False, 1001)
        stage.registry.end(link)
        stage.registry.forget(link)

    play(scenario)


def _nothing() -> None: ...


def test_a_door_that_fails_loses_that_link_only() -> None:
    def fail(link: Link, text: str) -> None:
        raise ZeroDivisionError("a bug")

    async def scenario(stage: Stage) -> None:
        stage.on_text = fail
        async with stage.dial() as socket, stage.dial() as other:
            await socket.send_str("x")
            await socket.receive_str()
            message = await socket.receive()
            assert (message.data, message.extra) == (1011, "internal error")
            assert stage.registry.active == 1
            await other.ping()

    assert (1, "close", 1011, "internal error") in play(scenario).told


def test_a_door_that_fails_on_close_keeps_no_place() -> None:
    def fail(link: Link) -> None:
        raise ZeroDivisionError("a bug")

    async def scenario(stage: Stage) -> None:
        stage.on_close = fail
        async with stage.dial():
            pass
        await stage.registry.wait_empty()

    assert play(scenario).registry.statistics().active == 0


def test_who_is_still_there_when_the_server_ends_is_let_go() -> None:
    async def main() -> Stage:
        async with staged() as stage, stage.dial():
            await stage.listener.aclose()
            await stage.registry.wait_empty()
            return stage

    with capture_logs():
        assert run_simulated(main, limit_ns=LIMIT_NS).told[-1] == (1, "close", 1001, "going away")


def test_a_reason_that_is_too_long_is_cut_between_characters() -> None:
    frame = close_frame(1000, "é" * 100)

    assert frame[1] == 2 + 122
    assert frame[4:].decode() == "é" * 61


def test_a_frame_is_made_once_for_all_links(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    def make(payload: bytes) -> bytes:
        made.append(payload)
        return text_frame(payload)

    monkeypatch.setattr("framework.server.framing.text_frame", make)

    async def scenario(stage: Stage) -> None:
        async with stage.dial() as first, stage.dial() as second:
            for payload in (b"one", b"two"):
                for link in stage.registry:
                    link.send(payload)
            for socket in (first, second):
                assert [await socket.receive_str() for _ in range(3)] == ["welcome", "one", "two"]

    play(scenario)

    assert made == [b"", b"welcome", b"one", b"two"]


def test_the_same_seed_is_the_same_run() -> None:
    async def scenario(stage: Stage) -> None:
        simulated().network.set_faults(
            ADDRESS, LinkFaults(latency_ms_high=50, split_max_bytes=700, join_ms=3)
        )
        stage.on_text = lambda link, text: link.send(text.encode())
        async with stage.dial() as first, stage.dial() as second:
            for number in range(50):
                await first.send_str(str(number))
                await second.send_str("x" * number)
            await stage.until(lambda: len(stage.told) == 102)

    assert play(scenario).told == play(scenario).told
