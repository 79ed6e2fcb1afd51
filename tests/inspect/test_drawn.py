"""Pictures that may be unsafe are drawn nowhere: not in sheets, pages of artifacts, trainings and benchmarks."""

import ast
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from humanvlm.inspect import drawn
from humanvlm.inspect.drawn import GREY, MAX_NSFW, drawable
from humanvlm.inspect.plots import contact_sheet, thumbnail
from humanvlm.weights.catalog import ModelError

RED = Image.new("RGB", (64, 48), "#ff0000")


def measured(monkeypatch: pytest.MonkeyPatch, answer: float | Exception | None) -> None:
    """What the network says; None: it must not be asked."""

    def nsfw_probability(rgb: np.ndarray) -> float:
        if not isinstance(answer, float):
            raise answer or AssertionError("measured without need")
        return answer

    monkeypatch.setattr(drawn, "nsfw_probability", nsfw_probability)


def is_grey(image: Image.Image | None) -> bool:
    assert image is not None
    return image.size == RED.size and image.getcolors() == [(64 * 48, (0xC8, 0xC8, 0xC8))]


def row(**known: Any) -> dict[str, Any]:
    sink = io.BytesIO()
    RED.save(sink, "PNG")
    return {"image": {"bytes": sink.getvalue()}, **known}


@pytest.mark.parametrize(
    ("known", "answer", "grey"),
    [
        ({"nsfw": MAX_NSFW}, None, False),
        ({"nsfw": 0.5}, None, True),
        ({}, 0.1, False),
        ({}, 0.5, True),
        ({"nsfw": None}, 0.5, True),
        ({}, ModelError("no such file"), True),  # nobody knows
        ({"reason": "nsfw: 0.9 > 0.8"}, None, True),
        ({"reason": "unsafe_minor"}, None, True),
        ({"reason": "too_small: 9 px", "nsfw": 0.1}, None, False),
    ],
)
def test_what_is_drawn(monkeypatch: pytest.MonkeyPatch, known: dict[str, Any], answer: Any, grey: bool) -> None:
    measured(monkeypatch, answer)
    assert is_grey(drawable(RED, known)) == grey
    assert is_grey(thumbnail(row(**known), 64)) == grey


def test_a_sheet_has_a_grey_tile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured(monkeypatch, None)
    contact_sheet([row(nsfw=0.9), row(nsfw=0.0)], tmp_path / "sheet.png", columns=2, side=64)
    with Image.open(tmp_path / "sheet.png") as sheet:
        colours = {colour for _, colour in sheet.getcolors(1 << 20) or ()}
    assert {(255, 0, 0), (0xC8, 0xC8, 0xC8)} <= colours
    contact_sheet([row(nsfw=0.9)], tmp_path / "sheet.png", columns=1, side=64)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (255, 0, 0) not in {colour for _, colour in sheet.getcolors(1 << 20) or ()}


def test_pages_of_trainings_and_benchmarks_ask_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from humanvlm.train.pages import thumbnail as of_training

    measured(monkeypatch, 0.5)
    hidden = of_training(RED)
    measured(monkeypatch, 0.1)
    assert hidden == of_training(Image.new("RGB", RED.size, GREY)) != of_training(RED)


def test_whoever_makes_a_picture_part_of_a_page_asks(repo: Path) -> None:
    """Files that scale pictures down or inline them reach ``drawable``, or are listed here with what they draw."""
    others = {
        "humanvlm/inference/chat.py": "what a model is asked about",
        "humanvlm/synthetic/crawl.py": "pictures that were made here",
        "humanvlm/scrape/visit.py": "Basic authentication",
        "humanvlm/serve/terminal.py": "what a model is asked about",
        "humanvlm/serve/page.py": "hashes of its script and style",
        "humanvlm/export/llamacpp.py": "what a model is asked about",
        "humanvlm/evaluate/baselines.py": "a mean of pictures",
        "humanvlm/inspect/html.py": "what it is given",
        "humanvlm/inspect/pages.py": "plots.thumbnail",
        "orchestration/metadata.py": "plots.picture_of",
    }
    found = set()
    for path in [*(repo / "humanvlm").rglob("*.py"), *(repo / "orchestration").rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(tree) if isinstance(node, ast.Call)}
        if called & {"thumbnail", "b64encode"} and "drawable" not in called:
            found.add(path.relative_to(repo).as_posix())
    assert found <= set(others)
