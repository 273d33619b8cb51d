"""The account as clients get it (spec 6.2)."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from adapters.tektii.server_account import AccountRoutes, account_body
from framework.model.desk import ALL_VERBS, Money, Place, Principal, View
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import FakeDesk, money_of
from tests.adapters.tektii.gateway_rig import Caller, place_of, shown

PATH = "/v1/account"
TWO = Principal(
    "owner",
    (Place("mock", "main", "tektii"), Place("kalshi", "bets", "tektii-bets")),
    View.ACCOUNT,
    ALL_VERBS,
)


def caller_of(desk: FakeDesk, owner: Principal = TWO) -> Caller:
    return Caller(AccountRoutes(place_of(desk, owner=owner)).routes(), owner)


def test_an_account_has_every_member() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        desk.moneys["main"] = money_of(
            "main", balance="100250.50", unrealised="-120.25", bound="15000", reserved="30.00"
        )

        assert await caller_of(desk).get(PATH) == {
            "balance": "100250.50",
            "equity": "100130.25",
            "margin_used": "15000",
            "margin_available": "85100.25",
            "unrealized_pnl": "-120.25",
            "currency": "USD",
        }

    run_simulated(scenario)


def test_another_account_of_the_door_is_asked_for_by_name() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        desk.moneys["bets"] = money_of("bets", balance="7")

        assert (await caller_of(desk).get(PATH, "account=bets"))["balance"] == "7"
        assert (await caller_of(desk).get(PATH, "account=main"))["balance"] == "100000"

    run_simulated(scenario)


def test_an_account_that_the_key_is_not_for_is_forbidden() -> None:
    async def scenario() -> None:
        answer = await caller_of(FakeDesk()).answer("GET", PATH, "account=other")

        assert (answer.status, shown(answer)["code"]) == (403, "FORBIDDEN")

    run_simulated(scenario)


AMOUNTS = st.decimals(
    min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False, places=8
)


@given(AMOUNTS, AMOUNTS)
def test_equity_is_balance_and_unrealised_result_on_the_wire_too(
    balance: Decimal, unrealised: Decimal
) -> None:
    money = Money(
        "main",
        "USD",
        balance,
        balance + unrealised,
        unrealised,
        *(Decimal(0), Decimal("1E-7"), Decimal(0), Decimal("1E+3")),
        time_ns=0,
    )

    body = account_body(money)

    assert Decimal(body.equity) == Decimal(body.balance) + Decimal(body.unrealized_pnl)
    assert (body.margin_used, body.margin_available) == ("0.0000001", "1000")
