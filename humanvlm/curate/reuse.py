"""Signals that an earlier run has measured: of a crawl that has grown, only the new shards are.

They lie beside the artifact, by what they follow from: the shard's sha256, what is measured, and by which code. The
folder holds those of the last complete run.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from humanvlm.data.atomic_io import atomic_file
from humanvlm.data.shards import ShardError, read_rows
from humanvlm.data.tombstones import FORGOTTEN, Tombstones
from humanvlm.pipeline.contract import StageRun, read_report
from humanvlm.pipeline.runner import code_identity

NOT_MEASURED = ("near_duplicate_bits",)


def kept_signals(run: StageRun) -> dict[str, Path]:
    """Where the signals of every shard are kept, or are to be, by the shard's name."""
    values = run.config.model_dump(mode="json", exclude=set(NOT_MEASURED))
    measure = json.dumps([values, code_identity(run.stage.code or ())], sort_keys=True)
    scraped = run.inputs["raw_scrape"]
    files = read_report(scraped)["outputs"] if (scraped / "report.json").exists() else ()
    names = {
        file["path"]: hashlib.sha256(f"{file['sha256']}{measure}".encode()).hexdigest()
        for file in files
        if file["path"].startswith("shard-")
    }
    return {path: run.kept / f"{name}.parquet" for path, name in names.items()}


def reused(kept: Path, shard: Path, forgotten: Tombstones) -> list[dict[str, Any]] | None:
    """The kept signals of a shard's rows, as they would be measured now; None when there are none, or not of all."""
    if not kept.exists():
        return None
    rows = []
    try:
        for key, signals in zip(read_rows(shard, ("id", "url", "sha256")), read_rows(kept), strict=True):
            if forgotten.covers(key["id"], key["url"], key["sha256"]):
                rows.append({"id": key["id"], "sha256": key["sha256"], "reason": FORGOTTEN, "detail": ""})
            elif signals["reason"] == FORGOTTEN:
                return None
            else:
                rows.append(signals)
    except (ShardError, ValueError):  # what is kept is damaged: it can be measured again
        return None
    return rows


def keep(signals: Mapping[Path, Path]) -> None:
    """Keep signals for later runs, and no others in their folder. signals: where they are kept -> where they are."""
    for place, path in signals.items():
        if not place.exists():
            with atomic_file(place) as work:
                shutil.copyfile(path, work)
    for folder in {place.parent for place in signals}:
        for other in set(folder.glob("*.parquet")) - signals.keys():
            other.unlink()
