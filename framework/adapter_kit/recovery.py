"""Area *recovery*: a book that says it is synced is the venue's, and a broken one heals."""

from functools import partial

from framework.adapter_kit.connection import BACK_S, cut
from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import CheckFailed, Stage
from framework.model.events import GapDetected

HEAL_S = 30.0
BOTH = (0, 1)


async def _synced(stage: Stage, indices: tuple[int, ...] = BOTH) -> None:
    for index in indices:
        stage.subscribe("book", index)
    await stage.until_synced(within_s=HEAL_S, indices=indices)


async def _healed(
    stage: Stage, indices: tuple[int, ...] = BOTH, *, within_s: float = HEAL_S
) -> None:
    """Require books that heal, go on and catch up, and that none was ever wrong."""
    stage.rig.heal()
    await stage.until_synced(within_s=within_s, indices=indices)
    compared = stage.compared_count
    await stage.until(
        lambda: stage.compared_count > compared + 10, "the books go on", within_s=HEAL_S
    )
    _never_wrong(stage)
    for index in indices:
        await stage.until(
            partial(stage.is_true, index),
            f"the book of {stage.name(index)} is the venue's newest",
            within_s=HEAL_S,
        )
    _never_wrong(stage)


def _never_wrong(stage: Stage) -> None:
    if stage.wrong:
        raise CheckFailed(f"{len(stage.wrong)} times wrong and synced, first {stage.wrong[0]}")


async def follows_the_venue(stage: Stage) -> None:
    """R-40: without any fault, every book event leaves a book that the venue had."""
    await _synced(stage)
    await stage.pass_time(60.0)
    await _healed(stage)


async def survives_lost_frames(stage: Stage) -> None:
    """R-41: a lost message is noticed, said, and healed; nothing wrong is shown meanwhile."""
    await _synced(stage)
    for _ in range(10):
        stage.inflict(Fault.LOSE, count=2)
        await stage.pass_time(10.0)
    await _healed(stage)
    if not stage.of(GapDetected):
        raise CheckFailed("no GapDetected although messages were lost")


async def ignores_repeated_frames(stage: Stage) -> None:
    """R-41: a repeat is never applied."""
    await _synced(stage)
    for _ in range(10):
        stage.inflict(Fault.REPEAT, count=3)
        await stage.pass_time(3.0)
    await _healed(stage)


async def survives_swapped_frames(stage: Stage) -> None:
    """R-40: messages in the wrong order are put in order, or count as a gap."""
    only = (0,)  # with two, each would swap with one of the other's, which harms neither
    await _synced(stage, only)
    for _ in range(10):
        stage.inflict(Fault.SWAP, count=1)
        await stage.pass_time(5.0)
    await _healed(stage, only)


async def survives_garbled_frames(stage: Stage) -> None:
    """R-45: what cannot be read changes nothing, and the link stays or comes back."""
    await _synced(stage)
    for _ in range(5):
        stage.inflict(Fault.GARBLE, count=1)
        await stage.pass_time(10.0)
    await _healed(stage)


async def survives_reconnects(stage: Stage) -> None:
    """R-40: after each break, told at once, the books are stale until they are true again."""
    await _synced(stage)
    for _ in range(6):
        await cut(stage)
        await stage.pass_time(10.0)
        await stage.until_synced(within_s=BACK_S, indices=BOTH)
    await _healed(stage)


async def goes_on_asking_for_snapshots(stage: Stage) -> None:
    """R-41: no snapshot for a minute leaves nothing silently open afterwards."""
    await _synced(stage)
    stage.inflict(Fault.NO_SNAPSHOT, duration_s=60.0)
    stage.inflict(Fault.LOSE, count=2)
    await stage.pass_time(60.0)
    await _healed(stage)  # reconnecting did not help, so the link was left alone in between


CHECKS = (
    follows_the_venue,
    survives_lost_frames,
    ignores_repeated_frames,
    survives_swapped_frames,
    survives_garbled_frames,
    survives_reconnects,
    goes_on_asking_for_snapshots,
)
