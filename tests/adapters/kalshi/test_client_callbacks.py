"""Callbacks and hooks: who is called, in what order, and what a raising one may not do."""

import asyncio
from typing import Any

import pytest

from adapters.kalshi.client_settings import ClientSettings
from adapters.kalshi.reports import Report, Trouble
from adapters.kalshi.simulated.faults import Abort
from framework.errors import SubscriptionRefused
from framework.model.events import ConnectionState
from tests.adapters.kalshi.client_rig import QUICK, Bench, a_while, heard, rest_of, simulated
from tests.broker.rig import simulated_loop

RECONNECTING, CLOSED = ConnectionState.RECONNECTING, ConnectionState.CLOSED


def test_callbacks_before_and_after_connecting_several_per_channel() -> None:
    """K19, K22, B18: each is called with everything; none of them subscribes."""

    async def scene(at: Bench) -> None:
        called: list[str] = []
        kalshi = at.client()

        @kalshi.on("trade")
        async def first(trade: Any) -> None:
            called.append("first")

        async with kalshi:

            @kalshi.on("trade")
            async def second(trade: Any) -> None:
                called.append("second")

            await a_while()
            assert at.commands("subscribe") == []
            await kalshi.subscribe_trade()
            at.say("trade", count=2)
            await a_while()
            assert sorted(called) == ["first", "first", "second", "second"]
            assert kalshi.statistics()["callbacks_delivered"] == 4

    simulated(scene)


def test_with_both_an_iterator_and_a_callback_one_warning_is_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """K21."""

    async def scene(at: Bench) -> None:
        called: list[Any] = []
        async with at.client() as kalshi:

            @kalshi.on("trade")
            async def take(trade: Any) -> None:
                called.append(trade)

            stream = await kalshi.subscribe_trade()
            at.say("trade")
            await a_while()
            assert "callback_and_iterator" not in capsys.readouterr().out
            for _ in range(3):
                at.say("trade")
                assert await heard(stream)
            assert len(called) == 4

        assert capsys.readouterr().out.count("callback_and_iterator") == 1

    simulated(scene)


def test_run_forever_needs_a_subscription_and_returns_when_the_reader_ends() -> None:
    """K22, K23."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            with pytest.raises(SubscriptionRefused, match="nothing is subscribed"):
                await kalshi.run_forever()
            await kalshi.subscribe_trade()
            forever = asyncio.get_running_loop().create_task(kalshi.run_forever())
            await a_while(100)
            assert not forever.done()
            await kalshi.aclose()
            await forever

    simulated(scene)


def test_a_callback_may_close_the_client() -> None:
    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:

            @kalshi.on("trade")
            async def stop(trade: Any) -> None:
                await kalshi.aclose()

            await kalshi.subscribe_trade()
            at.say("trade")
            begun_s = simulated_loop().time()
            await kalshi.run_forever()
        assert simulated_loop().time() - begun_s < 1

    simulated(scene)


def test_what_a_callback_raises_is_reported_and_stops_nothing() -> None:
    """K54, K55: neither the other callbacks, nor itself, nor the iterator."""

    async def scene(at: Bench) -> None:
        called: list[Any] = []
        async with at.client() as kalshi:

            @kalshi.on("trade")
            async def raising(trade: Any) -> None:
                called.append(trade)
                raise RuntimeError("of the user's making")

            stream = await kalshi.subscribe_trade()
            at.say("trade", count=3)
            assert len(await heard(stream)) == 3
            assert len(called) == 3
            assert kalshi.statistics()["callbacks_errors"] == 3

        assert at.troubles() == [Trouble.CALLBACK] * 3
        assert isinstance(at.reports[0].error, RuntimeError)

    simulated(scene)


def test_a_slow_callback_keeps_nobody_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    """K3, K10, K59, B18: pongs go on; it is warned about once."""

    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:

            @kalshi.on("trade")
            async def slow(trade: Any) -> None:
                await a_while(7)

            stream = await kalshi.subscribe_trade()
            at.say("trade", count=20)
            await a_while(60)
            at.say("trade")
            assert len(await heard(stream)) == 21
            [connection] = at.control.connections()
            assert connection.pongs == 6
        assert capsys.readouterr().out.count("callback_slow") == 1

    simulated(scene)


def test_a_callback_that_never_returns_does_not_keep_the_client_open() -> None:
    """K2: it gets `farewell_s` to finish."""

    async def scene(at: Bench) -> None:
        async with at.client(ClientSettings(farewell_s=2.0)) as kalshi:

            @kalshi.on("trade")
            async def stuck(trade: Any) -> None:
                await asyncio.get_running_loop().create_future()

            await kalshi.subscribe_trade()
            at.say("trade")
            await a_while()
            begun_s = simulated_loop().time()
        assert simulated_loop().time() - begun_s == pytest.approx(2, abs=0.1)

    simulated(scene)


def test_what_waits_for_a_callback_is_still_called_for_when_the_client_closes() -> None:
    """K2, K15."""

    async def scene(at: Bench) -> None:
        called: list[Any] = []
        async with at.client() as kalshi:

            @kalshi.on("trade")
            async def slow(trade: Any) -> None:
                await a_while(0.5)
                called.append(trade)

            await kalshi.subscribe_trade()
            at.say("trade", count=4)
            await a_while()
        assert len(called) == 4

    simulated(scene)


def test_a_slow_or_raising_hook_changes_nothing() -> None:
    """K52, K55: it is awaited once per move, in order, and what it raises is reported."""

    async def scene(at: Bench) -> None:
        moves: list[ConnectionState] = []
        reports: list[Report] = []

        async def on_state_change(old: ConnectionState, new: ConnectionState) -> None:
            await a_while(0.3)
            moves.append(new)
            if new is RECONNECTING:
                raise RuntimeError("hook")

        async def on_error(report: Report) -> None:
            reports.append(report)
            raise RuntimeError("another")

        settings = ClientSettings(link=QUICK)
        async with at.client(
            settings, on_state_change=on_state_change, on_error=on_error
        ) as kalshi:
            stream = await kalshi.subscribe_trade()
            at.inject(Abort())
            await a_while(1)
            at.say("trade")
            assert len(await heard(stream)) == 1

        assert [state.value for state in moves] == [
            *("connecting", "connected", "streaming"),
            *("reconnecting", "connecting", "connected", "streaming", "closed"),
        ]
        assert [report.trouble for report in reports] == [Trouble.CALLBACK]

    simulated(scene)


def test_a_client_without_hooks_goes_on_as_well() -> None:
    async def scene(at: Bench) -> None:
        async with at.client(on_state_change=None, on_error=None) as kalshi:
            stream = await kalshi.subscribe_trade()
            at.inject("{")
            await a_while()
            assert kalshi.statistics()["trouble_undecodable"] == 1
        assert await rest_of(stream) == []

    simulated(scene)
