"""Protection: the rules that end a run's positions, what they decide, and what they remember.

Profits and losses are in the instrument's currency for a position, in the account's for a basket
and a run. Rules are judged at one mark each time the market or the position changes.
"""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from framework.model.calendars import minute_of, zone_of
from framework.model.decimals import ZERO
from framework.model.orders import NO_BUCKET, Bucket

HUNDRED = Decimal(100)
Wait = Annotated[float, Meta(gt=0, le=86_400)]


def require_one(level: msgspec.Struct, *names: str) -> None:
    """Raise ValueError unless exactly one of these fields is set, to a positive number."""
    given = [name for name in names if getattr(level, name) is not None]
    if len(given) != 1:
        raise ValueError(f"needs exactly one of {', '.join(names)}")
    require_positive(given[0], getattr(level, given[0]))


def require_positive(name: str, value: Decimal | None) -> None:
    """Raise ValueError unless `value` is None or finite and above zero."""
    if value is not None and (not value.is_finite() or value <= ZERO):
        raise ValueError(f"{name} must be above zero, and is {value}")


def require_rule(stop: object, target: object, trail: object, trail_after: object) -> None:
    """Raise ValueError where a rule says nothing, or says when to trail but not how."""
    if stop is None and target is None and trail is None:
        raise ValueError("needs a stop, a target or a trail")
    if trail_after is not None and trail is None:
        raise ValueError("`trail_after` needs a `trail`")


class Level(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How far from a position's entry: exactly one of the four.

    `percent` of the average entry price, `points` (price units), `amount` (profit or loss of the
    whole position in the instrument's currency), `price` (an absolute price).
    """

    percent: Decimal | None = None
    points: Decimal | None = None
    amount: Decimal | None = None
    price: Decimal | None = None

    def __post_init__(self) -> None:
        require_one(self, "percent", "points", "amount", "price")


class Distance(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How far a position may fall back from its best: exactly one of the three, see `Level`."""

    percent: Decimal | None = None
    points: Decimal | None = None
    amount: Decimal | None = None

    def __post_init__(self) -> None:
        require_one(self, "percent", "points", "amount")
        if self.percent is not None and self.percent >= HUNDRED:
            raise ValueError(f"a trail of {self.percent} % would never end anything")


class Share(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A profit or loss of the basket: an `amount`, or a `percent` of the run's allocation."""

    percent: Decimal | None = None
    amount: Decimal | None = None

    def __post_init__(self) -> None:
        require_one(self, "percent", "amount")


class PositionRule(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Ends the run when one of its positions reaches a level; `instrument` "": each of them.

    `trail` follows the best price since the position has had `trail_after` of profit.
    """

    instrument: str = ""
    stop: Level | None = None
    target: Level | None = None
    trail: Distance | None = None
    trail_after: Level | None = None

    def __post_init__(self) -> None:
        require_rule(self.stop, self.target, self.trail, self.trail_after)
        levels = (self.stop, self.target, self.trail_after)
        if not self.instrument and any(level and level.price is not None for level in levels):
            raise ValueError("a `price` needs the `instrument` it is a price of")


class BasketRule(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Ends the run by the profit of all its positions together since it was last flat.

    Counted after fees; what was closed on the way counts too. `trail` is how much of the best may
    be given back once `trail_after` has been made.
    """

    stop: Share | None = None
    target: Share | None = None
    trail: Share | None = None
    trail_after: Share | None = None

    def __post_init__(self) -> None:
        require_rule(self.stop, self.target, self.trail, self.trail_after)


class Protection(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The rules that guard a run; the first that matches flattens and pauses it, once.

    They are judged in this order: `position` as listed, `max_position_loss` (any one position),
    `basket`, `max_day_loss` (net loss since midnight in `timezone`), `max_run_loss` (since the run
    was opened), `stale_after_s` (no sign of life from the run's strategy), `square_off` (a local
    time such as 15:20) and `square_off_minutes` before the close of any instrument held.

    After a square-off by the clock or a day's loss the pause ends by itself, on the next day or
    session; after every other rule a person resumes the run. A handler that waits for one thing for
    `stale_after_s` counts as silent, a quiet market does not. A position without a price for
    `price_wait_s` raises an alert, and no rule that needs the price is judged by a guess.
    """

    position: tuple[PositionRule, ...] = ()
    basket: BasketRule | None = None
    max_position_loss: Decimal | None = None
    max_day_loss: Decimal | None = None
    max_run_loss: Decimal | None = None
    stale_after_s: Wait | None = None
    square_off: str = ""
    square_off_minutes: Annotated[int, Meta(ge=1, le=1_440)] | None = None
    timezone: str = "UTC"
    price_wait_s: Wait = 10.0

    def __post_init__(self) -> None:
        for name in ("max_position_loss", "max_day_loss", "max_run_loss"):
            require_positive(name, getattr(self, name))
        zone_of(self.timezone)
        if self.square_off and minute_of(self.square_off) == minute_of("24:00"):
            raise ValueError("square_off 24:00 is the next day's 00:00")

    @property
    def needs_allocation(self) -> bool:
        """Whether a rule is in percent of the run's allocation."""
        if self.basket is None:
            return False
        basket = self.basket
        shares = (basket.stop, basket.target, basket.trail, basket.trail_after)
        return any(share is not None and share.percent is not None for share in shares)


NO_PROTECTION = Protection()


class ExitRun(msgspec.Struct, frozen=True, gc=False, tag="exit_run"):
    """A rule decided: flatten this run and pause it, until `until_ns` or until a person resumes."""

    run: str
    rule: str
    reason: str
    time_ns: int
    until_ns: int | None = None


class RunRearmed(msgspec.Struct, frozen=True, gc=False, tag="run_rearmed"):
    """The pause after an exit ended by itself: the run may enter again and its rules hold again."""

    run: str
    rule: str
    time_ns: int


class ProtectionAlert(msgspec.Struct, frozen=True, gc=False, tag="protection_alert"):
    """A rule cannot do what it promises: no price, or an exit that did not get the run flat."""

    run: str
    what: str
    instrument: str
    time_ns: int


ProtectionAction = ExitRun | RunRearmed | ProtectionAlert


class TrailMark(msgspec.Struct, frozen=True, gc=False):
    """The best price of a position since rule number `rule` began to trail it."""

    rule: int
    instrument: str
    is_long: bool
    extreme: Decimal
    bucket: Bucket = NO_BUCKET


class ProtectionState(msgspec.Struct, frozen=True, gc=False, tag="protection_state"):
    """What a run's rules remember; recorded whole with each change, the newest holds.

    `fired` is the rule that ended the run, "" while they watch. `base` is the run's net profit
    when it was last flat (None: not known yet), `best` the basket's best since it began to trail.
    `day_base` is the net profit at the first mark of the local day `day` (`2026-01-26`).
    `rearmed_ns`: when they were last set watching again.
    """

    run: str
    time_ns: int
    fired: str = ""
    reason: str = ""
    fired_ns: int = 0
    until_ns: int | None = None
    rearmed_ns: int = 0
    trails: tuple[TrailMark, ...] = ()
    base: Decimal | None = None
    best: Decimal | None = None
    day: str = ""
    day_base: Decimal = ZERO
