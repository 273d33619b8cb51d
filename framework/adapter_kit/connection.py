"""Area *connection*: states, reconnects, refusals, mute links, and nothing left over."""

from itertools import pairwise

from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import CheckFailed, Stage
from framework.model.events import ConnectionChanged, ConnectionState

LIVE = (ConnectionState.CONNECTED, ConnectionState.STREAMING)
BEFORE_CONNECTED = (ConnectionState.CONNECTING,)
START_S = 10.0


def states_of(stage: Stage, link: str) -> list[ConnectionState]:
    """Return the states of one link, in order."""
    return [event.state for event in stage.of(ConnectionChanged) if event.link == link]


def links_of(stage: Stage) -> set[str]:
    """Return the names of the links that the adapter told of."""
    return {event.link for event in stage.of(ConnectionChanged)}


async def _streaming(stage: Stage) -> None:
    stage.feed.subscribe(stage.name(), "book")
    await stage.until(
        lambda: stage.of(ConnectionChanged) and states_of(stage, "feed")[-1:] == [LIVE[1]],
        "link `feed` is STREAMING",
        within_s=START_S,
    )


async def tells_of_its_states(stage: Stage) -> None:
    """The link `feed` goes CONNECTING, CONNECTED, STREAMING and says so."""
    await _streaming(stage)
    states = states_of(stage, "feed")
    wanted = [ConnectionState.CONNECTING, *LIVE]
    if [state for state in states if state is not ConnectionState.DISCONNECTED] != wanted:
        raise CheckFailed(f"expected {wanted}, saw {states}")


async def makes_legal_moves_only(stage: Stage) -> None:
    """However the connection breaks, CONNECTED follows CONNECTING alone, and nothing CLOSED."""
    await _streaming(stage)
    for _ in range(5):
        stage.inflict(Fault.CUT)
        await stage.pass_time(20.0)
    for link in links_of(stage):
        for old, new in pairwise(states_of(stage, link)):
            if old is new:
                raise CheckFailed(f"{link}: {new} twice in a row")
            if new is ConnectionState.CONNECTED and old not in BEFORE_CONNECTED:
                raise CheckFailed(f"{link}: CONNECTED after {old}")
            if old is ConnectionState.CLOSED:
                raise CheckFailed(f"{link}: {new} after CLOSED")


async def reconnects_with_fresh_credentials(stage: Stage) -> None:
    """R-43: each attempt takes a new token, signature or timestamp."""
    await _streaming(stage)
    first_count = len(stage.rig.logins())
    stage.inflict(Fault.CUT)
    await stage.until(lambda: len(stage.rig.logins()) > first_count, "a new attempt", within_s=60.0)
    await stage.until_synced(within_s=60.0)
    logins = stage.rig.logins()
    if len(set(logins)) != len(logins):
        raise CheckFailed("credentials were used twice")


async def backs_off_while_refused(stage: Stage) -> None:
    """R-43: a minute of refusals costs a handful of attempts, and then it goes on."""
    await _streaming(stage)
    before = len(stage.rig.logins())
    stage.inflict(Fault.REFUSE, duration_s=60.0)
    stage.inflict(Fault.CUT)
    await stage.pass_time(60.0)
    attempts = len(stage.rig.logins()) - before
    if attempts > 120:
        raise CheckFailed(f"{attempts} attempts in a minute of refusals")
    await stage.until_synced(within_s=60.0)


async def finds_a_mute_link(stage: Stage) -> None:
    """R-42: silence is noticed within twice the venue's heartbeat, by data."""
    await _streaming(stage)
    await stage.until_synced(within_s=START_S)
    stage.inflict(Fault.MUTE, duration_s=1_000.0)
    await stage.until(
        lambda: states_of(stage, "feed")[-1] not in LIVE,
        "the mute link is given up",
        within_s=2.0 * stage.rig.heartbeat_s + 1.0,
    )
    stage.rig.heal()
    await stage.until_synced(within_s=60.0)


async def leaves_nothing_behind(stage: Stage) -> None:
    """R-44: after many drops there is one connection per link, and no task more than before."""
    await _streaming(stage)
    await stage.until_synced(within_s=START_S)
    before = stage.rig.connection_count
    for _ in range(30):
        stage.inflict(Fault.CUT)
        await stage.pass_time(5.0)
    await stage.until_synced(within_s=60.0)
    await stage.pass_time(60.0)
    if stage.rig.connection_count != before:
        raise CheckFailed(f"{stage.rig.connection_count} connections, {before} before the drops")


CHECKS = (
    tells_of_its_states,
    makes_legal_moves_only,
    reconnects_with_fresh_credentials,
    backs_off_while_refused,
    finds_a_mute_link,
    leaves_nothing_behind,
)
