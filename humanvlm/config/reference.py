"""Writes docs/configuration.md and docs/params.schema.json from the classes: `make docs`, or
`python -m humanvlm.config.reference [FOLDER]`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from humanvlm.config.loading import Params
from humanvlm.config.section import Section
from humanvlm.data.atomic_io import write_text

HEAD = """\
# Configuration

Every key of `params.yaml`, written from the classes in `humanvlm/config` by `make docs`. A key that is not given has
its default. `humanvlm STAGE --set section.key=value` overrides one for a run; `humanvlm profile NAME` writes a whole
file, whose `profile` is how reports and MLflow call these values. Machine settings (devices, workers, addresses) are
environment variables and not here: they do not change results.
"""


def markdown() -> str:
    """The reference: a table a section, then one for each kind of nested section."""
    tables = [_table(name, section) for name, section in sections().items()]
    return "\n".join([HEAD, *tables])


def schema() -> str:
    """JSON schema (2020-12) of a parameter file, for editors."""
    value = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Params.model_json_schema()}
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def sections() -> dict[str, type[Section]]:
    """The classes by the path of their keys; nested ones after the section they are in."""
    found: dict[str, type[Section]] = {}
    for name, field in Params.model_fields.items():
        for path, section in _nested(name, field.annotation):
            found[path] = section
    return found


def undescribed() -> list[str]:
    """Keys without a description."""
    top = {name: field for name, field in Params.model_fields.items() if not list(_nested(name, field.annotation))}
    keys = {
        f"{path}.{key}": field for path, section in sections().items() for key, field in section.model_fields.items()
    }
    return [key for key, field in {**top, **keys}.items() if not (field.description or "").strip()]


def _nested(path: str, annotation: Any) -> Iterator[tuple[str, type[Section]]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield path, annotation
        for key, field in annotation.model_fields.items():
            yield from _nested(f"{path}.{key}", field.annotation)
    for part in get_args(annotation):
        yield from _nested(f"{path}.NAME", part)


def _table(path: str, section: type[Section]) -> str:
    rows = [
        f"| `{key}` | {_type(field)} | {_default(field)} | {field.description} |"
        for key, field in section.model_fields.items()
    ]
    words = " ".join((section.__doc__ or "").split())
    return "\n".join(
        [
            f"## {path}\n",
            f"{words}\n",
            "| key | values | default | what it is |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _type(field: FieldInfo) -> str:
    """Type and limits in words, of the same schema that editors get."""
    annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return _words(TypeAdapter(annotation).json_schema())


def _words(of: dict[str, Any]) -> str:
    if "enum" in of or "const" in of:
        return ", ".join(f"`{value}`" for value in of.get("enum", [of.get("const")]))
    if "anyOf" in of:
        return " or ".join(_words(part) for part in of["anyOf"])
    kinds = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "true or false",
        "null": "null",
    }
    kind = of.get("type")
    if kind == "array":
        count = f"{of['minItems']} " if of.get("minItems") and of.get("minItems") == of.get("maxItems") else ""
        return f"list of {count}{_words(of['items'])}s"
    if kind == "object":
        return "mapping"
    limits = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
    return " ".join([kinds.get(str(kind), "any"), *(f"{sign} {of[key]}" for key, sign in limits if key in of)])


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, Section):
        return "its own"
    return f"`{json.dumps(field.default)}`"


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    write_text(folder / "configuration.md", markdown())
    write_text(folder / "params.schema.json", schema())
