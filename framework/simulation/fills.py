"""Fill models: when a resting limit order trades, how much of it, and the path in a candle.

On quotes and books every model fills a resting limit when the opposite side reaches it, at its
own price and up to the displayed size. The models differ in what a trade or a candle does:

    through         trades beyond the limit fill it whole; at the limit nothing (the default)
    touch           a trade at the limit fills it whole: flatters, ignores the queue
    volume_share    like through, but all our orders together get at most `share` of each trade's
                    or candle's volume and of each displayed size; a volume of 0 fills nothing
    queue_position  like through; a trade at the limit first uses up the size that was displayed
                    there before us; without a displayed size, and on candles, like through
    unlimited       like through; whatever size is displayed, the best price fills any quantity:
                    flatters large orders

With any of them `partial_ratio` makes an order trade in two parts: see `PartialFills`.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Protocol

import msgspec
import structlog
from msgspec import Meta

from framework.errors import ConfigError
from framework.model.decimals import ONE, ZERO, multiply, parse, subtract
from framework.model.instrument import Instrument, to_decimal
from framework.model.market_data import Candle

log = structlog.get_logger("fills")

CandlePath = Literal["by_direction", "ohlc", "olhc"]
"""The order in which a candle's prices came; `by_direction`: low first when it rose."""


class FillSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the configuration may set.

    `partial_ratio` may be a number as text; one that is not between 0 and 1 is ignored with a
    warning, an empty one without: a simulator's environment variable may say anything.
    """

    model: Literal["through", "touch", "volume_share", "queue_position", "unlimited"] = "through"
    share: Decimal = Decimal("0.1")  # of volume, for `volume_share`: above 0, at most 1
    candle_path: CandlePath = "by_direction"
    partial_ratio: str | float | int | bool | None = None
    partial_after_ms: Annotated[float, Meta(ge=0, le=3_600_000)] = 500.0


class PartialFills(msgspec.Struct, frozen=True):
    """What an order trades first is `ratio` of its quantity, and the rest `after_ms` later.

    The rest takes or makes at the prices of then. In whole lots, where there are any; an order too
    small for two parts trades whole, and so does fill-or-kill. What is left of immediate-or-cancel
    is cancelled after the first part. In between the order works: it can be changed and cancelled.
    """

    ratio: Decimal
    after_ms: float = 500.0

    @property
    def after_ns(self) -> int:
        """How long the rest waits."""
        return round(self.after_ms * 1_000_000)

    def first_part(self, instrument: Instrument, quantity: Decimal) -> Decimal | None:
        """Return the first part of a quantity; None where it cannot be parted."""
        part = instrument.round_quantity(multiply(quantity, self.ratio))
        part = subtract(quantity, subtract(quantity, part))  # so that both parts add up exactly
        return part if ZERO < part < quantity else None


class FillModel(Protocol):
    """How much of the market's trading our orders get."""

    @property
    def fills_on_touch(self) -> bool:
        """Whether a trade exactly at a limit fills it."""

    @property
    def tracks_queue(self) -> bool:
        """Whether orders wait behind the size that was displayed before them."""

    @property
    def candle_path(self) -> CandlePath: ...
    @property
    def partial(self) -> PartialFills | None:
        """How orders trade in two parts; None: they do not."""

    def allowance(self, instrument: Instrument, size: float) -> Decimal | None:
        """Return what our orders may have of a traded or candle volume; None: any quantity."""

    def displayed(self, instrument: Instrument, size: float) -> Decimal | None:
        """Return what our orders may have of a displayed size, in whole lots; None: anything."""

    def describe(self) -> str:
        """Return the model in one line, for the start-up report."""


class Through(msgspec.Struct, frozen=True):
    """A limit fills once the price trades through it: the default, which does not flatter."""

    candle_path: CandlePath = "by_direction"
    partial: PartialFills | None = None
    fills_on_touch: ClassVar[bool] = False
    tracks_queue: ClassVar[bool] = False

    def allowance(self, instrument: Instrument, size: float) -> Decimal | None:
        return None

    def displayed(self, instrument: Instrument, size: float) -> Decimal:
        return instrument.round_quantity(size)

    def describe(self) -> str:
        told = f"fills: limits when traded through; candle path {self.candle_path}"
        return told + _described(self.partial)


class Touch(msgspec.Struct, frozen=True):
    """A limit fills once the price trades at it, as if nobody were ahead: flatters."""

    candle_path: CandlePath = "by_direction"
    partial: PartialFills | None = None
    fills_on_touch: ClassVar[bool] = True
    tracks_queue: ClassVar[bool] = False

    def allowance(self, instrument: Instrument, size: float) -> Decimal | None:
        return None

    def displayed(self, instrument: Instrument, size: float) -> Decimal:
        return instrument.round_quantity(size)

    def describe(self) -> str:
        told = f"fills: limits when touched (flatters); candle path {self.candle_path}"
        return told + _described(self.partial)


class VolumeShare(msgspec.Struct, frozen=True):
    """Like `Through`, with at most `share` of what trades or is displayed, in whole lots."""

    share: Decimal = Decimal("0.1")
    candle_path: CandlePath = "by_direction"
    partial: PartialFills | None = None
    fills_on_touch: ClassVar[bool] = False
    tracks_queue: ClassVar[bool] = False

    def allowance(self, instrument: Instrument, size: float) -> Decimal | None:
        return self.displayed(instrument, size)

    def displayed(self, instrument: Instrument, size: float) -> Decimal:
        return instrument.round_quantity(multiply(to_decimal(size), self.share))

    def describe(self) -> str:
        return (
            f"fills: limits when traded through, at most {self.share} of the volume; "
            f"candle path {self.candle_path}{_described(self.partial)}"
        )


class QueuePosition(msgspec.Struct, frozen=True):
    """A limit fills after the size that was displayed before it at its price has traded.

    What others cancel counts as behind us until the displayed size is below our place.
    """

    candle_path: CandlePath = "by_direction"
    partial: PartialFills | None = None
    fills_on_touch: ClassVar[bool] = False
    tracks_queue: ClassVar[bool] = True

    def allowance(self, instrument: Instrument, size: float) -> Decimal | None:
        return None

    def displayed(self, instrument: Instrument, size: float) -> Decimal:
        return instrument.round_quantity(size)

    def describe(self) -> str:
        told = f"fills: limits after the queue before them; candle path {self.candle_path}"
        return told + _described(self.partial)


class Unlimited(msgspec.Struct, frozen=True):
    """Like `Through`, with any quantity at the best displayed price: flatters large orders."""

    candle_path: CandlePath = "by_direction"
    partial: PartialFills | None = None
    fills_on_touch: ClassVar[bool] = False
    tracks_queue: ClassVar[bool] = False

    def allowance(self, instrument: Instrument, size: float) -> Decimal | None:
        return None

    def displayed(self, instrument: Instrument, size: float) -> Decimal | None:
        return None

    def describe(self) -> str:
        return (
            "fills: limits when traded through, any quantity at the best price (flatters); "
            f"candle path {self.candle_path}{_described(self.partial)}"
        )


def fill_model(settings: FillSettings) -> FillModel:
    """Return the model that `settings` name.

    Raises:
        ConfigError: `share` is not in (0, 1].
    """
    if not ZERO < settings.share <= ONE:
        raise ConfigError(f"{settings.share} is not above 0 and at most 1", key="share")
    return _MODELS[settings.model](settings, _partial(settings))


_MODELS: dict[str, Callable[[FillSettings, PartialFills | None], FillModel]] = {
    "through": lambda settings, partial: Through(settings.candle_path, partial),
    "touch": lambda settings, partial: Touch(settings.candle_path, partial),
    "volume_share": lambda settings, partial: VolumeShare(
        settings.share, settings.candle_path, partial
    ),
    "queue_position": lambda settings, partial: QueuePosition(settings.candle_path, partial),
    "unlimited": lambda settings, partial: Unlimited(settings.candle_path, partial),
}


def _partial(settings: FillSettings) -> PartialFills | None:
    given = settings.partial_ratio
    if given is None or given == "":
        return None
    try:
        ratio = parse(str(given))
        if ZERO < ratio < ONE:
            return PartialFills(ratio, settings.partial_after_ms)
    except ArithmeticError:  # no number, or none that compares
        pass
    log.warning("partial_ratio_ignored", value=str(given), wanted="a number between 0 and 1")
    return None


def _described(partial: PartialFills | None) -> str:
    if partial is None:
        return ""
    return f"; {partial.ratio} of the quantity first, the rest {partial.after_ms:g} ms later"


def turning_points(candle: Candle, path: CandlePath) -> tuple[float, float, float]:
    """Return where the price went after the open: both extremes in the order of `path`, close."""
    low_first = candle.close >= candle.open if path == "by_direction" else path == "olhc"
    if low_first:
        return candle.low, candle.high, candle.close
    return candle.high, candle.low, candle.close
