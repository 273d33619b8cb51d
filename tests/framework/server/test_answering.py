"""How answers leave: one head whichever way they take, one after another, no faster than read."""

import asyncio
from collections.abc import Awaitable, Callable
from email.parser import BytesParser
from typing import Any, cast

import pytest
from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.test_utils import make_mocked_request

from framework.server.answering import PlainResponse, answered, replied
from framework.server.door import Answer
from framework.simulation.loop import run_simulated
from tests.framework.server.door_stage import Stage, bearer, hang_up, staged

ANSWERS = 40
BODY = b"x" * 20_000  # small enough for aiohttp not to look whether it is read
PLAIN = Answer({"a": 1})


def play(script: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        async with staged() as stage:
            await script(stage)

    run_simulated(main)


def request(method: str = "GET", *, version: str = "1.1", **headers: str) -> bytes:
    given = {"Host": "127.0.0.1:8080", "X-Correlation-ID": "mine", **bearer("all"), **headers}
    lines = [f"{method} /orders HTTP/{version}", *(f"{name}: {one}" for name, one in given.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def read_answer(
    reader: asyncio.StreamReader, *, has_body: bool = True
) -> tuple[bytes, dict[str, str], bytes]:
    """Return first line, headers and body of the next answer."""
    first, _, head = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
    headers = dict(BytesParser().parsebytes(head).items())
    size = int(headers.get("Content-Length", "0")) if has_body else 0
    return first, headers, await reader.readexactly(size)


WAYS = [
    ({}, {}),
    ({"version": "1.0", "Connection": "keep-alive"}, {"Connection": "keep-alive"}),
    ({"Connection": "close"}, {"Connection": "close"}),
    ({"method": "HEAD"}, {}),
]


@pytest.mark.parametrize(("how", "more"), WAYS)
def test_the_head_of_an_answer_is_the_same_whichever_way_it_goes(
    how: dict[str, Any], more: dict[str, str]
) -> None:
    async def script(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write(request(**how))
        first, headers, body = await read_answer(reader, has_body="method" not in how)

        assert first == f"HTTP/{how.get('version', '1.1')} 200 OK".encode()
        assert headers.pop("Date").endswith(" GMT")
        assert headers == {
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Server": "Headrace",
            "X-Correlation-ID": "mine",
            "Content-Type": "application/json",
            "Content-Length": "14",
            **more,
        }
        assert body == (b"" if "method" in how else b'{"name":"all"}')
        await hang_up(writer)

    play(script)


def test_a_kept_connection_is_answered_again_and_one_that_ends_is_closed() -> None:
    async def script(stage: Stage) -> None:
        reader, writer = await stage.connect()
        for _ in range(2):
            writer.write(request())
            first, _, _ = await read_answer(reader)
            assert first == b"HTTP/1.1 200 OK"
        writer.write(request(Connection="close"))
        await read_answer(reader)
        assert await reader.read() == b""
        await hang_up(writer)

    play(script)


@pytest.mark.parametrize(
    ("answer", "how", "is_plain"),
    [
        (PLAIN, {}, True),
        (Answer(b"bytes", 201), {}, True),
        (PLAIN, {"method": "HEAD"}, False),
        (PLAIN, {"version": HttpVersion10}, False),
        (PLAIN, {"closing": True}, False),
        (Answer(), {}, False),
        (Answer({}, 202), {}, False),
        (Answer({}, 204), {}, False),
        (Answer({}, headers={"X-Next-Cursor": "a"}), {}, False),
    ],
)
def test_what_is_not_plain_goes_the_way_of_aiohttp(
    answer: Answer, how: dict[str, Any], is_plain: bool
) -> None:
    asked: dict[str, Any] = {"method": "GET", "version": HttpVersion11, **how}
    response = replied(make_mocked_request(path="/", **asked), answer, "text/plain", "mine")

    assert isinstance(response, PlainResponse if is_plain else web.Response)
    assert response.status == answer.status


def test_headers_of_a_door_stand_beside_those_that_all_have() -> None:
    response = answered(Answer({}, headers={"X-Next-Cursor": "a"}), "text/plain", "mine")

    assert response.headers["X-Next-Cursor"] == "a"
    assert response.headers["Cache-Control"] == "no-store"


def test_who_does_not_read_is_not_answered_for_ever() -> None:
    """R-84: answers that nobody takes do not pile up, however many requests lie in wait."""

    async def script(stage: Stage) -> None:
        stage.door.handle = lambda _: Answer(BODY)
        reader, writer = await stage.connect()
        transport = cast(asyncio.Transport, writer.transport)
        transport.pause_reading()
        for _ in range(ANSWERS):
            writer.write(request())
        await asyncio.sleep(5)
        waiting = len(stage.door.calls)
        transport.resume_reading()
        for _ in range(ANSWERS):
            _, _, body = await read_answer(reader)
            assert body == BODY

        assert 0 < waiting < ANSWERS
        assert len(stage.door.calls) == ANSWERS
        await hang_up(writer)

    play(script)
