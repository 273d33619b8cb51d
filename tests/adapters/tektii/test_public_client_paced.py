"""A backtest waits for the public client: it acknowledges an event after its handler."""

import asyncio
import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tektii import AsyncTradingGateway, TradingGateway

from framework.backtest.runner import play_recorded
from framework.settings.decoding import decode_section
from framework.settings.structs import Settings
from tests.adapters.tektii.public_client_listener import STREAM_CLOSE_S, finished_afterwards
from tests.adapters.tektii.public_client_rig import (
    FORMS,
)

pytestmark = pytest.mark.socket

CANDLES = 40
SLOW_S = 0.005


def settings(candles: Path) -> Settings:
    source = {"files": str(candles), "instrument": "DEMO", "stamp": "open", "interval": "1m"}
    sample = {
        "adapter": "replay",
        "source": source,
        "instruments": [{"symbol": "DEMO", "tick": "0.01", "lot": "0.001"}],
    }
    patient = {"provider": "sample", "ack_timeout_s": 60}  # however busy the machine is
    door = {"door": "tektii", "accounts": ["main"], "settings": patient}
    return decode_section(
        {
            "mode": "backtest",
            "venues": {"sample": sample},
            "accounts": {
                "main": {"venue": "sample", "currency": "USD", "balances": {"USD": 100_000}}
            },
            "server": [{"listen": "127.0.0.1:0", "doors": [door]}],
            "logging": {"level": "error"},
        },
        Settings,
        key="",
    )


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from adapters.mock.sample import main as make_sample

    path = tmp_path_factory.mktemp("paced") / "candles.csv"
    make_sample([str(path), "--seed", "7", "--candles", str(CANDLES)])
    return path


class Follower:
    """Sends an order late in the handler of each candle; `orders` are (candle, order) pairs."""

    def __init__(self) -> None:
        self.orders: list[tuple[Any, Any]] = []

    def is_over(self, event: Any) -> bool:
        return bool(event.type == "connection" and event.event.value == "DISCONNECTING")

    async def follow(self, url: str) -> None:
        async with AsyncTradingGateway(url) as client, client.stream() as events:
            async for event in events:
                if event.type == "candle":
                    await asyncio.sleep(SLOW_S)
                    handle = await client.submit_order(
                        "DEMO", "buy", "0.001", "limit", limit_price="0.01"
                    )
                    self.orders.append((event, await client.get_order(handle.id)))
                elif self.is_over(event):
                    return

    def follow_in_a_thread(self, url: str) -> None:
        with TradingGateway(url) as client:
            stream = client.stream()
            stream._close_timeout = STREAM_CLOSE_S
            with stream as events:
                for event in events:
                    if event.type == "candle":
                        time.sleep(SLOW_S)
                        handle = client.submit_order(
                            "DEMO", "buy", "0.001", "limit", limit_price="0.01"
                        )
                        self.orders.append((event, client.get_order(handle.id)))
                    elif self.is_over(event):
                        return


@pytest.mark.parametrize("form", FORMS)
def test_market_time_stands_still_until_the_handler_has_ended(candles: Path, form: str) -> None:
    """Spec 12.1, 12.3: what a handler does is done at the time of its frame."""
    follower, clients = Follower(), []

    def connect(addresses: list[str]) -> None:
        (url,) = addresses
        work = (
            asyncio.to_thread(follower.follow_in_a_thread, url)
            if form == "sync"
            else follower.follow(url)
        )
        clients.append(asyncio.ensure_future(work))

    async def main() -> None:
        await play_recorded(settings(candles), on_listening=connect)
        async with asyncio.timeout(60):
            await asyncio.gather(*clients)

    with finished_afterwards():
        asyncio.run(main())
    assert len(follower.orders) == CANDLES
    times = [candle.timestamp for candle, _ in follower.orders]
    assert times == sorted(set(times))
    assert {late - early for early, late in pairwise(times)} == {timedelta(minutes=1)}
    for candle, order in follower.orders:
        assert candle.event_id
        assert order.created_at == candle.timestamp
    assert len({candle.event_id for candle, _ in follower.orders}) == CANDLES
