"""Accuracy of referring expressions against pycocotools' overlaps of the same boxes."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from humanvlm.evaluate.score import score_grounding_files
from humanvlm.evaluate.tasks.grounding import Expression, score_grounding


def score(references: Path, predictions: Path, **changed: Any) -> Any:
    options: dict[str, Any] = {"space": "auto", "sides": False, "reference_sides": False, "allow_missing": False}
    return score_grounding_files(references, predictions, **(options | changed))


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
    values = {"text": "the man", "box": (10, 10, 110, 110), "width": 200, "height": 200, "part": ""}
    return Expression(id=str(number), image=str(number), **(values | changed))


def test_by_hand() -> None:
    replies = ["[10, 10, 110, 110]", "[10, 10, 110, 60]", "[10, 10, 110, 59]", "nothing", None, [10, 10, 110, 110]]
    expressions = [expression(number) for number in range(6)]
    scored = score_grounding(expressions, replies, space="pixels")
    assert scored.scores["acc50"] == pytest.approx(3 / 6)
    assert scored.scores["acc75"] == pytest.approx(2 / 6)
    assert scored.scores["mean_iou"] == pytest.approx((1 + 0.5 + 0.49 + 0 + 0 + 1) / 6)
    assert scored.scores["unparseable"] == pytest.approx(2 / 6)
    assert (scored.counts["missing"], scored.counts["unparseable"]) == (1, 1)


def test_boxes_over_the_edge_are_scored_as_they_are() -> None:
    scored = score_grounding([expression(0, box=(100, 0, 200, 100))], ["[100, 0, 300, 100]"], space="pixels")
    assert scored.scores["mean_iou"] == pytest.approx(0.5)
    assert scored.counts["overlapping_edge"] == 1


def test_splits() -> None:
    expressions = [expression(0, part="refcoco/testA"), expression(1, part="refcoco/testB")]
    scores = score_grounding(expressions, ["[10, 10, 110, 110]", ""], space="pixels").scores
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
        scored = score(references, path, sides=name == "sides")
        assert scored.scores["acc50"] == pytest.approx(expected["acc50"], abs=1e-6), name
        assert scored.scores["mean_iou"] == pytest.approx(expected["mean_iou"], abs=1e-6), name
