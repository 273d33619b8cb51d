"""Lists of orders and executions: filtered, sorted and shown a few rows in each turn."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

import anyio

from framework.errors import OrderError
from framework.model.decimals import ZERO
from framework.model.desk import Cursor, DeskOrder, FillQuery, OrderQuery, Principal, Verb
from framework.model.orders import CLOSED_STATUSES, Fill, Order, OrderStatus
from framework.model.reports import OrderFilled
from framework.orders.executions import Execution
from framework.orders.order_state import OrderState
from framework.runtime.desk_access import DeskAccess, eye_of
from framework.runtime.desk_history import PastOrders, first_position
from framework.runtime.system import System

TURN = 256  # rows that are looked at or shown before others have the loop: about a millisecond
OPEN_STATUSES = frozenset(OrderStatus) - CLOSED_STATUSES

_time_of = itemgetter(0)


class Row(NamedTuple):
    """An order, or an execution of it, at its place in a list."""

    time_ns: int
    state: OrderState
    execution: Execution | None = None


class DeskLists(DeskAccess):
    """Shows orders and executions: those in memory, and those before the last start."""

    def __init__(self, system: System) -> None:
        DeskAccess.__init__(self, system)
        engine = system.engine
        self._past = PastOrders(engine.registry, engine.log, system.parts.restored_position)
        if not self._past.is_read:
            engine.desk.after_change.append(self._past.after_change)

    async def order(self, principal: Principal, order_id: str) -> DeskOrder | None:
        """Return an order the principal sees, from the log where it left memory."""
        self._check(principal, Verb.READ)
        state = await self._found(order_id)
        if state is None or not self._sees(principal, Verb.READ, state):
            return None
        return self._shown(state)

    async def orders(self, principal: Principal, query: OrderQuery) -> list[DeskOrder]:
        """Return the orders that fit, newest first; a long list is read in several turns."""
        self._check(principal, Verb.READ, query.instrument)
        if not query.limit and query.limit is not None:
            return []
        rows = await self._fitting(principal, query)
        if query.after is not None:
            rows = self._behind(rows, query.after, principal)
        shown: list[DeskOrder] = []
        moved: list[DeskOrder] = []
        for count, row in enumerate(rows, 1):
            state = row.state
            if fits(state, query):  # it may have changed since it was looked at
                is_here = not query.by_update or state.facts.updated_ns == row.time_ns
                (shown if is_here else moved).append(self._shown(state))
            if len(shown) == query.limit:
                break
            if not count % TURN:
                await anyio.lowlevel.checkpoint()
        if moved and query.after is None:  # to the top of the list
            shown[:0] = moved
        return shown[: query.limit]

    async def fills(self, principal: Principal, query: FillQuery) -> list[Fill]:
        """Return the executions that fit, newest first; a long list is read in several turns."""
        self._check(principal, Verb.READ, query.instrument)
        rows = await self._filled(principal, query)
        if query.after is not None:
            rows = self._behind(rows, query.after, principal)
        fills: list[Fill] = []
        for count, row in enumerate(rows[: query.limit], 1):
            if row.execution is not None:
                fills.append(fill_of(row.state, row.execution))
            if not count % TURN:
                await anyio.lowlevel.checkpoint()
        return fills

    def described(self, order: Order) -> DeskOrder:
        """Return an order of an event, with what was asked for.

        Raises:
            OrderError: nothing is known of it any more.
        """
        state = self._known(order.order_id)
        if state is None:
            raise OrderError(f"nothing is known of order {order.order_id!r} any more")
        stop, target = self._exit_prices(state)
        return DeskOrder(order, state.intent, state.role, stop, target)

    async def _found(self, order_id: str) -> OrderState | None:
        state = self._known(order_id)
        if state is None or state.exits is None or order_id in self._engine.registry.orders:
            return state
        await self._past.read()  # where its exits were, they know
        return self._known(order_id)

    def _known(self, order_id: str) -> OrderState | None:
        registry = self._engine.registry
        state = registry.get(order_id) or self._past.get(order_id)
        if state is None and registry.archive is not None:
            state = registry.archive.recall(registry, order_id)
        return state

    def _shown(self, state: OrderState) -> DeskOrder:
        stop, target = self._exit_prices(state)
        return DeskOrder(state.event(), state.intent, state.role, stop, target)

    def _exit_prices(self, state: OrderState) -> tuple[Decimal | None, Decimal | None]:
        if state.exits is None:
            return None, None
        changes, bracket = self._system.care.emulation.changes, self._past.bracket_of(state)
        return changes.prices(state) if bracket is None else changes.prices_in(bracket, state)

    # -- which rows ------------------------------------------------------------------------------

    async def _fitting(self, principal: Principal, query: OrderQuery) -> list[Row]:
        """Return what fits, newest first; no more than are needed, where that can be told."""
        sees, by_update = eye_of(principal, Verb.READ), query.by_update
        states = await self._few(principal, query)
        is_sorted = states is None
        if states is None:
            await self._past.read()
            states = self._past.merged()
            states.reverse()
        # By creation the newest come first, and the rest need not be looked at.
        is_cut = is_sorted and not by_update and query.after is None
        most = query.limit if is_cut else None
        rows: list[Row] = []
        for count, state in enumerate(states, 1):
            if fits(state, query) and sees(state):
                rows.append(Row(state.facts.updated_ns if by_update else state.created_ns, state))
                if len(rows) == most:
                    break
            if not count % TURN:
                await anyio.lowlevel.checkpoint()
        if by_update or not is_sorted:
            rows.sort(key=_time_of, reverse=True)
        return rows

    async def _few(self, principal: Principal, query: OrderQuery) -> list[OrderState] | None:
        """Return the few that may fit, in no order, where there is a short way to them."""
        if query.key is not None:
            return await self._of_key(principal, query.key)
        if query.statuses is not None and query.statuses <= OPEN_STATUSES:
            registry = self._engine.registry
            return [
                state
                for run in self._runs_of(principal)
                for state in reversed(registry.open_orders(run, query.instrument))
            ]
        return None

    async def _of_key(self, principal: Principal, key: str) -> list[OrderState]:
        registry, states = self._engine.registry, []
        for run in self._runs_of(principal):
            state = registry.by_key(run, key)
            if state is None:
                closed = registry.closed_order(run, key)
                state = None if closed is None else await self._found(closed.order_id)
            if state is not None:
                states.append(state)
        return states

    async def _filled(self, principal: Principal, query: FillQuery) -> list[Row]:
        """Return the executions that fit, newest first; of one instant the later one first."""
        rows: list[Row] = []
        sees = eye_of(principal, Verb.READ)
        for count, state in enumerate(await self._of_fills(query), 1):
            executions = state.facts.executions
            is_meant = query.instrument is None or state.intent.instrument == query.instrument
            if executions and is_meant and sees(state):
                rows += [
                    Row(execution.time_ns, state, execution)
                    for execution in reversed(executions.values())
                    if is_within(query, execution)
                ]
            if not count % TURN:
                await anyio.lowlevel.checkpoint()
        rows.sort(key=_time_of, reverse=True)
        return rows

    async def _of_fills(self, query: FillQuery) -> Sequence[OrderState]:
        """Return the orders whose executions may fit, the newest first."""
        if query.order_id is not None:
            state = self._known(query.order_id)
            return () if state is None else (state,)
        await self._past.read()
        states = self._past.merged()
        states.reverse()
        return states

    # -- going on --------------------------------------------------------------------------------

    def _behind(self, rows: list[Row], cursor: Cursor, principal: Principal) -> list[Row]:
        """Return the rows that follow a cursor, whether or not its own row is still there.

        Raises:
            OrderError: the principal sees no such order.
        """
        state = self._known(cursor.order_id)
        if state is None or not self._sees(principal, Verb.READ, state):
            raise OrderError(f"{cursor.order_id!r} is in no list")
        first = next((i for i, row in enumerate(rows) if row.time_ns <= cursor.time_ns), len(rows))
        older = next(
            (i for i in range(first, len(rows)) if rows[i].time_ns < cursor.time_ns), len(rows)
        )
        same = rows[first:older]  # of the cursor's instant: one of them may be its row
        for index, row in enumerate(same):
            if row.state.order_id == cursor.order_id and _is_at(row, cursor):
                return rows[first + index + 1 :]
        if same:  # it has left the list: what was made before it follows
            made = self._made([cursor.order_id, *(row.state.order_id for row in same)])
            place = made(cursor.order_id)
            same = [row for row in same if made(row.state.order_id) < place]
        return same + rows[older:]

    def _made(self, order_ids: Sequence[str]) -> Callable[[str], int]:
        """Return what tells the places of these orders among all that were ever made."""
        engine = self._engine
        if engine.registry.archive is None:  # then nothing has left memory
            places = {name: place for place, name in enumerate(engine.registry.orders)}
        else:
            places = {name: first_position(engine.log, name) for name in dict.fromkeys(order_ids)}
        return places.__getitem__


def fits(state: OrderState, query: OrderQuery) -> bool:
    """Tell whether an order fits every condition that is set."""
    intent = state.intent
    return (
        (query.instrument is None or intent.instrument == query.instrument)
        and (query.statuses is None or state.facts.status in query.statuses)
        and (query.side is None or intent.side is query.side)
        and (query.key is None or intent.key == query.key)
        and (query.oco_group is None or intent.oco_group == query.oco_group)
        and (query.since_ns is None or state.created_ns >= query.since_ns)
        and (query.until_ns is None or state.created_ns < query.until_ns)
    )


def is_within(query: FillQuery, execution: Execution) -> bool:
    """Tell whether an execution holds, and is of the time that is asked for."""
    return (
        execution.quantity != ZERO
        and (query.since_ns is None or execution.time_ns >= query.since_ns)
        and (query.until_ns is None or execution.time_ns < query.until_ns)
    )


def fill_of(state: OrderState, execution: Execution) -> Fill:
    """Return what holds for an execution of an order, corrected or not."""
    if isinstance(execution, OrderFilled):
        return state.fill(execution, ZERO, execution.time_ns)
    corrected = state.fill_corrected(execution, execution.time_ns)
    return Fill(
        corrected.execution_id,
        corrected.order_id,
        corrected.run,
        corrected.account,
        corrected.instrument,
        corrected.side,
        corrected.quantity,
        corrected.price,
        corrected.time_ns,
        corrected.received_ns,
        corrected.fees,
        bucket=state.intent.bucket,
    )


def _is_at(row: Row, cursor: Cursor) -> bool:
    execution = row.execution
    return execution is None or execution.execution_id == cursor.execution_id
