"""The gateway's account: `GET /v1/account` (spec 6.2, 7.1)."""

import msgspec

from adapters.tektii import wire
from adapters.tektii.server_settings import Place
from adapters.tektii.words import plain
from framework.model.desk import Money, Verb
from framework.server.door import Answer, Call, Route


class AccountQuery(msgspec.Struct, frozen=True):
    """`account` names one of several behind this door; the first is meant without it."""

    account: str | None = None


class AccountRoutes:
    """What the caller's account has."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def routes(self) -> list[Route]:
        """Return the operations."""
        return [
            Route(
                "GET",
                "/v1/account",
                self.account,
                Verb.READ,
                {200: wire.Account},
                "Balance, equity and margin",
                query=AccountQuery,
            )
        ]

    async def account(self, call: Call) -> Answer:
        """Return the account as it stands; of one the caller does not have nothing is told."""
        money = await self._place.desk.money(call.principal, call.query.account)
        return Answer(account_body(money))


def account_body(money: Money) -> wire.Account:
    """Return an account on the wire: equity is balance and unrealised result."""
    return wire.Account(
        plain(money.balance),
        plain(money.equity),
        plain(money.bound),
        plain(money.available),
        plain(money.unrealised),
        money.currency,
    )
