"""Chat completions as OpenAI words them, and as servers that follow it do: what is sent, and what is read."""

import base64
import io
import json
from collections.abc import Mapping
from typing import Any

from humanvlm.config.endpoint import Endpoint
from humanvlm.data.image import decode, kind_of, opened, room
from humanvlm.inference.base import Reply, Request
from humanvlm.inference.failures import AttemptError, http_failure, malformed
from humanvlm.inference.marks import plain
from humanvlm.inference.replies import holds_thought

JPEG_QUALITY = 95
LENGTH, FILTERED = "length", "content_filter"
ENDED_EARLY = (LENGTH, FILTERED)
# What servers say for OpenAI's two.
FINISH = {
    **dict.fromkeys(("max_tokens", "max_output_tokens", "model_length", "max_length"), LENGTH),
    **dict.fromkeys(("safety", "refusal", "recitation", "prohibited_content", "blocklist", "sensitive"), FILTERED),
}
ANSWER, THOUGHT, REFUSAL = ("text", "output_text"), ("thinking", "reasoning", "reasoning_content"), ("refusal",)


def request_body(
    config: Endpoint, prompt: str, picture: str, max_new_tokens: int, schema: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A chat completion: one turn, picture first (``''``: none), greedy. schema: the reply is to be such JSON.
    Servers read marks in a text as their own: the prompt is sent without (humanvlm.inference.marks).
    ``config.parameters`` add, replace and take out fields."""
    prompt = plain(prompt)
    words = {"type": "text", "text": prompt}
    content = [{"type": "image_url", "image_url": {"url": picture}}, words] if picture else prompt
    body: dict[str, Any] = {
        "model": config.model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": max_new_tokens,
        "temperature": 0,
    }
    if schema:
        named = {"name": "reply", "strict": True, "schema": dict(schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return {name: value for name, value in (body | config.parameters).items() if value is not None}


def data_url(request: Request, image_size: int) -> str:
    """The picture upright, as JPEG of at most ``image_size`` pixels a side; with 0 its file as it is; '' without one.

    Raises ValueError when it does not decode.
    """
    if request.picture is None:
        return ""
    data = request.encoded()
    width, height = opened(data).size
    with room(width * height):  # until it is small
        image = decode(data)
        if not image_size:
            return f"data:{kind_of(data).media_type};base64,{base64.b64encode(data).decode()}"
        image.thumbnail((image_size, image_size))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def parse_reply(key: str, content: bytes, seconds: float, section: str, key_variable: str = "") -> Reply:
    """The first choice of a chat completion. Raises AttemptError when there is none, or an error in its place.

    section, key_variable: as the remedy of an error names them."""
    try:
        value = json.loads(content)
        if isinstance(value, dict) and not value.get("choices") and value.get("error"):
            raise _error_inside(value["error"], section, key_variable)
        choice = value["choices"][0]
        said, thought, refusal = _read_message(choice["message"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        start = content[:80].decode(errors="replace")
        raise malformed(f"{type(error).__name__}: {error}: {start}", section, content) from None
    usage = value.get("usage")
    asked, made = (
        count if isinstance(usage, dict) and isinstance(count := usage.get(name), int) else None
        for name in ("prompt_tokens", "completion_tokens")
    )
    finish = str(choice.get("finish_reason"))
    return Reply(
        key,
        _valid(with_thought(said, thought)),
        made,
        FINISH.get(finish.lower(), FILTERED if finish.lower().startswith(FILTERED) else finish),
        seconds,
        _valid(refusal),
        info={"model": str(value["model"])} if value.get("model") else {},
        prompt_tokens=asked,
    )


def with_thought(said: str, thought: str) -> str:
    """A reply whose thought came apart from it as models write both themselves. Without an answer, it has no end."""
    if not thought:
        return said
    begun = "<think>" if holds_thought(thought) else f"<think>{thought}"  # marks in it would be taken for its own
    return f"{begun}</think>{said}" if said else begun


def _read_message(message: Mapping[str, Any]) -> tuple[str, str, str]:
    """Answer, thought and refusal of a message, whose content is a text, parts of these kinds, or nothing.

    Raises ValueError when it has none of them, or a content that is something else.
    """
    content, refusal = message.get("content"), message.get("refusal")
    thought = next((message[name] for name in ("reasoning_content", "reasoning") if message.get(name)), None)
    if "content" not in message and not refusal and not thought:
        raise ValueError("a message without content")
    if content is not None and not isinstance(content, str | list):
        raise ValueError(f"content is a {type(content).__name__}")
    parts = content if isinstance(content, list) else []
    answer = content if isinstance(content, str) else _joined(parts, ANSWER)
    told = (answer, _words(thought) or _joined(parts, THOUGHT), _words(refusal) or _joined(parts, REFUSAL))
    return told[0].strip(), told[1].strip(), told[2].strip()


def _joined(parts: list[Any], kinds: tuple[str, ...]) -> str:
    """The words of the parts of some kinds. A part that does not tell its kind is a text."""
    return "".join(
        _words(next((part[name] for name in (*kinds, "text") if part.get(name)), None))
        for part in parts
        if isinstance(part, dict) and part.get("type", "text") in kinds
    )


def _words(value: Any) -> str:
    """A text, or the texts of parts; '' for anything else."""
    if isinstance(value, list):
        return _joined(value, ANSWER)
    return value if isinstance(value, str) else ""


def _error_inside(error: Any, section: str, key_variable: str) -> AttemptError:
    """An error that came with status 200, as proxies send it."""
    said, code = (error.get("message"), error.get("code")) if isinstance(error, dict) else (error, None)
    if isinstance(code, int) and 400 <= code < 600:
        return http_failure(code, str(said), key_variable, section)
    return malformed(f"error: {said}", section)


def _valid(text: str) -> str:
    """JSON may hold half a surrogate pair, which no file takes."""
    return text.encode(errors="replace").decode()
