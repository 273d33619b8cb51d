"""Every struct of the model survives JSON and MessagePack exactly."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.model.commands import Command
from framework.model.events import Event
from framework.model.orders import OrderIntent, Side
from framework.model.records import Record
from framework.model.reports import OrderFact
from framework.model.venue_state import VenueReport
from tests.framework.model.model_values import STRUCTS, values_of_struct

UNIONS: dict[str, Any] = {
    "Event": Event,
    "OrderFact": OrderFact,
    "Command": Command,
    "VenueReport": VenueReport,
    "Record": Record,
}
MEMBERS = [(name, member) for name, union in UNIONS.items() for member in get_args(union)]


def assert_survives(value: msgspec.Struct, decoded_as: Any) -> None:
    """Check both encodings; `repr` also tells 1.0 from 1.00 and 0.0 from -0.0.

    Sets have no order that an encoding could keep, and no numbers in them.
    """
    from_json = msgspec.json.decode(msgspec.json.encode(value), type=decoded_as)
    from_msgpack = msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=decoded_as)
    assert from_json == from_msgpack == value
    if not holds_set(value):
        assert repr(from_json) == repr(from_msgpack) == repr(value)


def holds_set(value: msgspec.Struct) -> bool:
    fields = msgspec.structs.asdict(value).values()
    return any(isinstance(field, frozenset) for field in fields)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_a_struct_survives_by_itself_and_as_part_of_its_unions(
    struct: type[msgspec.Struct],
) -> None:
    unions = [UNIONS[name] for name, member in MEMBERS if member is struct]

    @given(values_of_struct(struct))
    def survives(value: msgspec.Struct) -> None:
        for decoded_as in (struct, *unions):
            assert_survives(value, decoded_as)

    survives()


def test_every_member_of_a_union_is_among_the_structs() -> None:
    assert {member for _, member in MEMBERS} <= set(STRUCTS)


def test_all_that_is_published_sent_or_recorded_has_distinct_tags() -> None:
    members = dict.fromkeys(member for _, member in MEMBERS)
    tags = [member.__struct_config__.tag for member in members]

    assert None not in tags
    assert len(set(tags)) == len(tags)


def test_the_log_may_decode_every_input_as_one_union() -> None:
    anything: Any = Event | OrderFact | Command | OrderIntent | VenueReport | Record

    intent = OrderIntent("cross", "1.2.3", "binance:BTCUSDT", Side.BUY)

    assert_survives(intent, anything)


@given(st.sampled_from(MEMBERS), st.data())
def test_an_unknown_tag_is_refused(
    named: tuple[str, type[msgspec.Struct]], data: st.DataObject
) -> None:
    union, member = named
    fields = msgspec.to_builtins(data.draw(values_of_struct(member)))

    with pytest.raises(msgspec.ValidationError, match="type"):
        msgspec.convert(fields | {"type": "nonsense"}, UNIONS[union])
