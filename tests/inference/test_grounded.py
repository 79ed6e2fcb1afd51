"""Boxes and keypoints of replies as data."""

import itertools
import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.inference.boxes import find_all, find_numbers, read_box
from humanvlm.inference.grounded import Grounded, Keypoint, LabelledBox, ground
from humanvlm.inference.points import NAMES

SIZE = (200, 100)
PERCENT = st.integers(0, 100)
SNIPPETS = st.sampled_from(
    (
        *("[1, 2, 3, 4]", "(5,6),(7,8)", "<loc_1><loc_2><loc_3><loc_4>", "left: 1 top: 2 right: 3 bottom: 4", "x1: 3"),
        *("a man", '"label": "dog"', "<ref>", "</ref>", "<box>", ": ", ",", "{", "}", "\n"),
        *("nose at (1, 2)", "1e400", "nan"),
    )
)


def named(reply: str) -> list[tuple[str | None, tuple[float, ...]]]:
    return [(box.label, box.xyxy) for box in ground(reply, SIZE).boxes]


@pytest.mark.parametrize(
    ("reply", "labels"),
    [
        ("[10, 20, 30, 40]", [None]),
        ("It is [[10, 20, 30, 40]].", [None]),
        ("The man in a hat is at [1, 2, 3, 4], and the dog: [5, 6, 7, 8].", ["The man in a hat", "the dog"]),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "man"},\n{"label": "dog", "bbox_2d": [5, 6, 7, 8]}]', ["man", "dog"]),
        ('{"people": [{"box": [1, 2, 3, 4]}, {"box": [5, 6, 7, 8]}]}', [None, None]),
        ('{"person": [1, 2, 3, 4], "dog": [5, 6, 7, 8]}', ["person", "dog"]),
        ("<ref>a man</ref><box>(1,2),(3,4)</box><ref>a dog</ref><box>(5,6),(7,8)</box>", ["a man", "a dog"]),
        ("<|object_ref_start|>a man<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>", ["a man"]),
        ("<|ref|>man<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>", ["man"]),
        ("The person<ph> (1,2,3,4) stands there.", ["The person"]),
        ("the man<loc_1><loc_2><loc_3><loc_4>the dog<loc_5><loc_6><loc_7><loc_8>", ["the man", "the dog"]),
        ("1. person: (1, 2, 3, 4)\n2. **dog**: (1, 2, 3, 4)\n- cat - [1, 2, 3, 4]", ["person", "dog", "cat"]),
        ('{"x_min": 1, "y_min": 2, "x_max": 3, "y_max": 4, "label": "hat"}', ["hat"]),
        ("x" * 500 + " at [1, 2, 3, 4]", [None]),
        ("There is no dog.", []),
    ],
)
def test_each_box_has_its_name(reply: str, labels: list[str | None]) -> None:
    assert [label for label, _ in named(reply)] == labels


def test_pixels_of_the_picture_by_hand() -> None:
    found = ground("left eye: [10, 20], nose: [50, 50]; the face [5, 10, 95, 90]", SIZE)
    assert found.boxes == (LabelledBox("the face", (10.0, 10.0, 190.0, 90.0)),)
    assert found.keypoints == (Keypoint("nose", (100.0, 50.0)), Keypoint("left_eye", (20.0, 20.0)))
    assert json.loads(json.dumps(asdict(found))) == {
        "image_size": [200, 100],
        "boxes": [{"label": "the face", "xyxy": [10.0, 10.0, 190.0, 90.0]}],
        "keypoints": [{"name": "nose", "xy": [100.0, 50.0]}, {"name": "left_eye", "xy": [20.0, 20.0]}],
    }


def test_thoughts_point_at_nothing() -> None:
    assert named("<think>perhaps [1, 2, 3, 4]</think>[10, 20, 30, 40]") == [(None, (20.0, 20.0, 60.0, 40.0))]
    assert not ground("<think>perhaps [1, 2, 3, 4]", SIZE)


def test_what_is_no_box_is_left_out() -> None:
    assert not ground("[30, 20, 10, 40] [10, 20, 10, 40] [200, 200, 300, 300] [nan, 1, 2, 3]", SIZE)


def test_a_space_of_its_own_and_a_space_that_fits() -> None:
    assert named("<box>(500,500),(1000,1000)</box>") == [(None, (100.0, 50.0, 200.0, 100.0))]
    found = ground("[0.5, 0.5, 1, 1]", SIZE, "auto")
    assert found.boxes == (LabelledBox(None, (100.0, 50.0, 200.0, 100.0)),)


@given(st.lists(st.tuples(PERCENT, PERCENT, PERCENT, PERCENT), max_size=6))
def test_all_boxes_are_told_and_the_first_is_the_evaluations(rows: list[tuple[int, int, int, int]]) -> None:
    reply = "; ".join(f"thing: [{', '.join(map(str, row))}]" for row in rows)
    boxes = [(x1, y1, x2, y2) for x1, y1, x2, y2 in rows if x1 < x2 and y1 < y2]
    told = ground(reply, (100, 100)).boxes
    assert [box.xyxy for box in told] == boxes
    assert len(find_all(reply)) == len(rows)
    first = read_box(find_numbers(reply), 100, 100, "percent").box
    assert first is None or told[0].xyxy == pytest.approx(first)


@given(st.lists(SNIPPETS | st.text(max_size=8), max_size=12).map("".join), st.sampled_from(["percent", "auto"]))
def test_any_reply_is_read(reply: str, space: str) -> None:
    found = ground(reply, SIZE, "auto" if space == "auto" else "percent")
    assert isinstance(found, Grounded)
    assert {point.name for point in found.keypoints} <= set(NAMES)
    spans = [one.span for one in find_all(reply)]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    json.dumps(asdict(found), allow_nan=False)


def test_hostile_replies_take_no_time() -> None:
    for piece in (
        "[1, 2, 3, 4]",
        "[1, 2, 3, 4]{",
        '"label": ',
        "<ref>a</ref>",
        "x1: 1 ",
        "<a",
        " - ",
        "((((",
        "is at ",
    ):
        ground(piece * (65_536 // len(piece)), SIZE)
