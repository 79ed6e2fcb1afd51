"""Section ``human_caption``."""

from typing import Annotated, Literal

from pydantic import Field

from humanvlm.config.captioning import Captioning


class HumanCaption(Captioning):
    """Facts to short (<=70 words) and detailed (<=300 words) captions."""

    captioner: Annotated[
        Literal["template", "source", "model", "endpoint"],
        Field(
            description="template: sentences from what was measured; source: the index's own texts, cleaned; model: "
            "the one that `model` names; endpoint: the server of `endpoint`"
        ),
    ] = "template"
    attribute_classifier: Annotated[
        str,
        Field(
            description="a classifier of CelebA's 40 face attributes: an entry of models.yaml with the role "
            "face_attributes, or the path of an .onnx file; empty: none"
        ),
    ] = ""
    short_max_words: Annotated[int, Field(ge=12, description="longest short caption, words")] = 70
    detailed_max_words: Annotated[int, Field(ge=12, description="longest detailed caption, words")] = 300
    min_words: Annotated[int, Field(ge=1, description="shortest text of the index that is a caption, words")] = 3
    holdout: Annotated[
        float, Field(ge=0, lt=1, description="share of pictures whose split is 'test', by hash of seed and id")
    ] = 0.1
    seed: Annotated[int, Field(description="of the choice between wordings, and of the split")] = 7
