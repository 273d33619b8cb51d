"""A session turned by hand: frames go in as structs, actions are kept in order."""

from random import Random
from typing import Any, TypeVar

import msgspec

from adapters.kalshi.actions import Action, Send
from adapters.kalshi.codec import Frame
from adapters.kalshi.ladders import BookState
from adapters.kalshi.messages import (
    Book,
    Level,
    Message,
    Okay,
    Outcome,
    Refusal,
    Subscribed,
    Trade,
    Unsubscribed,
)
from adapters.kalshi.policy import Policy
from adapters.kalshi.protocol import Session
from adapters.kalshi.subscription import Parameters, Subscription

A = TypeVar("A")
SECOND_NS = 1_000_000_000
MS_NS = 1_000_000


def frame(
    message: Message | None,
    *,
    sid: int | None = None,
    seq: int | None = None,
    id: int | None = None,
    type: str = "",
    error: str = "",
    stamp: int = 0,
) -> Frame:
    """Return a frame; its bytes say what it says, and `stamp` tells it from one that says so."""
    kind = type or message.__class__.__name__.lower()
    raw = repr((kind, sid, seq, id, message, stamp)).encode()
    return Frame(kind, sid, seq, id, message, raw, error)


def delta(
    sid: int,
    seq: int | None,
    market: str,
    price: int,
    change: int,
    *,
    side: Outcome = "yes",
    stamp: int = 0,
) -> Frame:
    """Return a change of one level."""
    return frame(Level(market, "", side, price, change), sid=sid, seq=seq, stamp=stamp)


def snapshot(
    sid: int,
    seq: int | None,
    market: str,
    yes: dict[int, int] | None = None,
    no: dict[int, int] | None = None,
    *,
    id: int | None = None,
    stamp: int = 0,
) -> Frame:
    """Return a whole book."""
    book = Book(market, "", tuple((yes or {}).items()), tuple((no or {}).items()))
    return frame(book, sid=sid, seq=seq, id=id, stamp=stamp)


def trade(sid: int, seq: int | None, market: str = "A", *, stamp: int = 0) -> Frame:
    """Return a trade."""
    return frame(Trade("t", market, 4_000, 6_000, 100, "yes"), sid=sid, seq=seq, stamp=stamp)


def subscribed(number: int | None, channel: str, sid: int) -> Frame:
    """Return an acknowledgement."""
    return frame(Subscribed(channel, sid), id=number)


def okay(number: int, sid: int | None = None, seq: int | None = None, **said: Any) -> Frame:
    """Return an `ok`."""
    return frame(Okay(**said), id=number, sid=sid, seq=seq)


def refusal(
    code: int, *, number: int | None = None, sid: int | None = None, seq: int | None = None
) -> Frame:
    """Return an error."""
    return frame(Refusal(code, f"code {code}"), id=number, sid=sid, seq=seq)


def unsubscribed(number: int | None, sid: int, seq: int | None = None) -> Frame:
    """Return the end of a sid."""
    return frame(Unsubscribed(), id=number, sid=sid, seq=seq)


class Rig:
    """An open session at time 0; `take` returns what it wanted since."""

    def __init__(self, policy: Policy | None = None, *, is_open: bool = True) -> None:
        self.actions: list[Action] = []
        self.session = Session(self.actions.append, random=Random(7), policy=policy)
        self.now_ns = 0
        if is_open:
            self.session.on_open(0)

    def subscribe(self, channel: str, *markets: str, **fields: Any) -> Subscription:
        """Ask for one channel."""
        parameters = Parameters(market_tickers=markets or None, **fields)
        (subscription,) = self.session.subscribe(channel, parameters=parameters, now_ns=self.now_ns)
        return subscription

    def books(self, *markets: str, sid: int = 3, **fields: Any) -> Subscription:
        """Return an acknowledged book subscription with its snapshots, numbered from 1."""
        subscription = self.subscribe("orderbook_delta", *markets, **fields)
        self.hear(subscribed(self.last_id, "orderbook_delta", sid))
        for number, market in enumerate(markets, 1):
            self.hear(snapshot(sid, number, market, {4_000: 500}, {5_500: 700}))
        self.take()
        return subscription

    @property
    def last_id(self) -> int:
        """The id of the newest command."""
        sends = [action for action in self.actions if isinstance(action, Send)]
        number = msgspec.json.decode(sends[-1].text)["id"]
        assert isinstance(number, int)
        return number

    def hear(self, *frames: Frame) -> None:
        """Let frames come in."""
        for one in frames:
            self.session.on_frame(one, self.now_ns)

    def wait(self, seconds: float) -> None:
        """Let time pass, waking the session whenever it asks for it."""
        end_ns = self.now_ns + round(seconds * SECOND_NS)
        while (wake_ns := self.session.wake_ns) is not None and wake_ns <= end_ns:
            self.now_ns = max(self.now_ns, wake_ns)
            self.session.on_time(self.now_ns)
        self.now_ns = end_ns

    def take(self) -> list[Action]:
        """Return the actions since the last call."""
        actions = self.actions[:]
        self.actions.clear()
        return actions

    def of(self, kind: type[A]) -> list[A]:
        """Return the actions of one kind that were not taken yet."""
        return [action for action in self.actions if isinstance(action, kind)]

    def commands(self) -> list[dict[str, Any]]:
        """Return the commands that were not taken yet, decoded."""
        return [msgspec.json.decode(action.text) for action in self.of(Send)]


def states(subscription: Subscription) -> dict[str, BookState]:
    """Return the state of each book."""
    return {market: ladders.state for market, ladders in subscription.books.items()}
