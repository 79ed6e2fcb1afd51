"""Section ``benchmark_scores``."""

from typing import Any, Literal

from pydantic import Field

from humanvlm.config.section import Section


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

    kind: str = Field(description="which benchmark of humanvlm/evaluate/tasks it is, such as pope or rec")
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
