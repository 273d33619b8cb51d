"""The public client's synchronous form leaves its event loops open; a test closes them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch


@contextmanager
def closed_afterwards() -> Iterator[None]:
    """Close every loop that is made inside, once it has been left."""
    made: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def note() -> asyncio.AbstractEventLoop:
        loop = make()
        made.append(loop)
        return loop

    try:
        with patch.object(asyncio, "new_event_loop", note):
            yield
    finally:
        for loop in made:
            if not loop.is_running():
                loop.close()
