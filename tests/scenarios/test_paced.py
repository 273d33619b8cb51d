"""Backtests driven from outside: they trade as the same logic inside, whatever clients do."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import anyio
import msgspec
import pytest

from framework import Quote
from framework.backtest.given_up import GivenUp
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import ReplaySettings
from framework.simulation.loop import run_simulated
from tests.scenarios.paced_stage import (
    BESIDE,
    RUN,
    SYMBOLS,
    Client,
    Frame,
    Inside,
    Outside,
    Pick,
    Waiting,
    came_to,
    fills_of,
    play_inside,
    play_outside,
    section,
    settings,
    source_of,
    strategy,
    write_candles,
    write_quotes,
)

CANDLES = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("paced")


def candles(folder: Path, *symbols: str, count: int = CANDLES, seed: int = 0) -> dict[str, Any]:
    return source_of({one: write_candles(folder, one, count, seed) for one in symbols})


def quotes(folder: Path, *symbols: str, count: int = CANDLES, seed: int = 0) -> dict[str, Any]:
    return source_of({one: write_quotes(folder, one, count, seed) for one in symbols})


def trader(seed: int, **options: Any) -> Any:
    async def script(url: str) -> None:
        client = Client(url)
        await Outside(client, seed, **options).run()
        await client.aclose()

    return script


def late_listener(wait_s: float) -> Any:
    async def script(url: str) -> None:
        client = Client(url)

        async def wait(_frame: Any) -> None:
            await anyio.sleep(wait_s)

        await client.follow(wait)
        await client.aclose()

    return script


@pytest.mark.parametrize("answers_fills", [False, True])
@pytest.mark.parametrize(
    ("make", "order_ms"),
    [
        (candles, 0.0),
        (candles, 50.0),
        (candles, 90_000.0),
        (quotes, 0.0),
        (quotes, 50.0),
        (quotes, 2_000.0),
    ],
)
def test_decisions_from_outside_trade_as_those_inside(
    folder: Path, make: Any, order_ms: float, answers_fills: bool
) -> None:
    for seed in range(2):
        source, options = make(folder, "DEMO", seed=seed), picks(order_ms, answers_fills)
        run = strategy(RUN, seed=seed, symbols=["DEMO"], kind=make.__name__, **options)
        inside = play_inside(settings(source, strategies=[run], order_ms=order_ms))

        outside = play_outside(
            settings(source, door={}, order_ms=order_ms), trader(seed, **options)
        )

        assert len(fills_of(inside)) > 5
        assert came_to(outside) == came_to(inside)


def picks(order_ms: float, answers_fills: bool = False) -> dict[str, Any]:
    """Return what may be decided.

    Without a latency an exit that this very price touches trades before a client can decide, and
    after a strategy inside has decided: only without exits both must come to the same.
    """
    return {"has_exits": order_ms > 0, "answers_fills": answers_fills}


@pytest.mark.parametrize("order_ms", [0.0, 250.0])
@pytest.mark.parametrize("make", [candles, quotes])
def test_two_instruments_a_second_client_that_is_late_and_strategies_beside(
    folder: Path, make: Any, order_ms: float
) -> None:
    source, options = make(folder, *SYMBOLS), picks(order_ms)
    options |= {"kind": make.__name__}
    beside = [
        strategy(BESIDE, Inside, "first", seed=7, **options),
        strategy("waiting", Waiting, "second", seed=8, **options),
    ]
    run = strategy(RUN, seed=1, **options)
    inside = play_inside(settings(source, strategies=[*beside, run], order_ms=order_ms))

    outside = play_outside(
        settings(source, strategies=beside, door={"wait_for_clients": 2}, order_ms=order_ms),
        trader(1, has_exits=order_ms > 0),
        late_listener(0.05),
    )

    assert {one[0] for one in fills_of(inside)} == {RUN, BESIDE, "waiting"}
    assert came_to(outside) == came_to(inside)


class Slow(Waiting):
    """Notes when it hears of its executions."""

    heard: ClassVar[list[tuple[int, int]]] = []

    async def on_quote(self, quote: Quote) -> None:  # type: ignore[override]
        """Decide, a little late."""
        for _ in range(3):
            await asyncio.sleep(0)
        self.act(quote)

    def on_fill(self, fill: Any) -> None:
        """Note the market time."""
        self.heard.append((self.now_ns, fill.time_ns))
        super().on_fill(fill)


def test_a_strategy_beside_that_waits_hears_of_executions_at_their_time(folder: Path) -> None:
    source, outcomes = quotes(folder, *SYMBOLS), []
    Slow.heard.clear()
    run = strategy(RUN, Slow, seed=1, kind="quotes", has_exits=False, answers_fills=True)

    outcomes.append(play_inside(settings(source, strategies=[run])))
    outcomes.append(play_outside(settings(source, strategies=[run], door={"wait_for_clients": 0})))

    assert len(Slow.heard) > 50
    assert [now for now, _ in Slow.heard] == [then for _, then in Slow.heard]
    assert fills_of(outcomes[0]) == fills_of(outcomes[1])


# -- acknowledgements --------------------------------------------------------------------------


def times_of(client: Client, kind: str = "candle") -> list[str]:
    return [frame["timestamp"] for frame in client.frames if frame["type"] == kind]


class Cast:
    """Clients of one run, opened by their scripts and closed with them."""

    def __init__(self) -> None:
        self.clients: list[Client] = []

    def script(self, play: Any, **options: Any) -> Any:
        """Return a script that plays with a client of its own."""

        async def script(url: str) -> None:
            client = Client(url, **options)
            self.clients.append(client)
            try:
                await play(client)
            finally:
                await client.aclose()

        return script


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_market_time_stands_still_until_a_late_ack(folder: Path) -> None:
    cast, seen = Cast(), []

    async def play(client: Client) -> None:
        async def late(frame: Frame) -> None:
            if frame["type"] == "candle":
                await anyio.sleep(4.9)
                handle = await client.submit("DEMO", Pick("limit", price=Decimal(1)))
                order = await client.ask("GET", f"/v1/orders/{handle['id']}", status=200)
                seen.append((frame["timestamp"], order["created_at"], now_s()))

        await client.follow(late)

    outcome = play_outside(settings(candles(folder, "DEMO", count=10), door={}), cast.script(play))

    assert [shown for shown, _, _ in seen] == [created for _, created, _ in seen]
    assert len({shown for shown, _, _ in seen}) == 10
    assert seen[-1][2] - seen[0][2] == pytest.approx(9 * 4.9, abs=0.1)
    assert outcome[0].orders == 10


def test_a_client_that_never_acks_ends_the_run_after_24_steps(folder: Path) -> None:
    cast, took = Cast(), []

    async def play(client: Client) -> None:
        begun_s = now_s()
        await client.follow()
        took.append(now_s() - begun_s)

    with pytest.raises(GivenUp, match=r"24 steps in a row .* 5 s each; .* evt-\d+ from"):
        play_outside(
            settings(candles(folder, "DEMO", count=40), door={}), cast.script(play, acks=False)
        )

    (client,) = cast.clients
    assert len(set(times_of(client))) == 24
    assert took == [pytest.approx(24 * 5, abs=2)]
    assert client.frames[-1]["event"] == "DISCONNECTING"
    assert "backtest_complete" not in {frame["type"] for frame in client.frames}
    assert client.close_code == 1001


@pytest.mark.parametrize("how", ["silent", "nonsense", "gone"])
def test_a_client_that_falls_silent_ends_the_run_after_5_steps(folder: Path, how: str) -> None:
    cast = Cast()

    async def play(client: Client) -> None:
        count = 0

        async def act(frame: Frame) -> bool:
            nonlocal count
            count += frame["type"] == "candle"
            if count > 6:
                if how == "nonsense":
                    await client.ack("evt-0", "evt-999999", None, {}, frame.get("seq"))
                    await client.stream.send_str("[")
                return False
            return True

        await client.follow(act, most=7 if how == "gone" else None)

    with pytest.raises(GivenUp, match="5 steps in a row") as caught:
        play_outside(settings(candles(folder, "DEMO", count=40), door={}), cast.script(play))

    (client,) = cast.clients
    assert len(set(times_of(client))) == (7 if how == "gone" else 11)
    result = caught.value.result
    assert 7 <= result.events < 40
    assert result.warnings[0].startswith("given up before the data's end: 5 steps in a row")


def test_the_run_waits_for_as_many_clients_as_it_is_told(folder: Path) -> None:
    cast, joined = Cast(), []

    async def first(client: Client) -> None:
        async def note(frame: Frame) -> None:
            if frame["type"] == "candle":
                joined.append(now_s())

        await client.follow(note)

    async def second(client: Client) -> None:
        await anyio.sleep(700)
        await client.follow()

    play_outside(
        settings(candles(folder, "DEMO", count=5), door={"wait_for_clients": 2}),
        cast.script(first),
        cast.script(second),
    )

    assert min(joined) >= 700
    first_client, second_client = cast.clients
    assert times_of(first_client) == times_of(second_client)
    assert len(times_of(second_client)) == 5


def test_one_of_two_that_leaves_in_a_step_does_not_hold_it_up(folder: Path) -> None:
    cast, took = Cast(), []

    async def stays(client: Client) -> None:
        begun_s = now_s()
        await client.follow()
        took.append(now_s() - begun_s)

    async def leaves(client: Client) -> None:
        await client.follow(most=4)

    play_outside(
        settings(candles(folder, "DEMO", count=30), door={"wait_for_clients": 2}),
        cast.script(stays),
        cast.script(leaves),
    )

    assert len(times_of(cast.clients[0])) == 30
    assert took[0] < 3


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("away_s", [0.0, 1.0])
def test_who_comes_back_with_its_number_misses_nothing(
    folder: Path, alone: bool, away_s: float
) -> None:
    cast = Cast()

    async def breaks_off(client: Client) -> None:
        query = ""
        for _ in range(6):
            await client.follow(query=query, most=5)
            last = client.frames[-1]
            query = f"?epoch={last['epoch']}&after={last['seq']}"
            await anyio.sleep(away_s)
        await client.follow(query=query)

    async def stays(client: Client) -> None:
        async def slowly(frame: Frame) -> None:
            await anyio.sleep(0.2)

        await client.follow(slowly)

    scripts = [cast.script(breaks_off)] if alone else [cast.script(breaks_off), cast.script(stays)]
    outcome = play_outside(
        settings(
            candles(folder, "DEMO", count=50),
            door={"wait_for_clients": len(scripts)},
        ),
        *scripts,
    )

    numbers = [frame["seq"] for frame in cast.clients[0].frames]
    assert numbers == list(range(1, numbers[-1] + 1))
    assert outcome[0].events == 50
    assert len({frame["epoch"] for frame in cast.clients[0].frames}) == 1
    assert len(times_of(cast.clients[0])) == 50


def test_recorded_data_at_a_pace_of_their_own_wait_for_nobody(folder: Path) -> None:
    cast = Cast()
    took: list[tuple[float, str]] = []

    async def play(client: Client) -> None:
        async def act(frame: Frame) -> None:
            if frame["type"] == "candle" and len(took) < 3:
                begun_s = now_s()
                handle = await client.submit("DEMO", Pick("limit", price=Decimal(1)))
                took.append((now_s() - begun_s, handle["status"]))

        await client.follow(act)

    chosen = settings(candles(folder, "DEMO", count=20), door={}, order_ms=50.0)
    chosen = msgspec.structs.replace(chosen, mode=Mode.REPLAY, replay=ReplaySettings(speed=60.0))

    async def main() -> float:
        async with Runtime(chosen) as runtime:
            script = asyncio.ensure_future(cast.script(play, acks=False)(runtime.addresses[0]))
            await runtime.wait()
            ended_s = now_s()
        await script
        return ended_s

    ended_s = run_simulated(main, seed=1)
    (client,) = cast.clients
    assert ended_s == pytest.approx(19, abs=0.1)
    assert len(times_of(client)) >= 19
    assert all("event_id" not in frame for frame in client.frames)
    assert [status for _, status in took] == ["OPEN"] * 3


# -- requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order_ms", [0.0, 50.0])
def test_a_request_runs_at_the_time_of_its_step_and_acts_from_the_next(
    folder: Path, order_ms: float
) -> None:
    cast = Cast()
    answers: list[tuple[Frame, Any]] = []

    async def play(client: Client) -> None:
        async def act(frame: Frame) -> None:
            if frame["type"] == "candle" and len(answers) < 3:
                begun_s = now_s()
                handle = await client.submit("DEMO", Pick("market"))
                assert now_s() - begun_s < 0.1
                order = await client.ask("GET", f"/v1/orders/{handle['id']}", status=200)
                assert order["created_at"] == frame["timestamp"]
                answers.append((frame, handle))

        await client.follow(act)

    play_outside(
        settings(candles(folder, "DEMO", count=8), door={}, order_ms=order_ms), cast.script(play)
    )

    (client,) = cast.clients
    orders = [frame for frame in client.frames if frame["type"] == "order"]
    trades = [frame["trade"] for frame in client.frames if frame["type"] == "trade"]
    candle_times = times_of(client)
    for index, (frame, handle) in enumerate(answers):
        assert handle["status"] == ("PENDING" if order_ms else "OPEN")
        story = [one for one in orders if one["order"]["id"] == handle["id"]]
        assert story[0]["order"]["created_at"] == frame["timestamp"]
        if order_ms:  # created for clients once the venue has taken it
            assert story[0]["timestamp"] == frame["timestamp"].replace("Z", ".05Z")
        (trade,) = [one for one in trades if one["order_id"] == handle["id"]]
        assert trade["timestamp"] == candle_times[index + (2 if order_ms else 1)]


def test_a_request_after_the_ack_is_carried_out_once_and_at_one_time(folder: Path) -> None:
    cast, seen = Cast(), []

    async def play(client: Client) -> None:
        async def act(frame: Frame) -> bool:
            if frame["type"] != "candle":
                return True
            await client.ack(frame["event_id"])
            handle = await client.submit("DEMO", Pick("limit", price=Decimal(1)))
            seen.append((frame["timestamp"], handle["id"]))
            return False

        await client.follow(act)

    outcome = play_outside(settings(candles(folder, "DEMO", count=20), door={}), cast.script(play))

    (client,) = cast.clients
    made = {
        frame["order"]["id"]: frame["order"]["created_at"]
        for frame in client.frames
        if frame["type"] == "order"
    }
    times = times_of(client)
    for shown, order_id in seen[:-1]:
        assert made[order_id] in times[times.index(shown) : times.index(shown) + 2]
    assert outcome[0].orders == len(seen)


# -- the end -----------------------------------------------------------------------------------


def test_the_end_is_told_and_the_connection_closed(folder: Path) -> None:
    cast, ended = Cast(), []

    async def play(client: Client) -> None:
        async def act(frame: Frame) -> None:
            if frame["type"] == "backtest_complete":
                ended.append(now_s())

        await client.follow(act)
        ended.append(now_s())

    outcome = play_outside(settings(candles(folder, "DEMO", count=5), door={}), cast.script(play))

    (client,) = cast.clients
    complete, goodbye = client.frames[-2:]
    assert complete["type"] == "backtest_complete"
    assert "event_id" not in complete
    assert goodbye["event"] == "DISCONNECTING"
    assert client.close_code == 1001
    assert ended[1] - ended[0] < 3
    assert outcome[0].events == 5


def test_what_the_last_instant_brings_is_told_before_the_end(folder: Path) -> None:
    """A timer of the last instant: the answer to an order that is on its way for a whole candle."""
    cast = Cast()

    async def play(client: Client) -> None:
        async def act(frame: Frame) -> None:
            if frame["type"] == "candle" and len(times_of(client)) == 4:
                await client.submit("DEMO", Pick("market"))

        await client.follow(act)

    play_outside(
        settings(candles(folder, "DEMO", count=5), door={}, order_ms=60_000.0), cast.script(play)
    )

    kinds = [frame["type"] for frame in cast.clients[0].frames]
    paced = [frame["type"] for frame in cast.clients[0].frames if "event_id" in frame]
    assert kinds.count("backtest_complete") == 1
    assert kinds.index("backtest_complete") > max(
        index for index, frame in enumerate(cast.clients[0].frames) if "event_id" in frame
    )
    assert "order" in paced


@pytest.mark.parametrize("order_ms", [0.0, 50.0])
def test_the_same_run_twice_is_the_same_stream(folder: Path, order_ms: float) -> None:
    source, streams = candles(folder, *SYMBOLS), []
    for _ in range(2):
        cast = Cast()

        async def play(client: Client) -> None:
            await Outside(client, 4).run()

        play_outside(settings(source, door={}, order_ms=order_ms), cast.script(play))
        streams.append(cast.clients[0].raw)

    assert streams[0] == streams[1]
    assert len(streams[0]) > 200


# -- the command -------------------------------------------------------------------------------


class Command:
    """`headrace backtest --json` as a process of its own, listening at `url`."""

    def __init__(self, folder: Path, **door: Any) -> None:
        chosen = section(candles(folder, "DEMO", count=400), door=door)
        path = folder / "served.yaml"
        path.write_bytes(msgspec.json.encode(chosen))  # which is YAML as well
        self.process = subprocess.Popen(
            [sys.executable, "-m", "framework", "backtest", str(path), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        lines = iter(self.process.stderr.readline, "")
        self.url = next((one for one in lines if one.startswith("listening on")), "").split()[-1]

    def end(self) -> tuple[int, str, str]:
        """Return exit code, what it printed, and its last line on stderr."""
        printed, told = self.process.communicate(timeout=60)
        return self.process.returncode, printed, told.strip().splitlines()[-1]


async def real_client(url: str, count: int, then: Callable[[], object]) -> Any:
    """Follow the stream of a real server; return why it ended."""
    async with aiohttp.ClientSession(url) as session, session.ws_connect("/v1/ws") as stream:
        async for message in stream:
            frame = msgspec.json.decode(message.data)
            if frame["type"] == "candle":
                count -= 1
                if not count and then() is None:
                    return None
            ids = [frame["event_id"]] if "event_id" in frame else []
            ack = msgspec.json.encode({"type": "event_ack", "events_processed": ids})
            await stream.send_str(ack.decode())
        return stream.close_code


@contextmanager
def running(folder: Path, **door: Any) -> Iterator[Command]:
    """Run the command from its start to the end of the block."""
    command = Command(folder, **door)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.communicate()


@pytest.mark.socket
def test_the_command_prints_what_a_deserted_run_had_come_to_and_fails(folder: Path) -> None:
    """Its client acknowledges nothing, so that no answer can come too late."""
    with running(folder, ack_timeout_s=0.05, first_ack_timeouts=3) as command:
        asyncio.run(real_client(command.url, 1, lambda: None))
        code, printed, told = command.end()
    result = msgspec.json.decode(printed)
    assert code == 1
    assert told.startswith("3 steps in a row were not acknowledged within 0.05 s each")
    assert 3 <= result["events"] <= 4  # a step that tells nobody anything waits for nobody
    assert result["duration_s"] > 0
    assert "given up before the data's end" in result["warnings"][0]


@pytest.mark.socket
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_sees_clients_off(folder: Path, number: signal.Signals) -> None:
    with running(folder, ack_timeout_s=60) as command:

        def interrupt() -> str:
            command.process.send_signal(number)
            return "go on"

        close_code = asyncio.run(real_client(command.url, 50, interrupt))

        assert close_code == 1001
        assert command.end()[:2] == (128 + number, "")
