import pytest

from adapters.tektii.server_venue_links import Change, Freshness, VenueLinks
from framework.model.events import ConnectionChanged, ConnectionState

UP, TRY, LOST, GONE = (
    ConnectionState.STREAMING,
    ConnectionState.CONNECTING,
    ConnectionState.RECONNECTING,
    ConnectionState.CLOSED,
)

S = 1_000_000_000


class Wire:
    """One venue's links, told by short words."""

    def __init__(self) -> None:
        self.links = VenueLinks()
        self.now_ns = 0

    def hear(self, link: str, state: ConnectionState, reason: str = "") -> Change | None:
        self.now_ns += 1
        return self.links.hear(ConnectionChanged("x", link, state, self.now_ns, reason))


def test_the_first_connection_is_no_news() -> None:
    wire = Wire()

    assert [wire.hear("feed", state) for state in (TRY, LOST, TRY, UP, UP)] == [None] * 5
    assert wire.links.outage is None


def test_an_outage_from_its_beginning_to_its_end() -> None:
    wire = Wire()
    wire.hear("feed", UP)

    assert wire.hear("feed", LOST, "reset") is Change.LOST
    assert wire.hear("feed", TRY) is Change.TRYING
    assert wire.links.outage is not None
    assert wire.links.outage.reason == "reset"
    assert wire.hear("feed", LOST, "timeout") is None
    assert wire.hear("feed", TRY) is Change.TRYING
    assert wire.links.outage.reason == "timeout"
    assert wire.links.recovered() is None
    assert wire.hear("feed", ConnectionState.CONNECTED) is Change.RETURNED
    assert wire.hear("feed", UP) is None

    outage = wire.links.recovered()
    assert outage is not None
    assert outage.since_ns == 2
    assert wire.links.recovered() is None


def test_every_link_that_was_up_is_to_be_up_again() -> None:
    wire = Wire()
    wire.hear("feed", UP)
    wire.hear("broker", UP)

    assert wire.hear("broker", LOST) is Change.LOST
    assert wire.hear("feed", LOST) is None
    assert wire.hear("broker", UP) is None
    assert wire.hear("feed", UP) is Change.RETURNED
    assert wire.links.outage is not None
    assert wire.links.outage.links == {"broker", "feed"}


def test_a_venue_lost_again_before_its_return_was_told_is_one_outage() -> None:
    wire = Wire()
    wire.hear("broker", UP)
    wire.hear("broker", LOST)
    wire.hear("broker", UP)

    assert wire.hear("broker", LOST, "again") is Change.TRYING
    assert wire.hear("broker", UP) is Change.RETURNED
    outage = wire.links.recovered()
    assert outage is not None
    assert outage.since_ns == 2


def test_a_link_given_up_has_failed() -> None:
    wire = Wire()
    wire.hear("feed", UP)
    wire.hear("feed", LOST)

    assert wire.hear("feed", GONE, "bad key") is Change.FAILED


@pytest.mark.parametrize(
    ("links", "lost", "has_lost"),
    [
        (("feed", "broker"), "feed", True),
        (("feed", "broker"), "broker", False),
        (("stream",), "stream", True),
    ],
)
def test_prices_are_lost_with_the_link_that_they_come_over(
    links: tuple[str, ...], lost: str, has_lost: bool
) -> None:
    wire = Wire()
    for link in links:
        assert wire.hear(link, UP) is None
        assert not wire.links.has_lost_prices(link)

    wire.hear(lost, LOST)

    assert wire.links.has_lost_prices(lost) is has_lost


def test_instruments_go_stale_once_and_fresh_with_the_first_tick() -> None:
    prices = Freshness()
    assert prices.tick("x:A", 10) is None

    assert prices.lose("x:A", 5)
    assert not prices.lose("x:A", 9)
    assert prices.stale == {"x:A": 5}
    assert prices.tick("x:B", 10) is None
    assert prices.tick("x:A", 10) == 5
    assert prices.tick("x:A", 10) is None


def test_a_lost_venue_takes_all_that_was_seen_or_is_watched_there() -> None:
    prices = Freshness()
    for name in ("x:B", "x:A", "y:C"):
        prices.tick(name, 100 * S)
    prices.tick("x:OLD", 30 * S)  # nobody watches it any more
    prices.lose("x:B", 100 * S)

    assert prices.lose_all("x", 101 * S, frozenset({"x:W", "y:V"})) == ["x:A", "x:W"]
    assert prices.lose_all("x", 102 * S, frozenset({"x:W"})) == []
