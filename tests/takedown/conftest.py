"""The small crawl, made once, and copied for each test."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from humanvlm.data.seals import make_key

from .small_crawl import HOST, pictures, run_all, text_of, url_of


@pytest.fixture(scope="session")
def made(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which every stage that keeps rows ran."""
    folder = tmp_path_factory.mktemp("made")
    site = folder / "data" / "site" / HOST
    site.mkdir(parents=True)
    for name, data in pictures().items():
        (site / f"{name}.jpg").write_bytes(data)
    rows = [{"url": url_of(name), "text": text_of(name)} for name in [*pictures(), "absent"]]
    rows.insert(3, {"url": url_of("person"), "text": "another text"})
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "index.parquet")
    lines = [{"image": f"site/{HOST}/{name}.jpg", "conversations": []} for name in ("person", "mirrored")]
    (folder / "data" / "instructions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shutil.copy(repo / "humanvlm" / "profiles" / "cpu.yaml", folder / "params.yaml")
    make_key(folder / "tombstones.key")  # that copies of the project share
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HUMANVLM_WORKERS", "1")
        run_all()
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")
    return tmp_path / "project"
