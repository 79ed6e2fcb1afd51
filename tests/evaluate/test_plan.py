"""What a run would take, said beforehand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from humanvlm.config.benchmark_scores import BenchmarkScores
from humanvlm.errors import UserError
from humanvlm.evaluate.plan import plan
from humanvlm.evaluate.predict import make_requests
from humanvlm.evaluate.stage import choose_samples, open_tested
from humanvlm.inference.base import Reply
from humanvlm.inference.cache import open_predictions

from .publishers import amber
from .small_run import write_inputs

SERVER = {"url": "http://127.0.0.1:1/v1", "model": "m", "price_in": 1.0, "price_out": 10.0, "image_size": 0}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    return {**write_inputs(tmp_path), "stage2_checkpoint": tmp_path / "none"}


def config(tmp_path: Path, **given: Any) -> BenchmarkScores:
    source = amber(tmp_path / "amber")
    settings: dict[str, Any] = {"model": "endpoint", "endpoint": SERVER, "tasks": [], "sources": {"mine": source}}
    return BenchmarkScores(**settings | {"max_new_tokens": 100, "baselines": False} | given)


def figures(config: BenchmarkScores, folders: Mapping[str, Path], rows: int = 0) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in plan("benchmark_scores", config, folders, rows).splitlines())


def number(text: str) -> float:
    return float(text.split()[0].replace(",", ""))


def test_requests_tokens_and_cost(tmp_path: Path, folders: dict[str, Path], predictions: Path) -> None:
    told = figures(config(tmp_path), folders)
    assert told["benchmark_scores"] == "6 samples, by 6 of 1 tasks; model m"
    assert told["mine"] == "6 samples, 2 pictures"
    assert number(told["requests"]) == 6
    assert number(told["tokens out"]) == 600
    asked = number(told["tokens in"])
    assert 6 * 6 < asked < 6 * 30  # a picture of 60 x 40 has 6 tokens
    assert told["cost"] == f"{(asked + 6000) / 1e6:,.2f}, at most {(asked + 6000) / 1e6:,.2f}"
    assert list(predictions.iterdir()) == []  # nothing is written
    assert number(figures(config(tmp_path), folders, 6000)["requests"]) == 6000
    blind = figures(config(tmp_path, baselines=True), folders)
    assert number(blind["requests"]) == 6 + 5  # two descriptions are asked in the same words
    assert "45% about the mean picture" in blind["requests"]


def test_known_replies_are_not_asked_for_and_tell_how_long_replies_are(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    given = config(tmp_path)
    samples = choose_samples(given, folders).tasks["mine"]
    identity = open_tested(given, folders).identity
    requests, _ = make_requests(samples, identity, 100)
    keys = [request.key for request in requests.values()]
    open_predictions(identity).add([Reply(key, "yes", tokens=7) for key in keys[:4]])
    told = figures(given, folders)
    assert told["known"] == "4 of 6 replies"
    assert number(told["requests"]) == 2
    assert number(told["tokens out"]) == 14
    assert "as long as known ones" in told["tokens out"]


def test_what_is_missing_is_said(tmp_path: Path, folders: dict[str, Path]) -> None:
    given = config(tmp_path)
    (tmp_path / "amber" / "image" / "AMBER_1.jpg").unlink()
    assert figures(given, folders)["dropped"] == "missing_image 2"
    (tmp_path / "amber" / "image" / "AMBER_2.jpg").unlink()
    with pytest.raises(UserError, match="none of 6 samples has a picture"):
        plan("benchmark_scores", given, folders)
