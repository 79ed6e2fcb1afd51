"""Time and memory of ``humanvlm score captions`` beside pycocoevalcap with Java: the same captions, the same scores.

Both run as commands, in turn, start-up included, and score BLEU-1 to 4, METEOR, ROUGE-L and CIDEr of raw captions. The
1,000 pairs beside the checkout are tiled; in every copy but the first, words are replaced, so that no candidate or
reference is there twice for that reason. Scores that differ are an error. Prints a table, and the same figures as one
JSON object in the last line.
"""

import argparse
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

STATE = Path(__file__).parents[1] / ".state"
PAIRS = Path(__file__).parents[2] / "shared" / "benchmarks" / "captions" / "human_1000_pairs.json.gz"
VERSION = "1.2"
SAMPLED_EVERY = 0.01  # seconds between two looks at memory
NAMES = {"bleu_1": "Bleu_1", "bleu_2": "Bleu_2", "bleu_3": "Bleu_3", "bleu_4": "Bleu_4", "rouge_l": "ROUGE_L"}
NAMES |= {"cider": "CIDEr", "meteor": "METEOR"}
TOLERANCE = {"meteor": 1e-3}  # of the corpus and of each picture; 1e-6 for the others
THEIRS = """
import json, sys
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

references, predictions, out = sys.argv[1:]
truth, said = {}, {}
for row in json.load(open(references))["annotations"]:
    truth.setdefault(row["image_id"], []).append(row)
for row in json.load(open(predictions)):
    said[row["image_id"]] = [row]
said = {key: said[key] for key in truth}
tokenizer = PTBTokenizer()
truth, said = tokenizer.tokenize(truth), tokenizer.tokenize(said)
scores, samples = {}, {}
for name, scorer in (("Bleu", Bleu(4)), ("METEOR", Meteor()), ("ROUGE_L", Rouge()), ("CIDEr", Cider())):
    found, each = scorer.compute_score(truth, said)
    rows = zip([f"Bleu_{n}" for n in range(1, 5)], found, each) if name == "Bleu" else [(name, found, each)]
    for one, value, values in rows:
        scores[one], samples[one] = float(value), [float(number) for number in values]
json.dump({"scores": scores, "per_sample": samples, "ids": list(truth)}, open(out, "w"))
"""


@dataclass(frozen=True)
class Usage:
    """wall: seconds; peak: bytes of all processes of the tree together, as resident in memory."""

    wall: float
    peak: int


@dataclass(frozen=True)
class Bench:
    """Files of the captions, and what runs on them."""

    work: Path
    references: Path
    predictions: Path
    python: Path

    def run_ours(self, cache: str) -> Usage:
        """As users type it. ``cache``: the folder of METEOR's converted table, which the first run makes."""
        command = [sys.executable, "-m", "humanvlm.cli", "score", "captions", "--references", str(self.references)]
        command += ["--predictions", str(self.predictions), "--out", str(self.work / "humanvlm.json")]
        return measured(command, self.work, os.environ | {"HUMANVLM_CACHE": str(self.work / cache)})

    def run_theirs(self) -> Usage:
        files = [self.references, self.predictions, self.work / "pycocoevalcap.json"]
        return measured([str(self.python), "-c", THEIRS, *map(str, files)], self.work, os.environ)


def measured(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Usage:
    """Run a command. Raises RuntimeError with the end of what it printed when it fails."""
    log = cwd / "log.txt"
    with log.open("wb") as output:
        clock = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=output, stderr=output)
        ended, peaks = threading.Event(), [0]
        watch = threading.Thread(target=_watch, args=(process.pid, ended, peaks))
        watch.start()
        status = process.wait()
        wall = time.perf_counter() - clock
        ended.set()
        watch.join()
    if status != 0:
        raise RuntimeError(f"{command[0]}: exit status {status}; {log} ends with\n{log.read_text()[-2000:]}")
    return Usage(wall, peaks[0])


def _watch(process: int, ended: threading.Event, peaks: list[int]) -> None:
    while not ended.wait(SAMPLED_EVERY):
        peaks[0] = max(peaks[0], sum(_resident(one) for one in _tree(process)))


def _tree(process: int) -> list[int]:
    """A process and its descendants, as far as they are still there."""
    found = [process]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return found


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def tiled(pairs: Mapping[str, Any], images: int, seed: int) -> list[tuple[str, list[str]]]:
    """Candidate and references of each picture; beyond the pairs at hand no text equals another one."""
    chance = random.Random(seed)
    originals = [(pair["candidate"], pair["references"]) for pair in pairs.values()]
    words = [word for candidate, _ in originals for word in candidate.split()]
    seen = {text for candidate, references in originals for text in (candidate, *references)}

    def changed(text: str) -> str:
        while text in seen:
            parts = text.split()
            for _ in range(max(1, len(parts) // 6)):
                parts[chance.randrange(len(parts))] = chance.choice(words)
            text = " ".join(parts)
        seen.add(text)
        return text

    found = originals[:images]
    while len(found) < images:
        candidate, references = originals[len(found) % len(originals)]
        found.append((changed(candidate), [changed(text) for text in references]))
    return found


def write_captions(work: Path, pictures: Sequence[tuple[str, Sequence[str]]]) -> tuple[Path, Path]:
    """The captions as COCO's annotations and results."""
    references, predictions = work / "references.json", work / "predictions.json"
    rows = [(image, text) for image, (_, texts) in enumerate(pictures) for text in texts]
    annotations = [{"image_id": image, "id": number, "caption": text} for number, (image, text) in enumerate(rows)]
    images = [{"id": image} for image in range(len(pictures))]
    references.write_text(json.dumps({"images": images, "annotations": annotations}))
    predictions.write_text(
        json.dumps([{"image_id": image, "caption": said} for image, (said, _) in enumerate(pictures)])
    )
    return references, predictions


def find_pycocoevalcap(python: Path | None) -> Path:
    """The interpreter that has pycocoevalcap; its own environment is made when none is given."""
    if python is not None:
        return python.absolute()
    folder = STATE / "pycocoevalcap"
    if not (folder / "done").exists():
        print(f"installing pycocoevalcap {VERSION} in {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"pycocoevalcap=={VERSION}"], check=True)
        (folder / "done").touch()
    return folder / "bin" / "python"


def differences(ours: Path, theirs: Path) -> dict[str, float]:
    """Each metric's largest difference, of the corpus or of a picture. Raises ValueError when one is too large."""
    found, expected = json.loads(ours.read_text()), json.loads(theirs.read_text())
    if [row["id"] for row in found["per_sample"]] != [str(key) for key in expected["ids"]]:
        raise ValueError("the two scored different pictures")
    largest = {}
    for name, other in NAMES.items():
        each = [
            abs(row[name] - value)
            for row, value in zip(found["per_sample"], expected["per_sample"][other], strict=True)
        ]
        largest[name] = max(*each, abs(found["scores"][name] - expected["scores"][other]))
        if not largest[name] <= TOLERANCE.get(name, 1e-6):
            raise ValueError(f"{name} differs from pycocoevalcap's {other} by {largest[name]:.3g}")
    return largest


def figures(usages: Sequence[Usage]) -> dict[str, Any]:
    """Lists are the smallest, the median and the largest."""
    walls, peaks = [one.wall for one in usages], [one.peak / 2**20 for one in usages]
    return {
        "seconds": [round(value, 3) for value in (min(walls), median(walls), max(walls))],
        "peak_mib": [round(value) for value in (min(peaks), median(peaks), max(peaks))],
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000, help="pictures with one candidate each (default 5000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each command (default 3)")
    parser.add_argument("--pycocoevalcap", type=Path, metavar="PYTHON", help="interpreter that has it")
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="candidates and references by id")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    if shutil.which("java") is None:
        sys.exit("pycocoevalcap needs Java: install a runtime, such as openjdk-17-jre-headless")
    if not options.pairs.is_file():
        sys.exit(f"{options.pairs}: not there; --pairs takes a file of candidates and references by id")
    python = find_pycocoevalcap(options.pycocoevalcap)
    with gzip.open(options.pairs, "rt", encoding="utf-8") as file:
        pictures = tiled(json.load(file), options.images, seed=7)
    work = STATE / "bench" / "captions"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    bench = Bench(work, *write_captions(work, pictures), python)
    print(f"{len(pictures)} candidates, {sum(len(texts) for _, texts in pictures)} references", flush=True)
    cold = bench.run_ours("cache")  # converts METEOR's table
    bench.run_theirs()  # not counted: brings the programs into the page cache
    largest = differences(work / "humanvlm.json", work / "pycocoevalcap.json")
    print("largest difference: " + ", ".join(f"{name} {value:.1g}" for name, value in largest.items()), flush=True)
    usages: dict[str, list[Usage]] = {"humanvlm": [], "pycocoevalcap": []}
    for _ in range(options.repeat):
        usages["humanvlm"].append(bench.run_ours("cache"))
        usages["pycocoevalcap"].append(bench.run_theirs())
    found: dict[str, Any] = {name: figures(runs) for name, runs in usages.items()}
    found["humanvlm_first_run"] = figures([cold])
    print(f"{'':<22}{'seconds':>24}{'peak MiB':>24}")
    for name, each in found.items():
        cells = "".join(f"{number:>8.2f}" for number in each["seconds"]) + "".join(f"{n:>8}" for n in each["peak_mib"])
        print(f"{name:<22}{cells}")
    ratio = found["pycocoevalcap"]["seconds"][1] / found["humanvlm"]["seconds"][1]
    first = found["pycocoevalcap"]["seconds"][1] / cold.wall
    memory = found["pycocoevalcap"]["peak_mib"][1] / found["humanvlm"]["peak_mib"][1]
    print(f"{ratio:.1f} times as fast, in its first run {first:.1f}; {memory:.1f} times less memory")
    speed = {"ratio": round(ratio, 2), "ratio_first_run": round(first, 2), "ratio_memory": round(memory, 2)}
    print(json.dumps({"images": len(pictures), **speed, "largest_difference": largest, **found}))


if __name__ == "__main__":
    main()
