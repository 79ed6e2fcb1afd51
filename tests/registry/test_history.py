"""The page of how champions scored."""

import re

from humanvlm.registry.history import Point, history_page


def point(version: str, score: float, passed: bool = True, **more: object) -> Point:
    return Point(version, "asked", f"run-{version}", passed, {"vqa.accuracy": score}, "2026-01-05T03:00:00", **more)  # type: ignore[arg-type]


def test_intervals_versions_and_falls_are_shown() -> None:
    spans = {"vqa.accuracy": (0.4, 0.6)}
    page = history_page("<model>", [point("1", 0.5, intervals=spans), point("1", 0.5), point("2", 0.1, passed=False)])
    assert "0.5000 [0.4000, 0.6000]" in page
    assert (page.count("<circle"), page.count("<rect"), page.count('class="span"')) == (2, 1, 1)
    assert re.findall(r">(v\d)<", page) == ["v1", "v2"]
    assert '<b class="fell">fell</b>' in page
    assert "<model>" not in page
    with_counts = Point("1", "a", "r", True, {"vqa.accuracy": 0.5, "vqa.cut": 0.0}, intervals=spans)
    assert history_page("m", [with_counts]).count("<svg") == 1
    assert "Content-Security-Policy" in page
    heights = [float(y) for y in re.findall(r'(?:cy|y1|y2)="([\d.]+)"', page)]
    assert all(0 <= y <= 170 for y in heights)


def test_one_evaluation_and_a_metric_that_came_later() -> None:
    first = Point("1", "a", "r", True, {"pope.accuracy": 1.0})
    page = history_page("m", [first, point("1", 0.25)])
    assert page.count("<svg") == 2
    assert history_page("m", [first]).count("<circle") == 1
