"""A small DVC project with three real stages (one through Pipes) and a tracked source; every test gets its own copy."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

TOY = """
import json, sys, time
from pathlib import Path
import yaml

name, *inputs = sys.argv[1:]
params = yaml.safe_load(Path("params.yaml").read_text())[name]
out = Path("artifacts", name)
out.mkdir(parents=True, exist_ok=True)
rows = [line for folder in inputs for file in sorted(Path(folder).glob("*.txt")) for line in file.read_text().split()]
if params.get("fail"):
    sys.exit(f"humanvlm: {name}: row 3 of data/rows.txt is odd; mend it")
if params.get("sleep"):
    Path(".state", "sleeping").touch()
    until = time.monotonic() + params["sleep"]
    while time.monotonic() < until and not Path(".state", "wake").exists():
        time.sleep(0.05)
print(f"toy {name} keeps rows", flush=True)
with Path(".state", "runs").open("a") as file:
    file.write(name + "\\n")
kept = rows[: params["keep"]]
(out / "rows.txt").write_text("\\n".join(kept))
dropped = {"too_many": len(rows) - len(kept)} if len(kept) < len(rows) else {}
report = {
    "stage": name, "rows": {"in": len(rows), "kept": len(kept), "dropped": dropped}, "metrics": {"share": 0.5},
    "plots": [], "timings": {"seconds": 0.1},
    "outputs": [{"path": "rows.txt", "bytes": (out / "rows.txt").stat().st_size}],
}
(out / "report.json").write_text(json.dumps(report))
"""
DVC = """
stages:
  first:
    cmd: python toy.py first data
    deps: [data, toy.py, room]
    params: [first]
    outs: [{artifacts/first: {persist: true}}]
    desc: The first.
    meta: {layer: dataset}
  second:
    cmd: python toy.py second artifacts/first
    deps: [artifacts/first, toy.py]
    params: [second]
    outs: [{artifacts/second: {persist: true}}]
    meta: {compute: pipes}
  third:
    cmd: python toy.py third artifacts/second artifacts/first
    deps: [artifacts/second, artifacts/first, toy.py]
    params: [third]
    outs: [{artifacts/third: {persist: true}}]
"""


@dataclass(frozen=True)
class Project:
    """A DVC project under test."""

    root: Path

    def run(self, *command: str) -> str:
        """Run a command in it; this environment's scripts are found without activation."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ran(self) -> list[str]:
        """Names of the stages whose command ran, in order."""
        return (self.root / ".state/runs").read_text().split()

    def set_params(self, **sections: str) -> None:
        """Replace sections of params.yaml; each value is YAML."""
        params = {"first": "{keep: 3}", "second": "{keep: 2}", "third": "{keep: 9}"} | sections
        (self.root / "params.yaml").write_text("".join(f"{name}: {value}\n" for name, value in params.items()))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = Project(tmp_path_factory.mktemp("toy") / "project")
    files = {
        "toy.py": TOY,
        "dvc.yaml": DVC,
        ".dvcignore": "__pycache__\n*.pyc\n",
        "room/a.py": "A = 1\n",
        "room/deep/b.py": "B = 2\n",
        "room/__pycache__/a.pyc": "stale bytes\n",
        "data/rows.txt": "a b c d e\n",
        ".state/runs": "",
    }
    for name, text in files.items():
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        (project.root / name).write_text(text)
    project.set_params()
    project.run("git", "init", "-q")
    project.run("dvc", "init", "-q")
    project.run("dvc", "config", "core.check_update", "false")
    project.run("dvc", "add", "-q", "data")
    return project.root


@pytest.fixture
def project(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A fresh copy of the toy project, not run yet."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")
    return Project(Path(shutil.copytree(prepared, tmp_path / "project", symlinks=True)))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
