"""Parameters: profiles load, and every wrong key or value is one line that names it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.config.loading import ConfigError, Params, load_params
from humanvlm.config.profiles import profile_path
from humanvlm.config.raw_scrape import RawScrape

CPU = profile_path("cpu")
KEYS = [
    (section, key)
    for section, field in Params.model_fields.items()
    if section != "profile"
    for key in field.annotation.model_fields  # type: ignore[union-attr]
]


@pytest.mark.parametrize("path", sorted(CPU.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_loads_under_its_name(path: Path) -> None:
    assert load_params(path).profile == path.stem


@given(st.sampled_from(KEYS), st.data())
def test_a_misspelt_key_is_named_with_the_nearest(where: tuple[str, str], data: st.DataObject) -> None:
    section, key = where
    position = data.draw(st.integers(0, len(key) - 1))
    wrong = key[:position] + "x" + key[position:]
    with pytest.raises(ConfigError, match=f"unknown key '{section}.{wrong}'") as error:
        load_params(CPU, [f"{section}.{wrong}=1"])
    assert "did you mean" in str(error.value) or "known keys" in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_value_and_malformed_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"raw_scrape\.concurrency: .*greater than or equal to 1, got 0"):
        load_params(CPU, ["raw_scrape.concurrency=0"])
    path = tmp_path / "params.yaml"
    path.write_text("a: [")
    with pytest.raises(ConfigError, match=r"params.yaml: not YAML"):
        load_params(path)
    path.write_text("raw_scrape: {}\nraw_scrape: {retries: 3}\n")
    with pytest.raises(ConfigError, match=r"key 'raw_scrape' twice .*line 2"):
        load_params(path)
    with pytest.raises(ConfigError, match="humanvlm profile cpu"):
        load_params(tmp_path / "absent.yaml")


def test_a_section_that_is_not_given_is_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("profile: mine\nraw_scrape: {retries: 3}\n")
    assert load_params(path) == Params(profile="mine", raw_scrape=RawScrape(retries=3))
    assert load_params(path, ["human_scenes.min_side=9"]).human_scenes.min_side == 9
    path.write_text("human_scene: {}\n")
    with pytest.raises(ConfigError, match="unknown key 'human_scene'; did you mean 'human_scenes'"):
        load_params(path)


def test_keys_of_a_nested_section_are_named_with_their_path() -> None:
    with pytest.raises(ConfigError, match=r"missing key 'benchmark_scores\.sources\.mine\.references'"):
        load_params(CPU, ["benchmark_scores.sources={mine: {kind: pope}}"])
    with pytest.raises(ConfigError, match=r"key 'benchmark_scores\.sources\.mine\.image'; did you mean 'images'"):
        load_params(CPU, ["benchmark_scores.sources={mine: {kind: pope, references: a, image: b}}"])
    with pytest.raises(ConfigError, match=r"unknown key 'benchmark_scores\.endpoint\.ur'; did you mean 'url'"):
        load_params(CPU, ["benchmark_scores.endpoint.ur=x"])


def test_overrides_apply_in_order() -> None:
    params = load_params(CPU, ["stage1_checkpoint.max_steps=3", "stage1_checkpoint.max_steps=4"])
    assert params.stage1_checkpoint.max_steps == 4
    with pytest.raises(ConfigError, match=r"expected section\.key=value"):
        load_params(CPU, ["stage1_checkpoint.max_steps"])


def test_no_is_a_word_as_dvc_reads_it(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("raw_scrape: {resize_mode: no, verify_tls: False}\n")
    for found in (load_params(params), load_params(CPU, ["raw_scrape.resize_mode=no", "raw_scrape.verify_tls=no"])):
        assert (found.raw_scrape.resize_mode, found.raw_scrape.verify_tls) == ("no", False)
