"""What counts as a sign of life."""

from types import SimpleNamespace
from typing import Any

from framework.runtime.life import SignsOfLife


def run(**fields: Any) -> Any:
    subscriber = SimpleNamespace(sequence=1, is_busy=False)
    return SimpleNamespace(
        settings=SimpleNamespace(id="r"), is_halted=False, subscriber=subscriber, **fields
    )


def test_a_strategy_that_could_take_an_event_lives() -> None:
    signs = SignsOfLife([run()])

    assert [signs.are_shown("r") for _ in range(3)] == [True] * 3


def test_one_that_is_busy_with_the_same_thing_all_the_time_does_not() -> None:
    one = run()
    signs = SignsOfLife([one])
    one.subscriber.is_busy = True
    assert signs.are_shown("r")  # nobody knows yet for how long
    assert not signs.are_shown("r")
    one.subscriber.sequence = 2
    assert signs.are_shown("r")


def test_a_halted_or_unknown_one_does_not() -> None:
    one = run()
    signs = SignsOfLife([one])
    one.is_halted = True

    assert not signs.are_shown("r")
    assert not signs.are_shown("nobody")
