"""What is measured of the picture as a whole: things, light, and what is behind the people."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from humanvlm.caption.facts.attributes import Picture
from humanvlm.caption.facts.colour import colour_shares, lab_of
from humanvlm.data.detections import Box
from humanvlm.data.facts import Guess, Thing

NOT_THINGS = {"person", "tie"}


def behind(rgb: Picture, frames: Sequence[Box]) -> tuple[Guess, ...]:
    """Colours of what is outside of the people's boxes (xyxy px); () when that is less than 5% of the picture."""
    outside = np.ones(rgb.shape[:2], dtype=bool)
    for x0, y0, x1, y1 in frames:
        outside[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] = False
    return colour_shares(rgb, outside) if outside.mean() > 0.05 else ()


def things(objects: Sequence[Mapping[str, Any]], guess: Guess, width: int) -> tuple[Thing, ...]:
    """Detected objects by label, surest first, then the label network's guess when the detector has no such thing."""
    by_label: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for thing in objects:
        if thing["label"] not in NOT_THINGS:
            by_label[thing["label"]].append(thing)
    things = []
    for label, same in by_label.items():
        best = max(same, key=lambda thing: thing["score"])
        position = third((best["box"][0] + best["box"][2]) / 2, width)
        things.append(Thing(label, len(same), position, round(float(best["score"]), 3)))
    if guess.value not in by_label:
        things.append(Thing(guess.value, 1, "", guess.probability))
    return tuple(sorted(things, key=lambda thing: (-thing.probability, thing.label))[:6])


def light_of(rgb: Picture) -> tuple[str, str, bool]:
    """Light (dim, even, bright) and contrast (low, medium, high) by CIE lightness, and whether there is no colour."""
    small = cv2.resize(rgb, (64, 64), interpolation=cv2.INTER_AREA)
    lab = lab_of(small)
    mean, spread = float(lab[..., 0].mean()), float(lab[..., 0].std())
    light = "dim" if mean < 32 else "bright" if mean > 66 else "even"
    contrast = "low" if spread < 13 else "high" if spread > 27 else "medium"
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    tint = np.hypot(lab[..., 1].std(), lab[..., 2].std())  # sepia has chroma, but only one
    return light, contrast, bool(np.percentile(chroma, 95) < 5 or tint < 1.5)


def third(x: float, width: int) -> str:
    return "left" if x < width * 0.36 else "right" if x > width * 0.64 else "centre"
