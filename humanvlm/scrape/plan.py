"""What a crawl has to do, shard by shard, on the disk so that a killed one goes on with the same shards."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from humanvlm.data.atomic_io import atomic_file
from humanvlm.errors import UserError

PLAN = "plan.npz"
BATCH_ROWS = 1 << 16

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """The work of one shard: rows ``start`` to ``stop`` of the index, a bit each (``np.packbits``).

    fetch: rows to download. repeated: rows whose URL another row has, which is earlier in the index or in the artifact.
    Rows in neither are in the artifact.
    """

    number: int
    start: int
    stop: int
    fetch: bytes
    repeated: bytes

    @property
    def rows(self) -> int:
        """Rows of the index that get an outcome here."""
        return int((int.from_bytes(self.fetch) | int.from_bytes(self.repeated)).bit_count())

    def flags(self) -> tuple[Flags, Flags]:
        """``fetch`` and ``repeated`` as one bool a row."""
        fetch, repeated = (
            np.unpackbits(np.frombuffer(bits, np.uint8), count=self.stop - self.start).view(np.bool_)
            for bits in (self.fetch, self.repeated)
        )
        return fetch, repeated


@dataclass(frozen=True)
class Plan:
    """total: rows of the index. slices: of the shards that have something to do."""

    total: int
    slices: tuple[Slice, ...]


def slices_of(todo: Flags, repeated: Flags, step: int, first_number: int) -> Iterator[Slice]:
    """Cut the rows to do into shards of at most ``step``, numbered from ``first_number``."""
    for number, (start, stop) in enumerate(_cuts(todo, step), first_number):
        again = repeated[start:stop]
        fetch = todo[start:stop] & ~again
        yield Slice(number, start, stop, np.packbits(fetch).tobytes(), np.packbits(again).tobytes())


def _cuts(todo: Flags, step: int) -> list[tuple[int, int]]:
    """Ranges from the first to the last of each ``step`` rows to do."""
    starts: list[int] = []
    stops: list[int] = []
    seen = end = 0
    for offset in range(0, len(todo), BATCH_ROWS):  # row numbers take 8 bytes each
        rows = offset + np.flatnonzero(todo[offset : offset + BATCH_ROWS])
        place = (seen + np.arange(len(rows))) % step
        starts += rows[place == 0].tolist()
        stops += (rows[place == step - 1] + 1).tolist()
        seen += len(rows)
        end = int(rows[-1]) + 1 if len(rows) else end
    return list(zip(starts, [*stops, end] if seen % step else stops, strict=True))


def save_plan(plan: Plan, folder: Path) -> None:
    """Write the plan atomically and durably, so that a killed crawl continues with the same shards."""
    path = folder / PLAN
    table = np.array([(part.number, part.start, part.stop) for part in plan.slices], dtype=np.int64).reshape(-1, 3)
    fetch, repeated = (
        np.frombuffer(b"".join(parts), np.uint8)
        for parts in ([part.fetch for part in plan.slices], [part.repeated for part in plan.slices])
    )
    with atomic_file(path) as work, work.open("wb") as file:
        np.savez(file, total=plan.total, slices=table, fetch=fetch, repeated=repeated)


def load_plan(folder: Path) -> Plan:
    """The plan that ``save_plan`` wrote. Raises UserError naming the file when it is missing or damaged."""
    path = folder / PLAN
    try:
        with np.load(path, allow_pickle=False) as file:  # a zip: what it holds is checksummed
            total, table, fetch, repeated = (file[name] for name in ("total", "slices", "fetch", "repeated"))
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(
            f"{path}: no plan of a crawl ({error}); delete {folder} and run `humanvlm raw_scrape`"
        ) from None
    bounds = pairwise(np.cumsum([0, *((table[:, 2] - table[:, 1] + 7) // 8)]))
    slices = tuple(
        Slice(number, start, stop, fetch[low:high].tobytes(), repeated[low:high].tobytes())
        for (number, start, stop), (low, high) in zip(table.tolist(), bounds, strict=True)
    )
    return Plan(int(total), slices)
