"""The two sessions, without any socket."""

from typing import Any

import msgspec

from adapters.binance.codec import Answer
from adapters.binance.protocol import MOST_STREAMS, Refusal, StreamSession, stream_of
from adapters.binance.reports import UserAnswer, UserEvent
from adapters.binance.user_session import UserSession


def opened(*streams: str) -> StreamSession:
    """Return a session that is open at 0 s and wants these."""
    session = StreamSession()
    for stream in streams:
        session.want(stream)
    session.opened(0.0)
    return session


def asked(session: StreamSession, now_s: float) -> tuple[str, list[str], int]:
    """Return what leaves now: method, streams, number."""
    request: dict[str, Any] = msgspec.json.decode(session.next_request(now_s) or b'{"id":0}')
    return request.get("method", ""), request.get("params", []), request["id"]


def agree(session: StreamSession, now_s: float) -> None:
    """Let the next request leave and be agreed to."""
    session.answered(Answer(asked(session, now_s)[2]))


def test_streams_have_the_venues_names() -> None:
    names = [stream_of("BTCUSDT", channel, "") for channel in ("quotes", "trades", "book")]

    assert names == ["btcusdt@bookTicker", "btcusdt@trade", "btcusdt@depth@100ms"]
    assert stream_of("BTCUSDT", "candles", "5m") == "btcusdt@kline_5m"


def test_everything_that_is_wanted_is_asked_for_at_once() -> None:
    session = opened("a", "b")

    assert asked(session, 0.0) == ("SUBSCRIBE", ["a", "b"], 1)
    assert not session.is_settled
    assert session.answered(Answer(1)) == []
    assert session.is_settled
    assert session.is_agreed("a")


def test_nothing_leaves_without_a_connection() -> None:
    session = StreamSession()
    session.want("a")

    assert session.next_request(0.0) == ""
    assert session.next_due_s is None
    assert not session.is_settled


def test_requests_keep_their_distance_and_their_size() -> None:
    session = opened(*[f"s{number}" for number in range(MOST_STREAMS + 1)])

    assert len(asked(session, 0.0)[1]) == MOST_STREAMS
    assert asked(session, 0.1)[0] == ""
    assert session.next_due_s == 0.3
    assert asked(session, 0.3) == ("SUBSCRIBE", [f"s{MOST_STREAMS}"], 2)


def test_subscriptions_are_counted() -> None:
    session = opened("a", "a")
    agree(session, 0.0)

    session.unwant("a")
    assert session.is_wanted("a")
    assert asked(session, 1.0)[0] == ""
    session.unwant("a")
    session.unwant("a")
    assert asked(session, 1.0) == ("UNSUBSCRIBE", ["a"], 2)
    assert asked(session, 2.0)[0] == ""
    session.answered(Answer(2))
    assert not session.is_agreed("a")


def test_one_bad_stream_does_not_cost_the_others() -> None:
    """K54: failures are isolated."""
    session = opened("good", "bad")
    asked(session, 0.0)

    assert session.answered(Answer(1, 2, "no")) == []  # it does not say which
    assert asked(session, 1.0) == ("SUBSCRIBE", ["good"], 2)
    session.answered(Answer(2))
    assert asked(session, 2.0) == ("SUBSCRIBE", ["bad"], 3)
    assert session.answered(Answer(3, 2, "no")) == [Refusal("bad", 2, "no")]
    assert session.is_settled
    assert asked(session, 3.0)[0] == ""


def test_what_was_refused_is_asked_for_again_when_somebody_wants_it_anew() -> None:
    session = opened("bad")
    asked(session, 0.0)
    session.answered(Answer(1, 2, "no"))

    session.want("bad")

    assert asked(session, 1.0) == ("SUBSCRIBE", ["bad"], 2)


def test_a_renewed_stream_is_taken_back_and_asked_for_anew() -> None:
    session = opened("a")
    agree(session, 0.0)
    session.renew("a")
    session.renew("never")

    assert not session.is_agreed("a")
    assert asked(session, 1.0) == ("UNSUBSCRIBE", ["a"], 2)
    session.answered(Answer(2))
    assert asked(session, 2.0) == ("SUBSCRIBE", ["a"], 3)
    session.answered(Answer(3))
    assert session.is_agreed("a")


def test_a_stream_that_fell_out_of_the_list_is_asked_for_again() -> None:
    session = opened("a", "b")
    agree(session, 0.0)

    assert asked(session, 15.0) == ("LIST_SUBSCRIPTIONS", [], 2)
    session.answered(Answer(2, streams=("b",)))

    assert asked(session, 16.0) == ("SUBSCRIBE", ["a"], 3)


def test_a_refused_listing_changes_nothing() -> None:
    session = opened("a")
    agree(session, 0.0)
    asked(session, 15.0)

    session.answered(Answer(2, 2, "no"))
    session.answered(Answer(99))
    session.answered(Answer(None, 3, "no"))

    assert session.is_agreed("a")


def test_r42_a_mute_link_is_found_by_the_answer_that_does_not_come() -> None:
    """R-42: within twice the venue's heartbeat of 20 s, by data."""
    session = opened("a")
    agree(session, 0.0)
    asked(session, 15.0)

    assert not session.is_mute(24.9)
    assert session.next_due_s == 25.0
    assert session.is_mute(25.0)
    session.lost()
    assert not session.is_mute(30.0)


def test_a_listing_that_is_due_too_soon_after_a_request_waits() -> None:
    session = opened("a")
    agree(session, 0.0)
    session.want("b")
    asked(session, 14.9)

    assert asked(session, 15.0)[0] == ""
    due_s = session.next_due_s
    assert due_s is not None
    assert due_s > 15.0


def test_after_a_reconnect_everything_is_asked_for_again() -> None:
    """R-43: by a durable name, on whatever connection."""
    session = opened("a", "b")
    agree(session, 0.0)
    session.lost()
    session.opened(50.0)

    assert asked(session, 50.0)[:2] == ("SUBSCRIBE", ["a", "b"])


# -- the user stream -----------------------------------------------------------------------------


def user_session() -> UserSession:
    """Return one whose subscription is a plain text."""
    return UserSession(lambda number: f"subscribe {number}".encode())


def test_the_subscription_leaves_first_and_its_answer_starts_the_stream() -> None:
    session = user_session()

    assert session.opened(0.0) == b"subscribe 1"
    assert not session.is_streaming
    assert session.answered(UserAnswer(1), 0.1) == ""
    assert session.is_streaming


def test_a_refused_subscription_ends_the_connection() -> None:
    session = user_session()
    session.opened(0.0)

    assert "Signature" in session.answered(UserAnswer(1, -1022, "Signature"), 0.1)
    assert not session.is_streaming


def test_the_heartbeat_is_answered_by_data_or_the_link_is_mute() -> None:
    session = user_session()
    session.opened(0.0)
    assert session.due(1.0) == b""  # the first answer is still out
    assert session.is_mute(10.0)
    session.answered(UserAnswer(1), 0.0)

    assert session.next_due_s == 15.0
    assert session.due(14.0) == b""
    assert msgspec.json.decode(session.due(15.0)) == {"id": 2, "method": "ping"}
    assert session.next_due_s == 25.0
    assert session.answered(UserAnswer(99), 16.0) == ""
    assert session.is_mute(25.0)
    assert session.answered(UserAnswer(2), 16.0) == ""
    assert not session.is_mute(25.0)


def test_the_venue_may_end_the_stream_while_the_link_stays() -> None:
    session = user_session()

    assert session.heard(UserEvent("eventStreamTerminated"))
    assert session.heard(UserEvent("outboundAccountPosition")) == ""


def test_without_a_connection_nothing_is_due() -> None:
    session = user_session()
    session.opened(0.0)
    session.lost()

    assert session.next_due_s is None
    assert session.due(100.0) == b""
    assert not session.is_mute(100.0)
