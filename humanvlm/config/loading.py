"""The parameters of every stage: one strict, frozen model each. An unknown or misspelt key is an error that names it.

Only what changes results is here. Machine settings (workers, devices, engine, URIs) come from the environment.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import Field, ValidationError

from humanvlm.config.benchmark_scores import BenchmarkScores
from humanvlm.config.human_caption import HumanCaption
from humanvlm.config.human_caption_hq import HumanCaptionHQ
from humanvlm.config.human_scenes import HumanScenes
from humanvlm.config.model import Model
from humanvlm.config.raw_scrape import RawScrape
from humanvlm.config.registered_model import RegisteredModel
from humanvlm.config.section import Section
from humanvlm.config.stage1_checkpoint import Stage1
from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.errors import UserError

BOOLEAN = "tag:yaml.org,2002:bool"


class ConfigError(UserError):
    """A parameter file that is missing, malformed, or holds an unknown key or a wrong value."""


class Params(Section):
    """The whole parameter file. A section that it does not have is all defaults."""

    profile: Annotated[str, Field(description="name of these values in reports and MLflow")] = "cpu"
    raw_scrape: RawScrape = RawScrape()
    human_scenes: HumanScenes = HumanScenes()
    human_caption: HumanCaption = HumanCaption()
    human_caption_hq: HumanCaptionHQ = HumanCaptionHQ()
    model: Model = Model()
    stage1_checkpoint: Stage1 = Stage1()
    stage2_checkpoint: Stage2 = Stage2()
    benchmark_scores: BenchmarkScores = BenchmarkScores()
    registered_model: RegisteredModel = RegisteredModel()


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans, as DVC reads them: ``no`` is a word. Refuses a key given twice, of which the last would be
    kept silently."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != BOOLEAN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_node.value!r} twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(BOOLEAN, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def load_params(path: Path, overrides: Sequence[str] = ()) -> Params:
    """Read a YAML parameter file and apply ``section.key=value`` overrides (values are YAML).

    Raises ConfigError naming the file, the key and, for a misspelt key, the nearest known one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; write one with `humanvlm profile cpu`") from None
    try:
        values = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections such as raw_scrape, got {type(values).__name__}")
    for override in overrides:
        _override(values, override)
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from None


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {override}: expected section.key=value")
    for part in parts[:-1]:
        child = values.setdefault(part, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override}: {part} is a value, not a section")
        values = child
    values[parts[-1]] = yaml.load(value, _Loader)  # noqa: S506 - a SafeLoader


def _explain(error: ValidationError) -> str:
    problems = error.errors()
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"unknown key {key!r}; {hint}{more}"
    if first["type"] == "missing":
        return f"missing key {key!r}; docs/configuration.md says what it is{more}"
    return f"{key}: {first['msg']}, got {first['input']!r}{more}"


def _known_keys(location: Sequence[int | str]) -> list[str]:
    model: Any = Params
    for part in location:
        if isinstance(model, type) and issubclass(model, Section):
            model = model.model_fields[str(part)].annotation
        else:  # of a mapping, a part is a name that the user chose
            model = get_args(model)[-1]
    return list(model.model_fields)
