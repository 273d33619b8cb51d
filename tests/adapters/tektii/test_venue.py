"""The gateway for demonstrations, over real sockets."""

import argparse
import asyncio
from collections.abc import Iterator, Mapping

import aiohttp
import pytest
from structlog.testing import capture_logs

from adapters.tektii.venue import add_arguments, serve

KEY = "a-key-for-demonstration-0123456789"


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep the system's own lines from being printed."""
    with capture_logs():
        yield


@pytest.mark.socket
def test_a_gateway_for_demonstrations_answers_with_its_key() -> None:
    async def main() -> None:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        options = parser.parse_args(["--port", "0", "--api-key", KEY])
        told: asyncio.Future[Mapping[str, object]] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(options, told.set_result))
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            place = await told
            async with session.get(f"{place['url']}/v1/account") as answer:
                assert answer.status == 401
            headers = {"X-API-Key": str(place["api_key"])}
            async with session.get(f"{place['url']}/v1/account", headers=headers) as answer:
                assert answer.status == 200
                assert (await answer.json())["balance"] == "1000000"
        serving.cancel()
        await asyncio.wait({serving})

    asyncio.run(main())
