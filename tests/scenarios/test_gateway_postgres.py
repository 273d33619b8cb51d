"""A gateway whose journal is in PostgreSQL: killed, cut off from the server, left without it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import pytest

from framework.store.copies import verify
from framework.store.opening import open_for_reading
from framework.store.postgres_connection import PostgresConnection, parse_url
from tests.framework.store.journals import postgres_journal
from tests.scenarios.gateway_traffic import Notes, ask, check, trade_until
from tests.scenarios.test_gateway_kills import Gateway

pytestmark = [pytest.mark.socket, pytest.mark.kill]

KILLS = int(os.environ.get("HEADRACE_GATEWAY_POSTGRES_KILLS", "2"))
CUTS = int(os.environ.get("HEADRACE_GATEWAY_POSTGRES_CUTS", "5"))
SEED = int(os.environ.get("HEADRACE_GATEWAY_SEED", "1"))
POSTGRES_PORT = 5432
DEADLINE_S = 15.0


class PostgresGateway(Gateway):
    """The mock gateway with its journal on a server."""

    def __init__(self, directory: Path, url: str) -> None:
        super().__init__(directory)
        text = self.config.read_text()
        file = f"sqlite:///{directory}/tektii_gateway.db"
        assert file in text
        self.config.write_text(text.replace(file, f'"{url}"'))


@pytest.fixture
def url() -> Iterator[str]:
    with postgres_journal() as url:
        yield url


@pytest.fixture
def started() -> Iterator[list[Gateway]]:
    """What a test starts, to be ended with it."""
    gateways: list[Gateway] = []
    yield gateways
    for gateway in gateways:
        gateway.process.kill()


def cut_sessions(url: str, pid: int) -> int:
    """End every session of a process at the server; return how many there were."""
    link = PostgresConnection(parse_url(url), busy_s=10.0)
    found = link.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
        f"headrace {pid}",
    )
    link.close()
    return len(found)


async def answered(notes: Notes, count: int) -> None:
    """Wait until so many more orders have been answered."""
    wanted = notes.statuses[201] + count
    async with asyncio.timeout(DEADLINE_S):
        while notes.statuses[201] < wanted:  # noqa: ASYNC110 # the notes wake nobody
            await asyncio.sleep(0.01)


def require_whole(url: str) -> None:
    with closing(open_for_reading(url)) as reading:
        assert verify(reading).damage == ""


def test_r01_what_was_told_is_there_once_after_each_kill(
    url: str, tmp_path: Path, started: list[Gateway]
) -> None:
    """Orders of every kind over REST, kill -9 at any moment, and a start on the same journal."""
    server = PostgresGateway(tmp_path, url)
    started.append(server)
    notes, random = Notes(), Random(SEED)
    at = server.start()
    for number in range(KILLS):
        wait_s = random.uniform(0.1, 0.4)

        async def kill(wait_s: float = wait_s) -> None:
            await asyncio.sleep(wait_s)
            server.process.kill()

        asyncio.run(trade_until(at, notes, f"r{number}", SEED + number, kill))
        at = server.start()
        asyncio.run(check(at, notes))
    assert notes.handles
    assert notes.frames
    require_whole(url)


def test_r06_r07_a_gateway_goes_on_when_the_server_ends_its_sessions(
    url: str, tmp_path: Path, started: list[Gateway]
) -> None:
    """In the middle of traffic: nobody gets a wrong answer, nothing is lost, nothing is twice."""
    server = PostgresGateway(tmp_path, url)
    started.append(server)
    notes = Notes()
    at = server.start()

    async def cut_and_kill() -> None:
        for _ in range(CUTS):
            await answered(notes, 5)
            assert await asyncio.to_thread(cut_sessions, url, server.process.pid)
        await answered(notes, 5)
        server.process.kill()

    asyncio.run(trade_until(at, notes, "cut", SEED, cut_and_kill))
    assert notes.statuses[503] == 0
    assert "journal_connection_back" in (tmp_path / "gateway.log").read_text()
    at = server.start()
    asyncio.run(check(at, notes))
    require_whole(url)


# -- a server that is away -------------------------------------------------------------------------


class Relay:
    """Stands between a gateway and the server, which it can take away."""

    def __init__(self) -> None:
        self.is_open = True
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what both sides say."""
        if not self.is_open:
            writer.close()
            return
        other_reader, other = await asyncio.open_connection("127.0.0.1", POSTGRES_PORT)
        self._writers += [writer, other]
        await asyncio.gather(_pass_on(reader, other), _pass_on(other_reader, writer))

    def take_away(self) -> None:
        """Cut every connection, and take no more."""
        self.is_open = False
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def relayed(url: str) -> AsyncIterator[tuple[Relay, str]]:
    """Give a relay to the server, and the journal's URL by way of it."""
    relay = Relay()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    try:
        yield relay, urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}"))
    finally:
        server.close()
        relay.take_away()


def wish(name: str, **more: str) -> dict[str, str]:
    return {
        "symbol": "AAPL", "side": "buy", "quantity": "1", "order_type": "market",
        "client_order_id": name, **more,
    }  # fmt: skip


Play = Callable[[PostgresGateway, Relay, aiohttp.ClientSession], Any]


def play(url: str, directory: Path, started: list[Gateway], act: Play) -> None:
    """Start a gateway behind a relay and do something with both."""

    async def main() -> None:
        async with relayed(url) as (relay, by_relay):
            server = PostgresGateway(directory, by_relay)
            started.append(server)
            at = await asyncio.to_thread(server.start)
            async with aiohttp.ClientSession(at) as http:
                assert (await ask(http, "GET", "/v1/quotes/AAPL"))[0] == 200
                await act(server, relay, http)

    if _port_of(url) != POSTGRES_PORT:
        pytest.skip("the server is not on its usual port")
    asyncio.run(main())


def _port_of(url: str) -> int:
    host = urlsplit(url)
    with suppress(OSError), socket.create_connection(("127.0.0.1", POSTGRES_PORT), 1.0):
        return host.port or POSTGRES_PORT
    return 0


def test_r07_an_outage_of_a_second_is_waited_for_and_nothing_leaves_meanwhile(
    url: str, tmp_path: Path, started: list[Gateway]
) -> None:
    async def act(server: PostgresGateway, relay: Relay, http: aiohttp.ClientSession) -> None:
        status, resting = await ask(
            http, "POST", "/v1/orders", wish("resting", order_type="limit", limit_price="1")
        )
        assert status == 201
        relay.take_away()
        entry = asyncio.ensure_future(ask(http, "POST", "/v1/orders", wish("entry")))
        cancel = asyncio.ensure_future(ask(http, "DELETE", f"/v1/orders/{resting['id']}"))
        await asyncio.sleep(1.0)
        assert not entry.done()
        assert not cancel.done()
        relay.is_open = True

        assert (await entry)[0] == 201
        assert (await cancel)[0] == 200
        assert (await ask(http, "POST", "/v1/orders", wish("later")))[0] == 201
        assert len((await ask(http, "GET", "/v1/trades"))[1]) == 2
        server.process.kill()
        relay.is_open = True
        async with aiohttp.ClientSession(await asyncio.to_thread(server.start)) as again:
            trades = (await ask(again, "GET", "/v1/trades"))[1]
            assert sorted(trade["quantity"] for trade in trades) == ["1", "1"]
            assert (await ask(again, "GET", "/v1/orders"))[1] == []

    play(url, tmp_path, started, act)
    require_whole(url)


def test_r06_a_server_that_stays_away_stops_trading_and_what_it_has_is_there_after_a_restart(
    url: str, tmp_path: Path, started: list[Gateway]
) -> None:
    async def act(server: PostgresGateway, relay: Relay, http: aiohttp.ClientSession) -> None:
        assert (await ask(http, "POST", "/v1/orders", wish("held")))[0] == 201
        far = {"order_type": "limit", "limit_price": "1"}
        status, resting = await ask(http, "POST", "/v1/orders", wish("resting", **far))
        assert status == 201
        relay.take_away()

        async with asyncio.timeout(DEADLINE_S):
            status, body = await ask(http, "POST", "/v1/orders", wish("lost"))
        assert (status, body["code"]) == (503, "PROVIDER_UNAVAILABLE")
        assert (await ask(http, "POST", "/v1/orders", wish("new")))[0] == 503
        assert "journal_failed" in (tmp_path / "gateway.log").read_text()
        # Taken back, and nobody can promise that it stays so.
        assert (await ask(http, "DELETE", f"/v1/orders/{resting['id']}"))[0] == 503
        assert (await ask(http, "GET", "/v1/orders")) == (200, [])
        relay.is_open = True  # a failure is final: what was not written cannot be made up for
        assert (await ask(http, "POST", "/v1/orders", wish("still")))[0] == 503
        server.process.kill()

        async with aiohttp.ClientSession(await asyncio.to_thread(server.start)) as again:
            (trade,) = (await ask(again, "GET", "/v1/trades"))[1]
            assert trade["quantity"] == "1"
            (order,) = (await ask(again, "GET", "/v1/orders"))[1]
            assert order["client_order_id"] == "resting"
            assert (await ask(again, "POST", "/v1/orders", wish("new")))[0] == 201

    play(url, tmp_path, started, act)
    require_whole(url)
