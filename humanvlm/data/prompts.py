"""The instructions that training, evaluation and serving share; a benchmark words its own questions in its task."""

IMAGE_TOKEN = "<image>"  # noqa: S105
SHORT_CAPTION = "Describe the picture in one sentence."
DETAILED_CAPTION = "Describe the picture in detail."
HQ_CAPTION = "Describe the picture in detail: the face, the body and the background of each person."


def format_box(box: tuple[float, float, float, float] | list[float], width: int, height: int) -> str:
    """An xyxy pixel box as text, in whole hundredths of the picture: ``[x1, y1, x2, y2]``."""
    scale = (width, height, width, height)
    return "[" + ", ".join(str(round(100 * value / size)) for value, size in zip(box, scale, strict=True)) + "]"
