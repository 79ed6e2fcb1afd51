"""The token store: what a run learns from, tokenised once, in memory-mapped files that all processes share.

    store = build(work / "tokens", sources, run.params.model, config.max_length)  # once, in parallel, resumable
    store = Store.open(folder)  # in each process: nothing is read but what is asked for
    store.lengths, store.labels, store.sources, store.groups  # [N], for the plan
    store.tokens(i), store.spans(i), store.parts(i), store.pictures(i)  # of sample i

A part (a shard, or a range of an instruction file) is tokenised into a folder of its own, atomically, so that a build
that was killed goes on with the parts it lacks. The store then is their arrays one after the other. Its folder's name
is the sha256 of all that decides on its content: the sources' bytes, columns and prompts, the tokenizer and the chat
template, the length limit and the code that reads and encodes.
"""

import functools
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.config.model import Model
from humanvlm.data.atomic_io import atomic_folder, make_folder, write_json
from humanvlm.data.hashing import sha256_file
from humanvlm.data.shards import RandomRows
from humanvlm.errors import UserError
from humanvlm.model.build import build_processor
from humanvlm.pipeline.contract import progress
from humanvlm.pipeline.engine import default_workers, map_shards
from humanvlm.train import encode, instructions, samples
from humanvlm.train.encode import Encoder, fit
from humanvlm.train.samples import LeftOut, Picture, Reader

SHOWN = 5  # rows of a reason that are named
FILES_A_GROUP = 64  # picture files that count as one row group
ROWS_A_WORKER = 10_000  # fewer are tokenised before a process has started
# The arrays of a store, and how what is one a sample in a part is called there.
COLUMNS = {"lengths": np.int32, "labels": np.int32, "groups": np.uint32, "span_counts": np.int32}
_ENDS = {"token": "lengths", "span": "span_counts", "part": "part_counts", "picture": "picture_counts"}
COLUMNS |= {"part_counts": np.int32, "picture_counts": np.int32}


@dataclass(frozen=True)
class Source:
    """Where samples come from, which share of the run they are, and the readers of its parts. opening: steps at the
    start of the run that learn from it alone."""

    name: str
    share: float
    readers: Sequence[Reader]
    opening: int = 0


@dataclass(frozen=True, eq=False)
class Store:
    """The tokens of N samples. lengths, labels (tokens that are learnt) int32, sources uint8, groups uint32: all [N].

    groups tells the row groups apart that pictures are read from. about: what is in ``store.json``.
    """

    folder: Path
    about: Mapping[str, Any]
    lengths: NDArray[np.int32]
    labels: NDArray[np.int32]
    sources: NDArray[np.uint8]
    groups: NDArray[np.uint32]
    _tokens: NDArray[np.uint32]
    _token_ends: NDArray[np.int64]
    _spans: NDArray[np.uint32]
    _span_ends: NDArray[np.int64]
    _parts: NDArray[np.int32]
    _part_ends: NDArray[np.int64]
    _pictures: NDArray[np.int64]
    _picture_ends: NDArray[np.int64]
    _names: NDArray[np.uint8]
    _name_ends: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """Map the store that ``build`` wrote. Raises UserError when it is not whole."""
        fields = [name for name in cls.__dataclass_fields__ if name not in ("folder", "about")]
        try:
            about = json.loads((folder / "store.json").read_text(encoding="utf-8"))
            arrays = [_mapped(folder / f"{name.removeprefix('_')}.npy") for name in fields]
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: no readable token store ({error}); run the stage again") from None
        return cls(folder, about, *arrays)

    def __reduce__(self) -> Any:
        return Store.open, (self.folder,)  # other processes map the files: arrays would be copied

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def names(self) -> list[str]:
        """Of the sources, whose places in this list are their numbers."""
        return [source["name"] for source in self.about["sources"]]

    def tokens(self, sample: int) -> NDArray[np.uint32]:
        """[T] token ids, image tokens as many as the pictures have features."""
        return _piece(self._tokens, self._token_ends, sample)

    def spans(self, sample: int) -> NDArray[np.uint32]:
        """[S, 2]: (start, stop) of the tokens that are learnt."""
        return _piece(self._spans, self._span_ends, sample)

    def parts(self, sample: int) -> tuple[int, ...]:
        """Lengths of the parts that the tokens are, see ``Encoded``."""
        return tuple(_piece(self._parts, self._part_ends, sample).tolist())

    def pictures(self, sample: int) -> tuple[Picture, ...]:
        """Where the sample's pictures are, in order."""
        places = _piece(self._pictures, self._picture_ends, sample)
        return tuple(self._picture(file, row) for file, row in places.tolist())

    def every_picture(self) -> list[Picture]:
        """Where the pictures of all samples are, each once, in the order of files and rows."""
        return [self._picture(file, row) for file, row in np.unique(self._pictures, axis=0).tolist()]

    def _picture(self, file: int, row: int) -> Picture:
        return Picture(bytes(_piece(self._names, self._name_ends, file)).decode("utf-8", "surrogateescape"), row)


def build(folder: Path, sources: Sequence[Source], model: Model, max_length: int) -> Store:
    """The store of these sources in ``folder``, as found there or made now.

    Raises UserError when there is nothing to learn from, saying why.
    """
    digest = encoder_of(model).digest
    parts = [
        _Part(folder / f"part-{_address(digest, max_length, reader.identity)}", reader, model, max_length)
        for source in sources
        for reader in source.readers
    ]
    of_source = [number for number, source in enumerate(sources) for _ in source.readers]
    about = [(source.name, len(source.readers)) for source in sources]
    final = folder / _address(about, [part.folder.name for part in parts])
    if not (final / "store.json").exists():
        make_folder(folder)
        todo = {part.folder: part for part in parts if not part.folder.exists()}
        workers = min(default_workers(), 1 + sum(part.reader.rows for part in todo.values()) // ROWS_A_WORKER)
        for _ in progress(map_shards(_Part.make, list(todo.values()), workers), len(todo), "tokens", "parts"):
            pass
        _join(final, [source.name for source in sources], [part.folder for part in parts], of_source)
        for part in parts:
            shutil.rmtree(part.folder, ignore_errors=True)
    return Store.open(final)


@functools.cache
def encoder_of(model: Model) -> Encoder:
    """The encoder of a model, loaded once a process, without its weights."""
    return Encoder(build_processor(model))


def _address(*content: Any) -> str:
    """What decides on content, as the name of a folder."""
    return hashlib.sha256(json.dumps((_code(), content)).encode()).hexdigest()[:32]


@functools.cache
def _code() -> list[str]:
    return [sha256_file(Path(str(module.__file__))) for module in (encode, instructions, samples)] + [
        sha256_file(Path(__file__))
    ]


@dataclass(frozen=True)
class _Part:
    """Tokenises what a reader offers into a folder."""

    folder: Path
    reader: Reader
    model: Model
    max_length: int

    def make(self) -> None:
        encoder = encoder_of(self.model)
        row_groups = RandomRows()
        columns: dict[str, list[int]] = {name: [] for name in COLUMNS}
        tokens, spans = [np.zeros(0, np.uint32)], [np.zeros((0, 2), np.uint32)]
        parts: list[int] = []
        pictures: list[tuple[int, int]] = []
        files: dict[str, int] = {}
        left_out = Tally()
        kept = 0
        for offer in self.reader.read():
            if isinstance(offer, LeftOut):
                left_out.add([offer], [])
                continue
            found = fit(offer, encoder, self.max_length)
            left_out.add(found.left_out, found.too_long)
            kept += len(offer) - len(found.left_out)
            places = offer[0].pictures
            for sequence in found.sequences:
                shard = next((picture for picture in places if picture.row >= 0), None)
                number = len(columns["lengths"]) // FILES_A_GROUP
                columns["groups"].append(row_groups.group(Path(shard.path), shard.row) if shard else number)
                columns["lengths"].append(len(sequence.tokens))
                columns["labels"].append(sequence.labels)
                columns["span_counts"].append(len(sequence.spans))
                columns["part_counts"].append(len(sequence.parts))
                columns["picture_counts"].append(len(places))
                tokens.append(sequence.tokens)
                spans.append(sequence.spans)
                parts += sequence.parts
                pictures += [(files.setdefault(picture.path, len(files)), picture.row) for picture in places]
        with atomic_folder(self.folder) as work:
            for name, values in columns.items():
                np.save(work / f"{name}.npy", np.asarray(values, COLUMNS[name]))
            np.save(work / "tokens.npy", np.concatenate(tokens))
            np.save(work / "spans.npy", np.concatenate(spans))
            np.save(work / "parts.npy", np.asarray(parts, np.int32))
            np.save(work / "pictures.npy", np.asarray(pictures, np.int64).reshape(-1, 2))
            write_json(work / "part.json", {"kept": kept, "files": list(files), **left_out.as_json()}, durable=False)


class Tally:
    """Rows left out, by reason: how many, which were the first, and how long those were that are too long."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.first: dict[str, list[str]] = {}
        self.too_long: Counter[int] = Counter()

    def add(self, rows: Iterable[LeftOut], too_long: Iterable[int]) -> None:
        for row in rows:
            self.dropped[row.reason] += 1
            if len(places := self.first.setdefault(row.reason, [])) < SHOWN:
                places.append(row.id)
        self.too_long.update(too_long)

    def add_json(self, part: Mapping[str, Any]) -> None:
        """Add what ``as_json`` said of another."""
        self.dropped.update(part["dropped"])
        for reason, places in part["first"].items():
            self.first[reason] = [*self.first.get(reason, []), *places][:SHOWN]
        self.too_long.update({int(length): count for length, count in part["too_long"].items()})

    def as_json(self) -> dict[str, Any]:
        return {
            "dropped": dict(self.dropped),
            "first": self.first,
            "too_long": {str(length): count for length, count in sorted(self.too_long.items())},
        }


def _join(final: Path, names: Sequence[str], parts: Sequence[Path], of_source: Sequence[int]) -> None:
    """Write the store of finished parts."""
    abouts = [json.loads((part / "part.json").read_text(encoding="utf-8")) for part in parts]
    kept = [0] * len(names)
    tallies = [Tally() for _ in names]
    for source, about in zip(of_source, abouts, strict=True):
        kept[source] += about["kept"]
        tallies[source].add_json(about)
    files: dict[str, int] = {}
    with atomic_folder(final) as work:
        counts = [len(_mapped(part / "lengths.npy")) for part in parts]
        np.save(work / "sources.npy", np.repeat(np.asarray(of_source, np.uint8), counts))
        for name in ("lengths", "labels"):
            np.save(work / f"{name}.npy", _column(parts, name))
        for name, column in _ENDS.items():
            np.save(work / f"{name}_ends.npy", np.cumsum(_column(parts, column), dtype=np.int64))
        np.save(work / "groups.npy", np.concatenate([np.zeros(0, np.uint32), *_apart(parts)]))
        _save_all(work / "tokens.npy", [_mapped(part / "tokens.npy") for part in parts], (0,), np.uint32)
        _save_all(work / "spans.npy", [_mapped(part / "spans.npy") for part in parts], (0, 2), np.uint32)
        _save_all(work / "parts.npy", [_mapped(part / "parts.npy") for part in parts], (0,), np.int32)
        pictures = []
        for part, about in zip(parts, abouts, strict=True):
            numbers = np.asarray([files.setdefault(name, len(files)) for name in about["files"]], np.int64)
            places = np.array(_mapped(part / "pictures.npy"))
            places[:, 0] = numbers[places[:, 0]] if len(places) else 0
            pictures.append(places)
        _save_all(work / "pictures.npy", pictures, (0, 2), np.int64)
        encoded = [name.encode("utf-8", "surrogateescape") for name in files]
        np.save(work / "names.npy", np.frombuffer(b"".join(encoded), np.uint8))
        np.save(work / "name_ends.npy", np.cumsum([len(name) for name in encoded], dtype=np.int64))
        sizes = np.bincount(np.repeat(np.asarray(of_source, np.int64), counts), minlength=len(names)).tolist()
        parts_of = np.bincount(np.asarray(of_source, np.int64), minlength=len(names)).tolist()
        about = [
            {"name": name, "parts": number, "samples": size, "kept": rows, **tally.as_json()}
            for name, number, size, rows, tally in zip(names, parts_of, sizes, kept, tallies, strict=True)
        ]
        write_json(work / "store.json", {"sources": about}, durable=False)


def _column(parts: Sequence[Path], name: str) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, COLUMNS[name]), *(_mapped(part / f"{name}.npy") for part in parts)])


def _apart(parts: Sequence[Path]) -> Iterator[NDArray[np.uint32]]:
    """The row groups of every part, numbered on."""
    first = 0
    for part in parts:
        groups = _mapped(part / "groups.npy")
        if len(groups):
            yield groups + np.uint32(first)
            first += int(groups.max()) + 1


def _save_all(path: Path, arrays: Sequence[NDArray[Any]], empty: tuple[int, ...], dtype: Any) -> None:
    """Arrays one after the other, of which no more than one is in memory."""
    rows = sum(map(len, arrays))
    if not rows:
        np.save(path, np.zeros(empty, dtype))
        return
    joined = np.lib.format.open_memmap(path, "w+", dtype, (rows, *empty[1:]))
    start = 0
    for array in arrays:
        joined[start : start + len(array)] = array
        start += len(array)
    joined.flush()


def _mapped(path: Path) -> NDArray[Any]:
    """An array in a file; an empty one, which cannot be mapped, as it is."""
    try:
        return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]
    except ValueError:
        return np.load(path)  # type: ignore[no-any-return]


def _piece(values: NDArray[Any], ends: NDArray[np.int64], number: int) -> NDArray[Any]:
    return values[int(ends[number - 1]) if number else 0 : int(ends[number])]
