"""What a level, a distance and a share mean for a position and a basket: plain comparisons.

Thresholds are compared without dividing, so that nothing is rounded towards more risk. A loss
counts from the position's cost: percent of |cost| is percent of the average entry price.
"""

from decimal import Decimal

from framework.model.decimals import ZERO, absolute, divide, multiply, negate, subtract
from framework.model.protection import HUNDRED, Distance, Level, PositionRule, Protection, Share
from framework.portfolio.holding import Holding

STEPS = Decimal(20)  # a trail follows in twentieths of its distance: one log entry each


def profit_of(holding: Holding, mark: Decimal) -> Decimal:
    """Return what a position has gained at a mark, before fees."""
    return subtract(holding.value(mark), holding.cost)


def loss_reaches(holding: Holding, mark: Decimal, level: Level) -> bool:
    """Tell whether a position has lost as much as a stop allows, or its price passed it."""
    if level.price is not None:
        return mark <= level.price if holding.quantity > ZERO else mark >= level.price
    amount = amount_of(holding, level)
    return amount is not None and negate(profit_of(holding, mark)) >= amount


def gain_reaches(holding: Holding, mark: Decimal, level: Level) -> bool:
    """Tell whether a position has gained as much as a target asks, or its price reached it."""
    if level.price is not None:
        return mark >= level.price if holding.quantity > ZERO else mark <= level.price
    amount = amount_of(holding, level)
    return amount is not None and profit_of(holding, mark) >= amount


def amount_of(holding: Holding, level: Level) -> Decimal | None:
    """Return a level as an amount of the position; None: a percent of no entry price at all."""
    if level.percent is not None:
        if not holding.cost:
            return None
        return divide(multiply(absolute(holding.cost), level.percent), HUNDRED)
    if level.points is not None:
        return absolute(holding.instrument.notional(level.points, holding.quantity))
    return level.amount


def fell_back(holding: Holding, extreme: Decimal, mark: Decimal, distance: Distance) -> bool:
    """Tell whether the price has come back from its best by the whole distance."""
    back = given_back(holding, extreme, mark)
    return back > ZERO and back >= distance_amount(holding, extreme, distance)


def extends(holding: Holding, extreme: Decimal, mark: Decimal, distance: Distance) -> bool:
    """Tell whether the price is better than the best by a step or more."""
    better = negate(given_back(holding, extreme, mark))
    step = distance_amount(holding, extreme, distance)
    return better > ZERO and multiply(better, STEPS) >= step


def given_back(holding: Holding, extreme: Decimal, mark: Decimal) -> Decimal:
    """Return what the position is worth less at `mark` than at `extreme`."""
    return holding.instrument.notional(subtract(extreme, mark), holding.quantity)


def distance_amount(holding: Holding, extreme: Decimal, distance: Distance) -> Decimal:
    """Return a trailing distance as an amount of the position; a percent is one of the best."""
    if distance.percent is not None:
        worth = absolute(holding.instrument.notional(extreme, holding.quantity))
        return divide(multiply(worth, distance.percent), HUNDRED)
    if distance.points is not None:
        return absolute(holding.instrument.notional(distance.points, holding.quantity))
    return distance.amount or ZERO


def share_of(share: Share, allocation: Decimal | None) -> Decimal:
    """Return a basket's level in the account's currency."""
    if share.amount is not None:
        return share.amount
    return divide(multiply(allocation or ZERO, share.percent or ZERO), HUNDRED)


def position_rules(protection: Protection) -> tuple[tuple[str, PositionRule], ...]:
    """Return the rules per position in their order, with the name each is reported by."""
    rules = [(f"position[{index}]", rule) for index, rule in enumerate(protection.position)]
    if protection.max_position_loss is not None:
        stop = Level(amount=protection.max_position_loss)
        rules.append(("max_position_loss", PositionRule(stop=stop)))
    return tuple(rules)


def is_guarded(protection: Protection) -> bool:
    """Tell whether a run has any rule at all."""
    return bool(
        needs_price(protection)
        or protection.stale_after_s is not None
        or protection.square_off
        or protection.square_off_minutes is not None
    )


def needs_price(protection: Protection) -> bool:
    """Tell whether a rule is judged by the worth of what is held."""
    return (
        bool(protection.position)
        or protection.max_position_loss is not None
        or (needs_sum(protection))
    )


def needs_sum(protection: Protection) -> bool:
    """Tell whether a rule is judged by the run's profit over all it holds."""
    return (
        protection.basket is not None
        or protection.max_day_loss is not None
        or protection.max_run_loss is not None
    )


def percent_rules(protection: Protection) -> tuple[str, ...]:
    """Return the instruments ("": all) of rules in percent of the entry price."""
    return tuple(
        rule.instrument
        for rule in protection.position
        for level in (rule.stop, rule.target, rule.trail_after)
        if level is not None and level.percent is not None
    )
