"""Profiles: whole parameter files, one of which is active as ``params.yaml``."""

from importlib.resources import files
from pathlib import Path

from humanvlm.config.loading import ConfigError, load_params
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
    """Copy a profile, checked first, to ``out``; comments stay."""
    path = profile_path(name)
    load_params(path)
    write_text(out, path.read_text(encoding="utf-8"))
