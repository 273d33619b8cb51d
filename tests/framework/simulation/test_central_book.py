"""S9: the central book keeps price-time priority, and loses and invents nothing."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.model.orders import TimeInForce
from framework.simulation.central_book import CentralBook, Ending, Match, Outcome, SelfTrade
from framework.simulation.central_levels import BookOrder

GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK


def an_order(
    name: str, *, is_buy: bool, price: int, quantity: int = 10, owner: str = ""
) -> BookOrder:
    return BookOrder(
        order_id=name,
        owner=owner or name,
        is_buy=is_buy,
        price=price,
        quantity=quantity,
        remaining=quantity,
    )


def a_bid(name: str, price: int, quantity: int = 10, owner: str = "") -> BookOrder:
    return an_order(name, is_buy=True, price=price, quantity=quantity, owner=owner)


def an_ask(name: str, price: int, quantity: int = 10, owner: str = "") -> BookOrder:
    return an_order(name, is_buy=False, price=price, quantity=quantity, owner=owner)


def book_of(*orders: BookOrder) -> CentralBook:
    book = CentralBook()
    for order in orders:
        assert book.submit(order).is_resting
    return book


def taken(outcome: Outcome) -> list[tuple[str, int, int]]:
    return [(match.maker.order_id, match.price, match.quantity) for match in outcome.matches]


def test_the_best_price_trades_first_and_there_the_first_to_come() -> None:
    book = book_of(an_ask("late", 50), an_ask("best", 49), an_ask("later", 50))

    outcome = book.submit(a_bid("taker", 51, 25))

    assert taken(outcome) == [("best", 49, 10), ("late", 50, 10), ("later", 50, 5)]
    assert not outcome.is_resting
    assert book.levels(False) == [(50, 5)]
    assert book.best_bid() is None


def test_what_finds_nothing_rests_at_its_own_price() -> None:
    book = book_of(an_ask("far", 60))

    outcome = book.submit(a_bid("bid", 55, 7))

    assert outcome == Outcome(is_resting=True)
    assert (book.best_bid(), book.best_ask()) == (55, 60)
    assert book.quantity_at(True, 55) == 7
    assert book.quantity_at(True, 54) == 0
    assert [order.order_id for order in book.orders_at(True, 55)] == ["bid"]
    assert book.orders_at(True, 54) == []


def test_an_ioc_takes_what_there_is_and_leaves_nothing_behind() -> None:
    book = book_of(an_ask("ask", 50, 4))
    taker = a_bid("taker", 50, 10)

    outcome = book.submit(taker, time_in_force=IOC)

    assert taken(outcome) == [("ask", 50, 4)]
    assert (outcome.reason, taker.remaining, len(book)) == (Ending.NOTHING_LEFT, 6, 0)


@pytest.mark.parametrize(("quantity", "is_filled"), [(14, True), (15, False)])
def test_a_fok_trades_whole_or_not_at_all(quantity: int, is_filled: bool) -> None:
    book = book_of(an_ask("a", 50, 4), an_ask("b", 51, 10), an_ask("far", 53, 10))

    outcome = book.submit(a_bid("taker", 52, quantity), time_in_force=FOK)

    assert bool(outcome.matches) is is_filled
    assert outcome.reason is (Ending.NONE if is_filled else Ending.NOT_WHOLE)
    assert len(book) == (1 if is_filled else 3)


def test_a_fok_does_not_count_on_orders_of_its_own_owner() -> None:
    book = book_of(an_ask("other", 50, 5), an_ask("mine", 51, 5, "me"), an_ask("third", 52, 5))

    refused = book.submit(
        a_bid("f1", 52, 6, "me"), time_in_force=FOK, self_trade=SelfTrade.CANCEL_TAKER
    )
    filled = book.submit(
        a_bid("f2", 52, 6, "me"), time_in_force=FOK, self_trade=SelfTrade.CANCEL_MAKER
    )

    assert refused.reason is Ending.NOT_WHOLE
    assert taken(filled) == [("other", 50, 5), ("third", 52, 1)]
    assert [order.order_id for order in filled.cancelled] == ["mine"]


def test_a_post_only_order_never_takes() -> None:
    book = book_of(an_ask("ask", 50))

    assert book.submit(a_bid("cross", 50), post_only=True).reason is Ending.POST_ONLY
    assert book.submit(a_bid("below", 49), post_only=True).is_resting
    assert len(book) == 2


def test_self_trade_at_the_cross_cancels_what_the_taker_has_left() -> None:
    book = book_of(an_ask("other", 49, 3), an_ask("mine", 50, 5, "me"))
    taker = a_bid("taker", 50, 10, "me")

    outcome = book.submit(taker, self_trade=SelfTrade.CANCEL_TAKER)

    assert taken(outcome) == [("other", 49, 3)]
    assert (outcome.reason, taker.remaining) == (Ending.SELF_TRADE, 7)
    assert book.levels(False) == [(50, 5)]
    assert book.best_bid() is None


def test_self_trade_can_cancel_the_resting_order_and_go_on() -> None:
    book = book_of(an_ask("mine", 50, 5, "me"), an_ask("other", 50, 3))

    outcome = book.submit(a_bid("taker", 50, 10, "me"), self_trade=SelfTrade.CANCEL_MAKER)

    assert [order.order_id for order in outcome.cancelled] == ["mine"]
    assert taken(outcome) == [("other", 50, 3)]
    assert outcome.is_resting
    assert book.levels(True) == [(50, 7)]


def test_self_trade_can_cancel_both() -> None:
    book = book_of(an_ask("mine", 50, 5, "me"))

    outcome = book.submit(a_bid("taker", 50, 10, "me"), self_trade=SelfTrade.CANCEL_BOTH)

    assert [order.order_id for order in outcome.cancelled] == ["mine"]
    assert (outcome.reason, len(book)) == (Ending.SELF_TRADE, 0)


def test_an_owner_may_trade_with_itself_where_that_is_allowed() -> None:
    book = book_of(an_ask("mine", 50, 5, "me"))

    assert taken(book.submit(a_bid("taker", 50, 5, "me"), time_in_force=FOK)) == [("mine", 50, 5)]


def test_a_reduced_order_keeps_its_place() -> None:
    book = book_of(a_bid("first", 40), a_bid("second", 40))

    book.reduce("first", 4)

    assert book.queue_ahead("second") == 4
    assert taken(book.submit(an_ask("taker", 40, 5))) == [("first", 40, 4), ("second", 40, 1)]


def test_only_less_at_the_same_price_keeps_the_place() -> None:
    book = book_of(a_bid("a", 40), a_bid("b", 40), a_bid("c", 40))

    book.amend("a", price=40, remaining=3)
    assert [order.order_id for order in book.orders_at(True, 40)] == ["a", "b", "c"]

    book.amend("a", price=40, remaining=4)
    assert [order.order_id for order in book.orders_at(True, 40)] == ["b", "c", "a"]

    moved = book.amend("b", price=41, remaining=10)
    assert moved.is_resting
    assert book.levels(True) == [(41, 10), (40, 14)]


def test_an_amended_order_takes_what_it_meets_now() -> None:
    book = book_of(a_bid("mover", 40), an_ask("ask", 45, 6))

    outcome = book.amend("mover", price=45, remaining=8)

    mover = book.order("mover")
    assert taken(outcome) == [("ask", 45, 6)]
    assert mover is not None
    assert (mover.quantity, mover.remaining, mover.price) == (8, 2, 45)


def test_an_amended_post_only_order_that_would_take_is_gone() -> None:
    book = book_of(a_bid("mover", 40), an_ask("ask", 45))

    outcome = book.amend("mover", price=45, remaining=10, post_only=True)

    assert outcome.reason is Ending.POST_ONLY
    assert book.order("mover") is None


def test_what_makes_no_sense_is_refused() -> None:
    book = book_of(a_bid("a", 40))

    with pytest.raises(ValueError, match="'a' rests already"):
        book.submit(a_bid("a", 41))
    with pytest.raises(ValueError, match="not to be made 10"):
        book.reduce("a", 10)
    with pytest.raises(ValueError, match="must have something left, not 0"):
        book.amend("a", price=40, remaining=0)
    with pytest.raises(KeyError):
        book.cancel("unknown")


@dataclass
class NaiveBook:
    """The reference: one list in order of arrival, sorted by price at each match."""

    resting: list[BookOrder] = field(default_factory=list)

    def facing(self, order: BookOrder) -> list[BookOrder]:
        found = [
            other
            for other in self.resting
            if other.is_buy != order.is_buy
            and (other.price <= order.price if order.is_buy else other.price >= order.price)
        ]
        return sorted(found, key=lambda other: other.price if order.is_buy else -other.price)

    def submit(
        self, order: BookOrder, time_in_force: TimeInForce, post_only: bool, self_trade: SelfTrade
    ) -> list[tuple[str, int, int]]:
        facing = self.facing(order)
        if post_only and facing:
            return []
        if time_in_force is FOK and self.attainable(order, facing, self_trade) < order.remaining:
            return []
        trades: list[tuple[str, int, int]] = []
        is_stopped = False
        for other in facing:
            if not order.remaining or is_stopped:
                break
            if other.owner == order.owner and self_trade is not SelfTrade.ALLOW:
                if self_trade is not SelfTrade.CANCEL_TAKER:
                    self.resting.remove(other)
                is_stopped = self_trade is not SelfTrade.CANCEL_MAKER
                continue
            quantity = min(order.remaining, other.remaining)
            order.remaining -= quantity
            other.remaining -= quantity
            trades.append((other.order_id, other.price, quantity))
            if not other.remaining:
                self.resting.remove(other)
        if order.remaining and not is_stopped and time_in_force is GTC:
            self.resting.append(order)
        return trades

    def attainable(self, order: BookOrder, facing: list[BookOrder], self_trade: SelfTrade) -> int:
        total = 0
        for other in facing:
            if other.owner == order.owner and self_trade is not SelfTrade.ALLOW:
                if self_trade is not SelfTrade.CANCEL_MAKER:
                    break
            else:
                total += other.remaining
        return total

    def cancel(self, order_id: str) -> None:
        self.resting = [order for order in self.resting if order.order_id != order_id]

    def queues(self, is_buy: bool) -> list[tuple[str, int, int]]:
        own = [order for order in self.resting if order.is_buy == is_buy]
        own.sort(key=lambda order: -order.price if is_buy else order.price)
        return [(order.order_id, order.price, order.remaining) for order in own]


def queues(book: CentralBook, is_buy: bool) -> list[tuple[str, int, int]]:
    return [
        (order.order_id, order.price, order.remaining)
        for price, _ in book.levels(is_buy)
        for order in book.orders_at(is_buy, price)
    ]


SUBMISSION = st.tuples(
    st.just("submit"),
    st.booleans(),
    st.integers(1, 8),
    st.integers(1, 12),
    st.sampled_from(["ann", "ben", "cy"]),
    st.sampled_from([GTC, GTC, GTC, IOC, FOK]),
    st.booleans(),
    st.sampled_from(SelfTrade),
)
CHANGE = st.tuples(
    st.sampled_from(["cancel", "reduce", "amend"]),
    st.integers(0, 30),
    st.integers(1, 8),
    st.integers(1, 12),
    st.sampled_from(SelfTrade),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(SUBMISSION, CHANGE), max_size=40))
def test_it_does_what_the_naive_book_does(steps: list[tuple[object, ...]]) -> None:
    book, naive = CentralBook(), NaiveBook()
    for number, step in enumerate(steps):
        match step:
            case ("submit", bool(is_buy), int(price), int(quantity), str(owner), *rest):
                apply_submission(book, naive, f"o{number}", is_buy, price, quantity, owner, rest)
            case (str(kind), int(index), int(price), int(quantity), SelfTrade() as self_trade):
                if naive.resting:
                    order_id = naive.resting[index % len(naive.resting)].order_id
                    apply_change(book, naive, kind, order_id, price, quantity, self_trade)
        assert queues(book, True) == naive.queues(True)
        assert queues(book, False) == naive.queues(False)
        assert len(book) == len(naive.resting)
        bid, ask = book.best_bid(), book.best_ask()
        assert bid is None or ask is None or bid < ask


def apply_submission(
    book: CentralBook,
    naive: NaiveBook,
    name: str,
    is_buy: bool,
    price: int,
    quantity: int,
    owner: str,
    rest: list[object],
) -> None:
    time_in_force, post_only, self_trade = rest
    assert isinstance(time_in_force, TimeInForce)
    assert isinstance(self_trade, SelfTrade)
    ours = an_order(name, is_buy=is_buy, price=price, quantity=quantity, owner=owner)
    theirs = an_order(name, is_buy=is_buy, price=price, quantity=quantity, owner=owner)
    outcome = book.submit(
        ours, time_in_force=time_in_force, post_only=bool(post_only), self_trade=self_trade
    )
    assert taken(outcome) == naive.submit(theirs, time_in_force, bool(post_only), self_trade)
    assert ours.remaining == theirs.remaining
    assert ours.remaining + sum(match.quantity for match in outcome.matches) == quantity


def apply_change(
    book: CentralBook,
    naive: NaiveBook,
    kind: str,
    order_id: str,
    price: int,
    quantity: int,
    self_trade: SelfTrade,
) -> None:
    theirs = next(order for order in naive.resting if order.order_id == order_id)
    if kind == "cancel":
        assert book.cancel(order_id).remaining == theirs.remaining
        naive.cancel(order_id)
    elif kind == "reduce":
        if quantity < theirs.remaining:
            book.reduce(order_id, quantity)
            theirs.remaining = quantity
    elif price == theirs.price and quantity <= theirs.remaining:
        assert book.amend(order_id, price=price, remaining=quantity).is_resting
        theirs.remaining = quantity
    else:
        outcome = book.amend(order_id, price=price, remaining=quantity, self_trade=self_trade)
        naive.cancel(order_id)
        theirs.price, theirs.remaining = price, quantity
        assert taken(outcome) == naive.submit(theirs, GTC, False, self_trade)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6), st.integers(1, 9)), max_size=40))
def test_quantity_is_conserved(arrivals: list[tuple[bool, int, int]]) -> None:
    book = CentralBook()
    submitted = {True: 0, False: 0}
    matched = 0
    for number, (is_buy, price, quantity) in enumerate(arrivals):
        submitted[is_buy] += quantity
        outcome = book.submit(an_order(f"o{number}", is_buy=is_buy, price=price, quantity=quantity))
        matched += sum(match.quantity for match in outcome.matches)

    for is_buy in (True, False):
        assert submitted[is_buy] == matched + sum(quantity for _, quantity in book.levels(is_buy))


def test_a_match_names_the_resting_order() -> None:
    maker = an_ask("maker", 50)
    book = book_of(maker)

    assert book.submit(a_bid("taker", 50, 4)).matches == (Match(maker, 50, 4),)
    assert maker.remaining == 6
