"""The files that benchmarks and models come in: VQAv2, RefCOCO, POPE, MME, MMBench, attributes; plain or gzip.

What is read of a row, first name first, is in ``humanvlm score TASK --help``. Unusable rows raise UserError naming the
file and row. COCO's files of boxes and keypoints are in ``formats_coco``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from humanvlm.errors import UserError
from humanvlm.evaluate.files import (
    Row,
    by_id,
    get,
    get_id,
    get_numbers,
    get_text,
    open_text,
    read_array,
    read_rows,
    read_tab_separated,
)
from humanvlm.evaluate.tasks.attributes import Labels, read_presence
from humanvlm.evaluate.tasks.boxes import Box
from humanvlm.evaluate.tasks.choice import Rotation
from humanvlm.evaluate.tasks.grounding import Expression
from humanvlm.evaluate.tasks.mme import Half
from humanvlm.evaluate.tasks.pope import Probe
from humanvlm.evaluate.tasks.vqa import Question

REPLY = ("text", "answer", "reply", "prediction", "caption")
BOX = ("bbox", "box", "solution")
POPE_PARTS = ("random", "popular", "adversarial")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ROTATIONS = 1_000_000  # MMBench: rotations of question n have the index n + k * 1,000,000


def read_vqa(questions: Path | None, annotations: Path) -> list[Question]:
    """VQAv2's questions and annotations, in the order of the annotations. Both must have the same question ids."""
    texts: dict[str, str] | None = None
    if questions:
        texts = by_id(
            (get_id(row, ("question_id",), where), where, get_text(row, ("question",), where))
            for where, row in read_array(questions, "questions")
        )
    found = by_id(_vqa_rows(annotations, texts))
    if texts is not None:
        for known, other, file, there in (
            (found, texts, annotations, questions),
            (texts, found, questions, annotations),
        ):
            if missing := next((key for key in other if key not in known), None):
                raise UserError(f"{file}: question_id {missing} of {there} is missing")
    return list(found.values())


def read_vqa_results(path: Path) -> dict[str, str]:
    """VQAv2's results: question_id to answer."""
    return by_id(
        (get_id(row, ("question_id",), where), where, get_text(row, ("answer",), where))
        for where, row in read_rows(path)
    )


def read_expressions(path: Path, *, sides: bool = False) -> list[Expression]:
    """Referring expressions with boxes (xyxy, or with ``sides`` x, y, width, height, in pixels), JSON lines."""
    return list(by_id((one.id, where, one) for where, one in _expressions(path, sides)).values())


def read_regions(path: Path) -> tuple[dict[str, list[Expression]], dict[str, str]]:
    """The expressions of each region (a box of a picture), named by its first expression; and the region of each id."""
    regions: dict[tuple[str, Box], list[Expression]] = {}
    for expression in read_expressions(path):
        regions.setdefault((expression.image, expression.box), []).append(expression)
    named = {group[0].id: group for group in regions.values()}
    return named, {one.id: name for name, group in named.items() for one in group}


def read_region_replies(path: Path, region_of: Mapping[str, str], references: Path) -> dict[str, str]:
    """A reply for each region, under the id of any of its expressions."""
    found = []
    for key, reply in read_replies(path, list(dict.fromkeys(region_of.values()))).items():
        if key not in region_of:
            raise UserError(f"{path}: id {key} is not in {references}; remove it")
        found.append((region_of[key], f"{path}: id {key}: its region", reply))
    return by_id(found)


def read_box_replies(path: Path, expressions: Sequence[Expression]) -> dict[str, str | list[float]]:
    """Replies with boxes: text, or four numbers. Rows without an id of their own are told apart by ``line``, the place
    of their expression, counted from 0."""
    found = []
    for where, row in read_rows(path):
        if (key := row_id(row)) is None:
            line = row.get("line")
            if not isinstance(line, int) or not 0 <= line < len(expressions):
                raise UserError(f"{where}: no id or sent_id, and no line from 0 to {len(expressions) - 1}")
            key = expressions[line].id
        found.append((key, where, _box_reply(row, where)))
    return by_id(found)


def read_pope(path: Path) -> list[Probe]:
    """POPE's questions: question_id, image, text, label; the part from ``category`` or ``file``, else from the file's
    name. Where parts share a file and their ids, an id is ``part:question_id``."""
    found = []
    for where, row in read_rows(path):
        label = get_text(row, ("label",), where).strip().lower()
        if label not in ("yes", "no"):
            raise UserError(f"{where}: label {label!r} is neither yes nor no")
        key = get_id(row, ("question_id", "id"), where)
        text = get_text(row, ("text", "question"), where)
        image = get_id(row, ("image", "image_source"), where)
        told = str(row.get("category") or row.get("file") or path.name).lower()
        part = next((part for part in POPE_PARTS if part in told), "")
        found.append((key, where, Probe(key, image, text, label == "yes", part)))
    if len({key for key, _, _ in found}) < len(found) and len({probe.part for _, _, probe in found}) > 1:
        found = [(f"{one.part}:{key}", where, replace(one, id=f"{one.part}:{key}")) for key, where, one in found]
    return list(by_id(found).values())


def read_replies(path: Path, ids: Sequence[str]) -> dict[str, str]:
    """Replies by question_id or id. Files without any, as the official ones of POPE, are taken in order, when there are
    as many rows as questions."""
    rows = [(where, row_id(row), get_text(row, REPLY, where)) for where, row in read_rows(path)]
    if rows and all(key is None for _, key, _ in rows):
        if len(rows) != len(ids):
            raise UserError(f"{path}: {len(rows)} rows without ids for {len(ids)} questions; give each its question_id")
        return {key: reply for key, (_, _, reply) in zip(ids, rows, strict=True)}
    for where, key, _ in rows:
        if key is None:
            raise UserError(f"{where}: no question_id or id, which other rows have")
    return by_id((str(key), where, reply) for where, key, reply in rows)


def read_mme(path: Path) -> tuple[list[Half], list[str] | None]:
    """MME's questions, and the replies when they are there too.

    Either the official folder of results, ``CATEGORY.txt`` with picture, question, truth and reply between tabs, or
    JSON lines with question_id, category, image, question (or text) and answer (or label). Raises UserError for
    pictures that have not two questions.
    """
    if not path.is_dir():
        return _in_pairs(path, [half for _, half in by_id(_mme_rows(path)).items()]), None
    files = sorted(path.glob("*.txt"))
    if not files:
        raise UserError(f"{path}: no CATEGORY.txt in this folder")
    halves, replies = [], []
    for file in files:
        found = [(half, reply) for half, reply in _mme_lines(file)]
        if len(found) % 2:
            raise UserError(f"{file}: {len(found)} lines; each picture has two, one after the other")
        halves += [half for half, _ in found]
        replies += [reply for _, reply in found]
    return halves, replies


def read_rotations(path: Path) -> list[Rotation]:
    """MMBench's table: index, question, A, B, …, answer, and category, l2-category, split where it has them.

    Rotations of a question are rows whose ``g_index``, or index modulo 1,000,000, is the same; their first is the one
    with the smallest index.
    """
    found = []
    for where, row in read_tab_separated(path):
        index = _index(row, where)
        options = {letter: row[letter] for letter in _LETTERS if row.get(letter)}
        answer = get_text(row, ("answer",), where).strip()
        if answer not in options:
            raise UserError(f"{where}: answer {answer!r} is none of the options {', '.join(options)}")
        group = row.get("g_index") or str(index % _ROTATIONS)
        text, labels = row.get("question", ""), [row.get(name, "") for name in ("category", "l2-category", "split")]
        found.append((index, where, Rotation(str(index), group, group, text, options, answer, *labels)))
    found.sort(key=lambda one: one[0])
    return list(by_id((str(index), where, rotation) for index, where, rotation in found).values())


def read_choices(path: Path) -> dict[str, str]:
    """Replies by index: a table with the columns index and prediction, or JSON lines."""
    rows: Iterator[tuple[str, Row]] = read_tab_separated(path) if ".tsv" in path.suffixes else read_rows(path)
    names = ("prediction", *REPLY)
    return by_id(
        (get_id(row, ("index", "question_id", "id"), where), where, _reply(row, names, where)) for where, row in rows
    )


def read_labels(path: Path) -> tuple[list[str], list[Labels], int | None]:
    """Attributes of pictures, their names, and how many pictures the first line promises (CelebA's may be wrong).

    Either CelebA's ``list_attr_celeba.txt`` (the number of pictures, the names, then a picture and 1 or -1 a line), or
    JSON lines with id (or image) and ``attributes``, name to truth value or 1, -1.
    """
    with open_text(path) as file:
        first = file.readline().strip()
        if not first.isdecimal():
            return *_label_rows(path), None
        names = file.readline().split()
        found = []
        for number, line in enumerate(file, 3):
            image, *values = line.split() or [""]
            where = f"{path}:{number}"
            if not image:
                continue
            if len(values) != len(names) or not set(values) <= {"1", "-1"}:
                raise UserError(f"{where}: {len(names)} values, each 1 or -1, are expected after the picture's name")
            present = {name: value == "1" for name, value in zip(names, values, strict=True)}
            found.append((image, where, Labels(image, present)))
    return names, list(by_id(found).values()), int(first)


def read_presences(path: Path) -> dict[str, dict[str, bool | None]]:
    """Answers about attributes by picture: a file as of ``read_labels``, or JSON lines with id, ``attribute``, reply.

    What is no yes and no no is None.
    """
    with open_text(path) as file:
        if file.readline().strip().isdecimal():
            return {labels.id: dict(labels.present) for labels in read_labels(path)[1]}
    found: dict[str, dict[str, bool | None]] = {}
    for where, row in read_rows(path):
        image = get_id(row, ("id", "image"), where)
        said = row.get("attributes")
        if said is None:
            said = {get_text(row, ("attribute",), where): _reply(row, REPLY, where)}
        for name, value in _attributes(said, where).items():
            if name in found.setdefault(image, {}):
                raise UserError(f"{where}: {name} of {image} is there twice")
            found[image][name] = None if value is None else read_presence(value)
    return found


def _vqa_rows(annotations: Path, texts: Mapping[str, str] | None) -> Iterator[tuple[str, str, Question]]:
    for where, row in read_array(annotations, "annotations"):
        key = get_id(row, ("question_id",), where)
        answers = get(row, ("answers",), where)
        if not isinstance(answers, list) or not answers or not all(isinstance(one, dict) for one in answers):
            raise UserError(f"{where}: answers is not a list of objects with answer")
        given = tuple(get_text(one, ("answer",), f"{where}: answers") for one in answers)
        marks = None
        if len({repr(one.get("answer_id")) for one in answers}) < len(answers):
            marks = tuple(repr(sorted((name, repr(one[name])) for name in one if name != "answer")) for one in answers)
        image = str(row.get("image_id", key))
        kinds = str(row.get("answer_type", "")), str(row.get("question_type", ""))
        yield key, where, Question(key, image, (texts or {}).get(key, ""), given, marks, *kinds)


def _expressions(path: Path, sides: bool) -> Iterator[tuple[str, Expression]]:
    for number, (where, row) in enumerate(read_rows(path)):
        yield where, read_expression(number, where, row, sides=sides)


def read_expression(number: int, where: str, row: Row, *, sides: bool = False) -> Expression:
    """The expression of one row, the ``number``-th from 0. Raises UserError naming ``where``."""
    x1, y1, x2, y2 = get_numbers(get(row, BOX, where), f"{where}: box", 4)
    box: Box = (x1, y1, x1 + x2, y1 + y2) if sides else (x1, y1, x2, y2)
    if box[0] >= box[2] or box[1] >= box[3]:
        raise UserError(f"{where}: box {list(box)} has no area; x1, y1, x2, y2 in pixels are expected")
    width, height = get_numbers([get(row, (name,), where) for name in ("width", "height")], f"{where}: size", 2)
    if width <= 0 or height <= 0:
        raise UserError(f"{where}: a picture of {width:g} x {height:g} pixels")
    text = get_text(row, ("expression", "caption", "normal_caption", "text"), where)
    image = get_id(row, ("image_id", "image", "img_path", "file_name"), where)
    part = "/".join(str(row[name]) for name in ("dataset_name", "dataset", "split") if row.get(name))
    return Expression(row_id(row) or f"line {number}", image, text, box, width, height, part)


def row_id(row: Row) -> str | None:
    """The id of a row of expressions, questions or replies; None when it has none."""
    for name in ("question_id", "id", "sent_id", "annotation_id"):
        value = row.get(name)
        if isinstance(value, int | str) and not isinstance(value, bool) and value != "":
            return str(value)
    return None


def _box_reply(row: Row, where: str) -> str | list[float]:
    for name in ("bbox", "box"):
        if isinstance(row.get(name), list):
            value = row[name]
            if len(value) != 4 or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
                return str(value)  # no box of four numbers: read as a reply, and counted as unparseable
            return [float(one) for one in value]
    return _reply(row, REPLY, where)


def _reply(row: Row, names: Sequence[str], where: str) -> str:
    return get_text(row, names, where)


def _mme_rows(path: Path) -> Iterator[tuple[str, str, Half]]:
    for where, row in read_rows(path):
        answer = get_text(row, ("answer", "label"), where).strip().lower()
        if answer not in ("yes", "no"):
            raise UserError(f"{where}: answer {answer!r} is neither yes nor no")
        text = get_text(row, ("question", "text"), where)
        category, image = (get_id(row, names, where) for names in (("category",), ("image", "question_id")))
        key = get_id(row, ("id", "question_id"), where)
        yield key, where, Half(key, image, category, text, answer == "yes")


def _mme_lines(file: Path) -> Iterator[tuple[Half, str]]:
    category = file.name.partition(".")[0]
    with open_text(file) as lines:
        for number, line in enumerate(lines, 1):
            columns = line.rstrip("\r\n").split("\t")
            if len(columns) != 4 or columns[2].strip().lower() not in ("yes", "no"):
                raise UserError(f"{file}:{number}: picture, question, yes or no, and reply between tabs are expected")
            image, text, truth, reply = columns
            yield Half(f"{category}:{number}", image, category, text, truth.strip().lower() == "yes"), reply


def _in_pairs(path: Path, halves: Sequence[Half]) -> list[Half]:
    pictures: dict[tuple[str, str], list[Half]] = {}
    for half in halves:
        pictures.setdefault((half.category, half.image), []).append(half)
    for (category, image), pair in pictures.items():
        if len(pair) != 2:
            raise UserError(f"{path}: {category} {image} has {len(pair)} questions; each picture has two")
    return [half for pair in pictures.values() for half in pair]


def _index(row: Row, where: str) -> int:
    try:
        return int(get_text(row, ("index",), where))
    except ValueError as error:
        raise UserError(f"{where}: index {row['index']!r} is not an integer") from error


def _label_rows(path: Path) -> tuple[list[str], list[Labels]]:
    found = []
    names: dict[str, None] = {}
    for where, row in read_rows(path):
        image = get_id(row, ("id", "image"), where)
        present = {}
        for name, value in _attributes(get(row, ("attributes",), where), where).items():
            if value is None:
                continue
            known = read_presence(value)
            if known is None:
                raise UserError(f"{where}: {name} is {value!r}; true or false is expected")
            present[name] = known
        names |= dict.fromkeys(present)
        found.append((image, where, Labels(image, present)))
    return list(names), list(by_id(found).values())


def _attributes(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(
        one is None or isinstance(one, str | bool | int | float) for one in value.values()
    ):
        raise UserError(f"{where}: attributes is not an object of names and answers")
    return value
