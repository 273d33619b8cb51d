"""Which error an answer stands for, and how long a venue asks to be left alone."""

from email.utils import parsedate_to_datetime

from framework.errors import (
    AccessRefused,
    Conflict,
    InvalidRequest,
    NotFound,
    RequestRefusedByVenue,
    VenueError,
    VenueUnavailable,
)

LONGEST_PAUSE_S = 3 * 86_400.0  # the longest ban that a venue is known to impose
TEXT_LIMIT = 200  # characters of a refusal that go into an error

_REQUEST_TIMEOUT = 408  # says nothing about what became of the request
_REFUSALS: dict[int, type[RequestRefusedByVenue]] = {
    401: AccessRefused,
    403: AccessRefused,
    404: NotFound,
    409: Conflict,
}


def error_of(venue: str, status: int, code: str, text: str) -> VenueError:
    """Return the error of an answer that is no success.

    A 5xx is no verdict: the venue may have acted. A redirect is a refusal, as none is followed.
    """
    if status >= 500 or status == _REQUEST_TIMEOUT:
        said = " ".join(part for part in (code, text) if part)
        return VenueUnavailable(f"{venue} answered {status}" + (f": {said}" if said else ""))
    if status < 400:
        return RequestRefusedByVenue(venue, status, code, "an answer like this is not followed")
    return _REFUSALS.get(status, InvalidRequest)(venue, status, code, text)


def plain_text(status: int, body: bytes) -> tuple[str, str]:
    """Read the error of a venue that we know nothing about: no code, and the text as it is."""
    return "", body.decode(errors="replace").strip()


def retry_after_s(value: str | None, now_ns: int) -> float | None:
    """Return the seconds that a `Retry-After` asks for; None if there is none that can be read.

    It is a number of seconds or a date, which is compared with `now_ns` (UTC).
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), LONGEST_PAUSE_S)
    try:
        at_s = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(at_s - now_ns / 1e9, 0.0), LONGEST_PAUSE_S)
