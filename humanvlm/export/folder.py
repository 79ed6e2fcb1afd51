"""Write an artifact out in the formats of other tools, a shard at a time: every file is whole or absent.

The folder's ``export.json`` says what it holds and is written last. Killed, the same command goes on with the shards
that are left; a changed artifact, or another format, takes the place of all that was there.
"""

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from humanvlm.data.atomic_io import write_json, write_text
from humanvlm.data.shards import list_shards, open_shard, read_rows
from humanvlm.errors import UserError
from humanvlm.export.card import card
from humanvlm.export.forms import Dataset, Form, form_of
from humanvlm.pipeline import engine
from humanvlm.pipeline.contract import check_files, damaged, identity, progress, read_report
from humanvlm.pipeline.stages import SHARDED

FORMATS = ("webdataset", "hf", "released")
LISTING = "export.json"
NOTED = Path(".state/exports.jsonl")  # folders that were exported to, a JSON string a line
SPLIT = re.compile(r"\w{1,40}")


@dataclass(frozen=True)
class _Task:
    """One shard of the artifact. has_splits: its rows say of which split they are."""

    shard: Path
    number: int
    shards: int
    has_splits: bool
    form: Form
    out: Path

    @property
    def record(self) -> Path:
        return _work(self.out) / f"{self.number:05d}.json"


def export(kind: str, artifact: Path, out: Path, text_column: str | None = None) -> str:
    """Write the artifact (a folder of shards with its report) to the folder ``out``; return a summary.

    kind: one of ``FORMATS``. text_column: of webdataset's texts; by default the artifact's best. Rows of different
    splits go to different files. Raises UserError when the artifact is incomplete or holds no such columns, or when
    ``out`` holds files that no export made.
    """
    report = read_report(artifact)
    if report["stage"] not in SHARDED:
        raise UserError(f"{artifact}: {report['stage']} holds no pictures; name one of {', '.join(SHARDED)}")
    check_files(artifact)
    shards = list_shards(artifact)
    schema = open_shard(shards[0]).schema_arrow.remove_metadata()
    form = form_of(kind, report["stage"], schema, text_column)
    what = {"format": kind, "stage": report["stage"], "text_column": getattr(form, "text", None)}
    made_from = _made_from(what, identity(artifact))
    note(out)
    if (done := _finished(out, made_from)) is None:
        done = _write_all(form, artifact, out, {**what, "made_from": made_from})
    text = f"; text: {what['text_column']}" if what["text_column"] else ""
    return f"{out}: {done['rows']:,} rows of {artifact} in {len(done['files']):,} files ({kind}{text})"


def _made_from(what: Mapping[str, Any], artifact: str) -> str:
    return hashlib.sha256(json.dumps([what, artifact]).encode()).hexdigest()


def note(out: Path) -> None:
    """Write down where an export goes, for a takedown to name it."""
    if out.resolve() not in noted(Path()):
        NOTED.parent.mkdir(parents=True, exist_ok=True)
        with NOTED.open("a", encoding="utf-8") as file:
            file.write(json.dumps(str(out.resolve())) + "\n")


def noted(root: Path) -> list[Path]:
    """Folders that the project at ``root`` exported to."""
    path = root / NOTED
    return [Path(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def is_of(out: Path, artifacts: Collection[str]) -> bool:
    """Whether a folder is a finished export of an artifact with one of these identities."""
    try:
        done = json.loads((out / LISTING).read_bytes())
        if "artifact" in done:  # of a model
            return done["artifact"] in artifacts
        what = {name: done[name] for name in ("format", "stage", "text_column")}
        return any(done["made_from"] == _made_from(what, one) for one in artifacts)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _finished(out: Path, made_from: str) -> dict[str, Any] | None:
    """What a finished export of the same left, if all of it is still there."""
    path = out / LISTING
    listing: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    same = listing.get("made_from") == made_from and damaged(out, listing["files"]) is None
    return listing if same else None


def _write_all(form: Form, artifact: Path, out: Path, what: Mapping[str, Any]) -> dict[str, Any]:
    _prepare(out, form, what["made_from"])
    report, shards = read_report(artifact), list_shards(artifact)
    has_splits = "split" in open_shard(shards[0]).schema_arrow.names
    tasks = [_Task(path, n, len(shards), has_splits, form, out) for n, path in enumerate(shards)]
    todo = [task for task in tasks if _recall(task) is None]
    for _ in progress(engine.map_shards(_write, todo), len(todo), f"export {what['format']}", "shards"):
        pass
    records = [record for task in tasks if (record := _recall(task)) is not None]
    files = [file for record in records for file in record["files"]]
    rows = sum(file["rows"] for file in files)
    if not rows:
        raise UserError(f"{artifact}: has no rows to write; {json.dumps(report['rows']['dropped'])} were dropped")
    listed = {file["path"] for file in files}
    for path in out.glob(form.pattern):
        if path.relative_to(out).as_posix() not in listed:
            path.unlink()  # of an export before, that had other rows
    if isinstance(form, Dataset):
        licences = sum((Counter(record["licences"]) for record in records), Counter[str]())
        write_text(out / "README.md", card(form, report, files, licences))
    done = {**what, "rows": rows, "files": files}
    write_json(out / LISTING, done)
    shutil.rmtree(_work(out))
    return done


def _work(out: Path) -> Path:
    return out / ".work"


def _prepare(out: Path, form: Form, made_from: str) -> None:
    """Keep the records of an interrupted export of the same; of another, begin anew."""
    mark, listing = _work(out) / "made_from", out / LISTING
    if mark.exists() and mark.read_text() == made_from:
        return
    if not mark.exists() and not listing.exists() and (found := next(iter(out.glob(form.pattern)), None)):
        raise UserError(f"{out}: holds {found.name}, which no export made; name another folder")
    shutil.rmtree(_work(out), ignore_errors=True)
    listing.unlink(missing_ok=True)
    write_text(mark, made_from)


def _recall(task: _Task) -> dict[str, Any] | None:
    """The record of a shard whose files are there."""
    if not task.record.exists():
        return None
    record: dict[str, Any] = json.loads(task.record.read_text())
    return None if damaged(task.out, record["files"]) else record


def _write(task: _Task) -> None:
    splits = sorted({_split(row) for row in read_rows(task.shard, ("split",))}) if task.has_splits else [None]
    licences = Counter(row["license"] or "" for row in read_rows(task.shard, ("license",)))
    files = []
    for split in splits if licences else ():
        name = task.form.name(task.number, split, task.shards)
        files.append(asdict(task.form.write(task.out / name, _rows(task, split))))
    write_json(task.record, {"files": files, "licences": dict(licences)})


def _rows(task: _Task, split: str | None) -> Iterator[dict[str, Any]]:
    columns = task.form.columns
    if columns and split is not None:
        columns = (*columns, "split")
    for row in read_rows(task.shard, columns):
        if split is None or _split(row) == split:
            yield row


def _split(row: dict[str, Any]) -> str:
    name = row["split"] or "train"
    if not SPLIT.fullmatch(name):
        raise UserError(f"split {name[:40]!r} of row {row.get('id', '')}: must be a word such as train or test")
    return str(name)
