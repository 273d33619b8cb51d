"""Values of the structs that refuse nonsense when they are made."""

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from framework.model.calendars import CalendarSettings
from framework.model.exits import ExitRules, LateTrigger, ProtectionMode, Unprotected
from framework.model.protection import (
    BasketRule,
    Distance,
    Level,
    PositionRule,
    Protection,
    Share,
)

POSITIVE = st.decimals(Decimal("0.01"), Decimal(99), allow_nan=False, allow_infinity=False)


def one_of_its_fields(struct: type[msgspec.Struct]) -> SearchStrategy[msgspec.Struct]:
    """Return a strategy that sets exactly one field."""
    return st.tuples(st.sampled_from(struct.__struct_fields__), POSITIVE).map(
        lambda pair: struct(**{pair[0]: pair[1]})
    )


def rules(struct: type[msgspec.Struct], *parts: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Return a strategy of a rule with a stop, and all or none of the other parts."""
    stop, target, trail, trail_after = parts
    some = st.tuples(st.none() | target, st.none(), st.none())
    return st.tuples(stop, some | st.tuples(target, trail, trail_after)).map(
        lambda pair: struct(
            stop=pair[0], target=pair[1][0], trail=pair[1][1], trail_after=pair[1][2]
        )
    )


DISTANCES = one_of_its_fields(Distance)
LEVELS = st.builds(Level, percent=POSITIVE) | st.builds(Level, amount=POSITIVE)
SHARES = one_of_its_fields(Share)
POSITIONS = rules(PositionRule, LEVELS, LEVELS, DISTANCES, LEVELS)
BASKETS = rules(BasketRule, SHARES, SHARES, SHARES, SHARES)

FITTING: dict[type[msgspec.Struct], SearchStrategy[Any]] = {
    ExitRules: st.builds(
        ExitRules,
        protection=st.sampled_from(ProtectionMode),
        late_trigger=st.sampled_from(LateTrigger),
        when_unprotected=st.sampled_from(Unprotected),
        refused_limit=st.integers(1, 1_000),
    ),
    Level: one_of_its_fields(Level),
    Distance: DISTANCES,
    Share: SHARES,
    PositionRule: POSITIONS,
    BasketRule: BASKETS,
    Protection: st.builds(
        Protection,
        position=st.lists(POSITIONS, max_size=2).map(tuple),
        basket=st.none() | BASKETS,
        max_day_loss=st.none() | POSITIVE,
        stale_after_s=st.none() | st.floats(0.1, 100),
        square_off=st.sampled_from(["", "15:20"]),
        timezone=st.sampled_from(["UTC", "Asia/Kolkata"]),
    ),
    CalendarSettings: st.sampled_from(
        [
            CalendarSettings(exchange="XNYS"),
            CalendarSettings(timezone="Asia/Tokyo", week={"mon-fri": ["09:00-11:30"]}),
        ]
    ),
}
