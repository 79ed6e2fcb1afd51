"""Slices: scores, names, and verdicts that survive how many there are."""

from typing import Any

import numpy as np
import pytest

from humanvlm.evaluate.stats.slices import Slice, apparent, slice_scores


def sliced(images: list[str], scores: list[float], given: list[dict[str, str]], **options: Any) -> dict[str, Slice]:
    ids = [f"s{number:05d}" for number in range(len(scores))]
    found = slice_scores(ids, images, scores, given, **{"resamples": 200, "rounds": 999} | options)
    return {f"{part.attribute}={part.level}": part for part in found}


def test_a_weak_slice_is_found_and_the_others_are_not() -> None:
    generator = np.random.default_rng(0)
    images = [f"{number:04d}" for number in range(400)]
    light = ["dark" if number % 4 == 0 else "bright" for number in range(400)]
    people = [str(1 + number % 3) for number in range(400)]
    scores = [float(generator.random() < (0.5 if value == "dark" else 0.85)) for value in light]
    parts = sliced(images, scores, [{"light": a, "people": b} for a, b in zip(light, people, strict=True)])
    assert list(parts) == ["light=bright", "light=dark", "people=1", "people=2", "people=3"]
    dark = parts["light=dark"]
    assert (dark.verdict, dark.samples, dark.images) == ("lower", 100, 100)
    assert dark.score == pytest.approx(np.mean([s for s, v in zip(scores, light, strict=True) if v == "dark"]))
    assert dark.low is not None
    assert dark.high is not None
    assert dark.low < dark.score < dark.high
    assert {parts[f"people={count}"].verdict for count in (1, 2, 3)} == {"no difference found"}
    assert parts["light=bright"].verdict == "higher"


def test_p_is_corrected_for_the_slices_shown() -> None:
    generator = np.random.default_rng(1)
    scores = [float(generator.random() + 0.22 * (number < 60)) for number in range(200)]
    images = [f"{number:04d}" for number in range(200)]
    given = [{"light": "dark" if number < 60 else "bright"} for number in range(200)]
    alone = sliced(images, scores, given, rounds=9999)["light=dark"]
    many = [row | {f"a{k}": str(generator.integers(3)) for k in range(6)} for row in given]
    among = sliced(images, scores, many, rounds=9999)["light=dark"]
    assert alone.p is not None
    assert among.p == pytest.approx(10 * alone.p, rel=0.3)  # 20 slices instead of 2


def test_few_images_get_no_verdict() -> None:
    images = [f"{number // 3}" for number in range(120)]  # 40 images
    given = [{"age_band": "child" if number < 87 else "adult"} for number in range(120)]
    parts = sliced(images, [float(number < 87) for number in range(120)], given)
    assert {part.verdict for part in parts.values()} == {"too few images"}
    assert parts["apparent age band=child"].images == 29
    assert parts["apparent age band=child"].p is None
    only = sliced(images, [1.0] * 120, [{"light": "dark"}] * 120)
    assert only["light=dark"].verdict == "only level"


def test_order_and_missing_attributes() -> None:
    generator = np.random.default_rng(2)
    rows: list[Any] = [
        (f"s{number}", f"{number // 2}", float(generator.random()), {"light": str(number % 3)} if number % 5 else {})
        for number in range(300)
    ]
    found = slice_scores(*zip(*rows, strict=True), resamples=50, rounds=99)
    assert sum(part.samples for part in found) == 240
    mixed = [rows[index] for index in generator.permutation(300)]
    assert slice_scores(*zip(*mixed, strict=True), resamples=50, rounds=99) == found


def test_the_test_holds_when_slices_differ_in_spread() -> None:
    """Equal means, a small slice with three times the spread: a plain permutation would be wrong in one of three."""
    generator, flagged = np.random.default_rng(3), 0
    images = [f"{number:03d}" for number in range(200)]
    given = [{"light": "dark" if number < 35 else "bright"} for number in range(200)]
    for _ in range(400):
        scores = np.concatenate([generator.normal(0, 3, 35), generator.normal(0, 1, 165)]).tolist()
        flagged += sliced(images, scores, given, resamples=0, rounds=199)["light=dark"].verdict in ("lower", "higher")
    assert flagged / 400 < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_names_say_what_is_only_apparent() -> None:
    assert [apparent(name) for name in ("gender", "age_band", "apparent gender", "people", "image")] == [
        "apparent gender",
        "apparent age band",
        "apparent gender",
        "people",
        "image",
    ]
