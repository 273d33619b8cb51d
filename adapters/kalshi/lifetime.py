"""One connection of a client, from the first attempt to the close."""

import asyncio

from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.awaiting import Awaiting
from adapters.kalshi.callbacks import Callbacks, finish
from adapters.kalshi.client_settings import ClientSettings
from adapters.kalshi.connection import KalshiConnection, Record
from adapters.kalshi.dispatch import Dispatch
from adapters.kalshi.hooks import Hooks
from adapters.kalshi.quiet_watch import QuietWatch
from adapters.kalshi.reports import Report, Trouble, quiet
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.settings import Urls
from adapters.kalshi.upstreams import Upstreams
from framework.errors import FrameworkError, SubscriptionRefused
from framework.interfaces import AdapterContext
from framework.model.events import ConnectionState


class Lifetime:
    """Owns the parts and the task of the one reader; everything ends with it."""

    def __init__(
        self,
        context: AdapterContext,
        urls: Urls,
        key: KalshiKey | None,
        settings: ClientSettings,
        *,
        callbacks: Callbacks,
        hooks: Hooks,
        record: Record | None,
    ) -> None:
        self._settings = settings
        self._callbacks = callbacks
        self._hooks = hooks
        self.rest = KalshiRest(
            context,
            urls.rest,
            key,
            read_tokens_per_s=settings.read_tokens_per_s,
            write_tokens_per_s=settings.write_tokens_per_s,
            options=settings.rest,
        )
        self._dispatch = dispatch = Dispatch(
            callbacks,
            context.clock,
            report=hooks.report,
            moved=self._moved,
            die=self._die if settings.is_fail_fast else None,
        )
        self.connection = KalshiConnection(
            "client",
            context,
            urls.stream,
            owner=dispatch,
            key=key,
            policy=settings.policy,
            options=settings.link,
            record=record,
        )
        dispatch.awaiting = self._awaiting = Awaiting(self.connection)
        dispatch.upstreams = self.upstreams = Upstreams(
            self.connection,
            dispatch.awaiting,
            context.clock,
            most_markets=settings.most_markets,
            is_heard=callbacks.has,
        )
        self._watch: QuietWatch | None = None
        if settings.quiet_s is not None:
            self._watch = QuietWatch(
                self.connection,
                context.clock,
                quiet_s=settings.quiet_s,
                on_quiet=lambda subscription, age_ns: hooks.report(quiet(subscription, age_ns)),
            )
        self._opened = asyncio.Event()  # connected for the first time, or over
        self._over = asyncio.Event()
        self._failure: FrameworkError | None = None
        self._running: asyncio.Task[None] | None = None
        self._dying: asyncio.Task[None] | None = None
        self._closing = asyncio.Lock()
        self._is_closed = False

    async def open(self) -> None:
        """Return once connected.

        Raises:
            AccessRefused, VenueUnavailable: the first connect failed, and is not tried again.
        """
        self._hooks.start()
        self._callbacks.start()
        if self._watch is not None:
            self._watch.start()
        self._running = asyncio.get_running_loop().create_task(self._run())
        await self._opened.wait()
        if self._failure is not None:
            raise self._failure

    async def aclose(self) -> None:
        """Close the socket with code 1000, and let callbacks and hooks finish."""
        async with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
            self._end_streams("the client was closed")
            if self._watch is not None:
                self._watch.stop()
            try:
                await self._close_connection()
            finally:
                await finish(self._callbacks.all, self._settings.farewell_s)
                for hook in self._hooks.callers:  # the last one hears what the others raise
                    await finish([hook], self._settings.farewell_s)
                await self.rest.aclose()

    async def _close_connection(self) -> None:
        await self.connection.aclose()
        for task in (self._running, self._dying):
            if task is not None:
                await task

    async def run_forever(self) -> None:
        """Return when the connection is over for good.

        Raises:
            SubscriptionRefused: nothing was ever subscribed.
        """
        if not self._dispatch.has_subscribed:
            raise SubscriptionRefused("run_forever", 0, "nothing is subscribed")
        await self._over.wait()

    def statistics(self) -> dict[str, int]:
        """Return counters of connection, REST, callbacks and troubles."""
        rest = {f"rest_{name}": count for name, count in self.rest.statistics().items()}
        calls = self._callbacks.statistics()
        callbacks = {f"callbacks_{name}": count for name, count in calls.items()}
        shared = {"upstreams": len(self.upstreams)}
        told = self._hooks.statistics()
        return {**self.connection.statistics(), **shared, **callbacks, **told, **rest}

    async def _run(self) -> None:
        try:
            await self.connection.run()
        except FrameworkError as error:
            self._failure = error
            self._hooks.report(Report(Trouble.CONNECTION, str(error), error=error))
        finally:
            self._end_streams("the connection is over")
            self._opened.set()
            self._over.set()

    def _moved(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        self._hooks.moved(old, new)
        if new is ConnectionState.CONNECTED:
            self._opened.set()

    def _die(self, error: Exception) -> None:
        """End everything for the trouble of one subscription (K16, K17)."""
        if self._dying is None:
            self._end_streams(str(error))
            self._dying = asyncio.get_running_loop().create_task(self.connection.aclose())

    def _end_streams(self, reason: str) -> None:
        self.upstreams.close(reason)
        self._awaiting.close(reason)
