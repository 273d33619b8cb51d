"""How the client behaves where rules and better habits differ."""

import msgspec

from adapters.kalshi.policy import TO_THE_LETTER as POLICY_TO_THE_LETTER
from adapters.kalshi.policy import Policy
from adapters.kalshi.settings import SILENCE_S
from framework.bus.overflow import Overflow
from framework.net.link_options import LinkOptions
from framework.net.rest import RestOptions

CHANNELS = (
    "ticker",
    "trade",
    "orderbook_delta",
    "market_lifecycle_v2",
    "multivariate",
    "multivariate_market_lifecycle",
    "fill",
    "user_orders",
    "market_positions",
    "order_group_updates",
    "communications",
)
"""The wire channels whose messages are known here; any other can be subscribed to as well."""

EXECUTION_CHANNELS = ("fill", "user_orders", "market_positions")
SEQUENCED_CHANNELS = ("orderbook_delta", "order_group_updates")


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The defaults are what we think best (B); `TO_THE_LETTER` is what the rules say (K).

    Attributes:
        maxsize, book_maxsize: messages or whole books that wait for one consumer (K11).
        lossless: wire channels whose full queues are an error; the others drop the oldest (K12,
            B11).
        is_fail_fast: one overflow, or one subscription that the venue ends, ends the connection
            and with it every iterator (K16, K17); else only itself.
        delivers_unread: what cannot be decoded is delivered as the JSON object that came (B19,
            B21); else it is only reported (K56).
        callback_budget_s: a callback that takes longer is warned about (B18).
        quiet_s: books that hear nothing for so long are asked for, and after twice that
            subscribed anew (B12); None: never.
        most_markets: that consumers share one subscription for; the venue has a limit of its own.
        farewell_s: what callbacks and hooks get to finish when the client closes.
    """

    policy: Policy = Policy()
    link: LinkOptions = LinkOptions(retries_first_connect=False, silence_s=SILENCE_S)
    rest: RestOptions = RestOptions()
    maxsize: int = 1_000
    book_maxsize: int = 100
    lossless: tuple[str, ...] = (*SEQUENCED_CHANNELS, *EXECUTION_CHANNELS)
    is_fail_fast: bool = False
    delivers_unread: bool = True
    callback_budget_s: float = 1.0
    quiet_s: float | None = 60.0
    most_markets: int = 200
    farewell_s: float = 5.0
    read_tokens_per_s: float = 200.0
    write_tokens_per_s: float = 100.0

    def overflow_of(self, channel: str) -> Overflow:
        """Return what a full queue of a channel does."""
        return Overflow.ERROR if channel in self.lossless else Overflow.DROP_OLDEST


TO_THE_LETTER = ClientSettings(
    policy=POLICY_TO_THE_LETTER,
    link=LinkOptions(retries_first_connect=False, floor_s=0.0, most_attempts=10, silence_s=None),
    lossless=SEQUENCED_CHANNELS,
    is_fail_fast=True,
    delivers_unread=False,
    quiet_s=None,
)
