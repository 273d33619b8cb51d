"""The broker simulator does what its script says, on the simulated network."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.broker import protocol as wire
from tests.broker.rig import RawClient, play, raw_client, started_server
from tests.broker.script import STORM, Script
from tests.broker.server import Server

Work = Callable[[Server, RawClient], Awaitable[None]]


def buy(name: str = "a", quantity: str = "1", price: str | None = None, number: int = 1) -> Any:
    limit = None if price is None else Decimal(price)
    kind = "market" if price is None else "limit"
    return wire.Submit(number, name, "BTC", "buy", kind, Decimal(quantity), limit)


def session(work: Work, script: Script | None = None, *, seed: int = 0) -> None:
    """Run `work` with a broker and one logged-in client."""

    async def main() -> None:
        server = await started_server(script or Script(), seed=seed)
        client = await raw_client()
        client.take()
        try:
            await work(server, client)
        finally:
            await client.leave()
            server.close()
        server.books.audit()

    play(main)


def words(client: RawClient) -> list[str]:
    """Return what was heard since the last call, a word per message."""
    return [_word(message) for message in client.take()]


def _word(message: wire.Message) -> str:
    if isinstance(message, wire.OrderPush | wire.Done):
        kind = "push" if isinstance(message, wire.OrderPush) else "done"
        return f"{kind} {message.order.status} {message.order.filled}"
    if isinstance(message, wire.ExecutionPush):
        return f"execution {message.execution.quantity}"
    if isinstance(message, wire.Refused):
        return f"refused: {message.reason}"
    return type(message).__name__


def test_a_market_order_is_accepted_and_filled_at_once() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy())
        await asyncio.sleep(0.01)
        assert words(client) == ["done working 0", "push working 0", "execution 1", "push filled 1"]

    session(work)


def test_a_limit_order_waits_for_its_price_and_a_cancel_ends_it() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy("a", price="99"), buy("b", price="98", number=2))
        await asyncio.sleep(0.01)
        client.take()

        server.trading.set_price("BTC", Decimal("98"), Decimal("98.5"))
        client.say(wire.Cancel(3, "b"), wire.Cancel(4, "a"), wire.Cancel(5, "c"))
        await asyncio.sleep(0.01)

        assert words(client) == [
            "execution 1",
            "push filled 1",
            "done cancelled 0",
            "push cancelled 0",
            "refused: the order is filled",
            "refused: unknown order",
        ]

    session(work)


def test_a_change_may_make_an_order_trade() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy("a", price="99"))
        client.say(wire.Modify(2, "a", 1, Decimal(2), Decimal(101)))
        await asyncio.sleep(0.01)
        assert words(client)[-3:] == ["push working 0", "execution 2", "push filled 2"]
        assert next(iter(server.books)).revision == 1

    session(work)


def test_a_fok_order_that_cannot_trade_is_cancelled() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(wire.Submit(1, "a", "BTC", "buy", "limit", Decimal(1), Decimal(9), None, "fok"))
        await asyncio.sleep(0.01)
        assert words(client) == ["done working 0", "push working 0", "push cancelled 0"]

    session(work)


def test_a_lost_request_leaves_no_order_and_a_lost_answer_leaves_one() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy("a"))
        await asyncio.sleep(0.01)
        server.script = Script(lose_answer=1, lose_push=1)
        client.say(buy("b"))
        await asyncio.sleep(0.01)

        assert words(client) == []
        assert [order.client_id for order in server.books] == ["b"]
        assert [note.client_id for note in server.books.received] == ["a", "b"]

    session(work, Script(lose_request=1))


def test_pushes_are_repeated_and_overtake_each_other() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy())
        await asyncio.sleep(0.2)
        assert sorted(words(client)) == sorted(
            ["done working 0", *["push working 0", "execution 1", "push filled 1"] * 2]
        )
        server.script = Script(reorder_push=0.5)
        client.say(*(buy(f"{n}", number=n) for n in range(2, 12)))
        await asyncio.sleep(0.2)
        names = [m.order.client_id for m in client.take() if isinstance(m, wire.OrderPush)]
        assert names != sorted(names, key=int)

    session(work, Script(repeat_push=1))


def test_an_order_fills_in_parts_and_late() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy(quantity="1.00"))
        await asyncio.sleep(0.015)
        assert words(client) == ["done working 0", "push working 0"]
        assert not server.trading.is_idle
        await asyncio.sleep(1)
        filled = [word for word in words(client) if word.startswith("execution")]
        assert len(filled) in (2, 3)
        assert server.books.find("main", "a").filled == 1  # type: ignore[union-attr]
        assert server.trading.is_idle

    session(work, Script(partial=1, late=1))


def test_an_accept_may_come_after_the_executions() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy())
        await asyncio.sleep(1)
        assert words(client) == ["execution 1", "push filled 1", "done filled 1"]

    session(work, Script(accept_last=1))


def test_a_cancel_may_lose_the_race_against_a_fill() -> None:
    async def work(server: Server, client: RawClient) -> None:
        for number in range(8):
            client.say(buy(f"{number}", "0.2", price="99", number=10 + number))
            client.say(wire.Cancel(30 + number, f"{number}"))
            client.say(wire.Modify(50 + number, f"{number}", 1, Decimal(3)))
        await asyncio.sleep(0.01)
        heard = words(client)
        assert "execution 0.2" in heard
        assert "refused: the order is filled" in heard
        assert "done cancelled 0.1" in heard

    session(work, Script(cancel_race=1))


def test_requests_are_refused_as_the_script_says() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy(price="9"), wire.Cancel(2, "a"), wire.Modify(3, "a", 1, Decimal(2)))
        await asyncio.sleep(0.01)
        server.script = Script(reject=1, refuse_questions=1)
        client.say(buy("b"), wire.AskPositions(5))
        await asyncio.sleep(0.01)
        assert words(client)[2:] == [
            "refused: cancel refused by the script",
            "refused: change refused by the script",
            "refused: rejected by the script",
            "refused: too busy",
        ]

    session(work, Script(refuse_cancel=1, refuse_change=1))


def test_questions_are_answered_from_the_truth() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy("a"), buy("b", price="90", number=2))
        await asyncio.sleep(0.01)
        client.take()
        client.say(
            wire.AskOrder(3, "a"),
            wire.AskOrder(4, "nobody"),
            wire.AskOpenOrders(5),
            wire.AskExecutions(6, 0),
            wire.AskExecutions(7, server.now_ns + 1),
            wire.AskPositions(8),
            wire.AskBalances(9),
        )
        await asyncio.sleep(0.01)
        a, nobody, working, executions, none, positions, balances = client.take()
        assert isinstance(a, wire.OrderAnswer)
        assert a.order is not None
        assert (a.order.status, a.order.filled) == ("filled", Decimal(1))
        assert isinstance(nobody, wire.OrderAnswer)
        assert nobody.order is None
        assert isinstance(working, wire.OrdersAnswer)
        assert [row.client_id for row in working.orders] == ["b"]
        assert isinstance(executions, wire.ExecutionsAnswer)
        assert [row.fee for row in executions.executions] == [Decimal("0.101")]
        assert isinstance(none, wire.ExecutionsAnswer)
        assert none.executions == ()
        assert isinstance(positions, wire.PositionsAnswer)
        assert positions.positions == (wire.PositionRow("BTC", Decimal(1)),)
        assert isinstance(balances, wire.BalancesAnswer)
        assert balances.balances[0].total == 1_000_000 - Decimal("101.101")

    session(work)


def test_a_question_may_get_no_answer() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(wire.AskPositions(1))
        await asyncio.sleep(1)
        assert words(client) == []

    session(work, Script(ignore_questions=1))


def test_r22_an_order_is_seen_only_after_a_while() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy(price="90"))
        await asyncio.sleep(1)
        client.take()
        client.say(wire.AskOrder(2, "a"), wire.AskOpenOrders(3))
        await asyncio.sleep(1.1)
        hidden, nothing = client.take()
        assert isinstance(hidden, wire.OrderAnswer)
        assert hidden.order is None
        assert isinstance(nothing, wire.OrdersAnswer)
        assert nothing.orders == ()
        client.say(wire.AskOrder(4, "a"))
        await asyncio.sleep(0.1)
        (seen,) = client.take()
        assert isinstance(seen, wire.OrderAnswer)
        assert seen.order is not None

    session(work, Script(visible_after_ms=2_000))


def test_a_session_breaks_at_any_message_and_the_books_stay() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(*(buy(f"{number}", number=number) for number in range(50)))
        await asyncio.sleep(0.1)
        assert client.is_over
        assert 0 < len(server.books.orders) < 50
        assert server.sessions == []

    session(work, Script(disconnect=0.05))


def test_a_restart_keeps_everybody_out_for_a_while() -> None:
    async def work(server: Server, client: RawClient) -> None:
        server.control("restart", {"down_ms": 500})
        await asyncio.sleep(0.1)
        assert client.is_over
        refused = await raw_client()
        await asyncio.sleep(0.1)
        assert refused.is_over
        await asyncio.sleep(0.5)
        back = await raw_client()
        assert [type(message) for message in back.take()] == [wire.LoggedIn]
        for other in (refused, back):
            await other.leave()

    session(work)


def test_a_restart_may_come_with_any_message() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy())
        await asyncio.sleep(0.01)
        assert server.is_down
        await asyncio.sleep(1)
        assert not server.is_down

    session(work, Script(restart=1))


def test_a_stranger_gets_nothing_and_a_bad_line_ends_the_session() -> None:
    async def work(server: Server, client: RawClient) -> None:
        stranger = await raw_client(account="")
        stranger.take()
        stranger.say(buy())
        await asyncio.sleep(0.01)
        assert words(stranger) == ["refused: log in first"]
        stranger.say(b"GET / HTTP/1.1\n")
        await asyncio.sleep(0.01)
        assert stranger.is_over
        assert server.books.received == []
        await stranger.leave()

    session(work)


def test_prices_go_to_those_who_watch_and_updates_to_those_who_trade() -> None:
    async def work(server: Server, client: RawClient) -> None:
        watcher = await raw_client(symbols=("BTC", "GOLD"))
        assert [type(message) for message in watcher.take()] == [wire.LoggedIn, wire.PricePush]
        server.trading.set_price("BTC", Decimal(110), Decimal(111))
        client.say(buy())
        await asyncio.sleep(0.01)
        prices = [m.bid for m in watcher.take() if isinstance(m, wire.PricePush)]
        assert prices == [110.0]
        assert not any(isinstance(message, wire.PricePush) for message in client.take())
        await watcher.leave()

    session(work)


def test_r26_somebody_else_trades_and_leaves_orders_on_the_account() -> None:
    async def main() -> None:
        server = await started_server(Script(foreign=1), tick_ms=10)
        client = await raw_client()
        await asyncio.sleep(1)
        pushed = [m.order for m in client.take() if isinstance(m, wire.OrderPush)]
        assert {order.client_id.partition("-")[0] for order in pushed} == {"", "somebody"}
        assert {order.status for order in pushed} == {"working", "filled"}
        assert server.books.received == []
        server.books.audit()
        await client.leave()
        server.close()

    play(main)


def test_a_bust_comes_after_the_fill() -> None:
    async def work(server: Server, client: RawClient) -> None:
        client.say(buy())
        await asyncio.sleep(0.2)
        assert words(client)[-2:] == ["execution 0", "push cancelled 0"]

    session(work, Script(bust=1))


def test_a_test_hears_of_each_message_and_may_look_at_everything() -> None:
    async def work(server: Server, client: RawClient) -> None:
        counts: list[int] = []
        server.on_message = lambda: counts.append(server.message_count)
        client.say(wire.Control(1, "script", {"partial": 0.5}), wire.Control(2, "dump"))
        client.say(buy(), wire.Control(3, "dump"))
        somebody = {"account": "main", "symbol": "BTC", "side": "sell", "quantity": "0.5"}
        client.say(wire.Control(4, "trade_as_somebody", somebody))
        await asyncio.sleep(0.1)
        dumps = [m.result for m in client.take() if isinstance(m, wire.ControlAnswer)]
        assert server.script.partial == 0.5
        assert dumps[1]["orders"] == []
        assert [note["client_id"] for note in dumps[2]["received"]] == ["a"]
        assert dumps[3] == "V2"
        assert counts == list(range(2, server.message_count + 1))  # 1 was the login's answer
        with pytest.raises(ValueError, match="no control verb 'explode'"):
            server.control("explode", {})

    session(work)


def storm(seed: int) -> list[str]:
    """Return what a client heard in a storm."""
    heard: list[str] = []

    async def work(server: Server, client: RawClient) -> None:
        for number in range(60):
            client.say(buy(f"{number}", "0.30", price=str(99 + number % 3), number=number))
            client.say(wire.Cancel(100 + number, f"{number}"))
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        heard.extend(map(str, client.take()))

    session(work, STORM, seed=seed)
    return heard


def test_one_seed_is_one_storm() -> None:
    assert storm(1) == storm(1)
    assert storm(1) != storm(2)
