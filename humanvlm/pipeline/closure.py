"""What the module of a stage reaches in this package: the code, and the data files, that its results can depend on.

`python -m humanvlm.pipeline.closure` prints it stage by stage, with what the table of stages lacks or has too much.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from humanvlm.pipeline.stages import STAGES

ROOT = Path(__file__).parents[1]
# Carries parameters, rows and results, and does not decide what is in them: a line of the engine's log must not
# retrain. The parameters count by their values instead, those by default included.
MACHINERY = ("pipeline/", "config/", "errors.py", "shown.py", "__init__.py", "data/atomic_io.py", "data/hashing.py")


def closure(module: str, root: Path = ROOT) -> set[str]:
    """Files below ``root``, the package's folder, that a module reaches: itself, what it imports (inside functions too,
    but not for type checking only), modules and data files that it names as text, and what these reach. A package named
    with a dot at the end, to which a name is joined, is reached whole.

    MACHINERY is left out and not looked behind; so is an ``__init__.py`` that says nothing.
    """
    files = _sources(root)
    start = _file_of(module, root.name, files)
    if start is None:
        raise ModuleNotFoundError(f"{module}: no file of {root}")
    found: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name not in found and not name.startswith(MACHINERY):
            found.add(name)
            todo += _reached(name, root, files) if name.endswith(".py") else []
    return found & _telling(root, files)


def undeclared(module: str, code: Sequence[str], root: Path = ROOT) -> list[str]:
    """Files that the module reaches and that are neither declared nor in a declared folder."""
    return sorted(name for name in closure(module, root) if not any(_holds(entry, name) for entry in code))


def superfluous(module: str, code: Sequence[str], root: Path = ROOT) -> list[str]:
    """Files that are declared, or in a declared folder, and that the module does not reach; entries without a file."""
    reached, files = closure(module, root), _telling(root, _sources(root))
    held = {name for name in files if any(_holds(entry, name) for entry in code)}
    empty = {entry for entry in code if not any(_holds(entry, name) for name in files)}
    return sorted(held - reached | empty)


def _holds(entry: str, name: str) -> bool:
    return name == entry or name.startswith(f"{entry}/")


def _sources(root: Path) -> frozenset[str]:
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return frozenset(path.as_posix() for path in paths if "__pycache__" not in path.parts)


def _telling(root: Path, files: frozenset[str]) -> set[str]:
    return {name for name in files if not name.endswith("__init__.py") or ast.parse((root / name).read_text()).body}


def _file_of(module: str, package: str, files: frozenset[str]) -> str | None:
    """The file of a dotted name, None when it is no module of the package."""
    first, _, rest = module.partition(".")
    path = rest.replace(".", "/")
    candidates = (f"{path}.py", f"{path}/__init__.py") if path else ("__init__.py",)
    return next((name for name in candidates if name in files), None) if first == package else None


def _reached(name: str, root: Path, files: frozenset[str]) -> Iterator[str]:
    """Files of the package that one of its files imports or names."""
    package = (root.name, *Path(name).parent.parts)
    for node in _executed(ast.parse((root / name).read_text(encoding="utf-8"))):
        for module in _modules(node, package):
            if found := _file_of(module, root.name, files):
                yield found
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(rf"{root.name}(\.\w+)+\.", node.value):  # whatever of a package a name that follows may be
                yield from (file for file in files if _holds(node.value[:-1].replace(".", "/"), f"{root.name}/{file}"))
            yield from (file for file in files if _names(node.value, file, Path(name).parent))


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """A node and those in it, but what is there for type checking only."""
    yield node
    checking = isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    for child in node.orelse if isinstance(node, ast.If) and checking else ast.iter_child_nodes(node):
        yield from _executed(child)


def _modules(node: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """Dotted names that a node imports, packages on the way included, or holds as text, as does a command to start."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else ()
        origin = ".".join((*above, *([node.module] if node.module else [])))
        names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(f"{package[0]}."):
        names = [node.value]
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _names(text: str, file: str, folder: Path) -> bool:
    """Whether a text names a data file, by its name or the end of its path, or code in the same folder."""
    if file.endswith(".py"):
        return text.endswith(".py") and file == (folder / text).as_posix()
    return "." in text and (file == text or file.endswith(f"/{text}"))


if __name__ == "__main__":
    for stage in STAGES.values():
        print(stage.name)
        for title, names in (
            ("reaches", sorted(closure(stage.module))),
            ("undeclared", undeclared(stage.module, stage.code or ())),
            ("superfluous", superfluous(stage.module, stage.code or ())),
        ):
            print(f"  {title}: {' '.join(names)}")
