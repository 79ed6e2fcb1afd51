"""The page of a run with published benchmarks, another run on its leaderboard, slices and answers by truth."""

import json
from pathlib import Path
from typing import Any

import pytest

from humanvlm.data.facts import Facts, Guess, Person
from humanvlm.errors import UserError
from humanvlm.evaluate.records import intervals, parts, score, task_scores
from humanvlm.evaluate.report.page import TaskResult, write_page
from humanvlm.evaluate.stats.slices import slice_scores
from humanvlm.evaluate.tasks.base import Sample
from humanvlm.evaluate.tasks.held_out import slices_of

from ..small_run import evaluate, jpeg, write_lines


@pytest.fixture
def sources(tmp_path: Path) -> str:
    """Two benchmarks of one picture, as a parameter."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "p.jpg").write_bytes(jpeg(90))
    probes = [{"question_id": n, "image": "p.jpg", "text": "Is there a dog?", "label": "yes"} for n in range(3)]
    write_lines(tmp_path / "pope.jsonl", probes)
    person = {"id": 3, "image_id": 9, "category_id": 1, "bbox": [10, 0, 40, 30], "area": 800, "iscrowd": 0}
    file = {
        "images": [{"id": 9, "file_name": "p.jpg", "width": 60, "height": 40}],
        "annotations": [person | {"keypoints": [30, 20, 2, 40, 10, 1, *[0] * 45], "num_keypoints": 2}],
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "kp.json").write_text(json.dumps(file))
    found = {
        "popular": {"kind": "pope", "references": str(tmp_path / "pope.jsonl"), "images": str(tmp_path / "photos")},
        "coco": {"kind": "keypoints", "references": str(tmp_path / "kp.json"), "images": str(tmp_path / "photos")},
    }
    return f"sources={json.dumps(found)}"


def test_published_benchmarks_and_other_runs_are_on_the_page(
    inputs: dict[str, Path], tmp_path: Path, repo: Path, sources: str
) -> None:
    evaluate(inputs, tmp_path / "one" / "artifacts" / "scores", repo, "tasks=[attributes]", "baselines=false")
    other = tmp_path / "one" / "artifacts" / "scores"
    report = evaluate(
        inputs, tmp_path / "two", repo, "tasks=[attributes]", "baselines=false", sources, f"leaderboard=[{other}]"
    )
    assert report["rows"]["in"] == 6
    assert {"popular.accuracy", "coco.pck_0.1", "attributes.balanced_accuracy"} <= report["metrics"].keys()
    page = (tmp_path / "two" / "report.html").read_text()
    assert "stage2_checkpoint (one)" in page
    assert page.count("not asked") == 2
    assert "Is there a …? (popular)" in page
    assert "truth: yes" in page
    details = json.loads((tmp_path / "two" / "details.json").read_text())
    assert details["kinds"] == {"attributes": "attributes", "popular": "pope", "coco": "keypoints"}
    (tmp_path / "pope.jsonl").write_text((tmp_path / "pope.jsonl").read_text().replace("yes", "no"))
    again = evaluate(
        inputs, tmp_path / "two", repo, "tasks=[attributes]", "baselines=false", sources, f"leaderboard=[{other}]"
    )
    assert again["metrics"]["popular.accuracy"] == 1 - report["metrics"]["popular.accuracy"]
    with pytest.raises(UserError, match=r"leaderboard: gone/scores\.json: no such file"):
        evaluate(inputs, tmp_path / "three", repo, "tasks=[attributes]", "leaderboard=[gone]")
    with pytest.raises(UserError, match="'vqa' is a task of its own"):
        evaluate(inputs, tmp_path / "three", repo, sources.replace("popular", "vqa"))


def test_slices_and_answers_by_truth(tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_bytes(jpeg(90))
    samples = [
        Sample(
            f"s{n}", "attributes", f"{n}.jpg", tmp_path / "p.jpg", "?", ("yes",), part=("hat", "<b>beard</b>")[n % 2],
            slices={"light": "dim" if n < 40 else "bright"},
        )
        for n in range(80)
    ]  # fmt: skip
    scored = score("attributes", samples, ["no" if n < 30 else "yes" for n in range(80)])
    records = scored.records
    found = slice_scores(
        [one.id for one in records], [one.image for one in records], [one.score for one in records],
        [one.slices for one in records], resamples=50, rounds=199,
    )  # fmt: skip
    result = TaskResult(
        "attributes", "attributes", samples, scored, task_scores(scored), intervals(scored, 50, 1), parts(scored), found
    )
    page = write_page([result], tmp_path / "report.html", {}, {}, {}, [], "0" * 64, "2 requests").read_text()
    assert "light: dim" in page
    assert "<td class=flag>lower" in page
    assert "&lt;b&gt;beard&lt;/b&gt;" in page
    assert ">15</span>" in page  # of each part 15 said no


def test_levels_of_a_picture() -> None:
    def person(**rest: Any) -> Person:
        return Person(box=(0, 0, 50, 100), face=(10, 0, 30, 30), position="left", shot="half-length", **rest)

    older = person(gender=Guess("female", 0.8), stage=Guess("older", 0.6))
    facts = Facts(100, 100, 3, (older, Person((0, 0, 9, 9), None, "left", "distant")), "dim", "low", False)
    assert slices_of(facts) == {
        "people": "3 or more",
        "light": "dim",
        "face height": "over 25%",
        "apparent gender": "female",
        "apparent age": "older",
    }
    assert slices_of(Facts(100, 100, 0, (), "even", "low", False)) == {"people": "0", "light": "even"}
