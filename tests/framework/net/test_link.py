"""The link's life on the simulated network: moves, attempts, deaths, closing."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from framework.errors import (
    AccessRefused,
    ConfigError,
    InvariantBroken,
    NotSent,
    VenueUnavailable,
)
from framework.model.events import ConnectionState, ErrorRaised, RateLimited
from framework.net.link import Endpoint, Link, LinkOptions
from framework.net.web_socket import CUT
from framework.simulation.link import LinkFaults
from framework.simulation.loop import SimulatedLoop, run_simulated
from tests.adapters.mock.seams import HandContext
from tests.framework.net.web_socket_venue import HOST, PORT, Bench, Recorder, Venue, bench, stay

T = TypeVar("T")
ADDRESS = (HOST, PORT)
DISCONNECTED, CONNECTING = ConnectionState.DISCONNECTED, ConnectionState.CONNECTING
CONNECTED, STREAMING = ConnectionState.CONNECTED, ConnectionState.STREAMING
RECONNECTING, CLOSED = ConnectionState.RECONNECTING, ConnectionState.CLOSED
LIVE = {CONNECTING, CONNECTED, STREAMING}
LEGAL = {
    (DISCONNECTED, CONNECTING),
    (CONNECTING, CONNECTED),
    (CONNECTED, STREAMING),
    (RECONNECTING, CONNECTING),
    *((state, RECONNECTING) for state in LIVE),
    *((state, CLOSED) for state in {DISCONNECTED, RECONNECTING, *LIVE}),
}


def simulated(test: Callable[[], Awaitable[T]], seed: int = 3) -> T:
    return run_simulated(test, seed=seed)


def network() -> Any:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop.network


def now_s() -> float:
    return asyncio.get_running_loop().time()


def has_state(link: Link, state: ConnectionState) -> bool:
    return link.state is state


def has_lost(link: Link, count: int) -> bool:
    return link.statistics()["lost"] == count


def assert_legal(made: Bench) -> None:
    moves = [item for item in made.recorder.heard if isinstance(item[0], ConnectionState)]
    assert set(moves) <= LEGAL
    assert [new for _, new in moves] == [change.state for change in made.changes]
    assert all(first[1] is second[0] for first, second in pairwise(moves))


def test_k50_k51_k52_the_moves_of_a_life_are_told_once_each_and_in_order() -> None:
    async def main() -> None:
        venue = Venue()
        async with bench(venue) as made:
            await made.until(lambda: made.link.state is STREAMING)
            network().cut(ADDRESS)
            await made.until(lambda: len(venue.tokens) == 2 and made.link.is_open)
            await made.link.aclose()

            assert made.recorder.states == [
                *(CONNECTING, CONNECTED, STREAMING, RECONNECTING),
                *(CONNECTING, CONNECTED, STREAMING, CLOSED),
            ]
            assert {(change.venue, change.link) for change in made.changes} == {("venue", "feed")}
            assert made.changes[3].reason == CUT
            assert made.recorder.lost == [CUT, "closed"]
            heard = [item[0] for item in made.recorder.heard]
            assert heard.index("open") > heard.index(CONNECTING)
            assert made.recorder.heard.index(("lost",)) < made.recorder.heard.index(
                (STREAMING, RECONNECTING)
            )
            assert_legal(made)

    simulated(main)


def test_text_binary_and_the_venues_pings_arrive_and_text_is_sent() -> None:
    """K59"""

    async def serve(socket: web.WebSocketResponse) -> None:
        await socket.send_str("é")
        await socket.send_bytes(b"\x00")
        await socket.ping(b"heartbeat")
        await venue.collect(socket)

    venue = Venue(serve)

    async def main() -> None:
        async with bench(venue) as made:
            await made.until(lambda: made.link.statistics()["pings"])
            assert made.link.send("é")
            assert made.link.send(b"{}")
            await made.until(lambda: len(venue.received) == 2)

            assert made.recorder.texts == ["é".encode()]
            assert made.recorder.heard[-2:] == [("binary", b"\x00"), ("ping", b"heartbeat")]
            assert venue.received == ["é", "{}"]
            counts = made.link.statistics()
            assert (counts["texts"], counts["binaries"], counts["pings"]) == (1, 1, 1)
            assert (counts["sent"], counts["sent_bytes"]) == (2, 4)
            assert counts["queued_bytes"] == 0

    simulated(main)


def test_a_server_ping_gets_its_pong_while_text_keeps_coming() -> None:
    """K59"""

    async def serve(socket: web.WebSocketResponse) -> None:
        for _ in range(2_000):
            await socket.send_str("x" * 100)
        await socket.ping(b"now")
        message = await socket.receive()
        venue.received.append(message.data)

    venue = Venue(serve)
    venue.autoping = False

    async def main() -> None:
        async with bench(venue) as made:
            await made.until(lambda: venue.received)

        assert venue.received == [b"now"]

    simulated(main)


# -- attempts --------------------------------------------------------------------------------------


def test_r43_every_attempt_shows_a_fresh_token() -> None:
    async def main() -> None:
        venue = Venue()
        venue.answers = [(503, {}), (401, {})]
        async with bench(venue) as made:
            await made.until(lambda: made.link.is_open)

            assert venue.tokens == ["secret-1", "secret-2", "secret-3"]
            assert made.recorder.states[:5] == [
                *(CONNECTING, RECONNECTING, CONNECTING, RECONNECTING, CONNECTING)
            ]
            assert made.link.statistics()["attempts"] == 3

    simulated(main)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "venue answered 401: the handshake was refused"),
        (403, "venue answered 403: the handshake was refused"),
        (404, "venue answered 404: the handshake was refused"),
        (418, "venue answered 418: the handshake was refused"),
        (429, "venue asks for a pause of 0.0 s"),
        (500, "venue answered 500: the handshake was refused"),
        (503, "venue answered 503: the handshake was refused"),
        (200, "venue answered 200: an answer like this is not followed"),
    ],
)
def test_a_refused_handshake_is_a_reason_and_tried_again(status: int, said: str) -> None:
    async def main() -> None:
        venue = Venue()
        venue.answers = [(status, {})]
        async with bench(venue) as made:
            await made.until(lambda: made.link.is_open)

            assert made.changes[1].reason == said
            assert made.recorder.lost == []

    simulated(main)


@pytest.mark.parametrize("status", [418, 429, 503])
def test_r68_a_venue_that_asks_for_a_pause_gets_it(status: int) -> None:
    async def main() -> None:
        venue = Venue()
        venue.answers = [(status, {"Retry-After": "7"})]
        async with bench(venue) as made:
            await made.until(lambda: made.link.is_open)

            assert now_s() >= 7
            assert RateLimited("venue", 7_000_000_000, 0) in made.context.published

    simulated(main)


def test_nobody_is_followed_to_another_address() -> None:
    """T: a redirect would take the credentials along."""

    async def main() -> None:
        venue = Venue()
        venue.answers = [(302, {"Location": "http://venue/feed"})]
        async with bench(venue) as made:
            await made.until(lambda: made.link.is_open)

            assert (
                made.changes[1].reason == "venue answered 302: an answer like this is not followed"
            )
            assert venue.tokens == ["secret-1", "secret-2"]

    simulated(main)


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (LinkFaults(refuse=True), "cannot connect: connection to ('venue', 80) refused"),
        (LinkFaults(blackhole=True), "no connection within 10.0 s"),
        (LinkFaults(half_open=True), "no connection within 10.0 s"),
        (LinkFaults(drop_rate=1), "cannot connect: connection was cut"),
    ],
)
def test_a_venue_out_of_reach_is_tried_until_it_is_there(faults: LinkFaults, reason: str) -> None:
    async def main() -> None:
        network().set_faults(ADDRESS, faults)
        async with bench(Venue()) as made:
            await made.until(lambda: made.link.statistics()["attempts"] == 4)
            network().set_faults(ADDRESS, LinkFaults())
            await made.until(lambda: made.link.is_open)

            assert {change.reason for change in made.changes} == {"", reason}

    simulated(main)


def test_the_pauses_grow_with_jitter_and_start_again_after_a_stable_time() -> None:
    async def main() -> None:
        venue = Venue()
        times: list[float] = []

        class Timed(Recorder):
            def on_state(self, old: Any, new: Any, reason: str) -> None:
                super().on_state(old, new, reason)
                times.append(now_s())

        recorder = Timed()
        async with bench(venue, recorder=recorder) as made:
            for _ in range(8):
                await made.until(lambda: made.link.is_open)
                network().cut(ADDRESS)
                await made.until(lambda: not made.link.is_open)
            pauses = [
                times[index + 1] - times[index]
                for index, state in enumerate(recorder.states[:-1])
                if state is RECONNECTING
            ]
            assert all(
                0.1 <= pause <= max(0.1, min(0.5 * 2**attempt, 30)) + 1e-6
                for attempt, pause in enumerate(pauses)
            )
            assert max(pauses) > 2 > 0.5 > pauses[0]
            await made.until(lambda: made.link.is_open)
            await asyncio.sleep(61)
            network().cut(ADDRESS)
            await made.until(lambda: not made.link.is_open)
            cut_s = now_s()
            await made.until(lambda: made.link.is_open)
            assert now_s() - cut_s <= 0.52

    simulated(main)


@pytest.mark.parametrize(("status", "error"), [(401, AccessRefused), (429, VenueUnavailable)])
def test_a_first_connect_that_is_not_retried_raises(status: int, error: type[Exception]) -> None:
    async def main() -> None:
        venue = Venue()
        venue.answers = [(status, {})]
        async with bench(venue, LinkOptions(retries_first_connect=False)) as made:
            await asyncio.wait([made.running])

            assert type(made.running.exception()) is error
            assert made.recorder.states == [CONNECTING, CLOSED]
            assert made.changes[-1].reason == str(made.running.exception())

    simulated(main)


def test_only_the_first_connect_is_not_retried() -> None:
    async def main() -> None:
        async with bench(Venue(), LinkOptions(retries_first_connect=False)) as made:
            await made.until(lambda: made.link.is_open)
            network().cut(ADDRESS)
            await made.until(lambda: made.link.statistics()["opened"] == 2)

    simulated(main)


def test_k39_k47_attempts_run_out_and_the_link_ends_closed() -> None:
    async def main() -> None:
        venue = Venue()
        async with bench(venue, LinkOptions(most_attempts=3)) as made:
            await made.until(lambda: made.link.state is STREAMING)
            network().cut(ADDRESS)
            venue.answers = [(503, {})] * 5
            await asyncio.wait([made.running])

            assert isinstance(made.running.exception(), VenueUnavailable)
            assert len(venue.tokens) == 1 + 3
            assert made.link.state is CLOSED
            assert_legal(made)

    simulated(main)


@pytest.mark.parametrize(("streams", "survives"), [(True, True), (False, False)])
def test_connections_lost_at_once_count_as_attempts_until_one_streams(
    streams: bool, survives: bool
) -> None:
    async def kick(socket: web.WebSocketResponse) -> None:
        await asyncio.sleep(0.1)

    async def main() -> None:
        recorder = Recorder()
        recorder.streams_when_open = streams
        async with bench(Venue(kick), LinkOptions(most_attempts=4), recorder=recorder) as made:
            await asyncio.wait([made.running], timeout=600)

            assert made.running.done() is not survives
            assert survives or made.link.statistics()["opened"] == 4

    simulated(main)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (VenueUnavailable("no token"), "no token"),
        (ConnectionResetError(104, "reset by peer"), "cannot connect: reset by peer"),
    ],
)
def test_an_endpoint_that_cannot_be_made_is_a_failed_attempt(error: Exception, reason: str) -> None:
    async def main() -> None:
        venue = Venue()
        venue.endpoint_failures = [error]
        async with bench(venue) as made:
            await made.until(lambda: made.link.is_open)

        assert made.changes[1].reason == reason

    simulated(main)


def test_a_bug_in_the_endpoint_is_not_hidden_by_retrying() -> None:
    async def endpoint() -> Endpoint:
        raise KeyError("bug")

    async def main() -> None:
        context, recorder = HandContext(), Recorder()
        link = Link("feed", context, endpoint=endpoint, handler=recorder)
        with pytest.raises(KeyError):
            await link.run()

        assert recorder.states == [CONNECTING, CLOSED]

    simulated(main)


@pytest.mark.parametrize("url", ["nonsense", "ws://"])
def test_an_endpoint_that_makes_no_sense_ends_the_link(url: str) -> None:
    async def endpoint() -> Endpoint:
        return Endpoint(url)

    async def main() -> None:
        link = Link("feed", HandContext(), endpoint=endpoint, handler=Recorder())
        with pytest.raises(ConfigError, match="URL"):
            await link.run()

    simulated(main)


def test_r85_no_reason_log_or_error_shows_the_url_or_a_header() -> None:
    async def main() -> None:
        async def endpoint() -> Endpoint:
            return Endpoint("ws://venue/feed?key=planted", (("token", "planted"),))

        venue = Venue()
        venue.answers = [(401, {})] * 3 + [(302, {"Location": "/x?planted"})] * 2
        network().set_faults(ADDRESS, LinkFaults(drop_rate=0.2))
        context = HandContext()
        options = LinkOptions(most_attempts=12)
        async with bench(venue):
            venue.serve = leave_at_once
            link = Link("orders", context, endpoint=endpoint, handler=_Quiet(), options=options)
            with capture_logs() as logs, pytest.raises(VenueUnavailable) as raised:
                await link.run()
        error: BaseException | None = raised.value
        while error is not None:
            assert "planted" not in repr(error)
            error = None if error.__suppress_context__ else error.__context__
        assert "planted" not in repr(context.published) + json.dumps(logs, default=repr)

    simulated(main)


async def leave_at_once(socket: web.WebSocketResponse) -> None:
    """Hang up."""


class _Quiet(Recorder):
    def on_open(self) -> None:
        """Do not stream."""


# -- deaths ----------------------------------------------------------------------------------------


def test_r42_a_mute_link_is_found_by_its_data_though_it_answers_pings() -> None:
    async def talk_then_ping(socket: web.WebSocketResponse) -> None:
        for _ in range(5):
            await socket.send_str("tick")
            await asyncio.sleep(1)
        mute_s.append(now_s())
        while not socket.closed:
            await socket.ping(b"still here")
            await asyncio.sleep(1)

    mute_s: list[float] = []

    async def main() -> None:
        options = LinkOptions(data_silence_s=10, ping_s=5)
        async with bench(Venue(talk_then_ping), options) as made:
            await made.until(lambda: made.recorder.lost)

            assert made.recorder.lost == ["no data for 10 s"]
            assert 10 - 1 <= now_s() - mute_s[0] <= 2 * 10
            assert made.link.statistics()["pings"] > 5

    simulated(main)


def test_a_link_without_any_frame_is_dead_and_one_with_pings_is_not() -> None:
    async def mute(socket: web.WebSocketResponse) -> None:
        await asyncio.sleep(3600)

    async def ping(socket: web.WebSocketResponse) -> None:
        while not socket.closed:
            await asyncio.sleep(10)
            await socket.ping()

    async def main() -> None:
        venue = Venue(mute)
        async with bench(venue, LinkOptions(ping_s=None)) as made:
            await made.until(lambda: made.recorder.lost)
            assert made.recorder.lost == ["nothing came for 30.0 s"]
            assert 30 <= now_s() <= 60

            venue.serve = ping
            await made.until(lambda: made.link.is_open)
            await asyncio.sleep(300)
            assert made.link.statistics()["lost"] == 1

    simulated(main)


def test_k37_k58_a_missing_pong_is_a_dead_link() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        while True:
            await asyncio.sleep(1)
            await socket.send_str("tick")

    class Deaf(web.WebSocketResponse):
        async def pong(self, message: bytes = b"") -> None:
            """Answer no ping."""

    async def main() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(web, "WebSocketResponse", Deaf)
            venue = Venue(talk)
            async with bench(venue) as made:
                await made.until(lambda: made.recorder.lost)

                assert made.recorder.lost == ["no pong for 30.0 s"]
                assert 50 <= now_s() <= 60

    simulated(main)


def test_own_pings_keep_a_quiet_link_alive() -> None:
    async def main() -> None:
        async with bench(Venue()) as made:
            await made.until(lambda: made.link.is_open)
            await asyncio.sleep(600)

            assert made.link.statistics()["lost"] == 0
            assert 25 <= made.link.statistics()["pongs"] <= 30

    simulated(main)


def test_a_link_without_limits_has_no_timers() -> None:
    async def main() -> None:
        options = LinkOptions(ping_s=None, silence_s=None)
        async with bench(Venue(), options) as made:
            await made.until(lambda: made.link.is_open)
            network().partition(ADDRESS)
            await asyncio.sleep(100_000)
            assert made.link.is_open
            network().heal(ADDRESS)

    simulated(main)


def test_a_half_open_link_is_found() -> None:
    async def main() -> None:
        async with bench(Venue()) as made:
            await made.until(lambda: made.link.is_open)
            start_s = now_s()
            network().set_faults(ADDRESS, LinkFaults(half_open=True))
            await made.until(lambda: made.recorder.lost)

            assert now_s() - start_s <= 40
            await asyncio.sleep(40)
            network().set_faults(ADDRESS, LinkFaults())
            await made.until(lambda: made.link.is_open)

    simulated(main)


def test_a_frame_above_the_limit_costs_the_connection() -> None:
    async def main() -> None:
        async def serve(socket: web.WebSocketResponse) -> None:
            await socket.send_str("x" * 1000)
            await socket.send_str("x" * 1001)
            await venue.collect(socket)

        venue = Venue(serve)
        async with bench(venue, LinkOptions(largest_frame=1000)) as made:
            await made.until(lambda: made.recorder.lost)

            assert made.recorder.texts == [b"x" * 1000]
            assert "1001" in made.recorder.lost[0]
            assert made.link.statistics()["oversized"] == 1

    simulated(main)


def test_the_reason_of_the_venues_close_is_told() -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.close(code=4001, message=b"session over")

    async def main() -> None:
        async with bench(Venue(leave)) as made:
            await made.until(lambda: made.recorder.lost)

            assert made.recorder.lost[0] == "closed by the venue: 4001 session over"

    simulated(main)


# -- handlers --------------------------------------------------------------------------------------


class Raising(Recorder):
    """Fails in everything, after noting it."""

    def on_open(self) -> None:
        super().on_open()
        raise ValueError("open")

    def on_text(self, data: bytes | str) -> None:
        super().on_text(data)
        raise ValueError("text")

    def on_binary(self, data: bytes) -> None:
        super().on_binary(data)
        raise ValueError("binary")

    def on_ping(self, data: bytes) -> None:
        super().on_ping(data)
        raise ValueError("ping")

    def on_lost(self, reason: str) -> None:
        super().on_lost(reason)
        raise ValueError("lost")

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        super().on_state(old, new, reason)
        raise ValueError("state")


def test_k55_a_raising_handler_ends_nothing_and_is_told() -> None:
    async def serve(socket: web.WebSocketResponse) -> None:
        for number in range(5):
            await socket.send_str(str(number))
        await socket.send_bytes(b"b")
        await socket.ping(b"p")
        await asyncio.sleep(1)

    async def main() -> None:
        with capture_logs() as logs:
            async with bench(Venue(serve), recorder=Raising()) as made:
                await made.until(lambda: made.link.statistics()["opened"] == 2)
                await made.until(lambda: made.link.statistics()["pings"] == 2)

        assert made.recorder.texts == [b"0", b"1", b"2", b"3", b"4"] * 2
        raised = [item for item in made.context.published if isinstance(item, ErrorRaised)]
        texts = [item for item in raised if item.handler == "on_text"]
        assert [item.count for item in texts] == list(range(1, 11))
        assert {item.subscriber for item in raised} == {"feed"}
        assert texts[0].error == "ValueError('text')"
        names = {"on_open", "on_text", "on_binary", "on_ping", "on_lost", "on_state"}
        assert {item.handler for item in raised} == names
        assert made.link.statistics()["handler_errors"] == len(raised)
        traced = [
            line["exc_info"] is not None
            for line in logs
            if line["event"] == "handler_raised" and line["handler"] == "on_text"
        ]
        assert traced == [True] * 3 + [False] * 7

    simulated(main)


def test_a_handler_that_asks_for_a_reconnect_hears_nothing_more_of_the_old_connection() -> None:
    async def serve(socket: web.WebSocketResponse) -> None:
        for number in range(100):
            await socket.send_str(str(number))
        await stay(socket)

    class Impatient(Recorder):
        def on_text(self, data: bytes | str) -> None:
            super().on_text(data)
            if len(self.texts) == 10:
                self.link.reconnect("a gap")
                assert not self.link.is_open
                assert not self.link.send("too late")

    async def main() -> None:
        async with bench(Venue(serve), recorder=Impatient()) as made:
            await made.until(lambda: made.link.statistics()["texts"] == 110)

            assert made.recorder.lost == ["a gap"]
            assert [int(text) for text in made.recorder.texts] == [*range(10), *range(100)]

    simulated(main)


def test_reconnect_does_nothing_while_there_is_no_connection() -> None:
    async def main() -> None:
        venue = Venue()
        venue.answers = [(503, {})]
        async with bench(venue) as made:
            made.link.reconnect("early")
            await made.until(lambda: made.link.state is RECONNECTING)
            made.link.reconnect("pausing")
            made.link.mark_streaming()
            await made.until(lambda: made.link.is_open)

            assert made.link.statistics()["attempts"] == 2
            assert_legal(made)

    simulated(main)


def test_the_loop_runs_between_batches_of_frames() -> None:
    async def serve(socket: web.WebSocketResponse) -> None:
        for _ in range(1_024):
            await socket.send_str("{}")
        await stay(socket)

    async def main() -> None:
        network().set_faults(ADDRESS, LinkFaults(join_ms=1))
        loop = asyncio.get_running_loop()
        turns: dict[int, int] = {}
        turn = 0

        def count() -> None:
            nonlocal turn
            turn += 1
            loop.call_soon(count) if turn < 20_000 else None

        class Turned(Recorder):
            def on_text(self, data: bytes | str) -> None:
                if not turns:
                    loop.call_soon(count)
                turns[turn] = turns.get(turn, 0) + 1

        async with bench(Venue(serve), recorder=Turned()) as made:
            await made.until(lambda: made.link.statistics()["texts"] == 1_024)

        assert max(turns.values()) <= 256
        assert len(turns) < 20

    simulated(main)


# -- sending ---------------------------------------------------------------------------------------


def test_nothing_is_sent_without_a_connection() -> None:
    async def main() -> None:
        venue = Venue()
        venue.answers = [(503, {})]
        async with bench(venue) as made:
            assert not made.link.send("early")
            await made.until(lambda: made.link.state is RECONNECTING)
            assert not made.link.send("pausing")
            await made.until(lambda: made.link.is_open)
            network().cut(ADDRESS)
            assert not made.link.send("the loss is not noticed yet")
            assert made.link.statistics()["sent"] == 0

    simulated(main)


def test_a_full_send_queue_refuses_and_loses_nothing() -> None:
    async def main() -> None:
        venue = Venue()
        venue.serve = venue.collect
        options = LinkOptions(most_queued_bytes=100_000)
        async with bench(venue, options) as made:
            await made.until(lambda: made.link.is_open)
            network().partition(ADDRESS)
            taken = 0
            with suppress(NotSent):
                while made.link.send(f"{taken:05}" + "x" * 10_000):
                    taken += 1
            with pytest.raises(NotSent, match="wait to be sent"):
                made.link.send("x" * 10_000)
            assert made.link.statistics()["not_sent"] == 2
            assert 80_000 < made.link.statistics()["queued_bytes"] <= 100_100
            network().heal(ADDRESS)
            await made.until(lambda: len(venue.received) == taken)
            assert [int(text[:5]) for text in venue.received] == list(range(taken))

    simulated(main)


# -- the end ---------------------------------------------------------------------------------------


def test_aclose_says_1000_and_delivers_nothing_more() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        async def tick() -> None:
            while not socket.closed:
                await socket.send_str("tick")
                await socket.send_bytes(b"tick")
                await socket.ping()
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        await stay(socket)
        await asyncio.wait([ticking])

    async def main() -> None:
        network().set_faults(ADDRESS, LinkFaults(latency_ms_low=100, latency_ms_high=100))
        venue = Venue(talk)
        async with bench(venue) as made:
            await made.until(lambda: len(made.recorder.texts) == 10)
            closing = asyncio.create_task(made.link.aclose())
            await asyncio.sleep(0)
            count = len(made.recorder.texts)
            assert not made.link.is_open
            await made.link.aclose()
            await closing
            await made.link.aclose()

            assert made.running.done()
            assert len(made.recorder.texts) == count
            assert made.recorder.lost == ["closed"]
            assert made.changes[-1].reason == "closed"
            await made.until(lambda: venue.close_codes)
            assert venue.close_codes == [1000]

    simulated(main)


def test_cancelling_run_says_1000_too() -> None:
    async def main() -> None:
        venue = Venue()
        async with bench(venue) as made:
            await made.until(lambda: made.link.is_open)
            made.running.cancel()
            await asyncio.wait([made.running])

            assert made.running.cancelled()
            assert made.recorder.lost == ["cancelled"]
            assert made.link.state is CLOSED
            await made.until(lambda: venue.close_codes)
            assert venue.close_codes == [1000]

    simulated(main)


@pytest.mark.parametrize("way", ["aclose", "cancel", "cancel twice"])
def test_a_venue_that_does_not_answer_the_close_is_left_after_a_while(way: str) -> None:
    async def main() -> None:
        async with bench(Venue()) as made:
            await made.until(lambda: made.link.is_open)
            network().partition(ADDRESS)
            start_s = now_s()
            if way == "aclose":
                await made.link.aclose()
            else:
                made.running.cancel()
                await asyncio.sleep(1)
                if way == "cancel twice":
                    made.running.cancel()
                await asyncio.wait([made.running])

            assert now_s() - start_s == pytest.approx(1 if way == "cancel twice" else 5)
            assert made.link.state is CLOSED
            network().heal(ADDRESS)

    simulated(main)


def test_aclose_cuts_short_whatever_the_link_waits_for() -> None:
    async def main() -> None:
        venue = Venue()
        for faults, state in (
            (LinkFaults(blackhole=True), CONNECTING),
            (LinkFaults(refuse=True), RECONNECTING),
        ):
            network().set_faults(ADDRESS, faults)
            async with bench(venue, LinkOptions(floor_s=20)) as made:
                await made.until(partial(has_state, made.link, state))
                await asyncio.sleep(0.1)
                start_s = now_s()
                await made.link.aclose()
                assert now_s() == start_s
                assert made.recorder.states[-1] is CLOSED
                assert_legal(made)
            venue = Venue()

    simulated(main)


@pytest.mark.parametrize("way", ["aclose", "cancel"])
def test_the_end_may_come_at_any_turn_of_the_loop(way: str) -> None:
    """R-44"""

    async def main() -> None:
        ends = set()
        for turns in range(1, 40):
            async with bench(Venue()) as made:
                for _ in range(turns):
                    await asyncio.sleep(0)
                if way == "aclose":
                    await made.link.aclose()
                made.running.cancel()
                await asyncio.wait([made.running])
                ends.add(made.recorder.states[-2])
                assert made.link.state is CLOSED
                assert_legal(made)
            assert network().connection_count(ADDRESS) == 0
            assert len(asyncio.all_tasks()) == 1
        assert ends == {CONNECTING, STREAMING}

    simulated(main)


def test_a_link_runs_once_and_not_after_it_was_closed() -> None:
    async def main() -> None:
        recorder = Recorder()
        link = Link("feed", HandContext(), endpoint=_never, handler=recorder)
        await link.aclose()
        await link.run()
        assert recorder.states == [CLOSED]
        async with bench(Venue()) as made:
            await made.until(lambda: made.link.is_open)
            with pytest.raises(InvariantBroken, match="once"):
                await made.link.run()

    simulated(main)


async def _never() -> Endpoint:
    raise AssertionError("nobody may connect")


def test_the_transport_is_logged_and_fits_the_loop() -> None:
    async def main() -> None:
        with capture_logs() as logs:
            async with bench(Venue()) as made:
                await made.until(lambda: made.link.is_open)
        assert {"transport": "aiohttp", "venue": "venue", "link": "feed"}.items() <= logs[0].items()
        async with bench(Venue(), LinkOptions(transport="picows")) as made:
            await asyncio.wait([made.running])
            assert isinstance(made.running.exception(), ConfigError)

    simulated(main)


# -- many ------------------------------------------------------------------------------------------


def test_r43_r44_a_thousand_drops_leave_nothing_behind() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        while True:
            await socket.send_str("tick")
            await asyncio.sleep(0.5)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        venue = Venue(talk)
        options = LinkOptions(cap_s=1)
        ways = loop.random_for("ways")
        async with bench(venue, options) as made:
            await made.until(lambda: made.recorder.texts)
            tasks, connections = len(asyncio.all_tasks()), network().connection_count(ADDRESS)
            for drop in range(1, 1_001):
                await made.until(lambda: made.link.is_open)
                way = ways.randrange(4)
                if way == 0:
                    network().cut(ADDRESS)
                elif way == 1:
                    made.link.reconnect("asked")
                elif way == 2:
                    await venue.sockets[-1].close(code=1001)
                else:
                    venue.answers.append((503, {}))
                    network().cut(ADDRESS)
                await made.until(partial(has_lost, made.link, drop))
            await made.until(lambda: made.link.is_open)
            await asyncio.sleep(5)

            assert len(set(venue.tokens)) == len(venue.tokens) >= 1_001
            assert len(asyncio.all_tasks()) == tasks
            assert network().connection_count(ADDRESS) == connections == 1
            assert_legal(made)
        assert len(asyncio.all_tasks()) == 1
        assert network().connection_count(ADDRESS) == 0

    simulated(main)


SLOW_WAYS = {
    "as it is": LinkFaults(),
    "one-byte segments": LinkFaults(split_max_bytes=1),
    "joined segments": LinkFaults(join_ms=50, latency_ms_high=50),
    "200 ± 200 ms": LinkFaults(latency_ms_low=0, latency_ms_high=400),
    "50 kB/s": LinkFaults(bandwidth_bytes_per_s=50_000),
    "all of it": LinkFaults(
        split_max_bytes=3, join_ms=5, latency_ms_high=400, bandwidth_bytes_per_s=50_000
    ),
}


def play_messages(faults: LinkFaults) -> tuple[list[Any], ...]:
    """Return all that was heard over such a link, both ways."""

    async def serve(socket: web.WebSocketResponse) -> None:
        for number in range(100):
            await socket.send_str(f"{number}:" + "x" * (number * 7 % 400))
            if number % 10 == 0:
                await socket.send_bytes(bytes(number))
                await socket.ping(str(number).encode())
        await venue.collect(socket)

    venue = Venue(serve)

    async def main() -> tuple[list[Any], ...]:
        network().set_faults(ADDRESS, faults)
        async with bench(venue) as made:
            await made.until(lambda: made.link.statistics()["texts"] == 100)
            for number in range(100):
                assert made.link.send("y" * number)
            await made.until(lambda: len(venue.received) == 100)
            await made.link.aclose()
            await made.until(lambda: venue.close_codes)
        return made.recorder.texts, made.recorder.heard, venue.received, venue.close_codes

    return simulated(main)


@pytest.mark.parametrize("way", SLOW_WAYS)
def test_r47_a_slow_link_gives_the_same_results(way: str) -> None:
    assert play_messages(SLOW_WAYS[way]) == play_messages(LinkFaults())
