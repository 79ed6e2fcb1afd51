"""The pictures of a shard that are measured already, so that a killed run measures none twice but the one in flight.

Signals go to a journal as they are made. Beside it is a list of the rows that were begun, in their order: when the last
one has no signals, the process that measured it died, of that picture or of something else. It is then measured in
a process of its own: if that dies as well, the picture is what kills.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from humanvlm.pipeline.engine import DeadWorkerError, in_a_process
from humanvlm.scrape.journal import Journal

KILLED_WORKER = "killed_worker"
BEGUN = struct.Struct("<I")  # the place of a row in its shard
Row = Mapping[str, Any]


class Measured:
    """What is measured of a shard. path: of the journal; made when absent, with the folder above it."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._begun = path.with_suffix(".begun")
        begun = list(places_begun(self._begun))
        self._in_doubt = begun[-1] if begun and begun[-1] not in self._journal.entries else None

    def __len__(self) -> int:
        """Rows that are measured: the first ones of the shard."""
        return len(self._journal.entries)

    def measure(self, place: int, row: Row, measure: Callable[[Row], dict[str, Any]]) -> None:
        """Measure the row at ``place``, the first that is not measured. measure: must pickle."""
        with self._begun.open("ab", buffering=0) as file:
            file.write(BEGUN.pack(place))
        if place != self._in_doubt:
            self.add(place, measure(row))
            return
        try:
            self.add(place, in_a_process(measure, row))
        except DeadWorkerError:
            self.add(place, {"reason": KILLED_WORKER, "detail": "the process that measured it died twice"})

    def add(self, place: int, signals: Row) -> None:
        """The signals of the row at ``place``."""
        self._journal.append(place, signals)

    def rows(self) -> Iterator[Row]:
        """Signals of all rows, in their order."""
        return (self._journal.entries[place].row for place in range(len(self)))

    def close(self) -> None:
        self._journal.close()


def places_begun(path: Path) -> Iterator[int]:
    """Places of rows in the order in which they were begun, twice where a process died; a torn end is left out."""
    data = path.read_bytes() if path.exists() else b""
    return (place for (place,) in BEGUN.iter_unpack(data[: len(data) // BEGUN.size * BEGUN.size]))
