"""Area *recovery*: a book that says it is synced is the venue's, and a broken one heals."""

from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import CheckFailed, Stage
from framework.model.events import GapDetected

HEAL_S = 30.0
BOTH = (0, 1)


async def _synced(stage: Stage) -> None:
    for index in BOTH:
        stage.feed.subscribe(stage.name(index), "book")
    await stage.until_synced(within_s=HEAL_S, indices=BOTH)


async def _healed(stage: Stage) -> None:
    """Require books that heal and go on, and that none was ever wrong."""
    stage.rig.heal()
    await stage.until_synced(within_s=HEAL_S, indices=BOTH)
    compared = stage.compared_count
    await stage.until(
        lambda: stage.compared_count > compared + 10, "the books go on", within_s=HEAL_S
    )
    _never_wrong(stage)


def _never_wrong(stage: Stage) -> None:
    if stage.wrong:
        raise CheckFailed(f"{len(stage.wrong)} times wrong and synced, first {stage.wrong[0]}")


async def follows_the_venue(stage: Stage) -> None:
    """R-40: without any fault, every book event leaves a book that the venue had."""
    await _synced(stage)
    await stage.pass_time(60.0)
    _never_wrong(stage)
    if stage.compared_count < 20:
        raise CheckFailed(f"only {stage.compared_count} book events in a minute")


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
    await _synced(stage)
    for _ in range(10):
        stage.inflict(Fault.SWAP, count=1)
        await stage.pass_time(5.0)
    await _healed(stage)


async def survives_garbled_frames(stage: Stage) -> None:
    """R-45: what cannot be read changes nothing, and the link stays or comes back."""
    await _synced(stage)
    for _ in range(5):
        stage.inflict(Fault.GARBLE, count=1)
        await stage.pass_time(10.0)
    await _healed(stage)


async def survives_reconnects(stage: Stage) -> None:
    """R-40: after each break the books are stale until they are true again."""
    await _synced(stage)
    for _ in range(6):
        stage.inflict(Fault.CUT)
        await stage.pass_time(0.5)
        if any(book.is_synced for book in stage.books.by_instrument.values()):
            await stage.until_synced(within_s=HEAL_S, indices=BOTH)
        await stage.pass_time(10.0)
    await _healed(stage)


async def goes_on_asking_for_snapshots(stage: Stage) -> None:
    """R-41: no snapshot for a minute leaves nothing silently open afterwards."""
    await _synced(stage)
    stage.inflict(Fault.NO_SNAPSHOT, duration_s=60.0)
    stage.inflict(Fault.LOSE, count=2)
    await stage.pass_time(60.0)
    await _healed(stage)


CHECKS = (
    follows_the_venue,
    survives_lost_frames,
    ignores_repeated_frames,
    survives_swapped_frames,
    survives_garbled_frames,
    survives_reconnects,
    goes_on_asking_for_snapshots,
)
