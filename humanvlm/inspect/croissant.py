"""Croissant metadata of an artifact (Akhtar et al. 2024): what loaders and dataset search engines read.

Format 1.0 with the vocabulary for responsible AI: https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from humanvlm.data.atomic_io import write_json
from humanvlm.data.shards import IMAGE, ShardFile

NAME = "croissant.json"
SHARDS = "shards"
RECORDS = "rows"
CROISSANT, RAI = "http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"
# Names that the format gives its own meaning; all others are schema.org's.
TERMS = """
citeAs column containedIn equivalentProperty extract field fileProperty fileObject fileSet format includes isLiveDataset
jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source subField
transform
"""
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "conformsTo": "dct:conformsTo",
} | {term: f"cr:{term}" for term in TERMS.split()}


@dataclass(frozen=True)
class About:
    """What a dataset is. columns: descriptions by name. responsible: the terms of the RAI vocabulary that are known."""

    name: str
    description: str
    licence: str
    columns: Mapping[str, str]
    responsible: Mapping[str, str]


def column_descriptions() -> dict[str, str]:
    """What the columns of the datasets hold, by name."""
    text = Path(__file__).with_name("columns.yaml").read_text(encoding="utf-8")
    return {str(name): str(described) for name, described in yaml.safe_load(text).items()}


def write_croissant(out: Path, about: About, shards: Sequence[ShardFile], schema: pa.Schema) -> ShardFile:
    """Write ``out/croissant.json`` and return it as an output of the stage. schema: of the shards."""
    write_json(out / NAME, croissant(about, shards, schema))
    return ShardFile.of(out, NAME)


def croissant(about: About, shards: Sequence[ShardFile], schema: pa.Schema) -> dict[str, Any]:
    """The metadata as JSON-LD: each shard a file with its sha256, all of them one set, whose columns are the fields."""
    files = [
        {
            "@type": "cr:FileObject",
            "@id": shard.path,
            "name": shard.path,
            "contentUrl": shard.path,
            "contentSize": f"{shard.bytes} B",
            "encodingFormat": "application/x-parquet",
            "sha256": shard.sha256,
        }
        for shard in shards
    ]
    every = {
        "@type": "cr:FileSet",
        "@id": SHARDS,
        "containedIn": [{"@id": shard.path} for shard in shards],
        "encodingFormat": "application/x-parquet",
        "includes": "*.parquet",
    }
    records = {
        "@type": "cr:RecordSet",
        "@id": RECORDS,
        "name": RECORDS,
        "description": f"{sum(shard.rows for shard in shards)} rows, one a picture.",
        "key": {"@id": f"{RECORDS}/id"},
        "field": list(_fields(schema, about.columns)),
    }
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": about.name,
        "description": about.description,
        "conformsTo": [CROISSANT, RAI],
        "license": about.licence,
        **{f"rai:{name}": text for name, text in about.responsible.items()},
        "distribution": [*files, every],
        "recordSet": [records],
    }


def _fields(schema: pa.Schema, described: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for column in schema:
        field = _field(column.name, column.name, column.type, {}) | {"description": described.get(column.name, "")}
        if column.type == IMAGE:
            field = _field(column.name, column.name, pa.string(), {"jsonPath": "bytes"}) | {
                "description": described.get(column.name, ""),
                "dataType": "sc:ImageObject",
            }
        yield field


def _field(name: str, column: str, kind: pa.DataType, transform: Mapping[str, str]) -> dict[str, Any]:
    """A column, or by ``transform`` a part of it; lists are repeated, structures have a field below for each part."""
    listed = pa.types.is_list(kind)
    inner = kind.value_type if listed else kind
    field: dict[str, Any] = {"@type": "cr:Field", "@id": f"{RECORDS}/{name}", "name": name}
    if listed and not transform:
        field["repeated"] = True
    if pa.types.is_struct(inner):
        parts = [inner.field(number) for number in range(inner.num_fields)]
        return field | {
            "subField": [_field(f"{name}/{part.name}", column, part.type, {"jsonPath": part.name}) for part in parts]
        }
    source: dict[str, Any] = {"fileSet": {"@id": SHARDS}, "extract": {"column": column}}
    return field | {"dataType": _data_type(inner), "source": source | ({"transform": transform} if transform else {})}


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    if pa.types.is_temporal(kind):
        return "sc:Date"
    return "sc:Boolean" if pa.types.is_boolean(kind) else "sc:Text"
