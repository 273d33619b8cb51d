"""What a strategy author and an embedding program import, and nothing else."""

from typing import TYPE_CHECKING, Any

from framework.errors import FrameworkError, OrderError
from framework.interfaces import BookView
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
    MarketPhase,
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

if TYPE_CHECKING:
    from framework.runtime.runner import Runtime

__all__ = [
    "Account",
    "BookDelta",
    "BookSnapshot",
    "BookView",
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
    "MarketPhase",
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
    "Runtime",
    "Settled",
    "Side",
    "Strategy",
    "Ticker",
    "TimeInForce",
    "Timer",
    "Trade",
]


def __getattr__(name: str) -> Any:
    """Import `Runtime` when it is first asked for: a strategy alone does not need it."""
    if name == "Runtime":
        from framework.runtime.runner import Runtime

        return Runtime
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
