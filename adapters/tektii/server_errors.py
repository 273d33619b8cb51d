"""Every refusal of the gateway in its one envelope: `{code, message, details?}` (spec 5)."""

import re
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from msgspec import UNSET

from adapters.tektii import wire
from adapters.tektii.server_rejections import rejection
from framework.errors import (
    AccessRefused,
    Forbidden,
    FrameworkError,
    InvariantBroken,
    JournalError,
    NotFound,
    OrderError,
    RateLimited,
    RequestRefusedByVenue,
    UnknownInstrument,
    UnknownOrder,
    VenueError,
    VenueUnavailable,
)
from framework.server.door import Answer, RefusalKind, Refused
from framework.settings.secrets import redact

MASK = "***"
_SECRET = re.compile(
    r"(?i)\b((?:x-)?(?:api[_-]?|access[_-]?|private[_-]?)?(?:key|token|secret)"
    r"|passw(?:or)?d|passphrase|authorization|secret[_-]?key|signature)"
    r"(\"?\s*[=:]\s*\"?)((?:bearer|basic)\s+)?([^\s,;&\"']+)"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+([^\s,;&\"']{8,})")
_LONGEST = 64  # characters of what came in that are shown again

_TOOLKIT: Mapping[RefusalKind, tuple[int, str]] = {
    RefusalKind.MISSING_TOKEN: (401, "UNAUTHORIZED"),
    RefusalKind.INVALID_TOKEN: (401, "UNAUTHORIZED"),
    RefusalKind.FORBIDDEN: (403, "FORBIDDEN"),
    RefusalKind.HOST: (403, "FORBIDDEN"),
    RefusalKind.ORIGIN: (403, "FORBIDDEN"),
    RefusalKind.NO_ROUTE: (404, "INVALID_REQUEST"),
    RefusalKind.NO_METHOD: (405, "INVALID_REQUEST"),
    RefusalKind.MEDIA_TYPE: (400, "INVALID_REQUEST"),
    RefusalKind.TOO_LARGE: (413, "INVALID_REQUEST"),
    RefusalKind.INVALID: (400, "INVALID_REQUEST"),
    RefusalKind.TOO_MANY: (429, "RATE_LIMITED"),
    RefusalKind.BUSY: (503, "PROVIDER_UNAVAILABLE"),
    RefusalKind.STOPPING: (503, "SHUTTING_DOWN"),
    RefusalKind.TIMED_OUT: (504, "PROVIDER_UNAVAILABLE"),
}
_KEY_CODES = {
    RefusalKind.MISSING_TOKEN: "MISSING_API_KEY",
    RefusalKind.INVALID_TOKEN: "INVALID_API_KEY",
}
REFUSALS: Mapping[int, type] = dict.fromkeys(
    (400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 501, 502, 503, 504), wire.ErrorBody
)


class GatewayRefusal(FrameworkError):
    """A request that the gateway refuses, as it is answered."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Any = UNSET,
        *,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.retry_after_s = retry_after_s


# -- what the gateway itself refuses -----------------------------------------------------------


def missing(field: str, reason: str) -> GatewayRefusal:
    """Something is needed that is not there, or cannot be read."""
    return GatewayRefusal(400, "INVALID_REQUEST", reason, {"field": field})


def invalid(field: str, provided: object, reason: str) -> GatewayRefusal:
    """A value makes no sense."""
    message = f"Invalid value for {field}: {reason}"
    shown = None if provided is None else shortened(provided)
    return GatewayRefusal(400, "INVALID_VALUE", message, {"field": field, "provided": shown})


def out_of_bounds(
    field: str, code: str, message: str, params: Mapping[str, object]
) -> GatewayRefusal:
    """A field breaks its own rule: `code` is `length` or `range`."""
    found = {"code": code, "message": message, "params": dict(params)}
    return GatewayRefusal(400, "VALIDATION_ERROR", f"{field}: {message}", {field: [found]})


def not_found(resource: str, name: str) -> GatewayRefusal:
    """There is no such `order`, `position` or `oco_group`."""
    what = {"resource": resource, "id": shortened(name, 256)}
    return GatewayRefusal(
        404, f"{resource.upper()}_NOT_FOUND", f"There is no {resource} {what['id']!r}", what
    )


def symbol_not_found(symbol: str) -> GatewayRefusal:
    """No venue of the gateway has that symbol."""
    shown = shortened(symbol, 256)
    return GatewayRefusal(
        404, "SYMBOL_NOT_FOUND", f"There is no symbol {shown!r}", {"symbol": shown}
    )


def ambiguous_symbol(symbol: str, instruments: Sequence[str]) -> GatewayRefusal:
    """A symbol could be several instruments: all are named."""
    return invalid("symbol", symbol, f"it could be {' or '.join(instruments)}")


def not_modifiable(order_id: str, reason: str) -> GatewayRefusal:
    """An order cannot be changed or taken back as it stands."""
    return GatewayRefusal(409, "ORDER_NOT_MODIFIABLE", reason, {"order_id": order_id})


def conflict(reason: str, details: Any = UNSET) -> GatewayRefusal:
    """What was asked for contradicts what there is."""
    return GatewayRefusal(409, "ORDER_NOT_MODIFIABLE", reason, details)


def rejected(reason: str, provider: str) -> GatewayRefusal:
    """An order was refused by the gate or its venue, with their reason (spec 5.3)."""
    found = rejection(reason)
    if found.is_unsupported:
        return unsupported(found.reject_code, provider, reason)
    if found.is_unavailable:
        return GatewayRefusal(503, "PROVIDER_UNAVAILABLE", f"Provider unavailable: {reason}")
    return GatewayRefusal(422, "ORDER_REJECTED", f"Order rejected: {reason}", found.details())


def duplicate(client_order_id: str, order_id: str) -> GatewayRefusal:
    """A client's order id was used for an order of other content (spec 8.5)."""
    return GatewayRefusal(
        422,
        "ORDER_REJECTED",
        f"Order rejected: client_order_id {client_order_id!r} is that of another order",
        {
            "reject_code": "DUPLICATE_CLIENT_ORDER_ID",
            "reject_reason": wire.RejectReason.UNKNOWN.value,
            "order_id": order_id,
        },
    )


def unsupported(operation: str, provider: str, reason: str = "") -> GatewayRefusal:
    """The venue cannot do that."""
    message = reason or f"{provider} does not support {operation}"
    details = {"operation": operation, "provider": provider}
    return GatewayRefusal(501, "UNSUPPORTED_OPERATION", message, details)


def unavailable(reason: str, retry_after_s: float | None = None) -> GatewayRefusal:
    """It cannot be done now; later perhaps."""
    return GatewayRefusal(503, "PROVIDER_UNAVAILABLE", reason, retry_after_s=retry_after_s)


def rate_limited(reason: str, retry_after_s: float | None) -> GatewayRefusal:
    """Too much was asked for."""
    seconds = None if retry_after_s is None else whole_seconds(retry_after_s)
    details = {"retry_after_seconds": seconds, "reset_at": None}
    return GatewayRefusal(429, "RATE_LIMITED", reason, details, retry_after_s=retry_after_s or 1.0)


def provider_error(reason: str, provider: str = "") -> GatewayRefusal:
    """The venue broke its own rules."""
    details = {"provider": provider} if provider else UNSET
    return GatewayRefusal(502, "PROVIDER_ERROR", reason, details)


def shutting_down() -> GatewayRefusal:
    """The gateway takes no new orders any more."""
    return GatewayRefusal(503, "SHUTTING_DOWN", "The gateway is shutting down")


# -- what others raise -------------------------------------------------------------------------


def refusal_of(error: BaseException) -> GatewayRefusal:
    """Return the refusal that an error is answered with; of a bug of ours nothing is shown."""
    if isinstance(error, GatewayRefusal):
        return error
    if isinstance(error, Refused):
        return _of_toolkit(error)
    if isinstance(error, OrderError):
        return _of_order(error)
    if isinstance(error, VenueError):
        return _of_venue(error)
    if isinstance(error, Forbidden):
        return GatewayRefusal(403, "FORBIDDEN", str(error) or "The key does not cover this")
    if isinstance(error, JournalError):
        return unavailable("Nothing can be written down any more")
    return GatewayRefusal(500, "INTERNAL_ERROR", "Internal error")


def answer_to(error: BaseException) -> Answer:
    """Return the answer to whatever was raised, nothing in it that looks like a credential."""
    refusal = refusal_of(error)
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(whole_seconds(refusal.retry_after_s))
    if isinstance(error, Refused) and error.allowed:
        headers["Allow"] = ", ".join(error.allowed)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = wire.ErrorBody(refusal.code, masked(refusal.message), masked_all(refusal.details))
    return Answer(body, refusal.status, headers)


def _of_toolkit(error: Refused) -> GatewayRefusal:
    status, code = _TOOLKIT[error.kind]
    if error.kind is RefusalKind.TOO_MANY:
        return rate_limited(error.message, error.retry_after_s)
    details: Any = UNSET
    if error.kind in _KEY_CODES:
        details = {"code": _KEY_CODES[error.kind]}
    elif error.field:
        details = {"field": error.field}
        if error.provided is not None:
            details["provided"] = shortened(error.provided)
    return GatewayRefusal(status, code, error.message, details, retry_after_s=error.retry_after_s)


def _of_order(error: OrderError) -> GatewayRefusal:
    if isinstance(error, UnknownInstrument):
        return symbol_not_found(error.instrument.partition(":")[2] or error.instrument)
    if isinstance(error, UnknownOrder):
        return not_found("order", error.order_id)
    return rejected(error.reason, "")


def _of_venue(error: VenueError) -> GatewayRefusal:
    if isinstance(error, RateLimited):
        return rate_limited(str(error), error.retry_after_s)
    if isinstance(error, VenueUnavailable):
        return unavailable(str(error))
    if isinstance(error, RequestRefusedByVenue):
        if isinstance(error, AccessRefused) and error.status == 401:
            code = error.code or "UNAUTHORIZED"
            return GatewayRefusal(401, "UNAUTHORIZED", str(error), {"code": code})
        if not isinstance(error, NotFound):  # a 403 too counts as a rejection (spec 5.3)
            return rejected(str(error), error.venue)
    return provider_error(str(error), getattr(error, "venue", ""))


# -- text --------------------------------------------------------------------------------------


def masked(text: str) -> str:
    """Return a text without what looks like a credential, or is one of ours."""
    text = _SECRET.sub(lambda found: f"{found[1]}{found[2]}{MASK}", text)
    return redact(_BEARER.sub(lambda found: f"{found[1]} {MASK}", text))


def masked_all(details: Any) -> Any:
    """Return details with every text in them masked."""
    if isinstance(details, str):
        return masked(details)
    if isinstance(details, Mapping):
        return {name: masked_all(value) for name, value in details.items()}
    if isinstance(details, list | tuple):
        return [masked_all(value) for value in details]
    return details


def shortened(value: object, longest: int = _LONGEST) -> str:
    """Return a value as text that is not too long; half a secret would not be known as one."""
    text = redact(str(value))
    return text if len(text) <= longest else f"{text[:longest]}..."


def whole_seconds(seconds: float) -> int:
    """Return a pause in whole seconds, at least one."""
    return max(1, ceil(seconds))


def is_bug(error: BaseException) -> bool:
    """Tell whether an error is none that was raised on purpose."""
    return not isinstance(error, FrameworkError) or isinstance(error, InvariantBroken)
