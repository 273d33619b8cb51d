"""Our client in front of a venue that fails: lost answers, 5xx, 429, garbage, pages in a circle."""

from functools import partial
from typing import Any

import pytest

from adapters.kalshi.rest_values import NewOrder
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.http import RestSettings
from framework.errors import (
    Conflict,
    InvalidRequest,
    MalformedMessage,
    NotFound,
    RateLimited,
    RequestRefusedByVenue,
    VenueUnavailable,
)
from framework.model import events
from tests.adapters.kalshi.rest_bodies import collect, everything
from tests.adapters.kalshi.rest_stage import CENTS, Stage, in_doubt, on_stage, pass_time

generations = pytest.mark.parametrize("uses_first", [True, False])


@generations
@pytest.mark.parametrize("fault", ["lose_answer", "fail_after"])
def test_an_order_in_doubt_is_found_by_its_client_id(fault: str, uses_first: bool) -> None:
    """B26, K62, R-20: it is written once, and whoever wants to know looks it up."""

    async def scene(one: Stage) -> None:
        one.fail(fault, "POST")
        await in_doubt(one.buy("c-1", 40))

        found = await one.account.order("c-1")

        assert len(one.asked("POST", "/orders")) == 1
        assert found is not None
        assert found.order_id == "c-1"
        with pytest.raises(Conflict) as caught:  # the venue has it already
            await one.buy("c-1", 40)
        assert caught.value.code == "order_already_exists"

    on_stage(scene, uses_first=uses_first)


def test_an_order_that_did_not_arrive_is_not_found() -> None:
    async def scene(one: Stage) -> None:
        one.fail("lose_request", "POST")
        await in_doubt(one.buy("c-1", 40))
        assert await one.account.order("c-1") is None

    on_stage(scene)


@generations
def test_a_cancel_in_doubt_is_not_repeated(uses_first: bool) -> None:
    """K62."""

    async def scene(one: Stage) -> None:
        order_id = await one.buy("c-1", 40)
        one.fail("fail_after", "DELETE")
        await in_doubt(one.rest.cancel_order(order_id))
        assert (await one.rest.order(order_id)).status == "canceled"
        with pytest.raises(NotFound):
            await one.rest.cancel_order(order_id)
        assert len(one.asked("DELETE", order_id)) == 2

    on_stage(scene, uses_first=uses_first)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_reads_are_repeated_until_they_are_answered(status: int) -> None:
    """K60, K62: three times at most."""

    async def scene(one: Stage) -> None:
        one.fail("refuse", "GET", status=status, count=3)
        assert (await one.rest.balance()).cash == 1_000_000_000
        assert len(one.asked("GET", "/balance")) == 4

        one.fail("refuse", "GET", status=status, count=4)
        with pytest.raises(RateLimited if status == 429 else VenueUnavailable):
            await one.rest.balance()
        assert len(one.asked("GET", "/balance")) == 8

    on_stage(scene)


def test_a_429_pauses_what_shares_its_bucket() -> None:
    """B25, section 9: it names no time, and nothing was executed."""

    async def scene(one: Stage) -> None:
        one.fail("refuse", "POST", status=429)
        with pytest.raises(RateLimited) as caught:
            await one.buy("c-1", 40)
        began_ns = one.context.clock.now_ns
        await one.buy("c-1", 40)

        assert len(one.context.take(events.RateLimited)) == 1
        assert caught.value.retry_after_s is not None
        waited_s = (one.context.clock.now_ns - began_ns) / 1e9
        assert 0 < caught.value.retry_after_s <= waited_s < 1

    on_stage(scene)


@pytest.mark.parametrize("shape", ["nested", "flat", "bare"])
def test_refusals_of_every_shape_are_the_same_error(shape: Any) -> None:
    """K63: with the code, where there is one."""

    async def scene(one: Stage) -> list[RequestRefusedByVenue]:
        off_grid = NewOrder(ticker=CENTS, client_order_id="c", is_bid=True, count=100, price=4_050)
        with pytest.raises(InvalidRequest, match=r"grid|price") as first:
            await one.rest.create_order(off_grid)
        with pytest.raises(NotFound, match="nothing") as second:
            await one.rest.order("nothing")
        return [first.value, second.value]

    refusals = on_stage(scene, rest=RestSettings(error_shape=shape))

    codes = ["", ""] if shape == "bare" else ["invalid_price", "not_found"]
    assert [error.code for error in refusals] == codes
    assert [error.status for error in refusals] == [400, 404]


def test_garbage_is_an_error_and_never_an_empty_answer() -> None:
    """R-34, R-45: "nothing there" must not be read out of it."""

    async def scene(one: Stage) -> None:
        for question in (one.account.open_orders, one.account.positions, one.account.balances):
            one.fail("garble", "GET")
            with pytest.raises(MalformedMessage):
                await question()
        one.fail("garble", "POST")
        with pytest.raises(MalformedMessage):
            await one.buy("c-1", 40)
        assert await one.account.order("c-1") is not None

    on_stage(scene)


@pytest.mark.parametrize("profile", Profile)
def test_every_page_is_read_and_a_circle_is_an_error(profile: Profile) -> None:
    """K64."""

    async def scene(one: Stage) -> None:
        for number in range(7):
            await one.buy(f"c-{number}", 10 + number)

        orders = await everything(one.rest.orders(limit=2))

        assert [order.client_order_id for order in orders] == [f"c-{n}" for n in range(6, -1, -1)]
        assert len(one.asked("GET", "/orders")) == 4
        pages = one.rest.orders(limit=2)
        found = [await anext(pages)]
        one.fail("repeat_cursor", "GET")
        with pytest.raises(MalformedMessage, match="came again"):
            await collect(pages, found)
        assert found == orders[:4]

    on_stage(scene, profile=profile)


def test_lists_may_be_null() -> None:
    """Section 10."""

    async def scene(one: Stage) -> None:
        assert await one.account.open_orders() == []
        assert await one.account.executions(0) == []
        assert await one.account.positions() == []
        assert await one.account.settlements(0) == []
        assert await everything(one.rest.trades()) == []
        assert (await one.rest.orderbook(CENTS)).yes == ()

    on_stage(scene, rest=RestSettings(null_lists=True))


def test_reads_that_lag_show_an_order_late() -> None:
    """10.1: the venue says as of when its portfolio reads speak."""

    async def scene(one: Stage) -> None:
        await one.buy("c-1", 40)
        created_ns = one.context.clock.now_ns
        assert await one.account.order("c-1") is None
        as_of_ns = await one.rest.user_data_timestamp()
        assert as_of_ns is not None
        assert as_of_ns < created_ns
        await pass_time(2)
        assert await one.account.order("c-1") is not None

    on_stage(scene, rest=RestSettings(lag_ms=1_500))


def test_a_deadline_ends_a_request_that_hangs() -> None:
    """K60: 30 s, repeats of a read included."""

    async def scene(one: Stage) -> float:
        one.fail("delay_answer", delay_s=100.0)
        began_ns = one.context.clock.now_ns
        await in_doubt(one.rest.balance())
        return (one.context.clock.now_ns - began_ns) / 1e9

    assert on_stage(scene) == pytest.approx(30, abs=0.1)


@generations
@pytest.mark.parametrize("profile", Profile)
def test_batches_succeed_and_fail_item_by_item(profile: Profile, uses_first: bool) -> None:
    """10.4, 10.5, R-33."""

    async def scene(one: Stage) -> None:
        order = partial(NewOrder, ticker=CENTS, is_bid=True, count=100)
        created = await one.rest.create_orders(
            [
                order(client_order_id="c-1", price=4_000),
                order(client_order_id="c-2", price=4_050),
                order(client_order_id="c-3", price=4_100),
            ]
        )
        kinds = [getattr(item, "status", getattr(item, "code", "")) for item in created]
        assert kinds == ["resting", "invalid_price", "resting"]

        ids = [getattr(item, "order_id", "") for item in created]
        cancelled = await one.rest.cancel_orders([ids[0], "nothing", ids[2]])

        kinds = [getattr(item, "status", getattr(item, "code", "")) for item in cancelled]
        assert kinds == ["canceled", "not_found", "canceled"]
        assert [getattr(item, "reduced_by", None) for item in cancelled] == [100, None, 100]

    on_stage(scene, profile=profile, uses_first=uses_first)
