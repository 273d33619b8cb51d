"""The gateway's configuration on virtual time, without its door: what a client asks, asked here."""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

import anyio
from msgspec.structs import replace

from framework.model.desk import ALL_VERBS, DeskOrder, Place, Principal
from framework.model.orders import Fill, OrderIntent, OrderType, Side
from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.settings.structs import Settings
from framework.simulation.loop import run_simulated
from tests.source_code import ROOT

SECOND_NS = 1_000_000_000
START_NS = 1_790_000_000 * SECOND_NS + 123_456_789  # in the middle of a week, off every grid
CLIENT = Principal("client", (Place("mock", "main", "gateway"),), verbs=ALL_VERBS)
BUY, SELL = Side.BUY, Side.SELL

Act = Callable[[Runtime], Awaitable[Any]]


def gateway_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return `config/tektii_gateway.yaml` as a gateway reads it, without its address."""
    chosen = load(ROOT / "config" / "tektii_gateway.yaml", environment=environment or {})
    return replace(chosen, server=[])


def play(
    act: Act, environment: Mapping[str, str] | None = None, *, start_ns: int = START_NS
) -> Any:
    """Do something with a gateway that has just started, and return what it returns."""
    chosen = gateway_settings(environment)

    async def main() -> Any:
        async with Runtime(chosen, journal_id="gateway") as runtime:
            await anyio.sleep(0.1)
            return await act(runtime)

    return run_simulated(main, seed=chosen.seed, start_ns=start_ns)  # where its seed decides


async def send(
    runtime: Runtime, side: Side, symbol: str, quantity: str, key: str = "", **wishes: Any
) -> DeskOrder:
    """Submit an order of the kind that its prices say, as the door does: with a quote at hand."""
    instrument = f"mock:{symbol}"
    await runtime.desk.quote(CLIENT, instrument)
    wishes = {
        name: Decimal(value) if name in ("price", "stop_price") else value
        for name, value in wishes.items()
    }
    kinds = {
        (False, False): OrderType.MARKET,
        (True, False): OrderType.LIMIT,
        (False, True): OrderType.STOP,
        (True, True): OrderType.STOP_LIMIT,
    }
    wishes.setdefault("type", kinds["price" in wishes, "stop_price" in wishes])
    key = key or runtime.desk.new_key(CLIENT)
    intent = OrderIntent("", key, instrument, side, Decimal(quantity), **wishes)
    return await runtime.desk.submit(CLIENT, intent)


async def now(runtime: Runtime, order: DeskOrder) -> DeskOrder:
    """Return an order as it stands now."""
    found = await runtime.desk.order(CLIENT, order.order.order_id)
    assert found is not None
    return found


def fills(runtime: Runtime) -> list[Fill]:
    """Return the list that every fill from now on is put into."""
    heard: list[Fill] = []
    runtime.desk.listen("test", {Fill: heard.append})
    return heard
