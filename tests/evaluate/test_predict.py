"""What is asked, and what is asked again: counted on a model that writes down every request."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from humanvlm.errors import UserError
from humanvlm.evaluate.predict import Predicted, mean_picture, predict
from humanvlm.evaluate.tasks.base import Sample
from humanvlm.inference.ask import GIVE_UP
from humanvlm.inference.base import CORRUPT, Reply, Request
from humanvlm.inference.cache import Predictions

from .small_run import SETTINGS, evaluate, jpeg


@dataclass
class Scribe:
    """Replies with the prompt; prompts that begin with an error's name fail with it."""

    identity: Mapping[str, Any] = field(default_factory=lambda: {"kind": "scribe"})
    asked: list[str] = field(default_factory=list)
    failing: bool = True

    def answer(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        for request in requests:
            self.asked.append(request.prompt)
            error = request.prompt.partition(" ")[0] if self.failing else ""
            if error in ("http_500", "timeout", CORRUPT):
                yield [Reply(request.key, error=error, detail=f"said {error}")]
            else:
                yield [Reply(request.key, f"reply to {request.prompt}", latency_s=0.1)]


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Four prompts about two pictures."""
    found = []
    for number in range(4):
        picture = tmp_path / f"{number // 2}.jpg"
        picture.write_bytes(jpeg(100 * (number // 2)))
        found.append(Sample(f"s{number}", "vqa", picture.name, picture, f"prompt {number}", ("yes",)))
    return found


def run(samples: Sequence[Sample], folder: Path, max_new_tokens: int = 8, **identity: str) -> list[str]:
    """The prompts that are asked in a run with the store in ``folder``."""
    model = Scribe({"kind": "scribe", **identity})
    predict(samples, model, Predictions(folder, model.identity), max_new_tokens)
    return model.asked


def attempt(samples: Sequence[Sample], model: Scribe, folder: Path, max_failed: float = 0.0) -> Predicted:
    return predict(samples, model, Predictions(folder, model.identity), 8, max_failed)


def test_only_what_a_change_concerns_is_asked_again(samples: list[Sample], tmp_path: Path) -> None:
    store = tmp_path / "store"
    everything = [sample.prompt for sample in samples]
    assert run(samples, store) == everything
    assert run(samples, store) == []
    # Nothing: other references and ids, another order, a moved picture, fewer samples
    other = [replace(sample, id=f"x{sample.id}", references=("no",), part="p") for sample in samples]
    assert run(other[::-1], store) == []
    moved = tmp_path / "moved.jpg"
    moved.write_bytes(samples[0].picture.read_bytes())  # type: ignore[union-attr]
    assert run([replace(samples[0], picture=moved, image="moved.jpg")], store) == []
    # Those that are concerned: a prompt, a picture, a new sample
    assert run([replace(samples[0], prompt="other"), *samples[1:]], store) == ["other"]
    moved.write_bytes(jpeg(33))
    assert run([*samples[:2], *(replace(sample, picture=moved) for sample in samples[2:])], store) == everything[2:]
    assert run([*samples, replace(samples[0], id="new", prompt="new")], store) == ["new"]
    # Everything: the number of tokens, whatever is part of the model's identity
    assert run(samples, store, max_new_tokens=9) == everything
    assert run(samples, store, dtype="bfloat16") == everything
    assert run(samples, store, checkpoint="other") == everything
    # and back again: nothing is lost by having tried something else
    assert run(samples, store) == []
    assert run(samples, store, dtype="bfloat16") == []


def test_the_run_hash_is_of_what_makes_the_replies(samples: list[Sample], tmp_path: Path) -> None:
    def hash_of(samples: Sequence[Sample], identity: Mapping[str, Any], max_new_tokens: int = 8) -> str:
        store = Predictions(tmp_path / "store", identity)
        return str(predict(samples, Scribe(identity), store, max_new_tokens).run["hash"])

    first = hash_of(samples, {"kind": "scribe"})
    assert hash_of(samples[::-1], {"kind": "scribe"}) == first
    changed = [replace(samples[0], prompt="other"), *samples[1:]]
    others = [hash_of(changed, {"kind": "scribe"}), hash_of(samples, {"kind": "scribe"}, 9), hash_of(samples, {"b": 1})]
    assert len({first, *others}) == 4


def test_the_same_question_is_asked_once(samples: list[Sample], tmp_path: Path) -> None:
    model = Scribe()
    twice = [*samples, *(replace(sample, id=f"again {sample.id}", task="other") for sample in samples)]
    predicted = attempt(twice, model, tmp_path / "store")
    assert len(model.asked) == len(samples)
    assert len(predicted.replies) == len(twice)
    assert predicted.replies[twice[5].key].text == "reply to prompt 1"


def test_missing_and_corrupt_pictures_are_dropped_and_no_failures(samples: list[Sample], tmp_path: Path) -> None:
    gone = replace(samples[0], id="gone", picture=tmp_path / "gone.jpg", image="gone.jpg")
    corrupt = replace(samples[1], id="corrupt", prompt=f"{CORRUPT} x")
    folder = replace(samples[0], id="folder", picture=tmp_path, image=".")
    predicted = attempt([*samples, gone, folder, corrupt], Scribe(), tmp_path / "store")
    assert [(name, reason) for name, reason, _ in predicted.dropped] == [
        ("gone", "missing_image"),
        ("folder", CORRUPT),
        ("corrupt", CORRUPT),
    ]
    assert predicted.dropped[2][2] == "vqa: 0.jpg: said corrupt_image"
    assert len(predicted.replies) == 4


def test_too_many_failures_end_the_run_when_all_else_is_answered(samples: list[Sample], tmp_path: Path) -> None:
    bad = [replace(samples[0], id=f"bad{n}", prompt=f"http_500 {n}") for n in range(2)]
    every = [*bad, *samples, replace(samples[0], id="slow", prompt="timeout 1")]
    model = Scribe()
    with pytest.raises(
        UserError, match=r"3 of 7 samples \(http_500 2, timeout 1; such as: said http_500\).*max_failed"
    ):
        attempt(every, model, tmp_path / "store", 0.4)
    assert len(model.asked) == 7
    again = Scribe()
    predicted = attempt(every, again, tmp_path / "store", 0.5)
    assert again.asked == ["http_500 0", "http_500 1", "timeout 1"]
    assert sorted(reason for _, reason, _ in predicted.dropped) == ["http_500", "http_500", "timeout"]
    assert (predicted.made, predicted.known) == (0, 4)
    healed = Scribe(failing=False)
    assert len(attempt(every, healed, tmp_path / "store").replies) == 7
    assert len(healed.asked) == 3


def test_a_dead_server_is_given_up(samples: list[Sample], tmp_path: Path) -> None:
    many = [replace(samples[0], prompt=f"timeout {n}") for n in range(GIVE_UP * 3)]
    model = Scribe()
    with pytest.raises(UserError, match=f"no reply to {GIVE_UP} of {GIVE_UP * 3} samples"):
        attempt(many, model, tmp_path / "store", 0.1)
    assert len(model.asked) == GIVE_UP
    patient = Scribe()
    assert len(attempt(many, patient, tmp_path / "store", 1.0).dropped) == len(many)
    assert len(patient.asked) == len(many)


def test_the_mean_picture() -> None:
    mean = mean_picture([Image.new("RGB", (50, 80), (shade, 0, 100)) for shade in (40, 80)], side=16)
    assert mean.size == (16, 16)
    assert np.abs(np.asarray(mean, int) - (60, 0, 100)).max() == 0
    with pytest.raises(ValueError, match="no pictures"):
        mean_picture([])


def records(path: Path) -> list[dict[str, Any]]:
    """Without the time that each reply took, which no two runs share."""
    return [json.loads(line) | {"latency_s": 0} for line in path.read_text().splitlines()]


COUNTED = """
import os, sys, time
import humanvlm.inference.local as local
from humanvlm.cli import main
log = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
make = local.Local.reply
def counted(self, batch):
    os.write(log, "".join(request.key + "\\n" for request in batch).encode())
    replies = make(self, batch)
    time.sleep(0.1)  # else it is over before anyone can kill it
    return replies
local.Local.reply = counted
main()
"""


@pytest.mark.slow
def test_killed_at_any_moment_no_reply_is_made_twice(
    inputs: dict[str, Path], tmp_path: Path, repo: Path, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command itself, killed by SIGKILL while it asks; what it asked is counted in its own process."""
    settings = [*(f"--set=benchmark_scores.{value}" for value in SETTINGS), "--set=benchmark_scores.batch_size=1"]
    folders = [f"--in={name}={path}" for name, path in inputs.items()]
    params = ["--params", str(repo / "humanvlm" / "profiles" / "cpu.yaml"), "--out", str(tmp_path / "out")]

    def start(log: Path) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", COUNTED, str(log), "benchmark_scores", *params, *settings, *folders]
        return subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def asked(log: Path) -> list[str]:
        return log.read_text().splitlines() if log.exists() else []

    def saved() -> set[str]:
        found = b"".join(path.read_bytes() for path in predictions.glob("*.jsonl")).splitlines()
        return {json.loads(line)["key"] for line in found if line.endswith(b"}")}

    known: set[str] = set()
    for round_, pause in enumerate((0.0, 0.06, None)):
        log = tmp_path / f"asked{round_}"
        process = start(log)
        if pause is not None:
            while len(asked(log)) < 2:
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.005)
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
        error = process.communicate()[1].decode()
        assert process.returncode == (0 if pause is None else -signal.SIGKILL), error
        assert not known & set(asked(log))
        assert len(asked(log)) == len(set(asked(log)))
        assert known < saved()
        known = saved()
    assert len(known) == 7 + 3  # and the mean picture, asked each of their questions
    (path,) = predictions.glob("*.jsonl")
    assert path.read_bytes().count(b"\n") == len(known)
    monkeypatch.setenv("HUMANVLM_PREDICTIONS", str(tmp_path / "fresh"))
    evaluate(inputs, tmp_path / "whole", repo, "batch_size=1")
    for name in ("scores.json", "details.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    for task in ("captions", "rec", "attributes", "holdout"):
        killed, whole = (records(tmp_path / out / "samples" / f"{task}.jsonl") for out in ("out", "whole"))
        assert killed == whole
