"""Every check of the area *connection* has an adapter that fails it."""

import asyncio
from functools import cache
from random import Random
from typing import Any

import pytest

from framework.adapter_kit import connection as area
from framework.model.events import ConnectionChanged, ConnectionState
from tests.framework.adapter_kit.sabotage import (
    Case,
    Scene,
    changing,
    dropping,
    named,
    repeating,
    replace,
    require_all_proven,
    require_failure,
)

State = ConnectionState


def is_state(state: State) -> Any:
    return lambda change: change.state is state


def keeps_streaming(scene: Scene) -> None:
    """Say nothing more of a link that was STREAMING once."""
    up: set[str] = set()

    def change(event: Any) -> tuple[Any, ...]:
        if isinstance(event, ConnectionChanged):
            if event.link in up:
                return ()
            if event.state is State.STREAMING:
                up.add(event.link)
        return (event,)

    scene.change = change


def closes_and_goes_on(change: Any) -> Any:
    return replace(change, state=State.CLOSED) if change.state is State.RECONNECTING else change


def reconnects_on_paper(scene: Scene) -> None:
    """Tell of a new connection at once, and of the true one not at all."""
    steps = (State.RECONNECTING, State.CONNECTING, State.CONNECTED, State.STREAMING)
    keeps_streaming(scene)
    quiet = scene.change

    def change(event: Any) -> Any:
        if isinstance(event, ConnectionChanged) and event.state is State.RECONNECTING:
            return [replace(event, state=state) for state in steps]
        return quiet(event)

    scene.change = change


def uses_credentials_twice(scene: Scene) -> None:
    session = scene.broker._session
    session._subscribe = cache(session._subscribe)


class Impatient(Random):
    """Always draws the shortest pause."""

    def uniform(self, a: float, b: float) -> float:
        return a


def hurries(scene: Scene) -> None:
    for link in (scene.feed._link, scene.broker._link):
        link._back_off._random = Impatient()


def gives_up(scene: Scene) -> None:
    """Bring nothing after the first break."""
    lost: list[Any] = []

    def change(event: Any) -> tuple[Any, ...]:
        if isinstance(event, ConnectionChanged):
            lost.extend([event] if event.state is State.RECONNECTING else [])
            return (event,)
        return () if lost else (event,)

    scene.change = change


def waits_for_ever(scene: Scene) -> None:
    scene.feed._link.reconnect = lambda reason: None


def leaves_tasks(scene: Scene) -> None:
    tasks: list[Any] = []

    def change(event: Any) -> tuple[Any, ...]:
        if isinstance(event, ConnectionChanged) and event.state is State.CONNECTED:
            tasks.append(scene.loop.create_task(asyncio.Event().wait()))
        return (event,)

    scene.change = change


def leaves_connections(scene: Scene) -> None:
    def change(event: Any) -> tuple[Any, ...]:
        if isinstance(event, ConnectionChanged) and event.state is State.RECONNECTING:
            scene.run_another_feed()
        return (event,)

    scene.change = change


CASES = (
    Case(
        area.tells_of_its_states,
        named("forgets_one", dropping(ConnectionChanged, when=is_state(State.CONNECTED))),
        "expected .*CONNECTED",
    ),
    Case(
        area.tells_of_its_states,
        named("elsewhere", changing(ConnectionChanged, lambda e: replace(e, venue="mars"))),
        "states of the venues",
    ),
    Case(
        area.tells_of_its_states,
        named("never_streams", dropping(ConnectionChanged, when=is_state(State.STREAMING))),
        "`feed` is STREAMING: not within",
    ),
    Case(area.makes_legal_moves_only, keeps_streaming, "are told as lost: not within"),
    Case(
        area.makes_legal_moves_only,
        named("jumps", dropping(ConnectionChanged, when=is_state(State.CONNECTING))),
        "CONNECTED after .*RECONNECTING",
    ),
    Case(
        area.makes_legal_moves_only,
        named("stutters", repeating(ConnectionChanged)),
        "twice in a row",
    ),
    Case(
        area.makes_legal_moves_only,
        named("rises_again", changing(ConnectionChanged, closes_and_goes_on)),
        "after CLOSED",
    ),
    Case(area.reconnects_with_fresh_credentials, uses_credentials_twice, "used twice"),
    Case(area.reconnects_with_fresh_credentials, reconnects_on_paper, "without a new login"),
    Case(area.backs_off_while_refused, hurries, "attempts in a minute"),
    Case(area.backs_off_while_refused, gives_up, "market data: not within"),
    Case(area.finds_a_mute_link, waits_for_ever, "the mute link is given up: not within"),
    Case(area.finds_a_mute_link, gives_up, "market data: not within"),
    Case(area.leaves_nothing_behind, leaves_tasks, "tasks, .* before the drops"),
    Case(area.leaves_nothing_behind, leaves_connections, "connections, 2 before the drops"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_broken_promise_is_found(case: Case) -> None:
    """R-42, R-43, R-44: no check of links can be passed by an adapter that breaks its promise."""
    require_failure(case)


def test_every_check_can_fail() -> None:
    require_all_proven(area.CHECKS, CASES)
