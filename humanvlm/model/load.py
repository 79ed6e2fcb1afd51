"""Load a saved LLaVA checkpoint, and believe it only when every weight was found."""

from pathlib import Path
from typing import Any

import torch

from humanvlm.errors import UserError


def load_checkpoint(folder: Path, dtype: torch.dtype | str = torch.float32) -> tuple[Any, Any]:
    """Model in evaluation mode and processor of a checkpoint folder (``model/`` of stage 2, or any saved LLaVA).

    Only safetensors are read. transformers merely warns when keys are missing and goes on with random weights, so that
    is an error here. Raises UserError naming the folder and the first missing, unexpected or ill-shaped key.
    """
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    import humanvlm.model.tower  # noqa: F401  (registers the tower)
    from humanvlm.model.build import contiguous_head
    from humanvlm.model.language import quiet

    quiet()
    if not (folder / "config.json").exists():
        raise UserError(f"{folder}: no checkpoint (config.json); run `humanvlm stage2_checkpoint`")
    try:
        model, found = LlavaForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, local_files_only=True, use_safetensors=True
        )
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:160]
        raise UserError(
            f"{folder}: does not load ({reason}); run `humanvlm stage2_checkpoint` again, or `dvc checkout`"
        ) from None
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if keys := sorted(map(str, found[problem])):
            raise UserError(
                f"{folder}: {len(keys)} {problem.replace('_', ' ')}, first {keys[0]!r}; "
                "the checkpoint is not of this model: run `humanvlm stage2_checkpoint` again"
            )
    contiguous_head(model)
    return model.eval(), processor
