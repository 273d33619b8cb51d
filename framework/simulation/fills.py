"""Fill models: when a resting limit order trades, how much of it, and the path in a candle.

On quotes and books every model fills a resting limit when the opposite side reaches it, at its
own price and up to the displayed size. The models differ in what a trade or a candle does:

    through         trades beyond the limit fill it whole; at the limit nothing (the default)
    touch           a trade at the limit fills it whole: flatters, ignores the queue
    volume_share    like through, but all our orders together get at most `share` of each trade's
                    or candle's volume and of each displayed size; a volume of 0 fills nothing
    queue_position  like through; a trade at the limit first uses up the size that was displayed
                    there before us; without a displayed size, and on candles, like through
"""

from collections.abc import Callable
from decimal import Decimal
from typing import ClassVar, Literal, Protocol

import msgspec

from framework.errors import ConfigError
from framework.model.decimals import ONE, ZERO, multiply
from framework.model.instrument import Instrument, to_decimal
from framework.model.market_data import Candle

CandlePath = Literal["by_direction", "ohlc", "olhc"]
"""The order in which a candle's prices came; `by_direction`: low first when it rose."""


class FillSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the configuration may set."""

    model: Literal["through", "touch", "volume_share", "queue_position"] = "through"
    share: Decimal = Decimal("0.1")  # of volume, for `volume_share`: above 0, at most 1
    candle_path: CandlePath = "by_direction"


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
    def allowance(self, instrument: Instrument, size: float) -> Decimal | None:
        """Return what our orders may have of a traded or candle volume; None: any quantity."""

    def displayed(self, instrument: Instrument, size: float) -> Decimal:
        """Return what our orders may have of a displayed size, in whole lots."""

    def describe(self) -> str:
        """Return the model in one line, for the start-up report."""


class Through(msgspec.Struct, frozen=True):
    """A limit fills once the price trades through it: the default, which does not flatter."""

    candle_path: CandlePath = "by_direction"
    fills_on_touch: ClassVar[bool] = False
    tracks_queue: ClassVar[bool] = False

    def allowance(self, instrument: Instrument, size: float) -> Decimal | None:
        return None

    def displayed(self, instrument: Instrument, size: float) -> Decimal:
        return instrument.round_quantity(size)

    def describe(self) -> str:
        return f"fills: limits when traded through; candle path {self.candle_path}"


class Touch(msgspec.Struct, frozen=True):
    """A limit fills once the price trades at it, as if nobody were ahead: flatters."""

    candle_path: CandlePath = "by_direction"
    fills_on_touch: ClassVar[bool] = True
    tracks_queue: ClassVar[bool] = False

    def allowance(self, instrument: Instrument, size: float) -> Decimal | None:
        return None

    def displayed(self, instrument: Instrument, size: float) -> Decimal:
        return instrument.round_quantity(size)

    def describe(self) -> str:
        return f"fills: limits when touched (flatters); candle path {self.candle_path}"


class VolumeShare(msgspec.Struct, frozen=True):
    """Like `Through`, with at most `share` of what trades or is displayed, in whole lots."""

    share: Decimal = Decimal("0.1")
    candle_path: CandlePath = "by_direction"
    fills_on_touch: ClassVar[bool] = False
    tracks_queue: ClassVar[bool] = False

    def allowance(self, instrument: Instrument, size: float) -> Decimal | None:
        return self.displayed(instrument, size)

    def displayed(self, instrument: Instrument, size: float) -> Decimal:
        return instrument.round_quantity(multiply(to_decimal(size), self.share))

    def describe(self) -> str:
        return (
            f"fills: limits when traded through, at most {self.share} of the volume; "
            f"candle path {self.candle_path}"
        )


class QueuePosition(msgspec.Struct, frozen=True):
    """A limit fills after the size that was displayed before it at its price has traded.

    What others cancel counts as behind us until the displayed size is below our place.
    """

    candle_path: CandlePath = "by_direction"
    fills_on_touch: ClassVar[bool] = False
    tracks_queue: ClassVar[bool] = True

    def allowance(self, instrument: Instrument, size: float) -> Decimal | None:
        return None

    def displayed(self, instrument: Instrument, size: float) -> Decimal:
        return instrument.round_quantity(size)

    def describe(self) -> str:
        return f"fills: limits after the queue before them; candle path {self.candle_path}"


def fill_model(settings: FillSettings) -> FillModel:
    """Return the model that `settings` name.

    Raises:
        ConfigError: `share` is not in (0, 1].
    """
    if not ZERO < settings.share <= ONE:
        raise ConfigError(f"{settings.share} is not above 0 and at most 1", key="share")
    return _MODELS[settings.model](settings)


_MODELS: dict[str, Callable[[FillSettings], FillModel]] = {
    "through": lambda settings: Through(settings.candle_path),
    "touch": lambda settings: Touch(settings.candle_path),
    "volume_share": lambda settings: VolumeShare(settings.share, settings.candle_path),
    "queue_position": lambda settings: QueuePosition(settings.candle_path),
}


def turning_points(candle: Candle, path: CandlePath) -> tuple[float, float, float]:
    """Return where the price went after the open: both extremes in the order of `path`, close."""
    low_first = candle.close >= candle.open if path == "by_direction" else path == "olhc"
    if low_first:
        return candle.low, candle.high, candle.close
    return candle.high, candle.low, candle.close
