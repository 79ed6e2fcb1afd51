"""How an OpenAI-compatible server is asked: a part of sections that may ask one."""

from typing import Annotated, Any

from pydantic import Field

from humanvlm.config.section import Section


class Endpoint(Section):
    """How an OpenAI-compatible server is asked (chat completions, pictures as data URLs). Times in seconds."""

    url: Annotated[str, Field(description="base, up to and with /v1")] = "https://api.openai.com/v1"
    model: Annotated[str, Field(description="the server's name of the model")] = ""
    key_variable: Annotated[
        str,
        Field(
            description="environment variable that holds the key; unset: none is sent. That of OPENAI_API_KEY goes to "
            "api.openai.com only"
        ),
    ] = "OPENAI_API_KEY"
    parameters: Annotated[
        dict[str, Any],
        Field(
            description="further fields of a request; null leaves one out: {max_tokens: null, "
            "max_completion_tokens: 64}"
        ),
    ] = {}
    image_size: Annotated[
        int,
        Field(ge=0, description="pictures go as JPEG of at most this many pixels a side; 0: their bytes as they are"),
    ] = 1024
    concurrency: Annotated[int, Field(ge=1, description="requests in flight")] = 8
    attempt_timeout_s: Annotated[float, Field(gt=0, description="one attempt, its whole answer read, seconds")] = 60.0
    timeout_s: Annotated[float, Field(gt=0, description="one sample, all attempts and waits between them, seconds")] = (
        300.0
    )
    retries: Annotated[int, Field(ge=0, description="further attempts after a failure that may pass")] = 6
    requests_per_minute: Annotated[
        float, Field(ge=0, description="attempts a minute at most, of all processes of this machine; 0: no limit")
    ] = 0.0
    tokens_per_minute: Annotated[
        float,
        Field(
            ge=0,
            description="tokens a minute at most, the prompt's estimated and the longest reply's; 0: no limit",
        ),
    ] = 0.0
    price_in: Annotated[float, Field(ge=0, description="price of a million prompt tokens, in any currency")] = 0.0
    price_out: Annotated[float, Field(ge=0, description="price of a million reply tokens, in the same currency")] = 0.0
    tokens_per_s: Annotated[
        float,
        Field(ge=0, description="reply tokens that it makes a second, for `--plan`; 0: as known replies took"),
    ] = 0.0


def named_models(model: str) -> tuple[str, ...]:
    """The folder or hub id of ``hub:`` and ``checkpoint:``; nothing of other names."""
    kind, _, name = model.partition(":")
    return (name,) if kind in ("hub", "checkpoint") and name else ()
