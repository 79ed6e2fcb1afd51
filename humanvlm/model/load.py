"""Load a saved image-text-to-text model, and believe it only when every weight was found."""

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from humanvlm.errors import UserError

log = logging.getLogger("humanvlm")


def load_checkpoint(folder: Path, dtype: torch.dtype | str = torch.float32, *, own: bool = True) -> tuple[Any, Any]:
    """Model in evaluation mode and processor of a checkpoint folder: ``model/`` of stage 2, or, not ``own``, any
    image-text-to-text model of Hugging Face.

    Only safetensors are read, and no code that comes with them. transformers merely warns when keys are missing and
    goes on with random weights, so that is an error here. Raises UserError naming the folder and the first missing or
    ill-shaped key, or weight of ours without a place; of other models, weights without a place are logged.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText, AutoProcessor

    import humanvlm.model.tower  # noqa: F401  (registers the tower)

    quiet()
    if not (folder / "config.json").exists():
        raise UserError(f"{folder}: no checkpoint (config.json); run `humanvlm stage2_checkpoint`")
    remedy = "run `humanvlm stage2_checkpoint` again, or `dvc checkout`" if own else "name another folder or hub id"
    try:
        model, found = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=dtype,
            output_loading_info=True,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except SafetensorError as error:
        raise UserError(f"{folder}: damaged weights ({error}); {remedy}") from None
    # The last two: a processor of pictures and films without torchvision, which only some models want.
    except (OSError, ValueError, ImportError, AttributeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        if find_spec("torchvision") is None and not own:
            remedy += ", or install torchvision, which some models need"
        raise UserError(f"{folder}: does not load ({reason}); {remedy}") from None
    for problem in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if keys := sorted(map(str, found[problem])):
            what = f"{folder}: {len(keys)} {problem.replace('_', ' ')}, first {keys[0]!r}"
            if problem == "unexpected_keys" and not own:
                log.warning("%s; these weights are not used", what)
                continue
            raise UserError(f"{what}; the checkpoint is not of this model: {remedy}")
    if hasattr(model, "lm_head"):
        contiguous_head(model)
    return model.eval(), processor


def contiguous_head(model: Any) -> None:
    """Logits are asked for at a few positions only: on that slice, uncopied, the head would run as a batched product
    that copies its weights for every sample (a third of a training step)."""
    model.lm_head.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))


def quiet() -> None:
    """No bars that last a tenth of a second; the stages have their own progress."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
