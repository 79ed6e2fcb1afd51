"""Section ``model``: which vision tower and language model are joined."""

from typing import Annotated, Literal

from pydantic import Field

from humanvlm.config.section import Section


class Model(Section):
    """Which vision tower and language model are joined."""

    vision_tower: Annotated[
        str,
        Field(description="entry of models.yaml with the role vision_tower, a folder, or a hub id ORG/NAME[@REVISION]"),
    ] = "mobilenet-v2-imagenet"
    language_model: Annotated[
        str, Field(description="entry of models.yaml with the role language_model, a folder, or a hub id")
    ] = "smollm2-135m-instruct"
    image_side: Annotated[
        int,
        Field(
            ge=0,
            le=7,
            description="tokens a side that the packaged tower's cells are pooled to: its square is what a picture "
            "costs; 0: as many as there are cells",
        ),
    ] = 0
    vision_feature_layer: Annotated[
        int, Field(description="whose features the projector gets; -1: the tower's last layer, -2: the one before it")
    ] = -1
    vision_feature_select_strategy: Annotated[
        Literal["full", "default"], Field(description="full: all patches; default: without the first, a class token")
    ] = "full"
    drop_first_patch: Annotated[
        bool,
        Field(
            description="parity with the authors' code, which drops one real patch (728 of SigLIP's 729); of stage 1 "
            "alone: stage 2 and registered_model, which export, refuse it"
        ),
    ] = False
    system_prompt: Annotated[str | None, Field(description="null: the chat template's own; '' saves its tokens")] = None
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Field(description="of training; auto: bfloat16 where the machine multiplies it natively"),
    ] = "auto"

    @property
    def drops_first(self) -> bool:
        """Whether the first feature of a picture is left out: a class token, or else a real patch."""
        return self.drop_first_patch or self.vision_feature_select_strategy == "default"

    @property
    def models(self) -> tuple[str, ...]:
        return (self.vision_tower, self.language_model)
