"""What Binance is asked, as parameters: pure.

Source: "Public REST API for Binance", New order (TRADE) and Signed Endpoint security.
"""

from collections.abc import Callable
from decimal import Decimal
from urllib.parse import urlencode

import msgspec

from framework.model.commands import SubmitOrder
from framework.model.identity import symbol_of
from framework.model.orders import OrderType, TimeInForce

Parameters = tuple[tuple[str, str], ...]
Sign = Callable[[str], str]
"""From the text that is signed to the signature as it is sent."""

ORDER_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT})
TIMES_IN_FORCE = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}


class Credentials(msgspec.Struct, frozen=True):
    """A key's name, how it signs, and for how long a request of its is good."""

    api_key: str
    sign: Sign
    receive_window_ms: int

    def signed(self, parameters: Parameters, now_ms: int) -> Parameters:
        """Return the parameters of a signed HTTP request made now."""
        dated = (
            *parameters,
            ("recvWindow", str(self.receive_window_ms)),
            ("timestamp", str(now_ms)),
        )
        return (*dated, ("signature", self.sign(urlencode(dated))))

    def subscription(self, number: int, now_ms: int) -> bytes:
        """Return the frame that asks for the user stream; what is signed is sorted by name.

        Source: "WebSocket API for Binance", userDataStream.subscribe.signature.
        """
        parameters: dict[str, str | int] = {
            "apiKey": self.api_key,
            "recvWindow": self.receive_window_ms,
            "timestamp": now_ms,
        }
        parameters["signature"] = self.sign(urlencode(parameters))
        method = "userDataStream.subscribe.signature"
        return msgspec.json.encode({"id": number, "method": method, "params": parameters})


def flaw_of(command: SubmitOrder) -> str:
    """Return why an order cannot be said in the venue's words, "" where it can."""
    intent = command.intent
    if intent.type not in ORDER_TYPES:
        return f"no order type {intent.type.value}"
    if intent.type is OrderType.LIMIT and intent.price is None:
        return "a limit order without a price"
    if intent.time_in_force not in TIMES_IN_FORCE:
        return f"no time in force {intent.time_in_force.value}"
    return ""


def order_parameters(command: SubmitOrder) -> Parameters:
    """Return the parameters of a new order that has no flaw; our order id is its client id."""
    intent = command.intent
    parameters = [
        ("symbol", symbol_of(intent.instrument)),
        ("side", intent.side.value.upper()),
        ("type", _type(command)),
        ("quantity", plain(command.quantity)),
    ]
    if intent.type is OrderType.LIMIT and intent.price is not None:
        parameters.append(("price", plain(intent.price)))
        if not intent.post_only:
            parameters.append(("timeInForce", TIMES_IN_FORCE[intent.time_in_force]))
    parameters += [("newClientOrderId", command.order_id), ("newOrderRespType", "FULL")]
    return tuple(parameters)


def _type(command: SubmitOrder) -> str:
    if command.intent.type is OrderType.MARKET:
        return "MARKET"
    return "LIMIT_MAKER" if command.intent.post_only else "LIMIT"


def plain(value: Decimal) -> str:
    """Return an amount without exponent."""
    return format(value, "f")
