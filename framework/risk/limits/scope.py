"""Which orders a limit is for: all, or those of one account, run or instrument."""

import msgspec

from framework.risk.proposal import Check, Proposal, Reserving, View


class Scope(msgspec.Struct, frozen=True):
    """One of the three named, or none of them: every order."""

    account: str | None = None
    run: str | None = None
    instrument: str | None = None

    def fits(self, proposal: Proposal) -> bool:
        """Tell whether an order is of this scope."""
        return (
            (self.account is None or proposal.account == self.account)
            and (self.run is None or proposal.run == self.run)
            and (self.instrument is None or proposal.instrument.id == self.instrument)
        )

    @property
    def name(self) -> str:
        """What to call it: `run cross`; "" for every order."""
        for kind in ("account", "run", "instrument"):
            value = getattr(self, kind)
            if value is not None:
                return f"{kind} {value}"
        return ""


EVERYTHING = Scope()


class Scoped:
    """A check of the orders of one scope; others pass it, and it does not count them."""

    def __init__(self, check: Check, scope: Scope) -> None:
        self.name = type(check).__name__
        self._check = check
        self._scope = scope
        self._reserving = check if isinstance(check, Reserving) else None

    def check(self, proposal: Proposal, view: View) -> str | None:
        if not self._scope.fits(proposal):
            return None
        reason = self._check.check(proposal, view)
        return None if reason is None else f"{reason} of {self._scope.name}"

    def reserve(self, proposal: Proposal, view: View) -> None:
        """Count an order of the scope, where the check counts."""
        if self._reserving is not None and self._scope.fits(proposal):
            self._reserving.reserve(proposal, view)
