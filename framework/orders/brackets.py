"""Brackets: an entry's exits follow what is filled of it and still held, and exclude each other.

A bracket is settled after every change of an order of its position: what should be is computed
from the states of its orders (`cover.py`), and what differs is changed (`sizing.py`), then sent
(`placement.py`). So any order of arrival, repeats and corrections lead to the same exits, and a
restart to the same as well.

A leg that was cancelled on request stays away until the bracket has come down to nothing. One that
ended unasked is made again: held, with `native_only` at the venue; after `refused_limit` of them in
a row the role is tripped: an alert, and for a stop or trail what the rules say (R-31).
"""

from collections.abc import Callable, Iterator
from decimal import Decimal

from framework.interfaces import BrokerCapabilities, Clock
from framework.model.decimals import ZERO, add, negate, subtract
from framework.model.exits import ExitRules, Unprotected
from framework.model.records import CoverNoted, HoldRole
from framework.model.reports import FillCorrection, OrderFact, OrderFilled, OrderTriggered
from framework.orders.cover import Bracket, Line, give_back, line_of, write_off
from framework.orders.exits import NAMES, PROTECTIVE
from framework.orders.following import is_behind
from framework.orders.held_desk import Alert, HeldDesk
from framework.orders.leg_prices import leg_to_resemble
from framework.orders.legs import (
    IN_CORE,
    is_due,
    is_executing,
    is_failed,
    is_given_up,
    is_held,
    is_live,
    is_unsent,
)
from framework.orders.order_state import OrderState
from framework.orders.placement import Placement
from framework.orders.sizing import Sizing

SWEEP_FROM = 1_000


class Brackets:
    """Settles every bracket; all state but counters is in the orders.

    `capabilities` are asked for by account, `rules` by run.

    Attributes:
        by_entry: the brackets by their entry's order id, oldest first; to be read only.
        is_waiting: exits are made and changed in the core alone; `settle` sends what is due later.
    """

    def __init__(
        self,
        *,
        desk: HeldDesk,
        clock: Clock,
        capabilities: Callable[[str], BrokerCapabilities],
        rules: Callable[[str], ExitRules],
        alert: Alert,
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._rules = rules
        self._alert = alert
        self._sizing = Sizing(desk=desk, capabilities=capabilities, rules=rules, alert=alert)
        self._placement = Placement(
            desk=desk, sizing=self._sizing, capabilities=capabilities, rules=rules
        )
        self.by_entry: dict[str, Bracket] = {}
        self.is_waiting = False
        self._lines: dict[Line, list[Bracket]] = {}
        self._held: dict[Line, Decimal] = {}  # as settled last
        self._sweep_at = SWEEP_FROM

    def __len__(self) -> int:
        """Return how many brackets there are."""
        return len(self.by_entry)

    def __iter__(self) -> Iterator[Bracket]:
        """Yield the brackets, oldest first."""
        return iter(list(self.by_entry.values()))

    @property
    def lines(self) -> list[Line]:
        """The positions that have brackets."""
        return list(self._lines)

    def of_line(self, line: Line) -> list[Bracket]:
        """Return the brackets of a position that are not over, oldest first."""
        return list(self._lines.get(line, ()))

    def bracket_of(self, order: OrderState) -> Bracket | None:
        """Return the bracket that an entry or exit belongs to."""
        return self.by_entry.get(order.parent or order.order_id)

    def rebuild(self) -> None:
        """Read everything off the orders in memory, oldest first; nothing is changed."""
        self.by_entry.clear()
        self._lines.clear()
        self._held.clear()
        for order in self._desk.registry:
            self._take_in(order)
        for bracket in self.by_entry.values():
            bracket.recall()
            limit = self._rules(bracket.entry.run).refused_limit
            for role in bracket.roles:
                newest = bracket.newest(role)
                if newest is not None and is_behind(bracket.entry, newest):
                    bracket.forgive(role)
                elif newest is not None and is_failed(newest) and bracket.cover > ZERO:
                    bracket.tripped[role] = bracket.failure_count(role) >= limit
        for line in self._held:
            self._held[line] = self.quantity(line)

    def hear(self, order: OrderState, fact: OrderFact | None) -> None:
        """React to a change of an order, an exit, an entry or any other; to be told of each."""
        is_new = self._take_in(order)
        line = line_of(order)
        bracket = self.bracket_of(order)
        if bracket is not None:
            if is_new:
                # One that came back from the log: only what is filled just now is to be covered.
                new = fact.quantity if isinstance(fact, OrderFilled) else ZERO
                bracket.written_off = max(ZERO, subtract(bracket.due_cover(), new))
            if order.facts.is_closed:
                self._sizing.forget(order)
            self.activate(bracket)
        elif isinstance(fact, FillCorrection) and line in self._held:
            self._give_back(line)
        self.settle(line)

    def settle(self, line: Line) -> None:
        """Make the exits of a position what they should be; changes nothing if they are."""
        if line not in self._held:
            return
        self._sizing.is_waiting = self.is_waiting
        held = self._held[line] = self.quantity(line)
        brackets = self._lines.get(line)
        if brackets is None:
            return
        for bracket in brackets:
            _give_up(bracket)
        write_off([b for b in brackets if b.is_long], held)
        write_off([b for b in brackets if not b.is_long], negate(held))
        for bracket in brackets:
            self._settle_one(bracket)
        active = [bracket for bracket in brackets if not bracket.is_over()]
        if active:
            self._lines[line] = active
        else:
            del self._lines[line]

    def fire(self, leg: OrderState) -> None:
        """Let a held leg go: its price was met. It is written down even if it has to wait."""
        if is_held(leg) and not is_due(leg):
            self._desk.apply(OrderTriggered(leg.order_id, self._clock.now_ns, IN_CORE))

    def is_tripped(self, order: OrderState) -> bool:
        """Tell whether an exit, or any of an entry, is not sent any more."""
        bracket = self.bracket_of(order)
        return bracket is not None and bool(_tripped_roles(bracket, order))

    def reset(self, order: OrderState) -> None:
        """Send a tripped exit, or all those of an entry, again."""
        bracket = self.bracket_of(order)
        if bracket is not None:
            for role in _tripped_roles(bracket, order):
                bracket.forgive(role)
            self.settle(line_of(bracket.entry))

    def tripped_count(self, run: str) -> int:
        """Return how many exits of a run are not sent any more."""
        return sum(
            sum(bracket.tripped.values())
            for bracket in self.by_entry.values()
            if bracket.entry.run == run
        )

    def reset_all(self, run: str) -> None:
        """Send every tripped exit of a run again."""
        for bracket in self:
            if bracket.entry.run == run:
                self.reset(bracket.entry)

    def try_again(self, account: str) -> None:
        """Send, and take back, what could not leave while its venue was out of reach (R-31).

        A stop whose price was met meanwhile goes at once, wherever the price is now.
        """
        for line in [line for line in self._lines if line.account == account]:
            brackets = list(self._lines[line])
            met = [(one, role) for one in brackets for role in _forgive_unsent(one)]
            for bracket in brackets:
                for leg in bracket.open_legs():
                    self._sizing.forget(leg)
            self.settle(line)
            for bracket, role in met:
                newest = bracket.newest(role)
                if newest is not None and role in PROTECTIVE:
                    self.fire(newest)

    def keeps(self, order: OrderState) -> bool:
        """Tell whether an order has to stay in memory: its bracket is not over."""
        bracket = self.bracket_of(order)
        return bracket is not None and not bracket.is_over()

    def _take_in(self, order: OrderState) -> bool:
        """Index an entry with exits, or an exit; tell whether it is a new bracket."""
        if order.parent:
            bracket = self.by_entry.get(order.parent)
            if bracket is not None and order.role in NAMES:
                bracket.take_in(order)
            return False
        if order.exits is None or order.order_id in self.by_entry:
            return False
        self.open(order)
        return True

    def open(self, entry: OrderState) -> Bracket:
        """Begin to keep an entry's exits."""
        bracket = self.by_entry[entry.order_id] = Bracket(entry)
        self._held.setdefault(line_of(entry), ZERO)
        self.activate(bracket)
        self._sweep()
        return bracket

    def activate(self, bracket: Bracket) -> None:
        """Count a bracket among those of its position, by age; over ones are left out of it."""
        brackets = self._lines.setdefault(line_of(bracket.entry), [])
        if bracket not in brackets:
            brackets.append(bracket)
            brackets.sort(key=_age)

    def _sweep(self) -> None:
        """Forget brackets that are over and whose entry has left memory."""
        if len(self.by_entry) < self._sweep_at:
            return
        registry = self._desk.registry
        for order_id, bracket in list(self.by_entry.items()):
            if bracket.is_over() and registry.get(order_id) is None:
                del self.by_entry[order_id]
        self._sweep_at = 2 * len(self.by_entry) + SWEEP_FROM

    def quantity(self, line: Line) -> Decimal:
        """Return what is held of a position, signed."""
        for holding in self._desk.ledger.of_run(line.run, line.instrument):
            if holding.account == line.account and holding.bucket == line.bucket:
                return holding.quantity
        return ZERO

    def _give_back(self, line: Line) -> None:
        """Cover again what another order's corrected execution has brought back."""
        grown = subtract(self.quantity(line), self._held[line])
        brackets = [b for b in self.by_entry.values() if line_of(b.entry) == line]
        brackets.sort(key=_age)
        for side, part in ((True, grown), (False, negate(grown))):
            for bracket in give_back([b for b in brackets if b.is_long is side], part):
                self.activate(bracket)

    def _settle_one(self, bracket: Bracket) -> None:
        is_reviving = bracket.cover <= ZERO or bracket.is_given_up()
        bracket.cover = max(ZERO, bracket.due_cover())
        quantity = bracket.entry.instrument.round_quantity(bracket.cover)
        if not quantity:
            bracket.tripped.clear()
            for leg in bracket.open_legs():
                self._sizing.take_back(leg, "the position is closed")
            return
        for role in bracket.roles:
            self._settle_role(bracket, role, quantity, is_reviving=is_reviving)
        if bracket.entry.replaced_exits is not None:
            self._end_others(bracket)
        if self.is_waiting:
            self._note_cover(bracket)
        else:
            self._placement.place(bracket)

    def _note_cover(self, bracket: Bracket) -> None:
        """Write down what is written off while an exit at the venue cannot be resized.

        A second crash before that would take what has filled meanwhile for written off as well.
        """
        legs, entry = bracket.newest_live(), bracket.entry
        if not legs or bracket.shown_cover() == bracket.cover:
            return
        known = entry.noted_cover
        if known is None or (known.legs, known.written_off) != (legs, bracket.written_off):
            now_ns = self._clock.now_ns
            noted = CoverNoted(entry.order_id, bracket.written_off, now_ns, legs)
            self._desk.note_cover(entry, noted)

    def _end_others(self, bracket: Bracket) -> None:
        """Take back what is not asked for any more, once what is has been made."""
        for leg in bracket.open_legs():
            if leg.role not in bracket.roles and not is_executing(leg):
                self._sizing.take_back(leg, "it is not asked for any more")

    def _settle_role(
        self, bracket: Bracket, role: HoldRole, quantity: Decimal, *, is_reviving: bool
    ) -> None:
        """Bring a role's newest leg to its size and price, or make it."""
        for leg in bracket.legs[role]:
            if is_executing(leg):
                quantity = subtract(quantity, leg.facts.remaining)
            elif is_live(leg) and is_given_up(leg):
                self._sizing.take_back(leg, "replaced")
        newest = bracket.newest(role)
        if quantity <= ZERO:
            return
        if newest is None or newest.facts.is_closed or is_executing(newest) or is_given_up(newest):
            is_asked_again = newest is not None and is_behind(bracket.entry, newest)
            if newest is None or not is_given_up(newest) or is_reviving or is_asked_again:
                self._make(bracket, role, quantity)
        else:
            self._sizing.size(bracket, newest, quantity)

    def _make(self, bracket: Bracket, role: HoldRole, quantity: Decimal) -> None:
        """Make a leg, unless this role keeps failing."""
        newest = bracket.newest(role)
        failures = bracket.failure_count(role)
        if self.is_waiting and failures:
            return
        if newest is not None and leg_to_resemble(bracket, role)[1]:
            self._tell_of_refused_move(newest)
            bracket.forgive(role)
            self._sizing.make(bracket, role, quantity)
            return
        if failures >= self._rules(bracket.entry.run).refused_limit:
            if not bracket.tripped.get(role) and newest is not None:
                bracket.tripped[role] = True
                self._trip(bracket, role, newest)
            return
        if newest is not None and is_failed(newest):
            message = f"exit {newest.intent.key} was refused: {newest.reason or 'no reason given'}"
            self._alert("exit_refused", "warning", message, newest)
        self._sizing.make(bracket, role, quantity)

    def _tell_of_refused_move(self, leg: OrderState) -> None:
        reason = leg.reason or "no reason given"
        message = f"exit {leg.intent.key} was refused at its new price, and goes back: {reason}"
        self._alert("exit_move_refused", "warning", message, leg)

    def _trip(self, bracket: Bracket, role: HoldRole, leg: OrderState) -> None:
        entry = bracket.entry.intent
        message = (
            f"the {NAMES[role]} of order {entry.key} was refused"
            f" {bracket.failure_count(role)} times in a row and is not sent any more:"
            f" {bracket.cover} of {entry.instrument} are without it"
        )
        self._alert("exit_tripped", "critical", message, leg)
        rules = self._rules(bracket.entry.run)
        if role in PROTECTIVE and rules.when_unprotected is Unprotected.CLOSE:
            self._desk.close(entry.run, entry.instrument, entry.bucket)


def _age(bracket: Bracket) -> tuple[int, str, int, str]:
    # Not by order id, which is another one in each journal; keys of one instant are counted up.
    entry = bracket.entry
    return entry.created_ns, entry.run, len(entry.intent.key), entry.intent.key


def _tripped_roles(bracket: Bracket, order: OrderState) -> list[HoldRole]:
    return [
        role
        for role, is_tripped in bracket.tripped.items()
        if is_tripped and (order is bracket.entry or role is order.role)
    ]


def _forgive_unsent(bracket: Bracket) -> list[HoldRole]:
    """Let legs that never left count as no failures; return the roles whose price was met."""
    met = []
    for role in bracket.roles:
        legs = bracket.legs[role]
        unsent = [leg for leg in legs[bracket.forgiven.get(role, 0) :] if is_unsent(leg)]
        if unsent:
            bracket.tripped.pop(role, None)
            bracket.forgiven[role] = sum(leg.facts.is_closed for leg in legs)
        if any(leg.facts.is_triggered for leg in unsent):
            met.append(role)
    return met


def _give_up(bracket: Bracket) -> None:
    """Write off what was covered until now once the end of every exit was asked for."""
    if bracket.cover > ZERO and bracket.is_given_up():
        share = min(bracket.cover, max(ZERO, bracket.due_cover()))
        bracket.written_off = add(bracket.written_off, share)
        bracket.cover = ZERO
    over = bracket.due_cover()
    if over < ZERO:  # a given-up exit filled all the same, or fills of the entry were taken back
        bracket.written_off = max(ZERO, add(bracket.written_off, over))
