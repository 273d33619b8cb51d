"""What an alert looks like, and how urgent it is."""

import json

import pytest

from framework.alerts.alert import at_least, document, headline, iso_time
from framework.settings.structs import LogLevel
from tests.framework.alerts.samples import alert


def test_a_level_includes_the_more_urgent_ones() -> None:
    takes = [at_least(alert(level=level.value), LogLevel.ERROR) for level in LogLevel]

    assert takes == [False, False, False, True, True]


def test_an_unknown_level_is_urgent_rather_than_lost() -> None:
    assert at_least(alert(level="loud"), LogLevel.CRITICAL)


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (1, "[ERROR] feed_lost: no data from kite"),
        (3, "[ERROR] feed_lost: no data from kite (3 times)"),
    ],
)
def test_a_headline_says_how_often(count: int, line: str) -> None:
    assert headline(alert(count=count)) == line


def test_the_document_holds_everything_and_survives_json() -> None:
    told = alert(key="kite", count=2, fields=(("venue", "kite"),))

    shown = json.loads(json.dumps(document(told, "paper")))

    assert shown == {
        "text": "paper: [ERROR] feed_lost: no data from kite (2 times)",
        "source": "paper",
        "name": "feed_lost",
        "level": "error",
        "message": "no data from kite",
        "time": "1970-01-01T00:00:01.000+00:00",
        "time_ns": 10**9,
        "key": "kite",
        "count": 2,
        "fields": {"venue": "kite"},
    }


def test_times_are_utc_to_the_millisecond() -> None:
    assert iso_time(1_700_000_000_123_999_999) == "2023-11-14T22:13:20.123+00:00"
