"""One market's order book as the venue keeps it: two ladders of bids, in whole numbers.

Prices are integers of 1/10_000 dollar, counts of 1/100 contract. Frames carry changes; a change
is one dict operation and yields the new size of its level. Sorting happens when somebody reads.
"""

from enum import Enum

from adapters.kalshi.messages import Book, Levels, Outcome
from framework.model.market_data import Level as PricedLevel

DOLLAR = 10_000  # the price of what pays for certain
CONTRACT = 100
INCONSISTENT = -1


class BookState(Enum):
    """Whether a book can be trusted, and if not, whether help is on the way."""

    LIVE = "live"
    RESYNCING = "resyncing"  # its snapshot is on the way, or asked for
    STALE = "stale"  # nobody can say when it comes


class Pursuit(Enum):
    """The strongest measure taken for a book since it was live, asking for it aside."""

    NEW = "new"  # it never was: the venue may not know the market
    NONE = "none"
    RESUBSCRIBED = "resubscribed"
    GIVEN_UP = "given_up"  # whatever may be tried was


class Ladders:
    """The resting yes bids and no bids of one market.

    It cannot be trusted, nor read, until the first snapshot and after each `invalidate` (B3).
    `is_yes_priced`: the no ladder is on the yes leg's scale already (`use_yes_price`).
    """

    __slots__ = (
        "_no",
        "_yes",
        "is_live",
        "is_yes_priced",
        "market",
        "pursuit",
        "reason",
        "since_ns",
        "state",
    )

    def __init__(self, market: str, *, is_yes_priced: bool, now_ns: int) -> None:
        self.market = market
        self.is_yes_priced = is_yes_priced
        self.state = BookState.STALE
        self.is_live = False  # `state is LIVE`, for the hot path
        self.pursuit = Pursuit.NEW
        self.reason = "not subscribed yet"
        self.since_ns = now_ns
        self._yes: dict[int, int] = {}  # price -> count
        self._no: dict[int, int] = {}

    def age_ns(self, now_ns: int) -> int:
        """Return how long the state has held."""
        return now_ns - self.since_ns

    def replace(self, snapshot: Book, now_ns: int) -> bool:
        """Take a whole new book; False if it has an impossible price, then nothing changed."""
        yes, no = _ladder(snapshot.yes), _ladder(snapshot.no)
        if yes is None or no is None:
            return False
        self._yes, self._no = yes, no
        if not self.is_live:
            self.state, self.reason, self.since_ns = BookState.LIVE, "", now_ns
            self.is_live, self.pursuit = True, Pursuit.NONE
        return True

    def change(self, side: Outcome, price: int, change: int) -> int:
        """Add a signed change to a level; return its new count, 0 when it is gone.

        INCONSISTENT: something is taken from a level that is not there, or the price cannot be;
        nothing changed, but the book cannot be true.
        """
        ladder = self._yes if side == "yes" else self._no
        count = ladder.get(price)
        if count is None:
            if change < 0 or not 0 < price < DOLLAR:
                return INCONSISTENT
            count = 0
        count += change
        if count > 0:
            ladder[price] = count
            return count
        ladder.pop(price, None)
        return 0

    def invalidate(self, state: BookState, reason: str, now_ns: int) -> None:
        """Trust the book no more; a reason given before stays while the state does."""
        if state is not self.state:
            self.state, self.reason, self.since_ns = state, reason, now_ns
            self.is_live = False

    def bids(self, side: Outcome) -> list[tuple[int, int]] | None:
        """Return (price, count) of one ladder by falling price, as on the wire; None: not live.

        With `use_yes_price` the best no bid is therefore the last.
        """
        if not self.is_live:
            return None
        return sorted((self._yes if side == "yes" else self._no).items(), reverse=True)

    def best(self, side: Outcome) -> tuple[int, int] | None:
        """Return price (on its own leg) and count of the best bid of one side, or None."""
        ladder = self._yes if side == "yes" else self._no
        if not self.is_live or not ladder:
            return None
        if side == "no" and self.is_yes_priced:
            price = min(ladder)
            return DOLLAR - price, ladder[price]
        price = max(ladder)
        return price, ladder[price]

    def yes_leg(self) -> tuple[tuple[PricedLevel, ...], tuple[PricedLevel, ...]] | None:
        """Return bids and asks of the yes contract, best first; None while not live.

        Bids are the yes ladder; asks are the no ladder at 1 - price with the same sizes.
        """
        if not self.is_live:
            return None
        bids = tuple(
            (price / DOLLAR, count / CONTRACT)
            for price, count in sorted(self._yes.items(), reverse=True)
        )
        no = self._no.items()
        asks = sorted((_ask_price(price, self.is_yes_priced), count) for price, count in no)
        return bids, tuple((price / DOLLAR, count / CONTRACT) for price, count in asks)

    def on_yes_leg(self, side: Outcome, price: int, count: int) -> tuple[bool, PricedLevel]:
        """Return whether a level is a bid for the yes contract, and its price and size there."""
        if side == "yes":
            return True, (price / DOLLAR, count / CONTRACT)
        return False, (_ask_price(price, self.is_yes_priced) / DOLLAR, count / CONTRACT)


def _ask_price(price: int, is_yes_priced: bool) -> int:
    return price if is_yes_priced else DOLLAR - price


def _ladder(levels: Levels) -> dict[int, int] | None:
    """Return the levels with something in them, or None if one has an impossible price."""
    ladder = {price: count for price, count in levels if count > 0}
    return ladder if all(0 < price < DOLLAR for price in ladder) else None
