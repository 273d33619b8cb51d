"""The order writer against a venue in raw bytes, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from framework.errors import NotSent, VenueError, VenueUnavailable
from framework.net.order_writer import OrderWriter, WriterOptions
from framework.net.rest import Request, Response, RestClient
from framework.simulation.link import LinkFaults
from tests.broker.rig import RigContext
from tests.framework.net.http_venue import (
    ADDRESS,
    CLOSE,
    OK,
    URL,
    Arrived,
    HttpVenue,
    answer,
    in_turn,
    play,
    simulated_loop,
)

ORDER = Request(method="POST", path="/orders", body=b'{"price":1}')


def order(number: int, **settings: Any) -> Request:
    return Request(method="POST", path="/orders", body=b"%d" % number, **settings)


@asynccontextmanager
async def writer_of(
    context: RigContext, *, size: int = 1, url: str = URL, **options: Any
) -> AsyncIterator[OrderWriter]:
    """Run a writer; let it connect first."""
    writer = OrderWriter("writer", url, context, size=size, options=WriterOptions(**options))
    running = asyncio.get_running_loop().create_task(writer.run())
    await asyncio.sleep(0.001)
    try:
        yield writer
    finally:
        await writer.aclose()
        await asyncio.wait([running])
        running.result()


async def outcome_of(sent: "asyncio.Future[Response]") -> Response | VenueError:
    try:
        return await sent
    except VenueError as error:
        return error


def echo(found: Arrived) -> bytes:
    return answer(200, found.body)


def test_a_request_is_written_before_send_returns() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> HttpVenue:
        async with writer_of(context, url=URL + "/") as writer:
            sent = writer.send(
                Request(
                    method="POST", path="/or ders", query=(("a", "b c"),), body=b'{"price":1}',
                    headers=(("X-One", "1"),),
                ),
                (("X-Two", "2"),),
            )  # fmt: skip
            assert writer.statistics()["written"] == 1  # without a turn of the loop
            assert await sent == Response(200, (("Content-Length", "2"),), b"{}")
        return venue

    (arrived,) = play(main).arrived

    assert arrived.first_line == "POST /api/or%20ders?a=b%20c HTTP/1.1"
    assert arrived.fields == [
        ("Host", "venue:8000"),
        ("User-Agent", "headrace"),
        ("Accept-Encoding", "identity"),
        ("X-One", "1"),
        ("X-Two", "2"),
        ("Content-Type", "application/json"),
        ("Content-Length", "11"),
    ]
    assert arrived.body == b'{"price":1}'


def test_an_answer_may_have_any_status() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> list[int]:
        async with writer_of(context) as writer:
            return [(await writer.send(ORDER)).status for _ in range(3)]

    assert play(main, in_turn(answer(201), answer(409), answer(500))) == [201, 409, 500]


@pytest.mark.parametrize("seed", range(5))
def test_each_request_gets_its_own_answer_and_none_arrives_twice(seed: int) -> None:
    """R-20, R-47: over few connections, split and late; a connection never carries two at once."""

    async def main(venue: HttpVenue, context: RigContext) -> tuple[list[bytes], HttpVenue]:
        faults = LinkFaults(latency_ms_low=1, latency_ms_high=30, split_max_bytes=7)
        simulated_loop().network.set_faults(ADDRESS, faults)
        async with writer_of(context, size=3) as writer:
            await asyncio.sleep(0.2)
            sent = [writer.send(order(number)) for number in range(40)]
            return [(await one).body for one in sent], venue

    bodies, venue = play(main, echo, seed=seed)

    assert bodies == [b"%d" % number for number in range(40)]
    assert sorted(found.body for found in venue.arrived) == sorted(bodies)
    assert len(venue.connections) == 3


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_link_does_each_order_arrives_at_most_once(seed: int) -> None:
    """F-01, R-20, R-45: loss, damage, splits; and what was `NotSent` never arrives."""

    async def main(
        venue: HttpVenue, context: RigContext
    ) -> tuple[list[Response | VenueError], list[bytes]]:
        faults = LinkFaults(
            latency_ms_low=1, latency_ms_high=40, split_max_bytes=20, drop_rate=0.06
        )
        simulated_loop().network.set_faults(ADDRESS, faults)
        outcomes = []
        async with writer_of(context, size=2, deadline_s=2.0) as writer:
            await asyncio.sleep(0.3)
            for number in range(60):
                outcomes.append(await outcome_of(writer.send(order(number))))
                await asyncio.sleep(0.05)
        await asyncio.sleep(5)
        return outcomes, [found.body for found in venue.arrived]

    outcomes, arrived = play(main, echo, seed=seed)

    assert len(set(arrived)) == len(arrived)
    for number, outcome in enumerate(outcomes):
        body = b"%d" % number
        if isinstance(outcome, Response):
            assert outcome.body == body
            assert body in arrived
        elif isinstance(outcome, NotSent):
            assert body not in arrived
    assert {Response, VenueUnavailable} <= {type(outcome) for outcome in outcomes}


# -- what does not arrive ------------------------------------------------------------------------


def test_without_a_connection_nothing_is_sent() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> HttpVenue:
        simulated_loop().network.set_faults(ADDRESS, LinkFaults(refuse=True))
        async with writer_of(context) as writer:
            assert not writer.is_open
            with pytest.raises(NotSent, match="there is no connection"):
                await writer.send(ORDER)
        return venue

    assert play(main).arrived == []


def test_before_it_runs_and_after_it_is_closed_nothing_is_sent() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> None:
        idle = OrderWriter("writer", URL, context)
        assert type(await outcome_of(idle.send(ORDER))) is NotSent
        async with writer_of(context) as writer:
            assert writer.is_open
        assert not writer.is_open
        assert type(await outcome_of(writer.send(ORDER))) is NotSent

    play(main)


def test_silence_ends_at_the_deadline_in_doubt_and_closes_the_connection() -> None:
    """R-20: the late answer must not be taken for that of the next request."""

    async def main(venue: HttpVenue, context: RigContext) -> None:
        async with writer_of(context, deadline_s=2.0, floor_s=0.1, base_s=0.1) as writer:
            with pytest.raises(VenueUnavailable, match="no answer in time") as caught:
                await writer.send(order(1, deadline_s=1.5))
            assert type(caught.value) is VenueUnavailable
            assert asyncio.get_running_loop().time() == pytest.approx(1.501)
            assert not writer.is_open
            venue.script = echo
            await asyncio.sleep(0.2)
            assert (await writer.send(order(2))).body == b"2"

    play(main, lambda _: None)


def test_a_venue_that_hangs_up_leaves_the_order_in_doubt() -> None:
    """F-01: just as the second request comes; it is not written on another connection."""

    async def main(venue: HttpVenue, context: RigContext) -> HttpVenue:
        async with writer_of(context, size=2) as writer:
            await writer.send(ORDER)
            with pytest.raises(VenueUnavailable, match="lost") as caught:
                await writer.send(ORDER)
            assert type(caught.value) is VenueUnavailable
            assert (await writer.send(ORDER)).status == 200
        return venue

    assert len(play(main, in_turn(OK, CLOSE, OK)).arrived) == 3


def test_what_crosses_a_close_on_the_wire_is_in_doubt() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> int:
        faults = LinkFaults(latency_ms_low=50, latency_ms_high=50)
        simulated_loop().network.set_faults(ADDRESS, faults)
        async with writer_of(context) as writer:
            await asyncio.sleep(0.2)
            venue.connections[0].transport.close()
            assert type(await outcome_of(writer.send(ORDER))) is VenueUnavailable
        await asyncio.sleep(1)
        return len(venue.arrived)

    assert play(main) == 0


@pytest.mark.parametrize(
    "reply",
    [b"SSH-2.0\r\n\r\n", answer(200, b"a") + answer(200, b"b"), answer(200, 2_000 * b"x")],
)
def test_what_is_not_the_answer_leaves_the_order_in_doubt(reply: bytes) -> None:
    async def main(venue: HttpVenue, context: RigContext) -> Any:
        async with writer_of(context, largest_body=1_000) as writer:
            return await outcome_of(writer.send(ORDER))

    assert type(play(main, lambda _: reply)) is VenueUnavailable


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> bool:
        async with writer_of(context) as writer:
            venue.connections[0].answer(answer(408))
            await asyncio.sleep(0.01)
            return writer.is_open

    assert not play(main)


def test_an_answer_that_ends_with_the_connection_is_one() -> None:
    def last(found: Arrived) -> None:
        found.connection.transport.write(b"HTTP/1.0 200 OK\r\n\r\nbye")
        found.connection.transport.close()

    async def main(venue: HttpVenue, context: RigContext) -> bytes:
        async with writer_of(context) as writer:
            return (await writer.send(ORDER)).body

    assert play(main, last) == b"bye"


def test_a_connection_that_the_venue_ends_is_not_used_again() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> int:
        async with writer_of(context, base_s=0.1) as writer:
            await writer.send(ORDER)
            assert not writer.is_open
            await asyncio.sleep(0.2)
            await writer.send(ORDER)
        return len(venue.connections)

    assert play(main, in_turn(answer(200, connection="close"), OK)) == 2


def test_a_header_that_cannot_be_written_does_not_leave() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> HttpVenue:
        async with writer_of(context) as writer:
            for value in ("a\r\nB: c", "a\nb", "€"):
                assert type(await outcome_of(writer.send(ORDER, (("A", value),)))) is NotSent
        return venue

    assert play(main).arrived == []


# -- waiting for a connection --------------------------------------------------------------------


def test_who_waits_for_a_connection_goes_in_order_and_cancels_first() -> None:
    """R-68."""

    async def main(venue: HttpVenue, context: RigContext) -> list[bytes]:
        async with writer_of(context) as writer:
            sent = [
                writer.send(order(number, is_cancel=number in (3, 4))) for number in range(1, 6)
            ]
            for one in sent:
                await one
            assert writer.statistics()["waited"] == 4
        return [found.body for found in venue.arrived]

    assert play(main) == [b"1", b"3", b"4", b"2", b"5"]


def test_too_many_waiting_are_not_sent() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> None:
        async with writer_of(context, most_waiting=1) as writer:
            first, second, third = (writer.send(order(number)) for number in range(3))
            with pytest.raises(NotSent, match="too many"):
                await third
            assert (await first).status == (await second).status == 200

    play(main)


def test_who_waits_beyond_his_deadline_is_not_sent() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> list[bytes]:
        async with writer_of(context) as writer:
            silent = writer.send(order(1, deadline_s=3.0))
            waiting = writer.send(order(2, deadline_s=1.0))
            with pytest.raises(NotSent, match="free in time"):
                await waiting
            venue.connections[0].answer(OK)
            await silent
            venue.script = echo
            assert (await writer.send(order(3))).body == b"3"
        return [found.body for found in venue.arrived]

    assert play(main, lambda _: None) == [b"1", b"3"]


def test_who_waits_when_the_last_connection_is_lost_is_not_sent() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> None:
        async with writer_of(context) as writer:
            first, second = writer.send(order(1)), writer.send(order(2))
            await asyncio.sleep(0.01)
            simulated_loop().network.cut(ADDRESS)
            assert type(await outcome_of(first)) is VenueUnavailable
            assert type(await outcome_of(second)) is NotSent

    play(main, lambda _: None)


def test_a_caller_that_gives_up_leaves_the_connection_to_its_answer() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> list[bytes]:
        async with writer_of(context) as writer:
            first, second = writer.send(order(1)), writer.send(order(2))
            first.cancel()
            second.cancel()
            await asyncio.sleep(0.01)
            venue.script = echo
            venue.connections[0].answer(OK)
            assert (await writer.send(order(3))).body == b"3"
        return [found.body for found in venue.arrived]

    assert play(main, lambda _: None) == [b"1", b"3"]


def test_closing_settles_everything() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> list[type]:
        async with writer_of(context) as writer:
            sent = [writer.send(order(1)), writer.send(order(2))]
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        assert simulated_loop().network.connection_count(ADDRESS) == 0
        return [type(await outcome_of(one)) for one in sent]

    assert play(main, lambda _: None) == [VenueUnavailable, NotSent]


# -- keeping connections -------------------------------------------------------------------------


def test_it_connects_again_with_growing_pauses_until_it_can() -> None:
    """R-43, R-44: and no connection is left over."""

    async def main(venue: HttpVenue, context: RigContext) -> dict[str, int]:
        network = simulated_loop().network
        network.set_faults(ADDRESS, LinkFaults(refuse=True))
        async with writer_of(context, size=2, idle_s=100.0) as writer:
            await asyncio.sleep(300)
            failures = writer.statistics()["failures"]
            assert 2 * 300 / 30 <= failures <= 2 * 60
            network.set_faults(ADDRESS, LinkFaults())
            await asyncio.sleep(31)
            assert (await writer.send(ORDER)).status == 200
            assert network.connection_count(ADDRESS) == 2
            return writer.statistics()

    counts = play(main)

    assert (counts["connects"], counts["open"], counts["written"]) == (2, 2, 1)


def test_a_connect_without_an_answer_is_given_up() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> int:
        simulated_loop().network.set_faults(ADDRESS, LinkFaults(blackhole=True))
        async with writer_of(context, connect_s=3.0, cap_s=0.5) as writer:
            await asyncio.sleep(7.5)
            return writer.statistics()["failures"]

    assert play(main) == 2


def test_a_venue_that_hangs_up_at_once_is_left_alone_longer_and_longer() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> int:
        class Rude(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                transport.close()

        await asyncio.get_running_loop().create_server(Rude, "rude", 1)
        async with writer_of(context, url="http://rude:1") as writer:
            await asyncio.sleep(600)
            return writer.statistics()["connects"]

    assert 10 < play(main) < 80


def test_an_idle_connection_is_replaced_before_the_venue_closes_it() -> None:
    """And there is one at every moment."""

    async def main(venue: HttpVenue, context: RigContext) -> tuple[int, int]:
        faults = LinkFaults(latency_ms_low=20, latency_ms_high=20)
        simulated_loop().network.set_faults(ADDRESS, faults)
        async with writer_of(context, size=1, idle_s=20.0) as writer:
            await asyncio.sleep(1)
            for _ in range(2_000):
                await asyncio.sleep(0.05)
                assert writer.is_open
            assert (await writer.send(ORDER)).status == 200
            return len(venue.connections), simulated_loop().network.connection_count(ADDRESS)

    assert play(main) == (6, 1)


def test_a_connection_in_use_is_not_replaced() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> int:
        async with writer_of(context, idle_s=20.0) as writer:
            for _ in range(20):
                await asyncio.sleep(10)
                await writer.send(ORDER)
        return len(venue.connections)

    assert play(main) == 1


def test_one_that_is_replaced_while_it_is_busy_ends_after_its_answer() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> tuple[bytes, bytes]:
        faults = LinkFaults(latency_ms_low=100, latency_ms_high=100)
        simulated_loop().network.set_faults(ADDRESS, faults)
        async with writer_of(context, idle_s=20.0) as writer:
            await asyncio.sleep(20.4)  # the next one is being opened: 20.2 to 20.6
            first = writer.send(order(1))
            await asyncio.sleep(0.3)
            second = writer.send(order(2))
            bodies = (await first).body, (await second).body
            await asyncio.sleep(1)
            assert simulated_loop().network.connection_count(ADDRESS) == 1
        return bodies

    assert play(main, echo) == (b"1", b"2")


# -- in a RestClient -----------------------------------------------------------------------------


def test_a_rest_client_lets_it_carry_writes_and_nothing_else() -> None:
    async def main(venue: HttpVenue, context: RigContext) -> list[tuple[str, bool]]:
        async with writer_of(context) as writer:
            client = RestClient("rest", URL, context, writer=writer)
            await client.send(Request(method="GET", path="/orders"))
            await client.send(ORDER)
            await writer.aclose()
            await asyncio.sleep(0.01)
            await client.send(ORDER)
            await client.aclose()
        written = [found.field("accept-encoding") == "identity" for found in venue.arrived]
        return [
            (found.first_line.split()[0], by_writer)
            for found, by_writer in zip(venue.arrived, written, strict=True)
        ]

    assert play(main) == [("GET", False), ("POST", True), ("POST", False)]


def test_a_rest_client_hears_what_became_of_it() -> None:
    """The deadline is one, and the kind of failure the writer's."""

    async def main(venue: HttpVenue, context: RigContext) -> float:
        async with writer_of(context) as writer:
            client = RestClient("rest", URL, context, writer=writer)
            written = asyncio.get_running_loop().create_task(client.send(order(1, deadline_s=2.0)))
            await asyncio.sleep(0.1)
            with pytest.raises(NotSent):
                await client.send(order(2, deadline_s=1.0))
            with pytest.raises(VenueUnavailable) as caught:
                await written
            assert type(caught.value) is VenueUnavailable
            assert str(caught.value) == "rest: POST /orders: no answer in time"
            return asyncio.get_running_loop().time()

    assert play(main, lambda _: None) == pytest.approx(2.001)
