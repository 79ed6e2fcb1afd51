"""Accuracy of referring expressions against pycocotools' overlaps of the same boxes."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.data.detections import iou
from humanvlm.evaluate.tasks.rec import Expression, iou_authors, parse_box, score_boxes, score_files

SIDE = st.floats(0, 500, allow_nan=False)
BOX = st.tuples(SIDE, SIDE, st.floats(1, 500), st.floats(1, 500)).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


def score(references: Path, predictions: Path, **changed: Any) -> Any:
    options: dict[str, Any] = {"space": "auto"}
    return score_files(references, predictions, **(options | changed))


def test_refcoco_test_a(shared: Path) -> None:
    folder = shared / "benchmarks" / "grounding"
    expected = json.loads((folder / "expected_refcoco_unc_testA.json").read_text())
    predictions = folder / "predictions_refcoco_unc_testA.jsonl.gz"
    scored = score(folder / "refcoco_unc_testA.jsonl.gz", predictions)
    for name in ("acc50", "acc75", "mean_iou"):
        assert scored.scores[name] == pytest.approx(expected[name], abs=1e-6)
    assert scored.scores["acc50_authors"] > scored.scores["acc50"]
    assert scored.counts["unparseable"] == scored.counts["no_box"] == expected["unparseable"]
    assert scored.counts["space_unit"] == 5657 - 284
    with gzip.open(predictions, "rt") as file:
        overlaps = [json.loads(line)["iou"] for line in file]
    assert scored.per_sample["iou"] == pytest.approx(overlaps, abs=1e-6)


def expression(number: int, **changed: Any) -> Expression:
    values: dict[str, Any] = {"text": "the man", "box": (10, 10, 110, 110), "width": 200, "height": 200, "part": ""}
    return Expression(id=str(number), image=str(number), **(values | changed))


def test_by_hand() -> None:
    replies = ["[10, 10, 110, 110]", "[10, 10, 110, 60]", "[10, 10, 110, 59]", "nothing", None, [10, 10, 110, 110]]
    expressions = [expression(number) for number in range(6)]
    scored = score_boxes(expressions, replies, space="pixels")
    assert scored.scores["acc50"] == pytest.approx(3 / 6)
    assert scored.scores["acc75"] == pytest.approx(2 / 6)
    assert scored.scores["mean_iou"] == pytest.approx((1 + 0.5 + 0.49 + 0 + 0 + 1) / 6)
    assert scored.scores["unparseable"] == pytest.approx(2 / 6)
    assert (scored.counts["missing"], scored.counts["unparseable"]) == (1, 1)


def test_boxes_over_the_edge_are_scored_as_they_are() -> None:
    scored = score_boxes([expression(0, box=(100, 0, 200, 100))], ["[100, 0, 300, 100]"], space="pixels")
    assert scored.scores["mean_iou"] == pytest.approx(0.5)
    assert scored.counts["overlapping_edge"] == 1


def test_splits() -> None:
    expressions = [expression(0, part="refcoco/testA"), expression(1, part="refcoco/testB")]
    scores = score_boxes(expressions, ["[10, 10, 110, 110]", ""], space="pixels").scores
    assert scores["acc50[split=refcoco/testA]"] == 1
    assert scores["acc50[split=refcoco/testB]"] == 0


def test_the_same_boxes_in_other_notations(shared: Path, tmp_path: Path) -> None:
    """0-1000 within Qwen's marks, pixels, and corner with sides: the same scores but for rounding."""
    folder = shared / "benchmarks" / "grounding"
    references = folder / "refcoco_unc_testA.jsonl.gz"
    with gzip.open(references, "rt") as file:
        rows = [json.loads(line) for line in file]
    with gzip.open(folder / "predictions_refcoco_unc_testA.jsonl.gz", "rt") as file:
        replies = [json.loads(line) for line in file]
    expected = json.loads((folder / "expected_refcoco_unc_testA.json").read_text())
    written: dict[str, list[dict[str, Any]]] = {"marks": [], "pixels": [], "sides": []}
    for number, (row, reply) in enumerate(zip(rows, replies, strict=True)):
        try:
            x1, y1, x2, y2 = json.loads(reply["text"])
        except ValueError:
            for told in written.values():
                told.append({"line": number, "text": reply["text"]})
            continue
        width, height = row["width"], row["height"]
        box = [x1 * width, y1 * height, x2 * width, y2 * height]
        marks = "<|box_start|>({:.0f},{:.0f}),({:.0f},{:.0f})<|box_end|>".format(*(1000 * v for v in (x1, y1, x2, y2)))
        written["marks"].append({"line": number, "text": marks})
        written["pixels"].append({"line": number, "bbox": box})
        written["sides"].append({"line": number, "bbox": [*box[:2], box[2] - box[0], box[3] - box[1]]})
    for name, rows_of in written.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows_of))
        scored = score(references, path, boxes="xywh" if name == "sides" else "xyxy")
        assert scored.scores["acc50"] == pytest.approx(expected["acc50"], abs=1e-6), name
        assert scored.scores["mean_iou"] == pytest.approx(expected["mean_iou"], abs=1e-6), name


def load(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file] if ".jsonl" in path.name else json.load(file)


def test_grounding_is_cocos(shared: Path) -> None:
    folder = shared / "benchmarks" / "grounding"
    expected = json.loads((folder / "expected_refcoco_unc_testA.json").read_text())
    rows = load(folder / "refcoco_unc_testA.jsonl.gz")
    predictions = load(folder / "predictions_refcoco_unc_testA.jsonl.gz")
    boxes = [
        parse_box(prediction["text"], row["width"], row["height"], scale=1.0)
        for row, prediction in zip(rows, predictions, strict=True)
    ]
    values = [iou(box, row["bbox"]) if box else 0.0 for box, row in zip(boxes, rows, strict=True)]
    assert values == pytest.approx([prediction["iou"] or 0.0 for prediction in predictions], abs=1e-6)
    assert boxes.count(None) == expected["unparseable"]
    assert sum(value >= 0.5 for value in values) / len(values) == pytest.approx(expected["acc50"])
    assert sum(value >= 0.75 for value in values) / len(values) == pytest.approx(expected["acc75"])
    assert sum(values) / len(values) == pytest.approx(expected["mean_iou"])


def test_boxes_are_read_from_real_replies(shared: Path) -> None:
    with (shared / "benchmarks" / "box_parsing" / "base_attempts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    for row in rows:
        assert parse_box(row["raw_response"], 1, 1, scale=1) == pytest.approx(json.loads(row["parsed_bbox"]))


@pytest.mark.parametrize(
    ("reply", "box"),
    [
        ("[10, 20, 30, 40]", (20, 20, 60, 40)),
        ("It is at (10,20,30.5,40).", (20, 20, 61, 40)),
        ("[90, 90, 150, 150]", (180, 90, 300, 150)),
        ("[30, 20, 10, 40]", None),
        ("[10, 20, 10, 40]", None),
        ("[10, 20, 30]", None),
        ("10 20 30 40", None),
        ("", None),
    ],
)
def test_parse_box(reply: str, box: tuple[float, ...] | None) -> None:
    assert parse_box(reply, 200, 100) == (pytest.approx(box) if box else None)


@given(BOX, BOX)
def test_iou_is_bounded_and_symmetric(first: Any, second: Any) -> None:
    assert 0 <= iou(first, second) <= 1
    assert iou(first, second) == pytest.approx(iou(second, first))
    assert iou(first, first) == pytest.approx(1)


def test_the_authors_figure_is_the_more_generous() -> None:
    assert iou((0, 0, 10, 10), (10, 10, 20, 20)) == 0
    assert iou_authors((0, 0, 10, 10), (10, 10, 20, 20), 100, 100) > 0
