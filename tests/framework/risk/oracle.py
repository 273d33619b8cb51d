"""What the gate has to answer, worked out anew for each order from the list of all there were.

Written apart from the product and in another way: fractions instead of decimals, no running sums,
no state but the history. Configuration is read as plain mappings. The answer is the set of limits
that speak against an order, by words that the refusal must contain.
"""

from fractions import Fraction
from typing import Any

S = 1_000_000_000
WINDOWS = {
    "max_orders_per_second": S,
    "max_orders_per_minute": 60 * S,
    "max_orders_per_day": 86_400 * S,
}


class Asset:
    """One instrument."""

    def __init__(self, name: str, currency: str, *, paid: bool, points: int, has_hours: bool):
        self.name = name
        self.currency = currency
        self.paid = paid
        self.points = points
        self.has_hours = has_hours


class Ticket:
    """One order that was asked for; `sign` is 1 for a buy."""

    def __init__(self, **fields: Any) -> None:
        self.run: str = fields["run"]
        self.account: str = fields["account"]
        self.asset: Asset = fields["asset"]
        self.sign: int = fields["sign"]
        self.kind: str = fields["kind"]
        self.quantity = Fraction(fields["quantity"])
        self.price: Fraction | None = fields["price"]
        self.stop: Fraction | None = fields["stop"]
        self.reduces: bool = fields["reduces"]
        self.is_exit: bool = fields["is_exit"]
        self.time: int = fields["time"]
        self.worth: Fraction | None = None
        self.is_open = True
        self.fills: list[tuple[int, Fraction, Fraction]] = []  # time, quantity, price
        self.order_id = ""

    @property
    def left(self) -> Fraction:
        if not self.is_open:
            return Fraction(0)
        return self.quantity - sum((fill[1] for fill in self.fills), Fraction(0))


class Oracle:
    """The whole history, and everything derived from it on demand."""

    def __init__(self, section: dict[str, Any], allocations: dict[str, Fraction]) -> None:
        self.section = section
        self.allocations = allocations
        self.tickets: list[Ticket] = []
        self.tape: list[Ticket] = []  # the ticket of each fill, in the order of the fills
        self.prices: dict[str, tuple[int, Fraction]] = {}
        self.deposits: dict[tuple[str, str], Fraction] = {}
        self.gate_state = "active"
        self.paused: set[str] = set()
        self.distrusted: set[str] = set()

    def position(self, run: str, asset: Asset) -> Fraction:
        return sum(
            (
                ticket.sign * fill[1]
                for ticket in self.tickets
                if ticket.run == run and ticket.asset is asset
                for fill in ticket.fills
            ),
            Fraction(0),
        )

    def opened(self, run: str, asset: Asset, sign: int) -> Fraction:
        return sum(
            (t.left for t in self.tickets if (t.run, t.asset, t.sign) == (run, asset, sign)),
            Fraction(0),
        )

    def worth(self, ticket: Ticket) -> Fraction | None:
        known = [price for price in (ticket.price, ticket.stop) if price is not None]
        if ticket.asset.name in self.prices:
            known.append(self.prices[ticket.asset.name][1])
        return max(known, default=None)

    def objections(self, ticket: Ticket) -> set[str]:
        """Return words of every limit that speaks against this order."""
        found = self.of_form(ticket) | self.of_state(ticket)
        if found & {"lot", "tick"}:
            return found
        places = [
            (self.section, lambda other: True),
            (
                self.section["accounts"].get(ticket.account, {}),
                lambda other: other.account == ticket.account,
            ),
            (self.section["runs"].get(ticket.run, {}), lambda other: other.run == ticket.run),
            (
                self.section["instruments"].get(ticket.asset.name, {}),
                lambda other: other.asset is ticket.asset,
            ),
        ]
        for number, (limits, is_of_it) in enumerate(places):
            found |= self.of_place(ticket, limits, is_of_it, is_of_run=number == 2)
        return found

    def of_form(self, ticket: Ticket) -> set[str]:
        found = set()
        if (ticket.quantity * 2).denominator != 1 or ticket.quantity <= 0:
            found.add("lot")
        for price in (ticket.price, ticket.stop):
            if price is not None and (price * 2).denominator != 1:
                found.add("tick")
        held = self.position(ticket.run, ticket.asset)
        if ticket.reduces and not self.fits(ticket, held):
            found.add("does not fit")
        return found

    def of_state(self, ticket: Ticket) -> set[str]:
        found = set()
        shrinks = self.shrinks(ticket)
        if self.gate_state == "halted" and not ticket.reduces:
            found.add("halted")
        if self.gate_state == "reducing" and not shrinks:
            found.add("reducing only")
        if ticket.run in self.paused and self.gate_state == "active" and not shrinks:
            found.add("paused")
        if ticket.asset.name in self.distrusted and not shrinks:
            found.add("market data")
        is_open = (ticket.time // (10 * S)) % 2 == 0
        if ticket.asset.has_hours and not is_open and not ticket.is_exit:
            found.add("closed")
        cap = self.allocations.get(ticket.run)
        if cap is not None and not shrinks:
            if ticket.asset.currency != "USD":
                found.add("the allocation is in")
            else:
                age_s = self.section.get("max_reference_age_s")
                objection = self.objection(ticket, cap, ticket.run, self.gross, age_s)
                if objection is not False:
                    found.add("stale" if objection is None else "the run's allocation")
        return found

    def fits(self, ticket: Ticket, held: Fraction) -> bool:
        return ticket.sign * held < 0 and ticket.quantity <= abs(held)

    def shrinks(self, ticket: Ticket) -> bool:
        if ticket.is_exit:
            return True
        held = self.position(ticket.run, ticket.asset)
        also = self.opened(ticket.run, ticket.asset, ticket.sign)
        return self.fits(ticket, held) and also + ticket.quantity <= abs(held)

    def of_place(self, t: Ticket, limits: dict[str, Any], is_of_it: Any, *, is_of_run: bool) -> Any:
        found: set[str] = set()
        if not t.is_exit:
            mine = [other for other in self.tickets if is_of_it(other)]
            found |= self.of_sizes(t, limits) | self.of_counts(t, limits, mine)
            found |= self.of_prices(t, limits) | self.of_repeats(t, limits)
            if t.asset.name not in limits.get("allowed_instruments", [t.asset.name]):
                found.add("allowed_instruments")
        if not self.shrinks(t):
            found |= self.of_sums(t, limits, t.run if is_of_run else None)
            if "max_same_direction_fills" in limits:
                window = round(limits["same_direction_window_s"] * S)
                if self.in_a_row(t, t.time - window) >= limits["max_same_direction_fills"]:
                    found.add("max_same_direction_fills")
        return found

    def of_sizes(self, t: Ticket, limits: dict[str, Any]) -> set[str]:
        worth = self.worth(t)
        assert worth is not None
        held = self.position(t.run, t.asset) * t.sign  # as seen from the order's own direction
        worst = held + self.opened(t.run, t.asset, t.sign) + t.quantity
        if worst <= abs(held) and held < 0 and t.quantity <= -held:
            worst = Fraction(0)  # it only leads back
        values = {
            "max_order_quantity": t.quantity,
            "max_order_notional": t.quantity * worth * t.asset.points,
            "max_position_notional": worst * worth * t.asset.points,
        }
        return {
            name
            for name, value in values.items()
            if name in limits and value > Fraction(limits[name])
        }

    def of_counts(self, t: Ticket, limits: dict[str, Any], mine: list[Ticket]) -> set[str]:
        counts = {
            name: sum(t.time - other.time < window for other in mine)
            for name, window in WINDOWS.items()
        }
        counts["max_open_orders"] = sum(other.is_open for other in mine)
        return {name for name, count in counts.items() if name in limits and count >= limits[name]}

    def of_prices(self, t: Ticket, limits: dict[str, Any]) -> set[str]:
        found = set()
        at, market = self.prices[t.asset.name]
        age_s = limits.get("max_reference_age_s")
        if age_s is not None and t.time - at > round(age_s * S):
            found.add("stale")
        bps = limits.get("price_collar_bps")
        prices = [price for price in (t.price, t.stop) if price is not None]
        if bps is not None and prices:
            if t.time - at > (60 * S if age_s is None else round(age_s * S)):
                found.add("stale")
            elif any(abs(price / market - 1) > Fraction(bps) / 10_000 for price in prices):
                found.add("price_collar_bps")
        return found

    def of_repeats(self, t: Ticket, limits: dict[str, Any]) -> set[str]:
        found = set()
        window = limits.get("duplicate_window_ms")
        same = [
            other
            for other in self.tickets
            if (other.run, other.asset, other.sign, other.kind) == (t.run, t.asset, t.sign, t.kind)
            and (other.quantity, other.price, other.stop) == (t.quantity, t.price, t.stop)
        ]
        if window is not None and any(t.time - o.time < window * 1_000_000 for o in same):
            found.add("duplicate_window_ms")
        if limits.get("prevent_self_match") and t.kind in ("market", "limit"):
            for other in self.tickets:
                if (
                    other.is_open
                    and other.account == t.account
                    and other.asset is t.asset
                    and other.sign == -t.sign
                    and other.kind in ("market", "limit")
                    and (
                        t.price is None
                        or other.price is None
                        or t.sign * (t.price - other.price) >= 0
                    )
                ):
                    found.add("an own")
        return found

    def in_a_row(self, t: Ticket, since: int) -> int:
        newest: dict[int, int] = {}
        fills = [o for o in self.tape if o.run == t.run and o.asset is t.asset]
        seen: dict[int, int] = {}
        for other in reversed(fills):
            if other.sign != t.sign:
                break
            seen[id(other)] = seen.get(id(other), 0) + 1
            newest.setdefault(id(other), other.fills[-seen[id(other)]][0])
        return sum(time >= since for time in newest.values())

    def lines(self, account: str, run: str | None, currency: str) -> set[tuple[str, Asset]]:
        return {
            (o.run, o.asset)
            for o in self.tickets
            if o.account == account and run in (None, o.run) and o.asset.currency == currency
        }

    def price(self, asset: Asset, t: Ticket) -> Fraction:
        worth = self.worth(t) if asset is t.asset else self.prices[asset.name][1]
        assert worth is not None
        return worth * asset.points

    def gross(self, t: Ticket, run: str | None) -> dict[tuple[str, Asset], list[Fraction]]:
        """Return the worst |position| of each line, without the order and with it."""
        worst = {}
        for owner, asset in self.lines(t.account, run, t.asset.currency) | {(t.run, t.asset)}:
            extra = t.quantity if (owner, asset) == (t.run, t.asset) else Fraction(0)
            held = self.position(owner, asset)
            buys, sells = self.opened(owner, asset, 1), self.opened(owner, asset, -1)
            worst[owner, asset] = [
                max(abs(held + buys + bought), abs(held - sells - sold))
                for bought, sold in ((0, 0), (extra, 0) if t.sign > 0 else (0, extra))
            ]
        return worst

    def net(self, t: Ticket, run: str | None) -> dict[tuple[str, Asset], list[Fraction]]:
        """Return the worst position in the order's direction, without the order and with it."""
        worst = {}
        for owner, asset in self.lines(t.account, run, t.asset.currency) | {(t.run, t.asset)}:
            extra = t.quantity if (owner, asset) == (t.run, t.asset) else Fraction(0)
            held = self.position(owner, asset) * t.sign + self.opened(owner, asset, t.sign)
            worst[owner, asset] = [held, held + extra]
        return worst

    def objection(
        self, t: Ticket, limit: Fraction, run: str | None, kind: Any, age_s: float | None
    ) -> bool | None:
        """Tell whether a sum would grow beyond its limit; None: it cannot be valued."""
        before = after = Fraction(0)
        for (owner, asset), (without, with_it) in kind(t, run).items():
            is_old = age_s is not None and t.time - self.prices[asset.name][0] > round(age_s * S)
            if asset is not t.asset and (owner, asset) != (t.run, t.asset) and without and is_old:
                return None
            before += without * self.price(asset, t)
            after += with_it * self.price(asset, t)
        return after > limit and after != before

    def of_sums(self, t: Ticket, limits: dict[str, Any], run: str | None) -> set[str]:
        found = set()
        for name, kind in (("max_gross_notional", self.gross), ("max_net_notional", self.net)):
            if name in limits:
                age_s = limits.get("max_reference_age_s")
                objection = self.objection(t, Fraction(limits[name]), run, kind, age_s)
                if objection is not False:
                    found.add("stale" if objection is None else name)
        if limits.get("max_daily_loss") is not None:
            for currency in ("USD", "USDT", "EUR"):
                if -self.profit(t.account, run, currency) > Fraction(limits["max_daily_loss"]):
                    found.add("max_daily_loss")
        if limits.get("require_cash") and t.asset.paid and t.sign > 0:
            worth = self.worth(t)
            assert worth is not None
            needed = worth * t.quantity * t.asset.points
            if needed > self.cash(t.account, t.asset.currency):
                found.add("require_cash")
        if limits.get("require_margin") and self.lacks_margin(t):
            found.add("require_margin")
        return found

    def lacks_margin(self, t: Ticket) -> bool:
        """Tell whether an order binds more than its account has left; margins are of 100 %."""
        growth = self.bound(t.run, t.asset, t) - self.bound(t.run, t.asset, None)
        if growth <= 0:
            return False
        currency = t.asset.currency
        if t.asset.paid:
            free = self.cash(t.account, currency)
        else:
            free = self.deposits[t.account, currency] + self.profit(t.account, None, currency)
        for run, asset in self.lines(t.account, None, currency):
            now = self.prices[asset.name][1]
            free -= self.bound(run, asset, None) * now * asset.points
        worth = self.worth(t)
        assert worth is not None
        return growth * worth * t.asset.points > free

    def bound(self, run: str, asset: Asset, t: Ticket | None) -> Fraction:
        """What a line can come to hold on margin, with one more order or without."""
        held = self.position(run, asset)
        buys, sells = self.opened(run, asset, 1), self.opened(run, asset, -1)
        if t is not None and t.sign > 0:
            buys += t.quantity
        elif t is not None:
            sells += t.quantity
        if asset.paid:
            return max(Fraction(0), sells - held)
        return max(abs(held + buys), abs(held - sells))

    def profit(self, account: str, run: str | None, currency: str) -> Fraction:
        """What would be left if everything were sold now, less what was paid for it."""
        total = Fraction(0)
        for ticket in self.tickets:
            is_his = ticket.account == account and run in (None, ticket.run)
            if is_his and ticket.asset.currency == currency:
                for _, quantity, price in ticket.fills:
                    now = self.prices[ticket.asset.name][1]
                    total += ticket.sign * quantity * (now - price) * ticket.asset.points
        return total

    def cash(self, account: str, currency: str) -> Fraction:
        """What no open order may need; only for currencies in which everything is paid in full."""
        total = self.deposits.get((account, currency), Fraction(0))
        for ticket in self.tickets:
            if ticket.account == account and ticket.asset.currency == currency:
                for _, quantity, price in ticket.fills:
                    total -= ticket.sign * quantity * price * ticket.asset.points
                if ticket.sign > 0:
                    assert ticket.worth is not None
                    total -= ticket.left * ticket.worth * ticket.asset.points
        return total
