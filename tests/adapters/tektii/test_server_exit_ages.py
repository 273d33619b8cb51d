"""Exits that wait too long for a fill are dropped, those that protect something never."""

from typing import Any

import anyio
from msgspec.structs import replace

from adapters.tektii.server_exit_ages import ExitAges
from framework.errors import OrderError
from framework.model.desk import Place, Principal, View
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import OWNER as FAKE_OWNER
from tests.adapters.tektii.fake_desk import FakeDesk
from tests.adapters.tektii.trading_half import OWNER, Market, Trader, play

SHORT: dict[str, Any] = {"exit_ttl_hours": 0.05}  # three minutes


async def aged(trader: Trader, minutes: float) -> None:
    """Let the look-out of a gateway run for some minutes."""
    with anyio.move_on_after(60 * minutes + 1):
        await ExitAges(trader.place).run()


def test_waiting_exits_are_dropped_and_resting_ones_stay() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought(stop_loss="50", client_order_id="held")
        waiting = await trader.limit("60", stop_loss="50", take_profit="200")
        await aged(trader, 2)
        assert (await trader.shown(waiting["id"]))["stop_loss"] == "50"
        await aged(trader, 2)

        order = await trader.shown(waiting["id"])
        assert order["status"] == "OPEN"
        assert "stop_loss" not in order
        assert "take_profit" not in order
        (leg,) = await trader.listed("client_order_id=held-sl")
        assert leg["status"] == "OPEN"

    play(act, chosen=SHORT)


def test_the_exits_of_other_runs_are_left_alone() -> None:
    async def act(trader: Trader, market: Market) -> None:
        other = Principal("other", (Place("x", "main", "other"),), verbs=OWNER.verbs)
        order = await trader.as_(other).limit("60", stop_loss="50")
        owner = replace(OWNER, view=View.ACCOUNT)
        whole = Trader(trader.place.desk, OWNER, owner=owner, **SHORT)
        await aged(whole, 5)
        assert (await trader.as_(other).shown(order["id"]))["stop_loss"] == "50"

    play(act)


def test_an_age_of_zero_is_for_ever() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await ExitAges(trader.place).run()

    play(act, chosen={"exit_ttl_hours": 0})


def test_one_that_cannot_be_changed_does_not_end_the_look_out() -> None:
    async def main() -> Any:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        for _ in range(2):
            await trader.limit("60", symbol="AAPL", stop_loss="50")
        desk.clock.advance_to(desk.clock.now_ns + 48 * 3_600 * 1_000_000_000)
        desk.fail("modify", OrderError("it has filled"))
        await ExitAges(trader.place).drop_old()
        return len([call for call in desk.calls if call[0] == "modify"])

    assert run_simulated(main, seed=1) == 2
