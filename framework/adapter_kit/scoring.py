"""Plays every check on a fresh simulated world and counts what held, by area."""

from collections.abc import Awaitable, Callable, Iterable

import msgspec

from framework.adapter_kit import connection, data, limits, orders, reconcile, recovery
from framework.adapter_kit.rig import VenueRig
from framework.adapter_kit.stage import Build, CheckFailed, CheckSkipped, Stage, staged
from framework.simulation.loop import run_simulated

Check = Callable[[Stage], Awaitable[None]]
MakeRig = Callable[[int], VenueRig]

AREAS: dict[str, tuple[Check, ...]] = {
    "connection": connection.CHECKS,
    "data": data.CHECKS,
    "recovery": recovery.CHECKS,
    "orders": orders.CHECKS,
    "reconcile": reconcile.CHECKS,
    "limits": limits.CHECKS,
}
START_NS = 1_780_000_000_000_000_000  # a date of our days: venues check timestamps
LIMIT_NS = 24 * 3_600_000_000_000


class Verdict(msgspec.Struct, frozen=True):
    """How one check went; `failure` is "" where it held, `skipped` says why it was not played."""

    area: str
    check: str
    promise: str
    failure: str = ""
    skipped: str = ""


def play(check: Check, build: Build, make_rig: MakeRig, *, seed: int = 0) -> None:
    """Play one check.

    Raises:
        CheckFailed: it did not hold.
        CheckSkipped: the venue lacks a fault that it needs.
    """

    async def main() -> None:
        async with staged(build, make_rig(seed)) as stage:
            await check(stage)

    run_simulated(main, seed=seed, start_ns=START_NS, limit_ns=START_NS + LIMIT_NS)


def score(
    build: Build, make_rig: MakeRig, *, areas: Iterable[str] = AREAS, seed: int = 0
) -> list[Verdict]:
    """Play every check of the areas; a check that raises anything has failed."""
    verdicts = []
    for area in areas:
        for check in AREAS[area]:
            failure = skipped = ""
            try:
                play(check, build, make_rig, seed=seed)
            except CheckSkipped as reason:
                skipped = str(reason)
            except CheckFailed as failed:
                failure = str(failed)
            except Exception as error:  # an adapter may raise what it likes
                failure = f"{type(error).__name__}: {error}"
            promise = (check.__doc__ or "").strip().splitlines()[0]
            verdicts.append(Verdict(area, check.__name__, promise, failure, skipped))
    return verdicts
