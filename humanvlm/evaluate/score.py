"""The scorer behind ``humanvlm score``: files of references and predictions in, scores with intervals out.

Needs NumPy and nothing else of the pipeline.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from humanvlm.data.atomic_io import write_json
from humanvlm.errors import UserError
from humanvlm.evaluate.files import pair
from humanvlm.evaluate.stats.scored import Scored
from humanvlm.evaluate.tasks import formats
from humanvlm.evaluate.tasks.boxes import Space
from humanvlm.evaluate.tasks.keypoints import Kind

FEW_PARTS = 6


@dataclass(frozen=True)
class Result:
    """official: the report of the official evaluator under its own names, where there is one."""

    scored: Scored
    intervals: Mapping[str, tuple[float, float]]
    official: Mapping[str, Any]

    @property
    def scores(self) -> dict[str, float]:
        """Without those that are undefined, such as of a part without samples."""
        return {name: value for name, value in self.scored.scores.items() if math.isfinite(value)}


def score_vqa_files(questions: Path | None, annotations: Path, predictions: Path, *, allow_missing: bool) -> Scored:
    from humanvlm.evaluate.tasks.vqa import score_vqa

    asked = formats.read_vqa(questions, annotations)
    found = formats.read_vqa_results(predictions)
    ids = [question.id for question in asked]
    return score_vqa(asked, pair(ids, found, annotations, predictions, allow_missing=allow_missing))


def score_grounding_files(
    references: Path,
    predictions: Path,
    *,
    space: Space | Literal["auto"],
    sides: bool,
    reference_sides: bool,
    allow_missing: bool,
) -> Scored:
    from humanvlm.evaluate.tasks.grounding import score_grounding

    expressions = formats.read_expressions(references, sides=reference_sides)
    found = formats.read_box_replies(predictions, expressions)
    ids = [expression.id for expression in expressions]
    replies = pair(ids, found, references, predictions, allow_missing=allow_missing)
    return score_grounding(expressions, replies, space=space, sides=sides)


def score_reg_files(
    references: Path, predictions: Path, *, allow_missing: bool, idf: Path | None = None, metrics: Sequence[str] = ()
) -> Scored:
    """Expressions for regions, as captions; the regions of a picture are resampled together."""
    from humanvlm.evaluate.metrics.cider import Frequencies
    from humanvlm.evaluate.tasks.captions import METRICS, score_captions

    pinned = Frequencies.load(idf) if idf else None
    regions, region_of = formats.read_regions(references)
    found = formats.read_region_replies(predictions, region_of, references)
    said = pair(regions, found, references, predictions, allow_missing=allow_missing)
    scored = score_captions(
        list(regions),
        [reply or "" for reply in said],
        [[expression.text for expression in group] for group in regions.values()],
        idf=pinned,
        metrics=metrics or METRICS,
    )
    images = [group[0].image for group in regions.values()]
    counts = {**scored.counts, "missing": sum(reply is None for reply in said)}
    return replace(scored, task="reg", images=images, counts=counts, idf=pinned.digest if pinned else "")


def score_keypoints_files(
    references: Path,
    predictions: Path,
    *,
    kind: Kind | Literal["pck"],
    space: Space | Literal["auto"],
    allow_missing: bool,
) -> Scored:
    """An image without results is a fact about a detector, no error; a person without a reply (pck) is one."""
    from humanvlm.evaluate.tasks import formats_coco
    from humanvlm.evaluate.tasks.keypoints import score_detections

    if kind == "pck":
        from humanvlm.evaluate.metrics.pck import score_points

        people = formats_coco.read_people(references)
        said = formats_coco.read_point_replies(predictions)
        ids = [person.id for person in people]
        return score_points(people, pair(ids, said, references, predictions, allow_missing=allow_missing), space=space)
    truth = formats_coco.read_ground_truth(references, kind)
    found = formats_coco.read_results(predictions, kind, truth, references)
    return score_detections(kind, truth.images, truth.categories, truth.truths, found)


def score_pope_files(references: Sequence[Path], predictions: Sequence[Path], *, allow_missing: bool) -> Scored:
    """One file of predictions for each of references. With several, ids are told apart by the file's name."""
    from humanvlm.evaluate.tasks.pope import score_pope

    if len(references) != len(predictions):
        raise UserError(f"{len(references)} --references and {len(predictions)} --predictions; give one for each")
    probes, replies = [], []
    for asked_in, said_in in zip(references, predictions, strict=True):
        asked = formats.read_pope(asked_in)
        ids = [probe.id for probe in asked]
        replies += pair(ids, formats.read_replies(said_in, ids), asked_in, said_in, allow_missing=allow_missing)
        prefix = f"{asked_in.name.partition('.')[0]}:" if len(references) > 1 else ""
        probes += [replace(probe, id=prefix + probe.id) for probe in asked]
    if len({probe.id for probe in probes}) < len(probes):
        raise UserError(f"{references[0]}: two files of references have the same name; rename one")
    return score_pope(probes, replies)


def score_mme_files(references: Path, predictions: Path | None, *, allow_missing: bool) -> Scored:
    from humanvlm.evaluate.tasks.mme import score_mme

    halves, replies = formats.read_mme(references)
    if (predictions is None) == (replies is None):
        wrong = (
            "holds the replies too; leave out --predictions" if predictions else "holds no replies; give --predictions"
        )
        raise UserError(f"{references}: {wrong}")
    if predictions is None:
        return score_mme(halves, replies or [])
    ids = [half.id for half in halves]
    found = formats.read_replies(predictions, ids)
    return score_mme(halves, pair(ids, found, references, predictions, allow_missing=allow_missing))


def score_choice_files(references: Path, predictions: Path, *, allow_missing: bool) -> Scored:
    from humanvlm.evaluate.tasks.choice import score_choice

    rotations = formats.read_rotations(references)
    found = formats.read_choices(predictions)
    ids = [rotation.id for rotation in rotations]
    return score_choice(rotations, pair(ids, found, references, predictions, allow_missing=allow_missing))


def score_attributes_files(references: Path, predictions: Path, *, allow_missing: bool) -> Scored:
    from humanvlm.evaluate.tasks.attributes import score_attributes

    names, truths, promised = formats.read_labels(references)
    found = formats.read_presences(predictions)
    said = pair([truth.id for truth in truths], found, references, predictions, allow_missing=allow_missing)
    for truth, answers in zip(truths, said, strict=True):
        _check_names(truth.id, names, truth.present, answers or {}, references, predictions, allow_missing)
    scored = score_attributes(names, truths, [answers or {} for answers in said])
    unlike = 0 if promised is None else abs(promised - len(truths))
    return replace(scored, counts={**scored.counts, "header_off_by": unlike})


def finish(scored: Scored, bootstrap: int, seed: int) -> Result:
    """The scores with intervals from ``bootstrap`` resamples of the images (0: none)."""
    intervals: Mapping[str, tuple[float, float]] = {}
    if bootstrap:
        from humanvlm.evaluate.stats import statistics

        intervals = statistics.bootstrap(scored, bootstrap, seed)
    official: Mapping[str, Any] = {}
    if scored.task == "vqa":
        from humanvlm.evaluate.tasks.vqa import official_report

        official = official_report(scored)
    return Result(scored, intervals, official)


def write_result(path: Path, result: Result) -> None:
    """``task, scores, intervals, official, counts, samples, images, per_sample`` as JSON, atomically."""
    scored = result.scored
    columns = {"id": scored.ids, "image": scored.images} | dict(scored.per_sample)
    value: dict[str, Any] = {"task": scored.task, "scores": result.scores}
    if result.intervals:
        value["intervals"] = {name: list(interval) for name, interval in result.intervals.items()}
    if result.official:
        value["official"] = dict(result.official)
    if scored.idf:
        value["idf"] = scored.idf
    value |= {
        "counts": dict(scored.counts),
        "samples": len(scored.ids),
        "images": len(set(scored.images)),
        "per_sample": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    }
    write_json(path, value)


def table(result: Result) -> str:
    """Scores, intervals and counts as aligned lines; parts only where they are few."""
    scores, scored = result.scores, result.scored
    names = _shown(scores)
    width = max((len(name) for name in names), default=0)
    lines = [f"{scored.task}: {len(scored.ids)} samples, {len(set(scored.images))} images"]
    for name in names:
        low, high = result.intervals.get(name, (math.nan, math.nan))
        interval = "" if math.isnan(low) else f"  ({low:.4f} to {high:.4f})"
        lines.append(f"  {name:<{width}}  {scores[name]:>9.4f}{interval}")
    if "overall" in result.official:
        lines.append(f"  {'official report, %':<{width}}  {result.official['overall']:>9.2f}")
    if len(names) < len(scores):
        lines.append(f"  and {len(scores) - len(names)} scores of parts: --out FILE.json has them")
    told = ", ".join(f"{name} {count}" for name, count in scored.counts.items() if count)
    return "\n".join([*lines, f"  counts: {told or 'nothing missing or unparseable'}"])


def _shown(scores: Mapping[str, float]) -> list[str]:
    """The scores of the whole, and of parts where their kind has few: ``metric[kind=part]``."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for name in scores:
        kind, _, part = name.partition("[")[2].partition("=")
        kinds[kind].add(part)
    return [name for name in scores if len(kinds[name.partition("[")[2].partition("=")[0]]) <= FEW_PARTS]


def _check_names(
    image: str,
    names: Sequence[str],
    present: Mapping[str, bool],
    answers: Mapping[str, bool | None],
    references: Path,
    predictions: Path,
    allow_missing: bool,
) -> None:
    known = set(names)
    if extra := next((name for name in answers if name not in known), None):
        raise UserError(f"{predictions}: {image} has the attribute {extra}, which is not in {references}")
    if not allow_missing and (absent := next((name for name in present if name not in answers), None)):
        raise UserError(
            f"{predictions}: no answer about {absent} of {image} of {references}; --allow-missing scores it as wrong"
        )
