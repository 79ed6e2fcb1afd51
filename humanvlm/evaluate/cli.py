"""``humanvlm score TASK``: score files of predictions against files of references, without the rest of the pipeline."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from humanvlm.evaluate.stats.scored import Scored

FILE = click.Path(path_type=Path)
REFERENCES = click.option("--references", type=FILE, required=True, metavar="FILE")
PREDICTIONS = click.option("--predictions", type=FILE, required=True, metavar="FILE")
SPACE = click.option(
    "--space",
    type=click.Choice(["auto", "pixels", "unit", "percent", "thousand"]),
    default="auto",
    show_default=True,
    help="What coordinates are in: pixels, 0-1, 0-100 or 0-1000 of the picture. auto: the tightest of 0-1, 0-100, "
    "pixels, 0-1000 that fits 98% of the file's replies, else the one that fits most; Qwen-VL's box marks mean 0-1000. "
    "Replies that alone would allow another are counted as ambiguous_space.",
)


@click.group()
def score() -> None:
    """Score predictions against references, as the official scorers do.

    \b
    Files may be gzip. JSON lines are streamed; JSON documents are read up to 1 GiB.
    Every id of the references needs one prediction; a missing, unknown or doubled
    id is an error that names it. --allow-missing scores missing ones as wrong.
    Malformed files and rows are errors; replies that cannot be read are scored as
    wrong (POPE: as its authors do) and counted. Scores are shares (0 to 1), but for
    MME (0 to 2800).
    """


def _task(*options: Callable[[Any], Any]) -> Callable[[Callable[..., "Scored"]], click.Command]:
    """A command that scores, prints a table, and writes a file when asked."""

    def register(read_and_score: Callable[..., "Scored"]) -> click.Command:
        def command(out: Path | None, bootstrap: int, seed: int, **given: Any) -> None:
            from humanvlm.evaluate.score import finish, table, write_result

            result = finish(read_and_score(**given), bootstrap, seed)
            if out:
                write_result(out, result)
            click.echo(table(result))

        common = (
            click.option("--out", type=FILE, metavar="FILE.json", help="Scores, counts, and every sample's values."),
            click.option("--bootstrap", type=click.IntRange(0), default=0, help="Resamples for 95% intervals."),
            click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Of the resamples."),
            click.option("--allow-missing", is_flag=True, help="Score missing predictions as wrong, and count them."),
        )
        for option in reversed((*options, *common)):
            command = option(command)
        name = read_and_score.__name__.removeprefix("_")
        return score.command(name, help=read_and_score.__doc__)(command)

    return register


METRICS = click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="bleu, meteor, rouge_l, cider (which is CIDEr-D, as cider_d too); given again for more.",
)
IDF = click.option("--idf", type=FILE, metavar="FILE", help="CIDEr's document frequencies, of another corpus.")
WRITE_IDF = click.option("--write-idf", type=FILE, metavar="FILE.json.gz", help="Write those of these references.")


@_task(
    REFERENCES,
    click.option("--predictions", type=FILE, metavar="FILE", help="Not with pairs, which hold the candidates too."),
    METRICS,
    IDF,
    WRITE_IDF,
)
def _captions(
    references: Path,
    predictions: Path | None,
    metrics: tuple[str, ...],
    idf: Path | None,
    write_idf: Path | None,
    allow_missing: bool,
) -> "Scored":
    """COCO captions: BLEU-1 to 4, METEOR, ROUGE-L and CIDEr.

    References are COCO's annotations or an object of lists of captions by id, predictions COCO's results or an object
    of captions by id; or references alone, an object of candidate and references by id. CIDEr's document frequencies
    are those of the references, unless --idf names others: pin them to compare scores of parts of a benchmark.
    """
    from humanvlm.evaluate.tasks.captions import score_caption_files

    chosen = {"metrics": metrics} if metrics else {}
    return score_caption_files(
        references, predictions, allow_missing=allow_missing, idf=idf, write_idf=write_idf, **chosen
    )


@_task(REFERENCES, PREDICTIONS, METRICS, IDF)
def _reg(
    references: Path, predictions: Path, metrics: tuple[str, ...], idf: Path | None, allow_missing: bool
) -> "Scored":
    """RefCOCO, RefCOCO+, RefCOCOg: expressions for boxes, scored as captions.

    References are those of grounding; the expressions of one box are the references of its region. Predictions are JSON
    lines with the id of any expression of the region, and text: one a region.
    """
    from humanvlm.evaluate.score import score_reg_files

    chosen = {"metrics": metrics} if metrics else {}
    return score_reg_files(references, predictions, allow_missing=allow_missing, idf=idf, **chosen)


@_task(
    click.option("--questions", type=FILE, metavar="FILE", help="To check the ids, and for the record."),
    click.option("--annotations", type=FILE, required=True, metavar="FILE"),
    PREDICTIONS,
)
def _vqa(questions: Path | None, annotations: Path, predictions: Path, allow_missing: bool) -> "Scored":
    """VQAv2: accuracy over ten answers, by answer type and question type.

    The files are those of VQAv2; predictions are a list of question_id and answer. ``official`` in the output is the
    report of the official evaluator: percent, rounded to two decimals.
    """
    from humanvlm.evaluate.score import score_vqa_files

    return score_vqa_files(questions, annotations, predictions, allow_missing=allow_missing)


@_task(
    REFERENCES,
    PREDICTIONS,
    SPACE,
    click.option(
        "--boxes",
        type=click.Choice(["xyxy", "xywh"]),
        default="xyxy",
        show_default=True,
        help="What the four numbers of a reply are: corners, or corner and sides.",
    ),
    click.option(
        "--reference-boxes", type=click.Choice(["xyxy", "xywh"]), default="xyxy", show_default=True, help="In pixels."
    ),
)
def _grounding(
    references: Path, predictions: Path, space: Any, boxes: str, reference_boxes: str, allow_missing: bool
) -> "Scored":
    """RefCOCO, RefCOCO+, RefCOCOg: Acc@0.5, Acc@0.75 and mean IoU.

    References are JSON lines with expression, bbox (pixels), width, height, image_id, and sent_id or id; predictions
    have the same id (or line, counted from 0) and text, or bbox with four numbers. acc50_authors is the figure of the
    HumanVLM authors' script: whole hundredths and sides one longer, which is more generous. A reply without a box that
    is finite, not swapped, not empty and not wholly outside of the picture is unparseable, and wrong.
    """
    from humanvlm.evaluate.score import score_grounding_files

    return score_grounding_files(
        references,
        predictions,
        space=space,
        sides=boxes == "xywh",
        reference_sides=reference_boxes == "xywh",
        allow_missing=allow_missing,
    )


@_task(
    REFERENCES,
    PREDICTIONS,
    click.option(
        "--kind",
        type=click.Choice(["keypoints", "bbox", "pck"]),
        default="keypoints",
        show_default=True,
        help="keypoints: AP by OKS; bbox: AP of boxes; pck: keypoints told in words.",
    ),
    SPACE,
)
def _keypoints(references: Path, predictions: Path, kind: Any, space: Any, allow_missing: bool) -> "Scored":
    """COCO keypoints or boxes: average precision and recall, as COCOeval.

    References are a COCO file of annotations, predictions a COCO file of results. A score of -1 means that there is
    nothing to be found. With --kind pck, predictions are JSON lines with the annotation's id and text such as "left eye
    at (120, 45)"; a visible keypoint is right within 0.05, 0.1 or 0.2 of the longer side of the person's box.
    """
    from humanvlm.evaluate.score import score_keypoints_files

    return score_keypoints_files(references, predictions, kind=kind, space=space, allow_missing=allow_missing)


@_task(
    click.option("--references", type=FILE, required=True, multiple=True, metavar="FILE"),
    click.option("--predictions", type=FILE, required=True, multiple=True, metavar="FILE"),
)
def _pope(references: tuple[Path, ...], predictions: tuple[Path, ...], allow_missing: bool) -> "Scored":
    """POPE: accuracy, precision, recall, F1 and share of yes.

    References are JSON lines with question_id, image, text, label; predictions have question_id and text (or answer),
    or, without any ids, the same order. Give both options once for each of the random, popular and adversarial files.
    Replies are read as the official code does: No, no or not in the first sentence is a no, all else a yes.
    """
    from humanvlm.evaluate.score import score_pope_files

    return score_pope_files(references, predictions, allow_missing=allow_missing)


@_task(
    click.option("--references", type=FILE, required=True, metavar="FILE|FOLDER"),
    click.option("--predictions", type=FILE, metavar="FILE"),
)
def _mme(references: Path, predictions: Path | None, allow_missing: bool) -> "Scored":
    """MME: accuracy, accuracy+ and score of each category, perception and cognition.

    References are the official folder of CATEGORY.txt with replies, or JSON lines with id, category, image, question
    and answer, to which predictions, JSON lines with id and text, belong.
    """
    from humanvlm.evaluate.score import score_mme_files

    return score_mme_files(references, predictions, allow_missing=allow_missing)


@_task(REFERENCES, PREDICTIONS)
def _choice(references: Path, predictions: Path, allow_missing: bool) -> "Scored":
    """MMBench and the like: multiple choice, circular and vanilla.

    References are MMBench's tsv (index, question, A, B, …, answer, category, l2-category); predictions a tsv with index
    and prediction, or JSON lines with index and text.
    """
    from humanvlm.evaluate.score import score_choice_files

    return score_choice_files(references, predictions, allow_missing=allow_missing)


@_task(REFERENCES, PREDICTIONS)
def _attributes(references: Path, predictions: Path, allow_missing: bool) -> "Scored":
    """CelebA, HumanHQ: accuracy, balanced accuracy and F1 of each attribute, and their means.

    References are CelebA's list_attr file or JSON lines with id and attributes (name to true or false); predictions
    either of these, or JSON lines with id, attribute and text.
    """
    from humanvlm.evaluate.score import score_attributes_files

    return score_attributes_files(references, predictions, allow_missing=allow_missing)
