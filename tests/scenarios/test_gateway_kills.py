"""A gateway killed with -9 comes back with all that it told, once (R-01, R-29, R-31, R-32)."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random

import aiohttp
import pytest
from tektii import Order, OrderStatus, TradingGateway

from tests.adapters.tektii.client_loops import closed_afterwards
from tests.crash.processes import ROOT, Process
from tests.scenarios.gateway_traffic import DEADLINE_S, Client, Notes, check, trade_until

pytestmark = [pytest.mark.socket, pytest.mark.kill]

READY = "listening on "
SYMBOLS = ("AAPL", "ZZTOP")  # one that the mock lists, one that it makes up when asked
ROUNDS = int(os.environ.get("HEADRACE_GATEWAY_KILLS", "1"))
TRAFFIC_ROUNDS = int(os.environ.get("HEADRACE_GATEWAY_TRAFFIC_KILLS", "3"))
SEED = int(os.environ.get("HEADRACE_GATEWAY_SEED", "1"))
RICH = "100000000"
IN_FLIGHT = 50


class Gateway:
    """The mock gateway as a user starts it, on a journal of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        text = (ROOT / "config" / "tektii_gateway.yaml").read_text()
        text = text.replace("${GATEWAY_PORT:-8080}", "0")
        text = text.replace("# journal: sqlite:///", f"journal: sqlite:///{directory}/")
        assert f"{directory}/" in text
        text = text.replace("${MOCK_INITIAL_BALANCE:-100000}", RICH)
        assert RICH in text
        self.config = directory / "gateway.yaml"
        self.config.write_text(text)
        self.process: Process

    def start(self) -> str:
        """Return where it listens."""
        arguments = ["run", str(self.config)]
        self.process = Process("framework", arguments, self.directory / "gateway.log")
        line = self.process.line()
        assert line.startswith(READY), self.process.complaints()
        return line.removeprefix(READY)


def enter(gateway: TradingGateway, number: int) -> None:
    """Open one bracketed position per symbol, and one entry that rests."""
    for symbol in SYMBOLS:
        last = Decimal(gateway.get_quote(symbol).last)
        done = gateway.submit_order(
            symbol,
            "buy",
            "3",
            stop_loss=(last / 2).quantize(Decimal("0.01")),
            take_profit=(last * 2).quantize(Decimal("0.01")),
            client_order_id=f"entry-{symbol}-{number}",
        )
        assert done.status is OrderStatus.FILLED
        gateway.submit_order(
            symbol,
            "buy",
            "1",
            "limit",
            limit_price=(last / 3).quantize(Decimal("0.01")),
            stop_loss=(last / 4).quantize(Decimal("0.01")),
            client_order_id=f"resting-{symbol}-{number}",
        )


def state(gateway: TradingGateway) -> dict[str, tuple[str, ...]]:
    """Return what must be the same after a restart, by the client's ids."""
    orders = gateway.list_orders(limit=1_000)
    assert max(Counter(order.client_order_id for order in orders).values()) == 1
    return {str(order.client_order_id): shown(order) for order in orders}


def shown(order: Order) -> tuple[str, ...]:
    return (
        order.id,
        order.symbol,
        order.quantity,
        str(order.stop_price),
        str(order.limit_price),
        str(order.correlation_id),
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path)
    yield gateway
    gateway.process.kill()


def test_every_leg_is_there_once_after_each_kill(server: Gateway) -> None:
    url = server.start()
    with closed_afterwards():
        for number in range(ROUNDS):
            with TradingGateway(url, max_retries=0) as gateway:
                enter(gateway, number)
                before = state(gateway)
                positions = {p.symbol: p.quantity for p in gateway.list_positions()}
            legs = [name for name in before if name.endswith(("-sl", "-tp"))]
            assert len(legs) == 4 * (number + 1)

            server.process.kill()
            url = server.start()

            with TradingGateway(url, max_retries=0) as gateway:
                assert state(gateway) == before
                assert {p.symbol: p.quantity for p in gateway.list_positions()} == positions
                assert len(gateway.list_trades()) == 2 * (number + 1)
        with TradingGateway(url, max_retries=0) as gateway:
            gateway.close_all_positions()
            assert all(str(name).startswith("resting") for name in state(gateway))
    os.kill(server.process.pid, signal.SIGTERM)
    assert server.process.ends_within(DEADLINE_S)


def test_what_was_told_in_the_middle_of_traffic_is_there_after_each_kill(server: Gateway) -> None:
    """Several kills on one journal, at any moment; what nobody answered is sent again (R-29).

    The last life ends in order (R-10), which must be no worse.
    """
    notes, random = Notes(), Random(SEED)
    url = server.start()
    for number in range(TRAFFIC_ROUNDS):
        count, wait_s = random.randint(1, 100), random.uniform(0, 0.01)

        async def kill(count: int = count, wait_s: float = wait_s) -> None:
            await notes.answered(count)
            await asyncio.sleep(wait_s)
            server.process.kill()

        async def stop() -> None:
            await notes.answered(20)
            os.kill(server.process.pid, signal.SIGTERM)

        is_last = number == TRAFFIC_ROUNDS - 1
        end = stop if is_last else kill
        asyncio.run(trade_until(url, notes, f"r{number}", SEED + number, end))
        if is_last:
            assert server.process.stop() == 128 + signal.SIGTERM
        url = server.start()
        asyncio.run(check(url, notes))
    assert notes.handles
    assert notes.frames


def test_an_orderly_stop_leaves_nobody_with_a_wrong_answer(server: Gateway) -> None:
    """SIGTERM while orders are on their way: 201 is an order for good, all else is none or one."""
    notes = Notes()
    url = server.start()

    async def stop_in_the_middle() -> None:
        async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as http:
            async with http.ws_connect("/v1/ws") as stream:
                frame = await stream.receive_json(timeout=DEADLINE_S)
                notes.place = frame["epoch"], frame["seq"]
                client = Client("stop", http, notes, SEED)
                flight = client.submitting(IN_FLIGHT)
                await asyncio.wait(flight, return_when=asyncio.FIRST_COMPLETED)
                os.kill(server.process.pid, signal.SIGTERM)
                await client.ended(flight)
                await client.ended(client.submitting(IN_FLIGHT))
            assert await asyncio.to_thread(server.process.ends_within, DEADLINE_S)
            assert server.process.stop() == 128 + signal.SIGTERM

    asyncio.run(stop_in_the_middle())
    assert notes.unanswered + notes.statuses[201] + notes.statuses[503] == 2 * IN_FLIGHT
    url = server.start()
    asyncio.run(check(url, notes))
