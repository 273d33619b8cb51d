"""Positions and trades of a gateway over a real desk: shown, closed once, their exits moved."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.tektii import server_closing, wire
from framework.errors import Forbidden, OrderError, VenueUnavailable
from framework.model.desk import DeskOrder, DeskPosition, Place, Principal
from framework.model.orders import Bucket, Fee, Fill, Liquidity, OrderStatus, RequestState, Side
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import OWNER as FAKE_OWNER
from tests.adapters.tektii.fake_desk import START_NS, FakeDesk
from tests.adapters.tektii.trading_half import OWNER, WHOLE, Market, Said, Trader, play

BTC_ID = "x-pos-BTC"


async def close(trader: Trader, name: str = BTC_ID, body: Any = None, key: str = "") -> Said:
    headers = {"Idempotency-Key": key} if key else {}
    return await trader.ask("DELETE", f"/v1/positions/{name}", body, headers)


async def held(trader: Trader) -> list[Any]:
    return (await trader.ask("GET", "/v1/positions")).body  # type: ignore[no-any-return] # JSON


async def quantity(trader: Trader) -> str:
    positions = await held(trader)
    return positions[0]["quantity"] if positions else "0"


# -- shown -------------------------------------------------------------------------------------


def test_a_position_is_shown_by_its_id_and_by_its_symbol() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2")
        (listed,) = await held(trader)
        by_id = await trader.ask("GET", f"/v1/positions/{BTC_ID}")
        by_symbol = await trader.ask("GET", "/v1/positions/BTC")

        assert by_id.body == by_symbol.body == listed
        assert (listed["id"], listed["symbol"], listed["side"]) == (BTC_ID, "BTC", "LONG")
        assert Decimal(listed["quantity"]) == 2
        assert Decimal(listed["average_entry_price"]) == 101
        assert Decimal(listed["unrealized_pnl"]) == -1
        assert listed["opened_at"].endswith("Z")
        assert "margin_mode" not in listed

    play(act)


def test_a_short_position_has_no_sign() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2", side="sell", symbol="ETH")
        (listed,) = await held(trader)
        assert (listed["side"], Decimal(listed["quantity"])) == ("SHORT", Decimal(2))
        assert len((await trader.ask("GET", "/v1/positions?symbol=ETH")).body) == 1
        assert (await trader.ask("GET", "/v1/positions?symbol=BTC")).body == []

    play(act)


def test_fills_net_and_flip() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("1")
        await market.move(109.0, 110.0)
        await trader.bought("3")
        (added,) = await held(trader)
        assert Decimal(added["average_entry_price"]) == Decimal("107.75")
        await trader.bought("6", side="sell")
        (flipped,) = await held(trader)
        assert (flipped["side"], Decimal(flipped["quantity"])) == ("SHORT", Decimal(2))
        assert Decimal(flipped["average_entry_price"]) == 109
        await trader.bought("2")
        assert await held(trader) == []

    play(act)


def test_a_position_without_a_price_is_valued_at_its_cost() -> None:
    async def main() -> Any:
        desk = FakeDesk()
        desk.held["main", "tektii", "mock:AAPL"] = position()
        return await held(Trader(desk, FAKE_OWNER))

    (shown,) = run_simulated(main, seed=1)
    assert shown["current_price"] == shown["average_entry_price"] == "150.10"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
def test_a_position_that_nobody_has_is_not_found(method: str) -> None:
    async def act(trader: Trader, market: Market) -> None:
        body = {"stop_loss": "90"} if method == "PATCH" else None
        for name in (BTC_ID, "no%2Fsuch"):
            said = await trader.ask(method, f"/v1/positions/{name}", body)
            assert (said.status, said["code"]) == (404, "POSITION_NOT_FOUND")
            assert said["details"]["resource"] == "position"

    play(act)


def position(run: str = "tektii", bucket: Bucket | None = None) -> DeskPosition:
    number = Decimal("150.10")
    return DeskPosition(
        "main", run, "mock:AAPL", Decimal(3), number, None, Decimal(0), Decimal(0),
        START_NS, START_NS, bucket or Bucket(),
    )  # fmt: skip


def test_positions_of_one_symbol_have_names_of_their_own() -> None:
    async def main() -> None:
        desk = FakeDesk()
        desk.held["main", "tektii", "mock:AAPL"] = position()
        desk.held["main", "cross", "mock:AAPL"] = position("cross")
        desk.held["main", "product", "mock:AAPL"] = position("tektii", Bucket("MIS"))
        desk.held["main", "native", "mock:AAPL"] = position("tektii", Bucket("", "p-1"))
        trader = Trader(desk, FAKE_OWNER)
        names = {one["id"] for one in await held(trader)}
        assert names == {
            "mock-pos-AAPL", "mock-pos-AAPL@cross", "mock-pos-AAPL/MIS", "p-1",
        }  # fmt: skip
        for name in names:
            encoded = name.replace("/", "%2F")
            assert (await trader.ask("GET", f"/v1/positions/{encoded}"))["id"] == name
        said = await trader.ask("GET", "/v1/positions/AAPL")
        assert (said.status, said["code"]) == (400, "INVALID_VALUE")
        del desk.held["main", "cross", "mock:AAPL"]
        assert (await trader.ask("GET", "/v1/positions/AAPL"))["id"] == "mock-pos-AAPL"

    run_simulated(main, seed=1)


def test_an_order_may_name_the_position_that_it_is_for() -> None:
    async def main() -> None:
        desk = FakeDesk()
        desk.held["main", "native", "mock:AAPL"] = position("tektii", Bucket("", "p-1"))
        trader = Trader(desk, FAKE_OWNER)
        at_p = await trader.limit("90", symbol="AAPL", position_id="p-1")
        netting = await trader.limit("90", symbol="AAPL", position_id="mock-pos-AAPL")
        other = await trader.limit("90", symbol="AAPL", position_id="mock-pos-MSFT")

        assert (await trader.shown(at_p["id"]))["position_id"] == "p-1"
        assert "position_id" not in await trader.shown(netting["id"])
        assert (other.status, other["details"]["field"]) == (400, "position_id")

    run_simulated(main, seed=1)


# -- closed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [None, {}, {"cancel_associated_orders": True}, {"quantity": "99"}])
def test_a_close_ends_all_of_it_at_market(body: Any) -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2", stop_loss="90", take_profit="150")
        said = await close(trader, body=body)
        order = await trader.shown(said["id"])

        assert said.status == 200, said
        assert (order["side"], order["order_type"], order["reduce_only"]) == (
            "SELL", "MARKET", True,
        )  # fmt: skip
        assert (order["quantity"], order["position_id"]) == ("2", BTC_ID)
        assert order["correlation_id"] == said["correlation_id"]
        await anyio.sleep(0.05)
        assert await held(trader) == []
        assert await trader.listed() == []  # the exits went with it

    play(act)


def test_a_part_can_be_closed_and_the_exits_shrink() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("3", stop_loss="90", take_profit="150")
        said = await close(trader, body={"quantity": "1"})
        await anyio.sleep(0.05)

        assert said["status"] == "FILLED"
        assert Decimal(await quantity(trader)) == 2
        assert {Decimal(leg["quantity"]) for leg in await trader.listed()} == {Decimal(2)}

    play(act)


def test_a_close_by_limit_rests() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2")
        said = await close(trader, "BTC", {"order_type": "limit", "limit_price": "120"})
        (order,) = await trader.listed()
        assert (order["id"], order["limit_price"], order["quantity"]) == (said["id"], "120", "2")

    play(act)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"quantity": "0"}, "INVALID_VALUE", "quantity"),
        ({"quantity": "-1"}, "INVALID_VALUE", "quantity"),
        ({"order_type": "limit"}, "INVALID_REQUEST", "limit_price"),
        ({"order_type": "limit", "limit_price": "0"}, "INVALID_VALUE", "limit_price"),
        ({"order_type": "stop", "limit_price": "1"}, "INVALID_VALUE", "order_type"),
        ({"order_type": "nonsense"}, "INVALID_REQUEST", "order_type"),
        ({"limit_price": "90"}, "INVALID_VALUE", "limit_price"),
        ({"quantity": "x"}, "INVALID_REQUEST", "quantity"),
    ],
)
def test_a_close_that_makes_no_sense_is_refused(body: Any, code: str, field: str) -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2")
        said = await close(trader, body=body)
        assert (said.status, said["code"]) == (400, code)
        assert said["details"]["field"] == field
        assert Decimal(await quantity(trader)) == 2

    play(act)


def test_a_close_of_less_than_a_lot_is_rejected_and_may_be_tried_again() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2")
        first = await close(trader, body={"quantity": "0.001"})
        again = await close(trader, body={"quantity": "0.001"})
        assert (first.status, first["details"]["reject_reason"]) == (422, "INVALID_QUANTITY")
        assert again.status == 422
        ended = await trader.listed("status=rejected", "/v1/orders/history")
        assert len(ended) == 2  # a new attempt each

    play(act)


# -- closed once (21.1) ------------------------------------------------------------------------


def test_the_same_part_asked_for_again_is_the_same_order_for_some_seconds() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("5")
        body = {"quantity": "1"}
        first = await close(trader, body=body)
        again = await close(trader, body={"quantity": "1.0"})
        other = await close(trader, body={"quantity": "2"})
        assert again["id"] == first["id"] != other["id"]
        assert Decimal(await quantity(trader)) == 2
        await anyio.sleep(6)
        later = await close(trader, body=body)
        assert later["id"] != first["id"]
        assert Decimal(await quantity(trader)) == 1

    play(act)


def test_requests_at_the_same_moment_close_once() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("5")
        ids: list[str] = []

        async def ask() -> None:
            ids.append((await close(trader, body={"quantity": "2"}))["id"])

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
        assert len(set(ids)) == 1
        assert Decimal(await quantity(trader)) == 3

    play(act)


def test_a_whole_close_is_repeated_until_there_is_a_position_again() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2")
        first = await close(trader, body={})
        again = await close(trader, body={})
        assert (again.status, again["id"]) == (200, first["id"])
        await trader.bought("3")
        new = await close(trader, body={})
        assert new["id"] != first["id"]
        assert await held(trader) == []
        await anyio.sleep(10)
        assert (await close(trader, body={})).status == 404

    play(act)


def test_a_whole_close_that_still_works_is_the_answer_however_late() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2")
        body = {"order_type": "limit", "limit_price": "120"}
        first = await close(trader, body=body)
        await anyio.sleep(60)
        assert (await close(trader, body=body))["id"] == first["id"]
        assert len(await trader.listed()) == 1
        at_market = await close(trader)
        assert at_market["id"] != first["id"]

    play(act)


def test_market_time_ends_the_memory_where_transport_time_stands_still() -> None:
    async def act(trader: Trader, market: Market) -> None:
        frozen = Trader(trader.place.desk, OWNER, now_s=lambda: 0.0)
        await trader.bought("5")
        first = await close(frozen, body={"quantity": "1"})
        await anyio.sleep(6)
        assert (await close(frozen, body={"quantity": "1"}))["id"] != first["id"]

    play(act)


def test_an_idempotency_key_is_not_taken_for_another_body() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("5")
        first = await close(trader, body={"quantity": "2"}, key="mine")
        restarted = Trader(trader.place.desk)  # knows the order alone
        for asker, body in (
            (trader, {"quantity": "3"}),
            (trader, None),
            (restarted, {"quantity": "1"}),
            (restarted, {"quantity": "2", "order_type": "LIMIT", "limit_price": "500"}),
        ):
            said = await close(asker, body=body, key="mine")
            assert (said.status, said["details"]["field"]) == (400, "Idempotency-Key")
        again = await close(trader, body={"quantity": "2"}, key="mine")
        assert again["id"] == first["id"]
        assert Decimal(await quantity(trader)) == 3

    play(act)


def test_names_of_closed_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_closing, "KEPT_REQUESTS", 1)

    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("5")
        first = await close(trader, body={"quantity": "1"}, key="a")
        await close(trader, body={"quantity": "1"}, key="b")
        again = await close(trader, body={"quantity": "1"}, key="a")
        assert again["id"] == first["id"]

    play(act)


def test_an_order_is_not_for_a_position_of_another_run() -> None:
    async def act(trader: Trader, market: Market) -> None:
        other = Principal("other", (Place("x", "main", "other"),), verbs=OWNER.verbs)
        await trader.as_(other).bought("1")
        said = await trader.as_(WHOLE).limit("90", position_id=f"{BTC_ID}@other")
        assert (said.status, said["details"]["field"]) == (400, "position_id")

    play(act)


def test_an_idempotency_key_is_one_order_for_good() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("5")
        first = await close(trader, body={"quantity": "1"}, key="mine")
        other = await close(trader, body={"quantity": "1"}, key="other")
        await anyio.sleep(60)
        again = await close(trader, body={"quantity": "1"}, key=" mine ")
        later = await close(Trader(trader.place.desk), body={"quantity": "1"}, key="mine")
        wrong = await close(trader, "x-pos-ETH", key="mine")

        assert other["id"] != first["id"]
        assert again["id"] == later["id"] == first["id"]
        assert Decimal(await quantity(trader)) == 3
        assert (wrong.status, wrong["details"]["field"]) == (400, "Idempotency-Key")

    play(act)


def test_the_memory_of_closes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.tektii.server_closing.KEPT_REQUESTS", 2)

    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("9")
        first = await close(trader, body={"quantity": "1"})
        await close(trader, body={"quantity": "2"})
        await close(trader, body={"quantity": "3"})
        # What is not in memory any more is found in the log.
        assert (await close(trader, body={"quantity": "1"}))["id"] == first["id"]

    play(act)


@pytest.mark.parametrize("body", [{"quantity": "2"}, {"quantity": "2.0"}, None])
def test_a_close_repeated_through_a_crash_is_the_same_order(tmp_path: Path, body: Any) -> None:
    """Spec 21.1: the public client repeats a DELETE by itself, and has no key to send with it."""
    journal = f"sqlite:///{tmp_path}/gateway.db"

    async def before(trader: Trader, market: Market) -> Any:
        await trader.bought("5")
        return (await close(trader, body=body and {"quantity": "2"}))["id"]

    async def after(trader: Trader, market: Market) -> Any:
        again = await close(trader, body=body)
        assert await quantity(trader) == ("0" if body is None else "3")
        if body is not None:
            other = await close(trader, body={"quantity": "1"})
            assert other["id"] != again["id"]
            await anyio.sleep(6)
            later = await close(trader, body=body)
            assert later["id"] not in (again["id"], other["id"])
            assert await quantity(trader) == "0"
        return again["id"]

    assert play(before, journal=journal) == play(after, journal=journal)


def test_a_crash_long_ago_makes_no_close_the_same(tmp_path: Path) -> None:
    journal = f"sqlite:///{tmp_path}/gateway.db"

    async def before(trader: Trader, market: Market) -> Any:
        await trader.bought("5")
        return (await close(trader, body={"quantity": "1"}))["id"]

    async def after(trader: Trader, market: Market) -> Any:
        await anyio.sleep(6)
        new = (await close(trader, body={"quantity": "1"}))["id"]
        assert await quantity(trader) == "3"
        return new

    assert play(before, journal=journal) != play(after, journal=journal)


def test_attempts_beyond_those_that_are_named_are_made_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapters.tektii.server_closing.MOST_NAMED", 2)

    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("5")
        for _ in range(4):  # less than a lot: refused each time
            assert (await close(trader, body={"quantity": "0.001"})).status == 422
        ended = await trader.listed("status=rejected", "/v1/orders/history")
        assert len(ended) == 4

    play(act)


def test_without_a_memory_each_close_is_one_of_its_own() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("5")
        first = await close(trader, body={"quantity": "1"})
        again = await close(trader, body={"quantity": "1"})
        assert again["id"] != first["id"]

    play(act, chosen={"close_memory_s": 0.0})


@pytest.mark.parametrize(
    ("error", "status", "is_kept"),
    [
        (VenueUnavailable("no answer"), 503, True),
        (OrderError("nothing is held"), 422, False),
        (Forbidden("no"), 403, False),
    ],
)
def test_a_close_of_unknown_outcome_keeps_its_key(
    error: Exception, status: int, is_kept: bool
) -> None:
    async def main() -> None:
        desk = FakeDesk()
        desk.is_paced = True  # where keys are not made of what was asked for
        desk.held["main", "tektii", "mock:AAPL"] = position()
        trader = Trader(desk, FAKE_OWNER)
        desk.fail("close", error)
        said = await close(trader, "AAPL", {"quantity": "1"})
        assert said.status == status
        made = desk._key_count
        desk.fail("close", None)
        assert (await close(trader, "AAPL", {"quantity": "1"})).status == 200
        assert (desk._key_count == made) is is_kept

    run_simulated(main, seed=1)


@pytest.mark.parametrize("error", [VenueUnavailable("no answer"), OrderError("nothing is held")])
def test_as_long_as_nothing_came_of_a_close_its_key_is_tried_again(error: Exception) -> None:
    async def main() -> None:
        desk = FakeDesk()
        desk.held["main", "tektii", "mock:AAPL"] = position()
        trader = Trader(desk, FAKE_OWNER)
        desk.fail("close", error)
        await close(trader, "AAPL", {"quantity": "1"})
        desk.fail("close", None)
        assert (await close(trader, "AAPL", {"quantity": "1.00"})).status == 200
        first, second = (what[-1] for what in desk.called("close"))
        assert first == second
        assert first.startswith("closing:")

    run_simulated(main, seed=1)


# -- close all (8.10) --------------------------------------------------------------------------


def test_close_all_answers_one_handle_per_position() -> None:
    async def act(trader: Trader, market: Market) -> None:
        assert (await trader.ask("DELETE", "/v1/positions")).body == []
        await trader.bought("2")
        await trader.bought("2", symbol="ETH", side="sell")
        one = await trader.ask("DELETE", "/v1/positions?symbol=ETH")
        rest = await trader.ask("DELETE", "/v1/positions")
        assert (len(one.body), len(rest.body)) == (1, 1)
        assert await held(trader) == []

    play(act)


def test_one_that_cannot_be_closed_does_not_keep_the_others_open() -> None:
    async def main() -> None:
        desk = FakeDesk()
        desk.held["main", "tektii", "mock:AAPL"] = position()
        desk.held["main", "tektii", "mock:BTC/USD"] = replace(position(), instrument="mock:BTC/USD")
        trader = Trader(desk, FAKE_OWNER)
        whole = desk.close

        async def some(principal: Principal, one: DeskPosition, **more: Any) -> DeskOrder:
            if one.instrument == "mock:AAPL":
                raise OrderError("nothing of it is held")
            return await whole(principal, one, **more)

        desk.close = some  # type: ignore[method-assign, assignment] # one of them fails
        said = await trader.ask("DELETE", "/v1/positions")
        assert (said.status, len(said.body)) == (200, 1)
        del desk.held["main", "tektii", "mock:BTC/USD"]
        none = await trader.ask("DELETE", "/v1/positions")
        assert (none.status, none["code"]) == (422, "ORDER_REJECTED")

    run_simulated(main, seed=1)


def test_a_bug_is_not_hidden_among_the_failures() -> None:
    async def main() -> Any:
        desk = FakeDesk()
        desk.held["main", "tektii", "mock:AAPL"] = position()
        desk.fail("close", RuntimeError("a bug"))
        return await Trader(desk, FAKE_OWNER).ask("DELETE", "/v1/positions")

    said = run_simulated(main, seed=1)
    assert (said.status, said["code"]) == (500, "INTERNAL_ERROR")


# -- exits moved (9.8) -------------------------------------------------------------------------


async def move(trader: Trader, **body: Any) -> Said:
    return await trader.ask("PATCH", f"/v1/positions/{BTC_ID}", body)


def test_resting_exits_of_a_position_are_moved() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2", stop_loss="90", take_profit="150")
        said = await move(trader, stop_loss="92", take_profit="140")

        assert said.status == 200, said
        legs = {leg["order_type"]: leg for leg in await trader.listed()}
        assert said["position_id"] == BTC_ID
        assert said["stop_loss"] == {
            "order_ids": [legs["STOP"]["id"]], "trigger_price": "92",
        }  # fmt: skip
        assert said["take_profit"]["order_ids"] == [legs["LIMIT"]["id"]]
        assert (legs["STOP"]["stop_price"], legs["LIMIT"]["limit_price"]) == ("92", "140")
        one = await move(trader, take_profit="141")
        assert one.body.keys() == {"position_id", "take_profit"}
        stop = (await trader.shown(legs["STOP"]["id"]))["stop_price"]
        assert stop == "92"

    play(act)


def test_all_legs_of_a_position_move_together() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2", stop_loss="90")
        await trader.bought("1", stop_loss="91")
        said = await move(trader, stop_loss="95")
        assert len(said["stop_loss"]["order_ids"]) == 2
        assert {leg["stop_price"] for leg in await trader.listed()} == {"95"}

    play(act)


def test_a_move_that_makes_no_sense_is_refused() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2", stop_loss="90")
        none = await move(trader)
        wrong = await move(trader, stop_loss="-1")
        missing = await move(trader, stop_loss="95", take_profit="120")
        beyond = await move(trader, stop_loss="500")

        assert (none.status, none["code"]) == (400, "INVALID_REQUEST")
        assert (wrong.status, wrong["code"]) == (400, "INVALID_VALUE")
        assert (missing.status, missing["code"]) == (409, "ORDER_NOT_MODIFIABLE")
        assert (beyond.status, beyond["code"]) == (409, "ORDER_NOT_MODIFIABLE")
        (leg,) = await trader.listed()
        assert leg["stop_price"] == "90"

    play(act)


def test_a_leg_that_is_lost_is_a_502() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2", stop_loss="90")
        desk: Any = trader.place.desk
        modify = desk.modify

        async def loses(principal: Principal, order_id: str, **more: Any) -> Any:
            for leg in await trader.listed():
                await trader.ask("DELETE", f"/v1/orders/{leg['id']}")
            raise OrderError("refused")

        desk.modify = loses
        said = await move(trader, stop_loss="95")
        desk.modify = modify
        assert (said.status, said["code"]) == (502, "PROVIDER_ERROR")
        assert said["details"] == {"provider": "x"}

    play(act)


def test_a_leg_that_its_venue_does_not_move_is_a_conflict() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2", stop_loss="90")
        desk: Any = trader.place.desk

        async def nothing(principal: Principal, order_id: str, **more: Any) -> None:
            return None

        desk.modify = nothing
        said = await move(trader, stop_loss="95")
        assert (said.status, said["code"]) == (409, "ORDER_NOT_MODIFIABLE")
        (leg,) = await trader.listed()
        assert said["details"] == {"order_id": leg["id"]}

    play(act)


def test_a_move_without_an_answer_is_shown_as_asked_for() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2", stop_loss="90")
        slow = Trader(trader.place.desk, OWNER, answer_s=0.001)
        desk: Any = trader.place.desk
        whole = desk.orders

        async def waiting(principal: Principal, query: Any) -> Any:
            found = await whole(principal, query)
            return [
                replace(one, order=replace(one.order, modify_state=RequestState.SENT))
                for one in found
            ]

        desk.orders = waiting
        said = await move(slow, stop_loss="95")
        assert (said.status, said["stop_loss"]["trigger_price"]) == (200, "95")

    play(act)


def test_an_entry_that_nobody_knows_any_more_cannot_move_its_exits() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2", stop_loss="90")
        desk: Any = trader.place.desk

        async def unknown(principal: Principal, order_id: str) -> None:
            return None

        desk.order = unknown
        assert (await move(trader, stop_loss="95")).status == 409

    play(act)


def test_a_leg_that_is_gone_after_the_move_is_a_502() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2", stop_loss="90")
        desk: Any = trader.place.desk

        async def loses(principal: Principal, order_id: str, **more: Any) -> None:
            for leg in await trader.listed():
                await trader.ask("DELETE", f"/v1/orders/{leg['id']}")

        desk.modify = loses
        assert (await move(trader, stop_loss="95")).status == 502

    play(act)


# -- trades ------------------------------------------------------------------------------------


def test_trades_are_listed_newest_first_by_every_filter() -> None:
    async def act(trader: Trader, market: Market) -> None:
        first = await trader.bought("1")
        await anyio.sleep(5)
        second = await trader.bought("2", symbol="ETH")

        async def trades(query: str = "") -> list[Any]:
            said = await trader.ask("GET", f"/v1/trades?{query}")
            assert said.status == 200, said
            return said.body  # type: ignore[no-any-return] # JSON

        newest, oldest = await trades()
        assert (newest["order_id"], oldest["order_id"]) == (second["id"], first["id"])
        assert await trades("symbol=BTC") == [oldest]
        assert await trades(f"order_id={second['id']}") == [newest]
        assert await trades(f"since={newest['timestamp']}") == [newest]
        assert await trades(f"until={newest['timestamp']}") == [oldest]
        assert await trades("limit=1") == [newest]
        assert await trades("limit=0") == []
        assert await trades("symbol=NOPE") == []
        wrong = await trader.ask("GET", "/v1/trades?since=2025-01-01T00:00:00")
        assert (wrong.status, wrong["details"]["field"]) == (400, "since")

    play(act)


def test_a_trade_shows_its_fee_in_one_currency_and_who_made_it() -> None:
    fees = (Fee("BNB", Decimal("0.1")), Fee("USD", Decimal(5)), Fee("BNB", Decimal("0.2")))
    kinds = {Liquidity.MAKER: True, Liquidity.TAKER: False, Liquidity.UNKNOWN: None}

    async def main() -> None:
        for kind, expected in kinds.items():
            desk = FakeDesk()
            desk.fill_list.append(
                Fill("e-1", "o-1", "tektii", "main", "mock:AAPL", Side.SELL, Decimal(2),
                     Decimal("1E-7"), START_NS, START_NS, fees, kind)
            )  # fmt: skip
            (trade,) = (await Trader(desk, FAKE_OWNER).ask("GET", "/v1/trades")).body
            assert (trade["commission"], trade["commission_currency"]) == ("0.3", "BNB")
            assert trade["price"] == "0.0000001"
            assert trade.get("is_maker") is expected

    run_simulated(main, seed=1)


def test_a_principal_of_the_account_sees_what_every_run_holds() -> None:
    async def act(trader: Trader, market: Market) -> None:
        other = Principal("other", (Place("x", "main", "other"),), verbs=OWNER.verbs)
        await trader.as_(other).bought("1")
        await trader.bought("2")
        assert {one["id"] for one in await held(trader.as_(WHOLE))} == {
            BTC_ID, f"{BTC_ID}@other",
        }  # fmt: skip
        assert len(await held(trader)) == 1
        said = await close(trader.as_(WHOLE), f"{BTC_ID}@other")
        assert said.status == 200
        assert len(await held(trader.as_(WHOLE))) == 1

    play(act)


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from((*wire.ClosePositionRequest.__struct_fields__, "x")),
        st.sampled_from(["1", "market", "LIMIT", "0", "-1", "NaN", None, [], 3, 0.5]),
    )
)
def test_any_close_is_answered_below_500(body: dict[str, Any]) -> None:
    async def main() -> None:
        desk = FakeDesk()
        desk.held["main", "tektii", "mock:AAPL"] = position()
        said = await close(Trader(desk, FAKE_OWNER), "AAPL", body)
        assert said.status in (200, 400, 422), said

    run_simulated(main, seed=1)


def test_an_order_that_a_venue_overfilled_has_nothing_left() -> None:
    async def main() -> Any:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        order = await trader.limit("90", symbol="AAPL", quantity="2")
        desk.set_order(order["id"], filled=Decimal(3), status=OrderStatus.FILLED)
        return await trader.shown(order["id"])

    order = run_simulated(main, seed=1)
    assert (order["quantity"], order["filled_quantity"], order["remaining_quantity"]) == (
        "3", "3", "0",
    )  # fmt: skip
