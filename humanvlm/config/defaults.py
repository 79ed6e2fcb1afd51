"""Defaults of the parameters as DVC reads them: the literals in a class, by file and class."""

import ast
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from humanvlm.config.loading import Params
from humanvlm.config.section import Section

PACKAGE = Path(__file__).parents[1]


def classes_of(sections: Sequence[str]) -> dict[Path, list[str]]:
    """Files and names of the classes in which the defaults of sections stand: bases and nested ones are among them."""
    found: dict[Path, list[str]] = {}
    for section in sections:
        for cls in dict.fromkeys(_classes(Params.model_fields[section].annotation)):
            names = found.setdefault(Path(inspect.getfile(cls)), [])
            names += [cls.__name__] if cls.__name__ not in names else []
    return found


def defaults(sections: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The literals of those classes as they are on disk: file, relative to the package -> class -> key -> value."""
    return {
        path.relative_to(PACKAGE).as_posix(): {name: literals(path.read_text(encoding="utf-8"))[name] for name in names}
        for path, names in classes_of(sections).items()
    }


def literals(text: str) -> dict[str, Any]:
    """The literals that Python code assigns to names, in classes too, read as DVC does. Raises SyntaxError."""
    return dict(_assigned(ast.parse(text).body))


def _assigned(body: Sequence[ast.stmt], *, of_self: bool = False) -> Iterator[tuple[str, Any]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield node.name, dict(_assigned(node.body))
        elif isinstance(node, ast.FunctionDef) and node.name == "__init__":
            yield from _assigned(node.body, of_self=True)
        elif isinstance(node, ast.AnnAssign) or (isinstance(node, ast.Assign) and len(node.targets) == 1):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if (name := _name(target, of_self)) and node.value is not None:
                try:
                    yield name, ast.literal_eval(node.value)
                except ValueError:
                    continue


def _name(target: ast.expr, of_self: bool) -> str | None:
    if isinstance(target, ast.Name) and not of_self:
        return target.id
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
        return target.attr
    return None


def _classes(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield from (cls for cls in annotation.__mro__ if "__annotations__" in vars(cls) and cls not in Section.__mro__)
        for field in annotation.model_fields.values():
            yield from _classes(field.annotation)
    for part in get_args(annotation):
        yield from _classes(part)
