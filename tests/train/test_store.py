"""The token store: what is in it is what encoding gives, however it was built."""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from humanvlm.config.model import Model
from humanvlm.data.shards import list_shards
from humanvlm.errors import UserError
from humanvlm.train import store as module
from humanvlm.train.samples import Captions, Conversations, LeftOut, Offer, Picture, Sample
from humanvlm.train.store import Source, Store, build, encoder_of


@pytest.fixture(scope="module")
def model(tiny_models: dict[str, str]) -> Model:
    return Model(**tiny_models)


def sources(artifacts: Path) -> list[Source]:
    return [
        Source(
            "captions", 0.5, [Captions(shard, "a", 20, "short") for shard in list_shards(artifacts / "human_caption")]
        ),
        Source("none", 0.1, []),
        Source("talk", 0.4, [Conversations(shard, "b", 20) for shard in list_shards(artifacts / "human_caption_hq")]),
    ]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_store_holds_what_encoding_gives(artifacts: Path, model: Model, tmp_path: Path) -> None:
    given = sources(artifacts)
    store = build(tmp_path, given, model, 256)
    number = 0
    for place, source in enumerate(given):
        offers = [offer for reader in source.readers for offer in reader.read()]
        for sample in [sample for offer in offers if not isinstance(offer, LeftOut) for sample in offer]:
            encoded = encoder_of(model).encode(sample)
            assert np.array_equal(store.tokens(number), encoded.tokens)
            assert np.array_equal(store.spans(number), encoded.spans)
            assert store.pictures(number) == sample.pictures
            assert (store.lengths[number], store.labels[number]) == (len(encoded.tokens), encoded.labels)
            assert store.sources[number] == place
            number += 1
    assert len(store) == number == 106
    assert store.names == ["captions", "none", "talk"]
    assert [source["dropped"] for source in store.about["sources"]] == [
        {"held_out": 6, "no_caption": 1},
        {},
        {"held_out": 6, "no_questions": 1},
    ]
    assert store.about["sources"][0]["first"]["no_caption"] == ["shard-00000.parquet:1"]
    assert len(store.every_picture()) == 106  # of two artifacts
    held_out = {number for number in range(60) if number % 10 == 0}
    shards = [path.name for path in list_shards(artifacts / "human_caption")]
    rows = {20 * shards.index(Path(one.path).name) + one.row for one in store.every_picture()}
    assert rows.isdisjoint(held_out)


def test_row_groups_are_told_apart(artifacts: Path, model: Model, tmp_path: Path) -> None:
    store = build(tmp_path, sources(artifacts), model, 256)
    # One row group a shard: 3 shards of captions, 3 of conversations.
    assert np.array_equal(np.unique(store.groups), np.arange(6))
    for number in range(len(store)):
        path = Path(store.pictures(number)[0].path)
        shard = [shard for source in sources(artifacts) for shard in source.readers][int(store.groups[number])]
        assert shard.shard == path  # type: ignore[attr-defined]


def test_a_store_is_built_once_and_mapped(artifacts: Path, model: Model, tmp_path: Path, monkeypatch: Any) -> None:
    store = build(tmp_path, sources(artifacts), model, 256)
    monkeypatch.setattr(module, "map_shards", lambda *_: iter([pytest.fail("tokenised again")]))
    again = build(tmp_path, sources(artifacts), model, 256)
    assert again.folder == store.folder
    assert [path.name for path in tmp_path.iterdir()] == [store.folder.name]
    other = pickle.loads(pickle.dumps(store))
    assert isinstance(other._tokens, np.memmap)
    assert np.array_equal(other.tokens(5), store.tokens(5))


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_build_that_was_killed_goes_on_to_the_same_bytes(
    artifacts: Path, model: Model, tmp_path: Path, monkeypatch: Any, after: int
) -> None:
    whole = build(tmp_path / "whole", sources(artifacts), model, 256)
    made: list[Path] = []
    make = module._Part.make

    def killed(part: Any) -> None:
        if len(made) == after:
            (part.folder.parent / f".{part.folder.name}.work").mkdir()
            (part.folder.parent / f".{part.folder.name}.work" / "tokens.npy").write_bytes(b"half")
            raise KeyboardInterrupt
        make(part)
        made.append(part.folder)

    monkeypatch.setattr(module._Part, "make", killed)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "half", sources(artifacts), model, 256)

    def counted(part: Any) -> None:
        make(part)
        made.append(part.folder)

    monkeypatch.setattr(module._Part, "make", counted)
    again = build(tmp_path / "half", sources(artifacts), model, 256)
    assert len(made) == len(set(made)) == 6  # none was tokenised twice
    assert content(again.folder) == content(whole.folder)
    assert again.folder.name == whole.folder.name


def test_what_decides_on_the_content_is_in_the_name(artifacts: Path, model: Model, tmp_path: Path) -> None:
    first = sources(artifacts)
    shard = list_shards(artifacts / "human_caption")[0]
    changed = [Source("captions", 0.5, [Captions(shard, "other bytes", 20, "short")]), *first[1:]]
    names = {
        build(tmp_path, *arguments).folder.name
        for arguments in (
            (first, model, 256),
            (changed, model, 256),
            (first[:1], model, 256),
            (first, model, 255),
            (first, model.model_copy(update={"system_prompt": "Be brief."}), 256),
        )
    }
    assert len(names) == 5


@dataclass(frozen=True)
class Given:
    """Rows as they are given."""

    rows_given: tuple[Offer, ...]

    @property
    def rows(self) -> int:
        return len(self.rows_given)

    @property
    def identity(self) -> tuple[Any, ...]:
        return ("given", repr(self.rows_given))

    def read(self) -> Iterator[Offer]:
        return iter(self.rows_given)


def made_of(rows: Sequence[Offer], model: Model, folder: Path, limit: int = 256) -> Store:
    return build(folder, [Source("given", 1, [Given(tuple(rows))])], model, limit)


def test_text_alone_several_pictures_and_picture_files(model: Model, tmp_path: Path) -> None:
    pictures = (Picture("ä.jpg"), Picture("b.jpg"))
    rows = [
        (Sample((), (("Hi", "a man"),)),),
        (Sample(pictures, (("Who?", "a man"),)),),
        (Sample(pictures[1:], (("Who?", "a man"),)), Sample(pictures[1:], (("Where?", "left"),))),
    ]
    store = made_of(rows, model, tmp_path)
    assert [store.pictures(number) for number in range(3)] == [(), pictures, pictures[1:]]
    assert store.every_picture() == list(pictures)
    assert store.groups.tolist() == [0, 0, 0]
    assert len(store.spans(2)) == 2


def test_what_is_too_long_is_known_by_its_length(model: Model, tmp_path: Path) -> None:
    rows = [(Sample((), (("Hi", "wall " * count),), id=f"x:{count}"),) for count in (1, 40, 60, 80)]
    store = made_of(rows, model, tmp_path, 30)
    (source,) = store.about["sources"]
    assert (source["samples"], source["kept"], source["dropped"]) == (1, 1, {"too_long": 3})
    assert source["first"] == {"too_long": ["x:40", "x:60", "x:80"]}
    lengths = [len(encoder_of(model).encode(row[0]).tokens) for row in rows[1:]]
    assert source["too_long"] == {str(length): 1 for length in lengths}


def test_nothing_is_a_store_too(model: Model, tmp_path: Path) -> None:
    store = made_of([LeftOut("bad_row", "x:1")], model, tmp_path)
    assert len(store) == 0
    assert store.every_picture() == []
    with pytest.raises(UserError, match="no readable token store"):
        Store.open(tmp_path)
