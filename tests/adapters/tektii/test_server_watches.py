import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from adapters.tektii import server_watches
from adapters.tektii.server_subscriptions import Want
from adapters.tektii.server_watches import Watches
from framework.model.instrument import Instrument
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import OWNER, FakeDesk
from tests.adapters.tektii.gateway_rig import place_of

QUOTES = Want("mock", "AAPL", "quotes")
CANDLES = Want("mock", "AAPL", "candles", "1m")
ALL = Want("mock", "*", "quotes")
A, B = (replace(OWNER, name=name) for name in "ab")


def run(scenario: Callable[[FakeDesk, Watches], Awaitable[None]]) -> FakeDesk:
    desk = FakeDesk()

    async def main() -> None:
        await scenario(desk, Watches(place_of(desk)))

    run_simulated(main)
    return desk


def open_now(desk: FakeDesk) -> list[tuple[str, ...]]:
    return [one.name for one in desk.watched if not one.is_closed]


def test_what_several_want_is_asked_for_once_and_given_back_with_the_last() -> None:
    async def scenario(desk: FakeDesk, watches: Watches) -> None:
        watches.want("a", frozenset({QUOTES, CANDLES}))
        watches.want("b", frozenset({QUOTES}))
        await watches.settle()
        assert sorted(open_now(desk)) == [
            ("mock:AAPL", "candles", "1m"),
            ("mock:AAPL", "quotes", ""),
        ]
        assert watches.instruments == {"mock:AAPL"}

        watches.leave("a")
        await watches.settle()
        assert open_now(desk) == [("mock:AAPL", "quotes", "")]

        watches.want("b", frozenset())
        await watches.settle()
        assert open_now(desk) == []
        assert len(watches) == 0

    run(scenario)


def test_all_instruments_are_those_that_are_known_later_too() -> None:
    async def scenario(desk: FakeDesk, watches: Watches) -> None:
        running = asyncio.ensure_future(watches.run())
        watches.want("a", frozenset({ALL}))
        await asyncio.sleep(0.01)
        assert len(open_now(desk)) == 2

        desk.known["mock:MSFT"] = Instrument("mock:MSFT")
        watches.instruments_changed()
        await asyncio.sleep(0.01)
        assert ("mock:MSFT", "quotes", "") in open_now(desk)

        running.cancel()
        await asyncio.wait([running])

    assert open_now(run(scenario)) == []


def test_one_that_cannot_be_had_keeps_none_away() -> None:
    async def scenario(desk: FakeDesk, watches: Watches) -> None:
        watches.want("a", frozenset({Want("mock", "AAAA", "quotes"), QUOTES}))
        with capture_logs() as logs:
            await watches.settle()
            watches.want("b", frozenset({CANDLES}))
            await watches.settle()

        assert len(open_now(desk)) == 2
        assert [one["instrument"] for one in logs if one["event"] == "watch_refused"] == [
            "mock:AAAA"
        ]

    run(scenario)


def test_new_instruments_change_nothing_for_those_who_name_theirs() -> None:
    async def scenario(desk: FakeDesk, watches: Watches) -> None:
        watches.want("a", frozenset({QUOTES}))
        running = asyncio.ensure_future(watches.run())
        await asyncio.sleep(0.01)
        before = len(desk.called("instrument"))
        watches.want("a", frozenset({QUOTES}))
        watches.leave("nobody")
        watches.instruments_changed()
        await asyncio.sleep(0.01)

        assert len(desk.called("instrument")) == before
        running.cancel()
        await asyncio.wait([running])

    run(scenario)


def test_watches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_watches, "MOST_WATCHES", 1)

    async def scenario(desk: FakeDesk, watches: Watches) -> None:
        watches.want("a", frozenset({ALL}))
        with capture_logs() as logs:
            await watches.settle()

        assert len(open_now(desk)) == 1
        assert [(one["event"], one["left_out"]) for one in logs] == [("too_many_watches", 1)]

    run(scenario)


def numbered(count: int, first: int = 0) -> frozenset[Want]:
    return frozenset(Want("mock", f"S{first + number:03}", "quotes") for number in range(count))


def stocked(count: int) -> FakeDesk:
    return FakeDesk([Instrument(f"mock:S{number:03}") for number in range(count)])


def test_one_principal_takes_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-84: over all its connections; others have theirs, and whoever has none is told once."""
    monkeypatch.setattr(server_watches, "MOST_OF_ONE", 4)
    desk = stocked(20)
    told: list[tuple[str, str]] = []

    def teller(who: str) -> Callable[[str], None]:
        return lambda reason: told.append((who, reason))

    async def main() -> None:
        watches = Watches(place_of(desk))
        watches.want("a1", numbered(3), owner=A, tell=teller("a1"))
        watches.want("a2", numbered(4, 2), owner=A, tell=teller("a2"))  # one of them twice
        watches.want("b", numbered(4, 10), owner=B, tell=teller("b"))
        with capture_logs() as logs:
            await watches.settle()
            await watches.settle()

        symbols = sorted(name.removeprefix("mock:S") for name in watches.instruments)
        assert symbols == ["000", "001", "002", "003", "010", "011", "012", "013"]
        assert told == [("a2", "2 subscriptions are not served: 4 can be for one token")]
        assert [(one["principal"], one["left_out"]) for one in logs] == [("a", 2)]

        watches.leave("a1")  # there is room
        await watches.settle()
        assert {f"mock:S00{number}" for number in (2, 3, 4, 5)} < watches.instruments
        watches.want("a3", numbered(1), owner=A, tell=teller("a3"))
        watches.want("a2", numbered(5, 1), owner=A, tell=teller("a2"))
        await watches.settle()
        assert [who for who, _ in told] == ["a2", "a2", "a3"]

    run_simulated(main)


def test_the_servers_own_list_has_no_share_and_what_is_open_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_watches, "MOST_WATCHES", 6)
    monkeypatch.setattr(server_watches, "MOST_OF_ONE", 2)
    desk = stocked(3)
    told: list[str] = []

    async def main() -> None:
        watches = Watches(place_of(desk))
        watches.want("server", frozenset({ALL}))
        watches.want("a", frozenset({CANDLES, QUOTES}), owner=A, tell=told.append)
        await watches.settle()
        assert len(watches) == 3  # there is no AAPL: its refusal is no lack of room
        assert told == []

        for number in range(3, 9):
            desk.known[f"mock:S{number:03}"] = Instrument(f"mock:S{number:03}")
        watches.want("b", frozenset({Want("mock", "S000", "candles", "1m")}), owner=B,
                     tell=told.append)  # fmt: skip
        await watches.settle()
        assert len(watches) == 6
        assert told == ["1 subscriptions are not served: 6 can be for all"]
        assert {f"mock:S00{number}" for number in range(3)} < watches.instruments

    run_simulated(main)


def test_other_platforms_and_names_with_a_venue() -> None:
    async def scenario(desk: FakeDesk, watches: Watches) -> None:
        watches.want("a", frozenset({Want("alpaca", "AAPL", "quotes")}))
        watches.want("b", frozenset({Want("mock", "mock:AAPL", "quotes")}))
        await watches.settle()

        assert open_now(desk) == [("mock:AAPL", "quotes", "")]

    run(scenario)


def test_nothing_is_asked_for_that_whoever_wants_it_does_not_see() -> None:
    async def scenario(desk: FakeDesk, watches: Watches) -> None:
        def sees(instrument: str) -> bool:
            return instrument == "mock:AAPL"

        watches.want("a", frozenset({ALL, CANDLES, Want("mock", "SECRET", "quotes")}), sees)
        await watches.settle()
        assert sorted(open_now(desk)) == [
            ("mock:AAPL", "candles", "1m"),
            ("mock:AAPL", "quotes", ""),
        ]
        assert set(desk.called("instrument")) == {"mock:AAPL"}
        watches.leave("a")
        watches.want("a", frozenset({ALL}))  # somebody else by now
        await watches.settle()
        assert len(open_now(desk)) == 2

    run(scenario)


def test_many_requests_leave_turns_to_the_rest_of_the_process() -> None:
    symbols = [Instrument(f"mock:S{number}") for number in range(3 * server_watches.TURN)]
    desk = FakeDesk(symbols)
    counts = []

    async def main() -> None:
        watches = Watches(place_of(desk))
        watches.want("a", frozenset({ALL}))
        settling = asyncio.ensure_future(watches.settle())
        while not settling.done():
            await asyncio.sleep(0)
            counts.append(len(watches))

    run_simulated(main)
    assert server_watches.TURN in counts
    assert counts[-1] == len(symbols)
