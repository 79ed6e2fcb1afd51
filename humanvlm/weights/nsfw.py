"""Yahoo's open_nsfw, with the preprocessing its weights were trained with: 256 by 256 bilinear, centre 224, one JPEG
round trip, BGR minus mean."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from humanvlm.data.image import opened
from humanvlm.weights.run import network

OPEN_NSFW = "open-nsfw"  # its entry of models.yaml
MEAN_BGR = np.array([104, 117, 123], dtype=np.float32)


def nsfw_probability(rgb: NDArray[Any], name: str = OPEN_NSFW) -> float:
    """Probability, 0..1, that a uint8 RGB picture (height, width, 3) is not safe for work. name: of another entry with
    such weights. Raises ModelError when there is no such network here."""
    crop = Image.fromarray(rgb).resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240))
    # The reference puts the crop through JPEG; without it scores differ from the published ones.
    stored = BytesIO()
    crop.save(stored, format="JPEG")
    pixels = np.asarray(opened(stored.getvalue()), dtype=np.float32)[:, :, ::-1] - MEAN_BGR
    return float(network(name)(pixels[None])[0][0, 1])
