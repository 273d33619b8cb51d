"""What the annotations and configurations of the model's structs must keep to."""

import msgspec
import pytest

from framework.model import account, commands, orders, reports
from tests.framework.model.model_values import STRUCTS, leaves_of, structs_of

MONEY = [struct for module in (orders, reports, account, commands) for struct in structs_of(module)]

TRACKED_BY_THE_COLLECTOR = {  # struct: why it is not gc=False
    "Instrument": "made once per start, not per event",
    "InstrumentChanged": "a few a day",
}


@pytest.mark.parametrize("struct", MONEY, ids=lambda struct: struct.__name__)
def test_no_float_in_orders_fills_positions_and_cash(struct: type[msgspec.Struct]) -> None:
    """R-78: a float would round money silently."""
    floats = [
        field.name
        for field in msgspec.structs.fields(struct)
        if not {float, complex, object}.isdisjoint(leaves_of(field.type))
    ]

    assert floats == []


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_a_struct_is_frozen_and_invisible_to_the_collector(struct: type[msgspec.Struct]) -> None:
    assert struct.__struct_config__.frozen
    assert struct.__struct_config__.gc == (struct.__name__ in TRACKED_BY_THE_COLLECTOR)


def test_the_list_of_exceptions_names_structs_that_exist() -> None:
    assert set(TRACKED_BY_THE_COLLECTOR) <= {struct.__name__ for struct in STRUCTS}


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_times_are_integers_in_nanoseconds(struct: type[msgspec.Struct]) -> None:
    times = {
        field.name: field.type
        for field in msgspec.structs.fields(struct)
        if field.name.endswith("_ns")
    }

    assert [name for name, kind in times.items() if kind not in (int, int | None)] == []
