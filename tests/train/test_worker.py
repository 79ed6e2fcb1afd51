import ast
from graphlib import TopologicalSorter
from pathlib import Path

from humanvlm.train import worker


def imports(path: Path) -> set[str]:
    """Modules of the room that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "humanvlm.train":
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("humanvlm.train."):
            found.add((node.module or "").split(".")[2])
    return found


def test_the_room_is_read_in_one_direction() -> None:
    room = Path(worker.__file__).parent
    graph = {path.stem: imports(path) for path in room.glob("*.py") if path.stem != "__init__"}
    list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert graph["stage1"] == graph["stage2"] == {"launch"}
    assert not {"stage1", "stage2", "launch"} & set().union(
        *(graph[name] for name in graph.keys() - {"stage1", "stage2"})
    )
