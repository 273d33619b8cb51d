"""Symbols that answer with an error on purpose, so that clients can be tried out (spec 16.2, 12).

SIM.RATELIMIT    429 RATE_LIMITED, again after a second
SIM.UNAVAILABLE  503 PROVIDER_UNAVAILABLE
SIM.NOTFOUND     404 SYMBOL_NOT_FOUND
SIM.REJECT       orders: 422 ORDER_REJECTED, MARKET_CLOSED; quotes are as ever
SIM.ERROR        502 PROVIDER_ERROR
"""

from collections.abc import Callable, Mapping

from adapters.tektii.server_errors import (
    GatewayRefusal,
    provider_error,
    rate_limited,
    rejected,
    symbol_not_found,
    unavailable,
)

REJECTED_SYMBOL = "SIM.REJECT"
_REFUSALS: Mapping[str, Callable[[str], GatewayRefusal]] = {
    "SIM.RATELIMIT": lambda provider: rate_limited(f"{provider} asks for a pause of 1 s", 1.0),
    "SIM.UNAVAILABLE": lambda provider: unavailable(f"{provider} cannot be reached"),
    "SIM.NOTFOUND": lambda provider: symbol_not_found("SIM.NOTFOUND"),
    "SIM.ERROR": lambda provider: provider_error(f"{provider} broke its own rules", provider),
}


class Scenarios:
    """The scenarios of one gateway; nothing happens where they are off."""

    def __init__(self, provider: str, *, is_on: bool) -> None:
        self._provider = provider
        self._is_on = is_on

    def scenario(self, symbol: str, *, is_order: bool) -> GatewayRefusal | None:
        """Return what a symbol is to be refused with, None for all but a few."""
        if not self._is_on or not symbol.startswith("SIM."):
            return None
        if symbol == REJECTED_SYMBOL:
            return rejected("the market is closed", self._provider) if is_order else None
        refusal = _REFUSALS.get(symbol)
        return None if refusal is None else refusal(self._provider)
