"""A training that is killed again and again with SIGKILL, and what it loses by that: not a bit of the weights.

Stage 1 trains a tiny random model undisturbed. The same run then starts anew, and its whole process group is killed at
random moments: while it starts, trains, saves, and writes its result. The completed run's curve and weights must equal
the undisturbed one's to the bit. Prints a table, and the same figures as one JSON object in the last line.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file


@dataclass(frozen=True)
class Stage:
    """``humanvlm stage1_checkpoint`` with a parameter file and captions, into a folder."""

    params: Path
    captions: Path

    def start(self, out: Path) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "humanvlm.cli", "stage1_checkpoint", "--params", str(self.params)]
        command += ["--out", str(out), "--in", f"human_caption={self.captions}"]
        environment = os.environ | {"MLFLOW_TRACKING_URI": "none"}
        null = subprocess.DEVNULL
        return subprocess.Popen(command, env=environment, start_new_session=True, stdout=null, stderr=null)


def last_step(out: Path) -> int:
    """The step of the last checkpoint, 0 before the first."""
    found = out.glob(".work/checkpoint-*/checkpoint.json")
    return max((int(path.parent.name.partition("-")[2]) for path in found), default=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, required=True, help="a parameter file with tiny models")
    parser.add_argument("--captions", type=Path, required=True, help="an artifact human_caption")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    stage, chance = Stage(given.params, given.captions), random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder) / "whole" / "stage1_checkpoint", Path(folder) / "broken" / "stage1_checkpoint"
        clock = time.monotonic()
        if stage.start(whole).wait() != 0:
            sys.exit("the undisturbed run failed")
        seconds = time.monotonic() - clock
        steps: list[int] = []
        equal = alike = True
        runs = 0
        while len(steps) < given.kills:  # a run that ends is compared, and another starts
            shutil.rmtree(broken, ignore_errors=True)
            before, runs = len(steps), runs + 1
            while not (broken / "report.json").exists():
                process = stage.start(broken)
                try:
                    patience = chance.uniform(0.3, 1.0) * seconds if len(steps) < given.kills else None
                    if process.wait(patience) != 0:
                        sys.exit("the killed run did not end")
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    steps.append(last_step(broken))
                    print(f"kill {len(steps)}: last checkpoint after step {steps[-1]}", flush=True)
            if len(steps) == before:
                seconds *= 0.8  # the machine was busier when it was timed
                continue
            one, other = (load_file(out / "projector.safetensors") for out in (whole, broken))
            equal &= all(bool((one[name] == other[name]).all()) for name in one)
            curves = [
                [line.split(",")[:4] for line in (out / "loss.csv").read_text().splitlines()] for out in (whole, broken)
            ]
            alike &= curves[0] == curves[1]
    print(f"{len(steps)} kills of {runs} runs; weights equal: {equal}; curves equal: {alike}")
    print(json.dumps({"kills": len(steps), "steps": steps, "weights_equal": equal, "curves_equal": alike}))
    sys.exit(0 if equal and alike else 1)


if __name__ == "__main__":
    main()
