"""A simulated venue: takes our commands and answers them from market data.

It matches our orders on recorded, generated or live data behind the same `Broker` interface as
a real venue. What it promises:

- An order made on an event trades from the next event on, never inside or at the close of the
  candle that caused it; on quotes and books it takes what stands when it arrives.
- With a latency it acts at `now + latency`; commands never overtake each other on the way.
- Equal times: market data in the order in which it is handed over, each event to its end (see
  `matching.py` for the order inside it), then commands that arrive and orders that expire, in
  the order in which they were scheduled. The clock calls timers after the market data of then.
- Facts carry the time of the step; ids count from 1: equal inputs give equal facts.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from random import Random

import anyio

from framework.errors import UnknownInstrument
from framework.interfaces import BrokerCapabilities, Clock, MarketView
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder, VenueCommand
from framework.model.decimals import ZERO, add, subtract
from framework.model.instrument import Instrument
from framework.model.market_data import BookChanged, Candle, Quote, Trade
from framework.model.orders import OrderIntent, OrderType, Side, TimeInForce
from framework.model.reports import EndKind, OrderFact, RequestKind
from framework.simulation.admission import Admission, modify_refusal
from framework.simulation.candle_walk import walk
from framework.simulation.costs import CostModel
from framework.simulation.executions import Executions
from framework.simulation.fills import FillModel
from framework.simulation.latency import LatencyModel
from framework.simulation.matching import NOTHING_TO_REDUCE, WOULD_TAKE, InstrumentMatching
from framework.simulation.resting import INFINITY, VenueOrder, is_stop

_BUY = Side.BUY
_DAY = TimeInForce.DAY
_CAPABILITIES = BrokerCapabilities(
    order_types=frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT})
)

VenueMarketEvent = Quote | Trade | Candle | BookChanged
"""The market events that orders are matched against."""


DayEnd = Callable[[Instrument, int], int]
"""Returns when an order for the day that is given at that instant expires."""


class SimulatedVenue:
    """A `Broker` without a network.

    `watch(instrument, True)` asks for the market events of an instrument in `on_market`,
    `watch(instrument, False)` says that no order there needs them any more. `publish` may queue:
    nothing here reads back what it published.
    """

    def __init__(
        self,
        *,
        venue: str,
        clock: Clock,
        market: MarketView,
        publish: Callable[[OrderFact], None],
        instruments: Callable[[str], Instrument],
        costs: CostModel,
        fills: FillModel,
        latency: LatencyModel,
        watch: Callable[[str, bool], None],
        random: Random,
        epoch: int = 1,
        day_end_ns: DayEnd | None = None,
    ) -> None:
        self.executions = Executions(venue, publish, costs, epoch=epoch)
        self._clock = clock
        self._market = market
        self._instruments = instruments
        self._costs = costs
        self._fills = fills
        self._latency = latency
        self._is_instant = latency.is_instant
        self._watch = watch
        self._random = random
        self._matchings: dict[str, InstrumentMatching] = {}
        self._admissions: dict[str, Admission] = {}
        self._last_arrival_ns = 0
        self._day_end_ns = day_end_ns
        self._part_after_ns = 0 if fills.partial is None else fills.partial.after_ns
        self._is_resuming_traded = False

    @property
    def capabilities(self) -> BrokerCapabilities:
        """Everything but trailing stops, which the core emulates."""
        return _CAPABILITIES

    async def run(self) -> None:
        """Wait until cancelled: there is no connection to own."""
        await anyio.sleep_forever()

    def describe(self) -> tuple[str, ...]:
        """Return the models in use, one line each, for the start-up report."""
        return self._fills.describe(), self._costs.describe(), self._latency.describe()

    def send(self, command: VenueCommand) -> None:
        """Act on a command now, or when it arrives after the latency."""
        if self._is_instant:
            self._act(command)
            return
        arrival_ns = self._clock.now_ns + self._latency.order_ns(self._random)
        self._last_arrival_ns = max(arrival_ns, self._last_arrival_ns)
        self._clock.call_at(self._last_arrival_ns, partial(self._act, command))

    def expiry_ns(self, intent: OrderIntent, given_ns: int) -> int | None:
        """Return when an order given at that instant ends by itself; None: never.

        One for the day ends with its trading day, where this venue was told of any.
        """
        expire_ns = intent.expire_ns
        if expire_ns is None and intent.time_in_force is _DAY and self._day_end_ns is not None:
            expire_ns = self._day_end_ns(self._instruments(intent.instrument), given_ns)
        return expire_ns

    def resume(self, command: SubmitOrder, filled: Decimal) -> None:
        """Take an order back in that was working before a restart: what is left of it, at once.

        The command is for the rest; `filled` had traded before. Its answers are the usual ones.
        """
        self._is_resuming_traded = bool(filled)
        self._act(command)
        self._is_resuming_traded = False
        order = self.executions.working.get(command.order_id)
        if order is not None and filled:
            order.quantity = add(order.quantity, filled)
            order.has_traded = True

    def on_market(self, event: VenueMarketEvent) -> None:
        """Match the orders of the event's instrument against it."""
        matching = self._matchings.get(event.instrument)
        if matching is None:
            return
        resting = matching.resting
        # The nearest prices first: most events concern no order and end here.
        if event.__class__ is Quote:
            if (
                event.ask > resting.buy_at
                and event.bid < resting.sell_at
                and (
                    not resting.has_stops
                    or (event.ask < resting.buy_stop_at and event.bid > resting.sell_stop_at)
                )
            ):
                return
            self.executions.now_ns = self._clock.now_ns
            matching.on_quote(event)
        elif event.__class__ is Candle:
            if (
                event.low > resting.buy_at
                and event.high < resting.sell_at
                and event.high < resting.buy_stop_at
                and event.low > resting.sell_stop_at
            ):
                return
            self.executions.now_ns = self._clock.now_ns
            if matching.on_candle_open(event):
                walk(matching, event, self._fills.candle_path)
        elif event.__class__ is Trade:
            if (
                event.price > resting.buy_at
                and event.price < resting.sell_at
                and event.price < resting.buy_stop_at
                and event.price > resting.sell_stop_at
            ):
                return
            self.executions.now_ns = self._clock.now_ns
            matching.on_trade(event)
        else:
            self.executions.now_ns = self._clock.now_ns
            matching.on_book()
        self._finish_step(matching)

    def _act(self, command: VenueCommand) -> None:
        self.executions.now_ns = self._clock.now_ns
        if command.__class__ is SubmitOrder:
            self._submit(command)
        elif command.__class__ is CancelOrder:
            self._cancel(command)
        elif command.__class__ is ModifyOrder:
            self._modify(command)

    def _submit(self, command: SubmitOrder) -> None:
        executions = self.executions
        if command.order_id in executions.working:
            executions.refused(command.order_id, RequestKind.SUBMIT, "the order is working already")
            return
        name = command.intent.instrument
        matching = self._matchings.get(name)
        try:
            if matching is None:
                matching = self._open(name)
        except UnknownInstrument as unknown:
            executions.rejected(command.order_id, str(unknown))
            return
        reason = self._admissions[name].refusal(command, executions.now_ns)
        if reason is not None:
            executions.rejected(command.order_id, reason)
            return
        order = self._new_order(command, matching.instrument)
        order.has_traded = self._is_resuming_traded
        if order.reduce_only and executions.reducible(order) <= ZERO:
            executions.rejected(command.order_id, NOTHING_TO_REDUCE)
        elif order.post_only and not is_stop(order.kind) and matching.would_take(order):
            executions.rejected(command.order_id, WOULD_TAKE)
        else:
            order.venue_order_id = executions.next_order_id()
            executions.accepted(order)
            expire_ns = command.intent.expire_ns
            if order.time_in_force is _DAY:
                expire_ns = self.expiry_ns(command.intent, executions.now_ns)
            if expire_ns is not None:
                expire = partial(self._expire, order.order_id)
                order.timer = self._clock.call_at(expire_ns, expire)
            matching.arrive(order)
            self._finish_step(matching)

    def _cancel(self, command: CancelOrder) -> None:
        order = self.executions.working.get(command.order_id)
        if order is None:
            self.executions.refused(
                command.order_id, RequestKind.CANCEL, "there is no such working order"
            )
            return
        matching = self._matchings[order.instrument.id]
        matching.end(order, "cancelled as asked")
        self._finish_step(matching)

    def _modify(self, command: ModifyOrder) -> None:
        executions = self.executions
        order = executions.working.get(command.order_id)
        if order is None:
            reason: str | None = "there is no such working order"
        else:
            reason = modify_refusal(command, order) or self._post_only_refusal(command, order)
        if reason is not None or order is None:
            executions.refused(command.order_id, RequestKind.MODIFY, reason or "")
            return
        keeps_place = _keeps_place(command, order)
        _amend(order, command)
        executions.replaced(order)
        matching = self._matchings[order.instrument.id]
        if keeps_place:
            return
        if matching.resting.is_parted(order):
            order.is_fresh = not order.post_only  # the rest meets the market at the new price
        else:
            matching.resting.remove(order)
            order.place = executions.next_place()
            order.arrived_ns = executions.now_ns
            order.is_fresh = True
            matching.arrive(order)
            self._finish_step(matching)

    def _post_only_refusal(self, command: ModifyOrder, order: VenueOrder) -> str | None:
        """Return why a post-only order cannot move to the new price, or None."""
        if not order.post_only or command.price is None or is_stop(order.kind):
            return None
        before = order.limit_at
        order.limit_at = float(command.price)
        takes = self._matchings[order.instrument.id].would_take(order)
        order.limit_at = before
        return WOULD_TAKE if takes else None

    def _expire(self, order_id: str) -> None:
        order = self.executions.working.get(order_id)
        if order is None:
            return
        self.executions.now_ns = self._clock.now_ns
        matching = self._matchings[order.instrument.id]
        matching.end(order, "expired", EndKind.EXPIRED)
        self._finish_step(matching)

    def _set_aside(self, order: VenueOrder) -> None:
        due_ns = self.executions.now_ns + self._part_after_ns
        order.part_timer = self._clock.call_at(due_ns, partial(self._continue, order.order_id))

    def _continue(self, order_id: str) -> None:
        """Let the second part of an order trade."""
        order = self.executions.working[order_id]  # its end cancels the timer
        order.part_timer = None
        self.executions.now_ns = self._clock.now_ns
        matching = self._matchings[order.instrument.id]
        matching.continue_parted(order)
        self._finish_step(matching)

    def _finish_step(self, matching: InstrumentMatching) -> None:
        resting = matching.resting
        if resting.waiting:
            resting.buy_at = INFINITY  # the next price is an order's first
            needs_market = True
        else:
            needs_market = matching.finish_step()
        if needs_market is not matching.is_watched:
            matching.is_watched = needs_market
            self._watch(matching.instrument.id, needs_market)

    def _open(self, name: str) -> InstrumentMatching:
        """Start to match an instrument.

        Raises:
            UnknownInstrument: this venue does not have it.
        """
        instrument = self._instruments(name)
        self._admissions[name] = Admission(instrument, self._market)
        matching = self._matchings[name] = InstrumentMatching(
            instrument,
            market=self._market,
            executions=self.executions,
            costs=self._costs,
            fills=self._fills,
            set_aside=self._set_aside,
        )
        return matching

    def _new_order(self, command: SubmitOrder, instrument: Instrument) -> VenueOrder:
        intent = command.intent
        is_buy = intent.side is _BUY
        is_market = intent.type is OrderType.MARKET
        limit = None if is_market else intent.price
        stop = None if is_market else intent.stop_price
        return VenueOrder(
            command.order_id,
            command.account,
            instrument,
            intent.side,
            is_buy,
            intent.type,
            intent.time_in_force,
            command.quantity,
            command.quantity,
            limit,
            stop,
            (INFINITY if is_buy else -INFINITY) if limit is None else float(limit),
            0.0 if stop is None else float(stop),
            self.executions.now_ns,
            self.executions.next_place(),
            "",
            intent.post_only,
            command.reduce_only,
            intent.trigger_by,
        )


def _keeps_place(command: ModifyOrder, order: VenueOrder) -> bool:
    """Whether a change keeps the time priority: only a quantity that does not grow does."""
    return (
        (command.quantity is None or command.quantity <= order.quantity)
        and (command.price is None or command.price == order.limit)
        and (command.stop_price is None or command.stop_price == order.stop)
    )


def _amend(order: VenueOrder, command: ModifyOrder) -> None:
    order.revision = command.revision
    if command.quantity is not None:
        order.remaining = subtract(command.quantity, order.filled)
        order.quantity = command.quantity
    if command.price is not None:
        order.limit = command.price
        order.limit_at = float(command.price)
    if command.stop_price is not None:
        order.stop = command.stop_price
        order.stop_at = float(command.stop_price)
