"""Events as an asynchronous iterator."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

from framework.bus.overflow import BATCH
from framework.bus.subscriber import Subscriber
from framework.errors import StrategyError


class EventIterator(AsyncIterator[Any]):
    """An iterator over events: `async with bus.subscribe(Quote) as quotes: async for q in quotes`.

    It has one reader, which gives the loop a turn after each 256 events at the latest.

    Raises `ChannelOverflow` once what was queued has been read, if the reader fell behind a
    channel that must not drop.
    """

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self._wakeup: asyncio.Future[None] | None = None
        self._left = BATCH
        subscriber.wake_reader = self._wake

    async def __aenter__(self) -> "EventIterator":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.subscriber.close()

    def __aiter__(self) -> "EventIterator":
        return self

    async def __anext__(self) -> Any:
        if self._wakeup is not None:
            raise StrategyError(f"{self.subscriber.name} has a reader already")
        self._left -= 1
        if not self._left:
            self._left = BATCH
            await asyncio.sleep(0)
        while (event := self.subscriber.take()) is None:
            if self.subscriber.is_ended:
                raise StopAsyncIteration
            self._wakeup = asyncio.get_running_loop().create_future()
            try:
                await self._wakeup
            finally:
                self._wakeup = None
        return event

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)
