import asyncio
import contextvars
import hashlib
from collections.abc import Awaitable, Callable
from typing import cast

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.simulation.link import LinkFaults
from framework.simulation.loop import SimulatedLoop, run_simulated
from framework.simulation.network import MemoryNetwork, MemoryServer
from framework.simulation.pipe import WINDOW_BYTES
from framework.simulation.transport import MemoryTransport

VENUE = ("venue", 80)
MS = 1_000_000
SECOND = 1_000 * MS


def running_loop() -> SimulatedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop


class Recorder(asyncio.Protocol):
    """Keeps what happens to it, with the virtual time in nanoseconds."""

    def __init__(self, *, keeps_open: bool = False) -> None:
        self.events: list[tuple[int, str, object]] = []
        self.received = bytearray()
        self.transport: MemoryTransport
        self._keeps_open = keeps_open

    def _log(self, what: str, detail: object = None) -> None:
        self.events.append((running_loop().now_ns, what, detail))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, MemoryTransport)
        self.transport = transport
        self._log("made")

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._log("data", data)

    def eof_received(self) -> bool:
        self._log("eof")
        return self._keeps_open

    def connection_lost(self, exc: BaseException | None) -> None:
        self._log("lost", type(exc).__name__ if exc else None)

    def pause_writing(self) -> None:
        self._log("paused")

    def resume_writing(self) -> None:
        self._log("resumed")

    def seen(self, what: str) -> list[tuple[int, object]]:
        return [(time_ns, detail) for time_ns, event, detail in self.events if event == what]

    @property
    def lost(self) -> list[object]:
        return [detail for _, detail in self.seen("lost")]


Pair = tuple[Recorder, Recorder]


def play(
    scenario: Callable[[MemoryNetwork, Recorder, Recorder], Awaitable[None]],
    faults: LinkFaults | None = None,
    *,
    seed: int = 0,
    keeps_open: bool = False,
) -> Pair:
    """Run `scenario` with a connected client and server, then an hour for it to settle."""
    server = Recorder(keeps_open=keeps_open)

    async def main() -> Pair:
        network = running_loop().network
        network.listen(*VENUE, lambda: server)
        if faults is not None:
            network.set_faults(VENUE, faults)
        _, client = await network.connect(Recorder, *VENUE)
        await scenario(network, client, server)
        await asyncio.sleep(3600)
        return client, server

    return run_simulated(main, seed=seed)


# -- listening and connecting --------------------------------------------------------------------


def test_connecting_takes_a_round_trip_and_tells_both_sides_who_they_are() -> None:
    async def main() -> None:
        network, server = running_loop().network, Recorder()
        network.listen(*VENUE, lambda: server)
        network.set_faults(VENUE, LinkFaults(latency_ms_low=10, latency_ms_high=10))

        transport, client = await network.connect(Recorder, *VENUE, client="worker")

        assert server.events == [(10 * MS, "made", None)]
        assert client.events == [(20 * MS, "made", None)]
        assert transport.get_extra_info("peername") == VENUE
        assert transport.get_extra_info("sockname") == ("worker", 49152)
        assert server.transport.get_extra_info("peername") == ("worker", 49152)
        assert server.transport.get_extra_info("sockname") == VENUE
        assert repr(transport) == "<MemoryTransport ('worker', 49152) -> ('venue', 80) open>"

    run_simulated(main)


def test_connecting_to_nobody_or_to_a_link_that_refuses_is_refused() -> None:
    async def main() -> None:
        network = running_loop().network
        network.set_faults(VENUE, LinkFaults(latency_ms_low=10, latency_ms_high=10))
        with pytest.raises(ConnectionRefusedError, match="venue"):
            await network.connect(Recorder, *VENUE)
        assert running_loop().now_ns == 20 * MS
        network.listen(*VENUE, Recorder)
        await network.connect(Recorder, *VENUE)

        network.set_faults(VENUE, LinkFaults(refuse=True))

        with pytest.raises(ConnectionRefusedError):
            await network.connect(Recorder, *VENUE)

    run_simulated(main)


def test_a_closed_server_refuses_new_connections_and_keeps_the_old() -> None:
    async def main() -> None:
        network, accepted = running_loop().network, Recorder()
        server = network.listen(*VENUE, lambda: accepted)
        transport, _ = await network.connect(Recorder, *VENUE)

        server.close()
        server.close()
        await server.wait_closed()

        assert not server.is_serving()
        assert server.sockets == ()
        with pytest.raises(ConnectionRefusedError):
            await network.connect(Recorder, *VENUE)
        transport.write(b"still here")
        await asyncio.sleep(1)
        assert accepted.received == b"still here"
        network.listen(*VENUE, Recorder).close()  # the address is free again

    run_simulated(main)


def test_addresses_are_exclusive_and_ports_and_hosts_resolve_as_expected() -> None:
    async def main() -> None:
        network = running_loop().network
        network.listen(*VENUE, Recorder)
        with pytest.raises(OSError, match="in use"):
            network.listen(*VENUE, Recorder)

        server = network.listen(None, 0, Recorder)
        port = server.sockets[0].getsockname()[1]

        assert port == 49152
        await network.connect(Recorder, "any.name", port)
        network.listen("localhost", 81, Recorder)
        await network.connect(Recorder, "127.0.0.1", 81)
        await network.connect(Recorder, "LOCALHOST", 81)

    run_simulated(main)


def test_a_blackhole_gives_no_answer_until_it_is_gone_or_time_is_up() -> None:
    async def main() -> None:
        loop, network = running_loop(), running_loop().network
        network.listen(*VENUE, Recorder)
        network.set_faults(VENUE, LinkFaults(blackhole=True, connect_timeout_ms=3_000))
        with pytest.raises(TimeoutError, match="no answer") as failure:
            await network.connect(Recorder, *VENUE)
        assert isinstance(failure.value, OSError)
        assert failure.value.errno is not None
        assert loop.now_ns == 3 * SECOND

        loop.call_later(2, network.set_faults, VENUE, LinkFaults())
        await network.connect(Recorder, *VENUE)

        assert loop.now_ns == 5 * SECOND
        assert loop.time() == 5

    run_simulated(main)


def test_linux_gives_up_a_connect_after_127_seconds() -> None:
    async def main() -> None:
        network = running_loop().network
        network.set_faults(VENUE, LinkFaults(blackhole=True))
        with pytest.raises(TimeoutError):
            await network.connect(Recorder, *VENUE)
        assert running_loop().time() == 127

    run_simulated(main)


def test_a_cancelled_connect_resets_what_the_server_had_accepted() -> None:
    async def main() -> Recorder:
        network, server = running_loop().network, Recorder()
        network.listen(*VENUE, lambda: server)
        network.set_faults(VENUE, LinkFaults(latency_ms_low=10, latency_ms_high=10))
        with anyio.move_on_after(0.015):
            await network.connect(Recorder, *VENUE)
        await asyncio.sleep(1)
        assert network.connection_count(VENUE) == 0
        return server

    assert run_simulated(main).events == [
        (10 * MS, "made", None),
        (25 * MS, "lost", "ConnectionResetError"),
    ]


def test_a_connection_that_breaks_while_it_is_made_is_reset() -> None:
    async def main() -> None:
        network = running_loop().network
        network.listen(*VENUE, Recorder)
        network.set_faults(VENUE, LinkFaults(latency_ms_low=10, latency_ms_high=10))
        running_loop().call_later(0.015, network.cut, VENUE)
        with pytest.raises(ConnectionResetError):
            await network.connect(Recorder, *VENUE)

    run_simulated(main)


def test_a_server_that_fails_to_accept_is_heard_of_and_the_client_is_reset() -> None:
    def fail() -> asyncio.Protocol:
        raise LookupError("no protocol")

    async def main() -> list[object]:
        problems: list[object] = []
        loop = running_loop()
        loop.set_exception_handler(lambda loop, context: problems.append(context["exception"]))
        loop.network.listen(*VENUE, fail)
        _, client = await loop.network.connect(Recorder, *VENUE)
        await asyncio.sleep(1)
        return [*map(str, problems), *client.lost]

    assert run_simulated(main) == ["no protocol", "ConnectionResetError"]


def test_asyncio_streams_run_over_the_network() -> None:
    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())  # until the client has written its end
        writer.write_eof()
        writer.close()
        await writer.wait_closed()

    async def main() -> bytes:
        server = await asyncio.start_server(upper, *VENUE)
        async with server:
            serving = asyncio.create_task(server.serve_forever())
            reader, writer = await asyncio.open_connection(*VENUE)
            writer.write(b"half ")
            writer.write(b"closed")
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            serving.cancel()
            await asyncio.wait([serving])
        assert not server.is_serving()
        assert running_loop().network.connection_count(VENUE) == 0
        return answer

    assert run_simulated(main) == b"HALF CLOSED"


def test_a_server_is_what_asyncio_expects() -> None:
    async def main() -> None:
        server = await running_loop().create_server(Recorder, *VENUE)
        assert isinstance(server, MemoryServer)
        assert isinstance(server, asyncio.AbstractServer)
        assert server.get_loop() is running_loop()
        await server.start_serving()
        assert server.is_serving()

    run_simulated(main)


def test_context_variables_stay_on_their_side() -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")
    seen: list[str] = []

    class Witness(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            seen.append(user.get())
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            seen.append(user.get())
            self.transport.write(b"answer")

        def connection_lost(self, exc: BaseException | None) -> None:
            seen.append(user.get())

    class Client(Recorder):
        def data_received(self, data: bytes) -> None:
            seen.append(user.get())

    async def main() -> None:
        user.set("server")
        running_loop().network.listen(*VENUE, Witness)
        user.set("client")
        transport, _ = await running_loop().network.connect(Client, *VENUE)
        user.set("somebody else")
        transport.write(b"question")
        await asyncio.sleep(1)
        transport.close()
        await asyncio.sleep(1)

    run_simulated(main)

    assert seen == ["server", "server", "client", "server"]


# -- the life of a connection --------------------------------------------------------------------


def test_data_arrives_in_order_each_segment_after_its_own_latency() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        for number in range(200):
            client.transport.write(number.to_bytes(2, "big"))
            await asyncio.sleep(0.001)

    client, server = play(scenario, LinkFaults(latency_ms_low=5, latency_ms_high=45))

    start_ns = client.seen("made")[0][0]
    arrivals = server.seen("data")
    assert [detail for _, detail in arrivals] == [n.to_bytes(2, "big") for n in range(200)]
    delays = [when - start_ns - number * MS for number, (when, _) in enumerate(arrivals)]
    assert all(5 * MS <= delay <= 45 * MS + 200 for delay in delays)
    assert len(set(delays)) > 20


def test_close_delivers_what_is_in_flight() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        client.transport.write(b"last words")
        client.transport.close()
        client.transport.write(b"too late")
        assert client.transport.is_closing()
        await asyncio.sleep(1)
        assert network.connection_count(VENUE) == 0

    client, server = play(scenario, LinkFaults(latency_ms_low=10, latency_ms_high=10))

    assert server.events[1:] == [
        (30 * MS, "data", b"last words"),
        (30 * MS, "eof", None),
        (30 * MS, "lost", None),
    ]
    assert client.events[1:] == [(20 * MS, "lost", None)]


def test_close_delivers_a_full_write_buffer_too() -> None:
    megabyte = bytes(range(256)) * 4096

    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        client.transport.write(megabyte)
        client.transport.close()
        assert client.transport.get_write_buffer_size() == len(megabyte) - WINDOW_BYTES

    client, server = play(scenario, LinkFaults(latency_ms_low=10, latency_ms_high=10))

    assert server.received == megabyte
    assert server.lost == client.lost == [None]
    assert client.seen("lost")[0][0] < server.seen("lost")[0][0]


def test_abort_loses_what_is_in_flight_and_resets_the_peer() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        server.transport.write(b"on its way")
        client.transport.write(b"lost")
        client.transport.abort()
        client.transport.abort()

    client, server = play(scenario, LinkFaults(latency_ms_low=10, latency_ms_high=10))

    assert server.received == client.received == b""
    assert client.lost == [None]
    assert server.events[1:] == [(30 * MS, "lost", "ConnectionResetError")]


def test_write_eof_ends_one_direction_only() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        client.transport.write(b"question")
        assert client.transport.can_write_eof()
        client.transport.write_eof()
        client.transport.write_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            client.transport.write(b"more")
        await asyncio.sleep(1)
        server.transport.writelines([b"ans", b"wer"])
        server.transport.close()

    client, server = play(scenario, keeps_open=True)

    assert [event for _, event, _ in server.events] == ["made", "data", "eof", "lost"]
    assert [event for _, event, _ in client.events] == ["made", "data", "eof", "lost"]
    assert client.received == b"answer"


def test_writing_after_the_peer_has_closed_is_answered_with_a_reset() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        client.transport.close()
        await asyncio.sleep(1)
        assert server.lost == []  # it hears the end, and wants to go on writing
        server.transport.write(b"anybody there?")
        await asyncio.sleep(0.015)
        assert server.lost == []
        await asyncio.sleep(1)
        assert server.lost == ["ConnectionResetError"]
        assert network.connection_count(VENUE) == 0

    play(scenario, LinkFaults(latency_ms_low=10, latency_ms_high=10), keeps_open=True)


@pytest.mark.parametrize(("keeps_open", "end"), [(False, None), (True, "ConnectionResetError")])
def test_data_that_crosses_a_close_is_refused_after_its_last_words(
    keeps_open: bool, end: str | None
) -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        client.transport.write(bytes(200_000))  # more than the window: the end has to wait
        server.transport.write(b"crossing")
        client.transport.close()

    slow = LinkFaults(latency_ms_low=10, latency_ms_high=10)
    client, server = play(scenario, slow, keeps_open=keeps_open)

    assert len(server.received) == 200_000
    assert [event for _, event, _ in server.events[-2:]] == ["eof", "lost"]
    assert server.lost == [end]
    assert client.received == b""


def test_a_protocol_that_fails_on_data_ends_its_connection_and_is_heard_of() -> None:
    problems: list[str] = []

    class Fragile(Recorder):
        def data_received(self, data: bytes) -> None:
            raise LookupError("cannot read this")

    async def main() -> tuple[list[object], list[object]]:
        loop = running_loop()
        loop.set_exception_handler(lambda loop, context: problems.append(str(context["exception"])))
        fragile = Fragile()
        loop.network.listen(*VENUE, lambda: fragile)
        transport, client = await loop.network.connect(Recorder, *VENUE)
        transport.write(b"data")
        await asyncio.sleep(1)
        return fragile.lost, client.lost

    assert run_simulated(main) == (["LookupError"], ["ConnectionResetError"])
    assert problems == ["cannot read this"]


def test_only_bytes_can_be_written() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        with pytest.raises(TypeError, match="not str"):
            client.transport.write(cast(bytes, "text"))
        client.transport.write(memoryview(b"view"))
        client.transport.write(bytearray(b"array"))
        client.transport.write(b"")

    _, server = play(scenario)

    assert [detail for _, detail in server.seen("data")] == [b"view", b"array"]


def test_a_transport_may_change_its_protocol() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        second = Recorder()
        server.transport.set_protocol(second)
        assert server.transport.get_protocol() is second
        client.transport.write(b"for the second")
        await asyncio.sleep(1)
        assert second.received == b"for the second"

    _, server = play(scenario)

    assert server.received == b""


# -- flow control --------------------------------------------------------------------------------


def test_a_reader_that_pauses_stops_the_writer_until_it_resumes() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        server.transport.pause_reading()
        assert not server.transport.is_reading()
        client.transport.set_write_buffer_limits(high=1000, low=100)
        client.transport.write(bytes(WINDOW_BYTES))
        assert client.seen("paused") == []
        client.transport.write(bytes(1001))
        assert client.transport.get_write_buffer_size() == 1001
        assert len(client.seen("paused")) == 1
        await asyncio.sleep(10)
        assert server.received == b""
        assert client.seen("resumed") == []
        server.transport.resume_reading()
        assert server.transport.is_reading()

    client, server = play(scenario, LinkFaults(latency_ms_low=10, latency_ms_high=10))

    assert len(server.received) == WINDOW_BYTES + 1001
    (resumed_ns, _), (first_ns, _) = client.seen("resumed")[0], server.seen("data")[0]
    assert resumed_ns == first_ns == 20 * MS + 10 * SECOND


def test_pausing_within_data_received_holds_back_the_next_segment() -> None:
    class Careful(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()
            running_loop().call_later(1, self.transport.resume_reading)

    async def main() -> list[int]:
        careful = Careful()
        running_loop().network.listen(*VENUE, lambda: careful)
        transport, _ = await running_loop().network.connect(Recorder, *VENUE)
        for _ in range(4):
            transport.write(b"x")
        transport.close()
        await asyncio.sleep(60)
        assert careful.lost == [None]
        return [time_ns for time_ns, _ in careful.seen("data")]

    assert run_simulated(main) == [0, SECOND, 2 * SECOND, 3 * SECOND]


def test_drain_waits_for_a_slow_reader() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        total = 0
        while data := await reader.read(10_000):
            total += len(data)
            await asyncio.sleep(0.1)
        writer.write(str(total).encode())
        writer.close()

    async def main() -> tuple[bytes, float, int]:
        await asyncio.start_server(slow, *VENUE, limit=10_000)
        reader, writer = await asyncio.open_connection(*VENUE)
        most = 0
        for _ in range(100):
            writer.write(bytes(10_000))
            most = max(most, cast(MemoryTransport, writer.transport).get_write_buffer_size())
            await writer.drain()
        sent_at = running_loop().time()
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer, sent_at, most

    answer, sent_at, most = run_simulated(main)

    assert answer == b"1000000"
    assert 7 < sent_at < 10  # 100 reads of 10,000 bytes in 10 s, less what fits into buffers
    assert most <= 64 * 1024 + 10_000


# -- faults --------------------------------------------------------------------------------------


def test_bandwidth_spaces_arrivals_exactly() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        start_ns = running_loop().now_ns
        client.transport.write(bytes(25_000))
        client.transport.write(bytes(5_000))
        await asyncio.sleep(2)
        client.transport.write(bytes(1))
        server.transport.write(bytes(50_000))  # the other direction has its own bandwidth
        await asyncio.sleep(3600)
        after = [time_ns - start_ns for time_ns, _ in server.seen("data")]
        assert after == [510 * MS, 610 * MS, 2 * SECOND + 10 * MS + 20_000]
        assert client.seen("data")[0][0] - start_ns == 3 * SECOND + 10 * MS

    faults = LinkFaults(bandwidth_bytes_per_s=50_000, latency_ms_low=10, latency_ms_high=10)

    play(scenario, faults)


def test_r47_bandwidth_of_one_byte_segments_adds_up() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        client.transport.write(bytes(1000))

    faults = LinkFaults(bandwidth_bytes_per_s=50_000, split_max_bytes=1)
    _, server = play(scenario, faults)

    assert [time_ns for time_ns, _ in server.seen("data")] == [20_000 * n for n in range(1, 1001)]


def test_r47_one_byte_segments_arrive_one_by_one() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        client.transport.write(b"hello")

    _, server = play(scenario, LinkFaults(split_max_bytes=1))

    assert [detail for _, detail in server.seen("data")] == [b"h", b"e", b"l", b"l", b"o"]


def test_segments_are_split_at_random_places() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        client.transport.write(bytes(10_000))

    _, server = play(scenario, LinkFaults(split_max_bytes=100))

    lengths = [len(cast(bytes, detail)) for _, detail in server.seen("data")]
    assert sum(lengths) == 10_000
    assert set(lengths[:-1]) <= set(range(1, 101))
    assert len(set(lengths)) > 50


def test_r47_joined_segments_arrive_as_one() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        for word in (b"a", b"b", b"c", b"d"):
            client.transport.write(word)
            await asyncio.sleep(0.03)
        client.transport.close()

    faults = LinkFaults(join_ms=50, latency_ms_low=10, latency_ms_high=10)
    _, server = play(scenario, faults)

    assert [detail for _, detail in server.seen("data")] == [b"ab", b"cd"]
    assert server.seen("data")[0][0] == 20 * MS + 10 * MS + 50 * MS
    assert server.lost == [None]


pacing = st.builds(
    LinkFaults,
    latency_ms_low=st.floats(0, 200),
    latency_ms_high=st.floats(200, 400),
    bandwidth_bytes_per_s=st.sampled_from([0, 50_000, 1_000_000]),
    split_max_bytes=st.sampled_from([0, 1, 3, 1000]),
    join_ms=st.sampled_from([0.0, 0.5, 300.0]),
)


@settings(max_examples=30, deadline=None)
@given(pacing, st.lists(st.binary(max_size=3000), max_size=30), st.integers(0, 2**32))
def test_r47_no_pace_changes_the_bytes(
    faults: LinkFaults, messages: list[bytes], seed: int
) -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        for number, message in enumerate(messages):
            client.transport.write(message)
            server.transport.write(message[::-1])
            if number % 3 == 0:
                await asyncio.sleep(0.01)
        client.transport.write_eof()

    client, server = play(scenario, faults, seed=seed, keeps_open=True)

    assert server.received == b"".join(messages)
    assert client.received == b"".join(message[::-1] for message in messages)
    assert server.events[-1][1] == "eof"


def test_a_dropped_segment_cuts_the_connection_for_both() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        client.transport.write(b"before")
        await asyncio.sleep(0.005)
        network.set_faults(VENUE, msgspec.structs.replace(slow, drop_rate=1))
        client.transport.write(b"lost")
        client.transport.write(b"never arrives either")
        await asyncio.sleep(1)
        assert network.connection_count(VENUE) == 0

    slow = LinkFaults(latency_ms_low=10, latency_ms_high=10)
    client, server = play(scenario, slow)

    assert server.events[1:] == [
        (30 * MS, "data", b"before"),
        (35 * MS, "lost", "ConnectionResetError"),
    ]
    assert client.events[1:] == [(35 * MS, "lost", "ConnectionResetError")]


def test_which_segment_is_dropped_does_not_depend_on_how_it_travels() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        for number in range(2000):
            client.transport.write(number.to_bytes(2, "big"))
            await asyncio.sleep(0.01)

    plain = LinkFaults(drop_rate=0.01)
    paced = LinkFaults(drop_rate=0.01, split_max_bytes=1, latency_ms_high=5, join_ms=1)

    received = {
        seed: [bytes(play(scenario, faults, seed=seed)[1].received) for faults in (plain, paced)]
        for seed in range(3)
    }

    assert all(first == second for first, second in received.values())
    assert len({first for first, _ in received.values()}) == 3
    assert all(0 < len(first) < 4000 for first, _ in received.values())


def test_damage_changes_exactly_one_byte_of_a_segment() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        for _ in range(300):
            client.transport.write(bytes(50))

    _, always = play(scenario, LinkFaults(damage_rate=1))
    _, sometimes = play(scenario, LinkFaults(damage_rate=0.1))

    changed = [sum(map(bool, cast(bytes, detail))) for _, detail in always.seen("data")]
    assert changed == [1] * 300
    assert 10 < sum(map(bool, sometimes.received)) < 60
    assert len(sometimes.received) == 300 * 50


def test_half_open_neither_side_hears_the_other() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        network.set_faults(VENUE, LinkFaults(half_open=True))
        client.transport.write(b"hello?")
        server.transport.write(b"anybody?")
        client.transport.close()
        await asyncio.sleep(3600)
        assert network.connection_count(VENUE) == 1  # the server still believes in it

    client, server = play(scenario)

    assert client.received == server.received == b""
    assert client.lost == [None]
    assert server.lost == []


def test_a_connection_that_lost_bytes_while_half_open_is_cut_when_used_again() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        network.set_faults(VENUE, LinkFaults(half_open=True))
        client.transport.write(b"lost")
        await asyncio.sleep(60)
        network.set_faults(VENUE, LinkFaults())
        await asyncio.sleep(60)
        client.transport.write(b"again")

    client, server = play(scenario)

    assert server.received == b""
    assert client.lost == server.lost == ["ConnectionResetError"]
    assert server.seen("lost")[0][0] == 120 * SECOND


def test_cut_resets_every_connection_at_once() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        client.transport.write(b"in flight")
        network.cut(VENUE)
        await asyncio.sleep(0)
        assert network.connection_count(VENUE) == 0

    client, server = play(scenario, LinkFaults(latency_ms_low=10, latency_ms_high=10))

    assert client.lost == server.lost == ["ConnectionResetError"]
    assert server.received == b""


def test_a_partition_holds_everything_back_until_it_heals() -> None:
    async def scenario(network: MemoryNetwork, client: Recorder, server: Recorder) -> None:
        client.transport.write(b"1")
        network.partition(VENUE)
        client.transport.write(b"2")
        running_loop().call_later(30, network.heal, VENUE)
        await network.connect(Recorder, *VENUE)
        assert running_loop().now_ns == 30 * SECOND + 40 * MS

    client, server = play(scenario, LinkFaults(latency_ms_low=10, latency_ms_high=10))

    heard = [(time_ns, detail) for time_ns, detail in server.seen("data")]
    assert heard == [(30 * SECOND + 20 * MS, b"1"), (30 * SECOND + 20 * MS, b"2")]
    assert client.lost == server.lost == []


def test_faults_hold_per_client_and_later_words_replace_earlier_ones() -> None:
    async def main() -> None:
        network = running_loop().network
        network.listen(*VENUE, Recorder)
        network.set_faults(VENUE, LinkFaults(refuse=True), client="a")
        network.partition(VENUE, client="b")
        with pytest.raises(ConnectionRefusedError):
            await network.connect(Recorder, *VENUE, client="a")
        with anyio.move_on_after(1) as waiting:
            await network.connect(Recorder, *VENUE, client="b")
        assert waiting.cancelled_caught
        await network.connect(Recorder, *VENUE, client="c")
        network.set_faults(VENUE, LinkFaults(refuse=True), client="d")

        network.set_faults(VENUE, LinkFaults())
        network.heal(VENUE)

        for name in "abcd":
            await network.connect(Recorder, *VENUE, client=name)
        assert network.connection_count(VENUE) == 5
        assert network.connection_count(VENUE, client="c") == 2
        network.cut(VENUE, client="c")
        await asyncio.sleep(1)
        assert network.connection_count(VENUE) == 3

    run_simulated(main)


@pytest.mark.parametrize(
    "settings_",
    [
        {"latency_ms_low": 5},
        {"latency_ms_low": -1, "latency_ms_high": 1},
        {"drop_rate": 1.5},
        {"damage_rate": -0.1},
        {"bandwidth_bytes_per_s": -1},
        {"split_max_bytes": -1},
        {"join_ms": -1},
        {"connect_timeout_ms": -1},
    ],
)
def test_impossible_faults_are_refused(settings_: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        msgspec.convert(settings_, LinkFaults)
    with pytest.raises(ValueError, match="must"):
        LinkFaults(**settings_)  # type: ignore[arg-type]


# -- all together --------------------------------------------------------------------------------


def traffic(seed: int) -> str:
    """Return a hash of two clients' talk with two servers over bad links."""
    log = hashlib.sha256()

    async def talk(name: str, address: tuple[str, int]) -> None:
        chance = running_loop().random_for(name)
        for number in range(200):
            try:
                _, protocol = await running_loop().network.connect(Recorder, *address, client=name)
            except OSError as error:
                log.update(f"{name} {running_loop().now_ns} {error}".encode())
                continue
            for _ in range(5):
                protocol.transport.write(f"{name} {number}".encode())
                await asyncio.sleep(chance.random())
            protocol.transport.close()
            log.update(repr(protocol.events).encode())

    class Echo(Recorder):
        def data_received(self, data: bytes) -> None:
            log.update(f"{running_loop().now_ns} {data!r}".encode())
            self.transport.write(data)

    async def main() -> None:
        network = running_loop().network
        bad = LinkFaults(
            latency_ms_low=5, latency_ms_high=90, split_max_bytes=4, drop_rate=0.01, damage_rate=0.1
        )
        async with anyio.create_task_group() as tasks:
            for port in (1, 2):
                network.listen("venue", port, Echo)
                network.set_faults(("venue", port), bad)
                for name in ("a", "b"):
                    tasks.start_soon(talk, f"{name}{port}", ("venue", port))

    run_simulated(main, seed=seed)
    return log.hexdigest()


def test_r90_two_servers_and_clients_at_once_give_one_log_per_seed() -> None:
    assert traffic(1) == traffic(1)
    assert traffic(1) != traffic(2)
