"""Area *reconcile*: questions get the venue's truth, or an error, and never a guess."""

from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import CheckFailed, Stage
from framework.adapter_kit.trading import Trader
from framework.errors import VenueError
from framework.model.orders import OrderStatus, Side
from framework.model.reports import OrderAccepted, OrderFilled
from framework.model.venue_state import ExecutionReport, OrderReport

OPEN = (OrderStatus.ACCEPTED, OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED)


async def _trader(stage: Stage) -> Trader:
    trader = Trader(stage)
    await trader.ready()
    return trader


async def finds_orders(stage: Stage) -> None:
    """`order` finds what works and what is past; `open_orders` names exactly what works."""
    trader = await _trader(stage)
    working, taken_back = (trader.submit(stage.rig.passive(Side.BUY)) for _ in range(2))
    for order_id in (working, taken_back):
        await trader.until(order_id, OrderAccepted)
    trader.cancel(taken_back)
    await stage.pass_time(10.0)
    account = stage.rig.account
    found = {report.order_id: report for report in await stage.queries.open_orders(account)}
    if set(found) != {working}:
        raise CheckFailed(f"open_orders() says {sorted(found)}, and {working} works")
    for order_id, statuses in ((working, OPEN), (taken_back, (OrderStatus.CANCELLED,))):
        report = await stage.queries.order(account, order_id)
        if report is None or report.status not in statuses:
            raise CheckFailed(f"order({order_id}) says {report}")


async def knows_nothing_of_what_never_was(stage: Stage) -> None:
    """R-22: an unknown id is None, which is an answer; an outage is an error, which is none."""
    await _trader(stage)
    if await stage.queries.order(stage.rig.account, "KIT-NEVER-WAS-HERE") is not None:
        raise CheckFailed("an order that never was is there")
    stage.inflict(Fault.REFUSE, duration_s=300.0)
    stage.inflict(Fault.CUT)
    for ask in (stage.queries.open_orders, stage.queries.positions, stage.queries.balances):
        try:
            answer = await ask(stage.rig.account)
        except VenueError:
            continue
        raise CheckFailed(f"an outage was answered: {answer}")


async def tells_executions(stage: Stage) -> None:
    """`executions` since a time: each once, oldest first, equal to what the stream told."""
    trader = await _trader(stage)
    began_ns = stage.clock.now_ns
    sent = []
    for side in (Side.BUY, Side.SELL, Side.BUY):
        terms = stage.rig.marketable(side)
        order_id = trader.submit(terms)
        await trader.until_filled(order_id, terms.quantity)
        sent.append((order_id, terms.quantity))
    await stage.pass_time(5.0)
    found = await stage.queries.executions(stage.rig.account, began_ns)
    if len({execution.execution_id for execution in found}) != len(found):
        raise CheckFailed(f"an execution is listed twice: {found}")
    if [e.time_ns for e in found] != sorted(e.time_ns for e in found):
        raise CheckFailed("executions are not oldest first")
    for order_id, quantity in sent:
        total = sum(e.quantity for e in found if e.order_id == order_id)
        if total != quantity:
            raise CheckFailed(f"executions() of {order_id} add up to {total}, not {quantity}")
        facts = trader.facts(order_id)
        told = {fact.execution_id for fact in facts if isinstance(fact, OrderFilled)}
        listed = {e.execution_id for e in found if e.order_id == order_id}
        if told != listed:
            raise CheckFailed(f"the stream said {told} and the answer {listed}")


async def reports_what_others_do(stage: Stage) -> None:
    """R-26: an order and a fill that our adapter did not send are reported as such."""
    await _trader(stage)
    stage.rig.place_foreign(stage.rig.passive(Side.BUY))
    stage.rig.place_foreign(stage.rig.marketable(Side.BUY))
    await stage.until(lambda: stage.of(OrderReport), "an OrderReport", within_s=60.0)
    await stage.until(lambda: stage.of(ExecutionReport), "an ExecutionReport", within_s=60.0)


async def finds_what_was_missed(stage: Stage) -> None:
    """R-43: fills of an outage are told afterwards, once."""
    trader = await _trader(stage)
    terms = stage.rig.passive(Side.BUY)
    order_id = trader.submit(terms)
    await trader.until(order_id, OrderAccepted)
    began_ns = stage.clock.now_ns
    stage.inflict(Fault.REFUSE, duration_s=20.0)
    stage.inflict(Fault.CUT)
    await stage.pass_time(2.0)
    stage.rig.trade_against(order_id, terms.quantity)
    await stage.pass_time(120.0)
    found = await stage.queries.executions(stage.rig.account, began_ns)
    missed = {e.execution_id for e in found if e.order_id == order_id}
    if not missed:
        raise CheckFailed("executions() does not know what happened in the outage")


CHECKS = (
    finds_orders,
    knows_nothing_of_what_never_was,
    tells_executions,
    reports_what_others_do,
    finds_what_was_missed,
)
