from hypothesis import given
from hypothesis import strategies as st

from framework.server.outbox import Outbox

MANY = 1 << 30


def test_frames_come_out_in_order_in_batches_of_so_many_bytes() -> None:
    outbox = Outbox(10, 1_000)
    for frame in (b"aaaa", b"bbbb", b"cccc", b"dd"):
        assert outbox.put(frame)

    batches = [outbox.take(8), outbox.take(7), outbox.take(7), outbox.take(7)]

    assert batches == [[b"aaaa", b"bbbb"], [b"cccc", b"dd"], [], []]
    assert (outbox.sent_count, outbox.sent_bytes, outbox.waiting_bytes) == (4, 14, 0)


def test_a_frame_that_is_larger_than_a_batch_goes_alone() -> None:
    outbox = Outbox(10, 1_000)
    outbox.put(b"a" * 100)
    outbox.put(b"b")

    assert [outbox.take(10), outbox.take(10)] == [[b"a" * 100], [b"b"]]


def test_a_frame_too_many_ends_it_and_drops_what_waits() -> None:
    outbox = Outbox(2, 1_000)

    taken = [outbox.put(b"a"), outbox.put(b"b"), outbox.put(b"c"), outbox.put(b"d")]

    assert taken == [True, True, False, False]
    assert outbox.is_over
    assert (outbox.put_count, outbox.dropped_count, outbox.waiting) == (4, 4, 0)
    assert outbox.take(MANY) == []


def test_bytes_too_many_end_it_as_well() -> None:
    outbox = Outbox(100, 10)

    assert [outbox.put(b"a" * 10), outbox.put(b"b")] == [True, False]
    assert outbox.waiting_bytes == 0


def test_a_frame_replaces_the_unsent_one_of_its_key_in_its_place() -> None:
    outbox = Outbox(4, 1_000)
    for frame, key in ((b"q1", "BTC"), (b"order", None), (b"q2", "BTC")):
        outbox.put(frame, key=key)

    assert outbox.take(MANY) == [b"q2", b"order"]
    assert outbox.conflated_count == 1


def test_up_to_a_quarter_nothing_is_conflated() -> None:
    outbox = Outbox(8, 1_000)
    for frame in (b"1", b"2", b"3", b"4", b"5"):
        outbox.put(frame, key="BTC")

    assert outbox.take(MANY) == [b"1", b"2", b"5"]


def test_a_quarter_of_the_bytes_counts_as_well() -> None:
    outbox = Outbox(1_000, 40)
    for frame in (b"a" * 11, b"b" * 11, b"c" * 12):
        outbox.put(frame, key="BTC")

    assert outbox.take(MANY) == [b"c" * 12]
    assert outbox.conflated_count == 2


def test_a_replacement_that_is_too_large_ends_it() -> None:
    outbox = Outbox(4, 10)
    for frame in (b"a", b"b"):
        outbox.put(frame, key=str(frame))

    assert not outbox.put(b"a" * 10, key=str(b"b"))
    assert outbox.is_over
    assert (outbox.put_count, outbox.conflated_count, outbox.dropped_count) == (3, 1, 2)


def test_what_was_taken_is_not_replaced() -> None:
    outbox = Outbox(8, 1_000)
    for frame in (b"q1", b"q2"):
        outbox.put(frame, key="BTC")
    for number in range(3):
        outbox.put(b"order%d" % number)
    outbox.take(4)

    outbox.put(b"q3", key="BTC")

    assert outbox.take(MANY) == [b"order0", b"order1", b"order2", b"q3"]


def test_keys_of_frames_that_are_gone_are_forgotten() -> None:
    outbox = Outbox(4, 1_000)
    outbox.put(b"first", key="first")
    for number in range(1_000):
        outbox.put(b"x", key=f"instrument {number}")
        outbox.take(1)

    assert len(outbox._places) <= 2 * outbox.capacity


Step = tuple[str, str | None, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from([None, None, "a", "b", "c"]), st.integers(0, 40)),
        st.tuples(st.just("take"), st.none(), st.integers(1, 60)),
    ),
    max_size=80,
)


@given(steps=STEPS, capacity=st.integers(1, 12), capacity_bytes=st.integers(1, 200))
def test_every_frame_is_accounted_for_and_order_is_kept(
    steps: list[Step], capacity: int, capacity_bytes: int
) -> None:
    outbox = Outbox(capacity, capacity_bytes)
    expected: list[tuple[bytes, str | None]] = []  # a plain model of what waits
    taken: list[bytes] = []

    for number, (what, key, size) in enumerate(steps):
        if what == "take":
            got = outbox.take(size)
            taken += got
            assert got == [frame for frame, _ in expected[: len(got)]]
            assert len(got) <= 1 or sum(map(len, got)) <= size
            del expected[: len(got)]
        else:
            frame = b"%4d" % number + b"." * size
            is_kept = outbox.put(frame, key=key)
            assert is_kept is not outbox.is_over
            _put(expected, frame, key, outbox)
        total = outbox.sent_count + outbox.waiting + outbox.conflated_count + outbox.dropped_count
        assert total == outbox.put_count
        assert outbox.waiting == len(expected) <= capacity
        assert outbox.waiting_bytes == sum(len(frame) for frame, _ in expected) <= capacity_bytes
        assert len(outbox._places) <= 2 * capacity

    assert outbox.sent_count == len(taken)
    assert outbox.sent_bytes == sum(map(len, taken))


def _put(
    expected: list[tuple[bytes, str | None]], frame: bytes, key: str | None, outbox: Outbox
) -> None:
    """Do to the model what the rule says."""
    if outbox.is_over:
        expected.clear()
        return
    size = sum(len(waiting) for waiting, _ in expected)
    is_crowded = 4 * len(expected) > outbox.capacity or 4 * size > outbox.capacity_bytes
    places = [place for place, (_, other) in enumerate(expected) if other == key]
    if key is not None and places and is_crowded:
        expected[places[-1]] = frame, key
    else:
        expected.append((frame, key))
