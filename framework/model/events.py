"""The tagged union of everything that can happen, and the channel each event travels in."""

from enum import Enum

import msgspec

from framework.model.account import Account, CashBooked, Position, Settled
from framework.model.instrument import InstrumentChanged
from framework.model.market_data import (
    BookChanged,
    BookDelta,
    BookSnapshot,
    Candle,
    Funding,
    MarketStatus,
    MarkPrice,
    Quote,
    Ticker,
    Trade,
)
from framework.model.orders import Fill, FillCorrected, Order


class ConnectionState(Enum):
    """Where a link to a venue stands."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    STREAMING = "streaming"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"


class Timer(msgspec.Struct, frozen=True, gc=False, tag="timer"):
    """A timer of a subscriber fired; `missed` counts earlier firings that this one stands for."""

    name: str
    owner: str
    time_ns: int
    due_ns: int
    missed: int = 0


class RunStarted(msgspec.Struct, frozen=True, gc=False, tag="run_started"):
    """A session of a run begins; its strategy hears `on_start`."""

    run: str
    session: int
    time_ns: int


class RunStopping(msgspec.Struct, frozen=True, gc=False, tag="run_stopping"):
    """A session of a run ends: orderly (`on_stop`) or because it was halted (`on_halt`)."""

    run: str
    time_ns: int
    reason: str = ""
    is_halt: bool = False


class TradingStarted(msgspec.Struct, frozen=True, gc=False, tag="trading_started"):
    """The log is read and every account reconciled: what the core keeps goes on from here."""

    time_ns: int


class AccountReconciled(msgspec.Struct, frozen=True, gc=False, tag="account_reconciled"):
    """How an account stands is known (again): orders may go to it."""

    account: str
    time_ns: int


class OperatorAsked(msgspec.Struct, frozen=True, gc=False, tag="operator_asked"):
    """A person asks for something; `request` is the request as JSON."""

    request: str
    time_ns: int


class ConnectionChanged(msgspec.Struct, frozen=True, gc=False, tag="connection_changed"):
    """The link of a venue's feed or broker changed state."""

    venue: str
    link: str
    state: ConnectionState
    time_ns: int
    reason: str = ""


class GapDetected(msgspec.Struct, frozen=True, gc=False, tag="gap_detected"):
    """Numbers are missing in a stream: what is built on it is stale until `Resynced`."""

    instrument: str
    stream: str
    expected: int
    received: int
    time_ns: int


class Resynced(msgspec.Struct, frozen=True, gc=False, tag="resynced"):
    """A stream is whole again from `sequence` on."""

    instrument: str
    stream: str
    sequence: int
    time_ns: int


class DataStale(msgspec.Struct, frozen=True, gc=False, tag="data_stale"):
    """A stream has been silent for longer than it should be."""

    instrument: str
    stream: str
    age_ns: int
    time_ns: int


class Overflowed(msgspec.Struct, frozen=True, gc=False, tag="overflowed"):
    """A subscriber's channel overflowed and has ended."""

    subscriber: str
    channel: str
    capacity: int
    time_ns: int


class RateLimited(msgspec.Struct, frozen=True, gc=False, tag="rate_limited"):
    """A venue asked for a pause."""

    venue: str
    retry_after_ns: int
    time_ns: int


class ErrorRaised(msgspec.Struct, frozen=True, gc=False, tag="error_raised"):
    """A subscriber's handler raised; `count` is how often that handler has done so."""

    subscriber: str
    handler: str
    error: str
    time_ns: int
    count: int = 1


class OrderAnomaly(msgspec.Struct, frozen=True, gc=False, tag="order_anomaly"):
    """A report contradicts what was known; it is booked all the same."""

    order_id: str
    run: str
    account: str
    instrument: str
    what: str
    time_ns: int


MarketEvent = (
    Quote
    | Trade
    | Candle
    | BookSnapshot
    | BookDelta
    | BookChanged
    | Ticker
    | MarkPrice
    | Funding
    | MarketStatus
    | InstrumentChanged
)
PrivateEvent = Order | Fill | FillCorrected | Position | Account | CashBooked | Settled
SystemEvent = (
    ConnectionChanged
    | GapDetected
    | Resynced
    | DataStale
    | Overflowed
    | RateLimited
    | ErrorRaised
    | OrderAnomaly
)
RunEvent = RunStarted | RunStopping
CoreEvent = TradingStarted | AccountReconciled | OperatorAsked
Event = MarketEvent | PrivateEvent | Timer | RunEvent | CoreEvent | SystemEvent
