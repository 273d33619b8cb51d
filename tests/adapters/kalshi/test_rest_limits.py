"""Our own limiter in front of the venue's: whoever uses this client is never told "too many"."""

import asyncio

import pytest

from adapters.kalshi.rest_asking import buckets_of
from adapters.kalshi.rest_values import Limits
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.http import RestSettings
from framework.simulation.link import LinkFaults
from tests.adapters.kalshi.rest_stage import ADDRESS, Stage, on_stage
from tests.broker.rig import simulated_loop

BASIC = (200.0, 100.0)  # tokens per second of the lowest tier
STRICT = RestSettings(enforces_limits=True)
JITTER = LinkFaults(latency_ms_low=1, latency_ms_high=80)


async def write_much(one: Stage, count: int) -> list[float]:
    """Give and take back orders all at once; return the seconds that each cancel took."""
    resting = [await one.buy(f"r-{number}", 10) for number in range(4)]
    creating = [asyncio.create_task(one.buy(f"c-{n}", 11)) for n in range(count)]
    await asyncio.sleep(0.5)  # until the creations wait for tokens
    took: list[float] = []
    loop = simulated_loop()
    for order_id in resting:
        began_s = loop.time()
        await one.rest.cancel_order(order_id)
        took.append(loop.time() - began_s)
    await asyncio.gather(*creating)
    return took


@pytest.mark.parametrize(("uses_first", "count"), [(True, 5), (False, 40)])
def test_the_lowest_tier_is_never_exceeded_and_cancels_do_not_wait(
    uses_first: bool, count: int
) -> None:
    """R-68, B25: the write bucket holds two seconds of 100 tokens; requests bunch up on the way."""

    async def scene(one: Stage) -> None:
        simulated_loop().network.set_faults(ADDRESS, JITTER)
        took = await write_much(one, count)
        assert max(took) < 0.5  # what the way there and back takes
        assert one.venue.rest.throttle.refused_count == 0

    on_stage(scene, rest=STRICT, uses_first=uses_first, tokens_per_s=BASIC)


def test_reads_are_never_too_many_either() -> None:
    async def scene(one: Stage) -> float:
        simulated_loop().network.set_faults(ADDRESS, JITTER)
        began_s = simulated_loop().time()
        await asyncio.gather(*(one.rest.balance() for _ in range(80)))
        assert one.venue.rest.throttle.refused_count == 0
        return simulated_loop().time() - began_s

    took_s = on_stage(scene, rest=STRICT, tokens_per_s=BASIC)

    assert 3.0 < took_s < 5.0  # 800 tokens at 180 a second, 144 of them at once


@pytest.mark.parametrize("profile", Profile)
def test_limits_are_learned_from_the_account(profile: Profile) -> None:
    """B25: whichever way the venue writes its tier; it is then used to the full, not beyond."""

    async def scene(one: Stage) -> float:
        limits = await one.rest.adopt_limits()
        assert (limits.usage_tier, limits.write_per_s) == ("premier", 1_000)
        began_s = simulated_loop().time()
        await asyncio.gather(*(one.buy(f"c-{n}", 10) for n in range(200)))
        assert one.venue.rest.throttle.refused_count == 0
        return simulated_loop().time() - began_s

    fast = RestSettings(enforces_limits=True, tier="premier")

    assert on_stage(scene, rest=fast, tokens_per_s=BASIC, profile=profile) < 1.5


def test_our_buckets_are_smaller_than_the_venues() -> None:
    """Section 9: the write bucket holds two seconds; a fifth is for cancels alone."""
    buckets = buckets_of(Limits("basic", 200, 100))
    named = buckets_of(Limits("x", 200, 100, read_capacity=50, write_capacity=40))

    assert (buckets["read"].capacity, buckets["read"].refill_per_s) == (180, 180)
    assert (buckets["write"].capacity, buckets["write"].refill_per_s) == (180, 90)
    assert {bucket.reserve for bucket in buckets.values()} == {0.2}
    assert (named["read"].capacity, named["write"].capacity) == (45, 36)
