"""CPU a picture of human_scenes and of the facts of human_caption, by network, here and in another checkout.

``--other`` is a folder with another version of this project (git worktree add FOLDER REVISION). Both versions see the
same pictures, in turn, ``--repeat`` times, each in one process of one thread; what is compared is CPU time, medians
over pictures and then over rounds, because other work on the machine moves the wall clock more, without start-up.
Networks are means over pictures, those of the facts over kept ones; the latter only where humanvlm/weights/run.py is.
The floor of a stage is what its networks alone take, without decoding, scaling and all else: means, of the same run.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import mean, median
from typing import Any

REPO = Path(__file__).parents[1]
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
COUNTED = ("faces", "people", "objects", "kept")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, help="folder of photographs, searched through")
    parser.add_argument("--count", type=int, default=60, help="pictures, spread over the folder (default 60)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--other", type=Path, help="folder of another version")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    files = sorted(path for path in args.pictures.rglob("*") if path.suffix.lower() in SUFFIXES)
    files = files[:: max(len(files) // args.count, 1)][: args.count]
    if args.child:
        print(json.dumps(cost(files)))
        return
    trees = {"here": REPO, **({"other": args.other.resolve()} if args.other else {})}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    for _ in range(args.repeat):
        for name, tree in trees.items():
            rounds[name].append(run(tree, args.pictures, args.count))
    result: dict[str, Any] = {"pictures": len(files), "rounds": args.repeat}
    for name, found in rounds.items():
        stages = {stage: median(one[stage] for one in found) for stage in ("human_scenes", "facts")}
        networks = {key: median(one["networks"].get(key, 0.0) for one in found) for key in found[0]["networks"]}
        floors = {
            stage: {part: median(one["floors"][stage][part] for one in found) for part in ("whole", "networks")}
            for stage in stages
        }
        result[name] = {"ms": stages, "networks_ms": networks, "floors": floors, "counts": found[0]["counts"]}
        print(f"{name}: {', '.join(f'{stage} {ms:.1f} ms CPU a picture' for stage, ms in stages.items())}")
        for stage, floor in floors.items():
            if floor["networks"]:
                whole, alone = floor["whole"], floor["networks"]
                print(f"  {stage}: mean {whole:.1f} ms, networks alone {alone:.1f} ms, {whole / alone:.2f} times that")
        counts = found[0]["counts"]
        print(f"  found: {', '.join(f'{counts[key]} {key}' for key in COUNTED)}")
        for key, ms in sorted(networks.items(), key=lambda item: -item[1]):
            print(f"  {key:<28} {ms:6.1f} ms")
    if args.other:
        result["faster"] = {
            stage: result["other"]["ms"][stage] / result["here"]["ms"][stage] for stage in result["here"]["ms"]
        }
        print(", ".join(f"{stage}: {ratio:.2f} times as fast" for stage, ratio in result["faster"].items()))
    print(json.dumps(result))


def run(tree: Path, pictures: Path, count: int) -> dict[str, Any]:
    """One round of one version, in a fresh process that imports from its folder."""
    env = {**os.environ, "PYTHONPATH": str(tree), "OPENCV_FOR_THREADS_NUM": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(pictures.resolve()), "--count", str(count), "--child"]
    done = subprocess.run(command, env=env, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{tree}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def cost(files: list[Path]) -> dict[str, Any]:
    """Medians of CPU ms a picture by stage, means by network, and what was found, of the version that is importable."""
    from humanvlm.config.human_scenes import HumanScenes
    from humanvlm.curate.scene import load_models
    from humanvlm.curate.stage import measure_row
    from humanvlm.data.image import pixels

    config = HumanScenes()
    try:
        measure = import_module("humanvlm.caption.facts.measure").measure
    except ModuleNotFoundError:  # before the captions' room had rooms
        measure = import_module("humanvlm.caption.measure").measure
    spent, alone = defaultdict[str, float](float), defaultdict[str, float](float)
    stage = ["human_scenes"]
    add_up_networks(alone, stage)
    models = load_models(
        config.face_detector, config.closeup_face_detector, config.person_detector, config.nsfw_classifier
    )
    for role, method in (("face", "detect"), ("closeup_face", "detect"), ("person", "detect"), ("nsfw", "score")):
        model: Any = getattr(models, role)
        setattr(model, method, timed(f"human_scenes: {role}", getattr(model, method), spent))
    times: dict[str, list[float]] = {"human_scenes": [], "facts": []}
    counts = Counter[str]()
    opening = [0.0]
    time_networks(spent, opening)
    for number, file in enumerate([files[0], *files]):  # the first once more, to load everything
        if number == 1:
            times, counts = {"human_scenes": [], "facts": []}, Counter[str]()
            spent.clear()
            alone.clear()
        data = file.read_bytes()
        row = {"id": file.name, "sha256": "", "text": None, "image": {"bytes": data}}
        stage[0] = "human_scenes"
        clock = time.process_time()
        signals = measure_row(row, config)
        times["human_scenes"].append(1000 * (time.process_time() - clock))
        if signals.get("reason"):
            continue
        counts["kept"] += 1
        counts.update({key: len(signals[key]) for key in ("faces", "people", "objects")})
        stage[0] = "facts"
        opening[0] = 0.0
        clock = time.process_time()
        measure(pixels(data), signals["faces"], signals["people"], signals["objects"])
        clock += opening[0]  # a network that no picture before has needed
        times["facts"].append(1000 * (time.process_time() - clock))
    return {
        **{stage: median(values) for stage, values in times.items()},
        "networks": {
            key: 1000 * seconds / (counts["kept"] if key.startswith("facts") else len(files))
            for key, seconds in spent.items()
        },
        "floors": {
            name: {"whole": mean(values), "networks": 1000 * alone[name] / len(values)}
            for name, values in times.items()
        },
        "counts": counts,
    }


def add_up_networks(alone: dict[str, float], stage: list[str]) -> None:
    """Add up the CPU seconds inside of networks by the stage that runs, whose name is the list's only one."""
    try:
        runner: Any = import_module("humanvlm.weights.run")
    except ModuleNotFoundError:
        return
    for kind in (runner._Onnx, runner._LiteRt):

        def call(*given: Any, run: Callable[..., Any] = kind.__call__) -> Any:
            clock = time.process_time()
            try:
                return run(*given)
            finally:
                alone[stage[0]] += time.process_time() - clock

        kind.__call__ = call


def time_networks(spent: dict[str, float], opening: list[float]) -> None:
    """Add up the CPU seconds of every network that is opened by its name from here on, and those of opening it in the
    list's only number.
    """
    try:
        runner: Any = import_module("humanvlm.weights.run")
    except ModuleNotFoundError:
        return
    file_of, opened, names = runner.model_file, runner.opened, dict[Path, str]()

    def named(name: str, part: str = "") -> Path:
        path: Path = file_of(name, part)
        names[path] = name
        return path

    def opened_timed(path: Path) -> Any:
        clock = time.process_time()
        net = opened(path)
        opening[0] += time.process_time() - clock
        kind = type(net)
        net.__class__ = type(kind.__name__, (kind,), {"__call__": timed(f"facts: {names[path]}", kind.__call__, spent)})
        return net

    runner.model_file, runner.opened = named, opened_timed


def timed(name: str, function: Callable[..., Any], spent: dict[str, float]) -> Callable[..., Any]:
    """The function, its CPU seconds added up under the name."""

    def call(*given: Any) -> Any:
        clock = time.process_time()
        try:
            return function(*given)
        finally:
            spent[name] += time.process_time() - clock

    return call


if __name__ == "__main__":
    main()
