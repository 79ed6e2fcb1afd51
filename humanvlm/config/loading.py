"""The parameters of every stage: one strict, frozen model each. An unknown or misspelt key is an error that names it.

Only what changes results is here. Machine settings (workers, devices, engine, URIs) come from the environment.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from humanvlm.errors import UserError


class ConfigError(UserError):
    """A parameter file that is missing, malformed, or holds an unknown key or a wrong value."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @property
    def files(self) -> tuple[str, ...]:
        """Files and folders that the parameters name and the stage reads: a change of their content makes it stale."""
        return ()


class RawScrape(Section):
    """Download of the URL index into shards. Times in seconds, sizes in bytes, picture sizes in pixels."""

    rows_per_shard: int = Field(5000, ge=1)
    incremental: bool = Field(True, description="keep what was fetched when the index, or a limit below, changes")
    # How hard the crawl asks
    concurrency: int = Field(128, ge=1, description="requests in flight")
    per_host: int = Field(16, ge=1, description="requests in flight to one host")
    host_interval_s: float = Field(0.0, ge=0, description="least time between the starts of requests to one host")
    timeout_s: float = Field(10.0, gt=0, description="total time of one URL, redirects and retries included")
    connect_timeout_s: float = Field(5.0, gt=0, description="name look-up, TCP and TLS of one request")
    first_byte_timeout_s: float = Field(8.0, gt=0, description="from sending a request to the head of its answer")
    retries: int = Field(1, ge=0, description="further attempts after a transient failure")
    max_retry_after_s: float = Field(60.0, ge=0, description="longest a host's Retry-After makes the crawl wait for it")
    max_redirects: int = Field(5, ge=0)
    user_agent: str = "humanvlm/0.1 (dataset research; contact: set raw_scrape.user_agent)"
    verify_tls: bool = True
    # What sites ask for
    respect_robots_txt: bool = True
    respect_x_robots_tag: bool = True
    respect_tdm_reservation: bool = True
    respect_ai_txt: bool = True
    # Where the crawl may go beside the open web
    allow_private_hosts: tuple[str, ...] = ()
    local_hosts: dict[str, str] = Field(
        default_factory=dict, description="host name -> folder served over loopback while the stage runs"
    )
    # What is stored
    store: str = Field(
        "",
        description="folder or fsspec URL (s3://…) for the shards; DVC then tracks their manifest. Empty: the artifact",
    )
    max_bytes: int = Field(20_000_000, ge=1)
    max_pixels: int = Field(50_000_000, ge=1, description="larger pictures are refused as decompression bombs")
    verify: Literal["decode", "header"] = Field(
        "decode", description="decode: the whole picture must decode; header: only its head is read"
    )
    resize_mode: Literal["no", "keep_ratio", "keep_ratio_largest", "center_crop", "border", "max_pixels"] = Field(
        "no",
        description="keep_ratio: the shorter side becomes image_size; keep_ratio_largest: the longer; max_pixels: at "
        "most image_size squared pixels; no: the bytes as served",
    )
    image_size: int = Field(384, ge=1)
    only_if_bigger: bool = Field(False, description="never enlarge")
    encode_format: Literal["jpeg", "webp"] = Field("jpeg", description="of pictures that are resized or turned upright")
    encode_quality: int = Field(95, ge=1, le=100)
    exif: Literal["keep", "strip"] = Field("keep", description="strip: without EXIF, XMP and comments")


class HumanScenes(Section):
    """Detection, quality, safety, deduplication. Lengths in pixels of the stored picture."""

    face_detector: str = "blazeface-full-range"
    closeup_face_detector: str = Field(
        "blazeface-short-range", description="runs on the upper part of people without a face; empty: none does"
    )
    person_detector: str = "ssd-mobilenet-v2-coco"
    nsfw_classifier: str = "open-nsfw"
    min_side: int = Field(160, ge=1)
    max_aspect_ratio: float = Field(4.0, ge=1)
    min_face_score: float = Field(0.65, ge=0.5, le=1)
    min_face_side: int = Field(24, ge=1)
    min_person_score: float = Field(0.4, ge=0.3, le=1)
    require: Literal["face", "person", "face_or_person"] = "face_or_person"
    min_sharpness: float = Field(20.0, ge=0, description="variance of the Laplacian at 256 px")
    exposure_range: tuple[float, float] = (0.06, 0.96)
    max_nsfw: float = Field(0.8, ge=0, le=1)
    near_duplicate_bits: int = Field(4, ge=0, le=16, description="largest Hamming distance of 64-bit perceptual hashes")
    languages: tuple[str, ...] = Field((), description="keep only these text languages; empty keeps all")


class HumanCaption(Section):
    """Facts to short (<=70 words) and detailed (<=300 words) captions."""

    captioner: Literal["template", "source"] = Field("template", description="source: the index's own texts, cleaned")
    min_probability: float = Field(0.6, ge=0, le=1, description="facts below it are not written")
    short_max_words: int = Field(70, ge=12)
    detailed_max_words: int = Field(300, ge=12)
    min_words: int = Field(3, ge=1)
    holdout: float = Field(0.1, ge=0, lt=1, description="share of pictures whose split is 'test', by hash of the id")
    seed: int = 7


class HumanCaptionHQ(Section):
    """The high-resolution subset with face, body and background captions, fused (<=500 words)."""

    min_side: int = Field(256, ge=1)
    min_face_side: int = Field(48, ge=1)
    min_probability: float = Field(0.6, ge=0, le=1, description="facts below it are not written")
    max_words: int = Field(500, ge=12)
    seed: int = 7


class Model(Section):
    """Which vision tower and language model are joined. Names are entries of models.yaml, or hub ids."""

    vision_tower: str = "mobilenet-v2-imagenet"
    language_model: str = "smollm2-135m-instruct"
    vision_feature_layer: int = -1
    vision_feature_select_strategy: Literal["full", "default"] = "full"
    drop_first_patch: bool = Field(False, description="parity with the authors' code, which drops one real patch")
    system_prompt: str | None = Field(None, description="null: the chat template's own; '' saves its tokens")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of training; auto: bfloat16 where the machine multiplies it natively"
    )


class Training(Section):
    """Optimisation, shared by both stages. Results do not depend on how many processes share a batch."""

    seed: int = 7
    max_steps: int = Field(-1, description="optimiser steps; -1: by epochs")
    epochs: float = Field(1.0, gt=0)
    batch_size: int = Field(8, ge=1, description="samples an optimiser step, over all processes")
    micro_batch_size: int = Field(8, ge=1, description="samples of a process at a time; the rest is accumulated")
    learning_rate: float = Field(1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    warmup_ratio: float = Field(0.03, ge=0, le=1)
    max_length: int = Field(256, ge=16, description="tokens, image tokens included; longer samples are dropped")
    save_steps: int = Field(50, ge=1)
    group_by_length: bool = Field(False, description="batches of like length: less padding")
    gradient_checkpointing: bool = False
    zero_stage: Literal[0, 1, 2] = 2


class Stage1(Training):
    """Projector alignment; language model and vision tower frozen."""

    caption: Literal["short", "detailed", "all"] = Field("short", description="all: every text of the index row")


class Stage2(Training):
    """Instruction tuning with LoRA on language model and vision tower, merged at the end."""

    lora_r: int = Field(16, ge=1)
    lora_alpha: int = Field(32, ge=1)
    lora_dropout: float = Field(0.05, ge=0, le=1)
    instruction_share: float = Field(0.5, ge=0, le=1, description="share of samples from data/instructions.jsonl")
    caption_share: float = Field(0.5, ge=0, le=1, description="share of short captions among caption samples")
    caption: Literal["short", "detailed", "all"] = Field("short", description="which texts the short captions are")


class Endpoint(Section):
    """How an OpenAI-compatible server is asked (chat completions, pictures as data URLs). Times in seconds."""

    url: str = Field("https://api.openai.com/v1", description="base, up to and with /v1")
    model: str = Field("", description="the server's name of the model")
    key_variable: str = Field(
        "OPENAI_API_KEY", description="environment variable that holds the key; unset: none is sent"
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="further fields of a request; null leaves one out: {max_tokens: null, max_completion_tokens: 64}",
    )
    image_size: int = Field(
        1024, ge=0, description="pictures go as JPEG of at most this many pixels a side; 0: their bytes as they are"
    )
    concurrency: int = Field(8, ge=1, description="requests in flight")
    attempt_timeout_s: float = Field(60.0, gt=0, description="one attempt, its whole answer read")
    timeout_s: float = Field(300.0, gt=0, description="one sample, all attempts and waits between them")
    retries: int = Field(6, ge=0, description="further attempts after a failure that may pass")


class Source(Section):
    """A benchmark in the files of its publisher."""

    kind: Literal["captions", "reg", "vqa", "rec", "pope", "mme", "choice", "attributes", "keypoints"]
    references: str = Field(description="file, as ``humanvlm score`` reads it; of vqa the annotations")
    questions: str = Field("", description="of vqa: the file of questions")
    images: str = Field("", description="folder that the pictures' names start from")
    picture: str = Field(
        "",
        description="how a picture's file is named: a key of its row, such as photo, or a pattern, such as "
        "COCO_val2014_{image:012d}.jpg; empty: the file name that the row has",
    )


class BenchmarkScores(Section):
    """Tasks, the model under test, decoding and statistics."""

    model: str = Field(
        "checkpoint",
        description="checkpoint: that of stage 2; hub:ORG/NAME[@REVISION] or hub:FOLDER: any image-text-to-text model "
        "of Hugging Face; endpoint: the server of ``endpoint``",
    )
    endpoint: Endpoint = Endpoint()
    max_failed: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of samples that may stay without a reply and be dropped; more fail the stage",
    )
    tasks: tuple[str, ...] = ("captions", "vqa", "rec", "attributes", "holdout")
    sources: dict[str, Source] = Field(
        default_factory=dict, description="further benchmarks, by the name of their task; they need not be in tasks"
    )
    space: Literal["percent", "unit", "thousand", "pixels", "auto"] = Field(
        "percent", description="what coordinates in replies are in; the prompts ask for percent of the picture"
    )
    leaderboard: tuple[str, ...] = Field(
        (), description="folders of other runs of this stage, to list beside this one in the report"
    )
    limit: int = Field(0, ge=0, description="samples a task at most; 0 is all")
    batch_size: int = Field(8, ge=1)
    max_new_tokens: int = Field(48, ge=1)
    bootstrap: int = Field(1000, ge=0)
    baselines: bool = Field(True, description="most common training caption; model shown the mean training picture")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="in which the checkpoint is asked")
    seed: int = 7

    @property
    def files(self) -> tuple[str, ...]:
        named = [name for source in self.sources.values() for name in (source.references, source.questions) if name]
        return (*named, *(f"{run}/{name}" for run in self.leaderboard for name in ("scores.json", "details.json")))


class RegisteredModel(Section):
    """Registration in MLflow and promotion."""

    name: str = "humanvlm"
    metric: str = "captions.cider"
    min_gain: float = Field(0.0, description="the challenger must beat the champion by more than this")
    guards: dict[str, float] = Field(default_factory=dict, description="metric -> least acceptable value")


class Params(Section):
    """The whole parameter file."""

    profile: str = "cpu"
    raw_scrape: RawScrape
    human_scenes: HumanScenes
    human_caption: HumanCaption
    human_caption_hq: HumanCaptionHQ
    model: Model
    stage1_checkpoint: Stage1
    stage2_checkpoint: Stage2
    benchmark_scores: BenchmarkScores
    registered_model: RegisteredModel


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_node.value!r} twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def load_params(path: Path, overrides: Sequence[str] = ()) -> Params:
    """Read a YAML parameter file and apply ``section.key=value`` overrides (values are YAML).

    Raises ConfigError naming the file, the key and, for a misspelt key, the nearest known one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; write one with `humanvlm profile cpu`") from None
    try:
        values = yaml.load(text, _UniqueKeys)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections such as raw_scrape, got {type(values).__name__}")
    for override in overrides:
        _override(values, override)
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from None


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {override}: expected section.key=value")
    for part in parts[:-1]:
        child = values.setdefault(part, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override}: {part} is a value, not a section")
        values = child
    values[parts[-1]] = yaml.safe_load(value)


def _explain(error: ValidationError) -> str:
    problems = error.errors()
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"unknown key {key!r}; {hint}{more}"
    if first["type"] == "missing":
        return f"missing key {key!r}; compare with profiles/cpu.yaml{more}"
    return f"{key}: {first['msg']}, got {first['input']!r}{more}"


def _known_keys(location: Sequence[int | str]) -> list[str]:
    model: Any = Params
    for part in location:
        model = model.model_fields[str(part)].annotation
    return list(model.model_fields)
