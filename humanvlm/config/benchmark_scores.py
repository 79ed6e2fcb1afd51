"""Section ``benchmark_scores``."""

from typing import Annotated, Literal

from pydantic import Field

from humanvlm.config.endpoint import Endpoint, named_models
from humanvlm.config.section import Names, Section


class Source(Section):
    """A benchmark in the files of its publisher."""

    kind: Annotated[str, Field(description="which benchmark of humanvlm/evaluate/tasks it is, such as pope or rec")]
    references: Annotated[str, Field(description="file, as `humanvlm score` reads it; of vqa the annotations")]
    questions: Annotated[str, Field(description="of vqa: the file of questions")] = ""
    images: Annotated[str, Field(description="folder that the pictures' names start from")] = ""
    picture: Annotated[
        str,
        Field(
            description="how a picture's file is named: a key of its row, such as photo, or a pattern, such as "
            "COCO_val2014_{image:012d}.jpg; empty: the file name that the row has"
        ),
    ] = ""


class Asked(Section):
    """How a model is asked, and how it tells places."""

    prompts: Annotated[
        dict[str, str],
        Field(
            description="what is asked instead, by task or by kind of benchmark; {prompt} is the task's own prompt, "
            "{subject} what it asks about, such as the expression of rec or the question of vqa; a brace is {{ or }}"
        ),
    ] = {}
    space: Annotated[
        Literal["percent", "unit", "thousand", "pixels", "auto"],
        Field(description="what coordinates in replies are in; the tasks' own prompts ask for percent of the picture"),
    ] = "percent"
    order: Annotated[
        Literal["xyxy", "yxyx", "xywh"],
        Field(
            description="of the four numbers of a box, where its notation does not tell: corners, corners with y first "
            "(points too), or a corner, width and height"
        ),
    ] = "xyxy"
    max_new_tokens: Annotated[int, Field(ge=0, description="longest reply, tokens; 0: as for other models")] = 0


class BenchmarkScores(Section):
    """Tasks, the model under test, decoding and statistics."""

    model: Annotated[
        str,
        Field(
            description="checkpoint: that of stage 2; checkpoint:FOLDER: another of ours; hub:ORG/NAME[@REVISION] or "
            "hub:FOLDER: any image-text-to-text model of Hugging Face; endpoint: the server of `endpoint`"
        ),
    ] = "checkpoint"
    endpoint: Annotated[Endpoint, Field(description="the server, where model is endpoint")] = Endpoint()
    max_failed: Annotated[
        float,
        Field(
            ge=0, le=1, description="share of samples that may stay without a reply and be dropped; more fail the stage"
        ),
    ] = 0.0
    tasks: Annotated[Names, Field(description="tasks of data/benchmarks, and holdout: the held-out captions")] = [
        "captions",
        "vqa",
        "rec",
        "attributes",
        "holdout",
    ]
    sources: Annotated[
        dict[str, Source],
        Field(description="further benchmarks, by the name of their task; they need not be in tasks"),
    ] = {}
    space: Annotated[
        Literal["percent", "unit", "thousand", "pixels", "auto"],
        Field(description="what coordinates in replies are in, of models that `asked` does not name"),
    ] = "percent"
    asked: Annotated[
        dict[str, Asked],
        Field(
            description="how single models are asked, by their name: ORG/NAME or FOLDER of hub, endpoint.model, or "
            "stage2_checkpoint"
        ),
    ] = {}
    leaderboard: Annotated[
        Names, Field(description="folders of other runs of this stage, to list beside this one in the report")
    ] = []
    limit: Annotated[int, Field(ge=0, description="samples a task at most; 0 is all")] = 0
    batch_size: Annotated[int, Field(ge=1, description="samples that a local model answers at a time")] = 8
    processes: Annotated[
        int,
        Field(
            ge=1,
            description="of this machine, which share a local model's batches where there is no GPU; each holds the "
            "weights and has one thread",
        ),
    ] = 1
    max_new_tokens: Annotated[int, Field(ge=1, description="longest reply, tokens")] = 48
    bootstrap: Annotated[int, Field(ge=0, description="resamples behind an interval; 0: no intervals")] = 1000
    baselines: Annotated[
        bool,
        Field(
            description="ask the model every question about the mean picture of human_caption too, and score the "
            "commonest training caption; false: human_caption need not be there"
        ),
    ] = True
    dtype: Annotated[Literal["float32", "bfloat16"], Field(description="in which the checkpoint is asked")] = "float32"
    seed: Annotated[int, Field(description="of the choice of samples and of the resamples")] = 7

    @property
    def model_name(self) -> str:
        """The model under test, as the leaderboard calls it."""
        if self.model == "endpoint":
            return self.endpoint.model
        return "stage2_checkpoint" if self.model == "checkpoint" else self.model.removeprefix("hub:")

    @property
    def asking(self) -> Asked:
        """How the model under test is asked: as its name says, with its revision or without."""
        name = self.model_name
        found = self.asked.get(name) or self.asked.get(name.partition("@")[0]) or Asked(space=self.space)
        return found.model_copy(update={"max_new_tokens": found.max_new_tokens or self.max_new_tokens})

    @property
    def files(self) -> tuple[str, ...]:
        named = [name for source in self.sources.values() for name in (source.references, source.questions) if name]
        return (*named, *(f"{run}/{name}" for run in self.leaderboard for name in ("scores.json", "details.json")))

    @property
    def models(self) -> tuple[str, ...]:
        return named_models(self.model)

    @property
    def unread(self) -> tuple[str, ...]:
        needed = {
            "stage2_checkpoint": self.model == "checkpoint",
            "human_caption": "holdout" in self.tasks or self.baselines,
            "data": bool(set(self.tasks) - {"holdout", *self.sources}),
        }
        return tuple(name for name, is_needed in needed.items() if not is_needed)
