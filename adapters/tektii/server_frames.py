"""Frames of the event stream as bytes: each event is encoded once, however many hear of it.

`timestamp` of a frame is market time and never goes back. What numbers a frame (`seq`, `epoch`)
and has it acknowledged (`event_id`) is put behind the bytes, see `server_resume.py`.

Source: sections 11.2 and 11.4 of the gateway's description.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from adapters.tektii import wire
from adapters.tektii.server_account import account_body
from adapters.tektii.server_errors import masked, masked_all
from adapters.tektii.server_markets import bar_body, quote_body
from adapters.tektii.server_orders import order_body
from adapters.tektii.server_positions import position_body
from adapters.tektii.server_settings import Place
from adapters.tektii.server_trades import trade_body
from adapters.tektii.words import plain, time_text
from framework.model.desk import DeskOrder, DeskPosition, Money
from framework.model.market_data import Candle, Quote
from framework.model.orders import Fill

NS_PER_MS = 1_000_000
LONGEST_TEXT = 500  # characters of what went wrong

encode = msgspec.json.Encoder().encode


class Frames:
    """Makes frames of one gateway; every method returns one JSON object as bytes."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._now_ns = -1
        self._now_text = ""

    def now_text(self) -> str:
        """Return the time of the next frame: market time, never before the last frame's."""
        now_ns = self._place.now_ns
        if now_ns > self._now_ns:
            self._now_ns, self._now_text = now_ns, time_text(now_ns)
        return self._now_text

    # -- what is traded ------------------------------------------------------------------------

    def order(self, event: wire.OrderEventType, entry: DeskOrder) -> bytes:
        """Return what happened to an order, with the order as it is then."""
        body = order_body(entry, self._place)
        return encode(wire.OrderFrame(event, body, self.now_text(), body.parent_order_id))

    def trade(self, fill: Fill) -> bytes:
        """Return an execution."""
        event = wire.TradeEventType.TRADE_FILLED
        return encode(wire.TradeFrame(event, trade_body(fill, self._place), self.now_text()))

    def position(
        self, event: wire.PositionEventType, position: DeskPosition, side: wire.PositionSide
    ) -> bytes:
        """Return a position as it is now; `side` is what it was of one that is closed."""
        body = position_body(position, self._place)
        if body.side is not side:
            body = msgspec.structs.replace(body, side=side)
        return encode(wire.PositionFrame(event, body, self.now_text()))

    def account(self, event: wire.AccountEventType, money: Money) -> bytes:
        """Return what an account has."""
        return encode(wire.AccountFrame(event, account_body(money), self.now_text()))

    def financing(self, instrument: str, amount: Decimal) -> bytes:
        """Return what holding an instrument cost or brought, in the account's currency."""
        symbol = self._place.symbol_of(instrument)
        return encode(wire.FinancingFrame(symbol, plain(amount), self.now_text()))

    # -- markets -------------------------------------------------------------------------------

    def quote(self, quote: Quote) -> bytes:
        """Return a quote."""
        place, name = self._place, quote.instrument
        trade = place.desk.market.trade(name)
        body = quote_body(quote, trade, place.symbol_of(name), place.platform_of(name))
        return encode(wire.QuoteFrame(body, self.now_text()))

    def candle(self, candle: Candle) -> bytes:
        """Return a candle; one that is not closed yet says so (`is_forming`, an extension)."""
        place, name = self._place, candle.instrument
        body = bar_body(candle, place.symbol_of(name), place.platform_of(name))
        frame = encode(wire.CandleFrame(body, self.now_text()))
        return frame if candle.is_closed else b'%b,"is_forming":true}' % frame[:-1]

    # -- how things stand ----------------------------------------------------------------------

    def connection(
        self,
        event: wire.ConnectionEventType,
        platform: str | None = None,
        *,
        error: str = "",
        gap_ns: int | None = None,
    ) -> bytes:
        """Return what happened to a venue's link, or (without `platform`) is to happen to ours."""
        gap_ms = None if gap_ns is None else gap_ns // NS_PER_MS
        text = masked(error)[:LONGEST_TEXT] or None
        return encode(wire.ConnectionFrame(event, self.now_text(), platform, text, gap_ms))

    def stale(self, instruments: Sequence[str], since_ns: int, platform: str) -> bytes:
        """Return that instruments of a venue have no price that can be trusted."""
        return self._staleness(wire.StalenessEventType.STALE, instruments, since_ns, platform)

    def fresh(self, instrument: str, since_ns: int, platform: str) -> bytes:
        """Return that an instrument has a price again."""
        return self._staleness(wire.StalenessEventType.FRESH, (instrument,), since_ns, platform)

    def rate_limit(self, reset_ns: int) -> bytes:
        """Return that a venue takes nothing before this time."""
        event = wire.RateLimitEventType.RATE_LIMIT_HIT
        return encode(wire.RateLimitFrame(event, self.now_text(), 0, time_text(reset_ns)))

    def error(self, code: wire.StreamErrorCode, message: str, details: Any = UNSET) -> bytes:
        """Return what went wrong; nothing that looks like a secret is shown."""
        shown = details if details is UNSET else masked_all(details)
        text = masked(message)[:LONGEST_TEXT]
        return encode(wire.ErrorFrame(code, text, self.now_text(), shown))

    def complete(self, platform: str) -> bytes:
        """Return that the recorded data has ended."""
        return encode(wire.CompleteFrame(platform, self.now_text()))

    def _staleness(
        self,
        event: wire.StalenessEventType,
        instruments: Sequence[str],
        since_ns: int,
        platform: str,
    ) -> bytes:
        symbols = [self._place.symbol_of(one) for one in instruments]
        frame = wire.StalenessFrame(event, symbols, self.now_text(), time_text(since_ns), platform)
        return encode(frame)
