"""A short run of the simulation: intervals cover, tests alarm and detect as often as they say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_intervals_and_tests_are_what_they_say(repo: Path) -> None:
    command = [sys.executable, "benchmarks/uncertainty.py", "--replications", "400", "--images", "30", "100"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    result = json.loads(done.stdout.splitlines()[-1])
    figures = result["figures"]
    assert {figure["what"] for figure in figures} == {"coverage", "false alarms", "power", "slices"}
    for figure in figures:  # 3 standard errors: 34 figures are looked at
        margin = 3 * figure["error"]
        assert figure["least"] - margin <= figure["percent"] <= figure["most"] + margin, figure
