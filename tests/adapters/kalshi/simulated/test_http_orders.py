"""S11: order entry of both generations, batches and groups, over REST."""

from typing import Any

import pytest

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.http import RestSettings
from tests.adapters.kalshi.simulated.rest_rig import START_NS, A, B, desk, play

FIRST = "/portfolio/orders"
SECOND = "/portfolio/events/orders"
GROUPS = "/portfolio/order_groups"
LEGACY = RestSettings(profile=Profile.LEGACY)


def second(name: str, side: str, price: str, count: str = "10", **more: Any) -> dict[str, Any]:
    """Return an order of the second generation."""
    return {
        "ticker": A,
        "client_order_id": name,
        "side": side,
        "price": price,
        "count": count,
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
        **more,
    }


# -- the first generation ------------------------------------------------------------------------


@pytest.mark.parametrize("profile", list(Profile))
def test_s11_an_order_is_answered_whole(profile: Profile) -> None:
    async def main() -> None:
        async with desk(RestSettings(profile=profile)) as at:
            body = {"ticker": A, "side": "no", "action": "buy", "count": 7, "no_price": 56}

            status, answer = await at.alice.answer(
                "POST", FIRST, body | {"client_order_id": "c1", "expiration_ts": 2_000_000_000}
            )

        order = answer["order"]
        assert status == 201
        assert (order["status"], order["client_order_id"]) == ("resting", "c1")
        assert (order["side"], order["action"], order["type"]) == ("no", "buy", "limit")
        assert (order["yes_price_dollars"], order["no_price_dollars"]) == ("0.4400", "0.5600")
        assert (order["initial_count_fp"], order["remaining_count_fp"]) == ("7.00", "7.00")
        assert order["taker_fees_dollars"] == "0.000000"
        assert order["expiration_time"] == "2033-05-18T03:33:20Z"
        assert order.get("book_side") == ("ask" if profile is Profile.CURRENT else None)
        assert order.get("no_price") == (56 if profile is Profile.LEGACY else None)
        assert order.get("remaining_count") == (7 if profile is Profile.LEGACY else None)

    play(main)


def test_s11_a_client_order_id_that_was_used_is_409() -> None:
    async def main() -> None:
        async with desk() as at:
            await at.alice.buy("0.40", client_order_id="c1")
            body = {"ticker": A, "side": "yes", "action": "buy", "count": 1, "yes_price": 41}

            refused = await at.alice.refused("POST", FIRST, body | {"client_order_id": "c1"})

            assert refused == (409, "order_already_exists")
            assert len((await at.alice.get(FIRST))["orders"]) == 1
            await at.bob.buy("0.40", client_order_id="c1")  # another member's is another id

    play(main)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"yes_price": 0}, (400, "invalid_price")),
        ({"yes_price": 100}, (400, "invalid_price")),
        ({"yes_price": None, "yes_price_dollars": "0.405"}, (400, "invalid_price")),
        ({"ticker": "X"}, (404, "market_not_found")),
        ({"count": 0}, (400, "invalid_parameters")),
        ({"count": None, "count_fp": "1.50"}, (400, "invalid_parameters")),
        ({"count": 10**9}, (400, "insufficient_balance")),
    ],
)
def test_s11_what_the_exchange_refuses_keeps_its_status_and_code(
    change: dict[str, Any], refusal: tuple[int, str]
) -> None:
    async def main() -> None:
        async with desk() as at:
            body = {"ticker": A, "side": "yes", "action": "buy", "count": 1, "yes_price": 40}

            assert await at.alice.refused("POST", FIRST, body | change) == refusal

    play(main)


def test_s11_fractions_are_taken_where_the_market_trades_them() -> None:
    async def main() -> None:
        async with desk() as at:
            order = await at.alice.buy("0.405", "1.5", ticker=B)

        assert (order["yes_price_dollars"], order["initial_count_fp"]) == ("0.4050", "1.50")

    play(main)


def test_s11_a_cancel_reduces_to_nothing_and_the_order_stays_readable() -> None:
    async def main() -> None:
        async with desk(LEGACY) as at:
            order_id = (await at.alice.buy("0.40"))["order_id"]
            path = f"{FIRST}/{order_id}"

            cancelled = await at.alice.call("DELETE", path)
            again = await at.alice.refused("DELETE", path)
            foreign = await at.bob.refused("DELETE", path)
            read = await at.alice.get(path)

        assert (cancelled["reduced_by"], cancelled["reduced_by_fp"]) == (10, "10.00")
        assert cancelled["order"] == read["order"]
        assert (read["order"]["status"], read["order"]["remaining_count_fp"]) == (
            "canceled",
            "0.00",
        )
        assert again[0] == foreign[0] == 404

    play(main)


def test_s11_an_amendment_names_the_new_total() -> None:
    async def main() -> None:
        async with desk() as at:
            order_id = (await at.alice.buy("0.40", client_order_id="c1"))["order_id"]
            await at.bob.buy(
                "0.60", "4", side="no", yes_price_dollars=None, no_price_dollars="0.60"
            )
            change = {"ticker": A, "side": "yes", "action": "buy", "yes_price": 39, "count": 9}

            amended = await at.alice.post(
                f"{FIRST}/{order_id}/amend",
                change | {"client_order_id": "c1", "updated_client_order_id": "c2"},
            )

        old, new = amended["old_order"], amended["order"]
        assert (old["remaining_count_fp"], old["client_order_id"]) == ("6.00", "c1")
        assert (new["remaining_count_fp"], new["client_order_id"]) == ("5.00", "c2")
        assert (new["fill_count_fp"], new["yes_price_dollars"]) == ("4.00", "0.3900")

    play(main)


def test_s11_a_decrease_is_by_or_to() -> None:
    async def main() -> None:
        async with desk() as at:
            path = f"{FIRST}/{(await at.alice.buy('0.40'))['order_id']}/decrease"

            by = await at.alice.post(path, {"reduce_by": 3})
            to = await at.alice.post(path, {"reduce_to_fp": "2"})

            assert by["order"]["remaining_count_fp"] == "7.00"
            assert to["order"]["remaining_count_fp"] == "2.00"
            assert await at.alice.refused("POST", path, {}) == (400, "invalid_parameters")

    play(main)


def test_s11_the_items_of_a_batch_succeed_and_fail_by_themselves() -> None:
    async def main() -> None:
        async with desk() as at:
            good = {"ticker": A, "side": "yes", "action": "buy", "count": 1, "yes_price": 40}
            bad = good | {"ticker": "X", "client_order_id": "c2"}

            made = (await at.alice.post(FIRST + "/batched", {"orders": [good, bad]}))["orders"]
            order_id = made[0]["order"]["order_id"]
            cancels = {"orders": [{"order_id": order_id}, {"order_id": "x"}]}
            gone = (await at.alice.call("DELETE", FIRST + "/batched", cancels))["orders"]

            assert made[0]["error"] is None
            assert (made[1]["order"], made[1]["client_order_id"]) == (None, "c2")
            assert made[1]["error"]["code"] == "market_not_found"
            assert (gone[0]["reduced_by_fp"], gone[0]["error"]) == ("1.00", None)
            assert (gone[1]["order"], gone[1]["error"]["code"]) == (None, "not_found")
            assert gone[1]["order_id"] == "x"
            for size in (0, 21):
                assert await at.alice.refused("POST", FIRST + "/batched", {"orders": [good] * size})
                assert await at.alice.refused("DELETE", FIRST + "/batched", {"ids": ["x"] * size})

    play(main)


# -- the second generation -----------------------------------------------------------------------


def test_s11_a_resting_order_is_acknowledged_with_counts_alone() -> None:
    async def main() -> None:
        async with desk() as at:
            status, answer = await at.alice.answer("POST", SECOND, second("c1", "bid", "0.40"))
            order = (await at.alice.get(f"{FIRST}/{answer['order_id']}"))["order"]

        assert status == 201
        assert answer == {
            "order_id": order["order_id"],
            "client_order_id": "c1",
            "fill_count": "0.00",
            "remaining_count": "10.00",
            "ts_ms": START_NS // 1_000_000,
        }
        assert (order["book_side"], order["yes_price_dollars"]) == ("bid", "0.4000")

    play(main)


def test_s11_an_execution_is_acknowledged_with_its_averages() -> None:
    async def main() -> None:
        async with desk() as at:
            await at.bob.post(SECOND, second("b1", "bid", "0.42", "1"))
            await at.bob.post(SECOND, second("b2", "bid", "0.41", "2"))

            taken = await at.alice.post(
                SECOND, second("a1", "ask", "0.40", "5", time_in_force="immediate_or_cancel")
            )
            unfilled = await at.alice.post(
                SECOND, second("a2", "ask", "0.40", "5", time_in_force="fill_or_kill")
            )

        assert (taken["fill_count"], taken["remaining_count"]) == ("3.00", "0.00")
        assert taken["average_fill_price"] == "0.4133"
        assert float(taken["average_fee_paid"]) > 0
        assert (unfilled["fill_count"], unfilled["remaining_count"]) == ("0.00", "0.00")
        assert "average_fill_price" not in unfilled

    play(main)


def test_s11_amend_decrease_and_cancel_are_acknowledged_thinly() -> None:
    async def main() -> None:
        async with desk() as at:
            order_id = (await at.alice.post(SECOND, second("c1", "ask", "0.60")))["order_id"]
            path = f"{SECOND}/{order_id}"
            change = {"ticker": A, "side": "ask", "price": "0.61", "count": "8"}

            amended = await at.alice.post(f"{path}/amend", change)
            wrong = await at.alice.refused("POST", f"{path}/amend", change | {"side": "bid"})
            decreased = await at.alice.post(f"{path}/decrease", {"reduce_to": "5"})
            cancelled = await at.alice.call("DELETE", path, subaccount=0)

        assert (amended["remaining_count"], amended["fill_count"]) == ("8.00", "0.00")
        assert wrong == (400, "invalid_parameters")
        assert decreased["remaining_count"] == "5.00"
        assert (cancelled["reduced_by"], cancelled["client_order_id"]) == ("5.00", "c1")

    play(main)


def test_s11_a_second_batch_has_acknowledgements_and_errors() -> None:
    async def main() -> None:
        async with desk() as at:
            orders = [second("c1", "bid", "0.40"), second("c2", "bid", "0.405")]

            made = (await at.alice.post(SECOND + "/batched", {"orders": orders}))["orders"]
            cancels = {"orders": [{"order_id": made[0]["order_id"]}, {"order_id": "x"}]}
            gone = (await at.alice.call("DELETE", SECOND + "/batched", cancels))["orders"]

        assert (made[0]["client_order_id"], made[0]["remaining_count"]) == ("c1", "10.00")
        assert (made[1]["client_order_id"], made[1]["error"]["code"]) == ("c2", "invalid_price")
        assert gone[0]["reduced_by"] == "10.00"
        assert (gone[1]["order_id"], gone[1]["error"]["code"]) == ("x", "not_found")

    play(main)


# -- groups --------------------------------------------------------------------------------------


def test_s11_a_group_is_created_read_changed_and_deleted() -> None:
    async def main() -> None:
        async with desk(LEGACY) as at:
            status, made = await at.alice.answer(
                "POST", f"{GROUPS}/create", {"contracts_limit_fp": "5"}
            )
            group_id = made["order_group_id"]
            path = f"{GROUPS}/{group_id}"
            order = await at.alice.buy("0.40", order_group_id=group_id)
            read = await at.alice.get(path)
            await at.alice.call("PUT", f"{path}/limit", {"contracts_limit": 9})
            listed = await at.alice.get(GROUPS)
            foreign = await at.bob.get(GROUPS)
            deleted = await at.alice.call("DELETE", path)
            after = (await at.alice.get(f"{FIRST}/{order['order_id']}"))["order"]
            gone = await at.alice.refused("GET", path)

        assert status == 201
        assert read == {
            "is_auto_cancel_enabled": True,
            "contracts_limit_fp": "5.00",
            "contracts_limit": 5,
            "orders": [order["order_id"]],
        }
        assert [(one["id"], one["contracts_limit_fp"]) for one in listed["order_groups"]] == [
            (group_id, "9.00")
        ]
        assert foreign["order_groups"] == []
        assert deleted == {}
        assert after["status"] == "canceled"
        assert gone[0] == 404

    play(main)


def test_s11_a_triggered_group_takes_no_order_until_it_is_reset() -> None:
    async def main() -> None:
        async with desk() as at:
            made = await at.alice.post(f"{GROUPS}/create", {"contracts_limit": 5})
            group_id = made["order_group_id"]
            order = {"ticker": A, "side": "yes", "action": "buy", "count": 1, "yes_price": 40}
            await at.alice.call("PUT", f"{GROUPS}/{group_id}/trigger", {})

            status, _ = await at.alice.answer("POST", FIRST, order | {"order_group_id": group_id})
            await at.alice.call("PUT", f"{GROUPS}/{group_id}/reset", {})
            await at.alice.buy("0.40", order_group_id=group_id)

            assert 400 <= status < 500
            assert await at.alice.refused("POST", f"{GROUPS}/create", {}) == (
                400,
                "missing_parameters",
            )

    play(main)
