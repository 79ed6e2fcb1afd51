import ast
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.data import dropped
from humanvlm.data.dropped import Drop, count_reasons, dropped_path, dropped_row, write_dropped
from humanvlm.data.shards import open_shard, read_rows
from humanvlm.data.tombstones import FORGOTTEN


def test_a_row_says_what_why_and_where(tmp_path: Path) -> None:
    rows = [dropped_row("a", "http://x/a", Drop("no_face", "none found")), dropped_row("b", None, Drop("bad_row"))]
    file = write_dropped(tmp_path, "shard-00003.parquet", rows)
    path = dropped_path(tmp_path, "shard-00003.parquet")
    assert (file.path, file.rows, file.bytes) == ("dropped/shard-00003.parquet", 2, path.stat().st_size)
    assert list(read_rows(path)) == [
        {"id": "a", "url": "http://x/a", "reason": "no_face", "detail": "none found"},
        {"id": "b", "url": None, "reason": "bad_row", "detail": ""},
    ]


def test_a_row_that_was_taken_down_says_no_url() -> None:
    assert dropped_row("a", "http://x/a", Drop(FORGOTTEN))["url"] == ""


def test_a_stage_adds_columns_behind_the_common_ones(tmp_path: Path) -> None:
    rows = [dropped_row("a", "http://x/a", Drop("http_404", "gone"), status=404)]
    write_dropped(tmp_path, "shard-00000.parquet", rows, {"status": pa.int32()})
    path = dropped_path(tmp_path, "shard-00000.parquet")
    assert open_shard(path).schema_arrow.names == [*dropped.SCHEMA.names, "status"]
    assert next(iter(read_rows(path)))["status"] == 404


def test_nothing_dropped_is_an_empty_file(tmp_path: Path) -> None:
    assert write_dropped(tmp_path, "shard-00000.parquet", []).rows == 0
    assert list(read_rows(dropped_path(tmp_path, "shard-00000.parquet"))) == []


@settings(max_examples=30, deadline=None)
@given(reasons=st.lists(st.sampled_from(["too_bright", "no_face", FORGOTTEN])))
def test_reasons_add_up(reasons: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("dropped")
    rows = [dropped_row(str(number), "u", Drop(reason)) for number, reason in enumerate(reasons)]
    counts = count_reasons(rows)
    assert write_dropped(folder, "shard-00000.parquet", rows).rows == sum(counts.values()) == len(reasons)
    assert counts == {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def test_no_other_module_defines_the_columns() -> None:
    root = Path(dropped.__file__).parents[1]
    found = []
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            texts = {child.value for child in ast.iter_child_nodes(node) if isinstance(child, ast.Constant)}
            if isinstance(node, ast.Tuple | ast.List | ast.Dict) and {"url", "reason", "detail"} <= texts:
                found.append(path.relative_to(root).as_posix())
    assert found == ["data/dropped.py"]
