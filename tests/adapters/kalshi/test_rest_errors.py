"""REST calls: signatures, refusals, repeats, and answers that cannot be read."""

import asyncio
import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from adapters.kalshi.rest import KalshiRest
from framework.errors import (
    AccessRefused,
    Conflict,
    InvalidRequest,
    MalformedMessage,
    NotFound,
    RateLimited,
    RequestRefusedByVenue,
    VenueUnavailable,
)
from tests.adapters.kalshi.rest_bodies import (
    MARKET,
    everything,
)
from tests.adapters.kalshi.scripted_rest import BASE_URL, PREFIX, PRIVATE_KEY, Rig, run


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b'{"order": null}',
        b'{"order": {"order_id": 5}}',
        b'{"order": [1e999]}',
        b'{"order": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"order": {"order_id": "\xff"}}',
    ],
)
def test_an_answer_that_cannot_be_read_is_malformed(body: bytes) -> None:
    """R-45."""

    async def scene(rig: Rig) -> None:
        rig.server.on("GET /portfolio/orders/o-1", body)
        with pytest.raises(MalformedMessage):
            await rig.rest.order("o-1")

    run(scene)


def test_requests_are_signed_afresh_each_time() -> None:
    """Section 3, K5: method, path without query, and a timestamp of their own."""

    async def scene(rig: Rig) -> None:
        rig.server.then("GET /markets/K-1%20x", (503, {}), (200, {"market": MARKET}))
        await rig.rest.market("K-1 x")
        rig.server.on("GET /portfolio/fills", {"fills": []})
        await everything(rig.rest.fills(ticker="K"))

        times = [check_signature(heard) for heard in rig.server.heard]
        assert len(times) == 3
        assert len(set(times)) == 3

    run(scene, is_signed=True)


def check_signature(heard: Any) -> str:
    """Verify a request as the venue does; return its timestamp."""
    timestamp = heard.headers["KALSHI-ACCESS-TIMESTAMP"]
    assert heard.headers["KALSHI-ACCESS-KEY"] == "key-1"
    text = f"{timestamp}{heard.method}{PREFIX}{heard.path}".encode()
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    signature = base64.b64decode(heard.headers["KALSHI-ACCESS-SIGNATURE"], validate=True)
    PRIVATE_KEY.public_key().verify(signature, text, scheme, hashes.SHA256())
    return str(timestamp)


def test_a_venue_may_tell_its_address_when_it_is_first_asked() -> None:
    """One in this process has a place only once it runs; two first requests share a client."""

    async def scene(rig: Rig) -> None:
        places: list[str] = []

        async def place() -> str:
            await asyncio.sleep(1)
            places.append(BASE_URL)
            return places[-1]

        late = KalshiRest(rig.context, place)
        await late.aclose()  # harmless before
        assert late.statistics() == {"left_out": 0}
        rig.server.on("GET /markets/K", {"market": MARKET})

        await asyncio.gather(late.market("K"), late.market("K"))
        await late.market("K")

        assert late.statistics()["requests"] == 3
        assert len(places) == 2
        await late.aclose()

    run(scene)


def test_without_a_key_nothing_is_signed() -> None:
    """K4."""

    async def scene(rig: Rig) -> None:
        rig.server.on("GET /markets/K", {"market": MARKET})
        await rig.rest.market("K")
        assert not [name for name in rig.last.headers if name.startswith("KALSHI")]

    run(scene)


NEW_ERROR = {"error": {"code": "invalid_price", "message": "invalid price", "details": "off grid"}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "text"),
    [
        (400, NEW_ERROR, InvalidRequest, "invalid_price", "invalid price: off grid"),
        (404, {"code": "not_found", "message": "no such order"}, NotFound, "not_found",
         "no such order"),
        (409, {"error": {"code": "order_already_exists"}}, Conflict, "order_already_exists", ""),
        (401, {"error": {"code": "authentication_error", "message": "authentication_error",
                         "details": "INCORRECT_API_KEY_SIGNATURE"}}, AccessRefused,
         "authentication_error", "authentication_error: INCORRECT_API_KEY_SIGNATURE"),
        (403, {"error": "forbidden"}, AccessRefused, "", "forbidden"),
        (400, b"<html>", InvalidRequest, "", "<html>"),
        (400, {"error": None, "message": "odd"}, InvalidRequest, "", "odd"),
    ],
)  # fmt: skip
def test_errors_of_all_shapes(
    status: int, body: Any, kind: type[RequestRefusedByVenue], code: str, text: str
) -> None:
    """K61, K63, 10.1."""

    async def scene(rig: Rig) -> None:
        rig.server.on("GET /markets/K", body, status=status)
        with pytest.raises(kind) as caught:
            await rig.rest.market("K")
        assert (caught.value.status, caught.value.code, caught.value.text) == (status, code, text)
        assert len(rig.server.heard) == 1

    run(scene)


def test_reads_are_repeated_and_writes_never() -> None:
    """K62: a write whose outcome is unknown is the caller's question."""

    async def scene(rig: Rig) -> None:
        rig.server.then("GET /markets/K", (502, {}), (429, {"error": "too many requests"}),
                        (200, {"market": MARKET}))  # fmt: skip
        await rig.rest.market("K")
        assert len(rig.server.heard) == 3

        rig.server.on("DELETE /portfolio/events/orders/o-1", {}, status=503)
        with pytest.raises(VenueUnavailable):
            await rig.rest.cancel_order("o-1")
        rig.server.on("POST /portfolio/order_groups/create", {"error": "too many requests"},
                      status=429)  # fmt: skip
        with pytest.raises(RateLimited):
            await rig.rest.create_order_group(100)
        assert len(rig.server.heard) == 5

    run(scene)
