"""Dropped rows: beside every shard, under ``dropped/`` and the same name, the rows that are not in it, and why.

No stage loses a row: what came in is in the shard or here, under one reason. A shard that dropped nothing has an empty
file, so that readers need not ask. Columns are ``id``, ``url``, ``reason`` (a word to count by), ``detail`` (a text for
people), and what a stage adds.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from humanvlm.data.shards import ShardFile, write_shard
from humanvlm.data.tombstones import FORGOTTEN
from humanvlm.shown import shown

FOLDER = "dropped"
SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "url", "reason", "detail")])


@dataclass(frozen=True)
class Drop:
    """Why a row is left out."""

    reason: str
    detail: str = ""


def dropped_row(id: str, url: str | None, drop: Drop, **added: Any) -> dict[str, Any]:
    """A row to write. Of a row that was taken down, the URL goes too; of the detail, secrets."""
    told = {"reason": drop.reason, "detail": shown(drop.detail)}
    return {"id": id, "url": "" if drop.reason == FORGOTTEN else url, **told, **added}


def dropped_path(folder: Path, shard: str) -> Path:
    """Where the rows are that ``folder/shard`` left out. folder: of the artifact, or its store."""
    return folder / FOLDER / shard


def write_dropped(
    folder: Path, shard: str, rows: Iterable[Mapping[str, Any]], added: Mapping[str, pa.DataType] | None = None
) -> ShardFile:
    """Write the dropped rows of a shard, atomically. added: columns beyond the common ones."""
    schema = pa.schema([*SCHEMA, *(pa.field(name, kind) for name, kind in (added or {}).items())])
    return replace(write_shard(dropped_path(folder, shard), rows, schema), path=f"{FOLDER}/{shard}")


def count_reasons(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many rows each reason has, reasons in order."""
    return dict(sorted(Counter(row["reason"] for row in rows).items()))
