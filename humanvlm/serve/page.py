"""The page at ``/``: one self-contained file, made of the sources in ``web/``, and the headers that it is sent with.

It is plain HTML, CSS and JavaScript: nothing is built, and what is served is what is read there. Its policy names its
own style and script by their hashes, so nothing else runs or loads, and nothing is sent but to the server it is from.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from humanvlm.data import prompts
from humanvlm.serve.limits import Limits

POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
PERSON = "[0, 0, 100, 100]"  # of prompts about a box: whoever asks puts the person's own here
EXAMPLES: Mapping[str, str] = {
    "Caption": prompts.CAPTION,
    "Describe": prompts.DETAILED_CAPTION,
    "Face and body": prompts.HQ_CAPTION,
    "Question": prompts.QUESTION.format(question="What is the person wearing?"),
    "Yes or no": prompts.YES_NO.format(question="Is there a person in the picture?"),
    "Find": prompts.FIND.format(expression="the person on the left"),
    "Person in a box": prompts.REFER.format(box=PERSON),
    "Keypoints": prompts.KEYPOINTS.format(names="nose, left eye, right eye", box=PERSON),
}


@dataclass(frozen=True)
class Page:
    """html: the whole file. headers: what it is sent with, its Content-Security-Policy among them."""

    html: str
    headers: Mapping[str, str]


def page(limits: Limits) -> Page:
    """The page of a server with these limits."""
    style, script, html = (files("humanvlm.serve").joinpath("web", f"page.{kind}").read_text("utf-8") for kind in KINDS)
    examples = [{"task": task, "prompt": prompt} for task, prompt in EXAMPLES.items()]
    settings = {
        "pixels": limits.pixels,
        "body_bytes": limits.body_bytes,
        "reply_tokens": limits.reply_tokens,
        "examples": examples,
    }
    for mark, text in (
        ("/* page.css */", style),
        ("/* page.js */", script),
        ("/* settings */", json.dumps(settings).replace("<", "\\u003c")),
    ):
        before, found, after = html.partition(mark)
        if not found:
            raise ValueError(f"page.html has no {mark}")
        html = before + text + after
    return Page(
        html,
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": POLICY.format(script=_hash(script), style=_hash(style)),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-cache",
        },
    )


KINDS = ("css", "js", "html")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
