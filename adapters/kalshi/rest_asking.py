"""Asks the venue's REST interface: single things, and lists to their last page.

Reads are repeated on 429 and 5xx, writes never (K62). A page that comes again ends a list with an
error, and nothing else ends it before its last page (K64, B29).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

import msgspec
import structlog

from adapters.kalshi import rest_reading as reading
from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.rest_answers import decode, items_of, part_of, read_body
from adapters.kalshi.rest_requests import READ, WRITE, read_request
from adapters.kalshi.rest_values import ExchangeStatus, Limits
from adapters.kalshi.wire_rest import StatusBody
from framework.errors import MalformedMessage, VenueUnavailable
from framework.interfaces import AdapterContext
from framework.net.rate_limit import BucketOptions, RateLimits
from framework.net.rest import Request, RestClient, RestOptions, Writer

log = structlog.get_logger("kalshi")

S = TypeVar("S", bound=msgspec.Struct)
V = TypeVar("V")

SHARE = 0.9  # of what the venue grants: requests bunch up on the way
WRITE_BURST_S = 2.0  # the venue's write bucket holds so many seconds of its refill


class Asking:
    """A client of the venue's base URL; `writer` may carry what is written once.

    A venue in this process has its address only once it runs: `base_url` is then asked for it,
    when the first request is made.
    """

    def __init__(
        self,
        context: AdapterContext,
        base_url: str | Callable[[], Awaitable[str]],
        key: KalshiKey | None,
        *,
        limits: Limits,
        options: RestOptions,
        writer: Writer | None,
    ) -> None:
        self._context = context
        self._limits = RateLimits(buckets_of(limits))
        self._refused_status: ExchangeStatus | None = None
        self._left_out = 0
        self._base_url = base_url
        self._connect = partial(
            RestClient,
            "kalshi",
            context=context,
            sign=None if key is None else key.sign,
            limits=self._limits,
            options=options,
            read_error=self._read_error,
            writer=writer,
        )
        self._client = self._connect(base_url) if isinstance(base_url, str) else None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    def statistics(self) -> dict[str, int]:
        """Return what the client counted, and the answers with fields that were left out."""
        counts = {} if self._client is None else self._client.statistics()
        return {**counts, "left_out": self._left_out}

    def adopt(self, limits: Limits, now_s: float) -> None:
        """Stay below what the venue granted; `now_s` is the loop's time."""
        for group, options in buckets_of(limits).items():
            self._limits.resize(group, options, now_s)

    async def send(self, request: Request) -> bytes:
        """Return the body of the answer. Raises as `RestClient.send`."""
        if self._client is None and not isinstance(self._base_url, str):
            base_url = await self._base_url()
            self._client = self._client or self._connect(base_url)  # unless another was quicker
        assert self._client is not None
        return (await self._client.send(request)).body

    async def ask(self, request: Request, kind: type[S], read: Callable[[S], V]) -> V:
        """Return what the whole answer says."""
        return self.read(await self.send(request), kind, read)

    async def ask_for(
        self, request: Request, name: str, kind: type[S], read: Callable[[S], V]
    ) -> V:
        """Return what one member of the answer says."""
        return self.read(part_of(await self.send(request), name), kind, read)

    async def ask_all(
        self, request: Request, name: str, kind: type[S], read: Callable[[S], V]
    ) -> list[V]:
        """Return what the items of a list without pages say."""
        answer = decode(await self.send(request), dict[str, msgspec.Raw])
        return [self.read(item, kind, read) for item in items_of(answer.get(name))]

    async def pages(
        self,
        path: str,
        query: Mapping[str, object],
        name: str,
        kind: type[S],
        read: Callable[[S], V],
    ) -> AsyncIterator[V]:
        """Yield every item of every page."""
        cursor, seen = "", set[str]()
        while True:
            request = read_request(path, {**query, "cursor": cursor})
            answer = decode(await self.send(request), dict[str, msgspec.Raw])
            for item in items_of(answer.get(name)):
                yield self.read(item, kind, read)
            cursor = _cursor(answer.get("cursor"))
            if not cursor:
                return
            if cursor in seen:
                raise MalformedMessage(f"{path}: the page {cursor[:40]!r} came again")
            seen.add(cursor)

    async def exchange_status(self) -> ExchangeStatus:
        """Return whether the exchange is up; one that is down says so in the body of a 5xx."""
        self._refused_status = None
        try:
            return await self.ask(read_request("/exchange/status"), StatusBody, reading.status)
        except VenueUnavailable:
            if self._refused_status is None:
                raise
            return self._refused_status

    def read(self, raw: bytes | msgspec.Raw, kind: type[S], read: Callable[[S], V]) -> V:
        """Return what a body says, and tell of fields that were left out (B21)."""
        value, left_out = read_body(raw, kind, read)
        if left_out:
            self._left_out += 1
            if self._left_out.bit_count() == 1:  # the first, second, fourth, ...
                log.warning("rest_fields_left_out", venue=self._context.venue, fields=left_out)
        return value

    def _read_error(self, status: int, body: bytes) -> tuple[str, str]:
        try:
            self._refused_status, _ = read_body(body, StatusBody, reading.status)
        except MalformedMessage:
            return reading.read_error(status, body)
        return "", "the exchange is not active"


def buckets_of(limits: Limits) -> dict[str, BucketOptions]:
    """Return our own token buckets for what the venue grants; they reserve a part for cancels."""
    read_capacity = limits.read_capacity or limits.read_per_s
    write_capacity = limits.write_capacity or limits.write_per_s * WRITE_BURST_S
    return {
        READ: BucketOptions(SHARE * read_capacity, SHARE * limits.read_per_s),
        WRITE: BucketOptions(SHARE * write_capacity, SHARE * limits.write_per_s),
    }


def _cursor(raw: msgspec.Raw | None) -> str:
    return "" if raw is None else decode(raw, str | None) or ""  # type: ignore[arg-type] # mypy knows no union as a type
