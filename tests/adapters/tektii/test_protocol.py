"""One connection of the stream, the newest state of orders, patience: sans-IO."""

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tektii import heard, protocol
from adapters.tektii.protocol import (
    Gap,
    NewestOrders,
    Patience,
    StreamSession,
    account_subscriptions,
    market_subscriptions,
)
from adapters.tektii.words import time_text

NOW_NS = 1_780_000_000_000_000_000


def session() -> StreamSession:
    one = StreamSession(Random(7))
    one.opened(resumes=False)
    return one


def frame(**said: Any) -> bytes:
    return msgspec.json.encode({"type": "ping", **said})


def test_an_ack_names_the_event_or_nothing() -> None:
    """20.6."""
    one = session()
    named = msgspec.json.decode(one.ack(heard.Frame(event_id="evt-104"), NOW_NS))
    empty = msgspec.json.decode(one.ack(heard.Frame(), NOW_NS))

    assert named["type"] == "event_ack"
    assert named["events_processed"] == ["evt-104"]
    assert named["timestamp"] == NOW_NS // 1_000_000
    assert empty["events_processed"] == []
    assert named["correlation_id"] != empty["correlation_id"]
    assert [len(part) for part in named["correlation_id"].split("-")] == [8, 4, 4, 4, 12]


def test_an_event_that_is_told_twice_is_no_news() -> None:
    one = session()

    assert one.take(frame(event_id="e")).is_news
    assert not one.take(frame(event_id="e")).is_news


def test_only_so_many_events_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REMEMBERED_EVENTS", 2)
    one = session()
    for name in "abc":
        one.take(frame(event_id=name))

    assert one.take(frame(event_id="a")).is_news
    assert not one.take(frame(event_id="c")).is_news


@pytest.mark.parametrize("data", [b"{nonsense", b"[]", b'{"type":{}}', b"\xff", b"[" * 2_000])
def test_what_cannot_be_read_is_told_with_its_reason(data: bytes) -> None:
    taken = session().take(data)

    assert taken.fault
    assert not taken.is_news
    assert taken.frame.event_id is None


def test_what_cannot_be_read_is_acknowledged_by_its_id_all_the_same() -> None:
    taken = session().take(b'{"type":"quote","quote":[],"event_id":"e","seq":3,"epoch":"x"}')

    assert taken.fault
    assert (taken.frame.event_id, taken.frame.seq, taken.frame.epoch) == ("e", 3, "x")
    strange = session().take(b'{"type":{},"event_id":7,"seq":"?","epoch":[]}').frame
    assert (strange.event_id, strange.seq, strange.epoch) == (None, None, None)


def test_r41_numbers_that_are_left_out_are_a_gap_and_old_ones_are_no_news() -> None:
    """R-41."""
    one = session()
    assert one.place is None
    taken = [one.take(frame(seq=n, epoch="e")) for n in (5, 6, 9, 8, 10)]

    assert [each.gap for each in taken] == [None, None, Gap(7, 9), None, None]
    assert [each.is_news for each in taken] == [True, True, True, False, True]
    assert one.place == ("e", 10)


def test_a_new_epoch_begins_anew() -> None:
    one = session()
    one.take(frame(seq=5, epoch="e"))

    assert one.take(frame(seq=1, epoch="f")).gap is None
    assert one.take(frame(seq=2, epoch="f")).is_news


def test_a_connection_that_resumes_goes_on_counting() -> None:
    one = session()
    one.take(frame(seq=5, epoch="e"))
    one.opened(resumes=True)
    assert one.take(frame(seq=7, epoch="e")).gap == Gap(6, 7)
    one.opened(resumes=False)
    assert one.place is None
    assert one.take(frame(seq=99, epoch="e")).gap is None


@given(st.lists(st.integers(1, 20), max_size=40))
def test_r41_every_number_is_news_once_and_never_after_a_later_one(numbers: list[int]) -> None:
    one = session()
    news = [n for n in numbers if one.take(frame(seq=n, epoch="e")).is_news]

    assert news == sorted(set(news))


# -- the newest state wins -------------------------------------------------------------------------


def state(status: str, at_ns: int | None = None, filled: str | None = None) -> heard.Order:
    order = {"id": "o", "status": status, "filled_quantity": filled}
    if at_ns is not None:
        order["updated_at"] = time_text(at_ns)
    return heard.read(msgspec.json.encode(order), heard.Order)


@pytest.mark.parametrize(
    ("known", "then", "is_news"),
    [
        (state("OPEN", 2), state("OPEN", 2), False),
        (state("OPEN", 2), state("PARTIALLY_FILLED", 3, "1"), True),
        (state("PARTIALLY_FILLED", 3, "1"), state("OPEN", 2), False),
        (state("CANCELLED", 3), state("OPEN", 9), False),
        (state("FILLED", 3, "2"), state("FILLED", 4, "2"), True),
        (state("OPEN"), state("CANCELLED"), True),
        (state("PARTIALLY_FILLED", None, "2"), state("PARTIALLY_FILLED", None, "1"), False),
        (state("PARTIALLY_FILLED", None, "1"), state("PARTIALLY_FILLED", None, "2"), True),
        (state("PARTIALLY_FILLED", None, "NaN"), state("PARTIALLY_FILLED", None, "1"), True),
        (state("OPEN"), state("PENDING_CANCEL"), True),
    ],
)
def test_20_1_the_newest_state_wins(known: heard.Order, then: heard.Order, is_news: bool) -> None:
    newest = NewestOrders()
    assert newest.is_news(known)

    assert newest.is_news(then) is is_news
    assert newest.get("o") == (then if is_news else known)


def test_the_orders_longest_unchanged_are_forgotten() -> None:
    newest = NewestOrders(capacity=2)
    for name in "abc":
        newest.is_news(heard.Order(id=name))

    assert newest.get("a") is None
    assert newest.get("c") is not None


# -- patience and subscriptions --------------------------------------------------------------------


def test_r42_silence_counts_from_the_first_data_on_and_is_borne_longer_each_time() -> None:
    """R-42: a market that sleeps is not connected anew every minute all night."""
    one = Patience(60.0)
    assert one.due_s is None
    one.opened(5.0)
    assert not one.is_over(1_000.0)
    one.on_data(10.0)
    assert not one.is_over(69.0)
    assert one.is_over(70.0)
    one.opened(71.0)
    assert one.due_s == 71.0 + 120.0
    assert one.is_over(191.0)
    one.on_data(200.0)
    assert one.due_s == 260.0
    one.forget()
    assert one.due_s is None


def test_patience_without_an_end() -> None:
    one = Patience(0.0)
    one.on_data(1.0)

    assert one.due_s is None


def test_subscriptions_are_those_of_the_specification() -> None:
    """11.6."""
    assert msgspec.json.decode(account_subscriptions("mock")) == [
        {
            "platform": "mock",
            "instrument": "*",
            "events": ["order_update", "trade_update", "position_update", "account_update"],
        }
    ]
    assert msgspec.json.decode(market_subscriptions("mock", ["A", "B"], ["1h", "1m", "1h"])) == [
        {"platform": "mock", "instrument": name, "events": ["quote", "candle_1m", "candle_1h"]}
        for name in "AB"
    ]
