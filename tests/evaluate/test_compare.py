"""`humanvlm compare`: what is compared, what is refused, what is said."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from humanvlm.cli import main
from humanvlm.errors import UserError
from humanvlm.evaluate.compare import as_text, compare, write
from humanvlm.evaluate.metrics.meteor.score import installed
from humanvlm.evaluate.records import as_json, score, task_scores
from humanvlm.evaluate.records import metrics as by_task
from humanvlm.evaluate.saved_runs import read_run, with_contributions
from humanvlm.evaluate.stats.scored import Array
from humanvlm.evaluate.tasks.base import Sample

WORDS = ["a", "man", "woman", "in", "red", "blue", "hat", "on", "the", "beach", "with", "two", "dogs", "sits", "stands"]
Edit = Callable[[dict[str, Any]], Any]

METEOR = installed().name


def captions(count: int, references: int = 5) -> list[Sample]:
    generator = np.random.default_rng(references)
    texts = [" ".join(generator.choice(WORDS, 8)) for _ in range(count)]
    return [Sample(f"c{i}", "captions", f"{i}.jpg", Path("x"), "Describe.", (texts[i],)) for i in range(count)]


def write_run(
    folder: Path, samples: Sequence[Sample], wrong: float, *, edit: Edit = lambda record: None, stored: bool = True
) -> Path:
    """A folder as benchmark_scores leaves it; each word of a caption is wrong with a probability."""
    generator = np.random.default_rng(int(wrong * 100))
    replies = [
        " ".join(
            word if generator.random() > wrong else str(generator.choice(WORDS))
            for word in sample.references[0].split()
        )
        for sample in samples
    ]
    scored = score("captions", samples, replies)
    scores = {f"captions.{name}": value for name, value in task_scores(scored).items()}
    rows: Any = map(as_json, scored.records)
    rows = list(with_contributions(rows, scored.contributions) if stored else rows)
    for row in rows:
        edit(row)
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "scores.json").write_text(json.dumps(scores | {"captions.cider.mean_image": 0.1}))
    return folder


def test_a_worse_run_is_found_and_the_scores_are_the_runs_own(tmp_path: Path) -> None:
    samples = captions(60)
    first, other = write_run(tmp_path / "a", samples, 0.2), write_run(tmp_path / "b", samples[::-1], 0.5)
    found = compare([first, other], rounds=999)
    rows = {row.metric: row for row in found.tasks[0].rows}
    assert list(rows) == ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "cider", METEOR, "rouge_l"]
    for folder, field in ((first, "baseline"), (other, "score")):
        scores = json.loads((folder / "scores.json").read_text())
        assert {name: getattr(row, field) for name, row in rows.items()} == pytest.approx(
            {name: scores[f"captions.{name}"] for name in rows}
        )
    assert {row.verdict for row in rows.values()} == {"lower"}
    assert all(row.low <= row.difference <= row.high < 0 for row in rows.values())
    assert all(row.p >= row.p_single for row in rows.values())
    assert found.tasks[0].notes == []
    again = [
        row.verdict for row in compare([first, write_run(tmp_path / "c", samples, 0.21)], rounds=999).tasks[0].rows
    ]
    assert all(verdict.startswith("no difference found (smallest detectable ") for verdict in again)


def test_only_common_samples_are_compared_and_that_is_said(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", captions(60), 0.2)
    other = write_run(tmp_path / "b", captions(60)[:50], 0.5, edit=lambda row: row.update(prompt="Say what you see."))
    task = compare([first, other], rounds=99).tasks[0]
    assert (task.samples, task.images, task.left_out) == (50, 50, {str(first): 10})
    assert "cider" not in [row.metric for row in task.rows]
    text = " ".join(task.notes)
    assert "10 of 60 samples of" in text
    assert "other prompts than" in text
    assert "on 50 samples (first: 'c0')" in text
    assert "CIDEr not compared" in text


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda row: row.update(id=f"other {row['id']}"), "no sample is common to"),
        (lambda row: row.update(image=f"other/{row['image']}"), "has another image in"),
        (lambda row: row.update(references=["something else"]), "has another references in"),
        (lambda row: row.pop("id"), "captions.jsonl:1: no id"),
        (lambda row: row.update(id="same"), "captions.jsonl:2: id 'same' is there twice"),
        (lambda row: row["contribution"].pop(), "do not add up to the score"),
        (lambda row: row["id"] == "c3" and row["contribution"].pop(), "contributions of unlike length"),
        (lambda row: row["id"] == "c3" and row.pop("contribution"), "captions.jsonl:4: no contribution"),
        (lambda row: row.update(contribution=["x"]), "is not a list of some numbers"),
        (lambda row: row["contribution"].__setitem__(0, 1), "do not add up to the score bleu_1"),
    ],
)
def test_what_cannot_be_compared_is_one_line(tmp_path: Path, edit: Edit, message: str) -> None:
    first = write_run(tmp_path / "a", captions(12), 0.2)
    other = write_run(tmp_path / "b", captions(12), 0.3, edit=edit)
    with pytest.raises(UserError) as error:
        compare([first, other], rounds=99)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_runs_without_contributions_are_compared_by_their_mean_scores(tmp_path: Path) -> None:
    samples = captions(20)
    runs = [write_run(tmp_path / name, samples, wrong, stored=False) for name, wrong in (("a", 0.2), ("b", 0.5))]
    task = compare(runs, rounds=99).tasks[0]
    assert [row.metric for row in task.rows] == ["score"]
    assert "no contributions are stored: bleu_1" in task.notes[0]


def score_file(path: Path, right: Sequence[float], **rest: Any) -> Path:
    columns = {"id": [f"q{i}" for i in range(len(right))], "image": [i // 2 for i in range(len(right))]}
    value = {"task": "vqav2", "scores": {"accuracy": 100 * float(np.mean(right))}}
    path.write_text(
        json.dumps(value | {"per_sample": columns | {"accuracy": list(right), "reply": ["x"] * len(right)}} | rest)
    )
    return path


def test_score_files(tmp_path: Path) -> None:
    first = score_file(tmp_path / "a.json", [1.0, 0.0] * 40)
    other = score_file(tmp_path / "b.json", [1.0, 0.0, 1.0, 1.0] * 20)
    task = compare([first, other], rounds=999).tasks[0]
    assert (task.samples, task.images) == (80, 40)
    assert [(row.metric, row.baseline, row.score, row.verdict) for row in task.rows] == [("accuracy", 50, 75, "higher")]
    rows = [{"id": f"q{i}", "image": i // 2, "accuracy": value} for i, value in enumerate([1.0, 0.0] * 40)]
    same = score_file(tmp_path / "c.json", [1.0, 0.0] * 40, per_sample=rows)
    assert compare([first, same], rounds=99).tasks[0].rows[0].verdict == "same on every sample"
    for rest, message in (
        ({"per_sample": {"id": ["a"], "accuracy": []}}, "not lists of one length"),
        ({"per_sample": 3}, "neither a list of objects nor an object of lists"),
        ({"scores": {"accuracy": None}}, "score 'accuracy' is not a finite number"),
        ({"task": "pope"}, "no task is in all runs"),
        ({"per_sample": []}, "no samples"),
    ):
        with pytest.raises(UserError, match=message):
            compare([first, score_file(tmp_path / "bad.json", [1.0, 0.0], **rest)])
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UserError, match="no 'task'"):
        compare([first, tmp_path / "bad.json"])


def test_a_file_may_hold_contributions_too(tmp_path: Path) -> None:
    vectors = [[2.0, 4.0], [1.0, 4.0], [4.0, 4.0]]
    rest = {"scores": {"f": 7 / 12}, "per_sample": {"id": ["a", "b", "c"], "contribution": vectors}}

    def metrics(task: str, sums: Array) -> dict[str, Array]:
        return {"vqav2": {"f": sums[..., 0] / sums[..., 1]}}[task]

    run = read_run(score_file(tmp_path / "a.json", [1.0], **rest), metrics)
    assert run["vqav2"].scored.scores == {"f": pytest.approx(7 / 12)}
    with pytest.raises(UserError, match="no column that is the mean of a reported score"):
        read_run(tmp_path / "a.json", by_task)


def test_contributions_must_be_finite() -> None:
    assert list(with_contributions([{"id": "a"}], np.array([[1.0, 0.25]]))) == [{"id": "a", "contribution": [1, 0.25]}]
    with pytest.raises(ValueError, match="'a': its contribution is not finite"):
        list(with_contributions([{"id": "a"}], np.array([[np.nan]])))


def test_the_command(tmp_path: Path) -> None:
    samples = captions(20)
    runs = [write_run(tmp_path / "a", samples, 0.2), write_run(tmp_path / "b", samples, 0.5)]
    done = CliRunner().invoke(main, ["compare", *map(str, runs), "--out", str(tmp_path / "out.json")])
    assert done.exit_code == 0, done.output
    assert "captions: 20 common samples of 20 images" in done.output
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["tests"] == 7
    assert written["tasks"][0]["rows"][0]["metric"] == "bleu_1"
    for arguments, message in (
        ([str(runs[0])], "two runs at least"),
        ([str(runs[0]), str(runs[0])], "is given twice"),
        ([str(runs[0]), str(tmp_path / "none")], "none: cannot be read"),
        ([*map(str, runs), "--out", "x.txt"], "neither .json nor .html"),
    ):
        done = CliRunner().invoke(main, ["compare", *arguments])
        assert done.exit_code == 2
        assert message in done.output


def test_untrusted_names_are_shown_harmlessly(tmp_path: Path) -> None:
    name = "<b>\x1b[31m"
    values = {"scores": {name: 0.5}, "per_sample": {"id": ["a", "b"], name: [1, 0]}}
    found = compare([score_file(tmp_path / f"{run}.json", [1.0], **values) for run in "ab"], rounds=9)
    assert "\x1b" not in as_text(found)
    write(found, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
