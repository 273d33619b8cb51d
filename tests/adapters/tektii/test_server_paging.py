"""Lists longer than one answer: a header leads from each to the next, none twice, none missing."""

from typing import Any

import aiohttp
import pytest

from framework.runtime.runner import Runtime
from tests.framework.runtime.test_doors import play

ORDER = {"symbol": "AAPL", "side": "buy", "quantity": "1", "order_type": "market"}


async def pages(session: aiohttp.ClientSession, path: str, limit: int) -> list[list[Any]]:
    """Return what each answer had."""
    found, cursor = [], ""
    while True:
        query = {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
        async with session.get(path, params=query) as answer:
            assert answer.status == 200
            found.append(await answer.json())
            cursor = answer.headers.get("X-Next-Cursor", "")
        if not cursor:
            return found


@pytest.mark.parametrize("path", ["/v1/orders/history", "/v1/trades", "/v1/orders"])
@pytest.mark.parametrize("limit", [1, 2, 4, 7, 8])
def test_pages_add_up_to_the_list(path: str, limit: int) -> None:
    async def act(runtime: Runtime, session: aiohttp.ClientSession) -> None:
        for _ in range(7):
            async with session.post("/v1/orders", json=ORDER) as answer:
                assert answer.status == 201
            resting = {**ORDER, "order_type": "limit", "limit_price": "1"}
            async with session.post("/v1/orders", json=resting) as answer:
                assert answer.status == 201
        async with session.get(path) as answer:
            whole = await answer.json()
        assert len(whole) == 7
        found = await pages(session, path, limit)
        assert [row for page in found for row in page] == whole
        assert all(len(page) == limit for page in found[:-1])

    play(act)


@pytest.mark.parametrize("path", ["/v1/orders/history", "/v1/trades"])
def test_a_cursor_that_leads_nowhere_is_refused_by_its_name(path: str) -> None:
    async def act(runtime: Runtime, session: aiohttp.ClientSession) -> None:
        async with session.get(path, params={"cursor": "nothing"}) as answer:
            assert answer.status == 400
            assert (await answer.json())["details"]["field"] == "cursor"

    play(act)
