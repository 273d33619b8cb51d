"""Balances of the simulated venue: what each account has free and locked, in units."""

from collections.abc import Mapping

from adapters.binance.simulated.domain import Refused


class Purses:
    """Accounts by name; an amount is either free or locked for an open order."""

    def __init__(self, openings: Mapping[str, Mapping[str, int]]) -> None:
        self._free = {name: dict(balances) for name, balances in openings.items()}
        self._locked: dict[str, dict[str, int]] = {name: {} for name in openings}

    def free(self, account: str, asset: str) -> int:
        """What a new order may use."""
        return self._free[account].get(asset, 0)

    def lock(self, account: str, asset: str, amount: int) -> None:
        """Bind a free amount; a negative one sets free.

        Raises:
            Refused: there is not that much.
        """
        if amount > self.free(account, asset):
            raise Refused(-2010, "Account has insufficient balance for requested action.")
        self.add(account, asset, -amount)
        self._locked[account][asset] = self._locked[account].get(asset, 0) + amount

    def add(self, account: str, asset: str, amount: int) -> None:
        """Put an amount to the free ones, or take it from them."""
        self._free[account][asset] = self.free(account, asset) + amount

    def rows(self, account: str, *assets: str) -> tuple[tuple[str, int, int], ...]:
        """Return (asset, free, locked), of all assets where none is named."""
        free, locked = self._free[account], self._locked[account]
        return tuple(
            (asset, free.get(asset, 0), locked.get(asset, 0))
            for asset in assets or {**free, **locked}
        )
