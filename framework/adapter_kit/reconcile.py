"""Area *reconcile*: questions get the venue's truth, or an error, and never a guess."""

from collections.abc import Awaitable, Callable

from framework.adapter_kit.connection import cut
from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import CheckFailed, Stage
from framework.adapter_kit.trading import FACTS, Trader, total
from framework.errors import VenueError
from framework.model.decimals import ZERO
from framework.model.orders import OrderStatus, Side
from framework.model.reports import OrderAccepted
from framework.model.venue_state import ExecutionReport, OrderReport

OPEN = (OrderStatus.ACCEPTED, OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED)
HOUR_NS = 3_600_000_000_000


async def finds_orders(stage: Stage) -> None:
    """`order` finds what works and what is past; `open_orders` names exactly what works."""
    trader = await Trader.on(stage)
    terms = stage.rig.passive(Side.BUY)
    working, taken_back = (trader.submit(terms) for _ in range(2))
    for order_id in (working, taken_back):
        await trader.until(order_id, OrderAccepted)
    foreign = stage.rig.place_foreign(stage.rig.passive(Side.SELL))
    trader.cancel(taken_back)
    await stage.pass_time(10.0)
    account = stage.rig.account
    reports = await stage.queries.open_orders(account)
    ours = [report for report in reports if report.venue_order_id != foreign]
    if len(reports) != 2 or [report.order_id for report in ours] != [working]:
        raise CheckFailed(f"open_orders() says {reports}; {working} works, and {foreign} of others")
    for report in reports:
        side = Side.BUY if report in ours else Side.SELL
        if (report.side, report.quantity, report.filled) != (side, terms.quantity, ZERO):
            raise CheckFailed(f"not what was ordered, {side.value} {terms.quantity}: {report}")
        if report.instrument != stage.name() or report.account != account:
            raise CheckFailed(f"not of {stage.name()} in {account}: {report}")
    for order_id, statuses in ((working, OPEN), (taken_back, (OrderStatus.CANCELLED,))):
        found = await stage.queries.order(account, order_id)
        if found is None or found.status not in statuses:
            raise CheckFailed(f"order({order_id}) says {found}")


async def knows_nothing_of_what_never_was(stage: Stage) -> None:
    """R-22: an unknown id is None, which is an answer; an outage is an error, which is none."""
    trader = await Trader.on(stage)
    queries, account = stage.queries, stage.rig.account
    if await queries.order(account, "KIT-NEVER-WAS-HERE") is not None:
        raise CheckFailed("an order that never was is there")
    order_id = trader.submit(stage.rig.passive(Side.BUY))
    await trader.until(order_id, OrderAccepted)
    stage.inflict(Fault.REFUSE, duration_s=600.0)
    stage.inflict(Fault.CUT)
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "order": lambda: queries.order(account, order_id),
        "open_orders": lambda: queries.open_orders(account),
        "executions": lambda: queries.executions(account, stage.clock.now_ns - HOUR_NS),
        "positions": lambda: queries.positions(account),
        "balances": lambda: queries.balances(account),
    }
    for name, ask in questions.items():
        try:
            answer = await ask()
        except VenueError:
            continue
        raise CheckFailed(f"{name} in an outage was answered: {answer}")


async def tells_executions(stage: Stage) -> None:
    """`executions` since a time: each once, oldest first, equal to what the stream told."""
    trader = await Trader.on(stage)
    began_ns = stage.clock.now_ns
    sides: dict[str, Side] = {}
    for side in (Side.BUY, Side.SELL, Side.BUY):
        terms = stage.rig.marketable(side)
        order_id = trader.submit(terms)
        await trader.until_filled(order_id, terms.quantity)
        sides[order_id] = side
    await stage.pass_time(5.0)
    found = await stage.queries.executions(stage.rig.account, began_ns)
    if len({execution.execution_id for execution in found}) != len(found):
        raise CheckFailed(f"an execution is listed twice: {found}")
    if [e.time_ns for e in found] != sorted(e.time_ns for e in found):
        raise CheckFailed("executions are not oldest first")
    for order_id, side in sides.items():
        told = {(f.execution_id, f.quantity, f.price) for f in trader.fills(order_id)}
        mine = [execution for execution in found if execution.order_id == order_id]
        if told != {(e.execution_id, e.quantity, e.price) for e in mine}:
            raise CheckFailed(f"the stream said {told} of {order_id}, and the answer {mine}")
        if any(execution.side is not side for execution in mine):
            raise CheckFailed(f"{order_id} was a {side.value}: {mine}")


async def reports_what_others_do(stage: Stage) -> None:
    """R-26: an order and a fill that our adapter did not send are reported as such."""
    await Trader.on(stage)
    passive, marketable = stage.rig.passive(Side.BUY), stage.rig.marketable(Side.SELL)
    resting = stage.rig.place_foreign(passive)
    filling = stage.rig.place_foreign(marketable)
    await stage.until(
        lambda: [r for r in stage.of(OrderReport) if r.venue_order_id == resting],
        f"an OrderReport of {resting}",
        within_s=60.0,
    )

    def executions() -> dict[str, ExecutionReport]:
        told = stage.of(ExecutionReport)
        return {e.execution_id: e for e in told if e.venue_order_id == filling}

    await stage.until(
        lambda: total(e.quantity for e in executions().values()) == marketable.quantity,
        f"executions of {filling} that add up to {marketable.quantity}",
        within_s=60.0,
    )
    if any(e.side is not Side.SELL for e in executions().values()):
        raise CheckFailed(f"{filling} was a sell: {executions()}")
    orders = {r.venue_order_id: r for r in stage.of(OrderReport)}
    if (orders[resting].side, orders[resting].quantity) != (Side.BUY, passive.quantity):
        raise CheckFailed(f"{resting} was a buy of {passive.quantity}: {orders[resting]}")
    if stage.of(*FACTS):
        raise CheckFailed(f"told as if it were ours: {stage.of(*FACTS)}")


async def finds_what_was_missed(stage: Stage) -> None:
    """R-43: fills of an outage are in `executions` afterwards, under the ids of the stream."""
    trader = await Trader.on(stage)
    terms = stage.rig.passive(Side.BUY)
    order_id = trader.submit(terms)
    await trader.until(order_id, OrderAccepted)
    began_ns = stage.clock.now_ns
    stage.inflict(Fault.REFUSE, duration_s=20.0)
    await cut(stage)
    await stage.pass_time(2.0)
    stage.rig.trade_against(order_id, terms.quantity)
    await stage.pass_time(120.0)
    found = await stage.queries.executions(stage.rig.account, began_ns)
    missed = {e.execution_id: e.quantity for e in found if e.order_id == order_id}
    if total(missed.values()) != terms.quantity or len(missed) != len(found):
        raise CheckFailed(f"{terms.quantity} filled in the outage, executions() says {found}")
    told = {fill.execution_id for fill in trader.fills(order_id)}
    if not told <= set(missed):
        raise CheckFailed(f"told as {told}, and listed as {set(missed)}")


CHECKS = (
    finds_orders,
    knows_nothing_of_what_never_was,
    tells_executions,
    reports_what_others_do,
    finds_what_was_missed,
)
