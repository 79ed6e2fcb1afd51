"""What the server counts, in Prometheus' text format (version 0.0.4)."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from humanvlm.serve.engine import Engine

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)  # upper bounds of the histograms' buckets


@dataclass
class Histogram:
    """Durations, seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[sum(seconds > bound for bound in SECONDS)] += 1
        self.total += seconds

    def lines(self, name: str) -> Iterator[str]:
        below = 0
        for bound, count in zip((*map(str, SECONDS), "+Inf"), self.counts, strict=True):
            below += count
            yield f'{name}_bucket{{le="{bound}"}} {below}'
        yield f"{name}_sum {self.total:.6f}"
        yield f"{name}_count {below}"


@dataclass
class Metrics:
    """requests: answers by path and status; paths are those of routes, so that there are few. seconds: of chat
    completions that were answered; first: until the first words of one."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: Histogram = field(default_factory=Histogram)
    first: Histogram = field(default_factory=Histogram)

    def text(self, engines: Mapping[str, Engine]) -> str:
        """All there is to tell."""
        lines = [
            *_head("humanvlm_requests_total", "counter", "Answers by path and status; 499: the client left."),
            *(
                f'humanvlm_requests_total{{path="{path}",status="{status}"}} {count}'
                for (path, status), count in sorted(self.requests.items())
            ),
            *_head("humanvlm_request_seconds", "histogram", "Chat completions, from the request to the last word."),
            *self.seconds.lines("humanvlm_request_seconds"),
            *_head("humanvlm_first_words_seconds", "histogram", "From the request to the first words."),
            *self.first.lines("humanvlm_first_words_seconds"),
        ]
        for name, kind, about, value in _OF_ENGINES:
            lines += _head(name, kind, about)
            lines += [f'{name}{{model="{_escaped(model)}"}} {value(engine)}' for model, engine in engines.items()]
        if resident := resident_bytes():
            lines += [
                *_head("process_resident_memory_bytes", "gauge", "Resident memory."),
                f"process_resident_memory_bytes {resident}",
            ]
        return "\n".join(lines) + "\n"


_OF_ENGINES: Sequence[tuple[str, str, str, Callable[[Engine], int]]] = (
    ("humanvlm_waiting", "gauge", "Requests in line.", lambda engine: engine.waiting),
    ("humanvlm_running", "gauge", "Replies that are being written.", lambda engine: engine.running),
    ("humanvlm_prompt_tokens_total", "counter", "Tokens read.", lambda engine: engine.counts.prompt_tokens),
    ("humanvlm_reply_tokens_total", "counter", "Tokens written.", lambda engine: engine.counts.reply_tokens),
    ("humanvlm_steps_total", "counter", "Steps of the batch.", lambda engine: engine.counts.steps),
    ("humanvlm_step_rows_total", "counter", "Replies in these steps.", lambda engine: engine.counts.rows),
    ("humanvlm_alone_total", "counter", "Tokens made again alone.", lambda engine: engine.counts.alone),
)


def resident_bytes() -> int:
    """Resident memory of this process; 0 where /proc does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _head(name: str, kind: str, about: str) -> Sequence[str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
