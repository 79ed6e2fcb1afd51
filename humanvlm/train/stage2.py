"""Stage 2: instruction tuning with LoRA (Hu et al. 2021, arXiv 2106.09685), merged into a plain LLaVA checkpoint."""

from humanvlm.errors import UserError
from humanvlm.pipeline.contract import Outcome, StageRun, read_report
from humanvlm.train.launch import continues, follow, train

__all__ = ["continues", "follow", "make"]


def make(run: StageRun) -> Outcome:
    """Tune language model, tower and projector on captions and instructions. Rows are training samples.

    Raises UserError when pictures lose a patch, for it exports, when stage 1 joined other models than the parameters
    name, and when words are to be added to a projector that began with none.
    """
    if run.params.model.drops_first:
        from humanvlm.model.build import check_patches  # it imports torch, which the trainer's own process does

        check_patches(run.params.model, "stage2_checkpoint")
    folder = run.inputs["stage1_checkpoint"]
    aligned = read_report(folder)["config"]
    if run.config.word_steps and not aligned["stage1_checkpoint"].get("word_steps"):
        raise UserError(
            f"stage2_checkpoint.word_steps adds to the words of stage 1, but {folder} was trained without; "
            "set stage1_checkpoint.word_steps and run `humanvlm stage1_checkpoint` again, or set it to 0 here"
        )
    joined = aligned["model"]
    wanted = run.params.model.model_dump(mode="json")
    for key, value in wanted.items():
        if joined.get(key) != value:
            raise UserError(
                f"model.{key} is {value!r}, but {folder} was trained with "
                f"{joined.get(key)!r}; run `humanvlm stage1_checkpoint` again"
            )
    return train(run)
