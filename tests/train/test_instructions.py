"""Instruction files of every form: which rows belong together, which are left out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.train import instructions
from humanvlm.train.instructions import Rows, bounds, write_held_out, write_index
from humanvlm.train.samples import LeftOut, Offer

TALK = [{"from": "human", "value": "<image>\nIs he smiling?"}, {"from": "gpt", "value": "yes"}]


def offers(file: Path, images: Path, artifacts: Path) -> list[Offer]:
    index, held_out = file.with_suffix(".index"), file.with_suffix(".held")
    write_index(file, index)
    write_held_out(artifacts / "human_caption", held_out)
    return [
        offer
        for first, stop in bounds(index)
        for offer in Rows(file, "", images, index, first, stop, held_out, "").read()
    ]


def told(found: Sequence[Offer]) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Ids of the rows of every conversation; reasons and ids of those left out."""
    kept = [[row.id.partition(":")[2] for row in offer] for offer in found if not isinstance(offer, LeftOut)]
    return kept, [(offer.reason, offer.id) for offer in found if isinstance(offer, LeftOut)]


def test_rows_that_cannot_be_used_are_named(artifacts: Path, tmp_path: Path) -> None:
    file = tmp_path / "instructions.jsonl"
    file.write_text((artifacts / "data" / "instructions.jsonl").read_text())
    kept, left = told(offers(file, artifacts / "data", artifacts))
    assert kept == [["2"], ["3", "4"]]  # rows 3 and 4 are about one picture
    assert sorted(left) == [
        ("bad_picture", "instructions.jsonl:5"),
        ("bad_picture", "instructions.jsonl:6"),
        ("bad_row", "instructions.jsonl:7"),
        ("bad_row", "instructions.jsonl:8"),
        ("bad_row", "instructions.jsonl:9"),
        ("held_out", "instructions.jsonl:1"),
    ]


def test_arrays_texts_and_several_pictures(artifacts: Path, tmp_path: Path) -> None:
    file = tmp_path / "mix.json"
    rows: list[Any] = [
        {"image": "1.jpg", "conversations": TALK},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {
            "images": ["1.jpg", "2.jpg"],
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Is <image> like <image>?"},
                {"role": "assistant", "content": "no"},
            ],
        },
        {"image": ["1.jpg"], "conversations": TALK},
        {"images": ["1.jpg", "2.jpg"], "conversations": TALK},
        {"image": 7, "conversations": TALK},
        {"image": "", "conversations": TALK},
        "not a row",
    ]
    file.write_text(json.dumps(rows))
    found = offers(file, artifacts / "data", artifacts)
    kept, left = told(found)
    assert kept == [["1", "4"], ["2"], ["3"], ["5"], ["7"]]  # another system text: another conversation
    assert [place for _, place in left] == ["mix.json:6", "mix.json:8"]
    samples = [offer[0] for offer in found if not isinstance(offer, LeftOut)]
    assert [[Path(picture.path).name for picture in sample.pictures] for sample in samples] == [
        ["1.jpg"],
        [],
        ["1.jpg", "2.jpg"],
        ["1.jpg", "2.jpg"],
        [],
    ]
    assert samples[2].system == "Be brief."
    assert samples[2].turns == (("Is <image> like <image>?", "no"),)


@given(texts=st.lists(st.text(max_size=40), max_size=6), indent=st.sampled_from([None, 1]), chunk=st.integers(1, 60))
def test_an_array_is_read_in_pieces_of_any_size(
    texts: list[str], indent: int | None, chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("array") / "rows.json"
    file.write_text(json.dumps([{"id": text} for text in texts], indent=indent, ensure_ascii=len(texts) % 2 == 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instructions, "CHUNK", chunk)
        found = list(instructions.elements(file))
    assert [json.loads(content)["id"] for *_, content in found] == texts
    content = file.read_bytes()
    assert [json.loads(content[start:stop])["id"] for start, stop, *_ in found] == texts
    assert [number for _, _, number, _ in found] == list(range(1, len(texts) + 1))


def test_a_row_that_is_nested_without_end_is_a_bad_row_or_an_error_of_one_line(tmp_path: Path) -> None:
    deep = b"[" * 100_000
    assert instructions.parsed(b'{"conversations": ' + deep) is None
    (tmp_path / "mix.json").write_bytes(b'[{"conversations": []}, ' + deep)
    with pytest.raises(UserError, match=r"mix\.json: element 2 of the array is nested too deep"):
        write_index(tmp_path / "mix.json", tmp_path / "index")


def test_an_array_that_was_cut_off_is_an_error(artifacts: Path, tmp_path: Path) -> None:
    file = tmp_path / "mix.json"
    file.write_text(json.dumps([{"conversations": TALK}] * 3)[:-20])
    with pytest.raises(UserError, match=r"mix\.json: element 3 of the array is not JSON, or the file is cut off"):
        write_index(file, tmp_path / "index")


def test_parts_hold_whole_conversations(artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructions, "PART", 3)
    file = tmp_path / "rows.jsonl"
    rows = [{"image": f"{1 + number % 2}.jpg", "conversations": TALK} for number in range(5)]
    rows += [{"conversations": TALK[:1]}] * 4
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept, left = told(offers(file, artifacts / "data", artifacts))
    assert kept == [["1", "3", "5"], ["2", "4"]]
    assert [place for _, place in left] == [f"rows.jsonl:{number}" for number in range(6, 10)]
    index = tmp_path / "rows.index"
    assert bounds(index) == [(0, 3), (3, 6), (6, 9)]
    file.write_text("\n")
    write_index(file, index)
    assert bounds(index) == []
