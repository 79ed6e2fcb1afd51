"""`humanvlm serve` under load: how many replies a second, how long one takes, what is lost, and what memory it keeps.

The same questions about distinct pictures are asked of a server with one slot, which answers one request at a time, and
of one with slots as they are by default, by 1, 8 and 32 clients that each wait for a reply before they ask again. Then
200 clients ask at once, and many short questions are asked, after which the server says how much memory is resident.
Replies of the evaluation's endpoint client are held against those of the checkpoint itself, asked one at a time.

Prints a table, and the same figures as one JSON object in the last line. Exits with 1 when a request is lost or a reply
differs.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
from pictures import build_pictures

from humanvlm.config.endpoint import Endpoint
from humanvlm.data import prompts
from humanvlm.inference.base import Request
from humanvlm.inference.endpoint import Server
from humanvlm.inference.local import Local

QUESTIONS = (
    prompts.SHORT_CAPTION,
    prompts.DETAILED_CAPTION,
    prompts.YES_NO.format(question="Is there a person in the picture?"),
    prompts.FIND.format(expression="the man in front of the wall"),
)
CLIENTS = (1, 8, 32)
AT_ONCE = 200
PICTURES = 64


@dataclass(frozen=True)
class Load:
    """One server and number of clients. p50_s, p95_s: of a request; tokens: of all replies, lost: without one."""

    slots: int
    clients: int
    requests: int
    lost: int
    seconds: float
    per_second: float
    p50_s: float
    p95_s: float
    tokens: int


@contextmanager
def served(checkpoint: Path, *options: str) -> Iterator[str]:
    """The address of a server of this checkpoint, in a process of its own, once it is ready."""
    command = [sys.executable, "-m", "humanvlm.cli", "serve", str(checkpoint), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            address = ""
            for line in process.stderr:
                if found := re.search(r"http://\S+/v1", line):
                    address = found[0]
                if "ready" in line:
                    break
            else:
                raise SystemExit("the server ended before it was ready")
            yield address
        finally:
            process.terminate()


class Client:
    """Asks a server. files: of the pictures that questions are about, in turn."""

    def __init__(self, session: aiohttp.ClientSession, address: str, model: str, files: Sequence[bytes]) -> None:
        self.session, self.address, self.model = session, address, model
        self.urls = [f"data:image/jpeg;base64,{base64.b64encode(file).decode()}" for file in files]

    async def ask(self, number: int, tokens: int) -> tuple[float, int]:
        """Seconds, and tokens of the reply; -1 where there is none."""
        url, words = self.urls[number % len(self.urls)], QUESTIONS[number % len(QUESTIONS)]
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": words}]
        body = {"model": self.model, "messages": [{"role": "user", "content": content}], "max_tokens": tokens}
        start = time.perf_counter()
        try:
            async with self.session.post(f"{self.address}/chat/completions", json=body) as answer:
                value = await answer.json()
                made = int(value["usage"]["completion_tokens"]) if answer.status == 200 else -1
        except (aiohttp.ClientError, KeyError, ValueError):
            made = -1
        return time.perf_counter() - start, made

    async def many(self, count: int, clients: int, tokens: int) -> list[tuple[float, int]]:
        """So many questions, so many at a time."""
        numbers, found = iter(range(count)), list[tuple[float, int]]()

        async def one() -> None:
            for number in numbers:
                found.append(await self.ask(number, tokens))

        await asyncio.gather(*(one() for _ in range(clients)))
        return found

    async def resident(self) -> int:
        """Resident memory of the server, bytes."""
        async with self.session.get(self.address.removesuffix("/v1") + "/metrics") as answer:
            text = await answer.text()
        return int(text.rpartition("process_resident_memory_bytes ")[2])


def load(slots: int, clients: int, found: Sequence[tuple[float, int]], seconds: float) -> Load:
    times = sorted(time for time, made in found if made >= 0)
    return Load(
        slots,
        clients,
        len(found),
        len(found) - len(times),
        round(seconds, 2),
        round(len(times) / seconds, 3),
        round(times[len(times) // 2], 3),
        round(times[min(len(times) - 1, int(0.95 * len(times)))], 3),
        sum(made for _, made in found if made > 0),
    )


@contextmanager
def clock() -> Iterator[list[float]]:
    """Seconds, once the block has ended."""
    found: list[float] = []
    start = time.perf_counter()
    yield found
    found.append(time.perf_counter() - start)


async def under_load(address: str, slots: int, files: Sequence[bytes], options: argparse.Namespace) -> list[Load]:
    rows = []
    limit = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=limit) as session:
        client = Client(session, address, options.checkpoint.name, files)
        await client.many(2, 1, options.tokens)
        levels = [(clients, max(options.least, clients * options.rounds)) for clients in options.clients]
        if slots > 1:
            levels.append((AT_ONCE, AT_ONCE))
        for clients, count in levels:
            with clock() as seconds:
                found = await client.many(count, clients, options.tokens)
            rows.append(load(slots, clients, found, seconds[0]))
            row = rows[-1]
            counts = f"{slots:>5} {clients:>7} {row.requests:>8} {row.lost:>4}"
            print(f"{counts} {row.per_second:>10.3f} {row.p50_s:>7.2f} {row.p95_s:>7.2f}", flush=True)
    return rows


async def memory(address: str, files: Sequence[bytes], options: argparse.Namespace) -> dict[str, Any]:
    """Resident bytes after a quarter of the short questions, and after all."""
    async with aiohttp.ClientSession() as session:
        client = Client(session, address, options.checkpoint.name, files)
        quarter = options.memory // 4
        first = await client.many(quarter, 8, options.memory_tokens)
        early = await client.resident()
        rest = await client.many(options.memory - quarter, 8, options.memory_tokens)
        late = await client.resident()
    lost = sum(made < 0 for _, made in (*first, *rest))
    print(f"resident after {quarter} requests {early >> 20} MiB, after {options.memory} {late >> 20} MiB")
    return {"requests": [quarter, options.memory], "resident_bytes": [early, late], "lost": lost}


def replies(model: Any, asked: Sequence[Request]) -> dict[str, tuple[str, str, int | None, str]]:
    """What a model says to each request."""
    told = (reply for made in model.answer(asked) for reply in made)
    return {reply.key: (reply.raw, reply.finish, reply.tokens, reply.error) for reply in told}


def differing(address: str, folder: Path, files: Sequence[bytes], options: argparse.Namespace) -> dict[str, int]:
    """Replies of the endpoint client, many at a time, that are not those of the checkpoint asked one at a time."""
    asked = [
        Request(str(number), lambda file=file: file, QUESTIONS[number % len(QUESTIONS)], options.tokens)  # type: ignore[misc]
        for number, file in enumerate(files[: options.compared])
    ]
    model = options.checkpoint.name
    config = Endpoint(url=address, model=model, concurrency=16, image_size=0, timeout_s=3600, attempt_timeout_s=3600)
    alone, through = replies(Local(folder, batch_size=1), asked), replies(Server(config), asked)
    return {"replies": len(asked), "differ": sum(through[key] != reply for key, reply in alone.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=Path("artifacts/stage2_checkpoint"))
    parser.add_argument("--clients", type=int, nargs="*", default=list(CLIENTS))
    parser.add_argument("--rounds", type=int, default=2, help="questions a client")
    parser.add_argument("--least", type=int, default=16, help="questions at each number of clients, at least")
    parser.add_argument("--tokens", type=int, default=64, help="of a reply, at most")
    parser.add_argument("--slots", type=int, default=16, help="of the server that is held against one slot")
    parser.add_argument("--compared", type=int, default=32, help="replies that are held against the checkpoint's own")
    parser.add_argument("--memory", type=int, default=2000, help="short questions in a row; 0: none")
    parser.add_argument("--memory-tokens", type=int, default=2, help="of a reply to these")
    parser.add_argument("--pictures", type=Path, default=Path(tempfile.gettempdir()) / "serve_pictures")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    folder = options.checkpoint / "model" if (options.checkpoint / "model").is_dir() else options.checkpoint
    files = [path.read_bytes() for path in build_pictures(options.pictures, PICTURES)]
    print("slots clients requests lost requests/s   p50 s   p95 s")
    rows: list[Load] = []
    with served(options.checkpoint, "--slots", "1") as address:
        rows += asyncio.run(under_load(address, 1, files, options))
    with served(options.checkpoint, "--slots", str(options.slots)) as address:
        rows += asyncio.run(under_load(address, options.slots, files, options))
        compared = differing(address, folder, files, options)
        print(f"{compared['differ']} of {compared['replies']} replies differ from the checkpoint's own")
        kept = asyncio.run(memory(address, files, options)) if options.memory else {}
    speeds = {(row.slots, row.clients): row.per_second for row in rows}
    gains = {clients: round(speeds[options.slots, clients] / speeds[1, clients], 2) for clients in options.clients}
    print(f"requests/s against one at a time, by clients: {gains}")
    print(json.dumps({"loads": [asdict(row) for row in rows], "gains": gains, "compared": compared, "memory": kept}))
    if any(row.lost for row in rows) or compared["differ"] or kept.get("lost"):
        sys.exit(1)


if __name__ == "__main__":
    main()
