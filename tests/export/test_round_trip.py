"""Pictures of every kind of source: indexed, stored without a server, written out, and indexed again."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import humanvlm
from humanvlm.data.shards import IMAGE, read_folder
from humanvlm.export.folder import export
from humanvlm.index.build import build_index
from humanvlm.pipeline.runner import run_stage

from ..scrape.conftest import jpeg

PROFILE = Path(humanvlm.__file__).with_name("profiles") / "photos.yaml"
Sample = tuple[bytes, list[str]]


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def write_folder(path: Path, samples: list[Sample]) -> None:
    """Pictures with a text file each, which holds one text."""
    for number, (data, texts) in enumerate(samples):
        (path / f"{number // 2}").mkdir(parents=True, exist_ok=True)
        (path / f"{number // 2}" / f"{number}#?.jpg").write_bytes(data)
        if texts:
            (path / f"{number // 2}" / f"{number}#?.txt").write_text(texts[0])


def write_metadata(path: Path, samples: list[Sample]) -> None:
    path.mkdir()
    lines = []
    for number, (data, texts) in enumerate(samples):
        (path / f"{number}.jpg").write_bytes(data)
        lines.append(json.dumps({"file_name": f"{number}.jpg", "captions": texts}))
    (path / "metadata.jsonl").write_text("\n".join(lines))


def write_parquet(path: Path, samples: list[Sample]) -> None:
    rows = [
        {"image": {"bytes": data, "path": f"{n}.jpg"}, "captions": texts} for n, (data, texts) in enumerate(samples)
    ]
    schema = pa.schema([("captions", pa.list_(pa.string())), ("image", IMAGE)])
    path.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema), path / "part.parquet", row_group_size=3)


def write_bytes_column(path: Path, samples: list[Sample]) -> None:
    rows = [{"jpg": data, "txt": texts[0] if texts else None} for data, texts in samples]
    schema = pa.schema([("jpg", pa.binary()), ("txt", pa.string())])
    path.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema), path / "part.parquet")


def write_saved(path: Path, samples: list[Sample]) -> None:
    from datasets import Dataset, DatasetDict, Features, Image, Sequence, Value

    features = Features({"image": Image(), "captions": Sequence(Value("string"))})
    half = len(samples) // 2
    splits = {
        name: Dataset.from_dict(
            {"image": [data for data, _ in some], "captions": [texts for _, texts in some]}, features
        )
        for name, some in (("train", samples[half:]), ("test", samples[:half]))
    }
    DatasetDict({**splits, "train": splits["train"].select(range(len(samples) - half)[::-1])}).save_to_disk(str(path))


def write_tars(path: Path, samples: list[Sample]) -> None:
    path.mkdir()
    for first in (0, 3):
        with tarfile.open(path / f"{first:05d}.tar", "w") as tar:
            for number, (data, texts) in list(enumerate(samples))[first : first + 3]:
                add(tar, f"a/{number:03d}.jpg", data)
                add(tar, f"a/{number:03d}.json", json.dumps({"captions": texts}).encode())
                if texts:
                    add(tar, f"a/{number:03d}.txt", texts[0].encode())


KINDS: dict[str, Callable[[Path, list[Sample]], None]] = {
    "folder": write_folder,
    "metadata": write_metadata,
    "parquet": write_parquet,
    "bytes": write_bytes_column,
    "saved": write_saved,
    "tars": write_tars,
}
ONE_TEXT = ("folder", "bytes")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")
    return tmp_path


def crawled(data: Path, out: Path) -> dict[bytes, tuple[str, ...]]:
    """Texts by stored picture."""
    report = run_stage("raw_scrape", PROFILE, ("raw_scrape.rows_per_shard=3",), {"data": data}, out)
    assert report["rows"]["in"] == report["rows"]["kept"]
    return {row["image"]["bytes"]: tuple(row["captions"]) for row in read_folder(out)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_pictures_and_texts_come_back(project: Path, kind: str) -> None:
    samples = [(jpeg(seed=n), [f"text {n} ü", f"another of {n}"] if n % 3 else []) for n in range(5)]
    KINDS[kind](Path("source"), samples)
    expected = {data: tuple(texts[: 1 if kind in ONE_TEXT else None]) for data, texts in samples}
    summary = build_index(["source"], Path("data"))
    assert (summary.read, summary.merged.rows, summary.local.total()) == (5, 5, 5)
    assert crawled(Path("data"), Path("artifacts/raw_scrape")) == expected
    assert {row["final_url"].split("/")[0] for row in read_folder(Path("artifacts/raw_scrape"))} == {"local:source"}
    for form in ("webdataset", "hf"):
        export(form, Path("artifacts/raw_scrape"), Path(form))
        build_index([form], Path("again") / form)
        assert crawled(Path("again") / form, Path("artifacts") / form) == expected


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=3), min_size=1, max_size=6),
    kind=st.sampled_from(["metadata", "parquet", "tars"]),
)
def test_any_text_comes_back_as_it_was_indexed(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]], kind: str
) -> None:
    here = tmp_path_factory.mktemp("trip")
    KINDS[kind](here / "source", [(jpeg(seed=n), some) for n, some in enumerate(texts)])
    build_index([str(here / "source")], here / "data")
    first = rows_of(here / "data")
    store_all(here)
    for form in ("webdataset", "hf"):
        export(form, here / "raw_scrape", here / form)
        build_index([str(here / form)], here / f"again-{form}")
        assert rows_of(here / f"again-{form}") == first


def rows_of(data: Path) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    rows: list[dict[str, Any]] = pq.read_table(data / "index.parquet").to_pylist()
    return {row["sha256"]: (row["text"], tuple(row["captions"])) for row in rows}


def store_all(here: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("HUMANVLM_WORKERS", "1")
        run_stage("raw_scrape", PROFILE, (), {"data": here / "data"}, here / "raw_scrape")
