"""The artifacts of a project, and the files of each that hold rows."""

from dataclasses import dataclass
from pathlib import Path

from humanvlm.data.dropped import FOLDER
from humanvlm.data.shards import find_shards, store_of
from humanvlm.pipeline.contract import read_report
from humanvlm.pipeline.stages import SHARDED, STAGES


@dataclass(frozen=True)
class Artifact:
    """A folder under ``artifacts/`` and the stage that made it."""

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


def find_artifacts(folder: Path) -> list[Artifact]:
    """All artifacts in the order of the pipeline."""
    order = {name: number for number, name in enumerate(STAGES)}
    found = [
        Artifact(path, str(read_report(path)["stage"]) if (path / "report.json").exists() else path.name)
        for path in sorted(folder.glob("[!.]*"))
        if path.is_dir()
    ]
    return sorted(found, key=lambda artifact: order.get(artifact.stage, len(order)))
