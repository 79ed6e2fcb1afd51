"""The stage ``benchmark_scores``: ask the checkpoint, score every task and its baselines, write a report to look at."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from humanvlm.config import BenchmarkScores
from humanvlm.errors import UserError
from humanvlm.evaluate.predict import Ask, Dropped, answer, load_replies, mean_picture, save_replies
from humanvlm.evaluate.report import TaskResult, plot_parts, plot_scores, write_page
from humanvlm.evaluate.runs import with_contributions
from humanvlm.evaluate.scoring import CAPTION_TASKS, Scored, as_json, intervals, parts, score, task_scores
from humanvlm.evaluate.tasks import (
    TASKS,
    Sample,
    choose,
    load_task,
    most_common_caption,
    training_pictures,
)
from humanvlm.shards import replace_durably, shard_name, write_json, write_shard
from humanvlm.stage import Counts, Outcome, StageRun, progress

log = logging.getLogger("humanvlm")
MEAN_PICTURES = 256
DROPPED = pa.schema([(name, pa.string()) for name in ("id", "url", "reason", "detail")])


def run(run: StageRun) -> Outcome:
    """Score the stage-2 checkpoint. Resumes from the replies in the work folder.

    Raises UserError for an unknown task, when every task is absent, and when no picture of any task can be read.
    """
    config: BenchmarkScores = run.config
    if unknown := sorted(set(config.tasks) - set(TASKS)):
        raise UserError(f"benchmark_scores.tasks: unknown task {unknown[0]!r}; known: {', '.join(TASKS)}")
    tasks, dropped, absent = _load(run, config)
    replies_file = run.work / "predictions.jsonl"
    replies = load_replies(replies_file)
    load = cache(partial(_load_model, run.inputs["stage2_checkpoint"] / "model", config.dtype))  # when first asked
    ask = _asker(load, config)
    samples = [sample for chosen in tasks.values() for sample in chosen]
    asked = answer(samples, replies, replies_file, ask, config.batch_size)
    todo = sum(sample.key not in replies for sample in samples)
    if todo < len(samples):
        log.info("benchmark_scores: resuming, %d of %d replies made", len(samples) - todo, len(samples))
    dropped += [problem for problem in progress(asked, todo, "benchmark_scores", "sample") if problem]
    answered = {
        task: kept for task, chosen in tasks.items() if (kept := [sample for sample in chosen if sample.key in replies])
    }
    if not answered:
        raise UserError(
            f"{run.inputs['data'] / 'benchmarks'}: none of {len(samples)} pictures could be read; `dvc checkout`"
        )
    absent |= {task: "no picture could be read" for task in tasks if task not in answered}
    baselines = _baselines(run, answered, replies_file, ask, load) if config.baselines else {}
    results = [_result(task, chosen, replies, baselines, config) for task, chosen in answered.items()]
    return _write(run, results, dropped, absent, baselines)


def _load(run: StageRun, config: BenchmarkScores) -> tuple[dict[str, list[Sample]], list[Dropped], dict[str, str]]:
    benchmarks = run.inputs["data"] / "benchmarks"
    tasks: dict[str, list[Sample]] = {}
    dropped: list[Dropped] = []
    absent: dict[str, str] = {}
    for task in dict.fromkeys(config.tasks):
        loaded = load_task(task, benchmarks, run.inputs["human_caption"])
        if loaded is None:
            absent[task] = (
                "no row of human_caption is held out" if task == "holdout" else f"no {benchmarks / task}.jsonl"
            )
            continue
        dropped += loaded.dropped
        if loaded.samples:
            tasks[task] = choose(loaded.samples, config.limit, config.seed)
        else:
            absent[task] = f"no usable row in {benchmarks / task}.jsonl"
    for task, why in absent.items():
        log.warning("benchmark_scores: task %s is absent: %s", task, why)
    if not tasks:
        raise UserError(f"every task is absent ({'; '.join(absent.values())}); `humanvlm sample` makes all of them")
    return tasks, dropped, absent


def _asker(load: Callable[[], tuple[Any, Any]], config: BenchmarkScores) -> Ask:
    def ask(pictures: Sequence[Image.Image], prompts: Sequence[str]) -> Sequence[str]:
        from humanvlm.model.generate import generate

        model, processor = load()
        return generate(
            model, processor, pictures, prompts, max_new_tokens=config.max_new_tokens, batch_size=config.batch_size
        )

    return ask


def _load_model(folder: Path, dtype: str) -> tuple[Any, Any]:
    import torch

    from humanvlm.model.load import load_checkpoint

    model, processor = load_checkpoint(folder, dtype=getattr(torch, dtype))
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), processor


def _baselines(
    run: StageRun,
    answered: Mapping[str, Sequence[Sample]],
    replies_file: Path,
    ask: Ask,
    load: Callable[[], tuple[Any, Any]],
) -> dict[str, str]:
    """What each baseline says of every picture: the commonest training caption, and the model shown the mean picture.

    Greedy replies to one picture and one prompt are all the same, so the model is asked once.
    """
    captions = [sample for task in CAPTION_TASKS for sample in answered.get(task, ())]
    common = most_common_caption(run.inputs["human_caption"]) if captions else None
    if common is None:
        return {}
    if "mean_image" not in load_replies(replies_file):
        pictures = training_pictures(run.inputs["human_caption"], MEAN_PICTURES)
        picture = mean_picture(pictures, load()[1].image_processor)
        save_replies(replies_file, [("mean_image", ask([picture], [captions[0].prompt])[0])])
    return {"most_common": common, "mean_image": load_replies(replies_file)["mean_image"]}


def _result(
    task: str,
    samples: Sequence[Sample],
    replies: Mapping[str, str],
    baselines: Mapping[str, str],
    config: BenchmarkScores,
) -> TaskResult:
    def judge(texts: Sequence[str]) -> tuple[Scored, dict[str, float], dict[str, tuple[float, float]]]:
        scored = score(task, samples, texts)
        return scored, task_scores(task, scored), intervals(task, scored, config.bootstrap, config.seed)

    scored, values, ranges = judge([replies[sample.key] for sample in samples])
    for name, text in baselines.items() if task in CAPTION_TASKS else ():
        _, other, other_ranges = judge([text] * len(samples))
        values |= {f"{metric}.{name}": value for metric, value in other.items()}
        ranges |= {f"{metric}.{name}": pair for metric, pair in other_ranges.items()}
    return TaskResult(task, samples, scored.records, values, ranges, parts(scored), scored.contributions)


def _write(
    run: StageRun,
    results: Sequence[TaskResult],
    dropped: Sequence[Dropped],
    absent: Mapping[str, str],
    baselines: Mapping[str, str],
) -> Outcome:
    scores = {f"{result.task}.{name}": value for result in results for name, value in result.scores.items()}
    ranges = {f"{result.task}.{name}": pair for result in results for name, pair in result.intervals.items()}
    slices = {result.task: result.parts for result in results if result.parts}
    counts = {result.task: len(result.records) for result in results}
    write_json(run.out / "scores.json", scores)
    write_json(
        run.out / "details.json",
        {
            "intervals": ranges,
            "slices": slices,
            "samples": counts,
            "absent": dict(absent),
            "baselines": dict(baselines),
        },
    )
    for result in results:
        _write_lines(run.out / "samples" / f"{result.task}.jsonl", _lines(result))
    if dropped:
        rows = [{"id": name, "url": None, "reason": reason, "detail": detail} for name, reason, detail in dropped]
        write_shard(run.out / "dropped" / shard_name(0), rows, DROPPED)
    plots = [plot_scores(results, run.out / "plots" / "scores.png")]
    if slices:
        plots.append(plot_parts(results, run.out / "plots" / "slices.png"))
    page = write_page(results, run.out / "report.html", absent, baselines, Counter(reason for _, reason, _ in dropped))
    kept = sum(counts.values())
    return Outcome(
        Counts(kept + len(dropped), kept, dict(sorted(Counter(reason for _, reason, _ in dropped).items()))),
        metrics=scores,
        plots=[str(path.relative_to(run.out)) for path in (*plots, page)],
        info={"absent": dict(absent), "baselines": dict(baselines), "samples": counts},
    )


def _lines(result: TaskResult) -> Iterator[Mapping[str, Any]]:
    """What ``humanvlm compare`` reads back: the records, each with what it adds to the scores."""
    return with_contributions([as_json(record) for record in result.records], result.contributions)


def _write_lines(path: Path, records: Iterator[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.work")
    with work.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    replace_durably(work, path)
