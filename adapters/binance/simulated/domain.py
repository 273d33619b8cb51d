"""What the simulated exchange keeps and tells of: listings, orders, trades, balances.

Amounts are in units (`amounts.py`), times in milliseconds. Background traders have no account: "".
"""

import msgspec

from framework.errors import VenueError

NOBODY = ""


class Refused(VenueError):
    """A request is refused: HTTP status, the venue's code, and its text."""

    def __init__(self, code: int, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol: its grid, its limits, and the price it starts at; tick × step is a whole unit."""

    symbol: str
    base: str
    quote: str
    tick: int
    step: int
    least_quantity: int
    most_quantity: int
    least_value: int
    start_price: int


class Order(msgspec.Struct, kw_only=True):
    """An order as the venue has it now; `locked` is what it binds of its owner's balance."""

    order_id: int
    client_id: str
    account: str
    symbol: str
    is_buy: bool
    type: str
    time_in_force: str
    price: int
    quantity: int
    created_ms: int
    updated_ms: int
    status: str = "NEW"
    executed: int = 0
    quote_executed: int = 0
    locked: int = 0

    @property
    def key(self) -> str:
        """What the book knows it by."""
        return str(self.order_id)

    @property
    def remaining(self) -> int:
        """What has not traded."""
        return self.quantity - self.executed

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.status in ("NEW", "PARTIALLY_FILLED")


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a trade, of an account."""

    trade_id: int
    symbol: str
    order_id: int
    account: str
    price: int
    quantity: int
    fee: int
    fee_asset: str
    time_ms: int
    is_buyer: bool
    is_maker: bool


class TradeMade(msgspec.Struct, frozen=True, kw_only=True):
    """Two orders traded: what the public hears."""

    symbol: str
    trade_id: int
    price: int
    quantity: int
    time_ms: int
    is_buyer_maker: bool


class BestChanged(msgspec.Struct, frozen=True):
    """The best bid or ask changed; a side without orders is (0, 0)."""

    symbol: str
    update_id: int
    bid: tuple[int, int]
    ask: tuple[int, int]


class OrderChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An account's order after a change; `cancel_id` is the client id of a cancellation."""

    order: Order
    execution_type: str
    time_ms: int
    execution: Execution | None = None
    cancel_id: str = ""


class BalancesChanged(msgspec.Struct, frozen=True):
    """An account's balances of some assets: (asset, free, locked)."""

    account: str
    time_ms: int
    balances: tuple[tuple[str, int, int], ...]


VenueEvent = TradeMade | BestChanged | OrderChanged | BalancesChanged
