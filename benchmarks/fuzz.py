"""Feed damaged and hostile inputs to what reads the open web, in a process of its own.

Targets: decoder, strip, consent, index, score, replies. Seeds are small sound inputs made here, and the files of
``--corpus``. Each is mutated: bytes flipped, cut, doubled, repeated often, spliced with another seed. What must come
out is a result or the one error that the reader names, within ``SLOW_S`` and ``MEMORY``; anything else, a dead process
included, is a crash, whose input is left in ``--out``. The same seed and ``--runs`` give the same inputs.
``--repeats BYTES`` gives inputs of one thing again and again, for which quadratic time would be hours. With
``--guided`` atheris (the extra ``fuzz``) chooses the mutations by what they reach. Prints a table, and one JSON object
in the last line; exit code 1 when there was a crash.
"""

import argparse
import itertools
import json
import random
import resource
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fuzzing import consent, lists, pictures, replies
from fuzzing.target import Target

SLOW_S = 20.0
MEMORY = 4 << 30  # bytes of address space
MOST_BYTES = 1 << 18  # of an input
TARGETS = {target.name: target for room in (pictures, consent, lists, replies) for target in room.TARGETS}


def mutated(chance: random.Random, pool: Sequence[bytes]) -> bytes:
    data = bytearray(chance.choice(pool))
    for _ in range(chance.choice((0, 1, 1, 2, 4, 16))):
        if not data:
            break
        at = chance.randrange(len(data))
        match chance.randrange(7):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at:]
            case 2:
                del data[at : at + chance.randrange(1, 64)]
            case 3:
                data[at:at] = data[at : at + chance.randrange(1, 256)]
            case 4:
                other = chance.choice(pool)
                data[at:] = other[chance.randrange(len(other)) :] if other else b""
            case 5:
                if chance.random() < 0.1:
                    data[at:at] = data[at : at + chance.randrange(1, 16)] * chance.randrange(1 << 12)
            case _:
                size = chance.choice((1, 2, 4))
                value = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
                data[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, chance.choice(("big", "little")))
    return bytes(data[:MOST_BYTES])


def worker(options: argparse.Namespace) -> None:
    """Run until the time or the runs are over; ``last.bin`` holds the input under work, so that a death can be
    repeated."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    target, outcomes = TARGETS[options.target], Counter[str]()
    target.run(target.seeds()[0])  # what is imported late
    deadline, slowest = time.monotonic() + options.seconds, 0.0
    for data in inputs(options, target):
        (options.out / "last.bin").write_bytes(data)
        clock = time.monotonic()
        try:
            outcomes[target.run(data)] += 1
        except Exception as error:
            outcomes["CRASH"] += 1
            name = options.out / f"crash-{target.name}-{outcomes['CRASH']}.bin"
            name.write_bytes(data)
            print(name, file=sys.stderr)
            traceback.print_exception(error, file=sys.stderr)
        if time.monotonic() - clock > slowest:
            slowest = time.monotonic() - clock
            (options.out / f"slowest-{target.name}.bin").write_bytes(data)
        if time.monotonic() > deadline:
            break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"outcomes": dict(outcomes), "slowest_s": round(slowest, 3), "peak_mb": peak // 1024}))


def inputs(options: argparse.Namespace, target: Target) -> Iterator[bytes]:
    """Mutations of the seeds and of the corpus, or repeats of what is asked for."""
    if options.repeats:
        found = target.repeats()
        step = -(-len(found) // options.runs) if options.runs else 1
        yield from (repeated(parts, options.repeats) for parts in found[::step])
        return
    files = sorted(path for path in options.corpus.rglob("*") if path.is_file()) if options.corpus else []
    pool = [*target.seeds(), *(path.read_bytes() for path in files if path.stat().st_size < MOST_BYTES)]
    chance = random.Random(options.seed)
    for _ in range(options.runs) if options.runs else itertools.count():
        yield mutated(chance, pool)


def repeated(parts: tuple[bytes, bytes, bytes], size: int) -> bytes:
    """An input of about so many bytes."""
    before, unit, after = parts
    return before + unit * (size // len(unit)) + after


def work(run: Callable[[bytes], str], data: bytes) -> int:
    """How many calls reading an input takes, of Python and of C functions."""
    counted = itertools.count()
    sys.setprofile(lambda *_: next(counted) and None)
    try:
        run(data)
    finally:
        sys.setprofile(None)
    return next(counted)


def guided(options: argparse.Namespace) -> None:
    """The same by atheris, which ends the process at the first crash."""
    import atheris

    target = TARGETS[options.target]
    seeds = options.out / f"seeds-{target.name}"
    seeds.mkdir(exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (seeds / f"{number:03}").write_bytes(data)
    with atheris.instrument_imports(include=["humanvlm", "PIL", "json"]):
        target.run(target.seeds()[0])

    def one(data: bytes) -> None:
        target.run(data)

    limits = [f"-max_total_time={int(options.seconds)}", f"-runs={options.runs or -1}", f"-max_len={MOST_BYTES}"]
    kept = [f"-artifact_prefix={options.out}/", f"-seed={options.seed}", "-timeout=20", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], *limits, *kept, str(seeds), *([str(options.corpus)] if options.corpus else [])], one)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--runs", type=int, default=0, help="inputs at most; 0: as many as the time allows")
    parser.add_argument("--repeats", type=int, default=0, help="no mutations: repeats of so many bytes in all")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--corpus", type=Path, help="a folder of odd files to start from as well")
    parser.add_argument("--out", type=Path, default=Path(".state/fuzz"), help="where inputs that crash are left")
    parser.add_argument("--guided", action="store_true", help="by atheris; what a target prints is libFuzzer's")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.guided:
        guided(options)
    elif options.worker:
        worker(options)
    else:
        sys.exit(report(options))


def report(options: argparse.Namespace) -> int:
    """Run the worker and print what it found; 1 when there was a crash."""
    command = [sys.executable, __file__, "--worker", *sys.argv[1:]]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=options.seconds + 120)
    if done.returncode != 0:
        print(f"the process died with {done.returncode}; its input is {options.out / 'last.bin'}", file=sys.stderr)
        print(json.dumps({"crashes": 1, "died": done.returncode}))
        return 1
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for name, count in sorted(result["outcomes"].items(), key=lambda item: -item[1]):
        print(f"{name:20} {count:10,}")
    crashes = result["outcomes"].get("CRASH", 0) + (result["slowest_s"] > SLOW_S)
    print(json.dumps({"executions": sum(result["outcomes"].values()), "crashes": crashes, **result}))
    return 1 if crashes else 0


if __name__ == "__main__":
    main()
