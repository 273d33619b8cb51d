"""An intent is written without what it leaves at its default, and equal ones as equal bytes."""

from decimal import Decimal

import msgspec

from framework.model.orders import NO_BUCKET, Bucket, OrderIntent, Side

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(OrderIntent).decode
PLAIN = OrderIntent("run", "1.1.1", "sim:BTC", Side.BUY, Decimal(1))


def test_what_is_left_at_its_default_is_not_written() -> None:
    written = msgspec.msgpack.decode(encode(PLAIN))

    assert written.keys() == {
        *("type", "run", "key", "instrument", "side", "quantity"),
        "bucket",
    }
    assert decode(encode(PLAIN)) == PLAIN
    assert PLAIN.bucket is NO_BUCKET


def test_an_intent_with_every_field_written_is_read_as_the_same() -> None:
    """R-11: earlier versions wrote all of it."""
    every = {
        field.encode_name: getattr(PLAIN, field.name) for field in msgspec.structs.fields(PLAIN)
    }

    assert decode(encode({"type": "order_intent", **every})) == PLAIN


def test_r74_equal_intents_are_equal_bytes_however_they_came_about() -> None:
    """A replay compares what its commands are written as."""
    made = msgspec.structs.replace(
        PLAIN,
        bucket=Bucket("".join([]), str(b"", "ascii")),
        oco_group="x"[:0],
        tags=tuple(list[str]()),
        options=tuple(list[tuple[str, str]]()),
        cause_ns=int("0"),
    )

    assert encode(made) == encode(PLAIN) == encode(decode(encode(made)))
