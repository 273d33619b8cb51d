"""Trades of the gateway: every execution, newest first (spec 6.7, 7.4)."""

from decimal import Decimal

import msgspec

from adapters.tektii import wire
from adapters.tektii.server_errors import invalid
from adapters.tektii.server_queries import optional_time, page, row_before, rows_wanted
from adapters.tektii.server_settings import Place
from adapters.tektii.words import SIDES, plain, time_text
from framework.errors import OrderError
from framework.model.decimals import ZERO, add
from framework.model.desk import Cursor, FillQuery, Verb
from framework.model.orders import Fee, Fill, Liquidity
from framework.server.door import Answer, Call, Route

_IS_MAKER = {Liquidity.MAKER: True, Liquidity.TAKER: False, Liquidity.UNKNOWN: None}


class TradesQuery(msgspec.Struct, frozen=True):
    """The query of the list of trades (7.4)."""

    symbol: str | None = None
    order_id: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int | None = None
    cursor: str | None = None


class Trades:
    """The route that shows executions."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def routes(self) -> list[Route]:
        """Return the operations."""
        return [
            Route("GET", "/v1/trades", self.list_trades, Verb.READ, {200: list[wire.Trade]},
                  "List trades, newest first", query=TradesQuery)
        ]  # fmt: skip

    async def list_trades(self, call: Call) -> Answer:
        """List the executions that fit."""
        asked: TradesQuery = call.query
        place, rows = self._place, rows_wanted(asked.limit)
        query = FillQuery(
            instrument=None if asked.symbol is None else place.instrument_id(asked.symbol),
            order_id=asked.order_id,
            since_ns=optional_time(asked.since, "since"),
            until_ns=optional_time(asked.until, "until"),
            limit=rows + 1,
            after=row_before(asked.cursor),
        )
        try:
            fills = await place.desk.fills(call.principal, query) if rows else []
        except OrderError as error:
            raise invalid("cursor", asked.cursor, error.reason) from None
        shown, headers = page(fills, rows, _place_of)
        return Answer([trade_body(fill, place) for fill in shown], headers=headers)


def _place_of(fill: Fill) -> Cursor:
    return Cursor(fill.time_ns, fill.order_id, fill.execution_id)


def trade_body(fill: Fill, place: Place) -> wire.Trade:
    """Return an execution as the protocol shows it; also what frames of the stream carry."""
    commission, currency = "0", ""
    if fill.fees:
        currency, amount = _commission(fill.fees)
        commission = plain(amount)
    return wire.Trade(
        fill.execution_id,
        fill.order_id,
        place.symbol_of(fill.instrument),
        SIDES[fill.side],
        plain(fill.quantity),
        plain(fill.price),
        commission,
        currency or place.currency_of(fill.instrument),
        time_text(fill.time_ns),
        _IS_MAKER[fill.liquidity],
    )


def _commission(fees: tuple[Fee, ...]) -> tuple[str, Decimal]:
    """Return what was paid in the currency of the first fee: the protocol has room for one."""
    currency, total = fees[0].currency, ZERO
    for fee in fees:
        if fee.currency == currency:
            total = add(total, fee.amount)
    return currency, total
