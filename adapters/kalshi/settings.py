"""What the section `settings:` of a Kalshi venue may say."""

from decimal import Decimal
from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

from framework.errors import ConfigError
from framework.model.decimals import ZERO
from framework.model.identity import instrument_id
from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.net.link_options import TransportName

CENT = Decimal("0.01")
ONE_CONTRACT = Decimal(1)
HEARTBEAT_S = 10.0  # the venue pings so often
SILENCE_S = 1.6 * HEARTBEAT_S  # found a quarter later at most: within two heartbeats

Ticker = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._\-]{1,128}$(?!\n)")]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class Environment(Enum):
    """Which Kalshi: the exchange, its test system, or a venue simulated in this process."""

    PRODUCTION = "production"
    DEMO = "demo"
    SIMULATED = "simulated"


class Urls(msgspec.Struct, frozen=True):
    """Base URLs, without a trailing slash."""

    rest: str
    stream: str


URLS = {  # source: the venue's page on environments
    Environment.PRODUCTION: Urls(
        "https://external-api.kalshi.com/trade-api/v2",
        "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
    ),
    Environment.DEMO: Urls(
        "https://external-api.demo.kalshi.co/trade-api/v2",
        "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
    ),
}


class SimulatedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The venue in this process, where `environment: simulated`.

    Attributes:
        seed: of its market.
        rate: changes of each book per second, about.
        hit_s: seconds between trades against resting orders of ours; null: none.
        cash: dollars that our account begins with.
    """

    seed: int = 7
    rate: Annotated[float, Meta(ge=0, le=1_000)] = 4.0
    hit_s: Annotated[float, Meta(gt=0)] | None = 5.0
    cash: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 10_000


class KalshiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where to connect, as whom, and to what.

    Attributes:
        account: the configuration's account that the key is of.
        markets: tickers of the markets to list, beside those under `instruments:`.
        key_id, private_key: references (`env:NAME`, `file:PATH`); the key is RSA, PEM.
        rest_url, stream_url: instead of the environment's.
        answer_s: how long an answer of REST is waited for.
        quiet_s: a book subscription that says nothing for so long is asked for its books, and
            after twice that subscribed anew.
        markets_per_subscription: what one subscription covers at most.
        uses_first_generation: the order entry of 2025, which the venue is retiring.
    """

    environment: Environment = Environment.DEMO
    account: str = "main"
    markets: tuple[Ticker, ...] = ()
    key_id: str | None = None
    private_key: str | None = None
    rest_url: str | None = None
    stream_url: str | None = None
    transport: TransportName = "auto"
    quiet_s: Seconds = 60.0
    answer_s: Seconds = 10.0
    markets_per_subscription: Annotated[int, Meta(ge=1, le=10_000)] = 200
    uses_first_generation: bool = False
    read_tokens_per_s: Annotated[float, Meta(gt=0)] = 200.0
    write_tokens_per_s: Annotated[float, Meta(gt=0)] = 100.0
    simulated: SimulatedSettings = SimulatedSettings()

    def urls(self) -> Urls:
        """Return where the venue is. Raises ConfigError: a simulated one has no fixed place."""
        if self.rest_url is not None and self.stream_url is not None:
            return Urls(self.rest_url.rstrip("/"), self.stream_url.rstrip("/"))
        known = URLS.get(self.environment)
        if known is None:
            raise ConfigError("a simulated venue has its place once it runs", key="settings")
        rest, stream = self.rest_url or known.rest, self.stream_url or known.stream
        return Urls(rest.rstrip("/"), stream.rstrip("/"))


def plain_instrument(venue: str, ticker: str) -> Instrument:
    """Return what a market is until the venue has told: prices in cents, whole contracts."""
    return Instrument(
        id=instrument_id(venue, ticker),
        currency="USD",
        kind=InstrumentKind.BINARY,
        base=ticker,
        ranges=(PriceRange(low=ZERO, tick=CENT),),
        lot=ONE_CONTRACT,
        minimum_price=CENT,
        maximum_price=1 - CENT,
    )
