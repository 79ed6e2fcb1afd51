"""Questions asked blind: each once, scored beside the model with paired intervals, and said in words."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.baselines import BASELINES, above, verdict
from humanvlm.evaluate.records import score
from humanvlm.evaluate.tasks.base import Sample
from humanvlm.inference.base import Reply, Request
from humanvlm.pipeline.runner import run_stage

from .small_run import SETTINGS, jpeg, write_lines

SHADES = 40


@dataclass
class Looker:
    """A model that says ``yes`` of a bright picture, ``no`` of a dark one, and counts what it is asked.

    blind: it does not look, and always says yes. silent: prompts it fails on when it sees the mean picture.
    """

    blind: bool = False
    silent: str = ""
    asked: list[str] = field(default_factory=list)
    identity: dict[str, Any] = field(default_factory=lambda: {"kind": "looker"})

    def answer(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        for request in requests:
            self.asked.append(request.prompt)
            image = request.decoded()
            if self.silent and image.width == image.height and self.silent in request.prompt:
                yield [Reply(request.key, error="timeout", detail="slow")]
            else:
                bright = image.convert("L").tobytes()[0] > 120
                yield [Reply(request.key, "yes" if self.blind or bright else "no")]


@pytest.fixture
def shades(inputs: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Attributes of 40 pictures, half of them bright, two questions each in the same words."""
    data = tmp_path / "shades"
    rows = []
    for number in range(SHADES):
        (data / "benchmarks" / "images").mkdir(parents=True, exist_ok=True)
        bright = number % 2 == 0
        (data / "benchmarks" / "images" / f"{number}.jpg").write_bytes(jpeg(200 + number if bright else 20 + number))
        for word in ("bright", "light"):
            question = {"image": f"images/{number}.jpg", "attribute": word, "question": f"Is it {word}?"}
            rows.append({"id": f"{number}", "answer": "yes" if bright else "no"} | question)
    write_lines(data / "benchmarks" / "attributes.jsonl", rows)
    return inputs | {"data": data}


def run(inputs: dict[str, Path], out: Path, repo: Path, model: Looker, patch: pytest.MonkeyPatch, *more: str) -> Any:
    patch.setattr("humanvlm.evaluate.stage.open_model", lambda *_, **__: model)
    chosen = (*SETTINGS, "tasks=[attributes]", "bootstrap=500", *more)
    settings = [f"benchmark_scores.{value}" for value in chosen]
    return run_stage("benchmark_scores", repo / "humanvlm" / "profiles" / "cpu.yaml", settings, inputs, out)


def test_a_model_that_looks_beats_itself_blind(
    shades: dict[str, Path], tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Looker()
    report = run(shades, tmp_path / "out", repo, model, monkeypatch)
    assert len(model.asked) == 2 * SHADES + 2  # blind, each distinct question is asked once
    metrics = report["metrics"]
    assert metrics["attributes.balanced_accuracy"] == 1
    assert metrics["attributes.balanced_accuracy.mean_image"] == 0.5
    assert metrics["attributes.balanced_accuracy.above_mean_image"] == 0.5
    details = json.loads((tmp_path / "out" / "details.json").read_text())
    low, high = details["intervals"]["attributes.accuracy.above_mean_image"]
    assert 0.2 < low < 0.5 < high < 0.8
    (line,) = report["info"]["verdicts"]
    assert line.startswith("attributes: balanced accuracy 1.00 [")
    assert "], beats the mean picture by 0.50 [" in line
    rows = {row["metric"]: row for row in report["info"]["tables"]["scores"]}
    assert rows["accuracy.above_mean_image"]["95% interval"] == f"{low:.4f} to {high:.4f}"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "beats the mean picture by 0.50" in page
    assert "model +0.500" in page


def test_a_model_that_does_not_look_beats_nothing(
    shades: dict[str, Path], tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = run(shades, tmp_path / "out", repo, Looker(blind=True), monkeypatch)
    assert report["metrics"]["attributes.balanced_accuracy.above_mean_image"] == 0
    assert "does NOT beat the mean picture (0.00 [0.00, 0.00])" in report["info"]["verdicts"][0]
    assert "class=flag>attributes: balanced accuracy 0.50" in (tmp_path / "out" / "report.html").read_text()


def test_a_blind_question_without_a_reply_takes_the_baseline_of_its_task(
    shades: dict[str, Path],
    tmp_path: Path,
    repo: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(UserError, match="timeout"):
        run(shades, tmp_path / "out", repo, Looker(silent="bright"), monkeypatch)
    report = run(shades, tmp_path / "out", repo, Looker(silent="bright"), monkeypatch, "max_failed=0.6")
    assert not [name for name in report["metrics"] if "mean_image" in name]
    assert "attributes has no blind baseline" in caplog.text
    assert report["info"]["verdicts"][0].endswith("no baseline to compare")


def test_differences_are_paired_and_need_two_pictures(tmp_path: Path) -> None:
    """Two models that share their errors differ by less than their own intervals would say."""
    samples = [Sample("same", "attributes", str(n), tmp_path, "?", ("yes",), part="hat") for n in range(60)]
    model = score("attributes", samples, ["no" if n < 20 else "yes" for n in range(60)])
    other = score("attributes", samples, ["no" if n < 26 else "yes" for n in range(60)])
    (found,) = [one for one in above(model, other, 500, 7) if one.metric == "accuracy"]
    assert found.difference == pytest.approx(0.1)
    assert 0 < found.low < 0.1 < found.high < 0.21  # unpaired, it would reach to 0.27
    assert above(model, other, 0, 7) == []
    single = score("attributes", samples[:1], ["yes"])
    assert above(single, single, 500, 7) == []


def test_verdicts_in_words() -> None:
    scores = {"cider": 0.612, "cider.above_mean_image": 0.5, "cider.above_most_common": -0.1}
    spans = {"cider": (0.52, 0.7), "cider.above_mean_image": (0.41, 0.6), "cider.above_most_common": (-0.2, 0.01)}
    assert verdict("captions", "cider", "CIDEr", scores, spans) == (
        "captions: CIDEr 0.61 [0.52, 0.70], beats the mean picture by 0.50 [0.41, 0.60] and "
        "does NOT beat the commonest caption (-0.10 [-0.20, 0.01])"
    )
    assert verdict("rec", "acc50", "Acc@0.5", {"acc50": 0.3}, {}) == "rec: Acc@0.5 0.30, no baseline to compare"
    assert "undefined" in verdict("rec", "acc50", "Acc@0.5", {}, {})
    assert set(BASELINES) == {"mean_image", "most_common"}
