"""Models by name: a folder, or ``ORG/NAME[@REVISION]`` of the Hugging Face hub.

Only safetensors and descriptions are fetched, so neither pickles nor code can be among them. Everything else loads from
the folder that ``snapshot`` returns: this is the only place that asks the hub for a model.
"""

import functools
import hashlib
import json
import logging
import os
import re
import sys
from pathlib import Path

from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError

log = logging.getLogger("humanvlm")
CHECKPOINT_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
LEFT_OUT = ("*/*", "consolidated*")  # further formats of the same weights
COMMIT = re.compile(r"[0-9a-f]{40}")


def open_hub() -> bool:
    """Let this process ask the hub from here on, unless the user set HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE.

    Returns whether it may. Child processes decide again.
    """
    if os.environ.get("HUMANVLM_HUB") == "when named":
        os.environ.pop("HF_HUB_OFFLINE", None)
        # Libraries read the variable when they are imported, which may be long ago.
        for name in ("huggingface_hub.constants", "datasets.config"):
            if name in sys.modules:
                sys.modules[name].HF_HUB_OFFLINE = False  # type: ignore[attr-defined]
    from huggingface_hub import is_offline_mode

    return not is_offline_mode()


def snapshot(name: str) -> Path:
    """The folder of a model's files; of a hub id, those that the local cache lacks are fetched first.

    A hub id without a commit is another model whenever its owner pushes: that is warned of, with the commit it was now.
    Raises UserError with the remedy when the model is not to be had.
    """
    if Path(name).is_dir():
        return Path(name)
    repository, revision = _split(name)
    open_hub()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        folder = Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=list(CHECKPOINT_FILES), ignore_patterns=list(LEFT_OUT)
            )
        )
    except (OSError, ValueError, HTTPError) as error:
        raise _unavailable(name, error) from None
    if not (folder / "config.json").exists() or not any(folder.glob("*.safetensors")):
        raise UserError(
            f"hub model {name!r}: no config.json with *.safetensors in it, and other formats are not read; name a "
            "revision or a conversion that has them"
        )
    if not is_pinned(revision):
        warn_of_change(f"hub model {name}", f"{repository}@{folder.name}")
    return folder


def is_pinned(revision: str | None) -> bool:
    """Whether a revision is a commit, which nobody can change, not a branch or tag."""
    return revision is not None and COMMIT.fullmatch(revision) is not None


@functools.cache
def warn_of_change(what: str, pinned: str) -> None:
    """Say, once a process, that something of the hub is not pinned, and what to name instead."""
    log.warning("%s: not pinned, its owner may change it; name %s to have the same again", what, pinned)


def identity(name: str) -> str:
    """What a model is, not how it is called: sha256 over the checkpoint files of a folder, the commit of a hub id.

    Nothing is downloaded. Where the hub does not answer, the commit is the one in the cache. Raises UserError with the
    remedy when there is no such model.
    """
    if Path(name).is_dir():
        return hashlib.sha256(json.dumps(file_digests(Path(name))).encode()).hexdigest()
    repository, revision = _split(name)
    if revision is not None and is_pinned(revision):
        return revision
    open_hub()
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        return str(HfApi().model_info(repository, revision=revision).sha)
    except ValueError as error:
        raise _unavailable(name, error) from None
    except (OSError, HTTPError) as error:
        cached = try_to_load_from_cache(repository, "config.json", revision=revision)
        if not isinstance(cached, str):
            raise _unavailable(name, error) from None
        return Path(cached).parent.name


def file_digests(folder: Path) -> dict[str, str]:
    """sha256 of each file that a checkpoint is loaded from, by name. Raises UserError when there is none."""
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder}: no checkpoint (config.json); run `humanvlm stage2_checkpoint`, or name another folder"
        )
    files = sorted({path for pattern in CHECKPOINT_FILES for path in folder.glob(pattern)})
    return {path.name: sha256_file(path) for path in files}


def _split(name: str) -> tuple[str, str | None]:
    """Repository and revision. Raises UserError when the name can only be that of a folder, and there is none."""
    repository, _, revision = name.partition("@")
    if name.startswith((".", "/", "~")) or repository.count("/") > 1:
        raise UserError(f"model {name!r}: no such folder; name one that holds config.json, or a hub id ORG/NAME")
    return repository, revision or None


def _unavailable(name: str, error: Exception) -> UserError:
    """One line for what the hub's client says in twenty, with the remedy for its kind."""
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    repository, _ = _split(name)
    if not open_hub():
        variable = "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"
        said = f"not in the local cache, and {variable} is set; unset it for this run, or name a folder"
    elif isinstance(error, GatedRepoError):
        said = f"gated; accept its terms at {ENDPOINT}/{repository} and set HF_TOKEN"
    elif isinstance(error, RepositoryNotFoundError):
        said = f"{ENDPOINT} knows no such repository; check the name, or set HF_TOKEN when it is private"
    elif isinstance(error, RevisionNotFoundError):
        said = f"no such revision; see {ENDPOINT}/{repository}/commits/main"
    else:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        said = f"not to be had from {ENDPOINT} ({reason}); check name and network (HF_ENDPOINT), or name a folder"
    return UserError(f"hub model {name!r}: {said}")
