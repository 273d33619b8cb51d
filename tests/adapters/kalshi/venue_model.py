"""A small venue with a truth: it numbers frames as section 6 says, over a line that errs."""

from collections import deque
from random import Random
from typing import Any, Literal

import msgspec

from adapters.kalshi.codec import Frame
from adapters.kalshi.messages import Outcome
from tests.adapters.kalshi.session_rig import (
    delta,
    okay,
    refusal,
    snapshot,
    subscribed,
    unsubscribed,
)

Second = Literal["separate", "merge", "refuse"]
"""What a second subscribe of the channel leads to (S17)."""

Sides = dict[str, dict[int, int]]
Truth = dict[str, Sides]


class Faults(msgspec.Struct, frozen=True):
    """Chances per frame, or per step."""

    loss: float = 0.02
    repeat: float = 0.02
    late_repeat: float = 0.005
    swap: float = 0.02
    restart: float = 0.002
    drop: float = 0.001  # the connection, per step
    early: float = 0.3  # data before its acknowledgement
    lost_reply: float = 0.02


CALM = Faults(0, 0, 0, 0, 0, 0, 0, 0)


class Sid:
    """One server subscription."""

    def __init__(self, markets: list[str]) -> None:
        self.markets = markets
        self.seq = 0


class VenueModel:
    """Truth, sids, and what is on its way to the client."""

    def __init__(
        self,
        random: Random,
        markets: list[str],
        *,
        has_snapshots: bool = True,
        second: Second = "separate",
    ) -> None:
        self.faults = CALM
        self.truth: Truth = {market: {"yes": {}, "no": {}} for market in markets}
        self.truth_at: dict[bytes, Truth] = {}  # by frame: how things stood after it
        self.line: deque[Frame] = deque()
        self.commands: list[dict[str, Any]] = []
        self._random = random
        self._has_snapshots = has_snapshots
        self._second = second
        self._sids: dict[int, Sid] = {}
        self._sid_count = 0
        self._stamp = 0
        self._fresh_count = 0  # frames on the line since a counter began anew
        self._kept: Frame | None = None  # to be sent again some time
        for _ in range(5 * len(markets)):
            self.move()

    def disconnect(self) -> None:
        """Forget the connection."""
        self._sids.clear()
        self.line.clear()

    def move(self) -> None:
        """Change one level somewhere, and tell who wants to know."""
        random = self._random
        for number, sid in self._sids.items():
            self._restart_perhaps(number, sid)
        market = random.choice(list(self.truth))
        sides: tuple[Outcome, Outcome] = ("yes", "no")
        side = random.choice(sides)
        ladder = self.truth[market][side]
        price = random.randrange(1, 12) * 100
        there = ladder.get(price, 0)
        change = -random.randint(1, there) if there and random.random() < 0.6 else 0
        change = change or random.randint(1, 900)
        ladder[price] = there + change
        if not ladder[price]:
            del ladder[price]
        for number, sid in self._sids.items():
            if market in sid.markets:
                self._stamp += 1
                sid.seq += 1
                self._tell(
                    delta(number, sid.seq, market, price, change, side=side, stamp=self._stamp)
                )

    def obey(self, text: bytes) -> None:
        """Take one command."""
        command = msgspec.json.decode(text)
        self.commands.append(command)
        number, parameters = command["id"], command.get("params", {})
        match command["cmd"]:
            case "subscribe":
                self._subscribe(number, parameters)
            case "unsubscribe":
                for sid in parameters["sids"]:
                    if self._sids.pop(sid, None) is None:
                        self._reply(refusal(7, number=number))
                    else:
                        self._reply(unsubscribed(number, sid))
            case "list_subscriptions":
                listed = tuple(("orderbook_delta", sid) for sid in self._sids)
                self._reply(okay(number, subscriptions=listed))
            case "update_subscription":
                self._update(number, parameters)

    def _subscribe(self, number: int, parameters: dict[str, Any]) -> None:
        if self._sids and self._second != "separate":
            self._subscribe_again(number, parameters)
            return
        self._sid_count += 1
        sid = Sid(parameters["market_tickers"])
        self._sids[self._sid_count] = sid
        acknowledgement = subscribed(number, "orderbook_delta", self._sid_count)
        if self._random.random() < self.faults.early:
            self._snapshots(self._sid_count, sid, sid.markets)
            self._reply(acknowledgement)
        else:
            self._reply(acknowledgement)
            self._snapshots(self._sid_count, sid, sid.markets)

    def _subscribe_again(self, number: int, parameters: dict[str, Any]) -> None:
        if self._second == "refuse":
            self._reply(refusal(6, number=number))
            return
        [(old, sid)] = self._sids.items()
        new = [market for market in parameters["market_tickers"] if market not in sid.markets]
        sid.markets = [*sid.markets, *new]
        sid.seq += 1
        self._reply(okay(number, old, sid.seq))
        self._snapshots(old, sid, parameters["market_tickers"])

    def _update(self, number: int, parameters: dict[str, Any]) -> None:
        sid = self._sids.get(parameters["sids"][0])
        if sid is None:
            self._reply(refusal(7, number=number))
        elif parameters["action"] != "get_snapshot":
            markets = parameters["market_tickers"]
            if parameters["action"] == "add_markets":
                sid.markets = [*sid.markets, *markets]
            else:
                sid.markets = [market for market in sid.markets if market not in markets]
            sid.seq += 1
            self._reply(okay(number, parameters["sids"][0], sid.seq))
            if parameters["action"] == "add_markets":
                self._snapshots(parameters["sids"][0], sid, markets)
        elif self._has_snapshots:
            self._snapshots(parameters["sids"][0], sid, parameters["market_tickers"], id=number)
        else:
            self._reply(refusal(13, number=number))

    def _snapshots(
        self,
        number: int,
        sid: Sid,
        markets: list[str],
        *,
        id: int | None = None,
    ) -> None:
        for market in markets:
            self._stamp += 1
            sid.seq += 1
            sides = self.truth[market]
            said = snapshot(
                number, sid.seq, market, sides["yes"], sides["no"], id=id, stamp=self._stamp
            )
            self._tell(said)

    def _restart_perhaps(self, number: int, sid: Sid) -> None:
        if self._random.random() < self.faults.restart:
            sid.seq = 0
            self._kept, self._fresh_count = None, 0  # before and after could not be told apart
            if self._random.random() < 0.5:
                self._snapshots(number, sid, sid.markets)

    def _reply(self, said: Frame) -> None:
        if self._random.random() >= self.faults.lost_reply:
            self.line.append(said)

    def _tell(self, said: Frame) -> None:
        """Put a data frame on the line, if it does not get lost, and perhaps in another place."""
        self.truth_at[said.raw] = {
            market: {side: dict(ladder) for side, ladder in sides.items()}
            for market, sides in self.truth.items()
        }
        random, faults, line = self._random, self.faults, self.line
        if random.random() < faults.loss:
            return
        line.append(said)
        if random.random() < faults.swap:
            back = min(random.randint(1, 6), self._fresh_count, len(line) - 1)
            line.insert(len(line) - 1 - back, line.pop())
        self._fresh_count += 1
        if random.random() < faults.repeat:
            line.append(said)
        if random.random() < faults.late_repeat:
            line.extend([self._kept] if self._kept is not None else [])
            self._kept = said
