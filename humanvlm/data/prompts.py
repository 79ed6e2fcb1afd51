"""The instructions that captions, training, evaluation and serving share; multiple choice words its own in its task."""

import re

IMAGE_TOKEN = "<image>"  # noqa: S105
# What people write about a picture, and what a captioner writes, are two styles: each has its own question.
CAPTION = "Provide a one-sentence caption for the picture."
SHORT_CAPTION = "Describe the picture in one sentence."
DETAILED_CAPTION = "Describe the picture in detail."
HQ_CAPTION = "Describe the picture in detail: the face, the body and the background of each person."
QUESTION = "{question} Answer with a word or a short phrase."
YES_NO = "{question} Answer yes or no."
FIND = "Where is {expression}? Answer with a box in percent: [left, top, right, bottom]."
REFER = "Describe the person in the box {box} in a short phrase."
KEYPOINTS = "Where are the {names} of the person in the box {box}? Answer with name: [x, y] for each, from 0 to 100."

BOX = re.compile(r"\[" + ", ".join([r"(\d{1,2}|100)"] * 4) + r"\]")  # as format_box writes it


def format_box(box: tuple[float, float, float, float] | list[float], width: int, height: int) -> str:
    """An xyxy pixel box as text, in whole hundredths of the picture: ``[x1, y1, x2, y2]``."""
    scale = (width, height, width, height)
    return "[" + ", ".join(str(round(100 * value / size)) for value, size in zip(box, scale, strict=True)) + "]"
