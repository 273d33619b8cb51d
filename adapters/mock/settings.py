"""What the configuration may say about the synthetic market and its faults."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from framework.errors import ConfigError
from framework.model.decimals import ZERO
from framework.model.identity import instrument_id
from framework.model.instrument import Instrument, PriceRange
from framework.settings.decoding import decode_section
from framework.settings.structs import InstrumentSettings

Channel = Literal["quotes", "trades", "candles", "book"]
Symbol = Annotated[str, Meta(min_length=1, max_length=256)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Every = Annotated[int, Meta(ge=0, le=1_000_000_000)]

DEFAULT_TICK = Decimal("0.01")
DEFAULT_LOT = Decimal("0.001")
MOST_STEPS = 100_000  # per candle: a candle is made in one go


class MockInstrument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One instrument's price process; its grid too, where `instruments:` does not define it.

    Attributes:
        volatility: standard deviation of a year's return, 0.6 = 60 %.
        spread_bps: distance from bid to ask, at least one tick.
    """

    symbol: Symbol
    start_price: Positive = 100.0
    volatility: Annotated[float, Meta(ge=0, le=20)] = 0.6
    spread_bps: Annotated[float, Meta(ge=0, le=2_000)] = 2.0
    tick: Decimal | None = None
    lot: Decimal | None = None
    currency: Annotated[str, Meta(min_length=1)] = "USD"


class FaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Faults by the number of steps; 0 switches one off.

    Attributes:
        gap_every: each n-th book delta of an instrument gets lost.
        stall_every: each n-th step the link falls silent for `stall_ms`.
        burst_every: each n-th step every instrument trades `burst_size` times at once.
    """

    gap_every: Every = 0
    stall_every: Every = 0
    stall_ms: Annotated[int, Meta(ge=1, le=86_400_000)] = 5_000
    burst_every: Every = 0
    burst_size: Annotated[int, Meta(ge=1, le=100_000)] = 1_000


class MockSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `settings:` of a mock venue.

    Attributes:
        interval_ms: market time from one step of every price to the next.
        candle_interval: the shortest candle; others are multiples of it.
        depth: levels per side of the book.
        snapshot_every: book messages from one whole snapshot to the next.
        any_symbol: every symbol that is asked for exists, from then on (`any_symbol.py`).
    """

    any_symbol: bool = False
    instruments: list[MockInstrument] = []
    interval_ms: Annotated[int, Meta(ge=1, le=86_400_000)] = 1_000
    candle_interval: str = "1m"
    depth: Annotated[int, Meta(ge=1, le=1_000)] = 10
    snapshot_every: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000
    faults: FaultSettings = FaultSettings()


class SyntheticSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `source:` of a venue with `data: synthetic`.

    The series goes from `start` to `end` (ISO 8601, UTC where they name no offset), or over
    `count` candle intervals; 10,000 of them where nothing is said. `instruments` adds to those
    of `settings:`.
    """

    start: str = "2024-01-01"
    end: str | None = None
    count: Count | None = None
    channels: tuple[Channel, ...] = ("candles",)
    instruments: list[MockInstrument] = []


class Market(msgspec.Struct, frozen=True):
    """One instrument of the mock venue: how its price moves, and its grid."""

    process: MockInstrument
    definition: Instrument
    tick: Decimal
    lot: Decimal


def decode_markets(
    section: Mapping[str, object], venue: str
) -> tuple[MockSettings, SyntheticSettings, list[Market]]:
    """Return the settings of a venue's section and its instruments.

    Raises:
        ConfigError: a key is missing, unknown or makes no sense; `key` is its path.
    """
    settings = decode_section(_part(section, "settings"), MockSettings, key="settings")
    source = decode_section(_part(section, "source"), SyntheticSettings, key="source")
    length_ns = interval_ns(settings.candle_interval)
    if length_ns is None:
        reason = f"{settings.candle_interval!r} is no length of time such as 1m, 4h or 1d"
        raise ConfigError(reason, key="settings.candle_interval")
    steps, rest = divmod(length_ns, settings.interval_ms * 1_000_000)
    if rest or not 1 <= steps <= MOST_STEPS:
        reason = (
            f"a candle of {settings.candle_interval} must take 1 to {MOST_STEPS:,} whole steps"
            f" of {settings.interval_ms} ms"
        )
        raise ConfigError(reason, key="settings.interval_ms")
    processes: dict[str, tuple[str, MockInstrument]] = {}
    for part, instruments in (("settings", settings.instruments), ("source", source.instruments)):
        for i, process in enumerate(instruments):
            key = f"{part}.instruments[{i}]"
            if process.symbol in processes:
                raise ConfigError(f"{process.symbol!r} is listed twice", key=f"{key}.symbol")
            processes[process.symbol] = (key, process)
    listed = _listed(section.get("instruments"), venue)
    for symbol in listed:
        processes.setdefault(symbol, ("instruments", MockInstrument(symbol=symbol)))
    if not processes:
        raise ConfigError("is missing: the mock venue lists no instrument", key="instruments")
    markets = [
        _market(process, listed.get(symbol), venue, key=key)
        for symbol, (key, process) in processes.items()
    ]
    return settings, source, markets


class Wanted(msgspec.Struct, frozen=True):
    """What is fixed about some symbols of a market that has any: definitions, starts by symbol."""

    definitions: list[Instrument]
    processes: dict[str, MockInstrument]


def decode_any_symbol(
    section: Mapping[str, object], venue: str
) -> tuple[MockSettings, Wanted] | None:
    """Return the settings of a venue that has any symbol, or None where they ask for another one.

    Raises:
        ConfigError: a key is missing, unknown or makes no sense; `key` is its path.
    """
    part = _part(section, "settings")
    if not part.get("any_symbol"):
        return None
    settings = decode_section(part, MockSettings, key="settings")
    if settings.faults != FaultSettings():
        raise ConfigError("a market of any symbol has none", key="settings.faults")
    processes: dict[str, MockInstrument] = {}
    for i, process in enumerate(settings.instruments):
        key = f"settings.instruments[{i}]"
        if process.symbol in processes:
            raise ConfigError(f"{process.symbol!r} is listed twice", key=f"{key}.symbol")
        plain = MockInstrument(
            symbol=process.symbol, start_price=process.start_price, volatility=process.volatility
        )
        if process != plain:
            reason = "of a market of any symbol only start_price and volatility can be set here"
            raise ConfigError(reason, key=key)
        processes[process.symbol] = process
    listed = _listed(section.get("instruments"), venue)
    return settings, Wanted(list(listed.values()), processes)


_INTERVAL = re.compile(r"([1-9]\d{0,5})(s|m|h|d|w)")
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def interval_ns(interval: str) -> int | None:
    """Return the length of a time interval such as `1m`, or None where it is none."""
    match = _INTERVAL.fullmatch(interval)
    return int(match[1]) * _UNIT_S[match[2]] * 1_000_000_000 if match else None


def _part(section: Mapping[str, object], key: str) -> Mapping[str, Any]:
    part = section.get(key) or {}
    if not isinstance(part, Mapping):
        raise ConfigError(f"must be a section with keys, and is {part!r}", key=key)
    return part


def _listed(instruments: object, venue: str) -> dict[str, Instrument]:
    if not isinstance(instruments, list | tuple | None):
        raise ConfigError("must be a list of instruments", key="instruments")
    listed: dict[str, Instrument] = {}
    for i, entry in enumerate(instruments or ()):
        key = f"instruments[{i}]"
        if not isinstance(entry, InstrumentSettings):
            entry = decode_section(entry, InstrumentSettings, key=key)
        if entry.symbol in listed:
            raise ConfigError(f"{entry.symbol!r} is listed twice", key=f"{key}.symbol")
        listed[entry.symbol] = entry.to_instrument(venue)
    return listed


def _market(process: MockInstrument, listed: Instrument | None, venue: str, *, key: str) -> Market:
    if listed is not None:
        ticks = [price_range.tick for price_range in listed.ranges]
        tick = process.tick or (ticks[0] if ticks else DEFAULT_TICK)
        lot = process.lot or listed.lot or DEFAULT_LOT
        definition = listed
    else:
        tick, lot = process.tick or DEFAULT_TICK, process.lot or DEFAULT_LOT
        definition = Instrument(
            id=instrument_id(venue, process.symbol),
            currency=process.currency,
            base=process.symbol,
            ranges=(PriceRange(low=ZERO, tick=tick),),
            lot=lot,
        )
    for name, step in (("tick", tick), ("lot", lot)):
        if not ZERO < step <= 1_000_000:
            raise ConfigError(f"{step} is not between 0 and a million", key=f"{key}.{name}")
    if process.start_price < 2 * tick or process.start_price / float(tick) > 2**40:
        reason = f"{process.start_price} is out of range for a tick of {tick}"
        raise ConfigError(reason, key=f"{key}.start_price")
    return Market(process, definition, tick, lot)
