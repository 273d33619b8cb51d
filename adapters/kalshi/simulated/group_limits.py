"""How much each order group has matched lately, and whether that is too much."""

from collections import deque

from adapters.kalshi.simulated.domain import Refusal


class GroupLimit:
    """One group: its limit on what its orders match within the rolling window."""

    def __init__(self, group_id: str, account: str, contracts_limit: int, subaccount: int) -> None:
        self.group_id = group_id
        self.account = account
        self.contracts_limit = contracts_limit
        self.subaccount = subaccount
        self.is_triggered = False
        self._matched: deque[tuple[int, int]] = deque()  # (time, count), oldest first
        self._total = 0

    def note(self, count: int, time_ns: int) -> None:
        """Add a match."""
        self._matched.append((time_ns, count))
        self._total += count

    def is_due(self, since_ns: int) -> bool:
        """Whether what was matched after `since_ns` reaches the limit."""
        while self._matched and self._matched[0][0] <= since_ns:
            self._total -= self._matched.popleft()[1]
        return not self.is_triggered and self._total >= self.contracts_limit

    def reset(self) -> None:
        """Begin again."""
        self.is_triggered = False
        self._matched.clear()
        self._total = 0


class GroupLimits:
    """All groups, by id."""

    def __init__(self, window_s: int) -> None:
        self._window_ns = window_s * 1_000_000_000
        self._groups: dict[str, GroupLimit] = {}
        self._changed: dict[str, None] = {}  # groups to judge at the end of the request

    def add(self, group: GroupLimit) -> None:
        """Take in a new group."""
        self._groups[group.group_id] = group

    def remove(self, group_id: str) -> None:
        """Forget a group."""
        del self._groups[group_id]
        self._changed.pop(group_id, None)

    def of(self, account: str) -> list[GroupLimit]:
        """Return an account's groups, oldest first."""
        return [group for group in self._groups.values() if group.account == account]

    def get(self, account: str, group_id: str) -> GroupLimit:
        """Return an account's group. Raises Refusal 404."""
        group = self._groups.get(group_id)
        if group is None or group.account != account:
            raise Refusal(404, "not_found", f"no order group {group_id!r}")
        return group

    def note(self, group_id: str, count: int, time_ns: int) -> None:
        """Add a match of a group's order; the group may be gone by now."""
        if group := self._groups.get(group_id):
            group.note(count, time_ns)
            self._changed[group_id] = None

    def judge(self, group_id: str) -> None:
        """Look at a group's limit at the end of the request."""
        self._changed[group_id] = None

    def take_due(self, now_ns: int) -> list[GroupLimit]:
        """Return the groups of this request that reached their limit."""
        changed, self._changed = self._changed, {}
        return [
            self._groups[group_id]
            for group_id in changed
            if self._groups[group_id].is_due(now_ns - self._window_ns)
        ]
