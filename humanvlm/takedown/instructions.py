"""Checkpoints that learnt a forgotten picture from an instruction file, which no artifact leads to."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from humanvlm.data.atomic_io import write_json
from humanvlm.data.hashing import sha256_file
from humanvlm.data.tombstones import Tombstones
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import identity_of, read_report
from humanvlm.takedown.artifacts import Artifact
from humanvlm.takedown.lines import names_forgotten
from humanvlm.train.instructions import elements, parsed, pictures_of


def mark_taught(root: Path, artifacts: Sequence[Artifact], stones: Tombstones) -> None:
    """Note in the reports of checkpoints whose instruction files name a forgotten sample that they, as they are, were
    made with one (``formerly``): so it is known after the files were mended, until the checkpoint is made again."""
    taught = cache(lambda file, images: names_any(file, images, stones))
    for artifact in artifacts:
        if artifact.stage != "stage2_checkpoint" or not artifact.complete:
            continue
        report = read_report(artifact.folder)
        now, formerly = identity_of(report), report.get("formerly", ())
        if now not in formerly and any(taught(*files) for files in _files(root, report)):
            write_json(artifact.folder / "report.json", {**report, "formerly": [*formerly, now]})


def names_any(file: Path, images: Path, stones: Tombstones) -> bool:
    """Whether a row of an instruction file has a text that is a forgotten id, URL or hash, or a forgotten picture below
    the folder ``images``. A file that is absent or damaged has no rows from where it is."""
    is_forgotten = cache(lambda path: path.is_file() and stones.covers(sha256=sha256_file(path)))
    with suppress(UserError):
        for _, _, _, content in elements(file) if file.is_file() else ():
            row = parsed(content)
            named = (images / name for name in (row and pictures_of(row)) or ()) if stones.pictures else ()
            if names_forgotten(content.decode("utf-8", "replace"), stones) or any(map(is_forgotten, named)):
                return True
    return False


def _files(root: Path, report: dict[str, Any]) -> Iterator[tuple[Path, Path]]:
    """Instruction files that a checkpoint was made with, each with the folder of its pictures."""
    yield from ((root / "data" / name, root / "data") for name in ("instructions.jsonl", "opening.jsonl"))
    parts = report.get("config", {}).get("stage2_checkpoint", {}).get("instructions", {})
    yield from ((root / part["file"], root / part["images"]) for part in parts.values())
