"""Which server gets the key."""

import socket
from typing import Any

import pytest

from humanvlm.config.endpoint import Endpoint
from humanvlm.errors import UserError
from humanvlm.inference.keys import key_of

NAMES = {
    "box": ["10.0.0.7"],
    "tail.example": ["100.64.1.2"],
    "public.example": ["93.184.216.34"],
    "half.example": ["10.0.0.7", "93.184.216.34"],
    "mapped.example": ["::ffff:93.184.216.34"],
}


@pytest.fixture(autouse=True)
def keys_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "openai")
    monkeypatch.setenv("OTHER", "other")
    literal = socket.getaddrinfo

    def look_up(host: str, *_: Any) -> list[Any]:
        if host in NAMES:
            return [(0, 0, 0, "", (address, 0)) for address in NAMES[host]]
        return literal(host, None, flags=socket.AI_NUMERICHOST)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def key(url: str, **changes: str) -> str:
    return key_of(Endpoint(url=url, model="m", **changes), "human_caption.endpoint.url")


@pytest.mark.parametrize(
    "url", ["https://api.openai.com/v1", "https://eu.api.openai.com/v1", "https://API.openai.com./v1"]
)
def test_openai_gets_its_key(url: str) -> None:
    assert key(url) == "openai"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com.example/v1",
        "https://xapi.openai.com/v1",
        "https://openai.com/v1",
        "https://public.example/v1",
        "http://127.0.0.1:8000/v1",
        "https://api.openai.com@public.example/v1",
    ],
)
def test_nobody_else_gets_it(url: str) -> None:
    assert key(url) == ""
    assert key(url, key_variable="UNSET_VARIABLE") == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "192.168.1.5", "box", "tail.example", "[fe80::1]"])
def test_a_named_key_goes_over_http_nearby(host: str) -> None:
    assert key(f"http://{host}:8000/v1", key_variable="OTHER") == "other"


@pytest.mark.parametrize(
    "host", ["93.184.216.34", "public.example", "half.example", "mapped.example", "unknown.example", "[2606:4700::1]"]
)
def test_no_key_goes_over_http_to_the_open_web(host: str) -> None:
    with pytest.raises(UserError, match=r"human_caption\.endpoint\.url: .* in plain text; use https") as error:
        key(f"http://{host}/v1", key_variable="OTHER")
    assert "other" not in str(error.value).replace("another", "")
    assert key(f"https://{host}/v1", key_variable="OTHER") == "other"


def test_not_even_that_of_openai() -> None:
    NAMES["api.openai.com"] = ["162.159.140.245"]
    with pytest.raises(UserError, match="OPENAI_API_KEY in plain text"):
        key("http://api.openai.com/v1")
