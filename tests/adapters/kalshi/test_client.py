"""The client as its user sees it: connecting, subscribing, and the eleven channels."""

import asyncio
from typing import Any

import pytest

from adapters.kalshi import messages
from tests.adapters.kalshi.client_rig import FRAMES, Bench, a_while, heard, name_of, simulated
from tests.adapters.kalshi.simulated.stream_rig import BOS, NYC


def test_smoke() -> None:
    async def scene(at: Bench) -> None:
        async with at.client() as kalshi:
            stream = await kalshi.orderbook(BOS)
            at.change()
            books = await heard(stream)
            assert [book.yes for book in books] == [(), ((4000, 100),)]
        assert await heard(stream) == []
        print(at.moves, at.reports, stream.statistics())

    simulated(scene)
