"""Stage 1: the projector learns to say pictures in the language model's words; everything else is frozen."""

from humanvlm.pipeline.contract import Outcome, StageRun
from humanvlm.train.launch import continues, follow, train

__all__ = ["continues", "follow", "make"]


def make(run: StageRun) -> Outcome:
    """Train the projector on the captions of ``human_caption``. Rows are training samples."""
    return train(run)
