"""One connection to PostgreSQL for blocking callers, on a loop in a thread of its own."""

import asyncio
import os
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import asyncpg

from framework.errors import JournalDamaged, JournalError

T = TypeVar("T")
CONNECT_S = 10.0
RENEW_S = 2.0  # a read waits for it on the loop, and the writer tries several times
LOST = (  # what is said of a connection that ends while it is used; it counts as closed later
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.AdminShutdownError,
    asyncpg.exceptions.CrashShutdownError,
    asyncpg.exceptions.IdleSessionTimeoutError,
    asyncpg.InternalClientError,  # the server's farewell came between two messages of ours
    ConnectionError,
)


class Address(NamedTuple):
    """Where a journal is: the server's URL, and the schema that is the journal's name."""

    url: str
    schema: str
    place: str


class PostgresConnection:
    """Blocking calls from any one thread at a time; every error names the place."""

    def __init__(self, address: Address, *, busy_s: float) -> None:
        """Connect. Raises JournalError where that fails."""
        self._place = address.place
        self._address = address
        self._busy_s = busy_s
        self._is_broken = False
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="order-log-link", daemon=True)
        self._thread.start()
        try:
            self._connection = self._wait_for(_connect(address, busy_s, CONNECT_S))
        except BaseException:
            self._end()
            raise

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended, by whomever: nothing can be asked of it any more."""
        return self._is_broken or self._connection.is_closed()

    def renew(self) -> None:
        """Connect again, to a session without locks. Raises JournalError where that fails."""
        if not self._connection.is_closed():
            self._loop.call_soon_threadsafe(self._connection.terminate)
        self._connection = self._wait_for(_connect(self._address, self._busy_s, RENEW_S))
        self._is_broken = False

    def execute(self, statement: str, *values: object) -> str:
        """Run a statement and return its command tag, such as `INSERT 0 3`."""
        return self._wait_for(self._connection.execute(statement, *values))

    def transact(self, *statements: tuple[str, Sequence[object]]) -> None:
        """Run statements with their values as one transaction."""
        self._wait_for(self._transact(statements))

    def fetch(self, statement: str, *values: object) -> list[Any]:
        """Run a query and return its rows."""
        return self._wait_for(self._connection.fetch(statement, *values))

    def close(self) -> None:
        """Disconnect; harmless when repeated."""
        if self._loop.is_closed():
            return
        try:
            self._wait_for(self._connection.close(timeout=CONNECT_S))
        except JournalError:
            self._connection.terminate()
        finally:
            self._end()

    async def _transact(self, statements: Sequence[tuple[str, Sequence[object]]]) -> None:
        async with self._connection.transaction():
            for statement, values in statements:
                await self._connection.execute(statement, *values)

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        with named_errors(self._place):
            try:
                return asyncio.run_coroutine_threadsafe(work, self._loop).result()
            except LOST:
                self._is_broken = True
                raise

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _connect(
    address: Address, busy_s: float, connect_s: float
) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(
        address.url,
        timeout=connect_s,
        command_timeout=busy_s,
        server_settings={
            "application_name": f"headrace {os.getpid()}",
            "search_path": address.schema,
            "synchronous_commit": "on",
        },
    )


@contextmanager
def named_errors(place: str) -> Iterator[None]:
    """Turn errors of the driver, the network and the server into ours, with the place."""
    try:
        yield
    except (asyncpg.exceptions.DataCorruptedError, asyncpg.exceptions.IndexCorruptedError) as error:
        raise JournalDamaged(f"{place}: {error}") from error
    except TimeoutError as error:
        raise JournalError(f"{place}: no answer in time") from error
    except (asyncpg.PostgresError, *LOST, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise JournalError(f"{place}: {error}") from error


def parse_url(url: str) -> Address:
    """Return the address in `postgresql://USER@HOST/DATABASE?journal=NAME`.

    The name is `headrace` by default; it becomes a schema. The place names no password.

    Raises:
        JournalError: the name is not a plain one.
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    name = query.pop("journal", ["headrace"])[-1]
    if not (name.isidentifier() and name.isascii() and name == name.lower() and len(name) <= 40):
        raise JournalError("journal: a name has up to 40 small letters, digits and underscores")
    bare = urlunsplit(parts._replace(query=urlencode(query, doseq=True)))
    host = parts.netloc.rpartition("@")[2]
    return Address(bare, f"journal_{name}", f"postgresql://{host}{parts.path}?journal={name}")
