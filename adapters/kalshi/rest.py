"""The venue's REST interface as typed calls (section 10): integers in, integers out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec

from adapters.kalshi import rest_reading as reading
from adapters.kalshi import rest_requests as requests
from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.messages import Book, Fill, MarketPosition, Trade, UserOrder
from adapters.kalshi.rest_answers import decode, items_of, part_of, read_answer, read_item
from adapters.kalshi.rest_asking import Asking
from adapters.kalshi.rest_requests import GROUPS, path, read_request, write_request
from adapters.kalshi.rest_values import (
    Amendment,
    Balance,
    EndpointCosts,
    ExchangeStatus,
    HistoricalCutoff,
    ItemFailure,
    Limits,
    Market,
    MarketCandle,
    MarketEvent,
    NewOrder,
    OrderAnswer,
    OrderGroup,
    Series,
    Settlement,
)
from adapters.kalshi.units import text_of_count
from adapters.kalshi.values import count, instant, needed
from adapters.kalshi.wire_rest import (
    BalanceBody,
    BooksBody,
    CandleBody,
    CostsBody,
    CutoffBody,
    EventBody,
    FillBody,
    FreshnessBody,
    GroupBody,
    LimitsBody,
    MarketBody,
    MarketCandlesBody,
    OrderBody,
    PositionBody,
    QueueBody,
    SeriesBody,
    SettlementBody,
    TradeBody,
)
from framework.interfaces import AdapterContext
from framework.net.rest import Request, RestOptions, Writer

PAGE = 1_000  # the most that the venue gives at once; events fewer
EVENTS_PAGE = 200
CHEAP = 2.0  # tokens of reading one order


class KalshiRest:
    """One account's view of the venue; without a key, what is public.

    `writer` may carry what is written once (`RestClient`). A batch must cost less than what our
    write bucket holds above its reserve for cancels: 14 new orders at the lowest tier.

    Raises (every call):
        NotSent, VenueUnavailable, RateLimited, RequestRefusedByVenue: as `RestClient.send`.
        MalformedMessage: the answer cannot be read, or a list runs in a circle.
    """

    def __init__(
        self,
        context: AdapterContext,
        base_url: str | Callable[[], Awaitable[str]],
        key: KalshiKey | None = None,
        *,
        read_tokens_per_s: float = 200.0,
        write_tokens_per_s: float = 100.0,
        options: RestOptions = RestOptions(),  # noqa: B008 -- frozen
        uses_first_generation: bool = False,
        writer: Writer | None = None,
    ) -> None:
        self._uses_first = uses_first_generation
        self._asking = Asking(
            context,
            base_url,
            key,
            limits=Limits("", read_tokens_per_s, write_tokens_per_s),
            options=options,
            writer=writer,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._asking.aclose()

    def statistics(self) -> dict[str, int]:
        """Return what the client counted."""
        return self._asking.statistics()

    # -- public ----------------------------------------------------------------------------------

    async def exchange_status(self) -> ExchangeStatus:
        """Return whether the exchange is up; one that is down is an answer too."""
        return await self._asking.exchange_status()

    def markets(
        self, *, is_historical: bool = False, limit: int = PAGE, **filters: object
    ) -> AsyncIterator[Market]:
        """Yield markets; `filters` are the venue's: `event_ticker`, `tickers`, `status`, ..."""
        below = "/historical/markets" if is_historical else "/markets"
        query = {"limit": limit, **filters}
        return self._asking.pages(below, query, "markets", MarketBody, reading.market)

    async def market(self, ticker: str) -> Market:
        """Return one market."""
        request = read_request(path("markets", ticker))
        return await self._asking.ask_for(request, "market", MarketBody, reading.market)

    async def orderbook(self, ticker: str, *, depth: int = 0) -> Book:
        """Return a book as it stands; `depth` 0: all of it."""
        request = read_request(path("markets", ticker, "orderbook"), {"depth": depth})
        return await self._asking.ask(request, BooksBody, lambda body: reading.book(body, ticker))

    async def orderbooks(self, tickers: Sequence[str]) -> dict[str, Book]:
        """Return the books of up to 100 markets, by ticker."""
        request = requests.books_request(tickers)
        books = await self._asking.ask_all(request, "orderbooks", BooksBody, reading.book)
        return {book.market_ticker: book for book in books}

    def trades(
        self,
        ticker: str = "",
        *,
        min_s: int | None = None,
        max_s: int | None = None,
        is_historical: bool = False,
    ) -> AsyncIterator[Trade]:
        """Yield trades of the tape, newest first."""
        below = "/historical/trades" if is_historical else "/markets/trades"
        query = {"ticker": ticker, "min_ts": min_s, "max_ts": max_s, "limit": PAGE}
        return self._asking.pages(below, query, "trades", TradeBody, reading.trade)

    async def candlesticks(
        self, series: str, ticker: str, start_s: int, end_s: int, period_minutes: int
    ) -> list[MarketCandle]:
        """Return candles of one market, oldest first; periods are 1, 60 or 1440 minutes."""
        below = path("series", series, "markets", ticker, "candlesticks")
        request = read_request(below, _period(start_s, end_s, period_minutes))
        return await self._asking.ask_all(request, "candlesticks", CandleBody, reading.candle)

    async def candlesticks_of(
        self, tickers: Sequence[str], start_s: int, end_s: int, period_minutes: int
    ) -> dict[str, list[MarketCandle]]:
        """Return candles of up to 100 markets, by ticker."""
        query = {"market_tickers": list(tickers), **_period(start_s, end_s, period_minutes)}
        request = read_request("/markets/candlesticks", query)
        markets = await self._asking.ask_all(
            request, "markets", MarketCandlesBody, self._candles_of_market
        )
        return dict(markets)

    def _candles_of_market(self, body: MarketCandlesBody) -> tuple[str, list[MarketCandle]]:
        ticker = needed(body.market_ticker or body.ticker, "market_ticker")
        bodies = body.candlesticks or ()
        return ticker, [self._asking.read(raw, CandleBody, reading.candle) for raw in bodies]

    def events(self, **filters: object) -> AsyncIterator[MarketEvent]:
        """Yield events; `filters` are the venue's: `status`, `with_nested_markets`, ..."""
        query = {"limit": EVENTS_PAGE, **filters}
        return self._asking.pages("/events", query, "events", EventBody, reading.event)

    async def event(self, event_ticker: str) -> MarketEvent:
        """Return one event with its markets."""
        answer = await self._asking.send(read_request(path("events", event_ticker)))
        event = self._asking.read(part_of(answer, "event"), EventBody, reading.event)
        bodies = items_of(decode(answer, dict[str, msgspec.Raw]).get("markets"))
        markets = tuple(self._asking.read(raw, MarketBody, reading.market) for raw in bodies)
        return msgspec.structs.replace(event, markets=event.markets or markets)

    async def series(self, ticker: str) -> Series:
        """Return a series and its fees."""
        request = read_request(path("series", ticker))
        return await self._asking.ask_for(
            request, "series", SeriesBody, lambda body: reading.series(body, ticker)
        )

    # -- the account -----------------------------------------------------------------------------

    async def balance(self) -> Balance:
        """Return the cash."""
        request = read_request("/portfolio/balance")
        return await self._asking.ask(request, BalanceBody, reading.balance)

    def positions(self, **filters: object) -> AsyncIterator[MarketPosition]:
        """Yield what is held, market by market."""
        below, query = "/portfolio/positions", {"limit": PAGE, **filters}
        return self._asking.pages(below, query, "market_positions", PositionBody, reading.position)

    def fills(self, *, is_historical: bool = False, **filters: object) -> AsyncIterator[Fill]:
        """Yield fills, newest first; `filters`: `ticker`, `order_id`, `min_ts`, `max_ts`."""
        below = "/historical/fills" if is_historical else "/portfolio/fills"
        query = {"limit": PAGE, **filters}
        return self._asking.pages(below, query, "fills", FillBody, reading.fill)

    def orders(self, *, is_historical: bool = False, **filters: object) -> AsyncIterator[UserOrder]:
        """Yield orders, newest first; `filters`: `ticker`, `status`, `min_ts`, `max_ts`."""
        below = "/historical/orders" if is_historical else "/portfolio/orders"
        query = {"limit": PAGE, **filters}
        return self._asking.pages(below, query, "orders", OrderBody, reading.order)

    async def order(self, order_id: str) -> UserOrder:
        """Return one order by the venue's id."""
        request = read_request(path("portfolio", "orders", order_id), cost=CHEAP)
        return await self._asking.ask_for(request, "order", OrderBody, reading.order)

    def settlements(self, **filters: object) -> AsyncIterator[Settlement]:
        """Yield what settled markets paid, newest first."""
        below, query = "/portfolio/settlements", {"limit": PAGE, **filters}
        return self._asking.pages(below, query, "settlements", SettlementBody, reading.settlement)

    async def queue_positions(self, tickers: Sequence[str] = ()) -> dict[str, int]:
        """Return order id -> contracts (1/100) ahead of it."""
        query = {"market_tickers": list(tickers)}
        request = read_request("/portfolio/orders/queue_positions", query)
        found = await self._asking.ask_all(request, "queue_positions", QueueBody, _ahead)
        return dict(found)

    async def historical_cutoff(self) -> HistoricalCutoff:
        """Return before when closed orders, fills and trades are to be asked for as historical."""
        request = read_request("/historical/cutoff")
        return await self._asking.ask(request, CutoffBody, reading.cutoff)

    async def user_data_timestamp(self) -> int | None:
        """Return as of when portfolio reads speak; they lag behind writes."""
        request = read_request("/exchange/user_data_timestamp")
        return await self._asking.ask(request, FreshnessBody, lambda body: instant(body.as_of_time))

    async def account_limits(self) -> Limits:
        """Return the tokens per second that the venue grants, in either of its shapes."""
        request = read_request("/account/limits")
        return await self._asking.ask(request, LimitsBody, reading.limits)

    async def adopt_limits(self) -> Limits:
        """Ask for the account's limits and stay below them from now on (B25, R-68)."""
        limits = await self.account_limits()
        self._asking.adopt(limits, asyncio.get_running_loop().time())
        return limits

    async def endpoint_costs(self) -> EndpointCosts:
        """Return which endpoints cost other than the default."""
        request = read_request("/account/endpoint_costs")
        return await self._asking.ask(request, CostsBody, reading.endpoint_costs)

    # -- orders ----------------------------------------------------------------------------------

    async def create_order(self, order: NewOrder) -> OrderAnswer:
        """Create an order; `Conflict` says that its client id was used before."""
        return await self._answer(requests.create_order(order, uses_first=self._uses_first))

    async def create_orders(
        self, orders: Sequence[NewOrder]
    ) -> list[OrderAnswer | ItemFailure | None]:
        """Create several orders, each for itself; None: its answer cannot be read."""
        return await self._batch(requests.create_orders(orders, uses_first=self._uses_first))

    async def cancel_order(self, order_id: str) -> OrderAnswer:
        """Take an order back: what is left of it becomes nothing."""
        return await self._answer(requests.cancel_order(order_id, uses_first=self._uses_first))

    async def cancel_orders(
        self, order_ids: Sequence[str]
    ) -> list[OrderAnswer | ItemFailure | None]:
        """Take several orders back, each for itself; None: its answer cannot be read."""
        return await self._batch(requests.cancel_orders(order_ids, uses_first=self._uses_first))

    async def amend_order(self, order_id: str, amendment: Amendment) -> OrderAnswer:
        """Give an order a new price and total count; only a smaller count keeps its place."""
        request = requests.amend_order(order_id, amendment, uses_first=self._uses_first)
        return await self._answer(request)

    async def decrease_order(
        self, order_id: str, *, by: int | None = None, to: int | None = None
    ) -> OrderAnswer:
        """Make an order smaller; give one of `by` and `to`."""
        request = requests.decrease_order(order_id, by=by, to=to, uses_first=self._uses_first)
        return await self._answer(request)

    async def _answer(self, request: Request) -> OrderAnswer:
        """Return the answer to a request about one order, thin or whole."""
        return read_answer(await self._asking.send(request))

    async def _batch(self, request: Request) -> list[OrderAnswer | ItemFailure | None]:
        answer = decode(await self._asking.send(request), dict[str, msgspec.Raw])
        return [read_item(item) for item in items_of(answer.get("orders"))]

    # -- order groups ----------------------------------------------------------------------------

    async def order_groups(self) -> list[OrderGroup]:
        """Return the account's order groups."""
        request = read_request(GROUPS)
        return await self._asking.ask_all(request, "order_groups", GroupBody, reading.group)

    async def order_group(self, group_id: str) -> OrderGroup:
        """Return one group with its orders."""
        request = read_request(GROUPS + path(group_id))
        return await self._asking.ask(
            request, GroupBody, lambda body: reading.group(body, group_id)
        )

    async def create_order_group(self, contracts_limit: int) -> str:
        """Create a group that matches at most so many (1/100 contract) in 15 s; return its id."""
        body = {"contracts_limit_fp": text_of_count(contracts_limit)}
        request = write_request("POST", f"{GROUPS}/create", body)
        return await self._asking.ask(
            request, GroupBody, lambda group: needed(group.order_group_id, "order_group_id")
        )

    async def delete_order_group(self, group_id: str) -> None:
        """Delete a group and cancel its orders."""
        request = write_request("DELETE", GROUPS + path(group_id), is_cancel=True)
        await self._asking.send(request)

    async def reset_order_group(self, group_id: str) -> None:
        """Let a triggered group trade again."""
        await self._asking.send(write_request("PUT", GROUPS + path(group_id, "reset"), {}))

    async def trigger_order_group(self, group_id: str) -> None:
        """Cancel a group's orders and let it trade no more until it is reset."""
        below = GROUPS + path(group_id, "trigger")
        await self._asking.send(write_request("PUT", below, {}, is_cancel=True))

    async def limit_order_group(self, group_id: str, contracts_limit: int) -> None:
        """Give a group another limit."""
        body = {"contracts_limit_fp": text_of_count(contracts_limit)}
        await self._asking.send(write_request("PUT", GROUPS + path(group_id, "limit"), body))


def _ahead(body: QueueBody) -> tuple[str, int]:
    ahead = count(body.queue_position_fp, body.queue_position)
    return body.order_id, needed(ahead, "queue_position")


def _period(start_s: int, end_s: int, period_minutes: int) -> dict[str, object]:
    return {"start_ts": start_s, "end_ts": end_s, "period_interval": period_minutes}
