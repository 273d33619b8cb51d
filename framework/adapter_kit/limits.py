"""Area *limits*: the venue's limits are kept, with room for cancels (R-68, F-23)."""

from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import CheckFailed, Stage
from framework.adapter_kit.trading import Trader
from framework.model.orders import Side
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, RequestInDoubt

STORM = 150  # orders at once
CANCEL_S = 2.0  # the answer of a venue that is not asked too much, and far less than the storm


async def keeps_below_the_venue_s_limits(stage: Stage) -> None:
    """R-68: a storm of orders and cancels is never answered by "too many"."""
    trader = await Trader.on(stage)
    sent = {trader.submit(stage.rig.passive(Side.BUY)) for _ in range(STORM)}
    await stage.until(
        lambda: sent <= _told(stage, OrderAccepted, OrderEnded, RequestInDoubt),
        "every order of the storm is answered",
        within_s=120.0,
    )
    accepted = _told(stage, OrderAccepted)
    for order_id in sorted(accepted):
        trader.cancel(order_id)
    await stage.pass_time(120.0)
    if stage.rig.too_many_count():
        raise CheckFailed(f"{stage.rig.too_many_count()} requests were too many")
    if not accepted:
        raise CheckFailed("not one order of the storm was accepted")
    for order_id in sorted(sent):
        count = stage.rig.taken_count(order_id)
        if count != (order_id in accepted):
            raise CheckFailed(f"taken {count} times: {trader.facts(order_id)}")


def _told(stage: Stage, *kinds: type[OrderAccepted | OrderEnded | RequestInDoubt]) -> set[str]:
    """Return the ids of the orders of which such a fact was told."""
    return {fact.order_id for fact in stage.of(*kinds)}


async def lets_cancels_through_a_storm(stage: Stage) -> None:
    """R-68: with the budget spent on orders, a cancel does not wait behind them."""
    trader = await Trader.on(stage)
    order_id = trader.submit(stage.rig.passive(Side.BUY))
    await trader.until(order_id, OrderAccepted)
    for _ in range(STORM):
        trader.submit(stage.rig.passive(Side.BUY))
    trader.cancel(order_id)
    await stage.until(
        lambda: trader.has(order_id, OrderEnded, EndKind.CANCELLED),
        "a cancel in a storm of orders",
        within_s=CANCEL_S,
    )


async def obeys_when_told_to_pause(stage: Stage) -> None:
    """A request answered by "too many" has not been executed, and is not repeated by itself."""
    trader = await Trader.on(stage)
    stage.inflict(Fault.TOO_MANY, count=1)
    order_id = trader.submit(stage.rig.passive(Side.BUY))
    await stage.pass_time(60.0)
    if stage.rig.taken_count(order_id):
        raise CheckFailed("a refused order was sent again")
    if not (trader.has(order_id, OrderEnded) or trader.has(order_id, RequestInDoubt)):
        raise CheckFailed(f"nothing was said of the refused order: {trader.facts(order_id)}")


CHECKS = (
    keeps_below_the_venue_s_limits,
    lets_cancels_through_a_storm,
    obeys_when_told_to_pause,
)
