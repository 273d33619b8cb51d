"""Whether what a trader believes is what the broker has: the promises of R-01, one by one.

Everything compared here is plain data, so that the same words judge a trader in this process
and one that left its state in a file.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from framework.engine.engine import Engine
from framework.model.commands import SubmitOrder
from framework.model.identity import EXTERNAL_RUN, symbol_of
from framework.model.orders import RequestState
from framework.model.records import HoldRole, Record, order_of
from tests.broker.truth import TrueOrder

ZERO = Decimal(0)
CLOSED = ("filled", "cancelled", "expired", "rejected", "denied")


class State(msgspec.Struct):
    """What a trader believes of one account.

    `corrections` is what was put right without an execution: where nobody else trades there is
    none, and each one would hide a fill that was lost or booked twice.
    """

    orders: dict[str, tuple[str, Decimal]]  # id: status, filled
    fills: dict[str, Decimal]  # execution id: quantity
    positions: dict[str, Decimal]  # by symbol, over all runs, flat ones left out
    cash: Decimal
    in_doubt: list[str]
    twice: list[str]  # execution ids that more than one order has booked
    corrections: list[str]


def state_of(engine: Engine, account: str, *, opening: Decimal, currency: str = "USD") -> State:
    """Return what an engine believes, of orders that have left memory too."""
    orders = [found for one in _order_ids(engine) if (found := engine.registry.find(one))]
    fills: dict[str, Decimal] = {}
    twice = []
    for order in orders:
        for execution_id, execution in order.facts.executions.items():
            if execution_id in fills:
                twice.append(execution_id)
            fills[execution_id] = execution.quantity
    positions: dict[str, Decimal] = {}
    corrections = []
    for holding in engine.ledger.holdings(account=account):
        symbol = symbol_of(holding.instrument.id)
        positions[symbol] = positions.get(symbol, ZERO) + holding.quantity
        if holding.run == EXTERNAL_RUN and holding.quantity:
            corrections.append(f"{symbol}: {holding.quantity} in the run external")
    external = engine.ledger.cash(account, EXTERNAL_RUN).get(currency, ZERO)
    if external != opening:
        corrections.append(f"cash of the run external went from {opening} to {external}")
    return State(
        orders={order.order_id: (order.status.value, order.filled) for order in orders},
        fills=fills,
        positions={symbol: quantity for symbol, quantity in positions.items() if quantity},
        cash=engine.ledger.cash(account).get(currency, ZERO),
        in_doubt=[
            order.order_id
            for order in orders
            if order.facts.submit_state is RequestState.IN_DOUBT and not order.is_closed
        ],
        twice=twice,
        corrections=corrections,
    )


def _order_ids(engine: Engine) -> list[str]:
    ids = dict.fromkeys(order.order_id for order in engine.registry)
    for _, record in engine.log.read():
        if isinstance(record, SubmitOrder):
            ids[record.order_id] = None
    return list(ids)


def journalled(records: Iterable[Record]) -> set[str]:
    """Return the ids of the orders that a journal says were to be sent."""
    return {order_of(record) for record in records if isinstance(record, SubmitOrder)}


def safety(
    truth: Mapping[str, Any], known: set[str], acknowledged: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return what must not be at any moment, a crash one second ago included.

    `known` are the orders of the journal, `acknowledged` is what a user saw.
    """
    wrong = [f"{client_id} was sent twice" for client_id in truth["sent_twice"]]
    at_broker = {note["client_id"] for note in truth["received"]}
    wrong += [f"{one} is at the broker and not in the journal" for one in at_broker - known]
    seen = {str(line["order"]) for line in acknowledged if "order" in line}
    wrong += [f"{one} was acknowledged and is not in the journal" for one in seen - known]
    wrong += [f"{one} was acknowledged and not sent" for one in seen - at_broker]
    executed = {row["execution_id"] for row in truth["executions"]}
    filled = {str(line["fill"]) for line in acknowledged if "fill" in line}
    wrong += [f"fill {one} was acknowledged and never happened" for one in filled - executed]
    return sorted(wrong)


def money(truth: Mapping[str, Any], state: State, account: str = "main") -> list[str]:
    """Return where the books of a trader and of a broker at rest differ; due from READY on."""
    wrong = [f"execution {one} was booked twice" for one in state.twice]
    executed = {
        row["execution_id"]: Decimal(row["quantity"])
        for row in truth["executions"]
        if Decimal(row["quantity"])
    }
    booked = {name: quantity for name, quantity in state.fills.items() if quantity}
    wrong += _differences("execution", executed, booked)
    positions = {row["symbol"]: Decimal(row["quantity"]) for row in truth["positions"][account]}
    wrong += _differences("position", positions, state.positions)
    cash = Decimal(truth["balances"][account][0]["total"])
    if cash != state.cash:
        wrong.append(f"cash: the broker has {cash}, we have {state.cash}")
    return wrong + [f"corrected without an execution: {one}" for one in state.corrections]


def agreement(truth: Mapping[str, Any], state: State, account: str = "main") -> list[str]:
    """Return every difference between a trader and a broker at rest; [] is the whole promise."""
    wrong = money(truth, state, account)
    at_broker = {row["client_id"]: row for row in truth["orders"]}
    for order_id, (status, filled) in state.orders.items():
        is_closed, row = status in CLOSED, at_broker.get(order_id)
        if row is None:
            if not is_closed and status != "held":
                wrong.append(f"{order_id} is {status} here and unknown there")
            continue
        if Decimal(row["filled"]) != filled:
            wrong.append(f"{order_id}: filled {row['filled']} there, {filled} here")
        if (row["status"] == "working") is is_closed:
            wrong.append(f"{order_id}: {row['status']} there, {status} here")
    return wrong + [f"{one} is still in doubt" for one in state.in_doubt]


def exits_too_large(entry: TrueOrder | None, exits: Sequence[TrueOrder]) -> list[str]:
    """Return that an entry's exits may trade more at the broker than it did (R-32), or nothing."""
    most = sum((one.quantity if one.is_working else one.filled for one in exits), ZERO)
    filled = ZERO if entry is None else entry.filled
    if most <= filled:
        return []
    return [f"exits of {exits[0].client_id}'s entry may trade {most}, which has {filled}"]


def links(engine: Engine, account: str) -> list[str]:
    """Return where stops do not cover what entries with exits hold, once all is at rest (R-31)."""
    covered: dict[str, Decimal] = {}
    wrong = []
    for order in engine.registry:
        if order.is_closed or order.role is not HoldRole.STOP_LOSS:
            continue
        symbol = symbol_of(order.intent.instrument)
        signed = order.facts.remaining if not order.is_buy else -order.facts.remaining
        covered[symbol] = covered.get(symbol, ZERO) + signed
        if engine.registry.find(order.parent) is None:
            wrong.append(f"exit {order.intent.key} has lost its entry")
    held = {
        symbol_of(holding.instrument.id): holding.quantity
        for holding in engine.ledger.holdings(account=account)
        if holding.run != EXTERNAL_RUN
    }
    return wrong + [
        f"{symbol}: {held.get(symbol, ZERO)} held, {covered.get(symbol, ZERO)} covered by stops"
        for symbol in sorted({*held, *covered})
        if held.get(symbol, ZERO) != covered.get(symbol, ZERO)
    ]


def _differences(what: str, there: Mapping[str, Decimal], here: Mapping[str, Decimal]) -> list[str]:
    return [
        f"{what} {name}: the broker has {there.get(name)}, we have {here.get(name)}"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    ]
