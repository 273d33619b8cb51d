"""The server on real sockets: TLS, unix sockets, slow senders, on uvloop and asyncio's loop."""

import asyncio
import os
import socket
import ssl
import stat
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest
import uvloop

from framework.errors import ConfigError
from framework.net.listening import bind_path, remove_socket
from framework.settings.server import LimitSettings, TlsSettings
from tests.framework.server.certificates import certificate_in
from tests.framework.server.door_stage import (
    Stage,
    bearer,
    hang_up,
    listener,
    secret_of,
    staged,
    token,
)

pytestmark = pytest.mark.socket
LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
FREE = "127.0.0.1:0"
HASTY = LimitSettings(head_s=1.0, request_s=1.0)
WAIT_S = 60.0
Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test on one of the loops."""

    def call(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(main(), WAIT_S))

    return call


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory with a short path: that of a unix socket has some 100 characters."""
    with TemporaryDirectory(prefix="hr", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsSettings:
    """Return a certificate for this machine, made for the occasion."""
    return certificate_in(tmp_path_factory.mktemp("tls"))


def test_a_request_over_tcp(run: Run) -> None:
    async def main() -> None:
        async with staged(listener(token("all"), listen=FREE)) as stage:
            assert not stage.urls[0].endswith(":0")
            thing = {"symbol": "binance:X", "quantity": "1"}
            assert (await stage.ask("POST", "/orders", json=thing))[0] == 201

    run(main)


def test_r83_slow_senders_are_cut_and_the_others_served(run: Run) -> None:
    async def main() -> None:
        async with staged(listener(token("all"), listen=FREE, limits=HASTY)) as stage:
            silent = [await stage.connect() for _ in range(70)]
            partial, bodies = [], []
            for _ in range(70):
                partial.append(await stage.connect())
                partial[-1][1].write(b"GET /orders HTTP/1.1\r\nHost: loc")
            head = f"POST /orders HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {secret_of('all')}\r\n"
            for _ in range(70):
                bodies.append(await stage.connect())
                bodies[-1][1].write(f"{head}Content-Length: 100\r\n\r\n{{".encode())

            assert (await stage.ask("GET", "/orders"))[0] == 200
            for reader, writer in (*silent, *partial):
                assert await reader.read() == b""
                await hang_up(writer)
            for reader, writer in bodies:
                assert (await reader.read()).startswith(b"HTTP/1.1 408")
                await hang_up(writer)
            assert stage.server.statistics()[0]["cut"] >= 140

    run(main)


def test_t02_tls_is_spoken_from_1_2_on(run: Run, tls: TlsSettings) -> None:
    async def main() -> None:
        async with staged(listener(token("all"), listen=FREE, tls=tls)) as stage:
            assert stage.urls[0].startswith("https://127.0.0.1:")
            trusted = ssl.create_default_context(cafile=tls.certificate)
            assert (await stage.ask("GET", "/orders", ssl=trusted))[0] == 200

            old = ssl.create_default_context(cafile=tls.certificate)
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            assert (await stage.ask("GET", "/orders", ssl=old))[0] == 200

            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await stage.ask("GET", "/orders")

    run(main)


def test_a_handshake_that_does_not_begin_is_cut(run: Run, tls: TlsSettings) -> None:
    async def main() -> None:
        async with staged(listener(token("all"), listen=FREE, tls=tls, limits=HASTY)) as stage:
            reader, writer = await stage.connect()
            assert await reader.read() == b""
            await hang_up(writer)

    run(main)


def test_a_certificate_that_cannot_be_used_is_an_error_with_its_place(
    run: Run, tls: TlsSettings
) -> None:
    async def main() -> None:
        for certificate, key in (
            ("/nowhere.pem", tls.key),
            (tls.certificate, tls.certificate),
            (tls.certificate, tls.key.replace("key", "locked")),
        ):
            stage = Stage([listener(token("all"), listen=FREE, tls=TlsSettings(certificate, key))])
            with pytest.raises(ConfigError, match="cannot serve") as caught:
                await stage.server.start()
            assert caught.value.key == "server[0].tls"

    run(main)


def test_an_address_that_is_taken_is_an_error_with_its_place(run: Run) -> None:
    async def main() -> None:
        async with staged(listener(token("all"), listen=FREE)) as stage:
            taken = stage.urls[0].removeprefix("http://")
            other = Stage([listener(token("all"), listen=taken)])
            with pytest.raises(ConfigError, match="cannot serve") as caught:
                await other.server.start()
            assert caught.value.key == "server[0].listen"

    run(main)


async def ask_path(path: Path) -> int:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://anything/orders", headers=bearer("all")) as answer,
    ):
        return answer.status


def test_a_unix_socket_is_for_its_owner_alone_and_gone_afterwards(
    run: Run, directory: Path
) -> None:
    path = directory / "door"

    async def main() -> None:
        async with staged(listener(token("all"), listen=f"unix:{path}")) as stage:
            assert stage.urls == [f"unix:{path}"]
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert await ask_path(path) == 200
        assert not path.exists()

    run(main)


def test_the_socket_of_a_killed_process_is_replaced_and_a_live_one_refused(
    run: Run, directory: Path
) -> None:
    path = directory / "door"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()

    async def main() -> None:
        settings = listener(token("all"), listen=f"unix:{path}")
        async with staged(settings):
            assert await ask_path(path) == 200
            other = Stage([settings])
            with pytest.raises(ConfigError, match="another process listens") as caught:
                await other.server.start()
            assert caught.value.key == "server[0].listen"
            assert await ask_path(path) == 200

    run(main)


def test_what_is_no_socket_is_left_alone(run: Run, directory: Path) -> None:
    path = directory / "door"
    path.write_text("precious")

    async def main() -> None:
        for listen in (path, directory / ("x" * 200)):
            stage = Stage([listener(token("all"), listen=f"unix:{listen}")])
            with pytest.raises(ConfigError, match="cannot serve"):
                await stage.server.start()

    run(main)
    assert path.read_text() == "precious"


def test_a_socket_that_another_process_has_put_there_since_is_left_alone(directory: Path) -> None:
    path = directory / "door"
    with bind_path(str(path)):
        inode = os.stat(path).st_ino
        remove_socket(str(path), inode + 1)
        assert path.exists()
        remove_socket(str(path), inode)
        remove_socket(str(path), inode)
    assert not path.exists()


def test_a_listener_without_room_counts_as_alive(directory: Path) -> None:
    path = directory / "door"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting = []
        for _ in range(3):
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            waiting.append(one)
            try:
                one.connect(str(path))
            except BlockingIOError:
                break
        with pytest.raises(FileExistsError, match="another process"):
            bind_path(str(path))
        for one in waiting:
            one.close()


def test_stopping_lets_an_open_request_end(run: Run) -> None:
    async def main() -> None:
        async with staged(listener(token("all"), listen=FREE)) as stage:
            stage.door.gate.clear()
            asking = asyncio.ensure_future(stage.ask("GET", "/orders"))
            while not stage.door.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            stopping = asyncio.ensure_future(stage.server.stop())
            while not stage.server.is_stopping():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            stage.door.gate.set()
            assert (await asking)[0] == 200
            await stopping

    run(main)
