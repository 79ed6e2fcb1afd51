"""What is made before the trainer's processes start: ``python -m humanvlm.train.prepare JOB``.

It builds the token store and the plan, and says in ``prepared.json`` where they are and what was left out. A run that
continues finds them made. The trainer's processes then call ``prepared(run)``.
"""

import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanvlm.config.training import Training
from humanvlm.data.atomic_io import write_json
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import Counts, StageRun
from humanvlm.shown import log_to_stderr
from humanvlm.train.job import die_with_parent, error_path, read_job
from humanvlm.train.plan import Plan, make_plan
from humanvlm.train.sources import training_sources
from humanvlm.train.store import Store, build

log = logging.getLogger("humanvlm")


@dataclass(frozen=True)
class Prepared:
    """What a run learns from, in which order, and how many rows were offered, kept and left out."""

    store: Store
    plan: Plan
    counts: Counts

    @property
    def info(self) -> dict[str, Any]:
        """For the report: samples of each source, and of the rows left out the first of each reason."""
        sources = self.store.about["sources"]
        return {
            "samples": {source["name"]: source["samples"] for source in sources},
            "left_out": {source["name"]: source["first"] for source in sources if source["first"]},
            "plan": self.plan.digest,
        }


def main(job: Path) -> int:
    """Prepare as the job says. A UserError goes into ``error.json`` beside the job and gives status 2."""
    die_with_parent()
    log_to_stderr()
    run = read_job(job)
    try:
        prepare(run)
    except UserError as error:
        write_json(error_path(run), {"error": str(error)})
        return 2
    return 0


def prepare(run: StageRun) -> Prepared:
    """Make the store and the plan, or find them made. Raises UserError when there is nothing to learn from."""
    config: Training = run.config
    tokens = run.work / "tokens"
    tokens.mkdir(parents=True, exist_ok=True)
    sources = training_sources(run, tokens)
    store = build(tokens, sources, run.params.model, config.max_length)
    _tell(store, f"{run.stage.name}.max_length", config.max_length)
    plan = make_plan(
        store.lengths,
        store.sources,
        store.groups,
        [source.share for source in sources],
        seed=config.seed,
        batch_size=config.batch_size,
        steps=steps(config, len(store)),
        openings=[source.opening for source in sources],
        group_by_length=config.group_by_length,
    )
    folder = run.work / "plan"
    if not folder.is_dir() or Plan.open(folder).digest != plan.digest:
        plan.save(folder)
    write_json(run.work / "prepared.json", {"store": store.folder.name})
    return prepared(run)


def prepared(run: StageRun) -> Prepared:
    """What ``prepare`` made, mapped."""
    name = json.loads((run.work / "prepared.json").read_text(encoding="utf-8"))["store"]
    store = Store.open(run.work / "tokens" / name)
    dropped: Counter[str] = Counter()
    for source in store.about["sources"]:
        dropped.update(source["dropped"])
    kept = sum(source["kept"] for source in store.about["sources"])
    return Prepared(store, Plan.open(run.work / "plan"), Counts(kept + dropped.total(), kept, dict(dropped)))


def steps(config: Training, samples: int) -> int:
    """Optimiser steps of a run over that many samples an epoch."""
    return config.max_steps if config.max_steps > 0 else max(1, round(config.epochs * samples / config.batch_size))


def _tell(store: Store, key: str, max_length: int) -> None:
    """Log what was left out and where. Raises UserError when everything was."""
    sources: Sequence[Mapping[str, Any]] = store.about["sources"]
    for source in sources:
        for reason, count in source["dropped"].items():
            if reason != "held_out":
                where = ", ".join(source["first"][reason])
                log.info("%s: %d rows left out as %s, the first %s", source["name"], count, reason, where)
        if not source["samples"] and source["parts"]:
            log.info("no %s samples: their share goes to the others", source["name"])
    if len(store):
        return
    dropped: Counter[str] = Counter()
    for source in sources:
        dropped.update(source["dropped"])
    if dropped["too_long"]:
        lengths = _lengths(sources)
        raise UserError(
            f"every sample is too long: the shortest has {lengths[0]} tokens, half have {lengths[len(lengths) // 2]} "
            f"or more, and {key} is {max_length}; raise it, or take a tower with fewer image tokens"
        )
    if dropped["no_labels"]:
        raise UserError(
            f"no sample has a token to learn ({dropped['no_labels']} rows): their replies are empty but for special "
            "tokens, or the tokenizer gives no offsets; use other texts, or another language model"
        )
    reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "no rows"
    raise UserError(f"no training samples: {reasons}; run the stages before with more data")


def _lengths(sources: Sequence[Mapping[str, Any]]) -> list[int]:
    """Tokens of all turns that are too long, sorted."""
    counts: Counter[int] = Counter()
    for source in sources:
        counts.update({int(length): count for length, count in source["too_long"].items()})
    return sorted(counts.elements())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
