"""Profiles: whole parameter files, one of which is active as ``params.yaml``."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from humanvlm.config.loading import ConfigError, Params, load_params
from humanvlm.config.section import Section
from humanvlm.data.atomic_io import write_text


def profile_path(name: str) -> Path:
    """The file of a profile: by path, or one of the package. Raises ConfigError."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    folder = Path(str(files("humanvlm"))) / "profiles"
    path = folder / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise ConfigError(f"no profile {name!r}; known: {known}, or give a path ending in .yaml")
    return path


def write_profile(name: str, out: Path) -> None:
    """Copy a profile, checked first and completed, to ``out``; comments stay."""
    path = profile_path(name)
    load_params(path)
    write_text(out, completed(path.read_text(encoding="utf-8"), path))


def completed(text: str, path: Path) -> str:
    """The text of a parameter file, with ``section: {}`` after it for every section that it does not have.

    Here such a section is all defaults; DVC refuses a file without what ``params:`` names. Raises ConfigError when
    lines cannot be put after the text (it is one ``{...}``, or indented).
    """
    values = yaml.safe_load(text)
    missing = [name for name, field in Params.model_fields.items() if _is_section(field.annotation)]
    missing = [name for name in missing if name not in values]
    if not missing:
        return text
    longer = text + "\n" * (not text.endswith("\n")) + "".join(f"{name}: {{}}\n" for name in missing)
    try:
        if yaml.safe_load(longer) == {**values, **{name: {} for name in missing}}:
            return longer
    except yaml.YAMLError:
        pass
    raise ConfigError(
        f"{path}: has no {missing[0]}, and no line can follow its last; begin its keys at the line's start"
    )


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)
