import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tektii.server_subscriptions import (
    EVERYTHING,
    MOST_ENTRIES,
    Entry,
    Kind,
    Subscriptions,
    Want,
    default_wants,
    passing_of,
    subscriptions_from,
)
from adapters.tektii.words import TIMEFRAMES
from framework.errors import ConfigError

PLATFORMS = ("mock", "alpaca-paper")
FRAMES = [
    (Kind.QUOTE, ""),
    (Kind.CANDLE, "1m"),
    (Kind.CANDLE, "5m"),
    (Kind.ORDER, ""),
    (Kind.POSITION, ""),
    (Kind.TRADE, ""),
    (Kind.ACCOUNT, ""),
]
TRADED = {"order", "position", "trade"}


def subscribed(*entries: tuple[str, str, list[str]]) -> Subscriptions:
    return Subscriptions(Entry(platform, name, tuple(events)) for platform, name, events in entries)


def passing(subscriptions: Subscriptions, symbol: str = "AAPL", platform: str = "mock") -> set[str]:
    return {
        f"{kind.value} {timeframe}".strip()
        for kind, timeframe in FRAMES
        if subscriptions.passes(platform, "" if kind is Kind.ACCOUNT else symbol, kind, timeframe)
    }


EVERY = {"quote", "candle 1m", "candle 5m", "account", *TRADED}


@pytest.mark.parametrize(
    ("pattern", "through"),
    [
        ("*", EVERY),
        ("quote", {"quote"}),
        ("quotes", {"quote"}),
        ("candle_1m", {"candle 1m"}),
        ("candles.5m", {"candle 5m"}),
        ("candle_*", {"candle 1m", "candle 5m"}),
        ("candle", {"candle 1m", "candle 5m"}),
        ("bars", {"candle 1m", "candle 5m"}),
        ("bar", {"candle 1m", "candle 5m"}),
        ("order_update", {"order"}),
        ("orders", {"order"}),
        ("position_update", {"position"}),
        ("positions", {"position"}),
        ("trade_update", {"trade"}),
        ("trades", {"trade"}),
        ("trade", {"trade"}),
        ("account_update", {"account"}),
    ],
)
def test_each_pattern_lets_through_what_the_table_says(pattern: str, through: set[str]) -> None:
    assert passing(subscribed(("mock", "AAPL", [pattern]))) == through


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_every_timeframe_has_both_patterns(timeframe: str) -> None:
    for pattern in (f"candle_{timeframe}", f"candles.{timeframe}"):
        listed = subscribed(("mock", "AAPL", [pattern]))
        assert [one for one in TIMEFRAMES if listed.passes("mock", "AAPL", Kind.CANDLE, one)] == [
            timeframe
        ]


def test_without_subscriptions_everything_passes() -> None:
    assert passing(subscriptions_from("", PLATFORMS)) == EVERY
    assert passing(subscriptions_from("[]", PLATFORMS)) == EVERY
    assert not EVERYTHING


def test_what_concerns_no_instrument_always_passes() -> None:
    assert subscribed(("mock", "MSFT", ["quote"])).passes("mock", "", Kind.SYSTEM)


def test_an_account_passes_if_any_entry_of_its_platform_has_it() -> None:
    listed = subscribed(("mock", "MSFT", ["account_update"]), ("alpaca-paper", "MSFT", ["quote"]))

    assert listed.passes("mock", "", Kind.ACCOUNT)
    assert not listed.passes("alpaca-paper", "", Kind.ACCOUNT)
    assert subscribed(("mock", "MSFT", ["*"])).passes("mock", "", Kind.ACCOUNT)


def test_the_instruments_own_entries_and_those_of_all_count_together() -> None:
    listed = subscribed(("mock", "AAPL", ["quote", "candle_1m"]), ("mock", "*", ["trade_update"]))

    assert passing(listed) == {"quote", "candle 1m", "trade"}
    assert passing(listed, "MSFT") == {"trade"}
    assert passing(listed, platform="alpaca-paper") == set()


def test_entries_of_one_instrument_add_up() -> None:
    listed = subscribed(("mock", "AAPL", ["quote"]), ("mock", "AAPL", ["orders"]))

    assert passing(listed) == {"quote", "order"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("{}", "array"),
        ("[1]", "[0]: Expected `object`"),
        ('[{"platform": "mock"}]', "missing required field `instrument`"),
        ('[{"platform": "mock", "instrument": "", "events": ["quote"]}]', "length >= 1"),
        (json.dumps([{"platform": "mock", "instrument": "A" * 51, "events": ["quote"]}]), "<= 50"),
        ('[{"platform": "mock", "instrument": "A", "events": []}]', "length >= 1"),
        (
            json.dumps([{"platform": "mock", "instrument": "A", "events": ["quote"] * 101}]),
            "<= 100",
        ),
        (
            '[{"platform": "mokc", "instrument": "A", "events": ["quote"]}]',
            "[0].platform: unknown platform 'mokc'; valid: alpaca-paper, mock",
        ),
        (
            '[{"platform": "mock", "instrument": "A", "events": ["quote", "option_greeks"]}]',
            "[0].events[1]: unknown event 'option_greeks'; valid: *, quote, quotes, candle_<time",
        ),
        ('[{"platform": "mock", "instrument": "A", "events": ["candle_7m"]}]', "'candle_7m'"),
        ('[{"platform": "mock", "instrument": "A", "events": ["candles."]}]', "'candles.'"),
        (json.dumps([0] * (MOST_ENTRIES + 1)), "more than 1000"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        subscriptions_from(text, PLATFORMS, key="settings.subscriptions")

    assert str(caught.value).startswith("settings.subscriptions")
    assert reason in str(caught.value)


def test_members_that_are_not_known_are_ignored() -> None:
    text = '[{"platform": "mock", "instrument": "A", "events": ["quote"], "note": 1}]'

    assert subscriptions_from(text, PLATFORMS).passes("mock", "A", Kind.QUOTE)


def test_it_tells_what_to_ask_of_the_venues() -> None:
    listed = subscribed(
        ("mock", "AAPL", ["quote", "candle_5m", "order_update"]),
        ("mock", "*", ["bars", "trades"]),
        ("alpaca-paper", "MSFT", ["*"]),
    )

    assert listed.wants() == {
        Want("mock", "AAPL", "quotes"),
        Want("mock", "AAPL", "candles", "5m"),
        Want("mock", "*", "candles", "1m"),
        Want("alpaca-paper", "MSFT", "quotes"),
        Want("alpaca-paper", "MSFT", "candles", "1m"),
    }
    assert EVERYTHING.wants() == frozenset()


def test_the_mock_watches_four_symbols_by_default() -> None:
    wants = default_wants("mock")

    assert {want.symbol for want in wants} == {"AAPL", "MSFT", "BTCUSD", "EURUSD"}
    assert {(want.channel, want.interval) for want in wants} == {("quotes", ""), ("candles", "1m")}


def test_lists_that_let_the_same_through_have_the_same_text() -> None:
    one = subscribed(("mock", "A", ["quote", "bars"]), ("mock", "B", ["trade"]))
    other = subscribed(("mock", "B", ["trades"]), ("mock", "A", ["bar"]), ("mock", "A", ["quotes"]))

    assert one.text == other.text
    assert one.text != subscribed(("mock", "A", ["quote"])).text


def test_entries_come_and_go() -> None:
    quotes, bars = Entry("mock", "A", ("quote",)), Entry("mock", "A", ("bars", "orders"))
    both = EVERYTHING.with_entries([quotes, bars]).with_entries([quotes])

    assert both.entries == (quotes, bars)
    assert both.without([Entry("mock", "A", ("quote", "bars"))]).entries == (
        Entry("mock", "A", ("orders",)),
    )
    assert both.without([quotes, bars]).entries == ()


PATTERNS = ["*", "quote", "bars", "candle_5m", "orders", "trades", "positions", "account_update"]
ENTRIES = st.builds(
    Entry,
    st.sampled_from(PLATFORMS),
    st.sampled_from(["AAPL", "MSFT", "*"]),
    st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3).map(tuple),
)


@given(
    st.lists(ENTRIES, min_size=1, max_size=5),
    st.sampled_from(PLATFORMS),
    st.sampled_from(["AAPL", "MSFT"]),
    st.sampled_from(FRAMES),
)
def test_verdicts_follow_the_rules_word_by_word(
    entries: list[Entry], platform: str, symbol: str, frame: tuple[Kind, str]
) -> None:
    kind, timeframe = frame
    listed = Subscriptions(entries)
    ours = [one for one in entries if one.platform == platform]
    if kind is not Kind.ACCOUNT:
        ours = [one for one in ours if one.instrument in (symbol, "*")]
    expected = any(
        (kind, timeframe) in passing_of(pattern)
        or (kind is Kind.CANDLE and (kind, "*") in passing_of(pattern))
        for one in ours
        for pattern in one.events
    )

    assert listed.passes(platform, symbol, kind, timeframe) is expected
    assert listed.passes(platform, symbol, kind, timeframe) is expected  # remembered
