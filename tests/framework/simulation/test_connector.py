import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import anyio
import pytest
from aiohttp import WSMsgType, web

from framework.simulation.connector import MemoryConnector, memory_connector, serve
from framework.simulation.link import LinkFaults
from framework.simulation.loop import SimulatedLoop, run_simulated
from framework.simulation.network import MemoryNetwork

VENUE = ("venue", 80)
URL = "http://venue"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def running_loop() -> SimulatedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop


def application(**handlers: Handler) -> web.Application:
    app = web.Application()
    for path, handler in handlers.items():
        app.router.add_route("*", f"/{path}", handler)
    return app


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def port(request: web.Request) -> web.Response:
    """Answer with the client's port, which tells connections apart."""
    assert request.transport is not None
    return web.Response(text=str(request.transport.get_extra_info("peername")[1]))


async def echo_stream(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(f"echo {message.data}")
    return socket


Client = Callable[[aiohttp.ClientSession, MemoryNetwork], Awaitable[object]]


def play(app: web.Application, client: Client, *, seed: int = 0) -> None:
    """Run `client` with a session against `app`, and see that no connection is left."""

    async def main() -> None:
        loop = running_loop()
        runner = await serve(app, *VENUE)
        async with aiohttp.ClientSession(connector=memory_connector(loop)) as session:
            await client(session, loop.network)
        loop.network.set_faults(VENUE, LinkFaults())
        await runner.cleanup()
        await asyncio.sleep(1)
        assert loop.network.connection_count(VENUE) == 0

    run_simulated(main, seed=seed)


# -- HTTP ----------------------------------------------------------------------------------------


def test_a_request_goes_there_and_back() -> None:
    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        network.set_faults(VENUE, LinkFaults(latency_ms_low=10, latency_ms_high=10))
        async with session.post(f"{URL}/echo", data=b"hello") as response:
            assert await response.read() == b"hello"
        assert running_loop().time() == 0.04  # one round trip to connect, one to ask

    play(application(echo=echo), client)


def test_a_large_body_passes_in_both_directions() -> None:
    body = bytes(range(256)) * 4000

    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        network.set_faults(VENUE, LinkFaults(bandwidth_bytes_per_s=1_000_000))
        async with session.post(f"{URL}/echo", data=body) as response:
            assert await response.read() == body
        assert 2.0 < running_loop().time() < 2.2

    app = web.Application(client_max_size=10_000_000)
    app.router.add_post("/echo", echo)

    play(app, client)


def test_https_is_carried_in_the_clear() -> None:
    async def main() -> None:
        runner = await serve(application(echo=echo), "venue", 443)
        connector = memory_connector(running_loop())
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("https://venue/echo") as response,
        ):
            assert response.status == 200
        await runner.cleanup()

    run_simulated(main)


def test_nobody_listening_is_a_connector_error() -> None:
    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        with pytest.raises(aiohttp.ClientConnectorError, match="elsewhere"):
            await session.get("http://elsewhere/")

    play(application(), client)


def test_a_blackhole_runs_into_the_clients_timeouts() -> None:
    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        network.set_faults(VENUE, LinkFaults(blackhole=True, connect_timeout_ms=60_000))
        for timeout in (
            aiohttp.ClientTimeout(sock_connect=3),
            aiohttp.ClientTimeout(connect=3),
            aiohttp.ClientTimeout(total=3),
        ):
            before = running_loop().time()
            with pytest.raises(TimeoutError):
                await session.get(URL, timeout=timeout)
            assert running_loop().time() - before == pytest.approx(3)
        with pytest.raises(aiohttp.ClientConnectorError, match="no answer"):
            await session.get(URL, timeout=aiohttp.ClientTimeout())

    play(application(), client)


def test_a_lost_answer_is_a_disconnect() -> None:
    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        running_loop().call_later(5, network.cut, VENUE)
        with pytest.raises(aiohttp.ClientOSError):  # a GET aiohttp would repeat by itself
            await session.post(f"{URL}/slow")

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(10)
        return web.Response()

    play(application(slow=slow), client)


# -- the pool of idle connections ----------------------------------------------------------------


def test_idle_connections_expire_on_virtual_time() -> None:
    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        async def ask() -> str:
            async with session.get(f"{URL}/port") as response:
                return await response.text()

        first = await ask()
        await asyncio.sleep(14.9)
        second = await ask()
        await asyncio.sleep(14.9)
        third = await ask()
        await asyncio.sleep(15.1)
        assert network.connection_count(VENUE) == 0
        fourth = await ask()
        assert first == second == third != fourth

    play(application(port=port), client)


def test_connections_used_at_the_same_time_expire_one_by_one() -> None:
    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        async def ask(duration: float) -> None:
            async with session.get(f"{URL}/wait", params={"s": str(duration)}) as response:
                await response.read()

        async with anyio.create_task_group() as tasks:
            for duration in (1, 2, 3):
                tasks.start_soon(ask, duration)
        counts = []
        for _ in range(5):
            counts.append(network.connection_count(VENUE))
            await asyncio.sleep(13.5 if len(counts) == 1 else 1)
        assert counts == [3, 2, 1, 0, 0]

    async def wait(request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.query["s"]))
        return web.Response()

    play(application(wait=wait), client)


@pytest.mark.parametrize(
    ("keepalive_timeout", "force_close", "expected"),
    [(None, False, 1), (3.0, False, 0), (None, True, 0)],
)
def test_keep_alive_may_be_endless_short_or_off(
    keepalive_timeout: float | None, force_close: bool, expected: int
) -> None:
    async def main() -> int:
        loop = running_loop()
        runner = await serve(application(port=port), *VENUE)
        connector = MemoryConnector(
            loop, keepalive_timeout=keepalive_timeout, force_close=force_close
        )
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(f"{URL}/port") as response:
                await response.read()
            await asyncio.sleep(60)
            count = loop.network.connection_count(VENUE)
        await runner.cleanup()
        return count

    assert run_simulated(main) == expected


def queueing(seed: int) -> list[str]:
    """Return the order in which requests to three hosts pass a connector of one connection."""
    order: list[str] = []

    async def slow(request: web.Request) -> web.Response:
        order.append(request.host)
        await asyncio.sleep(1)
        return web.Response()

    async def main() -> None:
        loop = running_loop()
        runners = [await serve(application(slow=slow), host, 80) for host in "abc"]
        connector = MemoryConnector(loop, limit=1)

        async def ask(host: str) -> None:
            async with session.get(f"http://{host}/slow") as response:
                await response.read()

        async with (
            aiohttp.ClientSession(connector=connector) as session,
            anyio.create_task_group() as tasks,
        ):
            for host in "abcabcabcabc":
                tasks.start_soon(ask, host)
        for runner in runners:
            await runner.cleanup()

    run_simulated(main, seed=seed)
    return order


def test_r90_who_waits_for_a_connection_is_served_in_an_order_of_the_seed() -> None:
    orders = {seed: queueing(seed) for seed in range(4)}

    assert orders == {seed: queueing(seed) for seed in range(4)}
    assert all(sorted(order) == sorted("abcabcabcabc") for order in orders.values())
    assert len(set(map(tuple, orders.values()))) > 1


def closing(seed: int) -> list[str]:
    """Return the order in which 30 busy connections end when their session is closed."""
    ended: list[str] = []

    async def hang(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        ended.append(request.query["name"])
        return socket

    async def main() -> None:
        loop = running_loop()
        runner = await serve(application(hang=hang), *VENUE)
        session = aiohttp.ClientSession(connector=memory_connector(loop))
        sockets, junk = [], []
        for name in range(30):
            sockets.append(await session.ws_connect(f"{URL}/hang?name={name}"))
            junk.append(bytearray(name * 100))  # moves what follows in memory
        await session.close()
        for socket in sockets:
            await socket.close()
        await asyncio.sleep(1)
        await runner.cleanup()

    run_simulated(main, seed=seed)
    return ended


def test_r90_busy_connections_are_closed_in_the_order_they_were_made() -> None:
    assert closing(0) == [str(name) for name in range(30)]


# -- WebSocket -----------------------------------------------------------------------------------


def test_a_websocket_talks_both_ways() -> None:
    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        async with session.ws_connect("ws://venue/stream") as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "echo hello"
            await socket.close()
            assert socket.close_code == 1000

    play(application(stream=echo_stream), client)


def test_heartbeats_both_ways_keep_a_quiet_websocket_open() -> None:
    async def quiet(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=20)
        await socket.prepare(request)
        await asyncio.sleep(3600)
        await socket.send_str("after an hour")
        await socket.close()
        return socket

    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        network.set_faults(VENUE, LinkFaults(latency_ms_low=10, latency_ms_high=90))
        async with session.ws_connect(f"{URL}/quiet", heartbeat=20) as socket:
            assert await socket.receive_str() == "after an hour"
            assert 3600 < running_loop().time() < 3601

    play(application(quiet=quiet), client)


def test_the_client_finds_a_half_open_websocket_by_its_heartbeat() -> None:
    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        socket = await session.ws_connect(f"{URL}/stream", heartbeat=20)
        running_loop().call_later(100, network.set_faults, VENUE, LinkFaults(half_open=True))

        message = await socket.receive()

        assert message.type is WSMsgType.ERROR
        assert isinstance(message.data, aiohttp.ServerTimeoutError)
        assert 100 < running_loop().time() <= 100 + 20 + 10 + 1
        network.set_faults(VENUE, LinkFaults())
        network.cut(VENUE)  # the server has no heartbeat and would never know

    play(application(stream=echo_stream), client)


def test_the_server_finds_a_half_open_websocket_by_its_heartbeat() -> None:
    found: list[float] = []

    async def watchful(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=20)
        await socket.prepare(request)
        async for _ in socket:
            pass
        found.append(running_loop().time())
        return socket

    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        async with AsyncExitStack() as stack:
            socket = await stack.enter_async_context(session.ws_connect(f"{URL}/watchful"))
            running_loop().call_later(100, network.set_faults, VENUE, LinkFaults(half_open=True))
            with anyio.move_on_after(300):
                await socket.receive()
            network.set_faults(VENUE, LinkFaults())

    play(application(watchful=watchful), client)

    assert len(found) == 1
    assert 100 < found[0] <= 100 + 20 + 10 + 1


def test_a_cut_websocket_ends_its_reader_and_is_opened_again() -> None:
    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        for _ in range(3):
            socket = await session.ws_connect(f"{URL}/stream")
            await socket.send_str("hello")
            assert await socket.receive_str() == "echo hello"
            running_loop().call_later(1, network.cut, VENUE)
            message = await socket.receive()
            assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)

    play(application(stream=echo_stream), client)


def test_a_slow_websocket_client_holds_its_server_back() -> None:
    sent: list[int] = []

    async def flood(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for number in range(300):
            await socket.send_bytes(bytes(10_000))
            sent.append(number)
        await socket.close()
        return socket

    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        async with session.ws_connect(f"{URL}/flood") as socket:
            await asyncio.sleep(60)
            assert len(sent) < 150
            received = [len(message.data) async for message in socket]
            assert received == [10_000] * 300

    play(application(flood=flood), client)


SLOW_LINKS = {
    "plain": LinkFaults(),
    "one byte": LinkFaults(split_max_bytes=1),
    "split": LinkFaults(split_max_bytes=7, latency_ms_high=5),
    "joined": LinkFaults(join_ms=250),
    "200 ± 200 ms": LinkFaults(latency_ms_high=400),
    "50 kB/s": LinkFaults(bandwidth_bytes_per_s=50_000),
    "all": LinkFaults(
        latency_ms_high=400, bandwidth_bytes_per_s=50_000, split_max_bytes=3, join_ms=40
    ),
}


@pytest.mark.parametrize("name", SLOW_LINKS)
def test_r47_http_and_websocket_give_the_same_results_over_every_link(name: str) -> None:
    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        network.set_faults(VENUE, SLOW_LINKS[name])
        async with session.post(f"{URL}/echo", data=bytes(range(256)) * 20) as response:
            assert await response.read() == bytes(range(256)) * 20
        async with session.ws_connect(f"{URL}/stream", heartbeat=30) as socket:
            for number in range(100):
                await socket.send_str(f"message {number} {'x' * number}")
            answers = [await socket.receive_str() for _ in range(100)]
        assert answers == [f"echo message {n} {'x' * n}" for n in range(100)]

    play(application(echo=echo, stream=echo_stream), client)


def test_damaged_bytes_never_hang_a_websocket() -> None:
    async def client(session: aiohttp.ClientSession, network: MemoryNetwork) -> None:
        ends = []
        for _ in range(20):
            network.set_faults(VENUE, LinkFaults())
            socket = await session.ws_connect(f"{URL}/stream", heartbeat=20)
            network.set_faults(VENUE, LinkFaults(damage_rate=0.2))
            with anyio.fail_after(600):
                while not socket.closed:
                    await socket.send_str("hello")
                    message = await socket.receive()
                    if message.type is not WSMsgType.TEXT:
                        ends.append(message.type)
                        break
            await socket.close()
        assert len(ends) == 20

    play(application(stream=echo_stream), client)


# -- all together --------------------------------------------------------------------------------


def conversation(seed: int) -> list[tuple[int, str, str]]:
    """Return what two clients of two servers heard, and when."""
    log: list[tuple[int, str, str]] = []

    async def talk(client: str, host: str) -> None:
        connector = memory_connector(running_loop(), client=client)
        async with aiohttp.ClientSession(connector=connector) as session:
            for number in range(20):
                try:
                    async with session.ws_connect(f"http://{host}/stream", heartbeat=5) as socket:
                        for part in range(10):
                            await socket.send_str(f"{number}.{part}")
                            message = await socket.receive()
                            log.append((running_loop().now_ns, client, str(message.data)))
                except (aiohttp.ClientError, OSError) as error:
                    log.append((running_loop().now_ns, client, type(error).__name__))

    async def main() -> None:
        network = running_loop().network
        runners = [await serve(application(stream=echo_stream), host, 80) for host in "xy"]
        faults = LinkFaults(latency_ms_low=1, latency_ms_high=50, split_max_bytes=5, drop_rate=0.01)
        async with anyio.create_task_group() as tasks:
            for host in "xy":
                network.set_faults((host, 80), faults)
                for client in ("first", "second"):
                    tasks.start_soon(talk, f"{client} of {host}", host)
        for runner in runners:
            await runner.cleanup()

    run_simulated(main, seed=seed)
    return log


def test_r90_two_servers_and_clients_at_once_give_one_log_per_seed() -> None:
    first = conversation(1)

    assert first == conversation(1)
    assert first != conversation(2)
    assert len({client for _, client, _ in first}) == 4
