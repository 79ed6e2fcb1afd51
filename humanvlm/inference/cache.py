"""Replies kept for good, so that nothing is asked twice: content-addressed, append-only, durable.

A reply is filed under the sha256 of everything it depends on: the model's identity, the picture's bytes, the prompt and
the number of tokens. So there is nothing to invalidate; what changes has other keys:

| what changes | what is asked again |
| --- | --- |
| the prompt of a task, a question | the samples with that prompt |
| a picture's bytes | the samples about that picture |
| ``max_new_tokens`` | everything |
| local models: weights, tokenizer, chat template or configuration; ``dtype``, ``batch_size``, device | everything |
| local models: torch, transformers, tokenizers or Pillow; the code that ``local`` reaches | everything |
| endpoints: ``url``, ``model``, ``parameters``, ``image_size``; the wording of the request | everything |
| samples added, a larger ``limit``, another ``seed`` or task | only the samples that are new |
| how an answer is found in a reply (``replies.final_answer``): replies are kept as the model said them | nothing |
| references, metrics, ``bootstrap``, slices, the report, ids, the order of samples, where files lie | nothing |
| endpoints: concurrency, times, retries, the key, ``max_failed`` | nothing |
| a kill at any moment | what had no durable reply; of a torn line, that one |
| a request that failed | that one |

Delete the file of a model to ask it afresh. A takedown removes the replies that tell of a forgotten picture.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from humanvlm.data.atomic_io import locked, write_bytes, write_json
from humanvlm.errors import UserError
from humanvlm.inference.base import Reply
from humanvlm.pipeline.state import state_folder

SAVED = ("key", "raw", "tokens", "finish", "latency_s", "refusal", "info", "prompt_tokens")
EARLIER = {*SAVED, "text"} - {
    "raw",
    "refusal",
    "prompt_tokens",
}  # what was saved when only the text of a reply was kept
PICTURE = "picture"  # of a line: sha256 of the picture that its reply tells of


def digest(value: Any) -> str:
    """sha256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class Predictions:
    """The replies of one model: ``IDENTITY.jsonl``, a line a reply, and ``IDENTITY.json``, what that identity is.

    replies: by key; of two with one key the first stands. damaged: lines that are not whole, which a kill or a full
    disk leaves at the end; they count as never written. Processes may share a file.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        name = digest(identity)[:24]
        self.path = folder / f"{name}.jsonl"
        self.replies: dict[str, Reply] = {}
        self.damaged = 0
        folder.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            data = self.path.read_bytes()
            if not (folder / f"{name}.json").exists():
                write_json(folder / f"{name}.json", dict(identity))  # its fsync of the folder is for both files
        for line in filter(None, data.split(b"\n")):
            try:
                reply = _reply(json.loads(line))
            except (ValueError, RecursionError):
                self.damaged += 1
            else:
                if reply:
                    self.replies.setdefault(reply.key, reply)

    def add(self, replies: Iterable[Reply], about: Mapping[str, str] | None = None) -> None:
        """Append replies; on return they survive a power cut. about: by key, sha256 of the picture that a reply tells
        of. Raises UserError naming the file when it cannot be written."""
        fresh = [reply for reply in replies if reply.key not in self.replies]
        lines = b"".join(_line(reply, (about or {}).get(reply.key, "")) for reply in fresh)
        if not lines:
            return
        try:
            with locked(self.path) as file:
                size = os.lseek(file, 0, os.SEEK_END)
                if size and os.pread(file, 1, size - 1) != b"\n":  # a torn line stays a line of its own
                    lines = b"\n" + lines
                while lines:
                    lines = lines[os.write(file, lines) :]
                os.fsync(file)
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}; free space and run the same command again") from None
        self.replies |= {reply.key: reply for reply in fresh}


def store_folder() -> Path:
    """Where replies are kept: the folder HUMANVLM_PREDICTIONS, default ``.state/predictions``."""
    return Path(os.environ.get("HUMANVLM_PREDICTIONS") or state_folder() / "predictions")


def known_replies(identity: Mapping[str, Any]) -> Mapping[str, Reply]:
    """The replies of a model by key; none, and nothing written, where it was never asked."""
    known = (store_folder() / f"{digest(identity)[:24]}.jsonl").exists()
    return open_predictions(identity).replies if known else {}


def open_predictions(identity: Mapping[str, Any], part: str = "") -> Predictions:
    """The replies of a model in the folder of replies, or in the folder ``part`` of it."""
    return Predictions(store_folder() / part, identity)


def forget_replies(folder: Path, forgotten: Callable[[str], bool]) -> Iterator[tuple[Path, int, int]]:
    """Take the replies that tell of some pictures, and damaged lines, out of every file of a folder of replies.

    forgotten: whether the picture of a sha256 is one. Yields of each file with replies how many were taken out, and
    how many of those that stay do not say of which picture they tell, as earlier ones. Raises UserError when a file
    cannot be written.
    """
    for path in sorted(folder.rglob("*.jsonl")):
        with locked(path):
            lines = path.read_bytes().split(b"\n")
            told = {line: _picture(line) for line in filter(None, lines)}
            kept = [line for line, picture in told.items() if picture is not None and not forgotten(picture)]
            if len(kept) < len(told):
                write_bytes(path, b"".join(line + b"\n" for line in kept))
        if told:
            yield path, len(told) - len(kept), sum(not told[line] for line in kept)


def _line(reply: Reply, picture: str) -> bytes:
    return json.dumps({name: getattr(reply, name) for name in SAVED} | {PICTURE: picture}).encode() + b"\n"


def _picture(line: bytes) -> str | None:
    """sha256 of the picture that a line's reply tells of, '' where it does not say; None of a damaged line."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return str(record.get(PICTURE) or "") if isinstance(record, dict) else None


def _reply(record: Any) -> Reply | None:
    """The reply of a line. Raises ValueError when it is none.

    Earlier lines do not tell the prompt's tokens or the picture, and the first ones have the text alone. It is what the
    model said, unless it is empty: that may have been a refusal or a thought, so it is asked again.
    """
    if isinstance(record, dict) and record.keys() == EARLIER:
        record = {**record, "raw": record["text"], "refusal": ""}
        if not record.pop("text"):
            return None
    if isinstance(record, dict):
        record = {"prompt_tokens": None, **record}
        record.pop(PICTURE, None)
    if not isinstance(record, dict) or record.keys() != set(SAVED):
        raise ValueError("no reply")
    texts = all(isinstance(record[name], str) for name in ("key", "raw", "finish", "refusal"))
    if not texts or not isinstance(record["info"], dict):
        raise ValueError("no reply")
    return Reply(**record)
