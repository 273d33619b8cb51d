"""Keys and tokens that come to the door are not to be found again anywhere behind it (R-85).

A gateway in a process of its own is used, misused, restarted and stopped; then all that it wrote,
answered or showed is searched for what its clients sent along, in every usual spelling.
"""

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
import requests

from framework.cli.journal import entries
from framework.model.records import OperatorAction
from framework.store.opening import open_for_reading
from tests.adapters.tektii.gateway_process import (
    CONFIGURATION,
    KEY,
    GatewayProcess,
    gateway_process,
)

pytestmark = pytest.mark.socket

SIGNS = "Q7+x/w=V2&kT%9zL~m4(R)8nB!c5Yd*G"  # spelled otherwise in addresses
GUESS = "Zr5Tn8WqB2xKc7VmH4yLs9PdF3gJ6aUe"  # of somebody who has none
ADMIN = "hT4nQ9bVx2KzR7mWc5LpY8dGs3FjE6uA"  # the first one's for admin
PLANTED = (KEY, SIGNS, GUESS, ADMIN)
ORDER = {"symbol": "AAPL", "side": "BUY", "quantity": "1", "order_type": "MARKET"}
WAYS = (
    "/v1/account",
    "/v1/orders",
    "/v1/orders/nothing",
    "/v1/quotes/AAPL",
    "/v1/bars/AAPL?timeframe=never",
    "/v1/status",
    "/v1/circuit-breakers",
    "/v1/capabilities",
    "/livez",
    "/readyz",
    "/health",
    "/metrics",
    "/openapi.json",
    "/api-docs/openapi.json",
    "/swagger-ui",
    "/nowhere",
)


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """Return a configuration with a journal, a talkative log, and a second token in a file."""
    private = tmp_path / "private"
    private.mkdir()
    secret = private / "token"
    secret.write_text(SIGNS)
    secret.chmod(0o600)
    known = '- {name: client, secret: "env:GATEWAY_API_KEY", optional: true}\n'
    chosen = known.replace("optional: true", "admin_secret: env:GATEWAY_ADMIN_TOKEN")
    text = CONFIGURATION.read_text()
    assert known in text
    second = f'          - {{name: second, secret: "file:{secret}", verbs: [read]}}\n'
    path = tmp_path / "gateway.yaml"
    path.write_text(
        text.replace(known, chosen + second) + f"journal: sqlite:///{tmp_path / 'gateway.db'}\n"
    )
    return path


def test_what_clients_send_as_a_secret_is_found_nowhere_again(
    tmp_path: Path, configuration: Path
) -> None:
    """R-85, T-40: answers, log, metrics, description, journal with its audit, files, arguments."""
    seen: list[bytes] = []
    for run in ("first", "second"):
        directory = tmp_path / run
        directory.mkdir()
        with gateway_process(
            directory,
            configuration=configuration,
            environment={
                "ENABLE_SWAGGER": "true",
                "RUST_LOG": "gateway=debug",
                "GATEWAY_ADMIN_TOKEN": ADMIN,
            },
        ) as gateway:
            seen += answers(gateway)
            seen += misplaced(gateway)
            asyncio.run(asyncio.wait_for(streamed(gateway, seen), 30))
            seen.append(Path(f"/proc/{gateway.pid}/cmdline").read_bytes())
            seen.append(gateway.stop().encode())
    written = {
        path: path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.parent.name != "private"
    }

    with closing(open_for_reading(f"sqlite:///{tmp_path / 'gateway.db'}")) as reading:
        records = [record for *_, record in entries(reading)]
    by = [(one.by, one.outcome) for one in records if isinstance(one, OperatorAction)]
    assert {("client", "201"), ("second", "403")} <= set(by)  # it is written down who it was
    seen.append(repr(records).encode())

    logged = b"".join(one for path, one in written.items() if path.suffix == ".log")
    assert b'"request"' in logged  # each request is in the log
    assert {".log", ".db"} <= {path.suffix for path in written}
    for planted in PLANTED:
        for spelling in spellings(planted):
            assert not any(spelling in one for one in seen), spelling
            assert [path for path, one in written.items() if spelling in one] == [], spelling


def answers(gateway: GatewayProcess) -> Iterator[bytes]:
    """Yield the head and body of every answer to right and wrong uses of each secret."""
    with requests.Session() as session:
        for secret in PLANTED:
            for headers in credentials(secret):
                for way in WAYS:
                    yield whole(session.get(gateway.url + way, headers=headers, timeout=10))
                for body in (json.dumps(ORDER), json.dumps({"api_key": secret}), "{" + secret):
                    kind = {"Content-Type": "application/json"}
                    yield whole(
                        session.post(
                            f"{gateway.url}/v1/orders",
                            data=body,
                            headers={**kind, **headers},
                            timeout=10,
                        )
                    )
            for name in ("api_key", "token", "X-API-Key"):
                path = f"{gateway.url}/v1/account"
                yield whole(session.get(path, params={name: secret}, timeout=10))


def credentials(secret: str) -> Iterator[dict[str, str]]:
    """Yield the headers that a secret may come in, or be put in by mistake."""
    yield {"Authorization": f"Bearer {secret}"}
    yield {"X-API-Key": secret}
    yield {"Authorization": secret}
    yield {"Authorization": f"Basic {base64.b64encode(f'user:{secret}'.encode()).decode()}"}
    yield {"Cookie": f"key={secret}"}
    yield {"Authorization": f"Bearer {secret}", "Host": "evil.example"}
    yield {"Authorization": f"Bearer {secret}", "Origin": "https://evil.example"}
    yield {"Authorization": f"Bearer {KEY}", "X-Admin-Token": secret}
    yield {"Authorization": f"Bearer {KEY}", "X-Api-Secret": secret}


def misplaced(gateway: GatewayProcess) -> Iterator[bytes]:
    """Yield the answers to secrets put where none belongs, in other spellings as well."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    reset = f"{gateway.url}/v1/circuit-breakers/reset"
    with requests.Session() as session:
        for secret in (KEY, SIGNS, ADMIN):  # what is no secret is shown to whoever misspelled it
            for spelled in (secret, base64.b64encode(secret.encode()).decode(),
                            secret.encode().hex(), quote(secret, safe="")):  # fmt: skip
                body = {**ORDER, "symbol": spelled, "order_type": spelled, "side": spelled}
                for way in (f"/v1/orders?status={quote(spelled, safe='')}",
                            f"/v1/bars/AAPL?timeframe={quote(spelled, safe='')}",
                            f"/v1/ws?epoch={quote(spelled, safe='')}&after=x"):  # fmt: skip
                    yield whole(session.get(gateway.url + way, headers=headers, timeout=10))
                for sent in (body, {**ORDER, "quantity": spelled}, {**ORDER, "token": spelled}):
                    yield whole(
                        session.post(
                            f"{gateway.url}/v1/orders", json=sent, headers=headers, timeout=10
                        )
                    )
            yield whole(session.post(reset, headers=headers, timeout=10))
            second = {**headers, "X-Admin-Token": secret}
            yield whole(session.post(reset, headers=second, timeout=10))


def whole(answer: requests.Response) -> bytes:
    """Return an answer as it was sent, about."""
    return repr(answer.headers).encode() + answer.content


async def streamed(gateway: GatewayProcess, seen: list[bytes]) -> None:
    """Open streams with each secret, send it as text as well, and note what comes back."""
    async with aiohttp.ClientSession(gateway.url) as session:
        for secret in PLANTED:
            headers = {"Authorization": f"Bearer {secret}"}
            try:
                stream = await session.ws_connect("/v1/ws", headers=headers)
            except aiohttp.WSServerHandshakeError as error:
                seen.append(f"{error.status} {error.message} {error.headers}".encode())
                continue
            await stream.send_str(json.dumps({"type": "authenticate", "token": secret}))
            await stream.send_str(f"token={secret}")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    while (message := await stream.receive()).type is aiohttp.WSMsgType.TEXT:
                        seen.append(message.data.encode())
            await stream.close()


def spellings(secret: str) -> set[bytes]:
    """Return a secret as it may be written: plain, as JSON, in an address, in base64 and hex."""
    raw = secret.encode()
    encoded = [base64.b64encode(bytes(shift) + raw)[4:-4] for shift in range(3)]
    return {
        raw,
        json.dumps(secret)[1:-1].encode(),
        quote(secret, safe="").encode(),
        base64.b64encode(raw),
        base64.urlsafe_b64encode(raw),
        raw.hex().encode(),
        raw.hex().upper().encode(),
        raw[::-1],
        *encoded,
    }
