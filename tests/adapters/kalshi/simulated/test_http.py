"""The pipeline in front of every REST handler: who it is, what is refused and how, faults."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from adapters.kalshi.simulated.auth import AuthMode
from adapters.kalshi.simulated.http import LARGEST_BODY, RestSettings, without_empty_lists
from adapters.kalshi.simulated.rest_errors import ErrorShape
from adapters.kalshi.simulated.rest_faults import FaultKind, RestFault
from tests.adapters.kalshi.simulated.rest_rig import PREFIX, START_NS, A, Desk, desk, play
from tests.broker.rig import simulated_loop

ORDERS = "/portfolio/orders"
ORDER = {"ticker": A, "side": "yes", "action": "buy", "count": 1, "yes_price": 40}
JSON = {"Content-Type": "application/json"}


# -- who it is -----------------------------------------------------------------------------------


def test_s2_a_private_route_needs_a_signature_and_a_public_one_does_not() -> None:
    async def main() -> None:
        async with desk() as at:
            assert await at.nobody.refused("GET", ORDERS) == (401, "authentication_error")
            assert (await at.alice.get(ORDERS))["orders"] == []
            assert (await at.nobody.get("/exchange/status"))["trading_active"]

    play(main)


@pytest.mark.parametrize("path", ["/exchange/status", ORDERS])
def test_s2_a_wrong_signature_is_401_everywhere(path: str) -> None:
    async def main() -> None:
        async with desk() as at:
            wrong = at.alice.signature("GET", PREFIX + path + "?limit=5", START_NS // 1_000_000)

            status, content = await at.nobody.raw("GET", path, headers=wrong)

        assert status == 401
        assert json.loads(content)["error"] == {
            "code": "authentication_error",
            "message": "authentication_error",
            "details": "INCORRECT_API_KEY_SIGNATURE",
        }

    play(main)


def test_s2_the_query_is_not_signed() -> None:
    async def main() -> None:
        async with desk() as at:
            assert (await at.alice.get(ORDERS, limit=5, ticker=A))["orders"] == []

    play(main)


@pytest.mark.parametrize(
    ("mode", "status"), [(AuthMode.REQUIRE, 401), (AuthMode.OPTIONAL, 401), (AuthMode.OFF, 200)]
)
def test_s2_without_a_signature_only_the_mode_off_opens_a_private_route(
    mode: AuthMode, status: int
) -> None:
    async def main() -> None:
        async with desk(auth=mode) as at:
            assert (await at.nobody.answer("GET", ORDERS))[0] == status

    play(main)


# -- what is refused, and how --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("flat", {"code": "not_found", "message": "there is no GET /trade-api/v2/nothing"}),
        ("bare", {"error": "there is no GET /trade-api/v2/nothing"}),
        (
            "nested",
            {
                "error": {
                    "code": "not_found",
                    "message": "not found",
                    "details": "there is no GET /trade-api/v2/nothing",
                    "service": "exchange",
                }
            },
        ),
    ],
)
def test_s11_a_refusal_has_one_of_three_shapes(shape: ErrorShape, expected: Any) -> None:
    async def main() -> None:
        async with desk(RestSettings(error_shape=shape)) as at:
            assert await at.nobody.answer("GET", "/nothing") == (404, expected)

    play(main)


def test_a_method_that_a_path_does_not_have_is_404() -> None:
    async def main() -> None:
        async with desk() as at:
            assert await at.alice.refused("DELETE", "/portfolio/balance") == (404, "not_found")

    play(main)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"orders": 5, "ticker": 5}',
        b'{"x":' * 50_000,
        b" " * (LARGEST_BODY + 1),
    ],
)
@pytest.mark.parametrize("path", [ORDERS, "/portfolio/events/orders/batched"])
def test_a_body_that_cannot_be_read_is_400_and_never_500(path: str, body: bytes) -> None:
    async def main() -> None:
        async with desk() as at:
            status, content = await at.alice.raw("POST", path, data=body, headers=JSON)

        assert status == 400
        assert json.loads(content)["error"]["code"] == "invalid_parameters"

    play(main)


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}])
def test_an_empty_object_must_be_declared_as_json(headers: dict[str, str]) -> None:
    async def main() -> None:
        async with desk() as at:
            made = await at.alice.post("/portfolio/order_groups/create", {"contracts_limit": 5})
            path = f"/portfolio/order_groups/{made['order_group_id']}/reset"

            status, content = await at.alice.raw("PUT", path, headers=headers, data=b"{}")
            empty = await at.alice.raw("PUT", path, headers=headers)

            assert status == empty[0] == 400
            assert json.loads(content)["error"]["code"] == "invalid_content_type"
            assert await at.alice.call("PUT", path, {}) == {}
            assert (await at.alice.raw("PUT", path, headers=JSON))[0] == 200

    play(main)


def test_s11_a_spent_bucket_is_429_with_a_bare_body_and_nothing_is_executed() -> None:
    async def main() -> None:
        async with desk(RestSettings(enforces_limits=True, error_shape="flat")) as at:
            await at.alice.post(ORDERS, ORDER)  # costs 100 of 200
            await at.alice.post(ORDERS, ORDER)
            refused = await at.alice.answer("POST", ORDERS, ORDER)
            reads = await at.alice.get(ORDERS)
            await asyncio.sleep(1.0)
            await at.alice.post(ORDERS, ORDER)
            await at.bob.post(ORDERS, ORDER)

        assert refused == (429, {"error": "too many requests"})
        assert len(reads["orders"]) == 2

    play(main)


def test_s11_a_batch_costs_as_much_as_its_items() -> None:
    async def main() -> None:
        async with desk(RestSettings(enforces_limits=True)) as at:
            batch = {"orders": [ORDER] * 19}
            await at.alice.post(ORDERS + "/batched", batch)  # 190 of 200
            assert (await at.alice.answer("POST", ORDERS + "/batched", batch))[0] == 429
            cancels = {"ids": ["x"] * 5}
            assert (await at.alice.answer("DELETE", ORDERS + "/batched", cancels))[0] == 200
            assert (await at.alice.answer("DELETE", ORDERS + "/x"))[0] == 429

    play(main)


def test_empty_lists_may_be_null() -> None:
    async def main() -> None:
        async with desk(RestSettings(null_lists=True)) as at:
            assert (await at.alice.get(ORDERS)) == {"orders": None, "cursor": ""}
            assert (await at.nobody.get("/events"))["events"] is not None

    play(main)


def test_null_takes_the_place_of_empty_lists_at_any_depth() -> None:
    body = {"a": [], "b": {"c": []}, "d": [{"e": []}, 1], "f": "", "g": {}}

    assert without_empty_lists(body) == {
        "a": None,
        "b": {"c": None},
        "d": [{"e": None}, 1],
        "f": "",
        "g": {},
    }


# -- faults --------------------------------------------------------------------------------------


def faulty(at: Desk, kind: FaultKind, **more: Any) -> None:
    """Let the next request to `/portfolio/orders` meet a fault."""
    at.api.faults.add(RestFault(**{"kind": kind, "method": "POST", "count": 1} | more))


@pytest.mark.parametrize(("kind", "executed"), [("lose_request", 0), ("lose_answer", 1)])
def test_s14_an_answer_may_be_lost_before_or_after_the_deed(kind: FaultKind, executed: int) -> None:
    async def main() -> None:
        async with desk() as at:
            faulty(at, kind)

            with pytest.raises(aiohttp.ClientError):
                await at.alice.post(ORDERS, ORDER)

            assert len((await at.alice.get(ORDERS))["orders"]) == executed

    play(main)


@pytest.mark.parametrize(("kind", "executed"), [("refuse", 0), ("fail_after", 1)])
@pytest.mark.parametrize("status", [500, 503, 504])
def test_s14_an_error_may_come_before_or_after_the_deed(
    kind: FaultKind, executed: int, status: int
) -> None:
    async def main() -> None:
        async with desk() as at:
            faulty(at, kind, status=status)

            refused = await at.alice.refused("POST", ORDERS, ORDER)

            assert refused == (status, "internal_server_error")
            assert len((await at.alice.get(ORDERS))["orders"]) == executed

    play(main)


def test_s14_a_forced_429_has_the_body_of_a_real_one() -> None:
    async def main() -> None:
        async with desk() as at:
            faulty(at, "refuse", status=429)

            assert (await at.alice.answer("POST", ORDERS, ORDER))[1] == {
                "error": "too many requests"
            }

    play(main)


@pytest.mark.parametrize(("kind", "created_s"), [("delay_request", 3), ("delay_answer", 0)])
def test_s14_a_slow_answer_is_late_in_doing_or_in_telling(kind: FaultKind, created_s: int) -> None:
    async def main() -> None:
        async with desk() as at:
            faulty(at, kind, delay_s=3.0)

            began_ns = simulated_loop().now_ns
            await at.alice.post(ORDERS, ORDER)
            took_ns = simulated_loop().now_ns - began_ns
            (order,) = at.exchange.portfolio.orders("alice")

        assert took_ns >= 3_000_000_000
        assert (order.created_ns - began_ns) // 1_000_000_000 == created_s

    play(main)


def test_s14_an_answer_may_be_garbled() -> None:
    async def main() -> None:
        async with desk() as at:
            faulty(at, "garble")

            with pytest.raises(json.JSONDecodeError):
                await at.alice.post(ORDERS, ORDER)

    play(main)


def test_s14_a_cursor_may_come_back_for_ever_but_never_out_of_nothing() -> None:
    async def main() -> None:
        async with desk() as at:
            for _ in range(3):
                await at.alice.post(ORDERS, ORDER)
            first = await at.alice.get(ORDERS, limit=1)
            at.api.faults.add(RestFault(kind="repeat_cursor"))

            second = await at.alice.get(ORDERS, limit=1, cursor=first["cursor"])
            last = await at.alice.get(ORDERS)

        assert second["cursor"] == first["cursor"]
        assert last["cursor"] == ""

    play(main)


def test_s15_every_request_is_kept_with_the_status_it_was_answered_with() -> None:
    async def main() -> None:
        async with desk() as at:
            await at.alice.post(ORDERS, ORDER)
            await at.nobody.refused("GET", ORDERS, limit=5)
            received = list(at.api.received)

        assert [(one.account, one.method, one.status) for one in received] == [
            ("alice", "POST", 201),
            ("", "GET", 401),
        ]
        assert received[0].path == PREFIX + ORDERS
        assert json.loads(received[0].body) == ORDER
        assert received[1].query == "limit=5"

    play(main)
