"""The broker simulator: sessions, faults by script, and the truth behind them.

It runs on any loop: over real sockets, or on the network of a simulated loop. It has no tasks,
only callbacks, so that a test may stop or crash whatever else runs on the loop.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import Any

import msgspec

from tests.broker import protocol as wire
from tests.broker.script import CALM, MILLISECOND_NS, Chances, Script
from tests.broker.session import Session
from tests.broker.trading import Trading
from tests.broker.truth import Books, NoOrder, Received, TrueExecution, TrueOrder

HEARTBEAT_S = 1.0


class Server:
    """Takes sessions and answers them; `books` is the truth, and outlives every session.

    Attributes:
        script: what goes wrong from now on.
        message_count: messages of broker sessions so far, received or sent.
        question_count: questions so far, answered or not.
        on_message: called before each of them has any effect.
    """

    def __init__(
        self,
        books: Books,
        *,
        random: Random,
        now_ns: Callable[[], int],
        script: Script = CALM,
        tick_ms: float = 0,
    ) -> None:
        self.books = books
        self.script = script
        self.message_count = 0
        self.question_count = 0
        self.on_message: Callable[[], None] | None = None
        self.is_down = False
        self._are_prices_held = False
        self.chances = Chances(random)
        self.sessions: list[Session] = []
        self._now_ns = now_ns
        self._tick_ms = tick_ms
        self._listener: asyncio.AbstractServer | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.trading = Trading(self)

    @property
    def now_ns(self) -> int:
        """The broker's clock."""
        return self._now_ns()

    async def start(self, host: str, port: int) -> int:
        """Listen and let time run; return the port."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Session(self), host, port)
        self._every("heartbeat", HEARTBEAT_S, self._beat)
        self.hold_prices(False)
        sockets = getattr(self._listener, "sockets", ())
        return int(sockets[0].getsockname()[1]) if sockets else port

    def close(self) -> None:
        """Stop listening, break every session, and let nothing more happen."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.trading.stop()
        if self._listener is not None:
            self._listener.close()
        for session in list(self.sessions):
            session.abort()

    def break_sessions(self) -> None:
        """Reset every connection that has logged in; a test's own connection stays."""
        for session in list(self.sessions):
            if session.account:
                session.abort()

    def restart(self, down_ms: float) -> None:
        """Go down: sessions break, and for `down_ms` nobody gets in. The books stay."""
        self.is_down = True
        self.break_sessions()
        asyncio.get_running_loop().call_later(down_ms / 1000, self._come_up)

    def hold_prices(self, is_held: bool) -> None:
        """Let prices stand still and untold, or move again: without them nobody trades."""
        self._are_prices_held = is_held
        tick = self._timers.pop("tick", None)
        if tick is not None:
            tick.cancel()
        if self._tick_ms and not is_held:
            self._every("tick", self._tick_ms / 1000, self.trading.move_price)

    def kill_after(self, pid: int, messages: int) -> None:
        """Kill a process with the n-th broker message from now on: -9, without a warning."""
        last = self.message_count + messages

        def on_message() -> None:
            if self.message_count >= last:
                self.on_message = None
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        self.on_message = on_message

    # -- what arrives ----------------------------------------------------------------------------

    def receive(self, session: Session, request: wire.Request) -> None:
        """Act on one request by the script."""
        if isinstance(request, wire.Control):
            result = self.control(request.verb, request.arguments)
            session.write(wire.ControlAnswer(request.request, result))
            return
        if isinstance(request, wire.Login):
            session.account, session.symbols = request.account, request.symbols
            self.say(session, wire.LoggedIn(request.request, self.now_ns))
            if not self._are_prices_held:
                self._tell_prices(session)
            return
        if not session.account:
            self.say(session, wire.Refused(request.request, "log in first", self.now_ns))
            return
        if isinstance(request, wire.Submit | wire.Cancel | wire.Modify):
            self._take(session, request)
        else:
            self._answer(session, request)

    def count_message(self, session: Session) -> bool:
        """Count a message of a broker session; tell whether the session survives it."""
        if not session.account or session.symbols:
            return True
        self.message_count += 1
        if self.on_message is not None:
            self.on_message()
        if self.chances.happens(self.script.restart):
            self.restart(self.script.down_ms)
            return False
        return not self.chances.happens(self.script.disconnect)

    def _take(self, session: Session, command: wire.Command) -> None:
        verb, account = type(command).__name__.lower(), session.account
        note = Received(self.now_ns, account, verb, command.client_id)
        self.books.received.append(note)
        if self.chances.happens(self.script.lose_request):
            return
        try:
            if isinstance(command, wire.Submit):
                self._submit(session, command)
            elif isinstance(command, wire.Cancel):
                self._cancel(session, command)
            else:
                self._modify(session, command)
        except NoOrder as error:
            self._reply(session, wire.Refused(command.request, str(error), self.now_ns))

    def _submit(self, session: Session, wish: wire.Submit) -> None:
        script, chances = self.script, self.chances
        chance = (
            script.reject if wish.stop_price is None else max(script.reject, script.reject_stops)
        )
        reject = "rejected by the script" if chances.happens(chance) else ""
        order = self.books.submit(session.account, wish, self.now_ns, reject=reject)
        if not order.is_working:
            self._reply(session, wire.Refused(wish.request, order.reason, self.now_ns))
            return
        if chances.happens(script.accept_last):
            self.trading.begin(order)
            hold_ms = script.part_ms * (script.most_parts + 1)
            self._reply(session, wire.Done(wish.request, order.row()), hold_ms=hold_ms)
            return
        self._reply(session, wire.Done(wish.request, order.row()))
        self.push_order(order)
        self.trading.begin(order)

    def _cancel(self, session: Session, command: wire.Cancel) -> None:
        order = self.books.working_order(session.account, command.client_id)
        if self.chances.happens(self.script.refuse_cancel):
            raise NoOrder("cancel refused by the script")
        self.trading.race(order)
        if not order.is_working:
            raise NoOrder(f"the order is {order.status}")
        self.books.end(order, self.now_ns, "cancelled as asked")
        self._reply(session, wire.Done(command.request, order.row()))
        self.push_order(order)

    def _modify(self, session: Session, command: wire.Modify) -> None:
        order = self.books.working_order(session.account, command.client_id)
        if self.chances.happens(self.script.refuse_change):
            raise NoOrder("change refused by the script")
        self.trading.race(order)
        if not order.is_working:
            raise NoOrder(f"the order is {order.status}")
        self.books.change(
            order,
            self.now_ns,
            revision=command.revision,
            quantity=command.quantity,
            price=command.price,
            stop_price=command.stop_price,
        )
        self._reply(session, wire.Done(command.request, order.row()))
        self.push_order(order)
        self.trading.begin(order)

    def _answer(self, session: Session, question: wire.Question) -> None:
        self.question_count += 1
        if self.chances.happens(self.script.ignore_questions):
            return
        if self.chances.happens(self.script.refuse_questions):
            self.say(session, wire.Refused(question.request, "too busy", self.now_ns))
            return
        self.say(session, self._word(session.account, question))

    def _word(self, account: str, question: wire.Question) -> wire.Answer:
        books, number, now_ns = self.books, question.request, self.now_ns
        if isinstance(question, wire.AskOrder):
            order = books.find(account, question.client_id)
            seen = order if order is not None and self._is_visible(order) else None
            return wire.OrderAnswer(number, None if seen is None else seen.row(), now_ns)
        if isinstance(question, wire.AskOpenOrders):
            orders = [o.row() for o in books.working_orders(account) if self._is_visible(o)]
            return wire.OrdersAnswer(number, tuple(orders), now_ns)
        if isinstance(question, wire.AskExecutions):
            since = books.executions_since(account, question.since_ns)
            rows = tuple(execution.row(books.currency) for execution in since)
            return wire.ExecutionsAnswer(number, rows, now_ns)
        if isinstance(question, wire.AskPositions):
            return wire.PositionsAnswer(number, books.positions(account), now_ns)
        return wire.BalancesAnswer(number, books.balances(account), now_ns)

    def _is_visible(self, order: TrueOrder) -> bool:
        delay_ns = round(self.script.visible_after_ms * MILLISECOND_NS)
        return self.now_ns >= order.created_ns + delay_ns

    # -- what is said ----------------------------------------------------------------------------

    def push_order(self, order: TrueOrder) -> None:
        """Tell the sessions of its account how an order stands."""
        self._push(order.account, wire.OrderPush(order.row()))

    def push_execution(self, execution: TrueExecution) -> None:
        """Tell the sessions of its account of an execution."""
        self._push(execution.order.account, wire.ExecutionPush(execution.row(self.books.currency)))

    def push_price(self, symbol: str) -> None:
        """Tell whoever watches the symbol its prices."""
        for session in list(self.sessions):
            if symbol in session.symbols:
                session.write(self._price(symbol))

    def say(self, session: Session, message: wire.Message, *, hold_ms: float = 0) -> None:
        """Send a message after the script's delay; later ones stay behind it unless held."""
        delay_ms = self.chances.between(*self.script.delay_ms)
        session.send_after(message, delay_ms, hold_ms)

    def _reply(self, session: Session, message: wire.Message, *, hold_ms: float = 0) -> None:
        if not self.chances.happens(self.script.lose_answer):
            self.say(session, message, hold_ms=hold_ms)

    def _push(self, account: str, message: wire.Push) -> None:
        script, chances = self.script, self.chances
        for session in list(self.sessions):
            if session.account != account or session.symbols:
                continue
            if chances.happens(script.lose_push):
                continue
            hold_ms = script.reorder_ms if chances.happens(script.reorder_push) else 0
            self.say(session, message, hold_ms=hold_ms)
            if chances.happens(script.repeat_push):
                self.say(session, message, hold_ms=hold_ms)

    def _price(self, symbol: str) -> wire.PricePush:
        bid, ask = self.books.prices[symbol]
        return wire.PricePush(symbol, float(bid), float(ask), self.now_ns)

    def _tell_prices(self, session: Session) -> None:
        for symbol in session.symbols:
            if symbol in self.books.prices:
                session.write(self._price(symbol))

    # -- what a test says ------------------------------------------------------------------------

    def control(self, verb: str, arguments: dict[str, Any]) -> Any:
        """Carry out a test's word: a public method of this class or its trading, by name."""
        if verb == "script":
            self.script = msgspec.convert(arguments, Script)
            return None
        if verb == "dump":
            return self.dump()
        if verb == "kill_after":
            return self.kill_after(**arguments)
        if verb == "trade_as_somebody":
            typed = {**arguments, "quantity": Decimal(arguments["quantity"])}
            return self.trading.trade_as_somebody(**typed)
        if verb in ("restart", "break_sessions", "hold_prices"):
            return getattr(self, verb)(**arguments)
        raise ValueError(f"there is no control verb {verb!r}")

    def dump(self) -> dict[str, Any]:
        """Return the whole truth in plain values."""
        books = self.books
        accounts = books.accounts()
        return {
            "orders": [msgspec.to_builtins(order) for order in books],
            "executions": [
                msgspec.to_builtins(execution.row(books.currency))
                for execution in books.executions.values()
            ],
            "positions": {name: msgspec.to_builtins(books.positions(name)) for name in accounts},
            "balances": {name: msgspec.to_builtins(books.balances(name)) for name in accounts},
            "received": msgspec.to_builtins(books.received),
            "sent_twice": books.sent_twice(),
            "is_idle": self.trading.is_idle,
            "message_count": self.message_count,
        }

    # -- time ------------------------------------------------------------------------------------

    def _come_up(self) -> None:
        self.is_down = False

    def _beat(self) -> None:
        for session in list(self.sessions):
            session.write(wire.Heartbeat(self.now_ns))

    def _every(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            self._timers[name] = loop.call_later(seconds, again)
            work()

        self._timers[name] = loop.call_later(seconds, again)
