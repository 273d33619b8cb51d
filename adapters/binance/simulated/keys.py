"""Who may do what at the simulated venue: keys, signatures, the time a request is good for.

Source: "Public REST API for Binance", Signed Endpoint security and Timing security.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Protocol

from adapters.binance.simulated.domain import Refused

MOST_WINDOW_MS = 60_000
AHEAD_MS = 1_000


class Verify(Protocol):
    """Tells whether a signature belongs to a text."""

    def __call__(self, text: str, signature: str, /) -> bool: ...


def hmac_verifier(secret: str) -> Verify:
    """Return what judges HMAC-SHA256 signatures in hexadecimal; their case does not matter."""

    def verify(text: str, signature: str) -> bool:
        expected = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), signature.lower().encode())

    return verify


class Gatekeeper:
    """Knows keys by name: whose they are, and how they sign."""

    def __init__(
        self, keys: Mapping[str, tuple[str, Verify]], *, now_ms: Callable[[], int]
    ) -> None:
        self._keys = dict(keys)
        self._now_ms = now_ms

    def account(
        self, api_key: str, payload: str, signature: str, parameters: Mapping[str, str]
    ) -> str:
        """Return whose request this is.

        Raises:
            Refused: the key is unknown, the signature false, or the request too old.
        """
        if not api_key:
            raise Refused(-2014, "API-key format invalid.", status=401)
        account, verify = self._keys.get(api_key, ("", None))
        if verify is None:
            raise Refused(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
        self._check_time(parameters)
        if not verify(payload, signature):
            raise Refused(-1022, "Signature for this request is not valid.")
        return account

    def _check_time(self, parameters: Mapping[str, str]) -> None:
        try:
            timestamp = int(parameters["timestamp"])
            window_ms = int(parameters.get("recvWindow", "5000"))
        except (KeyError, ValueError):
            text = "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed."
            raise Refused(-1102, text) from None
        if not 0 < window_ms <= MOST_WINDOW_MS:
            raise Refused(-1131, "recvWindow must be less than 60000")
        now_ms = self._now_ms()
        if timestamp >= now_ms + AHEAD_MS:
            raise Refused(
                -1021, "Timestamp for this request was 1000ms ahead of the server's time."
            )
        if now_ms - timestamp > window_ms:
            raise Refused(-1021, "Timestamp for this request is outside of the recvWindow.")
