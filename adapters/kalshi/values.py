"""One value out of the several spellings that the wire has for it; the dollar and fp one first."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from adapters.kalshi import units
from adapters.kalshi.messages import Leg, Levels, MarketMetadata, Outcome, PriceRange
from adapters.kalshi.wire import BookSide, LegBody, MetadataBody, RangeBody, SnapshotBody
from framework.errors import MalformedMessage

T = TypeVar("T")

MOST_LEVELS = units.DOLLAR + 1  # one per price there is


def needed(value: T | None, name: str) -> T:
    """Return a value that must be there."""
    if value is None:
        raise MalformedMessage(f"{name} is missing")
    return value


def price(dollars: str | None, cents: int | None = None) -> int | None:
    """Return a price."""
    if dollars is not None:
        return units.price(dollars)
    return None if cents is None else units.price_of_cents(cents)


def quoted_price(dollars: str | None, cents: int | None, name: str) -> int | None:
    """Return a price that always comes, though as "" where there is none."""
    if dollars is None and cents is None:
        raise MalformedMessage(f"{name} is missing")
    return price(dollars, cents)


def count(fp: str | None, contracts: int | None = None) -> int | None:
    """Return a count that is not negative."""
    if fp is not None:
        return units.count(fp)
    return None if contracts is None else units.count_of_contracts(contracts)


def signed_count(fp: str | None, contracts: int | None = None) -> int | None:
    """Return a count with a sign."""
    if fp is not None:
        return units.signed_count(fp)
    return None if contracts is None else units.signed_count_of_contracts(contracts)


def money(dollars: str | None, ten_thousandths: int | None = None) -> int | None:
    """Return money."""
    if dollars is not None:
        return units.money(dollars)
    return None if ten_thousandths is None else units.money_of_legacy(ten_thousandths)


def money_or_cents(dollars: str | None, cents: int | None) -> int | None:
    """Return money whose old spelling is in whole cents, as REST has it."""
    if dollars is not None:
        return units.money(dollars)
    return None if cents is None else units.money_of_cents(cents)


def whole_dollars(dollars: int | None) -> int | None:
    """Return money that came as a whole number of dollars."""
    return None if dollars is None else units.money_of_dollars(dollars)


def number(value: Decimal | None) -> Decimal | None:
    """Return a strike or a multiplier."""
    return None if value is None else units.finite(value)


def instant(
    moment: str | int | None, milliseconds: int | None = None, other: str | int | None = None
) -> int | None:
    """Return the finest of the spellings of one instant: as the others are cut off, the latest."""
    if milliseconds is not None and other is None and not isinstance(moment, str):
        return units.milliseconds(milliseconds)  # what comes most often, and short for it
    texts = (units.rfc3339(text) for text in (moment, other) if isinstance(text, str))
    times = [time_ns for time_ns in texts if time_ns is not None]
    if milliseconds is not None:
        times.append(units.milliseconds(milliseconds))
    if isinstance(moment, int):
        times.append(units.seconds(moment))
    return max(times, default=None)


def outcome(
    outcome_side: Outcome | None, book_side: BookSide | None, side: Outcome | None
) -> Outcome | None:
    """Return the outcome acquired: a bid is for yes, an ask for no; the old name comes last."""
    if outcome_side is not None:
        return outcome_side
    if book_side is not None:
        return "yes" if book_side == "bid" else "no"
    return side


def ladders(body: SnapshotBody) -> tuple[Levels, Levels]:
    """Return the yes and the no levels of a snapshot, each from its newest spelling."""
    return (
        ladder(body.yes_dollars_fp, body.yes_dollars, body.yes),
        ladder(body.no_dollars_fp, body.no_dollars, body.no),
    )


def ladder(
    newest: Sequence[tuple[str, str]] | None,
    older: Sequence[tuple[str, int]] | None,
    oldest: Sequence[tuple[int, int]] | None,
) -> Levels:
    """Return the (price, count) levels of one side; a side that did not come has none."""
    if max(len(side) for side in (newest or (), older or (), oldest or ())) > MOST_LEVELS:
        raise MalformedMessage("a side of the book has more levels than there are prices")
    if newest is not None:
        levels = [(units.price(dollars), units.count(fp)) for dollars, fp in newest]
    elif older is not None:
        levels = [(units.price(dollars), units.count_of_contracts(size)) for dollars, size in older]
    else:
        levels = [
            (units.price_of_cents(cents), units.count_of_contracts(size))
            for cents, size in oldest or ()
        ]
    return tuple((needed(at, "a level's price"), needed(size, "its count")) for at, size in levels)


def price_ranges(bodies: Sequence[RangeBody] | None) -> tuple[PriceRange, ...]:
    """Return a market's price grid."""
    return tuple(
        PriceRange(
            units.grid_price(body.start),
            units.grid_price(body.end),
            units.grid_price(body.step),
        )
        for body in bodies or ()
    )


def legs(bodies: Sequence[LegBody] | None) -> tuple[Leg, ...]:
    """Return the markets of a combination."""
    return tuple(
        Leg(
            event_ticker=body.event_ticker,
            market_ticker=body.market_ticker,
            side=body.side,
            yes_settlement_value=price(body.yes_settlement_value_dollars),
        )
        for body in bodies or ()
    )


def metadata(body: MetadataBody) -> MarketMetadata:
    """Return what a new market is about."""
    return MarketMetadata(
        name=body.name or "",
        title=body.title or "",
        yes_sub_title=body.yes_sub_title or "",
        no_sub_title=body.no_sub_title or "",
        rules_primary=body.rules_primary or "",
        rules_secondary=body.rules_secondary or "",
        can_close_early=body.can_close_early,
        event_ticker=body.event_ticker or "",
        expected_expiration_ns=instant(body.expected_expiration_ts),
        strike_type=body.strike_type or "",
        floor_strike=number(body.floor_strike),
        cap_strike=number(body.cap_strike),
        custom_strike=json_text(body.custom_strike),
    )


def json_text(raw: msgspec.Raw) -> str:
    """Return a value of any shape as compact JSON; null and absent are ""."""
    text = msgspec.json.format(bytes(raw), indent=-1).decode() if bytes(raw) else "null"
    return "" if text == "null" else text
