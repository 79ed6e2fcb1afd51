"""A classifier of CelebA's 40 face attributes (Liu et al. 2015, arXiv 1411.7766), where the user has one to give.

None ships in a package. What is taken: an ONNX network with one picture in, [n, 3, s, s] or [n, s, s, 3] float32, and
40 probabilities out, in CelebA's order. How it wants its pictures is said by the entry of models.yaml (``input``), or
by the metadata of the file: ``channels`` (RGB or BGR), ``mean`` and ``std`` of x/255 (one number or three).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from humanvlm.caption.facts.attributes import Picture, face_chip
from humanvlm.data.facts import Guess
from humanvlm.weights.catalog import ModelError, model_entries, model_entry
from humanvlm.weights.run import Network, network, opened

NAMES = (
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose"),
    *("Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses"),
    *("Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache"),
    *("Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks"),
    *("Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick"),
    *("Wearing_Necklace", "Wearing_Necktie", "Young"),
)
UNSAID = {"Attractive"}  # a judgement, which no caption may state
# Right eye, left eye, nose tip, mouth centre of CelebA's aligned faces (178 x 218 px), in their middle 178 x 178.
FRAME = np.array([[0.388, 0.511], [0.607, 0.511], [0.5, 0.63], [0.5, 0.742]], dtype=np.float32)

Classifier = Callable[[Picture, Sequence[float]], tuple[Guess, ...]]


@cache
def classifier(name: str) -> Classifier:
    """The classifier of an entry of models.yaml or of an .onnx file: picture and face points to the attributes that are
    likelier than not, in CelebA's order; () when the points span no face.

    Raises ModelError (one line, with the remedy) when there is no such file or entry, or it is not such a network.
    """
    net, spec, source = _opened(name)
    shape = net.input_shape
    channels_last = len(shape) == 4 and shape[3] == 3
    side = shape[1] if channels_last else shape[-1]
    if len(shape) != 4 or 3 not in (shape[1], shape[3]) or side < 1 or side != shape[2]:
        raise ModelError(
            f"{name}: its input is {list(shape)}, not [n, 3, s, s] or [n, s, s, 3] for pictures of s x s px"
        )
    mean, std = (_numbers(name, spec, key, default) for key, default in (("mean", 0.0), ("std", 1.0)))
    reverse = str(spec.get("channels", "RGB")).upper() == "BGR"

    def classify(rgb: Picture, points: Sequence[float]) -> tuple[Guess, ...]:
        chip = face_chip(rgb, points, side, FRAME)
        if chip is None:
            return ()
        picture = ((chip[..., ::-1] if reverse else chip).astype(np.float32) / 255 - mean) / std
        batch = picture if channels_last else picture.transpose(2, 0, 1)
        found = net(batch[None].astype(np.float32))[0].reshape(-1)
        if found.shape != (len(NAMES),) or not ((found >= 0) & (found <= 1)).all():
            raise ModelError(
                f"{name}: it gave {found.size} numbers, not {len(NAMES)} probabilities; end it with a sigmoid"
            )
        return tuple(
            Guess(attribute, round(float(probability), 3), source)
            for attribute, probability in zip(NAMES, found, strict=True)
            if probability >= 0.5 and attribute not in UNSAID
        )

    return classify


def _opened(name: str) -> tuple[Network, Mapping[str, Any], str]:
    """The network, what it says of its input, and what its guesses give as their source."""
    if name in model_entries():
        return network(name), model_entry(name, "face_attributes").input, name
    path = Path(name)
    if path.suffix != ".onnx" or not path.is_file():
        raise ModelError(
            f"human_caption.attribute_classifier: {name!r} is neither an entry of models.yaml nor an .onnx file"
        )
    try:
        net = opened(path)
    except Exception as error:  # the runtime's own, of many kinds
        raise ModelError(f"{path}: ONNX Runtime cannot open it ({str(error).splitlines()[0]})") from error
    return net, net.metadata, path.stem


def _numbers(name: str, spec: Mapping[str, Any], key: str, default: float) -> npt.NDArray[np.float32]:
    try:
        values = np.array(
            [float(value) for value in str(spec.get(key, default)).strip("[] ").split(",")], dtype=np.float32
        )
    except ValueError:
        values = np.empty(0, dtype=np.float32)
    if values.size not in (1, 3) or (key == "std" and not values.all()):
        raise ModelError(f"{name}: {key} is {spec.get(key)!r}, not one number or three")
    return values
