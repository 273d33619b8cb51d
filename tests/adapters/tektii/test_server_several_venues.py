"""Several venues behind one gateway: each with its account, its run and its names."""

from typing import Any

import aiohttp

from framework.runtime.runner import Runtime
from framework.settings.structs import Settings
from tests.framework.runtime.test_doors import configuration, play


def two_venues() -> Settings:
    venue = {"adapter": "mock", "settings": {"any_symbol": True}, "fills": "unlimited"}
    return configuration(
        venues={"mock": venue, "other": venue},
        accounts={
            "main": {"venue": "mock", "currency": "USD", "balances": {"USD": 100_000}},
            "second": {"venue": "other", "currency": "USD", "balances": {"USD": 5_000}},
        },
        door={"accounts": ["main", "second"]},
    )


async def get(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def test_an_order_goes_where_its_symbol_says_and_comes_back_under_that_name() -> None:
    async def act(runtime: Runtime, session: aiohttp.ClientSession) -> None:
        for symbol in ("AAPL", "other:AAPL"):
            order = {"symbol": symbol, "side": "buy", "quantity": "2", "order_type": "market"}
            async with session.post("/v1/orders", json=order) as answer:
                assert answer.status == 201
        ledger = runtime.engine.ledger
        assert ledger.net_quantity("gateway", "mock:AAPL") == 2
        assert ledger.net_quantity("gateway-second", "other:AAPL") == 2
        shown = await get(session, "/v1/orders/history")
        assert {one["symbol"] for one in shown} == {"AAPL", "other:AAPL"}
        ids = {one["symbol"]: one["id"] for one in await get(session, "/v1/positions")}
        assert ids["AAPL"] == "mock-pos-AAPL"
        assert len(set(ids.values())) == len(ids) == 2
        assert len(await get(session, "/v1/positions?symbol=AAPL")) == 1

        async with session.delete(f"/v1/positions/{ids['other:AAPL']}", json={}) as answer:
            assert answer.status == 200
        assert [one["id"] for one in await get(session, "/v1/positions")] == ["mock-pos-AAPL"]

    play(act, two_venues())


def test_each_account_is_shown_by_its_name_and_the_first_without_one() -> None:
    async def act(runtime: Runtime, session: aiohttp.ClientSession) -> None:
        assert (await get(session, "/v1/account"))["balance"] == "100000"
        assert (await get(session, "/v1/account?account=second"))["balance"] == "5000"
        async with session.get("/v1/account?account=third") as answer:
            assert answer.status in (400, 403, 404)
        platforms = {one["platform"] for one in (await get(session, "/health"))["providers"]}
        assert platforms == {"mock", "other"}

    play(act, two_venues())


def test_quotes_carry_their_venue() -> None:
    async def act(runtime: Runtime, session: aiohttp.ClientSession) -> None:
        for symbol, provider in (("AAPL", "mock"), ("other:AAPL", "other")):
            quote = await get(session, f"/v1/quotes/{symbol}")
            assert (quote["symbol"], quote["provider"]) == (symbol, provider)

    play(act, two_venues())
