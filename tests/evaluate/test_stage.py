"""benchmark_scores on a real, tiny checkpoint: all tasks, baselines, drops, known replies, the page."""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from humanvlm.cli import main
from humanvlm.data import prompts
from humanvlm.data.shards import write_shard
from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.held_out import most_common_caption
from humanvlm.evaluate.tasks.registry import TASKS
from humanvlm.inference.base import Reply, Request
from humanvlm.inference.local import Local
from humanvlm.pipeline.contract import artifact_files

from .publishers import MAKERS
from .small_run import SCHEMA, evaluate, jpeg, write_lines


@pytest.fixture(scope="module")
def whole(inputs: dict[str, Path], repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUMANVLM_PREDICTIONS", str(folder / "predictions"))
        evaluate(inputs, folder / "benchmark_scores", repo)
    return folder / "benchmark_scores"


def test_all_tasks_are_scored_and_every_row_counted(whole: Path) -> None:
    out = whole
    report = json.loads((out / "report.json").read_text())
    assert report["rows"] == {
        "in": 15,
        "kept": 10,
        "dropped": {"bad_row": 3, "corrupt_image": 1, "missing_image": 1},
    }
    assert report["info"]["absent"].keys() == {"vqa"}
    assert report["info"]["baselines"]["most_common"] == "a shade"
    scores = json.loads((out / "scores.json").read_text())
    details = json.loads((out / "details.json").read_text())
    assert scores == report["metrics"]
    assert {"holdout.cider", "holdout.cider.most_common", "holdout.cider.mean_image"} <= scores.keys()
    assert not any(name.startswith("vqa") for name in scores)
    for name, (low, high) in details["intervals"].items():
        assert low <= scores[name] + 1e-9, name
        assert scores[name] <= high + 1e-9, name
    records = [json.loads(line) for line in (out / "samples" / "holdout.jsonl").read_text().splitlines()]
    assert [record["references"] for record in records] == [["Shade 4!"], ["short"], ["Shade 6!"]]
    page = (out / "report.html").read_text()
    assert "&lt;b&gt;the man&lt;/b&gt;" in page
    assert "<b>the man</b>" not in page
    assert page.count("data:image/jpeg;base64,") >= 10
    assert "http:" not in page + page.replace("https:", "http:")
    assert {"plots/scores.png", "report.html"} <= set(report["plots"])


def test_a_second_run_asks_nothing_and_scores_the_same(
    inputs: dict[str, Path], tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate(inputs, tmp_path / "one", repo)
    assert first["info"]["replies"] == {"made": 7, "known": 0}  # of 10: three ask what another does
    monkeypatch.delattr(Local, "loaded")  # no model any more
    second = evaluate(inputs, tmp_path / "two", repo)
    assert second["info"]["replies"] == {"made": 0, "known": 7}
    for name in ("scores.json", "details.json", "samples/captions.jsonl", "samples/rec.jsonl", "report.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


@pytest.mark.slow
def test_a_change_asks_again_exactly_what_it_concerns(
    inputs: dict[str, Path], tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 7 questions, 5 want a caption; the mean picture is not counted."""

    def made(*overrides: str, **changed: Path) -> int:
        report = evaluate(inputs | changed, tmp_path / "out", repo, *overrides)
        return int(report["info"]["replies"]["made"])

    assert made() == 7
    assert made("bootstrap=10") == 0
    assert made("limit=1") == 0
    assert made("max_new_tokens=5") == 7
    assert made("batch_size=4") == 7
    assert made("dtype=bfloat16") == 7
    other = Path(shutil.copytree(inputs["stage2_checkpoint"], tmp_path / "other"))
    assert made("bootstrap=11", stage2_checkpoint=other) == 0  # the same bytes at another place
    settings = json.loads((other / "model" / "generation_config.json").read_text())
    (other / "model" / "generation_config.json").write_text(json.dumps(settings | {"top_k": 7}))
    report = json.loads((other / "report.json").read_text())
    report["outputs"] = [asdict(file) for file in artifact_files(other)]
    (other / "report.json").write_text(json.dumps(report))
    assert made(stage2_checkpoint=other) == 7
    monkeypatch.setattr(prompts, "CAPTION", "What do you see?")
    assert made("bootstrap=12") == 5


def test_what_cannot_be_evaluated_is_said_in_one_line(inputs: dict[str, Path], tmp_path: Path, repo: Path) -> None:
    with pytest.raises(UserError, match="unknown task 'captoins'"):
        evaluate(inputs, tmp_path / "out", repo, "tasks=[captoins]")
    with pytest.raises(UserError, match=r"every task is absent.*vqa\.jsonl"):
        evaluate(inputs, tmp_path / "out", repo, "tasks=[vqa]")


def test_limit_and_no_baselines(inputs: dict[str, Path], tmp_path: Path, repo: Path) -> None:
    report = evaluate(inputs, tmp_path / "out", repo, "limit=1", "baselines=false", "tasks=[holdout, attributes]")
    assert report["rows"] == {"in": 2, "kept": 2, "dropped": {}}
    assert not any("most_common" in name for name in report["metrics"])


def test_most_common_caption_breaks_ties_by_the_alphabet(inputs: dict[str, Path], tmp_path: Path) -> None:
    assert most_common_caption(inputs["human_caption"]) == "a shade"
    row: dict[str, Any] = {"short": "A man.", "captioner": "source", "split": "train", "image": None}
    rows = [{"id": text, "captions": [text]} | row for text in ("Zebra", "Ape.")]
    write_shard(tmp_path / "tie" / "shard-00000.parquet", rows, SCHEMA)
    assert most_common_caption(tmp_path / "tie") == "ape"


def test_alt_texts_are_no_captions_where_captions_are_made(tmp_path: Path) -> None:
    row = {"captions": ["IMG_1.jpg"], "short": "A man.", "captioner": "template", "split": "train", "image": None}
    write_shard(tmp_path / "shard-00000.parquet", [{"id": "1"} | row], SCHEMA)
    assert most_common_caption(tmp_path) == "a man"


def test_two_equal_runs_compare_without_a_difference(whole: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "comparison.json", tmp_path / "other"
    shutil.copytree(whole, other)
    done = CliRunner().invoke(main, ["compare", str(whole), str(other), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "captions" in done.output
    assert '"difference": 0' in out.read_text()


MME = {"id": 1, "category": "hats", "image": "a", "question": "?", "answer": "no"}


@dataclass
class Parrot:
    """A model that says the same of everything, and counts."""

    said: Mapping[str, Any]
    identity: Mapping[str, Any] = field(default_factory=lambda: {"kind": "parrot"})
    asked: int = 0

    def answer(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        for request in requests:
            self.asked += 1
            yield [Reply(request.key, **self.said)]


@pytest.fixture
def parrot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parrot:
    model = Parrot({"raw": "Yes"})
    monkeypatch.setattr("humanvlm.evaluate.stage.open_model", lambda *_, **__: model)
    monkeypatch.setenv("HUMANVLM_PREDICTIONS", str(tmp_path / "replies"))
    return model


def source(folder: Path, **given: str) -> str:
    """A parameter with one source, called ``mine``."""
    (folder / "0.jpg").write_bytes(jpeg(90))
    return f"sources={json.dumps({'mine': {'images': str(folder), **given}})}"


def test_mme_with_categories_of_ones_own(inputs: dict[str, Path], tmp_path: Path, repo: Path, parrot: Parrot) -> None:
    row = {"category": "hats", "image": "0.jpg", "question": "Is there a hat? Please answer yes or no."}
    rows = [row | {"question_id": f"0-{n}", "answer": answer} for n, answer in enumerate(("Yes", "No"))]
    write_lines(tmp_path / "own.jsonl", rows)
    own = source(tmp_path, kind="mme", references=str(tmp_path / "own.jsonl"))
    metrics = evaluate(inputs, tmp_path / "out", repo, "tasks=[]", own)["metrics"]
    assert {name: metrics[f"mine.{name}"] for name in ("acc", "acc_plus", "total")} == {
        "acc": 0.5, "acc_plus": 0, "total": 50,
    }  # fmt: skip
    assert "mine.perception" not in metrics  # of none of the published categories was anything asked
    details = json.loads((tmp_path / "out" / "details.json").read_text())
    assert details["parts"]["mine"] == {"hats": {"score": 0.5, "samples": 2}}
    assert "MME (mine)" in (tmp_path / "out" / "report.html").read_text()


def test_a_model_is_asked_in_its_own_words_and_answers_in_its_own_places(
    inputs: dict[str, Path], tmp_path: Path, repo: Path, parrot: Parrot
) -> None:
    """The box is (6, 4, 30, 20) of 60 x 40; Parrot tells it in thousandths, y first."""
    parrot.said = {"raw": "[100, 100, 500, 500]", "tokens": 9, "prompt_tokens": 50, "info": {"model": "parrot-2"}}
    own = {"prompts": {"rec": "Locate {subject}."}, "space": "thousand", "order": "yxyx", "max_new_tokens": 3}
    server = {"model": "parrot", "price_in": 2, "price_out": 4}
    settings = ("model=endpoint", f"endpoint={json.dumps(server)}", f"asked={json.dumps({'parrot': own})}")
    report = evaluate(inputs, tmp_path / "out", repo, "tasks=[rec]", "baselines=false", *settings)
    assert report["metrics"]["rec.acc75"] == 1
    record = json.loads((tmp_path / "out" / "samples" / "rec.jsonl").read_text())
    assert record["prompt"] == "Locate <b>the man</b>."
    assert record["model"] == "parrot-2"
    used = {"requests": 1, "tokens_in": 50, "tokens_out": 9, "untold": 0, "cost": pytest.approx(136 / 1e6)}
    assert report["info"]["usage"] == used
    assert json.loads((tmp_path / "out" / "details.json").read_text())["usage"] == used
    assert "1 requests: 50 tokens in, 9 out; cost 0.000136." in (tmp_path / "out" / "report.html").read_text()
    wrong = f"asked={json.dumps({'parrot': {'prompts': {'where': '?'}}})}"
    with pytest.raises(UserError, match=r"asked.parrot.prompts: no task 'where'"):
        evaluate(inputs, tmp_path / "out", repo, "tasks=[rec]", wrong)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_benchmark_in_its_publishers_files_is_asked_and_scored(
    inputs: dict[str, Path], tmp_path: Path, repo: Path, kind: str
) -> None:
    given = MAKERS[kind](tmp_path / "files")
    report = evaluate(inputs, tmp_path / "out", repo, "tasks=[]", f"sources={json.dumps({'mine': given})}")
    assert report["rows"]["kept"] == report["info"]["samples"]["mine"] > 2
    headline = f"mine.{TASKS[kind].headline}"
    assert {headline, f"{headline}.mean_image", f"{headline}.above_mean_image"} <= report["metrics"].keys()
    details = json.loads((tmp_path / "out" / "details.json").read_text())
    assert headline in details["intervals"]
    assert f"{TASKS[kind].title} (mine)" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("given", "rows", "message"),
    [
        ({"kind": "popes"}, [], "sources.mine.kind: unknown kind 'popes'; known: captions, "),
        ({"kind": "vqa"}, [], "sources.mine: no questions"),
        ({"kind": "vqa", "questions": "gone.json"}, [{}], "gone.json: cannot be read"),
        ({"kind": "mme"}, [MME | {"category": ""}], "own.jsonl:1: the id"),
        ({"kind": "mme"}, [MME], "has 1 questions"),
        ({"kind": "pope"}, [{"question_id": 1, "image": "a", "text": "?", "label": "maybe"}], "neither yes nor no"),
        ({"kind": "choice"}, ["index\tquestion\tA\tB\tanswer\n1\t?\tcat\tdog\tA"], "index 1 has no picture"),
        ({"kind": "rec", "picture": "photo"}, [{"id": 1, "expression": "he", "image_id": 7, "bbox": [1, 2, 3, 4],
          "width": 9, "height": 9}], "does not say in which file picture 7 is"),
    ],
)  # fmt: skip
def test_what_can_be_refused_is_refused_before_anything_is_asked(
    inputs: dict[str, Path],
    tmp_path: Path,
    repo: Path,
    parrot: Parrot,
    given: dict[str, str],
    rows: list[Any],
    message: str,
) -> None:
    write_lines(tmp_path / "own.jsonl", rows)
    with pytest.raises(UserError) as error:
        evaluate(inputs, tmp_path / "out", repo, source(tmp_path, references=str(tmp_path / "own.jsonl"), **given))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert parrot.asked == 0


@pytest.mark.parametrize(
    ("said", "state", "warning"),
    [
        ({"raw": "Yes, and", "finish": "length"}, "cut", "cut at the token limit; raise"),
        ({"finish": "content_filter"}, "filtered", "stopped by a content filter"),
        ({"refusal": "I cannot help with people."}, "refused", "refusals"),
        ({"raw": "<think>Yes, I", "finish": "stop"}, "unfinished_thought", "thoughts that never ended"),
    ],
)
def test_how_replies_ended_is_in_scores_records_and_page(
    inputs: dict[str, Path],
    tmp_path: Path,
    repo: Path,
    parrot: Parrot,
    caplog: pytest.LogCaptureFixture,
    said: dict[str, str],
    state: str,
    warning: str,
) -> None:
    parrot.said = said
    with caplog.at_level(logging.WARNING, "humanvlm"):
        report = evaluate(inputs, tmp_path / "out", repo, "tasks=[attributes]")
    assert report["metrics"][f"attributes.{state}"] == 1
    assert report["metrics"]["attributes.accuracy"] == (1 if state == "cut" else 0)
    assert f"attributes: 100% of the replies are {warning}" in caplog.text
    records = [
        json.loads(line) for line in (tmp_path / "out" / "samples" / "attributes.jsonl").read_text().splitlines()
    ]
    assert {tuple(record["state"]) for record in records} == {(state,)}
    assert {record["refusal"] for record in records} == {said.get("refusal", "")}
    assert "2 of 2 replies: " in (tmp_path / "out" / "report.html").read_text()
    other = shutil.copytree(tmp_path / "out", tmp_path / "other")
    done = CliRunner().invoke(main, ["compare", str(tmp_path / "out"), str(other)])
    assert done.exit_code == 0, done.output


def test_replies_that_ended_by_themselves_raise_no_warning(
    inputs: dict[str, Path], tmp_path: Path, repo: Path, parrot: Parrot, caplog: pytest.LogCaptureFixture
) -> None:
    report = evaluate(inputs, tmp_path / "out", repo, "tasks=[attributes]")
    assert [report["metrics"][f"attributes.{state}"] for state in ("cut", "filtered", "refused")] == [0, 0, 0]
    assert "of the replies are" not in caplog.text
