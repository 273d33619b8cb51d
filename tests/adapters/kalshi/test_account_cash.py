"""An account's cash and settlements, as a ledger that knows yes contracts alone has them."""

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.kalshi.account_reads import AccountReads, reserve
from adapters.kalshi.messages import UserOrder
from adapters.kalshi.rest_values import Amendment
from adapters.kalshi.simulated import accounts, domain
from adapters.kalshi.simulated.channels import Profile
from framework.errors import RequestRefusedByVenue
from framework.model.account import Settled
from framework.model.orders import Side
from framework.model.venue_state import BalanceReport, ExecutionReport
from tests.adapters.kalshi.rest_stage import (
    CENT,
    CENTS,
    CONTRACT,
    TENTHS,
    Stage,
    on_stage,
    pass_time,
)
from tests.adapters.kalshi.scripted_rest import Rig, run
from tests.adapters.kalshi.simulated.rest_rig import START_NS

CASH = Decimal(1_000)


def booked(executions: Sequence[ExecutionReport], paid: Sequence[Settled] = ()) -> Decimal:
    """Return the cash of a ledger that knows yes contracts alone, sold ones as a short position."""
    cash, held = CASH, dict[str, Decimal]()
    for each in executions:
        signed = each.quantity if each.side is Side.BUY else -each.quantity
        held[each.instrument] = held.get(each.instrument, Decimal(0)) + signed
        cash -= signed * each.price + sum(fee.amount for fee in each.fees)
    return cash + sum(held.get(each.instrument, 0) * each.price for each in paid)


def only(balances: list[BalanceReport]) -> BalanceReport:
    (balance,) = balances
    assert balance.currency == "USD"
    return balance


def test_selling_without_having_any_brings_cash_and_a_short_position() -> None:
    async def scene(one: Stage) -> None:
        one.meet(40, is_bid=True)
        await one.sell("short", 40)
        balance = only(await one.account.balances())
        assert balance.total == CASH + 4 - Decimal("0.17")
        assert balance.reserved == 0

        await one.sell("resting", 70, 20)
        balance = only(await one.account.balances())
        assert balance.total == CASH + 4 - Decimal("0.17")
        assert balance.reserved == 6  # twenty times 0.30

    on_stage(scene)


ACTIONS = st.tuples(
    st.sampled_from((CENTS, TENTHS)),
    st.sampled_from(("order", "order", "meet", "meet", "cancel", "amend")),
    st.booleans(),
    st.integers(30, 70),  # cents
    st.integers(1, 40),  # contracts
)


async def act(one: Stage, number: int, action: tuple[str, str, bool, int, int]) -> None:
    """Do something that the venue may refuse."""
    ticker, kind, is_bid, cents, contracts = action
    if kind == "order":
        await (one.buy if is_bid else one.sell)(f"c-{number}", cents, contracts, ticker=ticker)
    elif kind == "meet":
        one.meet(cents, contracts, is_bid=is_bid, ticker=ticker)
    elif working := [each for each in await one.account.open_orders() if ticker in each.instrument]:
        order = working[number % len(working)]
        if kind == "cancel":
            await one.rest.cancel_order(order.venue_order_id)
            return
        amendment = Amendment(
            ticker=ticker,
            is_bid=order.side is Side.BUY,
            count=contracts * CONTRACT,
            price=cents * CENT,
        )
        await one.rest.amend_order(order.venue_order_id, amendment)


@settings(max_examples=25, deadline=None)
@given(st.lists(ACTIONS, max_size=25), st.sampled_from(Profile), st.booleans())
def test_cash_is_what_a_ledger_of_yes_contracts_has(
    actions: list[tuple[str, str, bool, int, int]], profile: Profile, uses_first: bool
) -> None:
    """R-34: after any trades, total = cash at first + cash flows - fees; so after settlement."""

    async def scene(one: Stage) -> None:
        for number, action in enumerate(actions):
            with suppress(RequestRefusedByVenue, domain.Refusal):  # off the grid, or too dear
                await act(one, number, action)
            if number % 4:
                continue
            balance = only(await one.account.balances())
            assert balance.total == booked(await one.account.executions(0))
            theirs = one.exchange.portfolio.balance("main")
            assert balance.reserved * domain.DOLLAR_OF_MONEY == theirs.cash - theirs.available
        one.exchange.lifecycle.determine(CENTS, "no")
        one.exchange.lifecycle.determine(TENTHS, "scalar", 3_333)
        for ticker in (CENTS, TENTHS):
            one.exchange.lifecycle.settle(ticker)
        executions = await one.account.executions(0)
        paid = await one.account.settlements(0)
        assert only(await one.account.balances()).total == booked(executions, paid)
        assert await one.account.positions() == []

    on_stage(scene, profile=profile, uses_first=uses_first)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 9_999), st.integers(1, 10**6)), max_size=8),
    st.integers(-(10**6), 10**6),
)
def test_resting_orders_bind_what_the_venue_says(
    orders: list[tuple[bool, int, int]], position: int
) -> None:
    ours = [
        UserOrder("o", "c", "K", "resting", "yes" if is_bid else "no", price, count, 0, count)
        for is_bid, price, count in orders
    ]
    theirs = [
        _their_order(is_bid=is_bid, price=price, count=count) for is_bid, price, count in orders
    ]

    assert reserve(ours, position) == accounts.reserve(theirs, position)


def _their_order(*, is_bid: bool, price: int, count: int) -> domain.Order:
    values = dict.fromkeys(domain.Order.__struct_fields__, 0)
    values |= {"side": "yes", "action": "buy" if is_bid else "sell", "yes_price": price}  # type: ignore[dict-item] # of several types
    return domain.Order(**values | {"remaining_count": count})  # type: ignore[arg-type] # as above


# -- settlements -----------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("is_bid", [True, False])
@pytest.mark.parametrize(
    ("result", "value", "price"),
    [("yes", None, "1"), ("no", None, "0"), ("scalar", 3_333, "0.3333"), ("scalar", 0, "0")],
)
def test_settlements_are_at_the_price_of_a_yes_contract(
    result: str, value: int | None, price: str, is_bid: bool, profile: Profile
) -> None:
    """To the venue's full precision, though what it says of a payment is in whole cents."""

    async def scene(one: Stage) -> list[Settled]:
        one.meet(50, is_bid=not is_bid)
        await (one.buy if is_bid else one.sell)("c", 50)
        await pass_time(1)
        one.exchange.lifecycle.determine(CENTS, result, value)
        one.exchange.lifecycle.settle(CENTS)
        return await one.account.settlements(0)

    (paid,) = on_stage(scene, profile=profile)

    at_ns = START_NS + 10**9
    assert paid == msgspec.structs.replace(
        Settled("main", f"x:{CENTS}", Decimal(price), at_ns, f"settlement {CENTS}"),
        time_ns=paid.time_ns,
    )
    assert at_ns <= paid.time_ns < at_ns + 10**9


def test_settlements_since_a_time_are_oldest_first() -> None:
    async def scene(one: Stage) -> None:
        times = []
        for ticker in (TENTHS, CENTS):
            one.meet(50, is_bid=False, ticker=ticker)
            await one.buy(ticker, 50, ticker=ticker)
            await pass_time(10)
            times.append(one.context.clock.now_ns)
            one.exchange.lifecycle.determine(ticker, "yes")
            one.exchange.lifecycle.settle(ticker)

        paid = await one.account.settlements(times[0])
        assert [each.instrument for each in paid] == [f"x:{TENTHS}", f"x:{CENTS}"]
        assert [each.time_ns for each in paid] == times
        assert await one.account.settlements(times[0]) == []  # each is told once
        another = AccountReads("main", "x", one.rest, one.context.clock)
        late = await another.settlements(times[0] + 1)
        assert [each.instrument for each in late] == [f"x:{CENTS}"]

    on_stage(scene)


def test_a_payment_of_a_market_that_is_gone_is_priced_by_what_came_in() -> None:
    settlement = {
        "ticker": "K",
        "market_result": "scalar",
        "yes_count": 0,
        "no_count": 4,
        "revenue": 300,
        "settled_time": "2026-06-01T00:00:00Z",
    }

    async def scene(rig: Rig) -> list[Settled]:
        rig.server.on("GET /portfolio/settlements", {"settlements": [settlement]})
        rig.server.on("GET /markets/K", {"code": "not_found"}, status=404)
        return await AccountReads("main", "x", rig.rest, rig.context.clock).settlements(0)

    assert [paid.price for paid in run(scene)] == [Decimal("0.25")]
