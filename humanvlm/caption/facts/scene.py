"""What is measured of the picture as a whole: things, light, and what is behind the people."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from humanvlm.caption.facts import attributes, said, surface
from humanvlm.caption.facts.attributes import Floats, Picture
from humanvlm.caption.facts.colour import colour_shares, lab_of
from humanvlm.caption.facts.labels import sums, vocabulary
from humanvlm.data.detections import Box, box_of, clip
from humanvlm.data.facts import Guess, Thing

NOT_THINGS = {"person", "tie"}
MOST_THINGS = 8
LEAST_OUTSIDE = 0.05  # share of the picture outside of the people, below which it is not looked at
MUCH_COVERED = 0.3  # share that people cover, from which on the labels are first asked of a picture without them
NAMES_ENOUGH = 0.3  # share of the labels that have a name here, at which one look is enough
GREY = 127
LEAST_UNWORN, LEAST_NAMED = 0.3, 1e-3  # shares of a picture's probability, of less of which it is not all that is left
LEAST_COLOURED = 20  # px, shorter side of the middle of a thing whose colour is named
SOLID = {
    *("car", "bus", "truck", "train", "boat", "umbrella", "suitcase", "couch", "bed", "dog", "cat", "horse", "cow"),
    *("bear", "cup", "bowl", "vase", "bottle", "fire hydrant", "surfboard", "frisbee", "sports ball", "kite"),
    *("refrigerator", "oven", "book", "teddy bear"),
}
LABELS = "efficientnet-lite3"
LEAST, SAID = 0.3, 0.6  # probabilities: what is noted at all, and what a caption says by default
FOUND_AT = {
    "indoors": {
        *("couch", "bed", "tv", "laptop", "toilet", "oven", "sink", "refrigerator", "microwave", "keyboard", "mouse"),
        *("remote", "book", "toaster", "dining table", "hair drier", "wine glass", "teddy bear"),
    },
    "outdoors": {
        *("car", "bus", "truck", "train", "boat", "bench", "horse", "sheep", "cow", "elephant", "zebra", "giraffe"),
        *("airplane", "surfboard", "kite", "skis", "snowboard", "traffic light", "stop sign"),
        *("fire hydrant", "parking meter"),
    },
}
CONFUSED = (("bicycle", "motorcycle"), ("dog", "cat", "horse", "cow", "sheep", "bear", "zebra", "elephant", "bird"))
# Of the logistic curves from what speaks for a place to its probability; most photographs are taken outdoors.
PLACE_BIAS, PLACE_SLOPE = 0.25, {"indoors": 0.5, "outdoors": 0.9}
# Exponents: of detections of a score s, and of words whose labels share s, s ** exponent are right (photographs).
CALIBRATION = {"detected": 0.75, "settings": 0.7, "objects": 1.1, "wider": 0.75}


def behind(
    rgb: Picture, small: Picture, people: Sequence[npt.NDArray[np.bool_]], frames: Sequence[Box]
) -> tuple[Guess, ...]:
    """Colours of what is outside of the people's masks [height, width], and of boxes (xyxy px) of those who have none;
    () when that is less than 5% of the picture. small: the picture averaged down.
    """
    outside = outside_of(rgb, frames)
    for mask in people:
        outside &= ~mask
    return colour_shares(small, outside) if np.count_nonzero(outside) > LEAST_OUTSIDE * outside.size else ()


def outside_of(rgb: Picture, frames: Sequence[Box]) -> npt.NDArray[np.bool_]:
    """[height, width]: the pixels outside of all the boxes."""
    outside = np.ones(rgb.shape[:2], dtype=bool)
    for x0, y0, x1, y1 in frames:
        outside[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] = False
    return outside


def label_evidence(rgb: Picture, frames: Sequence[Box]) -> Floats:
    """[1000] probabilities of ImageNet's labels of what is around the people.

    Whoever stands in front draws most of the probability: where people cover much of the picture they are greyed out,
    so that what is behind is seen. Where that look finds little that has a name here, the other one is asked as well,
    and each counts as far as it names something. What is worn is no part of the scene. frames: xyxy px.
    """
    whole = cv2.resize(rgb, (attributes.LABELLED, attributes.LABELLED), interpolation=cv2.INTER_AREA)
    height, width = rgb.shape[:2]
    scale = np.array([attributes.LABELLED / width, attributes.LABELLED / height] * 2)
    outside = outside_of(whole, [box_of((np.asarray(frame) * scale).tolist()) for frame in frames])
    seen = np.count_nonzero(outside) / outside.size
    if seen in (0, 1) or seen < LEAST_OUTSIDE:
        return attributes.label_probabilities(whole)
    without = whole.copy()
    without[~outside] = GREY
    looks = (whole, without) if seen > 1 - MUCH_COVERED else (without, whole)
    first = _unworn(attributes.label_probabilities(looks[0]))
    if first[_nameable()].sum() >= NAMES_ENOUGH:
        return first
    views = np.stack([first, _unworn(attributes.label_probabilities(looks[1]))])
    named = np.maximum(views[:, _nameable()].sum(axis=1), LEAST_NAMED)
    return np.asarray(named @ views / named.sum(), dtype=np.float32)


def _unworn(probabilities: Floats) -> Floats:
    """[1000] the probabilities of what is not worn, of a picture that shows some of it."""
    left = probabilities.copy()
    left[vocabulary()["worn"]["worn"]] = 0
    return left / max(float(left.sum()), LEAST_UNWORN)


@cache
def _nameable() -> npt.NDArray[np.intp]:
    """Numbers of the labels of things and settings."""
    kinds = ("settings", "objects", "wider")
    return np.unique(np.concatenate([numbers for kind in kinds for numbers in vocabulary()[kind].values()]))


def surroundings(
    rgb: Picture,
    small: Picture,
    objects: Sequence[Mapping[str, Any]],
    frames: Sequence[Box],
    evidence: Floats,
    texts: Sequence[str],
) -> tuple[tuple[Thing, ...], Guess | None]:
    """Things, surest first, and where the picture was taken; of detections, labels and what the index's texts name.

    small: the picture averaged down.
    """
    grounds = surface.surfaces(rgb, small, outside_of(rgb, frames))
    named = [(noun, said.belief(noun, evidence, noun.noun.surface in grounds)) for noun in said.named(texts)]
    told = {noun.noun.name: belief for noun, belief in named if noun.noun.thing}
    seen = tuple(
        replace(thing, colour=colour_of(rgb, thing, frames)) for thing in things(objects, evidence, told, rgb.shape[1])
    )
    places = {words: Guess(words, sure, LABELS) for words, sure in believed("settings", evidence).items()}
    places |= {ground.value: ground for ground in grounds.values()}
    for noun, belief in named:
        if not noun.noun.thing or noun.located:
            words = said.phrase(noun)
            sure = either(places[words].probability, belief) if words in places else belief
            places[words] = Guess(words, sure, "text")
    best = max(places.values(), key=lambda guess: (guess.probability, guess.value), default=None)
    return seen, best if best and best.probability >= LEAST else None


def relabelled(objects: Sequence[Mapping[str, Any]], evidence: Floats) -> list[Mapping[str, Any]]:
    """Detections; one that the label network clearly takes for another of the same kind has that one's label.

    Detectors take bicycles for motorcycles and dogs for horses far more often than classifiers do.
    """
    share = {**sums("wider", evidence), **sums("objects", evidence)}
    found = []
    for one in objects:
        kind = next((kind for kind in CONFUSED if one["label"] in kind), ())
        likeliest = max(kind, key=lambda label: share.get(label, 0.0), default=one["label"])
        wrong = share.get(likeliest, 0.0) >= 0.3 > 4 * share.get(one["label"], 0.0)
        both = any(other["label"] == likeliest for other in objects) and share.get(one["label"], 0.0) > 0.02
        found.append({**one, "label": likeliest} if wrong and not both else one)
    return found


def things(
    objects: Sequence[Mapping[str, Any]], evidence: Floats, named: Mapping[str, float], width: int
) -> tuple[Thing, ...]:
    """Things by label, surest first: detected ones, and those that the label network or a text names.

    Evidence of one thing adds up. A wider word (boat) is said where its narrower ones share the probability. named:
    how far a text is believed, by the thing that it names.
    """
    by_label: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for thing in objects:
        if thing["label"] not in NOT_THINGS:
            by_label[thing["label"]].append(thing)
    labelled, wider = believed("objects", evidence), believed("wider", evidence)
    found = []
    for label, same in by_label.items():
        best = max(same, key=lambda thing: thing["score"])
        x0, y0, x1, y1 = best["box"]
        seen = max(labelled.get(label, 0.0), wider.get(label, 0.0))
        sure = either(_sure("detected", float(best["score"])), seen, named.get(label, 0.0))
        box = tuple(round(float(value), 1) for value in (x0, y0, x1, y1))
        found.append(Thing(label, len(same), third((x0 + x1) / 2, width), sure, str(best.get("source", "")), box))
    for words, sure in labelled.items():
        if words not in by_label and sure >= LEAST:
            found.append(Thing(words, 1, "", sure, LABELS))
    for words, sure in named.items():
        if words not in by_label and labelled.get(words, 0.0) < LEAST:
            found.append(Thing(words, 1, "", sure, "text"))
    found += _wider(found, evidence)
    return tuple(sorted(found, key=lambda thing: (-thing.probability, thing.label))[:MOST_THINGS])


def _wider(found: Sequence[Thing], evidence: Floats) -> list[Thing]:
    """Things by a wider word, where neither it nor a narrower one that is sure enough is named already."""
    narrower = [
        set(vocabulary()["objects"].get(thing.label, np.array([])).tolist())
        for thing in found
        if thing.probability >= SAID
    ]
    named, wider = {thing.label for thing in found}, []
    for words, sure in believed("wider", evidence).items():
        numbers = set(vocabulary()["wider"][words].tolist())
        if sure >= SAID and words not in named and not any(labels & numbers for labels in narrower):
            wider.append(Thing(words, 1, "", sure, LABELS))
    return wider


@cache
def _where() -> Mapping[str, str]:
    """Indoors or outdoors, by the phrase of a setting that is hardly ever elsewhere."""
    places = {where: set(numbers.tolist()) for where, numbers in vocabulary()["places"].items()}
    found = dict.fromkeys((surface.WORDS[name] for name in surface.OUTDOORS), "outdoors")
    for words, numbers in vocabulary()["settings"].items():
        for where, known in places.items():
            if known.issuperset(numbers.tolist()):
                found[words] = where
    return found | {noun.say: noun.where for noun in said.lexicon().values() if noun.where}


def place(objects: Sequence[Mapping[str, Any]], evidence: Floats, setting: Guess | None) -> Guess | None:
    """Indoors or outdoors, by the labels, the detected things and the settings that are hardly ever seen elsewhere;
    None when neither has enough of them.
    """
    share, source = sums("places", evidence), LABELS
    where = _where().get(setting.value) if setting and setting.probability >= SAID else None
    if setting and where and setting.probability > share[where]:
        share[where], source = setting.probability, setting.source
    found = {
        where: max((float(one["score"]) for one in objects if one["label"] in labels), default=0.0)
        for where, labels in FOUND_AT.items()
    }
    sign = 3 * (share["indoors"] - share["outdoors"]) + 1.5 * (found["indoors"] - found["outdoors"]) - PLACE_BIAS
    where = "indoors" if sign > 0 else "outdoors"
    sure = round(1 / (1 + math.exp(-PLACE_SLOPE[where] * abs(sign))), 3)
    return Guess(where, sure, source) if sure >= SAID else None


def colour_of(rgb: Picture, thing: Thing, frames: Sequence[Box]) -> Guess | None:
    """The colour of a detected thing that fills its box: that of most pixels in the box's middle, none of a person's.

    None where the thing is small, not of a solid kind, covered by people, or of several colours.
    """
    if thing.box is None or thing.label not in SOLID:
        return None
    x0, y0, x1, y1 = thing.box
    across, down = 0.2 * (x1 - x0), 0.2 * (y1 - y0)
    left, top, right, bottom = (
        round(v) for v in clip((x0 + across, y0 + down, x1 - across, y1 - down), *rgb.shape[1::-1])
    )
    if min(right - left, bottom - top) < LEAST_COLOURED:
        return None
    free = outside_of(rgb, frames)[top:bottom, left:right]
    shares = colour_shares(rgb[top:bottom, left:right], free) if free.mean() > 0.5 else ()
    return shares[0] if shares and shares[0].probability >= SAID else None


def either(*probabilities: float) -> float:
    """The probability that one of independent signs is right (noisy or)."""
    wrong = 1.0
    for probability in probabilities:
        wrong *= 1 - min(probability, 1.0)
    return round(1 - wrong, 3)


def believed(kind: str, evidence: Floats) -> dict[str, float]:
    """Probabilities of a kind's words that have any."""
    return {words: _sure(kind, share) for words, share in sums(kind, evidence).items() if share > 0}


def _sure(kind: str, share: float) -> float:
    """How often words whose labels have this share of the probability are right."""
    return round(float(min(share, 1.0) ** CALIBRATION[kind]), 3)


def light_of(small: Picture) -> tuple[str, str, bool]:
    """Light (dim, even, bright) and contrast (low, medium, high) by CIE lightness, and whether there is no colour; of a
    picture averaged down.
    """
    lab = lab_of(small)
    mean, spread = float(lab[..., 0].mean()), float(lab[..., 0].std())
    light = "dim" if mean < 32 else "bright" if mean > 66 else "even"
    contrast = "low" if spread < 13 else "high" if spread > 27 else "medium"
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    tint = np.hypot(lab[..., 1].std(), lab[..., 2].std())  # sepia has chroma, but only one
    return light, contrast, bool(np.percentile(chroma, 95) < 5 or tint < 1.5)


def third(x: float, width: int) -> str:
    return "left" if x < width * 0.36 else "right" if x > width * 0.64 else "centre"
