"""Why an order was refused, in the protocol's words: one table from reasons to codes (spec 5.3).

The gate's checks and the simulated venue give sentences, real venues whatever they like; the first
row that a sentence fits says what it is called. What no row knows is UNKNOWN, with its sentence.
"""

import re
from functools import lru_cache

import msgspec

from adapters.tektii.wire import RejectReason

UNSUPPORTED = "UNSUPPORTED"
UNAVAILABLE = "UNAVAILABLE"


class Rejection(msgspec.Struct, frozen=True):
    """What a reason is called: `reject_code` is canonical where spec 5.3 has one.

    With `is_unsupported` it is no rejection but a 501 (the code is the operation), with
    `is_unavailable` a 503: the same order may pass later.
    """

    reject_reason: RejectReason
    reject_code: str
    is_unsupported: bool = False
    is_unavailable: bool = False
    numbers: tuple[tuple[str, str], ...] = ()

    def details(self) -> dict[str, str]:
        """Return the details of the 422."""
        return {
            "reject_code": self.reject_code,
            "reject_reason": self.reject_reason.value,
            **dict(self.numbers),
        }


_R = RejectReason
_ROWS: tuple[tuple[str, RejectReason, str], ...] = (
    (r"\breduce[- _]only .* does not fit|nothing left to reduce|reduce[- _]?only",
     _R.REDUCE_ONLY_VIOLATED, "REDUCE_ONLY_VIOLATED"),
    (r"post[- _]?only", _R.POST_ONLY_VIOLATED, "POST_ONLY_VIOLATED"),
    (r"\(require_cash\)|insufficient[ _](balance|funds|cash)|not enough (balance|cash|funds)",
     _R.INSUFFICIENT_BALANCE, "INSUFFICIENT_FUNDS"),
    (r"margin|buying power|not enough|insufficient|\bleverage\b",
     _R.INSUFFICIENT_MARGIN, "INSUFFICIENT_FUNDS"),
    (r"market of .* is|market (is )?(closed|halted)|outside (of )?trading hours|market_closed",
     _R.MARKET_CLOSED, "MARKET_CLOSED"),
    (r"has expired|is an index|not among allowed_instruments|unknown (instrument|symbol)"
     r"|invalid symbol|not tradable|not tradeable",
     _R.SYMBOL_NOT_TRADEABLE, "INVALID_SYMBOL"),
    (r"quote quantity|max_order_quantity|\bquantity\b.*(\blot\b|positive|minimum|maximum"
     r"|not a decimal|out of range)|\blot[ _]size\b",
     _R.INVALID_QUANTITY, "INVALID_QUANTITY"),
    (r"\bprice\b.*(\btick\b|positive|minimum|maximum|not a decimal|out of range|collar)"
     r"|takes no (price|stop price)|needs a (price|stop price|trail)|price filter"
     r"|wrong sides?\b|(losing|winning) side|(stop_loss|take_profit|trail\w*) must be",
     _R.INVALID_PRICE, "INVALID_PRICE"),
    (r"orders within .* reach|max_open_orders|rate limit|too many (orders|requests)"
     r"|asks for a pause", _R.RATE_LIMITED, "RATE_LIMITED"),
    (r"market data of .* is stale|reference price", _R.UNKNOWN, "NO_PRICE"),
    (r"\bnotional\b|\ballocation\b|max_daily_loss|max_same_direction_fills|duplicate_window_ms"
     r"|not among allowed_|would trade with an own", _R.UNKNOWN, "RISK_LIMIT"),
)  # fmt: skip
_TABLE = tuple(
    (re.compile(pattern, re.IGNORECASE), reason, code) for pattern, reason, code in _ROWS
)
_HALTED = re.compile(r"^(halted|reducing only|paused): |^run .* is (paused|closed)\b")
_LACKING = re.compile(r"^(?P<what>[a-z_ ]+) is not supported$")
_LATER = re.compile(
    r"is not reconciled|not sent|too late|not connected|no connection|unavailable"
    r"|journal cannot be written",
    re.IGNORECASE,
)
_NEED = re.compile(r"needs? (?P<required>-?[0-9.]+)\b.*?\bhas (?P<available>-?[0-9.]+)")
_BELOW = re.compile(
    r"(?P<available>-?[0-9.]+) .*(?:is below|does not cover|below the required)\D*"
    r"(?P<required>-?[0-9.]+)"
)


@lru_cache(maxsize=1_024)
def rejection(reason: str) -> Rejection:
    """Return what a reason of the gate or of a venue is called."""
    if _HALTED.match(reason):  # whatever somebody wrote as its cause
        return Rejection(_R.UNKNOWN, "TRADING_HALTED")
    lacking = _LACKING.match(reason)
    if lacking is not None:
        operation = lacking["what"].strip().replace(" ", "_")
        return Rejection(_R.UNKNOWN, operation, is_unsupported=True)
    if _LATER.search(reason):
        return Rejection(_R.UNKNOWN, UNAVAILABLE, is_unavailable=True)
    for pattern, name, code in _TABLE:
        if pattern.search(reason):
            return Rejection(name, code, numbers=_numbers(reason, code))
    return Rejection(_R.UNKNOWN, "REJECTED")


def reject_reason(reason: str) -> RejectReason:
    """Return the reason that a refused order shows."""
    return rejection(reason).reject_reason


def _numbers(reason: str, code: str) -> tuple[tuple[str, str], ...]:
    if code != "INSUFFICIENT_FUNDS":
        return ()
    found = _NEED.search(reason) or _BELOW.search(reason)
    if found is None:
        return ()
    return ("required", found["required"]), ("available", found["available"])
