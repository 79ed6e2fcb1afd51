"""Imports run down only: no room of the library reaches one above it, and no two files reach each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
LIBRARY = REPO / "humanvlm"
# From the top down. Rooms of one floor may use each other, but not in a circle.
FLOORS = (
    ("cli", "export", "serve", "supply", "takedown"),
    ("index", "scrape", "curate", "caption", "train", "evaluate", "registry", "synthetic"),
    ("inference", "inspect", "model"),
    ("pipeline",),
    ("config", "data", "weights"),
    ("errors", "shown"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> dict[str, Path]:
    """Every module of the library by dotted name."""
    found = {}
    for path in LIBRARY.rglob("*.py"):
        parts = path.relative_to(REPO).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules of the library that a file imports anywhere in it, but for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module in known:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known else node.module


def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: set(imports(path, known)) - {name, "humanvlm"} for name, path in known.items()}


def room(module: str) -> str:
    return module.split(".")[1]


def circle(edges: dict[str, set[str]]) -> list[str]:
    """One circle as the names along it; empty when there is none."""
    done: set[str] = set()

    def follow(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for other in sorted(edges.get(name, ())):
            if found := follow(other, [*trail, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := follow(name, []))), [])


def test_every_room_has_a_floor() -> None:
    rooms = {room(name) for name in modules() if name != "humanvlm"}
    assert rooms == set(FLOOR)


def test_no_import_goes_up() -> None:
    up = [
        f"{name} -> {other}"
        for name, others in graph().items()
        for other in others
        if name != "humanvlm" and FLOOR[room(name)] > FLOOR[room(other)]
    ]
    assert up == []


def test_no_circle_of_files() -> None:
    assert circle(graph()) == []


def test_no_circle_of_rooms() -> None:
    rooms: dict[str, set[str]] = {}
    for name, others in graph().items():
        if name != "humanvlm":
            rooms.setdefault(room(name), set()).update(room(other) for other in others if room(other) != room(name))
    assert circle(rooms) == []


UNPICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
SETTINGS = {"weights_only": True, "allow_pickle": False, "trust_remote_code": False}


def unpickling(tree: ast.AST) -> Iterator[str]:
    """What of a file may run code out of data: imports, and calls that do not refuse it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (name for name in names if name.split(".")[0] in UNPICKLERS)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: word.value for word in node.keywords}
        if called == "torch.load" and "weights_only" not in given:
            yield f"{called} without weights_only"
        if called.rpartition(".")[2] in ("read_pickle", "unsafe_load", "full_load") or called.startswith("torch.hub."):
            yield called
        for name, value in SETTINGS.items():
            if name in given and not (isinstance(found := given[name], ast.Constant) and found.value is value):
                yield f"{called} with {name}={ast.unparse(found)}"


def test_nothing_unpickles() -> None:
    rooms = (LIBRARY, REPO / "orchestration", REPO / "benchmarks")
    paths = [path for room in rooms for path in room.rglob("*.py")]
    assert {
        f"{path.relative_to(REPO)}: {found}"
        for path in paths
        for found in unpickling(ast.parse(path.read_text(encoding="utf-8")))
    } == set()


def test_what_unpickles_is_noticed() -> None:
    code = (
        "import joblib\nfrom pickle import load\ntorch.load(x)\ntorch.load(x, weights_only=False)\n"
        "np.load(x, allow_pickle=True)\npd.read_pickle(x)\nAutoModel.from_pretrained(x, trust_remote_code=flag)\n"
        "torch.load(x, weights_only=True)\nnp.load(x)\n"
    )
    assert len(list(unpickling(ast.parse(code)))) == 7


def test_the_library_knows_nothing_of_dagster_or_dvc() -> None:
    named = {
        f"{name}: {alias}"
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for alias in (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if alias.split(".")[0] in ("dagster", "dvc", "orchestration")
    }
    assert named == set()


@pytest.mark.parametrize(
    ("edges", "found"), [({"a": {"b"}, "b": {"c"}, "c": {"a"}}, True), ({"a": {"b", "c"}, "b": {"c"}}, False)]
)
def test_circles_are_found(edges: dict[str, set[str]], found: bool) -> None:
    assert bool(circle(edges)) == found
