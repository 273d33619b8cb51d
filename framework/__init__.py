"""What a strategy author imports, and nothing else."""

from framework.errors import FrameworkError, OrderError
from framework.model.account import Account, CashBooked, Position, Settled
from framework.model.events import (
    ConnectionChanged,
    DataStale,
    ErrorRaised,
    GapDetected,
    Resynced,
    Timer,
)
from framework.model.instrument import Instrument
from framework.model.market_data import (
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
from framework.model.orders import (
    Fill,
    FillCorrected,
    Order,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from framework.strategy.context import PositionLike
from framework.strategy.handle import OrderHandle
from framework.strategy.strategy import Strategy

__all__ = [
    "Account",
    "BookDelta",
    "BookSnapshot",
    "Candle",
    "CashBooked",
    "ConnectionChanged",
    "DataStale",
    "ErrorRaised",
    "Fill",
    "FillCorrected",
    "FrameworkError",
    "Funding",
    "GapDetected",
    "Instrument",
    "MarkPrice",
    "MarketStatus",
    "Order",
    "OrderError",
    "OrderHandle",
    "OrderStatus",
    "OrderType",
    "Position",
    "PositionLike",
    "Quote",
    "Resynced",
    "Settled",
    "Side",
    "Strategy",
    "Ticker",
    "TimeInForce",
    "Timer",
    "Trade",
]
