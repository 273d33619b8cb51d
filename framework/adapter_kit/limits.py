"""Area *limits*: the venue's limits are kept, with room for cancels (R-68, F-23)."""

from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import CheckFailed, Stage
from framework.adapter_kit.trading import Trader
from framework.model.orders import Side
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, RequestInDoubt

STORM = 60  # orders at once


async def keeps_below_the_venue_s_limits(stage: Stage) -> None:
    """A storm of orders and cancels is never answered by "too many"."""
    trader = Trader(stage)
    await trader.ready()
    sent = [trader.submit(stage.rig.passive(Side.BUY)) for _ in range(STORM)]
    await stage.until(
        lambda: all(trader.has(o, OrderAccepted) or trader.has(o, OrderEnded) for o in sent),
        "every order of the storm is answered",
        within_s=300.0,
    )
    for order_id in sent:
        trader.cancel(order_id)
    await stage.pass_time(120.0)
    if stage.rig.too_many_count():
        raise CheckFailed(f"{stage.rig.too_many_count()} requests were too many")
    twice = [order_id for order_id in sent if stage.rig.taken_count(order_id) > 1]
    if twice:
        raise CheckFailed(f"taken twice: {twice}")


async def lets_cancels_through_a_storm(stage: Stage) -> None:
    """R-68: with the budget spent on orders, a cancel does not wait behind them."""
    trader = Trader(stage)
    await trader.ready()
    order_id = trader.submit(stage.rig.passive(Side.BUY))
    await trader.until(order_id, OrderAccepted)
    storm = [trader.submit(stage.rig.passive(Side.BUY)) for _ in range(STORM)]
    trader.cancel(order_id)
    waited_s = await stage.until(
        lambda: trader.has(order_id, OrderEnded, EndKind.CANCELLED), "the cancel", within_s=300.0
    )
    answered = sum(trader.has(o, OrderAccepted) for o in storm)
    if waited_s > 5.0 and answered == len(storm):
        raise CheckFailed(f"the cancel waited {waited_s:.1f} s behind {answered} orders")


async def obeys_when_told_to_pause(stage: Stage) -> None:
    """A request answered by "too many" has not been executed, and is not repeated by itself."""
    trader = Trader(stage)
    await trader.ready()
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
