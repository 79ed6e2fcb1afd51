"""The routes, asked over HTTP as clients do: replies are those of the checkpoint, and every fault has its status."""

import threading
from pathlib import Path
from typing import Any

import pytest

from humanvlm.config.endpoint import Endpoint
from humanvlm.inference.base import Request
from humanvlm.inference.endpoint import Server
from humanvlm.inference.local import Local
from humanvlm.serve.limits import Limits
from humanvlm.serve.models import Source, loader

from .running import Running, body, events, png, running

PROMPTS = ["Hi", "Is there a person? Answer yes or no.", "Describe the picture in one sentence.", "Who?", "A man"]


def requests(count: int, tokens: int = 12) -> list[Request]:
    """Some with pictures and some without."""
    return [
        Request(f"k{n}", (lambda n=n: png(n)) if n % 3 else None, f"{PROMPTS[n % 5]} {n}", tokens)  # type: ignore[misc]
        for n in range(count)
    ]


def texts(model: Any, asked: list[Request]) -> dict[str, tuple[str, str, int | None, int | None]]:
    return {
        reply.key: (reply.raw, reply.finish, reply.tokens, reply.prompt_tokens)
        for made in model.answer(asked)
        for reply in made
    }


def endpoint(server: Running, concurrency: int) -> Server:
    return Server(Endpoint(url=server.url, model="tiny", concurrency=concurrency, image_size=0))


def test_replies_are_those_of_the_checkpoint(tiny_server: Running, folder: Path) -> None:
    asked = requests(24)
    alone = texts(Local(folder, batch_size=1), asked)
    assert len({reply[0] for reply in alone.values()}) > 12
    for concurrency in (1, 24):
        assert texts(endpoint(tiny_server, concurrency), asked) == alone


def test_a_stream_says_the_same_in_pieces(tiny_server: Running) -> None:
    asked = body("Describe the picture.", png(3), max_tokens=12)
    _, whole, _ = tiny_server.ask(asked)
    status, said, headers = tiny_server.ask(asked | {"stream": True, "stream_options": {"include_usage": True}})
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    first, *middle, last, usage, done = events(said)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    content = "".join(chunk["choices"][0]["delta"]["content"] for chunk in middle)
    assert content == whole["choices"][0]["message"]["content"]
    assert last["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])
    assert done == "[DONE]"
    assert {chunk["id"] for chunk in (first, *middle, last, usage)} == {first["id"]}
    assert all(chunk["usage"] is None for chunk in (first, *middle, last))


def test_models_health_and_readiness(tiny_server: Running) -> None:
    status, listed, _ = tiny_server.ask(None, method="GET", path="/v1/models")
    assert (status, [model["id"] for model in listed["data"]]) == (200, ["tiny"])
    assert tiny_server.ask(None, method="GET", path="/health")[:2] == (200, "alive\n")
    assert tiny_server.ask(None, method="GET", path="/ready")[:2] == (200, "ready\n")


def test_unknown_routes_and_methods_are_told_in_openais_words(tiny_server: Running) -> None:
    for method, path, status in (("GET", "/v1/chat/completions", 405), ("POST", "/v1/embeddings", 404)):
        found, told, _ = tiny_server.ask({}, method=method, path=path)
        assert (found, told["error"]["message"]) == (status, f"no {method} {path}")


def test_a_model_that_is_not_loaded_yet_is_waited_for(folder: Path) -> None:
    go = threading.Event()

    def load() -> Any:
        go.wait(60)
        return loader(Source("tiny", folder), Limits())()

    with running(folder, load=load) as server:
        assert server.ask(None, method="GET", path="/health")[0] == 200
        for answer in (server.ask(None, method="GET", path="/ready"), server.ask(body())):
            assert (answer[0], answer[2]["retry-after"]) == (503, "5")
        go.set()
        while server.ask(None, method="GET", path="/ready")[0] != 200:
            pass
        assert server.ask(body())[0] == 200


def test_openais_client_is_answered(tiny_server: Running) -> None:
    openai = pytest.importorskip("openai", reason="needs the openai package, which is not installed with this project")
    client = openai.OpenAI(base_url=tiny_server.url, api_key="none", max_retries=0)
    asked = body("Describe the picture.", png(3), max_tokens=12)
    whole = client.chat.completions.create(**asked)
    pieces = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    said = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert said == whole.choices[0].message.content
    assert pieces[-1].usage == whole.usage
    assert [model.id for model in client.models.list()] == ["tiny"]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**(asked | {"model": "other"}))
