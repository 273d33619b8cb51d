"""Random order flows through the simulated venue, held against an independent exact oracle.

Each step is one integer that seeds its details, 0 does nothing: so failures shrink to few steps.
"""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.model.orders import Liquidity, Side, TimeInForce, TriggerBy
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderFact,
    OrderFilled,
    OrderReplaced,
    OrderTriggered,
    RequestRefused,
)
from framework.simulation.costs import CostSettings
from framework.simulation.fills import FillModel, Through, Touch, VolumeShare
from tests.framework.simulation.oracle import Levels, Oracle, OracleFact, OracleOrder, Rules
from tests.framework.simulation.venue_rig import MINUTE_NS, VenueRig

STEPS = st.lists(st.integers(0, 2**32), min_size=50, max_size=50)
ACCOUNTS = ("one", "two")
MAKER_BPS, TAKER_BPS, SLIPPAGE_BPS = Decimal(-2), Decimal(7), Decimal(13)
COSTS = CostSettings(maker_bps=MAKER_BPS, taker_bps=TAKER_BPS, slippage_bps=SLIPPAGE_BPS)
MODELS: tuple[tuple[FillModel, bool, Fraction | None, str], ...] = (
    (Through(), False, None, "by_direction"),
    (Touch("ohlc"), True, None, "ohlc"),
    (VolumeShare(Decimal("0.5"), "olhc"), False, Fraction(1, 2), "olhc"),
)
FEEDS = ("quotes", "books", "trades", "candles")


class Flow:
    """Does the same to the venue and to the oracle, step by step."""

    def __init__(self, feed: str, model: tuple[FillModel, bool, Fraction | None, str]) -> None:
        fills, touch, share, path = model
        self.feed = feed
        self.rig = VenueRig(costs=COSTS, fills=fills)
        self.oracle = Oracle(
            Rules(
                tick=Fraction(1, 100),
                lot=Fraction(1, 10),
                maker_bps=Fraction(MAKER_BPS),
                taker_bps=Fraction(TAKER_BPS),
                slippage_bps=Fraction(SLIPPAGE_BPS),
                touch=touch,
                share=share,
                path=path,
            )
        )
        self.count = 0
        self.revision = 0
        self.orders: dict[str, OracleOrder] = {}

    def step(self, seed: int) -> None:
        """Do one thing, mostly an order or market data."""
        if seed == 0:
            return
        random = Random(seed)
        actions: list[Callable[[Random], None]] = [self.submit] * 5
        actions += [self.market] * 6 + [self.modify] * 2 + [self.cancel, self.wait]
        random.choice(actions)(random)

    def submit(self, random: Random) -> None:
        self.count += 1
        name = f"o{self.count}"
        sign = random.choice((1, -1))
        kind = random.choice(("market", "limit", "limit", "limit", "stop", "stop_limit"))
        post_only = kind in ("limit", "stop_limit") and random.random() < 0.2
        tif = "gtc" if post_only else random.choice(("gtc", "gtc", "day", "ioc", "fok"))
        expire_ns = self.rig.clock.now_ns + random.randrange(1, 5) * MINUTE_NS
        is_limited = random.random() < 0.2
        order = OracleOrder(
            id=name,
            account=random.choice(ACCOUNTS),
            sign=sign,
            kind=kind,
            quantity=Fraction(random.randrange(1, 40), 10),
            price=a_price(random) if kind in ("limit", "stop_limit") else None,
            stop=a_price(random) if kind in ("stop", "stop_limit") else None,
            tif="gtd" if is_limited and tif == "gtc" else tif,
            post_only=post_only,
            reduce_only=random.random() < 0.25,
            by_last=random.random() < 0.3,
            expire_ns=expire_ns if is_limited else None,
            arrived_ns=self.rig.clock.now_ns,
            rank=0,
            number=self.count,
            left=Fraction(0),
        )
        order.left = order.quantity
        self.orders[name] = order
        self.rig.submit(
            Side.BUY if sign > 0 else Side.SELL,
            text(order.quantity),
            price=text_or_none(order.price),
            stop=text_or_none(order.stop),
            tif=TimeInForce(order.tif),
            expire_ns=order.expire_ns,
            post_only=post_only,
            reduce_only=order.reduce_only,
            trigger_by=TriggerBy.LAST if order.by_last else TriggerBy.BID_ASK,
            account=order.account,
            order_id=name,
        )
        self.oracle.submit(order)

    def modify(self, random: Random) -> None:
        self.revision += random.choice((0, 1, 1, 1))
        name = self.some_order(random)
        quantity = Fraction(random.randrange(1, 40), 10) if random.random() < 0.6 else None
        price = a_price(random) if random.random() < 0.4 else None
        stop = a_price(random) if random.random() < 0.2 else None
        self.rig.modify(
            name,
            revision=self.revision,
            quantity=text_or_none(quantity),
            price=text_or_none(price),
            stop=text_or_none(stop),
        )
        self.oracle.modify(name, self.revision, quantity, price, stop)

    def cancel(self, random: Random) -> None:
        name = self.some_order(random)
        self.rig.cancel(name)
        self.oracle.cancel(name)

    def wait(self, random: Random) -> None:
        now_ns = self.rig.clock.now_ns + random.randrange(1, 90) * MINUTE_NS // 60
        self.rig.clock.advance(now_ns)
        self.oracle.pass_time(now_ns)

    def market(self, random: Random) -> None:
        if self.feed == "candles":
            self.candle(random)
        elif self.feed == "trades" or random.random() < 0.2:
            price, size = a_price(random), Fraction(random.randrange(1, 60), 10)
            self.rig.trade(float(price), float(size))
            self.oracle.trade(price, size)
        elif self.feed == "quotes":
            self.quote(random)
        else:
            self.book(random)

    def quote(self, random: Random) -> None:
        bid = a_price(random)
        ask = bid + Fraction(random.randrange(0, 6), 100)
        sizes: tuple[Fraction | None, Fraction | None] = (None, None)
        if random.random() < 0.8:
            sizes = Fraction(random.randrange(1, 50), 10), Fraction(random.randrange(1, 50), 10)
        self.rig.quote(float(bid), float(ask), float(sizes[0] or 0), float(sizes[1] or 0))
        self.oracle.display([(bid, sizes[0])], [(ask, sizes[1])])

    def book(self, random: Random) -> None:
        bid = a_price(random)
        ask = bid + Fraction(random.randrange(1, 6), 100)
        bids = levels(random, bid, -1)
        asks = levels(random, ask, 1)
        self.rig.book(
            [(float(price), float(size or 0)) for price, size in bids],
            [(float(price), float(size or 0)) for price, size in asks],
        )
        self.oracle.display(bids, asks)

    def candle(self, random: Random) -> None:
        opened, close, a, b = (a_price(random) for _ in range(4))
        high, low = max(opened, close, a, b), min(opened, close, a, b)
        volume = Fraction(random.randrange(0, 80), 10)
        open_ns = self.rig.clock.now_ns
        close_ns = open_ns + MINUTE_NS
        self.rig.candle(float(opened), float(high), float(low), float(close), float(volume))
        self.oracle.pass_time(close_ns - 1)
        self.oracle.now_ns = close_ns
        self.oracle.candle((opened, high, low, close), volume, open_ns)
        self.oracle.pass_time(close_ns)

    def some_order(self, random: Random) -> str:
        newest = max(1, self.count)
        return f"o{max(1, newest - random.randrange(6))}"


def a_price(random: Random) -> Fraction:
    return Fraction(random.randrange(980, 1021), 100)


def levels(random: Random, best: Fraction, step: int) -> Levels:
    found: Levels = []
    for _ in range(random.randrange(4)):
        found.append((best, Fraction(random.randrange(1, 30), 10)))
        best += Fraction(step * random.randrange(1, 4), 100)
    return found


def text(number: Fraction) -> str:
    return str(Decimal(number.numerator) / Decimal(number.denominator))


def text_or_none(number: Fraction | None) -> str | None:
    return None if number is None else text(number)


def plain(fact: OrderFact) -> OracleFact:
    """Return a venue's fact in the oracle's form."""
    match fact:
        case OrderAccepted():
            return "accepted", fact.order_id
        case OrderFilled():
            fee = sum((Fraction(fee.amount) for fee in fact.fees), Fraction(0))
            quantity, price = Fraction(fact.quantity), Fraction(fact.price)
            return "filled", fact.order_id, quantity, price, fact.liquidity.value, fee
        case OrderTriggered():
            return "triggered", fact.order_id
        case OrderReplaced():
            return "replaced", fact.order_id, Fraction(fact.quantity)
        case OrderEnded():
            return "ended", fact.order_id, fact.kind.value
        case RequestRefused():
            return "refused", fact.order_id, fact.request.value
    raise AssertionError(fact)


@pytest.mark.parametrize("feed", FEEDS)
@given(steps=STEPS, model=st.sampled_from(MODELS))
@settings(max_examples=200, deadline=None)
def test_the_venue_tells_what_the_oracle_tells(
    feed: str, steps: list[int], model: tuple[FillModel, bool, Fraction | None, str]
) -> None:
    flow = Flow(feed, model)
    for step in steps:
        told = len(flow.rig.facts)
        expected = len(flow.oracle.facts)
        flow.step(step)
        assert [plain(fact) for fact in flow.rig.facts[told:]] == flow.oracle.facts[expected:]
        assert_money_adds_up(flow)
        assert_order_promises(flow, told)
        assert flow.rig.is_watched or not flow.rig.venue.executions.working


def assert_money_adds_up(flow: Flow) -> None:
    """R-70: what the accounts pay is what the market gets plus the fees; positions likewise."""
    cash = dict.fromkeys(ACCOUNTS, Fraction(0))
    position = dict.fromkeys(ACCOUNTS, Fraction(0))
    fees = Fraction(0)
    for fact in flow.rig.facts:
        if isinstance(fact, OrderFilled):
            order = flow.orders[fact.order_id]
            fee = sum((Fraction(fee.amount) for fee in fact.fees), Fraction(0))
            value = order.sign * Fraction(fact.quantity) * Fraction(fact.price)
            cash[order.account] -= value + fee
            position[order.account] += order.sign * Fraction(fact.quantity)
            fees += fee
    assert sum(cash.values()) == -flow.oracle.market_cash - fees
    assert fees == flow.oracle.fees
    for account in ACCOUNTS:
        assert cash[account] == flow.oracle.cash.get(account, 0)
        assert position[account] == flow.oracle.position.get(account, 0)
        net = flow.rig.venue.executions.net(account, flow.rig.instrument.id)
        assert Fraction(net) == position[account]


def assert_order_promises(flow: Flow, told: int) -> None:
    """R-72, R-73: checked on the facts of one step alone, without the oracle's matching."""
    for name in dict.fromkeys(fact.order_id for fact in flow.rig.facts[told:]):
        order = flow.orders.get(name)
        facts = [fact for fact in flow.rig.facts if fact.order_id == name]
        fills = [fact for fact in facts if isinstance(fact, OrderFilled)]
        if order is None:  # a request for an order that never was
            assert not fills
            continue
        filled = sum(fill.quantity for fill in fills)
        assert all(fill.quantity > 0 for fill in fills)
        assert filled <= order.quantity
        assert sum(isinstance(fact, OrderTriggered) for fact in facts) <= 1
        ends = [fact for fact in facts if isinstance(fact, OrderEnded)]
        assert len(ends) + (filled == order.quantity) <= 1
        if order.post_only:
            assert all(fill.liquidity is Liquidity.MAKER for fill in fills)
        if order.tif == "fok" and filled:
            assert filled == order.quantity
        for fact in flow.rig.facts[told:]:  # an earlier fill had the limit of then
            if fact.order_id == name and isinstance(fact, OrderFilled):
                assert order.price is None or is_within(order, fact)
        if order.tif in ("ioc", "fok") and order.kind == "market" and fills:
            assert ends or filled == order.quantity


def is_within(order: OracleOrder, fill: OrderFilled) -> bool:
    assert order.price is not None
    return order.sign * (order.price - Fraction(fill.price)) >= 0


@pytest.mark.parametrize("feed", FEEDS)
@given(steps=STEPS, model=st.sampled_from(MODELS))
@settings(max_examples=20, deadline=None)
def test_equal_inputs_give_equal_bytes(
    feed: str, steps: list[int], model: tuple[FillModel, bool, Fraction | None, str]
) -> None:
    first, second = (encoded(feed, steps, model) for _ in range(2))
    assert first == second


def encoded(
    feed: str, steps: list[int], model: tuple[FillModel, bool, Fraction | None, str]
) -> bytes:
    flow = Flow(feed, model)
    for step in steps:
        flow.step(step)
    return msgspec.msgpack.encode(flow.rig.facts)


@pytest.mark.parametrize("feed", FEEDS)
@given(steps=STEPS, model=st.sampled_from(MODELS))
@settings(max_examples=20, deadline=None)
def test_money_is_decimal_on_the_grid_and_survives_text(
    feed: str, steps: list[int], model: tuple[FillModel, bool, Fraction | None, str]
) -> None:
    flow = Flow(feed, model)
    for step in steps:
        flow.step(step)
    for fact in flow.rig.facts:
        if isinstance(fact, OrderFilled):
            assert flow.rig.instrument.price(fact.price) == fact.price
            assert flow.rig.instrument.quantity(fact.quantity) == fact.quantity
            for money in (fact.quantity, fact.price, *(fee.amount for fee in fact.fees)):
                assert type(money) is Decimal
                assert Decimal(str(money)) == money
        decoded = msgspec.json.decode(msgspec.json.encode(fact), type=type(fact))
        assert decoded == fact


@given(steps=STEPS)
@settings(max_examples=20, deadline=None)
def test_reduce_only_never_grows_a_position(steps: list[int]) -> None:
    flow = Flow("quotes", MODELS[0])
    position = dict.fromkeys(ACCOUNTS, Decimal(0))
    for step in steps:
        told = len(flow.rig.facts)
        flow.step(step)
        for fact in flow.rig.facts[told:]:
            if not isinstance(fact, OrderFilled):
                continue
            order = flow.orders[fact.order_id]
            before = position[order.account]
            position[order.account] = before + order.sign * fact.quantity
            if order.reduce_only:
                assert abs(position[order.account]) == abs(before) - fact.quantity


def test_rejected_orders_never_trade() -> None:
    flow = Flow("quotes", MODELS[0])
    for seed in range(1, 3_000):
        flow.step(seed)
    rejected = {
        fact.order_id
        for fact in flow.rig.facts
        if isinstance(fact, OrderEnded) and fact.kind is EndKind.REJECTED
    }
    traded = {fact.order_id for fact in flow.rig.facts if isinstance(fact, OrderFilled)}
    assert rejected
    assert traded
    assert not rejected & traded
