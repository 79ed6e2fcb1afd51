"""Whether what a text claims of a picture is supported by what is detected in it: ``POST /v1/faithfulness``.

The detectors, facts and claims are those by which captions are checked. One thread does it, beside the models' own.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from humanvlm.errors import UserError
from humanvlm.serve.chat import Serving, read_body
from humanvlm.serve.engine import AGAIN_S
from humanvlm.serve.pictures import PLACE, data_of, decoded
from humanvlm.serve.refusals import FAILED, Refused, busy

MOST_TEXT = 10_000  # characters
MOST_WAITING = 8  # requests in line


class Asked(BaseModel):
    """image: a data URL. text: what is said of it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    image: str
    text: str = Field(max_length=MOST_TEXT)


class Checker:
    """The thread that looks into pictures, and how many wait for it."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, "check")
        self.waiting = 0

    async def answer(self, serving: Serving, request: Request) -> Mapping[str, Any]:
        """The claims of a text and what supports each. Raises Refused, and ClientDisconnect."""
        serving.admit(request)
        with serving.room.share() as share:
            content = await read_body(request, serving.limits, share)
            if self.waiting >= MOST_WAITING:
                raise busy(f"{self.waiting} pictures wait to be looked into", AGAIN_S)
            self.waiting += 1
            try:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self.thread, _checked, content, serving)
            finally:
                self.waiting -= 1


def claims(text: str, picture: Image.Image) -> Mapping[str, Any]:
    """What a text claims of a picture (upright, RGB): ``claims``, each with its place in the text, its ``verdict``
    (supported, contradicted or unsupported) and what supports it; and ``faithfulness``, the share that is supported,
    None without claims. Raises UserError when a detector is not installed."""
    from humanvlm.caption.checks.check import Limits, check
    from humanvlm.caption.facts.measure import measure
    from humanvlm.config.human_scenes import HumanScenes
    from humanvlm.curate.scene import Scene, load_models

    config = HumanScenes()
    names = (config.face_detector, config.closeup_face_detector, config.person_detector, config.nsfw_classifier)
    rgb = np.asarray(picture)
    scene = Scene({}, rgb, config, load_models(*names))
    faces, people, objects = ([asdict(one) for one in found] for found in (scene.faces, scene.people, scene.objects))
    verdict = check(text, "detailed", measure(rgb, faces, people, objects), (), Limits(MOST_TEXT, min_faithfulness=0.0))
    told = [
        {
            "start": claim.start,
            "end": claim.end,
            "text": text[claim.start : claim.end],
            "kind": claim.kind,
            "verdict": "supported" if claim.by else "contradicted" if claim.contradicted else "unsupported",
            "by": claim.by or None,
        }
        for claim in verdict.claims
    ]
    return {"claims": told, "faithfulness": verdict.faithfulness if told else None}


def _checked(content: bytes, serving: Serving) -> Mapping[str, Any]:
    try:
        asked = Asked.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise Refused(400, f"{place}: {first['msg']}", place, "invalid_value") from None
    try:
        picture = decoded(data_of(asked.image), serving.limits)
    except Refused as refused:
        raise Refused(refused.status, refused.message.replace(PLACE, "image"), "image", refused.code) from None
    try:
        return claims(asked.text, picture)
    except UserError as error:
        raise Refused(501, f"claims cannot be checked here: {error}", kind=FAILED) from None
