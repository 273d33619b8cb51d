"""The life of markets and events (S13).

    initialized -> active <-> inactive -> closed -> determined -> finalized

A market opens at its `open_ns`, closes at its `close_ns`, and is settled `settlement_timer_s`
after it was determined, each by itself; every step can also be taken by hand.
"""

from functools import partial

import msgspec

from adapters.kalshi.simulated.domain import (
    DOLLAR,
    EventInfo,
    Market,
    MarketStatus,
    PriceRange,
    Refusal,
    SelectedLeg,
    SeriesInfo,
)
from adapters.kalshi.simulated.emitted import (
    EventCreated,
    EventFeeChanged,
    MarketChanged,
    MarketEvent,
    MultivariateLookedUp,
)
from adapters.kalshi.simulated.executions import Executions
from adapters.kalshi.simulated.fees import FeeSchedule, fee_schedule
from adapters.kalshi.simulated.floor import Floor
from adapters.kalshi.simulated.payout import pay_out
from adapters.kalshi.simulated.price_grid import PRICE_STRUCTURES, PriceGrid
from adapters.kalshi.simulated.traded_market import TradedMarket

_SECOND_NS = 1_000_000_000
_BEFORE_CLOSE: tuple[MarketStatus, ...] = ("initialized", "active", "inactive")


class Lifecycle:
    """Steps in the life of markets. A step that the status forbids is refused with 409."""

    def __init__(self, floor: Floor, executions: Executions) -> None:
        self._floor = floor
        self._executions = executions

    def set_trading(self, *, is_exchange_active: bool, is_trading_active: bool) -> None:
        """Stop or resume trading everywhere; orders can still be cancelled."""
        self._floor.is_exchange_active = is_exchange_active
        self._floor.is_trading_active = is_trading_active

    def create_series(self, series: SeriesInfo) -> None:
        """Add a series, or replace it."""
        self._floor.series[series.ticker] = series

    def create_event(self, event: EventInfo, *, is_multivariate: bool = False) -> None:
        """Add an event of a known series. Raises Refusal 404."""
        floor = self._floor
        if event.series_ticker not in floor.series:
            raise Refusal(404, "not_found", f"no series {event.series_ticker!r}")
        event = msgspec.structs.replace(event, updated_ns=floor.clock.now_ns)
        floor.events[event.event_ticker] = event
        floor.emit(EventCreated(event, is_multivariate, floor.clock.now_ns))

    def create_market(self, market: Market) -> Market:
        """Add a market to a known event; it opens at once if its time has come.

        Raises:
            Refusal: 404 for the event, 409 for a ticker that exists.
        """
        floor, now_ns = self._floor, self._floor.clock.now_ns
        event = floor.event(market.event_ticker)
        if market.ticker in floor.markets:
            raise Refusal(409, "market_already_exists", f"{market.ticker!r} exists already")
        market = msgspec.structs.replace(
            market,
            market_id=market.market_id or floor.make_id(),
            status="initialized",
            created_ns=now_ns,
            updated_ns=now_ns,
            open_ns=market.open_ns or now_ns,
            price_ranges=market.price_ranges or PRICE_STRUCTURES[market.price_level_structure],
        )
        traded = TradedMarket(
            market, fees=self._fees(event), trades_kept=floor.settings.trades_kept
        )
        floor.markets[market.ticker] = traded
        self._tell("created", market)
        if market.open_ns <= now_ns:
            self.activate(market.ticker)
        else:
            self._at(market.open_ns, market)
        if market.close_ns:
            self._at(market.close_ns, market)
        return floor.market(market.ticker).market

    def forget(self, ticker: str) -> None:
        """Remove a finalized market, and its event if it was the last one there."""
        market = self._expect(ticker, "finalized").market
        floor = self._floor
        del floor.markets[ticker]
        if all(m.market.event_ticker != market.event_ticker for m in floor.markets.values()):
            floor.events.pop(market.event_ticker, None)
        for account in floor.accounts:
            account.forget_market(ticker)

    def activate(self, ticker: str) -> None:
        """Open a market, or resume it after a pause."""
        self._expect(ticker, "initialized", "inactive")
        self._change(ticker, "activated", status="active")

    def pause(self, ticker: str) -> None:
        """Pause trading; orders that asked for it are cancelled."""
        traded = self._expect(ticker, "active")
        self._change(ticker, "deactivated", status="inactive")
        self._cancel_orders(traded, "HaltCancel", only_on_pause=True)

    def close(self, ticker: str) -> None:
        """End trading for good, before its time if need be; every order is cancelled."""
        traded = self._expect(ticker, *_BEFORE_CLOSE)
        now_ns = self._floor.clock.now_ns
        if 0 < traded.market.close_ns <= now_ns:  # on time: no frame tells of it
            traded.market = msgspec.structs.replace(
                traded.market, status="closed", updated_ns=now_ns
            )
        else:
            self._change(ticker, "close_date_updated", status="closed", close_ns=now_ns)
        self._cancel_orders(traded, "CloseCancel")

    def determine(self, ticker: str, result: str, settlement_value: int | None = None) -> None:
        """Say how a market ended; one that still trades closes first.

        `settlement_value` is what a yes contract pays; for `yes` and `no` it follows.

        Raises:
            Refusal: 400 for a result that is none, or `scalar` without a value; 409.
        """
        value = {"yes": DOLLAR, "no": 0}.get(result, settlement_value)
        if result not in {"yes", "no", "scalar"} or value is None or not 0 <= value <= DOLLAR:
            raise Refusal(400, "invalid_parameters", f"no result {result!r} of {settlement_value}")
        if self._floor.market(ticker).market.status in _BEFORE_CLOSE:
            self.close(ticker)
        traded = self._expect(ticker, "closed")
        now_ns = self._floor.clock.now_ns
        self._change(
            ticker,
            "determined",
            status="determined",
            result=result,
            settlement_value=value,
            expiration_value=result,
            determined_ns=now_ns,
        )
        self._at(_settlement_ns(traded.market), traded.market)

    def settle(self, ticker: str) -> None:
        """Pay out a determined market."""
        traded = self._expect(ticker, "determined")
        now_ns = self._floor.clock.now_ns
        self._change(ticker, "settled", status="finalized", settled_ns=now_ns)
        pay_out(self._floor, traded)
        self._executions.finish()

    def change_close(self, ticker: str, close_ns: int) -> None:
        """Set another time to close, which must lie ahead. Raises Refusal 400."""
        traded = self._expect(ticker, *_BEFORE_CLOSE)
        if close_ns <= self._floor.clock.now_ns:
            raise Refusal(400, "invalid_parameters", "the time to close lies in the past")
        self._change(ticker, "close_date_updated", close_ns=close_ns)
        self._at(close_ns, traded.market)

    def change_price_structure(
        self, ticker: str, structure: str, ranges: tuple[PriceRange, ...] = ()
    ) -> None:
        """Give a market another grid; orders that rest off it stay. Raises Refusal 400."""
        ranges = ranges or PRICE_STRUCTURES.get(structure, ())
        if not ranges:
            raise Refusal(400, "invalid_parameters", f"no price structure {structure!r}")
        self._floor.market(ticker).grid = PriceGrid(ranges)
        self._change(
            ticker,
            "price_level_structure_updated",
            price_level_structure=structure,
            price_ranges=ranges,
        )

    def change_metadata(
        self,
        ticker: str,
        *,
        yes_sub_title: str | None = None,
        strike_type: str | None = None,
        floor_strike: float | None = None,
        cap_strike: float | None = None,
    ) -> None:
        """Change what describes a market; None leaves a field as it is."""
        given = {
            "yes_sub_title": yes_sub_title,
            "strike_type": strike_type,
            "floor_strike": floor_strike,
            "cap_strike": cap_strike,
        }
        changed = {name: value for name, value in given.items() if value is not None}
        self._change(ticker, "metadata_updated", **changed)

    def change_event_fee(
        self, event_ticker: str, fee_type: str | None, multiplier: float | None
    ) -> None:
        """Override the fees of an event's markets, or clear the override with None."""
        floor, now_ns = self._floor, self._floor.clock.now_ns
        event = msgspec.structs.replace(
            floor.event(event_ticker),
            fee_type_override=fee_type,
            fee_multiplier_override=multiplier,
            updated_ns=now_ns,
        )
        fees = self._fees(event)
        floor.events[event_ticker] = event
        for traded in floor.markets.values():
            if traded.market.event_ticker == event_ticker:
                traded.fees = fees
        floor.emit(EventFeeChanged(event, now_ns))

    def look_up(
        self,
        collection_ticker: str,
        event_ticker: str,
        market_ticker: str,
        selected: tuple[SelectedLeg, ...],
    ) -> Market:
        """Find the market that combines `selected`, or make it. Raises Refusal 404 (event)."""
        if market_ticker not in self._floor.markets:
            self.create_market(
                Market(
                    ticker=market_ticker,
                    event_ticker=event_ticker,
                    title=" and ".join(f"{leg.side} {leg.market_ticker}" for leg in selected),
                    mve_collection_ticker=collection_ticker,
                    mve_selected_legs=selected,
                )
            )
        now_ns = self._floor.clock.now_ns
        self._floor.emit(
            MultivariateLookedUp(collection_ticker, event_ticker, market_ticker, selected, now_ns)
        )
        return self._floor.market(market_ticker).market

    def _fees(self, event: EventInfo) -> FeeSchedule:
        series = self._floor.series[event.series_ticker]
        multiplier = event.fee_multiplier_override
        try:
            return fee_schedule(
                self._floor.settings.fees,
                event.fee_type_override or series.fee_type,
                series.fee_multiplier if multiplier is None else multiplier,
            )
        except ValueError as error:
            raise Refusal(400, "invalid_parameters", str(error)) from None

    def _expect(self, ticker: str, *statuses: MarketStatus) -> TradedMarket:
        traded = self._floor.market(ticker)
        if traded.market.status not in statuses:
            raise Refusal(409, "invalid_market_status", f"{ticker} is {traded.market.status}")
        return traded

    def _change(self, ticker: str, event_type: MarketEvent, **fields: object) -> None:
        traded = self._floor.market(ticker)
        now_ns = self._floor.clock.now_ns
        traded.market = msgspec.structs.replace(traded.market, updated_ns=now_ns, **fields)
        self._tell(event_type, traded.market)

    def _tell(self, event_type: MarketEvent, market: Market) -> None:
        self._floor.emit(MarketChanged(event_type, market, self._floor.clock.now_ns))

    def _cancel_orders(
        self, traded: TradedMarket, reason: str, *, only_on_pause: bool = False
    ) -> None:
        ticker = traded.market.ticker
        for account in self._floor.accounts:
            for order in list(account.resting.get(ticker, {}).values()):
                if order.cancel_order_on_pause or not only_on_pause:
                    self._executions.cancel(order, reason)
        self._executions.finish()

    def _at(self, time_ns: int, market: Market) -> None:
        """Look at a market again later."""
        take_due = partial(self._take_due, market.ticker, market.market_id)
        self._floor.clock.call_at(time_ns, take_due)

    def _take_due(self, ticker: str, market_id: str) -> None:
        """Take the steps whose time has come; what was taken by hand is not due any more."""
        traded = self._floor.markets.get(ticker)
        if traded is None or traded.market.market_id != market_id:
            return
        now_ns = self._floor.clock.now_ns
        if traded.market.status == "initialized" and traded.market.open_ns <= now_ns:
            self.activate(ticker)
        is_over = 0 < traded.market.close_ns <= now_ns
        if is_over and traded.market.status in _BEFORE_CLOSE:
            self.close(ticker)
        if traded.market.status == "determined" and _settlement_ns(traded.market) <= now_ns:
            self.settle(ticker)


def _settlement_ns(market: Market) -> int:
    """When a determined market is settled by itself."""
    return (market.determined_ns or 0) + market.settlement_timer_s * _SECOND_NS
