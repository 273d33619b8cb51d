"""What the configuration may say about a Tektii gateway that we trade through."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from framework.model.orders import OrderType
from framework.net.link_options import TransportName
from framework.settings.fields import FieldError

Url = Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$(?!\n)", max_length=512)]
Seconds = Annotated[float, Meta(gt=0, le=3_600)]
Wait = Annotated[float, Meta(ge=0, le=86_400)]
Rate = Annotated[float, Meta(gt=0, le=10_000)]
Timeframe = Literal["1m", "2m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "12h", "1d", "1w"]

TIMEFRAMES: dict[str, int] = {
    **{"1m": 60, "2m": 120, "5m": 300, "10m": 600, "15m": 900, "30m": 1_800},
    **{"1h": 3_600, "2h": 7_200, "4h": 14_400, "12h": 43_200, "1d": 86_400, "1w": 604_800},
}
"""Seconds of every timeframe of the protocol (6.1)."""


RELIABLE = (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT)


class TektiiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `settings:` of a venue with `adapter: tektii`.

    Attributes:
        url: the gateway's address; the stream is below it.
        api_key: a reference (`env:NAME`, `file:PATH`); "" for a gateway that is open.
        account: the account of this configuration that the gateway trades; "" without orders.
        currency: of instruments that are found on demand.
        allow_live: trade through platforms whose name ends in `-live`; refused otherwise.
        timeframes: candles asked for from the start; another one asked for later costs the feed a
            new connection.
        answer_s: how long a request about an order may take.
        read_s: how long any other request may take, repeats included.
        poll_s: how often open orders and trades are asked for beside the stream; 0: never.
        silence_s: a feed that had data and brings none for so long is connected anew, and longer
            waits follow as long as that does not help; 0: never.
        requests_per_s, burst, orders_per_s, orders_burst: our limits; what the gateway tells of
            its own in `/v1/capabilities` makes them tighter.
        order_types: what may be sent; what the gateway does not list is left out. Trailing stops
            are the core's unless named here: originals list them for platforms that refuse them.
        stop_trigger: the price that wakes the stops of the platform behind.
        unstated_size: what a quoted side without a size counts as: zero says that nobody quotes.
        visibility_ms: by how much answers may lag behind what the platform did.
        history_days: how far back the gateway tells of orders and trades.
    """

    url: Url = "http://127.0.0.1:8080"
    api_key: str = ""
    account: str = ""
    currency: Annotated[str, Meta(min_length=1, max_length=16)] = "USD"
    allow_live: bool = False
    timeframes: tuple[Timeframe, ...] = ("1m",)
    answer_s: Seconds = 5.0
    read_s: Seconds = 10.0
    poll_s: Wait = 5.0
    silence_s: Wait = 60.0
    requests_per_s: Rate = 20.0
    burst: Rate = 60.0
    orders_per_s: Rate = 10.0
    orders_burst: Rate = 20.0
    order_types: tuple[OrderType, ...] = RELIABLE
    stop_trigger: Literal["last", "bid_ask"] = "last"
    unstated_size: Annotated[float, Meta(ge=0, le=1e15)] = 1.0
    visibility_ms: Annotated[int, Meta(ge=0, le=600_000)] = 1_000
    history_days: Annotated[int, Meta(ge=1, le=3_650)] = 1
    transport: TransportName = "auto"

    def __post_init__(self) -> None:
        if not self.order_types:
            raise FieldError("order_types", "names none: leave `account` out to trade nothing")
