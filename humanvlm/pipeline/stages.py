"""The stages in order: what each is called, reads, and is made of. dvc.yaml says the same to DVC and Dagster."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stage by name: where its code is, which folders it reads by default, which parameter sections it uses."""

    name: str
    module: str
    inputs: Mapping[str, str]
    sections: tuple[str, ...]

    @property
    def out(self) -> str:
        return f"artifacts/{self.name}"

    @property
    def honours_tombstones(self) -> bool:
        """Whether rows that were taken down are left out here; later stages read what these keep."""
        return self.name in ("raw_scrape", "human_scenes")

    @property
    def code(self) -> tuple[str, ...]:
        """Files and folders of this package on which the results depend; dvc.yaml lists the same."""
        if self.name == "raw_scrape":
            return ()  # the web cannot be asked again for the same answers: a code change does not repeat a crawl
        room = self.module.split(".")[1:-1]
        shared = ("model", "inference", "data/prompts.py") if room in (["train"], ["evaluate"]) else ()
        return (*room, *shared, "data/shards.py")


STAGES = {
    stage.name: stage
    for stage in (
        Stage("raw_scrape", "humanvlm.scrape.stage", {"data": "data"}, ("raw_scrape",)),
        Stage("human_scenes", "humanvlm.curate.stage", {"raw_scrape": "artifacts/raw_scrape"}, ("human_scenes",)),
        Stage(
            "human_caption", "humanvlm.caption.stage", {"human_scenes": "artifacts/human_scenes"}, ("human_caption",)
        ),
        Stage(
            "human_caption_hq",
            "humanvlm.caption.hq_stage",
            {"human_caption": "artifacts/human_caption"},
            ("human_caption_hq",),
        ),
        Stage(
            "stage1_checkpoint",
            "humanvlm.train.stage1",
            {"human_caption": "artifacts/human_caption"},
            ("model", "stage1_checkpoint"),
        ),
        Stage(
            "stage2_checkpoint",
            "humanvlm.train.stage2",
            {
                "stage1_checkpoint": "artifacts/stage1_checkpoint",
                "human_caption": "artifacts/human_caption",
                "human_caption_hq": "artifacts/human_caption_hq",
                "data": "data",
            },
            ("model", "stage2_checkpoint"),
        ),
        Stage(
            "benchmark_scores",
            "humanvlm.evaluate.stage",
            {
                "stage2_checkpoint": "artifacts/stage2_checkpoint",
                "human_caption": "artifacts/human_caption",
                "data": "data",
            },
            ("benchmark_scores",),
        ),
        Stage(
            "registered_model",
            "humanvlm.registry.stage",
            {"benchmark_scores": "artifacts/benchmark_scores", "stage2_checkpoint": "artifacts/stage2_checkpoint"},
            ("registered_model",),
        ),
    )
}
