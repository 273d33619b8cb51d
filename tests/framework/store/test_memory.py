"""The log in memory keeps the newest entries and finds those of an order among them."""

from framework.model.records import order_of
from framework.store.memory import MemoryLog
from tests.framework.store.journals import order_id, records


def test_more_than_its_capacity_is_forgotten_the_oldest_first() -> None:
    log = MemoryLog(capacity=10)
    for record in records(50):
        log.append(record)

    kept = list(log.read())

    assert log.position == 50
    assert 10 <= len(kept) < 20
    assert kept == list(enumerate(records(50), 1))[-len(kept) :]


def test_r53_the_index_of_orders_forgets_with_the_entries() -> None:
    log = MemoryLog(capacity=10)
    for number, record in enumerate(records(200)):
        log.append(record)
        identity = order_id(number // 4)
        assert log.of_order(identity) == [
            (at, kept) for at, kept in log.read() if order_of(kept) == identity
        ]

    assert log.of_order(order_id(0)) == []
    assert len(log._of_order) < 10
