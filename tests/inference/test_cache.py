"""The store of replies: whole after any kill, shared by processes, never written over."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from humanvlm.inference.base import Reply
from humanvlm.inference.cache import Predictions, digest, forget_replies, open_predictions

IDENTITY = {"kind": "test", "weights": "1"}
REPLIES = [
    Reply(str(n), text, n, "stop", 0.5, info={"model": "m"}) for n, text in enumerate(["one\nline", "zwei ü", ""])
]


def lines(store: Predictions) -> list[bytes]:
    return store.path.read_bytes().splitlines(keepends=True)


def test_replies_come_back_as_they_were(tmp_path: Path) -> None:
    Predictions(tmp_path, IDENTITY).add(REPLIES)
    found = Predictions(tmp_path, IDENTITY)
    assert list(found.replies.values()) == REPLIES
    assert found.damaged == 0
    assert json.loads(found.path.with_suffix(".json").read_text()) == IDENTITY


def test_each_identity_has_a_file_of_its_own(predictions: Path) -> None:
    open_predictions(IDENTITY).add(REPLIES)
    other = open_predictions(IDENTITY | {"weights": "2"})
    assert not other.replies
    assert len(list(predictions.glob("*.jsonl"))) == 2
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_the_first_reply_stands(tmp_path: Path) -> None:
    one, two = Predictions(tmp_path, IDENTITY), Predictions(tmp_path, IDENTITY)
    one.add([Reply("a", "first")])
    two.add([Reply("a", "second"), Reply("b", "other")])
    one.add([Reply("a", "third")])
    assert {key: reply.text for key, reply in Predictions(tmp_path, IDENTITY).replies.items()} == {
        "a": "first",
        "b": "other",
    }
    assert len(lines(one)) == 3  # the third was known


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(0, 1000), garbage=st.binary(max_size=12))
def test_cut_at_any_byte_it_holds_the_whole_lines_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("store")
    store = Predictions(folder, IDENTITY)
    store.add(REPLIES)
    whole = store.path.read_bytes()
    cut = min(cut, len(whole))
    store.path.write_bytes(whole[:cut] + garbage)
    kept = whole[:cut].count(b"\n")
    torn = Predictions(folder, IDENTITY)
    # A line that lacks nothing but its end is whole.
    assert list(torn.replies.values())[:kept] == REPLIES[:kept]
    assert len(torn.replies) <= kept + 1
    torn.add(REPLIES)
    again = Predictions(folder, IDENTITY)
    assert list(again.replies.values()) == REPLIES
    assert again.damaged == torn.damaged
    if not garbage:
        assert again.damaged == (whole[:cut].rpartition(b"\n")[2] not in (b"", *whole.splitlines()))


def test_damaged_lines_in_the_middle_cost_only_themselves(tmp_path: Path) -> None:
    store = Predictions(tmp_path, IDENTITY)
    store.add(REPLIES)
    whole = lines(store)
    for wrong in (b"\0" * 40 + b"\n", b"[1]\n", b'{"key": "1"}\n', whole[1].replace(b'"zwei', b'["zwei')):
        store.path.write_bytes(whole[0] + wrong + whole[2])
        found = Predictions(tmp_path, IDENTITY)
        assert (list(found.replies), found.damaged) == (["0", "2"], 1)


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    """In a process of its own, whose files may have 1,000 bytes."""
    code = f"""
import resource, signal
from pathlib import Path
from humanvlm.errors import UserError
from humanvlm.inference.base import Reply
from humanvlm.inference.cache import Predictions
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Predictions(Path({str(tmp_path)!r}), {IDENTITY!r})
store.add([Reply("a", "x" * 400)])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    store.add([Reply("b", "y" * 800)])
except UserError as error:
    assert "b" not in store.replies
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "File too large; free space and run the same command again" in done.stdout
    found = Predictions(tmp_path, IDENTITY)
    assert (list(found.replies), found.damaged) == (["a"], 1)
    found.add([Reply("b", "y")])
    assert list(Predictions(tmp_path, IDENTITY).replies) == ["a", "b"]


def test_processes_share_a_file(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from humanvlm.inference.base import Reply
from humanvlm.inference.cache import Predictions
store = Predictions(Path({str(tmp_path)!r}), {IDENTITY!r})
for number in range(50):
    store.add([Reply(f"{{sys.argv[1]}}-{{number}}", "text " * 500)])
"""
    running = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "ab"]
    assert [process.wait() for process in running] == [0, 0]
    found = Predictions(tmp_path, IDENTITY)
    assert len(found.replies) == 100
    assert found.damaged == 0


def test_what_was_said_is_kept_with_refusal_and_end(tmp_path: Path) -> None:
    said = [
        Reply("a", "<think>No.</think>Yes"),
        Reply("b", "", 0, "stop", refusal="I cannot."),
        Reply("c", "", 9, "length"),
    ]
    Predictions(tmp_path, IDENTITY).add(said)
    found = Predictions(tmp_path, IDENTITY).replies
    assert list(found.values()) == said
    assert [found[key].text for key in "abc"] == ["Yes", "", ""]


def test_earlier_lines_are_read_right_or_asked_again(tmp_path: Path) -> None:
    """They held the text alone: an empty one may have been a refusal."""
    store = Predictions(tmp_path, IDENTITY)
    line = {"key": "a", "text": "<think>No.</think>Yes", "tokens": 3, "finish": "stop", "latency_s": 0.1, "info": {}}
    store.path.write_text(json.dumps(line) + "\n" + json.dumps(line | {"key": "b", "text": ""}) + "\n")
    found = Predictions(tmp_path, IDENTITY)
    assert (list(found.replies), found.damaged) == (["a"], 0)
    assert (found.replies["a"].text, found.replies["a"].raw) == ("Yes", line["text"])


def test_replies_that_tell_of_a_picture_are_forgotten(tmp_path: Path) -> None:
    store = Predictions(tmp_path / "human_caption" / "shard-00000", IDENTITY)
    store.add([Reply("a", "of one"), Reply("b", "of another"), Reply("c", "of nobody knows")], {"a": "11", "b": "22"})
    with store.path.open("ab") as file:
        file.write(b'{"key": "d", "raw": "torn')
    assert list(forget_replies(tmp_path, "11".__eq__)) == [(store.path, 2, 1)]
    again = Predictions(store.path.parent, IDENTITY)
    assert (sorted(again.replies), again.damaged) == (["b", "c"], 0)
    assert b"of one" not in store.path.read_bytes()
    assert list(forget_replies(tmp_path, "11".__eq__)) == [(store.path, 0, 1)]
    again.add([Reply("a", "asked again")], {"a": "11"})
    assert Predictions(store.path.parent, IDENTITY).replies["a"].raw == "asked again"
