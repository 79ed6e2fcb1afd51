"""Face-Human-Bench: multiple choice about faces and people (Qin et al. 2025).

Read from a folder of its repository: ``data/Face-Human-Bench/{dev,test}/json/{en,zh}``, each of 25 files of 50 or 100
problems; five files are asked of two versions of a picture, which makes 1,800 questions of 1,500 problems. Pictures
are those of its ``prepare_data.py``, ``eval_data/…`` below ``images``. Prompts are those of its ``eval.py``, and the
options are turned as there: one draw a question from ``random.seed(100)``, English before Chinese.

A letter is read as ``output_final_answer.py`` does it; where the authors ask GPT-3.5, the only option whose text is in
the reply counts, and what cannot be told is wrong. Accuracies go up as in ``score.py``: a level is the mean of the
means below it, so that every ability weighs the same whatever its questions.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from random import Random
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row, get, get_text, pair, read_array
from humanvlm.evaluate.stats.parts import ratio
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import Coordinates, Judged, Sample, Task, source_file
from humanvlm.evaluate.tasks.choice import REFUSED, parse_named_choice
from humanvlm.evaluate.tasks.options import FILE
from humanvlm.evaluate.tasks.pictures import source_picture
from humanvlm.evaluate.tasks.replies import answers, read_replies, reading_counts, with_replies

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

SEED = 100
# File, version of the picture, and its abilities of the second and third level, in the order in which they are asked.
SUBSETS = (
    ("face_age_basic_5", "original", "age", "5 years"),
    ("face_age_basic_5", "cropped", "age", "5 years"),
    ("face_age_basic_10", "original", "age", "10 years"),
    ("face_age_basic_10", "cropped", "age", "10 years"),
    ("face_age_basic_15", "original", "age", "15 years"),
    ("face_age_basic_15", "cropped", "age", "15 years"),
    ("face_attack_digital_expression_swap", "cropped", "attack", "digital"),
    ("face_attack_digital_identity_swap", "cropped", "attack", "digital"),
    ("face_attack_physical_paper", "cropped", "attack", "physical"),
    ("face_attack_physical_replay", "cropped", "attack", "physical"),
    ("face_attribute_compound", "original", "attribute", "compound"),
    ("face_attribute_compound", "cropped", "attribute", "compound"),
    ("face_expression_basic", "original", "expression", "basic"),
    ("face_expression_basic", "cropped", "expression", "basic"),
    ("face_expression_compound", "cropped", "expression", "compound"),
    ("face_recognition_basic", "cropped", "recognition", "basic"),
    ("face_recognition_cross_age", "cropped", "recognition", "across ages"),
    ("face_recognition_cross_pose", "cropped", "recognition", "across poses"),
    ("face_recognition_mask", "cropped", "recognition", "masked"),
    ("face_recognition_similar_looking", "cropped", "recognition", "similar looks"),
    ("human_action_basic", "boxed", "action", "basic"),
    ("human_attribute_compound", "boxed", "attribute", "compound"),
    ("human_attribute_compound_cropped", "cropped", "attribute", "compound"),
    ("human_reid_basic", "cropped", "re-id", "basic"),
    ("human_social_relation_occupation", "boxed", "social relation", "occupation"),
    ("human_social_relation_relationship", "boxed", "social relation", "relationship"),
    ("human_spatial_relation_count_10", "original", "spatial relation", "count"),
    ("human_spatial_relation_count_100", "original", "spatial relation", "count"),
    ("human_spatial_relation_count_100plus", "original", "spatial relation", "count"),
    ("human_spatial_relation_location", "boxed", "spatial relation", "location"),
)
LEVELS = tuple((name.partition("_")[0], l2, l3) for name, _, l2, l3 in SUBSETS)
PLACES = {(name, version): place for place, (name, version, _, _) in enumerate(SUBSETS)}
_WORDS = {  # by what file names end with
    "": ("Question: ", "Please select the correct answer from the options above."),
    "_zh": ("问题: ", "请从以上选项中选择正确的答案。"),
}
_LETTER = re.compile(r"([ABCD])[.。)）,，:：]|选项 ?([ABCD])")


@dataclass(frozen=True)
class Problem:
    """place: of its subset in ``SUBSETS``. options: letter to text. image: its file, below the folder of pictures."""

    id: str
    place: int
    image: str
    prompt: str
    options: Mapping[str, str]
    answer: str

    @property
    def picture(self) -> str:
        """What its versions have in common, as they are not independent."""
        path = PurePosixPath(self.image)
        return str(path.parent.parent / path.name)

    @property
    def ability(self) -> str:
        return " / ".join(LEVELS[self.place])


def read_letter(reply: str, options: Mapping[str, str]) -> str | None:
    """The letter that a reply chooses, "Z" for a refusal, None when it cannot be told."""
    if reply in options:
        return reply
    letters = {first or second for first, second in _LETTER.findall(reply)}
    return letters.pop() if len(letters) == 1 else parse_named_choice(reply, options)


def score_face_human(problems: Sequence[Problem], replies: Sequence[str | None]) -> Scored:
    """Accuracy, in 0..1, of the whole, and of each ability of the three levels.

    A reply of None is missing, and wrong. counts: ``missing``, ``unparseable``, ``refused``.
    """
    chosen = [
        None if reply is None else read_letter(reply, problem.options)
        for problem, reply in zip(problems, replies, strict=True)
    ]
    right = [letter == problem.answer for letter, problem in zip(chosen, problems, strict=True)]
    vectors = np.zeros((len(problems), len(SUBSETS), 2))
    for number, problem in enumerate(problems):
        vectors[number, problem.place] = right[number], 1
    return Scored(
        "face_human",
        [problem.id for problem in problems],
        [problem.picture for problem in problems],
        {
            "ability": [problem.ability for problem in problems],
            "prompt": [problem.prompt for problem in problems],
            "answer": [problem.answer for problem in problems],
            "reply": list(replies),
            "chosen": chosen,
            "right": right,
        },
        vectors.reshape(len(problems), -1),
        summed_metrics,
        {
            **reading_counts(replies, chosen),
            "refused": chosen.count(REFUSED),
        },
    )


def summed_metrics(sums: Array) -> dict[str, Array]:
    """Sums of [right, asked] of each subset to the accuracies; what was not asked is left out of the means."""
    subsets = sums.reshape(*sums.shape[:-1], len(SUBSETS), 2)
    accuracies = ratio(subsets[..., 0], subsets[..., 1])
    level: list[tuple[tuple[str, ...], Array]] = [(key, accuracies[..., n]) for n, key in enumerate(LEVELS)]
    levels = []
    for depth in (3, 2, 1, 0):
        grouped: dict[tuple[str, ...], list[Array]] = defaultdict(list)
        for key, values in level:
            grouped[key[:depth]].append(values)
        level = [(key, _mean(np.stack(values))) for key, values in grouped.items()]
        levels.append(level)
    found = {"accuracy": levels[-1][0][1]}
    for depth, named in zip((1, 2, 3), levels[2::-1], strict=True):
        found |= {f"accuracy[l{depth}={' / '.join(key)}]": values for key, values in named}
    return found


def judged_metrics(sums: Array) -> dict[str, Array]:
    """Without the third level: its abilities are parts of the task."""
    names = {"accuracy": "accuracy"} | {
        f"accuracy[l{depth}={' / '.join(key)}]": " ".join(key)
        for depth in (1, 2)
        for key in dict.fromkeys(levels[:depth] for levels in LEVELS)
    }
    return {names[name]: value for name, value in summed_metrics(sums).items() if name in names}


def read_problems(folder: Path) -> list[Problem]:
    """The questions of a folder ``en`` or ``zh``. Raises UserError naming the file or row that is missing or wrong."""
    ending = "_zh" if (folder / f"{SUBSETS[0][0]}_zh.json").exists() else ""
    rows: dict[str, list[tuple[str, Row]]] = {}
    for name, *_ in SUBSETS:
        if name not in rows:
            rows[name] = list(read_array(folder / f"{name}{ending}.json", "data"))
    asked = [(place, number, *one) for place, (name, *_) in enumerate(SUBSETS) for number, one in enumerate(rows[name])]
    draw = Random(SEED)
    sizes = [len(_options(where, row)) for _, _, where, row in asked]
    turns = [[draw.randrange(size) for size in sizes] for _ in _WORDS][len(ending) > 0]
    return [
        _problem(place, number, where, row, turn, ending)
        for (place, number, where, row), turn in zip(asked, turns, strict=True)
    ]


def read_results(path: Path) -> tuple[list[Problem], list[str]]:
    """The problems and replies of a file of results of the authors' ``eval.py``."""
    problems: list[Problem] = []
    replies = []
    numbers = [0] * len(SUBSETS)
    for where, row in read_array(path, "results"):
        name = get_text(row, ("task_type",), where), get_text(row, ("data_version",), where)
        asked = get(row, ("eval",), where)
        if name not in PLACES or not isinstance(asked, list) or not asked or not isinstance(asked[0], dict):
            raise UserError(f"{where}: no task_type and data_version of Face-Human-Bench, or no eval")
        place = PLACES[name]
        info, turn = get(row, ("sample_info",), where), get(asked[0], ("round",), where)
        if not isinstance(info, dict) or not isinstance(turn, int):
            raise UserError(f"{where}: sample_info is no object, or round no number")
        ending = "_zh" if _WORDS["_zh"][1] in str(asked[0].get("text")) else ""
        problems.append(_problem(place, numbers[place], where, info, turn, ending))
        replies.append(get_text(asked[0], ("output",), where))
        numbers[place] += 1
    return problems, replies


def score_files(references: Path, predictions: Path | None, allow_missing: bool = False) -> Scored:
    """Face-Human-Bench: accuracy of the whole and of each ability of its three levels.

    References are a folder of its questions, such as data/Face-Human-Bench/test/json/en, to which predictions, JSON
    lines of id (face_age_basic_5/original/0) and text, belong; or a file of results of its eval.py, which holds both.
    """
    if references.is_dir() == (predictions is None):
        raise UserError(f"{references}: a folder of questions wants --predictions, and a file of results none")
    replies: Sequence[str | None]
    if predictions is None:
        problems, replies = read_results(references)
    else:
        problems = read_problems(references)
        ids = [problem.id for problem in problems]
        replies = pair(ids, read_replies(predictions, ids), references, predictions, allow_missing=allow_missing)
    return with_replies(score_face_human(problems, answers(replies)), replies)


def samples(task: str, source: "Source") -> Iterator[Sample]:
    for problem in read_problems(source_file(task, source)):
        picture = source_picture(task, source, problem.image, {"image": problem.image})
        truth, ability = (problem.answer,), problem.ability
        yield Sample(problem.id, task, problem.picture, picture, problem.prompt, truth, problem, ability)


def judge(samples: Sequence[Sample], replies: Sequence[str | None], _: Coordinates) -> Judged:
    found = score_face_human([sample.truth for sample in samples], replies)
    return Judged(found.per_sample["chosen"], list(map(float, found.per_sample["right"])), found.contributions)


def _problem(place: int, number: int, where: str, row: Row, turn: int, ending: str) -> Problem:
    name, version = SUBSETS[place][:2]
    options, asked = _options(where, row), row["QA"]
    count, answer = len(options), get(asked, ("answer",), where)
    if not isinstance(answer, int) or not 0 <= answer < count:
        raise UserError(f"{where}: answer {answer!r} is no place of an option")
    paths = row.get("image", {}).get("image_paths") if isinstance(row.get("image"), dict) else None
    if not isinstance(paths, dict) or not paths:
        raise UserError(f"{where}: no image with image_paths")
    image = str(paths.get(version) or next(iter(paths.values())))  # one published file names its version wrongly
    turned = {letter: options[(place + turn) % count] for place, letter in enumerate("ABCD"[:count])}
    start, end = _WORDS[ending]
    listed = "".join(f"{letter}. {text}\n" for letter, text in turned.items())
    prompt = f"{start}{get_text(asked, ('question',), where)}\n{listed}{end}"
    return Problem(f"{name}/{version}/{number}", place, image, prompt, turned, "ABCD"[(answer - turn) % count])


def _options(where: str, row: Row) -> list[str]:
    asked: Any = row.get("QA")
    options = asked.get("options") if isinstance(asked, dict) else None
    if not isinstance(options, list) or not 2 <= len(options) <= 4:
        raise UserError(f"{where}: no QA with two to four options")
    return [str(option) for option in options]


def _mean(values: Array) -> Array:
    """Over the first axis, of what is defined."""
    defined = np.isfinite(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0))


TASK = Task(
    "face_human",
    "Faces and people",
    "Multiple choice of ten abilities, each with the same weight (Face-Human-Bench).",
    "accuracy",
    samples,
    judge,
    judged_metrics,
    score_files,
    (
        click.option("--references", type=FILE, required=True, metavar="FOLDER|FILE"),
        click.option("--predictions", type=FILE, metavar="FILE"),
    ),
)
