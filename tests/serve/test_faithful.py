"""Claims of a text against what is detected in a picture, over HTTP."""

import io
import threading
from typing import Any

import pytest
from PIL import Image

from humanvlm.data.image import decode
from humanvlm.errors import UserError
from humanvlm.serve import faithful
from humanvlm.serve.limits import Limits

from .running import Running, data_url, png
from .scripted import Script, scripted

PATH = "/v1/faithfulness"


@pytest.fixture
def astronaut() -> bytes:
    """A photograph of a smiling woman in an orange suit."""
    import skimage.data

    file = io.BytesIO()
    Image.fromarray(skimage.data.astronaut()).save(file, "PNG")
    return file.getvalue()


def verdicts(found: Any) -> dict[str, str]:
    return {claim["text"]: claim["verdict"] for claim in found["claims"]}


def test_claims_of_a_photograph(astronaut: bytes) -> None:
    text = "A woman in an orange suit smiles. Two men sit on a bench."
    found = faithful.claims(text, decode(astronaut))
    assert verdicts(found).items() >= {"woman": "supported", "smiles": "supported", "Two men": "contradicted"}.items()
    assert all(text[claim["start"] : claim["end"]] == claim["text"] for claim in found["claims"])
    assert 0 < found["faithfulness"] < 1
    assert faithful.claims("No.", decode(astronaut))["faithfulness"] is None


def test_over_http(tiny_server: Running, astronaut: bytes) -> None:
    asked = {"image": data_url(astronaut), "text": "A woman smiles."}
    status, found, _ = tiny_server.ask(asked, path=PATH)
    assert (status, verdicts(found)) == (200, {"woman": "supported", "smiles": "supported"})


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"{", 400, "body"),
        ({"text": "A man."}, 400, "image"),
        ({"image": data_url(png()), "text": 7}, 400, "text"),
        ({"image": data_url(png()), "text": "a" * (faithful.MOST_TEXT + 1)}, 400, "text"),
        ({"image": data_url(png()), "text": "A man.", "more": 1}, 400, "more"),
        ({"image": "https://example.org/a.png", "text": "A man."}, 400, "image"),
        ({"image": data_url(b"no picture"), "text": "A man."}, 400, "image"),
    ],
)
def test_faults_name_their_field(tiny_server: Running, body: Any, status: int, param: str) -> None:
    found, told, _ = tiny_server.ask(body, path=PATH)
    assert (found, told["error"]["param"]) == (status, param)


def test_limits_are_those_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"image": data_url(png()), "text": "A man."}
    with scripted({"m": Script(lambda _: ())}, Limits(pixels=100)) as server:
        assert server.ask(asked, path=PATH)[0] == 413
    with scripted({"m": Script(lambda _: ())}, Limits(per_minute=1)) as server:
        monkeypatch.setattr(faithful, "claims", lambda *_: {"claims": [], "faithfulness": None})
        assert [server.ask(asked, path=PATH)[0] for _ in range(2)] == [200, 429]

    def absent(*_: Any) -> Any:
        raise UserError("no detector; pip install it")

    with scripted({"m": Script(lambda _: ())}) as server:
        monkeypatch.setattr(faithful, "claims", absent)
        status, told, _ = server.ask(asked, path=PATH)
    assert (status, told["error"]["message"]) == (501, "claims cannot be checked here: no detector; pip install it")


def test_a_full_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    go, looking = threading.Event(), threading.Event()

    def wait(*_: Any) -> Any:
        looking.set()
        go.wait(60)
        return {"claims": [], "faithfulness": None}

    monkeypatch.setattr(faithful, "claims", wait)
    monkeypatch.setattr(faithful, "MOST_WAITING", 1)
    asked = {"image": data_url(png()), "text": "A man."}
    statuses: list[int] = []
    with scripted({"m": Script(lambda _: ())}) as server:
        first = threading.Thread(target=lambda: statuses.append(server.ask(asked, path=PATH)[0]))
        first.start()
        assert looking.wait(60)
        status, _, headers = server.ask(asked, path=PATH)
        go.set()
        first.join(60)
    assert (status, headers["retry-after"], statuses) == (503, "5", [200])
