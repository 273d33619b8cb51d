"""The replay refuses what does not fit, and says where it parts from the record."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from framework import Strategy
from framework.engine.record_cursor import RecordCursor
from framework.errors import DataError
from framework.model.inputs import (
    CommandAnswered,
    EventDelivered,
    HandlerEnded,
    HandlerResumed,
    InputRecord,
    InputTaken,
    TypeNamed,
    VenueCommandMade,
)
from framework.model.market_data import Quote
from tests.recorded_session import Sink, play_again, record, verify
from tests.scripted_venue import BTC, quote, run_settings, settings


class Waiter(Strategy):
    """Buys, waits, and sells."""

    def on_start(self) -> None:
        self.watch_quotes(BTC)

    async def on_quote(self, quote: Quote) -> None:
        order = self.buy(BTC, 1)
        await order.filled()
        await self.sleep(0.25)
        self.sell(BTC, Decimal("0.5"))


CHOSEN = settings(run_settings(Waiter), script=[quote(n, 100.0, 101.0) for n in range(4)])


def changed(kind: type, *, nth: int = 1, **fields: Any) -> Any:
    """Return the difference found once the n-th record of a kind says something else."""
    _, sink = record(CHOSEN)
    place = [i for i, item in enumerate(sink.records) if isinstance(item, kind)][nth]
    other: InputRecord = msgspec.structs.replace(sink.records[place], **fields)
    sink.payloads[place] = msgspec.msgpack.encode(other)
    return verify(CHOSEN, sink).difference


@pytest.mark.parametrize(
    ("kind", "fields", "replayed"),
    [
        (InputTaken, {"sequence": 99}, "comes after event"),
        (EventDelivered, {"sequence": 77}, "event"),
        (EventDelivered, {"engine_sequence": 77}, "event"),
        (HandlerResumed, {"call": "history"}, "the handler awaits"),
        (HandlerResumed, {"answer": b"\x01"}, "came to"),
        (CommandAnswered, {"outcome": "another"}, "answered"),
        (VenueCommandMade, {"command": msgspec.Raw(b"\x80")}, "venue command SubmitOrder"),
    ],
)
def test_every_record_that_says_something_else_is_a_difference(
    kind: type, fields: dict[str, Any], replayed: str
) -> None:
    difference = changed(kind, **fields)

    assert difference is not None
    assert replayed in difference.replayed
    assert difference.before.startswith("event ")


def test_a_handler_that_ends_too_early_is_a_difference() -> None:
    _, sink = record(CHOSEN)
    place = next(i for i, item in enumerate(sink.records) if isinstance(item, HandlerResumed))
    end = next(item for item in sink.records if isinstance(item, HandlerEnded))
    sink.payloads.insert(place, msgspec.msgpack.encode(end))

    difference = verify(CHOSEN, sink).difference

    assert difference is not None
    assert difference.replayed == "the handler has not come to its end"


def test_every_record_can_be_the_last_one_a_crash_left() -> None:
    """R-01, R-74: in the middle of an item too; what comes of it was not written, no more."""
    _, sink = record(CHOSEN)
    cuts = 0

    for length in range(1, len(sink.payloads)):
        cut = Sink()
        cut.payloads = sink.payloads[:length]
        verdict = verify(CHOSEN, cut)
        assert (verdict.difference, verdict.lost) == (None, ""), length
        cuts += verdict.is_cut

    assert 0 < cuts < len(sink.payloads) - 1
    assert not verify(CHOSEN, sink).is_cut


def test_a_recording_of_other_runs_is_refused() -> None:
    _, sink = record(CHOSEN)
    other = settings(run_settings(Waiter, "another"), script=[])

    with pytest.raises(DataError, match="the session had the runs"):
        play_again(other, sink.entries())


def test_a_recording_of_another_python_or_hash_seed_is_refused() -> None:
    _, sink = record(CHOSEN)
    start = sink.records[0]
    for fields, reason in (
        ({"python": "3.10"}, "recorded with Python 3.10"),
        ({"hash_seed": "7"}, "recorded with PYTHONHASHSEED=7, here it is 0"),
        ({"hash_seed": "random"}, "recorded with a random hash seed"),
    ):
        sink.payloads[0] = msgspec.msgpack.encode(msgspec.structs.replace(start, **fields))
        with pytest.raises(DataError, match=reason):
            play_again(CHOSEN, sink.entries())


def test_what_is_no_record_or_no_known_event_is_refused_with_its_place() -> None:
    with pytest.raises(DataError, match="input 1 cannot be read"):
        RecordCursor([(1, 1, b"\xc1")]).peek()
    _, sink = record(CHOSEN)
    place = next(i for i, item in enumerate(sink.records) if isinstance(item, TypeNamed))
    sink.payloads[place] = msgspec.msgpack.encode(TypeNamed(0, "gone.away:Event"))

    assert "there is no type gone.away:Event" in verify(CHOSEN, sink).lost


def test_an_empty_recording_has_no_session() -> None:
    assert play_again(CHOSEN, []) == []
