"""Alerts as HTTP POSTs of JSON: over https, or plain http to this computer itself.

The address may hold a secret, so it never appears in a log or an error: a target is named by its
host. Redirects are not followed, since they could carry the alert, and that secret, elsewhere.
"""

from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from framework.alerts.alert import document
from framework.alerts.delivery import DELIVERED, Outcome
from framework.model.records import AlertRaised
from framework.settings.secrets import Secret, remember
from framework.settings.structs import LogLevel

RETRYABLE = frozenset({408, 425, 429})
SHORTEST_SECRET_PART = 12  # characters of an address's part that may be a token


class Webhook:
    """Posts to one address; `Secret` because whoever knows it can post there."""

    def __init__(self, url: Secret, source: str, *, level: LogLevel, timeout_s: float) -> None:
        """Raises ValueError: the address is not one that alerts may go to."""
        parts = checked(url.reveal())
        self.name = f"webhook {parts.hostname}"
        self.level = level
        self.timeout_s = timeout_s
        self._url = url
        self._source = source
        for part in (*parts.path.split("/"), parts.query, parts.password or ""):
            if len(part) >= SHORTEST_SECRET_PART:
                remember(part)

    async def send(self, alert: AlertRaised) -> Outcome:
        """Post once; any 2xx is a delivery."""
        import aiohttp

        try:
            async with (
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.post(
                    self._url.reveal(),
                    json=document(alert, self._source),
                    allow_redirects=False,
                ) as answer,
            ):
                return judged(answer.status)
        except aiohttp.ClientConnectorCertificateError:
            return Outcome("the server's certificate is not valid")
        except (aiohttp.ClientError, OSError) as error:
            return Outcome(reason_of(error), is_retryable=True)


def checked(url: str) -> SplitResult:
    """Return the parts of an address; raises ValueError, without it, if alerts may not go there."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise ValueError("the webhook is not an address") from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable():
        raise ValueError("a webhook begins with https:// and names a host")
    if parts.scheme == "http" and not is_this_computer(host):
        raise ValueError("plain http is for this computer only; write https://")
    return parts


def is_this_computer(host: str) -> bool:
    """Whether `host` is a loopback address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def judged(status: int) -> Outcome:
    """Return what a status code means for an alert."""
    if 200 <= status < 300:
        return DELIVERED
    if 300 <= status < 400:
        return Outcome(f"answered {status}: redirects are not followed")
    return Outcome(f"answered {status}", is_retryable=status >= 500 or status in RETRYABLE)


def reason_of(error: Any) -> str:
    """Return what went wrong, without the text of the error: it may quote the address."""
    name = type(error).__name__
    system = getattr(error, "strerror", None)
    return f"{name}: {system}" if system and "://" not in str(system) else name
