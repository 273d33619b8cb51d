import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tektii.server_heard import Ack, Pong, Strange, Wish, understood
from adapters.tektii.server_subscriptions import Entry

PLATFORMS = frozenset({"mock"})


def heard(frame: Any) -> Any:
    return understood(frame if isinstance(frame, str) else json.dumps(frame), PLATFORMS)


def test_an_ack_names_events() -> None:
    frame = {
        "type": "event_ack",
        "correlation_id": "c",
        "events_processed": ["evt-104", "evt-105"],
        "timestamp": 1772464262101,
    }

    assert heard(frame) == Ack(("evt-104", "evt-105"))


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "event_ack"},
        {"type": "event_ack", "events_processed": None},
        {"type": "event_ack", "events_processed": "evt-1"},
        {"type": "event_ack", "events_processed": {"a": 1}, "timestamp": "now"},
    ],
)
def test_an_ack_that_names_none_is_an_ack(frame: Any) -> None:
    assert heard(frame) == Ack(())


def test_what_else_an_ack_names_is_no_event() -> None:
    assert heard({"type": "event_ack", "events_processed": [1, None, "e", {}]}) == Ack(
        (1, None, "e", {})
    )


def test_a_pong_is_a_pong_whatever_is_in_it() -> None:
    assert heard({"type": "pong", "more": []}) == Pong()


def test_wishes_are_lists_of_subscriptions() -> None:
    listed = [{"platform": "mock", "instrument": "AAPL", "events": ["quote"]}]

    assert heard({"type": "subscribe", "subscriptions": listed}) == Wish(
        (Entry("mock", "AAPL", ("quote",)),)
    )
    assert heard({"type": "unsubscribe", "subscriptions": listed}).is_taken_back


def test_a_wish_that_makes_no_sense_is_told_why() -> None:
    listed = [{"platform": "mock", "instrument": "AAPL", "events": ["quotse"]}]

    assert (
        "unknown event 'quotse'; valid:"
        in heard({"type": "subscribe", "subscriptions": listed}).reason
    )
    assert "array" in heard({"type": "subscribe"}).reason


@pytest.mark.parametrize(
    "frame",
    ["", "{", "nonsense", "[]", "1", "null", '"pong"', "[" * 50_000, "\ud800", "{}", '{"type":1}'],
)
def test_what_is_no_frame_is_strange(frame: str) -> None:
    assert isinstance(heard(frame), Strange)


def test_an_unknown_type_is_named_and_cut() -> None:
    assert heard({"type": "order"}) == Strange("unknown type 'order'")
    assert len(heard({"type": "x" * 10_000}).reason) < 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "events_processed", "subscriptions"]), inner)
    ),
    max_leaves=8,
)


@given(JSON | st.text())
def test_nothing_a_client_sends_raises(frame: Any) -> None:
    assert isinstance(heard(frame), Ack | Pong | Wish | Strange)
