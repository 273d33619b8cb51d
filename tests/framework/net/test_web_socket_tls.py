"""Links over TLS, with a certificate made for the test: trusted, unknown, or of somebody else."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sized
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import uvloop
from structlog.testing import capture_logs

from framework.errors import VenueUnavailable
from framework.model.events import ConnectionState
from framework.net.link import LinkOptions
from framework.net.link_options import TransportName
from framework.net.listening import listen, server_tls
from tests.adapters.mock.seams import HandContext
from tests.framework.net.web_socket_venue import Bench, Recorder, Venue
from tests.framework.server.certificates import certificate_in

TRANSPORTS: list[TransportName] = ["aiohttp", "picows"]
LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
FAST = {"floor_s": 0.01, "base_s": 0.02, "cap_s": 0.05, "close_s": 0.2}
UNTRUSTED = "cannot connect: the certificate is not trusted: self-signed certificate"
OF_ANOTHER = "cannot connect: the certificate is not trusted: IP address mismatch"

pytestmark = pytest.mark.socket
Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
T = TypeVar("T")


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> TransportName:
    if request.param == "picows" and find_spec("picows") is None:
        pytest.skip("picows is not installed (extra `fast`)")
    name: TransportName = request.param
    return name


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test on one of the loops; what was logged stays out of sight."""

    def call(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with capture_logs(), asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main())

    return call


class TrustingContext(HandContext):
    """Trusts whom the system trusts now: aiohttp looked when it was imported."""

    def connector(self) -> aiohttp.BaseConnector:
        return aiohttp.TCPConnector(ssl=ssl.create_default_context())


class TlsBench(Bench):
    """A venue behind TLS, and a link to it."""

    @property
    def attempts(self) -> int:
        """How often it tried to connect."""
        return self.link.statistics()["attempts"]

    async def until_heard(self, what: Sized, count: int) -> None:
        """Return once there are so many."""
        await self.until(lambda: len(what) == count)


@asynccontextmanager
async def served(
    folder: Path,
    transport: TransportName,
    *,
    host: str = "127.0.0.1",
    context: HandContext | None = None,
    **options: Any,
) -> AsyncIterator[TlsBench]:
    """Serve a venue that echoes behind the certificate in `folder`, and run a link to it."""
    venue = Venue()
    venue.serve = venue.collect
    listener = await listen(venue.app, host, 0, tls=server_tls(*map(str, files_in(folder))))
    venue.url = f"wss://{host}:{listener.port}/feed"
    chosen = LinkOptions(transport=transport, **{**FAST, **options})
    made = TlsBench(venue, chosen, Recorder(), context or TrustingContext())
    made.running = asyncio.create_task(made.link.run())
    try:
        yield made
    finally:
        made.running.cancel()
        await asyncio.wait([made.running])
        await listener.aclose()


def files_in(folder: Path) -> tuple[Path, Path]:
    """Return where a certificate and its key are."""
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return the directory of the venue's certificate."""
    folder = tmp_path / "own"
    folder.mkdir()
    certificate_in(folder)
    return folder


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return the directory of a certificate that is not the venue's."""
    folder = tmp_path / "other"
    folder.mkdir()
    certificate_in(folder)
    return folder


def test_t20_a_trusted_venue_is_connected_to_and_again_after_a_break(
    transport: TransportName, run: Run, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-20, R-43: frames both ways, large ones too, on each connection."""
    monkeypatch.setenv("SSL_CERT_FILE", str(own / "certificate.pem"))
    large = "x" * 300_000

    async def main() -> None:
        async with served(own, transport) as bench:
            for count in (1, 2):
                await bench.until(lambda: bench.recorder.states[-1:] == [ConnectionState.STREAMING])
                await bench.venue.sockets[-1].send_str(large)
                bench.link.send("hello")
                await bench.until_heard(bench.recorder.texts, count)
                await bench.until_heard(bench.venue.received, count)
                bench.link.reconnect("as asked")
                await bench.until_heard(bench.recorder.lost, count)

            assert [len(text) for text in bench.recorder.texts] == [300_000] * 2
            assert bench.venue.received == ["hello"] * 2

    run(main)


@pytest.mark.parametrize("trusts", ["the system's", "another"])
def test_t20_a_venue_that_nobody_vouches_for_is_refused_in_plain_words_and_without_a_storm(
    trusts: str,
    transport: TransportName,
    run: Run,
    own: Path,
    other: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """T-20, R-43: no token leaves; tried again after the usual pauses, as it may be put right."""
    if trusts == "another":
        monkeypatch.setenv("SSL_CERT_FILE", str(other / "certificate.pem"))

    async def main() -> None:
        async with served(own, transport, floor_s=0.2, base_s=0.2, cap_s=0.2) as bench:
            await bench.until(lambda: bench.attempts == 3)
            began_s = asyncio.get_running_loop().time()
            await asyncio.sleep(0.5)
            took_s = asyncio.get_running_loop().time() - began_s
            reasons = [change.reason for change in bench.changes if change.reason]

            assert bench.attempts - 3 <= took_s / 0.2
            assert all(reason.startswith(UNTRUSTED) for reason in reasons)
            assert len(reasons) >= 2
            assert "secret" not in "".join(reasons)
            assert bench.venue.tokens == []
            assert not bench.link.is_open

    run(main)


def test_t20_a_trusted_certificate_of_another_name_is_refused(
    transport: TransportName, run: Run, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-20: the name counts, not only who signed."""
    monkeypatch.setenv("SSL_CERT_FILE", str(own / "certificate.pem"))

    async def main() -> None:
        async with served(own, transport, host="127.0.0.2", most_attempts=2) as bench:
            with pytest.raises(VenueUnavailable, match=OF_ANOTHER):
                await bench.running
            assert bench.attempts == 2
            assert bench.venue.tokens == []

    run(main)


def test_r54_the_systems_certificates_are_read_once_and_beside_the_loop(
    run: Run, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-54: reading them takes longer than anything may block the loop, at every reconnect."""
    pytest.importorskip("picows")
    monkeypatch.setenv("SSL_CERT_FILE", str(own / "certificate.pem"))
    asked: list[Callable[[], object]] = []

    class Watching(TrustingContext):
        async def blocking(self, function: Callable[[], T]) -> T:
            asked.append(function)
            return await super().blocking(function)

    async def main() -> None:
        async with served(own, "picows", context=Watching()) as bench:
            for count in (1, 2, 3):
                await bench.until_heard(bench.venue.sockets, count)
                await bench.until(lambda: bench.link.is_open)
                bench.link.reconnect("as asked")

    run(main)
    assert asked == [ssl.create_default_context]


def test_a_venue_that_speaks_no_tls_is_refused(
    transport: TransportName, run: Run, own: Path
) -> None:
    """R-45: what comes instead of a handshake is no frame and no hang."""

    async def main() -> None:
        async with served(own, transport, most_attempts=2) as bench:
            plain = await listen(Venue().app, "127.0.0.1", 0)
            bench.venue.url = f"wss://127.0.0.1:{plain.port}/feed"
            with pytest.raises(VenueUnavailable, match="cannot connect"):
                await bench.running
            await plain.aclose()

    run(main)
