"""Every check of the area *recovery* has an adapter that fails it."""

from typing import Any

import pytest

from framework.adapter_kit import recovery as area
from framework.errors import MalformedMessage
from framework.model.events import ConnectionChanged, ConnectionState, GapDetected
from framework.model.market_data import BookDelta, BookSnapshot, Level
from tests.framework.adapter_kit.sabotage import (
    Case,
    Scene,
    dropping,
    named,
    replace,
    require_all_proven,
    require_failure,
)
from tests.framework.adapter_kit.test_connection import gives_up, keeps_streaming


def doubled(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    return tuple((price, 2.0 * size) for price, size in levels)


def every(number: int, alter: Any) -> Any:
    """Return a sabotage that alters one book change in so many."""

    def change_some(scene: Scene) -> None:
        deltas: list[BookDelta] = []

        def change(event: Any) -> Any:
            if not isinstance(event, BookDelta):
                return (event,)
            deltas.append(event)
            return (alter(event) if len(deltas) % number == 0 else event,)

        scene.change = change

    return change_some


def stops_after_a_while(scene: Scene) -> None:
    deltas: list[BookDelta] = []

    def change(event: Any) -> Any:
        if isinstance(event, BookDelta):
            deltas.append(event)
        return () if len(deltas) > 50 else (event,)

    scene.change = change


def samples(scene: Scene) -> None:
    """Show the true book every ten seconds, and nothing of what happens in between."""
    stage = scene.stage
    scene.change = lambda e: () if isinstance(e, BookDelta | BookSnapshot) else (e,)

    def show(number: int) -> None:
        now_ns = stage.clock.now_ns
        for index, symbol in enumerate(stage.rig.symbols):
            bids, asks = stage.rig.binance.book(symbol)
            times = (now_ns, now_ns, number)
            stage.publish(BookSnapshot(stage.name(index), *times, tuple(bids), tuple(asks)))
        stage.loop.call_later(10.0, show, number + 1)

    stage.loop.call_later(1.0, show, 1)


def is_slow(scene: Scene) -> None:
    """Tell everything late, and in order."""

    def change(event: Any) -> Any:
        if isinstance(event, BookDelta | BookSnapshot | ConnectionChanged):
            scene.stage.loop.call_later(0.7, scene.stage.publish, event)
            return ()
        return (event,)

    scene.change = change


class Numbers:
    """Numbers book changes itself, so that nothing ever seems to be missing or repeated."""

    def __init__(self, scene: Scene) -> None:
        self._last: dict[str, int] = {}
        self._seen: set[tuple[str, int]] = set()
        scene.change = self.change

    def change(self, event: Any) -> Any:
        """Return the event with a number that follows; a repeat is added once more."""
        if isinstance(event, BookSnapshot):
            self._last[event.instrument] = event.sequence
        if not isinstance(event, BookDelta):
            return (event,)
        key = (event.instrument, event.sequence)
        if key in self._seen:
            event = replace(event, bids=doubled(event.bids), asks=doubled(event.asks))
        self._seen.add(key)
        last = self._last.get(event.instrument)
        if last is not None:
            event = replace(event, first_sequence=last + 1, sequence=max(last + 1, event.sequence))
            self._last[event.instrument] = event.sequence
        return (event,)


def numbers_itself(scene: Scene) -> None:
    Numbers(scene)


def asks_twice_at_most(scene: Scene) -> None:
    """Give up on a book after its second snapshot was asked for."""
    request, asked = scene.feed.request_snapshot, list[str]()

    def request_twice(instrument: str) -> None:
        asked.append(instrument)
        if asked.count(instrument) <= 2:
            request(instrument)

    scene.feed.request_snapshot = request_twice


def dies_of_garbage(scene: Scene) -> None:
    """Let what cannot be read end `run`."""
    broken = scene.stage.loop.create_future()
    run = scene.feed.run

    def note(error: MalformedMessage) -> None:
        if not broken.done():
            broken.set_exception(error)

    async def run_until_broken() -> None:
        task = scene.stage.loop.create_task(run())
        try:
            await broken
        finally:
            task.cancel()

    scene.feed._note_bad = note
    scene.feed.run = run_until_broken


def is_lost(change: ConnectionChanged) -> bool:
    return change.state is ConnectionState.RECONNECTING


CASES = (
    Case(
        area.follows_the_venue,
        named("wrong_sizes", every(7, lambda e: replace(e, bids=doubled(e.bids)))),
        "times wrong and synced",
    ),
    Case(
        area.follows_the_venue,
        named("swapped_sides", every(7, lambda e: replace(e, bids=e.asks, asks=e.bids))),
        "wrong and synced|the books are synced|the books go on",
    ),
    Case(area.follows_the_venue, samples, "the books go on: not within"),
    Case(area.follows_the_venue, is_slow, "is the venue's newest: not within"),
    Case(area.follows_the_venue, stops_after_a_while, "the books go on: not within"),
    Case(
        area.follows_the_venue,
        named("no_snapshots", dropping(BookSnapshot)),
        "the books are synced: not within",
    ),
    Case(area.survives_lost_frames, numbers_itself, "times wrong and synced"),
    Case(area.survives_lost_frames, asks_twice_at_most, "the books are synced: not within"),
    Case(
        area.survives_lost_frames,
        named("hides_gaps", dropping(GapDetected)),
        "wrong and synced|no GapDetected",
        "kalshi",
    ),
    Case(area.ignores_repeated_frames, numbers_itself, "times wrong and synced"),
    Case(area.survives_swapped_frames, numbers_itself, "times wrong and synced"),
    Case(area.survives_garbled_frames, numbers_itself, "times wrong and synced"),
    Case(area.survives_garbled_frames, dies_of_garbage, "`run` ended by itself: feed.run: Malform"),
    Case(area.survives_reconnects, keeps_streaming, "are told as lost: not within"),
    Case(area.survives_reconnects, gives_up, "the books are synced: not within"),
    Case(
        area.survives_reconnects,
        named("without_a_loss", dropping(ConnectionChanged, when=is_lost)),
        "are told as lost: not within",
    ),
    Case(area.goes_on_asking_for_snapshots, asks_twice_at_most, "the books are synced: not within"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_broken_promise_is_found(case: Case) -> None:
    """R-40, R-41, R-45: no check of books can be passed by an adapter that breaks its promise."""
    require_failure(case)


def test_every_check_can_fail() -> None:
    require_all_proven(area.CHECKS, CASES)
