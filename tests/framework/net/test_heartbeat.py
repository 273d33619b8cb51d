from framework.net.heartbeat import Beat, Heard, Heartbeat

NONE = Heard(0, 0, 0)


def heartbeat(
    *,
    ping_s: float | None = None,
    pong_s: float = 30,
    silence_s: float | None = None,
    data_silence_s: float | None = None,
) -> Heartbeat:
    return Heartbeat(
        0, NONE, ping_s=ping_s, pong_s=pong_s, silence_s=silence_s, data_silence_s=data_silence_s
    )


def test_it_looks_four_times_in_its_shortest_limit() -> None:
    assert heartbeat(ping_s=20, pong_s=8, silence_s=30).tick_s == 2
    assert heartbeat(silence_s=30, data_silence_s=12).tick_s == 3
    assert heartbeat(pong_s=8).tick_s is None


def test_pings_come_in_time_and_one_pong_answers_them_all() -> None:
    watch = heartbeat(ping_s=20, pong_s=30)

    assert watch.look(15, NONE) is Beat.NOTHING
    assert watch.look(20, NONE) is Beat.PING
    assert watch.look(40, NONE) is Beat.PING
    assert watch.look(45, Heard(0, 0, 1)) is Beat.NOTHING
    assert watch.look(60, Heard(0, 0, 1)) is Beat.PING
    assert watch.look(89, Heard(9, 9, 1)) is Beat.PING
    assert watch.look(90, Heard(9, 9, 1)) == "no pong for 30 s"


def test_r42_a_pong_is_no_data() -> None:
    watch = heartbeat(silence_s=10, data_silence_s=10)

    assert watch.look(9, Heard(1, 0, 0)) is Beat.NOTHING
    assert watch.look(18, Heard(1, 1, 0)) is Beat.NOTHING
    assert watch.look(19, Heard(1, 1, 1)) == "no data for 10 s"


def test_any_frame_ends_the_silence() -> None:
    watch = heartbeat(silence_s=10)

    for now_s, heard in enumerate((Heard(1, 0, 0), Heard(1, 1, 0), Heard(1, 1, 1)), start=1):
        assert watch.look(now_s * 9, heard) is Beat.NOTHING
    assert watch.look(36, Heard(1, 1, 1)) is Beat.NOTHING
    assert watch.look(37, Heard(1, 1, 1)) == "nothing came for 10 s"
