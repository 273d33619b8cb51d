"""What a run's rules cannot judge, and since when: no price, no entry price, another currency.

Such a rule waits, as a guess could sell what should be kept; somebody is told that it waits.
"""

from collections.abc import Iterable
from decimal import Decimal

from framework.model.protection import Protection, ProtectionAlert
from framework.orders.protection_rules import needs_price, needs_sum, percent_rules
from framework.portfolio.holding import Holding

NS_PER_S = 1_000_000_000
NO_PRICE = "no_price"
NO_ENTRY_PRICE = "no_entry_price"
OTHER_CURRENCY = "other_currency"


class Unjudged:
    """Counts the time without a price and tells once of each spell."""

    def __init__(self, run: str, rules: Protection, currency: str) -> None:
        self._run = run
        self._wait_ns = int(rules.price_wait_s * NS_PER_S)
        self._needs_price, self._needs_sum = needs_price(rules), needs_sum(rules)
        self._percent = percent_rules(rules)
        self._currency = currency
        self._since_ns: dict[str, int] = {}
        self._told: dict[tuple[str, str], None] = {}

    def note(self, held: list[Holding], marks: dict[str, Decimal | None], now_ns: int) -> None:
        """Take in which of the positions held have a price."""
        for name, mark in marks.items():
            if mark is None:
                self._since_ns.setdefault(name, now_ns)
        for name in list(self._since_ns):
            if name not in marks or marks[name] is not None:  # sold, or priced again
                del self._since_ns[name]
                self._told.pop((NO_PRICE, name), None)
        costless = {holding.instrument.id for holding in held if not holding.cost}
        for what, name in list(self._told):
            if what == NO_ENTRY_PRICE and name not in costless:
                del self._told[what, name]

    def can_sum(self, marks: dict[str, Decimal | None], holdings: Iterable[Holding]) -> bool:
        """Tell whether all that is held has a price, and all profit is in the one currency."""
        return None not in marks.values() and self._foreign(holdings) is None

    def alerts(self, holdings: Iterable[Holding], now_ns: int) -> list[ProtectionAlert]:
        """Return what has not been told of yet."""
        held = list(holdings)
        found: list[tuple[str, str]] = []
        if self._needs_price:
            since = self._since_ns.items()
            found += [(NO_PRICE, name) for name, at_ns in since if now_ns - at_ns >= self._wait_ns]
            found += [
                (NO_ENTRY_PRICE, holding.instrument.id)
                for holding in held
                if holding.quantity and not holding.cost and self._is_percent(holding)
            ]
        foreign = self._foreign(held)
        if self._needs_sum and foreign is not None:
            found.append((OTHER_CURRENCY, foreign))
        new = [alert for alert in found if alert not in self._told]
        self._told.update(dict.fromkeys(new))
        return [ProtectionAlert(self._run, what, name, now_ns) for what, name in new]

    def times(self) -> Iterable[int]:
        """Yield when a wait for a price is over."""
        for name, since_ns in self._since_ns.items():
            if (NO_PRICE, name) not in self._told:
                yield since_ns + self._wait_ns

    def _is_percent(self, holding: Holding) -> bool:
        return any(name in ("", holding.instrument.id) for name in self._percent)

    def _foreign(self, holdings: Iterable[Holding]) -> str | None:
        """Return an instrument whose profit the account's currency does not count."""
        for holding in holdings:
            if holding.instrument.currency != self._currency and (
                holding.quantity or holding.realised
            ):
                return holding.instrument.id
        return None
