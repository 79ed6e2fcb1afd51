"""Writes the table of stages into dvc.yaml: `make stages`, or `python -m humanvlm.pipeline.dvc_yaml [FILE]`.

Stages that the table does not know, metrics, plots, and comments outside the table's own stages are the user's, and
stay as they are. The params.yaml beside it, where there is one, gets ``section: {}`` for each section that it lacks.
"""

import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from humanvlm.config.defaults import PACKAGE, classes_of
from humanvlm.config.loading import load_params
from humanvlm.config.profiles import completed
from humanvlm.data.atomic_io import write_text
from humanvlm.data.tombstones import PATH as TOMBSTONES
from humanvlm.errors import UserError
from humanvlm.pipeline.stages import STAGES, Stage
from humanvlm.shown import shown


def definition(stage: Stage) -> dict[str, Any]:
    """What dvc.yaml says of a stage. Outputs persist, so that an interrupted stage finds its finished shards."""
    meta = {"layer": stage.layer, "kinds": list(stage.kinds), "compute": stage.compute}
    return {
        "desc": stage.help,
        "cmd": f"humanvlm {stage.name}",
        "deps": [
            *stage.read,
            *([str(TOMBSTONES)] if stage.honours_tombstones else []),
            *(f"humanvlm/{path}" for path in stage.code or ()),
        ],
        "params": [*stage.sections, *_defaults(stage)],
        "outs": [{stage.out: {"persist": True}}],
        "meta": {key: value for key, value in meta.items() if value not in ([], "dvc")},
    }


def _defaults(stage: Stage) -> list[dict[str, list[str]]]:
    """Classes whose literals are the defaults of the stage's parameters: DVC reads them out of their files."""
    root = PACKAGE.parent
    return [{path.relative_to(root).as_posix(): names} for path, names in classes_of(stage.sections).items()]


def rewritten(text: str, stages: Mapping[str, Stage] = STAGES) -> str:
    """The text of a dvc.yaml with these stages first in it. Raises UserError when it has no line ``stages:``."""
    lines = text.splitlines()
    if "stages:" not in lines:
        raise UserError("dvc.yaml: no line `stages:`; `git checkout dvc.yaml` brings it back")
    first = lines.index("stages:") + 1
    last = next((n for n, line in enumerate(lines) if n >= first and re.match(r"[^\s#]", line)), len(lines))
    while last > first and re.match(r"#|\s*$", lines[last - 1]):  # comments above what follows are its own
        last -= 1
    blocks = {name: _rendered(stage) for name, stage in stages.items()}
    blocks |= {name: block for name, block in _blocks(lines[first:last]).items() if name not in stages}
    rest = "\n".join(lines[last:]).strip("\n")
    return "\n".join([*lines[:first], "\n\n".join([*blocks.values(), rest])]).rstrip("\n") + "\n"


def _rendered(stage: Stage) -> str:
    text = yaml.safe_dump({stage.name: definition(stage)}, sort_keys=False, width=1000)
    return textwrap.indent(text, "  ").rstrip()


def _blocks(lines: Sequence[str]) -> dict[str, str]:
    """The text of each stage by name, with the comments above it."""
    blocks: dict[str, list[str]] = {}
    above: list[str] = []
    name = ""
    for line in lines:
        if match := re.match(r"  ([^\s#:]+):", line):
            name = match[1]
            blocks[name] = [*above, line]
            above = []
        elif re.match(r"  #|\s*$", line):
            above.append(line)
        elif name:
            blocks[name] += [*above, line]
            above = []
    return {name: "\n".join(block).strip("\n") for name, block in blocks.items()}


def write(target: Path) -> None:
    """Rewrite a dvc.yaml and complete its params.yaml. Raises UserError, with both as they were, when one cannot be."""
    params = target.with_name("params.yaml")
    texts = {target: rewritten(target.read_text(encoding="utf-8"))}
    if params.exists():
        load_params(params)
        texts[params] = completed(params.read_text(encoding="utf-8"), params)
    for path, text in texts.items():
        write_text(path, text)


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1] if len(sys.argv) > 1 else "dvc.yaml"))
    except UserError as error:
        print(f"humanvlm: {shown(str(error))}", file=sys.stderr)
        sys.exit(2)
