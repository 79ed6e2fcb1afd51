"""The artifacts of a project, and the files of each that hold rows."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from humanvlm.data.dropped import FOLDER
from humanvlm.data.shards import find_shards, store_of
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import identity, read_report
from humanvlm.pipeline.stages import SHARDED, STAGES

APART = ("artifacts", "data")  # folders of the project that are looked through in their own way


@dataclass(frozen=True)
class Artifact:
    """A folder that a stage wrote, under ``artifacts/`` or where ``--out`` said, and the stage."""

    folder: Path
    stage: str

    @property
    def complete(self) -> bool:
        return (self.folder / "report.json").exists()

    @property
    def sharded(self) -> bool:
        return self.stage in SHARDED

    def shards(self) -> list[Path]:
        return find_shards(self.folder)

    def drops(self) -> list[Path]:
        return find_shards(store_of(self.folder) / FOLDER)

    def journals(self) -> list[Path]:
        return sorted(self.folder.glob(".work/journal/*"))


def find_artifacts(root: Path) -> list[Artifact]:
    """All artifacts of a project in the order of the pipeline, those in other folders (``runs/NAME``) too."""
    order = {name: number for number, name in enumerate(STAGES)}
    found = [
        Artifact(path, str(read_report(path)["stage"]) if (path / "report.json").exists() else path.name)
        for path in sorted((root / "artifacts").glob("[!.]*"))
        if path.is_dir()
    ]
    found += [Artifact(path.parent, stage) for path in project_files(root) if (stage := _stage_of(path))]
    return sorted(found, key=lambda artifact: order.get(artifact.stage, len(order)))


def _stage_of(path: Path) -> str | None:
    """The stage whose report a file is; None of another file."""
    if path.name != "report.json":
        return None
    try:
        stage = read_report(path.parent).get("stage")
    except (UserError, ValueError, AttributeError):
        return None
    return str(stage) if stage in STAGES else None


def project_files(root: Path) -> Iterator[Path]:
    """Files of the project that lie in none of its own folders; not those of hidden folders and environments."""
    for folder, names, files in os.walk(root):
        here = Path(folder)
        names[:] = sorted(
            name
            for name in names
            if not name.startswith((".", "__"))
            and not (here == root and name in APART)
            and not (here / name / "pyvenv.cfg").exists()
        )
        yield from (path for file in sorted(files) if (path := here / file).is_file() and not path.is_symlink())


def made_with(artifacts: Sequence[Artifact]) -> tuple[list[Artifact], frozenset[str]]:
    """Artifacts made with rows that have been removed since, or from such an artifact, or that say so of themselves as
    they are; and the identities of all versions that held one or were made so, as far as the reports tell."""
    former: set[str] = set()
    outdated = []
    for artifact in artifacts:
        if not artifact.complete:
            continue
        report = read_report(artifact.folder)
        former |= set(report.get("formerly", ()))
        if not former.isdisjoint([*report["inputs"].values(), identity(artifact.folder)]):
            outdated.append(artifact)
            former.add(identity(artifact.folder))
    return outdated, frozenset(former)
