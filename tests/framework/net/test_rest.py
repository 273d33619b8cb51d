"""The REST client against a venue in raw bytes, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest

from framework.errors import (
    AccessRefused,
    ConfigError,
    Conflict,
    InvalidRequest,
    NotFound,
    NotSent,
    RateLimited,
    RequestRefusedByVenue,
    VenueError,
    VenueUnavailable,
)
from framework.model import events
from framework.net.http_messages import Headers
from framework.net.rate_limit import BucketOptions, RateLimits
from framework.net.rest import Request, Response, RestClient, RestOptions
from framework.simulation.link import LinkFaults
from tests.broker.rig import START_NS, RigContext
from tests.framework.net.http_venue import (
    ADDRESS,
    CLOSE,
    OK,
    URL,
    Arrived,
    HttpVenue,
    Script,
    answer,
    in_turn,
    play,
    simulated_loop,
)

READ = Request(method="GET", path="/orders")
WRITE = Request(method="POST", path="/orders", body=b'{"price":1}')


@asynccontextmanager
async def client_of(context: RigContext, **arguments: Any) -> AsyncIterator[RestClient]:
    client = RestClient("rest", arguments.pop("url", URL), context, **arguments)
    try:
        yield client
    finally:
        await client.aclose()


def ask(
    request: Request,
    script: Script = lambda _: OK,
    *,
    faults: LinkFaults | None = None,
    **arguments: Any,
) -> tuple[Response | VenueError, HttpVenue, RigContext, float]:
    """Send one request; return what came of it, the venue, the context and the seconds it took."""

    async def main(
        venue: HttpVenue, context: RigContext
    ) -> tuple[Response | VenueError, HttpVenue, RigContext, float]:
        if faults is not None:
            simulated_loop().network.set_faults(ADDRESS, faults)
        loop = asyncio.get_running_loop()
        async with client_of(context, **arguments) as client:
            began_s = loop.time()
            try:
                outcome: Response | VenueError = await client.send(request)
            except VenueError as error:
                outcome = error
            return outcome, venue, context, loop.time() - began_s

    return play(main, script)


# -- what leaves ---------------------------------------------------------------------------------


def test_a_request_arrives_as_it_was_meant() -> None:
    request = Request(
        method="GET",
        path="/markets/A B%2fC/ü",
        query=(("status", "open & closed"), ("cursor", "a+b=/é")),
        headers=(("X-Kind", "test"),),
    )

    outcome, venue, _, _ = ask(request, url=URL + "/")

    assert outcome == Response(200, (("Content-Length", "2"),), b"{}")
    (arrived,) = venue.arrived
    assert arrived.first_line == (
        "GET /api/markets/A%20B%2FC/%C3%BC"
        "?status=open%20%26%20closed&cursor=a%2Bb%3D%2F%C3%A9 HTTP/1.1"
    )
    assert arrived.field("x-kind") == "test"
    assert arrived.field("user-agent") == "headrace"
    assert arrived.field("content-type") is None


def test_a_body_is_json_unless_a_header_says_otherwise() -> None:
    _, plain, _, _ = ask(WRITE)
    typed = Request(method="PUT", path="/x", body=b"a", headers=(("content-type", "text/plain"),))
    _, named, _, _ = ask(typed)

    assert plain.arrived[0].field("content-type") == "application/json"
    assert plain.arrived[0].body == WRITE.body
    assert [value for name, value in named.arrived[0].fields if name.lower() == "content-type"] == [
        "text/plain"
    ]


def test_every_attempt_is_signed_afresh() -> None:
    """B25/K5: the signature covers the path with that of the base URL, without the query."""
    signed: list[tuple[str, str]] = []

    async def sign(request: Request, path: str) -> Headers:
        signed.append((request.method, path))
        return (("X-Number", str(len(signed))),)

    request = Request(method="GET", path="/orders", query=(("limit", "1"),))
    _, venue, _, _ = ask(request, in_turn(answer(503), OK), sign=sign)

    assert signed == [("GET", "/api/orders")] * 2
    assert [found.field("x-number") for found in venue.arrived] == ["1", "2"]


def test_no_cookie_is_kept_and_no_redirect_followed() -> None:
    moved = answer(307, set_cookie="session=1", location="http://venue:8000/elsewhere")

    async def main(venue: HttpVenue, context: RigContext) -> HttpVenue:
        async with client_of(context) as client:
            with pytest.raises(RequestRefusedByVenue, match="307"):
                await client.send(WRITE)
            await client.send(WRITE)
        return venue

    venue = play(main, in_turn(moved, OK))

    assert venue.lines() == ["POST /api/orders HTTP/1.1"] * 2
    assert [found.field("cookie") for found in venue.arrived] == [None, None]


def test_requests_share_kept_connections() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> int:
        async with client_of(context) as client:
            for _ in range(5):
                await client.send(READ)
        return len(venue.connections)

    assert play(main) == 1


# -- what comes back -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, AccessRefused),
        (403, AccessRefused),
        (404, NotFound),
        (409, Conflict),
        (418, InvalidRequest),
        (422, InvalidRequest),
    ],
)
def test_a_refusal_has_its_type_code_and_text(
    status: int, kind: type[RequestRefusedByVenue]
) -> None:
    """K61, K63: and it is never repeated."""
    outcome, venue, _, _ = ask(
        READ, lambda _: answer(status, b"body"), read_error=lambda status, body: ("code", "text")
    )

    assert type(outcome) is kind
    assert isinstance(outcome, RequestRefusedByVenue)
    assert (outcome.venue, outcome.status, outcome.code, outcome.text) == (
        "x",
        status,
        "code",
        "text",
    )
    assert len(venue.arrived) == 1


def test_a_body_that_its_reader_cannot_read_is_told_as_it_is() -> None:
    def read_error(status: int, body: bytes) -> tuple[str, str]:
        raise KeyError("code")

    outcome, _, _, _ = ask(
        READ, lambda _: answer(400, b"no\xff " + 300 * b"x"), read_error=read_error
    )

    assert isinstance(outcome, InvalidRequest)
    assert outcome.text.startswith("no� xxx")
    assert len(outcome.text) == 200


@pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504, 599])
def test_a_server_error_of_a_write_is_no_verdict(status: int) -> None:
    """F-01, R-20, K62: the order may stand, and it is not sent again."""
    outcome, venue, _, _ = ask(WRITE, lambda _: answer(status))

    assert type(outcome) is VenueUnavailable
    assert len(venue.arrived) == 1


@pytest.mark.parametrize("size", [{}, {"chunked": True}])
def test_a_body_beyond_the_limit_is_not_read(size: dict[str, bool]) -> None:
    body = 1_001 * b"x"
    chunks = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + body + b"\r\n0\r\n\r\n"
    )
    script = in_turn(chunks if size else answer(200, body))

    outcome, _, _, _ = ask(WRITE, script, options=RestOptions(largest_body=1_000))
    fits, _, _, _ = ask(WRITE, script, options=RestOptions(largest_body=1_001))

    assert type(outcome) is VenueUnavailable
    assert "more than 1000 bytes" in str(outcome)
    assert isinstance(fits, Response)
    assert fits.body == body


# -- time ----------------------------------------------------------------------------------------


def test_silence_ends_at_the_deadline_in_doubt() -> None:
    outcome, venue, _, seconds = ask(WRITE, lambda _: None, options=RestOptions(deadline_s=7.0))

    assert type(outcome) is VenueUnavailable
    assert str(outcome) == "rest: POST /orders: no time left"
    assert seconds == pytest.approx(7.0)
    assert len(venue.arrived) == 1


def test_a_request_has_its_own_deadline() -> None:
    request = Request(method="GET", path="/orders", deadline_s=0.25)

    outcome, _, _, seconds = ask(request, lambda _: None)

    assert type(outcome) is VenueUnavailable
    assert seconds == pytest.approx(0.25)


def test_no_connection_before_the_deadline_is_not_sent() -> None:
    outcome, venue, _, seconds = ask(WRITE, faults=LinkFaults(blackhole=True))

    assert type(outcome) is NotSent
    assert seconds == pytest.approx(30.0)
    assert venue.arrived == []


def test_a_refused_connection_is_not_sent_and_a_write_is_not_repeated() -> None:
    outcome, _, _, seconds = ask(WRITE, faults=LinkFaults(refuse=True))

    assert type(outcome) is NotSent
    assert seconds < 0.1


def test_a_signer_that_takes_too_long_leaves_nothing() -> None:
    async def sign(request: Request, path: str) -> Headers:
        await asyncio.sleep(60)
        return ()

    outcome, venue, _, _ = ask(WRITE, sign=sign)

    assert type(outcome) is NotSent
    assert venue.arrived == []


def test_an_answer_that_breaks_off_is_in_doubt() -> None:
    def half(found: Arrived) -> None:
        found.connection.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
        found.connection.transport.close()

    outcome, venue, _, _ = ask(WRITE, half)

    assert type(outcome) is VenueUnavailable
    assert len(venue.arrived) == 1


def test_what_is_no_http_is_in_doubt() -> None:
    outcome, _, _, _ = ask(WRITE, lambda _: b"SSH-2.0-OpenSSH\r\n\r\n")

    assert type(outcome) is VenueUnavailable


def test_a_header_with_a_line_break_does_not_leave() -> None:
    outcome, venue, _, _ = ask(Request(method="POST", path="/", headers=(("A", "b\r\nC: d"),)))

    assert type(outcome) is NotSent
    assert venue.arrived == []


def test_a_closed_client_sends_nothing() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> HttpVenue:
        client = RestClient("rest", URL, context)
        await client.aclose()
        with pytest.raises(NotSent, match="closed"):
            await client.send(WRITE)
        return venue

    assert play(main).arrived == []


def test_who_cancels_a_request_is_not_held_up() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> None:
        async with client_of(context) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await client.send(WRITE)
            venue.script = lambda _: OK
            assert (await client.send(WRITE)).status == 200
            assert len(venue.connections) == 2  # the late answer has nobody to be taken for

    play(main, lambda _: None)


# -- repeats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_read_is_repeated_with_full_jitter(status: int) -> None:
    """K60, K62: three times, with pauses below 0.5, 1 and 2 s."""
    outcome, venue, _, _ = ask(READ, lambda _: answer(status, retry_after="0"))

    assert isinstance(outcome, RateLimited if status == 429 else VenueUnavailable)
    assert len(venue.arrived) == 4
    times = [found.at_s for found in venue.arrived]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(0 <= pause <= most for pause, most in zip(pauses, (0.5, 1.0, 2.0), strict=True))
    assert len(set(pauses)) == 3


def test_a_broken_connection_is_repeated_for_a_read() -> None:
    outcome, venue, _, _ = ask(READ, in_turn(CLOSE, CLOSE, OK))

    assert isinstance(outcome, Response)
    assert len(venue.arrived) == 3


def test_a_refused_connection_is_repeated_for_a_read() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> dict[str, int]:
        network = simulated_loop().network
        network.set_faults(ADDRESS, LinkFaults(refuse=True))
        simulated_loop().call_later(0.2, network.set_faults, ADDRESS, LinkFaults())
        async with client_of(context) as client:
            assert (await client.send(READ)).status == 200
            return client.statistics()

    counts = play(main, seed=3)

    assert counts["requests"] == 1
    assert counts["repeats"] >= 1
    assert counts["attempts"] == 1 + counts["repeats"]
    assert counts["not_sent"] == counts["unavailable"] == counts["refused"] == 0


def test_a_write_that_says_it_is_idempotent_is_repeated() -> None:
    request = Request(method="PUT", path="/orders/1", body=b"{}", is_idempotent=True)

    outcome, venue, _, _ = ask(request, in_turn(answer(502), OK))

    assert isinstance(outcome, Response)
    assert len(venue.arrived) == 2


def test_a_read_that_says_it_is_not_idempotent_is_not_repeated() -> None:
    request = Request(method="GET", path="/next", is_idempotent=False)

    _, venue, _, _ = ask(request, in_turn(answer(502), OK))

    assert len(venue.arrived) == 1


def test_repeats_end_when_time_does() -> None:
    options = RestOptions(deadline_s=10.0, retries=1_000, base_s=4.0, cap_s=4.0)

    outcome, _, _, seconds = ask(READ, lambda _: answer(500), options=options)

    assert type(outcome) is VenueUnavailable
    assert "500" in str(outcome)
    assert seconds <= 10.0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_write_is_never_written_twice_on_a_stale_connection(method: str) -> None:
    """F-01, R-20: the venue closes the kept connection just as the second request comes."""
    request = Request(method=method, path="/orders/1", body=b"{}")

    async def main(venue: HttpVenue, context: RigContext) -> HttpVenue:
        async with client_of(context) as client:
            await client.send(request)
            with pytest.raises(VenueUnavailable) as caught:
                await client.send(request)
            assert type(caught.value) is VenueUnavailable
        return venue

    venue = play(main, in_turn(OK, CLOSE, OK))

    assert len(venue.arrived) == 2
    assert len(venue.connections) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_write_that_crosses_a_close_on_the_wire_is_not_repeated(method: str) -> None:
    """F-01: neither side knows yet; nothing arrives, and the client cannot tell."""
    request = Request(method=method, path="/orders/1", body=b"{}")

    async def main(venue: HttpVenue, context: RigContext) -> int:
        faults = LinkFaults(latency_ms_low=50, latency_ms_high=50)
        simulated_loop().network.set_faults(ADDRESS, faults)
        async with client_of(context) as client:
            await client.send(request)
            venue.connections[0].transport.close()  # known to the client 50 ms on
            with pytest.raises(VenueUnavailable) as caught:
                await client.send(request)
            assert type(caught.value) is VenueUnavailable
        await asyncio.sleep(1)
        return len(venue.arrived)

    assert play(main) == 1


@pytest.mark.parametrize("seed", range(8))
def test_no_write_arrives_twice_whatever_the_link_does(seed: int) -> None:
    """F-01, R-20, R-45, R-47: loss, damage, splits; each body at most once, each outcome typed."""

    async def main(venue: HttpVenue, context: RigContext) -> tuple[list[bytes], list[object]]:
        faults = LinkFaults(
            latency_ms_low=1,
            latency_ms_high=40,
            split_max_bytes=20,
            drop_rate=0.03,
            damage_rate=0.02,
        )
        simulated_loop().network.set_faults(ADDRESS, faults)
        outcomes: list[object] = []
        async with client_of(context, options=RestOptions(deadline_s=2.0)) as client:
            for number in range(60):
                request = Request(method="PUT", path="/o", body=b"%03d" % number)
                try:
                    outcomes.append(await client.send(request))
                except VenueError as error:
                    outcomes.append(error)
        return [found.body for found in venue.arrived], outcomes

    bodies, outcomes = play(main, seed=seed)

    whole = [body for body in bodies if body.isdigit()]
    assert len(bodies) <= 60
    assert len(set(whole)) >= len(whole) - 2  # a damaged digit may look like another number
    assert any(isinstance(outcome, Response) for outcome in outcomes)
    assert any(isinstance(outcome, VenueUnavailable) for outcome in outcomes)


# -- rate limits ---------------------------------------------------------------------------------


def pauses_of(context: RigContext) -> list[float]:
    """Return the pauses that were told, in seconds."""
    told = context.take(events.RateLimited)
    assert {event.venue for event in told} <= {"x"}
    return [event.retry_after_ns / 1e9 for event in told]


def test_retry_after_pauses_the_group_and_is_told() -> None:
    """R-68: the write is not repeated; the next one leaves when the pause is over."""

    async def main(venue: HttpVenue, context: RigContext) -> list[float]:
        async with client_of(context) as client:
            with pytest.raises(RateLimited) as caught:
                await client.send(WRITE)
            assert (caught.value.venue, caught.value.retry_after_s) == ("x", 12.0)
            await client.send(Request(method="GET", path="/other", group="other"))
            await client.send(WRITE)
            assert client.statistics()["pauses"] == 1
        assert pauses_of(context) == [12.0]
        return [found.at_s for found in venue.arrived]

    first, other, second = play(main, in_turn(answer(429, retry_after="12"), OK))

    assert other == first
    assert second == pytest.approx(first + 12.0)


def test_retry_after_may_be_a_date() -> None:
    at = format_datetime(datetime.fromtimestamp(START_NS / 1e9 + 9, UTC), usegmt=True)

    outcome, venue, context, _ = ask(READ, in_turn(answer(503, retry_after=at), OK))

    assert isinstance(outcome, Response)
    assert pauses_of(context) == [pytest.approx(9.0, abs=0.001)]
    assert venue.arrived[1].at_s >= 8.99


@pytest.mark.parametrize("value", ["soon", "-1", "1e3", "²", "Wed, 99 Foo 2026 00:00:00 GMT"])
def test_a_retry_after_that_cannot_be_read_counts_as_none(value: str) -> None:
    outcome, _, context, _ = ask(WRITE, lambda _: answer(503, retry_after=value))

    assert type(outcome) is VenueUnavailable
    assert pauses_of(context) == []


def test_a_pause_beyond_the_deadline_is_told_at_once() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> float:
        async with client_of(context) as client:
            with pytest.raises(RateLimited):
                await client.send(READ)
            with pytest.raises(NotSent, match="rate limit"):
                await client.send(WRITE)
        return asyncio.get_running_loop().time()

    assert play(main, lambda _: answer(429, retry_after="3600")) < 0.1


def test_too_many_without_a_pause_backs_off_longer_each_time() -> None:
    """K60: as one venue does; a success makes the pauses short again."""

    async def main(venue: HttpVenue, context: RigContext) -> list[float]:
        async with client_of(context) as client:
            for _ in range(8):
                with pytest.raises(RateLimited):
                    await client.send(WRITE)
            venue.script = lambda _: OK
            await client.send(WRITE)
            venue.script = lambda _: answer(429)
            with pytest.raises(RateLimited):
                await client.send(WRITE)
        return pauses_of(context)

    *growing, last = play(main, lambda _: answer(429))

    assert growing[0] == last == 0.5
    assert all(0.5 <= pause <= min(0.5 * 2**n, 30.0) for n, pause in enumerate(growing))
    assert max(growing) > 2.0


def test_other_statuses_may_mean_too_many() -> None:
    options = RestOptions(limited_statuses=(429, 418))

    outcome, _, context, _ = ask(WRITE, lambda _: answer(418, retry_after="120"), options=options)

    assert isinstance(outcome, RateLimited)
    assert outcome.retry_after_s == 120.0
    assert pauses_of(context) == [120.0]


def test_requests_wait_for_their_tokens_and_cancels_do_not() -> None:
    """R-68."""
    limits = RateLimits({"write": BucketOptions(capacity=10, refill_per_s=1)})
    order = Request(method="POST", path="/order", group="write", cost=4)
    cancel = Request(method="DELETE", path="/order", group="write", cost=1, is_cancel=True)

    async def main(venue: HttpVenue, context: RigContext) -> list[tuple[str, float]]:
        async with client_of(context, limits=limits) as client, asyncio.TaskGroup() as tasks:
            for request in (order, order, order, cancel, order, cancel):
                tasks.create_task(client.send(request))
        return [(found.first_line.split()[0], found.at_s) for found in venue.arrived]

    arrived = play(main)

    assert [(method, round(at_s, 6)) for method, at_s in arrived] == [
        ("POST", 0.0),
        ("POST", 0.0),
        ("DELETE", 0.0),
        ("DELETE", 0.0),
        ("POST", 6.0),  # 4 and the reserve of 2, with none left
        ("POST", 10.0),
    ]


def test_no_token_before_the_deadline_is_not_sent_and_told_at_once() -> None:
    limits = RateLimits({"": BucketOptions(capacity=1, refill_per_s=0.01, reserve=0)})

    async def main(venue: HttpVenue, context: RigContext) -> tuple[int, float]:
        async with client_of(context, limits=limits) as client:
            await client.send(WRITE)
            with pytest.raises(NotSent, match="rate limit"):
                await client.send(WRITE)
            assert client.statistics()["not_sent"] == 1
        return len(venue.arrived), asyncio.get_running_loop().time()

    assert play(main) == (1, 0.0)


def test_who_gives_up_waiting_leaves_the_line() -> None:
    limits = RateLimits({"": BucketOptions(capacity=1, refill_per_s=1, reserve=0)})

    async def main(venue: HttpVenue, context: RigContext) -> list[float]:
        async with client_of(context, limits=limits) as client:
            await client.send(READ)
            patient = asyncio.get_running_loop().create_task(client.send(READ))
            hasty = asyncio.get_running_loop().create_task(client.send(READ))
            last = asyncio.get_running_loop().create_task(client.send(READ))
            await asyncio.sleep(0.5)
            hasty.cancel()
            await asyncio.wait([patient, hasty, last])
            assert hasty.cancelled()
        return [found.at_s for found in venue.arrived]

    assert play(main) == [0.0, pytest.approx(1.0), pytest.approx(2.0)]


def test_a_group_that_nobody_listed_is_a_mistake() -> None:
    limits = RateLimits({"read": BucketOptions(capacity=1, refill_per_s=1)})

    async def main(venue: HttpVenue, context: RigContext) -> None:
        async with client_of(context, limits=limits) as client:
            await client.send(WRITE)  # the default group may be left out
            with pytest.raises(ConfigError, match=r"'raed'; there are: .*read"):
                await client.send(Request(method="GET", path="/", group="raed"))

    play(main)


# -- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "venue", "ftp://venue", "http://", "http://u:hunter2@venue", "http://venue/?a=hunter2",
     "http://venue/#hunter2", "http://[::1", "http://venue:port", "http://venü"],
)  # fmt: skip
def test_a_base_url_is_an_address_and_nothing_else(url: str) -> None:
    async def main(venue: HttpVenue, context: RigContext) -> None:
        with pytest.raises(ConfigError) as caught:
            RestClient("rest", url, context)
        assert "hunter2" not in str(caught.value)

    play(main)


def test_a_request_shows_neither_query_nor_headers_nor_body() -> None:
    """R-85."""
    request = Request(
        method="GET", path="/p", query=(("k", "q-hidden"),), headers=(("h", "h-hidden"),),
        body=b"b-hidden",
    )  # fmt: skip
    response = Response(200, (("h", "h-hidden"),), b"b-hidden")

    shown = f"{request!r} {request} {response!r} {[*request.__rich_repr__()]}"
    shown += f"{[*response.__rich_repr__()]}"

    assert shown.startswith("<Request GET /p> <Request GET /p> <Response 200, 8 bytes>")
    assert "hidden" not in shown
