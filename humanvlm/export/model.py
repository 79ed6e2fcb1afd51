"""Write a trained model out for other runtimes: a Hugging Face folder ready to push, or llama.cpp's two GGUF files.

What was written is then asked about held-out pictures beside the checkpoint, and the card says how far they agree.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from humanvlm.data.atomic_io import atomic_folder, write_json, write_text
from humanvlm.errors import UserError
from humanvlm.export.folder import LISTING, note
from humanvlm.inspect.model_card import Exported, Scores, model_card
from humanvlm.model.parity import refuse_dropped_patch_of
from humanvlm.pipeline.contract import artifact_files, check_files, damaged, identity, read_report

log = logging.getLogger("humanvlm")

FORMATS = ("model", "gguf")


@dataclass(frozen=True)
class Options:
    """precision: of a GGUF file's weights, a name of ``PRECISIONS``. scores, pictures: artifacts ``benchmark_scores``
    and ``human_caption``; None: those beside the checkpoint, where they are. count: of held-out pictures to ask about.
    datasets: ids on the hub of what the model learnt from."""

    precision: str = "f16"
    scores: Path | None = None
    pictures: Path | None = None
    count: int = 50
    datasets: tuple[str, ...] = ()


def export_model(kind: str, artifact: Path, out: Path, options: Options) -> str:
    """Write the artifact ``stage2_checkpoint`` to the folder ``out``; return a summary. kind: one of ``FORMATS``.

    Raises UserError when the artifact is incomplete or of another model, when the runtime has no such tower, when the
    scores are of another checkpoint, or when ``out`` holds files that no export made.
    """
    report = read_report(artifact)
    if not (artifact / "model").is_dir():
        raise UserError(f"{artifact}: {report.get('stage')} holds no model; name an artifact stage2_checkpoint")
    check_files(artifact)
    refuse_dropped_patch_of(artifact / "model")
    scores, scored = _scores(artifact, options.scores)
    pictures = options.pictures or artifact.parent / "human_caption"
    of = [kind, identity(artifact), scored, identity(pictures) if _is_artifact(pictures) else None]
    how = [options.precision, options.count, list(options.datasets)] if kind == "gguf" else [list(options.datasets)]
    made_from = hashlib.sha256(json.dumps([*of, *how]).encode()).hexdigest()
    if _finished(out, made_from):
        return f"{out}: holds this export of {artifact}"
    note(out)
    with atomic_folder(out) as work:
        if kind == "model":
            exported = _hugging_face(artifact, work, options)
        else:
            exported = _gguf(artifact, work, options, pictures)
        write_text(work / "README.md", model_card(report, scores, exported))
        files = [asdict(file) for file in artifact_files(work)]
        write_json(
            work / LISTING, {"format": kind, "artifact": identity(artifact), "made_from": made_from, "files": files}
        )
    size = sum(file["bytes"] for file in files)
    return f"{out}: {artifact} in {len(files)} files, {size / 1e6:,.1f} MB ({kind})"


def _is_artifact(folder: Path) -> bool:
    return (folder / "report.json").exists()


def _finished(out: Path, made_from: str) -> bool:
    """Whether the folder holds this export, whole. Raises UserError when it holds what no export of a model made."""
    path = out / LISTING
    listing: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if listing.get("format") not in FORMATS and out.exists() and (found := next(out.iterdir(), None)):
        raise UserError(f"{out}: holds {found.name}, which no export of a model made; name another folder")
    return listing.get("made_from") == made_from and damaged(out, listing["files"]) is None


def _scores(artifact: Path, folder: Path | None) -> tuple[Scores | None, str | None]:
    """The checkpoint's scores and what they are. Raises UserError when a folder is named that scores another one."""
    named, folder = folder is not None, folder or artifact.parent / "benchmark_scores"
    if not named and not _is_artifact(folder):
        return None, None
    report = read_report(folder)
    if report.get("inputs", {}).get("stage2_checkpoint") != identity(artifact):
        if named:
            raise UserError(f"{folder}: scores another checkpoint than {artifact}; run `humanvlm benchmark_scores`")
        log.warning("%s scores another checkpoint; the card says that this one is not scored", folder)
        return None, None
    values, details = (
        json.loads((folder / name).read_text(encoding="utf-8")) for name in ("scores.json", "details.json")
    )
    return Scores.of(values, details, report.get("info", {})), identity(folder)


def _hugging_face(artifact: Path, work: Path, options: Options) -> Exported:
    for source in sorted((artifact / "model").iterdir()):
        shutil.copy2(source, work / source.name)
    if (artifact / "adapter").is_dir():
        shutil.copytree(artifact / "adapter", work / "adapter")
    return Exported(datasets=options.datasets, adapter="adapter")


def _gguf(artifact: Path, work: Path, options: Options, pictures: Path) -> Exported:
    from humanvlm.export.gguf import check, write
    from humanvlm.export.measure import agreement, held_out

    folder = artifact / "model"
    check(folder)
    language, tower = write(folder, work, options.precision)
    asked = held_out(pictures, options.count) if options.count and _is_artifact(pictures) else []
    sections = {
        "Files": _files((language, tower)),
        "How far it agrees with the checkpoint": agreement(folder, language, tower, asked),
    }
    return Exported("llama.cpp", _run(language, tower), options.datasets, sections=sections)


def _run(language: Path, tower: Path) -> str:
    return f"""\
With llama.cpp, whose server answers OpenAI's API and has a page at `http://127.0.0.1:8080`:

```sh
llama-server --model {language.name} --mmproj {tower.name} --ctx-size 4096
llama-mtmd-cli --model {language.name} --mmproj {tower.name} \\
  --image square.png --temp 0 --prompt "Describe the picture."
```
"""


def _files(files: Sequence[Path]) -> str:
    rows = "\n".join(f"| `{path.name}` | {path.stat().st_size / 1e6:,.1f} MB |" for path in files)
    return f"| file | size |\n| --- | --- |\n{rows}\n"
