"""Checkpoints of what is trained: whole tensors, whatever number of processes, ZeRO stage or place they came from.

``checkpoint-N/`` holds, of every trained parameter, the float32 value and AdamW's two moments in safetensors files, the
trainer's log as JSON, and ``checkpoint.json``, written last: the step, the digest of the plan, the number of steps
planned, and size and sha256 of each file. The last two are kept. One that does not hold what it says is passed over
with a warning. Nothing of random numbers is in it: they follow from seed, step and rank.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from humanvlm.data.atomic_io import atomic_folder, write_json
from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError

log = logging.getLogger("humanvlm")
MARK = "checkpoint.json"
LOG = "trainer_state.json"
KINDS = ("value", "exp_avg", "exp_avg_sq")
SHARD = 4 << 30  # bytes
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk. steps: how many the run that wrote it had planned. files: name -> bytes, sha256."""

    folder: Path
    step: int
    plan: str
    steps: int
    files: Mapping[str, tuple[int, str]]

    def tensors(self) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
        """Parameter by parameter: its name and its three tensors by KINDS, float32 on the CPU."""
        for name in sorted(name for name in self.files if name.endswith(".safetensors")):
            with safe_open(self.folder / name, "pt") as file:
                for key in sorted({key.rpartition("/")[0] for key in file.keys()}):  # noqa: SIM118
                    yield key, {kind: file.get_tensor(f"{key}/{kind}") for kind in KINDS}


def write(
    work: Path,
    parameters: Mapping[str, torch.nn.Parameter],
    read: Callable[[torch.nn.Parameter, str], torch.Tensor],
    state: Any,
    plan: str,
    steps: int,
    *,
    leader: bool,
) -> None:
    """Save after ``state.global_step`` steps. All processes call it, for reading gathers a tensor; the leader writes.

    read: a parameter and one of KINDS to the whole tensor. state: transformers' TrainerState.
    Raises UserError when a value is not finite, which would replace a checkpoint that is, or the disk is full.
    """
    target = work / f"checkpoint-{state.global_step}"
    with atomic_folder(target) if leader else _nothing() as folder:
        shards: list[dict[str, torch.Tensor]] = [{}]
        size = 0
        files: list[Path] = []
        for name, parameter in parameters.items():
            for kind in KINDS:
                tensor = read(parameter, kind).detach().to("cpu", torch.float32).contiguous()
                if not leader:
                    continue
                if not torch.isfinite(tensor).all():
                    raise UserError(
                        f"{kind} of {name} is not finite after step {state.global_step}: not saved; "
                        "lower the learning_rate, then the same command continues from the checkpoint before"
                    )
                shards[-1][f"{name}/{kind}"] = tensor
                size += tensor.nbytes
            if leader and size >= SHARD:
                files.append(_shard(folder, len(files), shards.pop()))
                shards, size = [{}], 0
        if leader:
            files.append(_shard(folder, len(files), shards.pop()))
            state.save_to_json(str(folder / LOG))
            named = {path.name: (path.stat().st_size, sha256_file(path)) for path in (*files, folder / LOG)}
            write_json(
                folder / MARK, asdict(Checkpoint(target, state.global_step, plan, steps, named)) | {"folder": ""}
            )
    if leader:
        for other in _folders(work)[KEPT:]:
            shutil.rmtree(other)


def _shard(folder: Path, number: int, tensors: dict[str, torch.Tensor]) -> Path:
    path = folder / f"state-{number:05d}.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    return path


@contextmanager
def _nothing() -> Iterator[Path]:
    yield Path()


def newest(work: Path) -> Checkpoint | None:
    """The last checkpoint that holds what it says, None when there is none.

    Each damaged one is named in a warning. Raises UserError when all are damaged: to start from nothing is a decision.
    """
    problems = []
    for folder in _folders(work):
        try:
            return verified(folder)
        except UserError as error:
            log.warning("%s; using the one before", error)
            problems.append(error)
    if problems:
        raise UserError(f"{problems[0]}, and so are the others; start afresh with --force")
    return None


def verified(folder: Path) -> Checkpoint:
    """What a checkpoint holds. Raises UserError naming the file that is missing, cut or altered."""
    try:
        value = json.loads((folder / MARK).read_text(encoding="utf-8"))
        files = {name: (size, digest) for name, (size, digest) in value["files"].items()}
        found = Checkpoint(folder, value["step"], value["plan"], value["steps"], files)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / MARK}: damaged ({type(error).__name__})") from None
    for name, (size, digest) in files.items():
        path = folder / name
        has = path.stat().st_size if path.exists() else 0
        if has != size:
            raise UserError(f"{path}: damaged ({has} of {size} bytes)")
        if sha256_file(path) != digest:
            raise UserError(f"{path}: damaged (its sha256 is not what {MARK} says)")
    return found


def _folders(work: Path) -> list[Path]:
    """Newest first."""
    return sorted(
        (path.parent for path in work.glob(f"checkpoint-*/{MARK}") if path.parent.name.split("-")[1].isdigit()),
        key=_step,
        reverse=True,
    )


def _step(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])
