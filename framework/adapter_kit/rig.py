"""What the adapter kit asks of a simulated venue: to be started, watched, and broken on purpose.

A rig is one simulated venue on the running `SimulatedLoop`, reached over its in-memory network.
An adapter package offers it as `rig(seed)` in its module `venue`; a third party's package by an
entry point of the group `headrace.rigs`. Prices and sizes are floats as in market data, orders
carry Decimals.

The venue is busy: books change several times a second, and the first symbol has a history of 2,500
minutes. It has limits: 150 orders at once are more than it takes.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Protocol

import msgspec

from framework.model.market_data import Level
from framework.model.orders import Side


class Fault(Enum):
    """What can be done to an adapter by its venue."""

    LOSE = "lose"  # the next `count` market data frames
    REPEAT = "repeat"  # each of the next `count` market data frames comes twice
    SWAP = "swap"  # `count` times two market data frames come in the wrong order
    GARBLE = "garble"  # the next `count` market data frames cannot be read
    CUT = "cut"  # every connection breaks now
    REFUSE = "refuse"  # nobody gets a connection for `duration_s`
    MUTE = "mute"  # open connections bring no data any more, and stay open, for `duration_s`
    LOSE_ANSWER = "lose_answer"  # the next `count` order requests are executed and not answered
    NO_SNAPSHOT = "no_snapshot"  # no snapshot is given for `duration_s`
    TOO_MANY = "too_many"  # the next `count` requests are answered by "too many"


class VenueOrder(msgspec.Struct, frozen=True):
    """One order as the venue has it; `client_id` is ours, "" if none."""

    client_id: str
    symbol: str
    side: Side
    quantity: Decimal
    filled: Decimal
    is_open: bool


class Terms(msgspec.Struct, frozen=True):
    """An order that makes sense at this moment."""

    side: Side
    price: Decimal
    quantity: Decimal


class VenueRig(Protocol):
    """One simulated venue under the kit's control.

    Attributes:
        venue: its name in a configuration.
        symbols: at least two instruments whose books move; the first is traded.
        account: the account whose keys the section carries.
        heartbeat_s: how often a healthy connection says something.
        faults: what `inflict` can do here; checks that need another one are skipped, and said so.
    """

    venue: str
    symbols: Sequence[str]
    account: str
    heartbeat_s: float
    faults: frozenset[Fault]

    async def start(self) -> Mapping[str, object]:
        """Listen, let the market move, and return the section for the adapter's `build`."""

    async def aclose(self) -> None: ...
    def inflict(self, fault: Fault, *, count: int = 1, duration_s: float = 0.0) -> None: ...
    def heal(self) -> None:
        """End every fault."""

    def watch_book(
        self, symbol: str, on_change: Callable[[Sequence[Level], Sequence[Level]], None]
    ) -> None:
        """Call `on_change(bids, asks)`, best first, now and after each change of the true book."""

    def passive(self, side: Side) -> Terms:
        """Return an order for the first symbol that rests: of three lots or more, and not at
        the very end of the price grid.
        """

    def marketable(self, side: Side) -> Terms:
        """Return an order for the first symbol that fills at once, and in whole."""

    def trade_against(self, client_id: str, quantity: Decimal) -> None:
        """Have another account fill so much of a resting order of ours."""

    def place_foreign(self, terms: Terms) -> str:
        """Give an order in our account that our adapter did not send; return the venue's id."""

    def orders(self) -> Sequence[VenueOrder]:
        """Return every order of our account, open or past."""

    def position(self, symbol: str) -> Decimal:
        """Return what our account holds, signed."""

    def taken_count(self, client_id: str) -> int:
        """Return how many orders with that id the venue has ever taken: 2 is a disaster."""

    def logins(self) -> Sequence[str]:
        """Return a text per connection attempt that differs where the credentials do."""

    def too_many_count(self) -> int:
        """Return how many requests were refused because there were too many of them."""

    @property
    def connection_count(self) -> int:
        """Open connections to streams."""
