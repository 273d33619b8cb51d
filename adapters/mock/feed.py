"""The synthetic market live: prices move with the clock, and faults happen on demand."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from random import Random

import anyio
import anyio.lowlevel

from adapters.mock.candles import MOST_PAST, Past, candles_of, joined
from adapters.mock.depth import SyntheticBook
from adapters.mock.process import PriceProcess
from adapters.mock.settings import Market, MockSettings, interval_ns
from adapters.mock.synthetic import quotes_of, trades_of
from framework.errors import UnknownInstrument, VenueError
from framework.interfaces import AdapterContext, TimerHandle
from framework.model.events import ConnectionChanged, ConnectionState, Event
from framework.model.market_data import Candle, Quote, Trade

CHANNELS = ("quotes", "trades", "candles", "book")
TURN_EVENTS = 256  # published per loop turn
BLOCK_STEPS = 256
RECOVERY_STEPS = 5  # from a lost delta to the snapshot that heals it
LINK = "feed"

Subscription = tuple[str, str, str]
"""Instrument, channel, and the interval of candles."""

