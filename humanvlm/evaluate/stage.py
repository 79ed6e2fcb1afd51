"""The stage ``benchmark_scores``: ask a model, score every task and its baselines, write a report to look at."""

import logging
import math
import re
from collections.abc import Mapping, Sequence

from humanvlm.config.benchmark_scores import BenchmarkScores
from humanvlm.errors import UserError
from humanvlm.evaluate.baselines import ABOVE, Baselines, above, ask_baselines
from humanvlm.evaluate.predict import predict
from humanvlm.evaluate.records import UNFINISHED, ScoredTask, intervals, parts, score, state_shares, task_scores
from humanvlm.evaluate.report.outputs import write
from humanvlm.evaluate.report.page import TaskResult
from humanvlm.evaluate.stats.slices import Slice, slice_scores
from humanvlm.evaluate.tasks.base import Dropped, Loaded, Sample, Task, choose, load_rows, load_source
from humanvlm.evaluate.tasks.held_out import held_out
from humanvlm.evaluate.tasks.registry import TASKS
from humanvlm.inference.base import Reply
from humanvlm.inference.cache import open_predictions
from humanvlm.inference.models import open_model
from humanvlm.pipeline.contract import Outcome, StageRun

log = logging.getLogger("humanvlm")
NAME = re.compile(r"[A-Za-z0-9_-]+")
WORTH_A_WARNING = 0.05  # share of a task's replies that were cut, filtered, refused, or no more than a thought
Judgement = tuple[ScoredTask, dict[str, float], dict[str, tuple[float, float]]]
REMEDIES = {
    "cut": "cut at the token limit; raise benchmark_scores.max_new_tokens",
    "filtered": "stopped by a content filter",
    "refused": "refusals",
    UNFINISHED: "thoughts that never ended, which are no answers; raise benchmark_scores.max_new_tokens",
}
HOLDOUT = "holdout"  # captions of the crawl's own held-out rows
OWN = (*(name for name, task in TASKS.items() if task.sample), HOLDOUT)  # tasks that need no source


def make(run: StageRun) -> Outcome:
    """Score the model under test. Replies that are known are not asked for again.

    Raises UserError for an unknown task or model, when every task is absent, when more samples than allowed have no
    reply, and when none has.
    """
    config: BenchmarkScores = run.config
    if unknown := sorted(set(config.tasks) - {*OWN, *config.sources}):
        known = ", ".join((*OWN, *config.sources))
        raise UserError(f"benchmark_scores.tasks: unknown task {unknown[0]!r}; known: {known}")
    if taken := sorted(set(config.sources) & set(OWN)):
        raise UserError(f"benchmark_scores.sources: {taken[0]!r} is a task of its own; choose another name")
    if odd := [name for name in config.sources if not NAME.fullmatch(name)]:
        raise UserError(f"benchmark_scores.sources: {odd[0]!r} is no name; letters, digits, _ and - make one")
    for name, source in config.sources.items():
        if source.kind not in TASKS:
            known = ", ".join(TASKS)
            raise UserError(f"benchmark_scores.sources.{name}.kind: unknown kind {source.kind!r}; known: {known}")
    tasks, dropped, absent = _load(run, config)
    model = open_model(
        config.model,
        config.endpoint,
        "benchmark_scores",
        checkpoint=run.inputs["stage2_checkpoint"] / "model",
        dtype=config.dtype,
        batch_size=config.batch_size,
    )
    store = open_predictions(model.identity)
    samples = [sample for chosen in tasks.values() for sample in chosen]
    predicted = predict(samples, model, store, config.max_new_tokens, config.max_failed)
    dropped += predicted.dropped
    answered = {
        task: kept
        for task, chosen in tasks.items()
        if (kept := [sample for sample in chosen if sample.key in predicted.replies])
    }
    if not answered:
        reasons = ", ".join(sorted({reason for _, reason, _ in predicted.dropped}))
        raise UserError(
            f"{run.inputs['data'] / 'benchmarks'}: none of {len(samples)} samples has a reply ({reasons}); where "
            "pictures are missing, `dvc checkout`"
        )
    absent |= {task: "no sample has a reply" for task in tasks if task not in answered}
    baselines = Baselines({}, {})
    if config.baselines:
        captions = [task for task in answered if _task(task, config).name == "captions"]
        how = (model, store, config.max_new_tokens, config.max_failed)
        baselines = ask_baselines(answered, captions, run.inputs["human_caption"], *how)
    results = [
        _result(task, chosen, predicted.replies, baselines.replies.get(task, {}), config)
        for task, chosen in answered.items()
    ]
    outcome = write(run, results, dropped, absent, baselines.captions, predicted)
    for result in results:
        log.info("benchmark_scores: %s", result.verdict)
    return outcome


def _load(run: StageRun, config: BenchmarkScores) -> tuple[dict[str, list[Sample]], list[Dropped], dict[str, str]]:
    benchmarks = run.inputs["data"] / "benchmarks"
    tasks: dict[str, list[Sample]] = {}
    dropped: list[Dropped] = []
    absent: dict[str, str] = {}
    for task in dict.fromkeys((*config.tasks, *config.sources)):
        if task in config.sources:
            loaded: Loaded | None = load_source(TASKS[config.sources[task].kind], task, config.sources[task])
        elif task == HOLDOUT:
            loaded = Loaded(list(held_out(run.inputs["human_caption"])))
        else:
            loaded = load_rows(TASKS[task], benchmarks)
        if loaded is None or (task == HOLDOUT and not loaded.samples):
            absent[task] = "no row of human_caption is held out" if task == HOLDOUT else f"no {benchmarks / task}.jsonl"
            continue
        dropped += loaded.dropped
        if loaded.samples:
            by_picture = _task(task, config).by_picture
            tasks[task] = choose(loaded.samples, config.limit, config.seed, by_picture=by_picture)
        else:
            source = config.sources.get(task)
            absent[task] = f"no usable row in {source.references if source else f'{benchmarks / task}.jsonl'}"
    for task, why in absent.items():
        log.warning("benchmark_scores: task %s is absent: %s", task, why)
    if not tasks:
        raise UserError(f"every task is absent ({'; '.join(absent.values())}); `humanvlm sample` makes all of them")
    return tasks, dropped, absent


def _result(
    task: str,
    samples: Sequence[Sample],
    replies: Mapping[str, Reply],
    baselines: Mapping[str, Sequence[str | Reply]],
    config: BenchmarkScores,
) -> TaskResult:
    kind = _task(task, config).name

    def judge(texts: Sequence[str | Reply]) -> Judgement:
        scored = score(kind, samples, texts, space=config.space)
        return scored, task_scores(scored), intervals(scored, config.bootstrap, config.seed)

    scored, values, ranges = judge([replies[sample.key] for sample in samples])
    ended = state_shares(scored)
    for state, share in ended.items():
        if share > WORTH_A_WARNING:
            log.warning("benchmark_scores: %s: %.0f%% of the replies are %s", task, 100 * share, REMEDIES[state])
    for name, texts in baselines.items():
        blind, other, other_ranges = judge(texts)
        values |= {f"{metric}.{name}": value for metric, value in other.items()}
        ranges |= {f"{metric}.{name}": pair for metric, pair in other_ranges.items()}
        for one in above(scored, blind, config.bootstrap, config.seed):
            if math.isfinite(one.low) and math.isfinite(one.high):
                values[f"{one.metric}.{ABOVE}{name}"] = one.difference
                ranges[f"{one.metric}.{ABOVE}{name}"] = (min(one.low, one.difference), max(one.high, one.difference))
    return TaskResult(task, kind, samples, scored, values | ended, ranges, parts(scored), _slices(scored, config))


def _slices(scored: ScoredTask, config: BenchmarkScores) -> Sequence[Slice]:
    records = scored.records
    if not any(record.slices for record in records):
        return ()
    return slice_scores(
        [record.id for record in records],
        [record.image for record in records],
        [record.score for record in records],
        [record.slices for record in records],
        resamples=config.bootstrap,
        seed=config.seed,
    )


def _task(task: str, config: BenchmarkScores) -> Task:
    if task in config.sources:
        return TASKS[config.sources[task].kind]
    return TASKS["captions" if task == HOLDOUT else task]
