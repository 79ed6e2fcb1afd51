"""A trained model written out: a folder that plain transformers loads, two GGUF files, and what is refused."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from humanvlm.cli import main
from humanvlm.config.loading import Params
from humanvlm.config.model import Model
from humanvlm.data.atomic_io import write_json
from humanvlm.errors import UserError
from humanvlm.export.folder import is_of, noted
from humanvlm.export.model import Options, export_model
from humanvlm.model.build import build_llava
from humanvlm.pipeline.contract import artifact_files, identity


def stage2(folder: Path, models: dict[str, str]) -> Path:
    """An artifact of stage 2, with a report that a card can be made of."""
    model = Model(**models, system_prompt="")
    for part in build_llava(model):
        part.save_pretrained(folder / "model")
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    params = Params(model=model)
    report = {
        "stage": "stage2_checkpoint",
        "profile": "tiny",
        "rows": {"in": 8, "kept": 7, "dropped": {"held_out": 1}},
        "config": {name: getattr(params, name).model_dump(mode="json") for name in ("model", "stage2_checkpoint")},
        "metrics": {},
        "info": {"samples": {"captions": 7}},
        "outputs": [asdict(file) for file in artifact_files(folder)],
    }
    write_json(folder / "report.json", report)
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports are noted in the project, which is the folder of the process."""
    monkeypatch.chdir(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def artifact(tiny_models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage2(tmp_path_factory.mktemp("artifacts") / "stage2_checkpoint", tiny_models)


def test_a_folder_to_push_loads_with_transformers_alone(artifact: Path, tmp_path: Path) -> None:
    said = export_model("model", artifact, tmp_path / "out", Options(datasets=("people/pictures",)))
    assert "MB (model)" in said
    card = (tmp_path / "out" / "README.md").read_text()
    assert "datasets:\n- people/pictures\n" in card
    assert "Not scored yet" in card
    assert (tmp_path / "out" / "adapter" / "adapter_config.json").exists()
    code = (
        "import sys; from transformers import AutoModelForImageTextToText, AutoProcessor\n"
        f"model = AutoModelForImageTextToText.from_pretrained({str(tmp_path / 'out')!r})\n"
        f"print(AutoProcessor.from_pretrained({str(tmp_path / 'out')!r}).image_token, type(model).__name__)\n"
        "print([name for name in sys.modules if name.startswith('humanvlm')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-2:] == ["<image> LlavaForConditionalGeneration", "[]"]


def test_two_gguf_files_and_a_card_that_runs_them(artifact: Path, tmp_path: Path) -> None:
    export_model("gguf", artifact, tmp_path / "out", Options("q8_0", count=0))
    listing = json.loads((tmp_path / "out" / "export.json").read_text())
    names = {file["path"] for file in listing["files"]}
    assert names == {"humanvlm-q8_0.gguf", "mmproj-humanvlm-q8_0.gguf", "README.md"}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "llama-server --model humanvlm-q8_0.gguf --mmproj mmproj-humanvlm-q8_0.gguf" in card


def test_the_same_again_is_left_alone_and_another_takes_its_place(artifact: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_model("model", artifact, out, Options())
    assert "holds this export" in export_model("model", artifact, out, Options())
    (out / "config.json").unlink()
    assert "files" in export_model("model", artifact, out, Options())
    export_model("gguf", artifact, out, Options(count=0))
    assert not (out / "model.safetensors").exists()


def test_a_takedown_knows_of_which_checkpoint_it_is(artifact: Path, tmp_path: Path) -> None:
    export_model("model", artifact, tmp_path / "out", Options())
    assert (tmp_path / "out").resolve() in noted(Path())
    assert is_of(tmp_path / "out", {identity(artifact)})
    assert not is_of(tmp_path / "out", {"another"})


def test_what_no_export_made_is_not_touched(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(UserError, match=r"holds letter\.txt, which no export of a model made"):
        export_model("model", artifact, tmp_path, Options())
    assert (tmp_path / "letter.txt").read_text() == "Dear"


def test_a_tower_that_llama_cpp_lacks_is_named(artifact: Path, tmp_path: Path) -> None:
    shutil.copytree(artifact, tmp_path / "artifact")
    path = tmp_path / "artifact" / "model" / "config.json"
    config = json.loads(path.read_text())
    config["vision_config"] = {"model_type": "mobilenet_v2_tokens"}
    size = path.stat().st_size
    path.write_text(json.dumps(config).ljust(size))
    report = json.loads((tmp_path / "artifact" / "report.json").read_text())
    for file in report["outputs"]:
        if file["path"] == "model/config.json":
            file["bytes"] = path.stat().st_size
    write_json(tmp_path / "artifact" / "report.json", report)
    with pytest.raises(UserError, match=r"no vision tower 'mobilenet_v2_tokens'.*siglip") as refused:
        export_model("gguf", tmp_path / "artifact", tmp_path / "out", Options())
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_scores_of_another_checkpoint_are_refused(artifact: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", {"inputs": {"stage2_checkpoint": "another"}, "outputs": []})
    with pytest.raises(UserError, match="scores another checkpoint"):
        export_model("model", artifact, tmp_path / "out", Options(scores=tmp_path))


def test_the_card_has_the_scores_beside_the_checkpoint(artifact: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    write_json(scores / "scores.json", {"captions.cider": 0.5, "captions.cider.mean_image": 0.1})
    write_json(scores / "details.json", {"intervals": {"captions.cider": [0.4, 0.6]}, "samples": {"captions": 30}})
    inputs = {"stage2_checkpoint": identity(artifact)}
    write_json(scores / "report.json", {"inputs": inputs, "info": {"verdicts": ["better"]}, "outputs": []})
    export_model("model", artifact, tmp_path / "out", Options(scores=scores))
    assert "| captions | cider | 0.500 (0.400 to 0.600) |" in (tmp_path / "out" / "README.md").read_text()


def test_the_command(artifact: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    done = CliRunner().invoke(main, ["export", "gguf", str(artifact), out, "--precision", "q4_0", "--check", "0"])
    assert done.exit_code == 0, done.output
    assert "3 files" in done.output
    assert (tmp_path / "out" / "humanvlm-q4_0.gguf").exists()
