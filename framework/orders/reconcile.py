"""Reconciliation: one venue's whole word about an account against what is written down here (R-34).

`apply` steps one `VenueState`. Orders and executions become facts at once: they are evidence. The
rest is judged with care, since the four answers were taken one after the other and our own requests
go on meanwhile:

    a part that failed        is never "nothing there": nothing follows from it
    an order that changed     since the first question left, or so shortly before that the answers
                              may lag behind it (the venue's visibility time): looked at next time
    an order not listed       is asked about, never taken as gone
    a fill not told of        is made up (`evidence.py`) only when executions were asked for after
                              the report that counts it, and do not explain it
    a position or balance     is corrected, in the run `external`, only when all parts are there,
                              nothing is in doubt or moved since, and the difference stays the same
                              over the visibility time, at least twice in a row: a fill that lies
                              between two answers looks like a difference once, a real one stays
    the cash of an account    that was never reconciled is its opening: booked as a deposit, without
                              an alert, since nothing that was known has changed

The same state twice changes nothing the second time. Made-up records have ids that are functions of
what they are about.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import structlog

from framework.errors import UnknownInstrument
from framework.interfaces import Clock
from framework.model.account import CashBooked, CashReason
from framework.model.decimals import ZERO, absolute
from framework.model.identity import EXTERNAL_RUN, OrderIds
from framework.model.orders import OrderIntent, OrderStatus, RequestState, Side
from framework.model.records import Record
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, OrderFact, OrderFilled
from framework.model.venue_state import OrderNotFound, OrderReport, VenueState
from framework.orders.differences import (
    Difference,
    average_price,
    cash_differences,
    position_differences,
    spot_holding_of,
    unbacked_runs,
)
from framework.orders.doubt import Access, Doubts, TellAlert
from framework.orders.evidence import make_up
from framework.orders.external import external_key, find_match
from framework.orders.intake import Intake
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.portfolio.ledger import Ledger

log = structlog.get_logger()

NONE = RequestState.NONE
HELD = OrderStatus.HELD
OVERLAP_NS = 60_000_000_000
MARK_EVERY_NS = 300_000_000_000


class Findings(msgspec.Struct, frozen=True):
    """What one state led to.

    `is_settled`: nothing in it waits for another look; `missing`: our orders that are now asked
    about; `unbacked`: the runs that hold more than there is, None where that could not be judged.
    """

    account: str
    asked_ns: int
    is_complete: bool
    is_settled: bool
    failures: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    made_up: tuple[OrderFact, ...] = ()
    corrections: tuple[Difference, ...] = ()
    differences: tuple[Difference, ...] = ()
    unbacked: tuple[str, ...] | None = None


class Work(msgspec.Struct):
    """What one `apply` has found so far."""

    missing: list[str] = []
    made_up: list[OrderFact] = []
    corrections: list[Difference] = []
    differences: list[Difference] = []
    is_unsettled: bool = False
    unbacked: tuple[str, ...] | None = None


class Reconciliation:
    """Compares venue states with our orders and ledger, and brings ours in line.

    Attributes:
        on_findings: called at the end of each `apply`.
        on_unexplained: called with an account whose venue counts other fills of an order than we
            know of, once for each such count: executions are to be asked for.
        reconciled_ns: per account, when the first question of the newest complete state left:
            everything before is known; kept in snapshots and, as a mark, in the log.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        registry: OrderRegistry,
        ledger: Ledger,
        doubts: Doubts,
        ids: OrderIds,
        access: Callable[[str], Access],
        clock: Clock,
        book: Callable[[CashBooked], None],
        adopt: Callable[[str, OrderIntent, str], OrderState],
        price_of: Callable[[str], Decimal | None],
        record: Callable[[Record], None],
        alert: TellAlert,
    ) -> None:
        self.on_findings: Callable[[Findings], None] | None = None
        self.on_unexplained: Callable[[str], None] | None = None
        self.reconciled_ns: dict[str, int] = {}
        self._intake = intake
        self._registry = registry
        self._ledger = ledger
        self._doubts = doubts
        self._ids = ids
        self._access = access
        self._clock = clock
        self._book = book
        self._adopt = adopt
        self._price_of = price_of
        self._record = record
        self._alert = alert
        self._unexplained: dict[str, tuple[OrderReport, int]] = {}
        self._absent: dict[str, int] = {}
        self._seen: dict[str, dict[Difference, int]] = {}  # by account: when first asked
        self._marked_ns: dict[str, int] = {}
        self._opened: dict[str, set[str]] = {}  # by account that is new: currencies booked so far
        intake.on_unexplained = self._note_unexplained

    def since_ns(self, account: str, asked_ns: int) -> int:
        """Return from when on executions are to be asked for: all that may not be known yet."""
        known_ns = self.reconciled_ns.get(account)
        if known_ns is None:
            created = [order.created_ns for order in self._registry if order.account == account]
            known_ns = min([asked_ns, *created])
        return known_ns - OVERLAP_NS

    def apply(self, state: VenueState) -> Findings:
        """Step one state and return what it led to."""
        work = Work()
        if state.account not in self.reconciled_ns:
            self._opened.setdefault(state.account, set())
        self._take_reports(state)
        if state.orders is not None:
            self._look_for_ours(state, work)
        self._intake.claim_rest(state.account)
        if state.executions is not None:
            self._explain(state, work)
        if state.is_complete:
            self._compare(state, work)
            if not self._waits(state.account):
                self._mark(state)
        findings = Findings(
            state.account,
            state.asked_ns,
            state.is_complete,
            state.is_complete and not work.is_unsettled,
            state.failures,
            tuple(work.missing),
            tuple(work.made_up),
            tuple(work.corrections),
            tuple(work.differences),
            work.unbacked,
        )
        if self.on_findings is not None:
            self.on_findings(findings)
        return findings

    # -- orders and executions ---------------------------------------------------------------

    def _take_reports(self, state: VenueState) -> None:
        """Take ids first, then fills, then ends: the order in which they contradict nothing."""
        intake, account = self._intake, state.account
        told = [report for report in state.orders or () if report.account == account]
        moving = self._moving(told, self._certain_ns(state))
        owned = [(report, intake.name(report)) for report in told]
        for execution in state.executions or ():
            if execution.account == account:
                intake.take(execution)
        for report, order in owned:
            if order is None:
                intake.take(report)
            elif order.order_id not in moving:
                intake.apply_to(order, report)

    def _certain_ns(self, state: VenueState) -> int:
        """Return from when on the answers of a state may miss what happened."""
        return state.asked_ns - max(0, self._access(state.account).visibility_ns - 1)

    def _moving(self, told: list[OrderReport], since_ns: int) -> set[str]:
        """Return our orders that changed since then, before an answer changes any."""
        owners = (self._intake.owner(report) for report in told)
        return {
            order.order_id
            for order in owners
            if order is not None and self._intake.has_changed(order.order_id, since_ns)
        }

    def _look_for_ours(self, state: VenueState, work: Work) -> None:
        """Ask about every open order of ours that the venue's list leaves out."""
        account, certain_ns = state.account, self._certain_ns(state)
        listed = {report.order_id: None for report in state.orders or () if report.order_id}
        names = {report.venue_order_id: None for report in state.orders or ()}
        for order in list(self._registry):
            facts = order.facts
            if (
                order.account == account
                and not facts.is_closed
                and facts.is_accepted
                and order.order_id not in listed
                and not any(name in names for name in facts.venue_order_ids)
                and not self._intake.has_changed(order.order_id, certain_ns)
                and order.created_ns < certain_ns
            ):
                self._miss(order, state, work)
            else:
                self._absent.pop(order.order_id, None)
        if not self._access(account).has_client_ids and state.executions is not None:
            self._match(state, listed, names)

    def _miss(self, order: OrderState, state: VenueState, work: Work) -> None:
        if order.intent.run != EXTERNAL_RUN:
            work.missing.append(order.order_id)
            self._doubts.look_into(order)
            return
        # Nobody here can ask about an order of others by its id. Not listed twice: it is over.
        before_ns = self._absent.setdefault(order.order_id, state.asked_ns)
        if before_ns < state.asked_ns and state.executions is not None:
            del self._absent[order.order_id]
            reason = "not among the venue's open orders any more"
            ended = OrderEnded(
                order.order_id, EndKind.CANCELLED, state.time_ns, reason, "reconcile"
            )
            self._intake.apply([ended])

    def _match(self, state: VenueState, listed: dict[str, None], names: dict[str, None]) -> None:
        """Find our orders in doubt among what belongs to nobody: the venue knows no client ids."""
        account = state.account
        doubted = self._doubts.orders_of(account)
        nameless = [order for order in doubted if not order.facts.venue_order_ids]
        candidates = self._intake.unclaimed.of(account)
        pairs, ambiguous = find_match(nameless, candidates)
        for order, candidate in pairs:
            what = f"order {order.order_id} is probably the venue's {candidate.venue_order_id!r}"
            self._alert("order_matched", what, key=order.order_id, level="warning")
            time_ns = candidate.reports()[0].time_ns
            self._intake.apply([OrderAccepted(order.order_id, time_ns, candidate.venue_order_id)])
        for order in ambiguous:
            self._doubts.in_conflict(order, "several orders at the venue could be this one")
        taken = {order.order_id for order, _ in pairs} | {order.order_id for order in ambiguous}
        for order in doubted:
            is_listed = any(name in names for name in order.facts.venue_order_ids)
            if order.order_id not in taken and not is_listed:
                answer = OrderNotFound(account, order.order_id, state.time_ns, in_history=True)
                self._intake.take(answer)

    def _note_unexplained(self, order: OrderState, report: OrderReport) -> None:
        known = self._unexplained.get(order.order_id)
        if known is None or known[0].filled != report.filled:
            self._unexplained[order.order_id] = (report, self._clock.now_ns)
            if self.on_unexplained is not None:
                self.on_unexplained(order.account)

    def _explain(self, state: VenueState, work: Work) -> None:
        """Make up the fills that the venue counts and that no execution explains."""
        certain_ns = self._certain_ns(state)
        for order_id, (report, received_ns) in list(self._unexplained.items()):
            if report.account != state.account:
                continue
            order = self._registry.find(order_id)
            if order is None or order.facts.filled == report.filled:
                del self._unexplained[order_id]
            elif order.facts.filled > report.filled and self._intake.has_changed(
                order_id, min(received_ns - state.asked_ns, 0) + certain_ns
            ):
                del self._unexplained[order_id]  # the report is older than what we know
            elif received_ns >= certain_ns:
                work.is_unsettled = True  # executions have not been asked for since
            else:
                self._make_up(order, report, work)

    def _make_up(self, order: OrderState, report: OrderReport, work: Work) -> None:
        facts = make_up(report, order)
        about = f"order {order.order_id}: the venue counts {report.filled} filled,"
        if facts is None:
            what = f"{about} we know of {order.facts.filled}, and no price for the rest"
            self._alert("fill_without_price", what, key=order.order_id)
            return
        del self._unexplained[order.order_id]
        if facts:
            what = f"{about} its executions say {order.facts.filled}; the rest is made up"
            self._alert("fill_made_up", what, key=order.order_id, level="warning")
            work.made_up += facts
            self._intake.apply(facts)

    def _waits(self, account: str) -> bool:
        return any(report.account == account for report, _ in self._unexplained.values())

    # -- positions and cash ------------------------------------------------------------------

    def _compare(self, state: VenueState, work: Work) -> None:
        account = state.account
        positions, balances = state.positions or (), state.balances or ()
        before = self._seen.pop(account, {})
        if self._is_in_doubt(account):
            return  # what is unknown explains any difference; it does not hold up the start
        certain_ns = self._certain_ns(state)
        if self._waits(account) or not self._intake.is_quiet(account, certain_ns):
            work.is_unsettled = True
            return
        found = position_differences(self._ledger, account, positions)
        cash = cash_differences(self._ledger, account, balances, positions)
        work.differences += [*found, *cash]
        seen = {one: before.get(one, state.asked_ns) for one in work.differences}
        self._seen[account] = seen
        certain = {one for one in seen if seen[one] < certain_ns}
        if len(certain) < len(seen):
            work.is_unsettled = True
        for difference in found:
            if difference in certain:
                self._correct_position(difference, state, work)
        for difference in cash_differences(self._ledger, account, balances, positions):
            first = next((one for one in cash if one.currency == difference.currency), None)
            if first in certain if first is not None else certain.intersection(found):
                self._correct_cash(difference, state, work)
        if len(certain) == len(seen):
            self._opened.pop(account, None)
        if not work.is_unsettled:
            work.unbacked = unbacked_runs(self._ledger, account)

    def _is_in_doubt(self, account: str) -> bool:
        return any(
            order.account == account
            and not order.facts.is_closed
            and not (order.facts.submit_state is NONE and order.order_id not in self._doubts)
            for order in self._registry
        )

    def _correct_position(self, difference: Difference, state: VenueState, work: Work) -> None:
        account, instrument = difference.account, difference.instrument
        name = difference.correction_id(state.time_ns)
        price = average_price(self._ledger, difference, state.positions or (), self._price_of)
        what = f"{instrument} on account {account!r}: {difference.ours} here, {difference.theirs}"
        if price is None:
            self._alert("position_unpriced", f"{what} at the venue, and no price", key=instrument)
            work.is_unsettled = True
            return
        quantity = absolute(difference.amount)
        side = Side.BUY if difference.amount > ZERO else Side.SELL
        intent = OrderIntent(
            EXTERNAL_RUN,
            external_key(account, name),
            instrument,
            side,
            quantity,
            bucket=difference.bucket,
        )
        order_id = self._ids.order_id(EXTERNAL_RUN, intent.key)
        try:
            self._adopt(order_id, intent, account)
        except UnknownInstrument as error:
            self._alert("position_unknown", f"{what} at the venue: {error}", key=instrument)
            return
        self._alert("position_corrected", f"{what} at the venue", key=instrument)
        self._intake.apply([OrderFilled(order_id, name, quantity, price, state.time_ns)])
        work.corrections.append(difference)

    def _correct_cash(self, difference: Difference, state: VenueState, work: Work) -> None:
        account, currency = difference.account, difference.currency
        name = difference.correction_id(state.time_ns)
        instrument = spot_holding_of(self._ledger, account, currency, state.positions or ())
        opened = self._opened.get(account)
        reason = CashReason.CORRECTION
        if opened is not None and currency not in opened:
            opened.add(currency)
            name, reason = f"opening {name}", CashReason.DEPOSIT
            total = str(difference.theirs)
            log.info("account_opened", account=account, currency=currency, total=total)
        else:
            what = f"{currency} on account {account!r}: {difference.ours} here, {difference.theirs}"
            key = f"{account}/{currency}"
            self._alert("cash_corrected", f"{what} at the venue", key=key, level="warning")
        self._book(
            CashBooked(
                account,
                EXTERNAL_RUN,
                currency,
                difference.amount,
                reason,
                state.time_ns,
                name,
                instrument,
            )
        )
        work.corrections.append(difference)

    def _mark(self, state: VenueState) -> None:
        """Note that everything before this state is known, now and then in the log too."""
        account, asked_ns = state.account, state.asked_ns
        self.reconciled_ns[account] = max(asked_ns, self.reconciled_ns.get(account, 0))
        marked_ns = self._marked_ns.get(account)
        if marked_ns is None or asked_ns - marked_ns >= MARK_EVERY_NS:
            self._marked_ns[account] = asked_ns
            self._record(VenueState(account, asked_ns, state.time_ns, state.since_ns))
