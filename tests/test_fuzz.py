"""Half a minute of CPU of what ``benchmarks/fuzz.py`` does for longer: inputs of a seed, and the work of repeats."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from .odd_files import odd_files

REPO = Path(__file__).parents[1]
sys.path.insert(0, str(REPO / "benchmarks"))
from fuzz import TARGETS, repeated, work  # noqa: E402

NASTY = REPO.parent / "shared" / "nasty"
RUNS = {"decoder": 200, "strip": 400, "consent": 400, "index": 80, "score": 300, "replies": 150}
REPEATS = 40  # of a target; all of them take minutes
MANY = 50_000  # bytes of a repeat, of which the slowest takes about a second
MOST_CPU_S = 300  # of all repeats of a target


def fuzzed(target: str, *options: str) -> dict[str, int]:
    """The result of ``benchmarks/fuzz.py``."""
    done = subprocess.run(
        [sys.executable, str(REPO / "benchmarks/fuzz.py"), target, *options],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S)),
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    result: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_no_mutated_input_crashes_the_process(target: str, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    if target in ("decoder", "strip"):
        for name, (data, _) in odd_files().items():
            (corpus / name).write_bytes(data)
        for path in NASTY.rglob("*"):
            if path.is_file():
                (corpus / path.name).write_bytes(path.read_bytes())
    result = fuzzed(target, f"--runs={RUNS[target]}", f"--corpus={corpus}", f"--out={tmp_path}")
    assert result["crashes"] == 0
    assert result["executions"] == RUNS[target]


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_no_repeat_takes_quadratic_time(target: str, tmp_path: Path) -> None:
    result = fuzzed(target, f"--repeats={MANY}", f"--runs={REPEATS}", f"--out={tmp_path}")
    assert result["crashes"] == 0
    assert result["executions"] >= min(len(TARGETS[target].repeats()), REPEATS // 2)


@pytest.mark.parametrize("target", TARGETS)
def test_twice_the_input_takes_no_more_than_twice_the_calls(target: str) -> None:
    run = TARGETS[target].run
    for parts in TARGETS[target].repeats()[::7]:
        once, twice = repeated(parts, 2_000), repeated(parts, 4_000)
        run(once), run(twice)  # what is imported, compiled and remembered
        less, more = work(run, once), work(run, twice)
        assert more <= 2 * less + 500, (target, parts, less, more)
