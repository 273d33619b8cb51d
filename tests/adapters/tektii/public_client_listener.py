"""The event stream of the public client, followed in a thread, and what it has brought."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from tektii import AsyncTradingGateway, TradingGateway

from tests.adapters.tektii.public_client_rig import DEADLINE_S, eventually

STREAM_CLOSE_S = 0.3  # for which the synchronous stream waits in vain, see `finished_afterwards`
RECONNECT_S = 0.05  # at most between two attempts; `stream()` offers no way to say so


@contextmanager
def finished_afterwards() -> Iterator[None]:
    """End what a synchronous stream leaves in its loop, then close that.

    Its consumer's end stops the loop before its `close` is done, which therefore waits in vain.
    """
    made: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def note() -> asyncio.AbstractEventLoop:
        loop = make()
        made.append(loop)
        return loop

    async def finish() -> None:
        await asyncio.sleep(0)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        if rest:
            await asyncio.wait(rest, timeout=DEADLINE_S)

    try:
        with patch.object(asyncio, "new_event_loop", note):
            yield
    finally:
        for loop in made:
            if loop.is_closed() or loop.is_running():
                continue
            loop.call_soon(loop.stop)
            loop.run_forever()  # a stop that came too late is taken by this
            loop.run_until_complete(finish())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


class Listener:
    """Follows the stream in a thread until it is left, with either form of the client.

    Attributes:
        events: what was handled, in order.
    """

    def __init__(
        self,
        url: str,
        form: str,
        *,
        handle: Callable[[Any], None] = lambda event: None,
        **options: Any,
    ) -> None:
        self.events: list[Any] = []
        self.failure: BaseException | None = None
        self._url = url
        self._form = form
        self._handle = handle
        self._options = options
        self._is_left = False
        self._is_open = threading.Event()
        self._thread = threading.Thread(target=self._main, name="listener", daemon=True)

    def __enter__(self) -> "Listener":
        self._thread.start()
        assert self._is_open.wait(DEADLINE_S)
        self.wait_for(lambda event: True)  # prices come at once and always
        return self

    def __exit__(self, *args: object) -> None:
        self.leave()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def leave(self) -> None:
        """End with the next event, and do not wait for it."""
        self._is_left = True

    def wait_for(self, is_it: Callable[[Any], bool], *, after: int = 0) -> Any:
        """Return the first event of a kind."""
        return self.wait_for_several(is_it, 1, after=after)[0]

    def wait_for_several(
        self, is_it: Callable[[Any], bool], number: int, *, after: int = 0
    ) -> list[Any]:
        """Return the events of a kind once there are so many."""

        def found() -> list[Any]:
            assert self.failure is None, self.failure
            return [event for event in self.events[after:] if is_it(event)]

        return eventually(found, lambda events: len(events) >= number)

    def of(self, symbol: str) -> list[Any]:
        """Return what was told of a symbol's orders, trades and positions, in order."""
        return [event for event in list(self.events) if symbol_of(event) == symbol]

    def _main(self) -> None:
        try:
            if self._form == "sync":
                self._follow()
            else:
                asyncio.run(self._follow_async())
        except BaseException as error:
            self.failure = error
            self._is_open.set()

    def _follow(self) -> None:
        client = TradingGateway(self._url, **self._options)
        stream = client.stream()
        stream._close_timeout = STREAM_CLOSE_S
        stream._max_reconnect_delay = RECONNECT_S
        with finished_afterwards(), stream as events:
            self._is_open.set()
            for event in events:
                self._handle(event)
                self.events.append(event)
                if self._is_left:
                    return

    async def _follow_async(self) -> None:
        client = AsyncTradingGateway(self._url, **self._options)
        stream = client.stream()
        stream._max_reconnect_delay = RECONNECT_S
        async with client, stream as events:
            self._is_open.set()
            async for event in events:
                self._handle(event)
                self.events.append(event)
                if self._is_left:
                    if stream._ws is not None:  # it waits in vain if frames are still unread
                        stream._ws.close_timeout = STREAM_CLOSE_S
                    return


def symbol_of(event: Any) -> str:
    """Return the symbol of an order, trade or position event; "": it is another."""
    if event.type not in ("order", "trade", "position"):
        return ""
    return str(getattr(event, event.type).symbol)


def order_event(kind: str, order_id: str = "") -> Callable[[Any], bool]:
    """Return what recognises an order event."""
    return lambda event: (
        event.type == "order"
        and event.event.value == kind
        and (not order_id or event.order.id == order_id)
    )
