"""The same over real sockets: what the in-memory network does not show, TLS among it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from framework.errors import NotSent, VenueUnavailable
from framework.net.order_writer import OrderWriter, WriterOptions
from framework.net.rest import Request, RestClient, RestOptions
from tests.adapters.mock.seams import HandContext
from tests.framework.net.http_venue import CLOSE, OK, Connection, HttpVenue, in_turn

pytestmark = [pytest.mark.socket, pytest.mark.anyio]

ORDER = Request(method="PUT", path="/orders/1", body=b"{}")


@asynccontextmanager
async def listening(
    venue: HttpVenue, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Serve `venue` on a free port of this computer."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(venue), "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()


@asynccontextmanager
async def writer_at(url: str) -> AsyncIterator[OrderWriter]:
    """Run a writer until it tried to connect."""
    options = WriterOptions(cap_s=0.1)
    writer = OrderWriter("writer", url, HandContext(), size=1, options=options)
    running = asyncio.get_running_loop().create_task(writer.run())
    async with asyncio.timeout(10):
        while not (writer.is_open or writer.statistics()["failures"]):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    try:
        yield writer
    finally:
        await writer.aclose()
        await asyncio.wait([running])


def certificate(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Return the TLS context of a server on this computer, and what its clients have to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, SHA256())
    )
    file = directory / "server.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + signed.public_bytes(Encoding.PEM))
    trusted = directory / "trusted.pem"
    trusted.write_bytes(signed.public_bytes(Encoding.PEM))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(file)
    return tls, trusted


async def test_a_write_on_a_connection_that_dies_is_written_once() -> None:
    """F-01, R-20: PUT is what aiohttp itself would repeat."""
    venue = HttpVenue(in_turn(OK, CLOSE, OK))
    async with listening(venue) as (host, port):
        client = RestClient("rest", f"http://{host}:{port}", HandContext())
        await client.send(ORDER)
        with pytest.raises(VenueUnavailable) as caught:
            await client.send(ORDER)
        await client.send(ORDER)
        await client.aclose()

    assert type(caught.value) is VenueUnavailable
    assert len(venue.arrived) == 3


async def test_where_nobody_listens_nothing_is_sent() -> None:
    async with listening(HttpVenue()) as (host, port):
        pass
    client = RestClient("rest", f"http://{host}:{port}", HandContext())

    with pytest.raises(NotSent):
        await client.send(ORDER)

    await client.aclose()


async def test_a_read_without_an_answer_ends_in_time() -> None:
    options = RestOptions(deadline_s=0.1)
    async with listening(HttpVenue(lambda _: None)) as (host, port):
        client = RestClient("rest", f"http://{host}:{port}", HandContext(), options=options)
        with pytest.raises(VenueUnavailable, match="no time left"):
            await client.send(Request(method="GET", path="/"))
        await client.aclose()


async def test_the_writer_writes_before_send_returns() -> None:
    venue = HttpVenue()
    async with (
        listening(venue) as (host, port),
        writer_at(f"http://{host}:{port}") as writer,
    ):
        sent = writer.send(ORDER)
        assert writer.statistics()["written"] == 1
        assert (await sent).status == 200


async def test_the_writer_trusts_whom_the_system_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, trusted = certificate(tmp_path)
    venue = HttpVenue()
    async with listening(venue, tls) as (host, port):
        async with writer_at(f"https://{host}:{port}") as stranger:
            with pytest.raises(NotSent):
                await stranger.send(ORDER)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        async with writer_at(f"https://{host}:{port}") as friend:
            assert (await friend.send(ORDER)).status == 200

    assert len(venue.arrived) == 1
