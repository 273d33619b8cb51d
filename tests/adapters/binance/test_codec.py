"""Documented market data payloads, and what is not one."""

from decimal import Decimal
from random import Random

import msgspec
import pytest

from adapters.binance.codec import (
    Answer,
    Notice,
    decode_frame,
    phase_of,
    read_fault,
    rules_by_symbol,
    to_candles,
    to_snapshot,
    with_rules,
)
from framework.errors import MalformedMessage
from framework.model.decimals import ZERO
from framework.model.instrument import Instrument, PriceRange
from framework.model.market_data import (
    Aggressor,
    BookDelta,
    BookSnapshot,
    Candle,
    MarketPhase,
    Quote,
    Trade,
)

MS = 1_000_000
NOW_NS = 1_672_515_782_200 * MS

TRADE = (
    b'{"stream":"bnbbtc@trade","data":{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,'
    b'"p":"0.001","q":"100","T":1672515782135,"m":true,"M":true}}'
)
TICKER = (
    b'{"stream":"bnbusdt@bookTicker","data":{"u":400900217,"s":"BNBUSDT","b":"25.35190000",'
    b'"B":"31.21000000","a":"25.36520000","A":"40.66000000"}}'
)
DEPTH = (
    b'{"stream":"bnbbtc@depth@100ms","data":{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC",'
    b'"U":157,"u":160,"b":[["0.0024","10"]],"a":[["0.0026","100"],["0.0027","0.000"]]}}'
)
KLINE = (
    b'{"stream":"bnbbtc@kline_1m","data":{"e":"kline","E":1672515782136,"s":"BNBBTC","k":{'
    b'"t":1672515780000,"T":1672515839999,"s":"BNBBTC","i":"1m","f":100,"L":200,"o":"0.0010",'
    b'"c":"0.0020","h":"0.0025","l":"0.0010","v":"1000","n":100,"x":false,"q":"1.0000",'
    b'"V":"500","Q":"0.500","B":"123456"}}}'
)
FRAMES = (TRADE, TICKER, DEPTH, KLINE, b'{"result":null,"id":1}', b'{"code":2,"msg":"no","id":3}')
RULES = b"""{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC",
"quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000",
"tickSize":"0.01000000"},{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000",
"stepSize":"0.00001000"},{"filterType":"NOTIONAL","minNotional":"5.00000000",
"applyMinToMarket":true}]}]}"""


def test_a_trade_names_who_took() -> None:
    assert decode_frame(TRADE, "binance", NOW_NS) == Trade(
        "binance:BNBBTC", 1_672_515_782_135 * MS, NOW_NS, 0.001, 100.0, Aggressor.SELLER, "12345"
    )


def test_a_quote_has_no_time_but_ours() -> None:
    assert decode_frame(TICKER.decode(), "b", NOW_NS) == Quote(
        "b:BNBUSDT", NOW_NS, NOW_NS, 25.3519, 25.3652, 31.21, 40.66
    )


def test_a_delta_carries_both_numbers_and_absolute_sizes() -> None:
    assert decode_frame(DEPTH, "b", NOW_NS) == BookDelta(
        "b:BNBBTC",
        1_672_515_782_136 * MS,
        NOW_NS,
        157,
        160,
        ((0.0024, 10.0),),
        ((0.0026, 100.0), (0.0027, 0.0)),
    )


def test_a_forming_candle_is_timed_by_its_last_change() -> None:
    assert decode_frame(KLINE, "b", NOW_NS) == Candle(
        "b:BNBBTC",
        1_672_515_782_136 * MS,
        NOW_NS,
        "1m",
        1_672_515_780_000 * MS,
        1_672_515_840_000 * MS,
        0.001,
        0.0025,
        0.001,
        0.002,
        1000.0,
        is_closed=False,
    )


def test_a_closed_candle_is_timed_by_its_end_which_is_exclusive() -> None:
    candle = decode_frame(KLINE.replace(b'"x":false', b'"x":true'), "b", NOW_NS)

    assert isinstance(candle, Candle)
    assert candle.is_closed
    assert candle.time_ns == candle.close_ns == 1_672_515_840_000 * MS


@pytest.mark.parametrize(
    ("frame", "heard"),
    [
        (b'{"result":null,"id":7}', Answer(7)),
        (b'{"result":["a@trade"],"id":3}', Answer(3, streams=("a@trade",))),
        (b'{"code":2,"msg":"Invalid request","id":3}', Answer(3, 2, "Invalid request")),
        (b'{"code":3,"msg":"Invalid JSON"}', Answer(None, 3, "Invalid JSON")),
        (b'{"error":{"code":2,"msg":""},"id":"x"}', Answer(None, 2, "code 2")),
        (b'{"e":"serverShutdown","E":1672515782136}', Notice("serverShutdown")),
        (b'{"stream":"!miniTicker@arr","data":[]}', Notice("")),
        (b"{}", Notice("")),
    ],
)
def test_what_is_no_market_data_is_told_apart(frame: bytes, heard: object) -> None:
    assert decode_frame(frame, "b", NOW_NS) == heard


@pytest.mark.parametrize(
    ("frame", "old", "new"),
    [
        (TRADE, b'"0.001"', b'"NaN"'),
        (TRADE, b'"0.001"', b'"1e999"'),
        (TRADE, b'"0.001"', b'"-1"'),
        (TRADE, b'"0.001"', b'"0"'),
        (TRADE, b'"100"', b'"Infinity"'),
        (TRADE, b'"T":1672515782135', b'"T":1672515782135000000'),
        (TRADE, b'"T":1672515782135', b'"T":-1'),
        (TRADE, b'"t":12345,', b""),
        (TICKER, b'"25.35190000"', b"null"),
        (DEPTH, b'["0.0024","10"]', b'["0.0024"]'),
        (DEPTH, b'["0.0024","10"]', b'["0","10"]'),
        (DEPTH, b'"u":160', b'"u":1e30'),
        (KLINE, b'"h":"0.0025"', b'"h":"0.0015"'),
        (KLINE, b'"l":"0.0010"', b'"l":"0.0011"'),
        (KLINE, b'"T":1672515839999', b'"T":1672515779999'),
        (DEPTH, b'"data":{', b'"data":[[' + b"[" * 5_000),
    ],
)
def test_r45_what_cannot_be_is_refused(frame: bytes, old: bytes, new: bytes) -> None:
    """R-45: NaN, 1e999, signs, wrong units, missing fields, deep nesting."""
    assert old in frame

    with pytest.raises(MalformedMessage):
        decode_frame(frame.replace(old, new), "b", NOW_NS)


@pytest.mark.parametrize("frame", [b"", b"[]", b"null", b"\xff\xfe", b'{"stream":1}'])
def test_r45_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_frame(frame, "b", NOW_NS)


def mutated(random: Random, frame: bytes) -> bytes:
    """Return a frame with bytes changed, cut out, doubled, or cut off."""
    data = bytearray(frame)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(data)) if data else 0
        kind = random.randrange(4)
        if kind == 0 and data:
            data[place] = random.randrange(256)
        elif kind == 1:
            del data[place : place + random.randint(1, 8)]
        elif kind == 2:
            data[place:place] = data[place : place + random.randint(1, 8)]
        else:
            del data[place + len(data) // 2 :]
    return bytes(data)


def test_r45_10_000_damaged_frames_give_typed_errors_or_sound_values() -> None:
    """R-45, T-21: nothing but MalformedMessage comes out, and no number that is none."""
    random = Random(7)
    good = 0
    for number in range(10_000):
        frame = mutated(random, FRAMES[number % len(FRAMES)])
        try:
            heard = decode_frame(frame, "b", NOW_NS)
        except MalformedMessage:
            continue
        good += 1
        if not isinstance(heard, Answer):  # NaN and infinity are written as null
            assert b"null" not in msgspec.json.encode(heard)
    assert 0 < good < 10_000


def test_a_snapshot_carries_the_number_it_contains() -> None:
    body = (
        b'{"lastUpdateId":1027024,"bids":[["4.00000000","431.0"]],"asks":[["4.00000200","12.0"]]}'
    )

    snapshot = to_snapshot(body, "b:X", time_ns=5, received_ns=6)

    assert snapshot == BookSnapshot("b:X", 5, 6, 1_027_024, ((4.0, 431.0),), ((4.000002, 12.0),))


def test_of_past_candles_the_forming_one_is_left_out() -> None:
    row = '[{},"1","2","0.5","1.5","10",{},"0",1,"0","0","0"]'
    body = f"[{row.format(0, 59_999)},{row.format(60_000, 119_999)}]".encode()

    candles = to_candles(body, "b:X", "1m", received_ns=119_999 * MS)

    assert [(c.open_ns, c.close_ns, c.is_closed) for c in candles] == [(0, 60_000 * MS, True)]
    with pytest.raises(MalformedMessage):
        to_candles(b'[[0,"1"]]', "b:X", "1m", received_ns=0)


def test_the_venues_rules_become_the_instruments_grid() -> None:
    rules = rules_by_symbol(RULES)["BTCUSDT"]

    instrument = with_rules(Instrument("b:BTCUSDT", aliases=("BTC",)), rules)

    assert instrument == Instrument(
        "b:BTCUSDT",
        currency="USDT",
        base="BTC",
        ranges=(PriceRange(ZERO, Decimal("0.01")),),
        lot=Decimal("0.00001"),
        minimum_quantity=Decimal("0.00001"),
        maximum_quantity=Decimal(9000),
        minimum_price=Decimal("0.01"),
        maximum_price=Decimal(1_000_000),
        aliases=("BTC",),
    )
    assert phase_of(rules) is MarketPhase.OPEN
    assert phase_of(msgspec.structs.replace(rules, status="BREAK")) is MarketPhase.HALTED


def test_a_rule_of_zero_is_switched_off_and_a_false_one_refused() -> None:
    free = with_rules(
        Instrument("b:BTCUSDT"), rules_by_symbol(RULES.replace(b"0.01000000", b"0.0"))["BTCUSDT"]
    )
    bare = with_rules(
        Instrument("b:BTCUSDT"),
        msgspec.structs.replace(rules_by_symbol(RULES)["BTCUSDT"], filters=()),
    )

    assert free.ranges == ()
    assert free.minimum_price is None
    assert (bare.ranges, bare.lot) == ((), None)
    for wrong in (b"x", b"-1", b"NaN"):
        with pytest.raises(MalformedMessage):
            with_rules(
                Instrument("b:X"),
                rules_by_symbol(RULES.replace(b"0.01000000", wrong))["BTCUSDT"],
            )


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, b'{"code":-1121,"msg":"Invalid symbol."}', ("-1121", "Invalid symbol.")),
        (403, b"<html>blocked</html>", ("", "<html>blocked</html>")),
        (502, b"<html>", ("", "")),
        (400, b"\xff", ("", "\ufffd")),
    ],
)
def test_a_refusal_is_read_whatever_it_looks_like(
    status: int, body: bytes, told: tuple[str, str]
) -> None:
    assert read_fault(status, body) == told
