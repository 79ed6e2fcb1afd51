"""From the signs of a head to what may be said of it: hair, what is worn on head and eyes, beard, mouth, eyes, turn.

What the logistic regressions of ``heads.yaml`` say is a probability; whoever writes decides how much is enough. What
was not seen well enough to ask is None.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import yaml

from humanvlm.caption.facts.colour import colour_shares
from humanvlm.caption.facts.crops import Head
from humanvlm.caption.facts.labels import best_guess, sums
from humanvlm.caption.facts.signs import Signs, signs_of
from humanvlm.data.facts import NONE, Guess

SOURCE = "face-landmark"
LEAST_EYES = 12.0  # px of the picture between the eyes; of smaller heads, only hair and hats can be told
LEAST_HEAD = 7.0  # px between the eyes below which nothing is asked
PROFILE = 50.0  # degrees of turn beyond which eyes and mouth are not measured
SURE = 0.5  # probability of a hat above which its colour is told
COVERED = 0.3  # probability of a hat above which hair is not told: it would be the hat's colour
BARE = 0.9  # share of the crown with the skin's colour above which no hair is told
ADULT_MALE = 0.7  # probability above which a beard is looked for
SEEN_ABOVE = 0.5  # share of the space above the head that must be in the picture to speak of hair and hats

Labels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Looks:
    """What a head shows; the fields of ``Person`` of the same names."""

    facing: Guess | None = None
    head: Guess | None = None
    mouth: Guess | None = None
    eyes: Guess | None = None
    hair: Guess | None = None
    hair_length: Guess | None = None
    headwear: Guess | None = None
    headwear_colour: Guess | None = None
    eyewear: Guess | None = None
    beard: Guess | None = None


def looks_of(head: Head, labels: Labels, bearded: float) -> Looks:
    """What one head shows. labels: [1000] probabilities of the label network for it; bearded: how probably it appears
    to be of a man, and so may have a beard.
    """
    if head.eye_distance < LEAST_HEAD:
        return Looks()
    signs = signs_of(head)
    crowned = signs.top.seen > SEEN_ABOVE and signs.top.colour is not None
    near, frontal = head.eye_distance >= LEAST_EYES, abs(signs.yaw) < PROFILE
    headwear = _chances("headwear", signs, labels) if crowned else {}
    hat = headwear.get("hat", 1.0)
    hair, length = _hair(signs, labels, hat) if crowned else (None, None)
    eyewear = _likeliest(_chances("eyewear", signs, labels)) if near and frontal else None
    uncovered = eyewear is not None and eyewear.value == NONE
    return Looks(
        facing=_facing(signs.yaw),
        head=_pose(signs, head.roll),
        mouth=_mouth(signs.mouth) if near and frontal else None,
        eyes=_eyes(signs.eyes) if near and frontal and uncovered else None,
        hair=hair,
        hair_length=length,
        headwear=_headwear(headwear, labels) if headwear else None,
        headwear_colour=_colour(head) if headwear and hat > SURE else None,
        eyewear=eyewear,
        beard=_likeliest(_chances("beard", signs, labels)) if near and frontal and bearded >= ADULT_MALE else None,
    )


def _facing(yaw: float) -> Guess:
    """Towards the camera within 25 degrees, surer the farther from it (a logistic of 5 degrees' width)."""
    turned = 1 / (1 + np.exp(-(abs(yaw) - 25) / 5))
    if turned < 0.5:
        return Guess("camera", round(float(1 - turned), 3), SOURCE)
    return Guess("right" if yaw > 0 else "left", round(float(turned), 3), SOURCE)


def _pose(signs: Signs, roll: float) -> Guess:
    """How the head is held. Of faces looking straight, the points' pitch is 5 to 17 degrees."""
    sides = {
        "tilted right": (roll - 15) / 3,
        "tilted left": (-roll - 15) / 3,
        "lowered": (signs.pitch - 30) / 4,
        "raised": (-signs.pitch - 12) / 4,
    }
    if abs(signs.yaw) > PROFILE:  # the roll of a profile is that of its nose
        sides = {"lowered": sides["lowered"], "raised": sides["raised"]}
    value = max(sides, key=sides.__getitem__)
    probability = float(1 / (1 + np.exp(-sides[value])))
    return Guess(
        *((value, round(probability, 3)) if probability >= 0.5 else ("upright", round(1 - probability, 3))), SOURCE
    )


def _mouth(gap: float) -> Guess:
    """Lips apart, teeth or not (CelebA's "mouth slightly open")."""
    opened = float(1 / (1 + np.exp(-(gap - 0.16) / 0.035)))
    if opened < 0.5:
        return Guess("closed", round(1 - opened, 3), SOURCE)
    return Guess("open", round(opened, 3), SOURCE)


def _eyes(gap: float) -> Guess | None:
    """Open where the lids are clearly apart; never closed, as the mesh draws such eyes as wide as narrow ones."""
    opened = float(1 / (1 + np.exp(-(gap - 0.26) / 0.03)))
    return Guess("open", round(opened, 3), SOURCE) if opened >= 0.5 else None


def _hair(signs: Signs, labels: Labels, hat: float) -> tuple[Guess | None, Guess | None]:
    """Colour and length, believed only as far as no hat hides the crown.

    None of a crown that looks like skin: bald people and very fair ones are not told apart.
    """
    if hat > COVERED or signs.top.bare > BARE:
        return None, None
    colours, lengths = _colours(signs, labels), _chances("hair_length", signs, labels)
    colour, length = (
        _likeliest({name: chance * (1 - hat) for name, chance in chances.items()}) for chances in (colours, lengths)
    )
    return colour, length


def _colours(signs: Signs, labels: Labels) -> Mapping[str, float]:
    """Chances of hair colours. A hue that hair does not grow in is dyed: greens, blues, purples and pinks, vivid."""
    _, a, b = signs.top.colour or (0, 0, 0)
    hue, chroma = float(np.degrees(np.arctan2(b, a))) % 360, float(np.hypot(a, b))
    if hue > 115 or hue < 5:
        dyed = float(1 / (1 + np.exp(-(chroma - 24) / 4)))
        if dyed > 0.5:
            return {"dyed": dyed}
    return _chances("hair", signs, labels)


def _headwear(chances: Mapping[str, float], labels: Labels) -> Guess:
    """A hat, by the label network's name where that has one for it, or none."""
    worn = _likeliest(chances)
    if worn.value == NONE:
        return worn
    kind = best_guess("headwear", labels)
    return Guess(kind.value, worn.probability, worn.source) if kind.probability >= 0.3 else worn


def _colour(head: Head) -> Guess | None:
    shares = colour_shares(head.rgb, head.crown)
    return Guess(shares[0].value, shares[0].probability, "colour") if shares else None


def _gap(value: float, least: float) -> float:
    return float(np.log(value + least))


def _seen(labels: Labels, kind: str) -> float:
    """Log of the summed probabilities of all labels of a kind."""
    return float(np.log(sum(sums(kind, labels).values()) + 0.01))


def _on_eyes(signs: Signs, labels: Labels) -> list[float]:
    bridge, under, temples = (_gap(edge, 0.1) for edge in (signs.bridge, signs.under, signs.temples))
    cheeks = _gap(signs.cheeks, 0.3)
    least = min(bridge, under, temples) - 0.5 * cheeks  # glasses have all three
    around = [signs.eye_light / 20, signs.eye_spread / 20, _seen(labels, "eyewear")]
    return [bridge, under, temples, cheeks, *around, least, bridge * under, bridge * temples]


def _on_head(signs: Signs, labels: Labels) -> list[float]:
    light, a, b = signs.top.colour or (50.0, 0.0, 0.0)
    natural = 15 < float(np.degrees(np.arctan2(b, a))) % 360 < 105
    return [
        *(_seen(labels, kind) for kind in ("headwear", "hatted", "wool", "hairdo")),
        *(signs.top.change / 10, 0.0 if natural else float(np.hypot(a, b)) / 10, signs.top.width, signs.top.forehead),
        *(_gap(signs.top.brim, 0.01), _gap(light, 5.0)),
    ]


def _of_hair(signs: Signs, labels: Labels) -> list[float]:
    light, a, b = signs.top.colour or (50.0, 0.0, 0.0)
    return [_gap(light, 8), _gap(signs.skin[0], 8), a / 10, b / 10, (a - signs.skin[1]) / 10, (b - signs.skin[2]) / 10]


def _of_length(signs: Signs, labels: Labels) -> list[float]:
    return [signs.top.below, signs.top.below_both, signs.top.beside]


def _of_beard(signs: Signs, labels: Labels) -> list[float]:
    return [signs.chin / 10, signs.lip / 10, signs.chin_colour / 10, _gap(signs.cheeks, 0.3)]


INPUTS: Mapping[str, Callable[[Signs, Labels], list[float]]] = {
    "eyewear": _on_eyes,
    "headwear": _on_head,
    "hair": _of_hair,
    "hair_length": _of_length,
    "beard": _of_beard,
}


@cache
def _regressions() -> Mapping[str, tuple[tuple[str, ...], npt.NDArray[np.float64]]]:
    """Names of the values, and [values, 1 + inputs] log-odds, of every kind of ``heads.yaml``."""
    text = files("humanvlm.caption.facts").joinpath("heads.yaml").read_text(encoding="utf-8")
    return {kind: (tuple(rows), np.array([*rows.values()])) for kind, rows in yaml.safe_load(text).items()}


def _chances(kind: str, signs: Signs, labels: Labels) -> Mapping[str, float]:
    """Probabilities of the values of a kind; they add up to 1."""
    names, weights = _regressions()[kind]
    scores = weights @ [1.0, *INPUTS[kind](signs, labels)]
    odds = np.exp(scores - scores.max())
    return dict(zip(names, (odds / odds.sum()).tolist(), strict=True))


def _likeliest(chances: Mapping[str, float]) -> Guess:
    value = max(chances, key=chances.__getitem__)
    return Guess(value, round(chances[value], 3), SOURCE)
