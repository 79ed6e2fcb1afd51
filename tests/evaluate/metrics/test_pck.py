"""Keypoints told in words."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.evaluate.metrics.detections import NAMES
from humanvlm.evaluate.metrics.pck import Person, parse_points, score_points
from humanvlm.evaluate.tasks.keypoints import score_files as score_keypoints_files

from ..coco_cases import coco_case

POINTS = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.integers(0, 999), st.integers(0, 999)), max_size=17)


@pytest.mark.parametrize(
    ("form", "spaces"),
    [
        ("{} at ({}, {})", True),
        ("The {} is located at [{}, {}].", True),
        ("**{}**: ({} {})", True),
        ("{}: (x={}, y={})", False),
        ('"{}": [{}, {}, 2]', False),
        ('"{}": {{"x": {}, "y": {}}}', False),
    ],
)
@given(points=POINTS)
def test_what_is_told_is_read(form: str, spaces: bool, points: dict[str, tuple[int, int]]) -> None:
    told = "; ".join(form.format(name.replace("_", " ") if spaces else name, *xy) for name, xy in points.items())
    assert parse_points(told) == points


@given(
    st.text(max_size=60) | st.lists(st.sampled_from(["left eye", " at ", "(", "1", ",", ")", "e9", "\n"])).map("".join)
)
def test_any_text_is_read_or_not(text: str) -> None:
    assert set(parse_points(text)) <= set(NAMES)


def test_hostile_text_takes_no_time() -> None:
    for text in ("left eye" + " " * 60_000, "nose" * 15_000, "left eye at (1" * 4_000, "nose is " * 8_000):
        assert parse_points(text) == {}


def person() -> Person:
    points = np.zeros((17, 3))
    points[:3] = [[100, 100, 2], [110, 90, 1], [90, 90, 2]]
    return Person("1", "7", (50, 50, 100, 80), points, (200, 200))


def test_by_hand() -> None:
    """The longer side is 100: within 5, 10 and 20 pixels. One of three visible points is not told."""
    told = "nose at (104, 103), left eye at (110, 109), left hip at (3, 4)"
    scored = score_points([person()], [told], space="pixels")
    assert scored.scores["pck@0.05"] == pytest.approx(1 / 3)
    assert scored.scores["pck@0.1"] == pytest.approx(1 / 3)
    assert scored.scores["pck@0.2"] == pytest.approx(2 / 3)
    assert scored.scores["pck@0.2[keypoint=right_eye]"] == 0
    assert (scored.counts["keypoints"], scored.counts["untold"], scored.counts["unparseable"]) == (3, 1, 0)


def test_spaces_and_failures() -> None:
    scored = score_points([person()] * 3, ["nose: (0.5, 0.5)", "somewhere", None])
    assert scored.scores["pck@0.05"] == pytest.approx(1 / 9)
    assert (scored.counts["space_unit"], scored.counts["unparseable"], scored.counts["missing"]) == (1, 1, 1)


def test_files(tmp_path: Path) -> None:
    """The truth, told in words, is right throughout; nothing is expected for crowds and people without points."""
    truth = tmp_path / "person_keypoints.json"
    truth.write_text(json.dumps(coco_case("keypoints", 3)[0]))
    rows = [one for one in json.loads(truth.read_text())["annotations"] if one["num_keypoints"] and not one["iscrowd"]]
    assert len(rows) > 2
    told = tmp_path / "told.jsonl"
    with told.open("w") as file:
        for row in rows:
            found = zip(NAMES, row["keypoints"][0::3], row["keypoints"][1::3], row["keypoints"][2::3], strict=True)
            text = ", ".join(f"{name.replace('_', ' ')} at ({x}, {y})" for name, x, y, v in found if v)
            file.write(json.dumps({"id": row["id"], "text": text}) + "\n")
    scored = score_keypoints_files(truth, told, kind="pck", space="auto", allow_missing=False)
    assert scored.scores["pck@0.05"] == 1
    assert scored.counts["untold"] == 0
    told.write_text(told.read_text().partition("\n")[0])
    with pytest.raises(UserError, match="no prediction for id"):
        score_keypoints_files(truth, told, kind="pck", space="auto", allow_missing=False)
