"""Order groups: a cap on what their orders match within the rolling window."""

from collections.abc import Sequence

from adapters.kalshi.simulated.domain import OrderGroup, Refusal
from adapters.kalshi.simulated.emitted import GroupChanged, GroupEvent
from adapters.kalshi.simulated.executions import Executions
from adapters.kalshi.simulated.floor import Floor
from adapters.kalshi.simulated.group_limits import GroupLimit, GroupLimits


class Groups:
    """What members do with their groups. Unknown groups are refused with 404."""

    def __init__(self, floor: Floor, limits: GroupLimits, executions: Executions) -> None:
        self._floor = floor
        self._limits = limits
        self._executions = executions

    def create(self, account: str, contracts_limit: int, subaccount: int = 0) -> OrderGroup:
        """Create a group. Raises Refusal 400 unless the limit is more than nothing."""
        name = self._floor.accounts[account].name
        _check(contracts_limit)
        group = GroupLimit(self._floor.make_id(), name, contracts_limit, subaccount)
        self._limits.add(group)
        self._tell(group, "created")
        return self._shown(group)

    def get(self, account: str, group_id: str) -> OrderGroup:
        """Return a group with the ids of its resting orders."""
        return self._shown(self._limits.get(account, group_id))

    def delete(self, account: str, group_id: str) -> None:
        """Cancel a group's orders and forget it."""
        group = self._limits.get(account, group_id)
        self._executions.cancel_members(group)
        self._limits.remove(group_id)
        self._tell(group, "deleted")
        self._executions.finish()

    def reset(self, account: str, group_id: str) -> None:
        """Let a group's orders in again, and begin to count anew."""
        group = self._limits.get(account, group_id)
        group.reset()
        self._tell(group, "reset")

    def trigger(self, account: str, group_id: str) -> None:
        """Cancel a group's orders, and let no new ones in until it is reset."""
        self._executions.trigger(self._limits.get(account, group_id))
        self._executions.finish()

    def set_limit(self, account: str, group_id: str, contracts_limit: int) -> None:
        """Change a group's limit; one that is reached already triggers it."""
        group = self._limits.get(account, group_id)
        _check(contracts_limit)
        group.contracts_limit = contracts_limit
        self._tell(group, "limit_updated")
        self._limits.judge(group_id)
        self._executions.finish()

    def list(self, account: str) -> Sequence[OrderGroup]:
        """Return an account's groups, oldest first."""
        return [self._shown(group) for group in self._limits.of(account)]

    def _tell(self, group: GroupLimit, event_type: GroupEvent) -> None:
        now_ns = self._floor.clock.now_ns
        limit = group.contracts_limit
        self._floor.emit(GroupChanged(group.account, event_type, group.group_id, limit, now_ns))

    def _shown(self, group: GroupLimit) -> OrderGroup:
        return OrderGroup(
            group_id=group.group_id,
            account=group.account,
            contracts_limit=group.contracts_limit,
            is_triggered=group.is_triggered,
            order_ids=tuple(order.order_id for order in self._executions.members(group)),
            subaccount=group.subaccount,
        )


def _check(contracts_limit: int) -> None:
    if contracts_limit <= 0:
        raise Refusal(400, "invalid_parameters", f"no limit of {contracts_limit}")
