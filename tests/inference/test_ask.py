"""Asking many things: what stops a run early, what is counted, what is said of the model that answered."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.inference.ask import REFUSED, ask_all
from humanvlm.inference.base import CORRUPT, Reply, Request
from humanvlm.inference.cache import Predictions


@dataclass
class Server:
    """Fails as a prompt's first word says: ``no`` for good, ``later`` for now, ``corrupt``; else replies."""

    asked: list[str] = field(default_factory=list)
    identity: Mapping[str, Any] = field(default_factory=lambda: {"request": {"model": "large"}})
    name: str = "large"

    def answer(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        for request in requests:
            self.asked.append(request.prompt)
            word = request.prompt.split()[0]
            if word == "no":
                yield [Reply(request.key, error="http_413", detail="too large; smaller", permanent=True)]
            elif word == "later":
                yield [Reply(request.key, error="timeout", detail="slow")]
            elif word == "corrupt":
                yield [Reply(request.key, error=CORRUPT)]
            else:
                yield [Reply(request.key, request.prompt, info={"model": self.name})]


def ask(folder: Path, prompts: Sequence[str], max_failed: float = 0.0, model: Server | None = None) -> Server:
    model = model or Server()
    requests = [Request(prompt, bytes, prompt, 8) for prompt in prompts]
    ask_all(requests, model, Predictions(folder, model.identity), "benchmark_scores", max_failed)
    return model


def test_what_is_refused_for_good_from_the_start_stops_after_a_few(tmp_path: Path) -> None:
    model = Server()
    prompts = ["no 0", "corrupt 0", *(f"no {n}" for n in range(1, 90))]
    with pytest.raises(UserError, match=rf"the first {REFUSED} requests got no reply \(http_413: too large; smaller\)"):
        ask(tmp_path, prompts, 1.0, model)
    assert len(model.asked) == REFUSED + 1


def test_what_is_refused_of_some_is_counted(tmp_path: Path) -> None:
    mixed = ["yes", *(f"no {n}" for n in range(9))]
    assert len(ask(tmp_path, mixed, 0.9).asked) == 10
    assert len(ask(tmp_path, mixed, 0.9).asked) == 9  # and again, where only these are missing
    with pytest.raises(UserError, match=r"9 of 10 samples \(http_413 9; .*change that and run again"):
        ask(tmp_path, mixed, 0.5)
    with pytest.raises(UserError, match=r"1 of 2 samples \(timeout 1; .*run the same command again"):
        ask(tmp_path / "other", ["later", "yes"])


def test_another_model_than_was_asked_for_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "humanvlm"):
        ask(tmp_path, ["a"])
        assert not caplog.records
        ask(tmp_path, ["a", "b", "c"], model=Server(name="another-and-smaller"))
    assert "'large' was asked for, but replies came from 'another-and-smaller' (2)" in caplog.text
