"""What the README shows runs as it stands there."""

import asyncio
import inspect
import re
from random import Random
from typing import Any

import pytest

from adapters.kalshi.client import KalshiClient
from adapters.kalshi.simulated.auth import AuthMode
from adapters.kalshi.venue import KalshiVenue, VenueSettings
from examples import kalshi_client as example
from framework.net.standalone import StandaloneContext
from tests.adapters.kalshi.simulated.rest_rig import play
from tests.source_code import ROOT

README = (ROOT / "adapters" / "kalshi" / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def examples() -> dict[str, Any]:
    """Return the functions that the README defines, by name."""
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(block, names)
    return {name: found for name, found in names.items() if inspect.iscoroutinefunction(found)}


@pytest.mark.parametrize("name", examples())
def test_every_example_of_the_readme_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        context = StandaloneContext("kalshi")
        settings = VenueSettings(auth=AuthMode.OFF, markets=1)
        venue = KalshiVenue(settings, context.clock, Random(3))
        await venue.start("venue", 8000)
        async with KalshiClient(rest_url=venue.rest_url, stream_url=venue.ws_url) as kalshi:
            market = venue.exchange.data.markets()[0].ticker
            async with asyncio.timeout(3_600):
                await examples()[name](kalshi, market)
        await venue.aclose()
        context.close()

    play(main)
    assert capsys.readouterr().out.strip()


def test_every_channel_and_call_of_the_client_is_in_the_readme() -> None:
    calls = [name for name in dir(KalshiClient) if name.startswith(("subscribe", "orderbook"))]
    assert len(calls) == 13
    assert [name for name in calls if f"`{name}(" not in README] == []


def test_the_example_program_runs_offline(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with asyncio.timeout(3_600):
            await example.main()

    play(main)
    assert capsys.readouterr().out.count("book ") >= 1


@pytest.mark.socket
def test_the_example_program_runs_on_real_sockets(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30):
            await example.main()

    asyncio.run(main())
    assert "gaps: 0" in capsys.readouterr().out
