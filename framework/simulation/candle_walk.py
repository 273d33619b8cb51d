"""Walks the price through a candle: stops and limits act in the order in which it meets them.

At one price stops come before limits, and orders of one kind by time. A stop trades at its own
trigger price (it was passed inside the candle; a gap through it traded at the open), a limit at
its own price. What a stop's fill leaves over for want of volume waits for the next open.
"""

from framework.model.market_data import Candle
from framework.model.orders import TriggerBy
from framework.simulation.fills import CandlePath, turning_points
from framework.simulation.matching import InstrumentMatching
from framework.simulation.resting import VenueOrder

_MARK = TriggerBy.MARK


def walk(matching: InstrumentMatching, candle: Candle, path: CandlePath) -> None:
    """Match along `path` from the open, which has been matched, to the close."""
    at = candle.open
    for point in turning_points(candle, path):
        if point != at:
            _move(matching, point, is_up=point > at)
        at = point


def _move(matching: InstrumentMatching, to: float, *, is_up: bool) -> None:
    """Match what the price meets on its straight way to `to`; each turn ends an order or stops."""
    resting = matching.resting
    stops, limits = (
        (resting.buy_stops, resting.sells) if is_up else (resting.sell_stops, resting.buys)
    )
    while True:
        stop = _next_stop(stops, to)
        limit = _next_limit(matching, limits, to)
        if stop is not None and (limit is None or _is_no_later(stop, limit, is_up=is_up)):
            matching.trigger(stop, stop.stop_at)
        elif limit is not None:
            matching.make(limit, None)
        else:
            return


def _next_stop(stops: list[VenueOrder], to: float) -> VenueOrder | None:
    for order in stops:
        if not order.is_met(to):
            return None
        if order.trigger_by is not _MARK:
            return order
    return None


def _next_limit(
    matching: InstrumentMatching, limits: list[VenueOrder], to: float
) -> VenueOrder | None:
    if not limits or matching.is_exhausted or not matching.reaches(limits[0], to):
        return None
    return limits[0]


def _is_no_later(stop: VenueOrder, limit: VenueOrder, *, is_up: bool) -> bool:
    if is_up:
        return stop.stop_at <= limit.limit_at
    return stop.stop_at >= limit.limit_at
