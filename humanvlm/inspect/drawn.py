"""Which pictures people get to see: in contact sheets, pages, reports, Dagster's metadata and MLflow's artifacts.

Whoever draws a picture draws what ``drawable`` makes of it. Nobody should meet nudity in a report, nor spread it with
one.
"""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from humanvlm.weights.catalog import ModelError
from humanvlm.weights.nsfw import nsfw_probability

MAX_NSFW = 0.2  # greatest probability of nudity with which a picture is drawn
NEVER = ("nsfw", "unsafe_minor")  # reasons of dropped rows whose pictures are not drawn, whatever the probability
GREY = "#c8c8c8"

log = logging.getLogger("humanvlm")


def drawable(image: Image.Image, row: Mapping[str, Any] | None = None) -> Image.Image:
    """The RGB picture, or a grey one of its size where it may not be drawn.

    row: what is known of it: the ``nsfw`` that curation measured, the ``reason`` (and, after a colon, the detail) that
    it was dropped for. What curation did not measure is measured here; where that cannot be done, nothing is drawn.
    """
    return image if may_be_drawn(image, row or {}) else Image.new("RGB", image.size, GREY)


def may_be_drawn(image: Image.Image, row: Mapping[str, Any]) -> bool:
    if str(row.get("reason") or "").partition(":")[0] in NEVER:
        return False
    known = row.get("nsfw")
    if known is None:
        try:
            known = nsfw_probability(np.asarray(image))
        except ModelError as error:
            _say(str(error))
            return False
    return float(known) <= MAX_NSFW


@cache
def _say(error: str) -> None:
    """Once a process."""
    log.warning("pictures are drawn grey, as nothing here tells whether they are safe: %s", error)
