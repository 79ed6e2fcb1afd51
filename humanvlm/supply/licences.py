"""Which licence a package has, as an SPDX expression, and whether it may: ``licences.yaml`` decides."""

import functools
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict


class Policy(BaseModel):
    """``licences.yaml``; see the comments there."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    allowed: Sequence[str]
    spellings: Mapping[str, str]
    read: Mapping[str, str]
    silent: Sequence[str]


@functools.cache
def policy() -> Policy:
    return Policy(**yaml.safe_load(files("humanvlm.supply").joinpath("licences.yaml").read_text(encoding="utf-8")))


def licence_of(package: str) -> str | None:
    """The SPDX expression of a package: as ``licences.yaml`` says, else as it does itself; None if neither does."""
    if package in policy().read:
        return policy().read[package]
    try:
        told = metadata(package)
    except PackageNotFoundError:
        return None
    expression, field = ((told.get_all(key) or [""])[0] for key in ("License-Expression", "License"))
    classifiers = [line.split(" :: ")[-1] for line in told.get_all("Classifier") or [] if line.startswith("License ::")]
    said = [expression, field.partition("\n")[0].strip(), " AND ".join(map(_spelt, classifiers))]
    return next((spelt for spelt in map(_spelt, filter(None, said)) if _parsed(spelt) is not None), None)


def is_allowed(expression: str) -> bool:
    """Whether one of its alternatives is allowed in all its parts."""
    return _holds(_parsed(expression))


def _spelt(text: str) -> str:
    return policy().spellings.get(text, text)


@functools.cache
def _spdx() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def _parsed(expression: str) -> Any:
    """The expression's tree; None when it is not made of SPDX identifiers."""
    from license_expression import ExpressionError, ExpressionParseError

    try:
        return _spdx().parse(expression, validate=True, strict=True)
    except (ExpressionError, ExpressionParseError):
        return None


def _holds(tree: Any) -> bool:
    if isinstance(tree, _spdx().OR):
        return any(map(_holds, tree.args))
    if isinstance(tree, _spdx().AND):
        return all(map(_holds, tree.args))
    return str(tree) in policy().allowed
