"""Area *orders*: each request once, each answer as what it is, doubt where there is none."""

from decimal import Decimal

from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import CheckFailed, Stage
from framework.adapter_kit.trading import Trader
from framework.model.decimals import subtract
from framework.model.orders import OrderType, Side, TimeInForce
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderReplaced,
    RequestInDoubt,
    RequestRefused,
)

SIDES = (Side.BUY, Side.SELL)


async def _trader(stage: Stage) -> Trader:
    trader = Trader(stage)
    await trader.ready()
    return trader


async def places_and_cancels(stage: Stage) -> None:
    """A resting order is accepted under our id, and cancelled when asked, with the venue's word."""
    trader = await _trader(stage)
    order_id = trader.submit(stage.rig.passive(Side.BUY))
    await trader.until(order_id, OrderAccepted)
    if not trader.at_venue(order_id).is_open:
        raise CheckFailed("accepted, and not open at the venue")
    trader.cancel(order_id)
    await trader.until(order_id, OrderEnded, EndKind.CANCELLED)
    if trader.at_venue(order_id).is_open:
        raise CheckFailed("told as cancelled, and open at the venue")


async def has_the_side_right(stage: Stage) -> None:
    """F-17: a buy makes the position grow and a sell makes it shrink, through zero and back."""
    trader = await _trader(stage)
    symbol = stage.rig.symbols[0]
    for side in (Side.BUY, Side.SELL):
        before = stage.rig.position(symbol)
        terms = stage.rig.marketable(side)
        order_id = trader.submit(terms)
        await trader.until_filled(order_id, terms.quantity)
        moved = subtract(stage.rig.position(symbol), before)
        signed = terms.quantity if side is Side.BUY else -terms.quantity
        if moved != signed:
            raise CheckFailed(f"{side.value} {terms.quantity} moved the position by {moved}")
        reported = await stage.queries.positions(stage.rig.account)
        held = {report.instrument: report.quantity for report in reported}
        truth = stage.rig.position(symbol)
        if held.get(stage.name(), Decimal(0)) != truth:
            raise CheckFailed(f"positions() says {held}, the venue {truth}")


async def tells_fills_once(stage: Stage) -> None:
    """R-24: partial fills add up to the venue's, each under an execution id of its own."""
    trader = await _trader(stage)
    terms = stage.rig.passive(Side.BUY)
    order_id = trader.submit(terms)
    await trader.until(order_id, OrderAccepted)
    lot = stage.instrument().lot or Decimal(1)
    stage.rig.trade_against(order_id, lot)
    await trader.until_filled(order_id, lot)
    stage.rig.trade_against(order_id, subtract(terms.quantity, lot))
    await trader.until_filled(order_id, terms.quantity)
    await stage.pass_time(60.0)
    fills = [fact for fact in trader.facts(order_id) if isinstance(fact, OrderFilled)]
    if len({fill.execution_id for fill in fills}) != len(fills):
        raise CheckFailed(f"an execution was told twice: {fills}")
    if trader.filled(order_id) != trader.at_venue(order_id).filled:
        raise CheckFailed("what was told does not add up to what the venue filled")
    if any(fill.price != terms.price for fill in fills):
        raise CheckFailed(f"a resting order fills at its own price {terms.price}: {fills}")


async def changes_orders(stage: Stage) -> None:
    """A changed price and quantity are the venue's, and told with the revision that asked."""
    if not stage.broker.capabilities.has_modify:
        return
    trader = await _trader(stage)
    terms = stage.rig.passive(Side.BUY)
    order_id = trader.submit(terms)
    await trader.until(order_id, OrderAccepted)
    tick = stage.instrument().tick_at(terms.price) or Decimal(1)
    trader.modify(order_id, 1, price=subtract(terms.price, tick))
    await trader.until(order_id, OrderReplaced)
    replaced = next(f for f in trader.facts(order_id) if isinstance(f, OrderReplaced))
    if (replaced.revision, replaced.price) != (1, subtract(terms.price, tick)):
        raise CheckFailed(f"not what was asked for: {replaced}")
    if trader.has(order_id, OrderEnded):
        raise CheckFailed("a changed order was told as ended")


async def refuses_with_the_reason(stage: Stage) -> None:
    """What the venue rejects ends with its reason; what is unknown to it cannot be cancelled."""
    trader = await _trader(stage)
    terms = stage.rig.marketable(Side.BUY)
    if stage.broker.capabilities.has_post_only:
        order_id = trader.submit(terms, post_only=True)
        await trader.until(order_id, OrderEnded)
        if trader.filled(order_id):
            raise CheckFailed("a post-only order traded on arrival")
    trader.cancel("KIT-NOBODY-SENT-THIS")
    await trader.until("KIT-NOBODY-SENT-THIS", RequestRefused)


async def ends_what_cannot_rest(stage: Stage) -> None:
    """An immediate-or-cancel order that finds nobody ends without a fill."""
    if TimeInForce.IOC not in stage.broker.capabilities.time_in_forces:
        return
    trader = await _trader(stage)
    order_id = trader.submit(stage.rig.passive(Side.BUY), time_in_force=TimeInForce.IOC)
    await trader.until(order_id, OrderEnded)
    if trader.filled(order_id) or trader.at_venue(order_id).is_open:
        raise CheckFailed("an order that found nobody was filled or stayed")


async def fills_market_orders(stage: Stage) -> None:
    """A market order fills at the book's price, where the adapter says it has them."""
    if OrderType.MARKET not in stage.broker.capabilities.order_types:
        return
    trader = await _trader(stage)
    terms = stage.rig.marketable(Side.BUY)
    order_id = trader.submit(terms, order_type=OrderType.MARKET)
    await trader.until_filled(order_id, terms.quantity)


async def doubts_a_lost_answer(stage: Stage) -> None:
    """R-20, F-01: an order without an answer is in doubt, never rejected, never sent again."""
    trader = await _trader(stage)
    stage.inflict(Fault.LOSE_ANSWER)
    order_id = trader.submit(stage.rig.passive(Side.BUY))
    await stage.until(
        lambda: trader.has(order_id, RequestInDoubt) or trader.has(order_id, OrderAccepted),
        f"{order_id}: in doubt, or accepted by its stream",
        within_s=60.0,
    )
    stage.rig.heal()
    await stage.pass_time(60.0)
    if trader.has(order_id, OrderEnded):
        raise CheckFailed(f"ended without evidence: {trader.facts(order_id)}")
    if stage.rig.taken_count(order_id) != 1:
        raise CheckFailed(f"the venue took it {stage.rig.taken_count(order_id)} times")
    found = await stage.queries.order(stage.rig.account, order_id)
    if found is None or found.order_id != order_id:
        raise CheckFailed(f"`order` does not find it by our id: {found}")


async def never_sends_twice(stage: Stage) -> None:
    """F-01: through cuts, lost answers and refusals each order is taken at most once."""
    trader = await _trader(stage)
    sent = []
    for fault in (Fault.CUT, Fault.LOSE_ANSWER, Fault.TOO_MANY, Fault.REFUSE) * 3:
        stage.inflict(fault, count=1, duration_s=3.0)
        sent.append(trader.submit(stage.rig.passive(Side.BUY)))
        await stage.pass_time(5.0)
    stage.rig.heal()
    await stage.pass_time(120.0)
    taken = {order_id: stage.rig.taken_count(order_id) for order_id in sent}
    if any(count > 1 for count in taken.values()):
        raise CheckFailed(f"orders were taken twice: {taken}")
    for order_id, count in taken.items():
        kinds = (OrderAccepted, OrderEnded, RequestInDoubt)
        if not any(trader.has(order_id, kind) for kind in kinds):
            raise CheckFailed(f"nothing was said of {order_id}")
        if count and trader.has(order_id, OrderEnded):
            raise CheckFailed(f"{order_id} was told as ended and is at the venue")


CHECKS = (
    places_and_cancels,
    has_the_side_right,
    tells_fills_once,
    changes_orders,
    refuses_with_the_reason,
    ends_what_cannot_rest,
    fills_market_orders,
    doubts_a_lost_answer,
    never_sends_twice,
)
