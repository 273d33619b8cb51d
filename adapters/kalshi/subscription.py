"""What a client asked to hear: durable over sids, connections and repairs."""

from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.kalshi.ladders import BookState, Ladders
from framework.market.escalation import Escalation
from framework.net.backoff import BackOff

if TYPE_CHECKING:
    from adapters.kalshi.commands import Changing

BOOKS = "orderbook_delta"
ORDER_GROUPS = "order_group_updates"


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `params` of a subscribe command; what is None is not sent (False is).

    `extra` passes on what this version does not know; an unknown key anywhere else is an error,
    since a typo in `market_tickers` would subscribe to the whole venue (B20).
    """

    market_ticker: str | None = None
    market_tickers: tuple[str, ...] | None = None
    market_id: str | None = None
    market_ids: tuple[str, ...] | None = None
    send_initial_snapshot: bool | None = None
    skip_ticker_ack: bool | None = None
    shard_factor: int | None = None
    shard_key: int | None = None
    use_yes_price: bool | None = None
    user_filter: str | None = None
    index_ids: tuple[str, ...] | None = None
    underlying_tickers: tuple[str, ...] | None = None
    extra: dict[str, Any] = {}

    @property
    def markets(self) -> tuple[str, ...]:
        """The tickers asked for; () means all markets, or that they are chosen otherwise."""
        if self.market_ticker is not None:
            return (self.market_ticker,)
        return self.market_tickers or ()


class SubscriptionState(Enum):
    """Where a subscription stands with the venue."""

    WAITING = "waiting"  # for a connection, or for the pause before another attempt
    ASKED = "asked"
    LIVE = "live"
    ENDED = "ended"


class SubscriptionStatistics(msgspec.Struct):
    """What happened to one subscription so far; counts, but for the last (B14)."""

    frames: int = 0
    gaps: int = 0
    duplicates: int = 0
    reorders: int = 0  # frames that came early and were put in order
    restarts: int = 0  # the counter of a living sid began anew
    resyncs: int = 0  # books that came back
    renewals: int = 0  # acknowledged again: reconnects, repairs, ended by the venue
    interruptions: int = 0  # the venue ended it
    drops: int = 0  # book changes without a live book
    inconsistencies: int = 0  # changes that contradict the book
    undecodable: int = 0
    unknown_types: int = 0
    last_frame_ns: int = 0


class Subscription:
    """One channel with its parameters, under an id that outlives every sid.

    `markets` is what it covers now, in order; empty: no filter by ticker. `books` are the same
    objects for as long as their market is subscribed.
    """

    def __init__(
        self,
        number: int,
        channel: str,
        parameters: Parameters,
        *,
        escalation: Escalation,
        back_off: BackOff,
    ) -> None:
        self.id = number
        self.channel = channel
        self.parameters = parameters
        self.markets = dict.fromkeys(parameters.markets)
        self.state = SubscriptionState.WAITING
        self.sid: int | None = None
        self.statistics = SubscriptionStatistics()
        self.books: dict[str, Ladders] = {}
        self.is_established = False  # was acknowledged at least once
        self.live_since_ns = 0
        self.attempt_count = 0  # refused or unanswered, since the last acknowledgement
        self.retry_ns: int | None = None
        self.requests: list[int] = []  # changes that the next acknowledgement completes
        self.deferred: list[Changing] = []  # changes to be sent once it is acknowledged
        self.escalation = escalation
        self.back_off = back_off

    def __repr__(self) -> str:
        return f"<subscription {self.id} {self.channel} sid {self.sid} {self.state.value}>"

    def take_requests(self) -> list[int]:
        """Return and forget the changes that waited for an acknowledgement."""
        requests = [*self.requests, *(one for change in self.deferred for one in change.requests)]
        self.requests, self.deferred = [], []
        return requests

    @property
    def has_books(self) -> bool:
        """Whether its frames are order books."""
        return self.channel == BOOKS

    def covers(self, market: str) -> bool:
        """Say whether frames about `market` belong to it; "" stands for no market."""
        return not self.markets or not market or market in self.markets

    def wire_parameters(self) -> dict[str, Any]:
        """Return what to send: as given, but with the markets of now (K40)."""
        fields = msgspec.to_builtins(self.parameters)
        parameters: dict[str, Any] = fields.pop("extra")
        parameters |= {name: value for name, value in fields.items() if value is not None}
        if tuple(self.markets) != self.parameters.markets:
            parameters.pop("market_ticker", None)
            parameters["market_tickers"] = list(self.markets)
        if self.has_books:
            parameters["send_initial_snapshot"] = True  # K45
        return parameters

    def gauges(self, now_ns: int) -> dict[str, int]:
        """Return its statistics and how things stand now."""
        states = [ladders.state for ladders in self.books.values()]
        counts: dict[str, int] = msgspec.structs.asdict(self.statistics)
        last_ns = counts.pop("last_frame_ns")
        return {
            **counts,
            "last_frame_age_ns": now_ns - last_ns if last_ns else -1,  # -1: none came yet
            "books_live": states.count(BookState.LIVE),
            "books_resyncing": states.count(BookState.RESYNCING),
            "books_stale": states.count(BookState.STALE),
        }
