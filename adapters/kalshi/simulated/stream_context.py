"""What all connections of the streams share."""

from collections import deque
from typing import Any

import msgspec

from adapters.kalshi.simulated.channels import CHANNELS, Channel, Profile
from adapters.kalshi.simulated.domain import TickerState
from adapters.kalshi.simulated.encoded_books import EncodedBooks
from adapters.kalshi.simulated.fault_injection import Faults
from adapters.kalshi.simulated.market_payloads import ticker_payload
from adapters.kalshi.simulated.stream_settings import StreamSettings, UnknownMarket
from adapters.kalshi.simulated.stream_source import StreamSource
from adapters.kalshi.simulated.subscriptions import Subscribers
from framework.interfaces import Clock


class ReceivedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A text or binary frame that a client sent, as far as it could be read (S15)."""

    connection: int
    account: str | None  # None: anonymous
    time_ns: int
    id: int = 0
    cmd: str = ""
    params: dict[str, Any] | None = None
    unreadable: str = ""  # what was sent instead of a command


class StreamContext:
    """The exchange, the books, who subscribed, what goes wrong, and what was asked."""

    def __init__(
        self, exchange: StreamSource, clock: Clock, settings: StreamSettings, faults: Faults
    ) -> None:
        self.exchange = exchange
        self.clock = clock
        self.settings = settings
        self.profile: Profile = settings.profile
        self.faults = faults
        self.channels: dict[str, Channel] = CHANNELS[settings.profile]
        self.books = EncodedBooks(exchange.data, settings.profile)
        self.subscribers = Subscribers()
        self.commands: deque[ReceivedCommand] = deque(maxlen=settings.commands_kept)

    @property
    def unknown_market(self) -> UnknownMarket:
        """What naming an unknown market does: error 16 is retired in the current profile."""
        if self.settings.unknown_market is not None:
            return self.settings.unknown_market
        is_current = self.profile is Profile.CURRENT
        return UnknownMarket.ACCEPT if is_current else UnknownMarket.REFUSE

    def is_sequenced(self, channel: Channel) -> bool:
        """Say whether the channel's frames carry `seq` here."""
        return self.profile in channel.sequenced or channel.name in self.settings.also_sequenced

    def tickers_of_ids(self, market_ids: tuple[str, ...]) -> list[str]:
        """Return the tickers of market ids; an unknown id stands for itself."""
        by_id = {market.market_id: market.ticker for market in self.exchange.data.markets()}
        return [by_id.get(market_id, market_id) for market_id in market_ids]

    def ticker_body(self, ticker: TickerState) -> bytes:
        """Return the encoded `msg` of a `ticker` frame."""
        return msgspec.json.encode(ticker_payload(ticker, self.profile))
