import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import anyio
import pytest
from structlog.testing import capture_logs

from framework.server.door import RefusalKind
from framework.server.sse import event
from framework.settings.server import LimitSettings
from framework.simulation.loop import SimulatedLoop, run_simulated
from framework.simulation.pipe import WINDOW_BYTES
from tests.framework.server.stream_stage import ADDRESS, Stage, limits, staged

LIMIT_NS = 7_200 * 1_000_000_000


def play(
    scenario: Callable[[Stage], Awaitable[None]], chosen: LimitSettings | None = None
) -> Stage:
    async def main() -> Stage:
        async with staged(chosen) as stage:
            await scenario(stage)
        return stage

    with capture_logs():
        return run_simulated(main, limit_ns=LIMIT_NS)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (event("x"), b"data: x\n\n"),
        (event(""), b"data: \n\n"),
        (event("a\nb\r\nc\rd"), b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (event("é", name="quote", number="7"), "id: 7\nevent: quote\ndata: é\n\n".encode()),
    ],
)
def test_an_event_is_lines_and_an_empty_one(made: bytes, expected: bytes) -> None:
    assert made == expected


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_names_and_numbers_stay_on_their_line(bad: str) -> None:
    with pytest.raises(ValueError, match="event"):
        event("x", name=bad)
    with pytest.raises(ValueError, match="id"):
        event("x", number=bad)


def test_events_arrive_in_order_until_the_end() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.session.get(f"{stage.url}/events") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/event-stream"
            assert answer.headers["X-Correlation-ID"] == "c-1"
            link = stage.links[0]
            for number in range(3):
                link.send(event(f"{number}", number=f"{number}"))
            link.send(b"")
            link.close(1000, "done")
            assert await answer.text() == "".join(f"id: {n}\ndata: {n}\n\n" for n in range(3))

    assert play(scenario).told == [(1, "open", None), (1, "close", 1000, "done")]


def test_the_door_learns_what_was_received_last() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.session.get(f"{stage.url}/events", headers={"Last-Event-ID": "41"}):
            assert stage.told == [(1, "open", "41")]

    play(scenario)


def test_a_comment_every_15_s_keeps_it_alive() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.session.get(f"{stage.url}/events") as answer:
            loop = asyncio.get_running_loop()
            for number in range(1, 10):
                assert await answer.content.readuntil(b"\n\n") == b":\n\n"
                assert loop.time() == pytest.approx(15.0 * number)

    play(scenario)


def test_a_client_that_goes_is_noticed() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.session.get(f"{stage.url}/events"):
            pass
        await stage.registry.wait_empty()
        assert asyncio.get_running_loop().time() <= 5

    assert play(scenario).told[-1] == (1, "close", 1006, "")


def test_a_client_that_reads_nothing_is_cut() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.session.get(f"{stage.url}/events") as answer:
            assert answer.connection is not None
            assert answer.connection.transport is not None
            answer.connection.transport.pause_reading()
            stage.links[0].send(event("x" * (WINDOW_BYTES + 1_000)))
            await stage.registry.wait_empty()
            assert 8 <= asyncio.get_running_loop().time() <= 12

    stage = play(scenario, limits(slow_s=8.0))

    assert stage.told[-1] == (1, "close", 1013, "slow consumer")
    assert stage.registry.cut_slow == 1


def test_a_cut_connection_is_noticed_while_much_waits() -> None:
    async def scenario(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        async with stage.session.get(f"{stage.url}/events") as answer:
            assert answer.connection is not None
            assert answer.connection.transport is not None
            answer.connection.transport.pause_reading()
            for _ in range(10):
                stage.links[0].send(event("x" * 30_000))
            await asyncio.sleep(1)
            loop.network.cut(ADDRESS)
            await stage.registry.wait_empty()
            assert loop.time() <= 6

    stage = play(scenario)

    assert stage.told[-1] == (1, "close", 1006, "")
    assert stage.registry.statistics().frames_dropped > 0


def test_places_are_shared_with_web_sockets() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial(), stage.session.get(f"{stage.url}/events") as answer:
            assert answer.status == 418

    assert [refused.kind for refused in play(scenario, limits(links=1)).refused] == [
        RefusalKind.BUSY
    ]


def test_all_end_together() -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.dial(), stage.session.get(f"{stage.url}/events") as answer:
            stage.links[1].send(event("last words"))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stage.registry.close_all, 1001, "shutdown", 3.0)
                assert await answer.text() == "data: last words\n\n"

    play(scenario)


def test_old_clients_are_refused() -> None:
    async def scenario(stage: Stage) -> None:
        old = aiohttp.ClientSession(
            version=aiohttp.HttpVersion10, connector=stage.session.connector, connector_owner=False
        )
        async with old, old.get(f"{stage.url}/events") as answer:
            assert answer.status == 418

    assert play(scenario).refused[0].kind is RefusalKind.INVALID
