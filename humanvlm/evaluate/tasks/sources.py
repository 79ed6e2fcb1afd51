"""Benchmarks in the files of their publishers as samples: which question is asked about which picture.

The files are those of ``humanvlm score``, and malformed ones raise UserError as there. A source's ``picture`` says how
a picture's file is named: a key of its row, such as ``photo``, or a pattern, such as
``COCO_val2014_{image:012d}.jpg``; without it, the file name that the row has.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from humanvlm.config.benchmark_scores import Source
from humanvlm.data import prompts
from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row, read_json, read_rows, read_tab_separated
from humanvlm.evaluate.tasks import formats, formats_captions, formats_coco
from humanvlm.evaluate.tasks.boxes import Box
from humanvlm.evaluate.tasks.grounding import Expression
from humanvlm.evaluate.tasks.keypoints import NAMES
from humanvlm.evaluate.tasks.samples import EncodedPicture, Loaded, Picture, Sample

Dropped = tuple[str, str, str]
Read = Callable[[str, Source], Iterator[Sample | Dropped]]
FILE_NAMES = ("file_name", "image", "img_path", "image_source")


def load_source(name: str, source: Source) -> Loaded:
    """The samples of a benchmark, ``name`` being its task. Raises UserError naming file and row, or the key.

    Expressions whose box is null, for which nothing is to be found, are dropped as ``no_box``.
    """
    samples, dropped = [], []
    for found in READERS[source.kind](name, source):
        if isinstance(found, Sample):
            samples.append(found)
        else:
            dropped.append(found)
    return Loaded(samples, dropped)


def _captions(task: str, source: Source) -> Iterator[Sample]:
    references = formats_captions.read_references(_file(task, source))
    names = _coco_names(source)
    for image, texts in references.items():
        picture = _picture(task, source, image, {"file_name": names.get(image, image)})
        yield Sample(image, task, image, picture, prompts.SHORT_CAPTION, tuple(texts))


def _reg(task: str, source: Source) -> Iterator[Sample]:
    """The expressions of one box are the references of its region, which is named by the first."""
    regions: dict[tuple[str, Box], list[tuple[Expression, Row]]] = {}
    for one, row in _expressions(task, source):
        if one:
            regions.setdefault((one.image, one.box), []).append((one, row))
    for group in regions.values():
        first, row = group[0]
        prompt = prompts.REG.format(box=prompts.format_box(list(first.box), int(first.width), int(first.height)))
        texts = tuple(one.text for one, _ in group)
        picture = _picture(task, source, first.image, row)
        yield Sample(first.id, task, first.image, picture, prompt, texts, first, first.part)


def _rec(task: str, source: Source) -> Iterator[Sample | Dropped]:
    for number, (one, row) in enumerate(_expressions(task, source)):
        if one is None:
            yield formats.row_id(row) or f"line {number}", "no_box", f"{task}: nothing to be found"
            continue
        box = prompts.format_box(list(one.box), int(one.width), int(one.height))
        prompt = prompts.REC.format(expression=one.text)
        picture = _picture(task, source, one.image, row)
        yield Sample(one.id, task, one.image, picture, prompt, (box,), one, one.part)


def _vqa(task: str, source: Source) -> Iterator[Sample]:
    if not source.questions:
        raise UserError(f"benchmark_scores.sources.{task}: no questions; name VQAv2's file of questions")
    for one in formats.read_vqa(Path(source.questions), _file(task, source)):
        prompt = prompts.VQA.format(question=one.text)
        picture = _picture(task, source, one.image, {})
        yield Sample(one.id, task, one.image, picture, prompt, one.answers, one, one.answer_type)


def _pope(task: str, source: Source) -> Iterator[Sample]:
    path = _file(task, source)
    for probe, (_, row) in zip(formats.read_pope(path), read_rows(path), strict=True):
        picture = _picture(task, source, probe.image, row)
        answer = "yes" if probe.positive else "no"
        prompt = prompts.ATTRIBUTE.format(question=probe.text)
        yield Sample(probe.id, task, probe.image, picture, prompt, (answer,), probe, probe.part)


def _mme(task: str, source: Source) -> Iterator[Sample]:
    path = _file(task, source)
    rows = {} if path.is_dir() else {formats.row_id(row): row for _, row in read_rows(path)}
    for half in formats.read_mme(path)[0]:
        picture = _picture(task, source, half.image, rows.get(half.id, {"image": f"{half.category}/{half.image}"}))
        image, answer = f"{half.category}/{half.image}", "yes" if half.positive else "no"
        yield Sample(half.id, task, image, picture, half.text, (answer,), half, half.category)


def _choice(task: str, source: Source) -> Iterator[Sample]:
    """Pictures are in the table itself, as base64; a short value is the index of the row that has it."""
    path = _file(task, source)
    images = {row["index"]: row.get("image", "") for _, row in read_tab_separated(path)}
    for one in formats.read_rotations(path):
        found = images[one.id]
        found = images.get(found, found) or images.get(one.group, "")
        options = "\n".join(f"{letter}. {text}" for letter, text in one.options.items())
        prompt = prompts.CHOICE.format(question=one.text, options=options)
        yield Sample(one.id, task, one.group, EncodedPicture(found), prompt, (one.answer,), one, one.category)


def _attributes(task: str, source: Source) -> Iterator[Sample]:
    names, labels, _ = formats.read_labels(_file(task, source))
    for one in labels:
        picture = _picture(task, source, one.id, {"image": one.id})
        for name in names:
            if name in one.present:
                prompt = prompts.LABEL.format(label=name.replace("_", " ").lower())
                answer = "yes" if one.present[name] else "no"
                yield Sample(f"{one.id} {name}", task, one.id, picture, prompt, (answer,), part=name)


def _keypoints(task: str, source: Source) -> Iterator[Sample]:
    names = _coco_names(source)
    for person in formats_coco.read_people(_file(task, source)):
        width, height = (int(side) for side in person.size)
        x, y, across, down = person.box
        box = prompts.format_box([x, y, x + across, y + down], width, height)
        visible = [name for name, (_, _, seen) in zip(NAMES, person.points, strict=True) if seen > 0]
        prompt = prompts.KEYPOINTS.format(names=", ".join(name.replace("_", " ") for name in visible), box=box)
        picture = _picture(task, source, person.image, {"file_name": names.get(person.image, person.image)})
        yield Sample(person.id, task, person.image, picture, prompt, (), person)


def _file(task: str, source: Source) -> Path:
    path = Path(source.references)
    if not path.exists():
        raise UserError(f"benchmark_scores.sources.{task}.references: {path}: no such file")
    return path


def _picture(task: str, source: Source, image: str, row: Row) -> Picture:
    """Below ``source.images``; a name that leads out of it is refused."""
    if "{" in source.picture:
        name = _formatted(task, source.picture, image)
    else:
        keys = (source.picture,) if source.picture else FILE_NAMES
        name = str(next((row[key] for key in keys if row.get(key)), ""))
    if not name:
        raise UserError(
            f"benchmark_scores.sources.{task}: {source.references} does not say in which file picture {image} is; give "
            "picture a key of its rows, or a pattern such as COCO_val2014_{image:012d}.jpg"
        )
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise UserError(f"{source.references}: picture {name!r} is outside of benchmark_scores.sources.{task}.images")
    return Path(source.images) / parts


def _formatted(task: str, pattern: str, image: str) -> str:
    try:
        return pattern.format(image=int(image) if image.isdecimal() else image)
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(
            f"benchmark_scores.sources.{task}.picture: {pattern!r} does not fit {image!r} ({error})"
        ) from None


def _expressions(task: str, source: Source) -> Iterator[tuple[Expression | None, Row]]:
    """Each row with its expression, None where its box is null. Raises UserError when an id comes twice."""
    seen: set[str] = set()
    for number, (where, row) in enumerate(read_rows(_file(task, source))):
        if any(name in row for name in formats.BOX) and all(row.get(name) is None for name in formats.BOX):
            yield None, row
            continue
        one = formats.read_expression(number, where, row)
        if one.id in seen:
            raise UserError(f"{where}: id {one.id} is there twice")
        seen.add(one.id)
        yield one, row


def _coco_names(source: Source) -> Mapping[str, Any]:
    """Names of files by image id, of a COCO file."""
    value = read_json(Path(source.references))
    images = value.get("images") if isinstance(value, dict) else None
    listed = images if isinstance(images, list) else []
    return {
        str(row["id"]): row["file_name"]
        for row in listed
        if isinstance(row, dict) and {"id", "file_name"} <= row.keys()
    }


READERS: Mapping[str, Read] = {
    "captions": _captions,
    "reg": _reg,
    "vqa": _vqa,
    "rec": _rec,
    "pope": _pope,
    "mme": _mme,
    "choice": _choice,
    "attributes": _attributes,
    "keypoints": _keypoints,
}
