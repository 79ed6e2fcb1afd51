"""The page as it is sent: whole, self-contained, and allowed nothing but its own code and its own server."""

import base64
import hashlib
import json
import re

from humanvlm.data import prompts
from humanvlm.serve.limits import Limits
from humanvlm.serve.page import EXAMPLES, page

from .running import Running


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def only(pattern: str, html: str) -> str:
    """What is in the one place of a pattern."""
    (found,) = re.findall(pattern, html, re.DOTALL)
    return str(found)


def test_its_policy_names_its_own_code_by_hash() -> None:
    made = page(Limits())
    policy = made.headers["Content-Security-Policy"]
    script, style = only('<script type="module">(.*?)</script>', made.html), only("<style>(.*?)</style>", made.html)
    assert f"script-src {hashed(script)}; style-src {hashed(style)};" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_it_loads_nothing_from_elsewhere() -> None:
    html = page(Limits()).html
    assert re.findall(r"https?:|//[a-z]|@import|url\(|\ssrc=|style=|\son[a-z]+=", html.replace("// ", "")) == []
    assert "/* page" not in html


def test_it_knows_the_limits_and_the_prompts_of_the_tasks() -> None:
    limits = Limits(pixels=7, body_bytes=8, reply_tokens=9)
    found = json.loads(only('<script type="application/json"[^>]*>(.*?)</script>', page(limits).html))
    assert {name: value for name, value in found.items() if name != "examples"} == {
        "pixels": 7,
        "body_bytes": 8,
        "reply_tokens": 9,
    }
    assert {one["task"]: one["prompt"] for one in found["examples"]} == EXAMPLES
    assert prompts.CAPTION in EXAMPLES.values()
    assert not any("{" in prompt for prompt in EXAMPLES.values())


def test_the_server_sends_it_with_its_policy(tiny_server: Running) -> None:
    status, html, headers = tiny_server.ask(None, method="GET", path="/")
    made = page(tiny_server.serving.limits)
    assert (status, html) == (200, made.html)
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-security-policy"] == made.headers["Content-Security-Policy"]
    assert headers["x-content-type-options"] == "nosniff"
