"""Both halves of the protocol against each other: our decoders and the simulated venue (K66)."""

import asyncio
import json
from collections import Counter
from functools import partial
from random import Random
from typing import Any

import aiohttp
import msgspec
import pytest

from adapters.kalshi.codec import Frame, decode_frame
from adapters.kalshi.messages import OrderGroupUpdate
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.rest_values import Amendment, NewOrder
from adapters.kalshi.simulated.activity import ActivitySettings
from adapters.kalshi.simulated.auth import AuthMode
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.venue import KalshiVenue, VenueSettings
from framework.net.connectors import open_connector
from framework.net.rest import RestOptions
from tests.adapters.kalshi.simulated.rest_rig import START_S, play, started_clock
from tests.broker.rig import RigContext, simulated_loop

CHANNELS = (
    "ticker",
    "trade",
    "orderbook_delta",
    "market_lifecycle_v2",
    "fill",
    "user_orders",
    "market_positions",
    "order_group_updates",
    "communications",
)


def settings_of(profile: Profile) -> VenueSettings:
    return VenueSettings(auth=AuthMode.OFF, profile=profile, markets=3, activity=ActivitySettings())


async def told(profile: Profile, *, uses_first: bool) -> tuple[dict[str, Any], list[Frame]]:
    """Trade a little; return what REST said, and the frames."""
    clock = started_clock()
    venue = KalshiVenue(settings_of(profile), clock, Random(11))
    await venue.start("venue", 8000)
    context = RigContext(simulated_loop())
    rest = KalshiRest(
        context,
        venue.rest_url,
        uses_first_generation=uses_first,
        options=RestOptions(),
        write_tokens_per_s=1e6,
        read_tokens_per_s=1e6,
    )
    async with (
        aiohttp.ClientSession(connector=open_connector()) as session,
        session.ws_connect(venue.ws_url) as socket,
    ):
        tickers = sorted([market.ticker async for market in rest.markets(status="open")])
        parameters = {"channels": CHANNELS, "market_tickers": tickers}
        await socket.send_str(json.dumps({"id": 1, "cmd": "subscribe", "params": parameters}))
        answers = await trade_a_little(rest, tickers[0])
        await asyncio.sleep(3)
        answers |= await everything(rest, tickers)
        frames = await heard(socket)
    await rest.aclose()
    await venue.aclose()
    clock.stop()
    assert rest.statistics()["left_out"] == 0
    return answers, frames


async def trade_a_little(rest: KalshiRest, ticker: str) -> dict[str, Any]:
    """Use every call of order entry."""

    def order(number: int, price: int, *, is_bid: bool = True) -> NewOrder:
        return NewOrder(
            ticker=ticker, client_order_id=f"c-{number}", is_bid=is_bid, count=500, price=price
        )

    first = await rest.create_order(order(1, 200))
    amendment = Amendment(ticker=ticker, is_bid=True, count=400, price=300)
    amended = await rest.amend_order(first.order_id, amendment)
    decreased = await rest.decrease_order(first.order_id, by=100)
    batch = await rest.create_orders([order(2, 100), order(3, 9_900), order(3, 100)])
    placed = [answer.order_id for answer in batch if answer is not None][:1]
    return {
        "created": first,
        "amended": amended,
        "decreased": decreased,
        "batch": batch,
        "queue": await rest.queue_positions([ticker]),
        "cancelled": await rest.cancel_orders([first.order_id, *placed]),
        "group": await rest.create_order_group(5_000),
        "groups": await rest.order_groups(),
    }


async def everything(rest: KalshiRest, tickers: list[str]) -> dict[str, Any]:
    """Use every read."""
    market = await rest.market(tickers[0])
    event = await rest.event(market.event_ticker)
    series, ticker = event.series_ticker, tickers[0]
    span = (START_S - 60, START_S + 60, 1)
    return {
        "status": await rest.exchange_status(),
        "market": market,
        "event": event,
        "events": [each async for each in rest.events(with_nested_markets=True)],
        "series": await rest.series(series),
        "book": await rest.orderbook(ticker, depth=3),
        "books": await rest.orderbooks(tickers),
        "trades": [each async for each in rest.trades(ticker)],
        "candles": await rest.candlesticks(series, ticker, *span),
        "bulk": await rest.candlesticks_of(tickers, *span),
        "balance": await rest.balance(),
        "positions": [each async for each in rest.positions()],
        "orders": [each async for each in rest.orders()],
        "fills": [each async for each in rest.fills()],
        "settlements": [each async for each in rest.settlements()],
        "old orders": [each async for each in rest.orders(is_historical=True)],
        "old trades": [each async for each in rest.trades(is_historical=True)],
        "cutoff": await rest.historical_cutoff(),
        "freshness": await rest.user_data_timestamp(),
        "limits": (await rest.account_limits()).write_per_s,
        "costs": await rest.endpoint_costs(),
    }


async def heard(socket: aiohttp.ClientWebSocketResponse) -> list[Frame]:
    """Return the frames that have come."""
    frames: list[Frame] = []
    try:
        async with asyncio.timeout(0.5):
            while True:
                frames.append(decode_frame(await socket.receive_str()))
    except TimeoutError:
        return frames


NEWER: dict[str, Any] = {
    "yes_bid_size": None,
    "yes_ask_size": None,
    "last_trade_size": None,
    "last_update_reason": "",
}


def content(frame: Frame) -> Any:
    """Return a message without what the older wires lack: some fields, and parts of a second."""
    message: Any = frame.message
    lacking = {name: value for name, value in NEWER.items() if hasattr(message, name)}
    if isinstance(message, OrderGroupUpdate):
        lacking["time_ns"] = None
    rounded = {
        name: getattr(message, name) // 10**9
        for name in ("time_ns", "expiration_ns", "created_ns", "last_update_ns")
        if getattr(message, name, None) is not None
    }
    return msgspec.structs.replace(message, **(rounded | lacking))


def is_newer(frame: Frame) -> bool:
    """Whether the oldest wire does not tell of this at all."""
    kinds = ("metadata_updated", "price_level_structure_updated")
    return getattr(frame.message, "event_type", "") in kinds


@pytest.mark.parametrize("uses_first", [True, False])
def test_every_profile_of_the_venue_says_the_same(uses_first: bool) -> None:
    """K66, K65, S4: the same seed in three wires is one story, by REST and by stream."""
    stories = [play(partial(told, profile, uses_first=uses_first)) for profile in Profile]
    answers, frames = zip(*stories, strict=True)

    for name, said in answers[0].items():
        assert [each[name] for each in answers[1:]] == [said, said], name
    for each in frames:
        assert not [frame for frame in each if frame.error or frame.left_out]
        assert not [frame for frame in each if frame.message is None]
    kinds = Counter(frame.type for frame in frames[0])
    assert min(kinds[kind] for kind in ("ticker", "orderbook_delta", "user_order")) > 2, kinds
    contents = [[content(frame) for frame in each if not is_newer(frame)] for each in frames]
    shortest = min(len(each) for each in contents)  # longer frames take longer to arrive
    assert shortest > 100
    assert contents[0][:shortest] == contents[1][:shortest] == contents[2][:shortest]
