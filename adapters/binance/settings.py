"""What the configuration may say about Binance."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from framework.settings.fields import FieldError

Url = Annotated[str, Meta(min_length=1, max_length=512)]
Seconds = Annotated[float, Meta(gt=0, le=3_600)]

INTERVALS = frozenset(
    ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")
)
"""The candles of the venue, but for its month: that has no fixed length."""


class BinanceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `settings:` of a Binance venue.

    Attributes:
        rest_url, stream_url, api_url: REST, market streams, and the WebSocket API that carries
            the user stream.
        account: the account of this configuration that the key trades; "" without orders.
        api_key, secret: references (`env:NAME`, `file:PATH`); of an Ed25519 key the PEM file.
        receive_window_ms: how late a signed request may reach the venue and still count.
        answer_s: how long a request may take; within the receive window, so that none of ours is
            carried out after we gave it up.
        depth: levels per side of a snapshot; what lies deeper is not in the book.
        stale_s: a subscribed stream without data for so long is announced as stale and asked for
            anew; 0 switches that off.
    """

    rest_url: Url = "https://api.binance.com"
    stream_url: Url = "wss://stream.binance.com:9443"
    api_url: Url = "wss://ws-api.binance.com:443/ws-api/v3"
    account: str = ""
    api_key: str = ""
    secret: str = ""
    key_type: Literal["hmac", "ed25519"] = "hmac"
    receive_window_ms: Annotated[int, Meta(ge=100, le=60_000)] = 5_000
    answer_s: Seconds = 5.0
    depth: Literal[100, 500, 1_000, 5_000] = 1_000
    stale_s: Annotated[float, Meta(ge=0, le=86_400)] = 60.0

    def __post_init__(self) -> None:
        given = [bool(self.account), bool(self.api_key), bool(self.secret)]
        if any(given) and not all(given):
            raise FieldError("account", "account, api_key and secret go together")
        if self.answer_s * 1_000 > self.receive_window_ms:
            raise FieldError("answer_s", f"is longer than {self.receive_window_ms} ms")
