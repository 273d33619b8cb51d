"""A simulated venue on a clock and a market that tests move by hand."""

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import TypedDict, Unpack

from framework.errors import UnknownInstrument
from framework.interfaces import BookView
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.instrument import Instrument, PriceRange
from framework.model.market_data import (
    Aggressor,
    BookChanged,
    Candle,
    Level,
    MarkPrice,
    Quote,
    Trade,
)
from framework.model.orders import OrderIntent, OrderType, Side, TimeInForce, TriggerBy
from framework.model.reports import (
    OrderAccepted,
    OrderEnded,
    OrderFact,
    OrderFilled,
    OrderReplaced,
    OrderTriggered,
    RequestRefused,
)
from framework.simulation.costs import CostModel, CostSettings
from framework.simulation.fills import FillModel, Through
from framework.simulation.latency import ConstantLatency, LatencyModel
from framework.simulation.venue import SimulatedVenue, VenueMarketEvent

MINUTE_NS = 60_000_000_000
NAME = "sim:ABC"
ABC = Instrument(
    NAME,
    base="ABC",
    ranges=(PriceRange(Decimal(0), Decimal("0.01")),),
    lot=Decimal("0.1"),
)


class Terms(TypedDict, total=False):
    """What an order may ask for beyond side and quantity."""

    price: str | None
    stop: str | None
    kind: OrderType
    tif: TimeInForce
    expire_ns: int | None
    post_only: bool
    reduce_only: bool
    trigger_by: TriggerBy
    account: str
    instrument: str
    order_id: str


class ManualTimer:
    """A pending call."""

    def __init__(self, time_ns: int, callback: Callable[[], None]) -> None:
        self.time_ns = time_ns
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """Time stands still until `advance`."""

    def __init__(self) -> None:
        self.time_ns = 0
        self.timers: list[ManualTimer] = []

    @property
    def now_ns(self) -> int:
        return self.time_ns

    def call_at(self, time_ns: int, callback: Callable[[], None]) -> ManualTimer:
        timer = ManualTimer(time_ns, callback)
        self.timers.append(timer)
        return timer

    def advance(self, to_ns: int, *, inclusive: bool = True) -> None:
        """Fire what is due up to `to_ns`, in time order, earlier made first."""
        while True:
            due = [t for t in self.timers if t.time_ns < to_ns + inclusive]
            if not due:
                break
            timer = min(due, key=lambda t: t.time_ns)
            self.timers.remove(timer)
            self.time_ns = max(self.time_ns, timer.time_ns)
            if timer.callback is not None:
                timer.callback()
        self.time_ns = max(self.time_ns, to_ns)


class ManualBook:
    """A book of two plain lists, best first."""

    instrument = ABC.id

    def __init__(self) -> None:
        self.is_synced = True
        self.bid_levels: list[Level] = []
        self.ask_levels: list[Level] = []

    @property
    def best_bid(self) -> Level | None:
        return self.bid_levels[0] if self.bid_levels else None

    @property
    def best_ask(self) -> Level | None:
        return self.ask_levels[0] if self.ask_levels else None

    def bids(self, depth: int) -> list[Level]:
        return self.bid_levels[:depth]

    def asks(self, depth: int) -> list[Level]:
        return self.ask_levels[:depth]


class ManualMarket:
    """The newest of everything for the one instrument."""

    def __init__(self) -> None:
        self.last_quote: Quote | None = None
        self.last_trade: Trade | None = None
        self.last_candle: Candle | None = None
        self.last_mark: MarkPrice | None = None
        self.manual_book: ManualBook | None = None

    def quote(self, instrument: str) -> Quote | None:
        return self.last_quote

    def trade(self, instrument: str) -> Trade | None:
        return self.last_trade

    def candle(self, instrument: str) -> Candle | None:
        return self.last_candle

    def book(self, instrument: str) -> BookView | None:
        return self.manual_book

    def mark_price(self, instrument: str) -> MarkPrice | None:
        return self.last_mark

    def reference_price(self, instrument: str) -> float | None:
        return None


class VenueRig:
    """Sends orders and market data; like the engine, it hands on only what is watched."""

    def __init__(
        self,
        *,
        costs: CostSettings | None = None,
        fills: FillModel | None = None,
        latency: LatencyModel | None = None,
        instrument: Instrument = ABC,
        seed: int = 1,
    ) -> None:
        self.clock = ManualClock()
        self.market = ManualMarket()
        self.facts: list[OrderFact] = []
        self.instrument = instrument
        self.is_watched = False
        self.order_count = 0
        self.venue = SimulatedVenue(
            venue="sim",
            clock=self.clock,
            market=self.market,
            publish=self.facts.append,
            instruments=self._find,
            costs=CostModel(costs),
            fills=fills or Through(),
            latency=latency or ConstantLatency(),
            watch=self._watch,
            random=Random(seed),
        )

    def _find(self, name: str) -> Instrument:
        if name != self.instrument.id:
            raise UnknownInstrument(name)
        return self.instrument

    def _watch(self, instrument: str, wanted: bool) -> None:
        assert instrument == self.instrument.id
        assert wanted is not self.is_watched, "the venue repeats itself"
        self.is_watched = wanted

    def buy(self, quantity: str, **terms: Unpack[Terms]) -> str:
        return self.submit(Side.BUY, quantity, **terms)

    def sell(self, quantity: str, **terms: Unpack[Terms]) -> str:
        return self.submit(Side.SELL, quantity, **terms)

    def submit(self, side: Side, quantity: str, **terms: Unpack[Terms]) -> str:
        """Send an order of the type that its prices say; return its id: o1, o2, ..."""
        self.order_count += 1
        order_id = terms.get("order_id", f"o{self.order_count}")
        price, stop = terms.get("price"), terms.get("stop")
        kinds = {
            (False, False): OrderType.MARKET,
            (True, False): OrderType.LIMIT,
            (False, True): OrderType.STOP,
            (True, True): OrderType.STOP_LIMIT,
        }
        intent = OrderIntent(
            run="run",
            key=order_id,
            instrument=terms.get("instrument", NAME),
            side=side,
            quantity=Decimal(quantity),
            type=terms.get("kind", kinds[price is not None, stop is not None]),
            price=None if price is None else Decimal(price),
            stop_price=None if stop is None else Decimal(stop),
            time_in_force=terms.get("tif", TimeInForce.GTC),
            expire_ns=terms.get("expire_ns"),
            post_only=terms.get("post_only", False),
            trigger_by=terms.get("trigger_by", TriggerBy.BID_ASK),
        )
        self.venue.send(
            SubmitOrder(
                order_id,
                terms.get("account", "main"),
                intent,
                Decimal(quantity),
                self.clock.now_ns,
                reduce_only=terms.get("reduce_only", False),
            )
        )
        return order_id

    def cancel(self, order_id: str) -> None:
        self.venue.send(CancelOrder(order_id, "main", NAME, self.clock.now_ns))

    def modify(
        self,
        order_id: str,
        *,
        revision: int = 1,
        quantity: str | None = None,
        price: str | None = None,
        stop: str | None = None,
    ) -> None:
        self.venue.send(
            ModifyOrder(
                order_id,
                "main",
                NAME,
                revision,
                self.clock.now_ns,
                quantity=None if quantity is None else Decimal(quantity),
                price=None if price is None else Decimal(price),
                stop_price=None if stop is None else Decimal(stop),
            )
        )

    def quote(self, bid: float, ask: float, bid_size: float = 0.0, ask_size: float = 0.0) -> None:
        now = self.clock.now_ns
        self.market.last_quote = Quote(NAME, now, now, bid, ask, bid_size, ask_size)
        self._hand_on(self.market.last_quote)

    def trade(
        self, price: float, size: float = 1.0, aggressor: Aggressor = Aggressor.UNKNOWN
    ) -> None:
        now = self.clock.now_ns
        self.market.last_trade = Trade(NAME, now, now, price, size, aggressor)
        self._hand_on(self.market.last_trade)

    def candle(
        self,
        opened: float,
        high: float,
        low: float,
        close: float,
        volume: float = 0.0,
        *,
        is_closed: bool = True,
        minutes: int = 1,
    ) -> None:
        """Close a candle that opened now: the clock moves to its end first."""
        open_ns = self.clock.now_ns
        close_ns = open_ns + minutes * MINUTE_NS
        self.clock.advance(close_ns, inclusive=False)
        self.hand_candle(
            Candle(
                NAME,
                close_ns,
                close_ns,
                f"{minutes}m",
                open_ns,
                close_ns,
                opened,
                high,
                low,
                close,
                volume,
                is_closed,
            )
        )
        self.clock.advance(close_ns)

    def hand_candle(self, candle: Candle) -> None:
        self.market.last_candle = candle
        self._hand_on(candle)

    def book(self, bids: list[Level], asks: list[Level], *, is_synced: bool = True) -> None:
        book = self.market.manual_book = self.market.manual_book or ManualBook()
        book.bid_levels, book.ask_levels, book.is_synced = bids, asks, is_synced
        now = self.clock.now_ns
        self._hand_on(BookChanged(NAME, now, now, 1, is_synced))

    def mark(self, price: float) -> None:
        self.market.last_mark = MarkPrice(NAME, self.clock.now_ns, self.clock.now_ns, price)

    def _hand_on(self, event: VenueMarketEvent) -> None:
        if self.is_watched:
            self.venue.on_market(event)

    def told(self) -> list[str]:
        """Return the facts since the last call, each as a few words."""
        facts, self.facts[:] = self.facts[:], []
        return [words(fact) for fact in facts]


def words(fact: OrderFact) -> str:
    """Return a fact as a few words; fills with quantity @ price and who took."""
    match fact:
        case OrderAccepted():
            return f"{fact.order_id} accepted"
        case OrderFilled():
            return (
                f"{fact.order_id} filled {fact.quantity.normalize():f} @ "
                f"{fact.price.normalize():f} {fact.liquidity.value}"
            )
        case OrderTriggered():
            return f"{fact.order_id} triggered"
        case OrderReplaced():
            return f"{fact.order_id} replaced {fact.quantity.normalize():f}"
        case OrderEnded():
            return f"{fact.order_id} {fact.kind.value}: {fact.reason}"
        case RequestRefused():
            return f"{fact.order_id} {fact.request.value} refused: {fact.reason}"
    raise AssertionError(fact)
