"""Keys that the framework makes itself are nobody else's."""

import pytest

from framework.orders.keys import fault_in_key, is_own


@pytest.mark.parametrize("key", ["1.2.3", "1.2.3/stop", "12.345.6/2", "1.2.3/anything"])
def test_a_strategys_own_keys_and_those_of_their_exits_and_legs_are_known(key: str) -> None:
    assert is_own(key)
    assert fault_in_key(key) is not None


@pytest.mark.parametrize("key", ["mine/stop", "mine/target.2", "a/b/trail.13", "close.5.1"])
def test_keys_of_exits_and_closings_are_kept(key: str) -> None:
    assert not is_own(key)
    assert repr(key) in str(fault_in_key(key))


@pytest.mark.parametrize(
    "key", ["1.2", "1.2.3.4", "1.2.x", "v1.2.3", "mine/stops", "mine/stop.x", "closed", "x", "1"]
)
def test_other_keys_are_free(key: str) -> None:
    assert not is_own(key)
    assert fault_in_key(key) is None
