"""Feed damaged pictures to the code that verifies, strips and resizes downloads, in a process of its own.

Seeds are pictures of every format and colour mode made here, and the files of ``--corpus``. Each is mutated (bytes
flipped, cut, doubled, spliced with another seed) and prepared under random settings. What must come out: a picture
that decodes to the size it claims, upright, or a RefusedError, within ``SLOW_S``. Anything else, a dead process
included, is a crash. Prints a table, and one JSON object in the last line; exit code 1 when there was a crash.
"""

import argparse
import io
import json
import random
import resource
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

SLOW_S = 20.0
MEMORY = 4 << 30  # bytes of address space
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "JPEG2000")
MODES = ("no", "no", "no", "keep_ratio", "keep_ratio_largest", "center_crop", "border", "max_pixels")


def seeds(corpus: Path | None) -> list[bytes]:
    """One picture a format and colour mode, and every file of the corpus."""
    pixels = np.random.default_rng(7).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    made = []
    for kind in FORMATS:
        for mode in ("RGB", "L", "RGBA", "P", "CMYK", "1"):
            for options in ({}, {"exif": exif.tobytes()}, {"progressive": True}, {"save_all": True}):
                sink = io.BytesIO()
                try:
                    Image.fromarray(pixels).convert(mode).save(sink, kind, **options)
                except (OSError, ValueError, KeyError):
                    continue  # the format does not have this mode
                made.append(sink.getvalue())
    files = sorted(path for path in corpus.rglob("*") if path.is_file()) if corpus else []
    return [*made, *(path.read_bytes() for path in files if path.stat().st_size < 1 << 20)]


def mutated(chance: random.Random, pool: list[bytes]) -> bytes:
    data = bytearray(chance.choice(pool))
    for _ in range(chance.choice((0, 1, 1, 2, 4, 16))):
        if not data:
            break
        at = chance.randrange(len(data))
        match chance.randrange(6):
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
            case _:
                size = chance.choice((1, 2, 4))
                value = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
                data[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, chance.choice(("big", "little")))
    return bytes(data)


def worker(seconds: float, seed: int, corpus: Path | None, last: Path) -> None:
    """Run until the time is over; ``last`` holds the input under work, so that a death can be repeated."""
    from humanvlm.config.raw_scrape import RawScrape
    from humanvlm.scrape.picture import prepare
    from humanvlm.scrape.reasons import RefusedError

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    chance, pool, outcomes = random.Random(seed), seeds(corpus), Counter[str]()
    deadline, slowest = time.monotonic() + seconds, 0.0
    while time.monotonic() < deadline:
        data = mutated(chance, pool)
        config = RawScrape(
            resize_mode=chance.choice(MODES),
            image_size=chance.choice((1, 32, 384)),
            verify=chance.choice(("decode", "decode", "header")),
            exif=chance.choice(("keep", "strip")),
            encode_format=chance.choice(("jpeg", "webp")),
            only_if_bigger=chance.random() < 0.5,
            max_pixels=4_000_000,
        )
        last.write_bytes(data)
        clock = time.monotonic()
        try:
            picture = prepare(data, config)
            if config.verify == "decode":
                stored = Image.open(io.BytesIO(picture.data))
                stored.load()
                assert stored.size == (picture.width, picture.height), "another size than it claims"
                assert stored.getexif().get(0x0112, 1) not in range(2, 9), "not upright"
            outcomes["kept"] += 1
        except RefusedError as refusal:
            outcomes[refusal.reason] += 1
        except Exception as error:
            outcomes["CRASH"] += 1
            name = last.with_name(f"crash-{outcomes['CRASH']}.bin")
            name.write_bytes(data)
            print(f"{name}: {config.model_dump(include={'resize_mode', 'verify', 'exif'})}", file=sys.stderr)
            traceback.print_exception(error, file=sys.stderr)
        slowest = max(slowest, time.monotonic() - clock)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"outcomes": dict(outcomes), "slowest_s": round(slowest, 3), "peak_mb": peak // 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--corpus", type=Path, help="a folder of odd files to start from as well")
    parser.add_argument("--out", type=Path, default=Path(".state/fuzz"), help="where inputs that crash are left")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    last = options.out / "last.bin"
    if options.worker:
        worker(options.seconds, options.seed, options.corpus, last)
        return
    command = [sys.executable, __file__, "--worker", *sys.argv[1:]]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=options.seconds + 120)
    if done.returncode != 0:
        print(f"the process died with {done.returncode}; its input is {last}", file=sys.stderr)
        print(json.dumps({"crashes": 1, "died": done.returncode}))
        sys.exit(1)
    result = json.loads(done.stdout.splitlines()[-1])
    for name, count in sorted(result["outcomes"].items(), key=lambda item: -item[1]):
        print(f"{name:20} {count:10,}")
    crashes = result["outcomes"].get("CRASH", 0) + (result["slowest_s"] > SLOW_S)
    print(json.dumps({"executions": sum(result["outcomes"].values()), "crashes": crashes, **result}))
    sys.exit(1 if crashes else 0)


if __name__ == "__main__":
    main()
