"""Which instruments there are, and which one a name means."""

from collections.abc import Iterable, Iterator

import msgspec

from framework.errors import OrderError, UnknownInstrument
from framework.model.identity import symbol_of, venue_of
from framework.model.instrument import Instrument, InstrumentChanged


class AmbiguousName(OrderError):
    """A name fits several instruments; `instruments` are their ids."""

    def __init__(self, name: str, instruments: Iterable[str]) -> None:
        self.name = name
        self.instruments = tuple(sorted(instruments))
        super().__init__(f"{name!r} fits several instruments: {', '.join(self.instruments)}")


class Refreshed(msgspec.Struct, frozen=True):
    """What a new listing of a venue changed: new and altered definitions, ids that are gone."""

    changed: tuple[InstrumentChanged, ...] = ()
    removed: tuple[str, ...] = ()


class InstrumentDirectory:
    """The instruments of all venues, found by id, by alias and by search.

    The names of an instrument are its id, the venue's symbol and its aliases. What a refresh no
    longer lists gives up its names (venues use tokens again) and is not found by search, but its
    definition stays readable by id: positions and history may still hold it.
    """

    def __init__(self, instruments: Iterable[Instrument] = ()) -> None:
        self._definitions: dict[str, Instrument] = {}  # by id, delisted ones included
        self._listed: dict[str, Instrument] = {}
        self._names: dict[str, dict[str, None]] = {}  # name -> ids, in order of arrival
        for instrument in instruments:
            self.add(instrument)

    def __len__(self) -> int:
        return len(self._listed)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(tuple(self._listed.values()))

    def __contains__(self, instrument: str) -> bool:
        return instrument in self._listed

    def add(self, instrument: Instrument) -> bool:
        """List an instrument, or its new definition; return whether that changed anything."""
        known = self._listed.get(instrument.id)
        if known == instrument:
            return False
        if known is not None:
            self._release_names(known)
        self._definitions[instrument.id] = self._listed[instrument.id] = instrument
        for name in _names_of(instrument):
            self._names.setdefault(name, {})[instrument.id] = None
        return True

    def get(self, instrument: str) -> Instrument:
        """Return the definition of an id, delisted or not.

        Raises:
            UnknownInstrument: there never was such an id.
        """
        definition = self._definitions.get(instrument)
        if definition is None:
            raise UnknownInstrument(instrument)
        return definition

    def resolve(self, name: str, *, venue: str | None = None) -> Instrument:
        """Return the one listed instrument that an id, a venue's symbol or an alias means.

        Raises:
            UnknownInstrument: none has that name.
            AmbiguousName: several have it, and `venue` does not decide between them.
        """
        ids = [
            found
            for found in self._names.get(name, ())
            if venue is None or venue_of(found) == venue
        ]
        if not ids:
            raise UnknownInstrument(name)
        if len(ids) > 1:
            raise AmbiguousName(name, ids)
        return self._listed[ids[0]]

    def search(self, text: str, *, limit: int = 20, venue: str | None = None) -> list[Instrument]:
        """Return listed instruments with `text` in a name, in either case, best match first.

        A whole name comes before the beginning of one, that before the middle; then by id.
        """
        wanted = text.casefold()
        found = []
        for instrument in self._listed.values():
            if venue is not None and venue_of(instrument.id) != venue:
                continue
            ranks = [_rank(wanted, name.casefold()) for name in _names_of(instrument)]
            rank = min((rank for rank in ranks if rank is not None), default=None)
            if rank is not None:
                found.append((rank, instrument.id, instrument))
        found.sort(key=lambda entry: entry[:2])
        return [instrument for _, _, instrument in found[:limit]]

    def refresh(
        self, venue: str, instruments: Iterable[Instrument], *, time_ns: int, received_ns: int
    ) -> Refreshed:
        """Replace what `venue` lists; return what is new, altered or gone, to be published.

        Raises:
            ValueError: an instrument belongs to another venue; nothing has changed.
        """
        listing = {instrument.id: instrument for instrument in instruments}
        for instrument_id in listing:
            if venue_of(instrument_id) != venue:
                raise ValueError(f"{instrument_id!r} is not an instrument of {venue!r}")
        removed = [
            known for known in self._listed if venue_of(known) == venue and known not in listing
        ]
        for instrument_id in removed:  # first: a new instrument may take over a token
            self._release_names(self._listed.pop(instrument_id))
        changed = [
            InstrumentChanged(instrument.id, time_ns, received_ns, instrument)
            for instrument in listing.values()
            if self.add(instrument)
        ]
        return Refreshed(tuple(changed), tuple(removed))

    def _release_names(self, instrument: Instrument) -> None:
        for name in _names_of(instrument):
            ids = self._names[name]
            del ids[instrument.id]
            if not ids:
                del self._names[name]


def _names_of(instrument: Instrument) -> tuple[str, ...]:
    """Return id, symbol and aliases, each once."""
    names = (instrument.id, symbol_of(instrument.id), *instrument.aliases)
    return tuple(dict.fromkeys(name for name in names if name))


def _rank(wanted: str, name: str) -> int | None:
    if wanted not in name:
        return None
    if wanted == name:
        return 0
    return 1 if name.startswith(wanted) else 2
