"""The wire adapter to the broker simulator: what a real venue's adapter has to do, in small.

It never sends anything twice or by itself: a request without an answer is in doubt, a request
without a connection has not left. Orders that this process sent are told as facts, all others
(an earlier process's, somebody else's) as reports.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from types import ModuleType
from typing import Any, TypeVar

import msgspec

from framework.errors import UnknownInstrument, VenueError, VenueUnavailable
from framework.interfaces import Adapter, AdapterContext, BrokerCapabilities
from framework.model.commands import SubmitOrder, VenueCommand
from framework.model.identity import instrument_id, symbol_of
from framework.model.instrument import Instrument
from framework.model.market_data import Candle, Quote
from framework.model.orders import OrderType
from framework.model.venue_state import (
    BalanceReport,
    ExecutionReport,
    OrderReport,
    PositionReport,
)
from framework.runtime.adapters import Build
from framework.settings.decoding import decode_section
from framework.settings.structs import InstrumentSettings
from tests.broker import protocol as wire
from tests.broker import words
from tests.broker.link import Link, LinkSettings

A = TypeVar("A", bound=msgspec.Struct)

PLAIN_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT})
ORDER_TYPES = PLAIN_TYPES | {OrderType.STOP, OrderType.STOP_LIMIT}


class WireSettings(LinkSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `settings:` of a venue behind this adapter; `has_stops`: what it says it can."""

    account: str
    has_stops: bool = True
    visibility_delay_ms: int = 0


class WireFeed:
    """Quotes of the broker's symbols, as they come."""

    def __init__(
        self, instruments: Sequence[Instrument], settings: WireSettings, context: AdapterContext
    ) -> None:
        self.instruments = tuple(instruments)
        self._context = context
        self._wanted: Counter[str] = Counter()
        self._link = Link(
            "feed",
            settings,
            context,
            login=self._login,
            on_message=self._on_message,
            on_lost=_forget,
        )

    def subscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Ask for quotes; counted. Raises UnknownInstrument, VenueError."""
        if instrument not in {known.id for known in self.instruments}:
            raise UnknownInstrument(instrument)
        if channel not in ("quotes", "trades"):  # a simulated venue asks for both: one is enough
            raise VenueError(f"the broker simulator has no channel {channel!r}")
        self._wanted[instrument] += 1

    def unsubscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Take one request back."""
        self._wanted[instrument] -= 1

    async def history(
        self, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """Return nothing: the broker keeps no past prices."""
        return []

    async def run(self) -> None:
        """Publish quotes until cancelled."""
        await self._link.run()

    def close(self) -> None:
        """Break the connection."""
        self._link.close()

    def _login(self) -> wire.Login:
        symbols = tuple(symbol_of(instrument.id) for instrument in self.instruments)
        return wire.Login(0, "feed", symbols)

    def _on_message(self, message: wire.Message) -> None:
        if not isinstance(message, wire.PricePush):
            return
        name = instrument_id(self._context.venue, message.symbol)
        if self._wanted[name] > 0:
            now_ns = self._context.clock.now_ns
            quote = Quote(name, message.time_ns, now_ns, message.bid, message.ask, 1e6, 1e6)
            self._context.publish(quote)


class OpenRequest(msgspec.Struct):
    """A command that left and has no answer yet."""

    command: VenueCommand
    timer: asyncio.TimerHandle
    is_doubted: bool = False


class WireBroker:
    """Order entry and questions over one session."""

    def __init__(self, settings: WireSettings, context: AdapterContext) -> None:
        self.capabilities = BrokerCapabilities(
            order_types=ORDER_TYPES if settings.has_stops else PLAIN_TYPES,
            visibility_delay_ms=settings.visibility_delay_ms,
        )
        self._settings = settings
        self._context = context
        self._numbers = count(1)
        self._commands: dict[int, OpenRequest] = {}
        self._questions: dict[int, asyncio.Future[wire.Message]] = {}
        self._revisions: dict[str, int] = {}  # newest told, of the orders sent by this process
        self._link = Link(
            "broker",
            settings,
            context,
            login=lambda: wire.Login(0, settings.account),
            on_message=self._on_message,
            on_lost=self._on_lost,
        )

    def send(self, command: VenueCommand) -> None:
        """Write one command to the socket now, or say that it could not be sent."""
        number = next(self._numbers)
        if isinstance(command, SubmitOrder):
            self._revisions.setdefault(command.order_id, 0)
        if not self._link.write(words.request_of(command, number)):
            self._context.publish(words.unsent(command, self._now_ns))
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._settings.answer_s, self._time_out, number)
        self._commands[number] = OpenRequest(command, timer)

    async def run(self) -> None:
        """Own the connection until cancelled."""
        try:
            await self._link.run()
        finally:
            for request in self._commands.values():
                request.timer.cancel()
            self._commands.clear()

    def close(self) -> None:
        """Break the connection: nothing leaves from now on."""
        self._link.close()

    def hang_up(self, *, delivers: bool) -> None:
        """Be gone as a dead process is."""
        self._link.hang_up(delivers=delivers)

    # -- questions -------------------------------------------------------------------------------

    async def order(self, account: str, order_id: str) -> OrderReport | None:
        """Return the order that carries our id, or None."""
        question = wire.AskOrder(next(self._numbers), order_id)
        row = (await self._ask(account, question, wire.OrderAnswer)).order
        return None if row is None else words.order_report(row, account, self._venue)

    async def open_orders(self, account: str) -> list[OrderReport]:
        """Return every working order."""
        question = wire.AskOpenOrders(next(self._numbers))
        rows = (await self._ask(account, question, wire.OrdersAnswer)).orders
        return [words.order_report(row, account, self._venue) for row in rows]

    async def executions(self, account: str, since_ns: int) -> list[ExecutionReport]:
        """Return every execution since then, oldest first."""
        question = wire.AskExecutions(next(self._numbers), since_ns)
        rows = (await self._ask(account, question, wire.ExecutionsAnswer)).executions
        return [words.execution_report(row, account, self._venue) for row in rows]

    async def positions(self, account: str) -> list[PositionReport]:
        """Return what the account holds."""
        question = wire.AskPositions(next(self._numbers))
        answer = await self._ask(account, question, wire.PositionsAnswer)
        return [
            PositionReport(
                account, instrument_id(self._venue, row.symbol), row.quantity, answer.time_ns
            )
            for row in answer.positions
        ]

    async def balances(self, account: str) -> list[BalanceReport]:
        """Return the account's cash."""
        question = wire.AskBalances(next(self._numbers))
        answer = await self._ask(account, question, wire.BalancesAnswer)
        return [
            BalanceReport(account, row.currency, row.total, answer.time_ns)
            for row in answer.balances
        ]

    async def _ask(self, account: str, question: wire.Question, kind: type[A]) -> A:
        """Return the answer. Raises VenueUnavailable: there was none, or it was a refusal."""
        if account != self._settings.account:
            raise VenueError(f"this link is of account {self._settings.account!r}")
        number = question.request
        future: asyncio.Future[wire.Message] = asyncio.get_running_loop().create_future()
        self._questions[number] = future
        try:
            if not self._link.write(question):
                raise VenueUnavailable("not connected")
            async with asyncio.timeout(self._settings.answer_s):
                answer = await future
        except TimeoutError as error:
            raise VenueUnavailable(f"no answer within {self._settings.answer_s} s") from error
        finally:
            self._questions.pop(number, None)
        if not isinstance(answer, kind):
            raise VenueUnavailable(f"answered by {answer}")
        return answer

    # -- what comes in ---------------------------------------------------------------------------

    @property
    def _now_ns(self) -> int:
        return self._context.clock.now_ns

    @property
    def _venue(self) -> str:
        return self._context.venue

    def _on_message(self, message: wire.Message) -> None:
        if isinstance(message, wire.OrderPush):
            self._tell_order(message.order)
        elif isinstance(message, wire.ExecutionPush):
            self._tell_execution(message.execution)
        elif isinstance(message, wire.Done | wire.Refused):
            self._on_answer(message)
        elif not isinstance(message, wire.PricePush | wire.LoggedIn | wire.Heartbeat):
            self._settle(message.request, message)

    def _on_answer(self, answer: wire.Done | wire.Refused) -> None:
        request = self._commands.pop(answer.request, None)
        if request is None:
            self._settle(answer.request, answer)
            return
        request.timer.cancel()
        if isinstance(answer, wire.Done):
            self._tell_order(answer.order)
        else:
            self._context.publish(words.refused(request.command, answer))

    def _settle(self, number: int, answer: wire.Message) -> None:
        future = self._questions.get(number)
        if future is not None and not future.done():
            future.set_result(answer)

    def _tell_order(self, row: wire.OrderRow) -> None:
        known = self._revisions.get(row.client_id)
        if known is None:
            account = self._settings.account
            self._context.publish(words.order_report(row, account, self._venue))
            return
        self._revisions[row.client_id] = max(known, row.revision)
        for fact in words.facts_of(row, known_revision=known):
            self._context.publish(fact)

    def _tell_execution(self, row: wire.ExecutionRow) -> None:
        if row.client_id in self._revisions:
            self._context.publish(words.execution_fact(row))
        else:
            account = self._settings.account
            self._context.publish(words.execution_report(row, account, self._venue))

    # -- what does not ---------------------------------------------------------------------------

    def _time_out(self, number: int) -> None:
        """Doubt a request; its answer may still come."""
        request = self._commands[number]
        request.is_doubted = True
        reason = f"no answer within {self._settings.answer_s} s"
        self._context.publish(words.in_doubt(request.command, reason, self._now_ns))

    def _on_lost(self, reason: str) -> None:
        """Doubt whatever has no answer: it will not come any more."""
        commands, self._commands = self._commands, {}
        for request in commands.values():
            request.timer.cancel()
        for future in self._questions.values():
            if not future.done():
                future.set_exception(VenueUnavailable(f"the connection was lost: {reason}"))
        for request in commands.values():
            if not request.is_doubted:
                self._context.publish(words.in_doubt(request.command, reason, self._now_ns))


def build(section: Mapping[str, Any], context: AdapterContext) -> Adapter:
    """Return the adapter of a venue's section: its `settings` and `instruments`."""
    settings = decode_section(section.get("settings"), WireSettings, key="settings")
    listed = msgspec.convert(section.get("instruments") or [], list[InstrumentSettings])
    instruments = [item.to_instrument(context.venue) for item in listed]
    feed = WireFeed(instruments, settings, context)
    broker = WireBroker(settings, context)

    async def close() -> None:
        broker.close()
        feed.close()

    return Adapter(feed=feed, broker=broker, close=close)


def install(build: Build = build) -> None:
    """Let configurations name `adapter: wire`, and get what `build` makes."""
    module = ModuleType("adapters.wire")
    module.__dict__["build"] = build
    sys.modules[module.__name__] = module


def _forget(reason: str) -> None:
    """Do nothing: prices that were missed are gone."""
