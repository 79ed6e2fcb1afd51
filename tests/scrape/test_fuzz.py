import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..odd_files import odd_files

REPO = Path(__file__).parents[2]
NASTY = REPO.parent / "shared" / "nasty"
SECONDS = 25


@pytest.mark.slow
def test_no_mutated_picture_crashes_the_process(tmp_path: Path) -> None:
    """Half a minute of what ``benchmarks/fuzz_picture.py`` does for longer."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, (data, _) in odd_files().items():
        (corpus / name).write_bytes(data)
    if NASTY.exists():
        shutil.copytree(NASTY, corpus / "nasty")
    command = [sys.executable, str(REPO / "benchmarks/fuzz_picture.py"), f"--seconds={SECONDS}"]
    done = subprocess.run(
        [*command, f"--corpus={corpus}", f"--out={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 90,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["crashes"] == 0
    assert result["executions"] > 200
    assert result["outcomes"]["kept"] > 20
