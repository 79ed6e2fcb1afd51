"""The stage ``registered_model``: the scored checkpoint as an MLflow model version, and the decision on promotion.

A version is found again by its weights, so that running twice, or scoring again, registers once.
"""

import json
import logging
from pathlib import Path
from typing import Any

from humanvlm.config.registered_model import RegisteredModel
from humanvlm.data.atomic_io import write_json, write_text
from humanvlm.errors import UserError
from humanvlm.inspect.model_card import Scores, model_card, score_table
from humanvlm.model.parity import refuse_dropped_patch_of
from humanvlm.pipeline import tracking
from humanvlm.pipeline.contract import Counts, Outcome, StageRun, read_report
from humanvlm.registry.again import STAGE, asked_as
from humanvlm.registry.evaluation import read_evaluation
from humanvlm.registry.promotion import on_its_own
from humanvlm.registry.settle import settle, told
from humanvlm.registry.versions import CHAMPION, WEIGHTS, Registry, weights_of
from humanvlm.shown import masked

log = logging.getLogger("humanvlm")
FILE = "registration.json"


def make(run: StageRun) -> Outcome:
    """Register the checkpoint, once, with its scores; alias it challenger, and champion when it beats the present one.

    The champion's own evaluation is taken from the registry when the same was asked and scored by the same code; else
    its weights are fetched and asked again. Raises UserError when tracking is off, when the checkpoint loses a patch of
    every picture, when the scores are of another checkpoint, are not finite or lack the deciding metric, and when the
    registry refuses or does not say who is champion.
    """
    uri = tracking.tracking_uri()
    if uri is None:
        raise UserError(
            "registered_model needs an MLflow registry, but MLFLOW_TRACKING_URI=none; unset it "
            f"({tracking.default_uri()}) or name a server"
        )
    config: RegisteredModel = run.config
    checkpoint, folder = run.inputs["stage2_checkpoint"], run.inputs[STAGE]
    refuse_dropped_patch_of(checkpoint / "model")
    _refuse_other_model(folder)
    evaluation = read_evaluation(folder)
    on_its_own(evaluation, config)  # raises what is wrong before anything is copied
    report = read_report(folder)
    details = {"intervals": evaluation.intervals, "samples": report.get("info", {}).get("samples", {})}
    card_scores = Scores.of(evaluation.scores, details, report.get("info", {}))
    card = model_card(read_report(checkpoint), card_scores)

    with tracking.failing_in_one_line(uri):
        registry = Registry(tracking.mlflow_client(uri), uri, config.name)
        sha256 = weights_of(
            (file["path"].removeprefix("model/"), file["sha256"])
            for file in read_report(checkpoint)["outputs"]
            if file["path"].startswith("model/")
        )
        version = registry.of_weights(sha256)
        if version is None:
            tags = {"sha256": sha256, "profile": run.params.profile}
            version = registry.register(checkpoint / "model", serving_wrapper(), tags, card, score_table(card_scores))
        else:
            log.info("registered_model: version %s is this checkpoint", version.version)
        version = registry.record(version, evaluation)
        ask = asked_as(evaluation, run.params.model_dump(mode="json"), run.kept)
        settled = settle(registry, version, evaluation, config, run.work / "registry", ask)
    for line in told(settled):
        log.info("registered_model: %s", line)
    decision = settled.decision
    value: dict[str, Any] = {
        "name": config.name,
        "version": str(version.version),
        "aliases": list(settled.aliases),
        "decision": "promoted" if decision.promote else "not_promoted",
        "reasons": list(decision.reasons),
        "metric": config.metric,
        "value": evaluation.scores[config.metric],
        "champion": settled.before,
        "tests": [test.row() for test in decision.tests],
        "scores": dict(evaluation.scores),
        "run_id": version.run_id,
        "sha256": sha256,
        "evaluation": evaluation.identity,
    }
    write_json(run.out / FILE, value)
    write_text(run.out / "README.md", card)
    metrics = {
        "version": float(version.version),
        "promoted": float(decision.promote),
        config.metric: evaluation.scores[config.metric],
    }
    info = {key: value[key] for key in ("name", "version", "aliases", "decision", "reasons", "run_id")}
    tests = [
        {key: f"{item:.4f}" if isinstance(item, float) else str(item) for key, item in test.row().items()}
        for test in decision.tests
    ]
    return Outcome(Counts(1, 1), metrics=metrics, info=info | ({"tables": {"comparison": tests}} if tests else {}))


def lost(run: StageRun) -> str | None:
    """What the registry no longer holds of what the artifact says, in words; None when nothing is missing. Another
    champion is no loss. Raises UserError when MLflow does not answer."""
    if (uri := tracking.tracking_uri()) is None:
        return None
    value = json.loads((run.out / FILE).read_text(encoding="utf-8"))
    with tracking.failing_in_one_line(uri):
        registry = Registry(tracking.mlflow_client(uri), uri, value["name"])
        version = registry.numbered(value["version"]) if registry.exists() else None
        if version is None or version.tags.get(WEIGHTS) != value.get(WEIGHTS):
            return f"MLflow at {masked(uri)} has no version {value['version']} with these weights"
        if not registry.has_files(version):
            return f"the files of version {version.version} are gone"
        if registry.champion() is None:
            return f"no version has the alias {CHAMPION!r}" if value["decision"] == "promoted" else None
    return None


def serving_wrapper() -> Path:
    """The file of the registered model's code, which MLflow copies."""
    return Path(__file__).with_name("serving.py")


def _refuse_other_model(folder: Path) -> None:
    if (model := read_report(folder).get("info", {}).get("model", "checkpoint")) != "checkpoint":
        raise UserError(
            f"{folder}: the scores of {model}, not of the checkpoint; run `humanvlm benchmark_scores` with "
            "benchmark_scores.model=checkpoint, and others with --out"
        )
