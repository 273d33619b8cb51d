"""The seams of a client that is used by itself, on a simulated loop and on a real one."""

import asyncio
import threading
from pathlib import Path

import aiohttp
import pytest

from framework.errors import ConfigError
from framework.model.events import ErrorRaised
from framework.net.standalone import StandaloneContext
from tests.broker.rig import START_NS, play, simulated_loop


def test_on_a_simulated_loop_everything_is_simulated() -> None:
    async def main() -> float:
        context = StandaloneContext("venue")
        assert context.clock.now_ns == START_NS
        fired = asyncio.Event()
        context.clock.call_at(START_NS + 3_600_000_000_000, fired.set)
        await fired.wait()
        assert simulated_loop().time() == pytest.approx(3_600)
        assert await context.blocking(threading.get_ident) == threading.get_ident()
        await context.connector().close()
        context.publish(ErrorRaised("x", "x", "x", 1))
        assert context.random_for("a") is not context.random_for("b")
        context.close()
        return context.random_for("chance").random()

    assert play(main, seed=3) == play(main, seed=3) != play(main, seed=4)


def test_on_a_real_loop_time_and_threads_are_real() -> None:
    async def main() -> None:
        context = StandaloneContext("venue")
        fired = asyncio.Event()
        context.clock.call_at(context.clock.now_ns + 1_000_000, fired.set)
        async with asyncio.timeout(30):
            await fired.wait()
        assert await context.blocking(threading.get_ident) != threading.get_ident()
        connector = context.connector()
        assert isinstance(connector, aiohttp.TCPConnector)
        await connector.close()
        same = [context.random_for("a").random() for _ in range(2)]
        assert same[0] == same[1]
        context.close()

    asyncio.run(main())


def test_secrets_are_where_they_are_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_TESTS", "of-the-environment")
    file = tmp_path / "key"
    file.write_text("of-the-file")
    file.chmod(0o600)

    async def main() -> None:
        context = StandaloneContext("venue")
        assert context.secret("env:A_SECRET_OF_TESTS").reveal() == "of-the-environment"
        assert context.secret(f"file:{file}").reveal() == "of-the-file"
        with pytest.raises(ConfigError):
            context.secret("plain")
        context.close()

    play(main)


def test_nothing_is_known_of_the_market() -> None:
    async def main() -> None:
        context = StandaloneContext("venue")
        market = context.market
        reads = (market.quote, market.trade, market.candle, market.book, market.mark_price)
        assert [read("x:Y") for read in reads] == [None] * 5
        assert market.reference_price("x:Y") is None
        context.close()

    play(main)
