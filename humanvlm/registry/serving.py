"""The registered model as MLflow serves it: a picture and a prompt in; text, boxes and keypoints out. Logged as code,
so nothing is pickled.

Input columns: ``image`` (base64 of a JPEG, PNG or WebP file: plain, wrapped, URL-safe, or a data URL) and ``prompt``.
Parameter: ``max_new_tokens``. Output columns: ``text``; ``image_size`` (width and height), ``boxes`` (each ``label``,
or None, and ``xyxy``) and ``keypoints`` (each ``name`` and ``xy``), all in pixels of the picture, upright.
"""

import base64
import binascii
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from PIL import Image

MAX_BYTES = 20_000_000
MAX_NEW_TOKENS = 1024
BATCH_SIZE = 8
_HEAD = re.compile(r"\s*data:[^,]{0,200};base64,", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")


def read_picture(text: str, row: int) -> Image.Image:
    """The picture of a base64 string. Raises MlflowException (HTTP 400) naming the row."""
    from humanvlm.data.image import decode

    try:
        data = decoded(text)
        if len(data) > MAX_BYTES:
            raise ValueError(f"{len(data)} bytes, more than {MAX_BYTES}")
        return decode(data)
    except (binascii.Error, ValueError) as error:
        raise MlflowException.invalid_parameter_value(f"row {row}: image is not a base64 picture ({error})") from None


def decoded(text: str) -> bytes:
    """The bytes of base64 as tools write it: in lines (RFC 2045), with - and _ and without padding (RFC 4648, 5), or as
    a data URL. Raises ValueError for anything else."""
    written = "".join(_HEAD.sub("", text, count=1).split()).translate(_URL_SAFE).rstrip("=")
    return base64.b64decode(written + "=" * (-len(written) % 4), validate=True)


class HumanVLM(PythonModel):  # type: ignore[misc]
    """Greedy replies of the checkpoint, one a row, and what they point at."""

    def load_context(self, context: PythonModelContext) -> None:
        import torch

        from humanvlm.model.load import load_checkpoint

        model, self.processor = load_checkpoint(Path(context.artifacts["checkpoint"]))
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu")

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        from humanvlm.inference.generate import generate
        from humanvlm.inference.grounded import ground

        tokens = int((params or {}).get("max_new_tokens", 64))
        if not 1 <= tokens <= MAX_NEW_TOKENS:
            raise MlflowException.invalid_parameter_value(f"max_new_tokens={tokens}: must be 1 to {MAX_NEW_TOKENS}")
        pictures = [read_picture(text, row) for row, text in enumerate(model_input["image"])]
        prompts = [str(prompt) for prompt in model_input["prompt"]]
        texts = generate(self.model, self.processor, pictures, prompts, max_new_tokens=tokens, batch_size=BATCH_SIZE)
        found = [asdict(ground(text, picture.size)) for text, picture in zip(texts, pictures, strict=True)]
        columns = {name: [one[name] for one in found] for name in ("image_size", "boxes", "keypoints")}
        return pd.DataFrame({"text": texts, **columns})


set_model(HumanVLM())
