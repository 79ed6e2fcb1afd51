"""What captioning would take, said beforehand."""

from pathlib import Path
from typing import Any

import pytest

from humanvlm.caption.plan import plan
from humanvlm.config.human_caption import HumanCaption


def figures(config: HumanCaption, artifact: Path, rows: int = 0) -> dict[str, str]:
    return dict(
        line.split(": ", 1) for line in plan("human_caption", config, {"human_scenes": artifact}, rows).splitlines()
    )


def number(text: str) -> float:
    return float(text.split()[0].replace(",", "").rstrip(","))


def test_figures_grow_with_rows_and_nothing_is_written(artifact: Path) -> None:
    before = sorted(artifact.rglob("*"))
    server: dict[str, Any] = {"url": "http://nowhere/v1", "model": "m", "tokens_per_s": 100.0}
    server |= {"price_in": 1.0, "price_out": 2.0}
    config = HumanCaption(captioner="endpoint", endpoint=server)
    small, large = figures(config, artifact, 1000), figures(config, artifact, 10_000_000)
    assert number(small["requests"]) == 2000
    assert number(large["requests"]) == 20_000_000
    for name in ("tokens in", "tokens out", "cost"):
        assert number(large[name]) == pytest.approx(10_000 * number(small[name]), rel=0.02), name
    assert number(large["hours"]) == pytest.approx(number(large["tokens out"]) / 100 / 3600, rel=0.01)
    cost = (number(large["tokens in"]) + 2 * number(large["tokens out"])) / 1e6
    assert number(large["cost"].replace(",", "")) == pytest.approx(cost, rel=0.01)
    words = figures(config.model_copy(update={"rewrite": True}), artifact, 1000)
    assert number(words["tokens in"]) < number(small["tokens in"])
    assert sorted(artifact.rglob("*")) == before


def test_the_template_takes_time_and_asks_nothing(artifact: Path) -> None:
    found = figures(HumanCaption(), artifact)
    assert "requests" not in found
    assert number(found["facts and template"]) > 0
