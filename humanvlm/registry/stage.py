"""The stage ``registered_model``: the scored checkpoint as an MLflow model version, and the decision on promotion.

A version is found again by its fingerprint (weights and scores), so that running twice registers once.
"""

import hashlib
import json
import logging
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from humanvlm.config.registered_model import RegisteredModel
from humanvlm.data.atomic_io import write_json, write_text
from humanvlm.errors import UserError
from humanvlm.inspect.model_card import Scores, model_card, score_table
from humanvlm.model.parity import refuse_dropped_patch_of
from humanvlm.pipeline import tracking
from humanvlm.pipeline.contract import Counts, Outcome, StageRun, read_report
from humanvlm.registry.promotion import Scored, decide

log = logging.getLogger("humanvlm")
CHAMPION, CHALLENGER = "champion", "challenger"
DESCRIPTION = 5000  # characters of a version's that MLflow's tables hold
SERVED_WITH = (
    "mlflow",
    "torch",
    "transformers",
    "safetensors",
    "tokenizers",
    "numpy",
    "pandas",
    "pillow",
    "pydantic",
    "pyyaml",
)


def make(run: StageRun) -> Outcome:
    """Register the checkpoint, once, with its scores; alias it challenger, and champion when it beats the present one.

    Raises UserError when tracking is off, when the checkpoint loses a patch of every picture, when the scores are of
    another checkpoint or lack the deciding metric, and when the registry refuses.
    """
    uri = tracking.tracking_uri()
    if uri is None:
        raise UserError(
            "registered_model needs an MLflow registry, but MLFLOW_TRACKING_URI=none; unset it "
            f"({tracking.DEFAULT_URI}) or name a server"
        )
    config: RegisteredModel = run.config
    checkpoint, folder = run.inputs["stage2_checkpoint"], run.inputs["benchmark_scores"]
    refuse_dropped_patch_of(checkpoint / "model")
    scores = _scores(folder, config.metric)
    benchmark = benchmark_identity(folder, config.metric.partition(".")[0])
    fingerprint = model_fingerprint(checkpoint, scores)
    card_scores = _card_scores(folder, scores)
    card = model_card(read_report(checkpoint), card_scores)
    with tracking.failing_in_one_line(uri):
        client = tracking.mlflow_client(uri)
        found = _find(client, config.name, fingerprint)
        if found is None:
            tags = {"fingerprint": fingerprint, "benchmark": benchmark, "profile": run.params.profile}
            found = _register(client, uri, config.name, checkpoint / "model", tags, card_scores, card)
        else:
            log.info("registered_model: version %s is this checkpoint with these scores", found.version)
        candidate = Scored(str(found.version), scores, benchmark)
        champion = _champion(client, config.name)
        decision = decide(candidate, champion, config)
        for alias in (CHALLENGER, *((CHAMPION,) if decision.promote else ())):
            client.set_registered_model_alias(config.name, alias, candidate.version)
        aliases = sorted(client.get_model_version(config.name, candidate.version).aliases)
    for reason in decision.reasons:
        log.info(
            "registered_model: version %s %s: %s",
            candidate.version,
            "promoted" if decision.promote else "not promoted",
            reason,
        )
    value = {
        "name": config.name,
        "version": candidate.version,
        "aliases": aliases,
        "decision": "promoted" if decision.promote else "not_promoted",
        "reasons": list(decision.reasons),
        "metric": config.metric,
        "value": scores[config.metric],
        "champion": vars(champion) | {"scores": dict(champion.scores)} if champion else None,
        "scores": scores,
        "run_id": found.run_id,
        "fingerprint": fingerprint,
    }
    write_json(run.out / "registration.json", value)
    write_text(run.out / "README.md", card)
    metrics = {
        "version": float(candidate.version),
        "promoted": float(decision.promote),
        config.metric: scores[config.metric],
    }
    info = {key: value[key] for key in ("name", "version", "aliases", "decision", "reasons", "run_id")}
    return Outcome(Counts(1, 1), metrics=metrics, info=info)


def model_fingerprint(checkpoint: Path, scores: dict[str, float]) -> str:
    """What a version is found by: the sha256 of the listing of what is loaded, the card apart, and of the scores."""
    listing = [
        (file["path"], file["sha256"])
        for file in read_report(checkpoint)["outputs"]
        if file["path"].startswith("model/") and file["path"] != "model/README.md"
    ]
    return hashlib.sha256(json.dumps([listing, scores], sort_keys=True).encode()).hexdigest()


def benchmark_identity(folder: Path, task: str) -> str:
    """The sha256 of a task's samples as asked: ids, prompts and references, not what was replied."""
    digest = hashlib.sha256()
    with (folder / "samples" / f"{task}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            digest.update(json.dumps([record["id"], record["prompt"], record["references"]]).encode())
    return digest.hexdigest()


def serving_wrapper() -> Path:
    """The file of the registered model's code, which MLflow copies."""
    return Path(__file__).with_name("serving.py")


def _scores(folder: Path, metric: str) -> dict[str, float]:
    path = folder / "scores.json"
    if (model := read_report(folder).get("info", {}).get("model", "checkpoint")) != "checkpoint":
        raise UserError(
            f"{folder}: the scores of {model}, not of the checkpoint; run `humanvlm benchmark_scores` with "
            "benchmark_scores.model=checkpoint, and others with --out"
        )
    try:
        scores: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}; run `humanvlm benchmark_scores` again") from None
    if metric not in scores:
        known = ", ".join(name for name in scores if name.count(".") == 1)
        raise UserError(f"registered_model.metric: {metric!r} is not in {path}; it has {known}")
    return scores


def _find(client: Any, name: str, fingerprint: str) -> Any | None:
    found = client.search_model_versions(f"name = '{name}' and tag.fingerprint = '{fingerprint}'", max_results=1)
    return found[0] if found else None


def _champion(client: Any, name: str) -> Scored | None:
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        return None
    scores = {key.removeprefix("score."): float(value) for key, value in found.tags.items() if key.startswith("score.")}
    return Scored(str(found.version), scores, found.tags.get("benchmark", ""))


def _card_scores(folder: Path, scores: dict[str, float]) -> Scores:
    path = folder / "details.json"
    details = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return Scores.of(scores, details, read_report(folder).get("info", {}))


def _register(client: Any, uri: str, name: str, model: Path, tags: dict[str, str], scores: Scores, card: str) -> Any:
    """Log the model, with its card, in a run of its own and make a version of it. The weights are copied once, by
    MLflow. The version's description is what the card says of its scores."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "image"), ColSpec("string", "prompt")]),
        outputs=Schema([ColSpec("string", "text")]),
        params=ParamSchema([ParamSpec("max_new_tokens", DataType.integer, 64)]),
    )
    warnings.filterwarnings("ignore", ".*An input example was not provided")  # the signature is given
    experiment = tracking.experiment_id(client, uri)
    with mlflow.start_run(
        experiment_id=experiment, run_name=f"{name} model", tags={"stage": "registered_model"} | tags
    ) as active:
        mlflow.log_metrics(dict(scores.values))
        mlflow.log_text(card, "README.md")
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(serving_wrapper()),
            artifacts={"checkpoint": str(model.absolute())},
            code_paths=[str(Path(__file__).parents[1])],
            signature=signature,
            pip_requirements=[f"{package}=={version(package)}" for package in SERVED_WITH],
        )
    if not _has(client, name):
        client.create_registered_model(name, description="Vision-language model of people and scenes.")
    described = {f"score.{key}": f"{value:.6g}" for key, value in scores.values.items()}
    about = score_table(scores)[:DESCRIPTION]
    return client.create_model_version(
        name,
        logged.model_uri,
        run_id=active.info.run_id,
        tags=tags | described,
        description=about,
        model_id=logged.model_id,
    )


def _has(client: Any, name: str) -> bool:
    return any(model.name == name for model in client.search_registered_models(f"name = '{name}'"))
