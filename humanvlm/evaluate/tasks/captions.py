"""Captions. Their files are plain or gzip, and ids are compared as text: 42 and "42" are the same.

References: COCO's annotations, ``{"images": [..], "annotations": [{"image_id", "id", "caption"}, ..]}``, or
``{id: [caption, ..]}``. Predictions: COCO's results, ``[{"image_id", "caption"}, ..]`` (JSON lines too), or
``{id: caption}``. Pairs: ``{id: {"candidate", "references"}}``.

An id that comes twice, a caption that is no text, and a picture without references raise UserError. Empty captions are
read as they are.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from humanvlm.data import prompts
from humanvlm.errors import UserError
from humanvlm.evaluate.files import MOST_JSON, Row, by_id, get_id, open_text, pair, read_json, read_rows
from humanvlm.evaluate.metrics.captions import (
    METRICS,
    reference_frequencies,
    score_captions,
    without_garbage_collection,
)
from humanvlm.evaluate.metrics.cider import Frequencies
from humanvlm.evaluate.metrics.ptb import tokenize_corpus
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks import options
from humanvlm.evaluate.tasks.base import Coordinates, Judged, Sample, Task, own_sample, source_file
from humanvlm.evaluate.tasks.pictures import coco_names, source_picture
from humanvlm.evaluate.tasks.replies import answers, with_replies

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

Value = TypeVar("Value")
METRIC = click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help=f"{', '.join(METRICS)} (which is CIDEr-D, as cider_d too); given again for more.",
)
IDF = click.option("--idf", type=options.FILE, metavar="FILE", help="CIDEr's document frequencies, of another corpus.")

IDS = ("image_id", "id")
CAPTION = ("caption", "text")


def read_references(path: Path) -> dict[str, list[str]]:
    """The captions of each picture; pictures in the order of ``images`` where there is one, else of the captions."""
    value = _object(path)
    if "annotations" not in value:
        _refuse_pairs(path, value)
        return _named(path, value, _texts)
    annotations = _rows(path, value, "annotations")
    numbered = [row["id"] for _, row in annotations if "id" in row]  # one without an id is an annotation of its own
    if len(set(map(str, numbered))) < len(numbered):
        by_id((str(row["id"]), where, None) for where, row in annotations if "id" in row)
    images = _rows(path, value, "images") if value.get("images") else []
    pictures = [get_id(row, ("id",), where) for where, row in images]
    captions: dict[str, list[str]] = {key: [] for key in pictures}
    if len(captions) < len(pictures):
        twice = next(key for place, key in enumerate(pictures) if key in pictures[:place])
        raise UserError(f"{path}: id {twice} is twice in images")
    for where, row in annotations:
        key = get_id(row, ("image_id",), where)
        if pictures and key not in captions:
            raise UserError(f"{where}: image_id {key} is not in images")
        captions.setdefault(key, []).append(_text(row, where))
    return {key: texts for key, texts in captions.items() if texts}


def read_candidates(path: Path) -> dict[str, str]:
    """One caption of each picture."""
    if _starts_as_mapping(path):
        value = _object(path)
        _refuse_pairs(path, value)
        return _named(path, value, _caption)
    return by_id((get_id(row, IDS, where), where, _text(row, where)) for where, row in read_rows(path))


def _refuse_pairs(path: Path, value: Mapping[str, Any]) -> None:
    """Raises UserError when the file holds candidates and references both: it is then all that is to be given."""
    if any(isinstance(one, dict) and {"candidate", "references"} <= one.keys() for one in value.values()):
        raise UserError(
            f"{path}: pairs of candidate and references stand alone; give it as --references, and no --predictions"
        )


def read_pairs(path: Path) -> dict[str, tuple[str, list[str]]]:
    """The candidate and the references of each picture."""

    def candidate_and_references(where: str, value: Any) -> tuple[str, list[str]]:
        if not isinstance(value, dict) or "candidate" not in value or "references" not in value:
            raise UserError(f"{where}: no object with candidate and references")
        return _caption(f"{where}.candidate", value["candidate"]), _texts(f"{where}.references", value["references"])

    return _named(path, _object(path), candidate_and_references)


def score_files(
    references: Path,
    predictions: Path | None,
    metrics: Sequence[str] = (),
    idf: Path | None = None,
    write_idf: Path | None = None,
    allow_missing: bool = False,
) -> Scored:
    """COCO captions: BLEU-1 to 4, METEOR, ROUGE-L and CIDEr.

    References are COCO's annotations or an object of lists of captions by id, predictions COCO's results or an object
    of captions by id; or references alone, an object of candidate and references by id. CIDEr's document frequencies
    are those of the references, unless --idf names others: pin them to compare scores of parts of a benchmark.
    """
    pinned = Frequencies.load(idf) if idf else None
    replies: Sequence[str | None]
    with without_garbage_collection():
        if predictions is None:
            pairs = read_pairs(references)
            wanted = {key: texts for key, (_, texts) in pairs.items()}
            replies = [candidate for candidate, _ in pairs.values()]
        else:
            wanted = read_references(references)
            replies = pair(wanted, read_candidates(predictions), references, predictions, allow_missing=allow_missing)
    groups, texts = list(wanted.values()), answers(replies)
    scored = score_captions(
        list(wanted), [text or "" for text in texts], groups, idf=pinned, metrics=metrics or METRICS
    )
    if write_idf:
        reference_frequencies(groups).save(write_idf)
    counts = {**scored.counts, "missing": sum(text is None for text in texts)}
    return with_replies(replace(scored, counts=counts, idf=pinned.digest if pinned else ""), replies)


def samples(task: str, source: "Source") -> Iterator[Sample]:
    references = read_references(source_file(task, source))
    names = coco_names(source)
    for image, texts in references.items():
        picture = source_picture(task, source, image, {"file_name": names.get(image, image)})
        yield Sample(image, task, image, picture, prompts.CAPTION, tuple(texts))


def sample(row: Row, folder: Path) -> Sample:
    return own_sample(row, folder, "captions", prompts.CAPTION, row["references"])


def judge(samples: Sequence[Sample], replies: Sequence[str | None], _: Coordinates) -> Judged:
    """The document frequencies of CIDEr are those of the references of exactly these samples."""
    ids, references = [sample.key for sample in samples], [sample.references for sample in samples]
    texts = [text or "" for text in replies]
    found = score_captions(ids, texts, references)
    predictions = [" ".join(tokens) or None for tokens in tokenize_corpus(texts)]
    return Judged(predictions, found.per_sample["cider"], found.contributions)


def judged_metrics(sums: Array) -> dict[str, Array]:
    """Of the sums of ``score_captions``, whose layout depends on nothing but the metrics asked for."""
    return score_captions(["a"], ["a"], [["a"]]).metrics(sums)


def _text(row: Row, where: str) -> str:
    for name in CAPTION:
        if name in row:
            return _caption(f"{where}.{name}", row[name])
    raise UserError(f"{where}: no {' or '.join(CAPTION)}")


def _caption(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UserError(f"{where}: {str(value)[:60]!r} is no text")
    return value


def _texts(where: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise UserError(f"{where}: no list of captions, or an empty one")
    return [_caption(f"{where}[{number}]", text) for number, text in enumerate(value)]


def _named(path: Path, value: Mapping[str, Any], read: Callable[[str, Any], Value]) -> dict[str, Value]:
    return {key: read(f"{path}: id {key}", item) for key, item in value.items()}


def _rows(path: Path, value: Mapping[str, Any], key: str) -> list[tuple[str, Row]]:
    if not isinstance(value[key], list):
        raise UserError(f"{path}: {key} is no list")
    rows = [(f"{path}: {key}[{number}]", row) for number, row in enumerate(value[key])]
    for where, row in rows:
        if not isinstance(row, dict):
            raise UserError(f"{where}: no JSON object")
    return rows


def _starts_as_mapping(path: Path) -> bool:
    """Whether a file is an object of all captions, and neither a list nor JSON lines of rows."""
    with open_text(path) as file:
        line = file.readline(1 << 20)
        while line.isspace():
            line = file.readline(1 << 20)
    if not line.lstrip().startswith("{"):
        return False
    try:
        row = json.loads(line)
    except ValueError:
        return True  # goes on in the next line
    return not any(name in row for name in IDS) or not any(name in row for name in CAPTION)


def _object(path: Path) -> Mapping[str, Any]:
    """A JSON object: COCO's, or one in none of whose objects a key comes twice."""

    def unique(items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            keys = [key for key, _ in items]
            twice = next(key for place, key in enumerate(keys) if key in keys[:place])
            raise UserError(f"{path}: id {twice} is there twice")
        return found

    with open_text(path) as file:
        text = file.read(MOST_JSON + 1)
    try:
        value = json.loads(text) if len(text) <= MOST_JSON else read_json(path)
        if isinstance(value, dict) and "annotations" not in value:
            value = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        value = read_json(path)  # says what is wrong with it
    if not isinstance(value, dict):
        raise UserError(f"{path}: a JSON {type(value).__name__}; an object is expected")
    return value


TASK = Task(
    "captions",
    "Captions",
    "Each picture described in one sentence; sample scores are CIDEr, 0 to 10.",
    "cider",
    samples,
    judge,
    judged_metrics,
    score_files,
    (
        options.REFERENCES,
        click.option(
            "--predictions", type=options.FILE, metavar="FILE", help="Not with pairs, which hold the candidates too."
        ),
        METRIC,
        IDF,
        click.option("--write-idf", type=options.FILE, metavar="FILE.json.gz", help="Write those of these references."),
    ),
    sample=sample,
)
