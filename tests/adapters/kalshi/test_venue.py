"""The simulated venue as a whole: REST, streams and control behind one address."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import aiohttp
import pytest

from adapters.kalshi.simulated.activity import ActivitySettings
from adapters.kalshi.simulated.auth import AuthMode
from adapters.kalshi.simulated.channels import CHANNELS, Profile
from adapters.kalshi.venue import KalshiVenue, KeySettings, VenueSettings
from framework.net.connectors import open_connector
from tests.adapters.kalshi.simulated.rest_rig import (
    PEM,
    Client,
    exchange_settings,
    play,
    started_clock,
)

KEYS = (
    KeySettings(key_id="key-alice", public_key=PEM.decode(), account="alice"),
    KeySettings(key_id="key-bob", public_key=PEM.decode()),
)
SMALL = VenueSettings(keys=KEYS, markets=3)
WS_PATH = "/trade-api/ws/v2"


class Rig:
    """A venue on the simulated network and a session to reach it with."""

    def __init__(self, venue: KalshiVenue, session: aiohttp.ClientSession) -> None:
        self.venue = venue
        self.session = session
        self.alice = Client(session, "key-alice", venue.rest_url)

    async def connect(self, *, is_signed: bool = True) -> aiohttp.ClientWebSocketResponse:
        """Open a socket."""
        headers = self.alice.signed("GET", WS_PATH) if is_signed else {}
        return await self.session.ws_connect(self.venue.ws_url, headers=headers)

    async def control(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Use the control interface."""
        url = f"{self.venue.control_url}{path}"
        async with self.session.request(method, url, json=body) as response:
            return response.status, await response.json()


@asynccontextmanager
async def rig(settings: VenueSettings = SMALL) -> AsyncIterator[Rig]:
    """Run a venue."""
    clock = started_clock()
    venue = KalshiVenue(settings, clock, Random(5))
    await venue.start("venue", 8000)
    async with aiohttp.ClientSession(connector=open_connector()) as session:
        yield Rig(venue, session)
    await venue.aclose()
    clock.stop()


async def subscribe(
    socket: aiohttp.ClientWebSocketResponse, *channels: str, **parameters: Any
) -> None:
    """Ask for channels."""
    command = {"id": 1, "cmd": "subscribe", "params": {"channels": channels, **parameters}}
    await socket.send_str(json.dumps(command))


async def frames(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> list[Any]:
    """Return what comes within a time."""
    heard: list[Any] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                heard.append(await socket.receive_json())
    return heard


def test_s22_rest_and_streams_have_one_address_and_the_paths_that_are_signed() -> None:
    async def main() -> None:
        async with rig() as at:
            assert at.venue.rest_url == "http://venue:8000/trade-api/v2"
            assert at.venue.ws_url == "ws://venue:8000/trade-api/ws/v2"
            assert (await at.alice.get("/portfolio/balance"))["balance"] == 1_000_000
            socket = await at.connect()
            await subscribe(socket, "ticker")
            assert (await frames(socket, 1))[0]["type"] == "subscribed"
            await socket.close()

    play(main)


def test_s2_a_handshake_without_a_signature_is_401() -> None:
    async def main() -> None:
        async with rig() as at:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await at.connect(is_signed=False)

        assert caught.value.status == 401

    play(main)


def test_s8_streams_rest_and_the_true_book_agree_at_every_moment() -> None:
    async def main() -> None:
        async with rig() as at:
            ticker = (await at.alice.get("/markets"))["markets"][0]["ticker"]
            socket = await at.connect()
            await subscribe(socket, "orderbook_delta", market_tickers=[ticker])
            book: dict[str, dict[str, float]] = {}
            changes = 0
            for frame in await frames(socket, 3):
                body = frame["msg"]
                if frame["type"] == "orderbook_snapshot":
                    book = {
                        side: {price: float(size) for price, size in body[f"{side}_dollars_fp"]}
                        for side in ("yes", "no")
                    }
                elif frame["type"] == "orderbook_delta":
                    levels, price = book[body["side"]], body["price_dollars"]
                    levels[price] = levels.get(price, 0) + float(body["delta_fp"])
                    changes += 1
            assert at.venue.activity is not None
            at.venue.activity.stop()
            rest = (await at.alice.get(f"/markets/{ticker}/orderbook"))["orderbook_fp"]
            market = (await at.alice.get(f"/markets/{ticker}"))["market"]
            _, true = await at.control("GET", f"/books/{ticker}")
            await socket.close()

        for side in ("yes", "no"):
            ladder = {price: float(size) for price, size in rest[f"{side}_dollars"]}
            assert {price: size for price, size in book[side].items() if size} == ladder
            assert [[round(float(p) * 10_000), s * 100] for p, s in ladder.items()] == true[side]
        assert market["yes_bid_dollars"] == rest["yes_dollars"][-1][0]
        assert market["no_bid_dollars"] == rest["no_dollars"][-1][0]
        assert changes >= 9  # several times a second (S5)

    play(main)


@pytest.mark.parametrize("profile", list(Profile))
def test_s5_every_channel_speaks_within_two_seconds_where_accounts_are_acted_for(
    profile: Profile,
) -> None:
    ours = [name for name in CHANNELS[profile] if "value" not in name]

    async def main() -> list[Any]:
        async with rig(
            VenueSettings(keys=KEYS, markets=3, profile=profile, acts_for_accounts=True)
        ) as at:
            markets = (await at.alice.get("/markets", status="open"))["markets"]
            tickers = [market["ticker"] for market in markets if "RAIN" in market["ticker"]]
            socket = await at.connect()
            await subscribe(socket, *(name for name in ours if name != "orderbook_delta"))
            await subscribe(socket, "orderbook_delta", market_tickers=tickers)
            heard = await frames(socket, 2)
            await socket.close()
            return heard

    heard = play(main)
    accepted = [frame["msg"] for frame in heard if frame["type"] == "subscribed"]
    channels = {answer["sid"]: answer["channel"] for answer in accepted}
    spoken = {channels[frame["sid"]] for frame in heard if "sid" in frame}
    assert spoken == set(ours)


def test_s16_one_seed_is_one_conversation() -> None:
    async def main() -> Any:
        async with rig() as at:
            socket = await at.connect()
            await subscribe(socket, "ticker", "trade", "market_lifecycle_v2")
            heard = await frames(socket, 5)
            await socket.close()
            return heard, await at.alice.get("/markets/trades", limit=1_000)

    first, second = play(main), play(main)

    assert first == second
    assert len(first[0]) > 50


def test_without_activity_the_books_are_empty_and_stay_so() -> None:
    async def main() -> None:
        async with rig(VenueSettings(keys=KEYS, markets=1, activity=None)) as at:
            await asyncio.sleep(5)
            market = (await at.alice.get("/markets"))["markets"][0]

        assert at.venue.activity is None
        assert (market["yes_bid_dollars"], market["yes_ask_dollars"]) == ("0.0000", "1.0000")
        assert market["volume_fp"] == "0.00"

    play(main)


def test_s10_an_order_over_rest_is_seen_on_the_stream() -> None:
    async def main() -> None:
        async with rig(VenueSettings(keys=KEYS, markets=1, activity=None)) as at:
            bob = Client(at.session, "key-bob", at.venue.rest_url)
            ticker = (await at.alice.get("/markets"))["markets"][0]["ticker"]
            socket = await at.connect()
            await subscribe(socket, "user_orders", "fill", "market_positions", "trade")
            await at.alice.buy("0.40", ticker=ticker, client_order_id="a1")
            await bob.buy("0.40", ticker=ticker, action="sell")
            heard = await frames(socket, 1)
            await socket.close()

        kinds = [frame["type"] for frame in heard if frame["type"] != "subscribed"]
        assert sorted(kinds) == ["fill", "market_position", "trade", "user_order", "user_order"]
        assert all(
            frame["msg"]["client_order_id"] == "a1"
            for frame in heard
            if frame["type"] in ("fill", "user_order")
        )

    play(main)


# -- settings ------------------------------------------------------------------------------------


def test_s18_every_key_has_an_account_and_the_exchanges_own_come_first() -> None:
    own = exchange_settings()
    settings = VenueSettings(keys=KEYS, exchange=own)

    members = {account.name: account for account in settings.exchange_at(0).accounts}

    assert settings.accounts == {"key-alice": "alice", "key-bob": "key-bob"}
    assert members["alice"] is own.accounts[0]
    assert members["key-bob"].key_id == "key-bob"
    assert any(account.is_background for account in members.values())


def test_without_keys_there_is_one_account_for_everybody() -> None:
    async def main() -> None:
        settings = VenueSettings(auth=AuthMode.OFF, markets=1, acts_for_accounts=True)
        async with rig(settings) as at:
            nobody = Client(at.session, "", at.venue.rest_url)
            assert (await nobody.get("/portfolio/balance"))["balance"] > 0
            assert "main" in at.venue.exchange.accounts.names()
        activity = settings.activity_settings()
        assert activity is not None
        assert activity.members == ("main",)

    play(main)


def test_activity_may_be_none_or_leave_the_accounts_alone() -> None:
    quiet = ActivitySettings(news_s=None)

    assert VenueSettings(activity=None, acts_for_accounts=True).activity_settings() is None
    assert VenueSettings(activity=quiet).activity_settings() is quiet


def test_a_venue_that_does_not_listen_has_no_address_and_closes_all_the_same() -> None:
    async def main() -> None:
        venue = KalshiVenue(SMALL, started_clock(), Random(5))
        with pytest.raises(RuntimeError, match="does not listen"):
            _ = venue.rest_url
        await venue.aclose()
        await venue.start("::1", 8000)
        assert venue.ws_url == "ws://[::1]:8000/trade-api/ws/v2"
        await venue.aclose()
        await venue.aclose()

    play(main)


# -- the REST side's control interface -----------------------------------------------------------


def test_s14_rest_faults_are_injected_and_healed_from_outside() -> None:
    async def main() -> None:
        async with rig() as at:
            fault = {"kind": "refuse", "path": "/portfolio", "status": 503}
            assert (await at.control("POST", "/rest/faults", fault))[0] == 200
            assert (await at.alice.answer("GET", "/portfolio/balance"))[0] == 503
            assert (await at.alice.answer("GET", "/exchange/status"))[0] == 200
            await at.control("DELETE", "/rest/faults")
            assert (await at.alice.answer("GET", "/portfolio/balance"))[0] == 200
            status, said = await at.control("POST", "/rest/faults", {"kind": "explode"})
            assert (status, "explode" in said["error"]) == (400, True)

    play(main)


def test_s15_rest_requests_are_listed() -> None:
    async def main() -> None:
        async with rig() as at:
            await at.alice.get("/portfolio/balance")
            await at.alice.refused("POST", "/portfolio/orders", {"ticker": "X"})
            _, everything = await at.control("GET", "/rest/requests")
            _, orders = await at.control("GET", "/rest/requests?path=/orders&method=POST")

        assert [request["status"] for request in everything] == [200, 400]
        assert [json.loads(request["body"]) for request in orders] == [{"ticker": "X"}]

    play(main)


def test_s11_lag_and_limits_are_changed_from_outside() -> None:
    async def main() -> None:
        async with rig() as at:
            assert await at.control("PUT", "/rest/lag", {"lag_ms": 700}) == (200, {"lag_ms": 700})
            assert at.venue.rest.reads.lag_ms == 700
            assert (await at.control("PUT", "/rest/lag", {"lag_ms": -1}))[0] == 400
            await at.control("PUT", "/rest/limits", {"is_enforced": True})
            statuses = [(await at.alice.answer("GET", "/portfolio/fills"))[0] for _ in range(30)]

        assert set(statuses) == {200, 429}

    play(main)
