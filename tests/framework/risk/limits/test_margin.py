"""Whether an account's equity carries what an order would bind."""

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import OrderIntent, OrderType, Side
from framework.risk.conditions import Conditions
from framework.risk.gate import Approved, Gate, Refused
from framework.risk.inputs import InputFault, Reference, Stake
from framework.risk.limits.configured import standard_checks
from framework.risk.limits.margin import MarginCovers
from framework.risk.proposal import Proposal, View
from framework.settings.risk_limits import RiskSettings
from tests.framework.risk.samples import (
    ACCOUNT,
    PERPETUAL,
    SPOT,
    FakeInputs,
    asked,
    buy,
    sell,
    view,
)

D = Decimal
ZERO = D(0)
ELSE = msgspec.structs.replace(PERPETUAL, id="v:Q")


def stake(
    position: str, *, buys: str = "0", sells: str = "0", instrument: Instrument = PERPETUAL
) -> Stake:
    return Stake("r", instrument, D(position), D(buys), D(sells))


def given_equity(equity: int, *held: Stake) -> FakeInputs:
    inputs = FakeInputs()
    inputs.equity = D(equity)
    inputs.held = list(held)
    inputs.references["v:Q"] = Reference(D(50), 0)
    return inputs


def refusal(inputs: FakeInputs, proposal: Proposal, seen: View) -> str | None:
    proposal = msgspec.structs.replace(proposal, instrument=PERPETUAL)
    return MarginCovers(asked(inputs)).check(proposal, seen)


def test_an_order_that_the_equity_carries_passes_and_the_next_larger_does_not() -> None:
    inputs = given_equity(1_000)

    assert refusal(inputs, buy("10"), view()) is None
    assert refusal(inputs, sell("10"), view()) is None
    assert refusal(inputs, buy("10.5"), view()) == (
        "the order needs 1050.0 USD of margin and account 'main' has 1000 available"
        " (require_margin)"
    )
    assert refusal(inputs, buy("5", price=D(300)), view(price="300")) is not None
    assert refusal(inputs, buy("1E+1"), view()) is None
    words = refusal(inputs, buy("1E+9"), view())
    assert words is not None
    assert "100000000000 USD" in words  # plain digits for whoever reads them


def test_what_every_line_of_the_account_binds_is_not_free() -> None:
    """Positions and open orders, whoever's, at the market's prices."""
    inputs = given_equity(1_000, stake("-4"), stake("2", buys="4", instrument=ELSE))
    seen = view("-4")

    assert refusal(inputs, sell("3"), seen) is None
    told = refusal(inputs, sell("3.5"), seen)
    assert told is not None
    assert "needs 350.0 USD of margin and account 'main' has 300 available" in told
    inputs.held = [stake("-4"), stake("2", buys="4", instrument=ELSE), stake("5", instrument=SPOT)]
    assert refusal(inputs, sell("3"), seen) is None  # what is owned binds nothing
    euro = msgspec.structs.replace(ELSE, id="v:E", currency="EUR")
    inputs.held.append(stake("9", instrument=euro))
    assert refusal(inputs, sell("3"), seen) is None


def test_an_overdrawn_account_has_nothing_available() -> None:
    told = refusal(given_equity(100, stake("4")), buy("1"), view("4"))
    assert told is not None
    assert "has 0 available" in told


@pytest.mark.parametrize(
    ("proposal", "seen"),
    [
        (sell("4"), view("4")),
        (sell("9"), view("9", sells="0")),
        (buy("4"), view("-4")),
        (sell("8"), view("4")),  # turns it into the same the other way
        (sell("2", reduce_only=True), view("4")),
        (sell("2", is_closing=True), view("4", sells="50")),
        (buy("2", order_id="o", added=D(0)), view("4")),
        (sell("4"), view("4", buys="4")),  # were the buys to fill first, it is no more than they
    ],
)
def test_what_does_not_grow_passes_without_any_equity(proposal: Proposal, seen: View) -> None:
    inputs = given_equity(-500, stake("4"))
    assert refusal(inputs, proposal, seen) is None


def test_both_sides_of_what_is_open_bind_the_worse_one_alone() -> None:
    inputs = given_equity(1_000, stake("0", buys="6", sells="4"))
    seen = view(buys="6", sells="4")

    assert refusal(inputs, sell("2"), seen) is None
    assert refusal(inputs, sell("6"), seen) is None
    assert refusal(inputs, sell("6.5"), seen) is not None
    assert refusal(inputs, buy("4"), seen) is None
    assert refusal(inputs, buy("4.5"), seen) is not None


@pytest.mark.parametrize("kind", ["spot", "option", "binary"])
def test_of_what_is_paid_in_full_only_short_selling_binds(kind: str) -> None:
    owned = msgspec.structs.replace(SPOT, kind=InstrumentKind(kind))
    inputs = given_equity(100)
    check = MarginCovers(asked(inputs)).check

    assert check(buy("50", instrument=owned), view()) is None
    assert check(sell("3", instrument=owned), view("3")) is None
    assert check(sell("4", instrument=owned), view("3")) is None
    assert check(sell("5", instrument=owned), view("3")) is not None


@pytest.mark.parametrize("fault", ["equity", "held", "references"])
def test_without_an_answer_it_is_not_judged(fault: str) -> None:
    """R-61: an input that is missing refuses by its name."""
    inputs = given_equity(1_000, stake("1"))
    setattr(inputs, fault, {} if fault == "references" else None)
    with pytest.raises(InputFault):
        refusal(inputs, buy("1"), view("1"))


def test_without_a_price_it_is_not_judged() -> None:
    with pytest.raises(InputFault, match="reference price of v:P is missing"):
        refusal(given_equity(1_000), buy("1"), view(price=None))


def test_inputs_that_know_no_equity_refuse() -> None:
    class Poorer:
        def __init__(self) -> None:
            self.source = FakeInputs()

        def __getattr__(self, name: str) -> object:
            if name == "free_equity":
                raise AttributeError(name)
            return getattr(self.source, name)

    inputs = asked(Poorer())  # type: ignore[arg-type] # the point
    with pytest.raises(InputFault, match="equity of account 'main' in USD is missing"):
        MarginCovers(inputs).check(buy("1", instrument=PERPETUAL), view())


# -- the fused twin ------------------------------------------------------------------------------

SIZES = st.sampled_from([D(0), D("0.5"), D(3), D(10)])
SIGNED = st.sampled_from([D(-10), D(-3), D(0), D("0.5"), D(10)])


class Whole:
    """A gate in a whole system with margins required; its run has passed the checks before."""

    def __init__(self, inputs: FakeInputs) -> None:
        self.inputs = inputs
        equity, inputs.equity = inputs.equity, D(10**9)
        settings = RiskSettings(require_margin=True)
        self.gate = Gate(standard_checks(settings, inputs, Conditions()))
        first = OrderIntent("r", "k", "v:P", Side.BUY, D("0.5"))
        order = msgspec.structs.replace(
            buy("0.5"), instrument=PERPETUAL, account=ACCOUNT, intent=first
        )
        assert isinstance(self.gate.check(order, view()), Approved)
        inputs.equity = equity

    def is_quick(self, intent: OrderIntent, price: Decimal, own: Stake) -> bool:
        opened = own.open_buy if intent.side is Side.BUY else own.open_sell
        answer = self.gate.approve_plain(
            intent, PERPETUAL, price, position=own.position, open_quantity=opened, now_ns=0
        )
        return answer is not None


@given(
    side=st.sampled_from(Side),
    quantity=st.sampled_from([D("0.5"), D(3), D(10)]),
    price=st.none() | st.sampled_from([D(50), D(100), D(250)]),
    own=st.builds(lambda p, b, s: Stake("r", PERPETUAL, p, b, s), SIGNED, SIZES, SIZES),
    other=st.builds(lambda p, b, s: Stake("x", ELSE, p, b, s), SIGNED, SIZES, SIZES),
    equity=st.sampled_from([-100, 0, 400, 1_000, 2_500, 10**6]),
    reduce_only=st.booleans(),
)
def test_the_fused_twin_passes_what_the_check_passes_and_nothing_else(
    *,
    side: Side,
    quantity: Decimal,
    price: Decimal | None,
    own: Stake,
    other: Stake,
    equity: int,
    reduce_only: bool,
) -> None:
    """R-60: and by an oracle of its own in fractions, the check is right."""
    inputs = given_equity(equity, own, other)
    whole = Whole(inputs)
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    intent = OrderIntent("r", "n", "v:P", side, quantity, kind, price, reduce_only=reduce_only)
    value = D(100) if price is None else max(price, D(100))
    proposal = msgspec.structs.replace(
        buy("1"), side=side, quantity=quantity, remaining=quantity, added=quantity, price=price,
        type=kind, instrument=PERPETUAL, intent=intent, reduce_only=reduce_only,
    )  # fmt: skip
    seen = View(own.position, own.position, own.open_buy, own.open_sell, value, 0)

    verdict = whole.gate.judge(proposal, seen)

    if whole.is_quick(intent, value, own):
        assert verdict is None
    elif verdict is None:  # slower, and by what only the checks look at
        assert proposal.only_shrinks(seen)
    if not reduce_only and not proposal.only_shrinks(seen):
        assert (verdict is None) is carries(own, other, side, quantity, value, equity)
        assert verdict is None or isinstance(verdict, Refused)


def carries(
    own: Stake, other: Stake, side: Side, quantity: Decimal, value: Decimal, equity: int
) -> bool:
    def worst(stake: Stake, bought: Decimal = ZERO, sold: Decimal = ZERO) -> Fraction:
        up = stake.position + stake.open_buy + bought
        down = stake.position - stake.open_sell - sold
        return Fraction(max(abs(up), abs(down)))

    both = (quantity, D(0)) if side is Side.BUY else (D(0), quantity)
    growth = worst(own, *both) - worst(own)
    return growth <= 0 or growth * Fraction(value) <= equity - worst(own) * 100 - worst(other) * 50


def test_the_twin_answers_by_itself_where_the_equity_carries() -> None:
    inputs = given_equity(1_000)
    whole = Whole(inputs)
    flat = stake("0")
    order = OrderIntent("r", "n", "v:P", Side.BUY, D(10))

    assert whole.is_quick(order, D(100), flat)
    assert not whole.is_quick(msgspec.structs.replace(order, quantity=D("10.5")), D(100), flat)
    limit = msgspec.structs.replace(order, type=OrderType.LIMIT, price=D(101))
    assert not whole.is_quick(limit, D(101), flat)
    inputs.equity = None
    assert not whole.is_quick(order, D(100), flat)
    assert not whole.is_quick(
        msgspec.structs.replace(order, quantity=None, quote_quantity=D(5)), D(100), flat
    )
    checks = MarginCovers(asked(given_equity(1_000)))
    quoted = msgspec.structs.replace(order, quantity=None, quote_quantity=D(5))
    assert not checks.is_surely_covered(quoted, ACCOUNT, PERPETUAL)
