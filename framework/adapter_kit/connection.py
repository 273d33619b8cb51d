"""Area *connection*: states, reconnects, refusals, mute links, and nothing left over."""

import asyncio
from itertools import pairwise

from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import CheckFailed, Stage
from framework.model.events import ConnectionChanged, ConnectionState

LIVE = (ConnectionState.CONNECTED, ConnectionState.STREAMING)
DOWN = (ConnectionState.RECONNECTING, ConnectionState.DISCONNECTED, ConnectionState.CLOSED)
BEFORE = {
    ConnectionState.CONNECTED: ConnectionState.CONNECTING,
    ConnectionState.STREAMING: ConnectionState.CONNECTED,
}
START_S = 10.0
LOST_S = 2.0  # a broken connection says so at once
BACK_S = 90.0  # the longest pause between attempts, three times
REFUSED_S = 60.0
MOST_ATTEMPTS = 120  # in that time, of every link and request: a pause of half a second at least
DROPS = 20
SLACK_TASKS = 10  # kept connections for requests come and go; one left per drop is more


def states_of(stage: Stage, link: str) -> list[ConnectionState]:
    """Return the states of one link, in order."""
    return [event.state for event in stage.of(ConnectionChanged) if event.link == link]


def links_of(stage: Stage) -> list[str]:
    """Return the names of the links that the adapter told of."""
    return sorted({event.link for event in stage.of(ConnectionChanged)})


async def until_streaming(stage: Stage, link: str = "feed", *, within_s: float = START_S) -> None:
    """Wait until a link's newest state is STREAMING."""
    await stage.until(
        lambda: states_of(stage, link)[-1:] == [ConnectionState.STREAMING],
        f"link `{link}` is STREAMING",
        within_s=within_s,
    )


async def cut(stage: Stage) -> None:
    """Break every connection, and require of every link that was up to say that it is lost.

    The core makes books stale by that state, and compares orders with the venue once it is over.
    """
    up = [link for link in links_of(stage) if states_of(stage, link)[-1] in LIVE]
    told = len(stage.of(ConnectionChanged))
    stage.inflict(Fault.CUT)

    def are_told() -> bool:
        changes = stage.of(ConnectionChanged)[told:]
        return set(up) <= {change.link for change in changes if change.state in DOWN}

    await stage.until(are_told, f"the links {up} are told as lost", within_s=LOST_S)


async def _streaming(stage: Stage) -> None:
    stage.subscribe_any()
    await until_streaming(stage)


async def _goes_on(stage: Stage) -> None:
    """Require market data again: a state alone brings none."""
    await until_streaming(stage, within_s=BACK_S)
    await stage.until_data(within_s=60.0)


async def tells_of_its_states(stage: Stage) -> None:
    """The link `feed` goes CONNECTING, CONNECTED, STREAMING and says so under the venue's name."""
    await _streaming(stage)
    states = states_of(stage, "feed")
    wanted = [ConnectionState.CONNECTING, *LIVE]
    if [state for state in states if state is not ConnectionState.DISCONNECTED] != wanted:
        raise CheckFailed(f"expected {wanted}, saw {states}")
    venues = {event.venue for event in stage.of(ConnectionChanged)}
    if venues != {stage.venue}:
        raise CheckFailed(f"states of the venues {sorted(venues)}, this one is {stage.venue}")


async def makes_legal_moves_only(stage: Stage) -> None:
    """A break is told at once; up again goes by CONNECTING and CONNECTED; nothing after CLOSED."""
    await _streaming(stage)
    for _ in range(5):
        await cut(stage)
        for link in links_of(stage):
            await until_streaming(stage, link, within_s=BACK_S)
    for link in links_of(stage):
        for old, new in pairwise(states_of(stage, link)):
            if old is new:
                raise CheckFailed(f"{link}: {new} twice in a row")
            if BEFORE.get(new, old) is not old:
                raise CheckFailed(f"{link}: {new} after {old}")
            if old is ConnectionState.CLOSED:
                raise CheckFailed(f"{link}: {new} after CLOSED")


async def reconnects_with_fresh_credentials(stage: Stage) -> None:
    """R-43: each attempt takes a new token, signature or timestamp."""
    await _streaming(stage)
    for _ in range(3):
        count = len(stage.rig.logins())
        await cut(stage)
        for link in links_of(stage):
            await until_streaming(stage, link, within_s=BACK_S)
        if len(stage.rig.logins()) <= count:
            raise CheckFailed("told as STREAMING again without a new login at the venue")
    logins = stage.rig.logins()
    if len(set(logins)) != len(logins):
        raise CheckFailed("credentials were used twice")


async def backs_off_while_refused(stage: Stage) -> None:
    """R-43: a minute of refusals costs few attempts, and afterwards it goes on by itself."""
    await _streaming(stage)
    network = stage.loop.network
    before = network.attempt_count
    stage.inflict(Fault.REFUSE, duration_s=REFUSED_S)
    await cut(stage)
    await stage.pass_time(REFUSED_S)
    attempts = network.attempt_count - before
    if attempts > MOST_ATTEMPTS:
        raise CheckFailed(f"{attempts} attempts in a minute of refusals")
    await _goes_on(stage)


async def finds_a_mute_link(stage: Stage) -> None:
    """R-42: silence is noticed within twice the venue's heartbeat, by data."""
    await _streaming(stage)
    await stage.pass_time(START_S)
    told = len(states_of(stage, "feed"))
    stage.inflict(Fault.MUTE, duration_s=1_000.0)
    await stage.until(
        lambda: set(states_of(stage, "feed")[told:]) & set(DOWN),
        "the mute link is given up",
        within_s=2.0 * stage.rig.heartbeat_s + 1.0,
    )
    stage.rig.heal()
    await _goes_on(stage)


async def leaves_nothing_behind(stage: Stage) -> None:
    """R-44: after many drops there are no more connections and no more tasks than before."""
    await _streaming(stage)
    await stage.pass_time(60.0)
    connections, tasks = stage.rig.connection_count, len(asyncio.all_tasks())
    for _ in range(DROPS):
        stage.inflict(Fault.CUT)
        await stage.pass_time(5.0)
    await _goes_on(stage)
    await stage.pass_time(60.0)
    if stage.rig.connection_count != connections:
        raise CheckFailed(
            f"{stage.rig.connection_count} connections, {connections} before the drops"
        )
    if len(asyncio.all_tasks()) > tasks + SLACK_TASKS:
        raise CheckFailed(f"{len(asyncio.all_tasks())} tasks, {tasks} before the drops")


CHECKS = (
    tells_of_its_states,
    makes_legal_moves_only,
    reconnects_with_fresh_credentials,
    backs_off_while_refused,
    finds_a_mute_link,
    leaves_nothing_behind,
)
