"""Who sees what at the trading desk: what a principal's token covers, as plain tests."""

from collections.abc import Callable

from framework.errors import Forbidden
from framework.model.desk import Principal, Verb, View
from framework.model.identity import EXTERNAL_RUN
from framework.orders.order_state import OrderState
from framework.runtime.system import System


class DeskAccess:
    """Answers for a principal; every half of the desk asks here."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._engine = system.engine

    def _check(self, principal: Principal, verb: Verb, instrument: str | None = None) -> None:
        """Raise Forbidden unless the principal may do this, with this instrument."""
        if principal.allows(verb, instrument):
            return
        what = verb.value if instrument is None else f"{verb.value} of {instrument}"
        raise Forbidden(f"the token of {principal.name} does not allow {what}")

    def _visible(self, principal: Principal) -> frozenset[tuple[str, str]]:
        """Return the (account, run) pairs that a principal sees."""
        if principal.view is View.RUN:
            return frozenset((place.account, place.run) for place in principal.places)
        accounts = {place.account for place in principal.places}
        known = {(run.account, run.id) for run in self._system.book if run.account in accounts}
        return frozenset(known | {(account, EXTERNAL_RUN) for account in accounts})

    def _runs_of(self, principal: Principal) -> list[str]:
        return sorted({run for _, run in self._visible(principal)})

    def _sees(self, principal: Principal, verb: Verb, state: OrderState) -> bool:
        return eye_of(principal, verb)(state)


def eye_of(principal: Principal, verb: Verb) -> Callable[[OrderState], bool]:
    """Return what tells whether a principal may do this to an order, for a look at many."""
    allowed: dict[str, bool] = {}  # by instrument
    accounts = {place.account for place in principal.places}
    pairs = {(place.account, place.run) for place in principal.places}
    is_whole = principal.view is View.ACCOUNT

    def sees(state: OrderState) -> bool:
        intent = state.intent
        is_allowed = allowed.get(intent.instrument)
        if is_allowed is None:
            is_allowed = allowed[intent.instrument] = principal.allows(verb, intent.instrument)
        if is_whole:
            return is_allowed and state.account in accounts
        return is_allowed and (state.account, intent.run) in pairs

    return sees
