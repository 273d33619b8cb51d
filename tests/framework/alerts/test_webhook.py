"""Webhooks: what is posted, where to, and that the address stays secret (T-41)."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from aiohttp import web

from framework.alerts.delivery import DELIVERED, Outcome, attempted
from framework.alerts.webhook import Webhook, judged, reason_of
from framework.settings.secrets import Secret, redact
from framework.settings.structs import LogLevel
from tests.framework.alerts.samples import alert

TOKEN = "xoxb-very-secret-token"


def webhook(url: str, *, timeout_s: float = 60.0) -> Webhook:
    return Webhook(Secret(url), "paper", level=LogLevel.WARNING, timeout_s=timeout_s)


@asynccontextmanager
async def server(handle: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """Serve on loopback; yields the address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/" + TOKEN, "plain http is for this computer only"),
        ("http://10.0.0.1/" + TOKEN, "plain http is for this computer only"),
        ("http://localhost.evil.com/" + TOKEN, "plain http is for this computer only"),
        ("ftp://example.com/" + TOKEN, "begins with https://"),
        ("file:///" + TOKEN, "begins with https://"),
        (TOKEN, "begins with https://"),
        ("https:///" + TOKEN, "begins with https://"),
        ("https://example.com/\r\nX: " + TOKEN, "begins with https://"),
        ("https://example.com:port/" + TOKEN, "is not an address"),
        ("https://[::1/" + TOKEN, "is not an address"),
    ],
)
def test_an_address_that_alerts_may_not_go_to_is_refused_without_showing_it(
    url: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        webhook(url)

    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]"])
def test_plain_http_goes_to_this_computer(host: str) -> None:
    assert webhook(f"http://{host}:8080/x").name == f"webhook {host.strip('[]')}"


def test_t41_neither_the_address_nor_a_token_in_it_gets_into_a_log() -> None:
    hook = webhook(f"https://user:{TOKEN}-p@hooks.example.com/services/{TOKEN}?key={TOKEN}-q")

    assert hook.name == "webhook hooks.example.com"
    for leak in (f"/services/{TOKEN}", f"key={TOKEN}-q", f"{TOKEN}-p"):
        assert TOKEN not in redact(f"POST {leak}")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, DELIVERED),
        (204, DELIVERED),
        (302, Outcome("answered 302: redirects are not followed")),
        (404, Outcome("answered 404")),
        (429, Outcome("answered 429", is_retryable=True)),
        (503, Outcome("answered 503", is_retryable=True)),
    ],
)
def test_a_status_says_whether_to_try_again(status: int, outcome: Outcome) -> None:
    assert judged(status) == outcome


def test_t41_an_error_that_quotes_the_address_is_not_repeated() -> None:
    error = OSError(1, f"cannot reach https://example.com/{TOKEN}")

    assert reason_of(error) == "PermissionError"


@pytest.mark.socket
@pytest.mark.anyio
async def test_r66_an_alert_arrives_as_json() -> None:
    got: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        got.append((request.method, request.path, request.content_type, await request.json()))
        return web.Response(status=204)

    async with server(handle) as address:
        outcome = await attempted(webhook(f"{address}/hook"), alert())

    assert outcome == DELIVERED
    ((method, path, kind, body),) = got
    assert (method, path, kind) == ("POST", "/hook", "application/json")
    assert (body["name"], body["level"], body["source"]) == ("feed_lost", "error", "paper")


@pytest.mark.socket
@pytest.mark.anyio
async def test_t41_a_redirect_carries_the_alert_nowhere() -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with server(handle) as address:
        outcome = await attempted(webhook(f"{address}/hook"), alert())

    assert asked == ["/hook"]
    assert not outcome.is_delivered


@pytest.mark.socket
@pytest.mark.anyio
async def test_a_server_that_never_answers_is_given_up() -> None:
    async def handle(request: web.Request) -> web.Response:
        await anyio.sleep_forever()
        raise AssertionError

    async with server(handle) as address:
        outcome = await attempted(webhook(address, timeout_s=0.1), alert())

    assert outcome == Outcome("no answer within 0.1 s", is_retryable=True)


@pytest.mark.socket
@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_tried_again() -> None:
    with socket.socket() as held:  # by nobody who listens, and nobody else may
        held.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{held.getsockname()[1]}"
        outcome = await attempted(webhook(f"{address}/{TOKEN}"), alert())

    assert outcome.is_retryable
    assert outcome.reason.startswith("ClientConnectorError")
    assert TOKEN not in outcome.reason
