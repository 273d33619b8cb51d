from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tektii import server_resume
from adapters.tektii.server_resume import FrameStream, Scope, Streams
from adapters.tektii.server_subscriptions import EVERYTHING, Entry, Subscriptions
from framework.model.desk import READ_ONLY, Place, Principal, Verb, View
from framework.server.links import Link
from tests.adapters.tektii.stream_rig import HandLink

PLACES = (Place("mock", "main", "tektii"), Place("x", "other", "tektii-other"))
WHOLE = Principal("whole", PLACES, View.ACCOUNT, READ_ONLY)
QUOTES = Subscriptions([Entry("mock", "*", ("quote",))])


def stream(**bounds: int) -> FrameStream:
    return FrameStream(Scope.of(WHOLE), EVERYTHING, "abc", **bounds)


def link() -> Link:
    return cast(Link, HandLink())


def plain(frame: bytes) -> Any:
    return msgspec.json.decode(frame)


# -- frames --------------------------------------------------------------------------------------


def test_frames_are_numbered_without_a_hole() -> None:
    one = stream()

    assert one.number(b'{"type":"ping"}') == b'{"type":"ping","seq":1,"epoch":"abc"}'
    assert plain(one.number(b'{"a":1}', "evt-7")) == {
        "a": 1,
        "event_id": "evt-7",
        "seq": 2,
        "epoch": "abc",
    }


def test_a_frame_of_a_snapshot_names_what_it_contains() -> None:
    one = stream()
    one.number(b'{"a":1}')

    assert plain(one.snapshot_frame(b'{"a":1}', 1)) == {
        "a": 1,
        "is_snapshot": True,
        "seq": 1,
        "epoch": "abc",
    }
    assert one.seq == 1


@given(st.integers(0, 40), st.data())
def test_what_is_sent_again_continues_what_was_heard(count: int, data: st.DataObject) -> None:
    """T: any cut point, concatenated with the frames after it, is the uninterrupted stream."""
    one = stream(kept_frames=25)
    whole = [one.number(b'{"a":%d}' % index) for index in range(count)]
    cut = data.draw(st.integers(0, count))

    again = one.after(cut)

    if count - cut > 25:
        assert again is None
    else:
        assert again is not None
        assert whole[:cut] + [kept.frame for kept in again] == whole


@pytest.mark.parametrize("after", [-1, 6, 1_000])
def test_numbers_that_never_were_are_not_resumed(after: int) -> None:
    one = stream()
    for _ in range(5):
        one.number(b'{"a":1}')

    assert one.after(after) is None


def test_bytes_are_bounded_like_frames() -> None:
    one = stream(kept_bytes=1_000)
    for _ in range(100):
        one.number(b'{"a":"' + b"x" * 100 + b'"}')

    assert one.after(100) == []
    assert one.after(93) is not None
    assert one.after(80) is None


def test_frames_of_named_events_are_found() -> None:
    one = stream()
    for number in range(5):
        one.number(b'{"a":1}', f"e{number}")

    assert [kept.event_id for kept in one.of_events(["e3", "e1", "gone"])] == ["e1", "e3"]
    assert one.of_events([]) == []


# -- streams -------------------------------------------------------------------------------------


class Time:
    now_s = 0.0


def streams(**options: Any) -> tuple[Streams, Time]:
    time = Time()
    return Streams("session", lambda: time.now_s, **options), time


def test_those_who_see_the_same_share_a_stream() -> None:
    all_of_them, _ = streams()
    renamed = msgspec.structs.replace(WHOLE, name="another", verbs=READ_ONLY | {Verb.TRADE})

    one = all_of_them.get(Scope.of(WHOLE), EVERYTHING)

    assert all_of_them.get(Scope.of(renamed), EVERYTHING) is one
    assert all_of_them.get(Scope.of(WHOLE), QUOTES) is not one
    narrow = msgspec.structs.replace(WHOLE, instruments=("mock:AAPL",))
    assert all_of_them.get(Scope.of(narrow), EVERYTHING) is not one
    assert len(all_of_them) == 3
    assert len({stream.epoch for stream in all_of_them.all}) == 3


def test_a_stream_that_is_made_anew_has_another_name() -> None:
    all_of_them, time = streams(idle_s=10)
    one = all_of_them.get(Scope.of(WHOLE), EVERYTHING)
    all_of_them.join(one, "a", link())
    all_of_them.leave(one, "a")
    all_of_them.leave(one, "a")

    time.now_s = 10
    assert all_of_them.get(Scope.of(WHOLE), EVERYTHING) is one
    time.now_s = 10.1
    other = all_of_them.get(Scope.of(WHOLE), EVERYTHING)

    assert other is not one
    assert other.epoch != one.epoch


def test_a_stream_with_a_listener_stays() -> None:
    all_of_them, time = streams(idle_s=10)
    one = all_of_them.get(Scope.of(WHOLE), EVERYTHING)
    all_of_them.join(one, "a", link())

    time.now_s = 10_000
    all_of_them.forget_idle()

    assert all_of_them.all == [one]


def test_idle_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_resume, "MOST_IDLE", 3)
    changes: list[int] = []
    all_of_them, time = streams()
    all_of_them.on_change = lambda: changes.append(len(all_of_them))
    for number in range(6):
        time.now_s += 1
        scope = Scope.of(msgspec.structs.replace(WHOLE, instruments=(f"mock:{number}",)))
        all_of_them.get(scope, EVERYTHING)

    all_of_them.forget_idle()

    assert [one.scope.instruments for one in all_of_them.all] == [
        ("mock:3",),
        ("mock:4",),
        ("mock:5",),
    ]
    assert changes


def test_a_stream_nobody_came_for_is_forgotten() -> None:
    all_of_them, _ = streams()
    one = all_of_them.get(Scope.of(WHOLE), EVERYTHING)
    one.arriving = 1
    all_of_them.forget_unused(one)
    assert len(all_of_them) == 1

    one.arriving = 0
    all_of_them.forget_unused(one)
    assert len(all_of_them) == 0


def test_all_streams_together_keep_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_resume, "ALL_KEPT_BYTES", 1_000)
    all_of_them, _ = streams(kept_bytes=600)

    one = all_of_them.get(Scope.of(WHOLE), EVERYTHING)
    assert one.most_bytes == 600
    all_of_them.get(Scope.of(WHOLE), QUOTES)
    assert one.most_bytes == 500


# -- who may see what (R-81) -----------------------------------------------------------------------


def test_the_whole_account_is_seen_by_its_view() -> None:
    scope = Scope.of(WHOLE)

    assert scope.sees_order("main", "somebody else", "mock:AAPL")
    assert not scope.sees_order("foreign", "tektii", "mock:AAPL")
    assert scope.sees_account("other")
    assert not scope.sees_account("foreign")
    assert scope.sees_venue("x")
    assert not scope.sees_venue("y")


def test_a_run_sees_its_own_orders_alone() -> None:
    scope = Scope.of(msgspec.structs.replace(WHOLE, view=View.RUN))

    assert scope.sees_order("main", "tektii", "mock:AAPL")
    assert not scope.sees_order("main", "tektii-other", "mock:AAPL")
    assert scope.sees_order("other", "tektii-other", "x:A")


@pytest.mark.parametrize(
    ("verbs", "orders", "markets"),
    [({Verb.READ}, True, False), ({Verb.MARKET}, False, True), ({Verb.TRADE}, False, False)],
)
def test_verbs_decide_what_is_seen(verbs: set[Verb], orders: bool, markets: bool) -> None:
    scope = Scope.of(msgspec.structs.replace(WHOLE, verbs=frozenset(verbs)))

    assert scope.sees_order("main", "tektii", "mock:AAPL") is orders
    assert scope.sees_account("main") is orders
    assert scope.sees_market("mock:AAPL") is markets


@pytest.mark.parametrize(
    ("names", "seen"),
    [(("*",), True), (("mock:*",), True), (("mock:AAPL",), True), (("mock:MSFT", "x:*"), False)],
)
def test_instruments_decide_what_is_seen(names: tuple[str, ...], seen: bool) -> None:
    scope = Scope.of(msgspec.structs.replace(WHOLE, instruments=names))

    assert scope.sees_market("mock:AAPL") is seen
    assert scope.sees_order("main", "tektii", "mock:AAPL") is seen


def test_other_venues_are_not_seen() -> None:
    assert not Scope.of(WHOLE).sees_market("y:AAPL")
