"""Download speed of ``humanvlm raw_scrape`` beside img2dataset: same server, same pictures, same content stored.

Both tools run as commands, in turn, start-up included; CPU time is that of all their processes. What they stored is
compared, and a difference is an error. Where pictures are resized, what decoding, resampling and encoding alone take
is printed too. Prints a table, and the same figures as one JSON object in the last line.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from loopback import Certificate, Server, make_certificate, serve
from measure import Usage, measured
from pictures import build_pictures, describe_sizes
from PIL import Image

from humanvlm.config.profiles import profile_path
from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape import pixels, resize

STATE = Path(__file__).parents[1] / ".state"
VERSION = "1.47.0"
STARTUP_ROWS = 8
COMPARED_PIXELS = 100  # resized pictures whose pixels are compared
GRID = [(processes, threads) for processes in (1, 2) for threads in (16, 32, 64)]


@dataclass(frozen=True)
class Mode:
    """What both tools do with a picture. ours: keys of raw_scrape; theirs: options of img2dataset.

    setting: processes, and threads of each, with which img2dataset was fastest on two cores (``--sweep``).
    roots: the trust store holds the public root certificates too.
    """

    ours: Mapping[str, Any]
    theirs: Sequence[str]
    setting: tuple[int, int] = (2, 32)
    scheme: str = "http"
    roots: bool = False


# img2dataset stores a picture's metadata as they came with it.
RAW = Mode({"verify": "header", "exif": "keep"}, ["--disable_all_reencoding=True"])
MODES = {
    "raw": RAW,
    "no": Mode({"verify": "decode", "exif": "keep"}, ["--resize_mode=no", "--skip_reencode=True"]),
    "resize_384": Mode(
        {"verify": "decode", "resize_mode": "keep_ratio", "image_size": 384, "encode_quality": 95},
        ["--resize_mode=keep_ratio", "--image_size=384", "--encode_quality=95", "--encode_format=jpg"],
    ),
    "https": Mode(RAW.ours, RAW.theirs, setting=(2, 32), scheme="https", roots=True),
    "https_one_root": Mode(RAW.ours, RAW.theirs, setting=(1, 32), scheme="https"),
}
DEFAULT_MODES = ("raw", "no", "resize_384", "https")


@dataclass(frozen=True)
class Bench:
    """One mode with everything both commands need. server: HOST:PORT. index: rows -> file with that many URLs."""

    mode: Mode
    server: str
    index: Mapping[int, Path]
    work: Path
    env: Mapping[str, str]
    img2dataset: Path
    rows_per_shard: int
    concurrency: int

    def run_ours(self, rows: int) -> Usage:
        project = fresh(self.work / "humanvlm")
        (project / "data").mkdir()
        shutil.copy(self.index[rows], project / "data" / "index.parquet")
        params = yaml.safe_load(profile_path("cpu").read_text(encoding="utf-8"))
        limits = {"concurrency": self.concurrency, "per_host": self.concurrency, "rows_per_shard": self.rows_per_shard}
        params["raw_scrape"] = {"allow_private_hosts": [self.server], **limits, **self.mode.ours}
        (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        command = [sys.executable, "-m", "humanvlm.cli", "raw_scrape", "--params", "params.yaml"]
        return measured(command, project, self.env, self.work / "humanvlm.log")

    def run_theirs(self, rows: int, processes: int, threads: int) -> Usage:
        out = fresh(self.work / "img2dataset")
        command = [str(self.img2dataset.with_name("img2dataset")), f"--url_list={self.index[rows]}"]
        command += ["--input_format=parquet", "--url_col=url", "--caption_col=text", f"--output_folder={out / 'out'}"]
        command += ["--output_format=parquet", "--compute_hash=sha256", "--extract_exif=False", "--enable_wandb=False"]
        command += [f"--processes_count={processes}", f"--thread_count={threads}"]
        command += [f"--number_sample_per_shard={self.rows_per_shard}", *self.mode.theirs]
        return measured(command, out, self.env, self.work / "img2dataset.log")


def fresh(folder: Path) -> Path:
    """The folder, emptied; what earlier runs wrote is on the disk and does not slow the next one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.sync()
    return folder


def environment(certificate: Certificate, roots: bool) -> dict[str, str]:
    """Only the loopback server is contacted: no proxy, no tracking, no look for newer versions.

    roots: the trust store holds the public root certificates too, as on the open web. Without them it is nearly free to
    load, which img2dataset does for every request on Python before 3.12.
    """
    unwanted = ("_proxy", "pythondontwritebytecode")  # without the latter every start compiles the library
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith(unwanted)}
    store = certificate.certificate
    if roots:
        import certifi

        store = store.with_name("roots.pem")
        store.write_text(Path(certifi.where()).read_text() + certificate.certificate.read_text())
    tls = {"SSL_CERT_FILE": str(store), "SSL_CERT_DIR": str(store.parent / "none")}
    quiet = {"WANDB_MODE": "disabled", "NO_ALBUMENTATIONS_UPDATE": "1", "MLFLOW_TRACKING_URI": "none"}
    return env | tls | quiet


def write_index(path: Path, base: str, names: Sequence[str]) -> None:
    urls = [f"{base}/{name}" for name in names]
    texts = [f"photograph number {number}" for number in range(len(names))]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"url": urls, "text": texts}), path)


def find_img2dataset(python: Path | None) -> Path:
    """The interpreter that has img2dataset; its own environment is made when none is given."""
    if python is not None:
        return python.absolute()
    folder = STATE / "img2dataset"
    if not (folder / "bin" / "img2dataset").exists():
        print(f"installing img2dataset {VERSION} in {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"img2dataset=={VERSION}"], check=True)
    return folder / "bin" / "python"


def stored(folder: Path, pattern: str, image: Callable[[dict[str, Any]], bytes]) -> dict[str, bytes]:
    """url -> stored bytes of every row of a tool's Parquet files. Raises ValueError when a row has none."""
    pictures = {}
    for path in sorted(folder.glob(pattern)):
        for row in pq.read_table(path).to_pylist():
            pictures[row["url"]] = image(row)
    lost = [url for url, data in pictures.items() if not data]
    if lost:
        raise ValueError(f"{folder}: {len(lost)} of {len(pictures)} rows have no picture, such as {lost[0]}")
    return pictures


def same_content(bench: Bench, pictures: int) -> str:
    """What both stored, compared: one line. Raises ValueError naming the first difference."""
    ours = stored(
        bench.work / "humanvlm" / "artifacts" / "raw_scrape", "shard-*.parquet", lambda r: r["image"]["bytes"]
    )
    theirs = stored(bench.work / "img2dataset" / "out", "*.parquet", lambda r: r["jpg"])
    if not len(ours) == len(theirs) == pictures or ours.keys() != theirs.keys():
        raise ValueError(f"{pictures} URLs: humanvlm stored {len(ours)}, img2dataset {len(theirs)}")
    if "resize_mode" not in bench.mode.ours:
        other = [url for url in ours if ours[url] != theirs[url]]
        if other:
            raise ValueError(f"{len(other)} of {pictures} pictures differ, such as {other[0]}")
        distinct = len({hashlib.sha256(data).digest() for data in ours.values()})
        return f"{pictures} rows in both, their pictures equal byte for byte ({distinct} distinct sha256)"
    for url in ours:
        sizes = Image.open(io.BytesIO(ours[url])).size, Image.open(io.BytesIO(theirs[url])).size
        if sizes[0] != sizes[1]:
            raise ValueError(f"{url}: humanvlm made {sizes[0]}, img2dataset {sizes[1]}")
    differences = [
        pixel_difference(ours[url], theirs[url]) for url in sorted(ours)[:: max(1, pictures // COMPARED_PIXELS)]
    ]
    total = [sum(map(len, each.values())) / pictures / 1000 for each in (ours, theirs)]
    return (
        f"{pictures} rows in both, the same widths and heights; kB an image {total[0]:.1f} and {total[1]:.1f}; mean "
        f"absolute difference of {len(differences)} pictures {np.mean(differences):.2f} of 255, at most "
        f"{max(differences):.2f}"
    )


def pixel_difference(one: bytes, other: bytes) -> float:
    first, second = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16) for data in (one, other))
    return float(np.abs(first - second).mean())


def floor_cpu_ms(mode: Mode, pictures: Sequence[Path]) -> float:
    """CPU milliseconds a picture of what no crawl can do without: decode, resample and encode, in one process."""
    config = RawScrape(**mode.ours)
    contents = [path.read_bytes() for path in pictures]
    spent = []
    for _ in range(2):  # the first loads the libraries
        start = time.process_time()
        for data in contents:
            image = Image.open(io.BytesIO(data))
            resizing = resize.plan(image.size, config)
            if resizing is not None:
                pixels.encode(
                    resize.resample(pixels.decode(image, data, resizing.scaled), resizing.scaled),
                    config.encode_format,
                    config.encode_quality,
                )
        spent.append(time.process_time() - start)
    return spent[-1] / len(contents) * 1000


def best_setting(bench: Bench, rows: int) -> tuple[int, int]:
    """The processes and threads of img2dataset that are fastest, one run each."""
    walls = {}
    for setting in GRID:
        usage = bench.run_theirs(rows, *setting)
        walls[setting] = usage.wall
        print(
            f"  img2dataset {setting[0]} processes x {setting[1]} threads: {rows / usage.wall:.0f} images/s, "
            f"{usage.cpu / rows * 1000:.2f} CPU ms/image",
            flush=True,
        )
    return min(walls, key=lambda setting: walls[setting])


def compare(bench: Bench, server: Server, rows: int, repeat: int, setting: tuple[int, int]) -> dict[str, Any]:
    """Run both tools in turn, ``repeat`` times with all rows and as often with a few, and print what they took."""
    runs: dict[str, Callable[[int], Usage]] = {
        "humanvlm": bench.run_ours,
        "img2dataset": lambda count: bench.run_theirs(count, *setting),
    }
    few = min(STARTUP_ROWS, rows)
    for run in runs.values():
        run(few)  # not counted: brings the programs into the page cache
    full: dict[str, list[Usage]] = {name: [] for name in runs}
    startup: dict[str, list[Usage]] = {name: [] for name in runs}
    serving: dict[str, float] = {}
    for number in range(repeat):
        for name, run in runs.items():
            before = server.cpu_seconds()
            full[name].append(run(rows))
            serving[name] = (server.cpu_seconds() - before) / rows * 1000
        if number == 0:
            print(f"  {same_content(bench, rows)}", flush=True)
        for name, run in runs.items():
            startup[name].append(run(few))
    figures = {name: summary(full[name], startup[name], rows) | {"server_cpu_ms": serving[name]} for name in runs}
    for name in runs:
        print_rows(name, figures[name])
    return ratios(figures["humanvlm"], figures["img2dataset"]) | figures | {"processes_x_threads": list(setting)}


def summary(full: Sequence[Usage], startup: Sequence[Usage], rows: int) -> dict[str, list[float] | float]:
    """Figures of one tool; lists are the smallest, the median and the largest."""
    start_cpu, start_wall = (median(getattr(usage, name) for usage in startup) for name in ("cpu", "wall"))
    few = min(STARTUP_ROWS, rows - 1)
    return {
        "images_per_s": spread([rows / usage.wall for usage in full]),
        "cpu_ms_per_image": spread([usage.cpu / rows * 1000 for usage in full]),
        "startup_s": spread([usage.wall for usage in startup]),
        "startup_cpu_s": spread([usage.cpu for usage in startup]),
        "cpu_ms_per_image_without_startup": (median(u.cpu for u in full) - start_cpu) / (rows - few) * 1000,
        "images_per_s_without_startup": (rows - few) / (median(u.wall for u in full) - start_wall),
    }


def beside_floor(results: Mapping[str, Any], floor: float) -> dict[str, float]:
    """The floor and our CPU time over it, printed."""
    ours = results["humanvlm"]
    found = {
        "floor_cpu_ms_per_image": floor,
        "ratio_cpu_to_floor": ours["cpu_ms_per_image"][1] / floor,
        "ratio_cpu_without_startup_to_floor": ours["cpu_ms_per_image_without_startup"] / floor,
    }
    print_rows("floor", found)
    return found


def spread(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in (min(values), median(values), max(values))]


def ratios(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, float]:
    """Ours over theirs, of medians."""

    def ratio(key: str) -> float:
        pair = [each[key][1] if isinstance(each[key], list) else each[key] for each in (ours, theirs)]
        return round(float(pair[0] / pair[1]), 4)

    return {
        "ratio_images_per_s": ratio("images_per_s"),
        "ratio_cpu_per_image": ratio("cpu_ms_per_image"),
        "ratio_cpu_per_image_without_startup": ratio("cpu_ms_per_image_without_startup"),
        "ratio_images_per_s_without_startup": ratio("images_per_s_without_startup"),
    }


def print_rows(tool: str, figures: Mapping[str, Any]) -> None:
    for key, value in figures.items():
        numbers = value if isinstance(value, list) else ["", value, ""]
        cells = "".join(f"{number:>10.2f}" if number != "" else " " * 10 for number in numbers)
        print(f"  {tool:<12}{key:<34}{cells}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3000, help="pictures to download (default 3000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each command (default 3)")
    parser.add_argument(
        "--modes", nargs="+", choices=MODES, default=DEFAULT_MODES, metavar="MODE", help=", ".join(MODES)
    )
    parser.add_argument("--img2dataset", type=Path, metavar="PYTHON", help="interpreter that has img2dataset")
    parser.add_argument("--processes", type=int, help="of img2dataset (default: what was fastest for the mode)")
    parser.add_argument("--threads", type=int, help="of each process of img2dataset (default: likewise)")
    parser.add_argument("--sweep", action="store_true", help="try several of these and use the fastest, mode by mode")
    parser.add_argument("--concurrency", type=int, default=64, help="requests in flight of humanvlm (default 64)")
    parser.add_argument("--rows-per-shard", type=int, default=750, help="of both (default 750)")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    python = find_img2dataset(options.img2dataset)
    folder = STATE / "bench"
    names = [path.name for path in build_pictures(folder / "pictures", options.images)]
    print(describe_sizes([(folder / "pictures" / name).stat().st_size for name in names]), flush=True)
    certificate = make_certificate(folder / "tls")
    results = {}
    with serve(folder / "pictures", certificate) as server:
        for name in options.modes:
            mode = MODES[name]
            address = f"127.0.0.1:{getattr(server, mode.scheme)}"
            index = {
                count: folder / f"index-{count}.parquet"
                for count in {options.images, min(STARTUP_ROWS, options.images)}
            }
            for count, path in index.items():
                write_index(path, f"{mode.scheme}://{address}", names[:count])
            env = environment(certificate, mode.roots)
            bench = Bench(mode, address, index, folder, env, python, options.rows_per_shard, options.concurrency)
            print(f"{name}", flush=True)
            setting = (options.processes or mode.setting[0], options.threads or mode.setting[1])
            if options.sweep:
                setting = best_setting(bench, options.images)
            print(f"  {'':<46}{'min':>10}{'median':>10}{'max':>10}")
            results[name] = compare(bench, server, options.images, options.repeat, setting)
            if "resize_mode" in mode.ours:
                results[name] |= beside_floor(
                    results[name], floor_cpu_ms(mode, [folder / "pictures" / n for n in names])
                )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
