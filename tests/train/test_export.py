"""What leaves training: merged, it computes what was trained; plain transformers and peft load it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from humanvlm.config.model import Model
from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.inference.generate import generate
from humanvlm.inspect.model_card import model_card
from humanvlm.model.build import build_llava
from humanvlm.model.load import load_checkpoint
from humanvlm.train.export import is_adapter, merge, save_adapter, save_merged
from humanvlm.train.model import tuned

# After the code of a model card, whose two replies are in ``said``.
TOLD = """
import json, sys

ours = sorted(name for name in sys.modules if name.partition(".")[0] == "humanvlm")
tokens = int((inputs["input_ids"] == model.config.image_token_id).sum())
sys.stdout.write(json.dumps({"said": said, "image_tokens": tokens, "ours": ours}))
"""


def towers(tiny_models: dict[str, str], tower: str) -> Model:
    models = tiny_models if tower == "siglip" else {**tiny_models, "vision_tower": "mobilenet-v2-imagenet"}
    return Model(**models, vision_feature_layer=-2 if tower == "siglip" else -1, system_prompt="")


def learnt(config: Model, stage: Stage2) -> tuple[Any, Any]:
    """Model and processor of stage 2, as if it had learnt something."""
    model, processor = build_llava(config)
    model = tuned(model, stage)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.02)
    return model.eval(), processor


def asked(model: Any, tower: str) -> dict[str, torch.Tensor]:
    side, tokens = (32, 16) if tower == "siglip" else (224, 49)
    ids = torch.tensor([[5] + [model.config.image_token_id] * tokens + [7, 8, 9]])
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "pixel_values": pixels.double()}


def logits(model: Any, tower: str) -> torch.Tensor:
    """In double precision: the tiny models, whose weights are large, have much noise."""
    with torch.inference_mode():
        return model.double()(**asked(model, tower)).logits


@pytest.mark.parametrize("tower", ["siglip", "mobilenet"])
def test_the_merged_model_computes_what_the_tuned_one_did(tiny_models: dict[str, str], tower: str) -> None:
    config = towers(tiny_models, tower)
    model, _ = learnt(config, Stage2(lora_r=4, lora_dropout=0.1))
    original = build_llava(config)[0]
    before = logits(model, tower)
    merged = merge(model)
    assert type(merged).__name__ == "LlavaForConditionalGeneration"
    assert set(merged.state_dict()) == set(original.state_dict())
    assert torch.allclose(before, logits(merged, tower), atol=1e-9)
    assert (before - logits(original, tower)).abs().max() > 1e-3


@pytest.mark.parametrize("tower", ["siglip", "mobilenet"])
def test_base_and_adapter_are_the_merged_model(tiny_models: dict[str, str], tower: str, tmp_path: Path) -> None:
    from peft import PeftModel

    config = towers(tiny_models, tower)
    model, _ = learnt(config, Stage2(lora_r=4))
    save_adapter(tmp_path / "adapter", model)
    merged = logits(merge(model.double()), tower)
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    base = build_llava(config, seed=99)[0]  # its projector is another: that of the adapter takes its place
    assert torch.allclose(logits(PeftModel.from_pretrained(base, tmp_path / "adapter"), tower), merged, atol=1e-5)
    described = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert described["target_modules"] == sorted(described["target_modules"])
    assert described["modules_to_save"] == ["multi_modal_projector"]
    assert str(tmp_path.parent.parent) not in json.dumps(described)  # no path of this machine
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all("lora_" in name or "multi_modal_projector" in name for name in weights)


@pytest.mark.parametrize(
    ("language", "tower", "has"),
    [("lora", "frozen", True), ("frozen", "lora", True), ("full", "lora", False), ("frozen", "frozen", False)],
)
def test_only_what_is_all_updates_has_an_adapter(
    tiny_models: dict[str, str], language: Any, tower: Any, has: bool
) -> None:
    stage = Stage2(language_model=language, vision_tower=tower, lora_r=4)
    assert is_adapter(stage, tuned(build_llava(Model(**tiny_models))[0], stage)) is has


def card_of(config: Model, stage: Stage2) -> str:
    described = {"model": config.model_dump(mode="json"), "stage2_checkpoint": stage.model_dump(mode="json")}
    rows = {"in": 1, "kept": 1, "dropped": {}}
    return model_card({"profile": "tiny", "config": described, "rows": rows, "metrics": {}, "info": {}})


def alone(card: str, folder: Path) -> Mapping[str, Any]:
    """What the first two pieces of code of a model card say in another process, of ``model`` and ``picture.jpg``."""
    blocks = [block.partition("```")[0] for block in card.split("```python\n")[1:3]]
    code = "".join(["said = []; print = said.append\n", *blocks, TOLD]).replace("MODEL", "model")
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    found: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("tower", "tokens"), [("siglip", 16), ("mobilenet", 49)])
def test_the_code_of_the_card_says_what_we_say(
    tiny_models: dict[str, str], tower: str, tokens: int, tmp_path: Path
) -> None:
    """Plain transformers for a tower that they know; for ours, the module that registers it first."""
    config, stage = towers(tiny_models, tower), Stage2(lora_r=4)
    model, processor = learnt(config, stage)
    save_merged(tmp_path / "model", model, processor)
    pixels = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.jpg")
    found = alone(card_of(config, stage), tmp_path)
    picture = Image.open(tmp_path / "picture.jpg")
    made = generate(
        *load_checkpoint(tmp_path / "model"), [picture], ["Describe the picture."], max_new_tokens=64, batch_size=1
    )
    assert made[0]
    assert [said.strip() for said in found["said"]] == made * 2
    assert found["image_tokens"] == tokens
    assert bool(found["ours"]) is (tower == "mobilenet")


def test_files_of_the_checkpoint(tiny_models: dict[str, str], tmp_path: Path) -> None:
    """Safetensors only, named as released LLaVA checkpoints are, which vLLM reads; nothing of this machine."""
    model, processor = learnt(towers(tiny_models, "siglip"), Stage2(lora_r=4))
    save_merged(tmp_path / "model", model, processor)
    files = {path.name: path for path in (tmp_path / "model").iterdir()}
    assert {path.suffix for path in files.values()} == {".json", ".jinja", ".safetensors"}
    assert {
        "language_model.model.layers.0.self_attn.q_proj.weight",
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight",
        "multi_modal_projector.linear_1.weight",
    } <= set(load_file(files["model.safetensors"]))
    for name, path in files.items():
        if path.suffix == ".json" and name != "tokenizer.json":
            assert str(tmp_path.parent.parent) not in path.read_text(), name
    config = json.loads(files["config.json"].read_text())
    assert (config["vision_feature_select_strategy"], config["architectures"]) == (
        "full",
        ["LlavaForConditionalGeneration"],
    )


def test_the_papers_picture_is_729_features(tiny_models: dict[str, str], tmp_path: Path) -> None:
    """A SigLIP of 384 px and patches of 14, as the paper's, but narrow."""
    from transformers import SiglipImageProcessorPil, SiglipVisionConfig, SiglipVisionModel

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    SiglipVisionModel(SiglipVisionConfig(**sizes, image_size=384, patch_size=14)).save_pretrained(tmp_path / "tower")
    SiglipImageProcessorPil(size={"height": 384, "width": 384}).save_pretrained(tmp_path / "tower")
    models = {**tiny_models, "vision_tower": str(tmp_path / "tower")}
    model, processor = build_llava(Model(**models, vision_feature_layer=-2))
    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hi"}]}]
    text = processor.apply_chat_template(turn, add_generation_prompt=True)
    inputs = processor(images=Image.new("RGB", (60, 40)), text=text, return_tensors="pt")
    assert int((inputs["input_ids"] == model.config.image_token_id).sum()) == 729 == model.config.image_seq_length
    with torch.inference_mode():
        seen = model.model.get_image_features(pixel_values=inputs["pixel_values"])
    assert model.config.vision_feature_select_strategy == "full"
    assert sum(part.shape[0] for part in seen.pooler_output) == 729
