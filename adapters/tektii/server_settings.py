"""What the configuration says about a gateway, and what its parts share: names and deadlines."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from adapters.tektii.server_errors import ambiguous_symbol
from adapters.tektii.server_metrics import GatewayMetrics
from adapters.tektii.server_scenarios import Scenarios
from framework.errors import ConfigError
from framework.interfaces import TradingDesk
from framework.model.desk import Principal
from framework.model.orders import NO_BUCKET, Bucket
from framework.server.door import DoorContext
from framework.settings.decoding import decode_section

Word = Annotated[str, Meta(max_length=256)]
Wait = Annotated[float, Meta(gt=0, le=3_600)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
TRUE_WORDS = ("1", "true", "yes", "on")


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `settings` of a gateway; numbers and switches may come as text.

    Attributes:
        provider: the venue whose symbols need no prefix (`GATEWAY_PROVIDER`); "": that of the
            door's first account.
        platforms: what a venue is called in answers, by its name here; else by that.
        subscriptions: `SUBSCRIPTIONS` as JSON (spec 11.6).
        scenarios: some symbols answer with an error on purpose (spec 16.2, 12).
        longest_symbol: characters.
        ack_mode: `named` releases what an ack names, `drain` everything sent (spec 12.3).
        ack_timeout_s: how long a step waits for its acks.
        first_ack_timeouts, ack_timeouts: so many in a row before, and after, the first ack end
            the run.
        wait_for_clients: a paced run begins when so many streams are open.
        swagger: whether the API's document is served.
        exit_ttl_hours: age at which exits of an entry that never filled are dropped, 0: never.
        max_exits: exits that may wait or rest at once; an order beyond is refused (spec 9.1).
        close_memory_s: for so long the same closing request is the same order (spec 21.1).
        answer_s: how long a venue may take to answer a command before the order is shown as it
            stands then.
    """

    provider: Word = ""
    platforms: dict[str, Word] = {}
    subscriptions: str = "[]"
    scenarios: bool = False
    longest_symbol: Annotated[int, Meta(ge=1, le=256)] = 20
    ack_mode: Literal["named", "drain"] = "named"
    ack_timeout_s: Wait = 5.0
    first_ack_timeouts: Count = 24
    ack_timeouts: Count = 5
    wait_for_clients: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    swagger: bool = False
    git_sha: Word = "unknown"
    exit_ttl_hours: Annotated[float, Meta(ge=0, le=876_000)] = 24.0
    max_exits: Count = 10_000
    close_memory_s: Annotated[float, Meta(ge=0, le=3_600)] = 5.0
    answer_s: Wait = 5.0


def decode_settings(section: Mapping[str, object], *, key: str) -> GatewaySettings:
    """Return a gateway's settings; `key` is where they stand.

    Raises:
        ConfigError: a key is unknown, or a value makes no sense.
    """
    types = get_type_hints(GatewaySettings, include_extras=True)
    plain = {name: _from_text(value, types.get(name)) for name, value in section.items()}
    return decode_section(plain, GatewaySettings, key=key)


def _from_text(value: object, wanted: Any) -> object:
    """Return a number or switch that was written as text, as variables of an environment are."""
    if not isinstance(value, str) or wanted is None:
        return value
    if wanted is bool:
        return True if value.lower() in TRUE_WORDS else _as_false(value)
    try:
        return msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError:
        return value  # whoever decodes the section says what is wrong with it


def _as_false(value: str) -> object:
    return False if value.lower() in ("", "0", "false", "no", "off") else value


class Place:
    """What every part of one gateway works with: its desk, its settings, and what things are named.

    Attributes:
        provider: the venue whose symbols are bare; other venues' are `venue:symbol`.
        venues: those of the door's accounts, the first account's first.
        runs: the door's own; a token for the whole account sees others too.
        metrics: what is counted, one for all gateways of the process.
        scenarios: symbols that answer with an error on purpose, where those are wanted.
    """

    def __init__(self, context: DoorContext, settings: GatewaySettings) -> None:
        self.context = context
        self.settings = settings
        self.desk: TradingDesk = context.desk
        self.owner: Principal = context.owner
        self.answer_s = settings.answer_s
        self.venues = tuple(dict.fromkeys(place.venue for place in context.owner.places))
        self.provider = self._checked_provider()
        platforms = [self.platform(venue) for venue in self.venues]
        self.metrics = GatewayMetrics.shared(context.metrics, platforms)
        self.scenarios = Scenarios(self.platform(self.provider), is_on=settings.scenarios)
        self._prefix = f"{self.provider}:"
        self.runs = frozenset(place.run for place in context.owner.places)
        self._currencies: dict[str, str] = {}

    @property
    def now_ns(self) -> int:
        """Market time."""
        return self.desk.clock.now_ns

    def platform(self, venue: str) -> str:
        """Return what a venue is called in answers."""
        return self.settings.platforms.get(venue, venue)

    def platform_of(self, instrument: str) -> str:
        """Return what the venue of an instrument is called in answers."""
        return self.platform(instrument.partition(":")[0])

    def instrument_id(self, symbol: str) -> str:
        """Return the instrument that a symbol means: the provider's, or `venue:symbol` itself.

        Raises:
            GatewayRefusal: it could be two instruments.
        """
        venue, colon, _ = symbol.partition(":")
        bare = self._prefix + symbol
        if not colon or venue not in self.venues:
            return bare
        known = {one.id for one in self.desk.instruments(self.provider)}
        if bare not in known:  # a symbol of the provider's may have a colon of its own
            return symbol
        if symbol in known or any(one.id == symbol for one in self.desk.instruments(venue)):
            raise ambiguous_symbol(symbol, (bare, symbol))
        return bare

    def symbol_of(self, instrument: str) -> str:
        """Return what an instrument is called in answers."""
        return instrument.removeprefix(self._prefix)

    def position_id(self, instrument: str, bucket: Bucket = NO_BUCKET, run: str = "") -> str:
        """Return what a position is called: the venue's id, else `<platform>-pos-<symbol>`.

        A product is put behind, and so is a `run` that is not the door's own: a token that sees
        the whole account meets several positions of one instrument.
        """
        if bucket.position_id:
            return bucket.position_id
        name = f"{self.platform_of(instrument)}-pos-{self.symbol_of(instrument)}"
        if bucket.product:
            name = f"{name}/{bucket.product}"
        return f"{name}@{run}" if run and run not in self.runs else name

    def currency_of(self, instrument: str) -> str:
        """Return what an instrument's prices are counted in."""
        known = self._currencies.get(instrument)
        if known is not None:
            return known
        for one in self.desk.instruments(instrument.partition(":")[0]):
            self._currencies[one.id] = one.currency
        return self._currencies.get(instrument, "USD")

    def is_simulated(self, venue: str) -> bool:
        """Tell whether nothing at a venue is for real."""
        return any(one.venue == venue and one.is_simulated for one in self.desk.health())

    def _checked_provider(self) -> str:
        wanted = self.settings.provider
        if not wanted:
            return self.venues[0]
        if wanted not in self.venues:
            known = ", ".join(self.venues)
            reason = f"GATEWAY_PROVIDER is {wanted!r}, and the gateway's accounts are at: {known}"
            raise ConfigError(reason, key=f"{self.context.key}.settings.provider")
        return wanted
