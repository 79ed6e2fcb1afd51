"""Section ``human_caption_hq``."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from humanvlm.config.captioning import Captioning

Axis = Literal["gender", "stage", "pose", "facing", "shot", "people", "place", "setting"]


class HumanCaptionHQ(Captioning):
    """The high-resolution subset with face, body and background captions, fused (<=500 words), and conversations."""

    captioner: Annotated[
        Literal["template", "model", "endpoint"],
        Field(
            description="template: sentences from the facts, and the index's own where human_caption took those; "
            "model: the one that `model` names; endpoint: the server of `endpoint`"
        ),
    ] = "template"

    min_side: Annotated[int, Field(ge=1, description="least shorter side of a picture, pixels")] = 256
    min_sharpness: Annotated[float, Field(ge=0, description="least sharpness, as human_scenes measures it")] = 20.0
    require_face: Annotated[
        bool, Field(description="false: people without a face, or with a smaller one, too, such as back views")
    ] = True
    min_face_side: Annotated[int, Field(ge=1, description="least shorter side of its largest face's box, pixels")] = 48
    max_rows: Annotated[
        int, Field(ge=0, description="pictures to choose, the best of every kind alike; 0: all that pass")
    ] = 0
    max_per_cell: Annotated[int, Field(ge=0, description="most pictures of a kind; 0: as many as max_rows leaves")] = 0
    balance: Annotated[
        Sequence[Axis],
        Field(min_length=1, description="what makes a kind: facts of the most prominent person and of the picture"),
        AfterValidator(tuple),
    ] = ["gender", "stage", "shot", "people", "place"]
    max_words: Annotated[int, Field(ge=12, description="longest fused caption, words")] = 500
    max_turns: Annotated[
        int, Field(ge=1, description="most questions of a picture's conversation, of all kinds alike; 1: its caption")
    ] = 8
    seed: Annotated[int, Field(description="of the choice between wordings, and between equals")] = 7
