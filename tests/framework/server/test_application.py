"""A request's way to a door and back, over the in-memory network."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog
from aiohttp import web
from structlog.testing import capture_logs

from framework.errors import FrameworkError, InvariantBroken, RateLimited
from framework.model.desk import Verb, View
from framework.server.application import logs_debug
from framework.server.door import Answer, RefusalKind
from framework.settings.server import LimitSettings
from framework.simulation.loop import run_simulated
from tests.framework.server.door_stage import (
    LISTEN,
    NOW,
    Stage,
    hang_up,
    listener,
    secret_of,
    staged,
    token,
)

THING = {"symbol": "binance:BTCUSDT", "quantity": "1.50"}
OPEN = listener()


def play(script: Callable[[Stage], Awaitable[None]], *listeners: Any, **options: Any) -> None:
    async def main() -> None:
        async with staged(*listeners, **options) as stage:
            await script(stage)

    run_simulated(main)


# -- the way through -----------------------------------------------------------------------------


def test_a_body_reaches_the_handler_as_a_struct_and_the_answer_the_caller() -> None:
    async def script(stage: Stage) -> None:
        status, body, headers = await stage.ask("POST", "/orders", json=THING)

        assert (status, body) == (201, {**THING, "note": ""})
        assert stage.door.calls[0].body.symbol == "binance:BTCUSDT"
        assert stage.desk.done == [("all", "buy binance:BTCUSDT")]
        assert headers["Content-Type"] == "application/json"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Server"] == "Headrace"

    play(script)


def test_a_query_reaches_the_handler_as_a_struct() -> None:
    async def script(stage: Stage) -> None:
        await stage.ask("GET", "/orders?limit=3&status=A,B&status=C&unknown=1")

        query = stage.door.calls[0].query
        assert (query.limit, query.status) == (3, ["A", "B", "C"])

    play(script)


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        ("BTC%2FUSD", "BTC/USD"),
        ("BTC%252FUSD", "BTC%2FUSD"),
        ("A+B", "A+B"),
        ("A%20B", "A B"),
        ("F:EURUSD", "F:EURUSD"),
        ("%C3%A4", "ä"),
        ("..", ".."),
    ],
)
def test_a_path_parameter_is_one_encoded_segment_and_decoded_once(encoded: str, text: str) -> None:
    async def script(stage: Stage) -> None:
        lines = (
            f"GET /prices/{encoded} HTTP/1.1",
            "Host: localhost",
            f"X-API-Key: {secret_of('all')}",
        )
        answer = await stage.raw("\r\n".join((*lines, "", "")).encode())

        assert answer.startswith(b"HTTP/1.1 200")
        assert stage.door.calls[0].path == {"symbol": text}

    play(script)


def test_several_path_parameters_keep_their_order() -> None:
    async def script(stage: Stage) -> None:
        await stage.ask("GET", "/pairs/A%2FB/to/C")

        assert stage.door.calls[0].path == {"first": "A/B", "second": "C"}

    play(script)


def test_a_path_that_is_not_utf_8_is_refused() -> None:
    async def script(stage: Stage) -> None:
        status, body, _ = await stage.ask("GET", "/prices/%ff")

        assert (status, body["code"]) == (400, "invalid")

    play(script)


def test_head_is_answered_like_get_without_the_body() -> None:
    async def script(stage: Stage) -> None:
        status, body, headers = await stage.ask("HEAD", "/orders")

        assert (status, body, headers["Content-Length"]) == (200, b"", "14")

    play(script)


def test_bytes_go_out_as_they_are_and_nothing_as_nothing() -> None:
    async def script(stage: Stage) -> None:
        stage.door.handle = lambda _: Answer(b"raw", headers={"Content-Type": "text/plain"})
        _, body, headers = await stage.ask("GET", "/time")
        assert (body, headers["Content-Type"]) == (b"raw", "text/plain")

        stage.door.handle = lambda _: Answer(status=204)
        status, body, headers = await stage.ask("GET", "/time")
        assert (status, body) == (204, b"")
        assert "Content-Type" not in headers

    play(script)


def test_a_request_with_the_whole_url_in_its_first_line_is_understood() -> None:
    async def script(stage: Stage) -> None:
        line = b"GET http://localhost/orders?limit=7 HTTP/1.1\r\nHost: localhost\r\n"
        answer = await stage.raw(line + f"X-API-Key: {secret_of('all')}\r\n\r\n".encode())

        assert answer.startswith(b"HTTP/1.1 200")
        assert stage.door.calls[0].query.limit == 7

    play(script)


# -- correlation, audit, log ---------------------------------------------------------------------


def test_a_given_correlation_id_comes_back_cut_and_clean() -> None:
    async def script(stage: Stage) -> None:
        given = "a" * 200 + "b"
        _, _, headers = await stage.ask("GET", "/time", headers={"X-Correlation-ID": given})
        assert headers["X-Correlation-ID"] == "a" * 128

        given = "a\tbä"
        _, _, headers = await stage.ask("GET", "/time", headers={"X-Correlation-ID": given})
        assert headers["X-Correlation-ID"] == "ab"
        assert stage.door.calls[-1].correlation_id == "ab"

    play(script)


def test_a_correlation_id_is_made_from_the_seed_where_none_is_given() -> None:
    ids: list[str] = []

    async def script(stage: Stage) -> None:
        for given in ({}, {"X-Correlation-ID": "ä"}):
            _, _, headers = await stage.ask("GET", "/time", headers=given)
            ids.append(headers["X-Correlation-ID"])

    play(script)
    play(script)

    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]
    assert [len(part) for part in ids[0].split("-")] == [8, 4, 4, 4, 12]


def test_t05_every_call_that_may_change_something_is_noted_with_its_principal() -> None:
    async def script(stage: Stage) -> None:
        mark = {"X-Correlation-ID": "mark"}
        await stage.ask("GET", "/orders")
        await stage.ask("POST", "/orders", json=THING, headers=mark)
        await stage.ask("POST", "/orders", data=b"{", headers=mark)
        await stage.ask("POST", "/reset", headers=mark)
        await stage.ask("POST", "/orders", None, json=THING, headers=mark)

        assert stage.audited == [
            ("all", "mark", "POST", "/orders", 201),
            ("all", "mark", "POST", "/orders", 415),
            ("all", "mark", "POST", "/reset", 403),
        ]

    play(script)


def test_a_failing_audit_does_not_make_a_done_thing_look_undone() -> None:
    async def script(stage: Stage) -> None:
        stage.audited = None  # type: ignore[assignment]  # appending to it fails
        with capture_logs() as logs:
            status, _, _ = await stage.ask("POST", "/orders", json=THING)

        assert status == 201
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == [
            "audit_failed"
        ]

    play(script)


def test_the_access_log_names_the_token_and_never_its_secret() -> None:
    async def script(stage: Stage) -> None:
        with capture_logs() as logs:
            await stage.ask("GET", f"/prices/{'x' * 300}%0a")

        found = next(entry for entry in logs if entry["event"] == "request")
        assert (found["principal"], found["method"], found["status"]) == ("all", "GET", 200)
        assert len(found["path"]) <= 200
        assert found["ms"] >= 0
        assert secret_of("all") not in str(logs)

    play(script)


def test_the_access_log_costs_nothing_where_nobody_reads_it() -> None:
    for wrapper, factory, is_read in (
        (structlog.make_filtering_bound_logger(logging.INFO), None, False),
        (structlog.make_filtering_bound_logger(logging.DEBUG), None, True),
        (structlog.stdlib.BoundLogger, structlog.stdlib.LoggerFactory(), False),
        (structlog.BoundLogger, None, True),
    ):
        structlog.configure(wrapper_class=wrapper, logger_factory=factory)
        assert logs_debug() is is_read


# -- refusals: every kind in the door's envelope -------------------------------------------------

Ask = Callable[[Stage], Awaitable[tuple[int, Any, Any]]]
SMALL = LimitSettings(body=1_024, headers=1_024, requests_per_s=1, burst=2, depth=3, at_once=1)


async def ask_twice_at_once(stage: Stage) -> tuple[int, Any, Any]:
    stage.door.gate.clear()
    first = asyncio.ensure_future(stage.ask("GET", "/orders"))
    while not stage.door.calls:  # noqa: ASYNC110 -- one turn is enough in virtual time
        await asyncio.sleep(0.01)
    second = await stage.ask("GET", "/orders")
    stage.door.gate.set()
    await first
    return second


async def ask_three_times(stage: Stage) -> tuple[int, Any, Any]:
    for _ in range(2):
        await stage.ask("GET", "/orders")
    return await stage.ask("GET", "/orders")


async def ask_while_stopping(stage: Stage) -> tuple[int, Any, Any]:
    stage.server._is_stopping = True
    try:
        return await stage.ask("POST", "/orders", json=THING)
    finally:
        stage.server._is_stopping = False


async def ask_slowly(stage: Stage) -> tuple[int, Any, Any]:
    async def body() -> Any:
        yield b"{"
        await asyncio.sleep(31)
        yield b"}"

    json_type = {"Content-Type": "application/json"}
    return await stage.ask("POST", "/orders", data=body(), headers=json_type)


REFUSALS: dict[RefusalKind, tuple[Ask, int]] = {
    RefusalKind.MISSING_TOKEN: (lambda stage: stage.ask("GET", "/orders", None), 401),
    RefusalKind.INVALID_TOKEN: (lambda stage: stage.ask("GET", "/orders", "bad"), 401),
    RefusalKind.FORBIDDEN: (lambda stage: stage.ask("POST", "/reset"), 403),
    RefusalKind.HOST: (lambda stage: stage.ask("GET", "/time", headers={"Host": "evil"}), 421),
    RefusalKind.ORIGIN: (
        lambda stage: stage.ask("POST", "/orders", json=THING, headers={"Origin": "http://evil"}),
        403,
    ),
    RefusalKind.NO_ROUTE: (lambda stage: stage.ask("GET", "/nothing"), 404),
    RefusalKind.NO_METHOD: (lambda stage: stage.ask("PUT", "/orders"), 405),
    RefusalKind.MEDIA_TYPE: (lambda stage: stage.ask("POST", "/orders", data="x"), 415),
    RefusalKind.TOO_LARGE: (
        lambda stage: stage.ask("POST", "/orders", json={**THING, "note": "x" * 1_024}),
        413,
    ),
    RefusalKind.INVALID: (lambda stage: stage.ask("POST", "/orders", json={"symbol": 1}), 400),
    RefusalKind.TOO_MANY: (ask_three_times, 429),
    RefusalKind.BUSY: (ask_twice_at_once, 503),
    RefusalKind.STOPPING: (ask_while_stopping, 503),
    RefusalKind.TIMED_OUT: (ask_slowly, 408),
}


@pytest.mark.parametrize("kind", RefusalKind)
def test_each_kind_of_refusal_is_answered_in_the_envelope_of_the_door(kind: RefusalKind) -> None:
    ask, expected = REFUSALS[kind]

    async def script(stage: Stage) -> None:
        status, body, headers = await ask(stage)

        assert (status, body["code"]) == (expected, kind.value)
        assert body["message"]
        assert headers["Content-Type"] == "application/json"
        assert headers["X-Correlation-ID"]
        assert stage.desk.done == []
        (figures,) = stage.server.statistics()
        assert figures["refused"] == {kind.value: 1}

    play(script, listener(token("all"), limits=SMALL))


def test_a_refusal_says_what_to_do_in_the_headers_of_http() -> None:
    async def script(stage: Stage) -> None:
        _, _, headers = await stage.ask("GET", "/orders", None)
        assert headers["WWW-Authenticate"] == "Bearer"

        _, _, headers = await stage.ask("PUT", "/orders")
        assert headers["Allow"] == "GET, HEAD, POST"

        _, _, headers = await ask_three_times(stage)
        assert headers["Retry-After"] == "1"

    play(script, listener(token("all"), limits=LimitSettings(requests_per_s=1, burst=3)))


def test_the_wait_that_a_venue_asks_for_is_passed_on_rounded_up() -> None:
    async def script(stage: Stage) -> None:
        def slow_down(_: Any) -> None:
            raise RateLimited("binance", 2.1)

        stage.door.handle = slow_down
        stage.door.refuse = lambda error: Answer({}, 429)  # type: ignore[method-assign]
        _, _, headers = await stage.ask("GET", "/time")

        assert headers["Retry-After"] == "3"

    play(script)


def test_t06_a_bug_is_logged_with_its_trace_and_shown_to_nobody() -> None:
    async def script(stage: Stage) -> None:
        bugs = (KeyError("inside"), InvariantBroken("inside"), ConnectionResetError("inside"))
        for bug in bugs:

            def fail(_: Any, bug: Exception = bug) -> None:
                raise bug

            stage.door.handle = fail
            with capture_logs() as logs:
                _, body, headers = await stage.ask("GET", "/time")

            assert "inside" not in str(body) or isinstance(bug, FrameworkError)
            (entry,) = [one for one in logs if one["event"] == "request_failed"]
            assert entry["correlation_id"] == headers["X-Correlation-ID"]
            assert entry["exc_info"] is bug

    play(script)


def test_an_error_of_the_framework_is_answered_and_no_alarm() -> None:
    async def script(stage: Stage) -> None:
        with capture_logs() as logs:
            status, body, _ = await stage.ask("GET", "/orders/nobody-1")

        assert (status, body["code"]) == (404, "unknown_order")
        assert [entry for entry in logs if entry["log_level"] == "error"] == []

    play(script)


def test_a_door_that_cannot_even_refuse_is_answered_for() -> None:
    async def script(stage: Stage) -> None:
        def fail(error: BaseException) -> Answer:
            raise ValueError("twice")

        stage.door.refuse = fail  # type: ignore[method-assign]
        with capture_logs() as logs:
            status, body, _ = await stage.ask("GET", "/nothing")

        assert (status, body["code"]) == (500, "INTERNAL_ERROR")
        assert "refusal_failed" in [entry["event"] for entry in logs]

    play(script)


def test_an_answer_that_cannot_be_encoded_is_a_bug() -> None:
    async def script(stage: Stage) -> None:
        stage.door.handle = lambda _: Answer(object())
        status, body, _ = await stage.ask("GET", "/time")

        assert (status, body["code"]) == (500, "internal")

    play(script)


def test_what_is_no_http_is_answered_in_the_envelope_of_the_door_at_the_root() -> None:
    async def script(stage: Stage) -> None:
        answer = await stage.raw(b"nonsense\r\n\r\n", until=b"}")
        assert answer.startswith(b"HTTP/1.0 400")  # its version is unknown as well
        assert b'"code":"invalid"' in answer

        long = b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n"
        answer = await stage.raw(long, until=b"}")
        assert answer.startswith(b"HTTP/1.0 413")
        assert b'"field":"headers"' in answer

    play(script)


def test_two_hosts_are_no_request() -> None:
    async def script(stage: Stage) -> None:
        answer = await stage.raw(b"GET /time HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n")

        assert answer.startswith(b"HTTP/1.0 400")

    play(script)


# -- bodies --------------------------------------------------------------------------------------


def test_a_body_may_be_absent_where_the_route_says_so() -> None:
    async def script(stage: Stage) -> None:
        assert (await stage.ask("DELETE", "/orders/main-1"))[0] == 200
        assert stage.door.calls[0].body is None

        assert (await stage.ask("DELETE", "/orders/main-1", json={"limit": 2}))[0] == 200
        assert stage.door.calls[1].body.limit == 2

        status, body, _ = await stage.ask("POST", "/orders")
        assert (status, body["code"]) == (400, "invalid")

    play(script)


def test_a_body_may_come_in_pieces() -> None:
    async def script(stage: Stage) -> None:
        async def pieces() -> Any:
            for piece in (b'{"symbol": "binance:X",', b' "quantity"', b": 1}"):
                yield piece
                await asyncio.sleep(1)

        json_type = {"Content-Type": "application/json; charset=utf-8"}
        status, _, _ = await stage.ask("POST", "/orders", data=pieces(), headers=json_type)

        assert status == 201

    play(script)


def test_a_body_in_pieces_is_limited_as_well() -> None:
    async def script(stage: Stage) -> None:
        async def pieces() -> Any:
            for _ in range(3):
                yield b" " * 512
                await asyncio.sleep(0.1)

        json_type = {"Content-Type": "application/json"}
        status, body, _ = await stage.ask("POST", "/orders", data=pieces(), headers=json_type)

        assert (status, body["code"]) == (413, "too_large")

    play(script, listener(token("all"), limits=LimitSettings(body=1_024)))


def test_a_body_of_a_declared_size_is_refused_before_it_comes() -> None:
    async def script(stage: Stage) -> None:
        head = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n"
        answer = await stage.raw(head + f"X-API-Key: {secret_of('all')}\r\n\r\n".encode())

        assert answer.startswith(b"HTTP/1.1 413")
        assert b"Connection: close" in answer

    play(script)


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async def script(stage: Stage) -> None:
        reader, writer = await stage.connect()
        body = b'{"symbol": "binance:X", "quantity": 1}'
        lines = (
            "POST /orders HTTP/1.1",
            "Host: localhost",
            f"X-API-Key: {secret_of('all')}",
            "Content-Type: application/json",
            "Expect: 100-continue",
            f"Content-Length: {len(body)}",
        )
        writer.write("\r\n".join((*lines, "", "")).encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 201 Created\r\n"
        await hang_up(writer)

    play(script)


def test_a_broken_body_is_refused_or_has_nobody_to_tell() -> None:
    async def script(stage: Stage) -> None:
        head = (
            b"POST /orders HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            + f"Content-Type: application/json\r\nX-API-Key: {secret_of('all')}\r\n\r\n".encode()
        )
        answer = await stage.raw(head + b"zz\r\n")
        assert answer.startswith(b"HTTP/1.0 400")

        reader, writer = await stage.connect()
        writer.write(head)
        await asyncio.sleep(1)
        writer.write(b"zz\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        await hang_up(writer)

        _, writer = await stage.connect()
        writer.write(head + b"2\r\n{}\r\n")
        await asyncio.sleep(1)
        await hang_up(writer)
        await asyncio.sleep(1)
        assert stage.desk.done == []

    play(script)


def test_a_compressed_body_is_refused() -> None:
    async def script(stage: Stage) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        status, body, _ = await stage.ask("POST", "/orders", data=b"{}", headers=headers)

        assert (status, body["code"]) == (415, "media_type")

    play(script)


# -- streams -------------------------------------------------------------------------------------


def test_a_stream_that_breaks_off_is_logged_and_its_connection_closed() -> None:
    async def begin_and_fail(call: Any) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(call.request)
        await response.write(b"first")
        raise ValueError("second")

    async def script(stage: Stage) -> None:
        for route in stage.server._addresses[0].application.router.endpoints:
            if route.is_stream:
                route.route = type(route.route)(
                    "GET", "/stream", begin_and_fail, Verb.MARKET, {}, "", has_own_reader=True
                )
        lines = f"GET /stream HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {secret_of('all')}\r\n\r\n"
        with capture_logs() as logs:
            answer = await stage.raw(lines.encode(), until=b"nothing")

        assert b"first" in answer
        assert b"second" not in answer
        assert "stream_failed" in [entry["event"] for entry in logs]

    play(script)


def test_a_response_of_the_door_itself_goes_out_as_it_is() -> None:
    async def script(stage: Stage) -> None:
        stage.door.handle = lambda _: web.Response(text="own", status=202)
        status, body, _ = await stage.ask("GET", "/stream")

        assert (status, body) == (202, b"own")

    play(script)


# -- each route with each kind of token ----------------------------------------------------

TOKENS = [
    token("all"),
    token("expired", expires=NOW.replace(year=NOW.year - 1).isoformat()),
    token("revoked", is_revoked=True),
    token("reader", verbs=[Verb.READ, Verb.MARKET]),
    token("elsewhere", accounts=["other"]),
    token("narrow", instruments=("binance:ETHUSDT",)),
    token("admin", verbs=list(Verb), view=View.ACCOUNT),
    token("nothing", verbs=[]),
]
ROUTES: dict[tuple[str, str], dict[str, int]] = {  # what a token that is known and valid gets
    ("GET", "/time"): dict.fromkeys(("reader", "elsewhere", "narrow", "admin", "nothing"), 200),
    ("GET", "/orders"): {"reader": 200, "elsewhere": 200, "narrow": 200, "admin": 200},
    ("GET", "/orders/main-1"): {"reader": 200, "elsewhere": 404, "narrow": 200, "admin": 200},
    ("DELETE", "/orders/main-1"): {"elsewhere": 404, "narrow": 200, "admin": 200},
    ("POST", "/orders"): {"elsewhere": 201, "narrow": 403, "admin": 201},
    ("GET", "/prices/A"): {"reader": 200, "elsewhere": 200, "narrow": 200, "admin": 200},
    ("GET", "/pairs/A/to/B"): {"reader": 200, "elsewhere": 200, "narrow": 200, "admin": 200},
    ("POST", "/reset"): {"admin": 200},
    ("GET", "/stream"): {"reader": 200, "elsewhere": 200, "narrow": 200, "admin": 200},
}
KNOWN = ("reader", "elsewhere", "narrow", "admin", "nothing")
CHANGES = {"cancel main-1", "buy binance:BTCUSDT"}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_r81_each_route_answers_each_kind_of_token_as_it_must(method: str, path: str) -> None:
    expected = {name: ROUTES[method, path].get(name, 403) for name in KNOWN}
    is_public = path == "/time"
    unknown = 200 if is_public else 401
    expected |= dict.fromkeys(("none", "bad", "expired", "revoked"), unknown)

    async def script(stage: Stage) -> None:
        options = {"json": THING} if (method, path) == ("POST", "/orders") else {}
        for name, status in expected.items():
            stage.desk.done.clear()
            got = await stage.ask(method, path, None if name == "none" else name, **options)

            assert (name, got[0]) == (name, status)
            changed = {what for _, what in stage.desk.done} & CHANGES
            assert bool(changed) == (method != "GET" and status < 300 and path != "/reset")

    play(script, listener(*TOKENS))


def test_r81_the_table_has_every_route() -> None:
    async def script(stage: Stage) -> None:
        shown = {(one.method, one.path.partition("{")[0]) for one in stage.door.routes}

        assert {(method, path) for method, path in ROUTES if path.count("/") == 1} <= shown
        assert len(ROUTES) == len(stage.door.routes)

    play(script)


@pytest.mark.parametrize("path", ["/", "/orders/", "//orders", "/orders/a/b", "/v9"])
def test_without_a_token_nobody_learns_what_is_not_there(path: str) -> None:
    async def script(stage: Stage) -> None:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
        assert (await stage.raw(f"{head}\r\n".encode())).startswith(b"HTTP/1.1 401")
        known = f"{head}X-API-Key: {secret_of('all')}\r\n\r\n"
        assert (await stage.raw(known.encode())).startswith(b"HTTP/1.1 404")

    play(script)


def test_a_request_that_names_no_path_is_nobody_s() -> None:
    async def script(stage: Stage) -> None:
        answer = await stage.raw(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 401")

    play(script)


def test_an_open_door_lets_everybody_do_all_but_admin() -> None:
    async def script(stage: Stage) -> None:
        assert (await stage.ask("POST", "/orders", None, json=THING))[0] == 201
        assert (await stage.ask("GET", "/orders", "whatever"))[0] == 200
        assert (await stage.ask("POST", "/reset", None))[0] == 403
        assert stage.audited[0][0] == "anonymous"
        assert stage.door.calls[0].principal.places[0].run == "outside"
        assert stage.door.calls[0].principal.places[1].run == "outside-other"

    play(script, OPEN)


def test_guessing_tokens_has_a_rate_of_its_own() -> None:
    async def script(stage: Stage) -> None:
        statuses = [(await stage.ask("GET", "/orders", "bad"))[0] for _ in range(3)]
        assert statuses == [401, 401, 429]
        assert (await stage.ask("GET", "/orders"))[0] == 200  # a valid one is not held back

    play(script, listener(token("all"), limits=LimitSettings(requests_per_s=1, burst=2)))


def test_requests_are_counted_by_token_and_again_after_a_while() -> None:
    async def script(stage: Stage) -> None:
        assert [(await stage.ask("GET", "/orders"))[0] for _ in range(3)] == [200, 200, 429]
        assert (await stage.ask("GET", "/orders", "other"))[0] == 200
        await asyncio.sleep(1.1)
        assert (await stage.ask("GET", "/orders"))[0] == 200

    limits = LimitSettings(requests_per_s=1, burst=2)
    play(script, listener(token("all"), token("other"), limits=limits))


def test_r84_headers_are_limited_together() -> None:
    async def script(stage: Stage) -> None:
        headers = {f"X-{number}": "x" * 300 for number in range(5)}
        status, body, _ = await stage.ask("GET", "/orders", headers=headers)
        assert (status, body["code"], body["field"]) == (413, "too_large", "headers")

        status, _, _ = await stage.ask("POST", "/orders", json={**THING, "note": "x" * 2_000})
        assert status == 201  # large because of its body, which is in its limits

    play(script, listener(token("all"), limits=LimitSettings(headers=1_024)))


def test_r84_json_is_limited_in_depth() -> None:
    async def script(stage: Stage) -> None:
        body: Any = {**THING, "unknown": [[[1]]]}
        assert (await stage.ask("POST", "/orders", json=body))[0] == 201
        body = {**THING, "unknown": [[[[1]]]]}
        status, told, _ = await stage.ask("POST", "/orders", json=body)
        assert (status, told["code"]) == (400, "invalid")

    play(script, listener(token("all"), limits=LimitSettings(depth=4)))


def test_t02_a_foreign_page_neither_changes_nor_streams_anything() -> None:
    async def script(stage: Stage) -> None:
        for method, path in (("POST", "/orders"), ("GET", "/stream")):
            for origin, is_allowed in (
                ("http://evil", False),
                ("null", False),
                ("https://desk.example", True),
                ("HTTPS://Desk.Example/", True),
            ):
                status, _, _ = await stage.ask(method, path, json=THING, headers={"Origin": origin})
                assert (origin, status < 300) == (origin, is_allowed)
        assert (await stage.ask("GET", "/orders", headers={"Origin": "http://evil"}))[0] == 200

    play(script, listener(token("all"), origins=["https://desk.example"]))


def test_two_doors_stand_side_by_side_and_answer_for_their_own_paths() -> None:
    async def script(stage: Stage) -> None:
        first, second = stage.server.doors
        assert (await stage.ask("GET", "/a/time"))[0] == 200
        assert (await stage.ask("GET", "/b/nothing"))[0] == 404
        assert (await stage.ask("GET", "/nothing"))[0] == 404  # nobody's: the toolkit's own

        assert len(first.calls) == 1  # type: ignore[attr-defined]
        assert [error.kind for error in second.errors] == [  # type: ignore[attr-defined]
            RefusalKind.NO_ROUTE
        ]

    both = listener(token("all"), prefix="/a")
    both = type(both)(
        LISTEN, [*both.doors, *listener(token("all"), prefix="/b").doors], limits=LimitSettings()
    )
    play(script, both)
