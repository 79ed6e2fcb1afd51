"""Boxes in the notations of many models, and in every coordinate space."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.inference.boxes import REASONS, SCALE, SPACES, Found, Order, Space, choose_space, find_numbers, read_box

COORDINATE = st.integers(0, 999)
BOX = st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE)
NOTATIONS = {
    "LLaVA": "[{}, {}, {}, {}]",
    "Shikra": "The person<ph> ({},{},{},{}) stands there.",
    "Qwen-VL": "<ref>the man</ref><box>({},{}),({},{})</box>",
    "Qwen2-VL": "<|object_ref_start|>a man<|object_ref_end|><|box_start|>({},{}),({},{})<|box_end|><|im_end|>",
    "Qwen2.5-VL": '```json\n[\n\t{{"bbox_2d": [{}, {}, {}, {}], "label": "man"}}\n]\n```',
    "InternVL": "<ref>man</ref><box>[[{}, {}, {}, {}]]</box>",
    "DeepSeek-VL2": "<|ref|>man<|/ref|><|det|>[[{}, {}, {}, {}]]<|/det|>",
    "CogVLM": "It is [[{},{},{},{}]].",
    "points": "[[{}, {}], [{}, {}]]",
    "JSON": '{{"x_min": {}, "y_min": {}, "x_max": {}, "y_max": {}}}',
    "short JSON": '{{"box": {{"x1": {}, "y1": {}, "x2": {}, "y2": {}}}}}',
    "Python": "{{'xmin': {}, 'ymin': {}, 'xmax': {}, 'ymax': {}}}",
    "attributes": '<bbox x1="{}" y1="{}" x2="{}" y2="{}"/>',
    "words": "Left: {}, top: {}, right: {}, bottom: {}",
    "bare": "{}, {}, {}, {}",
    "NumPy": "[{} {} {} {}]",
    "MiniCPM-V": "<ref>the man</ref><box>{} {} {} {}</box>",
    "Florence-2": "the man<loc_{}><loc_{}><loc_{}><loc_{}>",
}


def test_every_reply_of_a_real_model(shared: Path) -> None:
    """All 100 agree with what its authors parsed: there is no row to make an exception of."""
    with (shared / "benchmarks" / "box_parsing" / "base_attempts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = [find_numbers(row["raw_response"]) for row in rows]
    assert choose_space(found, [(640, 480)] * len(rows)) == ("unit", 0)
    assert len(rows) == 100
    for row, one in zip(rows, found, strict=True):
        assert one is not None
        assert list(one.numbers) == json.loads(row["parsed_bbox"]), row["image_path"]


@pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS)
@given(box=BOX)
def test_what_is_written_is_read(notation: str, box: tuple[int, ...]) -> None:
    found = find_numbers(notation.format(*box))
    assert found is not None
    assert found.numbers == box
    assert not found.sides


@given(st.text(max_size=80) | st.text("[](){}<>0123456789.,-+ xy12:=\"'%einfa|box", max_size=120))
def test_any_text_is_read_or_not(text: str) -> None:
    found = find_numbers(text)
    for space in SPACES:
        reading = read_box(found, 640, 480, space)
        assert (reading.box is None) == (reading.reason in REASONS)
        if reading.box:
            assert reading.box[0] < reading.box[2]
            assert reading.box[1] < reading.box[3]


@pytest.mark.parametrize("start", ["[", "[1 ", "(1,", "x1=", "9", "[1" + " " * 999, "[1 1 1 ", "[1,1],", "[1 %"])
def test_hostile_text_takes_no_time(start: str) -> None:
    find_numbers(start * (60_000 // len(start)))  # would take minutes if it went back and forth


@pytest.mark.parametrize("space", SPACES)
@given(
    box=st.tuples(
        st.floats(0, 300), st.floats(0, 200), st.floats(10, 300, exclude_min=True), st.floats(10, 200, exclude_min=True)
    )
)
def test_every_space_leads_to_the_same_pixels(space: Space, box: tuple[float, ...]) -> None:
    width, height = 640.0, 480.0
    truth = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    sizes = (width, height, width, height)
    written = [
        value * (SCALE[space] / size if space != "pixels" else 1) for value, size in zip(truth, sizes, strict=True)
    ]
    reading = read_box(find_numbers("[{}, {}, {}, {}]".format(*written)), width, height, space)
    assert reading.box == pytest.approx(truth, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("reply", "box"),
    [
        ("<patch_index_0000><patch_index_1023>", (10, 7.5, 630, 472.5)),  # the centres of the outermost patches
        ("<patch_index_0033><patch_index_0035>", (20, 15, 80, 30)),  # one patch high: its whole height
        ("<loc0256><loc0128><loc0768><loc0512>", (80, 120, 320, 360)),  # y before x
        ("[10%, 20%, 30%, 40 %]", (64, 96, 192, 192)),
    ],
)
def test_notations_with_a_space_of_their_own(reply: str, box: tuple[float, ...]) -> None:
    for space in SPACES:
        assert read_box(find_numbers(reply), 640, 480, space).box == pytest.approx(box)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "no_box"),
        ("[]", "no_box"),
        ("I cannot find it.", "no_box"),
        ("[0.1, 0.2, 0.3]", "no_box"),
        ("[1, 2, 3, 4, 5]", "no_box"),
        ("at 10 20 30 40", "no_box"),
        ("<patch_index_9999><patch_index_0001>", "no_box"),
        ("[nan, 2, 3, 4]", "non_finite"),
        ("[1, 2, 3, Infinity]", "non_finite"),
        ("[1, 2, 3, 1e999]", "non_finite"),
        ("[30, 20, 10, 40]", "swapped"),
        ("[10, 40, 30, 20]", "swapped"),
        ("[10, 20, 10, 40]", "empty_box"),
        ("[0, 0, 0, 0]", "empty_box"),
        ("[700, 20, 800, 40]", "outside"),
        ("[-30, 20, -10, 40]", "outside"),
    ],
)
def test_reasons(reply: str, reason: str) -> None:
    assert read_box(find_numbers(reply), 640, 480, "pixels").reason == reason


def test_sides() -> None:
    assert read_box(find_numbers("[10, 20, 30, 40]"), 640, 480, "pixels", sides=True).box == (10, 20, 40, 60)
    told = find_numbers('{"x": 10, "y": 20, "width": 30, "height": 40}')
    assert read_box(told, 640, 480, "pixels").box == (10, 20, 40, 60)


def replies(*boxes: tuple[float, float, float, float]) -> list[Found | None]:
    return [Found(box) for box in boxes]


@pytest.mark.parametrize(
    ("boxes", "space", "ambiguous"),
    [
        ([(0.1, 0.2, 0.3, 1.0), (0, 0, 1, 1)], "unit", 0),
        ([(10, 20, 30, 100), (1, 2, 3, 4)], "percent", 2),
        ([(10, 20, 30, 400), (500, 20, 640, 480)], "pixels", 2),
        ([(10, 20, 30, 400), (500, 20, 900, 980)], "thousand", 1),
        ([(1, 2, 3, 4)] * 99 + [(10, 20, 700, 30)], "percent", 99),  # one stray number does not change the file's space
        ([(10, 20, 3000, 30)], "unit", 0),  # fits nothing
        ([], "unit", 0),
    ],
)
def test_auto(boxes: list[Any], space: Space, ambiguous: int) -> None:
    assert choose_space(replies(*boxes), [(640, 480)] * len(boxes)) == (space, ambiguous)


def test_marks_of_qwen_have_no_vote() -> None:
    told = find_numbers("<|box_start|>(12,34),(56,78)<|box_end|>")
    assert told is not None
    assert told.space == "thousand"
    assert choose_space([told, Found((0.1, 0.2, 0.3, 0.4))], [(640, 480)] * 2) == ("unit", 0)


TRUTH = (64.0, 240.0, 192.0, 432.0)  # of 640 x 480: 0.1, 0.5, 0.3, 0.9


@pytest.mark.parametrize(
    "reply",
    [
        '```json\n[{"box_2d": [500, 100, 900, 300], "label": "the man"}]\n```',  # Gemini: y first
        "{'label': 'the man', 'box_2d': [500, 100, 900, 300]}",
        "box_2d: [[500, 100, 900, 300]]",
        '{"box_2d": {"ymin": 500, "xmin": 100, "ymax": 900, "xmax": 300}}',
        "<ref>the man</ref><box>100 500 300 900</box>",  # MiniCPM-V
        "<box>100, 500, 300, 900</box>",
        "<box>(100,500),(300,900)</box>",  # Qwen-VL
        "<|box_start|>(100,500),(300,900)<|box_end|>",
        "<box>[[100, 500, 300, 900]]</box>",  # InternVL
        "<|det|>[[100, 500, 300, 900]]<|/det|>",
        "the man<loc_100><loc_500><loc_300><loc_900>",  # Florence-2
        "<loc0512><loc0102><loc0922><loc0307> the man",  # PaliGemma: y first, of 1024
    ],
)
@pytest.mark.parametrize("space", SPACES)
def test_marks_decide_the_space_and_the_order(reply: str, space: Space) -> None:
    assert read_box(find_numbers(reply), 640, 480, space).box == pytest.approx(TRUTH, abs=0.5)


def test_bbox_2d_is_no_mark() -> None:
    found = find_numbers('{"bbox_2d": [64, 240, 192, 432]}')
    assert found is not None
    assert (found.numbers, found.space) == (TRUTH, None)


@pytest.mark.parametrize(
    ("reply", "boxes"),
    [
        ("[1, 2, 3, 4]", 1),
        ("[1, 2, 3, 4] or [5, 6, 7, 8]", 2),
        ("<box>1 2 3 4</box><box>5 6 7 8</box><box>5 6 7 8</box>", 3),
        ("(1,2),(3,4) and (1,2),(3,4)", 2),
        ('[{"x1": 1, "y1": 2, "x2": 3, "y2": 4}, {"x1": 1, "y1": 2, "x2": 3, "y2": 4}]', 2),
        ("<loc0256><loc0128><loc0768><loc0512> a <loc0256><loc0128><loc0768><loc0512>", 2),
        ("<patch_index_0033><patch_index_0135><patch_index_0033><patch_index_0135>", 2),
    ],
)
def test_boxes_are_counted_and_the_first_is_read(reply: str, boxes: int) -> None:
    found = find_numbers(reply)
    assert found is not None
    assert found.boxes == boxes


@pytest.mark.parametrize(
    ("reply", "order", "box"),
    [
        ("[48, 64, 240, 320]", "yxyx", (64, 48, 320, 240)),
        ("(48, 64), (240, 320)", "yxyx", (64, 48, 320, 240)),
        ("[64, 48, 256, 192]", "xywh", (64, 48, 320, 240)),
        ("<|box_start|>(100,100),(500,500)<|box_end|>", "yxyx", (64, 48, 320, 240)),  # this notation has x first
        ('{"box_2d": [100, 100, 500, 500]}', "xywh", (64, 48, 320, 240)),
        ("x1=64, y1=48, x2=320, y2=240", "yxyx", (64, 48, 320, 240)),
    ],
)
def test_an_order_holds_where_the_notation_does_not_tell(reply: str, order: Order, box: tuple[float, ...]) -> None:
    assert read_box(find_numbers(reply, order), 640, 480, "pixels").box == pytest.approx(box)
