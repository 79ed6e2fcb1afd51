"""LLaVA (Liu et al. 2023, arXiv 2310.03744): vision tower, two-layer GELU projector and language model, joined."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    SiglipImageProcessorPil,
)

from humanvlm.config.model import Model
from humanvlm.data.prompts import IMAGE_TOKEN
from humanvlm.errors import UserError
from humanvlm.model.language import load_language_model, load_tokenizer, source_of, unavailable
from humanvlm.model.load import contiguous_head
from humanvlm.model.parity import refuse_dropped_patch
from humanvlm.model.tower import load_tower, tokens_config
from humanvlm.weights.catalog import model_entries, model_file

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Turns whose content is a list (pictures and text) become one string, as text-only templates want it; a system message
# that differs from the template's own is put first.
CHAT_PREFIX = """\
{%- set ns = namespace(turns=[]) -%}
%SYSTEM%
{%- for message in messages -%}
{%- if message['content'] is string -%}
{%- set ns.turns = ns.turns + [message] -%}
{%- else -%}
{%- set text = namespace(value='') -%}
{%- for part in message['content'] -%}
{%- set text.value = text.value + ('%IMAGE%\\n' if part['type'] == 'image' else part['text']) -%}
{%- endfor -%}
{%- set ns.turns = ns.turns + [{'role': message['role'], 'content': text.value}] -%}
{%- endif -%}
{%- endfor -%}
{%- set messages = ns.turns -%}
"""


def build_llava(config: Model, seed: int = 7) -> tuple[Any, Any]:
    """Model (float32, evaluation mode) and processor. Tower and language model are pretrained; the projector is new.

    The only change to the language model is one row for the image token. ``seed`` draws the projector.
    Raises UserError when a model is not to be had or its features cannot be used.
    """
    tower, images = load_vision_tower(config.vision_tower, config.image_side)
    language, tokenizer = load_language_model(config.language_model)
    processor = _processor(config, tower.config, images, tokenizer)
    image_token = processor.image_token_id
    if image_token >= language.get_input_embeddings().num_embeddings:
        _add_row(language, len(tokenizer))
    llava = LlavaConfig(
        vision_config=tower.config,
        text_config=language.config,
        image_token_index=image_token,
        image_seq_length=image_tokens(processor),
        vision_feature_layer=config.vision_feature_layer,
        vision_feature_select_strategy=processor.vision_feature_select_strategy,
        tie_word_embeddings=bool(language.config.tie_word_embeddings),
        dtype="float32",
    )
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(llava)
    model.model.vision_tower = tower
    model.model.language_model = language.model
    model.lm_head = language.lm_head
    _new_projector(model.model.multi_modal_projector, seed)
    contiguous_head(model)
    model.generation_config = _generation_config(language, tokenizer, image_token)
    return model.eval(), processor


def build_processor(config: Model) -> Any:
    """The processor of ``build_llava``, without loading any weights. Raises UserError as that does."""
    tower, images = _tower_config(config.vision_tower, config.image_side)
    return _processor(config, tower, images, load_tokenizer(config.language_model))


def check_patches(config: Model, what: str) -> None:
    """Raises UserError, in a line that begins with ``what``, when a picture would lose a real patch."""
    if config.drops_first:
        processor = build_processor(config)
        refuse_dropped_patch(processor.vision_feature_select_strategy, processor.num_additional_image_tokens, what)


def _processor(config: Model, tower: Any, images: Any, tokenizer: Any) -> Any:
    """The processor of a tower, given its configuration and image processor, and a tokenizer, which learns a token."""
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=tower.patch_size,
        # The authors' code drops the first patch of a tower that has no class token.
        vision_feature_select_strategy="default" if config.drops_first else "full",
        # A class token, where the tower has one, comes before the patches.
        num_additional_image_tokens=1 if getattr(tower, "model_type", "").startswith("clip") else 0,
        chat_template=chat_template(tokenizer.chat_template, config.system_prompt),
        image_token=IMAGE_TOKEN,
    )


def load_vision_tower(name: str, side: int = 0) -> tuple[Any, Any]:
    """Tower (float32) and its image processor: the packaged MobileNetV2, or a folder or hub id.

    SigLIP loads without its pooling head, which LLaVA never reads. Raises UserError when it does not load.
    """
    config, images = _tower_config(name, side)
    entry = model_entries().get(name)
    if entry is not None and entry.wheel is not None:
        return load_tower(model_file(name), config), images
    try:
        tower_class = AutoModel._model_mapping[type(config)]
        tower = tower_class.from_pretrained(
            source_of(name), config=config, dtype="float32", use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise unavailable(name, error) from None
    return tower.eval(), images


def _tower_config(name: str, side: int) -> tuple[Any, Any]:
    """A tower's configuration and image processor."""
    entry = model_entries().get(name)
    if entry is not None and entry.wheel is not None:
        size = {"height": entry.input["size"][0], "width": entry.input["size"][1]}
        return tokens_config(size["width"], side), SiglipImageProcessorPil(
            size=size, resample=2, image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD
        )
    source = source_of(name)
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        config = getattr(config, "vision_config", config)
        if hasattr(config, "vision_use_head"):
            config.vision_use_head = False
        return config, AutoImageProcessor.from_pretrained(source, backend="pil", trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise unavailable(name, error) from None


def chat_template(template: str, system_prompt: str | None) -> str:
    """The language model's own template, taught to read picture turns and, when given, another system prompt."""
    if IMAGE_TOKEN in template:
        return template
    system = (
        ""
        if system_prompt is None
        else "{%- if messages[0]['role'] != 'system' -%}{%- set ns.turns = [{'role': 'system', 'content': "
        + repr(system_prompt)
        + "}] -%}{%- endif -%}"
    )
    return CHAT_PREFIX.replace("%SYSTEM%", system).replace("%IMAGE%", IMAGE_TOKEN) + template


def image_tokens(processor: Any) -> int:
    """How many tokens one picture takes."""
    images = processor.image_processor
    size = images.crop_size if getattr(images, "do_center_crop", False) else images.size  # CLIP's are cropped
    count = (size["height"] // processor.patch_size) * (size["width"] // processor.patch_size)
    return int(count + processor.num_additional_image_tokens - (processor.vision_feature_select_strategy == "default"))


def _add_row(language: Any, size: int) -> None:
    """Grow the vocabulary; new rows are the mean of the old, so that they are neither likely nor out of range."""
    embeddings = language.get_input_embeddings().weight
    old, mean = embeddings.shape[0], embeddings.detach().mean(0)
    language.resize_token_embeddings(size, mean_resizing=False)
    with torch.no_grad():
        language.get_input_embeddings().weight[old:] = mean
        language.get_output_embeddings().weight[old:] = language.get_output_embeddings().weight[:old].mean(0)


def _new_projector(projector: Any, seed: int) -> None:
    projector.to_empty(device="cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in (projector.linear_1, projector.linear_2):
            layer.reset_parameters()


def _generation_config(language: Any, tokenizer: Any, image_token: int) -> Any:
    from transformers import GenerationConfig

    return GenerationConfig(
        do_sample=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=[image_token],
    )


def projector_file(folder: Path) -> Path:
    """Where stage 1 keeps the projector. Raises UserError when it is not there."""
    path = folder / "projector.safetensors"
    if not path.exists():
        raise UserError(f"{path}: no such file; run `humanvlm stage1_checkpoint`")
    return path
