"""The broker simulator's own wire: one JSON object per line, requests in, answers and pushes out.

Written without the framework's types on purpose: what an order is called here is the broker's
word for it. Every answer repeats the number of its request; pushes carry none. Money and
quantities travel as decimal text.
"""

from decimal import Decimal
from typing import Any

import msgspec

LONGEST_LINE = 8_000_000


class BadLine(Exception):
    """A line that is no message of this protocol."""


# -- rows: what the broker says about things -------------------------------------------------------


class OrderRow(msgspec.Struct, frozen=True):
    """One order; `status` is working, filled, cancelled or rejected."""

    venue_order_id: str
    client_id: str
    symbol: str
    side: str
    type: str
    quantity: Decimal
    filled: Decimal
    status: str
    time_ns: int
    revision: int = 0
    price: Decimal | None = None
    stop_price: Decimal | None = None
    reason: str = ""


class ExecutionRow(msgspec.Struct, frozen=True):
    """One execution as it stands: a busted one has the quantity zero."""

    execution_id: str
    venue_order_id: str
    client_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    currency: str
    time_ns: int
    is_corrected: bool = False


class PositionRow(msgspec.Struct, frozen=True):
    """What an account holds of a symbol, signed."""

    symbol: str
    quantity: Decimal


class BalanceRow(msgspec.Struct, frozen=True):
    """An account's cash of one currency."""

    currency: str
    total: Decimal


class Spoken(msgspec.Struct, frozen=True, tag_field="say"):
    """Anything that travels as a line of its own."""


# -- requests --------------------------------------------------------------------------------------


class Login(Spoken, frozen=True, tag="login"):
    """The first line of a session; `symbols` are those whose prices it wants."""

    request: int
    account: str
    symbols: tuple[str, ...] = ()


class Submit(Spoken, frozen=True, tag="submit"):
    """Send an order; the broker does not mind a client id it has seen before."""

    request: int
    client_id: str
    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: str = "gtc"
    reduce_only: bool = False


class Cancel(Spoken, frozen=True, tag="cancel"):
    """Take an order back."""

    request: int
    client_id: str


class Modify(Spoken, frozen=True, tag="modify"):
    """Change an order; None leaves a value as it is."""

    request: int
    client_id: str
    revision: int
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None


class AskOrder(Spoken, frozen=True, tag="ask_order"):
    """Ask for one order, open or past, by client id."""

    request: int
    client_id: str


class AskOpenOrders(Spoken, frozen=True, tag="ask_open_orders"):
    """Ask for every working order."""

    request: int


class AskExecutions(Spoken, frozen=True, tag="ask_executions"):
    """Ask for every execution since then, oldest first."""

    request: int
    since_ns: int


class AskPositions(Spoken, frozen=True, tag="ask_positions"):
    """Ask for what the account holds."""

    request: int


class AskBalances(Spoken, frozen=True, tag="ask_balances"):
    """Ask for the account's cash."""

    request: int


class Control(Spoken, frozen=True, tag="control"):
    """A word from the test, not from a client: see `server.Server.control`."""

    request: int
    verb: str
    arguments: dict[str, Any] = {}


# -- answers ---------------------------------------------------------------------------------------


class LoggedIn(Spoken, frozen=True, tag="logged_in"):
    """The session is open."""

    request: int
    time_ns: int


class Done(Spoken, frozen=True, tag="done"):
    """The request was carried out; `order` is as it stands after it."""

    request: int
    order: OrderRow


class Refused(Spoken, frozen=True, tag="refused"):
    """The request was not carried out."""

    request: int
    reason: str
    time_ns: int


class OrderAnswer(Spoken, frozen=True, tag="order_answer"):
    """The order that was asked for; None: there is no such order (yet)."""

    request: int
    order: OrderRow | None
    time_ns: int


class OrdersAnswer(Spoken, frozen=True, tag="orders_answer"):
    """Every working order."""

    request: int
    orders: tuple[OrderRow, ...]
    time_ns: int


class ExecutionsAnswer(Spoken, frozen=True, tag="executions_answer"):
    """The executions that were asked for."""

    request: int
    executions: tuple[ExecutionRow, ...]
    time_ns: int


class PositionsAnswer(Spoken, frozen=True, tag="positions_answer"):
    """What the account holds."""

    request: int
    positions: tuple[PositionRow, ...]
    time_ns: int


class BalancesAnswer(Spoken, frozen=True, tag="balances_answer"):
    """The account's cash."""

    request: int
    balances: tuple[BalanceRow, ...]
    time_ns: int


class ControlAnswer(Spoken, frozen=True, tag="control_answer"):
    """What a control verb gave back."""

    request: int
    result: Any = None


# -- pushes ----------------------------------------------------------------------------------------


class OrderPush(Spoken, frozen=True, tag="order"):
    """An order changed."""

    order: OrderRow


class ExecutionPush(Spoken, frozen=True, tag="execution"):
    """An order was filled, or an earlier execution was corrected."""

    execution: ExecutionRow


class PricePush(Spoken, frozen=True, tag="price"):
    """A symbol's best prices."""

    symbol: str
    bid: float
    ask: float
    time_ns: int


class Heartbeat(Spoken, frozen=True, tag="heartbeat"):
    """The broker is there."""

    time_ns: int


Command = Submit | Cancel | Modify
Question = AskOrder | AskOpenOrders | AskExecutions | AskPositions | AskBalances
Request = Login | Command | Question | Control
Answer = (
    LoggedIn
    | Done
    | Refused
    | OrderAnswer
    | OrdersAnswer
    | ExecutionsAnswer
    | PositionsAnswer
    | BalancesAnswer
    | ControlAnswer
)
Push = OrderPush | ExecutionPush | PricePush | Heartbeat
Message = Answer | Push

_encoder = msgspec.json.Encoder()
_requests = msgspec.json.Decoder(Request)
_messages = msgspec.json.Decoder(Message)


def encode(message: Request | Message) -> bytes:
    """Return `message` as one line."""
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Read a line that a client sent. Raises BadLine."""
    try:
        request: Request = _requests.decode(line)
    except msgspec.MsgspecError as error:
        raise BadLine(f"{line[:80]!r}: {error}") from error
    return request


def decode_message(line: bytes) -> Message:
    """Read a line that the broker sent. Raises BadLine."""
    try:
        message: Message = _messages.decode(line)
    except msgspec.MsgspecError as error:
        raise BadLine(f"{line[:80]!r}: {error}") from error
    return message


class Lines:
    """Cuts a stream of bytes into lines, however it arrives."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived and return the lines that are whole now. Raises BadLine."""
        self._rest += data
        *whole, rest = self._rest.split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise BadLine(f"a line of more than {LONGEST_LINE} bytes")
        self._rest = rest
        return [bytes(line) for line in whole]
