"""``human_scenes``, killed again and again: nothing is lost, and no picture measured twice but those in flight.

One run is undisturbed. The same stage then starts anew, and its whole process group gets SIGKILL at random moments:
while it starts, while it measures (after a random number of pictures), and while it finds duplicates and writes shards.
After each kill what is measured is noted: none of it may be begun again, and the files of the completed artifact must
be those of the undisturbed run. Prints a table, and the same figures as one JSON object in the last line.
"""

import argparse
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import yaml
from PIL import Image

from humanvlm.config.profiles import profile_path
from humanvlm.curate.measured import places_begun
from humanvlm.data.atomic_io import write_json
from humanvlm.data.shards import shard_name, write_shard
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.store import SCHEMA

MEASURING = 0.8  # of the kills come until about all is measured
Place = tuple[str, int]  # a shard, and the place of a row in it


def write_crawl(folder: Path, rows: int, rows_per_shard: int, rng: random.Random) -> None:
    """Cuts of a photograph of a person and of others without; some are copies, some no pictures."""
    photos = [skimage.data.astronaut(), skimage.data.astronaut()[:, ::-1], skimage.data.coffee()]
    names = [f"{number:05d}" for number in range(rows)]
    files = []
    for start in range(0, rows, rows_per_shard):
        shard = [picture(name, photos, rng) for name in names[start : start + rows_per_shard]]
        files.append(asdict(write_shard(folder / shard_name(start // rows_per_shard), shard, SCHEMA)))
    counts = {"in": rows, "kept": rows, "dropped": {}}
    report = {"stage": "raw_scrape", "fingerprint": "benchmark", "rows": counts, "outputs": files}
    write_json(folder / "report.json", report)


def picture(name: str, photos: list[np.ndarray], rng: random.Random) -> dict[str, Any]:
    photo = photos[rng.randrange(len(photos))]
    y, x = rng.randrange(0, 90, 6), rng.randrange(0, 90, 6)
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(photo[y : y + 400, x : x + 400])).save(sink, "JPEG")
    data = sink.getvalue() if rng.random() > 0.05 else sink.getvalue()[:500]
    return dict.fromkeys(SCHEMA.names) | {
        "id": hashlib.sha256(name.encode()).hexdigest()[:20],
        "url": f"http://photos.example/{name}.jpg",
        "text": f"picture {name}" if rng.random() > 0.3 else None,
        "image": {"bytes": data, "path": None},
        "width": 400,
        "height": 400,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


@dataclass(frozen=True)
class Run:
    """One project folder, in which the stage runs."""

    folder: Path
    processes: int

    @property
    def out(self) -> Path:
        return self.folder / "artifacts" / "human_scenes"

    @property
    def work(self) -> Path:
        return self.out / ".work" / "measured"

    def start(self) -> subprocess.Popen[bytes]:
        """The command in a process group of its own."""
        command = [sys.executable, "-m", "humanvlm.cli", "human_scenes", "--params", "params.yaml"]
        env = os.environ | {"HUMANVLM_WORKERS": str(self.processes), "MLFLOW_TRACKING_URI": "none"}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=env, stderr=log, start_new_session=True)

    def begun(self) -> list[Place]:
        """Pictures that were begun, in their order in each shard; twice where they were in flight at a kill."""
        return [(path.stem, place) for path in self.work.glob("*.begun") for place in places_begun(path)]

    def measured(self) -> set[Place]:
        found: set[Place] = set()
        with tempfile.TemporaryDirectory() as scratch:
            for path in self.work.glob("shard-?????"):
                journal = Journal(Path(shutil.copy(path, scratch)))  # to open a journal is to cut it
                journal.close()
                found.update((path.stem, place) for place in journal.entries)
        return found

    def complete(self) -> tuple[dict[str, Any], list[Place]]:
        """Run it to the end: its report, and what was begun. Raises RuntimeError with its log's end when it fails."""
        links = self.folder / "begun"
        with self.start() as process:
            while process.poll() is None:
                for path in self.work.glob("*.begun"):  # the stage removes them at its end
                    link = links / path.name
                    if not link.exists():
                        links.mkdir(exist_ok=True)
                        link.hardlink_to(path)
                time.sleep(0.02)
        if process.returncode:
            raise RuntimeError(f"exit status {process.returncode}: {(self.folder / 'log').read_text()[-2000:]}")
        report = json.loads((self.out / "report.json").read_text())
        return report, [(path.stem, place) for path in links.glob("*") for place in places_begun(path)]


@dataclass
class Toll:
    """What the kills did. again: pictures begun although they were measured. lost: measured ones that vanished."""

    kills: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    again: int = 0
    lost: int = 0
    in_flight: int = 0


def kill_repeatedly(run: Run, rows: int, kills: int, seconds: float, rng: random.Random) -> Toll:
    """Start the stage and kill it ``kills`` times, unless it completes before. seconds: to start, about."""
    toll = Toll()
    known: set[Place] = set()
    print(f"{'kill':>4}  {'while':<10}  {'measured':>8}  {'begun':>6}", flush=True)
    while toll.kills < kills:
        before = run.begun()
        left = rows - len(known)
        with run.start() as process:
            if left and rng.random() > 0.15:
                to_go = max(round(MEASURING * kills) - toll.kills, 1)
                more = rng.randint(1, min(max(2 * left // to_go, 1), left))
                while process.poll() is None and len(run.begun()) < len(before) + more:
                    time.sleep(0.01)
                pause = rng.uniform(0, 0.1)
            else:
                pause = rng.uniform(0, seconds if left else seconds / 2)
            try:
                process.wait(pause)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode >= 0:
            if process.returncode:
                raise RuntimeError((run.folder / "log").read_text()[-2000:])
            break
        time.sleep(0.2)  # workers die with their parent
        begun, found = run.begun(), run.measured()
        toll.again += sum((Counter(begun) - Counter(before))[place] for place in known)
        toll.lost += len(known - found)
        toll.in_flight += len(set(begun) - found)
        phase = "measuring" if len(begun) > len(before) else "starting" if left else "finishing"
        toll.phases[phase] += 1
        toll.kills += 1
        known = found
        print(f"{toll.kills:>4}  {phase:<10}  {len(found):>8}  {len(begun):>6}", flush=True)
    return toll


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=240, help="pictures (default 240)")
    parser.add_argument("--rows-per-shard", type=int, default=60, help="default 60")
    parser.add_argument("--kills", type=int, default=20, help="default 20")
    parser.add_argument("--processes", type=int, default=2, help="workers (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        write_crawl(Path(name) / "crawl", options.rows, options.rows_per_shard, rng)
        runs = [Run(Path(name) / folder, options.processes) for folder in ("undisturbed", "killed")]
        for run in runs:
            (run.folder / "artifacts").mkdir(parents=True)
            (run.folder / "artifacts" / "raw_scrape").symlink_to(Path(name) / "crawl")
            params = profile_path("cpu").read_text(encoding="utf-8")
            (run.folder / "params.yaml").write_text(yaml.safe_dump(yaml.safe_load(params)), encoding="utf-8")
        clock = time.monotonic()
        whole, once = runs[0].complete()
        seconds = time.monotonic() - clock
        print(f"undisturbed: {seconds:.1f} s, {len(once)} pictures begun", flush=True)
        toll = kill_repeatedly(runs[1], options.rows, options.kills, seconds / 4, rng)
        known = runs[1].measured()
        before = Counter(runs[1].begun())
        final, begun = runs[1].complete()
        toll.again += sum((Counter(begun) - before)[place] for place in known)
    figures = {
        "kills": toll.kills,
        **{f"kills_while_{phase}": toll.phases[phase] for phase in ("starting", "measuring", "finishing")},
        "rows": final["rows"],
        "equal_to_undisturbed": final["outputs"] == whole["outputs"] and final["rows"] == whole["rows"],
        "measured_again": toll.again,
        "measured_lost": toll.lost,
        "in_flight_at_kills": toll.in_flight,
        "begun": len(begun),
        "begun_undisturbed": len(once),
    }
    for key, value in figures.items():
        print(f"{key:<24}{value}")
    print(json.dumps(figures))
    if not figures["equal_to_undisturbed"] or toll.again or toll.lost:
        sys.exit(1)


if __name__ == "__main__":
    main()
