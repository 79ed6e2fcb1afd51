"""What MLflow serves: pictures as people's tools encode them, and boxes as data."""

import base64
import io
import json
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import predictions_to_json
from PIL import Image

from humanvlm.inference import generate
from humanvlm.registry.serving import HumanVLM, decoded, read_picture


def picture() -> bytes:
    """60 × 40 pixels."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((60, 40)).convert("RGB").save(file, "JPEG")
    return file.getvalue()


FORMS = {
    "plain": base64.b64encode(picture()).decode(),
    "lines": base64.encodebytes(picture()).decode(),
    "lines of Windows": "\r\n".join(textwrap.wrap(base64.b64encode(picture()).decode(), 76)) + "\r\n",
    "URL-safe": base64.urlsafe_b64encode(picture()).decode(),
    "URL-safe without padding": base64.urlsafe_b64encode(picture()).decode().rstrip("="),
    "data URL": f"data:image/jpeg;base64,{base64.b64encode(picture()).decode()}",
    "data URL with parameters, wrapped": " DATA:image/jpeg;name=a;BASE64,\n" + base64.encodebytes(picture()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_base64_as_tools_write_it(form: str) -> None:
    assert read_picture(FORMS[form], 0).size == (60, 40)


@given(
    st.binary(max_size=300), st.booleans(), st.booleans(), st.integers(1, 80), st.sampled_from(["", "\n", "\r\n", " "])
)
def test_whatever_is_written_is_read(data: bytes, safe: bool, padded: bool, width: int, between: str) -> None:
    text = (base64.urlsafe_b64encode if safe else base64.b64encode)(data).decode()
    text = text if padded else text.rstrip("=")
    lines = between.join(text[at : at + width] for at in range(0, len(text), width)) if between else text
    assert decoded(lines) == data


@pytest.mark.parametrize("text", ["", "nothing here!", "data:image/png,abc", "AAAA", "A", "data:image/png;base64,"])
def test_what_is_no_picture_names_its_row(text: str) -> None:
    with pytest.raises(MlflowException, match="row 3: image is not a base64 picture") as found:
        read_picture(text, 3)
    assert found.value.get_http_status_code() == 400


@pytest.fixture
def served(checkpoint: Path) -> HumanVLM:
    model = HumanVLM()
    model.load_context(SimpleNamespace(artifacts={"checkpoint": str(checkpoint / "model")}))
    return model


def test_boxes_and_keypoints_are_data(served: HumanVLM, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ["The man: [10, 20, 60, 80]; nose at (50, 50)", "Nobody."]
    monkeypatch.setattr(generate, "generate", lambda *_, **__: said)
    asked = pd.DataFrame({"image": [FORMS["lines"], FORMS["URL-safe"]], "prompt": ["Where?", "Who?"]})
    answer = io.StringIO()
    predictions_to_json(served.predict(None, asked), answer)
    first, second = json.loads(answer.getvalue())["predictions"]
    assert first == {
        "text": said[0],
        "image_size": [60, 40],
        "boxes": [{"label": "The man", "xyxy": [6.0, 8.0, 36.0, 32.0]}],
        "keypoints": [{"name": "nose", "xy": [30.0, 20.0]}],
    }
    assert (second["text"], second["boxes"], second["keypoints"]) == ("Nobody.", [], [])


@pytest.mark.slow
def test_a_model_answers_through_mlflow(checkpoint: Path, tmp_path: Path) -> None:
    """Saved and loaded as it is registered, without its server."""
    import mlflow

    from humanvlm.registry.stage import serving_wrapper

    artifacts = {"checkpoint": str(checkpoint / "model")}
    mlflow.pyfunc.save_model(str(tmp_path / "saved"), python_model=str(serving_wrapper()), artifacts=artifacts)
    model: Any = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    found = model.predict(
        pd.DataFrame({"image": [FORMS["data URL"]], "prompt": ["Who?"]}), params={"max_new_tokens": 4}
    )
    assert list(found.columns) == ["text", "image_size", "boxes", "keypoints"]
    assert found["image_size"][0] == (60, 40)
