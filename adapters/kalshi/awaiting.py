"""Waits for what the venue answers: wishes in, results or errors out (K7).

Its owner shows it every action of the connection (`note`), and says when nothing will come any
more (`close`). What was asked without a connection waits for one (K48); the session's deadlines
end every other wait.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from adapters.kalshi.actions import Acknowledged, Action, Done, Ended, Refused
from adapters.kalshi.connection import KalshiConnection
from adapters.kalshi.subscription import Parameters, Subscription
from framework.errors import SubscriptionRefused

T = TypeVar("T")

Listed = tuple[tuple[str, int], ...]
"""(channel, sid) of what the venue thinks is subscribed."""


class Awaiting:
    """The wishes of several callers; each of them may give up waiting at any time."""

    def __init__(self, connection: KalshiConnection) -> None:
        self._connection = connection
        self._subscribing: dict[int, asyncio.Future[None]] = {}  # by subscription
        self._requests: dict[int, asyncio.Future[Listed]] = {}
        self._at_once: Done | Refused | None = None  # answered while it was being asked
        self._closed = ""

    # -- what comes back -------------------------------------------------------------------------

    def note(self, action: Action) -> None:
        """Wake whoever waits for this action."""
        if isinstance(action, Acknowledged):
            _settle(self._subscribing.pop(action.subscription.id, None), None)
        elif isinstance(action, Ended):
            error = action.error or SubscriptionRefused(
                action.subscription.channel, 0, "it was unsubscribed"
            )
            _settle(self._subscribing.pop(action.subscription.id, None), None, error)
        elif isinstance(action, Done):
            self._at_once = action
            _settle(self._requests.pop(action.request, None), action.listed)
        elif isinstance(action, Refused):
            self._at_once = action
            _settle(self._requests.pop(action.request, None), (), action.error)

    def close(self, reason: str) -> None:
        """Fail everything that waits, and whatever will be asked."""
        self._closed = reason
        subscribing, self._subscribing = self._subscribing, {}
        requests, self._requests = self._requests, {}
        for waiting in subscribing.values():
            _settle(waiting, None, self._refusal)
        for answer in requests.values():
            _settle(answer, (), self._refusal)

    # -- wishes ----------------------------------------------------------------------------------

    async def subscribe(self, channel: str, parameters: Parameters) -> Subscription:
        """Return a subscription once the venue has acknowledged it.

        A caller that is cancelled takes its subscription back.

        Raises:
            SubscriptionRefused: with the venue's code, or 0: no answer in time, or closed.
        """
        self._check_open()
        subscription = self._connection.subscribe(channel, parameters)
        waiting = asyncio.get_running_loop().create_future()
        self._subscribing[subscription.id] = waiting
        try:
            await waiting
        except asyncio.CancelledError:
            self._subscribing.pop(subscription.id, None)
            self._connection.unsubscribe(subscription)
            raise
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription, which is at once, and return when the venue has answered."""
        await self._answer(lambda: self._connection.unsubscribe(subscription))

    async def add_markets(self, subscription: Subscription, markets: tuple[str, ...]) -> None:
        """Cover more markets.

        Raises:
            SubscriptionRefused: with the venue's code, or 0: no answer in time, or closed.
            ValueError: the subscription has no filter by ticker: it covers them, or cannot.
        """
        await self._answer(lambda: self._connection.add_markets(subscription, markets))

    async def delete_markets(self, subscription: Subscription, markets: tuple[str, ...]) -> None:
        """Cover fewer markets.

        Raises:
            SubscriptionRefused: as `add_markets`.
            ValueError: none would be left, which would mean all: unsubscribe instead.
        """
        await self._answer(lambda: self._connection.delete_markets(subscription, markets))

    async def list_subscriptions(self) -> Listed:
        """Return what the venue thinks is subscribed.

        Raises:
            SubscriptionRefused: it does not say, or there is no connection.
        """
        return await self._answer(self._list)

    # -- details ---------------------------------------------------------------------------------

    def _list(self) -> int:
        request = self._connection.list_subscriptions()
        if request is None:
            raise SubscriptionRefused("list_subscriptions", 0, "there is no connection")
        return request

    async def _answer(self, ask: Callable[[], int | None]) -> Listed:
        self._check_open()
        self._at_once = None
        request = ask()
        if request is None:
            return ()
        at_once = self._at_once
        if at_once is not None and at_once.request == request:
            if isinstance(at_once, Refused):
                raise at_once.error
            return at_once.listed
        answer: asyncio.Future[Listed] = asyncio.get_running_loop().create_future()
        self._requests[request] = answer
        try:
            return await answer
        finally:
            self._requests.pop(request, None)

    def _check_open(self) -> None:
        if self._closed:
            raise self._refusal

    @property
    def _refusal(self) -> SubscriptionRefused:
        return SubscriptionRefused("connection", 0, self._closed)


def _settle(
    waiting: asyncio.Future[T] | None, result: T, error: SubscriptionRefused | None = None
) -> None:
    """Wake the waiter, unless there is none, or it has given up."""
    if waiting is None or waiting.done():
        return
    if error is not None:
        waiting.set_exception(error)
    else:
        waiting.set_result(result)
