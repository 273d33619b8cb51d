"""Area *orders*: each request once, each answer as what it is, doubt where there is none."""

from framework.adapter_kit.rig import Fault, Terms
from framework.adapter_kit.stage import CheckFailed, CheckSkipped, Stage
from framework.adapter_kit.trading import Trader
from framework.model.decimals import ONE, ZERO, add, subtract
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

ROUND_TRIPS = (Side.BUY, Side.SELL, Side.SELL, Side.BUY)  # long and back, short and back


async def places_and_cancels(stage: Stage) -> None:
    """A resting order is accepted under our id, and cancelled when asked, with the venue's word."""
    trader = await Trader.on(stage)
    order_id = trader.submit(stage.rig.passive(Side.BUY))
    await trader.until(order_id, OrderAccepted)
    if not trader.at_venue(order_id).is_open:
        raise CheckFailed("accepted, and not open at the venue")
    trader.cancel(order_id)
    await trader.until(order_id, OrderEnded, EndKind.CANCELLED)
    if trader.at_venue(order_id).is_open:
        raise CheckFailed("told as cancelled, and open at the venue")
    trader.require_no_others()


async def has_the_side_right(stage: Stage) -> None:
    """F-17: a buy makes the position grow and a sell makes it shrink, long and short."""
    trader = await Trader.on(stage)
    symbol = stage.rig.symbols[0]
    for side in ROUND_TRIPS:
        before = stage.rig.position(symbol)
        terms = stage.rig.marketable(side)
        order_id = trader.submit(terms)
        await trader.until_filled(order_id, terms.quantity)
        moved = subtract(stage.rig.position(symbol), before)
        signed = terms.quantity if side is Side.BUY else -terms.quantity
        if moved != signed:
            raise CheckFailed(f"{side.value} {terms.quantity} moved the position by {moved}")
        _require_no_worse(trader, order_id, terms)
        await trader.until_held()


def _require_no_worse(trader: Trader, order_id: str, terms: Terms) -> None:
    for fill in trader.fills(order_id):
        excess = subtract(fill.price, terms.price)
        if (excess > 0) if terms.side is Side.BUY else (excess < 0):
            raise CheckFailed(f"{terms} filled at a worse price: {fill}")


async def tells_fills_once(stage: Stage) -> None:
    """R-24: partial fills add up to the venue's, each told once under an id of its own."""
    trader = await Trader.on(stage)
    terms = stage.rig.passive(Side.BUY)
    order_id = trader.submit(terms)
    await trader.until(order_id, OrderAccepted)
    lot = stage.instrument().lot or ONE
    stage.rig.trade_against(order_id, lot)
    await trader.until_filled(order_id, lot)
    stage.rig.trade_against(order_id, subtract(terms.quantity, lot))
    await trader.until_filled(order_id, terms.quantity)
    await stage.pass_time(60.0)
    fills = trader.fills(order_id)
    if len({fill.execution_id for fill in fills}) != len(fills):
        raise CheckFailed(f"an execution was told twice: {fills}")
    if trader.filled(order_id) != trader.at_venue(order_id).filled:
        raise CheckFailed("what was told does not add up to what the venue filled")
    if any(fill.price != terms.price for fill in fills):
        raise CheckFailed(f"a resting order fills at its own price {terms.price}: {fills}")


async def changes_orders(stage: Stage) -> None:
    """A changed price and quantity are the venue's, and told with the revision that asked."""
    trader = await _changing(stage)
    terms = stage.rig.passive(Side.BUY)
    order_id = trader.submit(terms)
    await trader.until(order_id, OrderAccepted)
    price = subtract(terms.price, stage.instrument().tick_at(terms.price) or ONE)
    trader.modify(order_id, 1, price=price)
    await trader.until(order_id, OrderReplaced)
    quantity = subtract(terms.quantity, stage.instrument().lot or ONE)
    trader.modify(order_id, 2, quantity=quantity)
    await stage.until(lambda: len(_replaced(trader, order_id)) == 2, "both changes", within_s=45.0)
    told = [(fact.revision, fact.quantity, fact.price) for fact in _replaced(trader, order_id)]
    if told != [(1, terms.quantity, price), (2, quantity, price)]:
        raise CheckFailed(f"not what was asked for, {price} and then {quantity}: {told}")
    if trader.at_venue(order_id).quantity != quantity:
        raise CheckFailed(f"told as {quantity}, and at the venue {trader.at_venue(order_id)}")
    stage.rig.trade_against(order_id, quantity)
    await trader.until_filled(order_id, quantity)
    if any(fill.price != price for fill in trader.fills(order_id)):
        raise CheckFailed(f"told as changed to {price}: {trader.fills(order_id)}")
    if trader.has(order_id, OrderEnded):
        raise CheckFailed("a changed order was told as ended")


async def changes_what_fills_meanwhile(stage: Stage) -> None:
    """R-27: a change that crosses with a fill never lets more trade than was asked for."""
    trader = await _changing(stage)
    terms = stage.rig.passive(Side.BUY)
    order_id = trader.submit(terms)
    await trader.until(order_id, OrderAccepted)
    lot = stage.instrument().lot or ONE
    trader.modify(order_id, 1, quantity=add(lot, lot))
    stage.rig.trade_against(order_id, lot)  # before the change gets there
    await stage.until(
        lambda: _replaced(trader, order_id) or trader.has(order_id, RequestRefused),
        "the change is answered",
        within_s=45.0,
    )
    if trader.at_venue(order_id).is_open:
        rest = subtract(trader.at_venue(order_id).quantity, trader.at_venue(order_id).filled)
        stage.rig.trade_against(order_id, rest)
    await stage.pass_time(10.0)
    filled = trader.at_venue(order_id).filled
    if trader.filled(order_id) != filled:
        raise CheckFailed(f"{trader.filled(order_id)} told as filled, the venue says {filled}")
    if _replaced(trader, order_id) and filled != add(lot, lot):
        raise CheckFailed(f"told as changed to {add(lot, lot)} in total, and {filled} traded")


async def _changing(stage: Stage) -> Trader:
    if not stage.broker.capabilities.has_modify:
        raise CheckSkipped("the broker says that it cannot change orders")
    return await Trader.on(stage)


def _replaced(trader: Trader, order_id: str) -> list[OrderReplaced]:
    return [fact for fact in trader.facts(order_id) if isinstance(fact, OrderReplaced)]


async def refuses_changes_it_cannot_make(stage: Stage) -> None:
    """A broker that cannot change orders refuses it, and the order stays as it was."""
    if stage.broker.capabilities.has_modify:
        raise CheckSkipped("the broker says that it can change orders")
    trader = await Trader.on(stage)
    terms = stage.rig.passive(Side.BUY)
    order_id = trader.submit(terms)
    await trader.until(order_id, OrderAccepted)
    trader.modify(order_id, 1, quantity=add(terms.quantity, terms.quantity))
    await trader.until(order_id, RequestRefused)
    await stage.pass_time(10.0)
    order = trader.at_venue(order_id)
    if not order.is_open or order.quantity != terms.quantity:
        raise CheckFailed(f"told as refused, and at the venue {order}")
    trader.require_no_others()


async def refuses_with_the_reason(stage: Stage) -> None:
    """What the venue rejects ends with its reason; what is unknown to it cannot be cancelled."""
    trader = await Trader.on(stage)
    if stage.broker.capabilities.has_post_only:
        order_id = trader.submit(stage.rig.marketable(Side.BUY), post_only=True)
        await trader.until(order_id, OrderEnded)
        if trader.filled(order_id):
            raise CheckFailed("a post-only order traded on arrival")
        _require_reason(trader, order_id)
    trader.cancel("KIT-NOBODY-SENT-THIS")
    await trader.until("KIT-NOBODY-SENT-THIS", RequestRefused)
    _require_reason(trader, "KIT-NOBODY-SENT-THIS")


def _require_reason(trader: Trader, order_id: str) -> None:
    for fact in trader.facts(order_id):
        if isinstance(fact, OrderEnded | RequestRefused) and not fact.reason:
            raise CheckFailed(f"without a reason: {fact}")


async def ends_what_cannot_rest(stage: Stage) -> None:
    """An immediate-or-cancel order that finds nobody ends without a fill."""
    if TimeInForce.IOC not in stage.broker.capabilities.time_in_forces:
        raise CheckSkipped("the broker says that it has no immediate-or-cancel orders")
    trader = await Trader.on(stage)
    order_id = trader.submit(stage.rig.passive(Side.BUY), time_in_force=TimeInForce.IOC)
    await trader.until(order_id, OrderEnded)
    if trader.filled(order_id) or trader.at_venue(order_id).is_open:
        raise CheckFailed("an order that found nobody was filled or stayed")


async def fills_market_orders(stage: Stage) -> None:
    """A market order fills at the book's price, where the adapter says it has them."""
    if OrderType.MARKET not in stage.broker.capabilities.order_types:
        raise CheckSkipped("the broker says that it has no market orders")
    trader = await Trader.on(stage)
    for side in (Side.BUY, Side.SELL):
        terms = stage.rig.marketable(side)
        order_id = trader.submit(terms, order_type=OrderType.MARKET)
        await trader.until_filled(order_id, terms.quantity)
        _require_no_worse(trader, order_id, terms)


async def doubts_a_lost_answer(stage: Stage) -> None:
    """R-20, F-01: an order without an answer is in doubt, never rejected, never sent again."""
    trader = await Trader.on(stage)
    symbol = stage.rig.symbols[0]
    # A venue that takes no id twice hides a second sending of what rests, not of what has filled.
    for choose in (stage.rig.passive, stage.rig.marketable):
        terms = choose(Side.BUY)
        expected = ZERO if choose == stage.rig.passive else terms.quantity
        before = stage.rig.position(symbol)
        stage.inflict(Fault.LOSE_ANSWER)
        order_id = trader.submit(terms)
        await stage.until(
            lambda order_id=order_id: _is_known(trader, order_id),  # type: ignore[misc] # bound now
            f"{order_id}: in doubt, or told by its stream",
            within_s=60.0,
        )
        stage.rig.heal()
        await stage.pass_time(60.0)
        if trader.has(order_id, OrderEnded):
            raise CheckFailed(f"ended without evidence: {trader.facts(order_id)}")
        moved = subtract(stage.rig.position(symbol), before)
        if stage.rig.taken_count(order_id) != 1 or moved != expected:
            count = stage.rig.taken_count(order_id)
            raise CheckFailed(f"the venue took it {count} times, the position moved by {moved}")
        found = await stage.queries.order(stage.rig.account, order_id)
        if found is None or found.order_id != order_id:
            raise CheckFailed(f"`order` does not find it by our id: {found}")


def _is_known(trader: Trader, order_id: str) -> bool:
    kinds = (RequestInDoubt, OrderAccepted, OrderFilled)
    return any(trader.has(order_id, kind) for kind in kinds)


async def never_sends_twice(stage: Stage) -> None:
    """F-01: through cuts, lost answers and refusals each order is taken at most once."""
    trader = await Trader.on(stage)
    for fault in (Fault.CUT, Fault.LOSE_ANSWER, Fault.TOO_MANY, Fault.REFUSE):
        for choose in (stage.rig.marketable, stage.rig.passive):
            stage.inflict(fault, count=1, duration_s=3.0)
            trader.submit(choose(Side.BUY))
            await stage.pass_time(15.0)  # the next fault must not hit a second attempt at this
    stage.rig.heal()
    await stage.pass_time(120.0)
    for order_id in trader.sent:
        count = stage.rig.taken_count(order_id)
        if count > 1:
            raise CheckFailed(f"{order_id} was taken {count} times")
        if not (_is_known(trader, order_id) or trader.has(order_id, OrderEnded)):
            raise CheckFailed(f"nothing was said of {order_id}")
        if count and trader.has(order_id, OrderEnded):
            raise CheckFailed(f"{order_id} was told as ended and is at the venue")
    trader.require_no_others()


CHECKS = (
    places_and_cancels,
    has_the_side_right,
    tells_fills_once,
    changes_orders,
    changes_what_fills_meanwhile,
    refuses_changes_it_cannot_make,
    refuses_with_the_reason,
    ends_what_cannot_rest,
    fills_market_orders,
    doubts_a_lost_answer,
    never_sends_twice,
)
