"""Yahoo's open_nsfw on ONNX Runtime, with the preprocessing its weights were trained with."""

from io import BytesIO

import numpy as np
from PIL import Image

from humanvlm.data.detections import Picture
from humanvlm.data.image import opened
from humanvlm.weights.catalog import ModelEntry
from humanvlm.weights.run import network

MEAN_BGR = np.array([104, 117, 123], dtype=np.float32)


class OpenNsfw:
    """256 by 256 bilinear, centre 224, one JPEG round trip, BGR minus mean."""

    def __init__(self, entry: ModelEntry) -> None:
        self._net = network(entry.name)

    def score(self, rgb: Picture) -> float:
        """Probability, 0..1, that the picture is not safe for work."""
        crop = Image.fromarray(rgb).resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240))
        # The reference puts the crop through JPEG; without it scores differ from the published ones.
        stored = BytesIO()
        crop.save(stored, format="JPEG")
        pixels = np.asarray(opened(stored.getvalue()), dtype=np.float32)[:, :, ::-1] - MEAN_BGR
        return float(self._net(pixels[None])[0][0, 1])
