from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.data.atomic_io import write_json
from humanvlm.data.dropped import Drop, dropped_path, dropped_row
from humanvlm.data.shards import read_rows
from humanvlm.pipeline.contract import Counts, StageError, check_rows, progress, write_result

NAME = "shard-00000.parquet"
FATES = st.lists(st.sampled_from([None, "no_face", "too_small", "forgotten"]), max_size=150)


@settings(max_examples=30, deadline=None)
@given(fates=FATES)
def test_every_row_is_in_one_file_and_counted_once(
    fates: list[str | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("artifact")
    dropped: list[dict[str, str]] = []

    def rows() -> Iterator[dict[str, str]]:
        for number, reason in enumerate(fates):
            if reason is None:
                yield {"id": str(number)}
            else:
                dropped.append(dropped_row(str(number), "u", Drop(reason)))

    result = write_result(out, NAME, rows(), dropped, pa.schema([("id", pa.string())]))
    ids = [row["id"] for path in (out / NAME, dropped_path(out, NAME)) for row in read_rows(path)]
    assert sorted(ids, key=int) == [str(number) for number in range(len(fates))]
    assert result.counts.balanced
    assert result.counts == Counts(
        len(fates), fates.count(None), dict(sorted(Counter(reason for reason in fates if reason).items()))
    )
    assert [(file.path, file.rows) for file in result.files] == [
        (NAME, fates.count(None)),
        (f"dropped/{NAME}", len(dropped)),
    ]
    assert all((out / file.path).stat().st_size == file.bytes for file in result.files)


def test_progress_lines_count_in_plurals(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="humanvlm"):
        assert list(progress(iter(range(20)), 20, "benchmark_scores", "replies")) == list(range(20))
    lines = [record.getMessage().rpartition(",")[0] for record in caplog.records]
    assert lines == [f"benchmark_scores: {count}/20 replies" for count in range(2, 21, 2)]


def test_an_artifact_of_shards_without_rows_is_no_input(tmp_path: Path) -> None:
    rows: dict[str, Any] = {"in": 9, "kept": 0, "dropped": {"no_person": 2, "nsfw": 7}}
    shard = {"path": "shard-00000.parquet", "rows": 0}
    for outputs, kept in (([], 0), ([{"path": "model.bin", "rows": 0}], 0), ([shard, {**shard, "rows": 2}], 2)):
        write_json(tmp_path / "report.json", {"stage": "human_scenes", "rows": {"kept": kept}, "outputs": outputs})
        check_rows(tmp_path)
    write_json(tmp_path / "report.json", {"stage": "human_scenes", "rows": rows, "outputs": [shard]})
    message = r"has no rows \(all 9 were dropped, mostly nsfw \(7\)\); .* `humanvlm human_scenes`"
    with pytest.raises(StageError, match=message):
        check_rows(tmp_path)
