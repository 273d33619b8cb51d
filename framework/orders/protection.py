"""Protection of one run: which of its rules matches first, once, and what must survive a restart.

Told of marks, fills and time, it answers with actions; it sends nothing and reads no clock. Each
change of what it remembers goes to `record` as one whole `ProtectionState`: trailing extremes move
in steps, and what a restart reads is exactly what ruled before it.

    watching  --a rule matches-->  fired (ExitRun, once)
    fired     --`until_ns` has come and the run is flat, or a person resumes it-->  watching
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from framework.clock.trading_hours import TradingHours
from framework.model.decimals import ZERO, multiply, negate, subtract
from framework.model.protection import (
    BasketRule,
    ExitRun,
    PositionRule,
    ProtectionAction,
    ProtectionAlert,
    ProtectionState,
    RunRearmed,
    TrailMark,
)
from framework.model.runs import Run
from framework.orders.protection_clock import ClockRules, Match
from framework.orders.protection_rules import (
    STEPS,
    extends,
    fell_back,
    gain_reaches,
    loss_reaches,
    needs_sum,
    position_rules,
    share_of,
)
from framework.orders.protection_unjudged import Unjudged
from framework.portfolio.funds import net_profit
from framework.portfolio.holding import Holding
from framework.portfolio.ledger import Ledger, Mark
from framework.portfolio.marks import taken

EXIT_WAIT_NS = 30_000_000_000  # after this an exit that did not get the run flat raises an alert
MOST_EXIT_ALERTS = 5
EXIT_INCOMPLETE = "exit_incomplete"


class ProtectionRules:
    """Watches one run.

    `mark` gives the price to value an instrument at; `currency` is the account's; `busy` the
    instruments in which the run has open orders. Keep one per run whose `Protection` has a rule
    (`is_guarded`). Call `start` once after `restore`.
    """

    def __init__(
        self,
        run: Run,
        *,
        ledger: Ledger,
        mark: Mark,
        currency: str,
        hours_of: Callable[[str], TradingHours],
        busy: Callable[[], Iterable[str]],
        record: Callable[[ProtectionState], None],
    ) -> None:
        self.run = run
        self.state = ProtectionState(run.id, run.opened_ns)
        self._rules = run.protection
        self._ledger = ledger
        self._mark = mark
        self._currency = currency
        self._busy = busy
        self._record = record
        self._positions = position_rules(run.protection)
        self._clock = ClockRules(run.protection, hours_of)
        self._unjudged = Unjudged(run.id, run.protection, currency)
        self._exit_alerts, self._told_ns = 0, 0

    def restore(self, state: ProtectionState) -> None:
        """Take over what was remembered at the last start; trails of rules that went are left."""
        trailing = {
            index for index, (_, rule) in enumerate(self._positions) if rule.trail is not None
        }
        kept = tuple(trail for trail in state.trails if trail.rule in trailing)
        self.state = msgspec.structs.replace(state, trails=kept)

    def start(self, now_ns: int) -> list[ProtectionAction]:
        """Begin to watch, after the ledger was restored and reconciled.

        An exit that was decided before a crash is returned again, as it may have got no further:
        pausing and flattening twice is the same as once.
        """
        self._clock.heartbeat(now_ns)
        state = self.state
        if state.fired:
            self._told_ns = now_ns
            if self._held() or state.until_ns is None or now_ns < state.until_ns:
                return [ExitRun(self.run.id, state.fired, state.reason, now_ns, state.until_ns)]
            return self.on_time(now_ns)
        if state.base is None and self._rules.basket is not None:
            self._change(now_ns, base=self._net())
        self._settle(now_ns)
        return self.on_time(now_ns)

    def heartbeat(self, now_ns: int) -> None:
        """Note a sign of life from the run's strategy."""
        self._clock.heartbeat(now_ns)

    def on_mark(self, instrument: str, now_ns: int) -> list[ProtectionAction]:
        """Judge after a price of an instrument changed."""
        for holding in self._ledger.of_run(self.run.id, instrument):
            if holding.quantity:
                return self._judge(now_ns)
        return []

    def on_fill(self, now_ns: int) -> list[ProtectionAction]:
        """Judge after what the run holds or its cash changed: fill, correction, booking, ..."""
        if not self.state.fired:
            self._settle(now_ns)
        return self._judge(now_ns)

    def on_time(self, now_ns: int) -> list[ProtectionAction]:
        """Judge by the clock; call it at `next_time_ns`, oftener does no harm."""
        if self.state.fired:
            actions = self._after_exit(now_ns)
            return [*actions, *self._judge(now_ns)] if actions and not self.state.fired else actions
        return [*self._judge(now_ns), *self._unjudged.alerts(self._holdings(), now_ns)]

    def rearm(self, now_ns: int) -> None:
        """Watch again, after a person resumed the run: basket and day count from here.

        The limit of the whole run stays: one that is broken still matches at once.
        """
        base = self._net()
        self._set(
            ProtectionState(
                self.run.id,
                now_ns,
                rearmed_ns=now_ns,
                base=base,
                day=self._clock.day(now_ns) if self.state.day else "",
                day_base=base if self.state.day else ZERO,
            )
        )
        self._clock.heartbeat(now_ns)
        self._exit_alerts = 0

    def next_time_ns(self, now_ns: int) -> int | None:
        """Return when `on_time` has something to judge next; ask again after each fill and time."""
        times = [due_ns for due_ns in self._times(now_ns) if due_ns > now_ns]
        return min(times) if times else None

    # -- judging

    def _judge(self, now_ns: int) -> list[ProtectionAction]:
        """Return the exit of the first rule that matches, [] while none does or one has."""
        if self.state.fired:
            return []
        match = self._first_match(now_ns)
        if match is None:
            return []
        rule, reason, until_ns = match
        self._set(
            msgspec.structs.replace(
                self.state,
                time_ns=now_ns,
                fired=rule,
                reason=reason,
                fired_ns=now_ns,
                until_ns=until_ns,
                trails=(),
                best=None,
            )
        )
        self._exit_alerts, self._told_ns = 0, now_ns
        return [ExitRun(self.run.id, rule, reason, now_ns, until_ns)]

    def _first_match(self, now_ns: int) -> Match | None:
        held = self._held()
        marks = taken(self._mark, held)
        self._unjudged.note(held, marks, now_ns)
        match = self._position_match(held, marks, now_ns)
        if (
            match is None
            and needs_sum(self._rules)
            and self._unjudged.can_sum(marks, self._holdings())
        ):
            match = self._sum_match(bool(held), marks, now_ns)
        if match is not None:
            return match
        return self._clock.match(self._instruments(held), self.state.rearmed_ns, now_ns)

    def _position_match(
        self, held: list[Holding], marks: dict[str, Decimal | None], now_ns: int
    ) -> Match | None:
        for index, (name, rule) in enumerate(self._positions):
            for holding in held:
                mark = marks[holding.instrument.id]
                if mark is None or rule.instrument not in ("", holding.instrument.id):
                    continue
                part = self._matching_part(index, rule, holding, mark, now_ns)
                if part is not None:
                    shown = name if name == "max_position_loss" else f"{name}.{part}"
                    where = f"{holding.quantity} {holding.instrument.id} at {mark}"
                    return shown, f"{shown}: {where}", None
        return None

    def _matching_part(
        self, index: int, rule: PositionRule, holding: Holding, mark: Decimal, now_ns: int
    ) -> str | None:
        """Return the part of a rule that a position has reached: stop, target or trail."""
        if rule.stop is not None and loss_reaches(holding, mark, rule.stop):
            return "stop"
        if rule.target is not None and gain_reaches(holding, mark, rule.target):
            return "target"
        if rule.trail is not None and self._trail(index, rule, holding, mark, now_ns):
            return "trail"
        return None

    def _trail(
        self, index: int, rule: PositionRule, holding: Holding, mark: Decimal, now_ns: int
    ) -> bool:
        """Follow the best price of a position; tell whether it has come back too far."""
        distance, after = rule.trail, rule.trail_after
        if distance is None:
            return False
        known = self._trail_mark(index, holding)
        if known is None and after is not None and not gain_reaches(holding, mark, after):
            return False
        if known is not None and fell_back(holding, known.extreme, mark, distance):
            return True
        if known is None or extends(holding, known.extreme, mark, distance):
            is_long = holding.quantity > ZERO
            newest = TrailMark(index, holding.instrument.id, is_long, mark, holding.bucket)
            others = tuple(trail for trail in self.state.trails if trail is not known)
            self._change(now_ns, trails=(*others, newest))
        return False

    def _sum_match(
        self, is_held: bool, marks: dict[str, Decimal | None], now_ns: int
    ) -> Match | None:
        """Judge what counts the run's whole profit, at one mark."""
        rules, name = self._rules, self._currency
        net = net_profit(self._ledger, self.run.account, self.run.id, marks.get, name)
        if rules.basket is not None and is_held:
            profit = subtract(net, self.state.base or ZERO)
            part = self._basket_part(rules.basket, profit, now_ns)
            if part is not None:
                rule = f"basket.{part}"
                return rule, f"{rule}: the basket's profit is {profit} {name}", None
        if rules.max_day_loss is not None:
            if self.state.day != self._clock.day(now_ns):
                self._change(now_ns, day=self._clock.day(now_ns), day_base=net)
            lost = subtract(self.state.day_base, net)
            if lost >= rules.max_day_loss:
                reason = f"max_day_loss: {lost} {name} lost since midnight"
                return "max_day_loss", reason, self._clock.midnight_ns(now_ns)
        if rules.max_run_loss is not None and negate(net) >= rules.max_run_loss:
            return "max_run_loss", f"max_run_loss: {negate(net)} {name} lost", None
        return None

    def _basket_part(self, basket: BasketRule, profit: Decimal, now_ns: int) -> str | None:
        """Return the part of the basket's rule that its profit has reached."""
        allocation = self.run.allocation
        if basket.stop is not None and negate(profit) >= share_of(basket.stop, allocation):
            return "stop"
        if basket.target is not None and profit >= share_of(basket.target, allocation):
            return "target"
        if basket.trail is None:
            return None
        best, distance = self.state.best, share_of(basket.trail, allocation)
        if best is None:
            after = basket.trail_after
            if after is None or profit >= share_of(after, allocation):
                self._change(now_ns, best=profit)
        elif subtract(best, profit) >= distance:
            return "trail"
        elif multiply(subtract(profit, best), STEPS) >= distance:
            self._change(now_ns, best=profit)
        return None

    # -- what it remembers

    def _settle(self, now_ns: int) -> None:
        """Forget trails of positions that ended; a flat run's next basket counts from here."""
        kept = tuple(trail for trail in self.state.trails if self._still_trails(trail))
        if kept != self.state.trails:
            self._change(now_ns, trails=kept)
        if self._rules.basket is not None and not self._held():
            base = self._net()
            if base != self.state.base or self.state.best is not None:
                self._change(now_ns, base=base, best=None)

    def _still_trails(self, trail: TrailMark) -> bool:
        holdings = self._ledger.of_run(self.run.id, trail.instrument)
        return any(follows(trail, holding) for holding in holdings)

    def _trail_mark(self, index: int, holding: Holding) -> TrailMark | None:
        for trail in self.state.trails:
            if trail.rule == index and follows(trail, holding):
                return trail
        return None

    def _change(self, now_ns: int, **fields: object) -> None:
        self._set(msgspec.structs.replace(self.state, time_ns=now_ns, **fields))

    def _set(self, state: ProtectionState) -> None:
        self.state = state
        self._record(state)

    # -- after an exit

    def _after_exit(self, now_ns: int) -> list[ProtectionAction]:
        """Return the end of the pause, or an alert while the exit did not get the run flat."""
        state, held = self.state, self._held()
        if held:
            if self._exit_alerts == MOST_EXIT_ALERTS or now_ns < self._told_ns + EXIT_WAIT_NS:
                return []
            self._exit_alerts, self._told_ns = self._exit_alerts + 1, now_ns
            name = held[0].instrument.id
            return [ProtectionAlert(self.run.id, EXIT_INCOMPLETE, name, now_ns)]
        if state.until_ns is None or now_ns < state.until_ns:
            return []
        rule = state.fired
        self.rearm(now_ns)
        return [RunRearmed(self.run.id, rule, now_ns)]

    # -- where things stand

    def _holdings(self) -> Iterable[Holding]:
        return self._ledger.holdings(account=self.run.account, run=self.run.id)

    def _held(self) -> list[Holding]:
        return [holding for holding in self._holdings() if holding.quantity]

    def _instruments(self, held: list[Holding]) -> list[str]:
        names = [holding.instrument.id for holding in held]
        return list(dict.fromkeys([*names, *self._busy()]))

    def _net(self) -> Decimal:
        run = self.run
        return net_profit(self._ledger, run.account, run.id, self._mark, self._currency)

    def _times(self, now_ns: int) -> Iterable[int]:
        if not self.state.fired:
            yield from self._clock.times(self._instruments(self._held()), now_ns)
            yield from self._unjudged.times()
            return
        if self.state.until_ns is not None:
            yield self.state.until_ns
        if self._exit_alerts < MOST_EXIT_ALERTS and self._held():
            yield self._told_ns + EXIT_WAIT_NS


def follows(trail: TrailMark, holding: Holding) -> bool:
    """Tell whether a trailing extreme is that of this position, as it is held now."""
    return (
        trail.instrument == holding.instrument.id
        and trail.bucket == holding.bucket
        and (holding.quantity > ZERO if trail.is_long else holding.quantity < ZERO)
    )
