"""Order groups: create, read, change the limit, trigger, reset, delete."""

from adapters.kalshi.simulated.call import Answer, Call, Route
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.http_orders import write
from adapters.kalshi.simulated.portfolio_bodies import group_body
from adapters.kalshi.simulated.requests import GroupLimit, Nothing, read_count

PATH = "/portfolio/order_groups"


class GroupCalls:
    """What an account may do with its order groups."""

    def __init__(self, exchange: Exchange, profile: Profile) -> None:
        self._groups = exchange.groups
        self._profile = profile

    def routes(self) -> list[Route]:
        """Return the routes."""
        group = PATH + "/{group_id}"
        return [
            Route(method="GET", path=PATH, handle=self.all_groups),
            Route(method="GET", path=group, handle=self.group),
            Route(method="DELETE", path=group, handle=self.delete),
            write("POST", f"{PATH}/create", self.create),
            write("PUT", f"{group}/reset", self.reset),
            write("PUT", f"{group}/trigger", self.trigger),
            write("PUT", f"{group}/limit", self.set_limit),
        ]

    def all_groups(self, call: Call) -> Answer:
        """Return all groups, without their orders."""
        groups = self._groups.list(call.account)
        bodies = [{"id": group.group_id, **group_body(group, self._profile)} for group in groups]
        return Answer({"order_groups": bodies})

    def group(self, call: Call) -> Answer:
        """Return one group and its resting orders."""
        group = self._groups.get(call.account, call.parts["group_id"])
        return Answer({**group_body(group, self._profile), "orders": list(group.order_ids)})

    def create(self, call: Call) -> Answer:
        """Create a group."""
        asked = call.read(GroupLimit)
        limit = read_count(asked.contracts_limit, asked.contracts_limit_fp)
        group = self._groups.create(call.account, limit, asked.subaccount or 0)
        return Answer({"order_group_id": group.group_id}, 201)

    def delete(self, call: Call) -> Answer:
        """Delete a group and cancel its orders."""
        self._groups.delete(call.account, call.parts["group_id"])
        return Answer({})

    def reset(self, call: Call) -> Answer:
        """Let a triggered group take orders again."""
        call.read(Nothing)
        self._groups.reset(call.account, call.parts["group_id"])
        return Answer({})

    def trigger(self, call: Call) -> Answer:
        """Cancel a group's orders and take no new ones until it is reset."""
        call.read(Nothing)
        self._groups.trigger(call.account, call.parts["group_id"])
        return Answer({})

    def set_limit(self, call: Call) -> Answer:
        """Change how much a group may match in its window."""
        asked = call.read(GroupLimit)
        limit = read_count(asked.contracts_limit, asked.contracts_limit_fp)
        self._groups.set_limit(call.account, call.parts["group_id"], limit)
        return Answer({})
