"""The reference and the schema are as the classes say, and no key is without a description."""

import json
from pathlib import Path

import pytest
import yaml
from pydantic import Field

from humanvlm.config import reference
from humanvlm.config.loading import Params
from humanvlm.config.section import Section

DOCS = Path(__file__).parents[2] / "docs"
PROFILES = sorted((Path(reference.__file__).parents[1] / "profiles").glob("*.yaml"))


def test_the_committed_files_are_as_the_classes_say() -> None:
    assert (DOCS / "configuration.md").read_text() == reference.markdown(), "run `make docs`"
    assert (DOCS / "params.schema.json").read_text() == reference.schema(), "run `make docs`"


def test_every_key_is_described() -> None:
    assert reference.undescribed() == []


def test_every_key_has_a_row_with_its_default() -> None:
    text = reference.markdown()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(section.model_fields) for section in reference.sections().values())
    assert "| `min_face_score` | number ≥ 0.5 ≤ 1 | `0.65` | least confidence of a face, 0.5 to 1 |" in rows
    assert "## benchmark_scores.endpoint\n" in text
    assert "## benchmark_scores.sources.NAME\n" in text


def test_a_key_without_description_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Planted(Section):
        bare: int = 1
        blank: int = Field(1, description=" ")
        told: int = Field(1, description="what it is")

    planted = {**Params.model_fields, "planted": Field()}
    planted["planted"].annotation = Planted
    monkeypatch.setattr(Params, "__pydantic_fields__", planted)
    assert reference.undescribed() == ["planted.bare", "planted.blank"]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profiles_have_only_keys_of_the_schema(path: Path) -> None:
    schema = json.loads(reference.schema())
    for name, values in yaml.safe_load(path.read_text()).items():
        part = schema["properties"][name]
        if "$ref" in part:
            part = schema["$defs"][part["$ref"].rpartition("/")[2]]
            assert set(values) <= set(part["properties"])
            assert part["additionalProperties"] is False
