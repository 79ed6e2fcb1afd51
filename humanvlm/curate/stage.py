"""``human_scenes``: detect people, judge quality and safety, drop duplicates; every dropped row has a reason.

Two passes over the shards, each resumable, the first by picture. It decodes every picture and writes its signals, or
why it is dropped, into the work folder. Duplicates are then found over the signals alone, which are small. The second
pass writes the kept and the dropped shards, without decoding again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from humanvlm.config.human_scenes import HumanScenes
from humanvlm.curate import duplicates, reuse
from humanvlm.curate.dedup import perceptual_hash
from humanvlm.curate.duplicates import NONE, Duplicates
from humanvlm.curate.filters import first_reason
from humanvlm.curate.language import check_languages
from humanvlm.curate.measured import Measured
from humanvlm.curate.scene import Scene, load_models
from humanvlm.data import tombstones
from humanvlm.data.dropped import Drop, dropped_path, dropped_row
from humanvlm.data.image import DecodeError, pixels
from humanvlm.data.shards import (
    RandomRows,
    ShardFile,
    list_shards,
    open_shard,
    read_folder,
    read_rows,
    write_shard,
)
from humanvlm.data.tombstones import FORGOTTEN, Tombstones
from humanvlm.inspect.cards import write_card
from humanvlm.inspect.plots import contact_sheet, funnel
from humanvlm.pipeline.contract import Counts, Outcome, ShardResult, StageRun, write_result
from humanvlm.shown import cell, masked

FLOATS = pa.list_(pa.float32())
FACE = pa.struct([("box", FLOATS), ("score", pa.float32()), ("points", FLOATS)])
PERSON = pa.struct([("box", FLOATS), ("score", pa.float32())])
OBJECT = pa.struct([("label", pa.string()), ("score", pa.float32()), ("box", FLOATS)])
ADDED = pa.schema(
    [
        ("phash", pa.string()),
        ("faces", pa.list_(FACE)),
        ("people", pa.list_(PERSON)),
        ("objects", pa.list_(OBJECT)),
        ("nsfw", pa.float32()),
        ("sharpness", pa.float32()),
        ("exposure", pa.float32()),
        ("language", pa.string()),
        ("language_score", pa.float32()),
    ]
)
SIGNALS = pa.schema(
    [
        ("id", pa.string()),
        ("sha256", pa.string()),
        ("pixels", pa.int64()),
        ("texted", pa.bool_()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        *ADDED,
    ]
)
SHOWN = 24
RESTARTS = 20  # without a shard finished in between; a picture that kills its worker costs one


@dataclass(frozen=True)
class _Measure:
    """First pass over one shard. kept: where an earlier run's signals of it would be."""

    shard: Path
    out: Path
    config: HumanScenes
    forgotten: Tombstones = field(default_factory=Tombstones)
    kept: Path | None = None

    @property
    def journal(self) -> Path:
        return self.out / ".work" / "measured" / self.shard.stem

    @property
    def signals(self) -> Path:
        return self.out / ".work" / "signals" / self.shard.name


@dataclass(frozen=True)
class _Select:
    """Second pass over one shard, with the duplicates in it. number: its place among the shards."""

    shard: Path
    out: Path
    signals: Path
    number: int = 0
    found: Duplicates = NONE

    @property
    def also(self) -> Path:
        return self.out / ".work" / "also"


def make(run: StageRun) -> Outcome:
    """Raises UserError for an unknown language or model or a missing model package, ShardError for a damaged shard."""
    check_languages(run.config.languages)
    shards = list_shards(run.inputs["raw_scrape"])
    forgotten = tombstones.load()
    kept = reuse.kept_signals(run)
    measure = {
        f"signals-{path.stem}": _Measure(path, run.out, run.config, forgotten, kept.get(path.name)) for path in shards
    }
    run.map_shards(measure_shard, measure, RESTARTS)
    found = duplicates.find([task.signals for task in measure.values()], run.config.near_duplicate_bits, run.kept)
    select = {
        path.stem: _Select(path, run.out, task.signals, number, part)
        for number, (path, task, part) in enumerate(zip(shards, measure.values(), found, strict=True))
    }
    duplicates.spill(run.work / "also", list(zip(shards, found, strict=True)))
    results = run.map_shards(select_shard, select)
    counts = sum((result.counts for result in results), Counts())
    files = [file for result in results for file in result.files]
    totals = Counter[str]()
    for result in results:
        totals.update(result.info)
    reuse.keep({task.kept: task.signals for task in measure.values() if task.kept})
    plots, card = illustrate(run.out, run.inputs["raw_scrape"], counts, run.config.model_dump(mode="json"))
    return Outcome(
        counts,
        [*files, *plots, card],
        _metrics(counts, totals),
        [plot.path for plot in plots],
        {"totals": dict(totals)},
    )


def measure_shard(task: _Measure) -> ShardResult:
    """Decode the pictures of a shard, run the filters, write signals and reasons. Counts come with the second pass.

    Rows that a killed run, or an earlier one, has measured are not measured again.
    """
    if task.kept and (rows := reuse.reused(task.kept, task.shard, task.forgotten)) is not None:
        return _signals(task, rows)
    measured = Measured(task.journal)
    columns = _present(task.shard, ("id", "url", "sha256", "text", "captions", "image"))
    measure = partial(measure_row, config=task.config)
    for place, row in enumerate(read_rows(task.shard, columns, len(measured)), len(measured)):
        if task.forgotten.covers(row["id"], row["url"], row["sha256"]):
            measured.add(place, {"reason": FORGOTTEN, "detail": ""})
        else:
            measured.measure(place, row, measure)
    keys = read_rows(task.shard, ("id", "sha256"))
    result = _signals(task, ({**key, **row} for key, row in zip(keys, measured.rows(), strict=True)))
    measured.close()
    return result


def _signals(task: _Measure, rows: Iterable[Mapping[str, Any]]) -> ShardResult:
    file = write_shard(task.signals, rows, SIGNALS)
    return ShardResult(Counts(), (replace(file, path=str(task.signals.relative_to(task.out))),))


def measure_row(row: Mapping[str, Any], config: HumanScenes) -> dict[str, Any]:
    """The signals of one row; only a ``reason``, and its ``detail``, when a filter drops it."""
    try:
        rgb = pixels((row["image"] or {}).get("bytes") or b"")
    except DecodeError as error:
        return {"reason": "undecodable", "detail": str(error)}
    models = load_models(
        config.face_detector, config.closeup_face_detector, config.person_detector, config.nsfw_classifier
    )
    scene = Scene(row, rgb, config, models)
    if dropped := first_reason(scene, config):
        return {"reason": dropped[0], "detail": dropped[1]}
    return {
        "pixels": scene.width * scene.height,
        "texted": duplicates.has_text(row),
        "phash": perceptual_hash(scene.gray),
        "faces": [asdict(face) for face in scene.faces],
        "people": [{"box": person.box, "score": person.score} for person in scene.people],
        "objects": [asdict(thing) for thing in scene.objects],
        "nsfw": scene.nsfw,
        "sharpness": scene.sharpness,
        "exposure": scene.exposure,
        "language": next(iter(scene.languages), None),
        "language_score": next(iter(scene.languages.values()), None),
    }


def _present(shard: Path, columns: Sequence[str]) -> list[str]:
    """Those of the columns that a shard has, or must have."""
    return [name for name in columns if name != "captions" or name in open_shard(shard).schema_arrow.names]


def select_shard(task: _Select) -> ShardResult:
    """Write the kept rows of a shard with their signals, and the dropped ones with their reasons."""
    dropped: list[Mapping[str, Any]] = []
    totals = Counter[str]()
    source = open_shard(task.shard).schema_arrow.remove_metadata()
    kept = _selected(task, dropped, totals)
    result = write_result(task.out, task.shard.name, kept, dropped, pa.schema([*source, *ADDED, duplicates.ALSO_AT]))
    return replace(result, info=dict(totals))


def _selected(task: _Select, dropped: list[Mapping[str, Any]], totals: Counter[str]) -> Iterator[dict[str, Any]]:
    """The kept rows of a shard; the others are appended to ``dropped``, and the figures of those kept added up."""
    drops = task.found.drops()
    also = duplicates.read(task.also, task.number)
    for place, (row, signals) in enumerate(zip(read_rows(task.shard), read_rows(task.signals), strict=True)):
        drop = drops.get(place) if signals["reason"] is None else Drop(signals["reason"], signals["detail"])
        if drop:
            dropped.append(dropped_row(row["id"], row["url"], drop))
            continue
        own = {name: signals[name] for name in ADDED.names}
        kept = {**row, **own, **duplicates.taken_over(row, also.get(row["id"], ()))}
        totals.update(_totals(kept))
        yield kept


def _totals(row: Mapping[str, Any]) -> dict[str, int]:
    """Figures of a kept row that add up over rows and shards."""
    return {
        "faces": len(row["faces"]),
        "people": len(row["people"]),
        "objects": len(row["objects"]),
        "with_face": int(bool(row["faces"])),
        "with_person": int(bool(row["people"])),
        "pixels": row["width"] * row["height"],
    }


def _metrics(counts: Counts, totals: Mapping[str, float]) -> dict[str, float]:
    kept = max(counts.kept, 1)
    return {
        "kept_share": counts.kept / max(counts.rows_in, 1),
        "faces_per_image": totals["faces"] / kept,
        "people_per_image": totals["people"] / kept,
        "objects_per_image": totals["objects"] / kept,
        "share_with_face": totals["with_face"] / kept,
        "share_with_person": totals["with_person"] / kept,
        "megapixels_per_image": totals["pixels"] / 1e6 / kept,
    } | {f"dropped.{reason}": float(count) for reason, count in counts.dropped.items()}


def illustrate(out: Path, source: Path, counts: Counts, config: Mapping[str, Any]) -> tuple[list[ShardFile], ShardFile]:
    """Draw the funnel of drops and contact sheets of kept and dropped pictures, and write the card.

    source: the artifact that was read, where dropped pictures are; config: the parameters as plain values.
    """
    drops = sorted(counts.dropped.items(), key=lambda item: -item[1])
    funnel({"in": counts.rows_in, "kept": counts.kept, **dict(drops)}, out / "plots" / "funnel.png")
    contact_sheet(islice(read_folder(out), SHOWN), out / "plots" / "kept.png")
    each = max(SHOWN // max(len(drops), 1), 2)
    contact_sheet(_dropped_examples(out, source, each), out / "plots" / "dropped.png")
    return [ShardFile.of(out, f"plots/{name}.png") for name in ("kept", "dropped", "funnel")], _card(
        out, counts, config
    )


def _dropped_examples(out: Path, source: Path, each: int) -> Iterator[dict[str, Any]]:
    """The first pictures of every reason, with it, from the first shards; only their row groups are read."""
    shown = Counter[str](dict.fromkeys([FORGOTTEN], each))
    reader = RandomRows(("image",))
    for path in list_shards(source)[:8]:
        drops = dropped_path(out, path.name)
        dropped = {row["id"]: row for row in read_rows(drops)} if drops.exists() else {}
        for place, row in enumerate(read_rows(path, ("id",))):
            drop = dropped.get(row["id"])
            if drop and shown[drop["reason"]] < each:
                shown[drop["reason"]] += 1
                yield {**reader.read(path, place), "reason": f"{drop['reason']}: {drop['detail']}"}


def _card(out: Path, counts: Counts, config: Mapping[str, Any]) -> ShardFile:
    reasons = "\n".join(f"| {reason} | {count} |" for reason, count in sorted(counts.dropped.items()))
    parameters = "\n".join(f"- `{key}`: {cell(masked(str(value)))}" for key, value in config.items())
    return write_card(
        out,
        "Human scenes",
        f"{counts.kept} of {counts.rows_in} pictures, with faces (box and six points), people and objects as xyxy pixel"
        " boxes, quality and safety scores. Rights stay with the owners of the pictures: see `url` and `license`.\n\n"
        f"| dropped because | rows |\n| --- | --- |\n{reasons}\n\nParameters:\n\n{parameters}",
    )
