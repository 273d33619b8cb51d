"""Every reason that the gate and the simulated venue give has its name in the protocol.

The reasons are those of the real checks: a text that changes without its row here fails.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.tektii.server_rejections import Rejection, reject_reason, rejection
from adapters.tektii.wire import RejectReason
from framework.interfaces import BrokerCapabilities
from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.orders import (
    OrderIntent,
    OrderSession,
    OrderType,
    Percent,
    Side,
    TimeInForce,
)
from framework.risk.conditions import Conditions
from framework.risk.gate import Gate
from framework.risk.kill_switch import GateState
from framework.risk.limits import Proposal, View, malformed, standard_checks
from framework.risk.limits.exposure import MaxPositionNotional, ReduceOnly
from framework.risk.limits.market_state import FeedTrusted, MarketOpen, Reconciled
from framework.risk.limits.permission import Allowed, Emulated, unsupported
from framework.risk.limits.prices import PriceOnTick, PricesFitType
from framework.risk.limits.rates import OrderRate
from framework.risk.limits.sizes import MaxOrderNotional, MaxOrderQuantity, QuantityOnLot
from framework.settings.structs import RiskSettings
from framework.simulation import matching
from tests.adapters.tektii.trading_half import Market, Trader, play

R = RejectReason
D = Decimal
STOCK = Instrument(
    "x:A",
    kind=InstrumentKind.PERPETUAL,
    ranges=(PriceRange(D(0), D("0.5")),),
    lot=D("0.1"),
    minimum_quantity=D("0.2"),
    maximum_quantity=D(50),
    minimum_price=D(1),
    maximum_price=D(1_000),
)
INTENT = OrderIntent("run", "c.a", "x:A", Side.BUY, D(1))


def proposal(**fields: Any) -> Proposal:
    given: dict[str, Any] = {
        "run": "run", "instrument": STOCK, "side": Side.BUY, "type": OrderType.LIMIT,
        "quantity": D(1), "remaining": D(1), "added": D(1), "price": D(90), "stop_price": None,
        "has_trail": False, "reduce_only": False, "account": "main",
    }  # fmt: skip
    return Proposal(**{**given, **fields})


VIEW = View(D(0), D(0), D(0), D(0), D(100), 1)


def check(one: Any, view: View = VIEW, **fields: Any) -> str:
    """Return the real check's reason."""
    reason = one.check(proposal(**fields), view)
    assert reason is not None
    return str(reason)


def conditions(**fields: Any) -> Conditions:
    found = Conditions()
    for name, value in fields.items():
        getattr(found, name).update(value)
    return found


NO_INPUTS: Any = None
EXPIRED = replace(STOCK, expiry_ns=1)
INDEX = replace(STOCK, kind=InstrumentKind.INDEX)


REASONS: list[tuple[Callable[[], str | None], RejectReason, str]] = [
    (lambda: check(ReduceOnly(), reduce_only=True), R.REDUCE_ONLY_VIOLATED,
     "REDUCE_ONLY_VIOLATED"),
    (lambda: matching.NOTHING_TO_REDUCE, R.REDUCE_ONLY_VIOLATED, "REDUCE_ONLY_VIOLATED"),
    (lambda: matching.WOULD_TAKE, R.POST_ONLY_VIOLATED, "POST_ONLY_VIOLATED"),
    (lambda: malformed(replace(INTENT, post_only=True), 1), R.POST_ONLY_VIOLATED,
     "POST_ONLY_VIOLATED"),
    (lambda: check(QuantityOnLot(), quantity=D("0.05")), R.INVALID_QUANTITY,
     "INVALID_QUANTITY"),
    (lambda: check(QuantityOnLot(), quantity=D("0.1")), R.INVALID_QUANTITY, "INVALID_QUANTITY"),
    (lambda: check(QuantityOnLot(), quantity=D(51)), R.INVALID_QUANTITY, "INVALID_QUANTITY"),
    (lambda: check(QuantityOnLot(), quantity=D(-1)), R.INVALID_QUANTITY, "INVALID_QUANTITY"),
    (lambda: check(MaxOrderQuantity(D(1)), quantity=D(2)), R.INVALID_QUANTITY,
     "INVALID_QUANTITY"),
    (lambda: check(PriceOnTick(), price=D("90.1")), R.INVALID_PRICE, "INVALID_PRICE"),
    (lambda: check(PriceOnTick(), price=D("0.5")), R.INVALID_PRICE, "INVALID_PRICE"),
    (lambda: check(PriceOnTick(), price=D(2_000)), R.INVALID_PRICE, "INVALID_PRICE"),
    (lambda: check(PriceOnTick(), price=D(0)), R.INVALID_PRICE, "INVALID_PRICE"),
    (lambda: check(PricesFitType(), price=None), R.INVALID_PRICE, "INVALID_PRICE"),
    (lambda: check(PricesFitType(), stop_price=D(1)), R.INVALID_PRICE, "INVALID_PRICE"),
    (lambda: check(PriceOnTick(), instrument=INDEX), R.SYMBOL_NOT_TRADEABLE, "INVALID_SYMBOL"),
    (lambda: check(MarketOpen(NO_INPUTS, Conditions()), instrument=EXPIRED),
     R.SYMBOL_NOT_TRADEABLE, "INVALID_SYMBOL"),
    (lambda: check(Allowed(instruments=["x:B"])), R.SYMBOL_NOT_TRADEABLE, "INVALID_SYMBOL"),
    (lambda: check(Allowed(accounts=["other"])), R.UNKNOWN, "RISK_LIMIT"),
    (lambda: check(MarketOpen(NO_INPUTS, conditions(halted={"x:A": "halted"}))),
     R.MARKET_CLOSED, "MARKET_CLOSED"),
    (lambda: f"the market of {STOCK.id} is closed", R.MARKET_CLOSED, "MARKET_CLOSED"),
    (lambda: check(FeedTrusted(conditions(distrusted={"x:A": {"q": "a gap"}}))), R.UNKNOWN,
     "NO_PRICE"),
    (lambda: check(MaxOrderNotional(D(10))), R.UNKNOWN, "RISK_LIMIT"),
    (lambda: check(MaxPositionNotional(D(10))), R.UNKNOWN, "RISK_LIMIT"),
    (lambda: check(OrderRate(0, 1_000_000_000, "max_orders_per_second 0")), R.RATE_LIMITED,
     "RATE_LIMITED"),
    (lambda: "account 'main' has 12.5 available (require_cash)", R.INSUFFICIENT_BALANCE,
     "INSUFFICIENT_FUNDS"),
    (lambda: "insufficient margin", R.INSUFFICIENT_MARGIN, "INSUFFICIENT_FUNDS"),
    (lambda: "Account has insufficient balance for requested action.", R.INSUFFICIENT_BALANCE,
     "INSUFFICIENT_FUNDS"),
    (lambda: "what no row knows", R.UNKNOWN, "REJECTED"),
    (lambda: "", R.UNKNOWN, "REJECTED"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "name", "code"), REASONS)
def test_every_reason_has_its_name(
    reason: Callable[[], str | None], name: RejectReason, code: str
) -> None:
    text = reason()
    assert text is not None
    found = rejection(text)
    assert (found.reject_reason, found.reject_code) == (name, code), text
    assert not found.is_unsupported
    assert not found.is_unavailable


@pytest.mark.parametrize("state", [GateState.HALTED, GateState.REDUCING])
def test_a_closed_gate_is_a_halt(state: GateState) -> None:
    gate = Gate(standard_checks(RiskSettings()))
    gate.set_state(state, "somebody pulled the switch, with margin to spare")
    refused = gate.judge(proposal(), VIEW)
    assert refused is not None
    assert rejection(refused.reason).reject_code == "TRADING_HALTED", refused.reason


def test_a_paused_run_is_a_halt() -> None:
    gate = Gate(standard_checks(RiskSettings()))
    gate.pause("run", "too many orders")
    refused = gate.judge(proposal(), VIEW)
    assert refused is not None
    assert rejection(refused.reason).reject_code == "TRADING_HALTED"


@pytest.mark.parametrize(
    ("wishes", "operation"),
    [
        ({"display_quantity": D("0.5")}, "display_quantity"),
        ({"post_only": True}, "post_only"),
        ({"session": OrderSession.NEXT_OPEN}, "session_next_open"),
        ({"time_in_force": TimeInForce.FOK}, "time_in_force_fok"),
        ({"type": OrderType.TRAILING_STOP, "trail": Percent(D(1))}, "order_type_trailing_stop"),
    ],
)
def test_what_a_venue_cannot_do_is_unsupported(wishes: dict[str, Any], operation: str) -> None:
    able = BrokerCapabilities(
        order_types=frozenset({OrderType.MARKET}),
        time_in_forces=frozenset({TimeInForce.GTC}),
        has_post_only=False,
    )
    lacking = unsupported(replace(INTENT, **wishes), able, Emulated(frozenset()))
    found = rejection(f"{lacking} is not supported")
    assert found.is_unsupported
    assert found.reject_code == operation


def test_an_account_that_is_not_reconciled_is_unavailable() -> None:
    found = rejection(check(Reconciled(conditions(blocked={"main": "not reconciled yet"}))))
    assert found.is_unavailable


@pytest.mark.parametrize("text", ["not sent: no connection", "too late", "venue unavailable"])
def test_what_never_left_is_unavailable(text: str) -> None:
    assert rejection(text).is_unavailable


@pytest.mark.parametrize(
    "text",
    [
        "the order needs 98250.00 USD and account 'main' has 12000.00 available (require_cash)",
        "buying power 12000.00 is below the required 98250.00",
    ],
)
def test_what_is_needed_and_there_is_shown(text: str) -> None:
    details = rejection(text).details()
    assert (details["required"], details["available"]) == ("98250.00", "12000.00")


def test_a_name_without_numbers_has_two_members() -> None:
    assert Rejection(R.UNKNOWN, "X").details() == {"reject_code": "X", "reject_reason": "UNKNOWN"}
    assert reject_reason("insufficient margin") is R.INSUFFICIENT_MARGIN


def test_the_real_gate_and_the_real_venue_are_understood() -> None:
    async def act(trader: Trader, market: Market) -> None:
        exits = await trader.bought("1")
        assert exits.status == 201
        said = await trader.limit("90", stop_loss="95.3")
        assert said.status == 400
        inside = await trader.order(stop_loss="500", take_profit="50")
        assert inside["details"]["reject_reason"] == "INVALID_PRICE"
        reducing = await trader.order(side="sell", reduce_only=True, stop_loss="200")
        assert reducing["details"]["reject_reason"] == "REDUCE_ONLY_VIOLATED"

    play(act)
