"""A crawl of healthy hosts beside a hostile web, and the same healthy rows without it: what the hostile hosts cost.

Names lead to public addresses, and these to servers on loopback (``hostile_web.py``), one of the healthy hosts and one
of all others: the crawl runs as on the open
web, with its usual settings, and no packet leaves the machine. Some names are never answered: a stand-in for the
system's resolver sleeps, as that does. Both crawls run one after the other. Printed are the healthy rows that were
kept, which have to be all; when the last of them was, and the ratio of that to the crawl without hostile hosts, at most
1.2; the slowest of them; the memory of the crawl's processes together; what the rows of the hostile hosts became; how
often anybody inside was asked (never), and how often at once a third party to which others redirect. The last line is
one JSON object of the same figures.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hostile_web import KINDS

from humanvlm.config.profiles import profile_path
from humanvlm.data.shards import read_rows, shard_name
from humanvlm.scrape.store import read_records

HEALTHY_HOSTS = 200
HOSTILE_SHARE = 0.3  # of the rows
HOSTS_OF_A_KIND = 6  # so that a hostile host has as many rows as a healthy one
MANY_HOSTS = {"subdomains": 200, "silent": 40}  # of one registered domain each
ROWS_PER_SHARD = 500
SAMPLE_S = 0.25
MAX_RATIO = 1.2
HOSTILE, HEALTHY = "93.184.", "93.185."  # addresses that lead to the servers

# The crawl as users run it, but for who looks names up, where sockets lead to, and a note on each answered request.
COMMAND = """
import json, os, socket, sys, time
import humanvlm.scrape.fetch as fetch
ports = {{"{hostile}": int(sys.argv.pop(1)), "{healthy}": int(sys.argv.pop(1))}}
notes = sys.argv.pop(1)
connect, look_up, ask = socket.socket.connect, socket.getaddrinfo, fetch.ask

def routed(self, address):
    if isinstance(address, tuple) and address[0][:7] in ports:
        address = "127.0.0.1", ports[address[0][:7]]
    elif isinstance(address, tuple) and not address[0].startswith("127."):
        raise OSError(101, "Network is unreachable")
    return connect(self, address)

def resolved(host, port, *options, **named):
    if host == "localhost" or not host.endswith(".test"):
        return look_up(host, port, *options, **named)
    if ".silent" in host:
        time.sleep(10)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")
    back = "{healthy}" if ".healthy." in host else "{hostile}"
    number = sum(host.encode())
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"{{back}}{{number % 250}}.{{number % 200 + 1}}", port))]

async def noted(web, url, *options):
    start = time.time()
    found = await ask(web, url, *options)
    if url.path.endswith(".jpg"):
        with open(f"{{notes}}/{{os.getpid()}}", "a") as file:
            file.write(json.dumps([str(url), start, time.time()]) + "\\n")
    return found

socket.socket.connect, socket.getaddrinfo, fetch.ask = routed, resolved, noted
from humanvlm.cli import main
main()
"""


@dataclass(frozen=True)
class Figures:
    """kept, reasons: rows. last_s: from the start until the last healthy row was fetched; slowest_s: of one healthy
    row's fetch; seconds: of the whole crawl. peak: bytes, of all its processes."""

    kept: int
    last_s: float
    slowest_s: float
    seconds: float
    peak: int
    reasons: Mapping[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="about how long the healthy rows alone take, by pauses between them"
    )
    options = parser.parse_args()
    healthy, hostile = rows_of(options.rows)
    interval = options.seconds * HEALTHY_HOSTS / len(healthy)
    with tempfile.TemporaryDirectory() as folder, served() as hostile_port, served() as port:
        ports = hostile_port, port
        alone = crawled(Path(folder, "alone"), healthy, ports, interval)
        show("alone", alone, len(healthy))
        beside = crawled(Path(folder, "beside"), mixed(healthy, hostile), ports, interval)
        show("beside", beside, len(healthy))
        inside = asked_for(hostile_port)
    ratio = beside.last_s / alone.last_s
    print(f"hostile rows: {dict(beside.reasons)}")
    print(f"requests inside: {inside['trespasses']}; at once at the third party: {inside['third_party_at_once']}")
    good = beside.kept == len(healthy) and ratio <= MAX_RATIO and not inside["trespasses"]
    print(f"last healthy row: {ratio:.2f} x the time without hostile hosts: {'good' if good else 'NOT GOOD'}")
    figures = {"healthy": len(healthy), "hostile": len(hostile), "ratio": ratio, "good": good, **inside}
    print(json.dumps({**figures, "alone": vars(alone), "beside": vars(beside)}))
    sys.exit(not good)


def rows_of(count: int) -> tuple[list[str], list[str]]:
    """URLs of healthy and of hostile hosts."""
    bad = int(count * HOSTILE_SHARE)
    healthy = [f"http://h{n % HEALTHY_HOSTS}.healthy.test/{n}.jpg" for n in range(count - bad)]
    hostile = []
    for number in range(bad):
        kind = KINDS[number % len(KINDS)]
        host = number // len(KINDS) % MANY_HOSTS.get(kind, HOSTS_OF_A_KIND)
        path = "a" * 2000 if kind == "robots_cpu" else ""
        name = f"n{number}.silent{host}" if kind == "silent" else f"h{host}.{kind}"
        hostile.append(f"http://{name}.test/{number}{path}.jpg")
    return healthy, hostile


def mixed(healthy: list[str], hostile: list[str]) -> list[str]:
    urls = healthy + hostile
    Random(0).shuffle(urls)
    return urls


def crawled(project: Path, urls: list[str], ports: Sequence[int], interval_s: float) -> Figures:
    """What the command makes of the URLs."""
    (project / "data").mkdir(parents=True)
    (project / "notes").mkdir()
    texts = [f"picture {number}" for number in range(len(urls))]
    pq.write_table(pa.table({"url": urls, "text": texts}), project / "data" / "index.parquet")
    params = yaml.safe_load(profile_path("cpu").read_text(encoding="utf-8"))
    params["raw_scrape"] = {"rows_per_shard": ROWS_PER_SHARD, "host_interval_s": interval_s}
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    command = [
        sys.executable,
        "-c",
        COMMAND.format(hostile=HOSTILE, healthy=HEALTHY),
        *map(str, ports),
        str(project / "notes"),
        "raw_scrape",
    ]
    start = time.time()
    with (project / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--params", "params.yaml"], cwd=project, env=environment(), stderr=log, start_new_session=True
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid))
            time.sleep(SAMPLE_S)
    if process.returncode:
        raise RuntimeError((project / "log").read_text()[-2000:])
    seconds = time.time() - start
    noted = [json.loads(line) for file in (project / "notes").iterdir() for line in file.read_text().splitlines()]
    times = [(end - start, end - begun) for url, begun, end in noted if ".healthy." in url]
    kept, reasons = outcomes(project / "artifacts" / "raw_scrape")
    return Figures(
        kept,
        max((last for last, _ in times), default=0),
        max((took for _, took in times), default=0),
        seconds,
        peak,
        reasons,
    )


def outcomes(out: Path) -> tuple[int, dict[str, int]]:
    """Healthy rows that were kept, and what became of the others."""
    kept, reasons = 0, Counter[str]()
    for number in read_records(out):
        kept += sum(".healthy." in row["url"] for row in read_rows(out / shard_name(number), ["url"]))
        for row in read_rows(out / "dropped" / shard_name(number), ["url", "reason"]):
            reasons[("HEALTHY " if ".healthy." in row["url"] else "") + row["reason"]] += 1
    return kept, dict(reasons.most_common())


def environment() -> dict[str, str]:
    """One process, so that a host's rows keep to one turn-taking in both crawls."""
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return env | {"MLFLOW_TRACKING_URI": "none", "HUMANVLM_WORKERS": "1"}


def memory_of(session: int) -> int:
    """Resident bytes of the processes of a session."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended
            continue
        if int(fields[3]) == session:
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total


@contextmanager
def served() -> Iterator[int]:
    """The hostile web's port while the block runs."""
    command = [sys.executable, str(Path(__file__).with_name("hostile_web.py"))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout
        yield int(process.stdout.readline().split()[0])
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def asked_for(port: int) -> dict[str, Any]:
    """The server's own figures."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/figures", headers={"Host": "figures.of.test"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def show(name: str, figures: Figures, healthy: int) -> None:
    print(
        f"{name:<7} healthy kept {figures.kept} of {healthy}, the last after {figures.last_s:.1f} s, the slowest took "
        f"{figures.slowest_s:.2f} s; whole crawl {figures.seconds:.1f} s, peak {figures.peak / 1e6:.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
