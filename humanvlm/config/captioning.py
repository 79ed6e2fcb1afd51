"""How a model or a server writes captions: a part of the sections that write some."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from humanvlm.config.endpoint import Endpoint, named_models
from humanvlm.config.own_file import OwnFile
from humanvlm.config.section import Section


class Captioning(Section):
    """A captioner beside the template; what it leaves unwritten is the template's."""

    captioner: str
    min_probability: Annotated[float, Field(ge=0, le=1, description="facts below it are not written, 0 to 1")] = 0.6
    min_faithfulness: Annotated[
        float, Field(ge=0, le=1, description="least share of a caption's claims that facts or texts support, 0 to 1")
    ] = 1.0
    min_similarity: Annotated[
        float,
        Field(
            ge=0, le=1, description="cosine from which two nouns that WordNet does not join name one thing; 0: never"
        ),
    ] = 0.65
    model: Annotated[
        str,
        Field(
            description="where captioner is model: checkpoint:FOLDER: one of ours; hub:ORG/NAME[@REVISION] or "
            "hub:FOLDER: any image-text-to-text model of Hugging Face"
        ),
    ] = ""
    endpoint: Annotated[Endpoint, Field(description="the server, where captioner is endpoint")] = Endpoint()
    redact: Annotated[
        bool,
        Field(
            description="names, addresses, telephone numbers, e-mail and handles are taken out of the index's texts, "
            "before anything is written or learnt from them, and of what models write (docs/safety.md: what is missed)"
        ),
    ] = True
    rewrite: Annotated[
        bool,
        Field(description="true: no picture is shown, the template's text and the facts are rewritten into prose"),
    ] = False
    min_coverage: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="where rewrite is true: how much a text must say that facts support, as a share of what the "
            "template's says, 0 to 1; its sentences that say nothing new go; 0: any text, whatever it leaves out",
        ),
    ] = 0.4
    max_new_tokens: Annotated[int, Field(ge=1, description="longest reply, tokens; thoughts are among them")] = 768
    batch_size: Annotated[int, Field(ge=1, description="texts that a local model writes at a time")] = 8
    max_failed: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="share of a shard's requests that may stay without a reply, their texts the template's; more "
            "fail the stage",
        ),
    ] = 0.1
    budget_tokens: Annotated[
        int, Field(ge=0, description="tokens, of prompts and replies, that the server may use in all; 0: no limit")
    ] = 0
    budget_cost: Annotated[
        float, Field(ge=0, description="what the server may cost in all, by its endpoint's prices; 0: no limit")
    ] = 0.0

    weights: Annotated[
        Mapping[str, OwnFile],
        Field(description="files of your own in place of those of models.yaml, by the names of its entries"),
    ] = {}

    @property
    def models(self) -> tuple[str, ...]:
        return named_models(self.model) if self.captioner == "model" else ()

    @property
    def own_files(self) -> Mapping[str, tuple[str, str]]:
        return {name: (own.file, own.sha256) for name, own in self.weights.items()}
