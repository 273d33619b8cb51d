"""The venue for programs of their own: streams, books, callbacks and REST, without a runtime.

    async with KalshiClient(key_id="...", private_key="file:kalshi.pem") as kalshi:
        async for book in await kalshi.orderbook("KXRAIN-26NOV21-BOS"):
            print(book.best_bid, book.best_ask)

One socket carries every subscription; one reader fans out to bounded queues; consumers never
touch the socket. Subscriptions, iterators and callbacks outlive reconnects.
"""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypedDict, TypeVar, Unpack

import msgspec

from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.callbacks import Callback, Callbacks
from adapters.kalshi.client_settings import ClientSettings
from adapters.kalshi.connection import Record
from adapters.kalshi.hooks import Hooks, OnError, OnStateChange
from adapters.kalshi.lifetime import Lifetime
from adapters.kalshi.message_stream import MessageStream
from adapters.kalshi.messages import (
    Book,
    EventFeeUpdate,
    EventLifecycle,
    Fill,
    Level,
    MarketLifecycle,
    MarketPosition,
    MultivariateLookup,
    OrderGroupUpdate,
    QuoteAccepted,
    QuoteCreated,
    QuoteExecuted,
    RfqCreated,
    RfqDeleted,
    Ticker,
    Trade,
    UserOrder,
)
from adapters.kalshi.order_books import InvalidBook, MarketBook
from adapters.kalshi.queues import MessageQueue
from adapters.kalshi.readers import Books, Messages, RawObject, RawObjects, Reader, market_of
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.settings import Environment, KalshiSettings
from adapters.kalshi.subscription import BOOKS, Parameters
from framework.bus.overflow import Overflow
from framework.errors import ConfigError, InvariantBroken, SubscriptionRefused
from framework.interfaces import AdapterContext
from framework.model.events import ConnectionState
from framework.net.standalone import StandaloneContext
from framework.settings.secrets import Secret, is_reference

T = TypeVar("T")
C = TypeVar("C", bound=Callback)

Lifecycle = MarketLifecycle | EventLifecycle | EventFeeUpdate
Communication = RfqCreated | RfqDeleted | QuoteCreated | QuoteAccepted | QuoteExecuted


class QueueOptions(TypedDict, total=False):
    """How much may wait for a consumer, and what happens when that is too much."""

    overflow: Overflow
    maxsize: int


class KalshiClient:
    """One connection to the venue and what is subscribed on it; connects once, in `async with`.

    Entering raises why the first connect failed (`AccessRefused`, `VenueUnavailable`); leaving
    ends every iterator normally. Without a key there are public channels and public REST only.
    `on_state_change(old, new)` is awaited once per move, `on_error(report)` once per trouble, each
    in order; what they or callbacks raise is reported and stops nothing.

    A subscribe call returns once the venue has acknowledged it, while reconnecting after that, and
    raises `SubscriptionRefused` with the venue's code, or 0: no answer in time, or closed. What a
    typed stream cannot decode it delivers as the JSON object that came.
    """

    def __init__(
        self,
        *,
        environment: Environment = Environment.DEMO,
        rest_url: str | None = None,
        stream_url: str | None = None,
        key_id: str | None = None,
        private_key: str | Secret | None = None,
        settings: ClientSettings = ClientSettings(),  # noqa: B008 -- frozen
        context: AdapterContext | None = None,
        on_state_change: OnStateChange | None = None,
        on_error: OnError | None = None,
        record: Record | None = None,
    ) -> None:
        """Make a client that is not connected yet.

        `environment` gives the addresses where no URL does. `private_key` is RSA in PEM: the text,
        or where it is (`env:NAME`, `file:PATH`). `context` None: the running loop's own seams.
        `record` is given time and bytes of every frame (B28).

        Raises:
            ConfigError: a key without its other half, or no place to connect to.
        """
        if (key_id is None) != (private_key is None):
            raise ConfigError("a key has an id and a private part", key="key_id, private_key")
        places = KalshiSettings(environment=environment, rest_url=rest_url, stream_url=stream_url)
        self._urls = places.urls()
        self._key_id = key_id
        self._private_key = private_key  # a text is a secret from here on
        if isinstance(private_key, str) and not is_reference(private_key):
            self._private_key = Secret(private_key)
        self._settings = settings
        self._context = context
        self._record = record
        self._hooks = Hooks(on_state_change, on_error)
        self._callbacks = Callbacks(
            delivers_unread=settings.delivers_unread,
            budget_s=settings.callback_budget_s,
            raised=self._hooks.raised,
        )
        self._own_context: StandaloneContext | None = None
        self._lifetime: Lifetime | None = None

    # -- lifecycle -------------------------------------------------------------------------------

    async def __aenter__(self) -> "KalshiClient":
        if self._lifetime is not None:
            raise InvariantBroken("a client connects once")
        context = self._context
        if context is None:
            context = self._own_context = StandaloneContext("kalshi")
        self._lifetime = Lifetime(
            context,
            self._urls,
            self._key(context),
            self._settings,
            callbacks=self._callbacks,
            hooks=self._hooks,
            record=self._record,
        )
        try:
            await self._lifetime.open()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every iterator, close the socket with code 1000, and let callbacks finish."""
        if self._lifetime is not None:
            await self._lifetime.aclose()
        if self._own_context is not None:
            self._own_context.close()

    async def run_forever(self) -> None:
        """Return when the connection is over for good: closed, or attempts ran out.

        Raises:
            SubscriptionRefused: nothing was ever subscribed, so no callback would be called.
        """
        await self._connected.run_forever()

    @property
    def state(self) -> ConnectionState:
        """The state of the connection."""
        lifetime = self._lifetime
        return lifetime.connection.link.state if lifetime else ConnectionState.DISCONNECTED

    @property
    def rest(self) -> KalshiRest:
        """Typed REST calls; once connected."""
        return self._connected.rest

    def statistics(self) -> dict[str, int]:
        """Return counters of connection, session, callbacks, troubles and REST (B14).

        Streams have their own.
        """
        return self._connected.statistics()

    # -- callbacks -------------------------------------------------------------------------------

    def on(
        self, channel: str, *, overflow: Overflow | None = None, maxsize: int | None = None
    ) -> Callable[[C], C]:
        """Decorate an async function to be called with each message of a wire channel.

        It has a task and a queue of its own, before or after connecting, and subscribes nothing
        (K19, K22). Iterators of the channel get everything too.
        """

        def register(callback: C) -> C:
            self._callbacks.add(channel, callback, self._queue(channel, overflow, maxsize))
            return callback

        return register

    # -- subscriptions, one per channel of section 7 ---------------------------------------------

    async def subscribe_ticker(
        self,
        *market_tickers: str,
        market_ids: Sequence[str] = (),
        send_initial_snapshot: bool = False,
        **queue: Unpack[QueueOptions],
    ) -> MessageStream[Ticker | RawObject]:
        """Quotes and totals of markets, by default of all."""
        parameters = Parameters(
            market_tickers=market_tickers or None,
            market_ids=tuple(market_ids) or None,
            send_initial_snapshot=send_initial_snapshot or None,
        )
        return await self._subscribe("ticker", parameters, self._messages, **queue)

    async def subscribe_trade(
        self, *market_tickers: str, **queue: Unpack[QueueOptions]
    ) -> MessageStream[Trade | RawObject]:
        """Public trades of markets, by default of all."""
        return await self._of_markets("trade", market_tickers, **queue)

    async def subscribe_orderbook_delta(
        self, *market_tickers: str, use_yes_price: bool = False, **queue: Unpack[QueueOptions]
    ) -> MessageStream[Book | Level | RawObject]:
        """A snapshot of each market and every change; after a loss another snapshot."""
        parameters = _book_parameters(market_tickers, use_yes_price)
        return await self._subscribe(BOOKS, parameters, self._messages, **queue)

    async def subscribe_market_lifecycle(
        self, **queue: Unpack[QueueOptions]
    ) -> MessageStream[Lifecycle | RawObject]:
        """Events in the life of every market."""
        return await self._of_markets("market_lifecycle_v2", (), **queue)

    async def subscribe_multivariate(
        self, **queue: Unpack[QueueOptions]
    ) -> MessageStream[MultivariateLookup | RawObject]:
        """Lookups of multivariate markets; not in the newest generation."""
        return await self._of_markets("multivariate", (), **queue)

    async def subscribe_multivariate_lifecycle(
        self, **queue: Unpack[QueueOptions]
    ) -> MessageStream[Lifecycle | RawObject]:
        """Events in the life of every multivariate market."""
        return await self._of_markets("multivariate_market_lifecycle", (), **queue)

    async def subscribe_fill(
        self, *market_tickers: str, **queue: Unpack[QueueOptions]
    ) -> MessageStream[Fill | RawObject]:
        """The account's fills, by default in all markets; unnumbered, so compare with REST."""
        return await self._of_markets("fill", market_tickers, **queue)

    async def subscribe_user_orders(
        self, *market_tickers: str, **queue: Unpack[QueueOptions]
    ) -> MessageStream[UserOrder | RawObject]:
        """The account's orders as they change, by default in all markets; unnumbered."""
        return await self._of_markets("user_orders", market_tickers, **queue)

    async def subscribe_market_positions(
        self, *market_tickers: str, **queue: Unpack[QueueOptions]
    ) -> MessageStream[MarketPosition | RawObject]:
        """The account's positions as they change, by default in all markets; unnumbered."""
        return await self._of_markets("market_positions", market_tickers, **queue)

    async def subscribe_order_group(
        self, **queue: Unpack[QueueOptions]
    ) -> MessageStream[OrderGroupUpdate | RawObject]:
        """The account's order groups; after a report REREAD read `rest.order_groups()` (B23)."""
        return await self._of_markets("order_group_updates", (), **queue)

    async def subscribe_communications(
        self,
        *,
        shard_factor: int | None = None,
        shard_key: int | None = None,
        user_filter: str | None = None,
        **queue: Unpack[QueueOptions],
    ) -> MessageStream[Communication | RawObject]:
        """Requests for quote, and the quotes that concern the account."""
        parameters = Parameters(
            shard_factor=shard_factor, shard_key=shard_key, user_filter=user_filter
        )
        return await self._subscribe("communications", parameters, self._messages, **queue)

    async def subscribe(
        self,
        channel: str,
        params: Mapping[str, Any] | None = None,
        overflow: Overflow | None = None,
        maxsize: int | None = None,
    ) -> MessageStream[RawObject]:
        """Subscribe any channel; yields each frame as the JSON object that came (K8).

        Raises:
            ConfigError: a parameter has no such name or type: a typo in `market_tickers` would
                subscribe to the whole venue. What is newer than this client goes into the
                mapping `extra`, and is passed on as it is (B20).
        """
        try:
            parameters = msgspec.convert(dict(params or {}), Parameters)
        except msgspec.ValidationError as error:
            raise ConfigError(str(error), key=f"params of {channel}") from None
        queue = self._queue(channel, overflow, maxsize)
        return await self._join(channel, parameters, RawObjects(), queue)

    async def orderbook(
        self,
        *market_tickers: str,
        overflow: Overflow = Overflow.DROP_OLDEST,
        maxsize: int | None = None,
        marks_invalid: bool = False,
        use_yes_price: bool = False,
    ) -> MessageStream[MarketBook | InvalidBook]:
        """Whole books, one after every change, each an object of its own (K32, K33).

        A book that waits is superseded by those behind it, so the oldest make room by default;
        CONFLATE keeps only the newest of each market, copied when it is read. While a book cannot
        be trusted nothing comes, or with `marks_invalid` one `InvalidBook` (B3); the stream's
        `books` tell state and reason at any time.
        """
        is_conflated = overflow is Overflow.CONFLATE
        reader = Books(is_conflated=is_conflated, marks_invalid=marks_invalid)
        parameters = _book_parameters(market_tickers, use_yes_price)
        size = self._settings.book_maxsize if maxsize is None else maxsize
        return await self._join(BOOKS, parameters, reader, self._queue(BOOKS, overflow, size))

    # -- details ---------------------------------------------------------------------------------

    async def _of_markets(
        self, channel: str, market_tickers: tuple[str, ...], **queue: Unpack[QueueOptions]
    ) -> MessageStream[Any]:
        parameters = Parameters(market_tickers=market_tickers or None)
        return await self._subscribe(channel, parameters, self._messages, **queue)

    async def _subscribe(
        self,
        channel: str,
        parameters: Parameters,
        reader: Reader[T],
        **options: Unpack[QueueOptions],
    ) -> MessageStream[T]:
        queue = self._queue(channel, options.get("overflow"), options.get("maxsize"))
        return await self._join(channel, parameters, reader, queue)

    async def _join(
        self, channel: str, parameters: Parameters, reader: Reader[T], queue: MessageQueue[Any]
    ) -> MessageStream[T]:
        stream = MessageStream(channel, parameters.markets, queue, reader)
        await self._connected.upstreams.join(stream, parameters)
        return stream

    def _queue(
        self, channel: str, overflow: Overflow | None, maxsize: int | None
    ) -> MessageQueue[Any]:
        settings = self._settings
        return MessageQueue(
            channel,
            settings.maxsize if maxsize is None else maxsize,
            overflow or settings.overflow_of(channel),
            key=market_of,
            raises_to_reader=not settings.is_fail_fast,
        )

    def _key(self, context: AdapterContext) -> KalshiKey | None:
        if self._key_id is None or self._private_key is None:
            return None
        private_key = self._private_key
        if isinstance(private_key, str):
            private_key = context.secret(private_key)
        return KalshiKey(self._key_id, private_key, context)

    @property
    def _messages(self) -> Reader[Any]:
        return Messages(delivers_unread=self._settings.delivers_unread)

    @property
    def _connected(self) -> Lifetime:
        if self._lifetime is None:
            raise SubscriptionRefused("client", 0, "it is not connected: use `async with`")
        return self._lifetime


def _book_parameters(market_tickers: tuple[str, ...], use_yes_price: bool) -> Parameters:
    return Parameters(
        market_tickers=market_tickers or None,
        send_initial_snapshot=True,
        use_yes_price=use_yes_price or None,
    )
