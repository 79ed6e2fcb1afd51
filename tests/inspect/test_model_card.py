"""The card says what a model is of, how to load it, what it learnt from and what it scored."""

from typing import Any

import pytest
import yaml

from humanvlm.config.loading import load_params
from humanvlm.config.profiles import profile_path
from humanvlm.inspect.model_card import Scores, model_card, score_table


def report(profile: str, **recipe: Any) -> dict[str, Any]:
    params = load_params(profile_path(profile)).model_dump(mode="json")
    return {
        "profile": profile,
        "config": {"model": params["model"], "stage2_checkpoint": params["stage2_checkpoint"] | recipe},
        "rows": {"in": 10, "kept": 8, "dropped": {"too_long": 2}},
        "metrics": {"loss_last": 1.23456},
        "info": {
            "samples": {"captions": 5, "hq": 3},
            "trained_by_part": {"projector": 1_000_000},
            "revision": {"git.commit": "abc-dirty"},
        },
    }


def front(card: str) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return value


def python_of(card: str) -> list[str]:
    return [block.partition("```")[0] for block in card.split("```python\n")[1:]]


@pytest.mark.parametrize(
    ("profile", "licence", "bases", "tower_first"),
    [
        ("cpu", "other", ["HuggingFaceTB/SmolLM2-135M-Instruct"], True),
        ("paper", "other", ["google/siglip-so400m-patch14-384", "meta-llama/Meta-Llama-3-8B-Instruct"], False),
        ("nano", "apache-2.0", ["google/siglip-base-patch16-224", "HuggingFaceTB/SmolLM2-135M-Instruct"], False),
    ],
)
def test_metadata_and_how_to_load(profile: str, licence: str, bases: list[str], tower_first: bool) -> None:
    card = model_card(report(profile))
    found = front(card)
    assert (found["license"], found["base_model"]) == (licence, bases)
    assert (found["pipeline_tag"], found["library_name"]) == ("image-text-to-text", "transformers")
    blocks = python_of(card)
    for block in blocks:
        compile(block, profile, "exec")
    assert all(("import humanvlm.model.tower" in block) is tower_first for block in blocks[:2])
    assert "Not scored yet" in card
    for said in ("8 of 10 rows, left out: 2 too_long", "| captions | 5 |", "| loss_last | 1.235 |", "abc-dirty"):
        assert said in card
    assert "not for recognising who somebody is" in card
    assert "apparent attributes" in card


def test_the_adapter_is_named_where_there_is_one() -> None:
    assert "../adapter" in model_card(report("cpu"))
    assert "../adapter" not in model_card(report("cpu", language_model="full"))
    assert "../adapter" not in model_card(report("cpu", language_model="frozen", vision_tower="frozen"))


def test_a_folder_is_no_base_model_and_has_no_known_licence() -> None:
    value = report("cpu")
    value["config"]["model"] |= {"vision_tower": "/secret/mine", "language_model": "org/some-model@main"}
    value["config"]["stage2_checkpoint"]["instructions"] = {"ours": {"file": "/secret/talk.json", "share": 0.1}}
    card = model_card(value)
    assert "secret" not in card
    assert "| instructions | ours |" in card
    assert "| vision tower | mine | see its own page |" in card
    assert front(card)["base_model"] == ["org/some-model"]
    assert card.count("see its own page") == 2


def test_scores_have_intervals_baselines_and_verdicts() -> None:
    values = {
        "captions.cider": 0.5,
        "captions.cider.mean_image": 0.1,
        "captions.cider.above_mean_image": 0.4,
        "captions.cut": 0.0,
        "vqa.accuracy": 0.25,
    }
    details = {"intervals": {"captions.cider": [0.4, 0.6]}, "samples": {"captions": 48, "vqa": 40}}
    verdict = "captions: CIDEr 0.50 [0.40, 0.60], beats the mean picture"
    scores = Scores.of(values, details, {"verdicts": [verdict]})
    lines = score_table(scores).splitlines()
    assert lines[0] == "| task | metric | score (95% interval) | mean image | samples |"
    assert "| captions | cider | 0.500 (0.400 to 0.600) | 0.100 | 48 |" in lines
    assert "| vqa | accuracy | 0.250 |  | 40 |" in lines
    assert f"* {verdict}" in lines
    assert "captions | cut" not in score_table(scores)
    card = model_card(report("cpu"), scores)
    assert score_table(scores) in card
    assert "Not scored yet" not in card
