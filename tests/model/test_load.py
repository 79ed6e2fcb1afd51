"""Nothing that comes with a model or data set runs here: every load says so itself."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# What a call must say, by the last part of its name.
SAYS = {
    "from_pretrained": ("trust_remote_code", False),
    "from_config": ("trust_remote_code", False),
    "load_dataset": ("trust_remote_code", False),
    "load_dataset_builder": ("trust_remote_code", False),
}
TORCH = ("weights_only", True)  # torch.load
NEVER = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "torch.hub"}


def calls(tree: ast.AST) -> Iterator[tuple[int, str, dict[str | None, Any]]]:
    """Line, dotted name and keywords of every call; a keyword that is no literal is ``...``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            said = {one.arg: one.value.value if isinstance(one.value, ast.Constant) else ... for one in node.keywords}
            yield node.lineno, ast.unparse(node.func), said


def faults(text: str) -> list[str]:
    """Calls that may run what they load."""
    tree = ast.parse(text)
    found = [
        f"{line}: {name}"
        for line, name, said in calls(tree)
        for wanted in [TORCH if name == "torch.load" else SAYS.get(name.rpartition(".")[2])]
        if (wanted and said.get(wanted[0]) is not wanted[1])
        or said.get("trust_remote_code", False) is not False
        or said.get("allow_pickle", False) is not False
    ]
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    }
    return found + sorted(imported & NEVER)


def test_no_load_runs_what_it_loads(repo: Path) -> None:
    files = [path for room in ("humanvlm", "orchestration", "mlflow") for path in (repo / room).rglob("*.py")]
    found = {str(path.relative_to(repo)): faults(path.read_text(encoding="utf-8")) for path in files}
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert sum("from_pretrained(" in path.read_text(encoding="utf-8") for path in files) >= 3


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("AutoModel.from_pretrained(name, trust_remote_code=False)", 0),
        ("AutoModel.from_pretrained(name)", 1),
        ("AutoModel.from_pretrained(name, **options)", 1),
        ("AutoModel.from_pretrained(name, trust_remote_code=asked)", 1),
        ("load_dataset(name, trust_remote_code=True)", 1),
        ("pipeline(model=name, trust_remote_code=True)", 1),
        ("torch.load(file, weights_only=True)", 0),
        ("torch.load(file)", 1),
        ("np.load(file, allow_pickle=True)", 1),
        ("import pickle", 1),
    ],
)
def test_what_is_found(text: str, count: int) -> None:
    assert len(faults(text)) == count
