"""What a stage learns from: its sources of samples, with their shares and the readers of their parts."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.data.atomic_io import atomic_file
from humanvlm.data.hashing import sha256_file
from humanvlm.data.shards import find_shards
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import StageRun, identity, read_report
from humanvlm.train.instructions import Rows, bounds, write_held_out, write_index
from humanvlm.train.samples import Captions, Conversations, column_of
from humanvlm.train.store import Source


def training_sources(run: StageRun, work: Path) -> list[Source]:
    """Stage 1 learns from captions; stage 2 also from those of HumanCaptionHQ, its conversations and instructions, of
    which some may open the run.

    work: where what has to be looked up before reading is kept. A source with neither share nor opening has no readers.
    """
    captions = run.inputs["human_caption"]
    if run.stage.name == "stage1_checkpoint":
        return [Source(run.config.caption, 1.0, _captions(captions, run.config.caption))]
    config: Stage2 = run.config
    hq, data = run.inputs["human_caption_hq"], run.inputs["data"]
    rest = 1 - sum(part.share for part in config.instructions.values())
    if rest < 0:
        raise UserError(f"stage2_checkpoint.instructions: the shares add up to {1 - rest:g}, more than 1; lower one")
    told, asked = rest * (1 - config.instruction_share), rest * config.instruction_share
    found = [
        Source("captions", told * config.caption_share, _captions(captions, config.caption)),
        Source("hq", told * (1 - config.caption_share), _captions(hq, "human_caption_hq")),
        Source("conversations", asked * config.conversation_share, [Conversations(*shard) for shard in _shards(hq)]),
        Source(
            "instructions",
            asked * (1 - config.conversation_share),
            _instructions(data / "instructions.jsonl", data, captions, work),
        ),
        Source("opening", 0.0, _instructions(data / "opening.jsonl", data, captions, work), config.opening_steps),
    ]
    for name, part in config.instructions.items():
        if not Path(part.file).is_file():
            raise UserError(f"stage2_checkpoint.instructions.{name}: {part.file}: no such file; name another")
        if name in [source.name for source in found]:
            raise UserError(f"stage2_checkpoint.instructions.{name}: a source has that name already; choose another")
        found.append(Source(name, part.share, _instructions(Path(part.file), Path(part.images), captions, work)))
    return [source if source.share or source.opening else replace(source, readers=()) for source in found]


def _captions(folder: Path, column: str) -> list[Captions]:
    return [Captions(*shard, column_of(column)) for shard in _shards(folder)]


def _shards(folder: Path) -> list[tuple[Path, str, int]]:
    """Shards of an artifact with the sha256 and the rows that its report says they have."""
    outputs = {file["path"]: file for file in read_report(folder)["outputs"]}
    return [(path, outputs[path.name]["sha256"], outputs[path.name]["rows"]) for path in find_shards(folder)]


def _instructions(file: Path, images: Path, captions: Path, work: Path) -> list[Rows]:
    if not file.is_file():
        return []
    digest, test = sha256_file(file), identity(captions)
    index, held_out = work / f"rows-{digest[:32]}.npy", work / f"held-out-{test[:32]}.npy"
    for path, write in ((index, partial(write_index, file)), (held_out, partial(write_held_out, captions))):
        if not path.exists():
            with atomic_file(path) as made:
                write(made)
    return [Rows(file, digest, images, index, first, stop, held_out, test) for first, stop in bounds(index)]
