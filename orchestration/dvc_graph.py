"""The DVC graph as plain, typed data, read from dvc.yaml, dvc.lock, files of parameters and *.dvc files.

``dvc`` itself is not imported: it takes seconds, and a Dagster code location is loaded by every step process. Hashes
are DVC's own (md5 of a file; md5 of the sorted listing of a folder), so a stage is stale here exactly when
``dvc status`` says so.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from humanvlm.config.defaults import literals
from humanvlm.errors import UserError

PARAMS = "params.yaml"


class GraphError(UserError):
    """A dvc.yaml that is missing, or a stage that Dagster cannot show as one asset."""


@dataclass(frozen=True)
class StageNode:
    """One stage of dvc.yaml. Paths are relative to the project's root; ``inputs`` maps asset names to their paths.

    params: parameter files and the keys of each on which the stage depends; no keys: on the whole file.
    """

    name: str
    cmd: str
    inputs: Mapping[str, str]
    code: tuple[str, ...]
    params: Mapping[str, tuple[str, ...]]
    out: str
    description: str
    meta: Mapping[str, Any]

    @property
    def sections(self) -> tuple[str, ...]:
        """Keys of the project's own parameter file."""
        return self.params.get(PARAMS, ())

    @property
    def compute(self) -> str:
        """``dvc``: `dvc repro` runs it. ``pipes``: it runs outside DVC's lock and is committed afterwards."""
        return str(self.meta.get("compute", "dvc"))


@dataclass(frozen=True)
class Source:
    """Data that no stage makes: its path, and the .dvc file that tracks it or the folder it is a part of."""

    path: str
    tracked_by: str

    @property
    def is_part(self) -> bool:
        return self.path != self.tracked_by.removesuffix(".dvc")


@dataclass(frozen=True)
class Graph:
    """Stages by name in the order of dvc.yaml; sources: by name, each as a whole or those parts that stages read."""

    root: Path
    stages: Mapping[str, StageNode]
    sources: Mapping[str, Source]


@dataclass(frozen=True)
class Locked:
    """What dvc.lock says of the last run of a stage: md5 of its output and of each input, by name."""

    data_version: str
    code_version: str
    input_versions: Mapping[str, str]


def load_graph(root: Path) -> Graph:
    """Read ``root/dvc.yaml``. Raises GraphError when it is missing or a stage has no single command and output."""
    if not (root / "dvc.yaml").exists():
        raise GraphError(f"{root}: no dvc.yaml; start Dagster in a checkout of the project")
    stages = _yaml(root / "dvc.yaml").get("stages", {})
    names = {_only_out(name, stage): name for name, stage in stages.items()}
    deps = dict.fromkeys(dep for stage in stages.values() for dep in stage.get("deps", []))
    sources: dict[str, Source] = {}
    for file in sorted(root.glob("*.dvc")):
        if file.is_file():
            parts = [dep for dep in deps if dep.startswith(f"{file.stem}/")]
            whole = [file.stem] if file.stem in deps or not parts else []
            sources |= {_source_name(path): Source(path, file.name) for path in (*whole, *parts)}
    names |= {source.path: name for name, source in sources.items()}
    return Graph(root, {name: _node(name, stage, names) for name, stage in stages.items()}, sources)


def _source_name(path: str) -> str:
    """``data``, or of a part ``data_index``."""
    return re.sub(r"\W", "_", PurePosixPath(path).with_suffix("").as_posix())


def _node(name: str, stage: Mapping[str, Any], names: Mapping[str, str]) -> StageNode:
    deps = stage.get("deps", [])
    return StageNode(
        name=name,
        cmd=stage["cmd"],
        inputs={names[dep]: dep for dep in deps if dep in names},
        code=tuple(dep for dep in deps if dep not in names),
        params=_params(stage.get("params", [])),
        out=_only_out(name, stage),
        description=stage.get("desc", ""),
        meta=stage.get("meta", {}),
    )


def _params(entries: Sequence[str | Mapping[str, Sequence[str] | None]]) -> dict[str, tuple[str, ...]]:
    """Keys by file; a key alone is of params.yaml."""
    keys: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        for file, names in entry.items() if isinstance(entry, Mapping) else [(PARAMS, (entry,))]:
            keys[file] = (*keys.get(file, ()), *(names or ()))
    return keys


def _only_out(name: str, stage: Mapping[str, Any]) -> str:
    outs = [next(iter(out)) if isinstance(out, dict) else out for out in stage.get("outs", [])]
    if len(outs) != 1 or not isinstance(stage.get("cmd"), str):
        raise GraphError(f"dvc.yaml: stage {name!r} needs one cmd and one output to be an asset, has {outs}")
    return str(outs[0])


def read_lock(graph: Graph) -> dict[str, Locked]:
    """Stages that have run, by name. Empty when there is no dvc.lock yet."""
    path = graph.root / "dvc.lock"
    locked = _yaml(path).get("stages", {}) if path.exists() else {}
    return {name: _locked(graph.stages[name], entry) for name, entry in locked.items() if name in graph.stages}


def _locked(node: StageNode, entry: Mapping[str, Any]) -> Locked:
    deps = {dep["path"]: dep.get("md5") for dep in entry.get("deps", [])}
    params = entry.get("params", {})
    outs = {out["path"]: out.get("md5") for out in entry.get("outs", [])}
    return Locked(
        data_version=str(outs.get(node.out)),
        code_version=_version(
            entry["cmd"],
            {
                file: {key: params.get(file, {}).get(key) for key in keys or params.get(file, {})}
                for file, keys in node.params.items()
            },
            {path: deps.get(path) for path in node.code},
        ),
        input_versions={name: str(deps.get(path)) for name, path in node.inputs.items()},
    )


def code_version(graph: Graph, node: StageNode) -> str:
    """Hash of (cmd, parameter values, md5 of the code dependencies) of the working tree.

    Equal to ``read_lock(graph)[name].code_version`` when the stage last ran with the same.
    """
    values = {}
    for file, keys in node.params.items():
        read = _read_params(graph.root / file)
        values[file] = {key: _value(read, key) for key in keys} if keys else read
    return _version(node.cmd, values, {path: path_md5(graph.root, path) for path in node.code})


def source_version(graph: Graph, name: str) -> str:
    """md5 of a source: what its .dvc file records, or of a part what lies there, as for DVC."""
    source = graph.sources[name]
    if source.is_part:
        return str(path_md5(graph.root, source.path))
    return str(_yaml(graph.root / source.tracked_by)["outs"][0]["md5"])


def _version(cmd: str, params: Mapping[str, Any], code: Mapping[str, str | None]) -> str:
    return hashlib.sha256(json.dumps([cmd, params, code], sort_keys=True).encode()).hexdigest()[:16]


def _read_params(path: Path) -> dict[str, Any]:
    """A parameter file as DVC reads it, by its suffix: YAML, JSON, TOML, or the literals of Python code."""
    if not path.exists():
        return {}
    if path.suffix in (".yaml", ".yml"):
        return _yaml(path)
    text = path.read_text(encoding="utf-8")
    readers: Mapping[str, Callable[[str], dict[str, Any]]] = {
        ".py": literals,
        ".json": json.loads,
        ".toml": tomllib.loads,
    }
    try:
        return readers[path.suffix](text)
    except (KeyError, SyntaxError, ValueError) as error:
        raise GraphError(f"{path}: not read as parameters ({error}); compare with `dvc params diff`") from None


def _value(params: Any, key: str) -> Any:
    for part in key.split("."):
        params = params.get(part) if isinstance(params, dict) else None
    return params


def path_md5(root: Path, path: str) -> str | None:
    """md5 of a file, or of a folder's listing as DVC computes it (``….dir``), .dvcignore applied; None when absent."""
    target = root / path
    if target.is_file():
        return _file_md5(target)
    if not target.is_dir():
        return None
    listing = [
        {"md5": _file_md5(file), "relpath": file.relative_to(target).as_posix()} for file in _files(root, target)
    ]
    listing.sort(key=lambda entry: entry["relpath"])
    return _md5(json.dumps(listing, sort_keys=True).encode()) + ".dir"


def _files(root: Path, folder: Path) -> Iterator[Path]:
    from pathspec import GitIgnoreSpec

    rules = root / ".dvcignore"
    ignored = GitIgnoreSpec.from_lines(rules.read_text(encoding="utf-8").splitlines() if rules.exists() else [])
    for path in folder.rglob("*"):
        if path.is_file() and not ignored.match_file(path.relative_to(root)):
            yield path


def _file_md5(path: Path) -> str:
    """Of a file that is as it was the last time, what was found then: the sensor asks twice a minute."""
    status = path.stat()
    return _stat_md5(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1 << 16)
def _stat_md5(path: Path, _mtime_ns: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _yaml(path: Path) -> dict[str, Any]:
    """YAML 1.2, as DVC reads and writes it: ``no`` is text, 5e-4 a number."""
    try:
        value = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise GraphError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    return value or {}
