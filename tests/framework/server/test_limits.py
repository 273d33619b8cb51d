"""How often somebody may ask."""

import asyncio

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from framework.server.door import RefusalKind, Refused
from framework.server.limits import MOST_RATES, Rates, RequestLimits
from framework.settings.server import LimitSettings
from framework.simulation.loop import run_simulated


def test_a_burst_is_taken_at_once_and_the_rest_at_the_rate() -> None:
    rates = Rates(10, 3)

    assert [rates.take("a", 0) for _ in range(3)] == [0, 0, 0]
    assert round(rates.take("a", 0), 6) == 0.1
    assert rates.take("a", 0.1) == 0
    assert round(rates.take("a", 0.15), 6) == 0.05
    assert rates.take("b", 0.15) == 0


@given(
    st.integers(1, 50),
    st.integers(1, 20),
    st.lists(st.floats(0, 1), min_size=1, max_size=60),
)
def test_r84_no_window_has_more_than_burst_and_rate(
    per_s: int, burst: int, steps: list[float]
) -> None:
    rates = Rates(per_s, burst)
    now_s, taken = 0.0, []
    for step in steps:
        now_s += step / per_s
        wait_s = rates.take("a", now_s)
        if wait_s == 0:
            taken.append(now_s)
        else:
            assert rates.take("a", now_s + wait_s + 1e-9) == 0  # it is told the truth
            taken.append(now_s + wait_s)
            now_s += wait_s + 1e-9
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            window_s = taken[last] - taken[first]
            assert last - first + 1 <= burst + window_s * per_s + 1e-6


def test_the_keys_that_are_remembered_are_bounded_and_the_oldest_is_forgotten() -> None:
    rates = Rates(1, 1)
    assert rates.take("old", 0) == 0
    for number in range(MOST_RATES - 1):
        rates.take(str(number), 0)
    assert rates.take("old", 0) > 0  # still known

    rates.take("one more", 0)

    assert len(rates) == MOST_RATES
    assert rates.take("old", 0) == 0


def test_a_body_that_came_along_broken_is_refused() -> None:
    async def main() -> None:
        content = StreamReader(BaseProtocol(asyncio.get_running_loop()), 1_024)
        content.feed_data(b"x")
        content.feed_eof()
        content.set_exception(web.RequestPayloadError("broken"))
        request = make_mocked_request("POST", "/", payload=content)

        with pytest.raises(Refused) as caught:
            await RequestLimits(LimitSettings()).read_body(request)
        assert caught.value.kind is RefusalKind.INVALID

    run_simulated(main)
