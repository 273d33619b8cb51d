"""The control interface in the process: what a test can see (S15)."""

from adapters.kalshi.simulated.control import ConnectionReport, SubscriptionReport
from adapters.kalshi.simulated.faults import FaultRates, Lose
from tests.adapters.kalshi.simulated.stream_rig import BOS, NYC, SECOND_NS, START_NS, Rig

BOOKS = "orderbook_delta"


def test_every_command_is_listed_whatever_became_of_it() -> None:
    """S15: refused and unreadable ones too, with connection, account and time."""
    rig = Rig()
    alice, nobody = rig.peer("alice"), rig.peer(None)

    alice.subscribe(BOOKS)
    rig.after(1)
    nobody.say("subscribe", channels=["fill"])
    nobody.session.receive_text("no json")
    nobody.session.receive_text(b"[]")
    nobody.session.receive_binary(b"\x01")

    commands = rig.control.commands()
    assert [(c.connection, c.account, c.cmd, c.unreadable) for c in commands] == [
        (1, "alice", "subscribe", ""),
        (2, None, "subscribe", ""),
        (2, None, "", "no json"),
        (2, None, "", "[]"),
        (2, None, "", "\x01"),
    ]
    assert commands[0].params == {"channels": [BOOKS], "market_tickers": [BOS]}
    assert [c.time_ns for c in commands[:2]] == [START_NS, START_NS + SECOND_NS]
    assert [c.id for c in rig.control.commands(connection=2, cmd="subscribe")] == [1]


def test_only_the_newest_commands_are_kept() -> None:
    rig = Rig(commands_kept=2)
    peer = rig.peer()

    for number in (7, 8, 9):
        peer.say("list_subscriptions", number)

    assert [command.id for command in rig.control.commands()] == [8, 9]


def test_connections_and_subscriptions_have_counters() -> None:
    """S15."""
    rig = Rig()
    peer, other = rig.peer("alice"), rig.peer(None)
    peer.subscribe(BOOKS, market_tickers=[NYC, BOS], use_yes_price=True)
    peer.say("subscribe", channels=["ticker"])
    rig.control.inject(Lose())
    rig.exchange.change(BOS, "yes", 3600, 100)

    assert rig.control.connections() == [
        ConnectionReport(
            number=1,
            account="alice",
            opened_ns=START_NS,
            subscriptions=2,
            queued=4,
            sent=4,
            lost=1,
            overflows=0,
            pongs=0,
            is_half_open=False,
        ),
        ConnectionReport(
            number=2,
            account=None,
            opened_ns=START_NS,
            subscriptions=0,
            queued=0,
            sent=0,
            lost=0,
            overflows=0,
            pongs=0,
            is_half_open=False,
        ),
    ]
    assert rig.control.subscriptions(connection=1) == [
        SubscriptionReport(
            connection=1,
            account="alice",
            sid=1,
            channel=BOOKS,
            market_tickers=(BOS, NYC),
            seq=3,
            frames=3,
            uses_yes_price=True,
        ),
        SubscriptionReport(
            connection=1,
            account="alice",
            sid=2,
            channel="ticker",
            market_tickers=None,
            seq=0,
            frames=0,
            uses_yes_price=False,
        ),
    ]
    assert rig.control.subscriptions(connection=2) == []
    assert rig.control.statistics() == {
        "connections_opened": 2,
        "connections": 2,
        "commands": 2,
    }
    rig.hub.close(other.session)
    assert len(rig.control.connections()) == 1


def test_faults_are_listed_until_they_are_spent() -> None:
    """S15."""
    rig = Rig()
    peer = rig.peer()
    peer.subscribe(BOOKS)
    number = rig.control.inject(Lose(count=2))
    rig.control.set_rates(FaultRates(drop_rate=0.5))

    rig.exchange.change(BOS, "yes", 3600, 100)
    (report,) = rig.control.faults()
    assert (report.number, report.fault, report.struck) == (number, Lose(count=2), 1)
    rig.exchange.change(BOS, "yes", 3600, 100)
    assert rig.control.faults() == []
    assert rig.control.rates == FaultRates(drop_rate=0.5)
    rig.control.heal()
    assert rig.control.rates == FaultRates()
