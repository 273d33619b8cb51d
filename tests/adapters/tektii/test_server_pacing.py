import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapters.tektii import server_pacing
from adapters.tektii.server_pacing import Acks, StreamPacer
from framework.errors import StrategyError
from framework.simulation.loop import run_simulated


def told(acks: Acks, event_id: str, *connections: str) -> None:
    """Register a frame and hand it to these connections."""
    acks.registered(event_id, connections)
    for connection in connections:
        acks.sent(event_id, connection)


def with_clients(*names: str, **options: Any) -> Acks:
    acks = Acks(**options)
    for name in names:
        acks.opened(name)
    return acks


def test_an_ack_releases_exactly_the_ids_it_names() -> None:
    acks = with_clients("a")
    for event_id in ("e1", "e2", "e3"):
        told(acks, event_id, "a")

    acks.acked("a", ["e2"])
    assert acks.waiting_for == [("a", "e1"), ("a", "e3")]

    acks.acked("a", ["e3", "e1"])
    assert acks.is_settled


@pytest.mark.parametrize("named", [[], ["e9"], ["e0"], [None, 5, {}, []]])
def test_an_ack_of_nothing_that_waits_has_no_effect(named: list[object]) -> None:
    acks = with_clients("a")
    told(acks, "e0", "a")
    acks.acked("a", ["e0"])
    told(acks, "e1", "a")
    acks.timeouts = 2

    acks.acked("a", named)

    assert acks.waiting_for == [("a", "e1")]
    assert acks.timeouts == 2


def test_an_ack_that_overtakes_the_sent_mark_counts_with_it() -> None:
    acks = with_clients("a")
    acks.registered("e1", ["a"])

    acks.acked("a", ["e1"])
    assert not acks.is_settled

    acks.sent("e1", "a")
    assert acks.is_settled
    assert acks.has_acked


def test_an_ack_speaks_for_its_own_connection_alone() -> None:
    acks = with_clients("a", "b")
    told(acks, "e1", "a", "b")

    acks.acked("a", ["e1"])
    acks.acked("c", ["e1"])

    assert acks.waiting_for == [("b", "e1")]


def test_what_a_filter_drops_is_released_at_once() -> None:
    acks = with_clients("a", "b")

    told(acks, "e1", "b")
    acks.registered("e2", [])

    assert acks.waiting_for == [("b", "e1")]


def test_a_connection_that_closes_has_acknowledged() -> None:
    acks = with_clients("a", "b")
    told(acks, "e1", "a", "b")
    acks.acked("a", ["e1"])

    acks.closed("b")

    assert acks.is_settled


def test_only_connections_that_were_open_when_the_step_began_are_waited_for() -> None:
    acks = with_clients("a")
    told(acks, "e1", "a")
    acks.opened("late")
    told(acks, "e2", "a", "late")

    acks.acked("a", ["e1", "e2"])
    assert acks.is_settled

    acks.next_step()
    told(acks, "e3", "a", "late")
    assert {name for name, _ in acks.waiting_for} == {"a", "late"}


def test_in_drain_mode_any_ack_releases_all_that_was_sent() -> None:
    acks = with_clients("a", is_draining=True)
    told(acks, "e1", "a")
    told(acks, "e2", "a")
    acks.registered("e3", ["a"])

    acks.acked("a", [])

    assert acks.waiting_for == [("a", "e3")]


def test_what_nobody_was_told_waits_for_somebody() -> None:
    acks = with_clients("a")
    acks.closed("a")

    acks.registered("e1", [])
    assert acks.waiting_for == [("", "e1")]

    assert acks.opened("b") == ["e1"]
    acks.sent("e1", "b")
    assert acks.waiting_for == [("b", "e1")]
    told(acks, "e2", "b")
    acks.acked("b", ["e1", "e2"])
    assert acks.is_settled


def test_what_a_newcomer_may_not_see_is_released() -> None:
    acks = Acks()
    acks.registered("e1", [])

    acks.opened("a")
    acks.filtered("e1", "a")
    acks.filtered("e2", "a")

    assert acks.is_settled


def test_without_a_need_for_clients_nobody_is_waited_for() -> None:
    acks = Acks(needs_clients=False)

    acks.registered("e1", [])

    assert acks.is_settled


def test_what_is_given_up_costs_one_timeout() -> None:
    acks = with_clients("a")
    told(acks, "e1", "a")

    acks.timed_out()
    assert acks.is_settled
    assert (acks.timeouts, acks.given_up_count) == (1, 1)

    told(acks, "e2", "a")
    acks.acked("a", ["e1"])  # too late: it changes nothing
    assert acks.waiting_for == [("a", "e2")]
    assert acks.timeouts == 1
    acks.acked("a", ["e2"])
    assert acks.timeouts == 0


def test_a_step_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_pacing, "MOST_WAITED", 2)
    acks, nobody = with_clients("a"), Acks()
    for number in range(5):
        told(acks, f"e{number}", "a")
        nobody.registered(f"e{number}", [])

    assert acks.waiting_for == [("a", "e0"), ("a", "e1")]
    assert nobody.waiting_for == [("", "e0"), ("", "e1")]


def test_more_patience_before_the_first_ack_ever() -> None:
    acks = Acks()
    acks.timeouts = 23
    assert not acks.is_over
    acks.timeouts = 24
    assert acks.is_over
    acks.has_acked = True
    acks.timeouts = 4
    assert not acks.is_over
    acks.timeouts = 5
    assert acks.is_over


class AcksMachine(RuleBasedStateMachine):
    """Any run of events: what waits is what the plain rules of section 12 say."""

    @initialize(is_draining=st.booleans())
    def begin(self, is_draining: bool) -> None:
        self.acks = Acks(is_draining=is_draining)
        self.is_draining = is_draining
        self.open: set[str] = set()
        self.participants: set[str] | None = None  # None: the step has no frame yet
        self.sent: set[tuple[str, str]] = set()  # that is not released
        self.unsent: set[tuple[str, str]] = set()
        self.early: set[tuple[str, str]] = set()
        self.untold: list[str] = []
        self.count = 0

    @rule(name=st.sampled_from("abc"))
    def open_one(self, name: str) -> None:
        if name in self.open:
            return
        untold = self.acks.opened(name)
        self.open.add(name)
        assert untold == self.untold
        if untold:
            assert self.participants is not None
            self.participants.add(name)
            self.unsent |= {(name, one) for one in untold}
            self.untold = []

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close_one(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.open)))
        self.acks.closed(name)
        self.open.discard(name)
        if self.participants is not None:
            self.participants.discard(name)
        for group in (self.sent, self.unsent, self.early):
            group -= {one for one in group if one[0] == name}

    @rule(data=st.data())
    def produce(self, data: st.DataObject) -> None:
        self.count += 1
        event_id = f"e{self.count}"
        if self.participants is None:
            self.participants = set(self.open)
        seeing = {name for name in sorted(self.open) if data.draw(st.booleans())}
        self.acks.registered(event_id, sorted(seeing))
        if not self.open:
            self.untold.append(event_id)
        self.unsent |= {(name, event_id) for name in seeing & self.participants}

    @precondition(lambda self: self.unsent)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        name, event_id = data.draw(st.sampled_from(sorted(self.unsent)))
        self.acks.sent(event_id, name)
        self.unsent.discard((name, event_id))
        if (name, event_id) not in self.early:
            self.sent.add((name, event_id))

    @rule(name=st.sampled_from("abcd"), data=st.data())
    def ack(self, name: str, data: st.DataObject) -> None:
        known = [f"e{number}" for number in range(max(1, self.count - 5), self.count + 2)]
        named = data.draw(st.lists(st.sampled_from([*known, "nonsense"]), max_size=4))
        self.acks.acked(name, named)
        if self.is_draining:
            self.sent -= {one for one in self.sent if one[0] == name}
            return
        for event_id in named:
            self.sent.discard((name, event_id))
            if (name, event_id) in self.unsent:
                self.early.add((name, event_id))

    @rule(has_timed_out=st.booleans())
    def end_step(self, has_timed_out: bool) -> None:
        if has_timed_out:
            before = self.acks.timeouts
            self.acks.timed_out()
            assert self.acks.timeouts == before + 1
        elif self.acks.is_settled:
            self.acks.next_step()
        else:
            return
        self.participants = None
        self.untold = []
        for group in (self.sent, self.unsent, self.early):
            group.clear()

    @invariant()
    def what_waits_is_what_the_rules_say(self) -> None:
        if not hasattr(self, "acks"):
            return
        waiting = self.sent | self.unsent | {("", one) for one in self.untold}
        assert set(self.acks.waiting_for) == waiting
        assert self.acks.is_settled is not bool(waiting)


AcksMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
TestAcks = AcksMachine.TestCase


# -- the pacer -----------------------------------------------------------------------------------


class Paced:
    def __init__(self, *, wait_for_clients: int = 1, is_flushed: bool = True) -> None:
        self.acks = Acks(needs_clients=wait_for_clients > 0)
        self.completed: list[str] = []
        self.is_flushed = is_flushed
        self.pacer = StreamPacer(
            self.acks,
            wait_for_clients=wait_for_clients,
            tell_completed=lambda: self.completed.append("completed"),
            is_flushed=lambda: self.is_flushed,
        )


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    run_simulated(main)


def test_the_run_waits_for_its_clients() -> None:
    async def scenario() -> None:
        paced = Paced(wait_for_clients=2)
        ready = asyncio.create_task(paced.pacer.ready())
        paced.acks.opened("a")
        await asyncio.sleep(100)
        assert not ready.done()

        paced.acks.opened("b")
        await asyncio.wait_for(ready, 1)

    play(scenario)


def test_without_clients_to_wait_for_it_begins_at_once() -> None:
    async def scenario() -> None:
        paced = Paced(wait_for_clients=0)
        await asyncio.wait_for(paced.pacer.ready(), 0.001)
        paced.acks.registered("e1", [])
        await asyncio.wait_for(paced.pacer.settled(), 0.001)

    play(scenario)


def test_a_step_ends_with_its_last_ack() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        paced = Paced()
        paced.acks.opened("a")
        told(paced.acks, "e1", "a")
        told(paced.acks, "e2", "a")
        began_s = loop.time()
        loop.call_later(1, paced.acks.acked, "a", ["e1"])
        loop.call_later(3, paced.acks.acked, "a", ["e2"])

        await paced.pacer.settled()

        assert loop.time() - began_s == pytest.approx(3)
        assert paced.acks.timeouts == 0

    play(scenario)


def test_what_an_acknowledged_call_caused_belongs_to_the_step() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        paced = Paced()
        paced.acks.opened("a")
        told(paced.acks, "e1", "a")

        def acknowledge() -> None:
            paced.acks.acked("a", ["e1"])
            told(paced.acks, "e2", "a")  # before the waiting task has its turn

        loop.call_later(1, acknowledge)
        loop.call_later(2, paced.acks.acked, "a", ["e2"])
        await paced.pacer.settled()

        assert loop.time() == pytest.approx(2)

    play(scenario)


def test_a_client_that_never_acks_ends_the_run_after_24_steps_of_5_s() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        paced = Paced()
        paced.acks.opened("a")
        for count in range(23):
            told(paced.acks, f"e{count}", "a")
            await paced.pacer.settled()
        told(paced.acks, "last", "a")

        with pytest.raises(StrategyError, match=r"24 steps .* within 5 s .* last from client a"):
            await paced.pacer.settled()

        assert loop.time() == pytest.approx(24 * 5)

    play(scenario)


def test_a_client_that_falls_silent_ends_the_run_after_5_steps() -> None:
    async def scenario() -> None:
        paced = Paced()
        paced.acks.opened("a")
        told(paced.acks, "e0", "a")
        paced.acks.acked("a", ["e0"])
        await paced.pacer.settled()
        for count in range(1, 5):
            told(paced.acks, f"e{count}", "a")
            await paced.pacer.settled()
        told(paced.acks, "e5", "a")
        told(paced.acks, "e6", "a")

        with pytest.raises(StrategyError, match=r"5 steps .* e5 from client a and 1 more"):
            await paced.pacer.settled()

    play(scenario)


def test_a_run_whose_only_client_has_gone_waits_and_ends() -> None:
    async def scenario() -> None:
        paced = Paced()
        paced.acks.opened("a")
        told(paced.acks, "e0", "a")
        paced.acks.acked("a", ["e0"])
        await paced.pacer.settled()
        paced.acks.closed("a")
        for count in range(1, 5):
            paced.acks.registered(f"e{count}", [])
            await paced.pacer.settled()
        paced.acks.registered("e5", [])

        with pytest.raises(StrategyError, match="none is connected"):
            await paced.pacer.settled()

    play(scenario)


def test_a_wait_that_is_cancelled_leaves_the_others_waiting() -> None:
    async def scenario() -> None:
        paced = Paced()
        one = asyncio.create_task(paced.pacer.ready())
        other = asyncio.create_task(paced.pacer.ready())
        await asyncio.sleep(1)
        one.cancel()
        await asyncio.sleep(1)
        paced.acks.opened("a")

        await asyncio.wait_for(other, 1)

    play(scenario)


@pytest.mark.parametrize(("is_flushed", "took_s"), [(True, 0.0), (False, 1.0)])
def test_the_farewell_takes_a_second_at_most(is_flushed: bool, took_s: float) -> None:
    async def scenario() -> None:
        paced = Paced(is_flushed=is_flushed)
        paced.acks.opened("a")

        await paced.pacer.completed()

        assert paced.completed == ["completed"]
        assert asyncio.get_running_loop().time() == pytest.approx(took_s, abs=0.01)

    play(scenario)
