"""Requests to a gateway, and its answers as `heard.py` reads them.

GET and DELETE may be repeated, POST and PATCH never are (19.3, 20.3). A 429 pauses everything for
`details.retry_after_seconds`, since the header may be missing (20.11). Errors may be JSON, plain
text or nothing at all (20.12).
Source: section 7 of the gateway's description.
"""

import asyncio
import re
from typing import TypeVar
from urllib.parse import quote

from adapters.tektii import heard
from adapters.tektii.settings import TektiiSettings
from framework.errors import MalformedMessage, NotFound, VenueUnavailable
from framework.interfaces import AdapterContext
from framework.model.events import RateLimited
from framework.net.http_messages import Headers, Request, Response
from framework.net.rate_limit import BucketOptions, RateLimits
from framework.net.refusals import LONGEST_PAUSE_S
from framework.net.rest import RestClient, RestOptions

T = TypeVar("T")
Query = tuple[tuple[str, str], ...]

ORDERS = "orders"
MOST_ROWS = 1_000
RETRIES = 2
TOO_MANY = 429

# Of what the gateway lets through in a minute, a twentieth stays unused: a bucket may be emptied
# at once and refill for the rest of the minute.
READS_BURST, READS_FLOW = 0.20, 0.40
ORDERS_BURST, ORDERS_FLOW = 0.10, 0.25

_ANSWERED = re.compile(r"answered (?P<status>\d{3})(?:: (?P<code>[A-Z_]+))?")


def open_client(settings: TektiiSettings, context: AdapterContext) -> "GatewayClient":
    """Return the client that feed and broker share. Raises ConfigError: the key cannot be read."""
    limits = RateLimits(
        {
            "": BucketOptions(settings.burst, settings.requests_per_s),
            ORDERS: BucketOptions(settings.orders_burst, settings.orders_per_s, reserve=0.0),
        }
    )
    key = context.secret(settings.api_key) if settings.api_key else None
    headers: Headers = () if key is None else (("Authorization", f"Bearer {key.reveal()}"),)

    async def sign(request: Request, path: str) -> Headers:
        return headers

    errors = ErrorReader(limits, context)
    rest = RestClient(
        "rest",
        settings.url,
        context,
        sign=sign,
        limits=limits,
        options=RestOptions(deadline_s=settings.read_s, retries=RETRIES),
        read_error=errors.read,
    )
    return GatewayClient(rest, settings, limits, headers)


class ErrorReader:
    """Reads the error bodies of a gateway, and obeys what they say about pauses."""

    def __init__(self, limits: RateLimits, context: AdapterContext) -> None:
        self._limits = limits
        self._context = context

    def read(self, status: int, body: bytes) -> tuple[str, str]:
        """Return code and text of a refusal, "" for what it does not tell."""
        try:
            refusal = heard.read(body, heard.Refusal)
        except MalformedMessage:
            return "", body.decode(errors="replace").strip()
        if status == TOO_MANY:
            self._pause(refusal.details)
        return refusal.code or "", " ".join(part for part in _words(refusal) if part)

    def _pause(self, details: object) -> None:
        seconds = details.get("retry_after_seconds") if isinstance(details, dict) else None
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            return
        pause_s = min(float(seconds), LONGEST_PAUSE_S)
        now_s = asyncio.get_running_loop().time()
        for group in ("", ORDERS):
            self._limits.pause(group, pause_s, now_s)
        context = self._context
        context.publish(RateLimited(context.venue, round(pause_s * 1e9), context.clock.now_ns))


def _words(refusal: heard.Refusal) -> tuple[str, str]:
    """Return the message of a refusal, and the code that says why an order was rejected (5.3)."""
    details = refusal.details if isinstance(refusal.details, dict) else {}
    reason = details.get("reject_code") or details.get("reject_reason")
    return refusal.message or "", f"({reason})" if isinstance(reason, str) else ""


def answered(error: VenueUnavailable) -> tuple[int, str]:
    """Return status and code of the answer behind an error; (0, "") where there was none.

    The toolkit counts every 5xx as no verdict; two of this protocol's are one.
    """
    found = _ANSWERED.search(str(error))
    return (int(found["status"]), found["code"] or "") if found else (0, "")


class GatewayClient:
    """One gateway, asked and told; every method raises VenueError where there is no answer.

    Attributes:
        headers: what shows who asks, for the stream's handshake too.
    """

    def __init__(
        self, rest: RestClient, settings: TektiiSettings, limits: RateLimits, headers: Headers
    ) -> None:
        self.headers = headers
        self._rest = rest
        self._settings = settings
        self._limits = limits

    def statistics(self) -> dict[str, int]:
        """Return what was counted since the start."""
        return self._rest.statistics()

    async def aclose(self) -> None:
        """Close the connections; a later request is `NotSent`."""
        await self._rest.aclose()

    # -- the gateway itself --------------------------------------------------------------------

    async def ready(self) -> heard.Ready:
        """Return whether it takes requests. Raises VenueUnavailable: it does not."""
        return await self._get("/readyz", heard.Ready)

    async def health(self) -> heard.Health:
        """Return which platforms it has, and how they are."""
        return await self._get("/health", heard.Health)

    async def capabilities(self) -> heard.Capabilities:
        """Return what it can do."""
        return await self._get("/v1/capabilities", heard.Capabilities)

    async def breakers(self) -> heard.Breakers:
        """Return how its circuit breakers stand (14)."""
        return await self._get("/v1/circuit-breakers", heard.Breakers)

    async def reset_breakers(self) -> heard.Breakers:
        """Close its circuit breakers. Raises Conflict: that was done a moment ago."""
        request = Request(method="POST", path="/v1/circuit-breakers/reset")
        return heard.read((await self._rest.send(request)).body, heard.Breakers)

    def limit(self, told: heard.RateLimits | None, now_s: float) -> None:
        """Take the limits that the gateway tells of, where they are tighter than ours."""
        settings = self._settings
        burst, flow = settings.burst, settings.requests_per_s
        orders_burst, orders_flow = settings.orders_burst, settings.orders_per_s
        per_minute = told.requests_per_minute if told is not None else None
        if per_minute is not None and per_minute > 0:
            burst, flow = (
                min(burst, READS_BURST * per_minute),
                min(flow, READS_FLOW * per_minute / 60),
            )
            orders_burst = min(orders_burst, ORDERS_BURST * per_minute)
            orders_flow = min(orders_flow, ORDERS_FLOW * per_minute / 60)
        per_s = told.orders_per_second if told is not None else None
        if per_s is not None and per_s > 0:
            orders_burst = min(orders_burst, max(1.0, per_s / 2))
            orders_flow = min(orders_flow, per_s / 2)
        self._limits.resize("", BucketOptions(max(burst, 2.0), flow), now_s)
        orders = BucketOptions(max(orders_burst, 1.0), orders_flow, reserve=0.0)
        self._limits.resize(ORDERS, orders, now_s)

    # -- the account ---------------------------------------------------------------------------

    async def account(self) -> heard.Account:
        """Return what the account has."""
        return await self._get("/v1/account", heard.Account)

    async def positions(self) -> list[heard.Position]:
        """Return what it holds."""
        return await self._get("/v1/positions", list[heard.Position])

    async def orders(self, query: Query = (), *, is_past: bool = False) -> list[heard.Order]:
        """Return orders that work, or (`is_past`) that have ended, newest first."""
        path = "/v1/orders/history" if is_past else "/v1/orders"
        return await self._get(path, list[heard.Order], query)

    async def order(self, venue_order_id: str) -> heard.Order | None:
        """Return an order by the gateway's id, None where it says that there is none."""
        try:
            return await self._get(f"/v1/orders/{_segment(venue_order_id)}", heard.Order)
        except NotFound:
            return None

    async def trades(self, query: Query) -> list[heard.Trade]:
        """Return trades, newest first."""
        return await self._get("/v1/trades", list[heard.Trade], query)

    # -- orders --------------------------------------------------------------------------------

    async def submit(self, body: bytes) -> heard.Handle:
        """Send a new order; written once, whatever happens."""
        request = Request(
            method="POST",
            path="/v1/orders",
            body=body,
            group=ORDERS,
            deadline_s=self._settings.answer_s,
        )
        return heard.read((await self._rest.send(request)).body, heard.Handle)

    async def change(self, venue_order_id: str, body: bytes) -> heard.ModifyResult:
        """Change an order; written once, whatever happens."""
        request = Request(
            method="PATCH",
            path=f"/v1/orders/{_segment(venue_order_id)}",
            body=body,
            group=ORDERS,
            deadline_s=self._settings.answer_s,
        )
        return heard.read((await self._rest.send(request)).body, heard.ModifyResult)

    async def cancel(self, venue_order_id: str) -> heard.CancelResult:
        """Take an order back; harmless when repeated (8.7)."""
        request = Request(
            method="DELETE",
            path=f"/v1/orders/{_segment(venue_order_id)}",
            is_cancel=True,
            is_idempotent=True,
            deadline_s=self._settings.answer_s,
        )
        return heard.read((await self._rest.send(request)).body, heard.CancelResult)

    # -- market data ---------------------------------------------------------------------------

    async def quote(self, symbol: str) -> heard.Quote | None:
        """Return the newest quote, None where there is no such symbol."""
        try:
            return await self._get(f"/v1/quotes/{_segment(symbol)}", heard.Quote)
        except NotFound:
            return None

    async def bars(self, symbol: str, query: Query) -> list[heard.Bar]:
        """Return bars, oldest first."""
        return await self._get(f"/v1/bars/{_segment(symbol)}", list[heard.Bar], query)

    async def _get(self, path: str, kind: type[T], query: Query = ()) -> T:
        response: Response = await self._rest.send(Request(method="GET", path=path, query=query))
        return heard.read(response.body, kind)


def _segment(name: str) -> str:
    """Return a name as one segment of a path: symbols and ids may contain `/`."""
    return quote(name, safe="")
