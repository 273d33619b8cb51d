"""A whole system of ours as somebody else's counterpart: started inside the running loop.

A rig whose venue is a front door of ours (a gateway behind a gateway) runs one of these. What is
hosted lives in a task of its own, as a runtime is entered and left by the same one.
"""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from framework.engine.engine import Engine
from framework.interfaces import TradingDesk
from framework.model.decimals import ZERO, add
from framework.model.orders import Fill, Order
from framework.runtime.runner import Runtime
from framework.settings.decoding import decode_section
from framework.settings.structs import Settings


def settings_of(configuration: Mapping[str, Any]) -> Settings:
    """Return the settings that a configuration stands for, as a file with it would.

    Raises:
        ConfigError: a key is missing, unknown or makes no sense.
    """
    return decode_section(configuration, Settings, key="")


class Hosted:
    """One hosted system: `start` it, use it, `aclose` it.

    Attributes:
        orders: every order it has had since the start, by its id, as it stands.
        fills: every fill, oldest first.
    """

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.orders: dict[str, Order] = {}
        self.fills: list[Fill] = []
        self.runtime = Runtime(settings, **options)
        self._started, self._stopping = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def engine(self) -> Engine:
        """Its core."""
        return self.runtime.engine

    @property
    def desk(self) -> TradingDesk:
        """Its trading desk."""
        return self.runtime.desk

    @property
    def addresses(self) -> list[str]:
        """Where its doors listen."""
        return self.runtime.addresses

    async def start(self) -> "Hosted":
        """Return once it trades and listens. Raises what its start failed of."""
        self._task = asyncio.get_running_loop().create_task(self._live(), name="hosted")
        starting = asyncio.ensure_future(self._started.wait())
        await asyncio.wait({starting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        if self._task.done():
            self._task.result()
        return self

    async def aclose(self) -> None:
        """Stop it in order. Raises what a part of it had failed of."""
        if self._task is None:
            return
        self._stopping.set()
        await self._task
        if self.runtime.failure is not None:
            raise self.runtime.failure

    def position(self, account: str, instrument: str) -> Decimal:
        """Return what an account holds, signed, over all of its runs."""
        held = ZERO
        for holding in self.engine.ledger.holdings(account=account, instrument=instrument):
            held = add(held, holding.quantity)
        return held

    async def _live(self) -> None:
        async with self.runtime:
            subscription = self.desk.listen("hosted", {Order: self._on_order, Fill: self._on_fill})
            self._started.set()
            await self._stopping.wait()
            subscription.close()

    def _on_order(self, order: Order) -> None:
        self.orders[order.order_id] = order

    def _on_fill(self, fill: Fill) -> None:
        self.fills.append(fill)


__all__ = ["Hosted", "settings_of"]
