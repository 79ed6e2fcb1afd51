"""A chat completion as it is asked for: the body of a request, checked field by field.

What would change the reply and is not done here is refused, not passed over.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from humanvlm.serve.conversation import Turn
from humanvlm.serve.limits import Limits
from humanvlm.serve.refusals import Refused

MAX_TURNS = 256
MAX_STOPS, MAX_STOP = 4, 200  # texts that end a reply, and characters of one
TOLD = 200  # characters of an error

# What does not change a reply: names of users, bookkeeping, hints to a scheduler.
IGNORED = frozenset(
    ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls")
)
# What would change it, and the values that do not.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "response_format": (None, {"type": "text"}),
    "modalities": (None, ["text"]),
    "reasoning_effort": (None, "none"),
}


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Text(Part):
    type: Literal["text"]
    text: str


class Address(Part):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class Picture(Part):
    type: Literal["image_url"]
    image_url: Address


class Message(Part):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Annotated[Text | Picture, Field(discriminator="type")]]
    name: str | None = None


class StreamOptions(Part):
    include_usage: bool = False
    include_obfuscation: bool | None = None


class Body(Part):
    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    messages: list[Message] = Field(min_length=1, max_length=MAX_TURNS)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


@dataclass(frozen=True)
class Asked:
    """A request that may be answered. pictures: their addresses, in the order of the turns that show them.
    temperature 0: the likeliest token each time."""

    model: str
    turns: tuple[Turn, ...]
    pictures: tuple[str, ...]
    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    stops: tuple[str, ...]
    stream: bool
    usage: bool


def read_request(content: bytes, limits: Limits) -> Asked:
    """Raises Refused (400) naming the field."""
    try:
        body = Body.model_validate_json(content)
    except ValidationError as error:
        raise _refused(error) from None
    for name, value in (body.model_extra or {}).items():
        if name not in IGNORED and value not in NEUTRAL.get(name, ()):
            what = "is not done here" if name in NEUTRAL else "is unknown"
            raise Refused(400, f"{name[:TOLD]} {what}; leave it out", name[:TOLD], "unsupported_parameter")
    turns, pictures = _turns(body.messages)
    if len(pictures) > limits.pictures:
        message = f"messages: {len(pictures)} pictures, more than {limits.pictures}"
        raise Refused(400, message, "messages", "too_many_images")
    stops = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    if len(stops) > MAX_STOPS or not all(0 < len(stop) <= MAX_STOP for stop in stops):
        raise Refused(400, f"stop: at most {MAX_STOPS} texts of 1 to {MAX_STOP} characters", "stop")
    field = "max_completion_tokens" if body.max_completion_tokens else "max_tokens"
    asked = body.max_completion_tokens or body.max_tokens or limits.reply_tokens
    if asked > limits.reply_tokens:
        raise Refused(400, f"{field}: {asked} is more than {limits.reply_tokens}", field, "max_tokens_exceeded")
    return Asked(
        body.model,
        turns,
        pictures,
        asked,
        body.temperature or 0.0,
        body.top_p or 1.0,
        body.seed,
        stops,
        bool(body.stream),
        bool(body.stream_options and body.stream_options.include_usage),
    )


def _turns(messages: list[Message]) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Turns, and the addresses of their pictures. Raises Refused (400) for turns that no conversation has."""
    turns: list[Turn] = []
    pictures: list[str] = []
    for number, message in enumerate(messages):
        place = f"messages.{number}"
        parts = [Text(type="text", text=message.content)] if isinstance(message.content, str) else message.content
        texts = [part.text for part in parts if isinstance(part, Text)]
        shown = [part.image_url.url for part in parts if isinstance(part, Picture)]
        role = "system" if message.role == "developer" else message.role
        if role == "system" and number:
            raise Refused(400, f"{place}.role: a {message.role} message is the first or none", f"{place}.role")
        if shown and role != "user":
            raise Refused(400, f"{place}.content: only a user shows pictures", f"{place}.content")
        if not shown and not any(text.strip() for text in texts):
            raise Refused(400, f"{place}.content: empty", f"{place}.content")
        turns.append(Turn(role, "\n".join(texts), len(shown)))
        pictures += shown
    if messages[-1].role != "user":
        raise Refused(400, "messages: the last one must be a user's", "messages")
    return tuple(turns), tuple(pictures)


def _refused(error: ValidationError) -> Refused:
    """The first thing that is wrong, without what was sent."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:TOLD]
    if first["type"] == "json_invalid":
        return Refused(400, f"the body is not JSON: {first['msg'][:TOLD]}", code="invalid_json")
    return Refused(400, f"{place or 'body'}: {first['msg'][:TOLD]}", place or None, "invalid_value")
