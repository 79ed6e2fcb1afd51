"""The stage ``benchmark_scores``: ask a model, score every task and its baselines, write a report to look at."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from humanvlm.config.benchmark_scores import BenchmarkScores
from humanvlm.errors import UserError
from humanvlm.evaluate.baselines import ABOVE, Baselines, above, ask_baselines
from humanvlm.evaluate.predict import predict
from humanvlm.evaluate.records import UNFINISHED, ScoredTask, intervals, parts, score, state_shares, task_scores
from humanvlm.evaluate.report.outputs import write
from humanvlm.evaluate.report.page import TaskResult
from humanvlm.evaluate.stats.slices import Slice, slice_scores
from humanvlm.evaluate.tasks.base import Coordinates, Dropped, Loaded, Sample, Task, choose, load_rows, load_source
from humanvlm.evaluate.tasks.held_out import held_out
from humanvlm.evaluate.tasks.registry import TASKS
from humanvlm.evaluate.usage import usage
from humanvlm.evaluate.wording import reworded
from humanvlm.inference.base import Model, Reply
from humanvlm.inference.cache import open_predictions
from humanvlm.inference.models import open_model
from humanvlm.pipeline.contract import Outcome, StageRun

log = logging.getLogger("humanvlm")
NAME = re.compile(r"[A-Za-z0-9_-]+")
WORTH_A_WARNING = 0.05  # share of a task's replies that were cut, filtered, refused, or no more than a thought
Judgement = tuple[ScoredTask, dict[str, float], dict[str, tuple[float, float]]]
REMEDIES = {
    "cut": "cut at the token limit; raise benchmark_scores.max_new_tokens, or that of the model in `asked`",
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
    asking = config.asking
    chosen = choose_samples(config, run.inputs)
    tasks, dropped, absent = chosen.tasks, list(chosen.dropped), dict(chosen.absent)
    model = open_tested(config, run.inputs)
    store = open_predictions(model.identity)
    samples = [sample for found in tasks.values() for sample in found]
    predicted = predict(samples, model, store, asking.max_new_tokens, config.max_failed)
    dropped += predicted.dropped
    answered = {
        task: kept
        for task, found in tasks.items()
        if (kept := [sample for sample in found if sample.key in predicted.replies])
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
        how = (model, store, asking.max_new_tokens, config.max_failed)
        baselines = ask_baselines(answered, captions, run.inputs["human_caption"], *how)
    results = [
        _result(task, found, predicted.replies, baselines.replies.get(task, {}), config)
        for task, found in answered.items()
    ]
    blind = (one for of_task in baselines.replies.values() for said in of_task.values() for one in said)
    replies = [*predicted.replies.values(), *(one for one in blind if isinstance(one, Reply))]
    used = usage(replies, config.endpoint.price_in, config.endpoint.price_out)
    outcome = write(run, results, dropped, absent, baselines.captions, predicted, used)
    for result in results:
        log.info("benchmark_scores: %s", result.verdict)
    log.info("benchmark_scores: %s", used.told())
    return outcome


def open_tested(config: BenchmarkScores, inputs: Mapping[str, Path]) -> Model:
    """The model under test. Raises UserError naming the key when there is none."""
    return open_model(
        config.model,
        config.endpoint,
        "benchmark_scores",
        checkpoint=inputs["stage2_checkpoint"] / "model",
        dtype=config.dtype,
        batch_size=config.batch_size,
        processes=config.processes,
    )


@dataclass(frozen=True)
class Chosen:
    """The samples to ask by task, worded for the model under test; rows that cannot be used; tasks that are absent, and
    why."""

    tasks: Mapping[str, Sequence[Sample]]
    dropped: Sequence[Dropped]
    absent: Mapping[str, str]


def choose_samples(config: BenchmarkScores, inputs: Mapping[str, Path]) -> Chosen:
    """Raises UserError for a task, source or prompt that is none, and when every task is absent."""
    _check_names(config)
    benchmarks = inputs["data"] / "benchmarks"
    tasks: dict[str, list[Sample]] = {}
    dropped: list[Dropped] = []
    absent: dict[str, str] = {}
    for task in dict.fromkeys((*config.tasks, *config.sources)):
        if task in config.sources:
            loaded: Loaded | None = load_source(TASKS[config.sources[task].kind], task, config.sources[task])
        elif task == HOLDOUT:
            loaded = Loaded(list(held_out(inputs["human_caption"])))
        else:
            loaded = load_rows(TASKS[task], benchmarks)
        if loaded is None or (task == HOLDOUT and not loaded.samples):
            absent[task] = "no row of human_caption is held out" if task == HOLDOUT else f"no {benchmarks / task}.jsonl"
            continue
        dropped += loaded.dropped
        if loaded.samples:
            kind = _task(task, config)
            found = choose(loaded.samples, config.limit, config.seed, by_picture=kind.by_picture)
            tasks[task] = reworded(found, config.asking.prompts, task, kind.name)
        else:
            source = config.sources.get(task)
            absent[task] = f"no usable row in {source.references if source else f'{benchmarks / task}.jsonl'}"
    for task, why in absent.items():
        log.warning("benchmark_scores: task %s is absent: %s", task, why)
    if not tasks:
        raise UserError(f"every task is absent ({'; '.join(absent.values())}); `humanvlm sample` makes all of them")
    return Chosen(tasks, dropped, absent)


def _check_names(config: BenchmarkScores) -> None:
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
    for model, asked in config.asked.items():
        if unknown := sorted(set(asked.prompts) - {*TASKS, HOLDOUT, *config.sources}):
            known = ", ".join((*TASKS, HOLDOUT, *config.sources))
            raise UserError(f"benchmark_scores.asked.{model}.prompts: no task {unknown[0]!r}; known: {known}")


def _result(
    task: str,
    samples: Sequence[Sample],
    replies: Mapping[str, Reply],
    baselines: Mapping[str, Sequence[str | Reply]],
    config: BenchmarkScores,
) -> TaskResult:
    kind = _task(task, config).name
    coordinates = Coordinates(config.asking.space, config.asking.order)

    def judge(texts: Sequence[str | Reply]) -> Judgement:
        scored = score(kind, samples, texts, coordinates)
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
