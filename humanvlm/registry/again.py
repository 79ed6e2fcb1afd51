"""A registered version scored again, on the benchmarks as they are now, by the stage ``benchmark_scores`` itself."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from humanvlm.data.atomic_io import write_text
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import read_report
from humanvlm.pipeline.runner import run_stage
from humanvlm.registry.evaluation import Evaluation, read_evaluation

STAGE = "benchmark_scores"


def score_again(
    checkpoint: Path, params: Mapping[str, Any], out: Path, inputs: Mapping[str, Path], *, baselines: bool
) -> Evaluation:
    """The evaluation of a checkpoint's folder. Replies that are known are not asked for; a killed one goes on.

    params: all parameters, as a mapping; ``benchmark_scores`` says how to ask. inputs: of ``benchmark_scores``.
    baselines: whether to ask about the mean picture too. Raises UserError as the stage.
    """
    section = {**params[STAGE], "model": f"checkpoint:{checkpoint}", "leaderboard": []}
    if not baselines:
        section["baselines"] = False
    file = out.with_name(f"{out.name}.yaml")
    write_text(file, yaml.safe_dump({**params, STAGE: section}))
    run_stage(STAGE, file, (), inputs, out)
    return read_evaluation(out)


def asked_as(candidate: Evaluation, params: Mapping[str, Any], folder: Path) -> Callable[[Path, str], Evaluation]:
    """Scores a version's weights as a candidate was scored, below ``folder``.

    params: all parameters; how to ask is what the candidate's report says. Raises UserError when it comes out that the
    candidate was scored on other benchmarks, or by other code, than are here now.
    """

    def ask(weights: Path, version: str) -> Evaluation:
        config = read_report(candidate.folder)["config"]
        found = score_again(weights, {**params, **config}, folder / f"version-{version}", {}, baselines=False)
        if found.identity != candidate.identity:
            raise UserError(
                f"{candidate.folder}: scored on other benchmarks, with other packages or code than are here now; run "
                f"`humanvlm {STAGE}` and `humanvlm registered_model` again"
            )
        return found

    return ask
