"""Profiles: whole parameter files, one of which is active as ``params.yaml``."""

from importlib.resources import files
from pathlib import Path

from humanvlm.config import ConfigError, load_params
from humanvlm.shards import replace_durably


def profile_path(name: str) -> Path:
    """The file of a profile: by path, from the checkout, or from the installed package. Raises ConfigError."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    checkout = Path(__file__).parents[1] / "profiles"
    folder = checkout if checkout.is_dir() else Path(str(files("humanvlm"))) / "_profiles"
    path = folder / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise ConfigError(f"no profile {name!r}; known: {known}, or give a path ending in .yaml")
    return path


def write_profile(name: str, out: Path) -> None:
    """Copy a profile, checked first, to ``out``; comments stay."""
    path = profile_path(name)
    load_params(path)
    work = out.with_name(f".{out.name}.work")
    work.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    replace_durably(work, out)
