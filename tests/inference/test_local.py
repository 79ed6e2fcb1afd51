"""Models on this machine: ours, and any of Hugging Face, against the plain recipe of transformers."""

import json
import os
import shutil
import signal
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from humanvlm.errors import UserError
from humanvlm.inference.base import Request
from humanvlm.inference.local import Local

PROMPTS = ["Hi", "Is there a person? Answer yes or no.", "Describe the picture in one sentence.", "Who?", "A man"]
LLAVA_TEMPLATE = (
    "{% for turn in messages %}USER: {% for part in turn['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}ASSISTANT:"
)
QWEN_TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn['role'] }}\n{% for part in turn['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


def png(seed: int) -> bytes:
    file = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40 + 9 * seed, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


REQUESTS = [Request(f"k{n}", partial(png, n), prompt, 8) for n, prompt in enumerate(PROMPTS)]


def texts(model: Any, requests: list[Request]) -> dict[str, str]:
    return {reply.key: reply.text for made in model.answer(requests) for reply in made}


def plain(folder: Path) -> dict[str, str]:
    """What transformers' own recipe gives, one request at a time."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model, processor = AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    found = {}
    for request in REQUESTS:
        parts = [{"type": "image", "image": request.decoded()}, {"type": "text", "text": request.prompt}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": parts}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=8, do_sample=False)
        new = output[0, inputs["input_ids"].shape[1] :]
        found[request.key] = processor.tokenizer.decode(new, skip_special_tokens=True).strip()
    return found


@pytest.fixture(scope="module")
def llava(tiny_models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like LLaVA-1.5: a CLIP tower with a class token, Vicuna's turns, a tokenizer that puts a begin token first."""
    from tokenizers.processors import TemplateProcessing
    from transformers import (
        AutoTokenizer,
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    folder = tmp_path_factory.mktemp("llava")
    tokenizer = AutoTokenizer.from_pretrained(tiny_models["language_model"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    begin = tokenizer.bos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{begin} $A", special_tokens=[(begin, tokenizer.bos_token_id)]
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.5,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=32, patch_size=8
    )
    torch.manual_seed(4)
    image_token = tokenizer.convert_tokens_to_ids("<image>")
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=image_token)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def qwen(tiny_models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Qwen2-VL: pictures of any size, each with its own number of tokens and three-dimensional positions."""
    if find_spec("torchvision") is None:
        pytest.skip("needs torchvision: transformers makes no processor of Qwen2-VL without it")
    from transformers import (
        AutoTokenizer,
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    folder = tmp_path_factory.mktemp("qwen")
    tokenizer = AutoTokenizer.from_pretrained(tiny_models["language_model"])
    special = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    start, end, image, video = tokenizer.convert_tokens_to_ids(special)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.5,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "patch_size": 4, "mlp_ratio": 2}
    torch.manual_seed(5)
    model = Qwen2VLForConditionalGeneration(
        Qwen2VLConfig(
            text_config=text,
            vision_config=vision,
            image_token_id=image,
            video_token_id=video,
            vision_start_token_id=start,
            vision_end_token_id=end,
        )
    )
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    sizes = {"patch_size": 4, "merge_size": 2}
    Qwen2VLProcessor(
        Qwen2VLImageProcessor(**sizes, min_pixels=64, max_pixels=2048),
        tokenizer,
        Qwen2VLVideoProcessor(**sizes),
        chat_template=QWEN_TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["llava", "qwen"])
def test_a_model_of_the_hub_says_what_transformers_makes_it_say(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    expected = plain(folder)
    assert len(set(expected.values())) > 2
    for batch_size in (1, 8):
        model = Local(folder, batch_size=batch_size, own=False)
        assert texts(model, REQUESTS) == expected


def test_our_checkpoint_says_the_same_in_any_batch(checkpoint: Path) -> None:
    alone = texts(Local(checkpoint / "model", batch_size=1), REQUESTS)
    assert texts(Local(checkpoint / "model", batch_size=8), REQUESTS[::-1]) == alone
    longer = [Request(f"long {request.key}", request.picture, request.prompt, 16) for request in REQUESTS]
    both = texts(Local(checkpoint / "model", batch_size=8), [*REQUESTS, *longer])
    assert {key: both[key] for key in alone} == alone
    assert all(both[f"long {key}"].startswith(text.rstrip("\ufffd")) for key, text in alone.items())


def test_processes_that_share_the_batches_say_the_same(checkpoint: Path) -> None:
    alone = Local(checkpoint / "model", batch_size=2)
    assert texts(Local(checkpoint / "model", batch_size=2, processes=2), REQUESTS) == texts(alone, REQUESTS)


def killed() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def test_a_process_that_dies_is_told_with_its_remedy(checkpoint: Path) -> None:
    asked = [Request(f"k{number}", killed, "Hi", 8) for number in range(2)]
    with pytest.raises(UserError, match=r"one of the 2 processes that answer died .* with fewer `processes`"):
        texts(Local(checkpoint / "model", batch_size=1, processes=2), asked)


def test_replies_have_tokens_finish_and_latency_and_corrupt_pictures_an_error(checkpoint: Path) -> None:
    bad = Request("bad", lambda: b"no picture", "Hi", 8)
    gone = Request("gone", Path("gone.jpg").read_bytes, "Hi", 8)
    replies = {
        reply.key: reply for made in Local(checkpoint / "model").answer([bad, *REQUESTS, gone]) for reply in made
    }
    assert len(replies) == 7
    assert {replies["bad"].error, replies["gone"].error} == {"corrupt_image"}
    assert replies["k0"].finish in ("stop", "length")
    assert replies["k0"].tokens
    assert replies["k0"].latency_s > 0
    assert not [reply for made in Local(checkpoint / "model").answer([bad]) for reply in made if not reply.error]


def test_identity_is_of_the_bytes_and_settings_not_of_the_place(checkpoint: Path, tmp_path: Path) -> None:
    def identity(folder: Path, **changes: Any) -> str:
        model = Local(folder, **changes)
        found = json.dumps(model.identity)
        assert "loaded" not in vars(model)
        return found

    first = identity(checkpoint / "model")
    copy = Path(shutil.copytree(checkpoint / "model", tmp_path / "copy"))
    (copy / "README.md").write_text("not read by any model")
    assert identity(copy) == first
    others = {first, identity(copy, dtype="bfloat16"), identity(copy, batch_size=1), identity(copy, own=False)}
    for name in ("model.safetensors", "tokenizer.json", "chat_template.jinja", "generation_config.json"):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[:-1] + b" ")
        others.add(identity(copy))
        (copy / name).write_bytes(whole)
    assert len(others) == 8


def test_pickled_weights_and_code_in_a_folder_are_never_run(llava: Path, tmp_path: Path) -> None:
    pickled = Path(shutil.copytree(llava, tmp_path / "pickled"))
    (pickled / "model.safetensors").unlink()
    torch.save({"x": torch.zeros(1)}, pickled / "pytorch_model.bin")
    with pytest.raises(UserError, match="does not load"):
        _ = Local(pickled, own=False).loaded
    coded = Path(shutil.copytree(llava, tmp_path / "coded"))
    config = json.loads((coded / "config.json").read_text())
    config |= {
        "model_type": "mine",
        "auto_map": dict.fromkeys(("AutoConfig", "AutoModelForImageTextToText"), "mine.Mine"),
    }
    (coded / "config.json").write_text(json.dumps(config))
    (coded / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: pass\n")
    with pytest.raises(UserError, match="does not load") as error:
        _ = Local(coded, own=False).loaded
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_a_model_that_lacks_weights_is_refused(llava: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    lacking = Path(shutil.copytree(llava, tmp_path / "lacking"))
    weights = load_file(lacking / "model.safetensors")
    weights.pop(next(name for name in weights if "projector" in name))
    weights["extra.weight"] = torch.zeros(2)
    save_file(weights, lacking / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 missing keys, first .*projector.*name another folder or hub id"):
        _ = Local(lacking, own=False).loaded
