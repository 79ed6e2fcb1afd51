"""Counts in Prometheus' text format."""

import re

import pytest

from humanvlm.serve.metrics import Histogram, resident_bytes

from .running import Running, body, png

LINE = re.compile(r'[a-z_]+(?:\{[a-z]+="[^"\n]*"(?:,[a-z]+="[^"\n]*")*\})? [0-9.e+-]+')


def told(server: Running) -> dict[str, float]:
    status, text, headers = server.ask(None, method="GET", path="/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in lines)
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_what_is_done_is_counted(tiny_server: Running) -> None:
    before = told(tiny_server)
    _, reply, _ = tiny_server.ask(body("Hi", png()))
    tiny_server.ask(body(model="other"))
    tiny_server.ask(None, method="GET", path='/odd"\n{path}'.replace("\n", "%0a"))
    after = told(tiny_server)
    chat = 'humanvlm_requests_total{path="/v1/chat/completions",status="%d"}'
    more = {name: value - before.get(name, 0) for name, value in after.items()}
    assert (more[chat % 200], more[chat % 404]) == (1, 1)
    assert more['humanvlm_requests_total{path="other",status="404"}'] == 1
    assert more['humanvlm_prompt_tokens_total{model="tiny"}'] == reply["usage"]["prompt_tokens"]
    assert more['humanvlm_reply_tokens_total{model="tiny"}'] == reply["usage"]["completion_tokens"]
    assert more["humanvlm_request_seconds_count"] == more["humanvlm_first_words_seconds_count"] == 1
    assert after['humanvlm_running{model="tiny"}'] == after['humanvlm_waiting{model="tiny"}'] == 0
    assert after["process_resident_memory_bytes"] > 1e6 or not resident_bytes()


def test_buckets_add_up() -> None:
    found = Histogram()
    for seconds in (0.05, 0.06, 3.0, 1e9):
        found.add(seconds)
    *buckets, total, count = (float(line.rpartition(" ")[2]) for line in found.lines("x"))
    assert (buckets[:2], buckets[-2:], count) == ([1, 2], [3, 4], 4)
    assert buckets == sorted(buckets)
    assert total == pytest.approx(1e9 + 3.11)
