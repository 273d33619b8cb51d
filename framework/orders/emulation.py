"""Emulation: what the core does for orders and exits that a venue cannot do by itself.

Everything happens inside the step that brings the cause: `after_change` hears of every order that
changed, `on_market` of every price of an instrument somebody waits for. Reactions are queued, so
that one is finished before the next begins. All state is in the orders: `rebuild` reads it off them
after a restart, `resume` goes on. Between the two exits are held for what has filled, and nothing
is sent: what there is to protect is not known before the accounts are reconciled (R-35).
"""

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import msgspec

from framework.clock.trading_hours import TradingHours
from framework.interfaces import BrokerCapabilities, Clock, MarketView
from framework.model.exits import ExitRules, LateTrigger
from framework.model.orders import Exits, OrderIntent, OrderSession, OrderType
from framework.model.records import HoldRole
from framework.model.reports import OrderFact
from framework.orders import held_entries
from framework.orders.brackets import Brackets
from framework.orders.exit_changes import ExitChanges
from framework.orders.exits import TRAIL
from framework.orders.held_desk import Alert, HeldDesk
from framework.orders.held_entries import HeldEntries, Wait
from framework.orders.leg_prices import counted_price
from framework.orders.legs import is_due, is_held
from framework.orders.oco import OcoGroups
from framework.orders.order_state import OrderState
from framework.orders.trailing import TrailingStop
from framework.orders.triggers import Hit, MarketEvent, Purpose, Triggers, Watch
from framework.orders.unprotected import UnprotectedPosition, unprotected_positions

MARKET, LIMIT = OrderType.MARKET, OrderType.LIMIT
NOW = OrderSession.NOW
ANY_PRICE = Decimal("-Infinity")
WatchMarket = Callable[[str, str, Callable[[MarketEvent], None] | None], None]
"""Subscribes, under a name, a step to the prices of an instrument; None: no more of them."""


class Emulation:
    """Keeps, watches and sends the orders that the core holds.

    Attributes:
        brackets, groups, entries: the parts, for reading.
        exit_prices: tells where an entry's stop and target are, see `ExitChanges.prices`.
        on_watch: called before each order that there is more to do for than to send it, and before
            those of an earlier start: `after_change` must hear of everything from the first on.
    """

    def __init__(
        self,
        *,
        desk: HeldDesk,
        clock: Clock,
        market: MarketView,
        watch_market: WatchMarket,
        capabilities: Callable[[str], BrokerCapabilities],
        rules: Callable[[str], ExitRules],
        hours_of: Callable[[str], TradingHours],
        alert: Alert,
    ) -> None:
        self.on_watch: Callable[[], None] = _nothing
        self._desk = desk
        self._clock = clock
        self._watch_market = watch_market
        self._capabilities = capabilities
        self._rules = rules
        self._alert = alert
        self.brackets = Brackets(
            desk=desk, clock=clock, capabilities=capabilities, rules=rules, alert=alert
        )
        self.changes = ExitChanges(
            self.brackets,
            desk=desk,
            clock=clock,
            market=market,
            capabilities=capabilities,
            rules=rules,
        )
        self.exit_prices = self.changes.prices
        self.groups = OcoGroups(desk)
        self.entries = HeldEntries(
            desk=desk,
            clock=clock,
            capabilities=capabilities,
            hours_of=hours_of,
            arm=self._watch,
        )
        self._triggers = Triggers(market)
        self._watched: dict[str, bool] = {}
        self._changes: deque[tuple[OrderState, OrderFact | None]] = deque()
        self._is_busy = False
        self._postponed: list[tuple[OrderState, OrderFact | None]] = []  # for `resume`
        self._unjudged: dict[str, dict[str, OrderState]] = {}
        self._late: dict[str, Watch] = {}

    def needs_holding(self, intent: OrderIntent, account: str) -> bool:
        """Tell whether the core has to keep an intent for the venue of this account."""
        if (
            (intent.type is MARKET or intent.type is LIMIT)
            and intent.exits is None
            and not intent.oco_group
            and not intent.options
            and intent.session is NOW
        ):
            return False
        self.on_watch()
        return held_entries.needs_holding(intent, self._capabilities(account))

    def after_change(self, order: OrderState, fact: OrderFact | None) -> None:
        """React to an order that changed; to be called for every one, within its step."""
        intent = order.intent
        is_plain = order.role is None and intent.exits is None and not intent.oco_group
        if is_plain and not (self.brackets.by_entry or self.entries.held):
            return
        self._changes.append((order, fact))
        self._work_off()

    def on_booking(self, run: str, instrument: str) -> None:
        """React to a position that changed without an order: cash, a settlement, an assignment."""
        for line in self.brackets.lines:
            if line.run == run and line.instrument == instrument:
                self._at_once(partial(self.brackets.settle, line))

    def on_market(self, event: MarketEvent) -> None:
        """Judge an event's prices: fire what is met, move what trails."""
        if event.instrument in self._unjudged:
            self._judge_late(event)
        for hits in self._triggers.of(event.instrument).judge(event):
            for hit in sorted(hits, key=self._turn):
                self._at_once(partial(self._react_to, hit))

    def due(self, now_ns: int) -> int | None:
        """End what expired, send what opens; return when to call again, None: for nothing."""
        self._at_once(partial(self.entries.due, now_ns))
        return self.entries.next_due_ns()

    def rebuild(self) -> None:
        """Read the state off the orders in memory, after the log was replayed into them."""
        if len(self._desk.registry):
            self.on_watch()
        for parts in (self.brackets, self.groups, self.entries):
            parts.rebuild()
        self._late.clear()
        self._unjudged.clear()
        self.brackets.is_waiting = True

    def resume(self, now_ns: int) -> int | None:
        """Go on after a restart: once reconciled, before strategies start; answers like `due`.

        What ended expires, exits of closed positions go, sizes are put right; held orders are
        judged by the first fresh price, and what is met by then is late.
        """
        self.brackets.is_waiting = False
        self._changes.extend(self._postponed)
        self._postponed.clear()
        self.due(now_ns)
        for account in dict.fromkeys(line.account for line in self.brackets.lines):
            self.try_again(account)
        self._at_once(self.groups.settle_all)
        for order in list(self._desk.registry):
            if is_held(order):
                self._watch(order)
                if self._rules(order.run).late_trigger is LateTrigger.ALERT:
                    self._unjudged.setdefault(order.intent.instrument, {})[order.order_id] = order
        return self.entries.next_due_ns()

    def try_again(self, account: str) -> None:
        """Go on with what could not leave: an account's venue can be reached and is reconciled."""
        self._at_once(partial(self.brackets.try_again, account))

    def reset(self, order_id: str) -> str | None:
        """Send an exit again that was refused too often; return why there is nothing to reset."""
        order = self._desk.registry.get(order_id)
        if order is None:
            return f"unknown order {order_id}"
        if not self.brackets.is_tripped(order):
            return f"order {order_id} has no exit that was stopped"
        self._at_once(partial(self.brackets.reset, order))
        return None

    def reset_run(self, run: str) -> int:
        """Send the exits of a run again that were refused too often; return how many they are."""
        count = self.tripped_count(run)
        if count:
            self._at_once(partial(self.brackets.reset_all, run))
        return count

    def tripped_count(self, run: str) -> int:
        """Return how many exits of a run are not sent any more."""
        return self.brackets.tripped_count(run)

    def modify_exits(self, order_id: str, exits: Exits) -> str | None:
        """Give an entry other exits, see `OrderDesk.modify_exits`; return why not, or None."""
        entry = self._desk.registry.find(order_id)
        if entry is None:
            return f"unknown order {order_id}"
        reason = self.changes.refusal(entry, exits)
        if reason is None:
            self.on_watch()
            self._at_once(partial(self.changes.replace, entry, exits))
        return reason

    def keeps(self, order: OrderState) -> bool:
        """Tell whether a closed order still decides about others: it must not leave memory."""
        return (
            self.brackets.keeps(order)
            or self.groups.keeps(order)
            or self.entries.expects(order.run, order.intent.key)
        )

    def tripped(self) -> list[tuple[str, HoldRole]]:
        """Return the exits that are not sent any more: (entry's order id, role)."""
        return [
            (bracket.entry.order_id, role)
            for bracket in self.brackets
            for role, is_tripped in bracket.tripped.items()
            if is_tripped
        ]

    def unprotected(self) -> list[UnprotectedPosition]:
        """Return the positions that nothing protects while the process is down."""
        return unprotected_positions(self.brackets, self._desk.registry)

    def _at_once(self, call: Callable[[], object]) -> None:
        """Do something to its end before reacting to what it changes."""
        was_busy, self._is_busy = self._is_busy, True
        try:
            call()
        finally:
            self._is_busy = was_busy
        self._work_off()

    def _work_off(self) -> None:
        """Take the queued changes one after the other; those they cause queue behind them."""
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while self._changes:
                self._react(*self._changes.popleft())
        finally:
            self._is_busy = False
            self._changes.clear()

    def _react(self, order: OrderState, fact: OrderFact | None) -> None:
        intent = order.intent
        if self.brackets.is_waiting:
            self._postponed.append((order, fact))
        elif intent.oco_group:
            self.groups.hear(order, fact)
        is_expected = order.role is not None or self.entries.expects(order.run, intent.key)
        if is_expected and not self.brackets.is_waiting:
            self.entries.hear(order)
        if self.brackets.by_entry or intent.exits is not None:
            self.brackets.hear(order, fact)
            bracket = self.brackets.bracket_of(order)
            if bracket is not None and bracket.entry is order:
                for leg in bracket.legs.get(TRAIL, ()):  # its activation follows the average
                    self._watch(leg)
        if order.role is not None:
            self._watch(order)

    def _watch(self, order: OrderState) -> None:
        """Watch the prices that a held order waits for now, and no others."""
        instrument = order.intent.instrument
        self._triggers.set(order.order_id, instrument, self._watches(order))
        has_watches = len(self._triggers.of(instrument)) > 0
        if has_watches is not self._watched.get(instrument, False):
            self._watched[instrument] = has_watches
            self._watch_market(instrument, "emulation", self.on_market if has_watches else None)

    def _watches(self, order: OrderState) -> tuple[Watch, ...]:
        if not is_held(order) or is_due(order):
            self._late.pop(order.order_id, None)
            return ()
        if order.role is HoldRole.ENTRY and self.entries.waits_for(order) is not Wait.TRIGGER:
            return ()
        if order.order_id in self._late:
            return (self._late[order.order_id],)
        if order.role is HoldRole.TAKE_PROFIT:
            return (_watch(order, Purpose.TARGET, order.facts.price, is_rising=not order.is_buy),)
        if order.intent.type is not OrderType.TRAILING_STOP:
            return (_watch(order, Purpose.STOP, order.facts.stop_price, is_rising=order.is_buy),)
        return _trail_watches(order, self._activation(order))

    def _activation(self, order: OrderState) -> Decimal | None:
        bracket = self.brackets.bracket_of(order) if order.parent else None
        if bracket is not None:
            return counted_price(bracket, TRAIL)
        return order.intent.trail_activation

    def _turn(self, hit: Hit) -> tuple[int, int]:
        """Stops go before targets of the same moment, trails move last; then the oldest."""
        order = self._desk.registry.get(hit.watch.order_id)
        return list(Purpose).index(hit.watch.purpose), 0 if order is None else order.created_ns

    def _react_to(self, hit: Hit) -> None:
        order = self._desk.registry.get(hit.watch.order_id)
        if order is None or not is_held(order) or is_due(order):
            return
        purpose = hit.watch.purpose
        if purpose is Purpose.RETURN:
            del self._late[order.order_id]
            self._watch(order)
        elif purpose in (Purpose.STOP, Purpose.TARGET):
            self._fire(order)
        else:
            self._follow(order, hit.price)

    def _fire(self, order: OrderState) -> None:
        if order.parent:
            self.brackets.fire(order)
        else:
            self.entries.fire(order)

    def _follow(self, order: OrderState, price: Decimal) -> None:
        """Start a trail, or move it after a new extreme; one that moves nothing is not logged."""
        trail, before = order.trail, order.facts.stop_price
        if trail is None:
            return
        if order.extreme is None or before is None:
            start = TrailingStop.started(
                price, trail, order.instrument, is_buy=order.is_buy, stop=before
            )
        else:
            start = TrailingStop(
                order.is_buy, trail, order.instrument, order.extreme, before
            ).after(price)
        if order.extreme is None or start.stop != before:
            self._desk.trail(order, start.extreme, start.stop)
            self._watch(order)

    def _judge_late(self, event: MarketEvent) -> None:
        """Set aside the orders that the first fresh price finds met, and tell of them."""
        triggers = self._triggers.of(event.instrument)
        waiting = self._unjudged[event.instrument]
        for order in list(waiting.values()):
            watch = next((w for w in self._watches(order) if w.purpose in FIRING), None)
            price = None if watch is None else triggers.price_for(event, watch)
            if watch is None or price is not None:
                del waiting[order.order_id]
            if watch is not None and price is not None and watch.is_met(price):
                self._set_aside(order, watch, price)
        if not waiting:
            del self._unjudged[event.instrument]

    def _set_aside(self, order: OrderState, watch: Watch, price: Decimal) -> None:
        self._late[order.order_id] = msgspec.structs.replace(
            watch, purpose=Purpose.RETURN, is_rising=not watch.is_rising, is_strict=True
        )
        self._watch(order)
        message = (
            f"order {order.intent.key} was to go at {watch.level}, and the first price after the"
            f" start is {price}: it waits until the price has been back"
        )
        self._alert("late_trigger", "critical", message, order)


FIRING = (Purpose.STOP, Purpose.TARGET)


def _nothing() -> None:
    """Whoever put this together tells of everything anyway."""


def _watch(order: OrderState, purpose: Purpose, level: Decimal | None, *, is_rising: bool) -> Watch:
    return Watch(
        order.order_id,
        purpose,
        order.intent.trigger_by,
        order.is_buy,
        is_rising,
        ANY_PRICE if level is None else level,
        order.facts.updated_ns,
        is_strict=purpose is Purpose.EXTEND,
    )


def _trail_watches(order: OrderState, activation: Decimal | None) -> tuple[Watch, ...]:
    """Return the stop of a trail and what moves it; a stop given at first holds from the start."""
    stop, watches = order.facts.stop_price, []
    if stop is not None:
        watches.append(_watch(order, Purpose.STOP, stop, is_rising=order.is_buy))
    if order.extreme is not None:
        rises = not order.is_buy
        watches.append(_watch(order, Purpose.EXTEND, order.extreme, is_rising=rises))
    elif activation is not None:
        watches.append(_watch(order, Purpose.ACTIVATE, activation, is_rising=not order.is_buy))
    else:
        watches.append(_watch(order, Purpose.ACTIVATE, None, is_rising=True))
    return tuple(watches)
