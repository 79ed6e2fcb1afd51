"""Profiles: copied with their comments, and whole: every section is there, as DVC needs it."""

from pathlib import Path

import pytest
import yaml

from humanvlm.config.loading import ConfigError, Params, load_params
from humanvlm.config.profiles import completed, profile_path, write_profile
from humanvlm.weights.catalog import model_entries

SECTIONS = set(Params.model_fields) - {"profile"}
CPU = profile_path("cpu")


def test_profile_is_written_whole(tmp_path: Path) -> None:
    write_profile("cpu", tmp_path / "params.yaml")
    assert (tmp_path / "params.yaml").read_text().startswith(CPU.read_text())
    assert load_params(tmp_path / "params.yaml") == load_params(CPU)
    with pytest.raises(ConfigError, match=r"no profile 'cpo'; known: .*cpu"):
        write_profile("cpo", tmp_path / "params.yaml")


@pytest.mark.parametrize("path", sorted(CPU.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_profile_opens_what_nobody_asked_for(path: Path) -> None:
    crawl = load_params(path).raw_scrape
    assert not crawl.allow_private_hosts
    assert crawl.verify_tls
    assert all(value for name, value in crawl if name.startswith("respect_"))


@pytest.mark.parametrize("end", ["", "\n"])
def test_sections_that_a_profile_does_not_name_are_appended(tmp_path: Path, end: str) -> None:
    text = f"profile: mine  # ours\n# slow\nraw_scrape:\n  retries: 3{end}"
    (tmp_path / "mine.yaml").write_text(text)
    write_profile(str(tmp_path / "mine.yaml"), tmp_path / "params.yaml")
    written = (tmp_path / "params.yaml").read_text()
    assert written.startswith(text.rstrip("\n") + "\nhuman_scenes: {}\n")
    values = yaml.safe_load(written)
    assert set(values) == {"profile", *SECTIONS}
    assert load_params(tmp_path / "params.yaml") == load_params(tmp_path / "mine.yaml")
    assert completed(written, tmp_path) == written


@pytest.mark.parametrize("text", ["{raw_scrape: {}}\n", "  raw_scrape: {}\n", "raw_scrape: {}\n...\n"])
def test_a_text_that_cannot_be_continued_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"mine.yaml: has no human_scenes, and no line can follow"):
        completed(text, Path("mine.yaml"))


@pytest.mark.parametrize("path", sorted(CPU.parent.glob("*.yaml")), ids=lambda path: str(path.stem))
def test_every_profile_loads_and_says_its_name(path: Path) -> None:
    assert load_params(path).profile == path.stem


@pytest.mark.parametrize("path", sorted(CPU.parent.glob("*.yaml")), ids=lambda path: str(path.stem))
def test_models_are_declared_with_their_licences_and_pinned(path: Path) -> None:
    """An entry of models.yaml is a file with its sha256, or a hub id at a commit."""
    params = load_params(path)
    named = {
        name for section in Params.model_fields if section != "profile" for name in getattr(params, section).models
    }
    assert named <= model_entries().keys()
