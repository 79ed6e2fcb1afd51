"""The Great Expectations suites pass on good captions and name what is wrong with bad ones."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from humanvlm.data.shards import shard_name, write_shard
from humanvlm.errors import UserError

pytest.importorskip("great_expectations")

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "url", "split", "sha256", "short", "detailed", "human_caption_hq")]
    + [(name, pa.int32()) for name in ("width", "height", "claims_supported", "claims_unsupported")]
    + [("faithfulness", pa.float32())]
)


def row(number: int, **changes: Any) -> dict[str, Any]:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    words = f"A woman appears to smile on beach {number}"
    texts = {"short": words, "detailed": f"{words}. {words}.", "human_caption_hq": words}
    url = f"https://photos.example/{number}.jpg"
    fixed = {"id": digest[:20], "url": url, "split": "train", "sha256": digest, "width": 640, "height": 480}
    checked = {"faithfulness": 1.0, "claims_supported": 5, "claims_unsupported": 0}
    return {**fixed, **texts, **checked, **changes}


def write(folder: Path, *shards: list[dict[str, Any]]) -> Path:
    for index, rows in enumerate(shards):
        write_shard(folder / shard_name(index), rows, SCHEMA)
    return folder


def failing(name: str, folder: Path) -> dict[tuple[str, str], int]:
    from orchestration.expectations import validate

    return {(r.column, r.expectation.split()[0]): r.unexpected for r in validate(name, folder) if not r.passed}


def test_good_captions_pass(tmp_path: Path) -> None:
    folder = write(tmp_path, [row(1), row(2, split="test")], [row(3)])
    assert failing("human_caption", folder) == {}
    assert failing("human_caption_hq", folder) == {}


def test_bad_rows_are_counted_under_their_column(tmp_path: Path) -> None:
    twin = row(1, url=None)
    long = row(2, short=" ".join(["word"] * 71), detailed=" ".join(["word"] * 300), human_caption_hq=" word" * 501)
    odd = row(3, split="validation", width=0, human_caption_hq=None, id="not-hex")
    folder = write(tmp_path, [row(1), long], [twin, odd])
    shared = {
        ("id", "expect_column_values_to_be_unique"): 2,
        ("id", "expect_column_values_to_match_regex"): 1,
        ("url", "expect_column_values_to_not_be_null"): 1,
        ("split", "expect_column_values_to_be_in_set"): 1,
        ("width", "expect_column_values_to_be_between"): 1,
    }
    assert failing("human_caption", folder) == shared | {("short_words", "expect_column_values_to_be_between"): 1}
    assert failing("human_caption_hq", folder) == shared | {
        ("human_caption_hq_words", "expect_column_values_to_be_between"): 1,
        ("human_caption_hq_words", "expect_column_values_to_not_be_null"): 1,
    }


def test_captions_that_claim_too_much_fail(tmp_path: Path) -> None:
    rows = [row(number, faithfulness=0.4) for number in range(2)]
    wrong = failing("human_caption", write(tmp_path / "few", [*rows, *(row(number) for number in range(2, 50))]))
    assert wrong == {}, "two in fifty are borne"
    rows = [row(number, faithfulness=0.4 if number < 20 else 1.0) for number in range(50)]
    assert failing("human_caption", write(tmp_path / "many", rows)) == {
        ("faithfulness", "expect_column_mean_to_be_between"): 0,
        ("faithfulness", "expect_column_values_to_be_between"): 20,
    }
    rows = [row(1, faithfulness=1.5), row(2, faithfulness=None), row(3, claims_supported=-1)]
    assert set(failing("human_caption_hq", write(tmp_path / "odd", rows))) == {
        ("faithfulness", "expect_column_values_to_be_between"),
        ("faithfulness", "expect_column_values_to_not_be_null"),
        ("claims_supported", "expect_column_values_to_be_between"),
    }


def test_a_caption_of_many_pictures_fails(tmp_path: Path) -> None:
    rows = [
        row(number, short="A person is outdoors." if number < 7 else f"Person {number} is outdoors.")
        for number in range(50)
    ]
    assert failing("human_caption", write(tmp_path / "seven", rows)) == {
        ("short_repeats", "expect_column_max_to_be_between"): 0
    }
    assert failing("human_caption", write(tmp_path / "six", rows[1:])) == {}


def test_an_artifact_without_rows_fails(tmp_path: Path) -> None:
    assert ("(table)", "expect_table_row_count_to_be_between") in failing("human_caption", write(tmp_path, []))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write_shard(tmp_path / shard_name(0), [{"id": "a"}], pa.schema([("id", pa.string())]))
    with pytest.raises(UserError, match="missing column 'claims_supported'"):
        failing("human_caption", tmp_path)
