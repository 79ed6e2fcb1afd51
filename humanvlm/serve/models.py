"""The models that a server has, by the names that clients use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from humanvlm.errors import UserError
from humanvlm.serve.limits import Limits
from humanvlm.serve.writing import Loaded

REGISTERED, HUB = "models:/", "hub:"
CHECKPOINT = "model"  # folder of a stage's artifact that holds one


@dataclass(frozen=True)
class Source:
    """A checkpoint to serve under ``name``. own: as in ``humanvlm.inference.local.Local``."""

    name: str
    folder: Path
    own: bool = True


def find(reference: str) -> Source:
    """The checkpoint that ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``hub:ORG/NAME[@REVISION]``, or a folder
    names. Raises UserError when there is none."""
    if reference.startswith(REGISTERED):
        return _registered(reference)
    if reference.startswith(HUB):
        from humanvlm.weights.hub import snapshot

        place = reference.removeprefix(HUB)
        return Source(place.rstrip("/").rpartition("/")[2].partition("@")[0], snapshot(place), own=False)
    folder = Path(reference)
    if (folder / CHECKPOINT / "config.json").exists():
        return Source(folder.resolve().name, folder / CHECKPOINT)
    if not (folder / "config.json").exists():
        files = "; its files are served by `humanvlm serve-files`" if folder.is_dir() else ""
        raise UserError(
            f"{reference}: no checkpoint (config.json) there{files}; name a folder, or {REGISTERED}NAME@ALIAS"
        )
    name = folder.resolve().name
    return Source(folder.resolve().parent.name if name == CHECKPOINT else name, folder)


def _registered(reference: str) -> Source:
    """A version of MLflow's registry, where it lies or fetched to ``.state/serve``."""
    from mlflow.exceptions import MlflowException

    from humanvlm.pipeline import tracking
    from humanvlm.pipeline.state import state_folder
    from humanvlm.registry.versions import ABSENT, CHAMPION, Registry

    uri = tracking.tracking_uri()
    if uri is None:
        raise UserError(f"{reference}: MLFLOW_TRACKING_URI is none; set it, or name a folder")
    name, at, which = reference.removeprefix(REGISTERED).replace("/", "@").partition("@")
    if not name or not at or not which:
        raise UserError(f"{reference}: name it {REGISTERED}NAME@ALIAS or {REGISTERED}NAME/VERSION")
    with tracking.failing_in_one_line(uri):
        registry = Registry(tracking.mlflow_client(uri), uri, name)
        if "@" not in reference:
            version = registry.numbered(which)
        elif which == CHAMPION:
            version = registry.champion()
        else:
            try:
                version = registry.client.get_model_version_by_alias(name, which)
            except MlflowException as error:
                if error.error_code not in ABSENT:
                    raise
                version = None
        if version is None:
            raise UserError(f"{reference}: no such version at {uri}; run `humanvlm registered_model`, or name a folder")
        folder = state_folder() / "serve" / f"{name}-{version.version}"
        return Source(name, registry.weights(version, folder))


def loader(source: Source, limits: Limits) -> Callable[[], Loaded]:
    """What loads a checkpoint. It raises UserError when that is none to be served."""

    def load() -> Loaded:
        import torch

        from humanvlm.inference.generate import chat_text
        from humanvlm.model.load import load_checkpoint
        from humanvlm.serve.conversation import Reader
        from humanvlm.serve.decoding import check_model

        model, processor = load_checkpoint(source.folder, own=source.own)
        check_model(model, str(source.folder))
        chat_text(processor, "Hi")  # a template that places no picture is told now
        text = model.config.get_text_config()
        context = min(limits.context_tokens, getattr(text, "max_position_embeddings", limits.context_tokens))
        reader = Reader(processor, special_tokens=False if source.own else None)
        model = model.to("cuda" if torch.cuda.is_available() else "cpu")
        return Loaded(model, reader, context, fingerprint(source.folder))

    return load


def fingerprint(folder: Path) -> str:
    """Of what is loaded: the start of the sha256 by which the registry knows it."""
    from humanvlm.registry.versions import weights_of_folder

    return f"sha256-{weights_of_folder(folder)[:16]}"


def named(references: tuple[str, ...]) -> Mapping[str, Source]:
    """Sources by their names; of two with one name, the second gets a number."""
    found: dict[str, Source] = {}
    for reference in references:
        source = find(reference)
        name, number = source.name, 2
        while name in found:
            name, number = f"{source.name}-{number}", number + 1
        found[name] = source
    return found
