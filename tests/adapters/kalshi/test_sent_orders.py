"""What is remembered of the orders that were sent."""

import asyncio
from decimal import Decimal

import pytest

from adapters.kalshi import sent_orders
from adapters.kalshi.messages import UserOrder
from adapters.kalshi.sent_orders import SentOrder, SentOrders
from framework.model.commands import ModifyOrder, SubmitOrder
from framework.model.orders import OrderIntent, OrderType, Side
from tests.adapters.kalshi.simulated.rest_rig import play

PRICE = Decimal("0.4")


def submit(order_id: str, *, side: Side = Side.BUY, price: Decimal | None = PRICE) -> SubmitOrder:
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    intent = OrderIntent("run", order_id, "x:K", side, Decimal(10), kind, price)
    return SubmitOrder(order_id, "main", intent, Decimal(7), 0)


def test_an_order_is_remembered_as_it_was_sent() -> None:
    """The quantity is the command's: a gate may have made it smaller than the wish."""
    sent = SentOrders()
    sent.begin(submit("a"))
    sent.begin(submit("b", side=Side.SELL, price=None))

    assert "a" in sent
    assert "c" not in sent
    assert sent.get("a") == SentOrder(is_bid=True, quantity=Decimal(7), price=PRICE)
    assert sent.get("b") == SentOrder(is_bid=False, quantity=Decimal(7), price=Decimal(0))
    assert sent.get("c") is None


def test_a_change_leaves_what_it_does_not_name() -> None:
    order = SentOrder(is_bid=True, quantity=Decimal(7), price=PRICE)

    def changed(quantity: str | None, price: str | None) -> SentOrder:
        amounts = [None if text is None else Decimal(text) for text in (quantity, price)]
        return order.changed(ModifyOrder("a", "main", "x:K", 1, 0, *amounts))

    assert changed(None, None) == order
    assert changed("9", None) == SentOrder(True, Decimal(9), PRICE)
    assert changed(None, "0.5") == SentOrder(True, Decimal(7), Decimal("0.5"))


def test_an_order_of_the_venue_asks_for_what_is_filled_and_what_is_left() -> None:
    """10.4: so does the count of an amendment."""
    order = UserOrder("o", "c", "K", "resting", "no", 4_000, 2_000, 300, 400)

    assert SentOrder.of_venue(order) == SentOrder(False, Decimal(7), PRICE)


def test_what_it_asks_for_may_change() -> None:
    sent = SentOrders()
    sent.begin(submit("a"))
    order = SentOrder(True, Decimal(1), PRICE)
    sent.put("a", order)
    assert sent.get("a") == order


def test_both_ids_are_known_and_news_once() -> None:
    sent = SentOrders()

    assert sent.venue_order_id("a") == ""
    assert sent.order_id("o-1") == ""
    assert [sent.know("a", "o-1"), sent.know("a", "o-1"), sent.know("b", "o-2")] == [
        True,
        False,
        True,
    ]
    assert (sent.venue_order_id("a"), sent.order_id("o-2")) == ("o-1", "b")


def test_ends_and_fills_are_news_once() -> None:
    """B4; both halves of one trade may be ours."""
    sent = SentOrders()

    assert [sent.end("a"), sent.end("a"), sent.end("b")] == [True, False, True]
    fills = [("o-1", "t-1"), ("o-1", "t-1"), ("o-2", "t-1"), ("o-1", "t-2")]
    assert [sent.is_new_fill(*fill) for fill in fills] == [True, False, True, True]


def test_whoever_changes_an_order_waits_until_its_submission_was_answered() -> None:
    async def main() -> list[str]:
        sent, heard = SentOrders(), list[str]()
        sent.begin(submit("a"))

        async def change(name: str) -> None:
            await sent.wait("a")
            heard.append(name)

        changes = [asyncio.create_task(change(name)) for name in ("first", "second")]
        await asyncio.sleep(1)
        heard.append("answer")
        sent.answered("a")
        await asyncio.gather(*changes)
        await sent.wait("a")  # answered before
        await sent.wait("b")  # never sent
        return heard

    assert play(main) == ["answer", "first", "second"]


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_orders, "REMEMBERED", 2)
    sent = SentOrders()
    for name in ("a", "b", "c"):
        sent.begin(submit(name))
        sent.know(name, f"o-{name}")
        sent.end(name)
        sent.is_new_fill(f"o-{name}", "t")

    assert [name in sent for name in ("a", "b", "c")] == [False, True, True]
    assert [sent.venue_order_id(name) for name in ("a", "b")] == ["", "o-b"]
    assert [sent.order_id(f"o-{name}") for name in ("a", "b")] == ["", "b"]
    assert [sent.end("c"), sent.end("a")] == [False, True]
    assert [sent.is_new_fill("o-c", "t"), sent.is_new_fill("o-a", "t")] == [False, True]
