"""The authors' 728 features of a picture: their code drops the first patch of a tower that has no class token to drop.

A switch of parity: stage 1 trains with it; what is exported keeps all patches (729 of the paper's tower), as a plain
LLaVA with the strategy ``full`` does everywhere.
"""

import json
from pathlib import Path

from humanvlm.errors import UserError


def refuse_dropped_patch(strategy: str, class_tokens: int, what: str) -> None:
    """strategy: ``vision_feature_select_strategy``; class_tokens: of the tower, before its patches.

    Raises UserError, one line that begins with ``what``, when a picture loses a real patch.
    """
    if strategy == "default" and class_tokens == 0:
        raise UserError(
            f"{what}: without its first patch, one feature short (the authors' 728 of 729), no model is exported; set "
            "model.drop_first_patch to false and model.vision_feature_select_strategy to full, then run "
            "`humanvlm stage1_checkpoint` again"
        )


def refuse_dropped_patch_of(folder: Path) -> None:
    """As ``refuse_dropped_patch``, of a checkpoint on disk."""
    path = folder / "processor_config.json"
    if path.exists():
        value = json.loads(path.read_text(encoding="utf-8"))
        refuse_dropped_patch(
            value.get("vision_feature_select_strategy", "full"),
            value.get("num_additional_image_tokens", 0),
            str(folder),
        )
