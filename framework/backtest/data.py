"""Which data a backtest plays: the hash of every input file, or settings and seed of a generator.

A backtest keeps no inputs: with this reference, the configuration and the code it can be run
again, and two results can be told to rest on the same data.
"""

from collections.abc import Iterator
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from framework.engine.values import path_of
from framework.errors import DataError
from framework.model.records import DataFile, DataPlayed
from framework.runtime.system import System, VenueParts
from framework.settings.structs import Settings, VenueSettings


@runtime_checkable
class ReadsFiles(Protocol):
    """A recorded feed that reads files; one that does not is generated."""

    def files(self) -> list[Path]:
        """Return every file that a scan reads, each once, in the order of its sources."""


def data_played(settings: Settings, system: System, *, time_ns: int) -> tuple[DataPlayed, ...]:
    """Return what each venue of recorded data plays; reads every input file once.

    Raises:
        DataError: a file cannot be read.
    """
    return tuple(
        DataPlayed(
            venue.name,
            venue.settings.adapter,
            _settings_hash(venue.settings),
            settings.seed,
            tuple(_files(venue)),
            time_ns,
        )
        for venue in system.venues
        if venue.adapter.recorded is not None
    )


def with_range(
    played: tuple[DataPlayed, ...], first_ns: int | None, last_ns: int | None, event_count: int
) -> tuple[DataPlayed, ...]:
    """Return the references with the range of what was played, of all venues together."""
    return tuple(
        msgspec.structs.replace(one, first_ns=first_ns, last_ns=last_ns, event_count=event_count)
        for one in played
    )


def _files(venue: VenueParts) -> Iterator[DataFile]:
    recorded = venue.adapter.recorded
    if not isinstance(recorded, ReadsFiles):
        return
    for path in recorded.files():
        try:
            with path.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
            yield DataFile(str(path), path.stat().st_size, digest)
        except OSError as error:
            raise DataError(str(error.strerror), file=str(path)) from error


def _settings_hash(venue: VenueSettings) -> str:
    """Return the hash of what decides about the events besides files and seed."""
    deciding = (venue.adapter, venue.source, venue.settings, venue.instruments, venue.latency)
    encoded = msgspec.json.encode(deciding, enc_hook=_type_name, order="sorted")
    return sha256(encoded).hexdigest()


def _type_name(value: object) -> str:
    """Stand in for what only code can put into settings."""
    return path_of(type(value))
