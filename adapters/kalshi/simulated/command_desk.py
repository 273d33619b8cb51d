"""Carries out what clients ask for: the four commands, their replies and refusals (4, 5)."""

from typing import TYPE_CHECKING

from adapters.kalshi.simulated.channels import Channel, Profile
from adapters.kalshi.simulated.faults import RefuseCommands, SlowCommands
from adapters.kalshi.simulated.stream_commands import (
    CommandError,
    Envelope,
    Selection,
    Subscribe,
    Update,
    code_for,
    read_envelope,
    read_sids,
    read_subscribe,
    read_update,
    read_updated_sid,
    required_params,
)
from adapters.kalshi.simulated.stream_context import ReceivedCommand, StreamContext
from adapters.kalshi.simulated.stream_settings import SecondSubscribe, UnknownMarket
from adapters.kalshi.simulated.subscriptions import Subscription
from adapters.kalshi.simulated.wire_units import NS_PER_S

if TYPE_CHECKING:
    from adapters.kalshi.simulated.stream_session import StreamSession

BOOKS = "orderbook_delta"
COMMANDS = frozenset({"subscribe", "unsubscribe", "update_subscription", "list_subscriptions"})


class _Unanswered(Exception):
    """The command is not answered at all."""


class CommandDesk:
    """Takes the commands of one session."""

    def __init__(self, session: "StreamSession", context: StreamContext) -> None:
        self._session = session
        self._context = context

    def receive(self, data: str | bytes) -> None:
        """Note a text frame, and carry it out: at once, or later if a fault says so."""
        try:
            command = read_envelope(data)
        except CommandError as error:
            text = data if isinstance(data, str) else data.decode(errors="replace")
            self._note(unreadable=text)
            self._session.send_error(error.code)
            return
        self._note(command)
        slow = self._context.faults.condition(SlowCommands, self._session.number, cmd=command.cmd)
        if slow is None:
            self._handle(command)
            return
        due_ns = self._context.clock.now_ns + round(slow.delay_s * NS_PER_S)
        self._context.clock.call_at(due_ns, lambda: self._handle(command))

    def receive_binary(self, data: bytes) -> None:
        """Note and refuse a binary frame."""
        self._note(unreadable=data.decode(errors="replace"))
        self._session.send_error(1)

    def _note(self, command: Envelope | None = None, unreadable: str = "") -> None:
        self._context.commands.append(
            ReceivedCommand(
                connection=self._session.number,
                account=self._session.account,
                time_ns=self._context.clock.now_ns,
                id=command.id if command else 0,
                cmd=command.cmd if command else "",
                params=command.params if command else None,
                unreadable=unreadable,
            )
        )

    def _handle(self, command: Envelope) -> None:
        if self._session.is_gone:  # it may have been slow
            return
        try:
            self._carry_out(command)
        except CommandError as error:
            self._refuse(error, command.id)
        except _Unanswered:
            return

    def _refuse(self, error: CommandError, number: int) -> None:
        code = error.code if error.is_exact else code_for(error.code, self._context.profile)
        self._session.send_error(
            code, number=number, text=error.text, market_ticker=error.market_ticker
        )

    def _carry_out(self, command: Envelope) -> None:
        if command.cmd not in COMMANDS:
            raise CommandError(5)
        if command.cmd == "list_subscriptions":
            self._check_faults(command.cmd)
            self._list(command.id)
            return
        params = required_params(command)
        if command.cmd == "subscribe":
            self._subscribe(read_subscribe(params), command.id)
        elif command.cmd == "unsubscribe":
            self._unsubscribe(read_sids(params), command.id)
        else:
            sid = read_updated_sid(params)
            subscription = self._subscription(sid, command.cmd)
            self._count_command(subscription)
            self._update(subscription, read_update(params, sid), command.id)

    def _check_faults(self, cmd: str, sid: int = 0, channel: str = "") -> None:
        refusal = self._context.faults.condition(
            RefuseCommands, self._session.number, sid=sid, channel=channel, cmd=cmd
        )
        if refusal is not None:
            raise CommandError(refusal.code, text=refusal.text, is_exact=True)

    def _subscription(self, sid: int, cmd: str) -> Subscription:
        subscription = self._session.subscriptions.get(sid)
        if subscription is None:
            raise CommandError(7)
        self._check_faults(cmd, sid, subscription.channel.name)
        return subscription

    def _count_command(self, subscription: Subscription) -> None:
        second = self._context.clock.now_ns // NS_PER_S
        since, count = subscription.command_window
        count = count + 1 if since == second else 1
        subscription.command_window = (second, count)
        if count > self._context.settings.most_commands_per_s:
            raise CommandError(27)

    # -- subscribe -------------------------------------------------------------------------------

    def _subscribe(self, request: Subscribe, number: int) -> None:
        for name in request.channels:
            try:
                self._open(name, request, number)
            except CommandError as error:
                self._refuse(error, number)

    def _open(self, name: str, request: Subscribe, number: int) -> None:
        channel = self._context.channels.get(name)
        if channel is None:
            raise CommandError(8)
        self._check_faults("subscribe", channel=name)
        self._check_access(channel)
        if channel.needs is not None and not request.params.get(channel.needs[0]):
            raise CommandError(channel.needs[1])
        tickers = self._markets(channel, request)
        earlier = [s for s in self._session.subscriptions.values() if s.channel is channel]
        policy = self._context.settings.second_subscribe
        if earlier and policy is SecondSubscribe.ERROR:
            raise CommandError(6)
        if earlier and policy is SecondSubscribe.MERGE:
            added = self._join(earlier[0], tickers)
            self._okay(earlier[0], number)
            self._send_first(earlier[0], added, request.sends_initial_snapshot)
            return
        subscription = self._session.open(channel, tickers)
        subscription.uses_yes_price = request.uses_yes_price
        subscription.skips_ticker_ack = request.skips_ticker_ack
        subscription.names_market_ids = request.market_ids is not None
        subscription.shard = request.shard
        subscription.is_own_only = request.is_own_only
        self._session.acknowledge(subscription, number)
        self._send_first(subscription, tickers, request.sends_initial_snapshot)

    def _check_access(self, channel: Channel) -> None:
        is_private = channel.is_private or (
            channel.name == BOOKS and self._context.settings.has_private_books
        )
        if is_private and self._session.account is None:
            raise CommandError(9)

    def _markets(self, channel: Channel, request: Subscribe | Update) -> list[str] | None:
        """Return the tickers a command names; None: it names none, or the channel has no filter."""
        if channel.markets == "ignored":
            return None
        if request.market_ids is not None and not channel.takes_market_ids:
            raise CommandError(11)
        tickers = self._known(request.tickers, request.market_ids)
        if tickers is None and channel.markets == "required":
            raise CommandError(14)
        if tickers is not None and len(tickers) > self._context.settings.most_markets:
            raise CommandError(26)
        return tickers

    def _known(self, chosen: Selection, market_ids: Selection) -> list[str] | None:
        if market_ids is not None:
            tickers = self._context.tickers_of_ids(market_ids)
        elif chosen is not None:
            tickers = list(chosen)
        else:
            return None
        unknown = [t for t in tickers if not self._context.exchange.data.has_market(t)]
        if unknown and self._context.unknown_market is UnknownMarket.REFUSE:
            raise CommandError(16, market_ticker=unknown[0])
        if unknown and self._context.unknown_market is UnknownMarket.IGNORE:
            raise _Unanswered
        return tickers

    def _join(self, subscription: Subscription, tickers: list[str] | None) -> list[str] | None:
        """Add markets to a subscription and return the new ones (None: now it has all)."""
        if subscription.tickers is None:
            return []
        subscribers = self._context.subscribers
        if tickers is None:
            subscribers.remove(subscription)
            subscription.tickers = None
            subscribers.add(subscription)
            return None
        added = [ticker for ticker in tickers if ticker not in subscription.tickers]
        if len(subscription.tickers) + len(added) > self._context.settings.most_markets:
            raise CommandError(26)
        subscription.tickers |= dict.fromkeys(added)
        subscribers.add_markets(subscription, added)
        return added

    def _send_first(
        self, subscription: Subscription, tickers: list[str] | None, wants_ticker: bool
    ) -> None:
        """Send the books of new markets, or on request their tickers."""
        data = self._context.exchange.data
        if subscription.channel.name == BOOKS:
            for ticker in tickers or ():
                self._session.send_snapshot(subscription, ticker)
        elif subscription.channel.name == "ticker" and wants_ticker:
            chosen = [m.ticker for m in data.markets()] if tickers is None else tickers
            for ticker in filter(data.has_market, chosen):
                body = self._context.ticker_body(data.ticker(ticker))
                self._session.deliver(subscription, "ticker", body, ticker=ticker)

    # -- unsubscribe, list -----------------------------------------------------------------------

    def _unsubscribe(self, sids: tuple[int, ...], number: int) -> None:
        for sid in sids:
            try:
                subscription = self._subscription(sid, "unsubscribe")
            except CommandError as error:
                self._refuse(error, number)
                continue
            self._session.remove(subscription)
            self._session.reply("unsubscribed", number, subscription)

    def _list(self, number: int) -> None:
        listed = [
            {"channel": subscription.channel.name, "sid": sid}
            for sid, subscription in self._session.subscriptions.items()
        ]
        if self._context.profile is Profile.LEGACY:  # older servers: at the top level
            self._session.reply("ok", number, subscriptions=listed)
        else:
            self._session.reply("ok", number, msg=listed)

    # -- update_subscription ---------------------------------------------------------------------

    def _update(self, subscription: Subscription, update: Update, number: int) -> None:
        channel = subscription.channel
        allowed = {"add_markets", "delete_markets"} if channel.markets != "ignored" else set()
        if channel.name == BOOKS and self._context.profile is Profile.CURRENT:
            allowed.add("get_snapshot")
        if update.action not in allowed:
            raise CommandError(13)
        if update.tickers is None and update.market_ids is None:
            raise CommandError(14)
        tickers = self._markets(channel, update) or []
        if update.action == "get_snapshot":
            self._send_asked(subscription, tickers, number)
        elif update.action == "add_markets":
            added = self._join(subscription, tickers)
            self._okay(subscription, number)
            self._send_first(subscription, added, update.sends_initial_snapshot)
        else:
            self._leave(subscription, tickers)
            self._okay(subscription, number)

    def _send_asked(self, subscription: Subscription, tickers: list[str], number: int) -> None:
        foreign = [ticker for ticker in tickers if ticker not in (subscription.tickers or ())]
        if foreign:
            raise CommandError(11, market_ticker=foreign[0])
        for ticker in tickers:
            self._session.send_snapshot(subscription, ticker, number)

    def _leave(self, subscription: Subscription, tickers: list[str]) -> None:
        if subscription.tickers is None:  # every market: there is none to take out
            return
        leaving = [ticker for ticker in tickers if ticker in subscription.tickers]
        self._context.subscribers.remove_markets(subscription, leaving)
        for ticker in leaving:
            del subscription.tickers[ticker]
            subscription.deferred.pop(ticker, None)

    def _okay(self, subscription: Subscription, number: int) -> None:
        """Answer an update with the markets it leads to, unless the client wants no lists."""
        if subscription.skips_ticker_ack:
            self._session.reply("ok", number, subscription)
            return
        tickers = sorted(subscription.tickers or ())
        lists = {"market_tickers": tickers}
        if subscription.names_market_ids:
            data = self._context.exchange.data
            known = filter(data.has_market, tickers)
            lists["market_ids"] = [data.market(ticker).market_id for ticker in known]
        if self._context.profile is Profile.LEGACY:
            self._session.reply("ok", number, subscription, **lists)
        else:
            self._session.reply("ok", number, subscription, msg=lists)
