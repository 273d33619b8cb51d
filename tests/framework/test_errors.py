"""The tree in the docstring of `framework/errors.py` is the tree of the classes."""

import re

import pytest

from framework import errors
from framework.errors import ChannelOverflow, ConfigError, DataError, FrameworkError

LINE = re.compile(r"^([│├└─ ]*)(\w+)(?:  +(\S.*))?$")


def drawn_tree() -> dict[str, str | None]:
    """Return parent by class, as the docstring draws it: four columns are one step down."""
    parents: dict[str, str | None] = {}
    ancestors: list[str] = []
    drawing = (errors.__doc__ or "").splitlines()[2:]
    for branch, name, _ in (match.groups() for line in drawing if (match := LINE.match(line))):
        del ancestors[len(branch) // 4 :]
        parents[name] = ancestors[-1] if ancestors else None
        ancestors.append(name)
    return parents


def class_tree() -> dict[str, str | None]:
    """Return parent by class, as the code has it."""
    found = [member for member in vars(errors).values() if isinstance(member, type)]
    return {
        error.__name__: None if error is FrameworkError else error.__bases__[0].__name__
        for error in found
        if issubclass(error, BaseException)
    }


def test_the_docstring_draws_every_class_below_its_parent() -> None:
    assert drawn_tree() == class_tree()


def test_every_drawn_class_says_what_it_means() -> None:
    drawing = (errors.__doc__ or "").splitlines()[3:]

    assert [line for line in drawing if "──" in line and not LINE.match(line)] == []
    assert [m[2] for line in drawing if (m := LINE.match(line)) and not m[3]] == []


def test_only_what_may_work_later_is_retryable() -> None:
    retryable = {name for name in class_tree() if getattr(errors, name).is_retryable}

    assert retryable == {"VenueUnavailable", "NotSent", "RateLimited"}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            ConfigError("no such venue", file="a.yaml", line=3, key="venues.x"),
            "a.yaml:3: venues.x: no such venue",
        ),
        (ConfigError("no such venue"), "no such venue"),
        (DataError("not a number", file="a.csv", line=7), "a.csv:7: not a number"),
        (
            ChannelOverflow("fills", 1_000, counts={}, resume_after=7),
            "channel 'fills' is full at 1000 events",
        ),
    ],
)
def test_a_message_names_the_thing_and_the_value(error: FrameworkError, text: str) -> None:
    assert str(error) == text
