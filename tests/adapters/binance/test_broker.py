"""Orders and questions against the simulated venue."""

from decimal import Decimal
from typing import Any

import pytest

from adapters.binance import build
from adapters.binance.sent_orders import REMEMBERED, SentOrders
from adapters.binance.simulated.domain import NOBODY
from adapters.binance.simulated.exchange import NewOrder
from adapters.binance.simulated.faults import RestFault, StreamFaults
from adapters.binance.simulated.rig import ADDRESS
from framework.errors import ConfigError, VenueError
from framework.model.commands import ModifyOrder
from framework.model.events import ConnectionChanged, ConnectionState, ErrorRaised
from framework.model.orders import Liquidity, OrderStatus, OrderType, Side, TimeInForce
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)
from framework.model.venue_state import ExecutionReport, OrderReport
from framework.simulation.link import LinkFaults
from tests.adapters.binance.world import BTC, START_NS, World, cancel, order, play, world
from tests.adapters.mock.seams import HandContext

STREAMING = ConnectionState.STREAMING


async def ready(one: World) -> None:
    """Let the broker connect."""
    one.run(one.broker)
    await one.until(lambda: states(one)[-1:] == [STREAMING])


def states(one: World) -> list[ConnectionState]:
    """Return the moves of the broker's link."""
    return [event.state for event in one.heard(ConnectionChanged) if event.link == "broker"]


def told(one: World, order_id: str, kind: type[Any]) -> list[Any]:
    """Return the facts of a type about an order."""
    return [fact for fact in one.heard(kind) if fact.order_id == order_id]


def fault(method: str, path: str, **changes: Any) -> RestFault:
    """Return a fault of one request; its answer is lost unless told otherwise."""
    return RestFault(method=method, path=path, **{"kind": "lose_answer", **changes})


def test_a_resting_order_is_accepted_under_our_id_and_taken_back() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.broker.send(order("mine"))
            await one.until(lambda: told(one, "mine", OrderAccepted))
            one.broker.send(cancel("mine"))
            await one.until(lambda: told(one, "mine", OrderEnded))

            assert {fact.venue_order_id for fact in told(one, "mine", OrderAccepted)} == {
                f"BTCUSDT:{one.venue.exchange.orders('main')[0].order_id}"
            }
            assert {fact.kind for fact in told(one, "mine", OrderEnded)} == {EndKind.CANCELLED}
            assert not one.heard(OrderReport)

    play(main)


def test_r24_a_fill_is_told_once_though_answer_stream_and_question_tell_it() -> None:
    """R-24, F-04."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.rig.marketable(Side.BUY)
            one.broker.send(order("mine", None))
            await one.until(lambda: told(one, "mine", OrderFilled))
            await one.pass_time(5.0)
            asked = await one.broker.executions("main", START_NS)

            fills = told(one, "mine", OrderFilled)
            assert sum(fill.quantity for fill in fills) == Decimal("0.002")
            assert len({fill.execution_id for fill in fills}) == len(fills)
            assert all(fill.liquidity is Liquidity.TAKER for fill in fills)
            assert {one.execution_id: one.order_id for one in asked} == {
                fill.execution_id: "mine" for fill in fills
            }

    play(main)


def test_a_resting_order_that_is_hit_is_a_makers_and_pays_its_fee() -> None:
    async def main() -> None:
        async with world(venue={"fee_bps": 10}) as one:
            await ready(one)
            terms = one.rig.passive(Side.BUY)
            one.broker.send(order("mine", str(terms.price)))
            await one.until(lambda: told(one, "mine", OrderAccepted))
            one.rig.trade_against("mine", Decimal("0.001"))
            await one.until(lambda: told(one, "mine", OrderFilled))

            (fill,) = told(one, "mine", OrderFilled)
            assert (fill.quantity, fill.price) == (Decimal("0.001"), terms.price)
            assert fill.liquidity is Liquidity.MAKER
            ((fee),) = fill.fees
            assert (fee.currency, fee.amount) == ("BTC", Decimal("0.000001"))

    play(main)


@pytest.mark.parametrize(
    ("intent", "price", "kind"),
    [
        ({"post_only": True}, "61000", EndKind.REJECTED),
        ({"time_in_force": TimeInForce.IOC}, "50000", EndKind.EXPIRED),
        ({"time_in_force": TimeInForce.FOK}, "50000", EndKind.EXPIRED),
        ({"quantity": "0.0000001"}, "50000", EndKind.REJECTED),
        ({"quantity": "1000"}, "50000", EndKind.REJECTED),
        ({"time_in_force": TimeInForce.DAY}, "50000", EndKind.REJECTED),
        ({"type": OrderType.STOP, "stop_price": Decimal(70_000)}, None, EndKind.REJECTED),
    ],
)
def test_what_cannot_rest_or_is_not_allowed_ends(
    intent: dict[str, Any], price: str | None, kind: EndKind
) -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.broker.send(order("mine", price, **intent))
            await one.until(lambda: told(one, "mine", OrderEnded))

            assert {end.kind for end in told(one, "mine", OrderEnded)} == {kind}
            assert not told(one, "mine", OrderFilled)
            assert not told(one, "mine", RequestInDoubt)

    play(main)


def test_a_change_is_refused_and_the_order_stays() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.broker.send(order("mine"))
            await one.until(lambda: told(one, "mine", OrderAccepted))
            one.broker.send(ModifyOrder("mine", "main", BTC, 1, START_NS, price=Decimal(1)))

            (refused,) = told(one, "mine", RequestRefused)
            assert refused.request is RequestKind.MODIFY
            assert len(await one.broker.open_orders("main")) == 1
            assert not one.broker.capabilities.has_modify

    play(main)


def test_r28_a_cancel_of_what_is_not_there_is_refused() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.broker.send(cancel("never"))
            await one.until(lambda: told(one, "never", RequestRefused))

            (refused,) = told(one, "never", RequestRefused)
            assert refused.request is RequestKind.CANCEL
            assert "Unknown order" in refused.reason

    play(main)


def test_a_cancel_never_overtakes_its_order() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            latency = LinkFaults(latency_ms_low=1.0, latency_ms_high=300.0)
            one.loop.network.set_faults(ADDRESS, latency)
            for number in range(20):
                one.broker.send(order(f"mine{number}"))
                one.broker.send(cancel(f"mine{number}"))
            await one.pass_time(30.0)

            assert not one.heard(RequestRefused)
            assert len({end.order_id for end in one.heard(OrderEnded)}) == 20

    play(main)


@pytest.mark.parametrize(
    "changes",
    [
        {},  # executed, and its answer lost
        {"kind": "lose_request"},
        {"kind": "answer", "status": 503},
        {"kind": "answer", "status": 504, "body": b'{"code":-1007,"msg":"Timeout"}'},
        {"kind": "answer", "status": 400, "body": b'{"code":-1006,"msg":"Unknown"}'},
        {"kind": "answer", "status": 400, "body": b'{"code":-2010,"msg":"Duplicate order sent."}'},
        {"kind": "answer", "status": 200, "body": b"not json"},
        {
            "kind": "answer",
            "status": 200,
            "body": b'{"symbol":"X","orderId":1,"clientOrderId":"other","transactTime":1}',
        },
    ],
)
def test_r20_an_order_without_a_clear_answer_is_in_doubt_and_is_sent_once(
    changes: dict[str, Any],
) -> None:
    """R-20, F-01: in doubt, never rejected, never again by itself."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.venue.faults.add(fault("POST", "/order", **changes))
            one.broker.send(order("mine"))
            await one.until(lambda: told(one, "mine", RequestInDoubt))
            await one.pass_time(60.0)

            (doubt,) = told(one, "mine", RequestInDoubt)
            assert doubt.request is RequestKind.SUBMIT
            assert not told(one, "mine", OrderEnded)
            assert one.venue.rest.counts["POST", "/order"] == 1
            assert one.rig.taken_count("mine") == (0 if changes else 1)

    play(main)


def test_r20_a_cancel_without_an_answer_is_in_doubt() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.broker.send(order("mine"))
            await one.until(lambda: told(one, "mine", OrderAccepted))
            one.venue.faults.add(fault("DELETE", "/order", kind="lose_request"))
            one.broker.send(cancel("mine"))
            await one.until(lambda: told(one, "mine", RequestInDoubt))

            (doubt,) = told(one, "mine", RequestInDoubt)
            assert doubt.request is RequestKind.CANCEL
            assert not told(one, "mine", OrderEnded)

    play(main)


def test_r68_too_many_is_a_refusal_and_its_pause_is_kept() -> None:
    """R-68: nothing leaves before `Retry-After` is over."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.venue.faults.add(
                fault("POST", "/order", kind="answer", status=429, retry_after_s=3)
            )
            one.broker.send(order("first"))
            await one.until(lambda: told(one, "first", OrderEnded))
            one.broker.send(order("second"))
            waited_s = await one.until(lambda: told(one, "second", OrderAccepted))

            (end,) = told(one, "first", OrderEnded)
            assert (end.kind, end.evidence) == (EndKind.REJECTED, "venue")
            assert waited_s >= 2.9
            assert one.venue.weights.refused_count == 0

    play(main)


def test_what_certainly_did_not_leave_is_told_by_the_core() -> None:
    async def main() -> None:
        async with world() as one:
            one.broker.send(order("early"))
            one.broker.send(cancel("early"))
            await ready(one)
            one.loop.network.set_faults(ADDRESS, LinkFaults(refuse=True))
            one.loop.network.cut(ADDRESS)
            one.broker.send(order("late"))
            await one.until(lambda: told(one, "late", OrderEnded))

            for name in ("early", "late"):
                (end,) = told(one, name, OrderEnded)
                assert (end.kind, end.evidence) == (EndKind.REJECTED, "core")
            assert told(one, "early", RequestRefused)
            assert not one.heard(RequestInDoubt)

    play(main)


def test_orders_are_found_by_our_id_with_and_without_a_memory_of_them() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.broker.send(order("mine"))
            await one.until(lambda: told(one, "mine", OrderAccepted))
            known = await one.broker.order("main", "mine")
            after = one.restarted()
            one.venue.rest.counts.clear()
            found = await after.broker.order("main", "mine")
            nothing = await after.broker.order("main", "never")
            await after.aclose()

            assert known == found
            assert found is not None
            assert (found.order_id, found.status) == ("mine", OrderStatus.ACCEPTED)
            assert nothing is None
            assert one.venue.rest.counts["GET", "/order"] == 3  # found in the first, then in none

    play(main)


def test_a_refusal_that_says_nothing_of_the_order_is_no_answer() -> None:
    """R-22: only "no such order" is evidence."""

    async def main() -> None:
        async with world() as one:
            body = b'{"code":-2026,"msg":"Order was archived."}'
            one.venue.faults.add(fault("GET", "/order", kind="answer", status=400, body=body))

            with pytest.raises(VenueError, match="archived"):
                await one.broker.order("main", "old")

    play(main)


def test_what_was_sent_is_remembered_up_to_a_limit() -> None:
    sent = SentOrders()
    for number in range(REMEMBERED + 1):
        sent.begin(str(number), "BTCUSDT")

    assert "0" not in sent
    assert sent.symbols("0", ["A", "B"]) == ("A", "B")
    assert sent.symbols(str(REMEMBERED), ["A", "B"]) == ("BTCUSDT",)


@pytest.mark.parametrize("pause_s", [0.0, 5.0])
def test_r21_an_order_that_is_given_twice_leaves_once_and_ends_nothing(pause_s: float) -> None:
    """R-21, R-29: before its answer or after it; the broker goes on."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.broker.send(order("mine"))
            await one.pass_time(pause_s)
            one.broker.send(order("mine", "50001"))
            await one.until(lambda: told(one, "mine", OrderAccepted))
            one.broker.send(order("other"))
            await one.until(lambda: told(one, "other", OrderAccepted))

            (error,) = one.heard(ErrorRaised)
            assert error.error == "order mine was given twice: it is not sent again"
            assert one.broker.statistics()["given_twice"] == 1
            assert len(one.venue.exchange.orders("main")) == 2
            assert not told(one, "mine", OrderEnded)
            assert not told(one, "mine", RequestInDoubt)

    play(main)


def test_r34_an_outage_is_an_error_and_never_an_empty_answer() -> None:
    """R-22, R-34."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.loop.network.set_faults(ADDRESS, LinkFaults(refuse=True))
            one.loop.network.cut(ADDRESS)
            questions = [
                one.broker.order("main", "x"),
                one.broker.open_orders("main"),
                one.broker.executions("main", START_NS),
                one.broker.positions("main"),
                one.broker.balances("main"),
            ]
            for question in questions:
                with pytest.raises(VenueError):
                    await question

    play(main)


def test_another_account_is_not_this_keys() -> None:
    async def main() -> None:
        async with world() as one:
            for question in (one.broker.open_orders, one.broker.positions, one.broker.balances):
                with pytest.raises(VenueError, match="'main', not 'other'"):
                    await question("other")

    play(main)


def test_positions_are_base_assets_and_cash_is_the_rest() -> None:
    async def main() -> None:
        async with world() as one:
            positions = await one.broker.positions("main")
            balances = await one.broker.balances("main")

            assert {p.instrument: str(p.quantity) for p in positions} == {
                "x:BTCUSDT": "10.00000000",
                "x:ETHUSDT": "100.00000000",
            }
            assert [(b.currency, b.total) for b in balances] == [("USDT", Decimal(10_000_000))]

    play(main)


def test_f03_fills_of_a_break_are_found_afterwards_over_pages_and_days() -> None:
    """R-43, F-03: asked for by time in steps of a day, then by id."""

    async def main() -> None:
        async with world() as one:
            one.venue.pause()
            await ready(one)
            began_ns = one.loop.now_ns
            await one.pass_time(3 * 3_600.0)
            for _ in range(1_100):
                one.rig.place_foreign(one.rig.marketable(Side.BUY))
            await one.pass_time(2.0)
            found = await one.broker.executions("main", began_ns - 3 * 86_400 * 10**9)

            truth = [f"{e.symbol}:{e.trade_id}" for e in one.venue.exchange.executions]
            assert [execution.execution_id for execution in found] == truth
            assert len(found) >= 1_100

    play(main)


def test_r26_what_others_do_in_the_account_comes_as_reports() -> None:
    """R-26, F-18."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            number = one.rig.place_foreign(one.rig.marketable(Side.BUY))
            await one.until(lambda: one.heard(ExecutionReport))

            assert {report.venue_order_id for report in one.heard(OrderReport)} == {number}
            assert not one.heard(OrderFilled)
            assert all(r.order_id.startswith("web_") for r in one.heard(OrderReport))

    play(main)


def test_an_order_that_meets_our_own_ends_it_by_the_venues_rule() -> None:
    async def main() -> None:
        async with world() as one:
            one.venue.pause()
            await ready(one)
            terms = one.rig.passive(Side.BUY)
            one.broker.send(order("maker", str(terms.price)))
            await one.until(lambda: told(one, "maker", OrderAccepted))
            better = one.venue.exchange.market("BTCUSDT").book
            for level in better.levels(True):
                if level[0] > one.venue.exchange.orders("main")[0].price:
                    one.venue.exchange.place(
                        NewOrder(
                            account=NOBODY,
                            client_id="sweep",
                            symbol="BTCUSDT",
                            is_buy=False,
                            type="LIMIT",
                            quantity=level[1],
                            price=level[0],
                            time_in_force="IOC",
                        )
                    )
            one.broker.send(order("taker", str(terms.price), side=Side.SELL))
            await one.until(lambda: told(one, "maker", OrderEnded))

            (end,) = told(one, "maker", OrderEnded)
            assert end.kind is EndKind.EXPIRED

    play(main)


def test_r43_a_user_stream_that_ends_or_breaks_is_asked_for_with_a_new_signature() -> None:
    """R-43, F-08: each attempt signs afresh."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.venue.user_streams.end_streams()
            await one.until(lambda: states(one).count(STREAMING) == 2)
            one.venue.user_streams.cut_all()
            await one.until(lambda: states(one).count(STREAMING) == 3)
            one.venue.user_streams.close_all()
            await one.until(lambda: states(one).count(STREAMING) == 4)

            logins = one.venue.user_streams.logins
            assert len(set(logins)) == len(logins) == 4
            assert len(one.venue.user_streams) == 1

    play(main)


def test_r42_a_mute_user_stream_is_given_up() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.venue.faults.stream = StreamFaults(ignores_requests=True)
            await one.until(lambda: states(one)[-1] is ConnectionState.RECONNECTING, within_s=41.0)
            one.venue.heal()
            await one.until(lambda: states(one)[-1] is STREAMING, within_s=60.0)

    play(main)


def test_a_quiet_user_stream_lives_on_its_heartbeats() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            await one.pass_time(600.0)

            assert states(one).count(STREAMING) == 1
            assert one.broker.statistics()["sent"] > 30

    play(main)


def test_a_wrong_key_never_streams_and_says_why() -> None:
    async def main() -> None:
        async with world(secret="wrong") as one:
            one.run(one.broker)
            await one.pass_time(30.0)

            assert STREAMING not in states(one)
            reasons = [event.reason for event in one.heard(ConnectionChanged)]
            assert any("Signature for this request is not valid" in reason for reason in reasons)

    play(main)


def test_a_clock_that_is_off_is_corrected_by_the_venues() -> None:
    async def main() -> None:
        async with world(venue={"ahead_s": 3_600.0}) as one:
            await ready(one)
            one.broker.send(order("mine"))
            await one.until(lambda: told(one, "mine", OrderAccepted))

    play(main)


def test_a_clock_that_cannot_be_compared_is_taken_as_right() -> None:
    async def main() -> None:
        async with world() as one:
            one.venue.faults.failing.add(("GET", "/time"))
            await ready(one)
            one.broker.send(order("mine"))
            await one.until(lambda: told(one, "mine", OrderAccepted))

    play(main)


def test_r45_a_user_frame_that_cannot_be_read_ends_nothing() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.broker.on_text(b'{"event":{"e":"executionReport"}}')
            one.broker.on_binary(b"")
            one.broker.send(order("mine"))
            await one.until(lambda: told(one, "mine", OrderAccepted))

            counts = one.broker.statistics()
            assert (counts["malformed"], counts["unexpected"]) == (1, 1)
            assert states(one).count(STREAMING) == 1

    play(main)


def test_r85_no_secret_is_in_what_is_told() -> None:
    """R-85: neither key nor secret nor signature in events or errors."""

    async def main() -> str:
        async with world(secret="very-secret-secret", api_key="rig-key") as one:
            one.run(one.broker)
            one.broker.send(order("mine"))
            await one.pass_time(5.0)
            try:
                await one.broker.balances("main")
            except VenueError as error:
                return repr(one.context.events) + str(error) + repr(error)
            raise AssertionError("a wrong secret was taken")

    assert "very-secret" not in play(main)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({}, "instruments"),
        ({"instruments": [{"symbol": "A"}, {"symbol": "A"}]}, "instruments[1].symbol"),
        ({"instruments": [{"symbol": "A", "nope": 1}]}, "instruments[0]"),
        ({"instruments": [{"symbol": "A"}], "settings": {"account": "main"}}, "settings.account"),
        (
            {"instruments": [{"symbol": "A"}], "settings": {"answer_s": 9.0}},
            "settings.answer_s",
        ),
        (
            {
                "instruments": [{"symbol": "A"}],
                "settings": {"account": "main", "api_key": "k", "secret": "s"},
            },
            "instruments[0].base",
        ),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_at_its_key(
    section: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(section, HandContext())

    assert caught.value.key.startswith(key)


def test_without_a_key_there_is_market_data_alone() -> None:
    adapter = build({"instruments": [{"symbol": "BTCUSDT"}]}, HandContext("b"))

    assert adapter.broker is None
    assert adapter.feed is not None
    assert [instrument.id for instrument in adapter.feed.instruments] == ["b:BTCUSDT"]


def test_an_ed25519_key_that_is_none_is_refused() -> None:
    section = {
        "instruments": [{"symbol": "BTCUSDT", "base": "BTC"}],
        "settings": {"account": "m", "api_key": "k", "secret": "s", "key_type": "ed25519"},
    }

    with pytest.raises(ConfigError):
        build(section, HandContext())
