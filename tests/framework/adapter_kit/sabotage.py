"""Adapters that break a promise on purpose: the real one with something wrong put around it."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

import msgspec
import pytest

from framework.adapter_kit.finding import find_rig
from framework.adapter_kit.scoring import Check, play
from framework.adapter_kit.stage import Build, CheckFailed
from framework.errors import VenueError
from framework.interfaces import Adapter, AdapterContext
from framework.runtime.adapters import find_adapter

SEED = 1
replace = msgspec.structs.replace


class Scene:
    """The context that a sabotaged adapter is given: the stage's, with `change` before `publish`.

    `adapter` is the adapter itself, whose methods a sabotage replaces.
    """

    def __init__(self, build: Build, section: Any, stage: Any) -> None:
        self.stage = stage
        self.change: Callable[[Any], Iterable[Any]] = lambda event: (event,)
        self._build, self._section = build, section
        self.adapter: Any = build(section, cast(AdapterContext, self))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stage, name)

    def publish(self, event: Any) -> None:
        """Hand the stage what is made of the event."""
        for changed in self.change(event):
            self.stage.publish(changed)

    def run_another_feed(self, *, is_closed: bool = True) -> None:
        """Start one more feed, which publishes nowhere; `close` ends it, or else the loop does."""
        silent = Scene(self._build, self._section, self.stage)
        silent.change = lambda event: ()

        async def run() -> None:
            try:
                await silent.feed.run()
            finally:
                await silent.adapter.close()

        task = self.stage.loop.create_task(run())
        close = self.adapter.close

        async def close_all() -> None:
            task.cancel()
            await asyncio.wait([task])
            await close()

        if is_closed:
            self.adapter.close = close_all

    @property
    def feed(self) -> Any:
        """The adapter's feed, to be tampered with."""
        return self.adapter.feed

    @property
    def broker(self) -> Any:
        """The adapter's broker, to be tampered with."""
        return self.adapter.broker


Sabotage = Callable[[Scene], None]


class Case(NamedTuple):
    """A check, what must make it fail, and what it must say."""

    check: Check
    sabotage: Sabotage
    says: str
    venue: str = "binance"

    def __str__(self) -> str:
        return f"{self.check.__name__}-{self.sabotage.__name__}"


def sabotaged(sabotage: Sabotage, venue: str = "binance") -> Build:
    """Return a `build` of the venue's adapter with the sabotage in it."""
    honest = find_adapter(venue, key="adapter")

    def build(section: Any, stage: Any) -> Adapter:
        scene = Scene(honest, section, stage)
        sabotage(scene)
        return scene.adapter  # type: ignore[no-any-return] # see `Scene`

    return build


def require_failure(case: Case) -> None:
    """Require that the check fails, and for the reason that was put in."""
    with pytest.raises(CheckFailed, match=case.says):
        play(case.check, sabotaged(case.sabotage, case.venue), find_rig(case.venue), seed=SEED)


def require_all_proven(checks: Iterable[Check], cases: Iterable[Case]) -> None:
    """Require that no check is without an adapter that fails it."""
    proven = {case.check for case in cases}
    assert [check.__name__ for check in checks if check not in proven] == []


# -- ways to put something wrong into a scene -----------------------------------------------------


def dropping(*kinds: type, when: Callable[[Any], bool] = lambda event: True) -> Sabotage:
    """Return a sabotage that swallows events of these types."""

    def drop(scene: Scene) -> None:
        scene.change = lambda e: () if isinstance(e, kinds) and when(e) else (e,)

    return drop


def changing(kind: type, alter: Callable[[Any], Any]) -> Sabotage:
    """Return a sabotage that publishes something else in place of events of a type."""

    def change(scene: Scene) -> None:
        scene.change = lambda e: (alter(e),) if isinstance(e, kind) else (e,)

    return change


def repeating(kind: type, alter: Callable[[Any], Any] = lambda event: event) -> Sabotage:
    """Return a sabotage that publishes something more behind events of a type."""

    def repeat(scene: Scene) -> None:
        scene.change = lambda e: (e, alter(e)) if isinstance(e, kind) else (e,)

    return repeat


def commanding(alter: Callable[[Any], Iterable[Any]]) -> Sabotage:
    """Return a sabotage that sends other commands than were given."""

    def command(scene: Scene) -> None:
        send = scene.broker.send

        def send_others(given: Any) -> None:
            for other in alter(given):
                send(other)

        scene.broker.send = send_others

    return command


def answering(question: str, alter: Callable[[Any], Any]) -> Sabotage:
    """Return a sabotage that gives other answers to a question of `VenueQueries`."""

    def answer(scene: Scene) -> None:
        ask = getattr(scene.broker, question)

        async def answer_otherwise(*arguments: Any) -> Any:
            return alter(await ask(*arguments))

        setattr(scene.broker, question, answer_otherwise)

    return answer


def guessing(question: str, guess: Any) -> Sabotage:
    """Return a sabotage that takes an error for an answer."""

    def answer(scene: Scene) -> None:
        ask = getattr(scene.broker, question)

        async def guess_it(*arguments: Any) -> Any:
            try:
                return await ask(*arguments)
            except VenueError:
                return guess

        setattr(scene.broker, question, guess_it)

    return answer


def named(name: str, sabotage: Sabotage) -> Sabotage:
    """Give a sabotage the name that the test's id shows."""
    sabotage.__name__ = name
    return sabotage
