"""The wire profiles and the channels: who may subscribe, what filters, what carries `seq`.

Source: sections 1 and 7 of the protocol notes.
"""

from enum import StrEnum
from typing import Literal

import msgspec


class Profile(StrEnum):
    """A generation of the venue's wire."""

    LEGACY = "legacy"  # 2025: cents and whole contracts beside the strings
    SEED = "seed"  # spring 2026: strings only
    CURRENT = "current"  # autumn 2026: direction fields, `ts_ms`, more `seq`


ALWAYS = frozenset(Profile)
NEVER: frozenset[Profile] = frozenset()
NOW = frozenset({Profile.CURRENT})


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says about one channel."""

    name: str
    markets: Literal["required", "optional", "ignored"] = "ignored"
    is_private: bool = False
    sequenced: frozenset[Profile] = NEVER  # the profiles whose frames carry `seq`
    exists: frozenset[Profile] = ALWAYS
    takes_market_ids: bool = False
    needs: tuple[str, int] | None = None  # a parameter, and the error without it


_CHANNELS = (
    Channel(name="ticker", markets="optional", takes_market_ids=True),
    Channel(name="trade", markets="optional", sequenced=NOW),
    Channel(name="orderbook_delta", markets="required", sequenced=ALWAYS),
    Channel(name="market_lifecycle_v2", sequenced=NOW),
    Channel(name="multivariate", exists=ALWAYS - NOW),
    Channel(name="multivariate_market_lifecycle", sequenced=NOW),
    Channel(name="fill", markets="optional", is_private=True),
    Channel(name="user_orders", markets="optional", is_private=True),
    Channel(name="market_positions", markets="optional", is_private=True),
    Channel(name="order_group_updates", is_private=True, sequenced=ALWAYS),
    Channel(name="communications", is_private=True, sequenced=NOW),
    *(  # they can be subscribed to, and say what is injected
        Channel(name=name, is_private=True, sequenced=NOW, exists=NOW, needs=needs)
        for name, needs in (
            ("cfbenchmarks_value", ("index_ids", 24)),
            ("cfbenchmarks_value_5hz", ("index_ids", 24)),
            ("pyth_value", ("underlying_tickers", 28)),
        )
    ),
)

CHANNELS = {
    profile: {channel.name: channel for channel in _CHANNELS if profile in channel.exists}
    for profile in Profile
}
