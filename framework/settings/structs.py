"""What a configuration file may say, as typed structs; an unknown key is an error.

Money, prices and quantities are `Decimal`; a duration's unit is the last word of its name.
Paths inside a configuration are relative to the working directory, as on the command line, so
that one file in `config/` serves data in `output/`.
"""

from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from framework.model.calendars import CalendarSettings
from framework.model.decimals import ONE, ZERO
from framework.model.exits import ExitRules
from framework.model.identity import instrument_id
from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.protection import NO_PROTECTION, Protection
from framework.model.runs import Execution
from framework.settings.fields import FieldError, require_positive
from framework.settings.log_filter import level_of
from framework.settings.modes import DataSource, Mode, OrderRoute
from framework.settings.risk_limits import RiskSettings as RiskSettings
from framework.settings.server import ListenerSettings

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}$(?!\n)",
        description="up to 64 letters, digits, '_', '-' or '.'",
    ),
]
"""A name of ours (venue, account, strategy): no colon, as it becomes a part of ids."""

Text = Annotated[str, Meta(min_length=1, max_length=256)]
Duration = Annotated[
    str,
    Meta(
        pattern=r"^[1-9][0-9]{0,5}(s|m|h|d|w)$(?!\n)", description="a time such as 30s, 5m, 1h, 1d"
    ),
]
ClassPath = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$(?!\n)",
        max_length=256,
        description="package.module:ClassName",
    ),
]
Milliseconds = Annotated[float, Meta(ge=0, le=3_600_000)]
Seconds = Annotated[float, Meta(gt=0, le=3_600)]
Section = dict[str, Any]
"""A part whose keys belong to an adapter, a strategy or a model: see `decode_section`."""

FEED_TURN = 256  # events a feed may publish in one loop turn: the smallest sensible queue


class Durability(Enum):
    """When an order may leave: once it is on disk (`full`), or at once (`async`)."""

    FULL = "full"
    ASYNC = "async"


class ErrorPolicy(Enum):
    """What happens to a strategy whose handler raised."""

    CONTINUE = "continue"
    HALT = "halt"


class StopPolicy(Enum):
    """What happens to a run's orders and positions when it stops; exits stay unless `flatten`."""

    LEAVE = "leave"
    CANCEL_ENTRIES = "cancel_entries"
    CANCEL_ALL = "cancel_all"
    FLATTEN = "flatten"


class QueueOverflow(Enum):
    """What a full queue does with one more event; the bus has the rules, this names them."""

    DROP_OLDEST = "drop_oldest"
    ERROR = "error"
    CONFLATE = "conflate"

    @classmethod
    def _missing_(cls, value: object) -> "QueueOverflow | None":
        """Accept the rules' names as they are written in code: `DROP_OLDEST`."""
        return cls.__members__.get(value) if isinstance(value, str) else None


class LogLevel(Enum):
    """How loud a log line or an alert is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @classmethod
    def _missing_(cls, value: object) -> "LogLevel | None":
        """Accept what `RUST_LOG` may say: `warn`, `gateway=debug`."""
        level = level_of(value) if isinstance(value, str) else None
        return None if level is None else cls(level)


class LogFormat(Enum):
    """How log lines look; `auto` is `console` on a terminal and `json` elsewhere."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class InstrumentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One instrument of a venue; without `tick` or `lot` any price or quantity goes."""

    symbol: Text
    currency: Text = "USD"
    kind: InstrumentKind = InstrumentKind.SPOT
    tick: Decimal | None = None
    lot: Decimal | None = None
    minimum_quantity: Decimal | None = None
    maximum_quantity: Decimal | None = None
    multiplier: Decimal = ONE
    base: str = ""
    calendar: Text = "24/7"

    def __post_init__(self) -> None:
        for field in ("tick", "lot", "minimum_quantity", "maximum_quantity", "multiplier"):
            require_positive(field, getattr(self, field))
        low, high = self.minimum_quantity, self.maximum_quantity
        if low is not None and high is not None and low > high:
            raise FieldError("maximum_quantity", f"{high} is below the minimum {low}")

    def to_instrument(self, venue: str) -> Instrument:
        """Return the instrument `"<venue>:<symbol>"` with this grid."""
        ranges = () if self.tick is None else (PriceRange(low=ZERO, tick=self.tick),)
        return Instrument(
            id=instrument_id(venue, self.symbol),
            currency=self.currency,
            kind=self.kind,
            base=self.base,
            ranges=ranges,
            lot=self.lot,
            minimum_quantity=self.minimum_quantity,
            maximum_quantity=self.maximum_quantity,
            multiplier=self.multiplier,
            calendar=self.calendar,
        )


class LatencySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Delays of a simulated venue: of orders, of its feed, and a random part of up to `jitter`."""

    order_ms: Milliseconds = 0.0
    feed_ms: Milliseconds = 0.0
    jitter_ms: Milliseconds = 0.0


class VenueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One venue.

    `data` and `orders` are None only before `resolved`, which fills in the mode's defaults.
    `source` says which recorded or generated data to read, `settings` belongs to the adapter;
    `costs`, `fills` and `path` name the simulated venue's models: what a trade costs, when an
    order fills, and the way a price takes inside a candle.
    """

    adapter: Name
    data: DataSource | None = None
    orders: OrderRoute | None = None
    source: Section | None = None
    settings: Section | None = None
    instruments: list[InstrumentSettings] = []
    costs: Section | None = None
    fills: str | Section | None = None
    latency: LatencySettings | None = None
    path: Text | None = None


class AccountSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One account at a venue; `balances` is where a simulated one starts, per currency."""

    venue: Name
    currency: Text
    balances: dict[str, Decimal] = {}

    def __post_init__(self) -> None:
        for currency, amount in self.balances.items():
            if not amount.is_finite() or amount < ZERO:
                raise FieldError(f"balances.{currency}", f"a balance must not be {amount}")


class StrategySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One strategy: `id` names its durable run, `class` is `"package.module:ClassName"`.

    `allocation` caps the capital the run may bind, in the account's currency; `protection` are
    the rules that end it; `metadata` is kept with the run for whoever lists it.
    """

    id: Name
    class_: ClassPath = msgspec.field(name="class")
    account: Name
    settings: Section = {}
    on_error: ErrorPolicy = ErrorPolicy.CONTINUE
    on_stop: StopPolicy = StopPolicy.CANCEL_ENTRIES
    execution: Execution | None = None
    exits: ExitRules | None = None
    allocation: Decimal | None = None
    protection: Protection = NO_PROTECTION
    metadata: dict[Name, Annotated[str, Meta(max_length=1_000)]] = {}

    def __post_init__(self) -> None:
        require_positive("allocation", self.allocation)
        if self.allocation is None and self.protection.needs_allocation:
            raise FieldError("protection", "a percent of the allocation needs `allocation`")


class QueueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A subscriber's queue for one channel; None keeps the channel's default."""

    capacity: Annotated[int, Meta(ge=FEED_TURN, le=10_000_000)] | None = None
    overflow: QueueOverflow | None = None


class MailSecurity(Enum):
    """How a connection to a mail server is encrypted; `none` only to this computer itself."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class MailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mail server and who writes to whom; `password` says where it is: env:NAME, file:PATH."""

    host: Text
    from_: Text = msgspec.field(name="from")
    to: Annotated[list[Text], Meta(min_length=1, max_length=20)]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    user: str = ""
    password: str = ""
    security: MailSecurity = MailSecurity.STARTTLS


class AlertSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts of `level` and above go: one of the three; an empty `webhook` sends none.

    `webhook` is an address, or where one is: env:NAME, file:PATH. `command` is a program and its
    arguments, started without a shell. `timeout_s` bounds each attempt.
    """

    webhook: str = ""
    command: Annotated[list[Text], Meta(max_length=64)] = []
    mail: MailSettings | None = None
    level: LogLevel = LogLevel.WARNING
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 4.0

    def __post_init__(self) -> None:
        named = (("command", bool(self.command)), ("mail", self.mail is not None))
        given = [("webhook", bool(self.webhook)), *named]
        used = [name for name, is_given in given if is_given]
        if len(used) > 1:
            raise FieldError(used[1], f"an entry has one target, and {used[0]} is given too")


class ReplaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fast recorded data is replayed: 1 is real time, 0 as fast as it reads."""

    speed: Annotated[float, Meta(ge=0, le=1_000_000)] = 1.0


class BacktestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a backtest reports: one point of the equity curve per `equity_interval`."""

    equity_interval: Duration = "1h"


class LoggingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the command line's log shows, on stderr."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.AUTO


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One configuration file.

    `seed` decides every random number; `journal` is the URL of the order log;
    while the file `kill_file` exists no new order leaves (by default the journal's path + `.kill`);
    `server` are the addresses with front doors;
    `handler_limit_s` is how long a plain handler may block the loop (live and paper).
    """

    mode: Mode
    name: Name = "headrace"
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    venues: dict[Name, VenueSettings] = {}
    accounts: dict[Name, AccountSettings] = {}
    strategies: list[StrategySettings] = []
    calendars: dict[Name, CalendarSettings] = {}
    risk: RiskSettings = RiskSettings()
    queues: dict[str, QueueSettings] = {}
    journal: Text | None = None
    durability: Durability = Durability.FULL
    record_inputs: bool = True
    exits: ExitRules = ExitRules()
    alerts: list[AlertSettings] = []
    kill_file: Text | None = None
    replay: ReplaySettings = ReplaySettings()
    backtest: BacktestSettings = BacktestSettings()
    logging: LoggingSettings = LoggingSettings()
    server: Annotated[list[ListenerSettings], Meta(max_length=20)] = []
    handler_limit_s: Seconds = 1.0
