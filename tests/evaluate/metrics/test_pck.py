"""PCK of keypoints told in words."""

import json
from pathlib import Path

import numpy as np
import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.metrics.pck import Person, score_points
from humanvlm.evaluate.tasks.keypoints import score_files as score_keypoints_files
from humanvlm.inference.points import NAMES

from ..coco_cases import coco_case


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
