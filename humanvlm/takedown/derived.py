"""What was made of samples and is ours to delete: pages, records, replies, features."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from humanvlm.data.atomic_io import write_bytes, write_json
from humanvlm.data.shards import ShardFile
from humanvlm.data.tombstones import Tombstones
from humanvlm.inference.cache import forget_replies, store_folder
from humanvlm.model.language import cache_folder
from humanvlm.pipeline.contract import identity_of, read_report
from humanvlm.takedown.artifacts import Artifact
from humanvlm.takedown.lines import count_lines

THUMBNAIL = re.compile(rb"data:image/(?:jpeg|png|webp|gif);base64,[A-Za-z0-9+/=]+")


def remove_pages(root: Path) -> Iterator[str]:
    """Delete the cached pages of ``humanvlm show``."""
    pages = sorted(root.glob(".state/show/*.html"))
    for page in pages:
        page.unlink()
    if pages:
        yield f"{root / '.state' / 'show'}: {len(pages)} pages removed"


def remove_replies(root: Path, stones: Tombstones) -> Iterator[str]:
    """Delete the kept replies of models that tell of a forgotten picture, and name those that may."""
    folder = root / store_folder()
    unknown = 0
    for path, removed, silent in forget_replies(folder, lambda picture: stones.covers(sha256=picture)):
        unknown += silent
        if removed:
            yield f"{path}: {removed:,} replies removed"
    if unknown:
        yield f"{folder}: {unknown:,} replies do not say of which picture they tell; delete their files to be sure"


def remove_records(folder: Path, stones: Tombstones) -> Iterator[str]:
    """Delete the per-sample records of an evaluation that name a forgotten sample, and the page made from them."""
    records = [path for path in sorted(folder.rglob("*.jsonl")) if count_lines(path, stones)]
    for path in [*(folder.glob("*.html") if records else ()), *records]:  # the page first: records tell that it is due
        path.unlink()
        yield f"{path}: removed; `humanvlm {folder.name}` makes it again"


def remove_features(root: Path, stones: Tombstones) -> Iterator[str]:
    """Delete kept features of the vision tower in the files that hold those of a forgotten picture."""
    for listing in sorted((root / cache_folder() / "features").glob("*/*.json")):
        if any(stones.covers(sha256=key) for key in json.loads(listing.read_bytes()) if isinstance(key, str)):
            listing.with_suffix(".npy").unlink(missing_ok=True)
            listing.unlink()
            yield f"{listing}: features removed; training computes them again"


def blank_pages(outdated: Sequence[Artifact]) -> Iterator[str]:
    """Take the pictures out of the pages of artifacts that were made with forgotten samples, and report the change."""
    for artifact in outdated:
        pages = () if artifact.sharded else sorted(artifact.folder.rglob("*.html"))
        blanked = [page for page in pages if _blank(page)]
        if blanked:
            _report(artifact.folder, blanked)
            yield f"{artifact.folder}: pictures taken out of {', '.join(page.name for page in blanked)}"


def _blank(page: Path) -> bool:
    text = page.read_bytes()
    without = THUMBNAIL.sub(b"data:,", text)
    if without != text:
        write_bytes(page, without)
    return without != text


def _report(folder: Path, changed: Sequence[Path]) -> None:
    """Bring the report in line with changed files; its inputs stay, as the artifact is still made of them, and what it
    says of itself as it is."""
    report = read_report(folder)
    files = (ShardFile.of(folder, path.relative_to(folder).as_posix()) for path in changed)
    now = {file.path: file for file in files}
    before = identity_of(report)
    report["outputs"] = [
        {**file, "sha256": now[file["path"]].sha256, "bytes": now[file["path"]].bytes} if file["path"] in now else file
        for file in report["outputs"]
    ]
    formerly = report.get("formerly", ())
    report["formerly"] = [*formerly, before, *([identity_of(report)] if before in formerly else ())]
    write_json(folder / "report.json", report)
