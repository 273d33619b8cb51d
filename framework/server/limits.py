"""How much one address takes: requests per second and at once, and the size and time of bodies.

Beyond it a request is refused, with the seconds after which to try again (R-84).
"""

import asyncio
from collections import OrderedDict

from aiohttp import web

from framework.server.door import RefusalKind, Refused
from framework.settings.server import LimitSettings

MOST_RATES = 10_000  # tokens and addresses whose rate is known; the longest silent is forgotten
BUSY_S = 1.0  # after which to try again when too much goes on at once


class Rates:
    """How often each key may ask: `per_s` in the long run, `burst` at once.

    Kept as one time per key: when its bucket will be full again (a leaky bucket as a virtual
    schedule). Forgetting a key fills its bucket, so the one that asked longest ago goes first.
    """

    def __init__(self, per_s: float, burst: int) -> None:
        self._interval_s = 1 / per_s
        self._leeway_s = (burst - 1) / per_s
        self._full_at_s: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str, now_s: float) -> float:
        """Count one request; return 0, or the seconds until there is room for it."""
        full_at_s = self._full_at_s.get(key, 0.0)
        if full_at_s < now_s:
            full_at_s = now_s
        wait_s = full_at_s - now_s - self._leeway_s
        if wait_s > 1e-9:  # a sum of intervals may miss the instant by a rounding
            return wait_s
        self._full_at_s[key] = full_at_s + self._interval_s
        self._full_at_s.move_to_end(key)
        if len(self._full_at_s) > MOST_RATES:
            self._full_at_s.popitem(last=False)
        return 0.0

    def __len__(self) -> int:
        return len(self._full_at_s)


class RequestLimits:
    """Counts what one listening address does; `running` are requests that are being answered."""

    def __init__(self, settings: LimitSettings) -> None:
        self.settings = settings
        self.running = 0
        self.rates = Rates(settings.requests_per_s, settings.burst)

    def admit(self, key: str, now_s: float) -> None:
        """Count one request of `key`.

        Raises:
            Refused: it asks too often.
        """
        wait_s = self.rates.take(key, now_s)
        if wait_s:
            raise Refused(
                RefusalKind.TOO_MANY,
                f"more than {self.settings.requests_per_s:g} requests per second",
                retry_after_s=wait_s,
            )

    def check_room(self) -> None:
        """Pass one more request.

        Raises:
            Refused: too many are being answered.
        """
        if self.running >= self.settings.at_once:
            raise Refused(
                RefusalKind.BUSY,
                f"{self.settings.at_once} requests are being answered",
                retry_after_s=BUSY_S,
            )

    def check_head(self, request: web.Request) -> None:
        """Pass a request whose line and headers are small enough together.

        Raises:
            Refused: they are too large.
        """
        size = len(request.raw_path) + sum(
            len(name) + len(value) + 4 for name, value in request.raw_headers
        )
        if size > self.settings.headers:
            reason = f"line and headers are larger than {self.settings.headers} bytes"
            raise Refused(RefusalKind.TOO_LARGE, reason, field="headers")

    async def read_body(self, request: web.Request) -> bytes:
        """Return a request's body.

        Raises:
            Refused: it is too large, does not come in time, or is broken.
        """
        content = request.content
        if content.is_eof():  # it came along with the head: nothing to wait for
            body = read_at_once(request)
            self._check_size(len(body))
            return body
        if request.content_length is not None:
            self._check_size(request.content_length)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # as aiohttp does: nothing of the answer is out
        try:
            async with asyncio.timeout(self.settings.request_s):
                return await self._read_slowly(request)
        except TimeoutError:
            reason = f"the body did not come within {self.settings.request_s:g} s"
            raise Refused(RefusalKind.TIMED_OUT, reason) from None

    async def _read_slowly(self, request: web.Request) -> bytes:
        body = bytearray()
        try:
            while chunk := await request.content.readany():
                body += chunk
                self._check_size(len(body))
        except web.RequestPayloadError as error:
            raise broken_body() from error
        return bytes(body)

    def _check_size(self, size: int) -> None:
        if size > self.settings.body:
            reason = f"the body is larger than {self.settings.body} bytes"
            raise Refused(RefusalKind.TOO_LARGE, reason)


def read_at_once(request: web.Request) -> bytes:
    """Return a body that has come as a whole.

    Raises:
        Refused: its form is broken.
    """
    try:
        return request.content.read_nowait()
    except web.RequestPayloadError as error:
        raise broken_body() from error


def broken_body() -> Refused:
    """Return the refusal of a body whose end or chunks are not where they must be."""
    return Refused(RefusalKind.INVALID, "the body is broken")
