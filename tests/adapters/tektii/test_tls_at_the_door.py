"""A gateway over TLS with the public client as people use it: REST, stream, admin (T-02, T-08).

The client takes its authorities from where OpenSSL does, so `SSL_CERT_FILE` names the certificate.
"""

import socket
from collections.abc import Iterator
from decimal import Decimal

import pytest
from tektii.errors import APIConnectionError, APIStatusError

from framework.settings.server import TlsSettings
from tests.adapters.tektii.gateway_process import (
    CONFIGURATION,
    KEY,
    GatewayProcess,
    gateway_process,
)
from tests.adapters.tektii.public_client_listener import STREAM_CLOSE_S, finished_afterwards
from tests.adapters.tektii.public_client_rig import a_client
from tests.framework.server.certificates import certificate_in

pytestmark = pytest.mark.socket
ADMIN = "p3Wd8KfR6tYbN1qXcV5mZ9aLsGhJ2uEo"
WAIT_S = 10.0


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsSettings:
    return certificate_in(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def gateway(tls: TlsSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Return the shipped gateway, with a certificate and a second secret for `admin`."""
    directory = tmp_path_factory.mktemp("gateway")
    text = CONFIGURATION.read_text()
    insecure = "    insecure: ${GATEWAY_INSECURE:-false}"
    token = '- {name: client, secret: "env:GATEWAY_API_KEY", optional: true}'
    assert insecure in text
    assert token in text
    secret = token.replace("optional: true", "admin_secret: env:GATEWAY_ADMIN_TOKEN")
    path = directory / "gateway.yaml"
    path.write_text(
        text.replace(
            insecure, f"    tls: {{certificate: {tls.certificate}, key: {tls.key}}}\n{insecure}"
        ).replace(token, secret)
    )
    environment = {"GATEWAY_ADMIN_TOKEN": ADMIN, "RUST_LOG": "gateway=debug"}
    with gateway_process(directory, configuration=path, environment=environment) as running:
        yield running


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch, tls: TlsSettings) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", tls.certificate)


def test_t02_the_public_client_trades_and_listens_over_tls(gateway: GatewayProcess) -> None:
    assert gateway.url.startswith("https://127.0.0.1:")
    with (
        finished_afterwards(),
        a_client(gateway.url, "sync", api_key=KEY) as client,
        client.stream() as stream,
    ):
        stream._close_timeout = STREAM_CLOSE_S
        order = None
        for event in stream:
            if order is None:
                order = client.submit_order("TLSX", "buy", Decimal(1))
            elif "FILLED" in str(getattr(event, "event", "")):
                break
        assert order is not None
        assert client.get_order(order.id).status.value == "FILLED"
        client.close_all_positions()


def test_t02_who_does_not_know_the_certificate_sends_nothing(
    gateway: GatewayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with (
        a_client(gateway.url, "sync", api_key=KEY, max_retries=0) as client,
        pytest.raises(APIConnectionError),
    ):
        client.get_account()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /v1/account HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\r\n",
        b"\x16\x03\x01\x00\x05\x01\x00",  # half a greeting
        b"",
    ],
)
def test_t02_what_is_no_tls_is_hung_up_on_without_a_word_of_us(
    gateway: GatewayProcess, sent: bytes
) -> None:
    """Nothing in the clear is answered, and nothing in the log looks like a fault of ours."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=WAIT_S) as link:
        link.sendall(sent)
        link.shutdown(socket.SHUT_WR)
        said = b""
        try:
            while part := link.recv(4_096):
                said += part
        except ConnectionResetError:
            pass
    assert b"HTTP" not in said
    with a_client(gateway.url, "sync", api_key=KEY) as client:  # it goes on
        assert client.get_account().currency == "USD"
    assert '"level": "debug"' in gateway.log  # a debug log says nothing of the kind either
    assert "Traceback" not in gateway.log
    assert '"level": "error"' not in gateway.log


def test_t08_the_public_client_can_send_the_second_secret_of_admin(gateway: GatewayProcess) -> None:
    """The client as it is: `headers` go along with every request."""
    with a_client(gateway.url, "sync", api_key=KEY) as client:
        assert client.get_circuit_breakers() is not None
        with pytest.raises(APIStatusError) as caught:
            client.reset_circuit_breakers()
        assert caught.value.status_code == 403
        assert "X-Admin-Token" in str(caught.value)
    with a_client(gateway.url, "sync", api_key=KEY, headers={"X-Admin-Token": ADMIN}) as client:
        client.reset_circuit_breakers()
