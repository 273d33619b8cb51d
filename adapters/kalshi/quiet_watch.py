"""Notices order-book subscriptions that say nothing although the connection is up (B12).

A quiet market and a mute subscription look alike, so it asks: after `quiet_s` without a frame for
the books, which any living subscription answers, and after twice that it subscribes anew.
"""

from collections.abc import Callable

from adapters.kalshi.connection import KalshiConnection
from adapters.kalshi.subscription import Subscription
from framework.interfaces import Clock, TimerHandle

NS_PER_S = 1_000_000_000


OnQuiet = Callable[[Subscription, int], None]
"""Told of a subscription, and for how many nanoseconds it has said nothing."""


class QuietWatch:
    """Looks four times per `quiet_s`, for as long as it runs.

    `on_quiet` is told of a mute subscription just before it is subscribed anew.
    """

    def __init__(
        self,
        connection: KalshiConnection,
        clock: Clock,
        *,
        quiet_s: float,
        on_quiet: OnQuiet,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._quiet_ns = round(quiet_s * NS_PER_S)
        self._on_quiet = on_quiet
        self._asked: set[int] = set()
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Look later, and go on."""
        due_ns = self._clock.now_ns + self._quiet_ns // 4
        self._timer = self._clock.call_at(due_ns, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now_ns = self._clock.now_ns
        for subscription in self._connection.session.subscriptions:
            heard_ns = max(subscription.statistics.last_frame_ns, subscription.live_since_ns)
            age_ns = now_ns - heard_ns
            if not subscription.has_books or subscription.sid is None or age_ns < self._quiet_ns:
                self._asked.discard(subscription.id)
            elif subscription.id not in self._asked:
                self._asked.add(subscription.id)
                self._connection.request_snapshots(subscription, tuple(subscription.markets))
            elif age_ns >= 2 * self._quiet_ns:
                self._asked.discard(subscription.id)
                self._on_quiet(subscription, age_ns)
                self._connection.resubscribe(subscription, "it said nothing, asked or not")
        self.start()
