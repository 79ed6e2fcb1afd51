"""The registered model in MLflow: its versions, who is champion, their weights, and how they were last scored.

A version is its weights: tag ``sha256``. What was found of it later are runs that are linked to it (tag ``version``),
of which ``evaluation.run`` is the last, with its ``evaluation.identity``, a digest of its scores, and the score that
says most of each task (``score.TASK.METRIC``): more would hide the reasons of the decision in MLflow's pages.
"""

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError
from humanvlm.pipeline import tracking
from humanvlm.registry.evaluation import FILES, Evaluation, read_evaluation

log = logging.getLogger("humanvlm")
CHAMPION, CHALLENGER = "champion", "challenger"
WEIGHTS, IDENTITY, RUN, SCORE, REPLACED = "sha256", "evaluation.identity", "evaluation.run", "score.", "replaced"
DIGEST = "evaluation.scores"
ROLLED_BACK = "rolled_back"  # why; such a version is promoted by force only
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # how MLflow says that there is no such alias
CARD = "README.md"  # in a checkpoint's folder: says how it was trained and scored, and is not what is loaded
EVALUATION = "evaluation"  # artifact folder of a run: what was read of benchmark_scores
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


@contextmanager
def _everywhere(uri: str) -> Iterator[None]:
    """Within, MLflow's own functions mean this store. They keep it in the environment, which is as before after it."""
    import mlflow

    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    before = {name: os.environ[name] for name in names if name in os.environ}
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)


@dataclass(frozen=True)
class Registry:
    """The registered model ``name`` at ``uri``. What MLflow raises is for ``tracking.failing_in_one_line``."""

    client: Any
    uri: str
    name: str

    def champion(self) -> Any | None:
        """The version that has the alias; None only when MLflow says, asked twice, that there is no such model or
        alias. Any other answer, a 403, a 500, a time-out, is raised: it is no vacancy."""
        from mlflow.exceptions import MlflowException

        if not self.exists():
            return None
        aliases = self.client.get_registered_model(self.name).aliases
        try:
            return self.client.get_model_version_by_alias(self.name, CHAMPION)
        except MlflowException as error:
            if error.error_code in ABSENT and CHAMPION not in aliases:
                return None
            raise

    def numbered(self, number: str) -> Any | None:
        """A version by its number; None when there is no such one."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_model_version(self.name, number)
        except MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise

    def exists(self) -> bool:
        """Whether there is such a registered model."""
        return any(model.name == self.name for model in self.client.search_registered_models(f"name = '{self.name}'"))

    def of_weights(self, sha256: str) -> Any | None:
        """The newest version with these weights whose files are still there."""
        found = self.client.search_model_versions(f"name = '{self.name}' and tag.{WEIGHTS} = '{sha256}'")
        for version in sorted(found, key=lambda one: -int(one.version)):
            if self.has_files(version):
                return version
            log.warning("registered_model: the files of version %s are gone", version.version)
        return None

    def has_files(self, version: Any) -> bool:
        """Whether MLflow still holds a version's files."""
        from mlflow.exceptions import MlflowException

        try:
            return any(item.path == "MLmodel" for item in self._store(version).list_artifacts())
        except (MlflowException, OSError) as error:
            if isinstance(error, OSError) or error.error_code in ABSENT:
                return False
            raise

    def weights(self, version: Any, into: Path) -> Path:
        """The checkpoint of a version; of a local store where it lies, else downloaded below ``into``.

        Raises UserError when the files are gone or not those that were registered.
        """
        import yaml

        remedy = (
            f"restore {version.source}, `humanvlm rollback` to the version before, or `humanvlm promote --force-reason "
            "TEXT` another"
        )
        if not self.has_files(version):
            raise UserError(f"{self.name} version {version.version}: its files are gone; {remedy}")
        into.mkdir(parents=True, exist_ok=True)
        model = Path(self._store(version).download_artifacts("", _away(self.uri, into)))
        described = yaml.safe_load((model / "MLmodel").read_text(encoding="utf-8"))
        checkpoint = model / str(described["flavors"]["python_function"]["artifacts"]["checkpoint"]["path"])
        wanted = version.tags.get(WEIGHTS)
        if not checkpoint.is_dir() or (wanted and weights_of_folder(checkpoint) != wanted):
            raise UserError(
                f"{self.name} version {version.version}: {checkpoint} is not what was registered (sha256); {remedy}"
            )
        return checkpoint

    def register(self, model: Path, wrapper: Path, tags: Mapping[str, str], card: str, about: str) -> Any:
        """Log a checkpoint, with its card, in a run of its own and make a version of it. The weights are copied once,
        by MLflow. about: the version's description."""
        import mlflow
        from mlflow.exceptions import MlflowException
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
        from mlflow.types.schema import Array, Object, Property

        pixels = Array(DataType.double)
        box = Object([Property("label", DataType.string, required=False), Property("xyxy", pixels)])
        keypoint = Object([Property("name", DataType.string), Property("xy", pixels)])
        signature = ModelSignature(
            inputs=Schema([ColSpec("string", "image"), ColSpec("string", "prompt")]),
            outputs=Schema(
                [
                    ColSpec("string", "text"),
                    ColSpec(Array(DataType.long), "image_size"),
                    ColSpec(Array(box), "boxes"),
                    ColSpec(Array(keypoint), "keypoints"),
                ]
            ),
            params=ParamSchema([ParamSpec("max_new_tokens", DataType.integer, 64)]),
        )
        warnings.filterwarnings("ignore", ".*An input example was not provided")  # the signature is given
        experiment = tracking.experiment_id(self.client, self.uri)
        run_tags = {"stage": "registered_model", **tags}
        started = {"experiment_id": experiment, "run_name": f"{self.name} model", "tags": run_tags}
        with _everywhere(self.uri), mlflow.start_run(**started) as active:
            mlflow.log_text(card, CARD)
            logged = mlflow.pyfunc.log_model(
                name=self.name,
                python_model=str(wrapper),
                artifacts={"checkpoint": str(model.absolute())},
                code_paths=[str(Path(__file__).parents[1])],
                signature=signature,
                pip_requirements=[f"{package}=={version_of(package)}" for package in SERVED_WITH],
            )
        if not self.exists():
            try:
                self.client.create_registered_model(
                    self.name, description="Vision-language model of people and scenes."
                )
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # made by another process meanwhile
                    raise
        with _everywhere(self.uri):  # where the client looks a logged model up
            return self.client.create_model_version(
                self.name,
                logged.model_uri,
                run_id=active.info.run_id,
                tags=dict(tags),
                description=about[:DESCRIPTION],
                model_id=logged.model_id,
            )

    def record(self, version: Any, evaluation: Evaluation) -> Any:
        """Log an evaluation in a run that is linked to its version, unless it is the last one already; the version as
        it is then. What is logged suffices to compare it sample by sample."""
        from mlflow.entities import LoggedModelInput, Metric, RunTag

        scores = dict(evaluation.scores)
        told = {
            IDENTITY: evaluation.identity,
            DIGEST: hashlib.sha256(json.dumps(scores, sort_keys=True).encode()).hexdigest(),
            **{f"{SCORE}{name}": f"{scores[name]:.6g}" for name in evaluation.headlines if name in scores},
        }
        same = all(version.tags.get(key) == value for key, value in told.items())
        if same and self._has_evaluation(version.tags.get(RUN)):
            return version
        number = str(version.version)
        tags = {"stage": EVALUATION, "model": self.name, "version": number, IDENTITY: evaluation.identity}
        experiment = tracking.experiment_id(self.client, self.uri)
        run = self.client.create_run(experiment, run_name=f"{self.name} {number} scored", tags=tags)
        run_id = run.info.run_id
        if (model := version.source.removeprefix("models:/")) != version.source:
            self.client.log_inputs(run_id, models=[LoggedModelInput(model)])
        now = run.info.start_time
        metrics = [Metric(name, value, now, 0) for name, value in scores.items()]
        self.client.log_batch(run_id, metrics=metrics, tags=[RunTag("mlflow.note.content", f"{self.name} {number}")])
        for path in (path for pattern in FILES for path in sorted(evaluation.folder.glob(pattern))):
            below = path.parent.relative_to(evaluation.folder)
            self.client.log_artifact(run_id, str(path), (Path(EVALUATION) / below).as_posix())
        self.client.set_terminated(run_id)
        for key in version.tags.keys() - told.keys():
            if key.startswith(SCORE):
                self.client.delete_model_version_tag(self.name, number, key)
        self.tag(version, {**told, RUN: run_id})
        return self.client.get_model_version(self.name, number)

    def recorded(self, version: Any, into: Path) -> Evaluation | None:
        """The last evaluation of a version; None when it has none, or its files are gone."""
        return self.evaluation_of(version.tags.get(RUN), into)

    def evaluation_of(self, run_id: str | None, into: Path) -> Evaluation | None:
        """The evaluation that was logged in a run; None when there is none, or its files are gone."""
        if not self._has_evaluation(run_id):
            return None
        into.mkdir(parents=True, exist_ok=True)
        folder = self.client.download_artifacts(run_id, EVALUATION, str(into))
        return read_evaluation(Path(folder))

    def tag(self, version: Any, tags: Mapping[str, str]) -> None:
        """Set tags of a version, those that it has not yet."""
        for key, value in tags.items():
            if version.tags.get(key) != value:
                self.client.set_model_version_tag(self.name, str(version.version), key, value)

    def _has_evaluation(self, run_id: str | None) -> bool:
        from mlflow.exceptions import MlflowException

        if not run_id:
            return False
        try:
            return any(item.path == f"{EVALUATION}/samples" for item in self.client.list_artifacts(run_id, EVALUATION))
        except MlflowException as error:
            if error.error_code in ABSENT:
                return False
            raise

    def _store(self, version: Any) -> Any:
        """Where a version's files are. MLflow looks ``models:/NAME/VERSION`` up in the registry of the environment,
        whatever it is told, and makes an empty one where there is none."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        place = self.client.get_model_version_download_uri(self.name, str(version.version))
        return get_artifact_repository(place, tracking_uri=self.uri)


def weights_of(files: Iterable[tuple[str, str]]) -> str:
    """What a version is: the sha256 of the listing (name, sha256) of what is loaded, the card apart."""
    listing = sorted((name, digest) for name, digest in files if name != CARD)
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def weights_of_folder(checkpoint: Path) -> str:
    """``weights_of`` a folder's files."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    return weights_of((path.relative_to(checkpoint).as_posix(), sha256_file(path)) for path in files)


def _away(uri: str, into: Path) -> str | None:
    """Where to download to: nowhere when MLflow's files are on this machine, and can be read where they lie."""
    return None if uri.startswith("sqlite:") else str(into)
