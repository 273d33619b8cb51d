"""Lists that the public client reads, with each of their filters; and times that it sends."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from tektii import BadRequestError, TradingGateway

from tests.adapters.tektii.public_client_rig import (
    RunningGateway,
    client_fixture,
    eventually,
    gateway_fixture,
    is_filled,
    tidy_fixture,
)

pytestmark = pytest.mark.socket

gateway = gateway_fixture()
client = client_fixture()
tidy = tidy_fixture()


class Book:
    """Some orders of a test's own: three that work, one filled, one cancelled, one expired."""

    def __init__(self, client: TradingGateway, gateway: RunningGateway) -> None:
        self.first, self.second = gateway.still_symbol(), gateway.still_symbol()
        self.client = client
        self.ids = {
            "low": self.make("buy", "low", limit_price="50"),
            "high": self.make("sell", "high", limit_price="150", oco_group_id=f"g-{self.first}"),
            "other": self.make("buy", "other", self.second, limit_price="60"),
            "cancelled": self.make("sell", "cancelled", limit_price="160"),
            "filled": self.make("buy", "filled", limit_price="120"),
            "bought": self.make("buy", "bought", self.second, limit_price="120"),
        }
        client.cancel_order(self.ids["cancelled"])
        for name in ("filled", "bought"):
            eventually(lambda name=name: client.get_order(self.ids[name]), is_filled)  # type: ignore[misc]

    def make(self, side: str, name: str, symbol: str = "", **more: Any) -> str:
        symbol = symbol or self.first
        return self.client.submit_order(
            symbol, side, "1", "limit", client_order_id=f"{name}-{self.first}", **more
        ).id

    def names(self, orders: list[Any]) -> list[str]:
        """Return the names of those of a list that are this book's."""
        names = {order_id: name for name, order_id in self.ids.items()}
        return [names[order.id] for order in orders if order.id in names]

    def names_of_trades(self, trades: list[Any]) -> list[str]:
        """Return the names of the orders that traded."""
        names = {order_id: name for name, order_id in self.ids.items()}
        return [names[trade.order_id] for trade in trades if trade.order_id in names]


@pytest.fixture
def book(client: TradingGateway, gateway: RunningGateway) -> Book:
    return Book(client, gateway)


def test_without_a_filter_working_orders_are_listed_newest_first(
    client: TradingGateway, book: Book
) -> None:
    """Spec 7.2."""
    assert book.names(client.list_orders()) == ["other", "high", "low"]


@pytest.mark.parametrize(
    ("status", "names"),
    [
        (["OPEN"], ["other", "high", "low"]),
        (["open", "Pending", "partially_filled", "PENDING_CANCEL"], ["other", "high", "low"]),
        (["FILLED"], ["bought", "filled"]),
        (["FILLED", "CANCELLED"], ["bought", "filled", "cancelled"]),
        (["OPEN", "FILLED"], ["bought", "filled", "other", "high", "low"]),
        (["EXPIRED", "REJECTED"], []),
    ],
)
def test_orders_of_a_status_are_listed_exactly(
    client: TradingGateway, book: Book, status: list[str], names: list[str]
) -> None:
    assert book.names(client.list_orders(status=status)) == names


def test_each_filter_of_the_list(client: TradingGateway, book: Book) -> None:
    def names(**filters: Any) -> list[str]:
        return book.names(client.list_orders(**filters))

    assert names(symbol=book.first) == ["high", "low"]
    assert names(symbol="NOBODY") == []
    assert names(side="BUY") == names(side="buy") == ["other", "low"]
    assert names(side="sell") == ["high"]
    assert names(client_order_id=f"low-{book.first}") == ["low"]
    assert names(client_order_id="nobody") == []
    assert names(oco_group_id=f"g-{book.first}") == ["high"]
    assert names(oco_group_id="nobody") == []
    assert names(limit=2) == ["other", "high"]
    assert names(limit=0) == []
    assert names(symbol=book.first, side="buy", limit=5) == ["low"]


def test_since_is_inclusive_and_until_exclusive(client: TradingGateway, book: Book) -> None:
    """Spec 7.2: created at or after, created before; any offset."""
    created = client.get_order(book.ids["high"]).created_at
    tokyo = timezone(timedelta(hours=9))
    assert book.names(client.list_orders(since=created - timedelta(microseconds=1)))[-1] == "high"
    assert book.names(client.list_orders(since=created.astimezone(tokyo)))[:1] == ["other"]
    assert book.names(client.list_orders(until=created)) == ["low"]
    assert book.names(client.list_orders(since=datetime(2100, 1, 1, tzinfo=UTC))) == []
    assert book.names(client.get_order_history(until=created)) == []
    assert book.names(client.list_orders(until=datetime(1970, 1, 1, tzinfo=UTC))) == []


def test_a_time_without_offset_never_leaves_the_client(client: TradingGateway) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="timezone-aware"):
        client.list_orders(since=naive)


def test_history_has_what_ended_last_changed_first(client: TradingGateway, book: Book) -> None:
    assert book.names(client.get_order_history()) == ["cancelled", "bought", "filled"]
    orders = client.get_order_history()
    assert [one.updated_at for one in orders] == sorted(
        (one.updated_at for one in orders), reverse=True
    )


def test_each_filter_of_the_history(client: TradingGateway, book: Book) -> None:
    """Spec 7.2 [N]: every parameter is honoured."""

    def names(**filters: Any) -> set[str]:
        return set(book.names(client.get_order_history(**filters)))

    assert names(symbol=book.second) == {"bought"}
    assert names(status=["CANCELLED"]) == {"cancelled"}
    assert names(status=["FILLED"], symbol=book.first) == {"filled"}
    assert names(status=["OPEN"]) == set()
    assert names(side="sell") == {"cancelled"}
    assert names(client_order_id=f"filled-{book.first}") == {"filled"}
    assert names(oco_group_id=f"g-{book.first}") == set()
    client.cancel_order(book.ids["high"])
    assert names(oco_group_id=f"g-{book.first}") == {"high"}
    assert names(since=client.get_order(book.ids["filled"]).created_at) >= {"bought"}
    assert len(client.get_order_history(limit=1)) == 1


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"status": ["DONE"]}, "status"),
        ({"status": ["OPEN", ""], "side": "up"}, "side"),
        ({"limit": -1}, "limit"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_in_the_envelope(
    client: TradingGateway, filters: dict[str, Any], field: str
) -> None:
    """Spec 5.2 [N], 7.2: query errors are JSON too."""
    for call in (client.list_orders, client.get_order_history):
        with pytest.raises(BadRequestError) as caught:
            call(**filters)
        assert caught.value.code in ("INVALID_REQUEST", "INVALID_VALUE")
        assert caught.value.details["field"] == field


def test_trades_newest_first_and_each_of_their_filters(client: TradingGateway, book: Book) -> None:
    """Spec 7.4, 6.7."""
    trades = client.list_trades()
    assert book.names_of_trades(trades)[:2] == ["bought", "filled"]
    newest = trades[0]
    assert (newest.symbol, newest.side.value, newest.quantity) == (book.second, "BUY", "1")
    assert (newest.price, newest.commission, newest.commission_currency) == ("100.01", "0", "USD")

    assert [one.order_id for one in client.list_trades(symbol=book.first)] == [book.ids["filled"]]
    assert [one.order_id for one in client.list_trades(order_id=book.ids["bought"])] == [
        book.ids["bought"]
    ]
    assert client.list_trades(order_id=book.ids["low"]) == []
    assert client.list_trades(symbol="NOBODY") == []
    assert [one.id for one in client.list_trades(limit=1)] == [newest.id]
    (older,) = client.list_trades(symbol=book.first)
    after = older.timestamp + timedelta(microseconds=1)
    assert older.id not in [one.id for one in client.list_trades(since=after)]
    assert older.id in [one.id for one in client.list_trades(until=after)]
    before = older.timestamp - timedelta(microseconds=1)
    assert older.id in [one.id for one in client.list_trades(since=before)]
    assert older.id not in [one.id for one in client.list_trades(until=before)]
