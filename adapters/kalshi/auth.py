"""Proves who asks: signs REST requests and the upgrade of the stream alike.

    signed text   <timestamp_ms><METHOD><path>, the path without query and trailing slash

Source: the venue's page on API keys. Signing takes about a millisecond: it is done off the loop.
"""

from urllib.parse import urlsplit

from framework.interfaces import AdapterContext
from framework.net.http_messages import Headers, Request
from framework.net.signing import RsaPssKey
from framework.settings.secrets import Secret, remember

KEY = "KALSHI-ACCESS-KEY"
TIMESTAMP = "KALSHI-ACCESS-TIMESTAMP"
SIGNATURE = "KALSHI-ACCESS-SIGNATURE"
NS_PER_MS = 1_000_000


class KalshiKey:
    """A key of the venue; no two of its signatures carry the same timestamp.

    Raises:
        ConfigError: the PEM text is no RSA private key, or `cryptography` is not installed.
    """

    def __init__(self, key_id: str, pem: Secret, context: AdapterContext) -> None:
        self.key_id = key_id
        self._key = RsaPssKey(pem)
        self._context = context
        self._newest_ms = 0
        remember(key_id)

    async def headers(self, method: str, path: str) -> Headers:
        """Return the headers for one request to `path`, which has no query."""
        timestamp_ms = max(self._context.clock.now_ns // NS_PER_MS, self._newest_ms + 1)
        self._newest_ms = timestamp_ms
        text = f"{timestamp_ms}{method.upper()}{path.rstrip('/')}"
        signature = await self._context.blocking(lambda: self._key.sign(text))
        return (KEY, self.key_id), (TIMESTAMP, str(timestamp_ms)), (SIGNATURE, signature)

    async def sign(self, request: Request, path: str) -> Headers:
        """Be the signer of a `RestClient`."""
        return await self.headers(request.method, path)

    async def sign_upgrade(self, url: str) -> Headers:
        """Return the headers of the upgrade request to a WebSocket URL."""
        return await self.headers("GET", urlsplit(url).path)
