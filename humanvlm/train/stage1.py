"""Stage 1: the projector learns to say pictures in the language model's words; everything else is frozen."""

import logging

from humanvlm.errors import UserError
from humanvlm.pipeline.contract import Outcome, StageRun
from humanvlm.train.launch import continues, follow, train

__all__ = ["continues", "follow", "make"]
log = logging.getLogger("humanvlm")


def make(run: StageRun) -> Outcome:
    """Train the projector on the captions of ``human_caption``. Rows are training samples.

    Where pictures lose a patch, for parity, it is said that stage 2 will refuse it.
    """
    if run.params.model.drops_first:
        from humanvlm.model.build import check_patches  # it imports torch, which the trainer's own process does

        try:
            check_patches(run.params.model, "a run for parity alone, which stage2_checkpoint refuses")
        except UserError as error:
            log.warning("%s", error)
    return train(run)
