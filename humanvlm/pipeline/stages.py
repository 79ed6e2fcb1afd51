"""THE table of stages, in their order: what each is called, reads, and is made of.

The command line, the runner and Dagster's checks read it, and `make stages` writes it into dvc.yaml.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Stage:
    """A stage by name. Paths of inputs are relative to the project's folder, those of code to this package's.

    module: has ``make``. sections: of the parameter file. code: files and folders of this package on which the results
    depend, all that the module reaches (humanvlm.pipeline.closure); None: a change of code does not repeat the stage.
    parts: of an input of which not all is read, the files and folders that are; changes beside them count for nothing.
    texts: columns that Dagster expects in the artifact, with the most words each may have.
    """

    name: str
    help: str
    module: str
    inputs: Mapping[str, str]
    sections: tuple[str, ...]
    code: tuple[str, ...] | None
    layer: Literal["dataset", "model", "release"]
    kinds: tuple[str, ...] = ()
    compute: Literal["dvc", "pipes"] = "dvc"  # pipes: under Dagster the command runs outside DVC's lock: long stages
    honours_tombstones: bool = False  # rows that were taken down are left out here; later stages read what these keep
    retries_rows: bool = False  # can ask again for dropped rows
    has_ranks: bool = False  # a launcher may start the command as several processes (humanvlm.train.launch)
    outside: bool = False  # makes something that is not in its folder; its module's ``lost`` says what of it is gone
    plans: str = ""  # the module whose ``plan`` says what it would take
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: Mapping[str, int] = field(default_factory=dict)

    @property
    def out(self) -> str:
        return f"artifacts/{self.name}"

    @property
    def read(self) -> tuple[str, ...]:
        """Paths of what is read: whole inputs, or their parts."""
        return tuple(
            f"{path}/{part}" if part else path
            for name, path in self.inputs.items()
            for part in self.parts.get(name, ("",))
        )


def _in(folder: str, names: str) -> tuple[str, ...]:
    """Files and folders of a folder of which a stage does not reach all."""
    return tuple(f"{folder}/{name}" for name in names.split())


PICTURE = _in("data", "image.py jpeg.py")
NSFW = ("inspect/drawn.py", *_in("weights", "nsfw.py run.py tflite.py"))
DRAWN = (*_in("inspect", "cards.py plots.py"), *NSFW)
DESCRIBED = _in("inspect", "columns.yaml croissant.py")
WEIGHTS = _in("weights", "catalog.py models.yaml")
HUB = _in("weights", "catalog.py hub.py models.yaml")
LOADED = _in("model", "load.py tower.py")
TRAINING = (
    *_in("train", "attention.py batches.py checkpoints.py costs.py encode.py export.py features.py held_out.py"),
    *_in("train", "instructions.py job.py launch.py learner.py model.py pack.py packing.py pages.py parts.py"),
    *_in("train", "pictures.py plan.py prepare.py samples.py sources.py store.py templates trainer.py watch.py"),
    *_in("train", "words.py worker.py"),
    *_in("inference", "generate.py marks.py replies.py"),
    *_in("model", "build.py language.py parity.py"),
    *_in("inspect", "html.py model_card.py"),
    *NSFW,
    *LOADED,
    *_in("data", "prompts.py shards.py"),
    *PICTURE,
    *HUB,
)
ASKED = (
    *_in("inference", "ask.py base.py cache.py chat.py endpoint.py failures.py generate.py keys.py local.py marks.py"),
    *_in("inference", "models.py pace.py replies.py tokens.py"),
)
CAPTIONS = (
    *_in("caption", "accept.py facts template captioners checks stage.py report.py statistics.py variety.py"),
    *_in("data", "detections.py dropped.py facts.py http.py seals.py shards.py spelling.py tombstones.py"),
    *ASKED,
    "inference/budget.py",
    *LOADED,
    "weights/hub.py",
)
COMPARED = _in("evaluate", "baselines.py files.py predict.py records.py saved_runs.py metrics stats tasks")
SCORING = (
    "inspect/html.py",
    *_in("evaluate", "stage.py usage.py wording.py"),
    *COMPARED,
    *_in("evaluate/report", "cards.py leaderboard.py outputs.py page.py templates/report.html.j2"),
    *NSFW,
)

STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            name="raw_scrape",
            help="Download the URL index into image-text shards.",
            module="humanvlm.scrape.stage",
            inputs={"data": "data"},
            parts={"data": ("index.parquet", "site")},
            sections=("raw_scrape",),
            code=None,  # the web cannot be asked again for the same answers; `dvc repro --force raw_scrape` crawls anew
            layer="dataset",
            kinds=("parquet",),
            honours_tombstones=True,
            retries_rows=True,
        ),
        Stage(
            name="human_scenes",
            help="Detect faces and people, judge quality and safety, deduplicate.",
            module="humanvlm.curate.stage",
            inputs={"raw_scrape": "artifacts/raw_scrape"},
            sections=("human_scenes",),
            code=(
                "curate",
                "caption/facts/attributes.py",
                "scrape/journal.py",
                *_in("data", "columns.py detections.py dropped.py seals.py shards.py spelling.py tombstones.py"),
                *PICTURE,
                *DRAWN,
                *WEIGHTS,
            ),
            layer="dataset",
            kinds=("parquet", "opencv"),
            honours_tombstones=True,
        ),
        Stage(
            name="human_caption",
            help="Short and detailed captions of every scene.",
            module="humanvlm.caption.stage",
            inputs={"human_scenes": "artifacts/human_scenes"},
            sections=("human_caption",),
            code=(
                *CAPTIONS,
                *PICTURE,
                *DRAWN,
                *DESCRIBED,
                *WEIGHTS,
            ),
            layer="dataset",
            kinds=("parquet",),
            texts={"short": 70, "detailed": 300},
            plans="humanvlm.caption.plan",
        ),
        Stage(
            name="human_caption_hq",
            help="Face, body and background captions of the high-resolution subset.",
            module="humanvlm.caption.hq_stage",
            inputs={"human_caption": "artifacts/human_caption"},
            sections=("human_caption_hq",),
            code=(
                *CAPTIONS,
                *_in("caption", "conversations hq_stage.py judging.py selection.py"),
                *_in("data", "columns.py prompts.py"),
                *PICTURE,
                *DRAWN,
                *DESCRIBED,
                *WEIGHTS,
            ),
            layer="dataset",
            kinds=("parquet",),
            texts={"human_caption_hq": 500},
            plans="humanvlm.caption.plan",
        ),
        Stage(
            name="stage1_checkpoint",
            help="Train the projector; language model and vision tower frozen.",
            module="humanvlm.train.stage1",
            inputs={"human_caption": "artifacts/human_caption"},
            sections=("model", "stage1_checkpoint"),
            code=("train/stage1.py", *TRAINING),
            layer="model",
            kinds=("pytorch", "huggingface"),
            compute="pipes",
            has_ranks=True,
        ),
        Stage(
            name="stage2_checkpoint",
            help="Instruction tuning with LoRA, merged to a plain LLaVA checkpoint.",
            module="humanvlm.train.stage2",
            inputs={
                "stage1_checkpoint": "artifacts/stage1_checkpoint",
                "human_caption": "artifacts/human_caption",
                "human_caption_hq": "artifacts/human_caption_hq",
                "data": "data",
            },
            parts={"data": ("instructions.jsonl", "opening.jsonl", "site")},  # whose pictures they are about
            sections=("model", "stage2_checkpoint"),
            code=("train/stage2.py", *TRAINING),
            layer="model",
            kinds=("pytorch", "huggingface"),
            compute="pipes",
            has_ranks=True,
        ),
        Stage(
            name="benchmark_scores",
            help="Score every task, with per-sample records and intervals.",
            module="humanvlm.evaluate.stage",
            inputs={
                "stage2_checkpoint": "artifacts/stage2_checkpoint",
                "human_caption": "artifacts/human_caption",
                "data": "data",
            },
            parts={"data": ("benchmarks",)},
            sections=("benchmark_scores",),
            code=(
                *SCORING,
                *ASKED,
                *_in("inference", "boxes.py points.py"),
                *PICTURE,
                *LOADED,
                *_in(
                    "data",
                    "detections.py dropped.py facts.py http.py prompts.py seals.py shards.py spelling.py tombstones.py",
                ),
                *HUB,
            ),
            layer="release",
            plans="humanvlm.evaluate.plan",
            kinds=("pytorch", "json"),
        ),
        Stage(
            name="registered_model",
            help="Register in MLflow and decide on promotion.",
            module="humanvlm.registry.stage",
            inputs={
                "benchmark_scores": "artifacts/benchmark_scores",
                "stage2_checkpoint": "artifacts/stage2_checkpoint",
            },
            sections=("registered_model",),
            code=(
                *_in(
                    "registry", "again.py decisions.py evaluation.py lock.py promotion.py serving.py settle.py stage.py"
                ),
                "registry/versions.py",
                *COMPARED,
                "inspect/model_card.py",
                *PICTURE,
                *_in("data", "detections.py facts.py prompts.py shards.py"),
                *_in("inference", "ask.py base.py boxes.py cache.py generate.py grounded.py local.py marks.py"),
                *_in("inference", "points.py replies.py"),
                *LOADED,
                "model/parity.py",
                *HUB,
            ),
            layer="release",
            kinds=("mlflow",),
            outside=True,
        ),
    )
}

SHARDED = tuple(stage.name for stage in STAGES.values() if stage.layer == "dataset")  # whose artifacts are shards
